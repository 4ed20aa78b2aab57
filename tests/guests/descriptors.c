//! descriptors: dup, dup2, dup3, fcntl, shared offsets, EBADF, and the limit.
//! build: static, musl-static
#include "check.h"
#include <sys/ioctl.h>
#include <sys/resource.h>

int main(void) {
    scratch();
    char got[16];
    put_file("f", "0123456789");
    int fd = open("f", O_RDWR);
    int twin = dup(fd);
    CHECK_EQ(twin, fd + 1);
    CHECK_EQ(read(fd, got, 4), 4);
    CHECK_EQ(lseek(twin, 0, SEEK_CUR), 4); // one offset for both
    int apart = open("f", O_RDONLY);
    CHECK_EQ(lseek(apart, 0, SEEK_CUR), 0);

    CHECK_EQ(dup2(fd, 20), 20);
    CHECK_EQ(dup2(fd, fd), fd);
    CHECK_EQ(dup2(apart, 20), 20);
    CHECK_EQ(lseek(20, 0, SEEK_CUR), 0);
    CHECK_FAILS(dup2(77, 5), EBADF);
    CHECK_FAILS(dup2(fd, -1), EBADF);
    CHECK_EQ(dup3(fd, 21, O_CLOEXEC), 21);
    CHECK_EQ(fcntl(21, F_GETFD), FD_CLOEXEC);
    CHECK_FAILS(dup3(fd, fd, 0), EINVAL);
    CHECK_EQ(fcntl(fd, F_DUPFD, 30), 30);
    CHECK_EQ(fcntl(fd, F_DUPFD_CLOEXEC, 30), 31);
    CHECK_EQ(fcntl(30, F_SETFD, FD_CLOEXEC), 0);
    CHECK_EQ(fcntl(30, F_GETFD), FD_CLOEXEC);
    CHECK_EQ(fcntl(fd, F_GETFD), 0);

    // Status flags belong to the open file, not to the number.
    CHECK_EQ(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK), 0);
    CHECK_EQ(fcntl(twin, F_GETFL) & (O_APPEND | O_NONBLOCK | O_ACCMODE), O_APPEND | O_NONBLOCK | O_RDWR);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 4};
    CHECK_EQ(fcntl(fd, F_SETLK, &lock), 0);
    CHECK_EQ(fcntl(fd, F_GETLK, &lock), 0);
    CHECK_EQ(lock.l_type, F_UNLCK);
    CHECK_FAILS(fcntl(fd, 9999), EINVAL);

    CHECK_FAILS(read(77, got, 1), EBADF);
    CHECK_FAILS(write(-1, got, 1), EBADF);
    CHECK_FAILS(fcntl(77, F_GETFD), EBADF);
    CHECK_FAILS(lseek(77, 0, SEEK_SET), EBADF);
    CHECK_FAILS(ioctl(77, FIONREAD, got), EBADF);
    CHECK_FAILS(ioctl(fd, 0x5401 /* TCGETS */, got), ENOTTY);
    CHECK_FAILS(fsync(77), EBADF);
    CHECK_EQ(isatty(fd), 0);

    struct rlimit few = {64, 64};
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
    int last = -1, n;
    while ((n = dup(fd)) >= 0) last = n;
    CHECK_EQ(errno, EMFILE);
    CHECK_EQ(last, 63);
    CHECK_EQ(close(40), 0);
    CHECK_EQ(open("/", O_RDONLY), 40);
    CHECK_EQ(syscall(SYS_close_range, 50u, 60u, 0u), 0);
    CHECK_FAILS(fcntl(55, F_GETFD), EBADF);
    CHECK_EQ(fcntl(61, F_GETFD), 0);
    return done("descriptors");
}
