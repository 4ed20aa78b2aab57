//! An ELF file as the linker sees it: segments, code, what names places in the
//! code. Files come from images: every offset is checked, and a file that makes
//! no sense is left as it is.

use goblin::container::{Container, Ctx, Endian};
use goblin::elf::Elf;
use goblin::elf::dynamic::{DF_TEXTREL, DT_FLAGS, DT_TEXTREL};
use goblin::elf::header::{EM_X86_64, ET_DYN, ET_EXEC, Header};
use goblin::elf::program_header::{PF_W, PF_X, PT_DYNAMIC, PT_LOAD, ProgramHeader};
use goblin::elf::reloc::RelocSection;
use goblin::elf::section_header::{
    SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, SHT_DYNSYM, SHT_NOBITS, SHT_NULL, SHT_RELA, SHT_SYMTAB,
    SectionHeader,
};
use goblin::elf::sym::{STT_FUNC, STT_GNU_IFUNC, STT_NOTYPE, STT_OBJECT, Symtab};

use super::report::LeftFile;

/// Bytes of an ELF header.
pub(super) const HEADER_BYTES: usize = 64;
/// Bytes of a program header.
pub(super) const PHDR_BYTES: usize = 56;
const SYM_BYTES: usize = 24;
const RELA_BYTES: usize = 24;

/// 64-bit, little-endian.
const CONTEXT: Ctx = Ctx {
    container: Container::Big,
    le: Endian::Little,
};

/// A range of the file that is mapped at `address`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range<'a> {
    pub(super) address: u64,
    pub(super) offset: usize,
    pub(super) bytes: &'a [u8],
}

impl Range<'_> {
    pub(super) fn end(&self) -> u64 {
        self.address + self.bytes.len() as u64
    }

    pub(super) fn contains(&self, address: u64) -> bool {
        (self.address..self.end()).contains(&address)
    }
}

/// See the module documentation.
pub(super) struct Object<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) header: Header,
    pub(super) segments: Vec<ProgramHeader>,
    sections: Vec<SectionHeader>,
    /// Executable sections, by address.
    pub(super) code: Vec<Range<'a>>,
    /// What PT_LOADs map of the file.
    pub(super) mapped: Vec<Range<'a>>,
}

impl<'a> Object<'a> {
    /// Whether these are the first bytes of an x86-64 program or shared object.
    pub(super) fn is_one(start: &[u8]) -> bool {
        let Some(start) = start.get(..HEADER_BYTES) else {
            return false;
        };
        let half = |at: usize| u16::from_le_bytes([start[at], start[at + 1]]);
        start[..6] == *b"\x7fELF\x02\x01"
            && [ET_EXEC, ET_DYN].contains(&half(16))
            && half(18) == EM_X86_64
    }

    /// Reads the file.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, LeftFile> {
        let header = bytes
            .get(..HEADER_BYTES)
            .and_then(|start| Elf::parse_header(start).ok())
            .ok_or(LeftFile::Malformed)?;
        if usize::from(header.e_phentsize) != PHDR_BYTES
            || usize::from(header.e_shentsize) != HEADER_BYTES
        {
            return Err(if header.e_shnum == 0 {
                LeftFile::NoSections
            } else {
                LeftFile::Malformed
            });
        }
        let phoff = usize::try_from(header.e_phoff).map_err(|_| LeftFile::Malformed)?;
        let shoff = usize::try_from(header.e_shoff).map_err(|_| LeftFile::Malformed)?;
        let segments = ProgramHeader::parse(bytes, phoff, header.e_phnum.into(), CONTEXT)
            .map_err(|_| LeftFile::Malformed)?;
        let sections = SectionHeader::parse(bytes, shoff, header.e_shnum.into(), CONTEXT)
            .map_err(|_| LeftFile::Malformed)?;
        if sections.is_empty() {
            return Err(LeftFile::NoSections);
        }
        let mut object = Object {
            bytes,
            header,
            segments,
            sections,
            code: Vec::new(),
            mapped: Vec::new(),
        };
        object.check()?;
        for segment in object.loads() {
            let range = slice(bytes, segment.p_offset, segment.p_filesz);
            let (offset, range) = range.ok_or(LeftFile::Malformed)?;
            object.mapped.push(Range {
                address: segment.p_vaddr,
                offset,
                bytes: range,
            });
        }
        object.code = object.find_code()?;
        Ok(object)
    }

    pub(super) fn loads(&self) -> Vec<ProgramHeader> {
        let loads = self.segments.iter().filter(|s| s.p_type == PT_LOAD);
        loads.cloned().collect()
    }

    /// What must hold for a file that can be changed at all.
    fn check(&self) -> Result<(), LeftFile> {
        let mut end = 0;
        for load in self.loads() {
            let next = load.p_vaddr.checked_add(load.p_memsz);
            let next = next.filter(|&next| next < 1 << 47);
            if load.p_vaddr < end || load.p_memsz < load.p_filesz {
                return Err(LeftFile::Malformed);
            }
            end = next.ok_or(LeftFile::Malformed)?;
        }
        if self.file_end().ok_or(LeftFile::Malformed)? != self.bytes.len() as u64 {
            return Err(LeftFile::TrailingData);
        }
        for segment in self.segments.iter().filter(|s| s.p_type == PT_DYNAMIC) {
            let (offset, _) =
                slice(self.bytes, segment.p_offset, segment.p_filesz).ok_or(LeftFile::Malformed)?;
            let count = usize::try_from(segment.p_filesz / 16).unwrap_or(0);
            let entries = self.bytes[offset..][..count * 16].chunks_exact(16);
            for entry in entries {
                let (tag, value) = (word(entry, 0), word(entry, 8));
                if tag == 0 {
                    break;
                }
                if tag == DT_TEXTREL || tag == DT_FLAGS && value & DF_TEXTREL != 0 {
                    return Err(LeftFile::TextRelocations);
                }
            }
        }
        Ok(())
    }

    /// Where the file ends by what its headers say.
    fn file_end(&self) -> Option<u64> {
        let table = |offset: u64, count: u16, each: usize| {
            offset.checked_add(u64::from(count) * each as u64)
        };
        let header = &self.header;
        let mut end = table(header.e_phoff, header.e_phnum, PHDR_BYTES)?;
        end = end.max(table(header.e_shoff, header.e_shnum, HEADER_BYTES)?);
        for segment in &self.segments {
            end = end.max(segment.p_offset.checked_add(segment.p_filesz)?);
        }
        for section in &self.sections {
            if ![SHT_NOBITS, SHT_NULL].contains(&section.sh_type) {
                end = end.max(section.sh_offset.checked_add(section.sh_size)?);
            }
        }
        Some(end)
    }

    fn find_code(&self) -> Result<Vec<Range<'a>>, LeftFile> {
        let mut code = Vec::new();
        for section in &self.sections {
            let flags = section.sh_flags as u32;
            let is_code = flags & SHF_EXECINSTR != 0 && flags & SHF_ALLOC != 0;
            if !is_code || section.sh_type == SHT_NOBITS || section.sh_size == 0 {
                continue;
            }
            if flags & SHF_WRITE != 0 {
                return Err(LeftFile::WritableCode);
            }
            let (offset, bytes) =
                slice(self.bytes, section.sh_offset, section.sh_size).ok_or(LeftFile::Malformed)?;
            let is_loaded = self.loads().iter().any(|load| {
                load.p_flags & (PF_X | PF_W) == PF_X
                    && section.sh_addr >= load.p_vaddr
                    && section.sh_addr - load.p_vaddr <= load.p_filesz
                    && section.sh_size <= load.p_filesz - (section.sh_addr - load.p_vaddr)
                    && section.sh_addr - load.p_vaddr + load.p_offset == section.sh_offset
            });
            if is_loaded {
                code.push(Range {
                    address: section.sh_addr,
                    offset,
                    bytes,
                });
            }
        }
        code.sort_by_key(|range| range.address);
        if code.windows(2).any(|pair| pair[1].address < pair[0].end()) {
            return Err(LeftFile::Malformed);
        }
        Ok(code)
    }

    /// Sections that lie in the file, their headers.
    pub(super) fn file_sections(&self) -> impl Iterator<Item = &SectionHeader> {
        let in_file = |section: &&SectionHeader| {
            ![SHT_NOBITS, SHT_NULL].contains(&section.sh_type) && section.sh_size > 0
        };
        self.sections.iter().filter(in_file)
    }

    /// The section of this name.
    pub(super) fn section(&self, name: &[u8]) -> Option<Range<'a>> {
        let names = self.sections.get(usize::from(self.header.e_shstrndx))?;
        let (_, names) = slice(self.bytes, names.sh_offset, names.sh_size)?;
        let section = self.file_sections().find(|section| {
            names
                .get(section.sh_name..)
                .and_then(|rest| rest.get(..name.len() + 1))
                .is_some_and(|found| found[..name.len()] == *name && found[name.len()] == 0)
        })?;
        let (offset, bytes) = slice(self.bytes, section.sh_offset, section.sh_size)?;
        Some(Range {
            address: section.sh_addr,
            offset,
            bytes,
        })
    }

    /// Whether `address` is in a code section.
    pub(super) fn is_code(&self, address: u64) -> bool {
        self.code_at(address).is_some()
    }

    /// The code section that `address` is in.
    pub(super) fn code_at(&self, address: u64) -> Option<&Range<'a>> {
        let after = self.code.partition_point(|code| code.address <= address);
        let code = &self.code[after.checked_sub(1)?];
        code.contains(address).then_some(code)
    }

    /// Mapped file bytes from `address` on.
    pub(super) fn mapped_at(&self, address: u64) -> Option<&'a [u8]> {
        let range = self.mapped.iter().find(|range| range.contains(address))?;
        range
            .bytes
            .get(usize::try_from(address - range.address).ok()?..)
    }

    /// Calls `with` on each symbol in code: its address, whether a function
    /// starts there.
    pub(super) fn symbols(&self, mut with: impl FnMut(u64, bool)) {
        for section in self.file_sections() {
            if ![SHT_SYMTAB, SHT_DYNSYM].contains(&section.sh_type) {
                continue;
            }
            let Some((offset, bytes)) = slice(self.bytes, section.sh_offset, section.sh_size)
            else {
                continue;
            };
            let Ok(symbols) = Symtab::parse(self.bytes, offset, bytes.len() / SYM_BYTES, CONTEXT)
            else {
                continue;
            };
            for symbol in symbols.iter() {
                let kind = symbol.st_type();
                if [STT_FUNC, STT_GNU_IFUNC, STT_NOTYPE, STT_OBJECT].contains(&kind)
                    && self.is_code(symbol.st_value)
                {
                    let is_function = kind == STT_FUNC || kind == STT_GNU_IFUNC;
                    with(symbol.st_value, is_function);
                }
            }
        }
    }

    /// Calls `with` on each relocation: the address that it changes, its addend.
    pub(super) fn relocations(&self, mut with: impl FnMut(u64, i64)) {
        for section in self.file_sections() {
            if section.sh_type != SHT_RELA {
                continue;
            }
            let Some((offset, bytes)) = slice(self.bytes, section.sh_offset, section.sh_size)
            else {
                continue;
            };
            let bytes = bytes.len() / RELA_BYTES * RELA_BYTES;
            let Ok(relocations) = RelocSection::parse(self.bytes, offset, bytes, true, CONTEXT)
            else {
                continue;
            };
            for relocation in &relocations {
                with(relocation.r_offset, relocation.r_addend.unwrap_or(0));
            }
        }
    }
}

/// `len` bytes at `offset`.
fn slice(bytes: &[u8], offset: u64, len: u64) -> Option<(usize, &[u8])> {
    let offset = usize::try_from(offset).ok()?;
    let end = offset.checked_add(usize::try_from(len).ok()?)?;
    Some((offset, bytes.get(offset..end)?))
}

/// The little-endian word at `at`, which must be inside.
pub(super) fn word(bytes: &[u8], at: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(value)
}
