//! busy_text: the file of the running program cannot be written, though it was renamed and may no
//! longer be executed.
//! build: static, pie
#include "check.h"

int main(int argc, char **argv) {
    if (argc == 1) {
        // A copy, so that the program on the host stays as it is.
        scratch();
        int from = open("/proc/self/exe", O_RDONLY), to = open("copy", O_WRONLY | O_CREAT, 0700);
        char buffer[4096];
        for (ssize_t n; (n = read(from, buffer, sizeof buffer)) > 0;) CHECK_EQ(write(to, buffer, (size_t)n), n);
        close(from), close(to);
        execl("./copy", "copy", "again", NULL);
        WRONG("not executed");
    }
    if (argc != 2 || strcmp(argv[1], "again")) WRONG("%d arguments", argc);
    CHECK_FAILS(open("copy", O_WRONLY), ETXTBSY);
    CHECK_FAILS(truncate("/proc/self/exe", 0), ETXTBSY);
    CHECK_EQ(chmod("copy", 0600), 0);
    CHECK_FAILS(open("copy", O_RDWR | O_TRUNC), ETXTBSY);
    CHECK_EQ(rename("copy", "other"), 0);
    CHECK_FAILS(open("other", O_RDWR), ETXTBSY);
    CHECK_FAILS(truncate("other", 0), ETXTBSY);
    put_file("copy", "another file");
    CHECK_EQ(truncate("copy", 3), 0);
    return done("busy_text");
}
