//! What the process's resource limits let its address space grow to.

use linux_raw_sys::general::{RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK, RLIMIT_STACK};

use super::space::Space;
use super::vma::Area;
use crate::errno::Errno;
use crate::process::{self, INFINITY};

fn soft(resource: u32) -> u64 {
    let limits = process::current().limits.lock();
    limits
        .0
        .get(resource as usize)
        .map_or(INFINITY, |limit| limit.0)
}

/// RLIMIT_STACK: what an area that grows down may grow to.
pub(super) fn stack_bytes() -> u64 {
    soft(RLIMIT_STACK)
}

/// RLIMIT_DATA.
pub(super) fn data_bytes() -> u64 {
    soft(RLIMIT_DATA)
}

/// Bytes that may be locked; CAP_IPC_LOCK knows no limit.
pub fn locked_bytes() -> u64 {
    if process::current().credentials.lock().euid == 0 {
        INFINITY
    } else {
        soft(RLIMIT_MEMLOCK)
    }
}

impl Space {
    /// Whether `bytes` more fit, `is_data` of them private and writable, where
    /// `start..end` is taken away first.
    ///
    /// # Errors
    /// ENOMEM.
    pub(super) fn check_growth(
        &self,
        bytes: u64,
        is_data: bool,
        (start, end): (u64, u64),
    ) -> Result<(), Errno> {
        let exceeds = |limit: u64, counts: fn(&Area) -> bool| {
            // Areas are only walked where there is a limit.
            limit != INFINITY && {
                let replaced = self.areas.overlapping(start, end).filter(|a| counts(a));
                let replaced = replaced.map(|area| area.part(start, end).len()).sum();
                let kept = self.areas.bytes_of(counts).saturating_sub(replaced);
                kept.saturating_add(bytes) > limit
            }
        };
        if exceeds(soft(RLIMIT_AS), |_| true) || is_data && exceeds(data_bytes(), Area::is_data) {
            return Err(Errno::ENOMEM);
        }
        Ok(())
    }

    /// Whether `bytes` more may be locked.
    ///
    /// # Errors
    /// EAGAIN.
    pub(super) fn check_locked(&self, bytes: u64) -> Result<(), Errno> {
        let limit = locked_bytes();
        let over = || self.locked_bytes().saturating_add(bytes) > limit;
        if limit != INFINITY && over() {
            return Err(Errno::EAGAIN);
        }
        Ok(())
    }

    /// Bytes of locked areas (VmLck).
    pub fn locked_bytes(&self) -> u64 {
        self.areas.bytes_of(|area| area.traits.locked)
    }
}
