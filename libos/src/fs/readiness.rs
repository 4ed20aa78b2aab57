//! Telling who waits for a file that its readiness changed.
//!
//! A file whose readiness changes owns [`Watchers`] and calls
//! [`Watchers::notify`] after each change, its own lock released. Who watches
//! registers first and looks then, so that a change in between is seen: `poll`
//! and `select` register a [`Poller`] for the time of the call, an event poll
//! (`epoll`) registers each of its watches once. A file without watchers is
//! ready always.
//!
//! Locks: a list of watchers is locked while its members are told, so what a
//! member takes comes after it; nobody calls in here with such a lock held.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering, fence};

use linux_raw_sys::general::{EPOLLERR, EPOLLHUP};
use spin::Mutex;

use super::epoll::Core;
use super::open_file::OpenFile;
use crate::sched::WaitQueue;

/// Who is told of changes.
pub trait Watcher: Send + Sync {
    /// `events` may have become ready; with 0, only the time of the next change
    /// by itself is another. Gives whether it woke somebody that waits.
    fn told(self: Arc<Self>, events: u32) -> bool;

    /// The event poll that it belongs to.
    fn core(&self) -> Option<Arc<Core>> {
        None
    }
}

struct Registration {
    watcher: Arc<dyn Watcher>,
    /// Events that it is told of.
    events: u32,
    /// Of all exclusive ones, only one that wakes somebody is told.
    exclusive: bool,
}

/// Everybody who watches one file.
#[derive(Default)]
pub struct Watchers {
    /// Length of the list: a change that nobody watches takes no lock.
    count: AtomicUsize,
    list: Mutex<Vec<Registration>>,
}

impl Watchers {
    /// Nobody watches.
    pub const fn new() -> Watchers {
        Watchers {
            count: AtomicUsize::new(0),
            list: Mutex::new(Vec::new()),
        }
    }

    /// Tells everybody that `events` may have become ready now. To be called
    /// after the change, with the file's lock released.
    #[inline]
    pub fn notify(&self, events: u32) {
        // The change comes first, then the look for watchers: they do it the other way round.
        fence(Ordering::SeqCst);
        if self.count.load(Ordering::Relaxed) != 0 {
            self.tell(events);
        }
    }

    fn tell(&self, events: u32) {
        let mut exclusive_done = false;
        for entry in self.list.lock().iter() {
            let matches = events == 0 || events & entry.events != 0;
            if !matches || entry.exclusive && exclusive_done {
                continue;
            }
            let woke = entry.watcher.clone().told(events);
            exclusive_done |= entry.exclusive && woke;
        }
    }

    /// Tells `watcher` of `events` from now on. It looks at the file after this.
    pub fn add(&self, watcher: Arc<dyn Watcher>, events: u32, exclusive: bool) {
        let mut list = self.list.lock();
        list.push(Registration {
            watcher,
            events,
            exclusive,
        });
        self.count.store(list.len(), Ordering::Relaxed);
        drop(list);
        fence(Ordering::SeqCst);
    }

    /// Tells `watcher` nothing any more.
    pub fn remove(&self, watcher: &dyn Watcher) {
        let wanted = address(watcher);
        let mut list = self.list.lock();
        let gone: Vec<Registration> = list
            .extract_if(.., |entry| address(&*entry.watcher) == wanted)
            .collect();
        self.count.store(list.len(), Ordering::Relaxed);
        drop(list);
        // Dropped without the lock: it may be the last reference.
        drop(gone);
    }

    /// The event polls that watch.
    pub fn cores(&self) -> Vec<Arc<Core>> {
        let list = self.list.lock();
        list.iter()
            .filter_map(|entry| entry.watcher.core())
            .collect()
    }
}

fn address(watcher: &dyn Watcher) -> usize {
    core::ptr::from_ref(watcher).cast::<()>().addr()
}

/// Somebody who waits for one of several files during one call.
#[derive(Default)]
pub struct Poller {
    /// Woken when one of them changes.
    pub queue: WaitQueue,
}

impl Watcher for Poller {
    fn told(self: Arc<Self>, _events: u32) -> bool {
        self.queue.wake_all();
        true
    }
}

/// A poller's registrations; they end with it.
pub struct Registered {
    poller: Arc<Poller>,
    /// Held: a pipe and its watchers outlive the file that was polled.
    files: Vec<Arc<OpenFile>>,
}

impl Registered {
    /// Registers with each file for its events.
    pub fn new<'a>(files: impl Iterator<Item = (&'a Arc<OpenFile>, u32)>) -> Registered {
        let poller = Arc::new(Poller::default());
        let files = files
            .map(|(file, events)| {
                for watchers in file.file().watchers().into_iter().flatten() {
                    watchers.add(poller.clone(), events | EPOLLERR | EPOLLHUP, false);
                }
                file.clone()
            })
            .collect();
        Registered { poller, files }
    }

    /// What to sleep on.
    pub fn queue(&self) -> &WaitQueue {
        &self.poller.queue
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        for file in &self.files {
            for watchers in file.file().watchers().into_iter().flatten() {
                watchers.remove(&*self.poller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::AtomicU32;

    use linux_raw_sys::general::{EPOLLIN, EPOLLOUT};

    use super::*;

    #[derive(Default)]
    struct Counter {
        told: AtomicU32,
        waits: bool,
    }

    impl Watcher for Counter {
        fn told(self: Arc<Self>, _events: u32) -> bool {
            self.told.fetch_add(1, Ordering::Relaxed);
            self.waits
        }
    }

    fn counter(waits: bool) -> Arc<Counter> {
        Arc::new(Counter {
            waits,
            ..Counter::default()
        })
    }

    fn times(counter: &Counter) -> u32 {
        counter.told.load(Ordering::Relaxed)
    }

    #[test]
    fn who_asked_for_the_event_is_told() {
        let (reader, writer) = (counter(true), counter(true));
        let watchers = Watchers::new();
        watchers.add(reader.clone(), EPOLLIN, false);
        watchers.add(writer.clone(), EPOLLOUT, false);
        watchers.notify(EPOLLIN);
        assert_eq!((times(&reader), times(&writer)), (1, 0));
        watchers.notify(0);
        assert_eq!((times(&reader), times(&writer)), (2, 1));
        watchers.remove(&*reader);
        watchers.notify(EPOLLIN | EPOLLOUT);
        assert_eq!((times(&reader), times(&writer)), (2, 2));
    }

    #[test]
    fn one_exclusive_that_waits_is_told_and_all_others() {
        let (idle, first, second, shared) =
            (counter(false), counter(true), counter(true), counter(true));
        let watchers = Watchers::new();
        for exclusive in [&idle, &first, &second] {
            watchers.add(exclusive.clone(), EPOLLIN, true);
        }
        watchers.add(shared.clone(), EPOLLIN, false);
        watchers.notify(EPOLLIN);
        let all = [&idle, &first, &second, &shared].map(|counter| times(counter));
        assert_eq!(all, [1, 1, 0, 1]);
    }
}
