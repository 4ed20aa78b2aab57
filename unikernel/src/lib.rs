//! The unikernel file `NAME.uk`: its manifest and its layout, compiled into the
//! builder (which writes it) and the monitor (which reads it).
//!
//! One file is at the same time an ELF64 executable and an EROFS file system:
//! EROFS leaves the first 1,024 bytes to a boot loader, and that is where the
//! ELF header and its program headers are. So `readelf`, `fsck.erofs` and
//! `mount -t erofs -o loop` work on the file as it is.
//!
//! ```text
//! 0          ELF header, program headers (at most 17)          ┐
//! 1024       EROFS superblock                                  │
//! 4096       libOS segments, page-aligned, as the PT_LOADs say │ head: CRC-32 in
//! …          PT_NOTE, page-aligned, name "Unikiln" in both:    │ the checksum note
//!              type 1  manifest, JSON                          ┘
//!              type 2  checksums of the head and of the tail
//! …          EROFS metadata, then file data: up to the end     ─ tail
//! …          zeros up to a multiple of 2 MiB, for huge pages of the page cache
//! ```
//!
//! EROFS never refers to the blocks between its superblock and its metadata.
//! `e_entry` is the libOS entry. The root file system ends at the PT_LOOS
//! program header `PT_ROOTFS`: offset 0, file size = its bytes.
//!
//! | module | what it owns |
//! |---|---|
//! | [`UnikernelFile`] (`file`) | opening and checking a file |
//! | `elf` | the ELF header and program headers, raw |
//! | `libos` | the libOS header inside the lowest segment |
//! | `note` | the two notes |
//! | [`Manifest`] (`manifest`) | what to run and where it came from |
//! | [`Verdict`] (`verdict`) | whether it will run |
//! | `text` | text of images for people |

#![forbid(unsafe_code)]

mod elf;
mod error;
mod file;
mod libos;
mod manifest;
mod note;
mod text;
mod verdict;

pub use elf::{ELF_HEADER_BYTES, PHDR_BYTES, PHDRS_MAX, PT_LOAD, PT_NOTE, Segment, SegmentFlags};
pub use error::OpenError;
pub use file::UnikernelFile;
pub use manifest::{ImageSource, LibosIdentity, Linking, Manifest, User};
pub use note::{CHECKSUM_NOTE_BYTES, Checksums, note};
pub use text::printable;
pub use verdict::{
    Answer, CallNeeds, Finding, Needs, ProgramNeeds, Severity, VERDICT_VERSION, Verdict,
};

/// Name of both notes, without its NUL.
pub const NOTE_NAME: &str = "Unikiln";
/// Type of the manifest note.
pub const NOTE_TYPE_MANIFEST: u32 = 1;
/// Type of the checksum note, the last one of its segment.
pub const NOTE_TYPE_CHECKSUMS: u32 = 2;
/// Program header type of the root file system (`PT_LOOS` range): offset 0,
/// `p_filesz` = bytes of the EROFS file system, without the padding behind it.
pub const PT_ROOTFS: u32 = 0x6b_69_6c_6e;
/// Most bytes of the notes together; a larger one is refused unread.
pub const NOTES_MAX_BYTES: u64 = 8 << 20;
