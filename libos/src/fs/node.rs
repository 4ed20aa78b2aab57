//! A place in the file system: [`Node`], and what can be asked of it.
//!
//! A node is a handle, cheap to copy: an inode of the image is just its number,
//! so walking a path allocates nothing. Whoever keeps a node may hold one of the
//! image that was replaced since; every question asks the overlay first.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::attributes::{Attributes, FileType, ROOT_DEVICE};
use super::erofs::Inode;
use super::memory::{Body, Entry, MemoryInode};
use super::open_file::{OpenFile, Origin};
use super::overlay::{Replacement, is_root_read_only, lower_ino, lower_mtime, overlay};
use super::pseudo::Pseudo;
use super::volume::VolumeInode;
use crate::errno::Errno;

/// An inode of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lower {
    /// Node number.
    pub nid: u64,
    /// Kind, as its directory entry says.
    pub kind: FileType,
}

/// See the module documentation.
#[derive(Clone)]
pub enum Node {
    /// In the image.
    Lower(Lower),
    /// In memory.
    Memory(Arc<MemoryInode>),
    /// Made up when looked at: `/proc`, `/sys`.
    Pseudo(Pseudo),
    /// In a volume.
    Volume(Arc<VolumeInode>),
    /// An open file that has no place in a directory, reached through `/proc/self/fd`.
    Open(Arc<OpenFile>),
}

/// Where a symlink leads.
pub enum Target {
    /// To a path, in the image.
    Image(&'static [u8]),
    /// To a path, of a symlink in memory.
    Memory(Arc<MemoryInode>),
    /// To a path made up for the occasion.
    Made(Vec<u8>),
    /// Straight to a node (`/proc/self/fd/N` and its like), and where that is.
    Node(Node, Option<Origin>),
}

impl Target {
    /// The path; none for a target that is a node.
    pub fn path(&self) -> Option<&[u8]> {
        match self {
            Target::Image(path) => Some(path),
            Target::Memory(inode) => match &inode.body {
                Body::Symlink(path) => Some(path),
                _ => None,
            },
            Target::Made(path) => Some(path),
            Target::Node(..) => None,
        }
    }
}

/// An extended attribute: full name and value.
pub type Xattr = (Vec<u8>, Vec<u8>);

/// Device and inode number: two nodes are one file where they are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Device.
    pub device: u64,
    /// Inode.
    pub ino: u64,
}

/// One entry of a listed directory.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Name.
    pub name: Vec<u8>,
    /// Inode number.
    pub ino: u64,
    /// Kind.
    pub kind: FileType,
}

/// Takes names of a directory one by one, until it says false.
pub type Visitor<'a> = dyn FnMut(&[u8], Identity, FileType) -> bool + 'a;

/// An inode of the image as it is now.
enum Now {
    Image(Inode),
    Memory(Arc<MemoryInode>),
    Removed(Inode),
}

#[inline]
fn now(lower: Lower) -> Result<Now, Errno> {
    let overlay = overlay()?;
    match overlay.replacement(lower.nid) {
        None => Ok(Now::Image(overlay.image.inode(lower.nid)?)),
        Some(Replacement::Inode(inode)) => Ok(Now::Memory(inode)),
        Some(Replacement::Removed) => Ok(Now::Removed(overlay.image.inode(lower.nid)?)),
    }
}

fn lower_attributes(inode: &Inode, nlink: u32) -> Attributes {
    let mtime = lower_mtime(inode);
    let is_device = matches!(
        FileType::from_mode(u32::from(inode.mode)),
        FileType::CharDevice | FileType::BlockDevice
    );
    Attributes {
        device: ROOT_DEVICE,
        ino: lower_ino(inode.nid),
        mode: u32::from(inode.mode),
        nlink,
        uid: inode.uid,
        gid: inode.gid,
        rdev: if is_device { inode.rdev } else { 0 },
        size: inode.size,
        blocks: inode.size.div_ceil(512),
        atime: mtime,
        mtime,
        ctime: mtime,
        btime: None,
    }
}

impl Node {
    /// Kind of the file.
    #[inline]
    pub fn file_type(&self) -> FileType {
        match self {
            Node::Lower(lower) => lower.kind,
            Node::Memory(inode) => inode.file_type(),
            Node::Pseudo(pseudo) => pseudo.file_type(),
            Node::Volume(inode) => inode.file_type(),
            Node::Open(file) => file
                .attributes()
                .map_or(FileType::Regular, |attributes| attributes.file_type()),
        }
    }

    /// Whether it is a directory.
    #[inline]
    pub fn is_directory(&self) -> bool {
        self.file_type() == FileType::Directory
    }

    /// EROFS where the node is on the root file system and that cannot be changed.
    /// Volumes and pseudo files have checks of their own.
    pub fn check_not_read_only(&self) -> Result<(), Errno> {
        let is_of_root = match self {
            Node::Lower(_) => true,
            Node::Memory(inode) => inode.device == ROOT_DEVICE,
            Node::Pseudo(_) | Node::Volume(_) | Node::Open(_) => false,
        };
        if is_of_root && is_root_read_only() {
            Err(Errno::EROFS)
        } else {
            Ok(())
        }
    }

    /// Device and inode number.
    pub fn identity(&self) -> Identity {
        match self {
            Node::Lower(lower) => Identity {
                device: ROOT_DEVICE,
                ino: lower_ino(lower.nid),
            },
            Node::Memory(inode) => Identity {
                device: inode.device,
                ino: inode.ino,
            },
            Node::Pseudo(pseudo) => pseudo.identity(),
            Node::Volume(inode) => inode.identity(),
            Node::Open(file) => {
                let attributes = file.attributes().unwrap_or_default();
                Identity {
                    device: attributes.device,
                    ino: attributes.ino,
                }
            }
        }
    }

    /// What `stat` shows.
    pub fn attributes(&self) -> Result<Attributes, Errno> {
        match self {
            Node::Lower(lower) => match now(*lower)? {
                Now::Image(inode) => Ok(lower_attributes(&inode, inode.nlink)),
                Now::Memory(inode) => Ok(inode.attributes()),
                Now::Removed(inode) => Ok(lower_attributes(&inode, 0)),
            },
            Node::Memory(inode) => Ok(inode.attributes()),
            Node::Pseudo(pseudo) => pseudo.attributes(),
            Node::Volume(inode) => inode.attributes(),
            Node::Open(file) => file.attributes(),
        }
    }

    /// The node called `name` in this directory; `.` and `..` are not looked for.
    #[inline]
    pub fn lookup(&self, name: &[u8]) -> Result<Option<Node>, Errno> {
        match self {
            Node::Lower(lower) => match now(*lower)? {
                Now::Image(inode) => lookup_in_image(&inode, name),
                Now::Memory(inode) => lookup_in_memory(&inode, name),
                Now::Removed(_) => Ok(None),
            },
            Node::Memory(inode) => lookup_in_memory(inode, name),
            Node::Pseudo(pseudo) => pseudo.lookup(name),
            Node::Volume(inode) => inode.lookup(name),
            Node::Open(_) => Err(Errno::ENOTDIR),
        }
    }

    /// The directory that holds this directory; the root holds itself.
    pub fn parent(&self) -> Result<Node, Errno> {
        let below = match self {
            Node::Lower(lower) => match now(*lower)? {
                Now::Image(inode) | Now::Removed(inode) => inode,
                Now::Memory(inode) => return Node::Memory(inode).parent(),
            },
            Node::Memory(inode) => {
                let directory = inode.directory()?.lock();
                match (&directory.parent, directory.below) {
                    (Some(parent), _) => return Ok(parent.current()),
                    (None, Some(nid)) => {
                        drop(directory);
                        overlay()?.image.inode(nid)?
                    }
                    (None, None) => return Ok(self.clone()),
                }
            }
            Node::Pseudo(pseudo) => return pseudo.parent(),
            Node::Volume(inode) => return inode.parent().map(|parent| parent.current()),
            Node::Open(_) => return Err(Errno::ENOTDIR),
        };
        let overlay = overlay()?;
        let up = below.find(&overlay.image, b"..")?.ok_or(Errno::EIO)?;
        Ok(overlay.node(up.nid, FileType::Directory))
    }

    /// This node, or what replaced it.
    pub fn current(&self) -> Node {
        match (self, overlay()) {
            (Node::Lower(lower), Ok(overlay)) => overlay.node(lower.nid, lower.kind),
            _ => self.clone(),
        }
    }

    /// Where a symlink leads; EINVAL for anything else.
    pub fn link_target(&self) -> Result<Target, Errno> {
        match self {
            Node::Lower(lower) => match now(*lower)? {
                _ if lower.kind != FileType::Symlink => Err(Errno::EINVAL),
                Now::Image(inode) | Now::Removed(inode) => {
                    Ok(Target::Image(inode.link_target(&overlay()?.image)?))
                }
                Now::Memory(inode) => Ok(Target::Memory(inode)),
            },
            Node::Memory(inode) => match inode.body {
                Body::Symlink(_) => Ok(Target::Memory(inode.clone())),
                _ => Err(Errno::EINVAL),
            },
            Node::Pseudo(pseudo) => pseudo.link_target(),
            Node::Volume(inode) => inode.link_target().map(Target::Made),
            Node::Open(_) => Err(Errno::EINVAL),
        }
    }

    /// The memory inode that changes are made to, copied up where there is none yet.
    pub fn writable(&self) -> Result<Arc<MemoryInode>, Errno> {
        match self {
            Node::Lower(lower) => overlay()?.copy_up(*lower),
            Node::Memory(inode) => Ok(inode.clone()),
            Node::Pseudo(_) | Node::Volume(_) | Node::Open(_) => Err(Errno::EPERM),
        }
    }

    /// Extended attributes: full names and values.
    pub fn xattrs(&self) -> Result<Vec<Xattr>, Errno> {
        match self {
            Node::Lower(lower) => match now(*lower)? {
                Now::Image(inode) | Now::Removed(inode) => {
                    let found = inode.xattrs(&overlay()?.image)?;
                    Ok(found
                        .into_iter()
                        .map(|(name, value)| (name, value.to_vec()))
                        .collect())
                }
                Now::Memory(inode) => Node::Memory(inode).xattrs(),
            },
            Node::Memory(inode) => {
                let meta = inode.meta.lock();
                let pairs = meta.xattrs.iter().flat_map(|xattrs| xattrs.iter());
                Ok(pairs
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect())
            }
            Node::Volume(inode) => inode.xattrs(),
            Node::Pseudo(_) | Node::Open(_) => Err(Errno::EOPNOTSUPP),
        }
    }

    /// The names in this directory, without `.` and `..`.
    pub fn list(&self) -> Result<Vec<Listed>, Errno> {
        let mut listed = Vec::new();
        self.visit(&mut |name, identity, kind| {
            listed.push(Listed {
                name: name.to_vec(),
                ino: identity.ino,
                kind,
            });
            true
        })?;
        Ok(listed)
    }

    /// Calls `visit` with each name in this directory, without `.` and `..`, until
    /// it says false. A lock is held meanwhile: `visit` must not ask nodes.
    pub fn visit(&self, visit: &mut Visitor<'_>) -> Result<(), Errno> {
        match self {
            Node::Lower(lower) => match now(*lower)? {
                Now::Image(inode) => visit_image(&inode, |_| false, visit),
                Now::Memory(inode) => Node::Memory(inode).visit(visit),
                Now::Removed(_) => Ok(()),
            },
            Node::Memory(inode) => {
                let directory = inode.directory()?.lock();
                for (name, entry) in &directory.entries {
                    if let Entry::Node(node) = entry
                        && !visit(name, node.identity(), node.file_type())
                    {
                        return Ok(());
                    }
                }
                match directory.below {
                    Some(nid) => {
                        let below = overlay()?.image.inode(nid)?;
                        visit_image(&below, |name| directory.entries.contains_key(name), visit)
                    }
                    None => Ok(()),
                }
            }
            Node::Pseudo(pseudo) => pseudo.visit(visit),
            Node::Volume(inode) => inode.visit(visit),
            Node::Open(_) => Err(Errno::ENOTDIR),
        }
    }
}

#[inline]
fn lookup_in_image(directory: &Inode, name: &[u8]) -> Result<Option<Node>, Errno> {
    if FileType::from_mode(u32::from(directory.mode)) != FileType::Directory {
        return Err(Errno::ENOTDIR);
    }
    let overlay = overlay()?;
    match directory.find(&overlay.image, name)? {
        Some(entry) => overlay.entry_node(&entry).map(Some),
        None => Ok(None),
    }
}

fn lookup_in_memory(inode: &Arc<MemoryInode>, name: &[u8]) -> Result<Option<Node>, Errno> {
    let directory = inode.directory()?.lock();
    match (directory.entries.get(name), directory.below) {
        (Some(Entry::Node(node)), _) => {
            let node = node.clone();
            drop(directory);
            Ok(Some(node.current()))
        }
        (Some(Entry::Whiteout), _) | (None, None) => Ok(None),
        (None, Some(nid)) => {
            drop(directory);
            lookup_in_image(&overlay()?.image.inode(nid)?, name)
        }
    }
}

fn visit_image(
    directory: &Inode,
    hidden: impl Fn(&[u8]) -> bool,
    visit: &mut Visitor<'_>,
) -> Result<(), Errno> {
    let overlay = overlay()?;
    directory.list(&overlay.image, |entry| {
        if entry.name == b"." || entry.name == b".." || hidden(entry.name) {
            return true;
        }
        let identity = Identity {
            device: ROOT_DEVICE,
            ino: lower_ino(entry.nid),
        };
        visit(
            entry.name,
            identity,
            FileType::from_erofs(entry.file_type).unwrap_or(FileType::Regular),
        )
    })
}
