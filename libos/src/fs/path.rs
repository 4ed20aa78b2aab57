//! Path resolution: from bytes to a [`Found`] place.
//!
//! Components are looked up one by one on the nodes themselves, without a
//! cache: the image's directories are searched in place. Symlinks are followed
//! in a loop, at most 40 in all: what comes after one inside the path is kept
//! until its own path is walked, so that no stack grows with them.

use alloc::vec::Vec;

use linux_raw_sys::general::{
    RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV,
};

use super::access::{Caller, EXECUTE};
use super::attributes::FileType;
use super::name::{NAME_MAX, Name, name_hash};
use super::node::{Lower, Node, Target};
use super::open_file::Origin;
use super::overlay::overlay;
use super::path_cache::Place;
use super::rest::{Rest, Text, trim_slashes};
use crate::errno::Errno;
use crate::process::capabilities::{DAC_OVERRIDE, FOWNER};

/// Most bytes of a path, with its NUL.
pub const PATH_MAX: usize = 4096;
const LINKS_MAX: u32 = 40;
/// Mode bits of a directory that everybody may search.
const SEARCHABLE_BY_ALL: u32 = 0o111;

/// What kind of component a path ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// A name that can be made, removed or renamed.
    Name,
    /// `.`
    Dot,
    /// `..`
    DotDot,
    /// The root, or a magic link: there is no name.
    Place,
}

/// Where a path leads.
pub struct Found {
    /// The directory of the last component.
    pub directory: Node,
    /// The last component.
    pub name: Name,
    /// What kind of component it is.
    pub last: Last,
    /// What is there, if anything.
    pub node: Option<Node>,
    /// Where the node is, of one that a magic link led to.
    pub origin: Option<Origin>,
    /// The path ended with a slash.
    pub slash: bool,
}

impl Found {
    /// The node; ENOENT where there is none, ENOTDIR where a trailing slash asks for a directory.
    #[inline]
    pub fn existing(self) -> Result<(Node, Node, Name), Errno> {
        let node = self.node.ok_or(Errno::ENOENT)?;
        if self.slash && !node.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        Ok((node, self.directory, self.name))
    }
}

/// One resolution: who asks, what they see as root, how many links are left.
pub struct Resolver<'a> {
    caller: &'a Caller,
    root: &'a Node,
    links_left: u32,
    restrictions: u32,
    /// A slash after a symlink at the end does not follow it: its name is what counts.
    names_only: bool,
    /// What is at the end is opened next with these flags, by who may open everything:
    /// a volume opens it with the question for its name.
    opens: Option<u32>,
    /// Every directory so far is one of the image (or the root), and everybody
    /// may search it: where the path leads can be remembered.
    steady: bool,
}

fn check_length(path: &[u8]) -> Result<(), Errno> {
    match path.len() {
        0 => Err(Errno::ENOENT),
        PATH_MAX.. => Err(Errno::ENAMETOOLONG),
        _ => Ok(()),
    }
}

/// What the end of a path is: done, or on with a symlink's path from a directory.
enum Step {
    Done(Found),
    Link {
        directory: Node,
        target: Target,
        slash: bool,
    },
}

impl<'a> Resolver<'a> {
    /// A resolution below `root`.
    #[inline]
    pub fn new(caller: &'a Caller, root: &'a Node) -> Resolver<'a> {
        Resolver {
            caller,
            root,
            links_left: LINKS_MAX,
            restrictions: 0,
            names_only: false,
            opens: None,
            steady: true,
        }
    }

    /// A resolution for an open with flags that change nothing yet.
    pub fn to_open(caller: &'a Caller, root: &'a Node, flags: Option<u32>) -> Resolver<'a> {
        Resolver {
            opens: flags.filter(|_| caller.can(DAC_OVERRIDE | FOWNER)),
            ..Resolver::new(caller, root)
        }
    }

    /// With `RESOLVE_*` bits of openat2.
    pub fn restricted(caller: &'a Caller, root: &'a Node, restrictions: u32) -> Resolver<'a> {
        Resolver {
            restrictions,
            ..Resolver::new(caller, root)
        }
    }

    /// Resolves `path` for a call that makes, removes or renames what is there.
    pub fn find_name(&mut self, start: &Node, path: &[u8]) -> Result<Found, Errno> {
        self.names_only = true;
        self.find(start, path, false)
    }

    /// Resolves `path` from `start`; `follow` says what happens to a symlink at the end.
    pub fn find(&mut self, start: &Node, path: &[u8], follow: bool) -> Result<Found, Errno> {
        check_length(path)?;
        let mut directory = self.begin(start.clone(), path)?;
        let mut here = Rest::of(Text::Given(path));
        // What is left to walk after symlinks inside the path: at most one for each.
        let mut outer: Vec<Rest<'_>> = Vec::new();
        let (mut follow, mut slash_seen) = (follow, false);
        loop {
            let rest = here.bytes();
            if rest.is_empty() {
                match outer.pop() {
                    Some(next) => here = next,
                    None => {
                        let node = Some(directory.clone());
                        return self.found(directory, b"", Last::Place, node, true);
                    }
                }
                continue;
            }
            let end = rest
                .iter()
                .position(|&byte| byte == b'/')
                .unwrap_or(rest.len());
            let (component, tail) = rest.split_at_checked(end).ok_or(Errno::EIO)?;
            if component.len() > NAME_MAX {
                return Err(Errno::ENAMETOOLONG);
            }
            self.enter(&directory)?;
            if outer.is_empty() && trim_slashes(tail).is_empty() {
                match self.last(directory, component, !tail.is_empty(), follow)? {
                    Step::Done(mut found) => {
                        found.slash |= slash_seen;
                        return Ok(found);
                    }
                    Step::Link {
                        directory: from,
                        target,
                        slash,
                    } => {
                        slash_seen |= slash;
                        follow = true;
                        let path = target.path().ok_or(Errno::EIO)?;
                        check_length(path)?;
                        directory = self.begin(from, path)?;
                        here = Rest::of(Text::Link(target));
                    }
                }
                continue;
            }
            let next = match component {
                b"." => directory.clone(),
                b".." => self.up(&directory)?,
                name => directory.lookup(name)?.ok_or(Errno::ENOENT)?,
            };
            here.done = here.whole().len().saturating_sub(tail.len());
            match next.file_type() {
                FileType::Directory => directory = next,
                FileType::Symlink => match self.target(&next)? {
                    Target::Node(node, _) if node.is_directory() => directory = node,
                    Target::Node(..) => return Err(Errno::ENOTDIR),
                    target => {
                        let path = target.path().ok_or(Errno::EIO)?;
                        check_length(path)?;
                        directory = self.begin(directory, path)?;
                        outer.push(core::mem::replace(&mut here, Rest::of(Text::Link(target))));
                    }
                },
                _ => return Err(Errno::ENOTDIR),
            }
            self.check_device(&directory)?;
        }
    }

    /// The directory that `path` is walked from.
    #[inline]
    fn begin(&self, from: Node, path: &[u8]) -> Result<Node, Errno> {
        match path.first() {
            Some(b'/') if self.restrictions & RESOLVE_BENEATH != 0 => Err(Errno::EXDEV),
            Some(b'/') => Ok(self.root.clone()),
            _ if from.is_directory() => Ok(from),
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// Checks that names may be looked up in `directory`, and whether the walk
    /// stays one that can be remembered.
    #[inline]
    fn enter(&mut self, directory: &Node) -> Result<(), Errno> {
        match directory {
            // A handle from before the directory was copied up.
            Node::Lower(lower) => self.steady &= overlay()?.replacement(lower.nid).is_none(),
            Node::Memory(inode) => self.steady &= overlay()?.is_root(inode),
            Node::Pseudo(_) | Node::Volume(_) | Node::Open(_) => self.steady = false,
        }
        if self.caller.overrides() {
            return Ok(());
        }
        let attributes = directory.attributes()?;
        self.steady &= attributes.mode & SEARCHABLE_BY_ALL == SEARCHABLE_BY_ALL;
        self.caller.check(&attributes, EXECUTE)
    }

    /// Where [`Resolver::find`] led, if that can be remembered.
    pub fn place(&self, found: &Found) -> Option<Place> {
        let plain = self.restrictions == 0 && !self.names_only && found.last == Last::Name;
        let directory = match &found.directory {
            Node::Lower(lower) => *lower,
            Node::Memory(inode) if overlay().ok()?.is_root(inode) => Lower {
                nid: inode.replaces?,
                kind: FileType::Directory,
            },
            _ => return None,
        };
        let node = match &found.node {
            None => None,
            Some(Node::Lower(lower)) => Some(*lower),
            Some(_) => return None,
        };
        let name_hash = name_hash(found.name.as_bytes());
        (plain && self.steady).then_some(Place {
            directory,
            name_hash,
            node,
            slash: found.slash,
        })
    }

    fn last(
        &mut self,
        directory: Node,
        component: &[u8],
        slash: bool,
        follow: bool,
    ) -> Result<Step, Errno> {
        match component {
            b"." => {
                return self.done(
                    directory.clone(),
                    component,
                    Last::Dot,
                    Some(directory),
                    slash,
                );
            }
            b".." => {
                let up = self.up(&directory)?;
                return self.done(directory, component, Last::DotDot, Some(up), slash);
            }
            _ => {}
        }
        let node = match (&directory, self.opens) {
            (Node::Volume(inode), Some(flags)) => inode.lookup_to_open(component, flags)?,
            _ => directory.lookup(component)?,
        };
        if let Some(link) = &node
            && (follow || slash && !self.names_only)
            && link.file_type() == FileType::Symlink
        {
            return match self.target(link)? {
                Target::Node(node, origin) => {
                    let mut found = self.found(directory, b"", Last::Place, Some(node), slash)?;
                    found.origin = origin;
                    Ok(Step::Done(found))
                }
                target => Ok(Step::Link {
                    directory,
                    target,
                    slash,
                }),
            };
        }
        self.done(directory, component, Last::Name, node, slash)
    }

    fn done(
        &self,
        directory: Node,
        name: &[u8],
        last: Last,
        node: Option<Node>,
        slash: bool,
    ) -> Result<Step, Errno> {
        self.found(directory, name, last, node, slash)
            .map(Step::Done)
    }

    fn found(
        &self,
        directory: Node,
        name: &[u8],
        last: Last,
        node: Option<Node>,
        slash: bool,
    ) -> Result<Found, Errno> {
        if let Some(node) = &node {
            self.check_device(node)?;
        }
        Ok(Found {
            directory,
            name: Name::new(name)?,
            last,
            node,
            origin: None,
            slash,
        })
    }

    /// Counts one more symlink, then reads it.
    fn target(&mut self, link: &Node) -> Result<Target, Errno> {
        if self.restrictions & RESOLVE_NO_SYMLINKS != 0 {
            return Err(Errno::ELOOP);
        }
        self.links_left = self.links_left.checked_sub(1).ok_or(Errno::ELOOP)?;
        let target = link.link_target()?;
        let magic = matches!(target, Target::Node(..));
        if magic && self.restrictions & (RESOLVE_NO_MAGICLINKS | RESOLVE_BENEATH) != 0 {
            return Err(Errno::ELOOP);
        }
        Ok(target)
    }

    /// The directory above, or the same at the root.
    fn up(&self, directory: &Node) -> Result<Node, Errno> {
        if directory.identity() == self.root.identity() {
            return if self.restrictions & RESOLVE_BENEATH != 0 {
                Err(Errno::EXDEV)
            } else {
                Ok(directory.clone())
            };
        }
        directory.parent()
    }

    fn check_device(&self, node: &Node) -> Result<(), Errno> {
        let crosses = self.restrictions & RESOLVE_NO_XDEV != 0
            && node.identity().device != self.root.identity().device;
        if crosses { Err(Errno::EXDEV) } else { Ok(()) }
    }
}
