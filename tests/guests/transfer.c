//! transfer: readv, writev, preadv, pwritev, sendfile and copy_file_range.
//! build: static
#include "check.h"
#include <limits.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

int main(void) {
    scratch();
    char a[8] = {0}, b[8] = {0}, got[64];
    int fd = open("f", O_RDWR | O_CREAT, 0600);
    struct iovec out[4] = {{"one ", 4}, {"", 0}, {"two ", 4}, {"three", 5}};
    CHECK_EQ(writev(fd, out, 4), 13);
    CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
    struct iovec in[2] = {{a, 4}, {b, 7}};
    CHECK_EQ(readv(fd, in, 2), 11);
    CHECK(!memcmp(a, "one ", 4) && !memcmp(b, "two thr", 7));
    CHECK_EQ(preadv(fd, in, 1, 4), 4);
    CHECK(!memcmp(a, "two ", 4));
    CHECK_EQ(pwritev(fd, out + 2, 1, 0), 4);
    CHECK_EQ(pwrite(fd, "X", 1, 20), 1);
    CHECK_EQ(pread(fd, got, 64, 12), 9);
    CHECK(got[0] == 'e' && got[1] == 0 && got[8] == 'X');
    CHECK_EQ(lseek(fd, 0, SEEK_CUR), 11);
    CHECK_FAILS(pread(fd, got, 1, -1), EINVAL);
    CHECK_FAILS(syscall(SYS_readv, fd, in, -1L), EINVAL);
    CHECK_FAILS(syscall(SYS_readv, fd, in, IOV_MAX + 1L), EINVAL);
    CHECK_EQ(readv(fd, in, 0), 0);
    CHECK_FAILS(writev(77, out, 1), EBADF);

    int to = open("to", O_RDWR | O_CREAT, 0600);
    off_t offset = 4;
    CHECK_EQ(sendfile(to, fd, &offset, 9), 9);
    CHECK_EQ(offset, 13);
    CHECK_EQ(lseek(fd, 0, SEEK_CUR), 11);
    CHECK_EQ(get_file("to", got, sizeof got), 9);
    CHECK(!strcmp(got, "two three"));
    CHECK_EQ(sendfile(to, fd, NULL, 1000), 10);
    CHECK_EQ(lseek(fd, 0, SEEK_CUR), 21);
    CHECK_EQ(sendfile(STDOUT_FILENO, open("/proc/self/comm", O_RDONLY), &(off_t){0}, 0), 0);

    int copy = open("copy", O_RDWR | O_CREAT, 0600);
    off_t from = 0, at = 2;
    CHECK_EQ(copy_file_range(fd, &from, copy, &at, 4, 0), 4);
    CHECK(from == 4 && at == 6);
    CHECK_EQ(get_file("copy", got, sizeof got), 6);
    CHECK(!memcmp(got, "\0\0two ", 6));
    CHECK_FAILS(copy_file_range(fd, NULL, copy, NULL, 1, 99), EINVAL);

    // A file to the log.
    put_file("line", "from a file by sendfile\n");
    CHECK_EQ(sendfile(STDOUT_FILENO, open("line", O_RDONLY), NULL, 100), 24);
    return done("transfer");
}
