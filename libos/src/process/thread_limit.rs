//! How many threads there may be: in a guest, in its container, of a user.
//! Source: setrlimit(2), RLIMIT_NPROC.

use super::capabilities::SYS_RESOURCE;
use super::{Thread, current};

/// Most threads of a guest (half of Linux's default for a small machine).
const THREADS_MAX: usize = 16_384;
/// RLIMIT_NPROC.
const LIMIT_NPROC: usize = 6;

/// What the running process may have.
#[derive(Debug)]
pub(super) struct Limit {
    all: usize,
    /// A user and what it may have. Root may have what there is.
    of_user: Option<(u32, u64)>,
}

impl Limit {
    /// Takes locks of the process.
    pub(super) fn of_current() -> Self {
        let all = match crate::boot::info().map_or(0, |info| info.pids_max) {
            0 => THREADS_MAX,
            limit => THREADS_MAX.min(limit as usize),
        };
        let process = current();
        let limit = process.limits.lock().0[LIMIT_NPROC].0;
        let own = process.credentials.lock();
        let is_limited = own.uid != 0 && !own.capabilities.has(SYS_RESOURCE);
        Self {
            all,
            of_user: is_limited.then_some((own.uid, limit)),
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
        count >= self.all || self.of_user.as_ref().is_some_and(of_user)
    }
}
