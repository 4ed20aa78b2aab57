//! Inodes that live in memory: the overlay's upper layer, `/dev`, `/dev/shm`,
//! memory files.
//!
//! An inode that replaces one of the image (copied up) keeps that one's number
//! and shows its data and entries through until they change: nothing is copied
//! before it must be, see [`Data`] (`data`) and [`Directory`] (`directory`).
//! Locks: `writing` comes before the others, `meta` and the body's are leaves; changes of names happen under the
//! tree lock of `fs::tree`.

pub(crate) mod data;
pub(crate) mod directory;
mod quota;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use linux_raw_sys::general::{S_ISGID, S_ISUID};
use spin::Mutex;

pub use data::{Data, Piece};
pub use directory::{Directory, Entry};
pub use quota::{limit_pages, used_pages};

use super::access::{Caller, without_set_id};
use super::attributes::{Attributes, FileType, ROOT_DEVICE, Timestamp};
use super::node::Identity;
use super::notify;
use super::pipe::Pipe;
use crate::errno::Errno;
use crate::process::capabilities::FSETID;
use crate::sorted::SortedMap;

/// First inode number of what is not in the image; the image's are below.
const FIRST_INO: u64 = 1 << 32;
static NEXT_INO: AtomicU64 = AtomicU64::new(FIRST_INO);

/// Extended attributes by full name.
pub type Xattrs = SortedMap<Vec<u8>, Vec<u8>>;

/// What changes of an inode besides its data.
#[derive(Debug, Default)]
pub struct Meta {
    /// Permission bits.
    pub mode: u32,
    /// Names.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last access.
    pub atime: Timestamp,
    /// Last change of the data.
    pub mtime: Timestamp,
    /// Last change of the inode.
    pub ctime: Timestamp,
    /// When it was made; not known of what was in the image.
    pub btime: Option<Timestamp>,
    /// Extended attributes; most files have none.
    pub xattrs: Option<Box<Xattrs>>,
}

/// What kind of inode it is, with what it holds.
pub enum Body {
    /// Bytes in frames.
    Regular(Mutex<Data>),
    /// Names.
    Directory(Mutex<Directory>),
    /// Target path.
    Symlink(Box<[u8]>),
    /// Named pipe.
    Fifo(Arc<Pipe>),
    /// Character device by number.
    CharDevice(u32),
    /// Block device by number; cannot be opened.
    BlockDevice(u32),
    /// A bound socket's name.
    Socket,
}

/// An inode in memory.
pub struct MemoryInode {
    /// Device that it shows as.
    pub device: u64,
    /// Number, unique on the device.
    pub ino: u64,
    /// The image's inode that this one replaces.
    pub replaces: Option<u64>,
    /// Whether a mapping may show its pages: then changes of them are told.
    pub mapped: AtomicBool,
    /// Held by who writes or resizes, until it is done: a write is whole, and the
    /// end where O_APPEND writes stays the end. Copies from program memory happen
    /// under it; page faults never take it.
    pub writing: Mutex<()>,
    /// Changing attributes.
    pub meta: Mutex<Meta>,
    /// What it holds.
    pub body: Body,
}

impl Drop for MemoryInode {
    fn drop(&mut self) {
        if self.device == ROOT_DEVICE {
            quota::inodes().fetch_sub(1, Ordering::Relaxed);
        }
        if self.meta.get_mut().nlink == 0 {
            let (device, ino) = (self.device, self.ino);
            notify::gone(Identity { device, ino });
        }
    }
}

impl MemoryInode {
    /// Counts a new inode; every way to make one calls it.
    pub(super) fn count(device: u64) {
        if device == ROOT_DEVICE {
            quota::inodes().fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A new inode with a number of its own. `mode`'s type bits are ignored.
    pub fn new(device: u64, mode: u32, uid: u32, gid: u32, body: Body) -> Arc<MemoryInode> {
        let now = Timestamp::now();
        let nlink = if matches!(body, Body::Directory(_)) {
            2
        } else {
            1
        };
        let meta = Meta {
            mode: mode & 0o7777,
            nlink,
            uid,
            gid,
            atime: now,
            mtime: now,
            ctime: now,
            btime: Some(now),
            xattrs: None,
        };
        let ino = NEXT_INO.fetch_add(1, Ordering::Relaxed);
        MemoryInode::count(device);
        Arc::new(MemoryInode {
            device,
            ino,
            replaces: None,
            mapped: AtomicBool::new(false),
            writing: Mutex::new(()),
            meta: Mutex::new(meta),
            body,
        })
    }

    /// An inode that stands for a file elsewhere, and shows as that one.
    pub fn standing_for(file: &Attributes, body: Body) -> Arc<MemoryInode> {
        let meta = Meta {
            mode: file.mode & 0o7777,
            nlink: file.nlink,
            uid: file.uid,
            gid: file.gid,
            atime: file.atime,
            mtime: file.mtime,
            ctime: file.ctime,
            btime: file.btime,
            xattrs: None,
        };
        MemoryInode::count(file.device);
        Arc::new(MemoryInode {
            device: file.device,
            ino: file.ino,
            replaces: None,
            mapped: AtomicBool::new(false),
            writing: Mutex::new(()),
            meta: Mutex::new(meta),
            body,
        })
    }

    /// Kind of the file.
    pub fn file_type(&self) -> FileType {
        match self.body {
            Body::Regular(_) => FileType::Regular,
            Body::Directory(_) => FileType::Directory,
            Body::Symlink(_) => FileType::Symlink,
            Body::Fifo(_) => FileType::Fifo,
            Body::CharDevice(_) => FileType::CharDevice,
            Body::BlockDevice(_) => FileType::BlockDevice,
            Body::Socket => FileType::Socket,
        }
    }

    /// What `stat` shows.
    pub fn attributes(&self) -> Attributes {
        let (size, blocks, rdev) = match &self.body {
            Body::Regular(data) => {
                let data = data.lock();
                (data.size(), data.blocks(), 0)
            }
            Body::Directory(_) => (4096, 8, 0),
            Body::Symlink(target) => (target.len() as u64, 0, 0),
            Body::CharDevice(rdev) | Body::BlockDevice(rdev) => (0, 0, *rdev),
            Body::Fifo(_) | Body::Socket => (0, 0, 0),
        };
        let meta = self.meta.lock();
        Attributes {
            device: self.device,
            ino: self.ino,
            mode: meta.mode | self.file_type().mode_bits(),
            nlink: meta.nlink,
            uid: meta.uid,
            gid: meta.gid,
            rdev,
            size,
            blocks,
            atime: meta.atime,
            mtime: meta.mtime,
            ctime: meta.ctime,
            btime: meta.btime,
        }
    }

    /// The names of a directory.
    pub fn directory(&self) -> Result<&Mutex<Directory>, Errno> {
        match &self.body {
            Body::Directory(directory) => Ok(directory),
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// The bytes of a regular file.
    pub fn data(&self) -> Result<&Mutex<Data>, Errno> {
        match &self.body {
            Body::Regular(data) => Ok(data),
            Body::Directory(_) => Err(Errno::EISDIR),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Notes a change of data or names. Another content is another program: it
    /// runs as its owner only if somebody with CAP_FSETID changed it.
    pub fn touch_modified(&self) {
        let now = Timestamp::now();
        let mut meta = self.meta.lock();
        if meta.mode & (S_ISUID | S_ISGID) != 0 && matches!(self.body, Body::Regular(_)) {
            // Asked without the lock, which is a leaf.
            drop(meta);
            let keeps = Caller::current().can(FSETID);
            meta = self.meta.lock();
            if !keeps {
                meta.mode = without_set_id(meta.mode);
            }
        }
        meta.mtime = now;
        meta.ctime = now;
    }

    /// Notes a change of attributes.
    pub fn touch_changed(&self) {
        self.meta.lock().ctime = Timestamp::now();
    }
}
