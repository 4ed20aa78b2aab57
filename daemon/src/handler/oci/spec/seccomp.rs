//! The default profile (`RuntimeDefault`): which system calls a program may make.
//!
//! It lists what is allowed; all else fails with EPERM, but for `clone3`, which fails
//! with ENOSYS so that libraries take `clone`: a filter cannot read its arguments.
//!
//! | group | allowed |
//! |---|---|
//! | [`ALWAYS`] | to every container: files, memory, threads, sockets, time, signals |
//! | [`BY_CAPABILITY`] | with the capability that the kernel asks for anyway |
//! | `clone`, `unshare` | without new namespaces; with CAP_SYS_ADMIN all |
//! | `socket` | all families but AF_VSOCK, which leads to the hypervisor |
//! | `personality` | to ask, and the values that change no address layout |
//!
//! Not allowed to anybody without a capability: loading modules, `kexec`, `bpf`, `perf`,
//! keyrings, `userfaultfd`, `io_uring`, mounting, the clock, swap, accounting.

use oci_spec::runtime::{
    Arch, Capability, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompArgBuilder,
    LinuxSeccompOperator, LinuxSyscall,
};

use crate::proto::LinuxContainerSecurityContext;

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;
/// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET, NEWTIME (of `unshare`).
const CLONE_NAMESPACES: u64 = 0x7e02_0000;
const CLONE_NEWTIME: u64 = 0x80;
const AF_VSOCK: u64 = 40;
/// PER_LINUX, PER_LINUX32, UNAME26, PER_LINUX32 with UNAME26, and the question.
const PERSONALITIES: [u64; 5] = [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// Allowed to all.
const ALWAYS: &str = "
    accept accept4 access adjtimex alarm arch_prctl bind brk cachestat capget capset chdir chmod
    chown chown32 clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime
    clock_gettime64 clock_nanosleep clock_nanosleep_time64 close close_range connect
    copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old
    epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit
    exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod
    fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr
    flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate
    ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat
    get_mempolicy get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid
    getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername
    getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32 getresuid
    getresuid32 getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid
    getuid32 getxattr getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch
    io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit ioctl
    ioprio_get ioprio_set ipc kill landlock_add_rule landlock_create_ruleset
    landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listmount listxattr
    listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 madvise
    map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat
    mlock mlock2 mlockall mmap mmap2 modify_ldt mprotect mq_getsetattr mq_notify mq_open
    mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap
    mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep
    newfstatat _newselect open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2
    pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2
    prlimit64 process_mrelease pselect6 pselect6_time64 ptrace pwrite64 pwritev pwritev2 read
    readahead readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg
    remap_file_pages removexattr removexattrat rename renameat renameat2 restart_syscall rmdir
    rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
    rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max
    sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
    sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr
    sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop
    semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto set_robust_list
    set_thread_area set_tid_address setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32
    setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid setresgid32
    setresuid setresuid32 setreuid setreuid32 setrlimit setsid setsockopt setuid setuid32
    setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4
    sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs statfs64 statmount
    statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create
    timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64
    timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times
    tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat uretprobe utime utimensat
    utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev
    process_vm_readv process_vm_writev";

/// Allowed with a capability.
const BY_CAPABILITY: [(Capability, &str); 11] = [
    (Capability::DacReadSearch, "open_by_handle_at"),
    (
        Capability::SysAdmin,
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount
         mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname
         sethostname setns syslog umount umount2 unshare",
    ),
    (Capability::SysBoot, "reboot"),
    (Capability::SysChroot, "chroot"),
    (
        Capability::SysModule,
        "delete_module init_module finit_module",
    ),
    (Capability::SysPacct, "acct"),
    (Capability::SysPtrace, "kcmp pidfd_getfd process_madvise"),
    (Capability::SysRawio, "iopl ioperm"),
    (
        Capability::SysTime,
        "settimeofday stime clock_settime clock_settime64",
    ),
    (
        Capability::SysNice,
        "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    ),
    (Capability::Bpf, "bpf"),
];

/// The profile for a container with these capabilities.
pub(super) fn default_profile(security: &LinuxContainerSecurityContext) -> LinuxSeccomp {
    let sets = super::security::capabilities(security).unwrap_or_default();
    let given = sets.bounding().clone().unwrap_or_default();
    let has_admin = given.contains(&Capability::SysAdmin);
    let mut calls = vec![allow(ALWAYS, None)];
    for (capability, names) in BY_CAPABILITY {
        if given.contains(&capability) {
            calls.push(allow(names, None));
        }
    }
    if given.contains(&Capability::Syslog) && !has_admin {
        calls.push(allow("syslog", None));
    }
    for value in PERSONALITIES {
        let is = compare(0, value, None, LinuxSeccompOperator::ScmpCmpEq);
        calls.push(allow("personality", Some(is)));
    }
    let is_other = compare(0, AF_VSOCK, None, LinuxSeccompOperator::ScmpCmpNe);
    calls.push(allow("socket", Some(is_other)));
    if !has_admin {
        let masked = LinuxSeccompOperator::ScmpCmpMaskedEq;
        let plain = compare(0, CLONE_NAMESPACES, Some(0), masked);
        calls.push(allow("clone", Some(plain)));
        let plain = compare(0, CLONE_NAMESPACES | CLONE_NEWTIME, Some(0), masked);
        calls.push(allow("unshare", Some(plain)));
        let mut missing = LinuxSyscall::default();
        missing.set_names(vec!["clone3".to_owned()]);
        missing.set_action(LinuxSeccompAction::ScmpActErrno);
        missing.set_errno_ret(Some(ENOSYS));
        calls.push(missing);
    }
    let mut profile = LinuxSeccomp::default();
    profile.set_default_action(LinuxSeccompAction::ScmpActErrno);
    profile.set_default_errno_ret(Some(EPERM));
    profile.set_architectures(Some(vec![
        Arch::ScmpArchX86_64,
        Arch::ScmpArchX86,
        Arch::ScmpArchX32,
    ]));
    profile.set_syscalls(Some(calls));
    profile
}

fn allow(names: &str, argument: Option<LinuxSeccompArg>) -> LinuxSyscall {
    let mut call = LinuxSyscall::default();
    call.set_names(names.split_ascii_whitespace().map(str::to_owned).collect());
    call.set_action(LinuxSeccompAction::ScmpActAllow);
    call.set_args(argument.map(|argument| vec![argument]));
    call
}

fn compare(
    index: usize,
    value: u64,
    value_two: Option<u64>,
    operator: LinuxSeccompOperator,
) -> LinuxSeccompArg {
    let argument = LinuxSeccompArgBuilder::default()
        .index(index)
        .value(value)
        .op(operator);
    let argument = match value_two {
        Some(value_two) => argument.value_two(value_two),
        None => argument,
    };
    // The builder has a default for all that is not set.
    argument.build().unwrap_or_default()
}
