//! Beginnings of functions in a Go program, from the table by which Go itself
//! finds them: stripped programs have it, too.
//!
//! Source: `internal/abi` and `debug/gosym` describe the header of each version.

use super::object::{Object, word};

/// Versions of the table whose entries are offsets from the beginning of the text.
const MAGIC_OFFSETS: [u32; 2] = [0xffff_fff0, 0xffff_fff1];
/// The version before, whose entries are addresses.
const MAGIC_ADDRESSES: u32 = 0xffff_fffa;
const SECTIONS: [&[u8]; 2] = [b".gopclntab", b".data.rel.ro.gopclntab"];

/// Addresses of all functions; none where this is no Go program.
pub(super) fn functions(object: &Object<'_>) -> Vec<u64> {
    let table = SECTIONS.iter().find_map(|name| object.section(name));
    table
        .and_then(|table| read(object, table.bytes))
        .unwrap_or_default()
}

fn read(object: &Object<'_>, table: &[u8]) -> Option<Vec<u64>> {
    let header = table.get(..72)?;
    let magic = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
    // Instructions of one byte, pointers of eight.
    if header[4..8] != [0, 0, 1, 8] {
        return None;
    }
    let count = usize::try_from(word(header, 8)).ok()?;
    let entries = |at: usize, bytes: usize| {
        let start = usize::try_from(word(header, at)).ok()?;
        let end = start.checked_add(count.checked_mul(bytes)?)?;
        table.get(start..end)
    };
    let mut addresses: Vec<u64> = if MAGIC_OFFSETS.contains(&magic) {
        let text = match word(header, 24) {
            // Filled in by a relocation, or by nobody in newer versions.
            0 => object.section(b".text")?.address,
            text => text,
        };
        let offset = |entry: &[u8]| u32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]);
        let entries = entries(64, 8)?.chunks_exact(8);
        entries
            .map(|entry| text.wrapping_add(offset(entry).into()))
            .collect()
    } else if magic == MAGIC_ADDRESSES {
        let entries = entries(56, 16)?.chunks_exact(16);
        entries.map(|entry| word(entry, 0)).collect()
    } else {
        return None;
    };
    addresses.retain(|&address| object.is_code(address));
    Some(addresses)
}
