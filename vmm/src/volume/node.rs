//! What the guest knows of a volume: nodes by number, each an O_PATH descriptor.
//!
//! A node stays as long as the guest counts uses of it (LOOKUP and its kin against
//! FORGET), and its descriptor keeps the inode's number from being used again.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;
use unikiln_abi::volume::NODE_ROOT;

use super::limit::Slot;

/// Something on the host.
#[derive(Debug)]
pub(super) struct Node {
    /// An O_PATH descriptor of it.
    pub(super) fd: OwnedFd,
    /// Its kind, which an inode keeps.
    pub(super) kind: FileType,
    key: Key,
    /// The root needs none.
    _slot: Option<Slot>,
}

/// Device and inode number.
type Key = (u64, u64);

impl Node {
    pub(super) fn new(fd: OwnedFd, stat: &Stat, slot: Option<Slot>) -> Self {
        Self {
            fd,
            kind: FileType::from_raw_mode(stat.st_mode),
            key: (stat.st_dev, stat.st_ino),
            _slot: slot,
        }
    }

    /// ENOTDIR for what is no directory.
    pub(super) fn directory(&self) -> Result<&OwnedFd, Errno> {
        match self.kind {
            FileType::Directory => Ok(&self.fd),
            _ => Err(Errno::NOTDIR),
        }
    }

    /// Device of it.
    pub(super) fn device(&self) -> u64 {
        self.key.0
    }
}

#[derive(Debug)]
struct Known {
    node: Arc<Node>,
    uses: u64,
}

/// All nodes of a volume.
#[derive(Debug)]
pub(super) struct Nodes {
    root: Arc<Node>,
    by_number: HashMap<u64, Known>,
    numbers: HashMap<Key, u64>,
    next: u64,
}

impl Nodes {
    pub(super) fn new(root: Node) -> Self {
        Self {
            numbers: HashMap::from([(root.key, NODE_ROOT)]),
            root: Arc::new(root),
            by_number: HashMap::new(),
            next: NODE_ROOT + 1,
        }
    }

    /// A node by its number.
    ///
    /// # Errors
    /// ESTALE where the guest does not have it.
    pub(super) fn get(&self, number: u64) -> Result<Arc<Node>, Errno> {
        if number == NODE_ROOT {
            return Ok(Arc::clone(&self.root));
        }
        let known = self.by_number.get(&number).ok_or(Errno::STALE)?;
        Ok(Arc::clone(&known.node))
    }

    /// The number of a node, which the guest uses once more.
    pub(super) fn number(&mut self, node: Node) -> u64 {
        if let Some(&number) = self.numbers.get(&node.key) {
            if let Some(known) = self.by_number.get_mut(&number) {
                known.uses = known.uses.saturating_add(1);
            }
            return number;
        }
        let number = self.next;
        self.next += 1;
        self.numbers.insert(node.key, number);
        let node = Arc::new(node);
        self.by_number.insert(number, Known { node, uses: 1 });
        number
    }

    /// The guest uses a node `uses` times less; numbers that it does not have are nothing.
    pub(super) fn forget(&mut self, number: u64, uses: u64) {
        let Some(known) = self.by_number.get_mut(&number) else {
            return;
        };
        known.uses = known.uses.saturating_sub(uses);
        if known.uses == 0 {
            let key = known.node.key;
            self.by_number.remove(&number);
            self.numbers.remove(&key);
        }
    }
}
