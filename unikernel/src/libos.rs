//! The libOS header at the first byte of the lowest segment.

use unikiln_abi::image::{GATES, LIBOS_MAGIC, LibosHeader};
use unikiln_abi::layout::TRAP_ENTRIES;

use crate::elf::{Segment, u32_at, u64_at};

/// Bytes of the header.
pub(crate) const LIBOS_HEADER_BYTES: usize = size_of::<LibosHeader>();

/// Magic and ABI version, which every version keeps at the same place.
pub(crate) fn parse_version(bytes: &[u8]) -> Option<u32> {
    (u64_at(bytes, 0)? == LIBOS_MAGIC).then_some(())?;
    u32_at(bytes, 8)
}

/// Parses a header of this program's own ABI version; `None` when too short.
pub(crate) fn parse_header(bytes: &[u8]) -> Option<LibosHeader> {
    let mut trap_entries = [0; TRAP_ENTRIES];
    for (index, entry) in trap_entries.iter_mut().enumerate() {
        *entry = u64_at(bytes, 40 + index * 8)?;
    }
    let mut gates = [0; GATES];
    for (index, gate) in gates.iter_mut().enumerate() {
        *gate = u64_at(bytes, 56 + (TRAP_ENTRIES + index) * 8)?;
    }
    Some(LibosHeader {
        magic: u64_at(bytes, 0)?,
        abi_version: u32_at(bytes, 8)?,
        header_bytes: u32_at(bytes, 12)?,
        entry: u64_at(bytes, 16)?,
        boot_stack_top: u64_at(bytes, 24)?,
        syscall_entry: u64_at(bytes, 32)?,
        trap_entries,
        text_start: u64_at(bytes, 40 + TRAP_ENTRIES * 8)?,
        text_end: u64_at(bytes, 48 + TRAP_ENTRIES * 8)?,
        gates,
    })
}

/// Checks the header against the segments; the error names the field that is wrong.
pub(crate) fn check_header(header: &LibosHeader, segments: &[Segment]) -> Result<(), &'static str> {
    let in_text = |address: u64| {
        segments
            .iter()
            .any(|segment| segment.flags.executable && segment.contains(address))
    };
    if header.header_bytes as usize != LIBOS_HEADER_BYTES {
        return Err("header size");
    }
    if !in_text(header.entry) {
        return Err("entry");
    }
    if !in_text(header.syscall_entry) {
        return Err("system-call entry");
    }
    if !header.trap_entries.iter().all(|&entry| in_text(entry)) {
        return Err("trap entries");
    }
    if !header.gates.iter().all(|&gate| in_text(gate)) {
        return Err("gates");
    }
    // The top is the first byte after the stack, so the byte below it must be there.
    let stack_is_writable = header.boot_stack_top.is_multiple_of(16)
        && header.boot_stack_top != 0
        && segments
            .iter()
            .any(|segment| segment.flags.writable && segment.contains(header.boot_stack_top - 1));
    if !stack_is_writable {
        return Err("boot stack");
    }
    let text_is_one_segment = header.text_start < header.text_end
        && segments.iter().any(|segment| {
            segment.flags.executable
                && segment.contains(header.text_start)
                && segment.contains(header.text_end - 1)
        });
    if !text_is_one_segment {
        return Err("text bounds");
    }
    Ok(())
}
