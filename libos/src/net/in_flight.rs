//! Files that were sent and not received yet.
//!
//! A message in a queue holds its files. They are counted, and a process may
//! have no more of them than RLIMIT_NOFILE allows descriptors. A socket can be in
//! flight to itself, or two in each other's queues: once their descriptors are
//! closed nobody can receive them any more. Nothing collects such circles (Linux
//! does): they stay until the guest ends, and the limit bounds how many there can be.
//!
//! Closing a socket closes the files in its queue, which may be sockets with
//! files in their queues, and so on: [`discard`] does that without recursion.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use spin::Mutex;

use crate::errno::Errno;
use crate::fs::{self, OpenFile};

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Files in flight together.
pub struct InFlight(Vec<Arc<OpenFile>>);

impl InFlight {
    /// Puts files in flight; ETOOMANYREFS where too many are already.
    pub fn new(files: Vec<Arc<OpenFile>>) -> Result<InFlight, Errno> {
        let before = COUNT.fetch_add(files.len(), Ordering::Relaxed);
        let in_flight = InFlight(files);
        if before > fs::open_files() as usize {
            return Err(Errno::ETOOMANYREFS);
        }
        Ok(in_flight)
    }

    /// Lands them.
    pub fn land(mut self) -> Vec<Arc<OpenFile>> {
        let files = core::mem::take(&mut self.0);
        COUNT.fetch_sub(files.len(), Ordering::Relaxed);
        files
    }

    /// The files, which stay in flight.
    pub fn files(&self) -> &[Arc<OpenFile>] {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let files = core::mem::take(&mut self.0);
        COUNT.fetch_sub(files.len(), Ordering::Relaxed);
        discard(files);
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
        let next = {
            let mut discarded = DISCARDED.lock();
            let next = discarded.files.pop();
            discarded.busy = next.is_some();
            next
        };
        match next {
            Some(file) => drop(file),
            None => return,
        }
    }
}
