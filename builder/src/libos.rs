//! The libOS that `build.rs` has built, cut into the segments that go into
//! every unikernel file.

use goblin::elf::Elf;
use goblin::elf::program_header::{PF_W, PF_X, PT_LOAD};
use sha2::{Digest, Sha256};
use unikiln_abi::PAGE_BYTES;
use unikiln_abi::layout::LIBOS_IMAGE_BASE;
use unikiln_unikernel::{LibosIdentity, SegmentFlags};

/// The ELF file.
static ELF: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/unikiln-libos.elf"));

/// What cannot be linked about a libOS ELF file: a fault of its linker script.
#[derive(Debug, thiserror::Error)]
pub enum LibosError {
    /// Not an ELF file.
    #[error("the libOS is not an ELF file")]
    Parse(#[source] goblin::error::Error),
    /// A segment does not start on a page of its own.
    #[error("the libOS segment at {vaddr:#x} does not start on a page")]
    Unaligned {
        /// Its address.
        vaddr: u64,
    },
    /// A segment reaches past the ELF file.
    #[error("the libOS segment at {vaddr:#x} lies outside its file")]
    OutOfFile {
        /// Its address.
        vaddr: u64,
    },
    /// No segment starts where the libOS header is expected.
    #[error("no libOS segment starts at {LIBOS_IMAGE_BASE:#x}")]
    WrongBase,
}

/// One PT_LOAD of the libOS.
#[derive(Debug)]
pub(crate) struct LibosSegment {
    pub(crate) vaddr: u64,
    pub(crate) memsz_bytes: u64,
    pub(crate) flags: SegmentFlags,
    pub(crate) bytes: &'static [u8],
}

/// The libOS, ready to be placed.
#[derive(Debug)]
pub(crate) struct Libos {
    pub(crate) segments: Vec<LibosSegment>,
    /// The entry that its header names.
    pub(crate) entry: u64,
}

impl Libos {
    /// The libOS that this builder carries.
    pub(crate) fn embedded() -> Result<Self, LibosError> {
        Self::parse(ELF)
    }

    fn parse(bytes: &'static [u8]) -> Result<Self, LibosError> {
        let elf = Elf::parse(bytes).map_err(LibosError::Parse)?;
        let mut segments = Vec::new();
        for phdr in elf
            .program_headers
            .iter()
            .filter(|phdr| phdr.p_type == PT_LOAD)
        {
            let vaddr = phdr.p_vaddr;
            if !vaddr.is_multiple_of(PAGE_BYTES) {
                return Err(LibosError::Unaligned { vaddr });
            }
            segments.push(LibosSegment {
                vaddr,
                memsz_bytes: phdr.p_memsz,
                flags: SegmentFlags {
                    writable: phdr.p_flags & PF_W != 0,
                    executable: phdr.p_flags & PF_X != 0,
                },
                bytes: bytes
                    .get(phdr.file_range())
                    .ok_or(LibosError::OutOfFile { vaddr })?,
            });
        }
        segments.sort_by_key(|segment| segment.vaddr);
        let first = segments
            .first()
            .filter(|segment| segment.vaddr == LIBOS_IMAGE_BASE)
            .ok_or(LibosError::WrongBase)?;
        // `LibosHeader::entry`; the reader checks it with the rest of the header.
        let entry = first
            .bytes
            .get(16..24)
            .and_then(|bytes| bytes.try_into().ok())
            .map(u64::from_le_bytes)
            .ok_or(LibosError::WrongBase)?;
        Ok(Self { segments, entry })
    }

    /// What the manifest says of it.
    pub(crate) fn identity() -> LibosIdentity {
        LibosIdentity {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            abi_version: unikiln_abi::ABI_VERSION,
            digest: format!("sha256:{}", hex(&Sha256::digest(ELF))),
        }
    }
}

/// Lower-case hexadecimal, as digests are written.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
