//! A running guest as others in the monitor see it: who wants it to get a signal, to tell
//! what it uses, to have another memory limit.

use std::collections::BTreeMap;
use std::mem::offset_of;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use serde::{Deserialize, Serialize};
use unikiln_abi::PAGE_BYTES;
use unikiln_abi::call::EVENT_KICK;
use unikiln_abi::shared::SharedPage;
use vm_memory::VolatileMemory;

use super::{Machine, Shared};
use crate::hypercall::{GuestExit, lock};
use crate::layout::SHARED_PAGE_GPA;
use crate::log::Reopener;
use crate::memory::GuestSlice;
use crate::outcome::ExitReason;

/// A handle of a guest, which may have ended.
#[derive(Clone)]
pub struct Remote {
    guest: Weak<Shared>,
    log: Option<Reopener>,
}

/// What a guest uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Bytes of memory, the libOS included.
    pub memory_used_bytes: u64,
    /// Most of it so far.
    pub memory_peak_bytes: u64,
    /// The limit.
    pub memory_limit_bytes: u64,
    /// Bytes of files made or changed in the root file system and others in memory.
    pub upper_bytes: u64,
    /// Inodes of the root file system that are not the image's any more.
    pub upper_inodes: u64,
    /// Threads.
    pub threads: u64,
    /// Exits of all vCPUs by reason.
    pub exits: BTreeMap<String, u64>,
}

/// Why a limit cannot be changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// The guest is gone.
    #[error("the guest has ended")]
    Ended,
    /// It uses more.
    #[error(
        "the guest uses {used_bytes} bytes of memory, more than the new limit of {limit_bytes}; free some of it first"
    )]
    InUse {
        /// What it uses.
        used_bytes: u64,
        /// What was asked for.
        limit_bytes: u64,
    },
    /// There is no guest-physical space for it.
    #[error("{limit_bytes} bytes of memory do not fit into the guest's address space")]
    DoesNotFit {
        /// What was asked for.
        limit_bytes: u64,
    },
}

impl Machine {
    /// A handle for others.
    pub fn remote(&self) -> Remote {
        Remote {
            guest: Arc::downgrade(&self.shared),
            log: lock(&self.shared.host.log).reopener(),
        }
    }
}

impl Remote {
    /// Sends the program a signal; nothing where it has ended. SIGKILL ends the guest
    /// whatever it does.
    pub fn signal(&self, signal: u32) {
        let Some(guest) = self.guest.upgrade() else {
            return;
        };
        if signal == libc::SIGKILL as u32 {
            let killed = ExitReason::Guest(GuestExit::Signaled(signal as u8));
            guest.finish(Ok((killed, None)));
            return;
        }
        crate::events::post(signal);
        guest.host.vcpus.call(1, EVENT_KICK);
    }

    /// What opens the log anew.
    pub fn log(&self) -> Option<&Reopener> {
        self.log.as_ref()
    }

    /// What the guest uses; none once it has ended.
    pub fn usage(&self) -> Option<Usage> {
        let guest = self.guest.upgrade()?;
        let shared = guest.host.memory.slice(SHARED_PAGE_GPA, PAGE_BYTES).ok()?;
        let count = |offset| {
            let word = shared.get_atomic_ref::<AtomicU64>(offset);
            word.map_or(0, |word| word.load(Ordering::Relaxed))
        };
        let exits = lock(&guest.recorder).exits();
        Some(Usage {
            memory_used_bytes: count(offset_of!(SharedPage, memory_used_bytes)),
            memory_peak_bytes: count(offset_of!(SharedPage, memory_peak_bytes)),
            memory_limit_bytes: guest.memory_bytes.load(Ordering::Relaxed),
            upper_bytes: count(offset_of!(SharedPage, upper_pages)).saturating_mul(PAGE_BYTES),
            upper_inodes: count(offset_of!(SharedPage, upper_inodes)),
            threads: count(offset_of!(SharedPage, threads)),
            exits: exits.into_iter().map(|(k, n)| (k.to_owned(), n)).collect(),
        })
    }

    /// Gives the guest another memory limit: its MemTotal, enforced from now on.
    ///
    /// # Errors
    /// The old limit stays where it uses more, or where the new one does not fit.
    pub fn set_memory(&self, limit_bytes: u64) -> Result<(), UpdateError> {
        let used = self.usage().ok_or(UpdateError::Ended)?.memory_used_bytes;
        let guest = self.guest.upgrade().ok_or(UpdateError::Ended)?;
        let limit_bytes = limit_bytes / PAGE_BYTES * PAGE_BYTES;
        if used > limit_bytes {
            return Err(UpdateError::InUse {
                used_bytes: used,
                limit_bytes,
            });
        }
        if !lock(&guest.host.growth).arenas.set_limit(limit_bytes) {
            return Err(UpdateError::DoesNotFit { limit_bytes });
        }
        guest.memory_bytes.store(limit_bytes, Ordering::Relaxed);
        if let Ok(shared) = guest.host.memory.slice(SHARED_PAGE_GPA, PAGE_BYTES) {
            set_memory_limit(&shared, limit_bytes);
        }
        Ok(())
    }
}

/// Tells the libOS.
pub(super) fn set_memory_limit(shared: &GuestSlice<'_>, limit_bytes: u64) {
    let offset = offset_of!(SharedPage, memory_limit_bytes);
    // The monitor planned the page, so the word is there.
    if let Ok(word) = shared.get_atomic_ref::<AtomicU64>(offset) {
        word.store(limit_bytes, Ordering::Relaxed);
    }
}
