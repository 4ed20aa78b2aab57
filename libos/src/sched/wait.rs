//! Wait queues, and the wait itself.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use spin::Mutex;

use super::{deadline, run};
use crate::errno::Errno;
use crate::process::{self, State, Thread};
use crate::signal::{self, Interruption};
use crate::{strace, time};

/// Those who wait for one thing.
#[derive(Default)]
pub struct WaitQueue {
    waiting: Mutex<Vec<&'static Thread>>,
    /// Length, to look at without the lock.
    count: AtomicUsize,
}

impl core::fmt::Debug for WaitQueue {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "WaitQueue({})", self.count.load(SeqCst))
    }
}

/// Threads that wait for standard input.
static STDIN: WaitQueue = WaitQueue::new();

impl WaitQueue {
    /// Nobody waits.
    pub const fn new() -> WaitQueue {
        WaitQueue {
            waiting: Mutex::new(Vec::new()),
            count: AtomicUsize::new(0),
        }
    }

    /// Everybody who waits looks again.
    pub fn wake_all(&self) {
        // A waiter registers before it looks: who is not seen here sees the change.
        core::sync::atomic::fence(SeqCst);
        if self.count.load(SeqCst) == 0 {
            return;
        }
        let waiting = {
            let mut waiting = self.waiting.lock();
            self.count.store(0, SeqCst);
            core::mem::take(&mut *waiting)
        };
        for thread in waiting {
            run::wake(thread);
        }
    }

    /// The one who waits longest looks again.
    pub fn wake_one(&self) {
        core::sync::atomic::fence(SeqCst);
        if self.count.load(SeqCst) == 0 {
            return;
        }
        let first = {
            let mut waiting = self.waiting.lock();
            let first = (!waiting.is_empty()).then(|| waiting.remove(0));
            self.count.store(waiting.len(), SeqCst);
            first
        };
        if let Some(thread) = first {
            run::wake(thread);
        }
    }

    fn add(&self, thread: &'static Thread) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting.try_reserve(1).is_err() {
            return false;
        }
        waiting.push(thread);
        self.count.store(waiting.len(), SeqCst);
        true
    }

    fn remove(&self, thread: &'static Thread) {
        if self.count.load(SeqCst) == 0 {
            return;
        }
        let mut waiting = self.waiting.lock();
        waiting.retain(|other| !core::ptr::eq(*other, thread));
        self.count.store(waiting.len(), SeqCst);
    }
}

/// Whether a thread waits for standard input.
pub(super) fn waits_for_stdin() -> bool {
    STDIN.count.load(SeqCst) > 0
}

/// Standard input has bytes or has ended.
pub(super) fn wake_stdin() {
    STDIN.wake_all();
}

/// Runs `poll` until it gives a value, sleeping in between.
///
/// # Errors
/// EINTR when a signal wants to be delivered; ETIMEDOUT at `deadline_ns`
/// (CLOCK_MONOTONIC).
pub fn wait<T>(
    queue: &WaitQueue,
    deadline_ns: Option<u64>,
    poll: impl FnMut() -> Option<T>,
) -> Result<T, Errno> {
    wait_any(&[queue], deadline_ns, poll)
}

/// Like [`wait`], but looks again also when standard input has something.
///
/// # Errors
/// As [`wait`].
pub fn wait_stdin<T>(
    queue: &WaitQueue,
    deadline_ns: Option<u64>,
    poll: impl FnMut() -> Option<T>,
) -> Result<T, Errno> {
    wait_any(&[queue, &STDIN], deadline_ns, poll)
}

/// Like [`wait`], without an end by a signal or by time: only `poll` ends it.
pub fn wait_deaf<T>(queue: &WaitQueue, mut poll: impl FnMut() -> Option<T>) -> T {
    let me = process::thread();
    loop {
        me.set_state(State::Waiting);
        let is_registered = queue.add(me);
        let outcome = poll();
        if outcome.is_none() && is_registered {
            strace::suspend();
            run::block();
        }
        me.set_state(State::Running);
        queue.remove(me);
        match outcome {
            Some(outcome) => return outcome,
            // No memory to be remembered: looks again and again.
            None if !is_registered => run::yield_now(),
            None => {}
        }
    }
}

/// Sleeps until `is_over`, which is looked at when somebody interrupts the thread.
pub fn rest(mut is_over: impl FnMut() -> bool) {
    let me = process::thread();
    loop {
        me.set_state(State::Waiting);
        let ends = is_over();
        if !ends {
            strace::suspend();
            run::block();
        }
        me.set_state(State::Running);
        if ends {
            return;
        }
    }
}

/// Like [`wait`], in several queues at once.
///
/// # Errors
/// As [`wait`].
pub fn wait_any<T>(
    queues: &[&WaitQueue],
    deadline_ns: Option<u64>,
    mut poll: impl FnMut() -> Option<T>,
) -> Result<T, Errno> {
    let me = process::thread();
    loop {
        let mut stops = false;
        me.set_state(State::Waiting);
        let registered = queues.iter().all(|queue| queue.add(me));
        let outcome = match poll() {
            Some(value) => Some(Ok(value)),
            None if !registered => Some(Err(Errno::ENOMEM)),
            None => match signal::interruption(deadline_ns.is_some()) {
                Interruption::Ends => Some(Err(Errno::EINTR)),
                Interruption::Stops => {
                    stops = true;
                    None
                }
                Interruption::None if deadline_ns.is_some_and(|at| time::monotonic_ns() >= at) => {
                    Some(Err(Errno::ETIMEDOUT))
                }
                Interruption::None => None,
            },
        };
        if outcome.is_none() && !stops {
            strace::suspend();
            if let Some(at) = deadline_ns {
                deadline::add(at, me);
            }
            run::block();
            if let Some(at) = deadline_ns {
                deadline::remove(at, me);
            }
        }
        // Whoever wakes from here on finds a running thread, and lets it be.
        me.set_state(State::Running);
        for queue in queues {
            queue.remove(me);
        }
        if let Some(outcome) = outcome {
            return outcome;
        }
        if stops {
            signal::stop_here();
        }
    }
}
