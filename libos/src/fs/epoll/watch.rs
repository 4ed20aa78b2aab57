//! What an event poll knows of one file: [`Watch`], and what it shares with its
//! watches: [`Core`].

use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use hashbrown::HashMap;
use linux_raw_sys::general::{
    EPOLLET, EPOLLEXCLUSIVE, EPOLLIN, EPOLLONESHOT, EPOLLOUT, EPOLLWAKEUP,
};
use spin::Mutex;

use super::super::open_file::OpenFile;
use super::super::readiness::{Watcher, Watchers};
use crate::sched::WaitQueue;

/// Bits of an event mask that are not events.
pub(super) const BEHAVIOR: u32 = EPOLLET | EPOLLONESHOT | EPOLLWAKEUP | EPOLLEXCLUSIVE;

/// What is asked of a watched file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    /// `EPOLL*` bits.
    pub events: u32,
    /// The program's own.
    pub data: u64,
}

impl Interest {
    /// The events that count; none once a one-shot watch was reported.
    pub(super) fn wanted(&self) -> u32 {
        self.events & !BEHAVIOR
    }
}

/// Watches are told apart by descriptor and open file.
pub(super) type Key = (i32, usize);

pub(super) fn key(fd: i32, file: &Arc<OpenFile>) -> Key {
    (fd, Arc::as_ptr(file).cast::<()>().addr())
}

/// What an event poll and its watches share.
#[derive(Default)]
pub struct Core {
    /// Held by whoever looks at the watches or changes which there are.
    pub(super) scan: Mutex<()>,
    pub(super) watches: Mutex<HashMap<Key, Arc<Watch>>>,
    /// Those that may be ready, each once.
    pub(super) ready: Mutex<VecDeque<Arc<Watch>>>,
    /// Those whose files change without telling.
    pub(super) untold: Mutex<Vec<Arc<Watch>>>,
    /// A socket of the host has been watched, or what may tell of one.
    pub(super) watches_host: AtomicBool,
    /// Callers of `epoll_wait`.
    pub(super) waiters: WaitQueue,
    pub(super) waiting: AtomicUsize,
    /// Those who watch the event poll itself.
    pub(super) watchers: Watchers,
    /// Times that a watch became ready: the generation of the event poll's own readiness.
    pub(super) announced: AtomicU64,
}

struct State {
    interest: Interest,
    queued: bool,
    /// Generation that was queued last, of a file that changes without telling.
    seen: Option<u64>,
}

/// One watched file.
pub struct Watch {
    core: Weak<Core>,
    pub(super) key: Key,
    /// Weak: closing the last descriptor ends the watch.
    pub(super) file: Weak<OpenFile>,
    state: Mutex<State>,
}

impl Watch {
    pub(super) fn new(
        core: &Arc<Core>,
        fd: i32,
        file: &Arc<OpenFile>,
        interest: Interest,
    ) -> Arc<Watch> {
        Arc::new(Watch {
            core: Arc::downgrade(core),
            key: key(fd, file),
            file: Arc::downgrade(file),
            state: Mutex::new(State {
                interest,
                queued: false,
                seen: None,
            }),
        })
    }

    pub(super) fn interest(&self) -> Interest {
        self.state.lock().interest
    }

    pub(super) fn set_interest(&self, interest: Interest) {
        let mut state = self.state.lock();
        (state.interest, state.seen) = (interest, None);
    }

    /// Puts it among the ready ones unless it is there, or is not asked for
    /// `events`. True where it is now there.
    pub(super) fn queue(self: &Arc<Self>, core: &Core, events: u32) -> bool {
        let mut state = self.state.lock();
        if events & state.interest.wanted() == 0 {
            return false;
        }
        if !state.queued {
            state.queued = true;
            core.ready.lock().push_back(self.clone());
        }
        true
    }

    /// Takes it from among the ready ones, for a look at its file: what is told
    /// from now on puts it there again.
    pub(super) fn unqueue(&self) -> Interest {
        let mut state = self.state.lock();
        state.queued = false;
        state.interest
    }

    pub(super) fn is_queued(&self) -> bool {
        self.state.lock().queued
    }

    /// Notes that it was reported. True where it stays ready.
    pub(super) fn report(&self) -> bool {
        let mut state = self.state.lock();
        if state.interest.events & EPOLLONESHOT != 0 {
            state.interest.events &= BEHAVIOR;
            return false;
        }
        state.interest.events & EPOLLET == 0
    }

    /// Whether readiness that changed without telling is news.
    pub(super) fn is_news(&self, ready: bool, generation: u64) -> bool {
        let mut state = self.state.lock();
        if !ready {
            state.seen = None;
            return false;
        }
        let is_edge = state.interest.events & EPOLLET != 0;
        let seen = state.seen.replace(generation);
        !is_edge || seen != Some(generation)
    }

    /// Its file is being closed.
    pub fn file_closed(self: &Arc<Self>) {
        let Some(core) = self.core.upgrade() else {
            return;
        };
        let gone = core.watches.lock().remove(&self.key);
        core.forget(self);
        drop(gone);
    }
}

impl Core {
    /// Takes a watch that is no longer in the set out of the lists.
    pub(super) fn forget(&self, watch: &Arc<Watch>) {
        let others = |other: &Arc<Watch>| !Arc::ptr_eq(other, watch);
        self.untold.lock().retain(others);
        if watch.is_queued() {
            self.ready.lock().retain(others);
        }
    }

    /// Something was put among the ready ones.
    pub(super) fn announce(&self) {
        self.announced.fetch_add(1, Ordering::Relaxed);
        self.waiters.wake_one();
        self.watchers.notify(EPOLLIN);
    }
}

impl Watcher for Watch {
    fn told(self: Arc<Self>, events: u32) -> bool {
        let Some(core) = self.core.upgrade() else {
            return false;
        };
        if events == 0 {
            // Nothing is ready; who sleeps asks anew when something will be.
            core.waiters.wake_all();
            core.watchers.notify(0);
            return false;
        }
        let waits = core.waiting.load(Ordering::Relaxed) > 0;
        let queued = self.queue(&core, events);
        if queued {
            core.announce();
        }
        queued && waits && takes(self.interest().events, events)
    }

    fn core(&self) -> Option<Arc<Core>> {
        self.core.upgrade()
    }
}

/// Whether an exclusive watch that is told of `events` keeps others from being
/// told: only where it asks for this very direction.
fn takes(interest: u32, events: u32) -> bool {
    match events & (EPOLLIN | EPOLLOUT) {
        0 => true,
        EPOLLIN => interest & EPOLLIN != 0,
        EPOLLOUT => interest & EPOLLOUT != 0,
        _ => false,
    }
}
