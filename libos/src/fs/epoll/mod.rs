//! Event polls: a set of watched files that is itself a file.
//!
//! ```text
//! file changes ─ Watchers::notify ─→ Watch::told ─→ ready list ─→ epoll_wait looks at these alone
//! ```
//!
//! A watch is put on the ready list when its file tells of an event that it asks
//! for. A look takes it off, asks the file, and puts it back where it is
//! level-triggered and ready. Timers, standard input and event polls that watch
//! these change without telling: they are few and asked at every look.
//!
//! Locks, each before the next: [`Core`]'s `scan` of the outer event poll, that
//! of the inner one, a file's list of watchers, a watch's state, the lists.

#[cfg(test)]
mod tests;
mod watch;

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use linux_raw_sys::general::{
    EPOLLERR, EPOLLET, EPOLLEXCLUSIVE, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLWAKEUP, O_RDWR,
};
use spin::Mutex;

use super::attributes::{ANONYMOUS_DEVICE, Attributes};
use super::open_file::{File, OpenFile, Readiness};
use super::readiness::Watchers;
use crate::errno::{Errno, SysResult};
use crate::sched::WaitQueue;
use crate::sorted::sort_by_key;
pub use watch::{Core, Interest, Watch};
use watch::{Key, key};

/// Event polls watch each other at most this deep.
const NESTING_MAX: usize = 5;
const INO: u64 = 3 << 20;
/// Flags and events that go with EPOLLEXCLUSIVE.
const EXCLUSIVE_ALLOWED: u32 =
    EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;

/// Held while one event poll is made to watch another, so that no two of them make a circle.
static NESTING: Mutex<()> = Mutex::new(());

/// A set of watched files.
#[derive(Default)]
pub struct Epoll {
    core: Arc<Core>,
}

/// What one look found.
#[derive(Default)]
pub struct Look {
    /// Ready ones, as reported to the program.
    pub ready: Vec<Interest>,
    /// When the readiness of one changes by itself.
    pub wakes_at_ns: Option<u64>,
    /// Standard input is watched and has nothing.
    pub waits_for_stdin: bool,
    /// Sockets of the host are watched.
    pub waits_for_sockets: bool,
}

/// A new event poll.
pub fn open(flags: u32) -> Arc<OpenFile> {
    OpenFile::new(Epoll::default(), O_RDWR | flags, None)
}

impl Epoll {
    /// Watches `file`.
    ///
    /// # Errors
    /// EEXIST where it is watched; ELOOP for event polls in a circle or too
    /// deep; EINVAL for what does not go with EPOLLEXCLUSIVE.
    pub fn add(&self, fd: i32, file: &Arc<OpenFile>, interest: Interest) -> Result<(), Errno> {
        let exclusive = interest.events & EPOLLEXCLUSIVE != 0;
        let inner = file.file().as_epoll();
        if exclusive && (inner.is_some() || interest.events & !EXCLUSIVE_ALLOWED != 0) {
            return Err(Errno::EINVAL);
        }
        let _nesting = inner.map(|_| NESTING.lock());
        if let Some(inner) = inner
            && (inner.reaches(&self.core)
                || height(&self.core, NESTING_MAX) + inner.depth(NESTING_MAX) > NESTING_MAX)
        {
            return Err(Errno::ELOOP);
        }
        let _scan = self.core.scan.lock();
        let interest = always_with_errors(interest);
        let watch = Watch::new(&self.core, fd, file, interest);
        {
            let mut watches = self.core.watches.lock();
            if watches.contains_key(&watch.key) {
                return Err(Errno::EEXIST);
            }
            watches.insert(watch.key, watch.clone());
        }
        file.watches.lock().push(watch.clone());
        if file.file().changes_untold() {
            self.core.untold.lock().push(watch.clone());
        }
        for watchers in file.file().watchers().into_iter().flatten() {
            watchers.add(watch.clone(), u32::MAX, exclusive);
        }
        self.look_at(&watch, file);
        let is_host = file.file().is_host_socket() || inner.is_some();
        if is_host && !self.core.watches_host.swap(true, Ordering::SeqCst) {
            // Who waits has the monitor call from now on.
            self.core.waiters.wake_all();
            self.core.watchers.notify(0);
        }
        Ok(())
    }

    /// Asks something else of a watched file.
    ///
    /// # Errors
    /// ENOENT where it is not watched, EINVAL where it is watched exclusively.
    pub fn modify(&self, fd: i32, file: &Arc<OpenFile>, interest: Interest) -> Result<(), Errno> {
        let _scan = self.core.scan.lock();
        let watch = self.find(&key(fd, file))?;
        if watch.interest().events & EPOLLEXCLUSIVE != 0 {
            return Err(Errno::EINVAL);
        }
        watch.set_interest(always_with_errors(interest));
        self.look_at(&watch, file);
        Ok(())
    }

    /// Stops watching.
    ///
    /// # Errors
    /// ENOENT where it is not watched.
    pub fn remove(&self, fd: i32, file: &Arc<OpenFile>) -> Result<(), Errno> {
        let _scan = self.core.scan.lock();
        let watch = self.find(&key(fd, file))?;
        self.core.watches.lock().remove(&watch.key);
        self.core.forget(&watch);
        detach(&watch, file);
        Ok(())
    }

    /// What callers of [`Epoll::look`] sleep on.
    pub fn queue(&self) -> &WaitQueue {
        &self.core.waiters
    }

    /// Runs `wait` as somebody who waits here: exclusive watches look for one.
    pub fn waiting<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.core.waiting.fetch_add(1, Ordering::SeqCst);
        let outcome = wait();
        self.core.waiting.fetch_sub(1, Ordering::SeqCst);
        // One is woken for each event. If that was this one and it leaves any, or
        // came away with none at all, the next one looks.
        if !self.core.ready.lock().is_empty() {
            self.core.waiters.wake_one();
        }
        outcome
    }

    fn find(&self, key: &Key) -> Result<Arc<Watch>, Errno> {
        let watches = self.core.watches.lock();
        watches.get(key).cloned().ok_or(Errno::ENOENT)
    }

    /// Queues a watch whose file has something that it asks for now.
    fn look_at(&self, watch: &Arc<Watch>, file: &Arc<OpenFile>) {
        if watch.queue(&self.core, file.file().readiness().events) {
            self.core.announce();
        } else if file.file().changes_untold() {
            // Who waits learns when it is to look again.
            self.core.waiters.wake_all();
            self.core.watchers.notify(0);
        }
    }

    /// Whether `wanted` is this one or watched by it, directly or not.
    fn reaches(&self, wanted: &Arc<Core>) -> bool {
        Arc::ptr_eq(&self.core, wanted)
            || self
                .inner()
                .iter()
                .any(|file| file.file().as_epoll().is_some_and(|it| it.reaches(wanted)))
    }

    /// Event polls on the longest way down from here, this one included; counts no further than `most`.
    fn depth(&self, most: usize) -> usize {
        if most == 0 {
            return 1;
        }
        let below = self.inner();
        let depths = below
            .iter()
            .filter_map(|file| Some(file.file().as_epoll()?.depth(most - 1)));
        1 + depths.max().unwrap_or(0)
    }

    /// Watched event polls. These change without telling, so they are all in that list.
    fn inner(&self) -> Vec<Arc<OpenFile>> {
        let untold = self.core.untold.lock();
        let files = untold.iter().filter_map(|watch| watch.file.upgrade());
        let (inner, others): (Vec<_>, Vec<_>) =
            files.partition(|file| file.file().as_epoll().is_some());
        // A file that is closed just now closes without the lock.
        drop(untold);
        drop(others);
        inner
    }

    /// Asks the files that change without telling, and queues what is news.
    fn ask_untold(&self, look: &mut Look) {
        let untold = self.core.untold.lock().clone();
        for watch in untold {
            let Some(file) = watch.file.upgrade() else {
                continue;
            };
            let readiness = file.file().readiness();
            let wanted = watch.interest().wanted();
            let is_ready = readiness.events & wanted != 0;
            if watch.is_news(is_ready, readiness.generation)
                && !watch.is_queued()
                && watch.queue(&self.core, readiness.events)
            {
                self.core.announced.fetch_add(1, Ordering::Relaxed);
            }
            let wakes = file.file().wakes_at_ns().filter(|_| wanted != 0);
            look.wakes_at_ns = [look.wakes_at_ns, wakes].into_iter().flatten().min();
            look.waits_for_stdin |= !is_ready && wanted & EPOLLIN != 0 && file.file().is_stdin();
        }
    }

    /// Looks at what may be ready and reports at most `most` of it to the program.
    pub fn look(&self, most: usize) -> Look {
        let (mut look, mut again) = (Look::default(), VecDeque::new());
        look.waits_for_sockets = self.is_host_socket();
        let _scan = self.core.scan.lock();
        self.ask_untold(&mut look);
        while look.ready.len() < most {
            let Some(watch) = self.next_ready() else {
                break;
            };
            let interest = watch.unqueue();
            let Some(file) = watch.file.upgrade() else {
                continue;
            };
            let events = file.file().readiness().events & interest.wanted();
            if events == 0 {
                continue;
            }
            look.ready.push(Interest {
                events,
                data: interest.data,
            });
            if watch.report() {
                again.push_back((watch, events));
            }
        }
        // Level-triggered ones go behind all others, so that each has its turn.
        for (watch, events) in again {
            watch.queue(&self.core, events);
        }
        look
    }

    fn next_ready(&self) -> Option<Arc<Watch>> {
        self.core.ready.lock().pop_front()
    }

    /// Whether a look would find something. What is not ready leaves the list.
    fn is_ready(&self) -> bool {
        let _scan = self.core.scan.lock();
        self.ask_untold(&mut Look::default());
        while let Some(watch) = self.next_ready() {
            let interest = watch.unqueue();
            let Some(file) = watch.file.upgrade() else {
                continue;
            };
            let events = file.file().readiness().events & interest.wanted();
            if events != 0 {
                watch.queue(&self.core, events);
                return true;
            }
        }
        false
    }
}

/// Errors are told of whether asked for or not.
fn always_with_errors(interest: Interest) -> Interest {
    Interest {
        events: interest.events | EPOLLERR | EPOLLHUP,
        ..interest
    }
}

/// Ends what `file` knows of a watch.
fn detach(watch: &Arc<Watch>, file: &Arc<OpenFile>) {
    file.watches
        .lock()
        .retain(|other| !Arc::ptr_eq(other, watch));
    for watchers in file.file().watchers().into_iter().flatten() {
        watchers.remove(&**watch);
    }
}

/// Event polls on the longest way up from `core`, not counting itself; counts no further than `most`.
fn height(core: &Arc<Core>, most: usize) -> usize {
    if most == 0 {
        return 0;
    }
    let above = core.watchers.cores();
    let heights = above.iter().map(|outer| 1 + height(outer, most - 1));
    heights.max().unwrap_or(0)
}

impl Drop for Epoll {
    fn drop(&mut self) {
        let watches = core::mem::take(&mut *self.core.watches.lock());
        for watch in watches.values() {
            if let Some(file) = watch.file.upgrade() {
                detach(watch, &file);
            }
        }
    }
}

impl File for Epoll {
    /// Since Linux 6.9 it has requests of its own, for busy polling, and refuses others so.
    fn ioctl(&self, _request: u32, _argument: u64) -> SysResult {
        Err(Errno::EINVAL)
    }

    fn attributes(&self) -> Result<Attributes, Errno> {
        Ok(Attributes::generated(ANONYMOUS_DEVICE, INO, 0o600))
    }

    fn stays_at_start(&self) -> bool {
        true
    }

    fn readiness(&self) -> Readiness {
        Readiness {
            events: if self.is_ready() { EPOLLIN } else { 0 },
            generation: self.core.announced.load(Ordering::Relaxed),
        }
    }

    fn watchers(&self) -> [Option<&Watchers>; 2] {
        [Some(&self.core.watchers), None]
    }

    fn changes_untold(&self) -> bool {
        true
    }

    fn wakes_at_ns(&self) -> Option<u64> {
        let _scan = self.core.scan.lock();
        let mut look = Look::default();
        self.ask_untold(&mut look);
        look.wakes_at_ns
    }

    fn is_stdin(&self) -> bool {
        let _scan = self.core.scan.lock();
        let mut look = Look::default();
        self.ask_untold(&mut look);
        look.waits_for_stdin
    }

    fn is_host_socket(&self) -> bool {
        self.core.watches_host.load(Ordering::SeqCst)
    }

    fn as_epoll(&self) -> Option<&Epoll> {
        Some(self)
    }

    fn label(&self) -> Option<Vec<u8>> {
        Some(b"anon_inode:[eventpoll]".to_vec())
    }

    fn info(&self) -> Vec<u8> {
        let watches = self.core.watches.lock();
        let mut lines: Vec<_> = watches
            .values()
            .map(|watch| (watch.key.0, watch.interest()))
            .collect();
        drop(watches);
        sort_by_key(&mut lines, |(fd, _)| *fd);
        lines
            .iter()
            .flat_map(|(fd, Interest { events, data })| {
                alloc::format!("tfd: {fd:8} events: {events:8x} data: {data:16x}\n").into_bytes()
            })
            .collect()
    }
}
