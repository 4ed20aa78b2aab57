//! Signal numbers: names, sets, default actions, codes in words.
//!
//! Source: signal(7), sigaction(2).

use linux_raw_sys::general::{
    SIGABRT, SIGALRM, SIGBUS, SIGCHLD, SIGCONT, SIGFPE, SIGHUP, SIGILL, SIGINT, SIGIO, SIGKILL,
    SIGPIPE, SIGPROF, SIGPWR, SIGQUIT, SIGSEGV, SIGSTKFLT, SIGSTOP, SIGSYS, SIGTERM, SIGTRAP,
    SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGUSR1, SIGUSR2, SIGVTALRM, SIGWINCH, SIGXCPU, SIGXFSZ,
};

/// Highest signal number.
pub const SIGNAL_MAX: u32 = 64;
/// First real-time signal: from here on every instance is queued.
pub const REAL_TIME_MIN: u32 = 32;

/// si_code of a signal that kill(2) sent.
pub const SI_USER: i32 = 0;
/// si_code of a signal that the kernel sent.
pub const SI_KERNEL: i32 = 0x80;
/// si_code of a signal that sigqueue(3) sent.
pub const SI_QUEUE: i32 = -1;
/// si_code of a signal that a POSIX timer sent.
pub const SI_TIMER: i32 = -2;
/// si_code of a signal that tkill(2) or tgkill(2) sent.
pub const SI_TKILL: i32 = -6;

/// What happens to a process that has no handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// It ends.
    Terminate,
    /// It ends, and a crash record says why.
    Core,
    /// Nothing.
    Ignore,
    /// It stops until SIGCONT.
    Stop,
}

/// The default action of signal(7).
pub fn default_action(signal: u32) -> Default {
    match signal {
        SIGQUIT | SIGILL | SIGTRAP | SIGABRT | SIGBUS | SIGFPE | SIGSEGV | SIGXCPU | SIGXFSZ
        | SIGSYS => Default::Core,
        SIGCHLD | SIGURG | SIGWINCH | SIGCONT => Default::Ignore,
        SIGSTOP | SIGTSTP | SIGTTIN | SIGTTOU => Default::Stop,
        _ => Default::Terminate,
    }
}

/// Linux's name; real-time signals share one.
pub fn name(signal: u32) -> &'static str {
    match signal {
        SIGHUP => "SIGHUP",
        SIGINT => "SIGINT",
        SIGQUIT => "SIGQUIT",
        SIGILL => "SIGILL",
        SIGTRAP => "SIGTRAP",
        SIGABRT => "SIGABRT",
        SIGBUS => "SIGBUS",
        SIGFPE => "SIGFPE",
        SIGKILL => "SIGKILL",
        SIGUSR1 => "SIGUSR1",
        SIGSEGV => "SIGSEGV",
        SIGUSR2 => "SIGUSR2",
        SIGPIPE => "SIGPIPE",
        SIGALRM => "SIGALRM",
        SIGTERM => "SIGTERM",
        SIGSTKFLT => "SIGSTKFLT",
        SIGCHLD => "SIGCHLD",
        SIGCONT => "SIGCONT",
        SIGSTOP => "SIGSTOP",
        SIGTSTP => "SIGTSTP",
        SIGTTIN => "SIGTTIN",
        SIGTTOU => "SIGTTOU",
        SIGURG => "SIGURG",
        SIGXCPU => "SIGXCPU",
        SIGXFSZ => "SIGXFSZ",
        SIGVTALRM => "SIGVTALRM",
        SIGPROF => "SIGPROF",
        SIGWINCH => "SIGWINCH",
        SIGIO => "SIGIO",
        SIGPWR => "SIGPWR",
        SIGSYS => "SIGSYS",
        32..=SIGNAL_MAX => "SIGRT",
        _ => "signal?",
    }
}

/// What a si_code means, for the first line of a crash record.
pub fn cause(signal: u32, code: i32) -> &'static str {
    match (signal, code) {
        (_, SI_USER) => "sent by kill",
        (_, SI_TKILL) => "raised by the program itself",
        (_, SI_QUEUE) => "sent by sigqueue",
        (_, SI_TIMER) => "sent by a timer",
        (SIGSEGV, 1) => "address not mapped",
        (SIGSEGV, 2) => "access not allowed",
        (SIGSEGV, SI_KERNEL) => "general protection",
        (SIGBUS, 1) => "misaligned access",
        (SIGBUS, 2) => "past the end of the mapped file",
        (SIGBUS, SI_KERNEL) => "stack segment fault",
        (SIGILL, _) => "illegal instruction",
        (SIGFPE, 1) => "integer division by zero",
        (SIGFPE, 2) => "integer overflow",
        (SIGFPE, 3) => "floating-point division by zero",
        (SIGFPE, 4) => "floating-point overflow",
        (SIGFPE, 5) => "floating-point underflow",
        (SIGFPE, 6) => "inexact floating-point result",
        (SIGFPE, 7) => "invalid floating-point operation",
        (SIGTRAP, 2) => "single step",
        (SIGTRAP, _) => "breakpoint",
        (_, SI_KERNEL) => "sent by the kernel",
        _ => "unknown cause",
    }
}

/// A set of signals as the kernel's sigset_t has it: bit `n - 1` for signal `n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Set(u64);

impl Set {
    /// No signal.
    pub const EMPTY: Set = Set(0);
    /// The two that can be neither caught, blocked nor ignored.
    pub const UNBLOCKABLE: Set = Set(1 << (SIGKILL - 1) | 1 << (SIGSTOP - 1));
    /// Those that stop a process.
    pub const STOPPING: Set =
        Set(1 << (SIGSTOP - 1) | 1 << (SIGTSTP - 1) | 1 << (SIGTTIN - 1) | 1 << (SIGTTOU - 1));
    /// Those that an instruction raises; they are delivered before others.
    pub const SYNCHRONOUS: Set = Set(1 << (SIGSEGV - 1)
        | 1 << (SIGBUS - 1)
        | 1 << (SIGILL - 1)
        | 1 << (SIGTRAP - 1)
        | 1 << (SIGFPE - 1)
        | 1 << (SIGSYS - 1));

    /// From the kernel's representation.
    pub const fn from_bits(bits: u64) -> Set {
        Set(bits)
    }
    /// To the kernel's representation.
    pub const fn bits(self) -> u64 {
        self.0
    }
    /// A set of one.
    pub fn of(signal: u32) -> Set {
        if is_signal(signal) {
            Set(1 << (signal - 1))
        } else {
            Set(0)
        }
    }
    /// Whether `signal` is in it.
    pub fn has(self, signal: u32) -> bool {
        self.0 & Set::of(signal).0 != 0
    }
    /// Both.
    pub const fn union(self, other: Set) -> Set {
        Set(self.0 | other.0)
    }
    /// Without those of `other`.
    pub const fn without(self, other: Set) -> Set {
        Set(self.0 & !other.0)
    }
    /// Only those that are in `other` too.
    pub const fn intersection(self, other: Set) -> Set {
        Set(self.0 & other.0)
    }
    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// The one to deliver first: synchronous ones, then the lowest number.
    pub fn first(self) -> Option<u32> {
        let urgent = self.intersection(Set::SYNCHRONOUS);
        let from = if urgent.is_empty() { self } else { urgent };
        (!from.is_empty()).then(|| from.0.trailing_zeros() + 1)
    }
}

/// Whether the number is a signal's.
pub const fn is_signal(signal: u32) -> bool {
    signal >= 1 && signal <= SIGNAL_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_hold_signals_at_both_ends() {
        assert_eq!(Set::of(1).bits(), 1);
        assert_eq!(Set::of(64).bits(), 1 << 63);
        assert_eq!(Set::of(0), Set::EMPTY);
        assert_eq!(Set::of(65), Set::EMPTY);
        assert!(Set::UNBLOCKABLE.has(9) && Set::UNBLOCKABLE.has(19));
    }

    #[test]
    fn faults_go_before_lower_numbers() {
        let set = Set::of(1).union(Set::of(SIGSEGV)).union(Set::of(40));
        assert_eq!(set.first(), Some(SIGSEGV));
        assert_eq!(set.without(Set::of(SIGSEGV)).first(), Some(1));
        assert_eq!(Set::EMPTY.first(), None);
    }

    #[test]
    fn defaults_are_those_of_the_manual() {
        assert_eq!(default_action(SIGTERM), Default::Terminate);
        assert_eq!(default_action(SIGABRT), Default::Core);
        assert_eq!(default_action(SIGWINCH), Default::Ignore);
        assert_eq!(default_action(SIGTSTP), Default::Stop);
        assert_eq!(default_action(40), Default::Terminate);
    }
}
