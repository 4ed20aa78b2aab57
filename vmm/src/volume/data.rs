//! Messages about the bytes of files: opening, reading, writing, space, syncing.
//!
//! Bytes go straight between guest memory and the host's file.

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{
    FallocateFlags, FileType, OFlags, SeekFrom, copy_file_range, fallocate, fdatasync, fsync, seek,
    syncfs,
};
use rustix::io::Errno;
use unikiln_abi::volume::{FSYNC_DATA, WRITE_APPEND, WRITE_KILL_SUIDGID};

use super::names::open_flags;
use super::server::{Message, Server};
use crate::hypercall::lock;
use crate::memory::GuestSlice;

const SEEK_DATA: u32 = 3;
const SEEK_HOLE: u32 = 4;
/// Most bytes that the host copies in one call: the guest waits meanwhile.
const COPY_MAX_BYTES: u64 = 64 << 20;

impl Server {
    pub(super) fn open_node(
        &self,
        message: &mut Message<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Errno> {
        let flags = open_flags(message.u32()?);
        let node = self.node(message.header.node)?;
        if node.kind != FileType::RegularFile {
            return Err(Errno::PERM);
        }
        let writes = flags.intersects(OFlags::WRONLY | OFlags::RDWR | OFlags::TRUNC);
        if writes && self.is_read_only() {
            return Err(Errno::ROFS);
        }
        let slot = self.limit.take()?;
        let fd = match self.reopen(&node, flags) {
            // Only its owner may ask for it, which the monitor need not be.
            Err(Errno::PERM) if flags.contains(OFlags::NOATIME) => {
                self.reopen(&node, flags - OFlags::NOATIME)?
            }
            other => other?,
        };
        let handle = self.handles().insert(fd, slot);
        out.extend_from_slice(&handle.to_le_bytes());
        out.extend_from_slice(&[0; 8]);
        Ok(())
    }

    pub(super) fn read(&self, message: &mut Message<'_>, out: &mut Vec<u8>) -> Result<(), Errno> {
        let (handle, offset, size) = (message.u64()?, message.u64()?, message.u32()?);
        let data = message.data(size)?;
        let handle = self.handle(handle)?;
        let mut done = 0;
        // Short only at the end, whatever signals came.
        while done < data.len() {
            let rest = data.offset(done).map_err(|_| Errno::INVAL)?;
            match transfer(&handle.fd, &rest, offset_at(offset, done)?, Direction::Read) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(Errno::INTR) => {}
                Err(errno) if done == 0 => return Err(errno),
                Err(_) => break,
            }
        }
        out.extend_from_slice(&(done as u32).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        Ok(())
    }

    pub(super) fn write(&self, message: &mut Message<'_>, out: &mut Vec<u8>) -> Result<(), Errno> {
        let (handle, offset, size) = (message.u64()?, message.u64()?, message.u32()?);
        let flags = message.u32()?;
        let data = message.data(size)?;
        let handle = self.handle(handle)?;
        let _appending = lock(&handle.appending);
        let appends = flags & WRITE_APPEND != 0;
        let mut done = 0;
        while done < data.len() {
            let rest = data.offset(done).map_err(|_| Errno::INVAL)?;
            let written = if appends {
                transfer(&handle.fd, &rest, -1, Direction::Append)
            } else {
                transfer(
                    &handle.fd,
                    &rest,
                    offset_at(offset, done)?,
                    Direction::Write,
                )
            };
            match written {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(Errno::INTR) => {}
                Err(errno) if done == 0 => return Err(errno),
                Err(_) => break,
            }
        }
        let end = if appends {
            seek(&handle.fd, SeekFrom::Current(0))?
        } else {
            offset.saturating_add(done as u64)
        };
        if flags & WRITE_KILL_SUIDGID != 0 && done > 0 {
            self.drop_set_id(&handle.fd)?;
        }
        out.extend_from_slice(&(done as u32).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&end.to_le_bytes());
        Ok(())
    }

    /// FSYNC: of a handle, or of a directory with handle 0.
    pub(super) fn sync(&self, message: &mut Message<'_>) -> Result<(), Errno> {
        let (handle, flags) = (message.u64()?, message.u32()?);
        let sync = |fd: &OwnedFd| {
            if flags & FSYNC_DATA != 0 {
                fdatasync(fd)
            } else {
                fsync(fd)
            }
        };
        if handle != 0 {
            return sync(&self.handle(handle)?.fd);
        }
        let _slot = self.limit.take()?;
        let node = self.node(message.header.node)?;
        sync(&self.reopen(&node, OFlags::RDONLY)?)
    }

    pub(super) fn sync_all(&self) -> Result<(), Errno> {
        let _slot = self.limit.take()?;
        let root = self.root()?;
        syncfs(self.reopen(&root, OFlags::RDONLY)?)
    }

    pub(super) fn allocate(&self, message: &mut Message<'_>) -> Result<(), Errno> {
        let (handle, offset, len) = (message.u64()?, message.u64()?, message.u64()?);
        let mode = FallocateFlags::from_bits_retain(message.u32()?);
        fallocate(&self.handle(handle)?.fd, mode, offset, len)
    }

    pub(super) fn seek(&self, message: &mut Message<'_>, out: &mut Vec<u8>) -> Result<(), Errno> {
        let (handle, offset, whence) = (message.u64()?, message.u64()?, message.u32()?);
        let handle = self.handle(handle)?;
        let from = match whence {
            SEEK_DATA => SeekFrom::Data(offset),
            SEEK_HOLE => SeekFrom::Hole(offset),
            _ => return Err(Errno::INVAL),
        };
        // The position means something to appending writes only, which set it.
        out.extend_from_slice(&seek(&handle.fd, from)?.to_le_bytes());
        Ok(())
    }

    pub(super) fn copy_range(
        &self,
        message: &mut Message<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Errno> {
        let (from, mut from_at) = (message.u64()?, message.u64()?);
        message.u64()?;
        let (to, mut to_at) = (message.u64()?, message.u64()?);
        let len = message.u64()?.min(COPY_MAX_BYTES) as usize;
        let (from, to) = (self.handle(from)?, self.handle(to)?);
        let count = copy_file_range(&from.fd, Some(&mut from_at), &to.fd, Some(&mut to_at), len)?;
        out.extend_from_slice(&(count as u32).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Read,
    Write,
    Append,
}

fn offset_at(offset: u64, done: usize) -> Result<i64, Errno> {
    let at = offset.checked_add(done as u64).ok_or(Errno::INVAL)?;
    i64::try_from(at).map_err(|_| Errno::INVAL)
}

/// Moves bytes between guest memory and a file; offset -1 is the file's position.
#[expect(unsafe_code, reason = "guest memory is named by address")]
fn transfer(
    fd: &OwnedFd,
    data: &GuestSlice<'_>,
    offset: i64,
    direction: Direction,
) -> Result<usize, Errno> {
    let guard = data.ptr_guard_mut();
    let range = libc::iovec {
        iov_base: guard.as_ptr().cast(),
        iov_len: data.len(),
    };
    // SAFETY: the range lies in an arena that outlives `data`. The kernel copies
    // to or from it as to or from any memory that others change meanwhile.
    let count = unsafe {
        match direction {
            Direction::Read => libc::preadv2(fd.as_raw_fd(), &raw const range, 1, offset, 0),
            Direction::Write => libc::pwritev2(fd.as_raw_fd(), &raw const range, 1, offset, 0),
            Direction::Append => libc::pwritev2(
                fd.as_raw_fd(),
                &raw const range,
                1,
                offset,
                libc::RWF_APPEND,
            ),
        }
    };
    usize::try_from(count).map_err(|_| {
        let code = std::io::Error::last_os_error().raw_os_error();
        Errno::from_raw_os_error(code.unwrap_or(libc::EIO))
    })
}
