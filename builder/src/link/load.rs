//! Reads of a program what the linker looks at.
//!
//! Debugging information and names, often most of a file, stay on disk: in
//! memory they are zeros that nobody touches, which take no room. So a file
//! costs what it has of code, data and symbols, and that has a limit.

use std::ops::Range;

use super::object::{HEADER_BYTES, PHDR_BYTES};
use super::report::LeftFile;
use crate::rootfs::storage::{Contents, StorageError};

/// Longest file that is looked at.
const FILE_MAX_BYTES: u64 = 1 << 30;
/// Most bytes of it that are read.
const READ_MAX_BYTES: u64 = 160 << 20;
/// Bytes looked at behind a segment, for padding, and behind the table of
/// segments, for one more.
const AFTER_BYTES: u64 = 4096;

const PT_NULL: u32 = 0;
const SHT_NULL: u32 = 0;
const SHT_PROGBITS: u32 = 1;
const SHT_STRTAB: u32 = 3;
const SHT_NOTE: u32 = 7;
const SHT_NOBITS: u32 = 8;
const SHF_ALLOC: u64 = 2;

/// The file, zeros where it was not read.
pub(super) fn load(
    contents: &Contents<'_>,
    len_bytes: u64,
) -> Result<Result<Vec<u8>, LeftFile>, StorageError> {
    if len_bytes > FILE_MAX_BYTES {
        return Ok(Err(LeftFile::TooLarge));
    }
    if len_bytes < HEADER_BYTES as u64 {
        return Ok(Err(LeftFile::Malformed));
    }
    let mut bytes = vec![0; len_bytes as usize];
    contents.read_exact_at(&mut bytes[..HEADER_BYTES], 0)?;
    let tables = tables(&bytes, len_bytes);
    for table in &tables {
        read(contents, &mut bytes, table)?;
    }
    let mut ranges = tables.to_vec();
    let [segments, sections] = tables;
    ranges.extend(segment_ranges(&bytes, segments, len_bytes));
    ranges.extend(section_ranges(&bytes, sections, len_bytes));
    let ranges = merge(ranges);
    let needed: u64 = ranges.iter().map(|range| range.end - range.start).sum();
    if needed > READ_MAX_BYTES {
        return Ok(Err(LeftFile::TooLarge));
    }
    for range in &ranges {
        read(contents, &mut bytes, range)?;
    }
    Ok(Ok(bytes))
}

fn read(contents: &Contents<'_>, bytes: &mut [u8], range: &Range<u64>) -> Result<(), StorageError> {
    contents.read_exact_at(
        &mut bytes[range.start as usize..range.end as usize],
        range.start,
    )
}

/// Where the two tables of headers are, as far as they lie in the file.
fn tables(bytes: &[u8], len_bytes: u64) -> [Range<u64>; 2] {
    let table = |offset: u64, count: u16, each: usize, more: u64| {
        let end = offset.saturating_add(u64::from(count) * each as u64 + more);
        offset.min(len_bytes)..end.min(len_bytes)
    };
    let segments = table(word(bytes, 32), half(bytes, 56), PHDR_BYTES, AFTER_BYTES);
    let sections = table(word(bytes, 40), half(bytes, 60), HEADER_BYTES, 0);
    [segments, sections]
}

/// What segments hold, and what could be padding behind them.
fn segment_ranges(
    bytes: &[u8],
    table: Range<u64>,
    len_bytes: u64,
) -> impl Iterator<Item = Range<u64>> {
    let count = usize::from(half(bytes, 56));
    bytes[table.start as usize..table.end as usize]
        .chunks_exact(PHDR_BYTES)
        .take(count)
        .filter(|header| int(header, 0) != PT_NULL)
        .map(move |header| {
            let (offset, filesz) = (word(header, 8), word(header, 32));
            let end = offset.saturating_add(filesz).saturating_add(AFTER_BYTES);
            offset.min(len_bytes)..end.min(len_bytes)
        })
}

/// Sections that are loaded, symbols, relocations, and the names of sections.
fn section_ranges(
    bytes: &[u8],
    table: Range<u64>,
    len_bytes: u64,
) -> impl Iterator<Item = Range<u64>> {
    let names = usize::from(half(bytes, 62));
    bytes[table.start as usize..table.end as usize]
        .chunks_exact(HEADER_BYTES)
        .enumerate()
        .filter(move |&(index, header)| {
            let is_loaded = word(header, 8) & SHF_ALLOC != 0;
            match int(header, 4) {
                SHT_NULL | SHT_NOBITS => false,
                SHT_PROGBITS | SHT_NOTE => is_loaded,
                SHT_STRTAB => is_loaded || index == names,
                _ => true,
            }
        })
        .map(move |(_, header)| {
            let (offset, size) = (word(header, 24), word(header, 32));
            offset.min(len_bytes)..offset.saturating_add(size).min(len_bytes)
        })
}

/// The same bytes in ranges that do not touch.
fn merge(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.retain(|range| range.start < range.end);
    ranges.sort_unstable_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn int(bytes: &[u8], at: usize) -> u32 {
    u32::from(half(bytes, at)) | u32::from(half(bytes, at + 2)) << 16
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from(int(bytes, at)) | u64::from(int(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::{Contents, LeftFile, READ_MAX_BYTES, load};
    use crate::link::tests::compile;

    const SOURCE: &str = ".globl _start\n.type _start, @function\n_start:\n.cfi_startproc\n\
        mov $39, %eax\nsyscall\nret\n.cfi_endproc\n.size _start, .-_start\n";

    fn loaded(file: &[u8]) -> Result<Vec<u8>, LeftFile> {
        load(&Contents::Bytes(file), file.len() as u64).expect("a slice can be read")
    }

    #[test]
    fn what_is_not_read_changes_nothing() {
        let debug = ".section .debug_info\n.fill 20000, 1, 0x55\n";
        let file = compile("assembler", &(SOURCE.to_owned() + debug), &["-static"]);
        let read = loaded(&file).expect("whole");
        assert_eq!(read.len(), file.len());
        // Debugging information is there, and was left out.
        assert!(read != file);
        let edits = |bytes: &[u8]| crate::link::rewrite::edits(bytes).expect("a program");
        assert_eq!(edits(&read), edits(&file));
    }

    #[test]
    fn headers_that_point_anywhere_are_survived() {
        let file = compile("assembler", SOURCE, &["-static"]);
        // e_phoff, e_shoff, e_phnum, e_shnum, e_shstrndx.
        for (at, len) in [(32, 8), (40, 8), (56, 2), (60, 2), (62, 2)] {
            for byte in [0, 0x7f, 0xff] {
                let mut wrong = file.clone();
                wrong[at..at + len].fill(byte);
                let _ = loaded(&wrong);
            }
        }
        for len in [0, 1, 63, 64, 65, 200] {
            let _ = loaded(&file[..len]);
        }
    }

    #[test]
    fn a_file_that_is_all_code_has_a_limit() {
        let mut file = compile("assembler", SOURCE, &["-static"]);
        // The first segment claims to be large.
        let size = (READ_MAX_BYTES + 1).to_le_bytes();
        file[64 + 32..64 + 40].copy_from_slice(&size);
        let sparse = SparseFile::new(&file, READ_MAX_BYTES + 1);
        let result = load(&sparse.contents(), READ_MAX_BYTES + 1).expect("readable");
        assert_eq!(result.err(), Some(LeftFile::TooLarge));
    }

    /// A file with a hole behind its start.
    struct SparseFile(std::fs::File);

    impl SparseFile {
        fn new(start: &[u8], len_bytes: u64) -> Self {
            use std::os::unix::fs::FileExt;
            let file = tempfile::tempfile().expect("temporary file");
            file.write_all_at(start, 0).expect("write");
            file.set_len(len_bytes).expect("set length");
            Self(file)
        }

        fn contents(&self) -> Contents<'_> {
            Contents::Spooled {
                file: &self.0,
                start: 0,
            }
        }
    }
}
