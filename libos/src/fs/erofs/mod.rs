//! Reader of the EROFS root file system, on the mapped bytes as they are.
//!
//! Nothing is copied or cached: an inode is parsed from its 32 or 64 bytes each
//! time it is needed, a directory is searched in place. The image may be
//! malformed in any way; every field is checked where it is used, and what
//! cannot be right is EUCLEAN's stand-in here, EIO.
//!
//! ```text
//! 1024                      superblock
//! meta_block * 4096         inodes, `nid * 32` bytes in: inode, inline xattrs, inline tail
//! xattr_block * 4096        shared xattrs
//! anywhere                  file and directory data, whole blocks
//! ```
//!
//! Source: the kernel's `fs/erofs/erofs_fs.h`. Only uncompressed layouts:
//! FLAT_PLAIN and FLAT_INLINE. [`Image`] is the mount, [`Inode`] a parsed inode
//! (`inode`), `directory` searches and lists, `xattr` reads attributes.

mod directory;
mod inode;
#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "fuzzing"))]
mod walk;
mod xattr;

pub(super) use directory::Dirent;
pub(super) use inode::Inode;
#[cfg(feature = "fuzzing")]
pub(super) use walk::read_everything;

use crate::errno::Errno;
use crate::mm::rootfs;

/// Bytes of a block; no other size is read.
pub(super) const BLOCK_BYTES: u64 = 4096;
const SUPERBLOCK_OFFSET: u64 = 1024;
const MAGIC: u32 = 0xe0f5_e1e2;
const INODE_SLOT_BYTES: u64 = 32;
/// Incompatible features that do not change how uncompressed files are read:
/// zero padding of compressed clusters.
const KNOWN_INCOMPATIBLE: u32 = 0x1;

/// Where the image's bytes come from.
#[derive(Clone, Copy)]
enum Bytes {
    /// The windows that the monitor maps.
    Mapped,
    /// A slice, for tests.
    #[cfg(any(test, feature = "fuzzing"))]
    Slice(&'static [u8]),
}

/// A mounted image: what the superblock says.
#[derive(Clone, Copy)]
pub struct Image {
    bytes: Bytes,
    root_nid: u64,
    inodes_offset: u64,
    xattrs_offset: u64,
    build_sec: u64,
    build_nsec: u32,
    blocks: u32,
    inode_count: u64,
}

impl Image {
    /// Reads the superblock of the root file system.
    pub fn mount() -> Result<Image, Errno> {
        Self::read_superblock(Bytes::Mapped)
    }

    /// Reads the superblock of `image`.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn from_slice(image: &'static [u8]) -> Result<Image, Errno> {
        Self::read_superblock(Bytes::Slice(image))
    }

    fn read_superblock(bytes: Bytes) -> Result<Image, Errno> {
        let raw: &[u8; 128] = fetch(bytes, SUPERBLOCK_OFFSET, 128)?
            .try_into()
            .map_err(|_| Errno::EIO)?;
        let block_bits = raw[12];
        if le32(raw, 0) != MAGIC || block_bits != 12 {
            return Err(Errno::EINVAL);
        }
        if le32(raw, 80) & !KNOWN_INCOMPATIBLE != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        Ok(Image {
            bytes,
            root_nid: u64::from(le16(raw, 14)),
            inode_count: le64(raw, 16),
            build_sec: le64(raw, 24),
            build_nsec: le32(raw, 32),
            blocks: le32(raw, 36),
            inodes_offset: u64::from(le32(raw, 40)) * BLOCK_BYTES,
            xattrs_offset: u64::from(le32(raw, 44)) * BLOCK_BYTES,
        })
    }

    /// The root directory's node number.
    pub fn root_nid(&self) -> u64 {
        self.root_nid
    }

    /// Blocks of the image, for statfs.
    pub fn blocks(&self) -> u64 {
        u64::from(self.blocks)
    }

    /// Inodes of the image, for statfs.
    pub fn inode_count(&self) -> u64 {
        self.inode_count
    }

    /// The inode `nid`.
    #[inline]
    pub fn inode(&self, nid: u64) -> Result<Inode, Errno> {
        Inode::read(self, nid)
    }

    #[inline]
    fn inode_offset(&self, nid: u64) -> Result<u64, Errno> {
        nid.checked_mul(INODE_SLOT_BYTES)
            .and_then(|at| at.checked_add(self.inodes_offset))
            .ok_or(Errno::EIO)
    }

    #[inline]
    fn bytes(&self, offset: u64, len: u64) -> Result<&'static [u8], Errno> {
        fetch(self.bytes, offset, len)
    }
}

#[inline]
fn fetch(bytes: Bytes, offset: u64, len: u64) -> Result<&'static [u8], Errno> {
    match bytes {
        Bytes::Mapped => rootfs::bytes(offset, len),
        #[cfg(any(test, feature = "fuzzing"))]
        Bytes::Slice(image) => {
            let end = offset.checked_add(len).ok_or(Errno::EIO)?;
            image.get(offset as usize..end as usize).ok_or(Errno::EIO)
        }
    }
}

/// Little-endian fields of a structure. Past its end they read as zero, which
/// no caller relies on: sizes are checked where the bytes are fetched.
#[inline]
fn le16(raw: &[u8], at: usize) -> u16 {
    raw.get(at..at + 2)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u16::from_le_bytes)
}

#[inline]
fn le32(raw: &[u8], at: usize) -> u32 {
    raw.get(at..at + 4)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u32::from_le_bytes)
}

#[inline]
fn le64(raw: &[u8], at: usize) -> u64 {
    raw.get(at..at + 8)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u64::from_le_bytes)
}
