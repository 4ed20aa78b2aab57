//! How many descriptors of the host a guest may make the monitor hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::io::Errno;

/// Descriptors that the monitor keeps for itself.
const OWN: u64 = 128;
/// Most for the guest, whatever the process may open.
const GUEST_MAX: u64 = 65_536;

/// The limit of one guest, and what it has.
#[derive(Debug)]
pub(super) struct Limit {
    most: usize,
    held: AtomicUsize,
}

/// One descriptor of it; given back when dropped.
#[derive(Debug)]
pub(super) struct Slot(Arc<Limit>);

impl Limit {
    /// What this process may open beyond its own needs; its soft limit is raised first.
    pub(super) fn of_process() -> Self {
        Self::new(raise_soft_limit().saturating_sub(OWN).min(GUEST_MAX) as usize)
    }

    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            held: AtomicUsize::new(0),
        }
    }

    /// Room for one more.
    ///
    /// # Errors
    /// ENFILE.
    pub(super) fn take(self: &Arc<Self>) -> Result<Slot, Errno> {
        let slot = Slot(Arc::clone(self));
        if self.held.fetch_add(1, Ordering::Relaxed) >= self.most {
            return Err(Errno::NFILE);
        }
        Ok(slot)
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The number of descriptors that this process may have from now on.
#[expect(unsafe_code, reason = "limits are read and set by pointer")]
fn raise_soft_limit() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the structure lives until the calls return.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) != 0 {
            return 1024;
        }
        let wanted = libc::rlimit {
            rlim_cur: limit.rlim_max.min(GUEST_MAX + OWN).max(limit.rlim_cur),
            ..limit
        };
        if libc::setrlimit(libc::RLIMIT_NOFILE, &raw const wanted) == 0 {
            wanted.rlim_cur
        } else {
            limit.rlim_cur
        }
    }
}
