//! Extended attributes.

use alloc::vec::Vec;

use linux_raw_sys::general::{
    AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, IN_ATTRIB, XATTR_CREATE, XATTR_REPLACE,
};

use super::file::descriptor;
use super::path::{PathArgument, Reached, reach};
use crate::errno::{Errno, SysResult};
use crate::fs::Caller;
use crate::fs::access::{READ, WRITE};
use crate::fs::attributes::{FileType, Timestamp};
use crate::fs::node::Node;
use crate::mm::user;

const NAME_MAX_BYTES: usize = 255;
const VALUE_MAX_BYTES: usize = 64 << 10;
const LIST_MAX_BYTES: usize = 64 << 10;

fn at_path(caller: &Caller, path: u64, flags: u32) -> Result<Reached, Errno> {
    let path = PathArgument::read(path)?;
    reach(
        caller,
        AT_FDCWD as u64,
        path.as_bytes(),
        flags & !AT_EMPTY_PATH,
    )
}

fn at_descriptor(fd: u64) -> Result<Reached, Errno> {
    let file = descriptor(fd)?;
    if file.is_path() {
        return Err(Errno::EBADF);
    }
    match file.node() {
        Some(_) => Ok(Reached::of_file(file)),
        None => Err(Errno::EOPNOTSUPP),
    }
}

fn read_name(addr: u64) -> Result<Vec<u8>, Errno> {
    let name = user::read_cstr(addr, NAME_MAX_BYTES + 1).map_err(|errno| match errno {
        Errno::ENAMETOOLONG => Errno::ERANGE,
        errno => errno,
    })?;
    if name.is_empty() {
        Err(Errno::ERANGE)
    } else {
        Ok(name)
    }
}

/// What the caller may do with attributes of this name, by its namespace.
fn check(caller: &Caller, node: &Node, name: &[u8], wanted: u32) -> Result<(), Errno> {
    let attributes = node.attributes()?;
    if name.starts_with(b"user.") {
        // Only files and directories have the permissions that govern these.
        if !matches!(
            attributes.file_type(),
            FileType::Regular | FileType::Directory
        ) {
            return Err(if wanted == READ {
                Errno::ENODATA
            } else {
                Errno::EPERM
            });
        }
        return caller.check(&attributes, wanted);
    }
    if name.starts_with(b"security.") || name.starts_with(b"trusted.") {
        let denied = if wanted == READ {
            Errno::ENODATA
        } else {
            Errno::EPERM
        };
        let open = wanted == READ && name.starts_with(b"security.");
        return if open || caller.uid == 0 {
            Ok(())
        } else {
            Err(denied)
        };
    }
    // ACLs are kept as the image has them, and not enforced: they cannot be set.
    let acl = name.starts_with(b"system.posix_acl_");
    if acl && wanted == READ {
        Ok(())
    } else {
        Err(Errno::EOPNOTSUPP)
    }
}

fn set(reached: &Reached, args: &[u64; 6]) -> SysResult {
    let node = &reached.node;
    let [_, name, value, size, flags, _] = *args;
    let flags = flags as u32;
    if flags & !(XATTR_CREATE | XATTR_REPLACE) != 0 {
        return Err(Errno::EINVAL);
    }
    let name = read_name(name)?;
    if size > VALUE_MAX_BYTES as u64 {
        return Err(Errno::E2BIG);
    }
    let mut bytes = alloc::vec![0; size as usize];
    user::copy_in(value, &mut bytes)?;
    node.check_not_read_only()?;
    check(&Caller::current(), node, &name, WRITE)?;
    if let Node::Volume(inode) = node {
        inode.set_xattr(&name, &bytes, flags)?;
        return Ok(0);
    }
    let inode = node.writable().map_err(|_| Errno::EOPNOTSUPP)?;
    let mut meta = inode.meta.lock();
    let xattrs = meta.xattrs.get_or_insert_default();
    let exists = xattrs.contains_key(&name);
    if exists && flags & XATTR_CREATE != 0 {
        return Err(Errno::EEXIST);
    }
    if !exists && flags & XATTR_REPLACE != 0 {
        return Err(Errno::ENODATA);
    }
    let total: usize = xattrs
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if total + name.len() + bytes.len() > VALUE_MAX_BYTES {
        return Err(Errno::ENOSPC);
    }
    xattrs.insert(name, bytes);
    meta.ctime = Timestamp::now();
    drop(meta);
    reached.notify(IN_ATTRIB);
    Ok(0)
}

fn get(reached: &Reached, args: &[u64; 6]) -> SysResult {
    let node = &reached.node;
    let [_, name, value, size, ..] = *args;
    let name = read_name(name)?;
    check(&Caller::current(), node, &name, READ)?;
    if let Node::Volume(inode) = node {
        return answer(&inode.xattr(&name)?, value, size);
    }
    let found = node
        .xattrs()?
        .into_iter()
        .find(|(candidate, _)| *candidate == name);
    let (_, bytes) = found.ok_or(Errno::ENODATA)?;
    answer(&bytes, value, size)
}

fn list(reached: &Reached, args: &[u64; 6]) -> SysResult {
    let node = &reached.node;
    let [_, out, size, ..] = *args;
    let caller = Caller::current();
    let mut names = Vec::new();
    for (name, _) in node.xattrs()? {
        if name.starts_with(b"trusted.") && caller.uid != 0 {
            continue;
        }
        names.extend_from_slice(&name);
        names.push(0);
    }
    if names.len() > LIST_MAX_BYTES {
        return Err(Errno::E2BIG);
    }
    answer(&names, out, size)
}

/// Size 0 asks for the length alone.
fn answer(bytes: &[u8], out: u64, size: u64) -> SysResult {
    if size == 0 {
        return Ok(bytes.len());
    }
    if bytes.len() as u64 > size {
        return Err(Errno::ERANGE);
    }
    user::copy_out(out, bytes)?;
    Ok(bytes.len())
}

fn remove(reached: &Reached, args: &[u64; 6]) -> SysResult {
    let node = &reached.node;
    let name = read_name(args[1])?;
    node.check_not_read_only()?;
    check(&Caller::current(), node, &name, WRITE)?;
    if let Node::Volume(inode) = node {
        inode.remove_xattr(&name)?;
        return Ok(0);
    }
    if !node
        .xattrs()?
        .iter()
        .any(|(candidate, _)| *candidate == name)
    {
        return Err(Errno::ENODATA);
    }
    let inode = node.writable().map_err(|_| Errno::EOPNOTSUPP)?;
    let mut meta = inode.meta.lock();
    if let Some(xattrs) = &mut meta.xattrs {
        xattrs.remove(&name);
    }
    meta.ctime = Timestamp::now();
    drop(meta);
    reached.notify(IN_ATTRIB);
    Ok(0)
}

/// setxattr(2).
pub(super) fn setxattr(args: &[u64; 6]) -> SysResult {
    set(&at_path(&Caller::current(), args[0], 0)?, args)
}

/// lsetxattr(2).
pub(super) fn lsetxattr(args: &[u64; 6]) -> SysResult {
    set(
        &at_path(&Caller::current(), args[0], AT_SYMLINK_NOFOLLOW)?,
        args,
    )
}

/// fsetxattr(2).
pub(super) fn fsetxattr(args: &[u64; 6]) -> SysResult {
    set(&at_descriptor(args[0])?, args)
}

/// getxattr(2).
pub(super) fn getxattr(args: &[u64; 6]) -> SysResult {
    get(&at_path(&Caller::current(), args[0], 0)?, args)
}

/// lgetxattr(2).
pub(super) fn lgetxattr(args: &[u64; 6]) -> SysResult {
    get(
        &at_path(&Caller::current(), args[0], AT_SYMLINK_NOFOLLOW)?,
        args,
    )
}

/// fgetxattr(2).
pub(super) fn fgetxattr(args: &[u64; 6]) -> SysResult {
    get(&at_descriptor(args[0])?, args)
}

/// listxattr(2).
pub(super) fn listxattr(args: &[u64; 6]) -> SysResult {
    list(&at_path(&Caller::current(), args[0], 0)?, args)
}

/// llistxattr(2).
pub(super) fn llistxattr(args: &[u64; 6]) -> SysResult {
    list(
        &at_path(&Caller::current(), args[0], AT_SYMLINK_NOFOLLOW)?,
        args,
    )
}

/// flistxattr(2).
pub(super) fn flistxattr(args: &[u64; 6]) -> SysResult {
    list(&at_descriptor(args[0])?, args)
}

/// removexattr(2).
pub(super) fn removexattr(args: &[u64; 6]) -> SysResult {
    remove(&at_path(&Caller::current(), args[0], 0)?, args)
}

/// lremovexattr(2).
pub(super) fn lremovexattr(args: &[u64; 6]) -> SysResult {
    remove(
        &at_path(&Caller::current(), args[0], AT_SYMLINK_NOFOLLOW)?,
        args,
    )
}

/// fremovexattr(2).
pub(super) fn fremovexattr(args: &[u64; 6]) -> SysResult {
    remove(&at_descriptor(args[0])?, args)
}
