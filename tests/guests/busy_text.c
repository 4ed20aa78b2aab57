//! busy_text: the file of the running program cannot be written, though it was renamed and may no
//! longer be executed; /proc/self/exe stays that file, under another name and without one.
//! build: static, pie
#include "check.h"

// Whether /proc/self/exe leads to the file of this inode, and what its text ends in.
static void exe_is(ino_t ino, const char *end) {
    char text[4200] = "";
    struct stat now = {0};
    ssize_t len = readlink("/proc/self/exe", text, sizeof text - 1);
    CHECK(len >= (ssize_t)strlen(end) && !strcmp(text + len - strlen(end), end));
    CHECK_EQ(stat("/proc/self/exe", &now), 0);
    CHECK_EQ(now.st_ino, ino);
    int fd = open("/proc/self/exe", O_RDONLY);
    CHECK(read(fd, text, 4) == 4 && !memcmp(text, "\177ELF", 4));
    close(fd);
}

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
    struct stat own = {0};
    CHECK_EQ(stat("copy", &own), 0);
    exe_is(own.st_ino, "/copy");
    CHECK_FAILS(open("copy", O_WRONLY), ETXTBSY);
    CHECK_FAILS(truncate("/proc/self/exe", 0), ETXTBSY);
    CHECK_EQ(chmod("copy", 0600), 0);
    CHECK_FAILS(open("copy", O_RDWR | O_TRUNC), ETXTBSY);
    CHECK_EQ(rename("copy", "other"), 0);
    exe_is(own.st_ino, "/other");
    CHECK_FAILS(open("other", O_RDWR), ETXTBSY);
    CHECK_FAILS(truncate("other", 0), ETXTBSY);
    put_file("copy", "another file");
    CHECK_EQ(truncate("copy", 3), 0);
    CHECK_EQ(unlink("other"), 0);
    exe_is(own.st_ino, " (deleted)");
    return done("busy_text");
}
