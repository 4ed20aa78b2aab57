//! Files that were sent and not received yet.
//!
//! A message in a queue holds its files. They are counted, and there can be no
//! more of them than RLIMIT_NOFILE allows descriptors. Closing a socket
//! closes the files in its queue, which may be sockets with files in their
//! queues, and so on: [`discard`] does that without recursion. Sockets that
//! only each other's queues hold are found by `garbage`.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use spin::Mutex;

use super::garbage;
use crate::errno::Errno;
use crate::fs::{self, OpenFile};

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Files in flight together.
pub struct InFlight(Vec<Arc<OpenFile>>);

impl InFlight {
    /// Puts files in flight; ETOOMANYREFS where too many are already.
    pub fn new(files: Vec<Arc<OpenFile>>) -> Result<InFlight, Errno> {
        let limit = fs::open_files() as usize;
        COUNT.fetch_add(files.len(), Ordering::Relaxed);
        garbage::depart(&files);
        let in_flight = InFlight(files);
        let too_many = || COUNT.load(Ordering::Relaxed) > limit.saturating_add(in_flight.0.len());
        if too_many() {
            drop(garbage::collect());
            if too_many() {
                return Err(Errno::ETOOMANYREFS);
            }
        }
        Ok(in_flight)
    }

    /// Lands them.
    pub fn land(mut self) -> Vec<Arc<OpenFile>> {
        self.take()
    }

    fn take(&mut self) -> Vec<Arc<OpenFile>> {
        let files = core::mem::take(&mut self.0);
        COUNT.fetch_sub(files.len(), Ordering::Relaxed);
        garbage::arrive(&files);
        files
    }

    /// The files, which stay in flight.
    pub fn files(&self) -> &[Arc<OpenFile>] {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        discard(self.take());
    }
}

struct Discarded {
    files: Vec<Arc<OpenFile>>,
    /// Somebody drops them already.
    busy: bool,
}

static DISCARDED: Mutex<Discarded> = Mutex::new(Discarded {
    files: Vec::new(),
    busy: false,
});

/// Drops files, and what they drop, one after the other.
pub fn discard(files: Vec<Arc<OpenFile>>) {
    if files.is_empty() {
        return;
    }
    {
        let mut discarded = DISCARDED.lock();
        discarded.files.extend(files);
        if discarded.busy {
            return;
        }
        discarded.busy = true;
    }
    loop {
        let next = DISCARDED.lock().files.pop();
        if let Some(file) = next {
            drop(file);
            continue;
        }
        // What this leaves behind joins the others: whoever drops is busy.
        drop(garbage::collect());
        let mut discarded = DISCARDED.lock();
        if discarded.files.is_empty() {
            discarded.busy = false;
            return;
        }
    }
}

/// A socket closed: perhaps it was the last that led to others.
pub fn socket_closed() {
    // In the middle of dropping many, once is enough: at the end.
    if garbage::is_due() && !DISCARDED.lock().busy {
        drop(garbage::collect());
    }
}
