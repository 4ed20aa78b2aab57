//! EROFS directories: binary search of a name, and listing.
//!
//! A directory is a row of blocks. Each begins with its entries, 12 bytes each,
//! sorted by name; the names follow. The first entry's name offset tells how
//! many entries the block has. Blocks are sorted too.

use core::cmp::Ordering;

use super::{BLOCK_BYTES, Image, Inode, le16, le64};
use crate::errno::Errno;

const DIRENT_BYTES: usize = 12;

/// One entry of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dirent {
    /// Node number.
    pub nid: u64,
    /// EROFS file type, the same numbers as ext2's: 0 unknown, 1 regular, 2 directory, …
    pub file_type: u8,
    /// Its name.
    pub name: &'static [u8],
}

/// One block's entries.
#[derive(Clone, Copy)]
struct Block {
    bytes: &'static [u8],
    count: usize,
}

impl Block {
    #[inline]
    fn read(image: &Image, directory: &Inode, index: u64) -> Result<Block, Errno> {
        let bytes = directory.data(image, index * BLOCK_BYTES, BLOCK_BYTES)?;
        let names_offset = usize::from(le16(bytes, 8));
        if names_offset < DIRENT_BYTES
            || names_offset > bytes.len()
            || names_offset % DIRENT_BYTES != 0
        {
            return Err(Errno::EIO);
        }
        Ok(Block {
            bytes,
            count: names_offset / DIRENT_BYTES,
        })
    }

    #[inline]
    fn name(&self, index: usize) -> Result<&'static [u8], Errno> {
        let at = index * DIRENT_BYTES;
        let start = usize::from(le16(self.bytes, at + 8));
        if index + 1 < self.count {
            let end = usize::from(le16(self.bytes, at + DIRENT_BYTES + 8));
            return self.bytes.get(start..end).ok_or(Errno::EIO);
        }
        // The last name ends at a NUL or with the block.
        let rest = self.bytes.get(start..).ok_or(Errno::EIO)?;
        let end = rest
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or(rest.len());
        rest.get(..end).ok_or(Errno::EIO)
    }

    #[inline]
    fn entry(&self, index: usize, name: &'static [u8]) -> Dirent {
        let at = index * DIRENT_BYTES;
        Dirent {
            nid: le64(self.bytes, at),
            file_type: self.bytes.get(at + 10).copied().unwrap_or(0),
            name,
        }
    }

    #[inline]
    fn find(&self, name: &[u8]) -> Result<Option<Dirent>, Errno> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            let candidate = self.name(middle)?;
            match candidate.cmp(name) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Ok(Some(self.entry(middle, candidate))),
            }
        }
        Ok(None)
    }
}

impl Inode {
    /// The entry called `name`, of a directory.
    #[inline]
    pub fn find(&self, image: &Image, name: &[u8]) -> Result<Option<Dirent>, Errno> {
        let (mut low, mut high) = (0, self.size.div_ceil(BLOCK_BYTES));
        // The last block whose first name is not after `name` is the only one that can hold it.
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if Block::read(image, self, middle)?.name(0)? <= name {
                low = middle;
            } else {
                high = middle;
            }
        }
        if high == 0 {
            Ok(None)
        } else {
            Block::read(image, self, low)?.find(name)
        }
    }

    /// Calls `visit` for every entry of a directory, `.` and `..` included, until it says false.
    pub fn list(&self, image: &Image, mut visit: impl FnMut(Dirent) -> bool) -> Result<(), Errno> {
        for index in 0..self.size.div_ceil(BLOCK_BYTES) {
            let block = Block::read(image, self, index)?;
            for entry in 0..block.count {
                let name = block.name(entry)?;
                if !visit(block.entry(entry, name)) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
