//! bad_flags: each bit of each flags argument, alone and beside what is good: the answers are printed,
//! so that they are compared with the host's kernel.
//! build: static
#include "check.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define PAGE 4096L
enum { FILE_FD = 10, PIPE_OUT, PIPE_IN, DIRECTORY, TIMER, SECOND_FILE, FIRST_FREE };

static char page[8192] __attribute__((aligned(4096)));
static struct iovec one = {page, 4};
static unsigned long set;
static struct itimerspec never;
static long info[16];

/// The same state before each attempt.
static void prepare(void) {
    unlink("a"), unlink("s"), put_file("a", "0123456789");
    unlink("b"), rmdir("b"), unlink("e/b"), mkdir("e", 0700), symlink("a", "s");
    while (read(PIPE_OUT, page, sizeof page) > 0) {}
    CHECK_EQ(write(PIPE_IN, "01234567", 8), 8);
    ftruncate(FILE_FD, 0), ftruncate(SECOND_FILE, 0);
    CHECK_EQ(pwrite(FILE_FD, page, sizeof page, 0), sizeof page);
    CHECK_EQ(pwrite(FILE_FD, page, sizeof page, sizeof page), sizeof page);
    lseek(FILE_FD, 0, SEEK_SET), lseek(SECOND_FILE, 0, SEEK_SET);
    for (int fd = FIRST_FREE; fd < FIRST_FREE + 4; fd++) close(fd);
}

/// One answer: 0 or the errno.
static void answer(long got) { printf(" %d", got == -1 ? errno : 0); }

/// `call` with each bit from `low` below `high` as `F`, beside `with`.
#define BITS(name, low, high, with, call) \
    do { \
        printf("%s:", name); \
        for (int bit_ = (low); bit_ < (high); bit_++) { \
            unsigned long F = 1UL << bit_ | (with); \
            prepare(); \
            errno = 0; \
            answer(call); \
        } \
        puts(""); \
        fflush(stdout); \
    } while (0)

/// `call` with each of the values as `F`.
#define VALUES(name, call, ...) \
    do { \
        const long values_[] = {__VA_ARGS__}; \
        printf("%s:", name); \
        for (size_t at_ = 0; at_ < sizeof values_ / sizeof *values_; at_++) { \
            long F = values_[at_]; \
            prepare(); \
            errno = 0; \
            answer(call); \
        } \
        puts(""); \
        fflush(stdout); \
    } while (0)

static long open_how(unsigned long flags, unsigned long mode, unsigned long resolve, const char *path, size_t bytes) {
    unsigned long how[4] = {flags, mode, resolve, bytes > 32 ? 1 : 0};
    return syscall(SYS_openat2, DIRECTORY, path, how, bytes);
}

static void opening(void) {
    // O_CREAT makes, O_ASYNC and O_DIRECT depend on the file system.
    BITS("open", 0, 14, 0, syscall(SYS_open, "a", F, 0600));
    BITS("open, higher", 15, 32, 0, syscall(SYS_open, "a", F, 0600));
    BITS("open a directory", 0, 14, 0, syscall(SYS_open, "e", F, 0600));
    BITS("open a link", 15, 32, 0, syscall(SYS_open, "s", F, 0600));
    BITS("open to make", 0, 14, O_CREAT | O_RDWR, syscall(SYS_open, "b", F, 0600));
    BITS("openat2", 0, 14, 0, open_how(F, F & O_CREAT ? 0600 : 0, 0, "a", 24));
    BITS("openat2, higher", 15, 64, 0, open_how(F, 0, 0, "a", 24));
    BITS("openat2 mode", 0, 64, 0, open_how(O_CREAT, F, 0, "b", 24));
    BITS("openat2 mode without O_CREAT", 0, 12, 0, open_how(0, F, 0, "a", 24));
    BITS("openat2 resolve", 0, 64, 0, open_how(0, 0, F, "a", 24));
    BITS("openat2 resolve ..", 0, 5, 0, open_how(0, 0, F, "../../../a", 24));
    BITS("openat2 resolve /", 0, 5, 0, open_how(0, 0, F, "/", 24));
    BITS("openat2 resolve link", 0, 5, 0, open_how(0, 0, F, "s", 24));
    BITS("openat2 resolve magic", 0, 5, 0, open_how(0, 0, F, "/proc/self/exe", 24));
    VALUES("openat2 resolve two", open_how(0, 0, (unsigned long)F, "a", 24), 0x18, 0x0c, 0x30);
    VALUES("openat2 size", open_how(0, 0, 0, "a", (size_t)F), 0, 8, 23, 24, 25, 32, 40, 4096, 4097, -1);
    VALUES("O_PATH and more", open_how((unsigned long)F, 0, 0, "a", 24), O_PATH | O_RDWR, O_PATH | O_CLOEXEC, O_PATH | O_CREAT, O_PATH | O_TRUNC, O_PATH | O_APPEND,
           O_PATH | O_NOFOLLOW | O_DIRECTORY);
    VALUES("O_TMPFILE", syscall(SYS_open, ".", F, 0600), O_TMPFILE, O_TMPFILE | O_WRONLY, O_TMPFILE | O_RDWR | O_CREAT, O_TMPFILE & ~O_DIRECTORY, O_TMPFILE | O_RDWR | O_EXCL);
    BITS("creat mode", 0, 32, 0, syscall(SYS_creat, "b", F));
}

static void descriptors(void) {
    BITS("pipe2", 0, 32, 0, bit_ == 7 ? 0 : syscall(SYS_pipe2, page, F)); // but for notification pipes
    BITS("dup3", 0, 32, 0, syscall(SYS_dup3, FILE_FD, FIRST_FREE, F));
    VALUES("dup3 same", syscall(SYS_dup3, FILE_FD, FILE_FD, F), 0, O_CLOEXEC, 1);
    VALUES("dup3 far", syscall(SYS_dup3, FILE_FD, F, 0), -1, 1 << 30, 0x7fffffff);
    BITS("eventfd2", 0, 32, 0, syscall(SYS_eventfd2, 0, F));
    BITS("epoll_create1", 0, 32, 0, syscall(SYS_epoll_create1, F));
    VALUES("epoll_create", syscall(SYS_epoll_create, F), 0, -1, 1);
    BITS("signalfd4", 0, 32, 0, syscall(SYS_signalfd4, -1, &set, 8L, F));
    VALUES("signalfd size", syscall(SYS_signalfd4, -1, &set, F, 0), 0, 4, 8, 16, -1);
    BITS("timerfd_create", 0, 32, 0, syscall(SYS_timerfd_create, CLOCK_MONOTONIC, F));
    VALUES("timerfd clock", syscall(SYS_timerfd_create, F, 0), 0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, -1, 99);
    BITS("timerfd_settime", 0, 32, 0, syscall(SYS_timerfd_settime, TIMER, F, &never, NULL));
    BITS("memfd_create", 0, 2, 0, syscall(SYS_memfd_create, "m", F));
    BITS("memfd_create, higher", 5, 26, 0, syscall(SYS_memfd_create, "m", F));
    BITS("close_range", 0, 1, 0, syscall(SYS_close_range, FIRST_FREE, FIRST_FREE + 9, F));
    BITS("close_range, higher", 3, 32, 0, syscall(SYS_close_range, FIRST_FREE, FIRST_FREE + 9, F));
    VALUES("close_range order", syscall(SYS_close_range, FIRST_FREE + 1, F, 0), FIRST_FREE, FIRST_FREE + 1);
    VALUES("fcntl command", syscall(SYS_fcntl, FILE_FD, F, 0), 20, 99, 1024 + 99, -1);
    VALUES("F_SETFL", syscall(SYS_fcntl, FILE_FD, F_SETFL, F), 0, O_APPEND, O_NONBLOCK, O_RDWR, -1 & ~(O_DIRECT | O_ASYNC));
    VALUES("F_SETFL back", syscall(SYS_fcntl, FILE_FD, F_SETFL, F), 0);
    VALUES("F_DUPFD", syscall(SYS_fcntl, FILE_FD, F_DUPFD, F), FIRST_FREE, -1, 1 << 30);
    VALUES("F_SETPIPE_SZ", syscall(SYS_fcntl, PIPE_IN, F_SETPIPE_SZ, F), 0, 1, 4096, -1, 1L << 31, 1 << 16);
    VALUES("F_ADD_SEALS of a file", syscall(SYS_fcntl, FILE_FD, F_ADD_SEALS, F), 0, 1, 1 << 20);
    VALUES("flock", syscall(SYS_flock, FILE_FD, F), 0, 1, 2, 3, 4, 5, 8, 9, 16, 1 << 20, -1);
}

static void memory(void) {
    BITS("mmap protection", 0, 64, 0, (long)mmap(NULL, PAGE, (int)F, ANON, -1, 0));
    BITS("mmap", 5, 18, MAP_PRIVATE | MAP_ANONYMOUS, (bit_ == 13 || bit_ == 14) ? 0 : (long)mmap((void *)0x100000000000, PAGE, RW, (int)F, -1, 0));
    BITS("mmap, higher", 21, 26, MAP_PRIVATE | MAP_ANONYMOUS, (long)mmap(NULL, PAGE, RW, (int)F, -1, 0));
    VALUES("mmap kind", (long)mmap(NULL, PAGE, RW, (int)F, FILE_FD, 0), 0, 1, 2, 3, 4, 5, 6, 7, 9, 15);
    BITS("mmap validated", 6, 32, MAP_SHARED_VALIDATE, bit_ == 18 ? 0 : (long)mmap((void *)0x100000000000, PAGE, RW, (int)F, FILE_FD, 0));
    BITS("mprotect", 0, 32, 0, mprotect(page, PAGE, (int)F) | mprotect(page, PAGE, RW));
    BITS("mremap", 2, 32, 0, syscall(SYS_mremap, page, PAGE, PAGE, F, 0L));
    BITS("msync", 0, 32, 0, msync(page, PAGE, (int)F));
    VALUES("msync two", msync(page, PAGE, (int)F), 3, 5, 6, 7);
    BITS("mlock2", 0, 32, 0, syscall(SYS_mlock2, page, PAGE, F) | munlock(page, PAGE));
    BITS("mlockall", 3, 32, 0, mlockall((int)F));
    VALUES("mlockall", mlockall((int)F), 0, 4);
    VALUES("madvise", madvise(page, PAGE, (int)F), 5, 6, 7, 26, 27, 50, 99, 104, 1000, -1);
    VALUES("pkey_mprotect", syscall(SYS_pkey_mprotect, page, PAGE, RW, F), -1, -2, 17, 1 << 20);
}

static void files(void) {
    BITS("renameat2", 0, 2, 0, syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "b", F));
    BITS("renameat2 to a name", 0, 2, 0, syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "s", F));
    BITS("renameat2, higher", 3, 32, 0, syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "b", F));
    VALUES("renameat2 two", syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "b", F), 3, 6, 7);
    BITS("unlinkat", 0, 32, 0, syscall(SYS_unlinkat, AT_FDCWD, "a", F));
    BITS("unlinkat a directory", 0, 32, 0, syscall(SYS_unlinkat, AT_FDCWD, "e", F));
    BITS("linkat", 0, 32, 0, syscall(SYS_linkat, AT_FDCWD, "a", AT_FDCWD, "b", F));
    BITS("linkat of a descriptor", 10, 13, 0, syscall(SYS_linkat, FILE_FD, "", AT_FDCWD, "b", F));
    BITS("fchownat", 0, 32, 0, syscall(SYS_fchownat, AT_FDCWD, "a", 0, 0, F));
    BITS("utimensat", 0, 32, 0, syscall(SYS_utimensat, AT_FDCWD, "a", NULL, F));
    VALUES("utimensat descriptor", syscall(SYS_utimensat, FILE_FD, NULL, NULL, F), 0, 0x100, 0x1000);
    BITS("faccessat2", 0, 32, 0, syscall(SYS_faccessat2, AT_FDCWD, "a", R_OK, F));
    BITS("faccessat mode", 0, 32, 0, syscall(SYS_faccessat, AT_FDCWD, "/", F));
    BITS("newfstatat", 0, 32, 0, syscall(SYS_newfstatat, AT_FDCWD, "a", page, F));
    BITS("newfstatat of nothing", 8, 14, 0, syscall(SYS_newfstatat, FILE_FD, "", page, F));
    BITS("statx", 0, 32, 0, syscall(SYS_statx, AT_FDCWD, "a", F, 0x7ff, page));
    VALUES("statx sync", syscall(SYS_statx, AT_FDCWD, "a", F, 0x7ff, page), 0x2000, 0x4000, 0x6000);
    BITS("statx mask", 0, 32, 0, syscall(SYS_statx, AT_FDCWD, "a", 0, F, page));
    BITS("fallocate", 0, 4, 0, syscall(SYS_fallocate, FILE_FD, F, 0L, PAGE));
    BITS("fallocate, higher", 7, 32, 0, syscall(SYS_fallocate, FILE_FD, F, 0L, PAGE));
    VALUES("fallocate two", syscall(SYS_fallocate, FILE_FD, F, 0L, PAGE), 3, 6, 9, 10, 17, 18, 24, 33, 34);
    VALUES("fallocate length", syscall(SYS_fallocate, FILE_FD, 0, 0L, F), 0, -1, INT64_MIN);
    VALUES("fallocate offset", syscall(SYS_fallocate, FILE_FD, 0, F, 1L), -1, INT64_MIN, INT64_MAX);
    BITS("preadv2", 0, 5, 0, syscall(SYS_preadv2, FILE_FD, &one, 1L, 0L, 0L, F & ~1UL));
    BITS("preadv2, higher", 9, 32, 0, syscall(SYS_preadv2, FILE_FD, &one, 1L, 0L, 0L, F));
    BITS("preadv2 of a pipe", 1, 5, 0, syscall(SYS_preadv2, PIPE_OUT, &one, 1L, -1L, 0L, F));
    BITS("pwritev2", 1, 5, 0, bit_ == 3 ? 0 : syscall(SYS_pwritev2, FILE_FD, &one, 1L, 0L, 0L, F));
    BITS("pwritev2, higher", 9, 32, 0, syscall(SYS_pwritev2, FILE_FD, &one, 1L, 0L, 0L, F));
    VALUES("preadv2 offset", syscall(SYS_preadv2, FILE_FD, &one, 1L, F, 0L, 0), -1, -2, INT64_MIN);
    BITS("getrandom", 0, 32, 0, syscall(SYS_getrandom, page, 8L, F));
    VALUES("getrandom two", syscall(SYS_getrandom, page, 8L, F), 3, 5, 6, 7);
    BITS("copy_file_range", 0, 32, 0, syscall(SYS_copy_file_range, FILE_FD, NULL, SECOND_FILE, NULL, 4L, F));
    BITS("splice", 0, 32, 0, syscall(SYS_splice, PIPE_OUT, NULL, SECOND_FILE, NULL, 4L, F));
    BITS("vmsplice", 0, 32, 0, syscall(SYS_vmsplice, PIPE_IN, &one, 1L, F));
    BITS("sync_file_range", 0, 32, 0, syscall(SYS_sync_file_range, FILE_FD, 0L, 0L, F));
    VALUES("fadvise64", syscall(SYS_fadvise64, FILE_FD, 0L, 0L, F), 0, 1, 2, 3, 4, 5, 6, -1);
    VALUES("fadvise64 of a pipe", syscall(SYS_fadvise64, PIPE_OUT, 0L, 0L, F), 0, 6);
    VALUES("lseek", syscall(SYS_lseek, FILE_FD, 0L, F), 0, 1, 2, 3, 4, 5, -1);
    VALUES("setxattr", syscall(SYS_setxattr, "a", "user.x", page, 1L, F), 0, 1, 2, 3, 4, -1);
    VALUES("access mode", syscall(SYS_access, "/", F), 0, 7, 8, -1);
    VALUES("mknod kind", syscall(SYS_mknod, "b", F | 0600, 0L), 0, S_IFREG, S_IFIFO, S_IFSOCK, S_IFDIR, S_IFLNK, 0x3000, 0xf000);
    VALUES("truncate", syscall(SYS_truncate, "a", F), -1, INT64_MIN, 0);
    VALUES("ftruncate", syscall(SYS_ftruncate, F, 0L), PIPE_OUT, DIRECTORY, TIMER, 99);
    BITS("mkdir mode", 0, 32, 0, syscall(SYS_mkdir, "b", F));
    BITS("chmod mode", 0, 32, 0, syscall(SYS_chmod, "e", F) | chmod("e", 0700));
}

static void others(void) {
    VALUES("rt_sigprocmask", syscall(SYS_rt_sigprocmask, F, &set, NULL, 8L), 0, 1, 2, 3, -1);
    VALUES("sigset size", syscall(SYS_rt_sigprocmask, 0, &set, NULL, F), 0, 4, 8, 16);
    VALUES("clock_nanosleep", syscall(SYS_clock_nanosleep, F, 0, &never, NULL), 0, 1, 2, 3, 4, 5, 6, 7, 12, 99);
    BITS("clock_nanosleep flags", 0, 32, 0, syscall(SYS_clock_nanosleep, 1, F, &never, NULL));
    VALUES("clock_gettime", syscall(SYS_clock_gettime, F, page), 0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 16, 99);
    VALUES("epoll_ctl", syscall(SYS_epoll_ctl, TIMER, F, FILE_FD, page), 0, 1, 2, 3, 4);
    VALUES("getitimer", syscall(SYS_getitimer, F, page), 0, 3, -1);
    VALUES("getrusage", syscall(SYS_getrusage, F, page), 0, -1, 1, 2, -2, 99);
    VALUES("getrlimit", syscall(SYS_getrlimit, F, page), 0, 15, 16, -1, 99);
    VALUES("getpriority", syscall(SYS_getpriority, F, 0), 0, 1, 2, 3, -1);
    VALUES("sigaction number", syscall(SYS_rt_sigaction, F, NULL, info, 8L), 0, 1, 9, 19, 64, 65, -1);
    VALUES("kill number", syscall(SYS_kill, getpid(), F), 0, 65, 99, -1);
    VALUES("prctl", syscall(SYS_prctl, F, 0L, 0L, 0L, 0L), 0, 3, 7, 200, -1);
    VALUES("personality", syscall(SYS_personality, F), 0xffffffff);
}

int main(void) {
    scratch();
    umask(0);
    int p[2];
    CHECK_EQ(pipe2(p, O_NONBLOCK), 0);
    dup2(p[0], PIPE_OUT), dup2(p[1], PIPE_IN), close(p[0]), close(p[1]);
    int opened[] = {open("f", O_RDWR | O_CREAT, 0600), open(".", O_RDONLY | O_DIRECTORY), timerfd_create(CLOCK_MONOTONIC, 0), open("g", O_RDWR | O_CREAT, 0600)};
    static const int AT[] = {FILE_FD, DIRECTORY, TIMER, SECOND_FILE};
    for (int i = 0; i < 4; i++) dup2(opened[i], AT[i]), close(opened[i]);
    opening();
    descriptors();
    memory();
    files();
    others();
    return done("bad_flags");
}
