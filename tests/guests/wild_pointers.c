//! wild_pointers: every system call that takes a pointer gets wild ones, and huge lengths. What it
//! answers is printed, so that it is compared with the host's kernel, and the guest lives on.
//!
//! A unit test of the system-call table checks that each row with a handler is named here: as
//! `C(name, …)`, or below where it takes no pointer.
//! build: static
//
// no pointer: close lseek brk sched_yield dup dup2 dup3 pause alarm getpid exit kill flock fsync fdatasync
// no pointer: ftruncate fchdir fchmod fchown umask getuid getgid setuid setgid geteuid getegid setpgid getppid
// no pointer: getpgrp setreuid setregid setresuid setresgid getpgid setfsuid setfsgid getsid personality
// no pointer: getpriority setpriority sched_getscheduler sched_get_priority_max sched_get_priority_min
// no pointer: mlockall munlockall sync gettid readahead tkill epoll_create fadvise64 timer_getoverrun
// no pointer: timer_delete exit_group tgkill sync_file_range timerfd_create eventfd fallocate eventfd2
// no pointer: epoll_create1 syncfs membarrier close_range tee socket shutdown listen inotify_init
// no pointer: inotify_init1 inotify_rm_watch fork vfork setsid kcmp shmget semget msgget
// no pointer: pidfd_open pidfd_getfd
// no pointer: rt_sigreturn, which reads the stack: must_fail/segv_no_stack.c
// not read by the call: set_tid_address set_robust_list, see main()
// no pointer that is read: shmat shmdt
// not compared with the host's, see main(): futex clone clone3 wait4 waitid
// not compared with the host's, which may be too old, see main(): fchmodat2 mseal
#include "check.h"
#include <netinet/in.h>
#include <poll.h>
#include <net/if.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <time.h>

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define PAGE 4096L

enum { FILE_FD = 10, PIPE_OUT, PIPE_IN, DIRECTORY, EPOLL, TIMER, EVENT, SECOND_FILE, STREAM, PEER, DATAGRAM, LISTENER, CLIENT, UNBOUND, INOTIFY, INET, PROCESS, FIRST_FREE };
/// Replaced by the process id.
#define SELF (-123456789L)

struct argument {
    char kind; // v: a value, p: a pointer, q: one that must not be NULL, w: nor readable, l: a length
    long value;
};
#define V(x) {'v', (long)(x)}
#define P(x) {'p', (long)(x)}
#define Q(x) {'q', (long)(x)}
#define W(x) {'w', (long)(x)}
#define L(x) {'l', (long)(x)}
#define C(name, ...) {#name, SYS_##name, {__VA_ARGS__}}

static char page[1 << 16] __attribute__((aligned(4096))), more[1 << 16], third[1 << 16];
static char program[4096];
static struct iovec one = {page, 4}, other = {more, 4};
static struct timespec moment = {0, 1}, moments[2];
static struct timeval instant, instants[2];
static struct itimerval never;
static struct itimerspec timer_value;
static struct epoll_event event = {EPOLLIN, {0}};
static struct pollfd polled = {PIPE_OUT, POLLIN, 0};
static struct rlimit core;
static struct flock file_lock = {F_RDLCK, SEEK_SET, 0, 0, 0};
static unsigned long set = 1UL << (SIGUSR1 - 1), fds = 1UL << PIPE_OUT;
static unsigned int header[2] = {0x20080522, 0}, capabilities[6];
static int group, parameter;
static stack_t no_stack = {.ss_flags = SS_DISABLE};
static long offset, how[3], sets[2] = {0, 8}, info[16], attributes[7];
static char *arguments[] = {program, NULL};
static struct sockaddr_un listening = {AF_UNIX, "listening"}, receiving = {AF_UNIX, "receiving"}, fresh = {AF_UNIX, "fresh"};
static struct sockaddr_in itself;
static struct ifconf all_names;
static struct ifreq loopback = {.ifr_name = "lo"};
static int lifetime = 9;
static socklen_t room;
static struct msghdr message;
static struct mmsghdr messages[1];

static const struct {
    const char *name;
    long number;
    struct argument with[6];
} CALLS[] = {
    // Bytes.
    C(read, V(FILE_FD), P(page), L(4)), C(write, V(FILE_FD), P(page), V(4)), C(pread64, V(FILE_FD), P(page), L(4), V(0)),
    C(read, V(PIPE_OUT), P(page), V(4)), C(write, V(PIPE_IN), P(page), V(4)), C(read, V(EVENT), P(page), V(8)),
    C(write, V(EVENT), P(&set), V(8)), C(pwrite64, V(FILE_FD), P(page), V(4), V(0)), C(readv, V(FILE_FD), P(&one), L(1)),
    C(writev, V(FILE_FD), P(&one), L(1)), C(preadv, V(FILE_FD), P(&one), L(1), V(0), V(0)),
    C(pwritev, V(FILE_FD), P(&one), L(1), V(0), V(0)), C(preadv2, V(FILE_FD), P(&one), V(1), V(0), V(0), V(0)),
    C(pwritev2, V(FILE_FD), P(&one), V(1), V(0), V(0), V(0)), C(sendfile, V(PIPE_IN), V(FILE_FD), P(&offset), V(4)),
    C(copy_file_range, V(FILE_FD), P(&offset), V(SECOND_FILE), P(&offset), V(4), V(0)),
    C(splice, V(FILE_FD), P(&offset), V(PIPE_IN), V(0), V(4), V(0)), C(splice, V(PIPE_OUT), V(0), V(FILE_FD), P(&offset), V(4), V(0)),
    C(vmsplice, V(PIPE_IN), P(&one), V(1), V(0)), C(getrandom, P(page), V(16), V(0)),
    C(shmctl, V(-1), V(2), P(page)), C(semctl, V(0), V(0), V(3), P(page)), C(semop, V(-1), P(page), V(1)),
    C(semtimedop, V(-1), P(page), V(1), P(page)), C(shmctl, V(0), V(3), P(page)), C(msgctl, V(0), V(3), P(page)),
    C(msgctl, V(-1), V(2), P(page)), C(msgsnd, V(-1), P(page), V(9), V(0)), C(msgrcv, V(-1), P(page), L(9), V(0), V(04000)),
    C(getdents, V(DIRECTORY), P(page), V(1024)), C(getdents64, V(DIRECTORY), P(page), V(1024)),
    // Paths.
    C(open, P("a"), V(O_RDONLY)), C(openat, V(DIRECTORY), P("a"), V(O_RDONLY)), C(creat, P("b"), V(0600)),
    C(openat2, V(DIRECTORY), P("a"), P(how), L(24)), C(stat, P("a"), P(page)), C(lstat, P("a"), P(page)),
    C(fstat, V(FILE_FD), P(page)), C(newfstatat, V(DIRECTORY), P("a"), P(page), V(0)),
    C(statx, V(DIRECTORY), P("a"), V(0), V(0x7ff), P(page)), C(access, P("a"), V(0)), C(faccessat, V(DIRECTORY), P("a"), V(0)),
    C(faccessat2, V(DIRECTORY), P("a"), V(0), V(0)), C(truncate, P("a"), V(3)), C(getcwd, P(page), L(4096)), C(chdir, P(".")),
    C(chroot, P("/")), C(rename, P("a"), P("b")), C(renameat, V(DIRECTORY), P("a"), V(DIRECTORY), P("b")),
    C(renameat2, V(DIRECTORY), P("a"), V(DIRECTORY), P("b"), V(0)), C(mkdir, P("b"), V(0700)), C(mkdirat, V(DIRECTORY), P("b"), V(0700)),
    C(rmdir, P("e")), C(unlink, P("a")), C(unlinkat, V(DIRECTORY), P("a"), V(0)), C(link, P("a"), P("b")),
    C(linkat, V(DIRECTORY), P("a"), V(DIRECTORY), P("b"), V(0)), C(symlink, P("a"), P("b")), C(symlinkat, P("a"), V(DIRECTORY), P("b")),
    C(readlink, P("s"), P(page), L(64)), C(readlinkat, V(DIRECTORY), P("s"), P(page), V(64)), C(chmod, P("a"), V(0600)),
    C(fchmodat, V(DIRECTORY), P("a"), V(0600)), C(chown, P("a"), V(0), V(0)), C(lchown, P("a"), V(0), V(0)),
    C(fchownat, V(DIRECTORY), P("a"), V(0), V(0), V(0)), C(mknod, P("b"), V(S_IFREG | 0600), V(0)),
    C(mknodat, V(DIRECTORY), P("b"), V(S_IFREG | 0600), V(0)), C(utime, P("a"), P(moments)), C(utimes, P("a"), P(instants)),
    C(futimesat, V(DIRECTORY), P("a"), P(instants)), C(utimensat, V(DIRECTORY), P("a"), P(moments), V(0)),
    C(statfs, P("/"), P(page)), C(fstatfs, V(FILE_FD), P(page)), C(execve, P(program), W(arguments), W(arguments)),
    C(setxattr, P("a"), P("user.x"), P(page), L(1), V(0)), C(lsetxattr, P("a"), P("user.x"), P(page), V(1), V(0)),
    C(fsetxattr, V(FILE_FD), P("user.x"), P(page), V(1), V(0)), C(getxattr, P("a"), P("user.y"), P(page), L(8)),
    C(lgetxattr, P("a"), P("user.y"), P(page), V(8)), C(fgetxattr, V(FILE_FD), P("user.y"), P(page), V(8)),
    C(listxattr, P("a"), P(page), L(64)), C(llistxattr, P("a"), P(page), V(64)), C(flistxattr, V(FILE_FD), P(page), V(64)),
    C(removexattr, P("a"), P("user.y")), C(lremovexattr, P("a"), P("user.y")), C(fremovexattr, V(FILE_FD), P("user.y")),
    // Descriptors.
    C(pipe, P(page)), C(pipe2, P(page), V(0)), C(memfd_create, P("m"), V(0)), C(ioctl, V(PIPE_OUT), V(0x541b), P(page)),
    C(fcntl, V(FILE_FD), V(F_GETLK), P(&file_lock)), C(fcntl, V(FILE_FD), V(F_SETLK), P(&file_lock)),
    C(poll, P(&polled), L(1), V(0)), C(ppoll, P(&polled), V(1), Q(&moment), P(&set), V(8)),
    C(select, V(PIPE_OUT + 1), P(&fds), P(&fds), P(&fds), Q(&instant)),
    C(pselect6, V(PIPE_OUT + 1), P(&fds), P(&fds), P(&fds), Q(&moment), P(sets)), C(epoll_ctl, V(EPOLL), V(EPOLL_CTL_MOD), V(EVENT), P(&event)),
    C(epoll_wait, V(EPOLL), P(page), V(4), V(0)), C(epoll_pwait, V(EPOLL), P(page), V(4), V(0), P(&set), V(8)),
    C(epoll_pwait2, V(EPOLL), P(page), V(4), Q(&moment), P(&set), V(8)), C(signalfd, V(-1), P(&set), V(8)),
    C(signalfd4, V(-1), P(&set), V(8), V(0)), C(timerfd_settime, V(TIMER), V(0), P(&timer_value), P(page)), C(timerfd_gettime, V(TIMER), P(page)),
    C(inotify_add_watch, V(INOTIFY), P("f"), V(IN_CREATE)),
    // Sockets.
    C(read, V(STREAM), P(page), V(4)), C(write, V(STREAM), P(page), V(4)), C(socketpair, V(AF_UNIX), V(SOCK_STREAM), V(0), P(page)),
    C(bind, V(UNBOUND), P(&fresh), L(sizeof fresh)), C(connect, V(UNBOUND), P(&listening), L(sizeof listening)),
    C(accept, V(LISTENER), P(page), P(&room)), C(accept4, V(LISTENER), P(page), P(&room), V(SOCK_CLOEXEC)),
    C(getsockname, V(DATAGRAM), P(page), P(&room)), C(getpeername, V(CLIENT), P(page), P(&room)),
    C(sendto, V(STREAM), P(page), V(4), V(0), V(0), V(0)), C(sendto, V(DATAGRAM), P(page), L(4), V(0), P(&receiving), L(sizeof receiving)),
    C(recvfrom, V(STREAM), P(page), L(4), V(0), V(0), V(0)), C(recvfrom, V(DATAGRAM), P(page), V(4), V(0), P(more), P(&room)),
    C(sendmsg, V(STREAM), P(&message), V(0)), C(recvmsg, V(STREAM), P(&message), V(0)), C(sendmmsg, V(STREAM), P(messages), V(1), V(0)),
    C(recvmmsg, V(STREAM), P(messages), V(1), V(0), P(&moment)), C(setsockopt, V(STREAM), V(SOL_SOCKET), V(SO_KEEPALIVE), P(&group), L(4)),
    C(getsockopt, V(STREAM), V(SOL_SOCKET), V(SO_TYPE), P(page), P(&room)), C(getsockopt, V(STREAM), V(SOL_SOCKET), V(SO_PEERCRED), P(page), P(&room)),
    // Sockets of the host. Zeros would end the connection.
    C(bind, V(INET), P(&itself), L(sizeof itself)), C(connect, V(INET), W(&itself), L(sizeof itself)), C(getsockname, V(INET), P(more), P(&room)),
    C(getpeername, V(INET), P(more), P(&room)), C(sendto, V(INET), P(page), L(4), V(0), P(&itself), L(sizeof itself)), C(write, V(INET), P(page), V(4)),
    C(recvfrom, V(INET), P(page), L(4), V(0), P(more), P(&room)), C(read, V(INET), P(page), V(4)), C(sendmsg, V(INET), P(&message), V(0)),
    C(recvmsg, V(INET), P(&message), V(0)), C(sendmmsg, V(INET), P(messages), V(1), V(0)), C(recvmmsg, V(INET), P(messages), V(1), V(0), V(0)),
    C(setsockopt, V(INET), V(IPPROTO_IP), V(IP_TTL), P(&lifetime), L(4)), C(getsockopt, V(INET), V(IPPROTO_IP), V(IP_TTL), P(page), P(&room)),
    C(getsockopt, V(INET), V(SOL_SOCKET), V(SO_RCVBUF), P(page), P(&room)), C(ioctl, V(INET), V(FIONREAD), P(page)),
    C(ioctl, V(INET), V(SIOCGIFCONF), P(&all_names)), C(ioctl, V(INET), V(SIOCGIFFLAGS), P(&loopback)), C(ioctl, V(INET), V(SIOCGIFADDR), P(&loopback)),
    // Memory: addresses that are not read, so most answers are not EFAULT.
    C(mmap, V(0), L(4096), V(RW), V(ANON), V(-1), V(0)), C(munmap, W(third), L(0)), C(mprotect, W(page), L(4096), V(RW)),
    C(mremap, W(third), L(0), L(4096), V(MREMAP_MAYMOVE), V(0)), C(msync, W(page), L(4096), V(MS_SYNC)), C(mincore, W(page), L(4096), P(more)),
    C(madvise, W(page), L(4096), V(MADV_NORMAL)), C(mlock, W(page), L(4096)), C(mlock2, W(page), V(4096), V(0)), C(munlock, W(page), L(4096)),
    C(remap_file_pages, W(page), L(4096), V(0), V(0), V(0)), C(pkey_mprotect, W(page), V(4096), V(RW), V(-1)),
    // Signals.
    C(rt_sigaction, V(SIGUSR2), P(info), P(page), V(8)), C(rt_sigprocmask, V(SIG_BLOCK), P(&set), P(page), V(8)), C(rt_sigpending, P(page), V(8)),
    C(rt_sigtimedwait, Q(&set), P(page), Q(&moment), V(8)), C(rt_sigqueueinfo, V(SELF), V(0), P(info)),
    C(pidfd_send_signal, V(PROCESS), V(0), P(info), V(0)),
    C(rt_tgsigqueueinfo, V(SELF), V(SELF), V(0), P(info)), C(rt_sigsuspend, P(info), V(8)), C(sigaltstack, W(&no_stack), P(page)),
    // Time.
    C(nanosleep, P(&moment), P(page)), C(clock_nanosleep, V(1), V(0), P(&moment), P(page)), C(getitimer, V(0), P(page)),
    C(setitimer, V(0), P(&never), P(page)), C(gettimeofday, P(page), P(more)), C(time, P(page)), C(clock_gettime, V(1), P(page)),
    C(clock_getres, V(1), P(page)), C(timer_create, V(1), P(info), P(page)), C(timer_create, V(1), V(0), P(page)),
    C(timer_settime, V(0), V(0), P(&timer_value), P(page)), C(timer_gettime, V(0), P(page)), C(times, P(page)),
    // The process and the system.
    C(uname, P(page)), C(sysinfo, P(page)), C(getrlimit, V(RLIMIT_CORE), P(page)), C(setrlimit, V(RLIMIT_CORE), P(&core)),
    C(prlimit64, V(0), V(RLIMIT_CORE), P(&core), P(page)), C(getrusage, V(0), P(page)), C(getgroups, V(8), P(page)), C(setgroups, V(1), P(&group)),
    C(getresuid, P(page), P(more), P(third)), C(getresgid, P(page), P(more), P(third)), C(capget, P(header), P(page)),
    C(capset, P(header), W(capabilities)), C(sched_setparam, V(0), P(&parameter)), C(sched_getparam, V(0), P(page)),
    C(sched_setscheduler, V(0), V(0), P(&parameter)), C(sched_rr_get_interval, V(0), P(page)), C(sched_setaffinity, V(0), V(8), P(&set)),
    C(sched_getaffinity, V(0), V(128), P(page)), C(sched_setattr, V(0), P(attributes), V(0)), C(sched_getattr, V(0), P(page), V(48), V(0)),
    C(prctl, V(16), P(page), V(0), V(0), V(0)), C(prctl, V(15), P("wild"), V(0), V(0), V(0)), C(arch_prctl, V(0x1003), P(page)),
    C(process_vm_readv, V(SELF), P(&one), V(1), P(&other), V(1), V(0)), C(process_vm_writev, V(SELF), P(&one), V(1), P(&other), V(1), V(0)),
    C(getcpu, P(page), P(more), V(0)), C(get_robust_list, V(0), P(page), P(more)),
};

static void at_fd(int fd, int wanted) {
    CHECK_EQ(dup2(fd, wanted), wanted);
    close(fd);
}

/// Sockets that have something to read, one that has no name yet, a connection to accept.
static void prepare_sockets(void) {
    static const int EMPTIED[] = {STREAM, PEER, DATAGRAM, INET};
    for (int i = 0; i < 4; i++) while (recv(EMPTIED[i], more, sizeof more, 0) >= 0) {}
    CHECK_EQ(send(PEER, "01234567", 8, 0), 8);
    CHECK_EQ(sendto(DATAGRAM, "01234567", 8, 0, (struct sockaddr *)&receiving, sizeof receiving), 8);
    struct pollfd arrived = {INET, POLLIN, 0};
    CHECK_EQ(connect(INET, (struct sockaddr *)&itself, sizeof itself), 0);
    CHECK_EQ(send(INET, "01234567", 8, 0), 8);
    CHECK_EQ(poll(&arrived, 1, 20000), 1);
    for (int fd; (fd = accept(LISTENER, NULL, NULL)) >= 0;) close(fd);
    at_fd(socket(AF_UNIX, SOCK_STREAM, 0), CLIENT), at_fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), UNBOUND);
    CHECK_EQ(connect(CLIENT, (struct sockaddr *)&listening, sizeof listening), 0);
    unlink("fresh");
    room = sizeof(struct sockaddr_un);
    message = (struct msghdr){.msg_iov = &one, .msg_iovlen = 1};
    messages[0].msg_hdr = message;
}

/// The same state before each attempt.
static void prepare(const char *name) {
    unlink("a"), put_file("a", "0123456789"); // a new file: one that is cut would be written to the disk
    setxattr("a", "user.y", "y", 1, 0);
    unlink("b"), rmdir("b"), mkdir("e", 0700), symlink("a", "s");
    while (read(PIPE_OUT, more, sizeof more) > 0) {}
    CHECK_EQ(write(PIPE_IN, "01234567", 8), 8);
    CHECK_EQ(pwrite(FILE_FD, "0123456789", 10, 0), 10);
    lseek(FILE_FD, 0, SEEK_SET), lseek(DIRECTORY, 0, SEEK_SET);
    CHECK_EQ(write(EVENT, &(uint64_t){1}, 8), 8);
    for (int fd = 3; fd < FILE_FD; fd++) close(fd);
    for (int fd = FIRST_FREE; fd < FIRST_FREE + 4; fd++) close(fd);
    // What calls wrote where it was good.
    set = 1UL << (SIGUSR1 - 1), fds = 1UL << PIPE_OUT, offset = 0, one.iov_base = page, one.iov_len = 4;
    moment = (struct timespec){0, 1}, instant = (struct timeval){0, 0};
    event.events = EPOLLIN;
    prepare_sockets();
    CHECK_EQ(epoll_ctl(EPOLL, EPOLL_CTL_MOD, EVENT, &event), 0);
    // Waits end at once.
    if (!strncmp(name, "rt_sig", 6)) raise(SIGUSR1);
}

static void on_signal(int number) { (void)number; }

static int ended;
static int end(void *argument) {
    (void)argument;
    return __atomic_add_fetch(&ended, 1, __ATOMIC_SEQ_CST), 0;
}

/// A thread is made whatever its id cannot be written to.
static void make_thread(int flag, long address) {
    static char stacks[64][8192] __attribute__((aligned(16)));
    static int made;
    int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | flag;
    void *at = (void *)address;
    CHECK(clone(end, stacks[made + 1], flags, NULL, at, NULL, at) > 0);
    made++;
    while (__atomic_load_n(&ended, __ATOMIC_SEQ_CST) != made) sched_yield();
}

int main(int argc, char **argv) {
    if (argc != 1 || !realpath(argv[0], program)) WRONG("executed again with %d arguments", argc);
    scratch();
    int p[2];
    CHECK_EQ(pipe2(p, O_NONBLOCK), 0);
    dup2(p[0], PIPE_OUT), dup2(p[1], PIPE_IN), close(p[0]), close(p[1]);
    put_file("f", "0123456789"), put_file("g", "0123456789"), put_file("a", "");
    int opened[] = {open("f", O_RDWR), open(".", O_RDONLY | O_DIRECTORY), epoll_create1(0), timerfd_create(CLOCK_MONOTONIC, 0),
                    eventfd(1, EFD_NONBLOCK), open("g", O_RDWR)};
    static const int AT[] = {FILE_FD, DIRECTORY, EPOLL, TIMER, EVENT, SECOND_FILE};
    for (int i = 0; i < 6; i++) at_fd(opened[i], AT[i]);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p), 0);
    at_fd(p[0], STREAM), at_fd(p[1], PEER);
    at_fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0), DATAGRAM), at_fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), LISTENER);
    CHECK_EQ(bind(DATAGRAM, (struct sockaddr *)&receiving, sizeof receiving), 0);
    CHECK_EQ(bind(LISTENER, (struct sockaddr *)&listening, sizeof listening), 0);
    CHECK_EQ(listen(LISTENER, 4), 0);
    at_fd(inotify_init1(IN_NONBLOCK), INOTIFY);
    at_fd((int)syscall(SYS_pidfd_open, getpid(), 0), PROCESS);
    // One that talks to itself.
    at_fd(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), INET);
    itself = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK_EQ(bind(INET, (struct sockaddr *)&itself, sizeof itself), 0);
    room = sizeof itself;
    CHECK_EQ(getsockname(INET, (struct sockaddr *)&itself, &room), 0);
    CHECK_EQ(connect(INET, (struct sockaddr *)&itself, sizeof itself), 0);
    CHECK_EQ(epoll_ctl(EPOLL, EPOLL_CTL_ADD, EVENT, &event), 0);
    fsetxattr(FILE_FD, "user.y", "y", 1, 0);
    signal(SIGUSR1, on_signal);
    sigset_t blocked;
    sigemptyset(&blocked), sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    timer_t timer;
    CHECK_EQ(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &timer), 0);
    CHECK_EQ(syscall(SYS_capget, header, capabilities), 0);
    if (getuid() == 0) CHECK_EQ(syscall(SYS_setgroups, 1, &group), 0);
    attributes[0] = 48;

    char *constant = mmap(NULL, PAGE, PROT_READ, ANON, -1, 0);
    char *hole = mmap(NULL, 3 * PAGE, RW, ANON, -1, 0);
    munmap(hole + PAGE, PAGE);
    const long wild[] = {0, (long)constant, 8, (long)hole + PAGE, 0x680000000000, 0x680000200000, 0x688000001000, 0x688000400000,
                         0x68c000000000, 0x68fffffff000, 0x7ffffffff000, (long)0x800000000000, (long)0xffff800000000000, (long)0xffffffff81000000, -PAGE, -8};
    const long lengths[] = {-1, -PAGE, INT64_MIN, INT64_MAX, 0x7ffffffffffff000};

    for (size_t i = 0; i < sizeof CALLS / sizeof *CALLS; i++) {
        for (int at = 0; at < 6; at++) {
            char kind = CALLS[i].with[at].kind;
            if (!kind || kind == 'v') continue;
            const long *tried = kind == 'l' ? lengths : wild;
            size_t count = kind == 'l' ? sizeof lengths / sizeof *lengths : sizeof wild / sizeof *wild;
            printf("%s.%d:", CALLS[i].name, at);
            for (size_t j = kind == 'q' ? 1 : kind == 'w' ? 2 : 0; j < count; j++) {
                prepare(CALLS[i].name);
                long with[6];
                for (int k = 0; k < 6; k++) {
                    with[k] = k == at ? tried[j] : CALLS[i].with[k].value;
                    if (with[k] == SELF) with[k] = getpid();
                }
                errno = 0;
                long got = syscall(CALLS[i].number, with[0], with[1], with[2], with[3], with[4], with[5]);
                printf(" %d", got == -1 ? errno : 0);
            }
            puts("");
            fflush(stdout);
        }
    }
    // A range that is half good, or whose parts are.
    prepare("");
    struct iovec vectors[3] = {{page, 2}, {hole + PAGE, 2}, {page, 2}};
    printf("iov: %zd", writev(FILE_FD, vectors, 3));
    printf(" %zd", preadv(FILE_FD, vectors, 3, 0));
    for (size_t j = 0; j < sizeof wild / sizeof *wild; j++) {
        vectors[0].iov_base = (void *)wild[j];
        errno = 0;
        long got = readv(PIPE_OUT, vectors, 3);
        printf(" %ld/%d", got, errno);
    }
    for (size_t j = 0; j < sizeof lengths / sizeof *lengths; j++) {
        vectors[0] = (struct iovec){page, (size_t)lengths[j]};
        errno = 0;
        long got = readv(PIPE_OUT, vectors, 3);
        printf(" %ld/%d", got, errno);
    }
    puts("");
    // What a message points to.
    for (int part = 0; part < 4; part++) {
        printf("message.%d:", part);
        for (size_t j = 0; j < sizeof wild / sizeof *wild; j++) {
            for (int receives = 0; receives < 2; receives++) {
                prepare("");
                void *at = (void *)wild[j];
                message.msg_name = part == 0 ? at : NULL, message.msg_namelen = part == 0 ? sizeof receiving : 0;
                if (part == 1) message.msg_iov = at;
                if (part == 2) one.iov_base = at;
                message.msg_control = part == 3 ? at : NULL, message.msg_controllen = part == 3 ? 32 : 0;
                errno = 0;
                long got = receives ? recvmsg(DATAGRAM, &message, 0) : sendmsg(STREAM, &message, 0);
                printf(" %ld/%d", got, errno);
            }
        }
        puts("");
    }
    // Kept for later, when the thread ends: whoever reads them then must survive it.
    for (size_t j = 0; j < sizeof wild / sizeof *wild; j++) {
        CHECK_EQ(syscall(SYS_set_robust_list, wild[j], 24L), 0);
        CHECK_EQ(syscall(SYS_set_tid_address, wild[j]), getpid());
        // FUTEX_WAIT: no thread is to wake this one, so a wild address must fail.
        if (j != 1) CHECK(syscall(SYS_futex, wild[j], 0L, 0L, &moment, 0L, 0L) == -1 && errno == EFAULT);
        CHECK_EQ(syscall(SYS_futex, wild[j], 1L, 1L, 0L, 0L, 0L) > 0, 0);
        CHECK(syscall(SYS_futex, &parameter, 0L, 0L, j > 1 ? wild[j] : -8, 0L, 0L) == -1 && errno == EFAULT);
    }
    // A child that has ended is gone, wherever it was to be told.
    for (size_t j = 0; j < sizeof wild / sizeof *wild; j++) {
        for (int call = 0; call < 4; call++) {
            pid_t pid = fork();
            if (pid == 0) _exit(0);
            long at = wild[j], none = 0;
            errno = 0;
            long got = call < 2 ? syscall(SYS_wait4, pid, call ? none : at, 0, call ? at : none)
                                : syscall(SYS_waitid, 1, pid, call == 2 ? at : none, 4, call == 2 ? none : at);
            if (at != 0) CHECK(got == -1 && errno == EFAULT);
            else CHECK_EQ(got, call < 2 ? pid : 0);
            CHECK_EQ(syscall(SYS_wait4, pid, 0L, 0L, 0L), -1);
            CHECK_EQ(errno, ECHILD);
        }
    }
    for (size_t j = 2; j < sizeof wild / sizeof *wild; j++) {
        CHECK(syscall(452, DIRECTORY, wild[j], 0600, 0) == -1 && (errno == EFAULT || errno == ENOSYS));
        // One that can be read asks for a process.
        CHECK(syscall(SYS_clone3, wild[j], 64L) == -1 && errno == EFAULT);
        CHECK(syscall(SYS_clone3, wild[j], 88L) == -1 && errno == EFAULT);
        make_thread(CLONE_PARENT_SETTID, wild[j]), make_thread(CLONE_CHILD_SETTID, wild[j]), make_thread(CLONE_CHILD_CLEARTID, wild[j]);
        CHECK(syscall(462, wild[j], PAGE, 0L) == -1 && (errno == EINVAL || errno == ENOMEM || errno == ENOSYS));
    }
    for (size_t j = 0; j < sizeof lengths / sizeof *lengths; j++) CHECK_FAILS(syscall(SYS_clone3, page, lengths[j]), E2BIG);
    return done("wild_pointers");
}
