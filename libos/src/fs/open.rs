//! Opening: from a path and `O_*` flags to an [`OpenFile`].

use alloc::sync::Arc;

use linux_raw_sys::general::{
    __O_TMPFILE, IN_MODIFY, IN_OPEN, O_ACCMODE, O_CREAT, O_DIRECTORY, O_EXCL, O_LARGEFILE,
    O_NOATIME, O_NOFOLLOW, O_PATH, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY,
};

use super::access::{Caller, EXECUTE, READ, WRITE, is_no_exec};
use super::attributes::FileType;
use super::context::{Spot, look_up, look_up_to_open, resolve};
use super::directory::{DirectoryFile, PathFile};
use super::memory::{Body, MemoryInode};
use super::node::{Identity, Node};
use super::open_file::{OpenFile, Origin};
use super::path::Found;
use super::regular::{ImageFile, MemoryFile, resize};
use super::tree::{self, NewFile};
use super::volume;
use crate::dev;
use crate::errno::Errno;
use crate::process;
use crate::process::capabilities::{DAC_OVERRIDE, FOWNER};

/// Opens `path` for the current process; `mode` is for a file that is made, the
/// creation mask not yet applied.
pub fn open(path: &[u8], flags: u32, mode: u32) -> Result<Arc<OpenFile>, Errno> {
    open_from(None, path, flags, mode)
}

/// [`open`] relative to the directory `start`.
pub fn open_from(
    start: Option<&Node>,
    path: &[u8],
    flags: u32,
    mode: u32,
) -> Result<Arc<OpenFile>, Errno> {
    let caller = Caller::current();
    if flags & (O_CREAT | __O_TMPFILE) != 0 {
        return open_with(&caller, flags, mode, |follow| {
            resolve(&caller, start, path, follow)
        });
    }
    let flags = effective(flags);
    let follow = flags & O_NOFOLLOW == 0;
    let plain = flags & (O_PATH | O_DIRECTORY | O_TRUNC) == 0;
    let spot = look_up_to_open(plain.then_some(flags), &caller, start, path, follow)?;
    open_spot(&caller, spot, flags, false)
}

/// The flags that count: with O_PATH only few do, as in Linux. All else that a 64-bit
/// process opens has O_LARGEFILE, which sockets, pipes and the like have not.
fn effective(flags: u32) -> u32 {
    if flags & O_PATH != 0 {
        flags & (O_PATH | O_DIRECTORY | O_NOFOLLOW)
    } else {
        flags | O_LARGEFILE
    }
}

/// Opens what `find` finds; it is told whether to follow a symlink at the end.
pub fn open_with(
    caller: &Caller,
    flags: u32,
    mode: u32,
    find: impl FnOnce(bool) -> Result<Found, Errno>,
) -> Result<Arc<OpenFile>, Errno> {
    let flags = effective(flags);
    if flags & __O_TMPFILE != 0 {
        return open_unnamed(caller, flags, mode, find(true)?);
    }
    let creates = flags & O_CREAT != 0;
    if creates && flags & O_DIRECTORY != 0 {
        return Err(Errno::EINVAL);
    }
    let exclusive = creates && flags & O_EXCL != 0;
    let found = find(flags & O_NOFOLLOW == 0 && !exclusive)?;
    if exclusive && found.node.is_some() {
        return Err(Errno::EEXIST);
    }
    if !creates || found.node.is_some() {
        return open_spot(caller, Spot::from(found), flags, false);
    }
    if found.slash {
        return Err(Errno::EISDIR);
    }
    let umask = process::current().fs.lock().umask;
    if let Some(directory) = volume::inode_of(&found.directory) {
        let mode = mode & 0o7777 & !umask;
        return volume::open_new(caller, directory, &found, flags, mode, kept_of(flags));
    }
    let node = tree::create(caller, &found, &NewFile::Regular, mode & 0o7777 & !umask)?;
    open_spot(
        caller,
        Spot {
            node: Some(node),
            ..Spot::from(found)
        },
        flags,
        true,
    )
}

/// Opens what is at `spot`. A file that was just `made` may be opened in any
/// way, whatever its mode.
fn open_spot(caller: &Caller, spot: Spot, flags: u32, made: bool) -> Result<Arc<OpenFile>, Errno> {
    let node = spot.node.ok_or(Errno::ENOENT)?;
    if node.is_directory() {
        let writes = flags & O_ACCMODE != O_RDONLY || flags & O_TRUNC != 0;
        if flags & O_CREAT != 0 || (flags & O_PATH == 0 && writes) {
            return Err(Errno::EISDIR);
        }
    } else if spot.slash || flags & O_DIRECTORY != 0 {
        return Err(Errno::ENOTDIR);
    }
    if flags & O_PATH != 0 {
        return Ok(OpenFile::new(PathFile::new(node), flags, spot.origin));
    }
    let file = open_node(caller, &node, flags, spot.origin, !made)?;
    file.notify(IN_OPEN);
    if flags & O_TRUNC != 0 && !made && node.file_type() == FileType::Regular {
        file.notify(IN_MODIFY);
    }
    Ok(file)
}

/// Opens a node, as far as its permissions let the caller.
pub fn open_node(
    caller: &Caller,
    node: &Node,
    flags: u32,
    origin: Option<Origin>,
    check: bool,
) -> Result<Arc<OpenFile>, Errno> {
    let kind = node.file_type();
    if kind == FileType::Symlink {
        return Err(Errno::ELOOP);
    }
    let writes = flags & O_ACCMODE != O_RDONLY;
    if check {
        check_open(caller, node, flags)?;
    }
    let kept = kept_of(flags);
    if kind == FileType::Regular && (writes || flags & O_TRUNC != 0) {
        check_not_running(node)?;
    }
    let inode = match node {
        Node::Lower(lower) if kind == FileType::Regular && !writes && flags & O_TRUNC == 0 => {
            return Ok(OpenFile::new(ImageFile::new(*lower)?, kept, origin));
        }
        Node::Lower(_) if kind == FileType::Directory => {
            return Ok(OpenFile::new(
                DirectoryFile::new(node.clone()),
                kept,
                origin,
            ));
        }
        // Everything else has state of its own: it is opened in memory.
        Node::Lower(_) => node.writable()?,
        Node::Memory(inode) => inode.clone(),
        Node::Pseudo(pseudo) => return pseudo.open(kept, origin),
        Node::Volume(inode) => return volume::open(inode, flags, kept, origin),
        Node::Open(file) => return file.file().reopen(kept),
    };
    open_memory_inode(&inode, flags, kept, origin)
}

/// The flags that an open file keeps.
fn kept_of(flags: u32) -> u32 {
    flags
        & !(O_CREAT
            | O_EXCL
            | O_TRUNC
            | linux_raw_sys::general::O_NOCTTY
            | linux_raw_sys::general::O_CLOEXEC)
}

fn open_memory_inode(
    inode: &Arc<MemoryInode>,
    flags: u32,
    kept: u32,
    origin: Option<Origin>,
) -> Result<Arc<OpenFile>, Errno> {
    match &inode.body {
        Body::Regular(_) => {
            if flags & O_TRUNC != 0 {
                resize(inode, 0)?;
            }
            Ok(OpenFile::new(MemoryFile::new(inode.clone()), kept, origin))
        }
        Body::Directory(_) => Ok(OpenFile::new(
            DirectoryFile::new(Node::Memory(inode.clone())),
            kept,
            origin,
        )),
        Body::Fifo(pipe) => pipe.open_named(inode, kept, origin),
        Body::CharDevice(rdev) => {
            let flags = kept | flags & linux_raw_sys::general::O_NOCTTY;
            dev::open(*rdev, Node::Memory(inode.clone()), flags, origin)
        }
        Body::Symlink(_) => Err(Errno::ELOOP),
        Body::BlockDevice(_) | Body::Socket => Err(Errno::ENXIO),
    }
}

/// The running program's file cannot be written, whatever its name and mode are
/// by now: ETXTBSY.
pub fn check_not_running(node: &Node) -> Result<(), Errno> {
    let Identity { device, ino } = node.identity();
    if process::current().image.lock().exe_id == (device, ino) {
        Err(Errno::ETXTBSY)
    } else {
        Ok(())
    }
}

fn check_open(caller: &Caller, node: &Node, flags: u32) -> Result<(), Errno> {
    check_permissions(caller, node, flags)?;
    let writes = flags & O_ACCMODE != O_RDONLY || flags & O_TRUNC != 0;
    if writes && node.file_type() == FileType::Regular {
        return node.check_not_read_only();
    }
    Ok(())
}

fn check_permissions(caller: &Caller, node: &Node, flags: u32) -> Result<(), Errno> {
    if caller.can(DAC_OVERRIDE | FOWNER) {
        return Ok(());
    }
    let mut wanted = match flags & O_ACCMODE {
        O_RDONLY => READ,
        O_WRONLY => WRITE,
        O_RDWR => READ | WRITE,
        _ => READ | WRITE,
    };
    if flags & O_TRUNC != 0 {
        wanted |= WRITE;
    }
    let attributes = node.attributes()?;
    caller.check(&attributes, wanted)?;
    if flags & O_NOATIME != 0 && !caller.owns(&attributes) {
        Err(Errno::EPERM)
    } else {
        Ok(())
    }
}

/// O_TMPFILE: a regular file without a name in a directory.
fn open_unnamed(
    caller: &Caller,
    flags: u32,
    mode: u32,
    found: Found,
) -> Result<Arc<OpenFile>, Errno> {
    if flags & (O_DIRECTORY | O_CREAT) != O_DIRECTORY || flags & O_ACCMODE == O_RDONLY {
        return Err(Errno::EINVAL);
    }
    let (directory, ..) = found.existing()?;
    if !directory.is_directory() {
        return Err(Errno::ENOTDIR);
    }
    directory.check_not_read_only()?;
    caller.check_change(&directory)?;
    let umask = process::current().fs.lock().umask;
    let kept = flags & !(__O_TMPFILE | O_DIRECTORY | O_CREAT | O_EXCL | O_TRUNC);
    if let Some(directory) = volume::inode_of(&directory) {
        return volume::open_unnamed(directory, flags, mode & 0o7777 & !umask, kept);
    }
    let inode = tree::make(
        caller,
        &directory,
        &NewFile::Regular,
        mode & 0o7777 & !umask,
    )?;
    inode.meta.lock().nlink = 0;
    let file = OpenFile::new(MemoryFile::new(inode), kept, None);
    file.notify(IN_OPEN);
    Ok(file)
}

/// Checks that `path` can be executed: EACCES where it is no regular file or
/// has no execute permission, ENOENT and so on as `open`.
pub fn execute_check(path: &[u8]) -> Result<(), Errno> {
    let caller = Caller::current();
    let node = look_up(&caller, None, path, true)?.existing()?;
    let attributes = node.attributes()?;
    if attributes.file_type() != FileType::Regular || is_no_exec(&attributes) {
        return Err(Errno::EACCES);
    }
    caller.check(&attributes, EXECUTE)
}
