//! Merges the members of one layer into the tree, as the OCI image
//! specification says ("Applying Changesets"): later members replace earlier
//! ones, directories merge, `.wh.NAME` hides a name of lower layers and
//! `.wh..wh..opq` all that lower layers put into a directory.

use tar::EntryType;

use super::alone::Alone;
use super::tar::{Member, Reader, Source, TarError};
use crate::build::Limits;
use crate::rootfs::erofs::{excess_bytes, is_storable};
use crate::rootfs::path::{PathError, components, display};
use crate::rootfs::storage::{FileData, Storage, StorageError};
use crate::rootfs::tree::{Attributes, Hidden, InodeId, Kind, Names, Tree};

const WHITEOUT_PREFIX: &[u8] = b".wh.";
const OPAQUE_NAME: &[u8] = b".wh..wh..opq";
/// Left over by AUFS, and nothing to anybody else.
const AUFS_PREFIX: &[u8] = b".wh..wh.";
/// Most bytes of a symbolic link's target, as in Linux.
const TARGET_MAX_BYTES: usize = 4095;

/// What is wrong with a layer's contents.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The stream is damaged.
    #[error("the layer is damaged behind {after}")]
    Tar {
        /// The member before the damage.
        after: String,
        /// How.
        source: TarError,
    },
    /// A path that cannot be inside the root.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Contents cannot be stored.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Contents cannot be read.
    #[error("cannot unpack {path:?}")]
    Unpack {
        /// The member.
        path: String,
        /// What the stream said.
        source: std::io::Error,
    },
    /// A hard link to nothing, or to a directory.
    #[error("hard link {path:?} points to {target:?}, which is no file of the image")]
    BadHardLink {
        /// The member.
        path: String,
        /// Where it points.
        target: String,
    },
    /// A symbolic link without a target, or with too long a one.
    #[error("symbolic link {path:?} has an empty or overlong target")]
    BadSymlink {
        /// The member.
        path: String,
    },
    /// A whiteout that names nothing.
    #[error("whiteout {path:?} names nothing")]
    BadWhiteout {
        /// The member.
        path: String,
    },
    /// A user or group number that Linux does not have.
    #[error("{path:?} has owner {uid}:{gid}, out of Linux's range")]
    BadOwner {
        /// The member.
        path: String,
        /// User.
        uid: u64,
        /// Group.
        gid: u64,
    },
    /// Something else than a directory in place of the root.
    #[error("{path:?} would replace the root directory")]
    ReplacesRoot {
        /// The member.
        path: String,
    },
    /// More extended attributes than an inode can hold.
    #[error("extended attributes of {path:?} have {len_bytes} bytes, too many for EROFS")]
    XattrsTooLarge {
        /// The member.
        path: String,
        /// Their bytes.
        len_bytes: usize,
    },
    /// A kind of member that layers do not have.
    #[error("{path:?} is a tar member of unknown type {kind:#x}")]
    UnknownKind {
        /// The member.
        path: String,
        /// The type byte.
        kind: u8,
    },
    /// More members than the limit.
    #[error("with {path:?} the layers have more than {limit} entries")]
    TooManyEntries {
        /// The member.
        path: String,
        /// The limit.
        limit: u64,
    },
    /// More names and attributes than memory should hold.
    #[error("with {path:?} names and attributes of the layers exceed {limit_bytes} bytes")]
    TooMuchMetadata {
        /// The member.
        path: String,
        /// The limit.
        limit_bytes: u64,
    },
    /// Sparse files that claim more than the limit.
    #[error(
        "{path:?} claims {len_bytes} bytes, more than the limit on unpacked data; raise --max-unpacked if the image is trusted"
    )]
    TooLarge {
        /// The member.
        path: String,
        /// Its length, holes included.
        len_bytes: u64,
    },
}

/// See the module documentation.
pub(super) struct Applier<'a> {
    pub(super) tree: &'a mut Tree,
    pub(super) storage: &'a mut Storage,
    /// The layer being applied, counted from 0.
    pub(super) layer: u32,
    /// The member that was read last, for messages.
    pub(super) path: Vec<u8>,
    pub(super) limits: &'a Limits,
    /// Entries so far, implied directories among them.
    pub(super) entries: u64,
    /// Bytes of targets and attributes so far; the tree counts names.
    pub(super) attribute_bytes: u64,
    /// Bytes of files so far, holes included.
    pub(super) file_bytes: u64,
    /// Where the layer is not merged: what it says of layers below.
    pub(super) alone: Option<&'a mut Alone>,
}

impl<'a> Applier<'a> {
    /// Into an empty tree, within these limits.
    pub(super) fn new(tree: &'a mut Tree, storage: &'a mut Storage, limits: &'a Limits) -> Self {
        Self {
            tree,
            storage,
            layer: 0,
            path: Vec::new(),
            limits,
            entries: 0,
            attribute_bytes: 0,
            file_bytes: 0,
            alone: None,
        }
    }

    /// Merges all members of `stream`.
    pub(super) fn apply(&mut self, stream: impl Source) -> Result<(), ApplyError> {
        let mut reader = Reader::new(stream);
        let mut hidden = Hidden::by(self.layer);
        self.path.clear();
        while let Some(member) = reader.next().map_err(|source| self.tar_error(source))? {
            self.path.clone_from(&member.path);
            let inodes = self.tree.inode_count();
            self.member(&member, &mut reader, &mut hidden)?;
            self.charge(&member, self.tree.inode_count() - inodes)?;
        }
        Ok(self.storage.flush()?)
    }

    /// A damaged stream, with the place that it was found at.
    pub(super) fn tar_error(&self, source: TarError) -> ApplyError {
        let after = if self.path.is_empty() {
            "its start".to_owned()
        } else {
            format!("{:?}", display(&self.path))
        };
        ApplyError::Tar { after, source }
    }

    /// Counts what a member costs. One alone cannot cost much, so this may follow it.
    fn charge(&mut self, member: &Member, inodes: usize) -> Result<(), ApplyError> {
        self.entries += (inodes as u64).max(1);
        if self.entries > self.limits.entries {
            return Err(ApplyError::TooManyEntries {
                path: display(&member.path),
                limit: self.limits.entries,
            });
        }
        let xattrs = member.xattrs.iter();
        let xattr_bytes: usize = xattrs.map(|(name, value)| name.len() + value.len()).sum();
        self.attribute_bytes += xattr_bytes as u64;
        if member.kind == EntryType::Symlink {
            self.attribute_bytes += member.link.len() as u64;
        }
        let limit_bytes = self.limits.metadata_bytes;
        if self.attribute_bytes + self.tree.name_bytes() > limit_bytes {
            return Err(ApplyError::TooMuchMetadata {
                path: display(&member.path),
                limit_bytes,
            });
        }
        Ok(())
    }

    fn member(
        &mut self,
        member: &Member,
        reader: &mut Reader<impl Source>,
        hidden: &mut Hidden,
    ) -> Result<(), ApplyError> {
        let path = components(&member.path)?;
        let Some((&name, parents)) = path.split_last() else {
            // The root itself brings its attributes.
            if member.kind != EntryType::Directory {
                return Err(ApplyError::ReplacesRoot {
                    path: display(&member.path),
                });
            }
            self.tree.inode_mut(InodeId::ROOT).attributes = attributes(member)?;
            if let Some(alone) = &mut self.alone {
                alone.describe(InodeId::ROOT);
            }
            return Ok(());
        };
        if let Some(hides) = name.strip_prefix(WHITEOUT_PREFIX) {
            if self.alone.is_some() && !matches!(hides, b"" | b"." | b"..") {
                return self.keep_whiteout(parents, hides);
            }
            // One whose directory is not there hides nothing, and makes nothing.
            let parent = self.tree.resolve(&parents.join(&b'/'))?;
            return match (parent, hides) {
                (_, b"" | b"." | b"..") => Err(ApplyError::BadWhiteout {
                    path: display(&member.path),
                }),
                (Some(parent), _) if name == OPAQUE_NAME => {
                    self.tree.hide_lower(parent, hidden);
                    Ok(())
                }
                (Some(parent), _) if !name.starts_with(AUFS_PREFIX) => {
                    self.tree.hide_lower_name(parent, hides, hidden);
                    Ok(())
                }
                _ => Ok(()),
            };
        }
        let parent = self.tree.make_directories(parents, self.layer)?;
        self.entry(member, parent, name, reader)
    }

    /// Notes a whiteout for who puts the layer over others.
    fn keep_whiteout(&mut self, parents: &[&[u8]], hides: &[u8]) -> Result<(), ApplyError> {
        let is_opaque = hides.strip_prefix(WHITEOUT_PREFIX) == Some(b".opq");
        if !is_opaque && hides.starts_with(WHITEOUT_PREFIX) {
            return Ok(());
        }
        let parent = self.tree.make_directories(parents, self.layer)?;
        let Some(alone) = &mut self.alone else {
            return Ok(());
        };
        if is_opaque {
            alone.hide_all(parent);
        } else {
            self.attribute_bytes += hides.len() as u64;
            alone.hide(parent, hides);
        }
        Ok(())
    }

    fn entry(
        &mut self,
        member: &Member,
        parent: InodeId,
        name: &[u8],
        reader: &mut Reader<impl Source>,
    ) -> Result<(), ApplyError> {
        let is_directory = member.kind == EntryType::Directory
            // How V7 tar writes them.
            || (member.kind.is_file() && member.path.ends_with(b"/"));
        if is_directory {
            return self.directory(member, parent, name);
        }
        if member.kind == EntryType::Link {
            let target = self.link_target(member)?;
            self.tree.link(parent, name, target, self.layer);
            return Ok(());
        }
        let (major, minor) = member.device;
        let kind = match member.kind {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                self.file(member, reader)?
            }
            EntryType::Symlink => {
                let len = member.link.len();
                if len == 0 || len > TARGET_MAX_BYTES || member.link.contains(&0) {
                    return Err(ApplyError::BadSymlink {
                        path: display(&member.path),
                    });
                }
                Kind::Symlink(member.link.clone())
            }
            EntryType::Char => Kind::CharDevice { major, minor },
            EntryType::Block => Kind::BlockDevice { major, minor },
            EntryType::Fifo => Kind::Fifo,
            other => {
                let path = display(&member.path);
                return Err(ApplyError::UnknownKind {
                    path,
                    kind: other.as_byte(),
                });
            }
        };
        let mut attributes = attributes(member)?;
        if member.kind == EntryType::Symlink {
            // Linux has no other symbolic links, whatever the archive says.
            attributes.mode = 0o777;
        }
        let id = self.tree.add(attributes, kind);
        self.tree.link(parent, name, id, self.layer);
        Ok(())
    }

    /// A directory keeps what is in it; anything else of the name goes.
    fn directory(
        &mut self,
        member: &Member,
        parent: InodeId,
        name: &[u8],
    ) -> Result<(), ApplyError> {
        let attributes = attributes(member)?;
        let there = self
            .tree
            .child(parent, name)
            .filter(|&id| self.tree.names(id).is_some());
        let id = match there {
            Some(id) => {
                self.tree.inode_mut(id).attributes = attributes;
                id
            }
            None => {
                let id = self.tree.add(attributes, Kind::Directory(Names::new()));
                // A file of the name hid what lies below already.
                if let Some(alone) = &mut self.alone
                    && self.tree.child(parent, name).is_some()
                {
                    alone.hide_all(id);
                }
                id
            }
        };
        if let Some(alone) = &mut self.alone {
            alone.describe(id);
        }
        self.tree.link(parent, name, id, self.layer);
        Ok(())
    }

    fn link_target(&self, member: &Member) -> Result<InodeId, ApplyError> {
        let target = components(&member.link)?.join(&b'/');
        self.tree
            .resolve_link(&target)?
            .filter(|&id| self.tree.names(id).is_none())
            .ok_or_else(|| ApplyError::BadHardLink {
                path: display(&member.path),
                target: display(&member.link),
            })
    }

    fn file(
        &mut self,
        member: &Member,
        reader: &mut Reader<impl Source>,
    ) -> Result<Kind, ApplyError> {
        // Holes cost nothing in the stream, so its own limit does not see them.
        self.file_bytes = self.file_bytes.saturating_add(member.len_bytes);
        if self.file_bytes > self.limits.unpacked_bytes {
            return Err(ApplyError::TooLarge {
                path: display(&member.path),
                len_bytes: member.len_bytes,
            });
        }
        if member.kind != EntryType::GNUSparse
            && let Some(file) = reader.backing()
        {
            return Ok(Kind::File(FileData::Layer {
                file,
                offset: reader.position(),
                len_bytes: member.len_bytes,
            }));
        }
        let data = self
            .storage
            .keep(reader)?
            .map_err(|source| ApplyError::Unpack {
                path: display(&member.path),
                source,
            })?;
        Ok(Kind::File(data))
    }
}

fn attributes(member: &Member) -> Result<Attributes, ApplyError> {
    // The highest number means "none" to Linux.
    let id = |id: u64| u32::try_from(id).ok().filter(|&id| id != u32::MAX);
    let (Some(uid), Some(gid)) = (id(member.uid), id(member.gid)) else {
        let path = display(&member.path);
        return Err(ApplyError::BadOwner {
            path,
            uid: member.uid,
            gid: member.gid,
        });
    };
    let storable = member.xattrs.iter();
    let storable = storable.filter(|(name, value)| is_storable(name, value));
    let xattrs = storable
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if let Some(len_bytes) = excess_bytes(&xattrs) {
        let path = display(&member.path);
        return Err(ApplyError::XattrsTooLarge { path, len_bytes });
    }
    Ok(Attributes {
        mode: (member.mode & 0o7777) as u16,
        uid,
        gid,
        mtime_s: member.mtime_s,
        mtime_ns: member.mtime_ns,
        xattrs,
    })
}
