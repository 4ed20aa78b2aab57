//! Changes of names in volumes. The host does each in one step, so that the tree lock
//! of `fs::tree` is not needed: permissions are checked here, the rest is the host's.

use alloc::sync::Arc;

use linux_raw_sys::general::{RENAME_EXCHANGE, RENAME_NOREPLACE};
use unikiln_abi::volume::opcode;

use super::inode::{Entry, VolumeInode};
use super::{covered, inode_of, watch};
use crate::errno::Errno;
use crate::fs::access::{Caller, WRITE};
use crate::fs::attributes::FileType;
use crate::fs::node::Node;
use crate::fs::path::{Found, Last};
use crate::fs::rename::Mode;
use crate::fs::tree::{self, NewFile};

/// Makes a file; `mode` has the creation mask applied.
pub fn create(
    caller: &Caller,
    directory: &Arc<VolumeInode>,
    found: &Found,
    file: &NewFile<'_>,
    mode: u32,
) -> Result<Node, Errno> {
    let name = check_new(caller, directory, found, matches!(file, NewFile::Directory))?;
    let made = |kind: FileType| {
        let mode = (mode & 0o7777 | kind.mode_bits()).to_le_bytes();
        let parts: [&[u8]; 4] = [&mode, &[0; 12], name, &[0]];
        directory.ask(opcode::MKNOD, &parts, Entry::read)
    };
    let entry = match file {
        NewFile::Regular => made(FileType::Regular),
        NewFile::Fifo => made(FileType::Fifo),
        NewFile::Socket => made(FileType::Socket),
        NewFile::Directory => {
            let mode = mode.to_le_bytes();
            let parts: [&[u8]; 4] = [&mode, &[0; 4], name, &[0]];
            directory.ask(opcode::MKDIR, &parts, Entry::read)
        }
        NewFile::Symlink(target) => {
            let parts: [&[u8]; 4] = [name, &[0], target, &[0]];
            directory.ask(opcode::SYMLINK, &parts, Entry::read)
        }
        // The host has devices, and no guest makes names of them.
        NewFile::CharDevice(_) | NewFile::BlockDevice(_) => Err(Errno::EPERM),
    }?;
    directory.changed();
    watch::look();
    Ok(directory.child(&entry))
}

/// Checks that a name may be made, and gives it.
pub(super) fn check_new<'a>(
    caller: &Caller,
    directory: &Arc<VolumeInode>,
    found: &'a Found,
    is_directory: bool,
) -> Result<&'a [u8], Errno> {
    if found.last != Last::Name || found.node.is_some() {
        return Err(Errno::EEXIST);
    }
    if found.slash && !is_directory {
        return Err(Errno::ENOENT);
    }
    if directory.volume().is_read_only() {
        return Err(Errno::EROFS);
    }
    caller.check_change(&found.directory)?;
    Ok(found.name.as_bytes())
}

/// Gives `node` one more name.
pub fn link(
    caller: &Caller,
    node: &Node,
    directory: &Arc<VolumeInode>,
    found: &Found,
) -> Result<(), Errno> {
    let name = check_new(caller, directory, found, false)?;
    if node.identity().device != directory.identity().device {
        return Err(Errno::EXDEV);
    }
    let inode = inode_of(node).ok_or(Errno::EXDEV)?;
    if inode.file_type() == FileType::Directory {
        return Err(Errno::EPERM);
    }
    caller.check_hard_link(&node.attributes()?)?;
    let parts: [&[u8]; 3] = [&inode.node.to_le_bytes(), name, &[0]];
    let entry = directory.ask(opcode::LINK, &parts, Entry::read)?;
    drop(directory.child(&entry));
    directory.changed();
    inode.changed();
    watch::look();
    Ok(())
}

/// Removes a name: of a directory, or of anything else.
pub fn remove(
    caller: &Caller,
    directory: &Arc<VolumeInode>,
    found: Found,
    is_directory: bool,
) -> Result<(), Errno> {
    let Found {
        directory: parent,
        name,
        node,
        slash,
        ..
    } = found;
    let node = removable(caller, &parent, node)?;
    match (node.is_directory(), is_directory) {
        (false, true) => return Err(Errno::ENOTDIR),
        (true, false) => return Err(Errno::EISDIR),
        _ => {}
    }
    if slash && !is_directory {
        return Err(Errno::ENOTDIR);
    }
    let opcode = if is_directory {
        opcode::RMDIR
    } else {
        opcode::UNLINK
    };
    let watched = inode_of(&node).filter(|_| watch::is_active()).cloned();
    // Told with the removal: the host frees the space once nobody here has the file.
    drop(node);
    (directory.volume).tell(opcode, directory.node, &[name.as_bytes(), &[0]])?;
    directory.changed();
    if let Some(inode) = watched {
        inode.changed();
        watch::lost(&inode);
        drop(inode);
        directory.volume.flush();
    }
    watch::look();
    Ok(())
}

/// Checks that what was found in `directory` may be taken away, and gives it. The
/// host has the last word where it became something else since.
fn removable(caller: &Caller, directory: &Node, node: Option<Node>) -> Result<Node, Errno> {
    let node = node.ok_or(Errno::ENOENT)?;
    if inode_of(directory).is_some_and(|it| it.volume().is_read_only()) {
        return Err(Errno::EROFS);
    }
    caller.check_change(directory)?;
    caller.check_sticky(directory, &node)?;
    if tree::is_mount_point(directory, &node) {
        Err(Errno::EBUSY)
    } else {
        Ok(node)
    }
}

/// Renames within a volume; elsewhere is EXDEV.
pub fn rename(caller: &Caller, from: &Found, to: &Found, mode: Mode) -> Result<(), Errno> {
    if from.last != Last::Name || to.last != Last::Name {
        return Err(Errno::EBUSY);
    }
    let (Some(old_directory), Some(new_directory)) =
        (inode_of(&from.directory), inode_of(&to.directory))
    else {
        return Err(Errno::EXDEV);
    };
    if old_directory.identity().device != new_directory.identity().device {
        return Err(Errno::EXDEV);
    }
    let (old, new) = (from.name.as_bytes(), to.name.as_bytes());
    let source = removable(caller, &from.directory, from.node.clone())?;
    if (from.slash || to.slash && mode != Mode::Exchange) && !source.is_directory() {
        return Err(Errno::ENOTDIR);
    }
    if covered(new_directory.identity(), new).is_some() {
        return Err(Errno::EBUSY);
    }
    caller.check_change(&to.directory)?;
    if !caller.overrides() {
        let target = to.directory.lookup(new)?;
        if let Some(target) = &target {
            caller.check_sticky(&to.directory, target)?;
        }
        let moves = old_directory.identity() != new_directory.identity();
        let both = [
            Some(&source),
            target.as_ref().filter(|_| mode == Mode::Exchange),
        ];
        for node in both.into_iter().flatten() {
            // A directory that gets another parent is written itself.
            if moves && node.is_directory() {
                caller.check(&node.attributes()?, WRITE)?;
            }
        }
    }
    let flags = match mode {
        Mode::Replace => 0,
        Mode::NoReplace => RENAME_NOREPLACE,
        Mode::Exchange => RENAME_EXCHANGE,
    };
    let parts: [&[u8]; 7] = [
        &new_directory.node.to_le_bytes(),
        &flags.to_le_bytes(),
        &[0; 4],
        old,
        &[0],
        new,
        &[0],
    ];
    (old_directory.volume).tell(opcode::RENAME2, old_directory.node, &parts)?;
    old_directory.changed();
    new_directory.changed();
    let moved = |node: &Node, parent: &Node| {
        if let Some(inode) = inode_of(node) {
            inode.changed();
            if node.is_directory() {
                inode.set_parent(parent.clone());
            }
        }
    };
    moved(&source, &to.directory);
    let target = to.node.as_ref();
    if let (Some(target), Mode::Exchange) = (target, mode) {
        moved(target, &from.directory);
    }
    match target.and_then(inode_of) {
        Some(target) => {
            target.changed();
            watch::lost(target);
            watch::look_closing(target);
        }
        None => watch::look(),
    }
    Ok(())
}
