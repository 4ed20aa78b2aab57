//! Event counters (`eventfd`).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use linux_raw_sys::general::{EFD_SEMAPHORE, EPOLLIN, EPOLLOUT, O_RDWR};
use spin::Mutex;

use super::attributes::{ANONYMOUS_DEVICE, Attributes};
use super::open_file::{File, OpenFile, Readiness};
use super::readiness::Watchers;
use super::transfer::{Sink, Source};
use crate::errno::{Errno, SysResult};
use crate::sched::{self, WaitQueue};

/// The counter never reaches u64::MAX.
const COUNT_MAX: u64 = u64::MAX - 1;
const INO: u64 = 2 << 20;

static NEXT_ID: AtomicU32 = AtomicU32::new(1);

struct Event {
    count: Mutex<u64>,
    /// Woken when the counter leaves 0.
    readable: WaitQueue,
    /// Woken when it is taken from.
    writable: WaitQueue,
    watchers: Watchers,
    semaphore: bool,
    /// Tells it apart in `/proc`.
    id: u32,
}

/// A new counter with `EFD_*` and `O_*` flags.
pub fn open(count: u32, flags: u32) -> Arc<OpenFile> {
    let event = Event {
        count: Mutex::new(u64::from(count)),
        readable: WaitQueue::new(),
        writable: WaitQueue::new(),
        watchers: Watchers::new(),
        semaphore: flags & EFD_SEMAPHORE != 0,
        id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
    };
    OpenFile::new(event, O_RDWR | flags & !EFD_SEMAPHORE, None)
}

impl Event {
    fn try_read(&self) -> Option<u64> {
        let mut count = self.count.lock();
        let taken = match (*count, self.semaphore) {
            (0, _) => return None,
            (_, true) => 1,
            (all, false) => all,
        };
        *count -= taken;
        Some(taken)
    }

    fn try_add(&self, value: u64) -> Option<()> {
        let mut count = self.count.lock();
        *count = count.checked_add(value).filter(|&sum| sum <= COUNT_MAX)?;
        Some(())
    }
}

impl File for Event {
    fn attributes(&self) -> Result<Attributes, Errno> {
        Ok(Attributes::generated(ANONYMOUS_DEVICE, INO, 0o600))
    }

    fn read(&self, _offset: u64, nonblocking: bool, sink: &mut dyn Sink) -> SysResult {
        if sink.remaining() < 8 {
            return Err(Errno::EINVAL);
        }
        let value = match self.try_read() {
            Some(value) => value,
            None if nonblocking => return Err(Errno::EAGAIN),
            None => sched::wait(&self.readable, None, || self.try_read())?,
        };
        self.writable.wake_all();
        self.watchers.notify(EPOLLOUT);
        sink.put(&value.to_le_bytes())?;
        Ok(8)
    }

    fn write(&self, _offset: u64, nonblocking: bool, source: &mut dyn Source) -> SysResult {
        let mut raw = [0; 8];
        if source.remaining() != raw.len() {
            return Err(Errno::EINVAL);
        }
        source.take(&mut raw)?;
        let value = u64::from_le_bytes(raw);
        if value > COUNT_MAX {
            return Err(Errno::EINVAL);
        }
        match self.try_add(value) {
            Some(()) => {}
            None if nonblocking => return Err(Errno::EAGAIN),
            None => sched::wait(&self.writable, None, || self.try_add(value))?,
        }
        self.readable.wake_all();
        self.watchers.notify(EPOLLIN);
        Ok(8)
    }

    fn stays_at_start(&self) -> bool {
        true
    }

    fn readiness(&self) -> Readiness {
        let count = *self.count.lock();
        let mut events = 0;
        if count > 0 {
            events |= EPOLLIN;
        }
        if count < COUNT_MAX {
            events |= EPOLLOUT;
        }
        Readiness::of(events)
    }

    fn watchers(&self) -> [Option<&Watchers>; 2] {
        [Some(&self.watchers), None]
    }

    fn label(&self) -> Option<Vec<u8>> {
        Some(b"anon_inode:[eventfd]".to_vec())
    }

    fn info(&self) -> Vec<u8> {
        let count = *self.count.lock();
        let (id, semaphore) = (self.id, u32::from(self.semaphore));
        alloc::format!(
            "eventfd-count: {count:16x}\neventfd-id: {id}\neventfd-semaphore: {semaphore}\n"
        )
        .into_bytes()
    }
}
