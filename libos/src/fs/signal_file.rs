//! Signals that are read as files (`signalfd`).

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::general::{
    EPOLLIN, O_RDWR, SIGBUS, SIGCHLD, SIGFPE, SIGILL, SIGIO, SIGSEGV, SIGTRAP,
};
use spin::Mutex;

use super::attributes::{ANONYMOUS_DEVICE, Attributes};
use super::open_file::{File, OpenFile, Readiness};
use super::readiness::Watchers;
use super::transfer::Sink;
use crate::errno::{Errno, SysResult};
use crate::sched;
use crate::signal::number::{SI_KERNEL, SI_TIMER, SI_USER};
use crate::signal::{self, Set, SigInfo, take_of};

/// Bytes of `struct signalfd_siginfo`.
const RECORD_BYTES: usize = 128;
const INO: u64 = 5 << 20;
/// Code of a signal that tells of a descriptor.
const SI_SIGIO: i32 = -5;

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

/// `struct signalfd_siginfo`: the fields that a signal of this origin has.
fn record(info: &SigInfo) -> [u8; RECORD_BYTES] {
    let mut raw = [0; RECORD_BYTES];
    let mut put = |offset: usize, bytes: &[u8]| {
        if let Some(place) = raw.get_mut(offset..offset + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    put(0, &info.number().to_le_bytes());
    put(4, &info.errno.to_le_bytes());
    put(8, &info.code.to_le_bytes());
    let [first, second, third, fourth, ..] = info.fields.map(u64::to_le_bytes);
    let (first_low, first_high) = first.split_at(4);
    let second_low = second.split_at(4).0;
    match Layout::of(info) {
        Layout::Kill | Layout::Queue | Layout::Child => {
            put(12, first_low); // pid
            put(16, first_high); // uid
        }
        Layout::Timer => {
            put(24, first_low); // timer
            put(32, first_high); // overrun
        }
        Layout::Fault => put(72, &first), // address
        Layout::Poll => {
            put(28, first_low); // band
            put(20, second_low); // descriptor
        }
    }
    match Layout::of(info) {
        Layout::Queue | Layout::Timer => {
            put(44, second_low); // value as an integer
            put(48, &second); // and as a pointer
        }
        Layout::Child => {
            put(40, second_low); // status
            put(56, &third); // user time
            put(64, &fourth); // system time
        }
        Layout::Kill | Layout::Fault | Layout::Poll => {}
    }
    raw
}

/// Which fields a `siginfo_t` has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    Kill,
    Queue,
    Timer,
    Child,
    Fault,
    Poll,
}

impl Layout {
    /// Signals from user space say by a code that is not positive what they are.
    fn of(info: &SigInfo) -> Layout {
        match (info.code, info.number()) {
            (SI_TIMER, _) => Layout::Timer,
            (SI_SIGIO, _) => Layout::Poll,
            (SI_USER | SI_KERNEL, _) => Layout::Kill,
            (..0, _) => Layout::Queue,
            (_, SIGILL | SIGFPE | SIGSEGV | SIGBUS | SIGTRAP) => Layout::Fault,
            (_, SIGCHLD) => Layout::Child,
            (_, SIGIO) => Layout::Poll,
            _ => Layout::Kill,
        }
    }
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
            match sink.put(&record(&info)) {
                Err(errno) if done == 0 => return Err(errno),
                Err(_) => break,
                Ok(()) => done += RECORD_BYTES,
            }
            next = if sink.remaining() < RECORD_BYTES {
                None
            } else {
                self.try_take()
            };
        }
        Ok(done)
    }

    fn stays_at_start(&self) -> bool {
        true
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

    fn info(&self) -> Vec<u8> {
        let wanted = self.wanted.lock().bits();
        alloc::format!("sigmask:\t{wanted:016x}\n").into_bytes()
    }

    fn label(&self) -> Option<Vec<u8>> {
        Some(b"anon_inode:[signalfd]".to_vec())
    }
}
