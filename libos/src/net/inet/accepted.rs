//! Connections that the host gave and the program did not accept yet: a call to the
//! monitor takes all that wait, up to some.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use spin::Mutex;

use super::{InetSocket, options};

/// Those of one listening socket, oldest first.
#[derive(Default)]
pub(super) struct Accepted {
    waiting: Mutex<VecDeque<InetSocket>>,
    /// How many, to look at without the lock.
    count: AtomicUsize,
    /// The last accept found one.
    gave: AtomicBool,
}

impl Accepted {
    /// Whether one waits.
    pub(super) fn is_any(&self) -> bool {
        self.count.load(SeqCst) > 0
    }

    /// The oldest one.
    pub(super) fn take(&self) -> Option<InetSocket> {
        if !self.is_any() {
            return None;
        }
        let mut waiting = self.waiting.lock();
        let next = waiting.pop_front();
        self.count.store(waiting.len(), SeqCst);
        next
    }

    /// The first of `sockets`; the others wait.
    pub(super) fn add(&self, mut sockets: impl Iterator<Item = InetSocket>) -> Option<InetSocket> {
        let first = sockets.next();
        // With nothing locked, as one that cannot be kept is closed.
        let others: Vec<InetSocket> = sockets.collect();
        let mut waiting = self.waiting.lock();
        waiting.extend(others);
        self.count.store(waiting.len(), SeqCst);
        first
    }

    /// Notes whether an accept found one.
    pub(super) fn note(&self, gave: bool) {
        self.gave.store(gave, SeqCst);
    }

    /// Whether the last accept found one; asked once.
    pub(super) fn just_gave(&self) -> bool {
        self.gave.swap(false, SeqCst)
    }

    /// Nobody accepts them any more: their other ends learn of it.
    pub(super) fn reset_all(&self) {
        while let Some(socket) = self.take() {
            options::abort_on_close(&socket.0);
        }
    }
}
