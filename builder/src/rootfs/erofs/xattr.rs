//! Inline extended attributes: a header of 12 bytes behind the inode, then
//! entries of 4 bytes, name without its prefix, value, padded to 4 bytes
//! (`struct erofs_xattr_ibody_header`, `struct erofs_xattr_entry`).

use std::collections::BTreeMap;

use super::ErofsError;

type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

const HEADER_BYTES: usize = 12;
const ENTRY_BYTES: usize = 4;
const ALIGN_BYTES: usize = 4;
/// Name prefixes with their indices. The two ACL names are prefixes of themselves.
const PREFIXES: [(&[u8], u8); 5] = [
    (b"user.", 1),
    (b"system.posix_acl_access", 2),
    (b"system.posix_acl_default", 3),
    (b"trusted.", 4),
    (b"security.", 6),
];

/// Whether EROFS can hold an attribute: known prefix, lengths in bounds.
pub(crate) fn is_storable(name: &[u8], value: &[u8]) -> bool {
    split(name).is_some_and(|(_, rest)| rest.len() <= usize::from(u8::MAX))
        && value.len() <= usize::from(u16::MAX)
}

fn split(name: &[u8]) -> Option<(u8, &[u8])> {
    PREFIXES.iter().find_map(|&(prefix, index)| {
        let rest = name.strip_prefix(prefix)?;
        // `user.` must have something after it, an ACL must not.
        (prefix.ends_with(b".") != rest.is_empty()).then_some((index, rest))
    })
}

fn storable(xattrs: &Xattrs) -> impl Iterator<Item = (u8, &[u8], &[u8])> {
    xattrs
        .iter()
        .filter(|(name, value)| is_storable(name, value))
        .filter_map(|(name, value)| {
            split(name).map(|(index, rest)| (index, rest, value.as_slice()))
        })
}

/// Bytes that [`encode`] will give.
pub(super) fn encoded_bytes(xattrs: &Xattrs) -> usize {
    let entries: usize = storable(xattrs)
        .map(|(_, name, value)| {
            (ENTRY_BYTES + name.len() + value.len()).next_multiple_of(ALIGN_BYTES)
        })
        .sum();
    if entries == 0 {
        0
    } else {
        HEADER_BYTES + entries
    }
}

/// Bytes of the attributes where they are too many for an inode.
pub(crate) fn excess_bytes(xattrs: &Xattrs) -> Option<usize> {
    let len_bytes = encoded_bytes(xattrs);
    count(len_bytes).is_err().then_some(len_bytes)
}

/// `i_xattr_icount` for so many bytes.
pub(super) fn count(len_bytes: usize) -> Result<u16, ErofsError> {
    if len_bytes == 0 {
        return Ok(0);
    }
    u16::try_from((len_bytes - HEADER_BYTES) / ALIGN_BYTES + 1)
        .map_err(|_| ErofsError::XattrsTooLarge { len_bytes })
}

/// Encodes the attributes; nothing for none.
pub(super) fn encode(xattrs: &Xattrs) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, name, value) in storable(xattrs) {
        if bytes.is_empty() {
            bytes.resize(HEADER_BYTES, 0);
        }
        // Both lengths are in bounds for a storable attribute.
        bytes.extend_from_slice(&[name.len() as u8, index]);
        bytes.extend_from_slice(&(value.len() as u16).to_le_bytes());
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len().next_multiple_of(ALIGN_BYTES), 0);
    }
    bytes
}
