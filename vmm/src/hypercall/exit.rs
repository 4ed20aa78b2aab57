//! `EXIT [reason, code, stats_gpa, stats_len]`: the guest has ended.

use unikiln_abi::exit::{
    EXEC_FAILED, EXITED, LIBOS_PANIC, MEMORY_TOO_SMALL, OOM_KILLED, SIGNALED, WRONG_ABI,
};
use unikiln_abi::stats::GuestStats;

use super::Host;
use crate::fault::GuestFault;

/// Highest signal number.
const SIGNAL_MAX: u64 = 64;

/// Why the libOS ended the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestExit {
    /// The program exited with this code.
    Exited(u8),
    /// This signal ended the program.
    Signaled(u8),
    /// The memory limit ended it.
    OomKilled,
    /// The libOS failed.
    LibosPanic,
    /// The program could not be started: 126 or 127.
    ExecFailed(u8),
    /// The memory limit is too small to start.
    MemoryTooSmall,
    /// The libOS is of this other ABI version.
    WrongAbi(u64),
}

pub(super) fn handle(
    host: &Host,
    reason: u64,
    code: u64,
    stats_gpa: u64,
    stats_bytes: u64,
) -> Result<(GuestExit, Option<GuestStats>), GuestFault> {
    let bad = |name, value| GuestFault::BadArgument {
        call: "exit",
        name,
        value,
    };
    let exit = match (reason, code) {
        (EXITED, 0..=255) => GuestExit::Exited(code as u8),
        (SIGNALED, 1..=SIGNAL_MAX) => GuestExit::Signaled(code as u8),
        (OOM_KILLED, _) => GuestExit::OomKilled,
        (LIBOS_PANIC, _) => GuestExit::LibosPanic,
        (EXEC_FAILED, 125..=127) => GuestExit::ExecFailed(code as u8),
        (MEMORY_TOO_SMALL, _) => GuestExit::MemoryTooSmall,
        (WRONG_ABI, _) => GuestExit::WrongAbi(code),
        (0..=WRONG_ABI, _) => return Err(bad("code", code)),
        _ => return Err(bad("reason", reason)),
    };
    let stats = match stats_bytes {
        0 => None,
        // A shorter or longer structure is another version's: ABI_VERSION was checked.
        _ if stats_bytes != size_of::<GuestStats>() as u64 => {
            return Err(bad("statistics length", stats_bytes));
        }
        _ => {
            let read = host.memory.read_plain::<GuestStats>(stats_gpa);
            Some(read.map_err(|_| GuestFault::BadBuffer {
                call: "exit",
                gpa: stats_gpa,
                len_bytes: stats_bytes,
            })?)
        }
    };
    Ok((exit, stats))
}
