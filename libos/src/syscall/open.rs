//! Opening and closing.

use linux_raw_sys::general::{
    __O_TMPFILE, AT_FDCWD, O_CLOEXEC, O_CREAT, O_DIRECTORY, O_NOFOLLOW, O_PATH, O_TRUNC, O_WRONLY,
    RESOLVE_BENEATH, RESOLVE_CACHED, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV,
};

use super::path::{PathArgument, start_of};
use crate::errno::{Errno, SysResult};
use crate::fs::path::Resolver;
use crate::fs::{self, Caller};
use crate::mm::user;
use crate::process;

/// `O_*` flags that exist; openat2 refuses others, open ignores them.
const O_VALID: u64 = 0o37_777_703;
/// close_range: the table is not shared with anybody.
const CLOSE_RANGE_UNSHARE: u32 = 1 << 1;
/// close_range: mark instead of closing.
const CLOSE_RANGE_CLOEXEC: u32 = 1 << 2;
/// Bytes of `struct open_how` as this knows it.
const OPEN_HOW_BYTES: u64 = 24;

/// open(2).
pub(super) fn open(args: &[u64; 6]) -> SysResult {
    let [path, flags, mode, ..] = *args;
    open_at(AT_FDCWD as u64, path, flags as u32, mode as u32)
}

/// openat(2).
pub(super) fn openat(args: &[u64; 6]) -> SysResult {
    let [fd, path, flags, mode, ..] = *args;
    open_at(fd, path, flags as u32, mode as u32)
}

/// creat(2).
pub(super) fn creat(args: &[u64; 6]) -> SysResult {
    let [path, mode, ..] = *args;
    open_at(
        AT_FDCWD as u64,
        path,
        O_CREAT | O_WRONLY | O_TRUNC,
        mode as u32,
    )
}

fn open_at(fd: u64, path: u64, flags: u32, mode: u32) -> SysResult {
    let path = PathArgument::read(path)?;
    let start = start_of(fd, path.as_bytes())?;
    let file = fs::open_from(start.as_ref(), path.as_bytes(), flags, mode)?;
    install(file, flags & O_CLOEXEC != 0)
}

/// Gives an open file the lowest free descriptor.
pub(super) fn install(file: alloc::sync::Arc<fs::OpenFile>, close_on_exec: bool) -> SysResult {
    let limit = fs::open_files();
    let fd = process::current()
        .files
        .lock()
        .insert(file, close_on_exec, 0, limit)?;
    Ok(fd as usize)
}

/// openat2(2).
pub(super) fn openat2(args: &[u64; 6]) -> SysResult {
    let [fd, path, how, size, ..] = *args;
    if size < OPEN_HOW_BYTES {
        return Err(Errno::EINVAL);
    }
    if size > 4096 {
        return Err(Errno::E2BIG);
    }
    let mut rest = OPEN_HOW_BYTES;
    while rest < size {
        if user::read::<u8>(how.wrapping_add(rest))? != 0 {
            return Err(Errno::E2BIG);
        }
        rest += 1;
    }
    let [flags, mode, resolve] = [
        user::read::<u64>(how)?,
        user::read::<u64>(how.wrapping_add(8))?,
        user::read::<u64>(how.wrapping_add(16))?,
    ];
    let creates = flags & u64::from(O_CREAT | __O_TMPFILE) != 0;
    if flags & !O_VALID != 0 || mode & !0o7777 != 0 || (!creates && mode != 0) {
        return Err(Errno::EINVAL);
    }
    let known = RESOLVE_BENEATH
        | RESOLVE_CACHED
        | RESOLVE_IN_ROOT
        | RESOLVE_NO_MAGICLINKS
        | RESOLVE_NO_SYMLINKS
        | RESOLVE_NO_XDEV;
    let resolve = u32::try_from(resolve).map_err(|_| Errno::EINVAL)?;
    if resolve & !known != 0 || resolve & RESOLVE_BENEATH != 0 && resolve & RESOLVE_IN_ROOT != 0 {
        return Err(Errno::EINVAL);
    }
    let place_only = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    if flags as u32 & O_PATH != 0 && flags as u32 & !place_only != 0 {
        return Err(Errno::EINVAL);
    }
    let path = PathArgument::read(path)?;
    let caller = Caller::current();
    // The start matters even for an absolute path: it may be the root.
    let scoped = resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT) != 0;
    let (root, directory) = {
        let fs = process::current().fs.lock();
        (fs.root()?, fs.directory()?)
    };
    let start = start_of(fd, if scoped { b"." } else { path.as_bytes() })?.unwrap_or(directory);
    let root = if scoped { start.clone() } else { root };
    let file = fs::open_with(&caller, flags as u32, mode as u32, |follow| {
        Resolver::restricted(&caller, &root, resolve).find(&start, path.as_bytes(), follow)
    })?;
    install(file, flags as u32 & O_CLOEXEC != 0)
}

/// close(2).
pub(super) fn close(args: &[u64; 6]) -> SysResult {
    let file = process::current().files.lock().remove(args[0] as i32)?;
    // After the table's lock is released: closing may wake others.
    fs::close(file);
    Ok(0)
}

/// close_range(2).
pub(super) fn close_range(args: &[u64; 6]) -> SysResult {
    let [first, last, flags, ..] = *args;
    let (first, last, flags) = (first as u32, last as u32, flags as u32);
    if flags & !(CLOSE_RANGE_CLOEXEC | CLOSE_RANGE_UNSHARE) != 0 || first > last {
        return Err(Errno::EINVAL);
    }
    let process = process::current();
    let numbers: alloc::vec::Vec<u32> = process
        .files
        .lock()
        .numbers()
        .filter(|fd| (first..=last).contains(fd))
        .collect();
    for fd in numbers {
        if flags & CLOSE_RANGE_CLOEXEC != 0 {
            process.files.lock().set_close_on_exec(fd as i32, true)?;
        } else {
            let file = process.files.lock().remove(fd as i32);
            // Another thread may have closed it meanwhile.
            if let Ok(file) = file {
                fs::close(file);
            }
        }
    }
    Ok(0)
}
