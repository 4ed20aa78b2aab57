//! fuzz_syscalls: random system calls with structured arguments. The libOS answers each, and the
//! program ends as it wants to. Arguments: seed (0 takes one from the clock), seconds, threads that
//! make calls at once on the same files and memory, and anything to have each call told before it is
//! made. Several threads are watched by the first, which says what a thread that hangs last called.
//!
//! What calls may write to or take away is the arena, or nothing that is mapped. A signal ends what
//! would wait for ever. New threads and processes end at once. Left out are the calls that end or replace the program (exit, exit_group,
//! execve with a path that is there, rt_sigreturn) and settings that would make a signal deadly.
//! build: static
//! options: --memory 1G
//! args: 1|2|2
//! cpus: 1, 2
//! native: no
#include "check.h"
#include <linux/sched.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define PAGE 4096UL
#define ARENA ((char *)0x200000000000)
#define ARENA_BYTES (16UL << 20)
enum { FIRST_FD = 3, FDS = 40, OPENED = 28, TEMPLATE_FD = 900, THREADS_MAX = 16, CALLS_A_ROUND = 400, HANGS_SECONDS = 60 };

/// Kinds of arguments, a letter for each:
/// f fd · d fd or AT_FDCWD · s path · p pointer to bytes · v iovec · t timespec · m signal set · l length ·
/// a address in the arena · A its length · i small number · F flags · o offset · n signal · w process ·
/// u user · r anything · z zero · R resource · H signal action · T timer action · e existing fd to replace ·
/// D socket family · K socket type · S socket address · L its length · g msghdr · G array of mmsghdr · O option of a
/// socket · P its length · I ioctl of a terminal · c clone_args, whose stack is a new one · k such a stack · C flags of clone
static const struct {
    const char *name;
    long number;
    const char *kinds;
} CALLS[] = {
#define C(name, kinds) {#name, SYS_##name, kinds}
    C(read, "fpl"), C(write, "fpl"), C(open, "sFi"), C(close, "f"), C(stat, "sp"), C(fstat, "fp"), C(lstat, "sp"), C(poll, "pii"), C(lseek, "foi"),
    C(mmap, "aAiMfo"), C(mprotect, "aAi"), C(munmap, "aA"), C(brk, "i"), C(rt_sigaction, "nHpl"), C(rt_sigprocmask, "impl"), C(ioctl, "fip"),
    C(ioctl, "frp"), C(pread64, "fplo"), C(pwrite64, "fplo"), C(readv, "fvi"), C(writev, "fvi"), C(access, "si"), C(pipe, "p"), C(select, "ippppt"),
    C(sched_yield, ""), C(mremap, "aAAFa"), C(msync, "aAi"), C(mincore, "aAp"), C(madvise, "aAi"), C(madvise, "aAi"), C(dup, "f"), C(dup2, "fe"),
    C(pause, ""), C(nanosleep, "tp"), C(getitimer, "ip"), C(alarm, "i"), C(setitimer, "ipp"), C(getpid, ""), C(sendfile, "ffpl"), C(execve, "xpp"),
    C(kill, "wn"), C(uname, "p"), C(fcntl, "fip"), C(fcntl, "fii"), C(flock, "fi"), C(fsync, "f"), C(fdatasync, "f"), C(truncate, "so"),
    C(ftruncate, "fo"), C(getdents, "fpl"), C(getcwd, "pl"), C(chdir, "s"), C(fchdir, "f"), C(rename, "ss"), C(mkdir, "si"), C(rmdir, "s"),
    C(creat, "si"), C(link, "ss"), C(unlink, "s"), C(symlink, "ss"), C(readlink, "spl"), C(chmod, "si"), C(fchmod, "fi"), C(chown, "suu"),
    C(fchown, "fuu"), C(lchown, "suu"), C(umask, "i"), C(gettimeofday, "pp"), C(getrlimit, "Rp"), C(getrusage, "ip"), C(sysinfo, "p"), C(times, "p"),
    C(getuid, ""), C(getgid, ""), C(setuid, "u"), C(setgid, "u"), C(geteuid, ""), C(getegid, ""), C(setpgid, "ww"), C(getppid, ""), C(getpgrp, ""),
    C(setreuid, "uu"), C(setregid, "uu"), C(getgroups, "ip"), C(setgroups, "ip"), C(setresuid, "uuu"), C(getresuid, "ppp"), C(setresgid, "uuu"),
    C(getresgid, "ppp"), C(getpgid, "w"), C(setfsuid, "u"), C(setfsgid, "u"), C(getsid, "w"), C(capget, "pp"), C(capset, "pp"), C(rt_sigpending, "pl"),
    C(rt_sigtimedwait, "mptl"), C(rt_sigqueueinfo, "wnp"), C(rt_sigsuspend, "ml"), C(sigaltstack, "pp"), C(utime, "sp"), C(mknod, "sFr"),
    C(personality, "r"), C(statfs, "sp"), C(fstatfs, "fp"), C(getpriority, "iw"), C(setpriority, "iwi"), C(sched_setparam, "wp"), C(sched_getparam, "wp"),
    C(sched_setscheduler, "wip"), C(sched_getscheduler, "w"), C(sched_get_priority_max, "i"), C(sched_get_priority_min, "i"), C(sched_rr_get_interval, "wp"),
    C(mlock, "aA"), C(munlock, "aA"), C(mlockall, "i"), C(munlockall, ""), C(prctl, "iprrr"), C(arch_prctl, "zp"), C(setrlimit, "Rp"), C(chroot, "s"),
    C(sync, ""), C(gettid, ""), C(readahead, "fol"), C(setxattr, "sspli"), C(lsetxattr, "sspli"), C(fsetxattr, "fspli"), C(getxattr, "sspl"),
    C(lgetxattr, "sspl"), C(fgetxattr, "fspl"), C(listxattr, "spl"), C(llistxattr, "spl"), C(flistxattr, "fpl"), C(removexattr, "ss"),
    C(lremovexattr, "ss"), C(fremovexattr, "fs"), C(tkill, "wn"), C(time, "p"), C(futex, "piitpi"), C(futex, "aiitai"), C(sched_setaffinity, "wlp"),
    C(sched_getaffinity, "wlp"), C(epoll_create, "i"), C(remap_file_pages, "aAiii"), C(getdents64, "fpl"), C(set_tid_address, "p"), C(fadvise64, "fooi"),
    C(timer_create, "iTp"), C(timer_settime, "iipp"), C(timer_gettime, "ip"), C(timer_getoverrun, "i"), C(timer_delete, "i"), C(clock_gettime, "ip"),
    C(clock_getres, "ip"), C(clock_nanosleep, "iitp"), C(epoll_wait, "fpii"), C(epoll_ctl, "fifp"), C(tgkill, "wwn"), C(utimes, "sp"), C(openat, "dsFi"),
    C(mkdirat, "dsi"), C(mknodat, "dsFr"), C(fchownat, "dsuuF"), C(futimesat, "dsp"), C(newfstatat, "dspF"), C(unlinkat, "dsF"), C(renameat, "dsds"),
    C(linkat, "dsdsF"), C(symlinkat, "sds"), C(readlinkat, "dspl"), C(fchmodat, "dsi"), C(faccessat, "dsi"), C(pselect6, "ippptM"), C(ppoll, "pitml"),
    C(set_robust_list, "pl"), C(get_robust_list, "wpp"), C(splice, "fpfpli"), C(tee, "ffli"), C(sync_file_range, "fooi"), C(vmsplice, "fvii"),
    C(utimensat, "dstF"), C(epoll_pwait, "fpiiml"), C(signalfd, "fml"), C(timerfd_create, "iF"), C(eventfd, "i"), C(fallocate, "fFoo"),
    C(timerfd_settime, "fipp"), C(timerfd_gettime, "fp"), C(signalfd4, "fmlF"), C(eventfd2, "iF"), C(epoll_create1, "F"), C(dup3, "feF"), C(pipe2, "pF"),
    C(inotify_init1, "F"), C(inotify_add_watch, "fsr"), C(inotify_rm_watch, "fi"), C(preadv, "fvioz"), C(pwritev, "fvioz"), C(rt_tgsigqueueinfo, "wwnp"),
    C(prlimit64, "wRpp"), C(process_vm_readv, "wviviz"), C(process_vm_writev, "wviviz"), C(kcmp, "wwiff"), C(syncfs, "f"), C(getcpu, "ppz"), C(sched_setattr, "wpi"), C(sched_getattr, "wpli"), C(renameat2, "dsdsi"), C(getrandom, "pli"),
    C(memfd_create, "si"), C(membarrier, "iii"), C(mlock2, "aAi"), C(copy_file_range, "fpfpli"), C(preadv2, "fviozi"), C(pwritev2, "fviozi"),
    C(pkey_mprotect, "aAii"), C(statx, "dsFrp"), C(socket, "DKi"), C(socketpair, "DKzp"), C(rseq, "pliz"), C(close_range, "eei"), C(openat2, "dspl"),
    C(socket, "DKz"), C(bind, "fSL"), C(bind, "fSL"), C(listen, "fi"), C(connect, "fSL"), C(connect, "fSL"), C(accept, "fpp"), C(accept4, "fppF"),
    C(getsockname, "fpp"), C(getpeername, "fpp"), C(shutdown, "fi"), C(sendto, "fplFSL"), C(sendto, "fplzzz"), C(recvfrom, "fplFpp"), C(sendmsg, "fgF"),
    C(sendmsg, "fgz"), C(recvmsg, "fgF"), C(recvmsg, "fgz"), C(sendmmsg, "fGiF"), C(recvmmsg, "fGiFt"), C(setsockopt, "fOOpP"), C(getsockopt, "fOOpp"),
    C(inotify_init, ""), C(ioctl, "fIp"), C(clone, "CkpprF"), C(clone3, "cl"), C(clone3, "cB"), C(fork, ""), C(setsid, ""), C(wait4, "wpip"), C(wait4, "wpip"), C(waitid, "iwpip"), C(waitid, "ifpip"),
    C(pidfd_open, "wF"), C(pidfd_send_signal, "fnpi"), C(pidfd_getfd, "ffi"),
    C(shmget, "ili"), C(shmget, "iAF"), C(shmat, "iaF"), C(shmat, "izz"), C(shmdt, "a"), C(shmctl, "iip"),
    C(semget, "iiF"), C(semop, "ipi"), C(semtimedop, "ipip"), C(semctl, "iiip"), C(msgget, "iF"), C(msgsnd, "iplF"), C(msgrcv, "iplrF"), C(msgctl, "iip"),
    C(faccessat2, "dsiF"), C(epoll_pwait2, "fpitml"), {"fchmodat2", 452, "dsiF"}, {"mseal", 462, "AAi"}, {"unknown", 999, "rrr"}, {"none", -1, "rrr"},
};

static __thread uint64_t state;
static uint64_t random64(void) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state * 0x2545f4914f6cdd1d;
}
static uint64_t below(uint64_t limit) { return random64() % limit; }

static char *constant;
static int threads;
static void nothing(int signal) { (void)signal; }

/// Where a new thread returns to from the call that made it.
void child_ends(void);
__asm__("child_ends: xor %edi, %edi\n mov $60, %eax\n syscall\n ud2");

/// A stack for a new thread, whose top it gives.
static void *new_stack(void) {
    enum { STACKS = 256, STACK_BYTES = 16384 };
    static char stacks[STACKS][STACK_BYTES] __attribute__((aligned(16)));
    static unsigned next;
    void **top = (void **)(stacks[__atomic_fetch_add(&next, 1, __ATOMIC_RELAXED) % STACKS] + STACK_BYTES - 64);
    *top = (void *)child_ends;
    return top;
}

/// A thread more often than a process.
static uint64_t clone_flags(void) {
    static const uint64_t THREAD = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
    // Without handlers (CLONE_CLEAR_SIGHAND, 1UL << 32) a signal for the group is a child's crash.
    uint64_t option = below(2) ? 1UL << (8 + below(24)) : 0;
    return (below(4) ? THREAD | CLONE_SYSVSEM : below(2) ? THREAD & random64() : 0) | option;
}

/// Nothing that the program has is here.
static long wild(void) {
    static const long AT[] = {0, 8, 0x1000, 0x680000000000, 0x680000100000, 0x688000001000, 0x688000200000, 0x68c000000ff8, 0x68fffffffff8,
                              0x7ffffffff000, 0x800000000000, (long)0xffff800000000000, (long)0xffffffff81000000, -4096, -8, -1};
    return AT[below(sizeof AT / sizeof *AT)];
}

static long pointer(void) {
    switch (below(16)) {
        case 0: return wild();
        case 1: return (long)constant + (long)below(PAGE);
        case 2: return (long)ARENA + (long)ARENA_BYTES - (long)below(64);          // its end
        case 3: return ((long)ARENA | (long)below(ARENA_BYTES)) & -(long)PAGE;       // a page
        default: return (long)ARENA + (long)below(ARENA_BYTES / 8) * 8;
    }
}

static const char *const NAMES[] = {"a", "b", "d", "d/a", "d/e", "l", "loop", "fifo", ".", "..", "/", "", "a/", "a/b", "/proc/self/maps", "/proc/self/fd",
    "/proc/self/status", "/proc/meminfo", "/proc/self/fd/5", "/proc/self/exe", "/proc/self/mem", "/proc/self/environ", "/proc/1/task/1/stat", "/dev/null", "/dev/zero", "/dev/full",
    "/dev/urandom", "/dev/tty", "/dev/shm/x", "/sys", "/etc", "/tmp", "/dev/ptmx", "/dev/pts/0", "sock", "user.a", "user.b", "security.capability", "system.posix_acl_access",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"};

/// Numbers on which calls turn.
static long number(void) {
    static const long AT[] = {0, 1, 2, 3, 7, 8, 15, 16, 255, 1024, 4095, 4096, 4097, 65536, 1 << 20, INT32_MAX, INT32_MIN, UINT32_MAX, INT64_MAX, INT64_MIN, -1, -2, -100};
    return below(3) ? (long)below(40) : AT[below(sizeof AT / sizeof *AT)];
}

/// A fault of the program itself is to be seen, so nothing else sends these; two are the C library's.
static int is_deadly(int signal) {
    return signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGFPE || signal == SIGKILL || signal == SIGSTOP || signal == 32 || signal == 33;
}

static long socket_argument(char kind);

static long argument(char kind) {
    static __thread struct timespec times[3];
    static __thread unsigned long mask[2];
    static __thread struct iovec vectors[8];
    static __thread struct sigaction action;
    static __thread struct { long value; int signal, notify; long rest[6]; } event;
    switch (kind) {
        case 'f':
            for (long fd;;) { // what the program prints to is left alone
                fd = below(12) ? FIRST_FD + (long)below(FDS) : number();
                if ((int)fd < 0 || (int)fd > 2) return fd;
            }
        case 'd': return below(2) ? AT_FDCWD : argument('f');
        case 'e': return FIRST_FD + (long)below(FDS);
        case 's': return below(10) ? (long)NAMES[below(sizeof NAMES / sizeof *NAMES)] : pointer();
        case 'x': return below(2) ? (long)"nowhere" : wild();
        case 'p': return pointer();
        case 'l': return below(4) ? (long)below(5000) : below(2) ? (long)below(ARENA_BYTES / 4) : number();
        case 'a': return below(12) ? (long)ARENA + (long)(below(ARENA_BYTES / PAGE) * PAGE) : wild();
        case 'A': return below(12) ? (long)(below(3) ? below(64) : below(1024)) * (long)PAGE + (below(8) ? 0 : 5) : -(long)below(1 << 20) - 1;
        case 'i': return number();
        case 'F': return below(2) ? (long)(1UL << below(32)) | (long)(1UL << below(24)) : below(3) ? 0 : (long)(uint32_t)random64();
        case 'M': return (long)(1UL << below(22) | 1UL << below(20) | (below(2) ? MAP_ANONYMOUS : 0) | (below(3) ? MAP_PRIVATE : MAP_SHARED)) | MAP_FIXED;
        case 'o': return below(6) ? (long)below(6 << 20) : number();
        case 'n':
            for (long signal;;) {
                signal = below(8) ? 1 + (long)below(64) : number();
                if (!is_deadly((int)signal)) return signal;
            }
        case 'w': return below(4) ? (below(2) ? 0 : getpid()) : number();
        case 'u': return below(3) ? 0 : below(2) ? 1000 : number();
        case 'R': return below(16) == 1 ? RLIMIT_NPROC : 2 + (long)below(20); // but for CPU and FSIZE
        case 'r': return (long)random64();
        case 't':
            times[0] = (struct timespec){(long)(below(4) ? 0 : random64()), (long)(below(4) ? below(2000000) : random64())};
            return below(8) ? (long)times : wild();
        case 'm': // never SIGALRM
            mask[0] = random64() & ~(1UL << (SIGALRM - 1));
            return below(8) ? (long)mask : wild();
        case 'v':
            for (int i = 0; i < 8; i++) vectors[i] = (struct iovec){(void *)pointer(), (size_t)argument('l')};
            return below(8) ? (long)vectors : pointer();
        case 'H':
            memset(&action, 0, sizeof action);
            action.sa_handler = nothing;
            return below(2) ? 0 : wild();
        case 'T':
            memset(&event, 0, sizeof event);
            event.signal = (int)argument('n'), event.notify = (int)below(4);
            return below(3) ? (long)&event : below(2) ? 0 : wild();
        default: return socket_argument(kind);
    }
}

/// Ports of the loopback where somebody is, in network order.
static in_port_t ports[2];

/// An address of the loopback: nobody else is to hear of this.
static void *inet_address(void *at) {
    in_port_t port = below(2) ? 0 : ports[below(2)];
    if (below(2)) *(struct sockaddr_in *)at = (struct sockaddr_in){AF_INET, port, {htonl(INADDR_LOOPBACK)}, {0}};
    else *(struct sockaddr_in6 *)at = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = port, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    return at;
}

/// The sockets' kinds of arguments, and those of new threads.
static long socket_argument(char kind) {
    static __thread struct sockaddr_un address;
    static __thread struct mmsghdr messages[4];
    static __thread struct { struct cmsghdr header; int fds[4]; } control[4];
    static __thread struct clone_args made;
    switch (kind) {
        case 'D': {
            static const long FAMILIES[] = {AF_INET, AF_INET, AF_INET6, AF_NETLINK};
            return below(2) ? AF_UNIX : below(8) ? FAMILIES[below(4)] : number();
        }
        case 'K': return (long)(1 + below(5)) | (below(2) ? SOCK_NONBLOCK : 0) | (below(16) ? 0 : number());
        case 'S':
            memset(&address, 0, sizeof address);
            if (below(3) == 0) return below(8) ? (long)inet_address(&address) : pointer();
            // An address of a network must not come about by chance.
            address.sun_family = below(16) ? AF_UNIX : (sa_family_t)(below(8) * 2 + 1);
            strcpy(address.sun_path, (const char *[]){"sock", "data", "new", "", "/dev/null"}[below(5)]);
            if (below(4) == 0) address.sun_path[0] = 0;
            return below(8) ? (long)&address : pointer();
        case 'L': return below(4) ? (long)sizeof address : below(2) ? 2 + (long)below(30) : number();
        case 'g': argument('G'); return below(8) ? (long)&messages[0].msg_hdr : pointer();
        case 'G':
            for (int i = 0; i < 4; i++) {
                struct msghdr *message = &messages[i].msg_hdr;
                memset(message, 0, sizeof *message);
                if (below(4) == 0) message->msg_name = (void *)argument('S'), message->msg_namelen = (socklen_t)argument('L');
                message->msg_iov = (struct iovec *)argument('v'), message->msg_iovlen = below(9);
                if (below(2)) continue;
                control[i].header = (struct cmsghdr){CMSG_LEN(sizeof control[i].fds), below(3) ? SOL_SOCKET : IPPROTO_IP, below(4) ? SCM_RIGHTS : (int)below(4)};
                for (int k = 0; k < 4; k++) control[i].fds[k] = (int)argument('e');
                message->msg_control = below(8) ? (void *)&control[i] : (void *)pointer();
                message->msg_controllen = below(4) ? sizeof control[i] : below(80);
            }
            return below(8) ? (long)messages : pointer();
        case 'O': {
            static const long LEVELS[] = {SOL_SOCKET, SOL_SOCKET, IPPROTO_IP, IPPROTO_TCP, IPPROTO_IPV6, IPPROTO_UDP, 270};
            return below(8) ? LEVELS[below(7)] : (long)below(80);
        }
        case 'P': return below(8) ? 4L << below(3) : number();
        case 'I': return below(3) ? 0x5400 + (long)below(0x60) : 0x8900 + (long)below(0x50);
        case 'c':
            memset(&made, 0, sizeof made);
            made.flags = clone_flags(), made.child_tid = (uint64_t)pointer(), made.parent_tid = (uint64_t)pointer();
            made.stack_size = 8192, made.stack = (uint64_t)new_stack() - made.stack_size;
            return below(8) ? (long)&made : wild();
        case 'B': return below(4) ? (long)sizeof made : CLONE_ARGS_SIZE_VER0;
        case 'k': return (long)new_stack();
        case 'C': return (long)clone_flags();
        default: return 0;
    }
}

/// Whether the program would be worse off for the call.
static int is_harmful(const char *name, long with[6]) {
    if (!strcmp(name, "rt_sigaction")) return (int)with[0] == SIGALRM;
    // Root is to be had back.
    if (!strcmp(name, "setuid")) return (int)with[0] != 0;
    if (!strcmp(name, "setreuid")) with[0] = -1;
    if (!strcmp(name, "setresuid")) with[0] = with[2] = -1;
    if (!strcmp(name, "close_range")) return with[1] < 0;
    if (!strcmp(name, "mremap")) with[3] |= below(2) ? MREMAP_FIXED | MREMAP_MAYMOVE : 0, with[2] = with[2] < 0 ? with[2] : with[2] % (4 << 20);
    if (!strcmp(name, "brk")) with[0] = (long)sbrk(0) + (below(2) ? (long)below(1 << 20) : 0);
    if (!strcmp(name, "mseal")) with[0] = (long)ARENA + (long)(3 * ARENA_BYTES) + (long)(below(16) * PAGE), with[1] = with[1] < 0 ? with[1] : (long)(below(8) * PAGE);
    if (!strcmp(name, "prctl")) return (int)with[0] == 22 || (int)with[0] == 35; // seccomp, the program's own areas
    return 0;
}

/// The state that lets the program go on, whatever the last calls did.
static void mend(void) {
    static const struct itimerval OFTEN = {{0, 20000}, {0, 20000}};
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (threads < 2) setitimer(ITIMER_REAL, &OFTEN, NULL);
}

/// Five sockets: of both kinds and families, connected, and one that asks for interfaces.
static void prepare_network(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr *name = (struct sockaddr *)&at;
    socklen_t len = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), datagram = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    bind(listener, name, len), listen(listener, 3), getsockname(listener, name, &len);
    ports[0] = at.sin_port;
    connect(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), name, len);
    at.sin_port = 0;
    bind(datagram, name, len), getsockname(datagram, name, &len), connect(datagram, name, len);
    ports[1] = at.sin_port;
    socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 0), socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, 0);
}

/// A fresh arena, fresh descriptors, fresh names.
static void refresh(void) {
    for (int fd = FIRST_FD; fd < FIRST_FD + 200; fd++) close(fd);
    syscall(SYS_setresuid, -1, 0, -1);
    static const struct rlimit FILES = {8 << 20, RLIM_INFINITY}, MANY = {1024, 1024}, ALL = {RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_FSIZE, &FILES), setrlimit(RLIMIT_NOFILE, &MANY);
    setrlimit(RLIMIT_AS, &ALL), setrlimit(RLIMIT_DATA, &ALL), setrlimit(RLIMIT_MEMLOCK, &ALL);
    // Of several threads, one may limit what another asks for, and take away what it filled.
    if (mmap(ARENA, ARENA_BYTES, RW, ANON | MAP_FIXED, -1, 0) != (void *)ARENA && threads < 2) WRONG("no arena");
    pread(TEMPLATE_FD, ARENA, ARENA_BYTES / 4, 0);
    chdir("/tmp/fuzz");
    mkdir("d", 0700), symlink("a", "l"), symlink("loop", "loop"), mknod("fifo", S_IFIFO | 0600, 0);
    unlink("a"), unlink("b"), unlink("/dev/shm/x"), unlink("sock"), unlink("data"), unlink("new");
    int pair[2];
    if (pipe2(pair, O_NONBLOCK) == 0) fcntl(pair[1], F_SETPIPE_SZ, 4096);
    open("a", O_RDWR | O_CREAT, 0600), open("b", O_RDWR | O_CREAT | O_APPEND, 0600), open(".", O_RDONLY), open("/proc/self", O_RDONLY);
    open("/proc/self/exe", O_RDONLY), open("/dev/zero", O_RDWR), epoll_create1(0), eventfd(3, 0), timerfd_create(CLOCK_MONOTONIC, 0);
    syscall(SYS_memfd_create, "fuzz", 3), open("fifo", O_RDWR | O_NONBLOCK), open("a", O_PATH), open("/proc/self/maps", O_RDONLY);
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    struct sockaddr_un stream = {AF_UNIX, "sock"}, datagram = {AF_UNIX, "data"};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), receiver = socket(AF_UNIX, SOCK_DGRAM, 0), client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    bind(listener, (struct sockaddr *)&stream, sizeof stream), listen(listener, 3), connect(client, (struct sockaddr *)&stream, sizeof stream);
    bind(receiver, (struct sockaddr *)&datagram, sizeof datagram);
    prepare_network();
    inotify_add_watch(inotify_init1(IN_NONBLOCK), ".", IN_ALL_EVENTS), open("/dev/ptmx", O_RDWR | O_NOCTTY);
    struct epoll_event all = {EPOLLIN | EPOLLOUT | EPOLLET, {0}};
    for (int fd = FIRST_FD; fd < FIRST_FD + OPENED; fd++) epoll_ctl(FIRST_FD + 8, EPOLL_CTL_ADD, fd, &all);
}

static uint64_t seconds_now(void) {
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec;
}

static uint64_t seed, end;
static int tells, all_made;

/// A thread that makes calls, and its last one.
static struct fuzzer {
    uint64_t calls, worked;
    int tid, ended;
    size_t pick;
    long with[6];
} fuzzers[THREADS_MAX];

static void tell(const struct fuzzer *self, const char *what) {
    char line[240];
    const long *with = self->with;
    int bytes = snprintf(line, sizeof line, "%d %s %llu %s %lx %lx %lx %lx %lx %lx\n", self->tid, what, (unsigned long long)self->calls, CALLS[self->pick].name, with[0], with[1], with[2], with[3], with[4], with[5]);
    if (write(2, line, (size_t)bytes) != bytes) WRONG("standard error");
}

static void make_call(struct fuzzer *self) {
    size_t pick = below(sizeof CALLS / sizeof *CALLS);
    const char *name = CALLS[pick].name, *kinds = CALLS[pick].kinds;
    long with[6] = {0};
    for (int k = 0; kinds[k]; k++) with[k] = argument(kinds[k]);
    // From a low address, a length that does not wrap would reach all that the program has.
    if (kinds[0] == 'a' && with[0] >= 0 && with[0] < (long)ARENA && with[1] < 0) return;
    if (is_harmful(name, with)) return;
    mend();
    self->pick = pick;
    memcpy(self->with, with, sizeof with);
    if (tells) tell(self, "call");
    long got = syscall(CALLS[pick].number, with[0], with[1], with[2], with[3], with[4], with[5]);
    int code = errno;
    // A child that fork made.
    if (got == 0 && syscall(SYS_getpid) != 1) _exit(0);
    __atomic_add_fetch(&self->calls, 1, __ATOMIC_RELAXED);
    self->worked += got != -1;
    if (got == -1 && (code <= 0 || code > 133)) WRONG("%s: errno %d", name, code);
}

static void *fuzz(void *argument) {
    struct fuzzer *self = argument;
    self->tid = (int)syscall(SYS_gettid);
    // Before, a call could forbid to make the others.
    while (!__atomic_load_n(&all_made, __ATOMIC_ACQUIRE)) sched_yield();
    state = (seed * THREADS_MAX + (uint64_t)(self - fuzzers)) * 2 + 1;
    while (seconds_now() < end && !wrong_count) {
        refresh();
        for (int i = 0; i < CALLS_A_ROUND; i++) make_call(self);
    }
    syscall(SYS_set_robust_list, NULL, 24L);
    __atomic_store_n(&self->ended, 1, __ATOMIC_RELEASE);
    return NULL;
}

/// Ends what other threads wait for, until each is done.
static void watch(void) {
    uint64_t seen[THREADS_MAX] = {0}, when[THREADS_MAX];
    for (int i = 0; i < threads; i++) when[i] = seconds_now();
    for (int running = threads; running;) {
        running = 0;
        mend();
        syscall(SYS_nanosleep, &(struct timespec){0, 20000000}, NULL);
        for (int i = 0; i < threads; i++) {
            struct fuzzer *one = &fuzzers[i];
            if (__atomic_load_n(&one->ended, __ATOMIC_ACQUIRE)) continue;
            running++;
            if (one->tid) syscall(SYS_tgkill, getpid(), one->tid, SIGALRM);
            uint64_t calls = __atomic_load_n(&one->calls, __ATOMIC_RELAXED), now = seconds_now();
            if (calls != seen[i]) seen[i] = calls, when[i] = now;
            if (now - when[i] < HANGS_SECONDS) continue;
            for (int k = 0; k < threads; k++) tell(&fuzzers[k], fuzzers[k].ended ? "ended:" : now - when[k] < HANGS_SECONDS ? "runs:" : "hangs:");
            _exit(1);
        }
    }
}

int main(int argc, char **argv) {
    // Never on a host, whose files and processes it would spoil: only where it is all there is.
    if (getpid() != 1 || getppid() != 0) {
        puts("fuzz_syscalls runs in a guest only");
        return 1;
    }
    uint64_t seconds = argc > 2 ? strtoull(argv[2], NULL, 0) : 2;
    seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 0;
    threads = argc > 3 ? atoi(argv[3]) : 1;
    tells = argc > 4;
    if (threads < 1 || threads > THREADS_MAX) WRONG("%d threads", threads);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (!seed) seed = (uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec << 20;
    state = seed * 2 + 1;
    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    for (int signal = 1; signal <= 64; signal++) {
        struct sigaction action = {.sa_handler = nothing};
        if (!is_deadly(signal)) sigaction(signal, &action, NULL);
    }
    mkdir("/tmp/fuzz", 0700);
    constant = mmap(NULL, 2 * PAGE, PROT_READ, ANON, -1, 0);
    CHECK_EQ(dup2(memfd_create("template", 0), TEMPLATE_FD), TEMPLATE_FD);
    for (size_t at = 0; at < ARENA_BYTES / 4; at += PAGE) {
        uint64_t words[PAGE / 8];
        for (size_t i = 0; i < PAGE / 8; i++) words[i] = below(4) ? below(64) : random64();
        CHECK_EQ(write(TEMPLATE_FD, words, sizeof words), sizeof words);
    }
    end = seconds_now() + seconds;
    if (threads > 1) {
        pthread_t thread;
        for (int i = 0; i < threads; i++) CHECK_EQ(pthread_create(&thread, NULL, fuzz, &fuzzers[i]), 0);
        all_made = 1;
        watch();
    } else {
        all_made = 1;
        fuzz(&fuzzers[0]);
    }
    static const struct itimerval NEVER;
    setitimer(ITIMER_REAL, &NEVER, NULL);
    unsigned long long calls = 0, worked = 0;
    for (int i = 0; i < threads; i++) calls += fuzzers[i].calls, worked += fuzzers[i].worked;
    if (calls < 1000 || worked < calls / 20) WRONG("%llu calls, %llu worked", calls, worked);
    char line[80];
    int bytes = snprintf(line, sizeof line, "%llu calls\n", calls);
    if (write(1, line, (size_t)bytes) != bytes) return 1;
    return done("fuzz_syscalls");
}
