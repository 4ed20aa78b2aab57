//! traced: one call of each kind that a trace shows in its own way, between the
//! marks /begin and /end: tests/cli/strace.rs compares their lines with those of
//! the host's strace. Nothing in between blocks or depends on the machine, but
//! after the mark /arguments the results may differ.
//! build: static
#include "check.h"
#include <linux/openat2.h>
#include <poll.h>
#include <arpa/inet.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <netinet/tcp.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>

#define CALL(name, ...) syscall(SYS_##name, ##__VA_ARGS__)
/// An address that no program has.
#define WILD ((void *)0x123456789000)

static volatile sig_atomic_t caught;
static void handler(int signal) { caught = signal; }

static void files(void) {
    CHECK_FAILS(CALL(openat, AT_FDCWD, "absent\n\"\\\377", O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_DIRECTORY), ENOENT);
    CHECK_FAILS(CALL(open, WILD, O_RDWR | O_CREAT | O_EXCL, 0640), EFAULT);
    CHECK_EQ(CALL(openat, AT_FDCWD, "f", O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0644), 3);
    CHECK_EQ(CALL(write, 3, "\177ELF\1\0029 and so on: more than thirty-two bytes", 44), 44);
    CHECK_EQ(CALL(pwrite64, 3, "abc", 3, 5), 3);
    char buffer[64];
    CHECK_EQ(CALL(lseek, 3, 2, SEEK_SET), 2);
    CHECK_EQ(CALL(read, 3, buffer, 5), 5);
    CHECK_EQ(CALL(pread64, 3, buffer, 64, 30), 17);
    CHECK_FAILS(CALL(read, 77, buffer, 5), EBADF);
    CHECK_FAILS(CALL(read, 3, WILD, 5), EFAULT);
    struct iovec two[2] = {{buffer, 4}, {buffer + 4, 60}};
    CHECK_EQ(CALL(lseek, 3, -10L, SEEK_END), 37);
    CHECK_EQ(CALL(readv, 3, two, 2), 10);
    CHECK_EQ(CALL(readv, 3, two, 2), 0);
    two[0].iov_len = 1, two[1].iov_len = 2;
    CHECK_EQ(CALL(writev, 3, two, 2), 3);
    CHECK_EQ(CALL(preadv, 3, two, 2, 0, 0), 3);
    struct stat status;
    CHECK_EQ(CALL(fstat, 3, &status), 0);
    CHECK_EQ(CALL(stat, "f", &status), 0);
    CHECK_EQ(CALL(newfstatat, AT_FDCWD, "/dev/null", &status, AT_SYMLINK_NOFOLLOW), 0);
    CHECK_FAILS(CALL(newfstatat, 77, "x", &status, 0), EBADF);
    CHECK_FAILS(CALL(stat, "absent", &status), ENOENT);
    CHECK_EQ(CALL(access, "f", F_OK), 0);
    CHECK_EQ(CALL(faccessat, AT_FDCWD, "f", R_OK | W_OK), 0);
    CHECK_EQ(CALL(ftruncate, 3, 100), 0);
    CHECK_EQ(CALL(fcntl, 3, F_GETFD), 0);
    CHECK_EQ(CALL(fcntl, 3, F_SETFD, FD_CLOEXEC), 0);
    CHECK_EQ(CALL(fcntl, 3, F_GETFD), 1);
    CHECK(CALL(fcntl, 3, F_GETFL) > 0);
    CHECK_EQ(CALL(fcntl, 3, F_DUPFD, 10), 10);
    CHECK_EQ(CALL(fcntl, 3, F_SETFL, O_APPEND | O_NONBLOCK), 0);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 1, .l_len = 2};
    CHECK_EQ(CALL(fcntl, 3, F_SETLK, &lock), 0);
    CHECK_EQ(CALL(flock, 3, LOCK_EX | LOCK_NB), 0);
    CHECK_EQ(CALL(dup2, 3, 11), 11);
    CHECK_EQ(CALL(dup3, 3, 12, O_CLOEXEC), 12);
    CHECK_EQ(CALL(mkdir, "d", 0755), 0);
    CHECK_EQ(CALL(symlink, "f", "link"), 0);
    CHECK_EQ(CALL(readlink, "link", buffer, 64), 1);
    CHECK_EQ(CALL(rename, "f", "d/g"), 0);
    CHECK_EQ(CALL(renameat2, AT_FDCWD, "d/g", AT_FDCWD, "f", RENAME_NOREPLACE), 0);
    CHECK_EQ(CALL(chmod, "f", 0600), 0);
    CHECK_EQ(CALL(fchown, 3, -1, -1), 0);
    CHECK_EQ(CALL(fallocate, 3, FALLOC_FL_KEEP_SIZE, 0, 10), 0);
    CHECK_EQ(CALL(unlinkat, AT_FDCWD, "d", AT_REMOVEDIR), 0);
    CHECK_EQ(CALL(unlink, "link"), 0);
    CHECK_EQ(CALL(umask, 027), 022);
    CHECK_EQ(CALL(umask, 022), 027);
    struct open_how how = {.flags = O_RDONLY, .resolve = RESOLVE_BENEATH};
    CHECK_EQ(CALL(openat2, AT_FDCWD, "f", &how, sizeof how), 4);
    struct timespec times[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
    CHECK_EQ(CALL(utimensat, AT_FDCWD, "f", times, 0), 0);
    struct statx extended;
    CHECK_EQ(CALL(statx, AT_FDCWD, "f", AT_NO_AUTOMOUNT, STATX_MODE, &extended), 0);
    CHECK_EQ(CALL(close, 4), 0);
    CHECK_FAILS(CALL(ioctl, 3, 0x5401, buffer), ENOTTY);
    for (int fd = 3; fd < 13; fd++) close(fd);
    CHECK_EQ(CALL(memfd_create, "memory", MFD_CLOEXEC), 3);
    CHECK_EQ(CALL(write, 3, "0123456789", 10), 10);
    CHECK_EQ(CALL(memfd_create, "other", 0), 4);
    loff_t from = 2;
    CHECK_EQ(CALL(sendfile, 4, 3, &from, 5), 5);
    CHECK_EQ(CALL(sendfile, 4, 3, NULL, 5), 0);
    CHECK_EQ(CALL(close_range, 3, 4, 0), 0);
}

static void memory(void) {
    char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(page != MAP_FAILED);
    CHECK_EQ(CALL(mprotect, page, 4096, PROT_READ), 0);
    CHECK_EQ(CALL(mprotect, page, 4096, PROT_NONE), 0);
    CHECK_EQ(CALL(madvise, page, 8192, MADV_DONTNEED), 0);
    CHECK_FAILS(CALL(mprotect, page + 1, 4096, PROT_READ), EINVAL);
    page = mremap(page + 4096, 4096, 8192, MREMAP_MAYMOVE);
    CHECK(page != MAP_FAILED);
    CHECK_EQ(CALL(munmap, page, 8192), 0);
    CHECK_FAILS(CALL(mmap, NULL, 0, PROT_EXEC, MAP_SHARED, 77, 0x3000), EBADF);
}

static void waiting(void) {
    int ends[2];
    CHECK_EQ(CALL(pipe2, ends, O_CLOEXEC | O_NONBLOCK), 0);
    struct pollfd list[2] = {{ends[0], POLLIN | POLLPRI, 0}, {ends[1], POLLOUT, 0}};
    CHECK_EQ(CALL(poll, list, 1, 0), 0);
    CHECK_EQ(CALL(poll, list, 2, 0), 1);
    fd_set in, out;
    FD_ZERO(&in);
    FD_SET(ends[0], &in);
    FD_ZERO(&out);
    FD_SET(ends[1], &out);
    struct timeval none = {0, 0};
    CHECK_EQ(CALL(select, 8, &in, &out, NULL, &none), 1);
    CHECK_EQ(CALL(select, 0, NULL, NULL, NULL, &none), 0);
    CHECK_FAILS(CALL(read, ends[0], list, 1), EAGAIN);
    int wait = (int)CALL(epoll_create1, EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = 7};
    CHECK_EQ(CALL(epoll_ctl, wait, EPOLL_CTL_ADD, ends[0], &event), 0);
    CHECK_EQ(CALL(write, ends[1], "x", 1), 1);
    CHECK_EQ(CALL(epoll_wait, wait, &event, 1, 0), 1);
    CHECK_EQ(CALL(epoll_pwait, wait, &event, 1, 0, NULL, 8), 0);
    CHECK_EQ(CALL(epoll_ctl, wait, EPOLL_CTL_DEL, ends[0], &event), 0);
    int counter = (int)CALL(eventfd2, 3, EFD_NONBLOCK | EFD_SEMAPHORE);
    int timer = (int)CALL(timerfd_create, CLOCK_MONOTONIC, TFD_CLOEXEC);
    struct itimerspec later = {{1, 2}, {3000, 4}};
    CHECK_EQ(CALL(timerfd_settime, timer, 0, &later, NULL), 0);
    uint32_t word = 5;
    CHECK_FAILS(CALL(futex, &word, FUTEX_WAIT_PRIVATE, 4, NULL), EAGAIN);
    CHECK_EQ(CALL(futex, &word, FUTEX_WAKE_PRIVATE, 1), 0);
    CHECK_FAILS(CALL(futex, &word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 4, NULL, NULL, -1), EAGAIN);
    CHECK_EQ(CALL(close, counter), 0);
    CHECK_EQ(CALL(close, timer), 0);
}

static void signals(void) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigaddset(&action.sa_mask, SIGUSR2);
    CHECK_EQ(sigaction(SIGPIPE, &action, NULL), 0);
    struct sigaction old;
    CHECK_EQ(sigaction(SIGPIPE, NULL, &old), 0);
    CHECK_FAILS(CALL(rt_sigaction, 99, NULL, NULL, 8), EINVAL);
    // The kernel's set, which has 64 signals; the C library's has two less.
    uint64_t set = 1ULL << (SIGCHLD - 1) | 1ULL << 31 | 1ULL << 33, was;
    CHECK_EQ(CALL(rt_sigprocmask, SIG_BLOCK, &set, NULL, 8), 0);
    CHECK_EQ(CALL(rt_sigprocmask, SIG_UNBLOCK, &set, &was, 8), 0);
    int file = (int)CALL(signalfd4, -1, &set, 8, SFD_CLOEXEC);
    CHECK_EQ(CALL(close, file), 0);
    struct itimerval later = {{0, 0}, {5000, 1}}, stop = {{0, 0}, {0, 0}};
    CHECK_EQ(CALL(setitimer, ITIMER_REAL, &later, NULL), 0);
    CHECK_EQ(CALL(setitimer, ITIMER_REAL, &stop, NULL), 0);
    int ends[2];
    CHECK_EQ(CALL(pipe, ends), 0);
    CHECK_EQ(CALL(close, ends[0]), 0);
    CHECK_FAILS(CALL(write, ends[1], "x", 1), EPIPE);
    CHECK_EQ(caught, SIGPIPE);
    CHECK_EQ(CALL(kill, 1 << 22, 0), -1);
    stack_t stack;
    CHECK_EQ(CALL(sigaltstack, NULL, &stack), 0);
    set = 0;
    struct timespec zero = {0, 0};
    CHECK_FAILS(CALL(rt_sigtimedwait, &set, NULL, &zero, 8), EAGAIN);
}

static void system_calls(void) {
    struct rlimit limit = {0, 0};
    CHECK_EQ(CALL(prlimit64, 0, RLIMIT_CORE, &limit, NULL), 0);
    CHECK_EQ(CALL(getrlimit, RLIMIT_CORE, &limit), 0);
    struct timespec now;
    CHECK_EQ(CALL(nanosleep, &(struct timespec){0, 1}, NULL), 0);
    CHECK_FAILS(CALL(nanosleep, &(struct timespec){0, 1000000000}, &now), EINVAL);
    CHECK_EQ(CALL(clock_getres, CLOCK_MONOTONIC, &now), 0);
    CHECK_FAILS(CALL(clock_gettime, 77, &now), EINVAL);
    CHECK_EQ(CALL(prctl, PR_SET_NAME, "a-name"), 0);
    char name[16];
    CHECK_EQ(CALL(prctl, PR_GET_NAME, name), 0);
    CHECK_FAILS(CALL(wait4, -1, NULL, WNOHANG, NULL), ECHILD);
    CHECK_EQ(CALL(sched_yield), 0);
    CHECK_FAILS(CALL(setpriority, 77, 0, 0), EINVAL);
    CHECK_EQ(CALL(setresuid, -1, -1, -1), 0);
    CHECK_FAILS(CALL(execve, "absent", ((char *[]){"absent", "argument", NULL}), ((char *[]){"A=1", NULL})), ENOENT);
    CHECK_FAILS(CALL(execve, WILD, NULL, NULL), EFAULT);
    char bytes[4];
    CHECK_EQ(CALL(getrandom, bytes, 0, GRND_NONBLOCK), 0);
    CHECK_FAILS(syscall(500, 1, 2, 3, 4, 5, 6), ENOSYS);
}

/// Calls that fail here and there, not always with the same error.
static void refused(void) {
    struct sockaddr_un unix_path = {AF_UNIX, "/run/absent.sock"}, abstract = {AF_UNIX, "\0name"};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(8080), .sin_addr = {htonl(0x7f000001)}};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(80), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t room = sizeof four;
    char buffer[32] = "bytes";
    int one = 1;
    CALL(socket, AF_UNIX, 77 | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    CALL(socket, AF_INET, 77, IPPROTO_TCP);
    CALL(socketpair, AF_UNIX, 77, 0, buffer);
    CALL(connect, 77, &unix_path, sizeof unix_path);
    CALL(bind, 77, &abstract, 7);
    CALL(bind, 77, &abstract, 2);
    CALL(connect, 77, &four, sizeof four);
    CALL(connect, 77, &six, sizeof six);
    CALL(connect, 77, WILD, 16);
    CALL(listen, 77, 5);
    CALL(accept, 77, &four, &room);
    CALL(accept4, 77, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    CALL(getsockname, 77, &four, &room);
    CALL(sendto, 77, buffer, 5, MSG_NOSIGNAL | MSG_DONTWAIT, &four, sizeof four);
    CALL(recvfrom, 77, buffer, 5, MSG_PEEK, NULL, NULL);
    CALL(shutdown, 77, SHUT_WR);
    CALL(setsockopt, 77, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    CALL(setsockopt, 77, SOL_TCP, TCP_NODELAY, &one, sizeof one);
    CALL(getsockopt, 77, SOL_SOCKET, SO_ERROR, &one, &room);
    union {
        char bytes[CMSG_SPACE(2 * sizeof(int))];
        struct cmsghdr header;
    } control = {.header = {CMSG_LEN(2 * sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    memcpy(CMSG_DATA(&control.header), (int[]){0, 2}, 2 * sizeof(int));
    struct iovec part = {buffer, 5};
    struct msghdr message = {&unix_path, sizeof unix_path, &part, 1, control.bytes, sizeof control, 0};
    CALL(sendmsg, 77, &message, MSG_EOR);
    CALL(recvmsg, 77, &message, MSG_CMSG_CLOEXEC);
    CALL(inotify_add_watch, 77, "/tmp", IN_CREATE | IN_DELETE);
    CALL(clone, CLONE_VM | CLONE_THREAD | CLONE_SETTLS | CLONE_CHILD_CLEARTID | SIGCHLD, WILD, WILD, WILD, WILD);
    siginfo_t info;
    CALL(waitid, P_ALL, 0, &info, WNOHANG | WEXITED, NULL);
    CALL(setxattr, "absent", "user.name", "value", 5, XATTR_CREATE);
    CALL(getxattr, "absent", "user.name", buffer, 5);
    CALL(mknodat, AT_FDCWD, "absent/x", S_IFIFO | 0600, 0);
    CALL(linkat, AT_FDCWD, "absent", AT_FDCWD, "other", AT_SYMLINK_FOLLOW);
    CALL(fchownat, AT_FDCWD, "absent", 5, -1, AT_SYMLINK_NOFOLLOW);
    CALL(truncate, "absent", 5L);
    CALL(statfs, "absent", buffer);
    CALL(ppoll, WILD, 1, NULL, NULL, 8);
    CALL(pselect6, -1, NULL, NULL, NULL, NULL, NULL);
    CALL(copy_file_range, 77, NULL, 78, NULL, 5, 0);
    CALL(splice, 77, NULL, 78, NULL, 5, SPLICE_F_MOVE);
    CALL(fadvise64, 77, 0, 5, POSIX_FADV_WILLNEED);
    CALL(sync_file_range, 77, 0L, 5L, SYNC_FILE_RANGE_WRITE);
    CALL(timer_create, CLOCK_MONOTONIC, WILD, &one);
    CALL(timer_settime, 77, TIMER_ABSTIME, &(struct itimerspec){{0, 0}, {1, 0}}, NULL);
    CALL(timer_delete, 77);
    CALL(clock_nanosleep, CLOCK_BOOTTIME, TIMER_ABSTIME, &(struct timespec){0, -1}, NULL);
    CALL(membarrier, 77, 0);
    CALL(msync, 1, 4096L, MS_SYNC);
    CALL(mlock2, 1, 0L, 77);
    CALL(capget, &(uint32_t[2]){0x20080522, 1 << 22}, WILD);
    CALL(sched_setscheduler, 1 << 22, SCHED_FIFO, &one);
    CALL(sched_setaffinity, 1 << 22, 8, &(uint64_t){5});
    CALL(prctl, PR_SET_PDEATHSIG, 99);
    CALL(arch_prctl, 0x77, 1L);
    CALL(mount, "none", "/absent", "tmpfs", 0, NULL);
}

int main(void) {
    umask(022);
    close_range(3, ~0U, 0);
    scratch();
    CALL(access, "/begin", F_OK);
    files();
    memory();
    waiting();
    signals();
    system_calls();
    CALL(access, "/arguments", F_OK);
    refused();
    CALL(access, "/end", F_OK);
    return done("traced");
}
