//! A process's memory: `/proc/PID/maps`, `smaps`, `smaps_rollup`, `statm`.

use alloc::vec::Vec;

use linux_raw_sys::general::{PROT_EXEC, PROT_READ, PROT_WRITE};

use super::item::{Numbers, out};
use super::source::{self, Mapping, Resident};
use crate::errno::Errno;
use crate::fs::PAGE_BYTES;

/// Column of a mapping's name.
const NAME_COLUMN: usize = 73;

fn put_mapping(content: &mut Vec<u8>, mapping: &Mapping) {
    let flag = |bit: u32, letter: char| {
        if mapping.protection & bit != 0 {
            letter
        } else {
            '-'
        }
    };
    let start = content.len();
    out!(content, "{:08x}-{:08x} ", mapping.start, mapping.end);
    out!(
        content,
        "{}{}{}{} {:08x} ",
        flag(PROT_READ, 'r'),
        flag(PROT_WRITE, 'w'),
        flag(PROT_EXEC, 'x'),
        if mapping.shared { 's' } else { 'p' },
        mapping.offset
    );
    let (device, ino) = mapping.file;
    out!(content, "{:02x}:{:02x} {ino} ", device >> 8, device & 0xff);
    if !mapping.name.is_empty() {
        let width = (content.len() - start).max(NAME_COLUMN);
        content.resize(start + width, b' ');
        content.extend_from_slice(&mapping.name);
    }
    content.push(b'\n');
}

/// `/proc/PID/maps`.
pub(super) fn maps(numbers: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    let Some(space) = source::seen(numbers)?.space() else {
        return Ok(());
    };
    for mapping in source::mappings(&space) {
        put_mapping(content, &mapping);
    }
    Ok(())
}

/// `/proc/PID/smaps`.
pub(super) fn smaps(numbers: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    let Some(space) = source::seen(numbers)?.space() else {
        return Ok(());
    };
    for mapping in source::mappings(&space) {
        put_mapping(content, &mapping);
        out!(
            content,
            "Size:           {:>8} kB\nKernelPageSize:        4 kB\nMMUPageSize:           4 kB\n",
            mapping.bytes() / 1024
        );
        put_sizes(content, source::resident(&space, &mapping));
        out!(content, "THPeligible:           0\nVmFlags:");
        for (bit, name) in [(PROT_READ, "rd"), (PROT_WRITE, "wr"), (PROT_EXEC, "ex")] {
            if mapping.protection & bit != 0 {
                out!(content, " {name}");
            }
        }
        if mapping.shared {
            out!(content, " sh");
        }
        out!(content, " mr mw me \n");
    }
    Ok(())
}

/// `/proc/PID/smaps_rollup`.
pub(super) fn smaps_rollup(numbers: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    let space = source::seen(numbers)?.space().ok_or(Errno::ESRCH)?;
    let mappings = source::mappings(&space);
    let (start, end) = (
        mappings.first().map_or(0, |mapping| mapping.start),
        mappings.last().map_or(0, |mapping| mapping.end),
    );
    let mut line = Vec::new();
    out!(&mut line, "{start:08x}-{end:08x} ---p 00000000 00:00 0 ");
    line.resize(NAME_COLUMN.max(line.len()), b' ');
    content.extend(line);
    out!(content, "[rollup]\n");
    put_sizes(content, Resident::of(&space, &mappings));
    Ok(())
}

/// The rows that `smaps` and `smaps_rollup` share. Who else maps a page is not counted, so
/// that a share is the whole.
fn put_sizes(content: &mut Vec<u8>, resident: Resident) {
    let Resident { own, shared, large } = resident;
    let rows = [
        ("Rss", own + shared),
        ("Pss", own + shared),
        ("Pss_Dirty", own),
        ("Shared_Clean", 0),
        ("Shared_Dirty", 0),
        ("Private_Clean", shared),
        ("Private_Dirty", own),
        ("Referenced", own + shared),
        ("Anonymous", own),
        ("LazyFree", 0),
        ("AnonHugePages", large),
        ("ShmemPmdMapped", 0),
        ("FilePmdMapped", 0),
        ("Shared_Hugetlb", 0),
        ("Private_Hugetlb", 0),
        ("Swap", 0),
        ("SwapPss", 0),
        ("Locked", 0),
    ];
    for (name, bytes) in rows {
        let label = alloc::format!("{name}:");
        out!(content, "{label:<16}{:>8} kB\n", bytes / 1024);
    }
}

/// `/proc/PID/statm`.
pub(super) fn statm(numbers: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    let space = source::seen(numbers)?.space();
    let mappings = space.as_ref().map(|space| source::mappings(space));
    let mappings = mappings.unwrap_or_default();
    let resident = space.map_or_else(Default::default, |space| Resident::of(&space, &mappings));
    let pages = |wanted: u32| {
        let bytes = mappings
            .iter()
            .filter(|mapping| mapping.protection & wanted == wanted)
            .map(Mapping::bytes);
        bytes.sum::<u64>() / PAGE_BYTES
    };
    out!(
        content,
        "{} {} {} {} 0 {} 0\n",
        pages(0),
        resident.bytes() / PAGE_BYTES,
        resident.shared / PAGE_BYTES,
        pages(PROT_EXEC),
        pages(PROT_WRITE)
    );
    Ok(())
}
