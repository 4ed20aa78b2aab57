//! Reading, writing and seeking.

use alloc::sync::Arc;

use linux_raw_sys::general::{RWF_APPEND, RWF_DSYNC, RWF_HIPRI, RWF_NOWAIT, RWF_SYNC};

use crate::errno::{Errno, SysResult};
use crate::fs::OpenFile;
use crate::fs::transfer::UserRanges;
use crate::process;

/// `RWF_*` flags that change nothing here.
const RWF_IGNORED: u32 = RWF_HIPRI | RWF_DSYNC | RWF_SYNC;
/// Newer than the list of the crate: O_APPEND does not count.
const RWF_NOAPPEND: u32 = 0x20;

/// The open file behind a descriptor argument.
#[inline]
pub(super) fn descriptor(fd: u64) -> Result<Arc<OpenFile>, Errno> {
    process::current().files.lock().get(fd as i32)
}

/// read(2).
pub(super) fn read(args: &[u64; 6]) -> SysResult {
    let [fd, buffer, len, ..] = *args;
    descriptor(fd)?.read(&mut UserRanges::one(buffer, len)?)
}

/// write(2).
pub(super) fn write(args: &[u64; 6]) -> SysResult {
    let [fd, buffer, len, ..] = *args;
    descriptor(fd)?.write(&mut UserRanges::one(buffer, len)?)
}

/// readv(2).
pub(super) fn readv(args: &[u64; 6]) -> SysResult {
    let [fd, vector, count, ..] = *args;
    let file = descriptor(fd)?;
    file.read(&mut UserRanges::vector(vector, count)?)
}

/// writev(2).
pub(super) fn writev(args: &[u64; 6]) -> SysResult {
    let [fd, vector, count, ..] = *args;
    let file = descriptor(fd)?;
    file.write(&mut UserRanges::vector(vector, count)?)
}

/// An offset argument; negative ones are EINVAL.
pub(super) fn offset(value: u64) -> Result<u64, Errno> {
    if value > i64::MAX as u64 {
        Err(Errno::EINVAL)
    } else {
        Ok(value)
    }
}

/// pread64(2).
pub(super) fn pread64(args: &[u64; 6]) -> SysResult {
    let [fd, buffer, len, at, ..] = *args;
    let at = offset(at)?;
    descriptor(fd)?.read_from(at, &mut UserRanges::one(buffer, len)?)
}

/// pwrite64(2).
pub(super) fn pwrite64(args: &[u64; 6]) -> SysResult {
    let [fd, buffer, len, at, ..] = *args;
    let at = offset(at)?;
    descriptor(fd)?.write_to(at, &mut UserRanges::one(buffer, len)?)
}

/// preadv(2).
pub(super) fn preadv(args: &[u64; 6]) -> SysResult {
    let [fd, vector, count, at, ..] = *args;
    let file = descriptor(fd)?;
    file.read_from(offset(at)?, &mut UserRanges::vector(vector, count)?)
}

/// pwritev(2).
pub(super) fn pwritev(args: &[u64; 6]) -> SysResult {
    let [fd, vector, count, at, ..] = *args;
    let file = descriptor(fd)?;
    file.write_to(offset(at)?, &mut UserRanges::vector(vector, count)?)
}

/// Offset -1 is the file's position.
fn offset_or_position(value: u64) -> Result<Option<u64>, Errno> {
    if value == u64::MAX {
        Ok(None)
    } else {
        offset(value).map(Some)
    }
}

/// preadv2(2).
pub(super) fn preadv2(args: &[u64; 6]) -> SysResult {
    let [fd, vector, count, at, _, flags] = *args;
    let flags = flags as u32;
    let at = offset_or_position(at)?;
    let file = descriptor(fd)?;
    let mut ranges = UserRanges::vector(vector, count)?;
    if flags & !(RWF_IGNORED | RWF_NOWAIT | RWF_APPEND | RWF_NOAPPEND) != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    file.read_with(at, flags & RWF_NOWAIT != 0, &mut ranges)
}

/// pwritev2(2).
pub(super) fn pwritev2(args: &[u64; 6]) -> SysResult {
    let [fd, vector, count, at, _, flags] = *args;
    let flags = flags as u32;
    let at = offset_or_position(at)?;
    let file = descriptor(fd)?;
    let mut ranges = UserRanges::vector(vector, count)?;
    let (append, no_append) = (flags & RWF_APPEND != 0, flags & RWF_NOAPPEND != 0);
    if append && no_append {
        return Err(Errno::EINVAL);
    }
    let nowait = flags & RWF_NOWAIT != 0;
    // Writes to a page cache may wait, so ext4 refuses the promise not to.
    if flags & !(RWF_IGNORED | RWF_NOWAIT | RWF_APPEND | RWF_NOAPPEND) != 0
        || nowait && file.file().seekable()
    {
        return Err(Errno::EOPNOTSUPP);
    }
    if append || no_append {
        return file.write_placed(at, append, &mut ranges);
    }
    file.write_with(at, nowait, &mut ranges)
}

/// lseek(2).
pub(super) fn lseek(args: &[u64; 6]) -> SysResult {
    let [fd, offset, whence, ..] = *args;
    descriptor(fd)?.seek(offset as i64, whence as u32)
}
