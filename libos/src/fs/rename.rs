//! Renaming: within a directory, between directories, exchanging two names.
//!
//! A directory of the image moves as any other: it is copied up (none of its
//! entries is) and told its new parent. What is below it keeps leading to it by
//! its node number, so nothing else changes and there is no EXDEV.

use super::access::{Caller, WRITE};
use super::node::Node;
use super::notify;
use super::path::{Found, Last};
use super::tree;
use super::volume;
use crate::errno::Errno;

/// What to do about the new name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Replace what is there.
    Replace,
    /// Fail with EEXIST where something is there.
    NoReplace,
    /// Swap the two.
    Exchange,
}

/// Deeper directories are not looked at: a malformed image may go in circles.
const DEPTH_MAX: usize = 1 << 20;

/// Renames `from` to `to`.
pub fn rename(caller: &Caller, from: &Found, to: &Found, mode: Mode) -> Result<(), Errno> {
    if [from, to]
        .iter()
        .any(|it| volume::inode_of(&it.directory).is_some())
    {
        return volume::rename(caller, from, to, mode);
    }
    let _tree = tree::lock();
    if from.last != Last::Name || to.last != Last::Name {
        return Err(Errno::EBUSY);
    }
    let (old_name, new_name) = (from.name.as_bytes(), to.name.as_bytes());
    if from.directory.identity().device != to.directory.identity().device {
        return Err(Errno::EXDEV);
    }
    if let (Node::Pseudo(_), None) = (&to.directory, &to.node) {
        // No name can be made there.
        return Err(Errno::ENOENT);
    }
    let source = tree::removable(caller, &from.directory, old_name)?;
    let target = to.directory.lookup(new_name)?;
    if (from.slash || to.slash && mode != Mode::Exchange) && !source.is_directory() {
        return Err(Errno::ENOTDIR);
    }
    caller.check_change(&to.directory)?;
    check_ancestry(&source, &to.directory, Errno::EINVAL)?;
    match (&target, mode) {
        (Some(_), Mode::NoReplace) => return Err(Errno::EEXIST),
        (None, Mode::Exchange) => return Err(Errno::ENOENT),
        (Some(target), _) => {
            check_target(caller, to, target)?;
            let wrong = if mode == Mode::Exchange {
                Errno::EINVAL
            } else {
                Errno::ENOTEMPTY
            };
            check_ancestry(target, &from.directory, wrong)?;
        }
        (None, _) => {}
    }
    check_move(caller, &source, from, to)?;
    match target {
        Some(target) if target.identity() == source.identity() => Ok(()),
        Some(target) if mode == Mode::Exchange => {
            check_move(caller, &target, to, from)?;
            exchange(&source, &target, from, to)?;
            notify_moved(&source, from, to, None);
            notify_moved(&target, to, from, None);
            Ok(())
        }
        Some(target) => {
            check_replaceable(&source, &target)?;
            tree::detach(&to.directory, new_name, &target)?;
            if target.is_directory() {
                tree::bury(&target)?;
            } else {
                tree::drop_link(&target)?;
            }
            relocate(&source, from, to)?;
            notify_moved(&source, from, to, Some(&target));
            notify::lost(&target, &to.directory, new_name);
            tree::forget(target);
            Ok(())
        }
        None => {
            relocate(&source, from, to)?;
            notify_moved(&source, from, to, None);
            Ok(())
        }
    }
}

fn notify_moved(node: &Node, from: &Found, to: &Found, target: Option<&Node>) {
    let from = (&from.directory, from.name.as_bytes());
    let to = (&to.directory, to.name.as_bytes());
    notify::moved(node, from, to, target);
}

fn check_target(caller: &Caller, to: &Found, target: &Node) -> Result<(), Errno> {
    caller.check_sticky(&to.directory, target)?;
    if to.slash && !target.is_directory() {
        return Err(Errno::ENOTDIR);
    }
    if tree::is_mount_point(&to.directory, target) {
        Err(Errno::EBUSY)
    } else {
        Ok(())
    }
}

/// `wrong` where `directory` is `node` or below it.
fn check_ancestry(node: &Node, directory: &Node, wrong: Errno) -> Result<(), Errno> {
    if !node.is_directory() {
        return Ok(());
    }
    let identity = node.identity();
    let mut at = directory.current();
    for _ in 0..DEPTH_MAX {
        if at.identity() == identity {
            return Err(wrong);
        }
        let parent = at.parent()?;
        if parent.identity() == at.identity() {
            return Ok(());
        }
        at = parent;
    }
    Err(Errno::ELOOP)
}

/// A directory that gets another parent is written itself: its `..` changes.
fn check_move(caller: &Caller, node: &Node, from: &Found, to: &Found) -> Result<(), Errno> {
    let stays = from.directory.identity() == to.directory.identity();
    if stays || !node.is_directory() || caller.overrides() {
        return Ok(());
    }
    caller.check(&node.attributes()?, WRITE)
}

fn check_replaceable(source: &Node, target: &Node) -> Result<(), Errno> {
    match (source.is_directory(), target.is_directory()) {
        (true, false) => Err(Errno::ENOTDIR),
        (false, true) => Err(Errno::EISDIR),
        (true, true) if !target.list()?.is_empty() => Err(Errno::ENOTEMPTY),
        _ => Ok(()),
    }
}

/// Moves `node` to the free name `to`.
fn relocate(node: &Node, from: &Found, to: &Found) -> Result<(), Errno> {
    let node = reparent(node, from, to)?;
    tree::attach(&to.directory, to.name.as_bytes(), node.clone())?;
    tree::detach(&from.directory, from.name.as_bytes(), &node)?;
    touch(&node);
    Ok(())
}

fn exchange(source: &Node, target: &Node, from: &Found, to: &Found) -> Result<(), Errno> {
    let source = reparent(source, from, to)?;
    let target = reparent(target, to, from)?;
    tree::detach(&from.directory, from.name.as_bytes(), &source)?;
    tree::detach(&to.directory, to.name.as_bytes(), &target)?;
    tree::attach(&to.directory, to.name.as_bytes(), source.clone())?;
    tree::attach(&from.directory, from.name.as_bytes(), target.clone())?;
    touch(&source);
    touch(&target);
    Ok(())
}

/// Tells a directory its new parent; gives the node to attach.
fn reparent(node: &Node, from: &Found, to: &Found) -> Result<Node, Errno> {
    if !node.is_directory() || from.directory.identity() == to.directory.identity() {
        return Ok(node.clone());
    }
    let parent = Node::Memory(tree::writable_directory(&to.directory)?);
    let inode = node.writable()?;
    inode.directory()?.lock().parent = Some(parent);
    Ok(Node::Memory(inode))
}

/// The inode changed too; one of the image is not copied up for its time alone.
fn touch(node: &Node) {
    if let Node::Memory(inode) = node {
        inode.touch_changed();
    }
}
