//! Event polls: a set of watched files that is itself a file.
//!
//! A watch keeps its file weakly: closing the last descriptor ends the watch, as
//! in Linux. Edge-triggered watches remember the generation of the readiness
//! that they reported last.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use linux_raw_sys::general::{EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLONESHOT, O_RDWR};
use spin::Mutex;

use super::attributes::{ANONYMOUS_DEVICE, Attributes};
use super::open_file::{File, OpenFile, Readiness};
use super::readiness;
use crate::errno::Errno;

/// Event polls watch each other at most this deep.
const NESTING_MAX: usize = 5;
const INO: u64 = 3 << 20;
/// Bits of an event mask that are not events.
const BEHAVIOR: u32 = 0xf000_0000;

/// What is asked of a watched file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    /// `EPOLL*` bits.
    pub events: u32,
    /// The program's own.
    pub data: u64,
}

struct Watch {
    file: Weak<OpenFile>,
    interest: Interest,
    /// Generation of the readiness that was reported last.
    reported: Option<Readiness>,
    /// One-shot and reported: silent until changed.
    spent: bool,
}

/// Watches are told apart by descriptor and open file.
type Key = (i32, usize);

/// A set of watched files.
#[derive(Default)]
pub struct Epoll {
    watches: Mutex<BTreeMap<Key, Watch>>,
}

fn key(fd: i32, file: &Arc<OpenFile>) -> Key {
    (fd, Arc::as_ptr(file).cast::<()>().addr())
}

/// What one look at all watches found.
pub struct Look {
    /// Ready ones, as reported to the program.
    pub ready: Vec<Interest>,
    /// When the readiness of one changes by itself.
    pub wakes_at_ns: Option<u64>,
    /// Standard input is watched and not ready.
    pub waits_for_stdin: bool,
}

/// A new event poll.
pub fn open(flags: u32) -> Arc<OpenFile> {
    OpenFile::new(Epoll::default(), O_RDWR | flags, None)
}

impl Epoll {
    /// Watches `file`.
    pub fn add(&self, fd: i32, file: &Arc<OpenFile>, interest: Interest) -> Result<(), Errno> {
        let mut watches = self.watches.lock();
        // A number that was used again may leave a dead watch with the same key.
        let taken = watches
            .get(&key(fd, file))
            .is_some_and(|watch| watch.file.strong_count() > 0);
        if taken {
            return Err(Errno::EEXIST);
        }
        let watch = Watch {
            file: Arc::downgrade(file),
            interest,
            reported: None,
            spent: false,
        };
        watches.insert(key(fd, file), watch);
        drop(watches);
        readiness::changed();
        Ok(())
    }

    /// Asks something else of a watched file.
    pub fn modify(&self, fd: i32, file: &Arc<OpenFile>, interest: Interest) -> Result<(), Errno> {
        let mut watches = self.watches.lock();
        let watch = watches.get_mut(&key(fd, file)).ok_or(Errno::ENOENT)?;
        (watch.interest, watch.reported, watch.spent) = (interest, None, false);
        drop(watches);
        readiness::changed();
        Ok(())
    }

    /// Stops watching.
    pub fn remove(&self, fd: i32, file: &Arc<OpenFile>) -> Result<(), Errno> {
        self.watches
            .lock()
            .remove(&key(fd, file))
            .map(drop)
            .ok_or(Errno::ENOENT)
    }

    /// Whether watching `candidate` here would make a circle or nest too deep.
    pub fn refuses(&self, candidate: &Arc<OpenFile>) -> bool {
        candidate
            .file()
            .as_epoll()
            .is_some_and(|inner| inner.reaches(self, NESTING_MAX))
    }

    fn reaches(&self, wanted: &Epoll, depth: usize) -> bool {
        if core::ptr::eq(self, wanted) || depth == 0 {
            return true;
        }
        let files: Vec<Arc<OpenFile>> = self
            .watches
            .lock()
            .values()
            .filter_map(|watch| watch.file.upgrade())
            .collect();
        files.iter().any(|file| {
            file.file()
                .as_epoll()
                .is_some_and(|inner| inner.reaches(wanted, depth - 1))
        })
    }

    /// Looks at all watches; `consume` reports what is found to the program.
    pub fn look(&self, most: usize, consume: bool) -> Look {
        let mut look = Look {
            ready: Vec::new(),
            wakes_at_ns: None,
            waits_for_stdin: false,
        };
        // Files are asked with the set unlocked: an inner event poll locks its own.
        let watched: Vec<(Key, Arc<OpenFile>)> = {
            let mut watches = self.watches.lock();
            watches.retain(|_, watch| watch.file.strong_count() > 0);
            watches
                .iter()
                .filter_map(|(key, watch)| Some((*key, watch.file.upgrade()?)))
                .collect()
        };
        for (key, file) in watched {
            let readiness = file.file().readiness();
            let wakes = file.file().wakes_at_ns();
            look.wakes_at_ns = [look.wakes_at_ns, wakes].into_iter().flatten().min();
            let mut watches = self.watches.lock();
            let Some(watch) = watches.get_mut(&key) else {
                continue;
            };
            let wanted = watch.interest.events & !BEHAVIOR | EPOLLERR | EPOLLHUP;
            let events = readiness.events & wanted;
            let silent = watch.spent
                || watch.interest.events & EPOLLET != 0 && watch.reported == Some(readiness);
            if events == 0 || silent {
                if events == 0 && watch.interest.events & EPOLLET != 0 {
                    watch.reported = None;
                }
                look.waits_for_stdin |= file.file().is_stdin();
                continue;
            }
            if look.ready.len() == most {
                break;
            }
            look.ready.push(Interest {
                events,
                data: watch.interest.data,
            });
            if consume {
                watch.reported = Some(readiness);
                watch.spent = watch.interest.events & EPOLLONESHOT != 0;
            }
        }
        look
    }
}

impl File for Epoll {
    fn attributes(&self) -> Result<Attributes, Errno> {
        Ok(Attributes::generated(ANONYMOUS_DEVICE, INO, 0o600))
    }

    fn readiness(&self) -> Readiness {
        let ready = !self.look(1, false).ready.is_empty();
        Readiness {
            events: if ready { EPOLLIN } else { 0 },
            generation: 0,
        }
    }

    fn wakes_at_ns(&self) -> Option<u64> {
        self.look(usize::MAX, false).wakes_at_ns
    }

    fn as_epoll(&self) -> Option<&Epoll> {
        Some(self)
    }

    fn label(&self) -> Option<Vec<u8>> {
        Some(b"anon_inode:[eventpoll]".to_vec())
    }
}
