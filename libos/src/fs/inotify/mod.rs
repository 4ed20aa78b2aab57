//! Files that tell of changes to other files (`inotify`): an instance's watches
//! and its queue of events. What happens where is told by `fs::notify`.
//!
//! Source: inotify(7).

mod queue;

use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use hashbrown::HashMap;
use linux_raw_sys::general::{
    EPOLLIN, EPOLLRDNORM, IN_ALL_EVENTS, IN_EXCL_UNLINK, IN_IGNORED, IN_ISDIR, IN_MASK_ADD,
    IN_MASK_CREATE, IN_ONESHOT, IN_Q_OVERFLOW, O_RDONLY,
};
use spin::Mutex;

use queue::{Event, Queue};

use super::attributes::{ANONYMOUS_DEVICE, Attributes};
use super::node::Identity;
use super::notify;
use super::open_file::{File, OpenFile, Readiness};
use super::readiness::Watchers;
use super::transfer::Sink;
use crate::errno::{Errno, SysResult};
use crate::mm::user;
use crate::sched::{self, WaitQueue};
use crate::sorted::sort_by_key;

/// Most instances at once.
pub const INSTANCES_MAX: usize = 128;
/// Most watches at once.
pub const WATCHES_MAX: usize = 1 << 16;
const INO: u64 = 6 << 20;
const READABLE: u32 = EPOLLIN | EPOLLRDNORM;

static INSTANCES: AtomicUsize = AtomicUsize::new(0);

#[derive(Default)]
struct State {
    watches: HashMap<i32, Arc<Watch>>,
    /// The number given last: they are not used again.
    last_number: i32,
    queue: Queue,
}

/// What an instance and its watches share.
#[derive(Default)]
pub struct Core {
    state: Mutex<State>,
    readable: WaitQueue,
    watchers: Watchers,
}

/// A watched file.
pub struct Watch {
    core: Weak<Core>,
    number: i32,
    file: Identity,
    /// `IN_*` events and IN_ONESHOT, IN_EXCL_UNLINK.
    mask: AtomicU32,
}

impl Watch {
    /// The file.
    pub(super) fn file(&self) -> Identity {
        self.file
    }

    /// Whether it is one of `core`'s.
    pub(super) fn belongs_to(&self, core: &Arc<Core>) -> bool {
        core::ptr::eq(self.core.as_ptr(), Arc::as_ptr(core))
    }

    /// What it asks for.
    pub(super) fn mask(&self) -> u32 {
        self.mask.load(Ordering::Relaxed)
    }

    /// Whether it wants to know of events of files without a name.
    pub(super) fn wants_unlinked(&self) -> bool {
        self.mask.load(Ordering::Relaxed) & IN_EXCL_UNLINK == 0
    }

    /// Queues an event it asks for. True where that was the only one that it wanted.
    pub(super) fn tell(&self, mask: u32, cookie: u32, name: &[u8]) -> bool {
        let wanted = self.mask.load(Ordering::Relaxed);
        let Some(core) = self.core.upgrade() else {
            return false;
        };
        if mask & wanted & IN_ALL_EVENTS == 0 {
            return false;
        }
        let once = wanted & IN_ONESHOT != 0;
        let news = {
            let mut state = core.state.lock();
            // Removed meanwhile: nothing comes after IN_IGNORED.
            if !state.watches.contains_key(&self.number) {
                return false;
            }
            let event = self.event(mask & (IN_ALL_EVENTS | IN_ISDIR), cookie, name);
            let news = state.queue.push(event);
            once && self.end(&mut state) || news
        };
        if news {
            core.wake();
        }
        once
    }

    /// Ends the watch with IN_IGNORED.
    pub(super) fn ignore(&self) {
        let Some(core) = self.core.upgrade() else {
            return;
        };
        let ended = self.end(&mut core.state.lock());
        if ended {
            core.wake();
        }
    }

    /// Queues that events were lost.
    pub(super) fn overflow(&self) {
        let Some(core) = self.core.upgrade() else {
            return;
        };
        let lost = Event {
            watch: -1,
            mask: IN_Q_OVERFLOW,
            cookie: 0,
            name: Box::default(),
        };
        let news = core.state.lock().queue.push(lost);
        if news {
            core.wake();
        }
    }

    fn end(&self, state: &mut State) -> bool {
        state.watches.remove(&self.number).is_some()
            && state.queue.push(self.event(IN_IGNORED, 0, &[]))
    }

    fn event(&self, mask: u32, cookie: u32, name: &[u8]) -> Event {
        Event {
            watch: self.number,
            mask,
            cookie,
            name: Box::from(name),
        }
    }
}

impl Core {
    fn wake(&self) {
        self.readable.wake_all();
        self.watchers.notify(READABLE);
    }

    fn try_take(&self, most: usize) -> Option<Result<Event, Errno>> {
        let mut state = self.state.lock();
        if state.queue.is_empty() {
            return None;
        }
        Some(state.queue.pop(most).ok_or(Errno::EINVAL))
    }
}

/// See the module documentation.
pub struct Inotify {
    core: Arc<Core>,
}

/// A new instance.
///
/// # Errors
/// EMFILE where there are too many.
pub fn open(flags: u32) -> Result<Arc<OpenFile>, Errno> {
    let core = Arc::default();
    // Counted before the check, and by Drop again: no two of them get the last place.
    let inotify = Inotify { core };
    if INSTANCES.fetch_add(1, Ordering::Relaxed) >= INSTANCES_MAX {
        return Err(Errno::EMFILE);
    }
    Ok(OpenFile::new(inotify, O_RDONLY | flags, None))
}

impl Inotify {
    /// Watches a file, or changes what is watched of it: the watch's number.
    ///
    /// # Errors
    /// EEXIST with IN_MASK_CREATE where it is watched; ENOSPC where there are too many.
    pub fn add(&self, file: Identity, mask: u32) -> SysResult {
        let kept = mask & (IN_ALL_EVENTS | IN_ONESHOT | IN_EXCL_UNLINK);
        notify::with_table(|table| {
            if let Some(watch) = table.find(file, &self.core) {
                if mask & IN_MASK_CREATE != 0 {
                    return Err(Errno::EEXIST);
                }
                if mask & IN_MASK_ADD != 0 {
                    watch.mask.fetch_or(kept, Ordering::Relaxed);
                } else {
                    watch.mask.store(kept, Ordering::Relaxed);
                }
                return Ok(watch.number as usize);
            }
            if table.count() >= WATCHES_MAX {
                return Err(Errno::ENOSPC);
            }
            let mut state = self.core.state.lock();
            state.last_number = state.last_number.checked_add(1).ok_or(Errno::ENOSPC)?;
            let watch = Arc::new(Watch {
                core: Arc::downgrade(&self.core),
                number: state.last_number,
                file,
                mask: AtomicU32::new(kept),
            });
            state.watches.insert(watch.number, watch.clone());
            table.insert(watch);
            Ok(state.last_number as usize)
        })
    }

    /// Ends a watch.
    ///
    /// # Errors
    /// EINVAL where there is none of this number.
    pub fn remove(&self, number: i32) -> Result<(), Errno> {
        let watch = self.core.state.lock().watches.get(&number).cloned();
        let watch = watch.ok_or(Errno::EINVAL)?;
        notify::with_table(|table| table.remove(&watch));
        watch.ignore();
        Ok(())
    }
}

impl Drop for Inotify {
    fn drop(&mut self) {
        INSTANCES.fetch_sub(1, Ordering::Relaxed);
        let watches = core::mem::take(&mut self.core.state.lock().watches);
        if !watches.is_empty() {
            notify::with_table(|table| watches.values().for_each(|watch| table.remove(watch)));
            super::volume::watch::sweep();
        }
    }
}

impl File for Inotify {
    fn attributes(&self) -> Result<Attributes, Errno> {
        Ok(Attributes::generated(ANONYMOUS_DEVICE, INO, 0o600))
    }

    fn read(&self, _offset: u64, nonblocking: bool, sink: &mut dyn Sink) -> SysResult {
        let most = sink.remaining();
        let mut next = match self.core.try_take(most) {
            Some(first) => first?,
            None if nonblocking => return Err(Errno::EAGAIN),
            None => sched::wait(&self.core.readable, None, || self.core.try_take(most))??,
        };
        loop {
            // An event that a bad pointer does not take is lost, as in Linux.
            sink.put(&next.encode())?;
            next = match self.core.try_take(sink.remaining()) {
                Some(Ok(event)) => event,
                _ => return Ok(most - sink.remaining()),
            };
        }
    }

    fn stays_at_start(&self) -> bool {
        true
    }

    fn readiness(&self) -> Readiness {
        let empty = self.core.state.lock().queue.is_empty();
        Readiness::of(if empty { 0 } else { READABLE })
    }

    fn watchers(&self) -> [Option<&Watchers>; 2] {
        [Some(&self.core.watchers), None]
    }

    fn ioctl(&self, request: u32, argument: u64) -> SysResult {
        if request != linux_raw_sys::ioctl::FIONREAD {
            return Err(Errno::ENOTTY);
        }
        let bytes = self.core.state.lock().queue.bytes();
        user::write::<u32>(argument, &(bytes as u32))?;
        Ok(0)
    }

    fn as_inotify(&self) -> Option<&Inotify> {
        Some(self)
    }

    fn label(&self) -> Option<Vec<u8>> {
        Some(b"anon_inode:inotify".to_vec())
    }

    fn info(&self) -> Vec<u8> {
        let state = self.core.state.lock();
        let mut watches: Vec<_> = state.watches.values().cloned().collect();
        drop(state);
        sort_by_key(&mut watches, |watch| watch.number);
        watches
            .iter()
            .flat_map(|watch| {
                let Identity { device, ino } = watch.file;
                let mask = watch.mask.load(Ordering::Relaxed) & IN_ALL_EVENTS;
                let number = watch.number;
                alloc::format!(
                    "inotify wd:{number:x} ino:{ino:x} sdev:{device:x} mask:{mask:x} ignored_mask:0\n"
                )
                .into_bytes()
            })
            .collect()
    }
}
