//! A root file system as a place to look for programs.

use std::collections::VecDeque;

use super::Files;
use crate::rootfs::RootFs;
use crate::rootfs::tree::{Inode, InodeId, Kind};

/// See the module documentation.
pub(crate) struct TreeFiles<'a>(pub(crate) &'a RootFs);

impl TreeFiles<'_> {
    /// What a path leads to.
    pub(crate) fn inode_id(&self, path: &[u8]) -> Option<InodeId> {
        self.0.tree.resolve(path).ok().flatten()
    }

    /// As [`Self::inode_id`].
    pub(crate) fn inode(&self, path: &[u8]) -> Option<&Inode> {
        Some(self.0.tree.inode(self.inode_id(path)?))
    }

    /// A whole regular file of at most `limit_bytes`; `None` where there is none.
    pub(crate) fn read(&self, path: &[u8], limit_bytes: u64) -> Option<Vec<u8>> {
        let (bytes, len_bytes) = self.read_start(path, limit_bytes)?;
        (bytes.len() as u64 == len_bytes).then_some(bytes)
    }

    /// Up to `limit_bytes` of a regular file from its beginning, and its length.
    pub(crate) fn read_start(&self, path: &[u8], limit_bytes: u64) -> Option<(Vec<u8>, u64)> {
        let Kind::File(data) = &self.inode(path)?.kind else {
            return None;
        };
        let bytes = self.0.storage.read_start(data, limit_bytes).ok()?;
        Some((bytes, data.len_bytes()))
    }

    /// Paths of the first files that have these names, wherever they are.
    pub(crate) fn find_names(&self, names: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
        let tree = &self.0.tree;
        let mut found = vec![None; names.len()];
        let mut pending = VecDeque::from([(InodeId::ROOT, Vec::new())]);
        while let Some((id, directory)) = pending.pop_front() {
            for (entry, dentry) in tree.names(id).into_iter().flatten() {
                let path = || [directory.as_slice(), b"/", entry].concat();
                if tree.names(dentry.inode).is_some() {
                    pending.push_back((dentry.inode, path()));
                    continue;
                }
                for (name, found) in names.iter().zip(&mut found) {
                    // A symbolic link may lead nowhere.
                    if *name == entry.as_slice() && found.is_none() {
                        *found = Some(path()).filter(|path| self.inode(path).is_some());
                    }
                }
            }
        }
        found
    }
}

impl Files for TreeFiles<'_> {
    fn is_executable(&self, path: &[u8]) -> bool {
        self.inode(path).is_some_and(|inode| {
            matches!(inode.kind, Kind::File(_)) && inode.attributes.mode & 0o111 != 0
        })
    }

    fn read_exact_at(&self, path: &[u8], buffer: &mut [u8], offset: u64) -> Option<()> {
        let Kind::File(data) = &self.inode(path)?.kind else {
            return None;
        };
        let end = offset.checked_add(buffer.len() as u64)?;
        if end > data.len_bytes() {
            return None;
        }
        self.0
            .storage
            .open(data)
            .ok()?
            .read_exact_at(buffer, offset)
            .ok()
    }

    fn len_bytes(&self, path: &[u8]) -> Option<u64> {
        match &self.inode(path)?.kind {
            Kind::File(data) => Some(data.len_bytes()),
            _ => None,
        }
    }
}
