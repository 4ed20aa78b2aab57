//! The root file system: the EROFS image below, memory above.
//!
//! The overlay is by inode, not by path. An inode of the image that changes is
//! replaced: [`Overlay::copy_up`] makes a [`MemoryInode`] with its attributes
//! that still shows its data or entries, and registers it under the image's
//! node number. Every way that leads to that number then leads to the memory
//! inode: other hard links, directories moved with all that is below them, file
//! descriptors opened before. A copied-up directory costs the same however much
//! it holds, because only names that differ are kept.
//!
//! Most node numbers are never replaced; a small filter answers for them
//! without taking the lock.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hashbrown::HashMap;
use spin::{Mutex, Once};

use super::attributes::{FileType, ROOT_DEVICE, Timestamp};
use super::erofs::{Dirent, Image, Inode};
use super::memory::{Body, Data, Directory, MemoryInode, Meta};
use super::node::{Lower, Node};
use super::path_cache;
use super::pipe::Pipe;
use crate::errno::Errno;

/// What became of an inode of the image.
#[derive(Clone)]
pub enum Replacement {
    /// It was copied up.
    Inode(Arc<MemoryInode>),
    /// Its last name was removed.
    Removed,
}

/// See the module documentation.
pub struct Overlay {
    /// The image below.
    pub image: Image,
    replaced: Mutex<HashMap<u64, Replacement>>,
    filter: [AtomicU64; FILTER_WORDS],
}

const FILTER_WORDS: usize = 64;

static OVERLAY: Once<Overlay> = Once::new();
static READ_ONLY: AtomicBool = AtomicBool::new(false);

/// From now on the program can change nothing in the root file system.
pub fn make_root_read_only() {
    READ_ONLY.store(true, Ordering::Relaxed);
}

/// Whether it cannot.
pub fn is_root_read_only() -> bool {
    READ_ONLY.load(Ordering::Relaxed)
}

/// The mounted root file system; EIO before it is mounted.
#[inline]
pub fn overlay() -> Result<&'static Overlay, Errno> {
    OVERLAY.get().ok_or(Errno::EIO)
}

/// Mounts the image below an empty upper layer.
pub fn mount() -> Result<&'static Overlay, Errno> {
    let image = Image::mount()?;
    Ok(OVERLAY.call_once(|| Overlay {
        image,
        replaced: Mutex::new(HashMap::new()),
        filter: [const { AtomicU64::new(0) }; FILTER_WORDS],
    }))
}

/// Word and bit of a node number in the filter.
#[inline]
fn filter_slot(nid: u64) -> (usize, u64) {
    let hash = nid.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52;
    ((hash >> 6) as usize % FILTER_WORDS, 1 << (hash & 63))
}

impl Overlay {
    /// What replaced the image's inode `nid`, if anything.
    #[inline]
    pub fn replacement(&self, nid: u64) -> Option<Replacement> {
        let (word, bit) = filter_slot(nid);
        if self
            .filter
            .get(word)
            .is_none_or(|word| word.load(Ordering::Relaxed) & bit == 0)
        {
            return None;
        }
        self.replaced.lock().get(&nid).cloned()
    }

    fn replace(&self, nid: u64, with: Replacement) {
        let (word, bit) = filter_slot(nid);
        if let Some(word) = self.filter.get(word) {
            word.fetch_or(bit, Ordering::Relaxed);
        }
        self.replaced.lock().insert(nid, with);
    }

    /// Forgets the image's inode `nid`, whose last name is gone.
    pub fn mark_removed(&self, nid: u64) {
        self.replace(nid, Replacement::Removed);
    }

    /// The node of the image's inode `nid` as it is now.
    #[inline]
    pub fn node(&self, nid: u64, kind: FileType) -> Node {
        match self.replacement(nid) {
            Some(Replacement::Inode(inode)) => Node::Memory(inode),
            _ => Node::Lower(Lower { nid, kind }),
        }
    }

    /// The node of a directory entry.
    #[inline]
    pub fn entry_node(&self, entry: &Dirent) -> Result<Node, Errno> {
        let kind = match FileType::from_erofs(entry.file_type) {
            Some(kind) => kind,
            None => FileType::from_mode(u32::from(self.image.inode(entry.nid)?.mode)),
        };
        Ok(self.node(entry.nid, kind))
    }

    /// Whether `inode` is the root directory.
    pub fn is_root(&self, inode: &MemoryInode) -> bool {
        inode.replaces == Some(self.image.root_nid())
    }

    /// The root directory.
    pub fn root(&self) -> Node {
        self.node(self.image.root_nid(), FileType::Directory)
    }

    /// The memory inode that stands for the image's inode from now on.
    pub fn copy_up(&self, lower: Lower) -> Result<Arc<MemoryInode>, Errno> {
        match self.replacement(lower.nid) {
            Some(Replacement::Inode(inode)) => return Ok(inode),
            Some(Replacement::Removed) => return Err(Errno::ENOENT),
            None => {}
        }
        let inode = self.image.inode(lower.nid)?;
        let body = self.body_over(&inode)?;
        let xattrs = inode.xattrs(&self.image)?;
        let xattrs = (!xattrs.is_empty()).then(|| {
            Box::new(
                xattrs
                    .into_iter()
                    .map(|(name, value)| (name, value.to_vec()))
                    .collect(),
            )
        });
        let mtime = lower_mtime(&inode);
        MemoryInode::count(ROOT_DEVICE);
        let memory = Arc::new(MemoryInode {
            mapped: AtomicBool::new(false),
            writing: Mutex::new(()),
            device: ROOT_DEVICE,
            ino: lower_ino(lower.nid),
            replaces: Some(lower.nid),
            meta: Mutex::new(Meta {
                mode: u32::from(inode.mode) & 0o7777,
                nlink: inode.nlink,
                uid: inode.uid,
                gid: inode.gid,
                atime: mtime,
                mtime,
                ctime: mtime,
                btime: None,
                xattrs,
            }),
            body,
        });
        self.replace(lower.nid, Replacement::Inode(memory.clone()));
        if memory.file_type() == FileType::Directory {
            path_cache::begin_epoch();
        }
        Ok(memory)
    }

    fn body_over(&self, inode: &Inode) -> Result<Body, Errno> {
        Ok(match FileType::from_mode(u32::from(inode.mode)) {
            FileType::Regular => Body::Regular(Mutex::new(Data::over(self.image, *inode))),
            FileType::Directory => Body::Directory(Mutex::new(Directory {
                below: Some(inode.nid),
                ..Directory::default()
            })),
            FileType::Symlink => Body::Symlink(inode.link_target(&self.image)?.into()),
            FileType::CharDevice => Body::CharDevice(inode.rdev),
            FileType::BlockDevice => Body::BlockDevice(inode.rdev),
            FileType::Fifo => Body::Fifo(Pipe::new()),
            FileType::Socket => Body::Socket,
        })
    }
}

/// Inode number of the image's inode `nid`. Never 0, which programs take for a removed entry.
#[inline]
pub fn lower_ino(nid: u64) -> u64 {
    nid + 1
}

/// Modification time of an inode of the image.
pub fn lower_mtime(inode: &Inode) -> Timestamp {
    Timestamp {
        sec: inode.mtime_sec as i64,
        nsec: inode.mtime_nsec.min(999_999_999),
    }
}
