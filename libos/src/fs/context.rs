//! A process's place in the file system: [`FsContext`].

use super::access::Caller;
use super::node::Node;
use super::overlay::overlay;
use super::path::{Found, Resolver};
use crate::errno::Errno;
use crate::process;

/// Working directory, root and creation mask. `Default` is `/`, before and after mounting.
#[derive(Clone)]
pub struct FsContext {
    directory: Option<Node>,
    root: Option<Node>,
    /// Permission bits that new files do not get.
    pub umask: u32,
}

impl Default for FsContext {
    fn default() -> FsContext {
        FsContext::new()
    }
}

impl FsContext {
    /// At the root, with umask 022.
    pub const fn new() -> FsContext {
        FsContext {
            directory: None,
            root: None,
            umask: 0o022,
        }
    }

    /// The working directory.
    pub fn directory(&self) -> Result<Node, Errno> {
        match &self.directory {
            Some(node) => Ok(node.clone()),
            None => self.root(),
        }
    }

    /// The root as this process sees it.
    pub fn root(&self) -> Result<Node, Errno> {
        match &self.root {
            Some(node) => Ok(node.clone()),
            None => Ok(overlay()?.root()),
        }
    }

    /// Moves to `directory`.
    pub fn set_directory(&mut self, directory: Node) {
        self.directory = Some(directory);
    }

    /// Makes `root` the root.
    pub fn set_root(&mut self, root: Node) {
        self.root = Some(root);
    }
}

/// Resolves `path` for the current process, from `start` or its working directory.
pub fn resolve(
    caller: &Caller,
    start: Option<&Node>,
    path: &[u8],
    follow: bool,
) -> Result<Found, Errno> {
    let (root, directory) = starts(start, path)?;
    let start = start.or(directory.as_ref()).unwrap_or(&root);
    Resolver::new(caller, &root).find(start, path, follow)
}

/// [`resolve`] for a call that makes, removes or renames what is there.
pub fn resolve_name(caller: &Caller, start: Option<&Node>, path: &[u8]) -> Result<Found, Errno> {
    let (root, directory) = starts(start, path)?;
    let start = start.or(directory.as_ref()).unwrap_or(&root);
    Resolver::new(caller, &root).find_name(start, path)
}

/// The root, and the working directory where it is needed.
#[inline]
fn starts(start: Option<&Node>, path: &[u8]) -> Result<(Node, Option<Node>), Errno> {
    let fs = process::current().fs.lock();
    // An absolute path does not look at the working directory.
    let needed = start.is_none() && path.first() != Some(&b'/');
    let directory = if needed { Some(fs.directory()?) } else { None };
    Ok((fs.root()?, directory))
}

/// Moves the current process to the directory at `path`.
pub fn change_directory(path: &[u8]) -> Result<(), Errno> {
    let caller = Caller::current();
    let (node, ..) = resolve(&caller, None, path, true)?.existing()?;
    enter_directory(&caller, node)
}

/// Moves the current process to `node`, which it must be allowed to search.
pub fn enter_directory(caller: &Caller, node: Node) -> Result<(), Errno> {
    if !node.is_directory() {
        return Err(Errno::ENOTDIR);
    }
    caller.check_search(&node)?;
    process::current().fs.lock().set_directory(node);
    Ok(())
}
