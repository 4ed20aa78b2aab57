//! Reading ELF headers of programs and interpreters. Pure; hostile input gives errors.
//!
//! Source: the ELF gABI and the x86-64 psABI; errors as Linux's binfmt_elf has them.

use alloc::vec::Vec;

use crate::errno::Errno;

/// Bytes of the file header.
pub const HEADER_BYTES: usize = 64;
const SEGMENT_BYTES: usize = 56;
/// Most bytes of program headers, as Linux takes them.
const SEGMENTS_MAX_BYTES: usize = 65_536;

/// What the file header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// ET_DYN: may be put anywhere.
    pub relocatable: bool,
    /// Entry, before relocation.
    pub entry: u64,
    /// Offset of the program headers.
    pub segments_offset: u64,
    /// Number of them.
    pub segments: u16,
}

/// One program header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "names are the gABI's")]
pub struct Segment {
    pub kind: u32,
    pub flags: u32,
    pub offset: u64,
    pub address: u64,
    pub file_bytes: u64,
    pub memory_bytes: u64,
    pub align: u64,
}

/// PT_LOAD.
pub const LOAD: u32 = 1;
/// PT_INTERP.
pub const INTERPRETER: u32 = 3;
/// PT_PHDR.
pub const HEADERS: u32 = 6;
/// PT_GNU_STACK.
pub const GNU_STACK: u32 = 0x6474_e551;
/// PF_X.
pub const FLAG_EXECUTE: u32 = 1;
/// PF_W.
pub const FLAG_WRITE: u32 = 2;
/// PF_R.
pub const FLAG_READ: u32 = 4;

/// Why a file cannot be run; each has its errno and its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No ELF magic.
    NotElf,
    /// ELFCLASS32.
    Bits32,
    /// Not EM_X86_64.
    Machine(u16),
    /// Neither ET_EXEC nor ET_DYN.
    Kind(u16),
    /// Headers that cannot be right.
    Malformed(&'static str),
}

impl Refusal {
    /// What execve returns.
    pub fn errno(self) -> Errno {
        Errno::ENOEXEC
    }
}

impl core::fmt::Display for Refusal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Refusal::NotElf => write!(f, "not an ELF file and no #! line"),
            Refusal::Bits32 => write!(f, "a 32-bit program; only x86-64 programs run"),
            Refusal::Machine(machine) => {
                write!(
                    f,
                    "for another architecture (ELF machine {machine}); only x86-64 runs"
                )
            }
            Refusal::Kind(kind) => write!(f, "no program (ELF type {kind})"),
            Refusal::Malformed(what) => write!(f, "a malformed ELF file: {what}"),
        }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    let mut value = [0; 2];
    value.copy_from_slice(&bytes[at..at + 2]);
    u16::from_le_bytes(value)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut value = [0; 4];
    value.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(value)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(value)
}

/// Checks the file header. `start` is the first bytes of the file.
///
/// # Errors
/// See [`Refusal`].
pub fn parse_header(start: &[u8]) -> Result<Header, Refusal> {
    if start.get(..4) != Some(b"\x7fELF") {
        return Err(Refusal::NotElf);
    }
    let bytes = start
        .get(..HEADER_BYTES)
        .ok_or(Refusal::Malformed("the header is cut off"))?;
    if bytes[4] == 1 {
        return Err(Refusal::Bits32);
    }
    if bytes[4] != 2 || bytes[5] != 1 {
        return Err(Refusal::Malformed("class or byte order"));
    }
    let machine = u16_at(bytes, 18);
    if machine != 62 {
        return Err(Refusal::Machine(machine));
    }
    let kind = u16_at(bytes, 16);
    if kind != 2 && kind != 3 {
        return Err(Refusal::Kind(kind));
    }
    let segments = u16_at(bytes, 56);
    let table_bytes = usize::from(segments) * SEGMENT_BYTES;
    if u16_at(bytes, 54) != SEGMENT_BYTES as u16
        || segments == 0
        || table_bytes > SEGMENTS_MAX_BYTES
    {
        return Err(Refusal::Malformed("program headers"));
    }
    Ok(Header {
        relocatable: kind == 3,
        entry: u64_at(bytes, 24),
        segments_offset: u64_at(bytes, 32),
        segments,
    })
}

/// Splits the program header table.
///
/// # Errors
/// [`Refusal::Malformed`].
pub fn parse_segments(table: &[u8]) -> Result<Vec<Segment>, Refusal> {
    let mut segments = Vec::new();
    let mut last_end = 0;
    for bytes in table.chunks_exact(SEGMENT_BYTES) {
        let segment = Segment {
            kind: u32_at(bytes, 0),
            flags: u32_at(bytes, 4),
            offset: u64_at(bytes, 8),
            address: u64_at(bytes, 16),
            file_bytes: u64_at(bytes, 32),
            memory_bytes: u64_at(bytes, 40),
            align: u64_at(bytes, 48),
        };
        if segment.kind == LOAD {
            check_load(&segment, last_end)?;
            last_end = segment.address + segment.memory_bytes;
        }
        segments.push(segment);
    }
    if !segments
        .iter()
        .any(|s| s.kind == LOAD && s.memory_bytes > 0)
    {
        return Err(Refusal::Malformed("nothing to load"));
    }
    Ok(segments)
}

fn check_load(segment: &Segment, last_end: u64) -> Result<(), Refusal> {
    let end = segment.address.checked_add(segment.memory_bytes);
    if end.is_none_or(|end| end > unikiln_abi::layout::APP_END) {
        return Err(Refusal::Malformed("a segment outside the address space"));
    }
    if segment.offset.checked_add(segment.file_bytes).is_none() {
        return Err(Refusal::Malformed("a segment past the end of the file"));
    }
    if segment.file_bytes > segment.memory_bytes {
        return Err(Refusal::Malformed(
            "a segment larger in the file than in memory",
        ));
    }
    if segment.address % 4096 != segment.offset % 4096 {
        return Err(Refusal::Malformed(
            "a segment that is not congruent with its offset",
        ));
    }
    if segment.address < last_end {
        return Err(Refusal::Malformed(
            "segments that overlap or are out of order",
        ));
    }
    Ok(())
}

/// The interpreter and its one argument of a `#!` line.
pub fn parse_script(start: &[u8]) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let line = start.strip_prefix(b"#!")?;
    let line = line.split(|b| *b == b'\n').next()?;
    let blank = |b: &u8| *b == b' ' || *b == b'\t' || *b == b'\r';
    let from = line.iter().position(|b| !blank(b))?;
    let line = &line[from..];
    let end = line.iter().position(blank).unwrap_or(line.len());
    let (program, rest) = line.split_at(end);
    let argument = rest.iter().position(|b| !blank(b)).map(|from| {
        let rest = &rest[from..];
        let end = rest
            .iter()
            .rposition(|b| !blank(b))
            .map_or(0, |last| last + 1);
        rest[..end].to_vec()
    });
    Some((program.to_vec(), argument))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_program_is_accepted() {
        let file = std::fs::read("/proc/self/exe").unwrap();
        let header = parse_header(&file[..4096]).unwrap();
        assert!(header.relocatable);
        let from = header.segments_offset as usize;
        let table = &file[from..from + usize::from(header.segments) * SEGMENT_BYTES];
        let segments = parse_segments(table).unwrap();
        assert!(segments.iter().any(|s| s.kind == INTERPRETER));
    }

    #[test]
    fn refusals_name_the_cause() {
        assert_eq!(parse_header(b"hello"), Err(Refusal::NotElf));
        let mut file = std::fs::read("/proc/self/exe").unwrap();
        file.truncate(4096);
        let mut other = file.clone();
        other[4] = 1;
        assert_eq!(parse_header(&other), Err(Refusal::Bits32));
        other = file.clone();
        other[18] = 183;
        assert_eq!(parse_header(&other), Err(Refusal::Machine(183)));
        assert!(matches!(
            parse_header(&file[..20]),
            Err(Refusal::Malformed(_))
        ));
    }

    #[test]
    fn script_lines_split_as_linux_splits_them() {
        let script = |text: &[u8]| parse_script(text);
        assert_eq!(script(b"#!/bin/sh\n"), Some((b"/bin/sh".to_vec(), None)));
        let two = (b"/usr/bin/env".to_vec(), Some(b"python3 -u".to_vec()));
        assert_eq!(script(b"#! /usr/bin/env  python3 -u \nx"), Some(two));
        assert_eq!(script(b"plain"), None);
        assert_eq!(script(b"#!   \n"), None);
    }
}
