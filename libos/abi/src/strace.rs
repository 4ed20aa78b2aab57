//! Tracing of system calls: their names, their classes, and the set of calls
//! that the monitor asks the libOS to write to the log.
//!
//! Names are those of Linux on x86-64, all of them, so that the monitor can
//! check a filter before boot whatever the libOS serves; numbers never change
//! there. Classes are those of strace's `trace=`: %file takes a path, %desc
//! takes or makes a descriptor.

/// Bits of a [`CallSet`].
pub const CALLS_MAX: usize = 512;

/// A set of system calls by number. The last bit stands for every number from
/// there on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct CallSet(pub [u64; CALLS_MAX / 64]);

impl CallSet {
    /// No call.
    pub const NONE: CallSet = CallSet([0; CALLS_MAX / 64]);
    /// Every call, those without a name too.
    pub const ALL: CallSet = CallSet([u64::MAX; CALLS_MAX / 64]);

    /// Whether a call is in it.
    pub const fn has(&self, number: u64) -> bool {
        let (word, bit) = place(number);
        self.0[word] & bit != 0
    }

    /// Adds a call.
    pub const fn add(&mut self, number: u64) {
        let (word, bit) = place(number);
        self.0[word] |= bit;
    }

    /// Those that are not in it.
    pub const fn complement(&self) -> CallSet {
        let mut set = *self;
        let mut word = 0;
        while word < set.0.len() {
            set.0[word] = !set.0[word];
            word += 1;
        }
        set
    }
}

const fn place(number: u64) -> (usize, u64) {
    let last = CALLS_MAX as u64 - 1;
    let number = if number < last { number } else { last };
    ((number / 64) as usize, 1 << (number % 64))
}

/// The name of a number.
pub fn name(number: u64) -> Option<&'static str> {
    let name = *NAMES.get(usize::try_from(number).ok()?)?;
    (!name.is_empty()).then_some(name)
}

/// The number of a name.
pub fn number(name: &str) -> Option<u64> {
    let found = NAMES.iter().position(|other| *other == name)?;
    (!name.is_empty()).then_some(found as u64)
}

macro_rules! names {
    ($({ $first:literal: $($name:ident)* })*) => {
        /// Names by number; empty where Linux has no call.
        pub static NAMES: [&str; CALLS_MAX] = {
            let mut names = [""; CALLS_MAX];
            $(
                let run = [$(stringify!($name)),*];
                let mut at = 0;
                while at < run.len() {
                    names[$first + at] = run[at];
                    at += 1;
                }
            )*
            names
        };
    };
}

names! {
    { 0:
        read write open close stat fstat lstat poll lseek mmap mprotect munmap brk rt_sigaction
        rt_sigprocmask rt_sigreturn ioctl pread64 pwrite64 readv writev access pipe select
        sched_yield mremap msync mincore madvise shmget shmat shmctl dup dup2 pause nanosleep
        getitimer alarm setitimer getpid sendfile socket connect accept sendto recvfrom sendmsg
        recvmsg shutdown bind listen getsockname getpeername socketpair setsockopt getsockopt
        clone fork vfork execve exit wait4 kill uname semget semop semctl shmdt msgget msgsnd
        msgrcv msgctl fcntl flock fsync fdatasync truncate ftruncate getdents getcwd chdir
        fchdir rename mkdir rmdir creat link unlink symlink readlink chmod fchmod chown fchown
        lchown umask gettimeofday getrlimit getrusage sysinfo times ptrace getuid syslog getgid
        setuid setgid geteuid getegid setpgid getppid getpgrp setsid setreuid setregid
        getgroups setgroups setresuid getresuid setresgid getresgid getpgid setfsuid setfsgid
        getsid capget capset rt_sigpending rt_sigtimedwait rt_sigqueueinfo rt_sigsuspend
        sigaltstack utime mknod uselib personality ustat statfs fstatfs sysfs getpriority
        setpriority sched_setparam sched_getparam sched_setscheduler sched_getscheduler
        sched_get_priority_max sched_get_priority_min sched_rr_get_interval mlock munlock
        mlockall munlockall vhangup modify_ldt pivot_root _sysctl prctl arch_prctl adjtimex
        setrlimit chroot sync acct settimeofday mount umount2 swapon swapoff reboot sethostname
        setdomainname iopl ioperm create_module init_module delete_module get_kernel_syms
        query_module quotactl nfsservctl getpmsg putpmsg afs_syscall tuxcall security gettid
        readahead setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr listxattr
        llistxattr flistxattr removexattr lremovexattr fremovexattr tkill time futex
        sched_setaffinity sched_getaffinity set_thread_area io_setup io_destroy io_getevents
        io_submit io_cancel get_thread_area lookup_dcookie epoll_create epoll_ctl_old
        epoll_wait_old remap_file_pages getdents64 set_tid_address restart_syscall semtimedop
        fadvise64 timer_create timer_settime timer_gettime timer_getoverrun timer_delete
        clock_settime clock_gettime clock_getres clock_nanosleep exit_group epoll_wait
        epoll_ctl tgkill utimes vserver mbind set_mempolicy get_mempolicy mq_open mq_unlink
        mq_timedsend mq_timedreceive mq_notify mq_getsetattr kexec_load waitid add_key
        request_key keyctl ioprio_set ioprio_get inotify_init inotify_add_watch
        inotify_rm_watch migrate_pages openat mkdirat mknodat fchownat futimesat newfstatat
        unlinkat renameat linkat symlinkat readlinkat fchmodat faccessat pselect6 ppoll unshare
        set_robust_list get_robust_list splice tee sync_file_range vmsplice move_pages
        utimensat epoll_pwait signalfd timerfd_create eventfd fallocate timerfd_settime
        timerfd_gettime accept4 signalfd4 eventfd2 epoll_create1 dup3 pipe2 inotify_init1
        preadv pwritev rt_tgsigqueueinfo perf_event_open recvmmsg fanotify_init fanotify_mark
        prlimit64 name_to_handle_at open_by_handle_at clock_adjtime syncfs sendmmsg setns
        getcpu process_vm_readv process_vm_writev kcmp finit_module sched_setattr sched_getattr
        renameat2 seccomp getrandom memfd_create kexec_file_load bpf execveat userfaultfd
        membarrier mlock2 copy_file_range preadv2 pwritev2 pkey_mprotect pkey_alloc pkey_free
        statx io_pgetevents rseq
    }
    { 424:
        pidfd_send_signal io_uring_setup io_uring_enter io_uring_register open_tree move_mount
        fsopen fsconfig fsmount fspick pidfd_open clone3 close_range openat2 pidfd_getfd
        faccessat2 process_madvise epoll_pwait2 mount_setattr quotactl_fd
        landlock_create_ruleset landlock_add_rule landlock_restrict_self memfd_secret
        process_mrelease futex_waitv set_mempolicy_home_node cachestat fchmodat2
        map_shadow_stack futex_wake futex_wait futex_requeue statmount listmount
        lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal setxattrat getxattrat
        listxattrat removexattrat open_tree_attr
    }
}

/// A class by its name in a filter, without the `%`.
pub fn class(name: &str) -> Option<&'static [&'static str]> {
    CLASSES
        .iter()
        .find(|(class, _)| *class == name)
        .map(|(_, calls)| *calls)
}

/// Every class.
pub static CLASSES: [(&str, &[&str]); 6] = [
    ("file", FILE),
    ("desc", DESCRIPTOR),
    ("memory", MEMORY),
    ("process", PROCESS),
    ("signal", SIGNAL),
    ("network", NETWORK),
];

#[rustfmt::skip]
static FILE: &[&str] = &[
    "open", "stat", "lstat", "access", "execve", "truncate", "getcwd", "chdir", "rename",
    "mkdir", "rmdir", "creat", "link", "unlink", "symlink", "readlink", "chmod", "chown",
    "lchown", "utime", "mknod", "uselib", "statfs", "pivot_root", "chroot", "acct", "mount",
    "umount2", "swapon", "swapoff", "quotactl", "setxattr", "lsetxattr", "getxattr",
    "lgetxattr", "listxattr", "llistxattr", "removexattr", "lremovexattr", "utimes",
    "inotify_add_watch", "openat", "mkdirat", "mknodat", "fchownat", "futimesat", "newfstatat",
    "unlinkat", "renameat", "linkat", "symlinkat", "readlinkat", "fchmodat", "faccessat",
    "utimensat", "fanotify_mark", "name_to_handle_at", "renameat2", "execveat", "statx",
    "open_tree", "move_mount", "fsconfig", "fspick", "openat2", "faccessat2", "mount_setattr",
    "fchmodat2", "setxattrat", "getxattrat", "listxattrat", "removexattrat", "open_tree_attr",
];

#[rustfmt::skip]
static DESCRIPTOR: &[&str] = &[
    "read", "write", "open", "close", "fstat", "poll", "lseek", "mmap", "ioctl", "pread64",
    "pwrite64", "readv", "writev", "pipe", "select", "dup", "dup2", "sendfile", "fcntl",
    "flock", "fsync", "fdatasync", "ftruncate", "getdents", "fchdir", "creat", "fchmod",
    "fchown", "fstatfs", "readahead", "fsetxattr", "fgetxattr", "flistxattr", "fremovexattr",
    "epoll_create", "getdents64", "fadvise64", "epoll_wait", "epoll_ctl", "mq_open",
    "mq_timedsend", "mq_timedreceive", "mq_notify", "mq_getsetattr", "inotify_init",
    "inotify_add_watch", "inotify_rm_watch", "openat", "mkdirat", "mknodat", "fchownat",
    "futimesat", "newfstatat", "unlinkat", "renameat", "linkat", "symlinkat", "readlinkat",
    "fchmodat", "faccessat", "pselect6", "ppoll", "splice", "tee", "sync_file_range",
    "vmsplice", "utimensat", "epoll_pwait", "signalfd", "timerfd_create", "eventfd",
    "fallocate", "timerfd_settime", "timerfd_gettime", "signalfd4", "eventfd2",
    "epoll_create1", "dup3", "pipe2", "inotify_init1", "preadv", "pwritev", "perf_event_open",
    "fanotify_init", "fanotify_mark", "name_to_handle_at", "open_by_handle_at", "syncfs",
    "setns", "finit_module", "renameat2", "memfd_create", "kexec_file_load", "bpf", "execveat",
    "userfaultfd", "copy_file_range", "preadv2", "pwritev2", "statx", "pidfd_send_signal",
    "io_uring_setup", "io_uring_enter", "io_uring_register", "open_tree", "move_mount",
    "fsopen", "fsconfig", "fsmount", "fspick", "pidfd_open", "openat2", "pidfd_getfd",
    "faccessat2", "process_madvise", "epoll_pwait2", "mount_setattr", "quotactl_fd",
    "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "memfd_secret",
    "process_mrelease", "close_range", "cachestat", "fchmodat2", "setxattrat", "getxattrat",
    "listxattrat", "removexattrat", "open_tree_attr",
];

#[rustfmt::skip]
static MEMORY: &[&str] = &[
    "mmap", "mprotect", "munmap", "brk", "mremap", "msync", "mincore", "madvise", "shmat",
    "shmdt", "mlock", "munlock", "mlockall", "munlockall", "io_setup", "io_destroy",
    "remap_file_pages", "mbind", "set_mempolicy", "get_mempolicy", "migrate_pages",
    "move_pages", "mlock2", "pkey_mprotect", "io_uring_register", "set_mempolicy_home_node",
    "map_shadow_stack", "mseal",
];

#[rustfmt::skip]
static PROCESS: &[&str] = &[
    "clone", "fork", "vfork", "execve", "exit", "exit_group", "wait4", "kill",
    "rt_sigqueueinfo", "tkill", "tgkill", "waitid", "rt_tgsigqueueinfo", "execveat",
    "pidfd_send_signal", "clone3",
];

#[rustfmt::skip]
static SIGNAL: &[&str] = &[
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "pause", "kill", "rt_sigpending",
    "rt_sigtimedwait", "rt_sigqueueinfo", "rt_sigsuspend", "sigaltstack", "tkill", "tgkill",
    "signalfd", "signalfd4", "rt_tgsigqueueinfo", "pidfd_send_signal", "io_uring_enter",
];

#[rustfmt::skip]
static NETWORK: &[&str] = &[
    "sendfile", "socket", "connect", "accept", "sendto", "recvfrom", "sendmsg", "recvmsg",
    "shutdown", "bind", "listen", "getsockname", "getpeername", "socketpair", "setsockopt",
    "getsockopt", "getpmsg", "putpmsg", "accept4", "recvmmsg", "sendmmsg",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_belong_together() {
        for (number_of, call) in [
            (0, "read"),
            (231, "exit_group"),
            (334, "rseq"),
            (435, "clone3"),
        ] {
            assert_eq!(name(number_of), Some(call));
            assert_eq!(number(call), Some(number_of));
        }
        assert_eq!(name(467), Some("open_tree_attr"));
        for gap in [335, 423, 468, u64::MAX] {
            assert_eq!(name(gap), None, "{gap}");
        }
        assert_eq!(number(""), None);
    }

    #[test]
    fn classes_name_calls() {
        for (class, calls) in CLASSES {
            for call in calls {
                assert!(number(call).is_some(), "{class}: {call}");
            }
        }
        assert!(class("file").is_some() && class("%file").is_none());
    }

    #[test]
    fn the_last_bit_is_for_all_further_numbers() {
        let mut set = CallSet::NONE;
        set.add(3);
        assert!(set.has(3) && !set.has(4) && !set.has(u64::MAX));
        assert!(!set.complement().has(3) && set.complement().has(u64::MAX));
        assert!(CallSet::ALL.has(511) && !CallSet::NONE.has(1 << 40));
    }
}
