//! Superblock and inode, field by field (`struct erofs_super_block`,
//! `struct erofs_inode_extended`).

use super::layout::Placed;
use crate::rootfs::tree::{Inode, Kind};

/// Bytes of a block.
pub(crate) const BLOCK_BYTES: u64 = 4096;
/// Where the superblock is in block 0.
pub(crate) const SUPERBLOCK_OFFSET: usize = 1024;
/// Bytes of an extended inode.
pub(super) const INODE_BYTES: usize = 64;
/// A nid counts units of this many bytes.
pub(super) const SLOT_BYTES: usize = 32;

const MAGIC: u32 = 0xe0f5_e1e2;
/// The superblock has a checksum.
const COMPAT_CHECKSUM: u32 = 1;
/// Inode times are modification times.
const COMPAT_MTIME: u32 = 2;
const LAYOUT_PLAIN: u16 = 0;
const LAYOUT_INLINE: u16 = 2;
const FORMAT_EXTENDED: u16 = 1;

const S_IFIFO: u16 = 0o010_000;
const S_IFCHR: u16 = 0o020_000;
const S_IFDIR: u16 = 0o040_000;
const S_IFBLK: u16 = 0o060_000;
const S_IFREG: u16 = 0o100_000;
const S_IFLNK: u16 = 0o120_000;

/// What differs from one image to the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Superblock {
    pub(super) root_nid: u16,
    pub(super) inode_count: u64,
    pub(super) block_count: u32,
    pub(super) meta_block: u32,
}

impl Superblock {
    /// The rest of block 0 from [`SUPERBLOCK_OFFSET`] on.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; BLOCK_BYTES as usize - SUPERBLOCK_OFFSET];
        let mut put = |offset: usize, field: &[u8]| {
            bytes[offset..offset + field.len()].copy_from_slice(field);
        };
        put(0, &MAGIC.to_le_bytes());
        put(8, &(COMPAT_CHECKSUM | COMPAT_MTIME).to_le_bytes());
        put(12, &[BLOCK_BYTES.trailing_zeros() as u8]);
        put(14, &self.root_nid.to_le_bytes());
        put(16, &self.inode_count.to_le_bytes());
        put(36, &self.block_count.to_le_bytes());
        put(40, &self.meta_block.to_le_bytes());
        put(64, b"unikiln");
        let checksum = crc32c(&bytes);
        bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }
}

/// CRC-32C without the final inversion, as EROFS keeps it. Three kilobytes an
/// image do not deserve a table.
fn crc32c(bytes: &[u8]) -> u32 {
    const POLYNOMIAL_REVERSED: u32 = 0x82f6_3b78;
    bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            if crc & 1 == 1 {
                (crc >> 1) ^ POLYNOMIAL_REVERSED
            } else {
                crc >> 1
            }
        })
    })
}

/// Encodes an inode without what follows it.
pub(super) fn inode(number: u32, inode: &Inode, placed: &Placed) -> Vec<u8> {
    let attributes = &inode.attributes;
    let (kind, union_field) = match inode.kind {
        Kind::Directory(_) => (S_IFDIR, placed.first_block),
        Kind::File(_) => (S_IFREG, placed.first_block),
        Kind::Symlink(_) => (S_IFLNK, placed.first_block),
        Kind::CharDevice { major, minor } => (S_IFCHR, device_number(major, minor)),
        Kind::BlockDevice { major, minor } => (S_IFBLK, device_number(major, minor)),
        Kind::Fifo => (S_IFIFO, 0),
    };
    let layout = if placed.is_inline {
        LAYOUT_INLINE
    } else {
        LAYOUT_PLAIN
    };
    let mut bytes = vec![0; INODE_BYTES];
    let mut put = |offset: usize, field: &[u8]| {
        bytes[offset..offset + field.len()].copy_from_slice(field);
    };
    put(0, &(FORMAT_EXTENDED | layout << 1).to_le_bytes());
    put(2, &placed.xattr_count.to_le_bytes());
    put(4, &(kind | attributes.mode & 0o7777).to_le_bytes());
    put(8, &placed.len_bytes.to_le_bytes());
    put(16, &union_field.to_le_bytes());
    put(20, &number.to_le_bytes());
    put(24, &attributes.uid.to_le_bytes());
    put(28, &attributes.gid.to_le_bytes());
    put(32, &attributes.mtime_s.to_le_bytes());
    put(40, &attributes.mtime_ns.to_le_bytes());
    put(44, &placed.link_count.to_le_bytes());
    bytes
}

/// Linux's `new_encode_dev`.
fn device_number(major: u32, minor: u32) -> u32 {
    (minor & 0xff) | (major & 0xfff) << 8 | (minor & 0xf_ff00) << 12
}
