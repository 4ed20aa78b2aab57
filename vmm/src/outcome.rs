//! How a guest ended, and the exit code that says so.
//!
//! | code | meaning |
//! |---|---|
//! | 0..=255 | the program's own |
//! | 125 | the monitor failed, or the guest could not be started on it |
//! | 126, 127 | the program is not executable, was not found |
//! | 128+N | signal N ended the program (139: SIGSEGV) |
//! | 134 | the libOS failed, or the monitor found a fault of the guest (as SIGABRT) |
//! | 137 | the memory limit ended it (as SIGKILL) |

use crate::fault::GuestFault;
use crate::hypercall::GuestExit;
use crate::stats::Stats;

/// Exit code of the monitor's own failures.
pub const CODE_OWN_FAILURE: i32 = 125;
/// Exit code of a libOS failure or a guest fault.
pub const CODE_ABORT: i32 = 134;
/// Exit code where the memory limit ended the program.
pub const CODE_OOM: i32 = 137;

/// Why a guest ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// The libOS said so.
    Guest(GuestExit),
    /// The monitor ended it.
    Fault(GuestFault),
}

impl ExitReason {
    /// The exit code of the table above.
    pub fn code(&self) -> i32 {
        match *self {
            Self::Guest(GuestExit::Exited(code) | GuestExit::ExecFailed(code)) => code.into(),
            Self::Guest(GuestExit::Signaled(signal)) => 128 + i32::from(signal),
            Self::Guest(GuestExit::OomKilled) => CODE_OOM,
            Self::Guest(GuestExit::LibosPanic) | Self::Fault(_) => CODE_ABORT,
            Self::Guest(GuestExit::MemoryTooSmall | GuestExit::WrongAbi(_)) => CODE_OWN_FAILURE,
        }
    }
}

/// The end of a run.
#[derive(Debug)]
pub struct Outcome {
    /// What a shell sees.
    pub exit_code: i32,
    /// Why.
    pub reason: ExitReason,
    /// First line of a crash record, or why there was no program; may be empty.
    pub message: String,
    /// Whether the program ran, where [`crate::Config::on_start`] was to be told.
    pub has_started: bool,
    /// What it cost.
    pub stats: Stats,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_follow_docker() {
        for (reason, code) in [
            (ExitReason::Guest(GuestExit::Exited(7)), 7),
            (ExitReason::Guest(GuestExit::Signaled(11)), 139),
            (ExitReason::Guest(GuestExit::Signaled(15)), 143),
            (ExitReason::Guest(GuestExit::OomKilled), 137),
            (ExitReason::Guest(GuestExit::LibosPanic), 134),
            (ExitReason::Guest(GuestExit::ExecFailed(127)), 127),
            (ExitReason::Guest(GuestExit::MemoryTooSmall), 125),
            (ExitReason::Guest(GuestExit::WrongAbi(2)), 125),
            (ExitReason::Fault(GuestFault::TripleFault), 134),
        ] {
            assert_eq!(reason.code(), code);
        }
    }
}
