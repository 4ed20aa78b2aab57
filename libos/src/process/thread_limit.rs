//! How many threads there may be: in a guest, in its container, of a user.
//! Source: setrlimit(2), RLIMIT_NPROC.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use super::capabilities::SYS_RESOURCE;
use super::{Thread, current, table};

/// Most threads of a guest (half of Linux's default for a small machine).
const THREADS_MAX: usize = 16_384;
/// RLIMIT_NPROC.
const LIMIT_NPROC: usize = 6;

/// How often the container's limit was reached.
static REACHED: AtomicU64 = AtomicU64::new(0);

/// How often one more was too many for the container.
pub fn reached() -> u64 {
    REACHED.load(Relaxed)
}

/// The container's limit.
pub fn limit_of_guest() -> Option<u32> {
    let limit = crate::boot::info().map_or(0, |info| info.pids_max);
    (limit != 0).then_some(limit)
}

/// What the running process may have.
#[derive(Debug)]
pub(super) struct Limit {
    all: usize,
    /// A user and how many of its threads may run. Root may have what there is.
    of_user: Option<(u32, u64)>,
}

impl Limit {
    /// Takes locks of the process.
    pub(super) fn of_current() -> Self {
        let all = limit_of_guest().map_or(THREADS_MAX, |limit| THREADS_MAX.min(limit as usize));
        let process = current();
        let limit = process.limits.lock().0[LIMIT_NPROC].0;
        let user = {
            let own = process.credentials.lock();
            let is_limited = own.uid != 0 && !own.capabilities.has(SYS_RESOURCE);
            (is_limited && limit < THREADS_MAX as u64).then_some(own.uid)
        };
        Self {
            all,
            of_user: user.map(|uid| (uid, limit.saturating_sub(table::zombies_of(uid) as u64))),
        }
    }

    /// Whether one more than the `count` of `threads` is too many.
    pub(super) fn is_reached(
        &self,
        count: usize,
        threads: impl Iterator<Item = &'static Thread>,
    ) -> bool {
        let of_user = |&(user, limit): &(u32, u64)| {
            // Counted only where it can matter.
            count as u64 >= limit && {
                let own = threads.filter(|thread| thread.process().credentials.lock().uid == user);
                own.count() as u64 >= limit
            }
        };
        if count >= self.all {
            REACHED.fetch_add(1, Relaxed);
            return true;
        }
        self.of_user.as_ref().is_some_and(of_user)
    }
}
