//! One EROFS inode: parsing it, and finding the bytes of its data.

use super::{BLOCK_BYTES, Image, le16, le32, le64};
use crate::errno::Errno;
use crate::mm::rootfs;

const COMPACT_BYTES: u64 = 32;
const EXTENDED_BYTES: u64 = 64;
/// Larger sizes cannot be right and would overflow offsets.
const SIZE_MAX_BYTES: u64 = 1 << 50;

/// How an inode's data lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// All blocks from `start`.
    Plain,
    /// Whole blocks from `start`, the rest right after the inode.
    Inline,
}

/// A parsed inode.
#[derive(Clone, Copy, Debug)]
pub struct Inode {
    /// Node number.
    pub nid: u64,
    /// Type and permission bits.
    pub mode: u16,
    /// Names of it.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes of data.
    pub size: u64,
    /// Modification time, seconds.
    pub mtime_sec: u64,
    /// Modification time, nanoseconds.
    pub mtime_nsec: u32,
    /// Device number in the on-disk (new) encoding, for device nodes.
    pub rdev: u32,
    /// How the data lie.
    pub layout: Layout,
    /// Image offset of the first whole block.
    start: u64,
    /// Image offset of the bytes after the inode and its xattrs.
    tail: u64,
    /// Image offset of the inline xattrs and their length.
    pub(super) xattrs: (u64, u64),
}

impl Inode {
    #[inline]
    pub(super) fn read(image: &Image, nid: u64) -> Result<Inode, Errno> {
        let at = image.inode_offset(nid)?;
        let compact = image.bytes(at, COMPACT_BYTES)?;
        let format = le16(compact, 0);
        let layout = match (format >> 1) & 0x7 {
            0 => Layout::Plain,
            2 => Layout::Inline,
            _ => return Err(Errno::EIO),
        };
        let xattr_units = u64::from(le16(compact, 2));
        let xattr_bytes = if xattr_units == 0 {
            0
        } else {
            12 + (xattr_units - 1) * 4
        };
        let mode = le16(compact, 4);
        let block_or_device = le32(compact, 16);
        let start = u64::from(block_or_device) * BLOCK_BYTES;
        let inode = if format & 1 == 0 {
            Inode {
                nid,
                mode,
                nlink: u32::from(le16(compact, 6)),
                uid: u32::from(le16(compact, 24)),
                gid: u32::from(le16(compact, 26)),
                size: u64::from(le32(compact, 8)),
                mtime_sec: image.build_sec,
                mtime_nsec: image.build_nsec,
                rdev: block_or_device,
                layout,
                start,
                tail: at + COMPACT_BYTES + xattr_bytes,
                xattrs: (at + COMPACT_BYTES, xattr_bytes),
            }
        } else {
            let raw = image.bytes(at, EXTENDED_BYTES)?;
            Inode {
                nid,
                mode,
                nlink: le32(raw, 44),
                uid: le32(raw, 24),
                gid: le32(raw, 28),
                size: le64(raw, 8),
                mtime_sec: le64(raw, 32),
                mtime_nsec: le32(raw, 40).min(999_999_999),
                rdev: block_or_device,
                layout,
                start,
                tail: at + EXTENDED_BYTES + xattr_bytes,
                xattrs: (at + EXTENDED_BYTES, xattr_bytes),
            }
        };
        if inode.size > SIZE_MAX_BYTES {
            return Err(Errno::EIO);
        }
        Ok(inode)
    }

    /// Bytes that lie after the inode itself.
    #[inline]
    fn inline_bytes(&self) -> u64 {
        match self.layout {
            Layout::Plain => 0,
            Layout::Inline => self.size % BLOCK_BYTES,
        }
    }

    /// The data from `offset`, as far as they lie in one piece, at most `len`
    /// bytes; empty at the end of the file.
    #[inline]
    pub fn data(&self, image: &Image, offset: u64, len: u64) -> Result<&'static [u8], Errno> {
        let whole = self.size - self.inline_bytes();
        if offset < whole {
            image.bytes(self.start + offset, len.min(whole - offset))
        } else if offset < self.size {
            image.bytes(self.tail + (offset - whole), len.min(self.size - offset))
        } else {
            Ok(&[])
        }
    }

    /// The target of a symlink; EIO where it is empty, too long or not in one piece.
    pub fn link_target(&self, image: &Image) -> Result<&'static [u8], Errno> {
        let target = self.data(image, 0, BLOCK_BYTES)?;
        if target.is_empty()
            || self.size >= BLOCK_BYTES
            || target.len() as u64 != self.size
            || target.contains(&0)
        {
            return Err(Errno::EIO);
        }
        Ok(target)
    }

    /// Guest-physical address of page `index` of the data, where that page of
    /// the image is exactly that page of the file with zeros after its end.
    pub fn whole_page_gpa(&self, image: &Image, index: u64) -> Option<u64> {
        let offset = index.checked_mul(BLOCK_BYTES)?;
        let end = self.size.min(offset.checked_add(BLOCK_BYTES)?);
        if offset >= end || offset >= self.size - self.inline_bytes() {
            return None;
        }
        let page = image
            .bytes(self.start.checked_add(offset)?, BLOCK_BYTES)
            .ok()?;
        let padding = page.get((end - offset) as usize..)?;
        padding
            .iter()
            .all(|&byte| byte == 0)
            .then(|| rootfs::gpa(self.start + offset))
    }
}
