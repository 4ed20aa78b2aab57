//! An ELF file as the dynamic linker sees it once it is mapped: by its program
//! headers alone, since stripped files have no sections. Files come from images:
//! every offset is checked, and what makes no sense is not there.

use std::collections::HashMap;

use goblin::elf::dynamic::{
    DF_TEXTREL, DT_FLAGS, DT_GNU_HASH, DT_HASH, DT_JMPREL, DT_PLTRELSZ, DT_RELA, DT_RELASZ,
    DT_SONAME, DT_STRTAB, DT_SYMTAB, DT_TEXTREL,
};
use goblin::elf::header::{ET_DYN, ET_EXEC};
use goblin::elf::program_header::{
    PF_X, PT_DYNAMIC, PT_GNU_EH_FRAME, PT_GNU_RELRO, PT_GNU_STACK, PT_LOAD,
};

const HEADER_BYTES: usize = 64;
const PHDR_BYTES: usize = 56;
const DYN_BYTES: usize = 16;
const SYM_BYTES: usize = 24;
const RELA_BYTES: usize = 24;
/// PT_GNU_PROPERTY.
const PT_GNU_PROPERTY: u32 = 0x6474_e553;
/// GNU_PROPERTY_X86_ISA_1_NEEDED.
const ISA_NEEDED: u32 = 0xc000_8002;
/// R_X86_64_RELATIVE.
const RELATIVE: u32 = 8;
/// R_X86_64_64, R_X86_64_GLOB_DAT, R_X86_64_JUMP_SLOT.
const SYMBOL_RELOCATIONS: [u32; 3] = [1, 6, 7];
/// Most entries of any table that is walked.
pub(super) const ENTRIES_MAX: usize = 1 << 20;
/// Most program headers that are looked at.
const SEGMENTS_MAX: usize = 128;
/// Longest name of a symbol, a version or a file.
const NAME_MAX_BYTES: usize = 4096;

/// One program header.
#[derive(Clone, Copy, Debug)]
struct Segment {
    kind: u32,
    flags: u32,
    offset: u64,
    address: u64,
    file_bytes: u64,
}

/// Places that the dynamic linker fills, by their addresses.
#[derive(Debug, Default)]
pub(super) struct Slots<'a> {
    /// With the address of a symbol.
    pub(super) symbols: HashMap<u64, &'a [u8]>,
    /// With that of code of the same file.
    pub(super) addresses: HashMap<u64, u64>,
}

/// See the module documentation.
pub(super) struct Mapped<'a> {
    bytes: &'a [u8],
    segments: Vec<Segment>,
    dynamic: Vec<(u64, u64)>,
    /// ET_DYN.
    pub(super) is_relocatable: bool,
    /// Where it begins.
    pub(super) entry: u64,
}

impl<'a> Mapped<'a> {
    /// Reads the headers of a 64-bit program or shared object.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let header = bytes.get(..HEADER_BYTES)?;
        let kind = u16_at(header, 16)?;
        if header[..6] != *b"\x7fELF\x02\x01" || ![ET_EXEC, ET_DYN].contains(&kind) {
            return None;
        }
        let start = usize::try_from(u64_at(header, 32)?).ok()?;
        let table_bytes = usize::from(u16_at(header, 56)?) * PHDR_BYTES;
        let table = bytes.get(start..start.checked_add(table_bytes)?)?;
        let segments: Vec<_> = (table.chunks_exact(PHDR_BYTES).take(SEGMENTS_MAX))
            .filter_map(|entry| {
                Some(Segment {
                    kind: u32_at(entry, 0)?,
                    flags: u32_at(entry, 4)?,
                    offset: u64_at(entry, 8)?,
                    address: u64_at(entry, 16)?,
                    file_bytes: u64_at(entry, 32)?,
                })
            })
            .collect();
        let mut left = bytes.len() as u64 * 2;
        let mut segments = segments;
        // Nobody maps the same again and again, but to be looked at for ever.
        segments.retain(|segment| {
            let is_taken = segment.kind != PT_LOAD || segment.file_bytes <= left;
            if segment.kind == PT_LOAD && is_taken {
                left -= segment.file_bytes;
            }
            is_taken
        });
        let mut mapped = Self {
            bytes,
            segments,
            dynamic: Vec::new(),
            is_relocatable: kind == ET_DYN,
            entry: u64_at(header, 24)?,
        };
        if let Some(dynamic) = mapped.segment(PT_DYNAMIC).and_then(|s| mapped.contents(s)) {
            mapped.dynamic = (dynamic.chunks_exact(DYN_BYTES))
                .filter_map(|entry| Some((u64_at(entry, 0)?, u64_at(entry, 8)?)))
                .take_while(|&(tag, _)| tag != 0)
                .collect();
        }
        Some(mapped)
    }

    fn segment(&self, kind: u32) -> Option<Segment> {
        self.segments.iter().find(|s| s.kind == kind).copied()
    }

    fn contents(&self, segment: Segment) -> Option<&'a [u8]> {
        let start = usize::try_from(segment.offset).ok()?;
        let len = usize::try_from(segment.file_bytes).ok()?;
        self.bytes.get(start..start.checked_add(len)?)
    }

    /// What is mapped of the file from `address` to the end of its segment.
    pub(super) fn at(&self, address: u64) -> Option<&'a [u8]> {
        let inside =
            |s: &&Segment| s.kind == PT_LOAD && address.wrapping_sub(s.address) < s.file_bytes;
        let segment = *self.segments.iter().find(inside)?;
        self.contents(segment)?
            .get(usize::try_from(address - segment.address).ok()?..)
    }

    /// Executable segments: address and bytes.
    pub(super) fn code(&self) -> impl Iterator<Item = (u64, &'a [u8])> {
        let code = self.segments.iter();
        code.filter(|s| s.kind == PT_LOAD && s.flags & PF_X != 0)
            .filter_map(|s| Some((s.address, self.contents(*s)?)))
    }

    /// Segments that are mapped and not code.
    pub(super) fn data(&self) -> impl Iterator<Item = (u64, &'a [u8])> {
        let data = self.segments.iter();
        data.filter(|s| s.kind == PT_LOAD && s.flags & PF_X == 0)
            .filter_map(|s| Some((s.address, self.contents(*s)?)))
    }

    /// Whether `address` is in code.
    pub(super) fn is_code(&self, address: u64) -> bool {
        self.code()
            .any(|(start, bytes)| address.wrapping_sub(start) < bytes.len() as u64)
    }

    /// Whether it asks for a stack that can be executed.
    pub(super) fn has_executable_stack(&self) -> bool {
        let stack = self.segment(PT_GNU_STACK);
        stack.is_some_and(|segment| segment.flags & PF_X != 0)
    }

    /// The first dynamic entry with this tag.
    pub(super) fn value(&self, tag: u64) -> Option<u64> {
        let entry = self.dynamic.iter().find(|entry| entry.0 == tag)?;
        Some(entry.1)
    }

    /// Whether the dynamic linker changes its code.
    pub(super) fn has_text_relocations(&self) -> bool {
        let has_flag = |flags: u64| flags & DF_TEXTREL != 0;
        self.value(DT_TEXTREL).is_some() || self.value(DT_FLAGS).is_some_and(has_flag)
    }

    /// A string of the dynamic linker's.
    pub(super) fn string(&self, offset: u64) -> Option<&'a [u8]> {
        let rest = self.at(self.value(DT_STRTAB)?.checked_add(offset)?)?;
        let rest = &rest[..rest.len().min(NAME_MAX_BYTES)];
        Some(&rest[..rest.iter().position(|&byte| byte == 0)?])
    }

    /// DT_SONAME.
    pub(super) fn name(&self) -> Option<&'a [u8]> {
        self.string(self.value(DT_SONAME)?)
    }

    /// The symbol's name and, where it is defined here, its address.
    fn symbol(&self, index: u64) -> Option<(&'a [u8], Option<u64>)> {
        let at = index.checked_mul(SYM_BYTES as u64)?;
        let entry = self.at(self.value(DT_SYMTAB)?.checked_add(at)?)?;
        let entry = entry.get(..SYM_BYTES)?;
        let name = self.string(u32_at(entry, 0)?.into())?;
        let is_here = u16_at(entry, 6)? != 0;
        Some((name, is_here.then_some(u64_at(entry, 8)?)))
    }

    /// Places that the dynamic linker fills.
    pub(super) fn slots(&self) -> Slots<'a> {
        let mut slots = Slots::default();
        for (start, bytes) in [(DT_RELA, DT_RELASZ), (DT_JMPREL, DT_PLTRELSZ)] {
            let (Some(start), Some(bytes)) = (self.value(start), self.value(bytes)) else {
                continue;
            };
            let table = self.at(start).unwrap_or_default();
            let bytes = usize::try_from(bytes).map_or(table.len(), |len| len.min(table.len()));
            for entry in table[..bytes].chunks_exact(RELA_BYTES).take(ENTRIES_MAX) {
                let word = |at| u64_at(entry, at).unwrap_or(0);
                let (place, info, addend) = (word(0), word(8), word(16));
                if SYMBOL_RELOCATIONS.contains(&(info as u32))
                    && let Some((name, _)) = self.symbol(info >> 32)
                    && !name.is_empty()
                {
                    slots.symbols.insert(place, name);
                } else if info as u32 == RELATIVE && self.is_constant(place) && self.is_code(addend)
                {
                    slots.addresses.insert(place, addend);
                }
            }
        }
        slots
    }

    /// Whether nobody but the dynamic linker writes there.
    fn is_constant(&self, address: u64) -> bool {
        let constant = self.segment(PT_GNU_RELRO);
        constant.is_some_and(|s| address.wrapping_sub(s.address) < s.file_bytes)
    }

    /// The address of code that is in a place from the beginning, and stays.
    pub(super) fn constant_at(&self, place: u64) -> Option<u64> {
        let address = u64_at(self.at(place)?, 0)?;
        (self.is_constant(place) && self.is_code(address)).then_some(address)
    }

    /// Symbols that others find here.
    pub(super) fn exports(&self) -> HashMap<&'a [u8], u64> {
        let count = self.symbol_count().unwrap_or(0).min(ENTRIES_MAX as u64);
        (0..count)
            .map_while(|index| self.symbol(index))
            .filter_map(|(name, address)| Some((name, address?)))
            .filter(|&(_, address)| self.is_code(address))
            .collect()
    }

    /// How many symbols there are, by the hash table.
    fn symbol_count(&self) -> Option<u64> {
        if let Some(hash) = self.value(DT_HASH) {
            return u32_at(self.at(hash)?, 4).map(u64::from);
        }
        let table = self.at(self.value(DT_GNU_HASH)?)?;
        let (buckets, first) = (u32_at(table, 0)? as usize, u32_at(table, 4)?);
        let bloom = u32_at(table, 8)? as usize;
        let start = bloom.checked_mul(8)?.checked_add(16)?;
        let chains = start.checked_add(buckets.checked_mul(4)?)?;
        let bucket = |entry: &[u8]| u32_at(entry, 0);
        let last = table
            .get(start..chains)?
            .chunks_exact(4)
            .filter_map(bucket)
            .max()?;
        let mut chain = table.get(chains..)?.chunks_exact(4);
        let skipped = last.checked_sub(first)?;
        // The last of each chain has its lowest bit set.
        let more = chain
            .by_ref()
            .skip(skipped as usize)
            .position(|entry| entry[0] & 1 != 0)?;
        Some(u64::from(last) + more as u64 + 1)
    }

    /// The x86-64 architecture level that it says it needs, 1 to 4.
    pub(super) fn isa_level(&self) -> u8 {
        let properties = self.segment(PT_GNU_PROPERTY).and_then(|s| self.contents(s));
        let bits = properties.and_then(isa_bits).unwrap_or(0);
        (u32::BITS - bits.leading_zeros()).clamp(1, 4) as u8
    }

    /// Where functions begin, sorted, by the table for unwinding.
    pub(super) fn functions(&self) -> Vec<u64> {
        let frames = self.segment(PT_GNU_EH_FRAME);
        let table = frames.and_then(|segment| Some((segment.address, self.contents(segment)?)));
        let mut functions = table
            .and_then(|(address, bytes)| eh_frame_functions(address, bytes))
            .unwrap_or_default();
        functions.retain(|&address| self.is_code(address));
        functions.sort_unstable();
        functions.dedup();
        functions
    }

    /// Function symbols of the section for debuggers, which a stripped file lacks.
    pub(super) fn debug_symbols(&self) -> Vec<(u64, &'a [u8])> {
        self.section_symbols().unwrap_or_default()
    }

    fn section_symbols(&self) -> Option<Vec<(u64, &'a [u8])>> {
        const SHDR_BYTES: usize = 64;
        const SHT_SYMTAB: u32 = 2;
        const STT_FUNC: u8 = 2;
        const STT_GNU_IFUNC: u8 = 10;
        let start = usize::try_from(u64_at(self.bytes, 40)?).ok()?;
        let table_bytes = usize::from(u16_at(self.bytes, 60)?) * SHDR_BYTES;
        let headers = self.bytes.get(start..start.checked_add(table_bytes)?)?;
        let range = |header: &[u8]| {
            let start = usize::try_from(u64_at(header, 24)?).ok()?;
            let len = usize::try_from(u64_at(header, 32)?).ok()?;
            self.bytes.get(start..start.checked_add(len)?)
        };
        let is_symbols = |header: &&[u8]| u32_at(header, 4) == Some(SHT_SYMTAB);
        let symbols = headers.chunks_exact(SHDR_BYTES).find(is_symbols)?;
        let strings = u32_at(symbols, 40)? as usize;
        let strings = range(headers.chunks_exact(SHDR_BYTES).nth(strings)?)?;
        let mut found = Vec::new();
        for symbol in range(symbols)?.chunks_exact(SYM_BYTES).take(ENTRIES_MAX) {
            let name = strings
                .get(u32_at(symbol, 0)? as usize..)
                .unwrap_or_default();
            let name = &name[..name.len().min(NAME_MAX_BYTES)];
            let end = name.iter().position(|&byte| byte == 0).unwrap_or(0);
            let address = u64_at(symbol, 8)?;
            if [STT_FUNC, STT_GNU_IFUNC].contains(&(symbol[4] & 0xf)) && self.is_code(address) {
                found.push((address, &name[..end]));
            }
        }
        Some(found)
    }
}

/// The bits of GNU_PROPERTY_X86_ISA_1_NEEDED in a note of properties.
fn isa_bits(note: &[u8]) -> Option<u32> {
    const NOTE_HEADER_BYTES: usize = 16;
    if note.get(12..NOTE_HEADER_BYTES)? != b"GNU\0" || u32_at(note, 8)? != 5 {
        return None;
    }
    let bytes = u32_at(note, 4)? as usize;
    let mut properties = note.get(NOTE_HEADER_BYTES..NOTE_HEADER_BYTES.checked_add(bytes)?)?;
    loop {
        let (kind, len) = (u32_at(properties, 0)?, u32_at(properties, 4)? as usize);
        if kind == ISA_NEEDED {
            return u32_at(properties, 8);
        }
        let next = len.checked_next_multiple_of(8)?.checked_add(8)?;
        properties = properties.get(next..)?;
    }
}

/// The search table of `.eh_frame_hdr`, whose one encoding in use is offsets of
/// 32 bits from its own beginning.
fn eh_frame_functions(address: u64, bytes: &[u8]) -> Option<Vec<u64>> {
    // Version 1, a pointer of 32 bits, a count of 32 bits, the table's encoding.
    if bytes.first()? != &1 || bytes.get(2..4)? != [0x03, 0x3b] || bytes.get(1)? & 0xf != 0xb {
        return None;
    }
    let count = u32_at(bytes, 8)? as usize;
    let start = |entry: &[u8]| {
        let offset = u32_at(entry, 0).unwrap_or(0) as i32;
        address.wrapping_add_signed(offset.into())
    };
    let table = bytes.get(12..)?.chunks_exact(8);
    Some(table.take(count).map(start).collect())
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let field = bytes.get(at..at.checked_add(2)?)?;
    field.try_into().ok().map(u16::from_le_bytes)
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..at.checked_add(4)?)?;
    field.try_into().ok().map(u32::from_le_bytes)
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(8)?)?;
    field.try_into().ok().map(u64::from_le_bytes)
}
