//! The ELF64 header and program headers, read field by field from bytes.
//!
//! Only what a unikernel file has is understood: little-endian ET_EXEC for
//! x86-64 with its program headers right behind the ELF header. See the ELF-64
//! object file format, "ELF header" and "Program header table".

use unikiln_abi::PAGE_BYTES;
use unikiln_abi::layout::{LIBOS_IMAGE_BASE, LIBOS_IMAGE_MAX_BYTES};

/// Bytes of the ELF header.
pub const ELF_HEADER_BYTES: usize = 64;
/// Bytes of one program header.
pub const PHDR_BYTES: usize = 56;
/// Program headers that fit between the ELF header and the EROFS superblock.
pub const PHDRS_MAX: usize = (1024 - ELF_HEADER_BYTES) / PHDR_BYTES;
/// `p_type` of a libOS segment.
pub const PT_LOAD: u32 = 1;
/// `p_type` of the notes.
pub const PT_NOTE: u32 = 4;

const MAGIC: [u8; 4] = *b"\x7fELF";
const CLASS_64: u8 = 2;
const DATA_LITTLE_ENDIAN: u8 = 1;
const TYPE_EXEC: u16 = 2;
const MACHINE_X86_64: u16 = 62;

const FLAG_EXECUTE: u32 = 1;
const FLAG_WRITE: u32 = 2;
const FLAG_READ: u32 = 4;

/// Permissions of a segment. Reading is always allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentFlags {
    /// The segment is copied into memory of the guest's own.
    pub writable: bool,
    /// The segment holds text.
    pub executable: bool,
}

/// One checked PT_LOAD: page-aligned, inside the file and inside the libOS's region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Guest-virtual address.
    pub vaddr: u64,
    /// Offset in the file.
    pub offset: u64,
    /// Bytes that come from the file; it is zero from there to the end of the page.
    pub filesz_bytes: u64,
    /// Bytes in memory; more than `filesz_bytes` only where writable.
    pub memsz_bytes: u64,
    /// Permissions.
    pub flags: SegmentFlags,
}

impl Segment {
    /// Whether `address` lies in the segment's memory.
    pub fn contains(&self, address: u64) -> bool {
        address >= self.vaddr && address - self.vaddr < self.memsz_bytes
    }
}

/// A program header as it is in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProgramHeader {
    pub(crate) kind: u32,
    flags: u32,
    pub(crate) offset: u64,
    vaddr: u64,
    pub(crate) filesz: u64,
    memsz: u64,
}

/// What the ELF header says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ElfHeader {
    pub(crate) entry: u64,
    pub(crate) phdr_count: usize,
}

/// Reads `N` bytes at `offset`; `None` past the end.
pub(crate) fn bytes_at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..offset.checked_add(N)?)?.try_into().ok()
}

/// Reads a little-endian u32.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes_at(bytes, offset).map(u32::from_le_bytes)
}

/// Reads a little-endian u64.
pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    bytes_at(bytes, offset).map(u64::from_le_bytes)
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes_at(bytes, offset).map(u16::from_le_bytes)
}

/// Parses the ELF header; the error says why this is no unikernel file.
pub(crate) fn parse_header(bytes: &[u8]) -> Result<ElfHeader, &'static str> {
    if bytes.get(..4) != Some(&MAGIC) {
        return Err("it has no ELF header");
    }
    let header = bytes
        .get(..ELF_HEADER_BYTES)
        .ok_or("its ELF header is cut off")?;
    if header[4] != CLASS_64 || header[5] != DATA_LITTLE_ENDIAN {
        return Err("it is not a 64-bit little-endian ELF file");
    }
    if u16_at(header, 16) != Some(TYPE_EXEC) || u16_at(header, 18) != Some(MACHINE_X86_64) {
        return Err("it is not a static x86-64 executable");
    }
    let phdr_count = usize::from(u16_at(header, 56).unwrap_or(0));
    let usual = u64_at(header, 32) == Some(ELF_HEADER_BYTES as u64)
        && u16_at(header, 54) == Some(PHDR_BYTES as u16)
        && (1..=PHDRS_MAX).contains(&phdr_count);
    if !usual {
        return Err("its program headers are not where a unikernel has them");
    }
    let entry = u64_at(header, 24).ok_or("its ELF header is cut off")?;
    Ok(ElfHeader { entry, phdr_count })
}

/// Parses program header `index`; `None` past the end of `bytes`.
pub(crate) fn parse_program_header(bytes: &[u8], index: usize) -> Option<ProgramHeader> {
    let at = ELF_HEADER_BYTES + index * PHDR_BYTES;
    Some(ProgramHeader {
        kind: u32_at(bytes, at)?,
        flags: u32_at(bytes, at + 4)?,
        offset: u64_at(bytes, at + 8)?,
        vaddr: u64_at(bytes, at + 16)?,
        filesz: u64_at(bytes, at + 32)?,
        memsz: u64_at(bytes, at + 40)?,
    })
}

impl ProgramHeader {
    /// First byte of the file after this header's range; `None` on overflow.
    pub(crate) fn end(&self) -> Option<u64> {
        self.offset.checked_add(self.filesz)
    }

    /// Checks a PT_LOAD by itself; the error names the field that is wrong.
    pub(crate) fn segment(&self) -> Result<Segment, &'static str> {
        let aligned = |value: u64| value.is_multiple_of(PAGE_BYTES);
        let writable = self.flags & FLAG_WRITE != 0;
        let executable = self.flags & FLAG_EXECUTE != 0;
        if self.flags & !(FLAG_READ | FLAG_WRITE | FLAG_EXECUTE) != 0
            || self.flags & FLAG_READ == 0
            || (writable && executable)
        {
            return Err("permissions");
        }
        if !aligned(self.offset) || self.offset == 0 {
            return Err("offset");
        }
        let region = LIBOS_IMAGE_BASE..LIBOS_IMAGE_BASE + LIBOS_IMAGE_MAX_BYTES;
        if !aligned(self.vaddr) || !region.contains(&self.vaddr) {
            return Err("address");
        }
        if self.memsz == 0 || self.memsz > region.end - self.vaddr {
            return Err("memory size");
        }
        if self.filesz > self.memsz || (self.filesz != self.memsz && !writable) {
            return Err("file size");
        }
        Ok(Segment {
            vaddr: self.vaddr,
            offset: self.offset,
            filesz_bytes: self.filesz,
            memsz_bytes: self.memsz,
            flags: SegmentFlags {
                writable,
                executable,
            },
        })
    }
}
