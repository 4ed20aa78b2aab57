//! Directory contents: blocks, each an array of 12-byte entries and the names
//! behind it. Entries are sorted by name over the whole directory, `.` and `..`
//! among them, because the kernel searches by bisection.

use super::format::BLOCK_BYTES;
use super::layout::Layout;
use crate::rootfs::tree::{InodeId, Kind, Names, Tree};

/// Bytes of `struct erofs_dirent`.
const DIRENT_BYTES: usize = 12;
const BLOCK: usize = BLOCK_BYTES as usize;

const TYPE_FILE: u8 = 1;
const TYPE_DIRECTORY: u8 = 2;
const TYPE_CHAR_DEVICE: u8 = 3;
const TYPE_BLOCK_DEVICE: u8 = 4;
const TYPE_FIFO: u8 = 5;
const TYPE_SYMLINK: u8 = 7;

/// All names in EROFS's order, with the inodes of those that are not dots.
fn sorted(names: &Names) -> Vec<(&[u8], Option<InodeId>)> {
    let mut all: Vec<(&[u8], Option<InodeId>)> = Vec::with_capacity(names.len() + 2);
    all.push((b".", None));
    all.push((b"..", None));
    all.extend(
        names
            .iter()
            .map(|(name, dentry)| (name.as_slice(), Some(dentry.inode))),
    );
    all.sort_unstable_by_key(|&(name, _)| name);
    all
}

/// How many of the first `entries` fit into one block, and the bytes they take.
fn fill(entries: &[(&[u8], Option<InodeId>)]) -> (usize, usize) {
    let mut used = 0;
    for (count, (name, _)) in entries.iter().enumerate() {
        let needed = DIRENT_BYTES + name.len();
        if used + needed > BLOCK {
            return (count, used);
        }
        used += needed;
    }
    (entries.len(), used)
}

/// Bytes that [`encode`] will give: whole blocks, and what the last one uses.
pub(super) fn encoded_bytes(names: &Names) -> u64 {
    let entries = sorted(names);
    let mut rest = entries.as_slice();
    let mut bytes = 0;
    loop {
        let (count, used) = fill(rest);
        rest = &rest[count..];
        if rest.is_empty() {
            return bytes + used as u64;
        }
        bytes += BLOCK_BYTES;
    }
}

/// Encodes the directory at `index`; empty where it is none.
pub(super) fn encode(tree: &Tree, layout: &Layout, index: usize, parent: usize) -> Vec<u8> {
    let Some(names) = tree.names(layout.placed[index].id) else {
        return Vec::new();
    };
    let entries = sorted(names);
    let mut rest = entries.as_slice();
    let mut bytes = Vec::new();
    while !rest.is_empty() {
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        let (count, _) = fill(rest);
        let (block, others) = rest.split_at(count);
        rest = others;
        let mut name_offset = count * DIRENT_BYTES;
        for &(name, inode) in block {
            let (nid, kind) = match inode {
                Some(id) => (layout.nid_of(id), file_type(&tree.inode(id).kind)),
                None if name == b"." => (layout.nid(index), TYPE_DIRECTORY),
                None => (layout.nid(parent), TYPE_DIRECTORY),
            };
            bytes.extend_from_slice(&nid.to_le_bytes());
            // Below BLOCK, so it fits.
            bytes.extend_from_slice(&(name_offset as u16).to_le_bytes());
            bytes.extend_from_slice(&[kind, 0]);
            name_offset += name.len();
        }
        for (name, _) in block {
            bytes.extend_from_slice(name);
        }
    }
    bytes
}

fn file_type(kind: &Kind) -> u8 {
    match kind {
        Kind::Directory(_) => TYPE_DIRECTORY,
        Kind::File(_) => TYPE_FILE,
        Kind::Symlink(_) => TYPE_SYMLINK,
        Kind::CharDevice { .. } => TYPE_CHAR_DEVICE,
        Kind::BlockDevice { .. } => TYPE_BLOCK_DEVICE,
        Kind::Fifo => TYPE_FIFO,
    }
}
