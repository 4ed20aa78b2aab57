//! The unikernel file `NAME.uk`: its manifest and its layout, compiled into the
//! builder (which writes it) and the monitor (which reads it).
//!
//! One file is at the same time an ELF64 executable and an EROFS file system:
//! EROFS leaves the first 1,024 bytes to a boot loader, and that is where the
//! ELF header and its program headers are. So `readelf`, `fsck.erofs` and
//! `mount -t erofs -o loop` work on the file as it is.
//!
//! ```text
//! 0          ELF header, program headers (at most 17)
//! 1024       EROFS superblock
//! 4096       libOS segments, page-aligned, as the PT_LOADs say
//! …          manifest note (PT_NOTE: name "Unikiln", type 1, JSON), page-aligned
//! …          EROFS metadata, then file data: up to the end of the file
//! ```
//!
//! EROFS never refers to the blocks between its superblock and its metadata.
//! `e_entry` is the libOS entry. The root file system ends at the PT_LOOS
//! program header `PT_ROOTFS`: offset 0, file size = its bytes.

mod manifest;

pub use manifest::{ImageSource, LibosIdentity, Manifest, User};

/// Name of the manifest note, without its NUL.
pub const NOTE_NAME: &str = "Unikiln";
/// Type of the manifest note.
pub const NOTE_TYPE_MANIFEST: u32 = 1;
/// Program header type of the root file system (`PT_LOOS` range): offset 0,
/// `p_filesz` = bytes of the EROFS file system, the whole file's length.
pub const PT_ROOTFS: u32 = 0x6b_69_6c_6e;
