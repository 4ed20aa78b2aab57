//! Signals that are read as files (`signalfd`).

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::general::{EPOLLIN, O_RDWR};
use spin::Mutex;

use super::attributes::{ANONYMOUS_DEVICE, Attributes};
use super::open_file::{File, OpenFile, Readiness};
use super::readiness::Watchers;
use super::transfer::Sink;
use crate::errno::{Errno, SysResult};
use crate::sched;
use crate::signal::state::take_of;
use crate::signal::{self, Set, SigInfo};

/// Bytes of `struct signalfd_siginfo`.
const RECORD_BYTES: usize = 128;
const INO: u64 = 5 << 20;

/// Told when a signal becomes pending, whichever it is.
pub static ARRIVED: Watchers = Watchers::new();

/// See the module documentation.
pub struct SignalFile {
    wanted: Mutex<Set>,
}

/// A file that gives the signals of `wanted`.
pub fn open(wanted: Set, flags: u32) -> Arc<OpenFile> {
    let file = SignalFile {
        wanted: Mutex::new(wanted),
    };
    OpenFile::new(file, O_RDWR | flags, None)
}

impl SignalFile {
    /// Gives the signals of `wanted` from now on.
    pub fn set_wanted(&self, wanted: Set) {
        *self.wanted.lock() = wanted;
        // What is pending may be wanted now.
        signal::ARRIVAL.wake_all();
        ARRIVED.notify(EPOLLIN);
    }

    fn try_take(&self) -> Option<SigInfo> {
        let wanted = *self.wanted.lock();
        signal::collect();
        signal::with_state(|process, thread| take_of(process, thread, wanted))
    }
}

/// `struct signalfd_siginfo`: the fields that a sent or queued signal has.
fn record(info: &SigInfo) -> [u8; RECORD_BYTES] {
    let mut raw = [0; RECORD_BYTES];
    let [first, value, ..] = info.fields;
    let words: [(usize, u32); 8] = [
        (0, info.number()),
        (4, info.errno as u32),
        (8, info.code as u32),
        (12, first as u32),
        (16, (first >> 32) as u32),
        (44, value as u32),
        (48, value as u32),
        (52, (value >> 32) as u32),
    ];
    for (offset, word) in words {
        if let Some(place) = raw.get_mut(offset..offset + 4) {
            place.copy_from_slice(&word.to_le_bytes());
        }
    }
    raw
}

impl File for SignalFile {
    fn attributes(&self) -> Result<Attributes, Errno> {
        Ok(Attributes::generated(ANONYMOUS_DEVICE, INO, 0o600))
    }

    fn read(&self, _offset: u64, nonblocking: bool, sink: &mut dyn Sink) -> SysResult {
        if sink.remaining() < RECORD_BYTES {
            return Err(Errno::EINVAL);
        }
        let mut next = match self.try_take() {
            None if nonblocking => return Err(Errno::EAGAIN),
            None => Some(sched::wait(&signal::ARRIVAL, None, || self.try_take())?),
            found => found,
        };
        let mut done = 0;
        while let Some(info) = next {
            sink.put(&record(&info))?;
            done += RECORD_BYTES;
            next = if sink.remaining() < RECORD_BYTES {
                None
            } else {
                self.try_take()
            };
        }
        Ok(done)
    }

    fn readiness(&self) -> Readiness {
        let wanted = self.wanted.lock().bits();
        signal::collect();
        let pending = signal::with_state(|process, thread| {
            process.pending.set().bits() | thread.pending.set().bits()
        });
        let events = if pending & wanted != 0 { EPOLLIN } else { 0 };
        Readiness::of(events)
    }

    fn watchers(&self) -> [Option<&Watchers>; 2] {
        [Some(&ARRIVED), None]
    }

    fn as_signal_file(&self) -> Option<&SignalFile> {
        Some(self)
    }

    fn label(&self) -> Option<Vec<u8>> {
        Some(b"anon_inode:[signalfd]".to_vec())
    }
}
