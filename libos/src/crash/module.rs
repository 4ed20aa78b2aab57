//! A mapped ELF file: from a file offset to a link address, from that to a
//! symbol, and where its unwind tables are.
//!
//! Files may be hostile: every read is bounded, and what does not fit is as if
//! it were not there.

use alloc::string::String;
use alloc::vec::Vec;

use crate::process::elf::{self, LOAD, Segment};

/// PT_GNU_EH_FRAME.
const UNWIND: u32 = 0x6474_e550;
/// SHT_SYMTAB: all symbols, unless the file is stripped.
const SYMBOL_TABLE: u32 = 2;
/// SHT_DYNSYM: exported ones.
const DYNAMIC_SYMBOLS: u32 = 11;
/// Name of the section of unwind tables.
const UNWIND_NAME: &[u8; 10] = b".eh_frame\0";
/// Bytes of a section header.
const SECTION_BYTES: usize = 64;
/// Bytes of a symbol.
const SYMBOL_BYTES: usize = 24;
/// Most section headers looked at.
const SECTIONS_MAX: usize = 4096;
/// Most symbols looked at: more than the largest browsers have.
const SYMBOLS_MAX: u64 = 4 << 20;
/// Symbols read at a time.
const SYMBOLS_AT_ONCE: u64 = 512;
/// Longest symbol name shown.
const NAME_MAX_BYTES: usize = 256;

/// Bytes of a file.
pub(super) trait Source {
    /// Reads up to the file's end: bytes read.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> usize;
}

impl Source for [u8] {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|at| self.get(at..))
            .unwrap_or_default();
        let len = rest.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(rest) {
            *to = *from;
        }
        len
    }
}

/// A symbol and how far into it an address is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Symbol {
    /// As in the file, mangled.
    pub name: String,
    /// Bytes from its start.
    pub offset: u64,
}

/// One table of symbols.
#[derive(Clone, Copy, Debug)]
struct Table {
    offset: u64,
    count: u64,
    names_offset: u64,
}

/// What is known of a file.
pub(super) struct Module {
    segments: Vec<Segment>,
    tables: Vec<Table>,
    unwind_tables: Option<(u64, u64)>,
}

impl Module {
    /// Reads the headers; nothing if it is no ELF file.
    pub(super) fn read(source: &(impl Source + ?Sized)) -> Option<Module> {
        let mut start = [0; elf::HEADER_BYTES];
        source.read_at(0, &mut start);
        let header = elf::parse_header(&start).ok()?;
        let mut table = alloc::vec![0; usize::from(header.segments) * 56];
        let got = source.read_at(header.segments_offset, &mut table);
        let segments = elf::parse_segments(table.get(..got)?).ok()?;
        let sections = read_sections(source, &start).unwrap_or_default();
        let tables = find_tables(&sections).unwrap_or_default();
        let unwind_tables = find_unwind_tables(source, &start, &sections);
        Some(Module {
            segments,
            tables,
            unwind_tables,
        })
    }

    /// Link address of a byte of the file that is loaded as code or data.
    pub(super) fn address_of(&self, offset: u64) -> Option<u64> {
        let holds = |s: &&Segment| s.kind == LOAD && in_range(offset, s.offset, s.file_bytes);
        let segment = self.segments.iter().find(holds)?;
        Some(segment.address.wrapping_add(offset - segment.offset))
    }

    /// File offset of a link address.
    pub(super) fn offset_of(&self, address: u64) -> Option<u64> {
        let holds = |s: &&Segment| s.kind == LOAD && in_range(address, s.address, s.file_bytes);
        let segment = self.segments.iter().find(holds)?;
        Some(segment.offset.wrapping_add(address - segment.address))
    }

    /// Link address of the unwind table's header (.eh_frame_hdr).
    pub(super) fn unwind_header(&self) -> Option<u64> {
        Some(self.segments.iter().find(|s| s.kind == UNWIND)?.address)
    }

    /// Link address and bytes of .eh_frame, for files without that header: static
    /// programs.
    pub(super) fn unwind_tables(&self) -> Option<(u64, u64)> {
        self.unwind_tables
    }

    /// The function that a link address lies in.
    pub(super) fn symbol(&self, source: &(impl Source + ?Sized), address: u64) -> Option<Symbol> {
        // The full table comes first; where it has nothing, so has the other.
        self.tables
            .iter()
            .find_map(|table| find_symbol(source, table, address))
    }
}

fn in_range(value: u64, start: u64, bytes: u64) -> bool {
    value
        .checked_sub(start)
        .is_some_and(|distance| distance < bytes)
}

fn word<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    word(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    word(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    word(bytes, at).map(u64::from_le_bytes)
}

fn read_sections(source: &(impl Source + ?Sized), header: &[u8]) -> Option<Vec<u8>> {
    let offset = u64_at(header, 40)?;
    let count = usize::from(u16_at(header, 60)?).min(SECTIONS_MAX);
    if usize::from(u16_at(header, 58)?) != SECTION_BYTES || offset == 0 {
        return None;
    }
    let mut sections = alloc::vec![0; count * SECTION_BYTES];
    let got = source.read_at(offset, &mut sections);
    sections.truncate(got);
    Some(sections)
}

fn find_tables(sections: &[u8]) -> Option<Vec<Table>> {
    let mut tables = Vec::new();
    for wanted in [SYMBOL_TABLE, DYNAMIC_SYMBOLS] {
        let section = sections
            .chunks_exact(SECTION_BYTES)
            .find(|s| u32_at(s, 4) == Some(wanted));
        let Some(section) = section else { continue };
        let names = usize::try_from(u32_at(section, 40)?).ok()?;
        let Some(names) = sections.chunks_exact(SECTION_BYTES).nth(names) else {
            continue;
        };
        tables.push(Table {
            offset: u64_at(section, 24)?,
            count: (u64_at(section, 32)? / SYMBOL_BYTES as u64).min(SYMBOLS_MAX),
            names_offset: u64_at(names, 24)?,
        });
    }
    Some(tables)
}

/// Address and bytes of the section with this name.
fn find_unwind_tables(
    source: &(impl Source + ?Sized),
    header: &[u8],
    sections: &[u8],
) -> Option<(u64, u64)> {
    let names = usize::from(u16_at(header, 62)?);
    let names = u64_at(sections.chunks_exact(SECTION_BYTES).nth(names)?, 24)?;
    let section = sections.chunks_exact(SECTION_BYTES).find(|section| {
        let mut name = [0; UNWIND_NAME.len()];
        let offset = u32_at(section, 0).and_then(|at| names.checked_add(u64::from(at)));
        let got = offset.map_or(0, |offset| source.read_at(offset, &mut name));
        got == name.len() && name == *UNWIND_NAME
    })?;
    Some((u64_at(section, 16)?, u64_at(section, 32)?))
}

/// The closest function symbol at or below `address`.
fn find_symbol(source: &(impl Source + ?Sized), table: &Table, address: u64) -> Option<Symbol> {
    let mut best: Option<(u64, u32)> = None;
    let mut buffer = alloc::vec![0; SYMBOLS_AT_ONCE as usize * SYMBOL_BYTES];
    let mut done = 0;
    while done < table.count {
        let count = (table.count - done).min(SYMBOLS_AT_ONCE) as usize;
        let part = buffer.get_mut(..count * SYMBOL_BYTES)?;
        let offset = table.offset.checked_add(done * SYMBOL_BYTES as u64)?;
        let got = source.read_at(offset, part);
        for symbol in part.get(..got)?.chunks_exact(SYMBOL_BYTES) {
            let start = u64_at(symbol, 8)?;
            if covers(symbol, start, address)? && best.is_none_or(|(other, _)| start > other) {
                best = Some((start, u32_at(symbol, 0)?));
            }
        }
        if got < part.len() {
            break;
        }
        done += count as u64;
    }
    let (start, name) = best?;
    let name = read_name(source, table.names_offset.checked_add(u64::from(name))?);
    (!name.is_empty()).then_some(Symbol {
        name,
        offset: address - start,
    })
}

/// Whether a symbol is code that `address` lies in. Assembly has no sizes.
fn covers(symbol: &[u8], start: u64, address: u64) -> Option<bool> {
    let kind = symbol.get(4)? & 0xf;
    let is_defined = u16_at(symbol, 6)? != 0;
    let bytes = u64_at(symbol, 16)?;
    // STT_NOTYPE, STT_FUNC, STT_GNU_IFUNC.
    let is_code = matches!(kind, 2 | 10) || (kind == 0 && bytes == 0);
    let inside = if bytes == 0 {
        address >= start
    } else {
        in_range(address, start, bytes)
    };
    Some(is_defined && is_code && start != 0 && inside)
}

fn read_name(source: &(impl Source + ?Sized), offset: u64) -> String {
    let mut bytes = [0; NAME_MAX_BYTES];
    let got = source.read_at(offset, &mut bytes);
    let bytes = bytes.get(..got).unwrap_or_default();
    let name = bytes.split(|b| *b == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(never)]
    fn landmark() -> u64 {
        std::hint::black_box(7)
    }

    /// Load bias of this test program, and its bytes.
    pub(crate) fn own_program() -> (u64, Vec<u8>) {
        let bytes = std::fs::read("/proc/self/exe").unwrap();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let first = maps.lines().next().unwrap();
        (
            u64::from_str_radix(first.split('-').next().unwrap(), 16).unwrap(),
            bytes,
        )
    }

    #[test]
    fn a_function_of_this_program_is_found() {
        assert_eq!(landmark(), 7);
        let (bias, bytes) = own_program();
        let module = Module::read(&bytes[..]).unwrap();
        let address = (landmark as *const ()).addr() as u64 - bias + 3;
        let symbol = module.symbol(&bytes[..], address).unwrap();
        assert!(symbol.name.contains("landmark"), "{}", symbol.name);
        assert_eq!(symbol.offset, 3);
        let offset = module.offset_of(address).unwrap();
        assert_eq!(module.address_of(offset), Some(address));
    }

    #[test]
    fn garbage_is_no_module() {
        assert!(Module::read(&b"#!/bin/sh\n"[..]).is_none());
        let (_, mut bytes) = own_program();
        bytes.truncate(4096);
        // The section headers are gone: no symbols, and no panic.
        let module = Module::read(&bytes[..]).unwrap();
        assert_eq!(module.symbol(&bytes[..], 0x1000), None);
        for at in 0..64 {
            let mut broken = bytes.clone();
            broken[at] ^= 0xff;
            if let Some(module) = Module::read(&broken[..]) {
                module.symbol(&broken[..], 0x1000);
            }
        }
    }
}
