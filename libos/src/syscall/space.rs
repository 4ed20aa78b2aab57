//! Calls about the space that files take, about writing it back, and copies
//! from file to file.

use linux_raw_sys::general::{
    AT_FDCWD, IN_MODIFY, O_APPEND, SEEK_SET, SYNC_FILE_RANGE_WAIT_AFTER,
    SYNC_FILE_RANGE_WAIT_BEFORE, SYNC_FILE_RANGE_WRITE,
};

use super::file::{descriptor, offset};
use super::path::{PathArgument, reach};
use crate::errno::{Errno, SysResult};
use crate::fs::access::WRITE;
use crate::fs::attributes::FileType;
use crate::fs::node::Node;
use crate::fs::regular::too_big;
use crate::fs::transfer::{BufferSink, BufferSource, TRANSFER_MAX_BYTES};
use crate::fs::{self, Caller, OpenFile, limits};
use crate::mm::user;

/// Bytes copied at once between two files.
const COPY_CHUNK_BYTES: usize = 64 << 10;

/// truncate(2).
pub(super) fn truncate(args: &[u64; 6]) -> SysResult {
    let size = offset(args[1])?;
    let path = PathArgument::read(args[0])?;
    let caller = Caller::current();
    let reached = reach(&caller, AT_FDCWD as u64, path.as_bytes(), 0)?;
    let node = &reached.node;
    let attributes = node.attributes()?;
    match attributes.file_type() {
        FileType::Regular => {}
        FileType::Directory => return Err(Errno::EISDIR),
        _ => return Err(Errno::EINVAL),
    }
    node.check_not_read_only()?;
    caller.check(&attributes, WRITE)?;
    fs::check_not_running(node)?;
    if let Node::Volume(inode) = node {
        if size > attributes.size && size > limits::file_size() {
            return Err(too_big(size));
        }
        inode.resize(size, None)?;
        return Ok(0);
    }
    let inode = node.writable()?;
    fs::resize(&inode, size)?;
    reached.notify(IN_MODIFY);
    Ok(0)
}

/// ftruncate(2).
pub(super) fn ftruncate(args: &[u64; 6]) -> SysResult {
    let size = offset(args[1])?;
    let file = descriptor(args[0])?;
    if file.is_path() {
        return Err(Errno::EBADF);
    }
    if !file.writable() {
        return Err(Errno::EINVAL);
    }
    file.file().truncate(size)?;
    file.notify(IN_MODIFY);
    Ok(0)
}

/// fallocate(2).
pub(super) fn fallocate(args: &[u64; 6]) -> SysResult {
    let [fd, mode, start, len, ..] = *args;
    let file = descriptor(fd)?;
    if file.is_path() {
        return Err(Errno::EBADF);
    }
    let (start, len) = (offset(start)?, offset(len)?);
    if len == 0 {
        return Err(Errno::EINVAL);
    }
    let (change, keeps_size) = fs::Change::from_mode(mode as u32)?;
    fs::allocate(&file, change, keeps_size, start, len)?;
    file.notify(IN_MODIFY);
    Ok(0)
}

/// fsync(2).
pub(super) fn fsync(args: &[u64; 6]) -> SysResult {
    sync_file(args[0], false)
}

/// fdatasync(2).
pub(super) fn fdatasync(args: &[u64; 6]) -> SysResult {
    sync_file(args[0], true)
}

/// Only what is on a volume has anything to write to a disk.
fn sync_file(fd: u64, data_only: bool) -> SysResult {
    let file = descriptor(fd)?;
    if file.is_path() {
        return Err(Errno::EBADF);
    }
    if file.node().is_none() {
        return Err(Errno::EINVAL);
    }
    file.file().sync(data_only)?;
    Ok(0)
}

/// syncfs(2).
pub(super) fn syncfs(args: &[u64; 6]) -> SysResult {
    let file = descriptor(args[0])?;
    if let Some(Node::Volume(inode)) = file.node() {
        fs::volume::write_back_all();
        inode.sync_volume()?;
    }
    Ok(0)
}

/// sync(2).
pub(super) fn sync(_args: &[u64; 6]) -> SysResult {
    fs::volume::sync_all();
    Ok(0)
}

/// sync_file_range(2).
pub(super) fn sync_file_range(args: &[u64; 6]) -> SysResult {
    let known = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
    let file = descriptor(args[0])?;
    offset(args[1])?;
    offset(args[2])?;
    if args[3] as u32 & !known != 0 {
        return Err(Errno::EINVAL);
    }
    if file.node().is_some() {
        Ok(0)
    } else {
        Err(Errno::ESPIPE)
    }
}

/// fadvise64(2): advice about a cache that is the memory itself.
pub(super) fn fadvise64(args: &[u64; 6]) -> SysResult {
    const ADVICE_MAX: u32 = 5;
    let file = descriptor(args[0])?;
    if file.node().is_none() {
        return Err(Errno::ESPIPE);
    }
    if args[3] as u32 > ADVICE_MAX || args[2] > i64::MAX as u64 {
        return Err(Errno::EINVAL);
    }
    Ok(0)
}

/// readahead(2).
pub(super) fn readahead(args: &[u64; 6]) -> SysResult {
    let file = descriptor(args[0])?;
    if !file.readable() {
        return Err(Errno::EBADF);
    }
    match file.attributes()?.file_type() {
        FileType::Regular => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}

/// Where one side of a copy reads or writes.
pub(super) enum At {
    /// At the file's position.
    Position,
    /// Here; the position stays.
    Offset(u64),
}

pub(super) fn read_offset(addr: u64) -> Result<At, Errno> {
    if addr == 0 {
        Ok(At::Position)
    } else {
        Ok(At::Offset(offset(user::read::<u64>(addr)?)?))
    }
}

/// Copies up to `len` bytes; stops early where the source ends or the target is full.
fn copy(
    (from, from_at): (&OpenFile, &mut At),
    (to, to_at): (&OpenFile, &mut At),
    len: usize,
    nowait: bool,
) -> SysResult {
    let mut buffer = alloc::vec![0; len.min(COPY_CHUNK_BYTES)];
    let mut done = 0;
    while done < len {
        let room = (len - done).min(COPY_CHUNK_BYTES);
        let chunk = buffer.get_mut(..room).ok_or(Errno::EIO)?;
        let step = match from_at {
            At::Position => from.read_with(None, nowait, &mut BufferSink(chunk)),
            At::Offset(at) => from.read_from(*at, &mut BufferSink(chunk)),
        };
        let count = match step {
            Ok(0) => break,
            Ok(count) => count,
            Err(errno) if done == 0 => return Err(errno),
            Err(_) => break,
        };
        let bytes = chunk.get(..count).ok_or(Errno::EIO)?;
        let written = match to_at {
            At::Position => to.write_with(None, nowait, &mut BufferSource(bytes)),
            At::Offset(at) => to.write_to(*at, &mut BufferSource(bytes)),
        };
        let taken = *written.as_ref().unwrap_or(&0);
        // What was read and not written goes back, where there is a back.
        match from_at {
            At::Offset(at) => *at += taken as u64,
            At::Position if taken < count => from.unread((count - taken) as u64),
            At::Position => {}
        }
        if let At::Offset(at) = to_at {
            *at += taken as u64;
        }
        done += taken;
        match written {
            Err(errno) if done == 0 => return Err(errno),
            // A pipe gives what it has at once; asking again would wait.
            Ok(taken) if taken == count && from.file().seekable() => {}
            _ => break,
        }
    }
    Ok(done)
}

pub(super) fn write_back(addr: u64, at: &At) -> Result<(), Errno> {
    match at {
        At::Offset(at) => user::write::<u64>(addr, at),
        At::Position => Ok(()),
    }
}

/// sendfile(2).
pub(super) fn sendfile(args: &[u64; 6]) -> SysResult {
    let [out, input, at, len, ..] = *args;
    let (from, to) = (descriptor(input)?, descriptor(out)?);
    if !from.readable() || !to.writable() {
        return Err(Errno::EBADF);
    }
    if !from.file().seekable() || to.flags() & O_APPEND != 0 {
        return Err(Errno::EINVAL);
    }
    let mut from_at = read_offset(at)?;
    let len = (len as usize).min(TRANSFER_MAX_BYTES);
    let done = copy((&from, &mut from_at), (&to, &mut At::Position), len, false)?;
    write_back(at, &from_at)?;
    Ok(done)
}

/// Inside a volume no byte comes into the guest. Positions are taken first and set
/// afterwards, as Linux does: threads that share them see what they get.
fn copy_by_host(
    (from, from_at): (&OpenFile, &mut At),
    (to, to_at): (&OpenFile, &mut At),
    len: usize,
) -> Result<Option<usize>, Errno> {
    let place = |at: &At, file: &OpenFile| match at {
        At::Position => file.position(),
        At::Offset(at) => *at,
    };
    let (start, target) = (place(from_at, from), place(to_at, to));
    let Some(done) = fs::volume::copy_range(from, start, to, target, len as u64)? else {
        return Ok(None);
    };
    for (at, file, start) in [(from_at, from, start), (to_at, to, target)] {
        let end = start + done as u64;
        match at {
            At::Offset(at) => *at = end,
            At::Position => {
                file.seek(end as i64, SEEK_SET)?;
            }
        }
    }
    Ok(Some(done))
}

/// copy_file_range(2).
pub(super) fn copy_file_range(args: &[u64; 6]) -> SysResult {
    let [input, input_at, out, out_at, len, flags] = *args;
    if flags as u32 != 0 {
        return Err(Errno::EINVAL);
    }
    let (from, to) = (descriptor(input)?, descriptor(out)?);
    if !from.readable() || !to.writable() || to.flags() & O_APPEND != 0 {
        return Err(Errno::EBADF);
    }
    for file in [&from, &to] {
        match file.attributes()?.file_type() {
            FileType::Regular => {}
            FileType::Directory => return Err(Errno::EISDIR),
            _ => return Err(Errno::EINVAL),
        }
    }
    let (mut from_at, mut to_at) = (read_offset(input_at)?, read_offset(out_at)?);
    let len = (len as usize).min(TRANSFER_MAX_BYTES);
    if from.inode_id() == to.inode_id() {
        let start = |at: &At, file: &OpenFile| match at {
            At::Position => file.position(),
            At::Offset(at) => *at,
        };
        // Overlapping ranges of one file cannot be copied.
        if start(&from_at, &from).abs_diff(start(&to_at, &to)) < len as u64 {
            return Err(Errno::EINVAL);
        }
    }
    let done = match copy_by_host((&from, &mut from_at), (&to, &mut to_at), len)? {
        Some(done) => done,
        None => copy((&from, &mut from_at), (&to, &mut to_at), len, false)?,
    };
    write_back(input_at, &from_at)?;
    write_back(out_at, &to_at)?;
    Ok(done)
}
