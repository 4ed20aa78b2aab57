//! efault: a wild pointer in a system call answers EFAULT and harms nobody.
//! build: static, musl-static
#include "check.h"
#include <poll.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>

int main(void) {
    scratch();
    char *constant = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *hole = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(hole + 4096, 4096);
    void *const WILD[] = {NULL, (void *)8, hole + 4096, (void *)0x123456789a000, (void *)0x7ffffffff000, (void *)-4096L, (void *)-1L};
    int fd = open("f", O_RDWR | O_CREAT, 0600);
    int p[2];
    CHECK_EQ(pipe(p), 0);
    CHECK_EQ(write(fd, "0123456789", 10), 10);
    CHECK_EQ(write(p[1], "0123456789", 10), 10);

    // By number: a C library would read some of these itself.
    for (size_t i = 0; i < sizeof WILD / sizeof *WILD; i++) {
        void *w = WILD[i];
        CHECK_FAILS(syscall(SYS_write, fd, w, 5L), EFAULT);
        CHECK_FAILS(syscall(SYS_pread64, fd, w, 5L, 0L), EFAULT);
        CHECK_FAILS(syscall(SYS_read, p[0], w, 5L), EFAULT);
        CHECK_FAILS(syscall(SYS_write, 1, w, 5L), EFAULT);
        CHECK_FAILS(syscall(SYS_open, w, O_RDONLY), EFAULT);
        CHECK_FAILS(syscall(SYS_stat, "/", w), EFAULT);
        CHECK_FAILS(syscall(SYS_stat, w, hole), EFAULT);
        CHECK_FAILS(syscall(SYS_uname, w), EFAULT);
        CHECK_FAILS(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, w), EFAULT);
        CHECK_FAILS(syscall(SYS_nanosleep, w, NULL), EFAULT);
        CHECK_FAILS(syscall(SYS_getcwd, w, 100L), EFAULT);
        CHECK_FAILS(syscall(SYS_pipe2, w, 0), EFAULT);
        CHECK_FAILS(syscall(SYS_writev, fd, w, 1L), EFAULT);
        CHECK_FAILS(syscall(SYS_getrlimit, RLIMIT_STACK, w), EFAULT);
        CHECK_FAILS(syscall(SYS_getrandom, w, 8L, 0L), EFAULT);
        struct iovec vec = {w, 4};
        CHECK_FAILS(writev(fd, &vec, 1), EFAULT);
        if (w) CHECK_FAILS(syscall(SYS_rt_sigprocmask, SIG_BLOCK, w, NULL, 8L), EFAULT);
        if (w) CHECK_FAILS(syscall(SYS_rt_sigaction, SIGUSR1, w, NULL, 8L), EFAULT);
    }
    CHECK_FAILS(syscall(SYS_pread64, fd, constant, 5L, 0L), EFAULT);
    CHECK_FAILS(syscall(SYS_pread64, fd, (void *)(uintptr_t)&main, 5L, 0L), EFAULT);

    // Half good: what is there is transferred, or nothing is.
    char *edge = hole + 4096 - 4;
    memcpy(edge, "edge", 4);
    errno = 0;
    long n = syscall(SYS_pwrite64, fd, edge, 8L, 0L);
    CHECK(n == 4 || (n == -1 && errno == EFAULT));
    n = syscall(SYS_pread64, fd, edge, 8L, 0L);
    CHECK(n == 4 || (n == -1 && errno == EFAULT));
    // A string that ends right at the hole is fine, one that does not is not.
    memcpy(hole + 4096 - 5, "/tmp", 5);
    CHECK_EQ(access(hole + 4096 - 5, F_OK), 0);
    memcpy(hole + 4096 - 4, "/tmp", 4);
    CHECK_FAILS(access(hole + 4096 - 4, F_OK), EFAULT);
    // Untouched but mapped pages are fine.
    char *fresh = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK_EQ(pread(fd, fresh + 8190, 8, 0), 8);
    CHECK_EQ(pwrite(fd, fresh + (1 << 19), 8, 0), 8);
    CHECK_EQ(read(p[0], fresh, 5), 5); // nothing was taken from the pipe by failed reads
    CHECK_EQ(fresh[0], '0');
    return done("efault");
}
