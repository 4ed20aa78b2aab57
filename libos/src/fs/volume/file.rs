//! Open files of a volume.

use alloc::sync::Arc;

use linux_raw_sys::general::{SEEK_DATA, SEEK_HOLE};
use unikiln_abi::volume::{Fields, WRITE_APPEND, WRITE_KILL_SUIDGID, opcode};

use super::exchange::{Buffer, Question};
use super::inode::VolumeInode;
use super::watch;
use crate::errno::{Errno, SysResult};
use crate::fs::access::Caller;
use crate::fs::allocate::Change;
use crate::fs::attributes::Attributes;
use crate::fs::limits;
use crate::fs::node::Node;
use crate::fs::open_file::{File, Page};
use crate::fs::regular::too_big;
use crate::fs::transfer::{Sink, Source};
use crate::process::capabilities::FSETID;

/// An open regular file. Dropping it closes it on the host.
pub(super) struct VolumeFile {
    pub(super) inode: Arc<VolumeInode>,
    pub(super) handle: u64,
    pub(super) writes: bool,
}

impl VolumeFile {
    /// One READ or WRITE of at most a buffer.
    fn question<T>(
        &self,
        opcode: u32,
        (offset, len, flags): (u64, usize, u32),
        data_gpa: u64,
        parse: impl FnOnce(&mut Fields<'_>) -> Option<T>,
    ) -> Result<T, Errno> {
        let question = Question {
            opcode,
            node: self.inode.node,
            parts: &[
                &self.handle.to_le_bytes(),
                &offset.to_le_bytes(),
                &(len as u32).to_le_bytes(),
                &flags.to_le_bytes(),
                &[0; 16],
            ],
        };
        self.inode.volume.ask(&question, data_gpa, parse)
    }

    /// Reads into a buffer of the libOS: how many bytes.
    pub(super) fn read_into(&self, offset: u64, len: usize, gpa: u64) -> SysResult {
        let got = self.question(opcode::READ, (offset, len, 0), gpa, |it| it.u32())? as usize;
        if got > len { Err(Errno::EIO) } else { Ok(got) }
    }

    /// Writes from a buffer of the libOS: how many bytes, and where they end.
    pub(super) fn write_from(
        &self,
        offset: u64,
        len: usize,
        flags: u32,
        gpa: u64,
    ) -> Result<(usize, u64), Errno> {
        let (count, end) = self.question(opcode::WRITE, (offset, len, flags), gpa, |fields| {
            let count = fields.u32()? as usize;
            fields.u32()?;
            Some((count, fields.u64()?))
        })?;
        if count > len {
            return Err(Errno::EIO);
        }
        Ok((count, end))
    }

    /// Writes at `offset`, or at the end: how many bytes, and where they end.
    fn write_all(
        &self,
        offset: u64,
        appends: bool,
        source: &mut dyn Source,
    ) -> Result<(usize, u64), Errno> {
        let limit = limits::file_size().min(i64::MAX as u64);
        let start = if appends && limit < i64::MAX as u64 {
            self.inode.attributes()?.size
        } else if appends {
            0
        } else {
            offset
        };
        if source.remaining() == 0 {
            return Ok((0, start));
        }
        if start >= limit {
            return Err(too_big(start));
        }
        let kill = if Caller::current().can(FSETID) {
            0
        } else {
            WRITE_KILL_SUIDGID
        };
        let flags = kill | if appends { WRITE_APPEND } else { 0 };
        let mut buffer = Buffer::for_data(source.remaining())?;
        let (mut done, mut end) = (0, start);
        let mut failed = None;
        while source.remaining() > 0 {
            let at = start + done as u64;
            let room = (limit - at.min(limit)).min(buffer.bytes().len() as u64) as usize;
            let len = room.min(source.remaining());
            let Some(chunk) = buffer
                .bytes_mut()
                .get_mut(..len)
                .filter(|it| !it.is_empty())
            else {
                break;
            };
            let taken = source.take_part(chunk);
            if taken == 0 {
                failed = Some(Errno::EFAULT);
                break;
            }
            match self.write_from(at, taken, flags, buffer.gpa()) {
                Ok((count, ended)) => {
                    let bytes = buffer.bytes().get(..count).ok_or(Errno::EIO)?;
                    let started = ended.saturating_sub(count as u64);
                    self.inode.pages.lock().wrote(started, bytes);
                    done += count;
                    end = ended;
                    if count < len {
                        break;
                    }
                }
                Err(errno) => {
                    failed = Some(errno);
                    break;
                }
            }
        }
        self.inode.changed();
        watch::look();
        match failed {
            Some(errno) if done == 0 => Err(errno),
            _ => Ok((done, end)),
        }
    }
}

impl Drop for VolumeFile {
    fn drop(&mut self) {
        if self.writes {
            // Nobody is left to be told that it failed.
            let _ = self.write_back(0, u64::MAX);
        }
        self.inode.pages.lock().closed(self.handle);
        self.inode
            .volume
            .release(self.handle, self.writes || watch::is_active());
        watch::look_closing(&self.inode);
    }
}

impl File for VolumeFile {
    fn attributes(&self) -> Result<Attributes, Errno> {
        self.inode.attributes()
    }

    fn node(&self) -> Option<Node> {
        Some(Node::Volume(self.inode.clone()))
    }

    fn seekable(&self) -> bool {
        true
    }

    fn pollable(&self) -> bool {
        false
    }

    fn seek_content(&self, offset: u64, data: bool) -> Result<u64, Errno> {
        let whence = if data { SEEK_DATA } else { SEEK_HOLE };
        let parts: [&[u8]; 4] = [
            &self.handle.to_le_bytes(),
            &offset.to_le_bytes(),
            &whence.to_le_bytes(),
            &[0; 4],
        ];
        self.inode.ask(opcode::LSEEK, &parts, |it| it.u64())
    }

    fn read(&self, offset: u64, _nonblocking: bool, sink: &mut dyn Sink) -> SysResult {
        let wanted = sink.remaining();
        if wanted == 0 {
            return Ok(0);
        }
        if offset > i64::MAX as u64 {
            return Err(Errno::EINVAL);
        }
        self.inode.write_back_for(offset, wanted)?;
        let buffer = Buffer::for_data(wanted)?;
        let mut done = 0;
        while sink.remaining() > 0 {
            let len = sink.remaining().min(buffer.bytes().len());
            let got = match self.read_into(offset + done as u64, len, buffer.gpa()) {
                Err(errno) if done == 0 => return Err(errno),
                other => other.unwrap_or(0),
            };
            let put = sink.put_part(buffer.bytes().get(..got).ok_or(Errno::EIO)?);
            done += put;
            if put < got && done == 0 {
                return Err(Errno::EFAULT);
            }
            if put < len {
                break;
            }
        }
        watch::look();
        Ok(done)
    }

    fn write(&self, offset: u64, _nonblocking: bool, source: &mut dyn Source) -> SysResult {
        self.write_all(offset, false, source)
            .map(|(count, _)| count)
    }

    fn append(&self, _nonblocking: bool, source: &mut dyn Source) -> Result<(u64, usize), Errno> {
        let (count, end) = self.write_all(0, true, source)?;
        Ok((end.saturating_sub(count as u64), count))
    }

    fn mappable(&self) -> bool {
        true
    }

    fn page(&self, index: u64, writable: bool) -> Result<Page, Errno> {
        self.mapped_page(index, writable && self.writes)
    }

    fn is_resident(&self, index: u64) -> bool {
        self.inode.pages.lock().has(index)
    }

    fn size(&self) -> u64 {
        let mapped = self.inode.pages.lock().size();
        mapped.unwrap_or_else(|| self.inode.attributes().map_or(0, |it| it.size))
    }

    fn truncate(&self, size: u64) -> Result<(), Errno> {
        if size > limits::file_size() && size > self.inode.attributes()?.size {
            return Err(too_big(size));
        }
        self.inode.resize(size, Some(self.handle))
    }

    fn allocate(
        &self,
        change: Change,
        keeps_size: bool,
        start: u64,
        len: u64,
    ) -> Result<(), Errno> {
        let end = start.checked_add(len).filter(|&end| end <= i64::MAX as u64);
        let end = end.ok_or(Errno::EFBIG)?;
        if !keeps_size && end > limits::file_size() {
            return Err(too_big(end));
        }
        self.write_back(0, u64::MAX)?;
        let parts: [&[u8]; 5] = [
            &self.handle.to_le_bytes(),
            &start.to_le_bytes(),
            &len.to_le_bytes(),
            &change.to_mode(keeps_size).to_le_bytes(),
            &[0; 4],
        ];
        (self.inode.volume).tell(opcode::FALLOCATE, self.inode.node, &parts)?;
        self.inode.changed();
        watch::look();
        self.inode.refresh_pages();
        Ok(())
    }

    fn sync(&self, data_only: bool) -> Result<(), Errno> {
        self.inode.write_back_for(0, usize::MAX)?;
        self.inode.sync(self.handle, data_only)
    }

    fn write_back(&self, first: u64, end: u64) -> Result<(), Errno> {
        self.write_back_pages(first, end)
    }

    fn volume_handle(&self) -> Option<(u64, u64, u64)> {
        let device = self.inode.identity().device;
        Some((device, self.inode.node, self.handle))
    }
}
