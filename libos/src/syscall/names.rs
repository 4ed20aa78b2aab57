//! Calls that make, link, rename and remove names.

use linux_raw_sys::general::{
    AT_EMPTY_PATH, AT_FDCWD, AT_REMOVEDIR, AT_SYMLINK_FOLLOW, AT_SYMLINK_NOFOLLOW, RENAME_EXCHANGE,
    RENAME_NOREPLACE, RENAME_WHITEOUT, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFMT, S_IFREG,
    S_IFSOCK,
};

use super::path::{PathArgument, place, start_of};
use crate::errno::{Errno, SysResult};
use crate::fs::path::{Found, PATH_MAX};
use crate::fs::rename::Mode;
use crate::fs::tree::{self, NewFile};
use crate::fs::{self, Caller};
use crate::mm::user;
use crate::process;
use crate::process::capabilities::MKNOD;

const HERE: u64 = AT_FDCWD as u64;

/// Where `path` leads from `fd`, for a change of that name.
fn name(caller: &Caller, fd: u64, path: u64) -> Result<Found, Errno> {
    let path = PathArgument::read(path)?;
    let start = start_of(fd, path.as_bytes())?;
    fs::resolve_name(caller, start.as_ref(), path.as_bytes())
}

fn masked(mode: u64) -> u32 {
    mode as u32 & 0o7777 & !process::current().fs.lock().umask
}

/// mkdir(2).
pub(super) fn mkdir(args: &[u64; 6]) -> SysResult {
    make_directory(HERE, args[0], args[1])
}

/// mkdirat(2).
pub(super) fn mkdirat(args: &[u64; 6]) -> SysResult {
    make_directory(args[0], args[1], args[2])
}

fn make_directory(fd: u64, path: u64, mode: u64) -> SysResult {
    let caller = Caller::current();
    let found = name(&caller, fd, path)?;
    // Set-user-ID and set-group-ID mean nothing to mkdir; the sticky bit does.
    tree::create(&caller, &found, &NewFile::Directory, masked(mode) & 0o1777)?;
    Ok(0)
}

/// mknod(2).
pub(super) fn mknod(args: &[u64; 6]) -> SysResult {
    make_node(HERE, args[0], args[1], args[2])
}

/// mknodat(2).
pub(super) fn mknodat(args: &[u64; 6]) -> SysResult {
    make_node(args[0], args[1], args[2], args[3])
}

fn make_node(fd: u64, path: u64, mode: u64, rdev: u64) -> SysResult {
    let caller = Caller::current();
    let file = match mode as u32 & S_IFMT {
        0 | S_IFREG => NewFile::Regular,
        S_IFIFO => NewFile::Fifo,
        S_IFSOCK => NewFile::Socket,
        S_IFCHR | S_IFBLK if !caller.can(MKNOD) => return Err(Errno::EPERM),
        S_IFCHR => NewFile::CharDevice(rdev as u32),
        S_IFBLK => NewFile::BlockDevice(rdev as u32),
        // A directory is made by mkdir.
        S_IFDIR => return Err(Errno::EPERM),
        _ => return Err(Errno::EINVAL),
    };
    let found = name(&caller, fd, path)?;
    tree::create(&caller, &found, &file, masked(mode))?;
    Ok(0)
}

/// symlink(2).
pub(super) fn symlink(args: &[u64; 6]) -> SysResult {
    make_symlink(args[0], HERE, args[1])
}

/// symlinkat(2).
pub(super) fn symlinkat(args: &[u64; 6]) -> SysResult {
    make_symlink(args[0], args[1], args[2])
}

fn make_symlink(target: u64, fd: u64, path: u64) -> SysResult {
    let target = user::read_cstr(target, PATH_MAX)?;
    if target.is_empty() {
        return Err(Errno::ENOENT);
    }
    let caller = Caller::current();
    let found = name(&caller, fd, path)?;
    tree::create(&caller, &found, &NewFile::Symlink(&target), 0o777)?;
    Ok(0)
}

/// link(2).
pub(super) fn link(args: &[u64; 6]) -> SysResult {
    link_at(HERE, args[0], HERE, args[1], 0)
}

/// linkat(2).
pub(super) fn linkat(args: &[u64; 6]) -> SysResult {
    let flags = args[4] as u32;
    if flags & !(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    link_at(args[0], args[1], args[2], args[3], flags)
}

fn link_at(old_fd: u64, old: u64, new_fd: u64, new: u64, flags: u32) -> SysResult {
    let caller = Caller::current();
    let old = PathArgument::read(old)?;
    let follow = if flags & AT_SYMLINK_FOLLOW != 0 {
        0
    } else {
        AT_SYMLINK_NOFOLLOW
    };
    let node = place(
        &caller,
        old_fd,
        old.as_bytes(),
        flags & AT_EMPTY_PATH | follow,
    )?;
    let found = name(&caller, new_fd, new)?;
    tree::link(&caller, &node, &found)?;
    Ok(0)
}

/// unlink(2).
pub(super) fn unlink(args: &[u64; 6]) -> SysResult {
    let caller = Caller::current();
    tree::unlink(&caller, name(&caller, HERE, args[0])?)?;
    Ok(0)
}

/// rmdir(2).
pub(super) fn rmdir(args: &[u64; 6]) -> SysResult {
    let caller = Caller::current();
    tree::remove_directory(&caller, name(&caller, HERE, args[0])?)?;
    Ok(0)
}

/// unlinkat(2).
pub(super) fn unlinkat(args: &[u64; 6]) -> SysResult {
    let [fd, path, flags, ..] = *args;
    let caller = Caller::current();
    match flags as u32 {
        0 => tree::unlink(&caller, name(&caller, fd, path)?)?,
        AT_REMOVEDIR => tree::remove_directory(&caller, name(&caller, fd, path)?)?,
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// rename(2).
pub(super) fn rename(args: &[u64; 6]) -> SysResult {
    rename_at(HERE, args[0], HERE, args[1], 0)
}

/// renameat(2).
pub(super) fn renameat(args: &[u64; 6]) -> SysResult {
    rename_at(args[0], args[1], args[2], args[3], 0)
}

/// renameat2(2).
pub(super) fn renameat2(args: &[u64; 6]) -> SysResult {
    rename_at(args[0], args[1], args[2], args[3], args[4] as u32)
}

fn rename_at(old_fd: u64, old: u64, new_fd: u64, new: u64, flags: u32) -> SysResult {
    let mode = match flags {
        0 => Mode::Replace,
        RENAME_NOREPLACE => Mode::NoReplace,
        RENAME_EXCHANGE => Mode::Exchange,
        // Whiteouts are the overlay's own.
        _ if flags & !(RENAME_NOREPLACE | RENAME_WHITEOUT) == 0 => return Err(Errno::EPERM),
        _ => return Err(Errno::EINVAL),
    };
    let caller = Caller::current();
    let from = name(&caller, old_fd, old)?;
    let to = name(&caller, new_fd, new)?;
    fs::rename::rename(&caller, &from, &to, mode)?;
    Ok(0)
}
