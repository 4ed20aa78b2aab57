//! Open files of a volume, by number.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use rustix::io::Errno;

use super::limit::Slot;

/// An open regular file.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) fd: OwnedFd,
    /// Held by who appends: the position afterwards is where the bytes ended.
    pub(super) appending: Mutex<()>,
    _slot: Slot,
}

/// All of a volume.
#[derive(Debug, Default)]
pub(super) struct Handles {
    by_number: HashMap<u64, Arc<Handle>>,
    last: u64,
}

impl Handles {
    /// Takes an open file in: its number, never 0.
    pub(super) fn insert(&mut self, fd: OwnedFd, slot: Slot) -> u64 {
        self.last += 1;
        let handle = Handle {
            fd,
            appending: Mutex::new(()),
            _slot: slot,
        };
        self.by_number.insert(self.last, Arc::new(handle));
        self.last
    }

    /// # Errors
    /// EBADF.
    pub(super) fn get(&self, number: u64) -> Result<Arc<Handle>, Errno> {
        self.by_number.get(&number).cloned().ok_or(Errno::BADF)
    }

    /// Closes one; a number that there is not is nothing.
    pub(super) fn remove(&mut self, number: u64) -> Option<Arc<Handle>> {
        self.by_number.remove(&number)
    }
}
