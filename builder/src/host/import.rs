//! Takes files of the host into a tree under the same paths. Every symbolic
//! link on the way is taken as a link together with what it points to, so
//! merged `/usr` and versioned libraries look as they do here.
//!
//! Directories have no time of their own: the host's change with every file
//! that has nothing to do with the image.

use std::collections::{BTreeSet, VecDeque};
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::HostError;
use super::files::{HostFiles, to_path};
use crate::program::closure::{LD_CACHE, closure};
use crate::program::{DEFAULT_PATH, script_chain};
use crate::rootfs::path::display;
use crate::rootfs::storage::FileData;
use crate::rootfs::tree::{Attributes, InodeId, Kind, Names, Tree};

/// Most symbolic links on one way, as in Linux.
const SYMLINKS_MAX: usize = 40;

/// See the module documentation.
pub(super) struct Importer {
    tree: Tree,
    /// ELF files whose closures are in.
    closed: BTreeSet<Vec<u8>>,
    /// What the last closure lacked: fatal for a program, but a directory may
    /// hold plug-ins that nobody will load.
    missing: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Importer {
    pub(super) fn new() -> Self {
        Self {
            tree: Tree::new(),
            closed: BTreeSet::new(),
            missing: Vec::new(),
        }
    }

    pub(super) fn finish(self) -> Tree {
        self.tree
    }

    /// Takes a program with all that it needs to start; what a boot reads, in order.
    pub(super) fn program(&mut self, path: &Path) -> Result<Vec<InodeId>, HostError> {
        let search = DEFAULT_PATH.as_bytes();
        let mut hot = Vec::new();
        for file in script_chain(&HostFiles, path.as_os_str().as_bytes(), search) {
            if let Some(id) = self.path(to_path(&file))? {
                hot.push(id);
            }
            let ids = self.closure(&file)?;
            if let Some((name, by)) = self.missing.pop() {
                return Err(HostError::MissingLibrary {
                    name: display(&name),
                    by: display(&by),
                });
            }
            hot.extend(ids);
        }
        Ok(hot)
    }

    /// Takes a file with its libraries, or a directory with all below it on the
    /// same file system.
    pub(super) fn include(&mut self, path: &Path) -> Result<(), HostError> {
        let metadata = fs::metadata(path).map_err(|source| unreadable(path, source))?;
        let Some(id) = self.path(path)? else {
            return Ok(());
        };
        if metadata.is_dir() {
            let real = fs::canonicalize(path).map_err(|source| unreadable(path, source))?;
            self.directory(&real, id, metadata.dev())
        } else {
            self.program(path).map(drop)
        }
    }

    /// Takes a symbolic link with the way to its target, and nothing in there.
    pub(super) fn include_link(&mut self, path: &Path) -> Result<(), HostError> {
        self.path(path).map(drop)
    }

    /// Takes what an ELF file needs; nothing for other files.
    fn closure(&mut self, file: &[u8]) -> Result<Vec<InodeId>, HostError> {
        if !self.closed.insert(file.to_vec()) {
            return Ok(Vec::new());
        }
        let Some(closure) = closure(&HostFiles, file, b"") else {
            return Ok(Vec::new());
        };
        self.missing = closure.missing;
        let mut ids = Vec::new();
        for path in &closure.paths {
            ids.extend(self.path(to_path(path))?);
        }
        if closure.uses_ld_cache && to_path(LD_CACHE).exists() {
            ids.extend(self.path(to_path(LD_CACHE))?);
        }
        Ok(ids)
    }

    fn directory(&mut self, path: &Path, id: InodeId, device: u64) -> Result<(), HostError> {
        let entries = fs::read_dir(path).map_err(|source| unreadable(path, source))?;
        let mut names = Vec::new();
        for entry in entries {
            names.push(
                entry
                    .map_err(|source| unreadable(path, source))?
                    .file_name(),
            );
        }
        names.sort_unstable();
        for name in names {
            let path = path.join(&name);
            let metadata =
                fs::symlink_metadata(&path).map_err(|source| unreadable(&path, source))?;
            if metadata.is_dir() {
                let below = self.child(id, &path, name.as_bytes(), &metadata)?;
                if metadata.dev() == device {
                    self.directory(&path, below, device)?;
                }
            } else if metadata.is_symlink() {
                self.child(id, &path, name.as_bytes(), &metadata)?;
                // A link that leads nowhere, or to another tree, stays as it is.
                if fs::metadata(&path).is_ok_and(|target| target.is_file()) {
                    self.path(&path)?;
                    self.real_closure(&path)?;
                }
            } else if metadata.is_file() {
                self.child(id, &path, name.as_bytes(), &metadata)?;
                self.closure(path.as_os_str().as_bytes())?;
            }
        }
        Ok(())
    }

    fn real_closure(&mut self, path: &Path) -> Result<(), HostError> {
        let real = fs::canonicalize(path).map_err(|source| unreadable(path, source))?;
        self.closure(real.as_os_str().as_bytes()).map(drop)
    }

    /// Takes one absolute path with its parents and the links on the way; the
    /// inode that it leads to, `None` where a link leads nowhere.
    fn path(&mut self, path: &Path) -> Result<Option<InodeId>, HostError> {
        let mut pending: VecDeque<_> = components(path).collect();
        let mut stack = vec![(PathBuf::from("/"), InodeId::ROOT)];
        let mut symlinks = 0;
        while let Some(name) = pending.pop_front() {
            if name == b".." {
                if stack.len() > 1 {
                    stack.pop();
                }
                continue;
            }
            let Some((directory, parent)) = stack.last().cloned() else {
                return Ok(None);
            };
            let here = directory.join(to_path(&name));
            let metadata = match fs::symlink_metadata(&here) {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(source) => return Err(unreadable(&here, source)),
            };
            let id = self.child(parent, &here, &name, &metadata)?;
            if !metadata.is_symlink() {
                stack.push((here, id));
                continue;
            }
            symlinks += 1;
            if symlinks > SYMLINKS_MAX {
                return Err(HostError::SymlinkLoop {
                    path: path.to_owned(),
                });
            }
            let target = fs::read_link(&here).map_err(|source| unreadable(&here, source))?;
            if target.is_absolute() {
                stack.truncate(1);
            }
            for name in components(&target).rev() {
                pending.push_front(name);
            }
        }
        Ok(stack.last().map(|&(_, id)| id))
    }

    /// The inode called `name` in `parent`, taken from the host if it is new.
    fn child(
        &mut self,
        parent: InodeId,
        path: &Path,
        name: &[u8],
        metadata: &Metadata,
    ) -> Result<InodeId, HostError> {
        if let Some(id) = self.tree.child(parent, name) {
            return Ok(id);
        }
        let kind = if metadata.is_dir() {
            Kind::Directory(Names::new())
        } else if metadata.is_symlink() {
            let target = fs::read_link(path).map_err(|source| unreadable(path, source))?;
            Kind::Symlink(target.as_os_str().as_bytes().to_vec())
        } else if metadata.is_file() {
            Kind::File(FileData::Host {
                path: path.into(),
                len_bytes: metadata.len(),
            })
        } else {
            return Err(HostError::NotAFile {
                path: path.to_owned(),
            });
        };
        let id = self.tree.add(attributes(metadata), kind);
        self.tree.link(parent, name, id, 0);
        Ok(id)
    }
}

fn attributes(metadata: &Metadata) -> Attributes {
    let has_time = !metadata.is_dir();
    Attributes {
        mode: (metadata.mode() & 0o7777) as u16,
        uid: metadata.uid(),
        gid: metadata.gid(),
        mtime_s: if has_time {
            u64::try_from(metadata.mtime()).unwrap_or(0)
        } else {
            0
        },
        mtime_ns: 0,
        xattrs: Default::default(),
    }
}

fn components(path: &Path) -> impl DoubleEndedIterator<Item = Vec<u8>> + '_ {
    path.as_os_str()
        .as_bytes()
        .split(|&byte| byte == b'/')
        .filter(|name| !matches!(*name, b"" | b"."))
        .map(<[u8]>::to_vec)
}

fn unreadable(path: &Path, source: std::io::Error) -> HostError {
    HostError::Read {
        path: path.to_owned(),
        source,
    }
}
