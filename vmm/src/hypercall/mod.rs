//! Hypercalls: one file per call, dispatched by number.
//!
//! Arguments were copied from the call page before they get here; nothing is
//! read from it again. A handler answers with a status, or with the fault that
//! ends the guest where an argument cannot be right.

mod entropy;
mod exit;
mod log;
mod memory;
mod record;
mod rootfs;
mod stdin;
mod wait;

#[cfg(test)]
mod tests;

use unikiln_abi::call::{
    ENTROPY, EXIT, LOG, MEMORY_ADD, MEMORY_RELEASE, RECORD, ROOTFS_MAP, STDIN_READ, WAIT,
};
use unikiln_abi::stats::GuestStats;

use crate::clock::Clock;
use crate::events::Events;
use crate::fault::GuestFault;
use crate::layout::SHARED_PAGE_GPA;
use crate::log::Log;
use crate::memory::{GuestMemory, GuestSlice};
use crate::rootfs::Rootfs;
use crate::vm::SlotHost;

pub use entropy::fill as fill_entropy;
pub use exit::GuestExit;
pub use memory::ArenaSpace;
pub use stdin::Stdin;

/// Calls by number, for statistics and messages.
pub const CALL_NAMES: [&str; 10] = [
    "none",
    "log",
    "exit",
    "record",
    "memory_add",
    "memory_release",
    "wait",
    "entropy",
    "rootfs_map",
    "stdin_read",
];

/// Everything that hypercalls act on.
pub struct Host {
    /// Takes new memory slots. First, so that the VM goes before its memory.
    pub slots: Box<dyn SlotHost>,
    /// Arenas.
    pub memory: GuestMemory,
    /// Where the next arena goes.
    pub arenas: ArenaSpace,
    /// The unikernel file.
    pub rootfs: Rootfs,
    /// The log.
    pub log: Log,
    /// Standard input.
    pub stdin: Stdin,
    /// Clock.
    pub clock: Clock,
    /// Signals and timer.
    pub events: Events,
}

impl Host {
    /// The page that both sides write.
    pub fn shared_page(&self) -> Result<GuestSlice<'_>, GuestFault> {
        self.buffer("shared page", SHARED_PAGE_GPA, unikiln_abi::PAGE_BYTES)
    }

    /// Renews the clock where it is old.
    pub fn renew_clock(&mut self) -> Result<(), GuestFault> {
        let shared = self
            .memory
            .slice(SHARED_PAGE_GPA, unikiln_abi::PAGE_BYTES)
            .map_err(|_| GuestFault::BadBuffer {
                call: "clock",
                gpa: SHARED_PAGE_GPA,
                len_bytes: unikiln_abi::PAGE_BYTES,
            })?;
        self.clock.refresh_if_stale(&shared);
        Ok(())
    }

    fn buffer(
        &self,
        call: &'static str,
        gpa: u64,
        len_bytes: u64,
    ) -> Result<GuestSlice<'_>, GuestFault> {
        self.memory
            .slice(gpa, len_bytes)
            .map_err(|_| GuestFault::BadBuffer {
                call,
                gpa,
                len_bytes,
            })
    }
}

/// What follows a hypercall.
#[derive(Debug)]
pub enum Reply {
    /// The guest goes on with this status.
    Status(i64),
    /// The guest has ended.
    Exit(Box<(GuestExit, Option<GuestStats>)>),
}

/// Serves one hypercall.
pub fn dispatch(host: &mut Host, number: u32, args: [u64; 6]) -> Result<Reply, GuestFault> {
    let [first, second, third, fourth, ..] = args;
    let status = match number {
        LOG => log::handle(host, first, second, third)?,
        EXIT => {
            let ended = exit::handle(host, first, second, third, fourth)?;
            return Ok(Reply::Exit(Box::new(ended)));
        }
        RECORD => record::handle(host, first, second)?,
        MEMORY_ADD => memory::handle_add(host, first)?,
        MEMORY_RELEASE => memory::handle_release(host, first, second)?,
        WAIT => wait::handle(host, first, second)?,
        ENTROPY => entropy::handle(host, first, second)?,
        ROOTFS_MAP => rootfs::handle(host, first)?,
        STDIN_READ => stdin::handle(host, first, second, third)?,
        _ => return Err(GuestFault::UnknownCall { number }),
    };
    Ok(Reply::Status(status))
}

/// A host error as the guest sees it.
fn negated_errno(error: &std::io::Error) -> i64 {
    -i64::from(error.raw_os_error().unwrap_or(libc::EIO))
}
