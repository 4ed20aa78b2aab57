//! The inode tree. Inodes live in one vector and directories name them by
//! number, so a hard link is a second name of the same number. An inode that
//! lost its last name stays in the vector and is never visited again.

use std::collections::{BTreeMap, BTreeSet};

use super::storage::FileData;

/// Index of an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct InodeId(u32);

impl InodeId {
    /// The root directory.
    pub(crate) const ROOT: Self = Self(0);

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Everything that `stat` and `listxattr` tell beyond the kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    /// Permission bits with set-user-ID, set-group-ID and sticky: `0o7777`.
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime_s: u64,
    pub(crate) mtime_ns: u32,
    /// By full name, such as `security.capability`.
    pub(crate) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Attributes {
    /// Owned by root, unchanged since the epoch.
    pub(crate) fn with_mode(mode: u16) -> Self {
        Self {
            mode,
            ..Self::default()
        }
    }
}

/// A name in a directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dentry {
    pub(crate) inode: InodeId,
    /// Layer that gave the name, counted from 0; whiteouts hide lower ones only.
    pub(crate) layer: u32,
}

/// Names of a directory in the byte order that EROFS wants.
pub(crate) type Names = BTreeMap<Vec<u8>, Dentry>;

/// What an inode is.
#[derive(Debug)]
pub(crate) enum Kind {
    Directory(Names),
    File(FileData),
    Symlink(Vec<u8>),
    CharDevice { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
    Fifo,
}

/// One inode.
#[derive(Debug)]
pub(crate) struct Inode {
    pub(crate) attributes: Attributes,
    pub(crate) kind: Kind,
}

/// See the module documentation.
#[derive(Debug)]
pub(crate) struct Tree {
    inodes: Vec<Inode>,
    name_bytes: u64,
}

impl Tree {
    /// An empty root directory.
    pub(crate) fn new() -> Self {
        let root = Inode {
            attributes: Attributes::with_mode(0o755),
            kind: Kind::Directory(Names::new()),
        };
        Self {
            inodes: vec![root],
            name_bytes: 0,
        }
    }

    pub(crate) fn inode(&self, id: InodeId) -> &Inode {
        &self.inodes[id.index()]
    }

    pub(crate) fn inode_mut(&mut self, id: InodeId) -> &mut Inode {
        &mut self.inodes[id.index()]
    }

    /// The inode with an index below [`Self::inode_count`].
    pub(crate) fn inode_at_mut(&mut self, index: usize) -> &mut Inode {
        &mut self.inodes[index]
    }

    /// Inodes ever added: one more than the highest index.
    pub(crate) fn inode_count(&self) -> usize {
        self.inodes.len()
    }

    /// Bytes of all names ever given.
    pub(crate) fn name_bytes(&self) -> u64 {
        self.name_bytes
    }

    /// Adds an inode without a name.
    pub(crate) fn add(&mut self, attributes: Attributes, kind: Kind) -> InodeId {
        // A builder stops at `Limits::entries`, far below 2^32.
        let id = InodeId(u32::try_from(self.inodes.len()).unwrap_or(u32::MAX));
        self.inodes.push(Inode { attributes, kind });
        id
    }

    /// Names of a directory; `None` for anything else.
    pub(crate) fn names(&self, directory: InodeId) -> Option<&Names> {
        match &self.inode(directory).kind {
            Kind::Directory(names) => Some(names),
            _ => None,
        }
    }

    /// As [`Self::names`].
    pub(crate) fn names_mut(&mut self, directory: InodeId) -> Option<&mut Names> {
        match &mut self.inode_mut(directory).kind {
            Kind::Directory(names) => Some(names),
            _ => None,
        }
    }

    /// The inode called `name` in `directory`.
    pub(crate) fn child(&self, directory: InodeId, name: &[u8]) -> Option<InodeId> {
        self.names(directory)?.get(name).map(|dentry| dentry.inode)
    }

    /// Gives `inode` the name, replacing what had it. Does nothing where
    /// `directory` is none.
    pub(crate) fn link(&mut self, directory: InodeId, name: &[u8], inode: InodeId, layer: u32) {
        if let Some(names) = self.names_mut(directory) {
            names.insert(name.to_vec(), Dentry { inode, layer });
            self.name_bytes += name.len() as u64;
        }
    }

    /// Removes what lower layers than that of `hidden` put below `directory`,
    /// and keeps what the layer itself put there.
    pub(crate) fn hide_lower(&mut self, directory: InodeId, hidden: &mut Hidden) {
        let Some(names) = self.names(directory) else {
            return;
        };
        if !hidden.directories.insert(directory) {
            return;
        }
        let names: Vec<_> = names.keys().cloned().collect();
        for name in names {
            self.hide_lower_name(directory, &name, hidden);
        }
    }

    /// As [`Self::hide_lower`] for one name.
    pub(crate) fn hide_lower_name(&mut self, directory: InodeId, name: &[u8], hidden: &mut Hidden) {
        let Some(dentry) = self
            .names(directory)
            .and_then(|names| names.get(name))
            .copied()
        else {
            return;
        };
        self.hide_lower(dentry.inode, hidden);
        let is_needed = dentry.layer == hidden.layer
            || self
                .names(dentry.inode)
                .is_some_and(|names| !names.is_empty());
        if !is_needed && let Some(names) = self.names_mut(directory) {
            names.remove(name);
        }
    }
}

/// What one layer has hidden. A directory once emptied of lower layers stays so
/// while the layer is applied, so that each is looked through once, however
/// often a hostile layer asks.
#[derive(Debug)]
pub(crate) struct Hidden {
    layer: u32,
    directories: BTreeSet<InodeId>,
}

impl Hidden {
    pub(crate) fn by(layer: u32) -> Self {
        Self {
            layer,
            directories: BTreeSet::new(),
        }
    }
}
