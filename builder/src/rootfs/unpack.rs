//! Writes a tree into an empty directory of the host that nobody else reaches yet.
//!
//! Every directory is opened from the root with `openat2`: the kernel refuses symbolic
//! links and ways out, whatever the tree says, and files are only ever made anew
//! (`O_EXCL`, `O_NOFOLLOW`). Nothing outside the directory is touched.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;

use super::path::display;
use super::storage::{FileData, Storage, StorageError};
use super::tree::{Attributes, InodeId, Kind, Tree};

/// Bytes copied at a time.
const CHUNK_BYTES: usize = 256 << 10;
/// Holes are left in files from here on.
const SPARSE_BYTES: u64 = 64 << 10;

/// What keeps a tree from being written.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// Contents cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The directory cannot be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// An entry cannot be made.
    #[error("cannot {operation} {path:?} below {}", root.display())]
    Entry {
        /// What was to be done.
        operation: &'static str,
        /// The entry, below the root.
        path: String,
        /// The directory that the tree goes to.
        root: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Writes all of `tree` into the directory `root`, which is empty.
pub(crate) fn unpack(tree: &Tree, storage: &Storage, root: &Path) -> Result<(), UnpackError> {
    let directory = rustix::fs::open(root, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| UnpackError::Open {
            path: root.to_owned(),
            source: error.into(),
        })?;
    let mut unpacker = Unpacker {
        tree,
        storage,
        root,
        directory,
        first_names: BTreeMap::new(),
        chunk: vec![0; CHUNK_BYTES],
    };
    let mut pending = vec![(Vec::new(), InodeId::ROOT)];
    let mut directories = Vec::new();
    while let Some((path, id)) = pending.pop() {
        unpacker.fill(&path, id, &mut pending)?;
        directories.push((path, id));
    }
    // What is put into a directory changes its time, so its own comes last.
    for (path, id) in directories.iter().rev() {
        unpacker.finish_directory(path, *id)?;
    }
    Ok(())
}

struct Unpacker<'a> {
    tree: &'a Tree,
    storage: &'a Storage,
    root: &'a Path,
    directory: OwnedFd,
    /// Where an inode with several names was made.
    first_names: BTreeMap<InodeId, Vec<u8>>,
    chunk: Vec<u8>,
}

impl Unpacker<'_> {
    /// Makes what is in a directory; directories in it are left to be filled.
    fn fill(
        &mut self,
        path: &[u8],
        id: InodeId,
        pending: &mut Vec<(Vec<u8>, InodeId)>,
    ) -> Result<(), UnpackError> {
        let directory = self.open(path)?;
        let tree = self.tree;
        for (name, dentry) in tree.names(id).into_iter().flatten() {
            let mut child = path.to_vec();
            if !child.is_empty() {
                child.push(b'/');
            }
            child.extend_from_slice(name);
            let name = OsStr::from_bytes(name);
            if tree.names(dentry.inode).is_some() {
                rustix::fs::mkdirat(&directory, name, Mode::RWXU)
                    .map_err(|error| self.failed("make directory", &child, error))?;
                pending.push((child, dentry.inode));
            } else {
                self.make(&directory, name, &child, dentry.inode)?;
            }
        }
        Ok(())
    }

    /// Makes anything but a directory.
    fn make(
        &mut self,
        directory: &OwnedFd,
        name: &OsStr,
        path: &[u8],
        id: InodeId,
    ) -> Result<(), UnpackError> {
        if let Some(first) = self.first_names.get(&id) {
            let first = OsStr::from_bytes(first);
            // Only directories of the tree are on that way, and it is no link itself.
            return rustix::fs::linkat(&self.directory, first, directory, name, AtFlags::empty())
                .map_err(|error| self.failed("link", path, error));
        }
        let tree = self.tree;
        let inode = tree.inode(id);
        let attributes = &inode.attributes;
        let mode = Mode::from_raw_mode(u32::from(attributes.mode));
        let node = |kind, major, minor| {
            let device = rustix::fs::makedev(major, minor);
            rustix::fs::mknodat(directory, name, kind, mode, device)
        };
        let made = match &inode.kind {
            Kind::File(data) => {
                self.write_file(directory, name, path, data, attributes)?;
                self.first_names.insert(id, path.to_vec());
                return Ok(());
            }
            Kind::Symlink(target) => {
                rustix::fs::symlinkat(OsStr::from_bytes(target), directory, name)
            }
            Kind::CharDevice { major, minor } => node(FileType::CharacterDevice, *major, *minor),
            Kind::BlockDevice { major, minor } => node(FileType::BlockDevice, *major, *minor),
            Kind::Fifo => node(FileType::Fifo, 0, 0),
            Kind::Directory(_) => return Ok(()),
        };
        made.map_err(|error| self.failed("make", path, error))?;
        self.attribute_by_name(directory, name, path, attributes, &inode.kind)?;
        self.first_names.insert(id, path.to_vec());
        Ok(())
    }

    fn write_file(
        &mut self,
        directory: &OwnedFd,
        name: &OsStr,
        path: &[u8],
        data: &FileData,
        attributes: &Attributes,
    ) -> Result<(), UnpackError> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(directory, name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|error| self.failed("make file", path, error))?;
        let mut file = File::from(file);
        let contents = self.storage.open(data)?;
        let len_bytes = data.len_bytes();
        let mut offset = 0;
        let mut chunk = std::mem::take(&mut self.chunk);
        while offset < len_bytes {
            let len = (len_bytes - offset).min(CHUNK_BYTES as u64) as usize;
            contents.read_exact_at(&mut chunk[..len], offset)?;
            let is_hole = len_bytes >= SPARSE_BYTES && chunk[..len].iter().all(|&byte| byte == 0);
            let written = if is_hole {
                std::io::Seek::seek_relative(&mut file, len as i64)
            } else {
                file.write_all(&chunk[..len])
            };
            written.map_err(|source| self.entry_error("write", path, source))?;
            offset += len as u64;
        }
        self.chunk = chunk;
        file.set_len(len_bytes)
            .map_err(|source| self.entry_error("write", path, source))?;
        self.attribute(&file, path, attributes)
    }

    /// Sets what an open file or directory has: owner first, for a change of it drops
    /// set-user-ID and capabilities.
    fn attribute(
        &self,
        file: impl AsFd,
        path: &[u8],
        attributes: &Attributes,
    ) -> Result<(), UnpackError> {
        let (uid, gid) = owner(attributes);
        rustix::fs::fchown(&file, Some(uid), Some(gid))
            .map_err(|error| self.failed("change the owner of", path, error))?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(u32::from(attributes.mode)))
            .map_err(|error| self.failed("change the mode of", path, error))?;
        for (name, value) in &attributes.xattrs {
            let name = c_string(name);
            rustix::fs::fsetxattr(&file, name.as_c_str(), value, XattrFlags::empty())
                .map_err(|error| self.failed("set an extended attribute of", path, error))?;
        }
        rustix::fs::futimens(&file, &times(attributes))
            .map_err(|error| self.failed("set the time of", path, error))
    }

    /// As [`Self::attribute`] for what cannot be opened.
    fn attribute_by_name(
        &self,
        directory: &OwnedFd,
        name: &OsStr,
        path: &[u8],
        attributes: &Attributes,
        kind: &Kind,
    ) -> Result<(), UnpackError> {
        let (uid, gid) = owner(attributes);
        let no_follow = AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::chownat(directory, name, Some(uid), Some(gid), no_follow)
            .map_err(|error| self.failed("change the owner of", path, error))?;
        if !matches!(kind, Kind::Symlink(_)) {
            // It was just made and is no link; the mode at its making went through the umask.
            let mode = Mode::from_raw_mode(u32::from(attributes.mode));
            rustix::fs::chmodat(directory, name, mode, AtFlags::empty())
                .map_err(|error| self.failed("change the mode of", path, error))?;
        }
        let here = format!("/proc/self/fd/{}", directory.as_raw_fd());
        for (attribute, value) in &attributes.xattrs {
            // Linux has `user.` attributes on files and directories only.
            if attribute.starts_with(b"user.") {
                continue;
            }
            let attribute = c_string(attribute);
            let at = Path::new(&here).join(name);
            rustix::fs::lsetxattr(&at, attribute.as_c_str(), value, XattrFlags::empty())
                .map_err(|error| self.failed("set an extended attribute of", path, error))?;
        }
        rustix::fs::utimensat(directory, name, &times(attributes), no_follow)
            .map_err(|error| self.failed("set the time of", path, error))
    }

    fn finish_directory(&self, path: &[u8], id: InodeId) -> Result<(), UnpackError> {
        let directory = self.open(path)?;
        self.attribute(&directory, path, &self.tree.inode(id).attributes)
    }

    /// Opens a directory of the tree, from the root.
    fn open(&self, path: &[u8]) -> Result<OwnedFd, UnpackError> {
        let path_here: &[u8] = if path.is_empty() { b"." } else { path };
        rustix::fs::openat2(
            &self.directory,
            OsStr::from_bytes(path_here),
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
        )
        .map_err(|error| self.failed("open", path, error))
    }

    fn failed(&self, operation: &'static str, path: &[u8], error: Errno) -> UnpackError {
        self.entry_error(operation, path, error.into())
    }

    fn entry_error(
        &self,
        operation: &'static str,
        path: &[u8],
        source: std::io::Error,
    ) -> UnpackError {
        UnpackError::Entry {
            operation,
            path: display(path),
            root: self.root.to_owned(),
            source,
        }
    }
}

/// A name of the tree; what reads a layer lets no NUL through.
fn c_string(name: &[u8]) -> CString {
    let end = name.iter().position(|&byte| byte == 0);
    CString::new(&name[..end.unwrap_or(name.len())]).unwrap_or_else(|_| <&CStr>::default().into())
}

fn owner(attributes: &Attributes) -> (Uid, Gid) {
    // Both were checked when the layer was read: neither is -1.
    (Uid::from_raw(attributes.uid), Gid::from_raw(attributes.gid))
}

fn times(attributes: &Attributes) -> Timestamps {
    let time = Timespec {
        tv_sec: i64::try_from(attributes.mtime_s).unwrap_or(i64::MAX),
        tv_nsec: attributes.mtime_ns.into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}
