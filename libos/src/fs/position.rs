//! Reading, writing and seeking: where the bytes of an [`OpenFile`] come from and go.
//!
//! Who uses the position holds its lock until it has moved, so that threads that
//! share an open file neither repeat nor overwrite each other (Linux's
//! `f_pos_lock`). It is held across copies, whose page faults never take it, and
//! only for files that have a position: these never wait. Order: position,
//! [`MemoryInode::writing`](super::memory::MemoryInode), all others.

use core::sync::atomic::{AtomicU64, Ordering};

use linux_raw_sys::general::{
    IN_ACCESS, IN_MODIFY, O_APPEND, SEEK_CUR, SEEK_DATA, SEEK_END, SEEK_HOLE, SEEK_SET,
};
use spin::Mutex;

use super::open_file::OpenFile;
use super::transfer::{Sink, Source};
use crate::errno::{Errno, SysResult};

/// The position of an open file.
#[derive(Default)]
pub struct Position {
    /// Changed by who holds `moving`, looked at by anybody.
    at: AtomicU64,
    moving: Mutex<()>,
}

impl Position {
    fn get(&self) -> u64 {
        self.at.load(Ordering::Relaxed)
    }

    fn set(&self, at: u64) {
        self.at.store(at, Ordering::Relaxed);
    }
}

impl OpenFile {
    /// Whether the file has a position that moves.
    fn moves(&self) -> bool {
        self.file().seekable() && !self.file().stays_at_start()
    }

    /// Reads at the position and moves it.
    #[inline]
    pub fn read(&self, sink: &mut dyn Sink) -> SysResult {
        self.read_with(None, false, sink)
    }

    /// Reads at `offset`, or at the position and moves it; with `nowait` it never waits.
    #[inline]
    pub fn read_with(&self, offset: Option<u64>, nowait: bool, sink: &mut dyn Sink) -> SysResult {
        if let Some(offset) = offset {
            return self.read_from(offset, sink);
        }
        if !self.readable() {
            return Err(Errno::EBADF);
        }
        let nonblocking = nowait || self.nonblocking();
        let count = if self.moves() {
            let _moving = self.position.moving.lock();
            let at = self.position.get();
            let count = self.file().read(at, nonblocking, sink)?;
            self.position.set(at + count as u64);
            count
        } else {
            self.file().read(0, nonblocking, sink)?
        };
        self.notify_used(count, IN_ACCESS);
        Ok(count)
    }

    /// Writes at the position, or at the end with O_APPEND, and moves it.
    pub fn write(&self, source: &mut dyn Source) -> SysResult {
        self.write_with(None, false, source)
    }

    /// Writes at `offset`, or at the position and moves it; with `nowait` it never waits.
    pub fn write_with(
        &self,
        offset: Option<u64>,
        nowait: bool,
        source: &mut dyn Source,
    ) -> SysResult {
        if let Some(offset) = offset {
            return self.write_to(offset, source);
        }
        if !self.writable() {
            return Err(Errno::EBADF);
        }
        let count = if self.moves() {
            self.write_at_position(self.flags() & O_APPEND != 0, source)?
        } else {
            let nonblocking = nowait || self.nonblocking();
            self.file().write(0, nonblocking, source)?
        };
        self.notify_used(count, IN_MODIFY);
        Ok(count)
    }

    /// Writes at the position or at the end, and moves the position behind it.
    fn write_at_position(&self, appends: bool, source: &mut dyn Source) -> SysResult {
        let _moving = self.position.moving.lock();
        let (at, count) = self.put(self.position.get(), appends, source)?;
        if count > 0 {
            self.position.set(at + count as u64);
        }
        Ok(count)
    }

    /// Writes at `offset` or at the end: where that was, and how many bytes.
    fn put(
        &self,
        offset: u64,
        appends: bool,
        source: &mut dyn Source,
    ) -> Result<(u64, usize), Errno> {
        if appends {
            self.file().append(self.nonblocking(), source)
        } else {
            let count = self.file().write(offset, self.nonblocking(), source)?;
            Ok((offset, count))
        }
    }

    /// Reads at `offset` without moving the position.
    pub fn read_from(&self, offset: u64, sink: &mut dyn Sink) -> SysResult {
        self.check_positioned(self.readable())?;
        let count = self.file().read(offset, self.nonblocking(), sink)?;
        self.notify_used(count, IN_ACCESS);
        Ok(count)
    }

    /// Writes at `offset`, or at the end with O_APPEND as Linux does, without moving the position.
    pub fn write_to(&self, offset: u64, source: &mut dyn Source) -> SysResult {
        self.check_positioned(self.writable())?;
        let (_, count) = self.put(offset, self.flags() & O_APPEND != 0, source)?;
        self.notify_used(count, IN_MODIFY);
        Ok(count)
    }

    /// Writes at `offset` although O_APPEND is set, or at the end although it is
    /// not; the position moves only where there was no `offset`.
    pub fn write_placed(
        &self,
        offset: Option<u64>,
        appends: bool,
        source: &mut dyn Source,
    ) -> SysResult {
        if !self.writable() {
            return Err(Errno::EBADF);
        }
        let count = match offset {
            Some(_) if !self.file().seekable() => return Err(Errno::ESPIPE),
            Some(offset) => self.put(offset, appends, source)?.1,
            None if self.moves() => self.write_at_position(appends, source)?,
            None => return self.write(source),
        };
        self.notify_used(count, IN_MODIFY);
        Ok(count)
    }

    /// A file without positions says so before the way it was opened counts.
    #[inline]
    fn check_positioned(&self, allowed: bool) -> Result<(), Errno> {
        if self.is_path() {
            Err(Errno::EBADF)
        } else if !self.file().seekable() {
            Err(Errno::ESPIPE)
        } else if !allowed {
            Err(Errno::EBADF)
        } else {
            Ok(())
        }
    }

    /// Moves the position, as `lseek`.
    pub fn seek(&self, offset: i64, whence: u32) -> SysResult {
        if self.is_path() {
            return Err(Errno::EBADF);
        }
        if !self.file().seekable() {
            return match whence {
                SEEK_SET..=SEEK_HOLE if self.file().stays_at_start() => Ok(0),
                SEEK_SET..=SEEK_HOLE => Err(Errno::ESPIPE),
                _ => Err(Errno::EINVAL),
            };
        }
        let _moving = self.position.moving.lock();
        let base = match whence {
            SEEK_SET => 0,
            SEEK_CUR => self.position.get() as i64,
            SEEK_END => self.file().attributes()?.size as i64,
            SEEK_DATA | SEEK_HOLE => {
                let from = u64::try_from(offset).map_err(|_| Errno::ENXIO)?;
                let found = self.file().seek_content(from, whence == SEEK_DATA)?;
                self.position.set(found);
                return Ok(found as usize);
            }
            _ => return Err(Errno::EINVAL),
        };
        let target = base.checked_add(offset).ok_or(Errno::EOVERFLOW)?;
        let target = u64::try_from(target).map_err(|_| Errno::EINVAL)?;
        if self.file().stays_at_start() {
            return Ok(0);
        }
        self.position.set(target);
        Ok(target as usize)
    }

    /// The position.
    pub fn position(&self) -> u64 {
        self.position.get()
    }

    /// Runs `with` at the position, which becomes what that returns, for
    /// directories.
    ///
    /// # Errors
    /// What `with` says; the position stays.
    pub fn at_position<R>(
        &self,
        with: impl FnOnce(u64) -> Result<(u64, R), Errno>,
    ) -> Result<R, Errno> {
        let _moving = self.position.moving.lock();
        let (target, result) = with(self.position.get())?;
        self.position.set(target);
        Ok(result)
    }

    /// Takes back that the last `bytes` were read.
    pub fn unread(&self, bytes: u64) {
        if self.moves() {
            let _moving = self.position.moving.lock();
            self.position.set(self.position.get().saturating_sub(bytes));
        }
    }
}
