//! Decides where every inode, directory block and file goes, before a byte is
//! written. Inodes are numbered in path order; the root is the first.

use super::format::{BLOCK_BYTES, INODE_BYTES, SLOT_BYTES};
use super::{ErofsError, directory, xattr};
use crate::rootfs::tree::{Inode, InodeId, Kind, Tree};

/// Files below this size that nobody executes may share a block with inodes.
const INLINE_FILE_BYTES: u64 = 2048;
/// nid 0 stays free: some programs take inode number 0 for a deleted file.
const FIRST_SLOT: usize = 1;

/// One inode's place.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) id: InodeId,
    /// Index of the parent directory (its own for the root). Of any one parent
    /// for a file with several names.
    pub(super) parent: usize,
    pub(super) link_count: u32,
    /// `i_size`.
    pub(super) len_bytes: u64,
    /// `i_xattr_icount`.
    pub(super) xattr_count: u16,
    /// Whether what exceeds whole blocks follows the inode.
    pub(super) is_inline: bool,
    /// First block of the whole blocks, 0 where there are none.
    pub(super) first_block: u32,
    /// Offset in the metadata.
    pub(super) meta_offset: usize,
}

/// See the module documentation.
pub(super) struct Layout {
    pub(super) placed: Vec<Placed>,
    /// Index in `placed` by inode number; `usize::MAX` where it has no name.
    index_of: Vec<usize>,
    /// First block of the metadata.
    pub(super) meta_block: u32,
    /// Whole blocks of metadata, in bytes.
    pub(super) meta_bytes: usize,
    /// Indices of files with blocks of their own, in the order of their data.
    pub(super) data: Vec<usize>,
    pub(super) end_block: u32,
}

impl Layout {
    pub(super) fn new(tree: &Tree, hot: &[InodeId], first_block: u64) -> Result<Self, ErofsError> {
        let mut layout = Self {
            placed: Vec::new(),
            index_of: vec![usize::MAX; tree.inode_count()],
            meta_block: u32::try_from(first_block).map_err(|_| ErofsError::TooLarge)?,
            meta_bytes: 0,
            data: Vec::new(),
            end_block: 0,
        };
        layout.visit(tree);
        layout.place_inodes(tree)?;
        layout.place_blocks(tree, hot, first_block)?;
        Ok(layout)
    }

    /// Number of the inode at `index` as directories give it.
    pub(super) fn nid(&self, index: usize) -> u64 {
        (self.placed[index].meta_offset / SLOT_BYTES) as u64
    }

    /// Number of the root directory, the first inode of all: in the first block,
    /// or, where its tail has no room there, at the start of the second.
    pub(super) fn root_nid(&self) -> u16 {
        self.nid(0) as u16
    }

    /// As [`Self::nid`], by tree number. The inode must have a name.
    pub(super) fn nid_of(&self, id: InodeId) -> u64 {
        self.nid(self.index_of[id.index()])
    }

    /// Numbers all inodes that have a name, and counts their names.
    fn visit(&mut self, tree: &Tree) {
        self.add(InodeId::ROOT, 0);
        // The root's `.` and its `..`.
        self.placed[0].link_count = 2;
        let mut pending = vec![0];
        while let Some(directory) = pending.pop() {
            let Some(names) = tree.names(self.placed[directory].id) else {
                continue;
            };
            let mut below = Vec::new();
            for dentry in names.values() {
                let known = self.index_of[dentry.inode.index()];
                if known != usize::MAX {
                    self.placed[known].link_count += 1;
                    continue;
                }
                let index = self.add(dentry.inode, directory);
                if tree.names(dentry.inode).is_some() {
                    // Its name and its own `.`; its `..` is one more for the parent.
                    self.placed[index].link_count = 2;
                    self.placed[directory].link_count += 1;
                    below.push(index);
                }
            }
            pending.extend(below.into_iter().rev());
        }
    }

    fn add(&mut self, id: InodeId, parent: usize) -> usize {
        let index = self.placed.len();
        self.index_of[id.index()] = index;
        self.placed.push(Placed {
            id,
            parent,
            link_count: 1,
            len_bytes: 0,
            xattr_count: 0,
            is_inline: false,
            first_block: 0,
            meta_offset: 0,
        });
        index
    }

    fn place_inodes(&mut self, tree: &Tree) -> Result<(), ErofsError> {
        let block = BLOCK_BYTES as usize;
        let mut next = FIRST_SLOT * SLOT_BYTES;
        for placed in &mut self.placed {
            let inode = tree.inode(placed.id);
            let xattr_bytes = xattr::encoded_bytes(&inode.attributes.xattrs);
            placed.xattr_count = xattr::count(xattr_bytes)?;
            placed.len_bytes = match &inode.kind {
                Kind::Directory(names) => directory::encoded_bytes(names),
                Kind::File(data) => data.len_bytes(),
                Kind::Symlink(target) => target.len() as u64,
                Kind::CharDevice { .. } | Kind::BlockDevice { .. } | Kind::Fifo => 0,
            };
            let tail = (placed.len_bytes % BLOCK_BYTES) as usize;
            let fixed = INODE_BYTES + xattr_bytes;
            placed.is_inline = tail > 0 && fixed + tail <= block && may_inline(inode);
            let total = if placed.is_inline {
                fixed + tail
            } else {
                fixed
            };
            // Neither an inode nor a tail may cross a block; long xattrs may.
            let room = block - next % block;
            if room < total.min(block) && (placed.is_inline || room < INODE_BYTES) {
                next += room;
            }
            placed.meta_offset = next;
            next = (next + total).next_multiple_of(SLOT_BYTES);
        }
        self.meta_bytes = next.next_multiple_of(block);
        Ok(())
    }

    fn place_blocks(
        &mut self,
        tree: &Tree,
        hot: &[InodeId],
        first_block: u64,
    ) -> Result<(), ErofsError> {
        let mut next = first_block + self.meta_bytes as u64 / BLOCK_BYTES;
        let mut files = Vec::new();
        let place = |placed: &mut Placed, next: &mut u64| {
            let blocks = if placed.is_inline {
                placed.len_bytes / BLOCK_BYTES
            } else {
                placed.len_bytes.div_ceil(BLOCK_BYTES)
            };
            if blocks > 0 {
                placed.first_block = u32::try_from(*next).map_err(|_| ErofsError::TooLarge)?;
                *next = next.checked_add(blocks).ok_or(ErofsError::TooLarge)?;
            }
            Ok::<_, ErofsError>(())
        };
        for (index, placed) in self.placed.iter_mut().enumerate() {
            if !matches!(tree.inode(placed.id).kind, Kind::File(_)) {
                place(placed, &mut next)?;
            } else if !placed.is_inline && placed.len_bytes > 0 {
                files.push(index);
            }
        }
        let mut is_placed = vec![false; self.placed.len()];
        let hot = hot
            .iter()
            .map(|id| self.index_of[id.index()])
            .filter(|index| files.binary_search(index).is_ok());
        for index in hot.chain(files.iter().copied()) {
            if !std::mem::replace(&mut is_placed[index], true) {
                self.data.push(index);
            }
        }
        for &index in &self.data {
            place(&mut self.placed[index], &mut next)?;
        }
        self.end_block = u32::try_from(next).map_err(|_| ErofsError::TooLarge)?;
        Ok(())
    }
}

fn may_inline(inode: &Inode) -> bool {
    match &inode.kind {
        Kind::File(data) => {
            data.len_bytes() < INLINE_FILE_BYTES && inode.attributes.mode & 0o111 == 0
        }
        _ => true,
    }
}
