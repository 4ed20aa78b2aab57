//! Changes of names: making, linking, removing. Renaming is in `rename`.
//!
//! All of them run under one lock, so that a check and the change that it
//! allows are one step. The image is never changed: a directory is copied up
//! (which copies no entry), and a name of the image that goes away leaves a
//! whiteout.

use alloc::boxed::Box;
use alloc::sync::Arc;

use linux_raw_sys::general::{S_ISGID, S_IXGRP};
use spin::{Mutex, MutexGuard};

use super::access::Caller;
use super::attributes::FileType;
use super::memory::{Body, Data, Directory, Entry, MemoryInode};
use super::node::Node;
use super::notify;
use super::overlay::overlay;
use super::path::{Found, Last};
use super::path_cache;
use super::pipe::Pipe;
use super::volume;
use crate::errno::Errno;
use crate::process::capabilities::FSETID;

/// Most names of one file.
const LINK_MAX: u32 = 65_000;

static TREE: Mutex<()> = Mutex::new(());

/// Keeps all names as they are while it is held.
pub(super) fn lock() -> MutexGuard<'static, ()> {
    TREE.lock()
}

/// What to make.
pub enum NewFile<'a> {
    /// An empty regular file.
    Regular,
    /// An empty directory.
    Directory,
    /// A symlink with this target.
    Symlink(&'a [u8]),
    /// A named pipe.
    Fifo,
    /// The name of a bound socket.
    Socket,
    /// A character device by number.
    CharDevice(u32),
    /// A block device by number; it cannot be opened.
    BlockDevice(u32),
}

/// Makes a file where `found` says that there is none. `mode` has the creation mask applied.
pub fn create(
    caller: &Caller,
    found: &Found,
    file: &NewFile<'_>,
    mode: u32,
) -> Result<Node, Errno> {
    if let Some(directory) = volume::inode_of(&found.directory) {
        return volume::create(caller, directory, found, file, mode);
    }
    let _tree = lock();
    let directory = &found.directory;
    if found.last != Last::Name || directory.lookup(found.name.as_bytes())?.is_some() {
        return Err(Errno::EEXIST);
    }
    if found.slash && !matches!(file, NewFile::Directory) {
        return Err(Errno::ENOENT);
    }
    directory.check_not_read_only()?;
    caller.check_change(directory)?;
    let inode = make(caller, directory, file, mode)?;
    attach(
        directory,
        found.name.as_bytes(),
        Node::Memory(inode.clone()),
    )?;
    let is_directory = matches!(file, NewFile::Directory);
    notify::created(directory, found.name.as_bytes(), is_directory);
    Ok(Node::Memory(inode))
}

/// A new inode as a child of `directory`, without a name yet.
pub fn make(
    caller: &Caller,
    directory: &Node,
    file: &NewFile<'_>,
    mode: u32,
) -> Result<Arc<MemoryInode>, Errno> {
    let parent = writable_directory(directory)?;
    let (mut mode, mut gid) = (mode, caller.gid);
    {
        let parent = parent.meta.lock();
        if parent.mode & S_ISGID != 0 {
            gid = parent.gid;
            if matches!(file, NewFile::Directory) {
                mode |= S_ISGID;
            } else if mode & (S_ISGID | S_IXGRP) == S_ISGID | S_IXGRP
                && !caller.in_group(gid)
                && !caller.can(FSETID)
            {
                // Nobody makes programs that run as a group that they are not in.
                mode &= !S_ISGID;
            }
        }
    }
    let body = match file {
        NewFile::Regular => Body::Regular(Mutex::new(Data::new())),
        NewFile::Directory => {
            Body::Directory(Mutex::new(Directory::inside(Node::Memory(parent.clone()))))
        }
        NewFile::Symlink(target) => Body::Symlink(Box::from(*target)),
        NewFile::Fifo => Body::Fifo(Pipe::new()),
        NewFile::Socket => Body::Socket,
        NewFile::CharDevice(rdev) => Body::CharDevice(*rdev),
        NewFile::BlockDevice(rdev) => Body::BlockDevice(*rdev),
    };
    Ok(MemoryInode::new(parent.device, mode, caller.uid, gid, body))
}

/// The memory inode of a directory that still exists.
pub(super) fn writable_directory(directory: &Node) -> Result<Arc<MemoryInode>, Errno> {
    let inode = match directory {
        // No names can be made there.
        Node::Pseudo(_) => return Err(Errno::ENOENT),
        node => node.writable()?,
    };
    if inode.directory()?.lock().removed {
        Err(Errno::ENOENT)
    } else {
        Ok(inode)
    }
}

/// Puts `node` at `name`, which must be free or about to be replaced.
pub(super) fn attach(directory: &Node, name: &[u8], node: Node) -> Result<(), Errno> {
    let parent = writable_directory(directory)?;
    let is_directory = node.is_directory();
    parent
        .directory()?
        .lock()
        .entries
        .insert(Box::from(name), Entry::Node(node));
    if is_directory {
        parent.meta.lock().nlink += 1;
    }
    names_changed(&parent)
}

/// Takes `name` away: a whiteout where the image has it too.
pub(super) fn detach(directory: &Node, name: &[u8], node: &Node) -> Result<(), Errno> {
    let parent = writable_directory(directory)?;
    {
        let mut names = parent.directory()?.lock();
        let below = match names.below {
            Some(nid) => {
                let image = &overlay()?.image;
                image.inode(nid)?.find(image, name)?.is_some()
            }
            None => false,
        };
        if below {
            names.entries.insert(Box::from(name), Entry::Whiteout);
        } else {
            names.entries.remove(name);
        }
    }
    if node.is_directory() {
        let mut meta = parent.meta.lock();
        meta.nlink = meta.nlink.saturating_sub(1);
    }
    names_changed(&parent)
}

/// Notes that `inode` has another mode or owner than before.
pub fn attributes_changed(inode: &MemoryInode) {
    if overlay().is_ok_and(|overlay| overlay.is_root(inode)) {
        path_cache::begin_epoch();
    }
}

/// Notes that `parent` has other names than before.
fn names_changed(parent: &MemoryInode) -> Result<(), Errno> {
    parent.touch_modified();
    // The root is in memory, and remembered walks go through it all the same.
    if overlay()?.is_root(parent) {
        path_cache::begin_epoch();
    }
    Ok(())
}

/// Counts one name less of `node`, which is no directory.
pub(super) fn drop_link(node: &Node) -> Result<(), Errno> {
    match node.current() {
        Node::Lower(lower) => {
            let overlay = overlay()?;
            if overlay.image.inode(lower.nid)?.nlink > 1 {
                let inode = overlay.copy_up(lower)?;
                inode.meta.lock().nlink -= 1;
            } else {
                overlay.mark_removed(lower.nid);
            }
        }
        Node::Memory(inode) => {
            let mut meta = inode.meta.lock();
            meta.nlink = meta.nlink.saturating_sub(1);
            let gone = meta.nlink == 0;
            drop(meta);
            inode.touch_changed();
            if let (true, Some(nid)) = (gone, inode.replaces) {
                overlay()?.mark_removed(nid);
            }
        }
        Node::Pseudo(_) | Node::Volume(_) | Node::Open(_) => {}
    }
    Ok(())
}

/// Marks a directory that lost its name: nothing can be made in it.
pub(super) fn bury(node: &Node) -> Result<(), Errno> {
    match node.current() {
        Node::Lower(lower) => overlay()?.mark_removed(lower.nid),
        Node::Memory(inode) => {
            inode.directory()?.lock().removed = true;
            inode.meta.lock().nlink = 0;
            if let Some(nid) = inode.replaces {
                overlay()?.mark_removed(nid);
            }
        }
        Node::Pseudo(_) | Node::Volume(_) | Node::Open(_) => {}
    }
    Ok(())
}

/// Whether `node` is the top of another file system than the one that `directory` is on.
pub(super) fn is_mount_point(directory: &Node, node: &Node) -> bool {
    directory.identity().device != node.identity().device
}

/// Checks that `found` names something that may be taken away, and gives it.
pub(super) fn removable(caller: &Caller, directory: &Node, name: &[u8]) -> Result<Node, Errno> {
    directory.check_not_read_only()?;
    let node = directory.lookup(name)?.ok_or(Errno::ENOENT)?;
    caller.check_change(directory)?;
    caller.check_sticky(directory, &node)?;
    if matches!(directory, Node::Pseudo(_)) {
        return Err(Errno::EPERM);
    }
    if is_mount_point(directory, &node) {
        Err(Errno::EBUSY)
    } else {
        Ok(node)
    }
}

/// Removes a name of something that is no directory.
pub fn unlink(caller: &Caller, found: Found) -> Result<(), Errno> {
    if found.last != Last::Name {
        return Err(Errno::EISDIR);
    }
    if let Some(directory) = volume::inode_of(&found.directory).cloned() {
        return volume::remove(caller, &directory, found, false);
    }
    let _tree = lock();
    let name = found.name.as_bytes();
    let node = removable(caller, &found.directory, name)?;
    if node.is_directory() {
        return Err(Errno::EISDIR);
    }
    if found.slash {
        return Err(Errno::ENOTDIR);
    }
    detach(&found.directory, name, &node)?;
    drop_link(&node)?;
    notify::link_count_changed(&node);
    notify::lost(&node, &found.directory, name);
    // Its watches are told first where this was its last use.
    drop(found.node);
    forget(node);
    notify::deleted(&found.directory, name, false);
    Ok(())
}

/// Lets go of a node that lost a name. An inode of the image has nobody who
/// counts its uses: it is gone with its last name.
pub(super) fn forget(node: Node) {
    if let Node::Lower(lower) = node
        && node.attributes().is_ok_and(|it| it.nlink == 0)
    {
        notify::gone(Node::Lower(lower).identity());
    }
}

/// Removes an empty directory.
pub fn remove_directory(caller: &Caller, found: Found) -> Result<(), Errno> {
    match found.last {
        Last::Name => {}
        Last::Dot => return Err(Errno::EINVAL),
        Last::DotDot => return Err(Errno::ENOTEMPTY),
        Last::Place => return Err(Errno::EBUSY),
    }
    if let Some(directory) = volume::inode_of(&found.directory).cloned() {
        return volume::remove(caller, &directory, found, true);
    }
    let _tree = lock();
    let name = found.name.as_bytes();
    let node = removable(caller, &found.directory, name)?;
    if !node.is_directory() {
        return Err(Errno::ENOTDIR);
    }
    if !node.list()?.is_empty() {
        return Err(Errno::ENOTEMPTY);
    }
    detach(&found.directory, name, &node)?;
    bury(&node)?;
    drop(found.node);
    forget(node);
    notify::deleted(&found.directory, name, true);
    Ok(())
}

/// Gives `node` one more name.
pub fn link(caller: &Caller, node: &Node, found: &Found) -> Result<(), Errno> {
    if let Some(directory) = volume::inode_of(&found.directory) {
        return volume::link(caller, node, directory, found);
    }
    let _tree = lock();
    if found.last != Last::Name || found.directory.lookup(found.name.as_bytes())?.is_some() {
        return Err(Errno::EEXIST);
    }
    if found.slash {
        return Err(Errno::ENOENT);
    }
    found.directory.check_not_read_only()?;
    if node.identity().device != found.directory.identity().device {
        return Err(Errno::EXDEV);
    }
    caller.check_change(&found.directory)?;
    if node.file_type() == FileType::Directory {
        return Err(Errno::EPERM);
    }
    caller.check_hard_link(&node.attributes()?)?;
    let inode = node.writable()?;
    {
        let mut meta = inode.meta.lock();
        // A removed file stays removed, but an unnamed one (O_TMPFILE) may be named.
        if meta.nlink >= LINK_MAX {
            return Err(Errno::EMLINK);
        }
        meta.nlink += 1;
    }
    let outcome = attach(
        &found.directory,
        found.name.as_bytes(),
        Node::Memory(inode.clone()),
    );
    if outcome.is_err() {
        inode.meta.lock().nlink -= 1;
    }
    inode.touch_changed();
    outcome?;
    notify::link_count_changed(node);
    notify::created(&found.directory, found.name.as_bytes(), false);
    Ok(())
}
