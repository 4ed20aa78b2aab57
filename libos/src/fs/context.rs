//! A process's place in the file system: [`FsContext`].

use super::access::Caller;
use super::node::Node;
use super::open_file::Origin;
use super::overlay::overlay;
use super::path::{Found, Last, Resolver};
use super::path_cache::{self, Key};
use super::tree::{self, NewFile};
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

/// What a path leads to: enough for all but making and removing names.
pub struct Spot {
    /// What is there, if anything.
    pub node: Option<Node>,
    /// Where it was found; none for a place without a name, such as `/`.
    pub origin: Option<Origin>,
    /// The path ended with a slash.
    pub slash: bool,
}

impl Spot {
    /// The node; ENOENT where there is none, ENOTDIR where a trailing slash asks for a directory.
    #[inline]
    pub fn existing(self) -> Result<Node, Errno> {
        let node = self.node.ok_or(Errno::ENOENT)?;
        if self.slash && !node.is_directory() {
            Err(Errno::ENOTDIR)
        } else {
            Ok(node)
        }
    }
}

/// [`resolve`], by the path cache where it knows the path.
#[inline]
pub fn look_up(
    caller: &Caller,
    start: Option<&Node>,
    path: &[u8],
    follow: bool,
) -> Result<Spot, Errno> {
    look_up_to_open(None, caller, start, path, follow)
}

/// [`look_up`] of what is opened next with these flags, which change nothing yet.
#[inline]
pub(super) fn look_up_to_open(
    flags: Option<u32>,
    caller: &Caller,
    start: Option<&Node>,
    path: &[u8],
    follow: bool,
) -> Result<Spot, Errno> {
    let Some(start_nid) = steady_start(start, path) else {
        let (root, directory) = starts(start, path)?;
        let start = start.or(directory.as_ref()).unwrap_or(&root);
        let found = Resolver::to_open(caller, &root, flags).find(start, path, follow)?;
        return Ok(Spot::from(found));
    };
    let key = Key {
        start: start_nid,
        path,
        follow,
        is_root: caller.overrides(),
    };
    if let Some(place) = path_cache::get(&key) {
        let directory = Node::Lower(place.directory);
        let origin = Origin::at_end(directory, place.name_hash, path);
        let (node, slash) = (place.current_node(), place.slash);
        return Ok(Spot {
            node,
            origin: Some(origin),
            slash,
        });
    }
    let epoch = path_cache::epoch();
    let (root, directory) = starts(start, path)?;
    let start = start.or(directory.as_ref()).unwrap_or(&root);
    let mut resolver = Resolver::to_open(caller, &root, flags);
    let found = resolver.find(start, path, follow)?;
    if let Some(place) = resolver.place(&found) {
        path_cache::put(&key, epoch, place);
    }
    Ok(Spot::from(found))
}

impl From<Found> for Spot {
    fn from(found: Found) -> Spot {
        let named = found.last == Last::Name;
        let origin = if named {
            Some(Origin::new(found.directory, found.name.as_bytes()))
        } else {
            found.origin
        };
        Spot {
            node: found.node,
            origin,
            slash: found.slash,
        }
    }
}

/// Node number of the image's directory that the walk starts from; none where
/// it starts elsewhere, or below a root of the process's own.
#[inline]
fn steady_start(start: Option<&Node>, path: &[u8]) -> Option<u64> {
    let fs = process::current().fs.lock();
    let root_nid = overlay().ok()?.image.root_nid();
    if fs.root.is_some() {
        return None;
    }
    match start.or(fs.directory.as_ref()) {
        _ if path.first() == Some(&b'/') => Some(root_nid),
        None => Some(root_nid),
        Some(Node::Lower(lower)) => Some(lower.nid),
        Some(Node::Memory(inode)) if overlay().ok()?.is_root(inode) => Some(root_nid),
        Some(_) => None,
    }
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
    let node = look_up(&caller, None, path, true)?.existing()?;
    enter_directory(&caller, node)
}

/// Moves the first process to the working directory of its image, which is made
/// (root's, 0755) where the image lacks it, as container engines do.
pub fn enter_or_make_directory(path: &[u8]) -> Result<(), Errno> {
    match change_directory(path) {
        Err(Errno::ENOENT) => {}
        result => return result,
    }
    let root = Caller::default();
    for end in 1..=path.len() {
        if path.get(end).is_some_and(|byte| *byte != b'/') {
            continue;
        }
        let prefix = path.get(..end).unwrap_or(path);
        match look_up(&root, None, prefix, true)?.existing() {
            Ok(_) => {}
            Err(Errno::ENOENT) => {
                let found = resolve_name(&root, None, prefix)?;
                tree::create(&root, &found, &NewFile::Directory, 0o755)?;
            }
            Err(errno) => return Err(errno),
        }
    }
    change_directory(path)
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
