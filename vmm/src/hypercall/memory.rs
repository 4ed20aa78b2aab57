//! `MEMORY_ADD [bytes]` and `MEMORY_RELEASE [gpa, len]`: arenas grow and shrink.
//!
//! Arenas come one after the other from 4 GiB up. Together with the boot arena
//! they may reach the memory limit, rounded up to 2 MiB, and
//! [`ARENA_SLACK_BYTES`] more; what is in use is the libOS's to limit.

use unikiln_abi::LARGE_PAGE_BYTES;

use super::{Host, lock};
use crate::fault::GuestFault;
use crate::layout::{ARENA_SLACK_BYTES, ARENAS_GPA, ARENAS_MAX, align_up};
use crate::memory::{Arena, Backing, GuestAddress};

const ENOMEM: i64 = -(libc::ENOMEM as i64);

/// Where arenas may go.
#[derive(Clone, Copy, Debug)]
pub struct ArenaSpace {
    next_gpa: u64,
    end_gpa: u64,
    limit_bytes: u64,
}

impl ArenaSpace {
    /// Arenas for this memory limit, below `end_gpa`.
    pub fn new(memory_limit_bytes: u64, end_gpa: u64) -> Self {
        Self {
            next_gpa: ARENAS_GPA,
            end_gpa,
            limit_bytes: align_up(memory_limit_bytes, LARGE_PAGE_BYTES) + ARENA_SLACK_BYTES,
        }
    }

    /// Arenas may reach another memory limit from now on; false where there is no
    /// guest-physical space for it.
    pub fn set_limit(&mut self, memory_limit_bytes: u64) -> bool {
        let limit_bytes =
            align_up(memory_limit_bytes, LARGE_PAGE_BYTES).saturating_add(ARENA_SLACK_BYTES);
        let fits = ARENAS_GPA.saturating_add(limit_bytes) <= self.end_gpa;
        if fits {
            self.limit_bytes = limit_bytes;
        }
        fits
    }

    /// The address of an arena of `bytes`, when `used_bytes` are in arenas already.
    fn place(&self, bytes: u64, used_bytes: u64) -> Option<u64> {
        let total = used_bytes.checked_add(bytes)?;
        let end = self.next_gpa.checked_add(bytes)?;
        (total <= self.limit_bytes && end <= self.end_gpa).then_some(self.next_gpa)
    }
}

pub(super) fn handle_add(host: &Host, bytes: u64) -> Result<i64, GuestFault> {
    if bytes == 0 || !bytes.is_multiple_of(LARGE_PAGE_BYTES) {
        return Err(GuestFault::BadArgument {
            call: "memory_add",
            name: "size",
            value: bytes,
        });
    }
    let mut growth = lock(&host.growth);
    if host.memory.arenas().count() >= ARENAS_MAX {
        return Ok(ENOMEM);
    }
    let Some(gpa) = growth.arenas.place(bytes, host.memory.total_bytes()) else {
        return Ok(ENOMEM);
    };
    let arena = match Arena::new(GuestAddress(gpa), bytes, Backing::HugePages) {
        Ok(arena) => arena,
        Err(error) => return Ok(refused(host, bytes, &error)),
    };
    if let Err(error) = host.slots.add_slot(gpa, arena.region(), false) {
        return Ok(refused(host, bytes, &error));
    }
    if !host.memory.insert(arena) {
        return Ok(ENOMEM);
    }
    growth.arenas.next_gpa = gpa + bytes;
    Ok(gpa as i64)
}

/// The host has no memory for the guest, below the guest's own limit: whoever
/// reads of an allocation that failed must find the cause in the same log.
fn refused(host: &Host, bytes: u64, error: &dyn std::error::Error) -> i64 {
    let cause = error.source().map(|source| format!(": {source}"));
    let line = format!(
        "unikiln: the host refuses {bytes} bytes of memory for the guest: {error}{}\n",
        cause.unwrap_or_default()
    );
    // Where the log fails there is nobody to tell.
    let _ = lock(&host.log).write_text(&line);
    ENOMEM
}

pub(super) fn handle_release(host: &Host, gpa: u64, len_bytes: u64) -> Result<i64, GuestFault> {
    host.memory
        .release(gpa, len_bytes)
        .map(|()| 0)
        .map_err(|_| GuestFault::BadBuffer {
            call: "memory_release",
            gpa,
            len_bytes,
        })
}
