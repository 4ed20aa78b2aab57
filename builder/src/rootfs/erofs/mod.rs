//! Writes a tree as EROFS: uncompressed, 4 KiB blocks, the same bytes for the
//! same tree. The format is Linux's `fs/erofs/erofs_fs.h`.
//!
//! ```text
//! first block   inodes, each followed by its xattrs and its inline tail
//! …             blocks of large directories and long symlinks
//! …             data of hot files, then of all others in path order
//! ```
//!
//! Executables and files of 2 KiB and more are FLAT_PLAIN: their data starts on
//! a block and ends zero-padded, so that a page of the image is a page of the
//! file and can be mapped. Directories, symlinks and other small files keep
//! their tail behind the inode (FLAT_INLINE). All inodes have the extended form,
//! the only one with a time of its own.
//!
//! | module | what it owns |
//! |---|---|
//! | [`layout`] | which inode goes where |
//! | [`directory`] | directory blocks |
//! | [`xattr`] | inline extended attributes |
//! | [`mod@format`] | superblock and inode, field by field |

mod directory;
mod format;
mod layout;
#[cfg(test)]
mod tests;
mod xattr;

use std::io::{self, Write};

use super::storage::{FileData, Storage};
use super::tree::Kind;
use super::{RootFs, StorageError};
use crate::progress::{Progress, Step};
use layout::{Layout, Placed};

pub(crate) use format::{BLOCK_BYTES, SUPERBLOCK_OFFSET, Superblock};
pub(crate) use xattr::{excess_bytes, is_storable};

/// Bytes copied at a time; a whole number of blocks.
const CHUNK_BYTES: usize = 512 << 10;
const BLOCK: usize = BLOCK_BYTES as usize;

/// What keeps a tree from becoming EROFS.
#[derive(Debug, thiserror::Error)]
pub enum ErofsError {
    /// Contents could not be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The output could not be written.
    #[error("cannot write the root file system")]
    Write(#[source] io::Error),
    /// Extended attributes of one file exceed what an inode can hold.
    #[error("extended attributes of one file have {len_bytes} bytes, too many for EROFS")]
    XattrsTooLarge {
        /// Their bytes.
        len_bytes: usize,
    },
    /// The image exceeds 2^32 blocks.
    #[error("the root file system exceeds the 16 TiB that EROFS can address")]
    TooLarge,
}

/// A laid-out root file system.
pub(crate) struct Plan<'a> {
    rootfs: &'a RootFs,
    layout: Layout,
}

impl<'a> Plan<'a> {
    /// Lays out `rootfs` from block `first_block` on.
    pub(crate) fn new(rootfs: &'a RootFs, first_block: u64) -> Result<Self, ErofsError> {
        let layout = Layout::new(&rootfs.tree, &rootfs.hot, first_block)?;
        Ok(Self { rootfs, layout })
    }

    /// Length of the whole image, from block 0.
    pub(crate) fn end_bytes(&self) -> u64 {
        u64::from(self.layout.end_block) * BLOCK_BYTES
    }

    /// Inodes in the image.
    pub(crate) fn inode_count(&self) -> usize {
        self.layout.placed.len()
    }

    /// The superblock.
    pub(crate) fn superblock(&self) -> Superblock {
        Superblock {
            root_nid: self.layout.root_nid(),
            inode_count: self.layout.placed.len() as u64,
            block_count: self.layout.end_block,
            meta_block: self.layout.meta_block,
        }
    }

    /// Writes every block from `first_block` on.
    pub(crate) fn write(
        &self,
        output: &mut impl Write,
        progress: &mut dyn Progress,
    ) -> Result<(), ErofsError> {
        let files = &self.layout.data;
        progress.begin(
            Step::Write,
            files.iter().map(|&index| self.len_bytes(index)).sum(),
        );
        self.write_metadata(output)?;
        for (index, placed) in self.layout.placed.iter().enumerate() {
            if matches!(self.rootfs.tree.inode(placed.id).kind, Kind::File(_)) {
                continue;
            }
            let contents = self.contents(index, placed)?;
            let (blocks, _) = split_tail(placed, &contents);
            output.write_all(blocks).map_err(ErofsError::Write)?;
            write_zeros(output, blocks.len().next_multiple_of(BLOCK) - blocks.len())?;
        }
        let mut chunk = vec![0; CHUNK_BYTES];
        for &index in files {
            let inode = self.rootfs.tree.inode(self.layout.placed[index].id);
            if let Kind::File(data) = &inode.kind {
                write_data(&self.rootfs.storage, data, &mut chunk, output, progress)?;
            }
        }
        Ok(())
    }

    fn len_bytes(&self, index: usize) -> u64 {
        self.layout.placed[index].len_bytes
    }

    /// Writes each inode with its xattrs and its tail, in the order of their places.
    fn write_metadata(&self, output: &mut impl Write) -> Result<(), ErofsError> {
        let mut written = 0;
        let mut bytes = Vec::new();
        for (index, placed) in self.layout.placed.iter().enumerate() {
            let inode = self.rootfs.tree.inode(placed.id);
            let contents = self.contents(index, placed)?;
            let (_, tail) = split_tail(placed, &contents);
            bytes.clear();
            bytes.extend_from_slice(&format::inode(index as u32 + 1, inode, placed));
            bytes.extend_from_slice(&xattr::encode(&inode.attributes.xattrs));
            bytes.extend_from_slice(tail);
            write_zeros(output, placed.meta_offset - written)?;
            output.write_all(&bytes).map_err(ErofsError::Write)?;
            written = placed.meta_offset + bytes.len();
        }
        write_zeros(output, self.layout.meta_bytes - written)
    }

    /// What the inode at `index` has beside its attributes: nothing for a file
    /// with blocks of its own, which [`write_data`] streams.
    fn contents(&self, index: usize, placed: &Placed) -> Result<Vec<u8>, ErofsError> {
        let inode = self.rootfs.tree.inode(placed.id);
        Ok(match &inode.kind {
            Kind::Directory(_) => {
                directory::encode(&self.rootfs.tree, &self.layout, index, placed.parent)
            }
            Kind::Symlink(target) => target.clone(),
            Kind::File(data) if placed.is_inline && placed.len_bytes > 0 => {
                self.rootfs.storage.read_start(data, placed.len_bytes)?
            }
            _ => Vec::new(),
        })
    }
}

/// Whole blocks, and the tail that follows the inode.
fn split_tail<'a>(placed: &Placed, contents: &'a [u8]) -> (&'a [u8], &'a [u8]) {
    let tail_bytes = if placed.is_inline {
        contents.len() % BLOCK
    } else {
        0
    };
    contents.split_at(contents.len() - tail_bytes)
}

fn write_zeros(output: &mut impl Write, len: usize) -> Result<(), ErofsError> {
    let zeros = [0; BLOCK];
    let mut left = len;
    while left > 0 {
        let now = left.min(BLOCK);
        output.write_all(&zeros[..now]).map_err(ErofsError::Write)?;
        left -= now;
    }
    Ok(())
}

/// Streams one file, zero-padded to whole blocks.
fn write_data(
    storage: &Storage,
    data: &FileData,
    chunk: &mut [u8],
    output: &mut impl Write,
    progress: &mut dyn Progress,
) -> Result<(), ErofsError> {
    let contents = storage.open(data)?;
    let len_bytes = data.len_bytes();
    let mut offset = 0;
    while offset < len_bytes {
        let len = (len_bytes - offset).min(chunk.len() as u64) as usize;
        let padded = len.next_multiple_of(BLOCK);
        contents.read_exact_at(&mut chunk[..len], offset)?;
        chunk[len..padded].fill(0);
        output
            .write_all(&chunk[..padded])
            .map_err(ErofsError::Write)?;
        offset += len as u64;
        progress.advance(len as u64);
    }
    Ok(())
}
