//! Calls that move bytes through pipes without the program touching them.

use alloc::sync::Arc;

use linux_raw_sys::general::{O_APPEND, O_NONBLOCK};

use super::file::descriptor;
use super::space::{At, read_offset, write_back};
use crate::errno::{Errno, SysResult};
use crate::fs::OpenFile;
use crate::fs::pipe::{Pipe, splice as pipes};
use crate::fs::transfer::{BufferSink, BufferSource, TRANSFER_MAX_BYTES, UserRanges};

/// SPLICE_F_NONBLOCK.
const NONBLOCK: u32 = 2;
/// SPLICE_F_MOVE, NONBLOCK, MORE and GIFT.
const FLAGS_KNOWN: u32 = 0xf;

fn nonblocking(flags: u32, files: &[&Arc<OpenFile>]) -> bool {
    flags & NONBLOCK != 0 || files.iter().any(|file| file.flags() & O_NONBLOCK != 0)
}

/// Descriptors, length and whether to wait, as far as splice and tee agree.
fn checked(input: u64, out: u64, flags: u64) -> Result<(Arc<OpenFile>, Arc<OpenFile>), Errno> {
    if flags as u32 & !FLAGS_KNOWN != 0 {
        return Err(Errno::EINVAL);
    }
    let (from, to) = (descriptor(input)?, descriptor(out)?);
    if from.is_path() || to.is_path() {
        return Err(Errno::EBADF);
    }
    Ok((from, to))
}

/// splice(2).
pub(super) fn splice(args: &[u64; 6]) -> SysResult {
    let [input, input_at, out, out_at, len, flags] = *args;
    if len == 0 {
        return Ok(0);
    }
    let (from, to) = checked(input, out, flags)?;
    let len = (len as usize).min(TRANSFER_MAX_BYTES);
    let (from_pipe, to_pipe) = (from.file().as_pipe(), to.file().as_pipe());
    if from_pipe.is_some() && input_at != 0 || to_pipe.is_some() && out_at != 0 {
        return Err(Errno::ESPIPE);
    }
    let (mut from_at, mut to_at) = (read_offset(input_at)?, read_offset(out_at)?);
    if !from.readable() || !to.writable() {
        return Err(Errno::EBADF);
    }
    let flags = flags as u32;
    let done = match (from_pipe, to_pipe) {
        (Some(from_pipe), Some(to_pipe)) if Arc::ptr_eq(from_pipe, to_pipe) => {
            return Err(Errno::EINVAL);
        }
        (Some(from_pipe), Some(to_pipe)) => {
            pipes::move_pages(from_pipe, to_pipe, len, nonblocking(flags, &[&from, &to]))?
        }
        (Some(pipe), None) => {
            if !to.file().seekable() && out_at != 0 || to.flags() & O_APPEND != 0 {
                return Err(Errno::EINVAL);
            }
            let mut write = |bytes: &[u8]| write_to(&to, &mut to_at, bytes);
            pipes::drain(pipe, len, nonblocking(flags, &[&from]), &mut write)?
        }
        (None, Some(pipe)) => {
            if !from.file().seekable() && input_at != 0 {
                return Err(Errno::EINVAL);
            }
            let mut read = |bytes: &mut [u8]| read_from(&from, &mut from_at, bytes);
            pipes::feed(pipe, len, nonblocking(flags, &[&to]), &mut read)?
        }
        (None, None) => return Err(Errno::EINVAL),
    };
    write_back(input_at, &from_at)?;
    write_back(out_at, &to_at)?;
    Ok(done)
}

fn write_to(file: &OpenFile, at: &mut At, bytes: &[u8]) -> SysResult {
    match at {
        At::Position => file.write(&mut BufferSource(bytes)),
        At::Offset(offset) => {
            let count = file.write_to(*offset, &mut BufferSource(bytes))?;
            *offset += count as u64;
            Ok(count)
        }
    }
}

fn read_from(file: &OpenFile, at: &mut At, bytes: &mut [u8]) -> SysResult {
    match at {
        At::Position => file.read(&mut BufferSink(bytes)),
        At::Offset(offset) => {
            let count = file.read_from(*offset, &mut BufferSink(bytes))?;
            *offset += count as u64;
            Ok(count)
        }
    }
}

/// tee(2).
pub(super) fn tee(args: &[u64; 6]) -> SysResult {
    let [input, out, len, flags, ..] = *args;
    if flags as u32 & !FLAGS_KNOWN != 0 {
        return Err(Errno::EINVAL);
    }
    if len == 0 {
        return Ok(0);
    }
    let (from, to) = checked(input, out, flags)?;
    if !from.readable() || !to.writable() {
        return Err(Errno::EBADF);
    }
    let pipe_of = |file: &Arc<OpenFile>| -> Result<Arc<Pipe>, Errno> {
        file.file().as_pipe().cloned().ok_or(Errno::EINVAL)
    };
    let (from_pipe, to_pipe) = (pipe_of(&from)?, pipe_of(&to)?);
    if Arc::ptr_eq(&from_pipe, &to_pipe) {
        return Err(Errno::EINVAL);
    }
    let len = (len as usize).min(TRANSFER_MAX_BYTES);
    let waits_not = nonblocking(flags as u32, &[&from, &to]);
    pipes::copy_pages(&from_pipe, &to_pipe, len, waits_not)
}

/// vmsplice(2): the bytes are copied, not given away.
pub(super) fn vmsplice(args: &[u64; 6]) -> SysResult {
    let [fd, vector, count, flags, ..] = *args;
    if flags as u32 & !FLAGS_KNOWN != 0 {
        return Err(Errno::EINVAL);
    }
    let file = descriptor(fd)?;
    let writes = file.writable();
    if !writes && !file.readable() {
        return Err(Errno::EBADF);
    }
    let mut ranges = UserRanges::vector(vector, count)?;
    if ranges.remaining() == 0 {
        return Ok(0);
    }
    let pipe = file.file().as_pipe().ok_or(Errno::EBADF)?;
    let waits_not = flags as u32 & NONBLOCK != 0;
    if writes {
        pipes::feed_from(pipe, waits_not, &mut ranges)
    } else {
        pipes::drain_into(pipe, waits_not, &mut ranges)
    }
}
