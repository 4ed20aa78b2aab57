//! The header at the first byte of the libOS image.
//!
//! The monitor reads it from the unikernel file, before anything runs, to learn
//! where traps go. Addresses are guest-virtual and lie inside the image.

use core::mem::{offset_of, size_of};

use crate::layout::TRAP_ENTRIES;

/// First eight bytes of a libOS image.
pub const LIBOS_MAGIC: u64 = u64::from_le_bytes(*b"UNIKILN\0");

/// What the monitor must know of the libOS, at `LIBOS_IMAGE_BASE`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct LibosHeader {
    /// [`LIBOS_MAGIC`].
    pub magic: u64,
    /// [`crate::ABI_VERSION`] that the libOS was built with.
    pub abi_version: u32,
    /// Bytes of this structure.
    pub header_bytes: u32,
    /// Where each vCPU starts: RDI = boot information, GS base = its block.
    pub entry: u64,
    /// Stack pointer of vCPU 0 at `entry` (16-byte aligned).
    pub boot_stack_top: u64,
    /// Ring-3 continuation of a `syscall` instruction (after the LSTAR stub).
    pub syscall_entry: u64,
    /// Ring-3 continuation of vector `i`, exceptions first, then the upcall.
    pub trap_entries: [u64; TRAP_ENTRIES],
    /// First byte of libOS text: an upcall is only injected outside `text`.
    pub text_start: u64,
    /// First byte after libOS text.
    pub text_end: u64,
    /// Where the libOS asks to flush a page and to load CR3, in this order: the two
    /// instructions themselves, `int` with the vectors of [`crate::layout`].
    pub gates: [u64; GATES],
}

/// Services of ring 0.
pub const GATES: usize = 2;

const _: () = assert!(size_of::<LibosHeader>() == 336);
const _: () = assert!(offset_of!(LibosHeader, entry) == 16);
const _: () = assert!(offset_of!(LibosHeader, trap_entries) == 40);
const _: () = assert!(offset_of!(LibosHeader, text_end) == 312);
const _: () = assert!(offset_of!(LibosHeader, gates) == 320);
