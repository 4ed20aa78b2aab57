//! Open directories, and files opened with O_PATH.

use alloc::vec::Vec;

use spin::Mutex;

use super::attributes::{Attributes, FileType};
use super::node::{Listed, Node};
use super::open_file::File;
use super::transfer::Sink;
use crate::errno::{Errno, SysResult};

/// An open directory. Its names are those at the first `getdents` after it was
/// opened or rewound, so that removing while listing skips none.
pub(super) struct DirectoryFile {
    node: Node,
    snapshot: Mutex<Option<Vec<Listed>>>,
}

impl DirectoryFile {
    /// Opens a directory.
    pub(super) fn new(node: Node) -> DirectoryFile {
        DirectoryFile {
            node,
            snapshot: Mutex::new(None),
        }
    }

    fn names(&self) -> Result<Vec<Listed>, Errno> {
        let dot = |name: &[u8], node: &Node| Listed {
            name: name.to_vec(),
            ino: node.identity().ino,
            kind: FileType::Directory,
        };
        let mut names = Vec::new();
        names.push(dot(b".", &self.node));
        names.push(dot(b"..", &self.node.parent()?));
        names.extend(self.node.list()?);
        Ok(names)
    }
}

impl File for DirectoryFile {
    fn attributes(&self) -> Result<Attributes, Errno> {
        self.node.attributes()
    }

    fn node(&self) -> Option<Node> {
        Some(self.node.clone())
    }

    fn read(&self, _offset: u64, _nonblocking: bool, _sink: &mut dyn Sink) -> SysResult {
        Err(Errno::EISDIR)
    }

    fn seekable(&self) -> bool {
        true
    }

    fn pollable(&self) -> bool {
        false
    }

    fn sync(&self, data_only: bool) -> Result<(), Errno> {
        match &self.node {
            Node::Volume(inode) => inode.sync(0, data_only),
            _ => Ok(()),
        }
    }

    fn visit(
        &self,
        position: u64,
        visit: &mut dyn FnMut(u64, &Listed) -> Result<bool, Errno>,
    ) -> Result<(), Errno> {
        if self.node.attributes()?.nlink == 0 {
            return Err(Errno::ENOENT);
        }
        let names = match self.snapshot.lock().take() {
            Some(names) if position != 0 => names,
            _ => self.names()?,
        };
        // Taken out meanwhile: `visit` writes to program memory.
        let mut outcome = Ok(());
        for (index, listed) in (1u64..).zip(&names).skip(position as usize) {
            match visit(index, listed) {
                Ok(true) => {}
                Ok(false) => break,
                Err(errno) => {
                    outcome = Err(errno);
                    break;
                }
            }
        }
        *self.snapshot.lock() = Some(names);
        outcome
    }
}

/// A file opened with O_PATH: a place, nothing can be read or written.
pub(super) struct PathFile {
    node: Node,
}

impl PathFile {
    /// Keeps the place.
    pub(super) fn new(node: Node) -> PathFile {
        PathFile { node }
    }
}

impl File for PathFile {
    fn attributes(&self) -> Result<Attributes, Errno> {
        self.node.attributes()
    }

    fn node(&self) -> Option<Node> {
        Some(self.node.clone())
    }
}
