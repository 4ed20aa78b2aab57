//! What is left of a volume whose directory somebody removes meanwhile.
//! build: static
//! native: no
#include "../check.h"

int main(int argc, char **argv) {
    if (chdir(argc > 1 ? argv[1] : "/data")) return 1;
    put_file("file", "still here");
    int fd = open("file", O_RDWR);
    puts("ready");
    fflush(stdout);
    while (!access("file", F_OK)) usleep(2000);
    CHECK_EQ(errno, ENOENT);
    char got[16] = "";
    CHECK_EQ(pread(fd, got, 10, 0), 10);
    CHECK(!strcmp(got, "still here"));
    CHECK_EQ(pwrite(fd, "S", 1, 0), 1);
    // The directory goes after its files.
    int made;
    while ((made = open("new", O_WRONLY | O_CREAT | O_EXCL, 0600)) >= 0) {
        close(made);
        unlink("new");
        usleep(2000);
    }
    CHECK_EQ(errno, ENOENT);
    CHECK_FAILS(mkdir("sub", 0700), ENOENT);
    struct stat st;
    CHECK_EQ(stat(".", &st), 0);
    return done("deleted");
}
