//! From a node back to its path: `getcwd`, `/proc/self/fd/N`, `/proc/self/exe`.
//!
//! Paths are not kept, they are found again by looking for the node in its
//! directory, so that they are right after any rename above it.

use alloc::vec::Vec;

use super::name::name_hash;
use super::node::Node;
use super::open_file::Origin;
use super::overlay::overlay;
use super::path::PATH_MAX;
use crate::errno::Errno;

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

/// The path of a directory below `root`: ENOENT where it was removed or is not
/// below, ENAMETOOLONG where it is longer than a path can be.
pub fn directory_path(directory: &Node, root: &Node) -> Result<Vec<u8>, Errno> {
    let mut names = Vec::new();
    let mut bytes = 0;
    let mut at = directory.current();
    while at.identity() != root.identity() {
        let parent = at.parent()?;
        if parent.identity() == at.identity() {
            return Err(Errno::ENOENT);
        }
        let name = name_in(&parent, &at, None)?;
        bytes += name.len() + 1;
        // Also the end of directories that go in circles, as a malformed image may have.
        if bytes >= PATH_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        names.push(name);
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
pub(super) fn name_in(
    directory: &Node,
    node: &Node,
    wanted: Option<u32>,
) -> Result<Vec<u8>, Errno> {
    let identity = node.identity();
    let mut best = None;
    directory.visit(&mut |name, candidate, _| {
        if candidate != identity {
            return true;
        }
        let exact = wanted.is_none_or(|hash| name_hash(name) == hash);
        if exact || best.is_none() {
            best = Some(name.to_vec());
        }
        !exact
    })?;
    best.ok_or(Errno::ENOENT)
}
