//! Being told of changes to files.

use linux_raw_sys::general::{
    AT_FDCWD, AT_SYMLINK_NOFOLLOW, IN_ALL_EVENTS, IN_CLOEXEC, IN_DONT_FOLLOW, IN_EXCL_UNLINK,
    IN_IGNORED, IN_ISDIR, IN_MASK_ADD, IN_MASK_CREATE, IN_NONBLOCK, IN_ONESHOT, IN_ONLYDIR,
    IN_Q_OVERFLOW, IN_UNMOUNT,
};

use super::file::descriptor;
use super::open::install;
use super::path::{PathArgument, place};
use crate::errno::{Errno, SysResult};
use crate::fs::access::READ;
use crate::fs::node::Node;
use crate::fs::{Caller, inotify, volume};

/// Every bit that means something in a mask, given or got.
const MASK_BITS: u32 = IN_ALL_EVENTS
    | IN_UNMOUNT
    | IN_Q_OVERFLOW
    | IN_IGNORED
    | IN_ONLYDIR
    | IN_DONT_FOLLOW
    | IN_EXCL_UNLINK
    | IN_MASK_ADD
    | IN_MASK_CREATE
    | IN_ISDIR
    | IN_ONESHOT;

/// inotify_init(2).
pub(super) fn inotify_init(_args: &[u64; 6]) -> SysResult {
    install(inotify::open(0)?, false)
}

/// inotify_init1(2).
pub(super) fn inotify_init1(args: &[u64; 6]) -> SysResult {
    let flags = args[0] as u32;
    if flags & !(IN_CLOEXEC | IN_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    install(inotify::open(flags & IN_NONBLOCK)?, flags & IN_CLOEXEC != 0)
}

/// inotify_add_watch(2).
pub(super) fn inotify_add_watch(args: &[u64; 6]) -> SysResult {
    let [fd, path, mask, ..] = *args;
    let mask = mask as u32;
    if mask & MASK_BITS == 0 {
        return Err(Errno::EINVAL);
    }
    let file = descriptor(fd)?;
    if mask & IN_MASK_ADD != 0 && mask & IN_MASK_CREATE != 0 {
        return Err(Errno::EINVAL);
    }
    let instance = file.file().as_inotify().ok_or(Errno::EINVAL)?;
    let flags = if mask & IN_DONT_FOLLOW != 0 {
        AT_SYMLINK_NOFOLLOW
    } else {
        0
    };
    let path = PathArgument::read(path)?;
    let caller = Caller::current();
    let node = place(&caller, AT_FDCWD as u64, path.as_bytes(), flags)?;
    if mask & IN_ONLYDIR != 0 && !node.is_directory() {
        return Err(Errno::ENOTDIR);
    }
    caller.check(&node.attributes()?, READ)?;
    let number = instance.add(node.identity(), mask)?;
    if let Node::Volume(inode) = &node {
        volume::watch::update(inode).inspect_err(|_| {
            // It was added just now.
            let _ = instance.remove(number as i32);
        })?;
    }
    Ok(number)
}

/// inotify_rm_watch(2).
pub(super) fn inotify_rm_watch(args: &[u64; 6]) -> SysResult {
    let [fd, number, ..] = *args;
    let file = descriptor(fd)?;
    let instance = file.file().as_inotify().ok_or(Errno::EINVAL)?;
    instance.remove(number as i32)?;
    volume::watch::sweep();
    Ok(0)
}
