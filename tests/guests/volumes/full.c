//! Fills a volume, and finds the file that it could not write whole.
//! build: static
//! native: no
#include "../check.h"

int main(int argc, char **argv) {
    if (chdir(argc > 1 ? argv[1] : "/data")) return 1;
    static char block[64 << 10];
    memset(block, 'x', sizeof block);
    int fd = open("big", O_RDWR | O_CREAT, 0600);
    long total = 0;
    ssize_t count;
    while ((count = write(fd, block, sizeof block)) > 0) total += count;
    CHECK_EQ(count, -1);
    CHECK_EQ(errno, ENOSPC);
    struct stat st;
    CHECK_EQ(fstat(fd, &st), 0);
    CHECK_EQ(st.st_size, total);
    CHECK(total >= 512 << 10);
    CHECK_FAILS(posix_fallocate(fd, 0, 64 << 20) ? (errno = ENOSPC, -1) : 0, ENOSPC);
    // Space comes back as soon as nobody has the file.
    CHECK_EQ(unlink("big"), 0);
    close(fd);
    fd = open("again", O_RDWR | O_CREAT, 0600);
    CHECK_EQ(write(fd, block, sizeof block), sizeof block);
    return done("full");
}
