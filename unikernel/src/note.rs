//! The two ELF notes, which share one PT_NOTE segment: the manifest, then the
//! checksums, whose last bytes end the segment.
//!
//! A note is three u32 (name size with its NUL, descriptor size, type), the name
//! and the descriptor, each padded to four bytes (gABI, "Note section").

use crate::elf::u32_at;
use crate::{NOTE_NAME, NOTE_TYPE_CHECKSUMS};

const NOTE_HEADER_BYTES: usize = 12;
const NAME_BYTES: usize = NOTE_NAME.len() + 1;
const CHECKSUM_DESCRIPTOR_BYTES: usize = 8;
/// Bytes of the checksum note.
pub const CHECKSUM_NOTE_BYTES: usize =
    NOTE_HEADER_BYTES + NAME_BYTES.next_multiple_of(4) + CHECKSUM_DESCRIPTOR_BYTES;

/// CRC-32 (IEEE 802.3) of the two parts of a file. They find damage, not malice:
/// a unikernel is guest code from its first byte, and trusted as little.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checksums {
    /// Bytes 0 up to the checksum note's descriptor.
    pub head: u32,
    /// Bytes from the end of the checksum note to the end of the file.
    pub tail: u32,
}

impl Checksums {
    /// The checksum note.
    pub fn encode(self) -> Vec<u8> {
        let mut descriptor = [0; CHECKSUM_DESCRIPTOR_BYTES];
        descriptor[..4].copy_from_slice(&self.head.to_le_bytes());
        descriptor[4..].copy_from_slice(&self.tail.to_le_bytes());
        note(NOTE_TYPE_CHECKSUMS, &descriptor)
    }

    /// Offset of the descriptor in the checksum note.
    pub const fn descriptor_offset() -> usize {
        CHECKSUM_NOTE_BYTES - CHECKSUM_DESCRIPTOR_BYTES
    }

    pub(crate) fn decode(descriptor: &[u8]) -> Option<Self> {
        Some(Self {
            head: u32_at(descriptor, 0)?,
            tail: u32_at(descriptor, 4)?,
        })
    }
}

/// Encodes one note of this project's name.
pub fn note(kind: u32, descriptor: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(descriptor.len() + 32);
    for word in [NAME_BYTES as u32, descriptor.len() as u32, kind] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.extend_from_slice(NOTE_NAME.as_bytes());
    bytes.push(0);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend_from_slice(descriptor);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Splits the first note off `bytes`: its type, its descriptor and the rest.
/// `None` where it does not fit or has another name.
pub(crate) fn split_note(bytes: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let name_bytes = u32_at(bytes, 0)? as usize;
    let descriptor_bytes = u32_at(bytes, 4)? as usize;
    let kind = u32_at(bytes, 8)?;
    let name = bytes.get(NOTE_HEADER_BYTES..NOTE_HEADER_BYTES.checked_add(name_bytes)?)?;
    if name.strip_suffix(&[0]) != Some(NOTE_NAME.as_bytes()) {
        return None;
    }
    let start = (NOTE_HEADER_BYTES + name_bytes).next_multiple_of(4);
    let end = start.checked_add(descriptor_bytes)?;
    let descriptor = bytes.get(start..end)?;
    let rest = bytes.get(end.next_multiple_of(4)..)?;
    Some((kind, descriptor, rest))
}
