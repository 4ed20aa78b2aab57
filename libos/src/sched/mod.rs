//! Blocking and waking.
//!
//! One thread for now: to block is to ask the monitor to wait, so a queue has
//! nobody else to hold. The interface is that of several threads: whoever
//! changes what others may wait for calls [`WaitQueue::wake_all`].

use unikiln_abi::call::EVENT_STDIN;

use crate::errno::Errno;
use crate::{boot, hypercall, signal, time};

/// Processors that the guest has.
pub fn cpu_count() -> u32 {
    boot::info().map_or(1, |info| info.vcpu_count.max(1))
}

/// Those who wait for one thing.
#[derive(Debug, Default)]
pub struct WaitQueue;

impl WaitQueue {
    /// Nobody waits.
    pub const fn new() -> WaitQueue {
        WaitQueue
    }

    /// Everybody who waits looks again.
    pub fn wake_all(&self) {}
}

/// Runs `poll` until it gives a value, sleeping in between.
///
/// # Errors
/// EINTR when a signal wants to be delivered; ETIMEDOUT at `deadline_ns`
/// (CLOCK_MONOTONIC).
pub fn wait<T>(
    _queue: &WaitQueue,
    deadline_ns: Option<u64>,
    poll: impl FnMut() -> Option<T>,
) -> Result<T, Errno> {
    wait_for(deadline_ns, 0, poll)
}

/// Like [`wait`], but looks again also when standard input has something.
///
/// # Errors
/// As [`wait`].
pub fn wait_stdin<T>(
    deadline_ns: Option<u64>,
    poll: impl FnMut() -> Option<T>,
) -> Result<T, Errno> {
    wait_for(deadline_ns, EVENT_STDIN, poll)
}

fn wait_for<T>(
    deadline_ns: Option<u64>,
    interest: u64,
    mut poll: impl FnMut() -> Option<T>,
) -> Result<T, Errno> {
    loop {
        if let Some(value) = poll() {
            return Ok(value);
        }
        if signal::has_pending() {
            return Err(Errno::EINTR);
        }
        if deadline_ns.is_some_and(|deadline| time::monotonic_ns() >= deadline) {
            return Err(Errno::ETIMEDOUT);
        }
        // An alarm of the program ends the wait too.
        hypercall::wait(signal::timer::earliest(deadline_ns), interest);
    }
}
