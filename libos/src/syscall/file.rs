//! Reading, writing and seeking.

use alloc::sync::Arc;

use linux_raw_sys::general::{RWF_APPEND, RWF_DSYNC, RWF_HIPRI, RWF_NOWAIT, RWF_SYNC};

use crate::errno::{Errno, SysResult};
use crate::fs::OpenFile;
use crate::fs::transfer::UserRanges;
use crate::process;

/// `RWF_*` flags that change nothing here.
const RWF_IGNORED: u32 = RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT;

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

/// preadv2(2): offset -1 is the file's position.
pub(super) fn preadv2(args: &[u64; 6]) -> SysResult {
    let [fd, vector, count, at, _, flags] = *args;
    if flags as u32 & !RWF_IGNORED != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let file = descriptor(fd)?;
    let mut ranges = UserRanges::vector(vector, count)?;
    if at == u64::MAX {
        file.read(&mut ranges)
    } else {
        file.read_from(offset(at)?, &mut ranges)
    }
}

/// pwritev2(2): offset -1 is the file's position.
pub(super) fn pwritev2(args: &[u64; 6]) -> SysResult {
    let [fd, vector, count, at, _, flags] = *args;
    if flags as u32 & !(RWF_IGNORED | RWF_APPEND) != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let file = descriptor(fd)?;
    let mut ranges = UserRanges::vector(vector, count)?;
    if flags as u32 & RWF_APPEND != 0 {
        return file.write_to(file.attributes()?.size, &mut ranges);
    }
    if at == u64::MAX {
        file.write(&mut ranges)
    } else {
        file.write_to(offset(at)?, &mut ranges)
    }
}

/// lseek(2).
pub(super) fn lseek(args: &[u64; 6]) -> SysResult {
    let [fd, offset, whence, ..] = *args;
    descriptor(fd)?.seek(offset as i64, whence as u32)
}
