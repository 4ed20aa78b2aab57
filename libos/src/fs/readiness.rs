//! The queue that `poll`, `select` and `epoll_wait` sleep on.
//!
//! One queue for all: whatever changes a file's readiness wakes it, and the
//! sleepers look at their files again.

use crate::sched::WaitQueue;

/// Woken whenever the readiness of any file changes.
pub static CHANGED: WaitQueue = WaitQueue::new();

/// The readiness of a file changed.
pub fn changed() {
    CHANGED.wake_all();
}
