//! Descriptors of processes (`pidfd_open`): readable once the process has ended.
//!
//! It stays that process's when its number is another's: by [`table::Kin::serial`].

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::general::{EPOLLHUP, EPOLLIN, O_RDWR};

use super::attributes::{ANONYMOUS_DEVICE, Attributes};
use super::open_file::{File, OpenFile, Readiness};
use super::readiness::Watchers;
use crate::errno::Errno;
use crate::process::table::{self, Seen};

const INO: u64 = 6 << 20;

/// Told when a process has ended, and when its parent has waited for it.
pub static ENDED: Watchers = Watchers::new();

/// See the module documentation.
#[derive(Clone, Copy)]
pub struct ProcessFile {
    /// The number that the process has or had.
    pub pid: u32,
    /// See [`table::Kin::serial`].
    pub serial: u64,
}

impl ProcessFile {
    /// A file of the process that has a number now; none where no process has it.
    pub fn open(pid: u32, flags: u32) -> Option<Arc<OpenFile>> {
        let serial = table::kin(pid)?.serial;
        Some(OpenFile::new(
            ProcessFile { pid, serial },
            O_RDWR | flags,
            None,
        ))
    }

    /// The process.
    ///
    /// # Errors
    /// ESRCH where its parent has waited for it.
    pub fn seen(&self) -> Result<Seen, Errno> {
        let seen = table::look(self.pid).filter(|seen| seen.kin.serial == self.serial);
        seen.ok_or(Errno::ESRCH)
    }
}

impl File for ProcessFile {
    fn attributes(&self) -> Result<Attributes, Errno> {
        let ino = INO + self.serial;
        Ok(Attributes::generated(ANONYMOUS_DEVICE, ino, 0o600))
    }

    fn readiness(&self) -> Readiness {
        Readiness::of(match self.seen() {
            Ok(seen) if seen.ended.is_none() => 0,
            Ok(_) => EPOLLIN,
            Err(_) => EPOLLIN | EPOLLHUP,
        })
    }

    fn watchers(&self) -> [Option<&Watchers>; 2] {
        [Some(&ENDED), None]
    }

    fn as_process_file(&self) -> Option<&ProcessFile> {
        Some(self)
    }

    fn info(&self) -> Vec<u8> {
        let pid = self.seen().map_or(-1, |seen| i64::from(seen.pid));
        alloc::format!("Pid:\t{pid}\nNSpid:\t{pid}\n").into_bytes()
    }

    fn label(&self) -> Option<Vec<u8>> {
        Some(b"anon_inode:[pidfd]".to_vec())
    }
}
