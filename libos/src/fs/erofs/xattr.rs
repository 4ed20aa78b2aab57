//! Extended attributes of EROFS inodes, inline and shared.

use alloc::vec::Vec;

use super::{Image, Inode, le16, le32};
use crate::errno::Errno;

const HEADER_BYTES: usize = 12;
const ENTRY_BYTES: usize = 4;

/// Full name and value.
pub(crate) type Attribute = (Vec<u8>, &'static [u8]);

/// Prefixes by index; trusted and security ones as the kernel numbers them.
fn prefix(index: u8) -> Option<&'static [u8]> {
    match index {
        1 => Some(b"user."),
        2 => Some(b"system.posix_acl_access"),
        3 => Some(b"system.posix_acl_default"),
        4 => Some(b"trusted."),
        6 => Some(b"security."),
        _ => None,
    }
}

impl Inode {
    /// All attributes, full names and values, in the image's order. Unknown prefixes are left out.
    pub fn xattrs(&self, image: &Image) -> Result<Vec<Attribute>, Errno> {
        let mut found = Vec::new();
        let (offset, len) = self.xattrs;
        if len < HEADER_BYTES as u64 {
            return Ok(found);
        }
        let area = image.bytes(offset, len)?;
        let shared_count = usize::from(area.get(4).copied().unwrap_or(0));
        let mut at = HEADER_BYTES;
        for _ in 0..shared_count {
            if at + 4 > area.len() {
                return Err(Errno::EIO);
            }
            // A shared attribute lies somewhere in the shared area; its own header tells its length.
            let position = image.xattrs_offset + u64::from(le32(area, at)) * 4;
            let header = image.bytes(position, ENTRY_BYTES as u64)?;
            let whole = image.bytes(position, entry_bytes(header) as u64)?;
            push(&mut found, whole)?;
            at += 4;
        }
        while at + ENTRY_BYTES <= area.len() {
            let entry = area.get(at..).ok_or(Errno::EIO)?;
            if le32(entry, 0) == 0 {
                break;
            }
            push(&mut found, entry)?;
            at += entry_bytes(entry).next_multiple_of(4);
        }
        Ok(found)
    }
}

/// Bytes of an entry: header, name, value; at most 64 KiB and some.
fn entry_bytes(entry: &[u8]) -> usize {
    ENTRY_BYTES + usize::from(entry.first().copied().unwrap_or(0)) + usize::from(le16(entry, 2))
}

fn push(found: &mut Vec<Attribute>, entry: &'static [u8]) -> Result<(), Errno> {
    let name_bytes = usize::from(entry.first().copied().ok_or(Errno::EIO)?);
    let index = entry.get(1).copied().ok_or(Errno::EIO)?;
    let value_start = ENTRY_BYTES + name_bytes;
    let name = entry.get(ENTRY_BYTES..value_start).ok_or(Errno::EIO)?;
    let value = entry
        .get(value_start..entry_bytes(entry))
        .ok_or(Errno::EIO)?;
    if let Some(prefix) = prefix(index) {
        found.push(([prefix, name].concat(), value));
    }
    Ok(())
}
