//! Calls that change mode, owner and times, and the creation mask.

use linux_raw_sys::general::{
    AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, IN_ACCESS, IN_ATTRIB, IN_MODIFY, S_ISGID,
    UTIME_NOW, UTIME_OMIT,
};
use unikiln_abi::volume::{
    FATTR_ATIME, FATTR_ATIME_NOW, FATTR_GID, FATTR_MODE, FATTR_MTIME, FATTR_MTIME_NOW, FATTR_UID,
};

use super::file::descriptor;
use super::path::{PathArgument, Reached, reach};
use crate::errno::{Errno, SysResult};
use crate::fs::Caller;
use crate::fs::access::{WRITE, without_set_id};
use crate::fs::attributes::{FileType, Timestamp};
use crate::fs::node::Node;
use crate::fs::tree::attributes_changed;
use crate::fs::volume::Change;
use crate::mm::user;
use crate::process;
use crate::process::capabilities::{CHOWN, FSETID};

const HERE: u64 = AT_FDCWD as u64;
/// An owner that stays as it is.
const SAME: u32 = u32::MAX;

fn node_at(caller: &Caller, fd: u64, path: u64, flags: u32) -> Result<Reached, Errno> {
    let path = PathArgument::read(path)?;
    reach(caller, fd, path.as_bytes(), flags)
}

/// The node behind a descriptor that is not a mere place.
fn node_of(fd: u64) -> Result<Reached, Errno> {
    let file = descriptor(fd)?;
    if file.is_path() {
        return Err(Errno::EBADF);
    }
    Ok(Reached::of_file(file))
}

/// chmod(2).
pub(super) fn chmod(args: &[u64; 6]) -> SysResult {
    let caller = Caller::current();
    change_mode(&caller, &node_at(&caller, HERE, args[0], 0)?, args[1])
}

/// fchmod(2).
pub(super) fn fchmod(args: &[u64; 6]) -> SysResult {
    change_mode(&Caller::current(), &node_of(args[0])?, args[1])
}

/// fchmodat(2).
pub(super) fn fchmodat(args: &[u64; 6]) -> SysResult {
    let caller = Caller::current();
    change_mode(&caller, &node_at(&caller, args[0], args[1], 0)?, args[2])
}

/// fchmodat2(2).
pub(super) fn fchmodat2(args: &[u64; 6]) -> SysResult {
    let flags = args[3] as u32;
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let caller = Caller::current();
    change_mode(
        &caller,
        &node_at(&caller, args[0], args[1], flags)?,
        args[2],
    )
}

fn change_mode(caller: &Caller, reached: &Reached, mode: u64) -> SysResult {
    let node = &reached.node;
    node.check_not_read_only()?;
    let attributes = node.attributes()?;
    if !caller.owns(&attributes) {
        return Err(Errno::EPERM);
    }
    if attributes.file_type() == FileType::Symlink {
        return Err(Errno::EOPNOTSUPP);
    }
    let mut mode = mode as u32 & 0o7777;
    if !caller.can(FSETID) && !caller.in_group(attributes.gid) {
        mode &= !S_ISGID;
    }
    if let Node::Open(_) = node {
        // A pipe or a stream: there is nothing that would keep the mode.
        return Ok(0);
    }
    if let Node::Volume(inode) = node {
        inode.change(Change {
            valid: FATTR_MODE,
            mode,
            ..Change::default()
        })?;
        return Ok(0);
    }
    let inode = node.writable()?;
    {
        let mut meta = inode.meta.lock();
        meta.mode = mode;
        meta.ctime = Timestamp::now();
    }
    attributes_changed(&inode);
    reached.notify(IN_ATTRIB);
    Ok(0)
}

/// chown(2).
pub(super) fn chown(args: &[u64; 6]) -> SysResult {
    let caller = Caller::current();
    change_owner(
        &caller,
        &node_at(&caller, HERE, args[0], 0)?,
        args[1],
        args[2],
    )
}

/// lchown(2).
pub(super) fn lchown(args: &[u64; 6]) -> SysResult {
    let caller = Caller::current();
    let node = node_at(&caller, HERE, args[0], AT_SYMLINK_NOFOLLOW)?;
    change_owner(&caller, &node, args[1], args[2])
}

/// fchown(2).
pub(super) fn fchown(args: &[u64; 6]) -> SysResult {
    change_owner(&Caller::current(), &node_of(args[0])?, args[1], args[2])
}

/// fchownat(2).
pub(super) fn fchownat(args: &[u64; 6]) -> SysResult {
    let flags = args[4] as u32;
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let caller = Caller::current();
    let node = node_at(&caller, args[0], args[1], flags)?;
    change_owner(&caller, &node, args[2], args[3])
}

fn change_owner(caller: &Caller, reached: &Reached, uid: u64, gid: u64) -> SysResult {
    let node = &reached.node;
    node.check_not_read_only()?;
    let (uid, gid) = (uid as u32, gid as u32);
    let attributes = node.attributes()?;
    if !caller.can(CHOWN) {
        // An owner may keep the user and choose among its own groups.
        let keeps_user = uid == SAME || uid == attributes.uid;
        let may_group = gid == SAME || gid == attributes.gid || caller.in_group(gid);
        let changes = uid != SAME || gid != SAME;
        if changes && !(caller.uid == attributes.uid && keeps_user && may_group) {
            return Err(Errno::EPERM);
        }
    }
    if let Node::Open(_) = node {
        return Ok(0);
    }
    if let Node::Volume(inode) = node {
        let user = if uid == SAME { 0 } else { FATTR_UID };
        let group = if gid == SAME { 0 } else { FATTR_GID };
        let mut change = Change {
            valid: user | group,
            uid,
            gid,
            ..Change::default()
        };
        let kept = without_set_id(attributes.mode);
        if attributes.file_type() == FileType::Regular && kept != attributes.mode {
            change.valid |= FATTR_MODE;
            change.mode = kept & 0o7777;
        }
        inode.change(change)?;
        return Ok(0);
    }
    let inode = node.writable()?;
    let mut meta = inode.meta.lock();
    if uid != SAME {
        meta.uid = uid;
    }
    if gid != SAME {
        meta.gid = gid;
    }
    if attributes.file_type() != FileType::Directory {
        // Set-ID bits do not survive it, even where the owner stays.
        meta.mode = without_set_id(meta.mode);
    }
    meta.ctime = Timestamp::now();
    drop(meta);
    attributes_changed(&inode);
    if uid != SAME || gid != SAME {
        reached.notify(IN_ATTRIB);
    }
    Ok(0)
}

/// umask(2).
pub(super) fn umask(args: &[u64; 6]) -> SysResult {
    let mut fs = process::current().fs.lock();
    let before = fs.umask;
    fs.umask = args[0] as u32 & 0o777;
    Ok(before as usize)
}

/// What becomes of one time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NewTime {
    Now,
    Keep,
    At(Timestamp),
}

/// A null path stands for the descriptor itself, where there is one.
fn by_path_or_descriptor(
    caller: &Caller,
    fd: u64,
    path: u64,
    flags: u32,
) -> Result<Reached, Errno> {
    if path == 0 && fd as i32 != AT_FDCWD {
        node_of(fd)
    } else {
        node_at(caller, fd, path, flags)
    }
}

/// utimensat(2).
pub(super) fn utimensat(args: &[u64; 6]) -> SysResult {
    let [fd, path, times, flags, ..] = *args;
    let flags = flags as u32;
    // Without a path it is about the descriptor, and has no flags.
    let bare = path == 0 && fd as i32 != AT_FDCWD && flags != 0;
    if bare || flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let times = if times == 0 {
        [NewTime::Now; 2]
    } else {
        [timespec(times)?, timespec(times + 16)?]
    };
    if times == [NewTime::Keep; 2] {
        return Ok(0);
    }
    let caller = Caller::current();
    let node = by_path_or_descriptor(&caller, fd, path, flags)?;
    change_times(&caller, &node, times)
}

fn timespec(addr: u64) -> Result<NewTime, Errno> {
    let sec = user::read::<i64>(addr)?;
    let nsec = user::read::<u64>(addr.checked_add(8).ok_or(Errno::EFAULT)?)?;
    match u32::try_from(nsec) {
        Ok(UTIME_NOW) => Ok(NewTime::Now),
        Ok(UTIME_OMIT) => Ok(NewTime::Keep),
        Ok(nsec) if nsec < 1_000_000_000 => Ok(NewTime::At(Timestamp { sec, nsec })),
        _ => Err(Errno::EINVAL),
    }
}

/// utimes(2).
pub(super) fn utimes(args: &[u64; 6]) -> SysResult {
    change_times_at(HERE, args[0], args[1])
}

/// futimesat(2).
pub(super) fn futimesat(args: &[u64; 6]) -> SysResult {
    change_times_at(args[0], args[1], args[2])
}

fn change_times_at(fd: u64, path: u64, times: u64) -> SysResult {
    let times = if times == 0 {
        [NewTime::Now; 2]
    } else {
        [timeval(times)?, timeval(times + 16)?]
    };
    let caller = Caller::current();
    let node = by_path_or_descriptor(&caller, fd, path, 0)?;
    change_times(&caller, &node, times)
}

fn timeval(addr: u64) -> Result<NewTime, Errno> {
    let sec = user::read::<i64>(addr)?;
    let usec = user::read::<u64>(addr.checked_add(8).ok_or(Errno::EFAULT)?)?;
    if usec >= 1_000_000 {
        return Err(Errno::EINVAL);
    }
    Ok(NewTime::At(Timestamp {
        sec,
        nsec: usec as u32 * 1000,
    }))
}

/// utime(2).
pub(super) fn utime(args: &[u64; 6]) -> SysResult {
    let [path, times, ..] = *args;
    let at = |addr| user::read::<i64>(addr).map(|sec| NewTime::At(Timestamp { sec, nsec: 0 }));
    let times = if times == 0 {
        [NewTime::Now; 2]
    } else {
        [at(times)?, at(times + 8)?]
    };
    let caller = Caller::current();
    let node = node_at(&caller, HERE, path, 0)?;
    change_times(&caller, &node, times)
}

/// Times as a volume is told them.
fn times_of_volume(times: [NewTime; 2]) -> Change {
    let mut change = Change::default();
    let bits = [
        (FATTR_ATIME, FATTR_ATIME_NOW),
        (FATTR_MTIME, FATTR_MTIME_NOW),
    ];
    for (at, (time, (plain, now))) in times.into_iter().zip(bits).enumerate() {
        match time {
            NewTime::Keep => {}
            NewTime::Now => change.valid |= now,
            NewTime::At(value) => {
                change.valid |= plain;
                change.seconds[at] = value.sec;
                change.nanoseconds[at] = value.nsec;
            }
        }
    }
    change
}

fn change_times(caller: &Caller, reached: &Reached, times: [NewTime; 2]) -> SysResult {
    let node = &reached.node;
    node.check_not_read_only()?;
    let attributes = node.attributes()?;
    if !caller.owns(&attributes) {
        // Whoever may write may set both to now, and no more.
        if times != [NewTime::Now; 2] {
            return Err(Errno::EPERM);
        }
        caller.check(&attributes, WRITE)?;
    }
    if let Node::Open(_) = node {
        return Ok(0);
    }
    if let Node::Volume(inode) = node {
        inode.change(times_of_volume(times))?;
        return Ok(0);
    }
    let inode = node.writable()?;
    let now = Timestamp::now();
    let mut meta = inode.meta.lock();
    for (time, new) in [(0, times[0]), (1, times[1])] {
        let value = match new {
            NewTime::Keep => continue,
            NewTime::Now => now,
            NewTime::At(value) => value,
        };
        if time == 0 {
            meta.atime = value;
        } else {
            meta.mtime = value;
        }
    }
    meta.ctime = now;
    drop(meta);
    reached.notify(match times {
        [_, NewTime::Keep] => IN_ACCESS,
        [NewTime::Keep, _] => IN_MODIFY,
        _ => IN_ATTRIB,
    });
    Ok(0)
}
