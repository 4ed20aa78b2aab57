//! From a node back to its path: `getcwd`, `/proc/self/fd/N`, `/proc/self/exe`.
//!
//! Paths are not kept, they are found again by looking for the node in its
//! directory, so that they are right after any rename above it.

use alloc::vec::Vec;

use super::name::name_hash;
use super::node::Node;
use super::open_file::Origin;
use super::overlay::overlay;
use crate::errno::Errno;

/// Deeper directories are not looked at: a malformed image may go in circles.
const DEPTH_MAX: usize = 2048;

/// The path of `node`, which was found at `origin`.
pub fn path_of(node: &Node, origin: Option<&Origin>) -> Vec<u8> {
    let Ok(overlay) = overlay() else {
        return b"/".to_vec();
    };
    let found = if node.is_directory() {
        directory_path(node, &overlay.root())
    } else {
        origin
            .ok_or(Errno::ENOENT)
            .and_then(|origin| file_path(node, origin, &overlay.root()))
    };
    found.unwrap_or_else(|_| b"/ (deleted)".to_vec())
}

fn file_path(node: &Node, origin: &Origin, root: &Node) -> Result<Vec<u8>, Errno> {
    let mut path = directory_path(&origin.directory, root)?;
    if path.last() != Some(&b'/') {
        path.push(b'/');
    }
    path.extend_from_slice(&name_in(&origin.directory, node, Some(origin.name_hash))?);
    Ok(path)
}

/// The path of a directory below `root`; ENOENT where it was removed or is not below.
pub fn directory_path(directory: &Node, root: &Node) -> Result<Vec<u8>, Errno> {
    let mut names = Vec::new();
    let mut at = directory.current();
    while at.identity() != root.identity() {
        let parent = at.parent()?;
        if parent.identity() == at.identity() || names.len() >= DEPTH_MAX {
            return Err(Errno::ENOENT);
        }
        names.push(name_in(&parent, &at, None)?);
        at = parent;
    }
    if names.is_empty() {
        return Ok(b"/".to_vec());
    }
    let mut path = Vec::new();
    for name in names.iter().rev() {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    Ok(path)
}

/// The name of `node` in `directory`; of several, the one with hash `wanted`.
fn name_in(directory: &Node, node: &Node, wanted: Option<u32>) -> Result<Vec<u8>, Errno> {
    let identity = node.identity();
    let mut best = None;
    for listed in directory.list()? {
        // Numbers of mount points are those of another device; the lookup decides.
        let may_be = listed.ino == identity.ino
            && directory
                .lookup(&listed.name)?
                .is_some_and(|found| found.identity() == identity);
        if may_be {
            if wanted.is_none_or(|hash| name_hash(&listed.name) == hash) {
                return Ok(listed.name);
            }
            best.get_or_insert(listed.name);
        }
    }
    best.ok_or(Errno::ENOENT)
}
