//! Every guest-physical address and the boot budget.
//!
//! ```text
//! guest-physical                                      backed by
//! 0x0000_0000  never used (a null address is no page) ┐
//! 0x0000_1000  GDT               supervisor, R        │
//! 0x0000_2000  IDT               supervisor, R        │
//! 0x0000_3000  TSSs              supervisor, R        │ boot arena: one slot, small host
//! 0x0000_4000  ring-0 stubs      RX                   │ pages, 4 MiB unless the libOS data
//! 0x0000_5000  prepared frames   R                    │ or the strings need more; in the
//! 0x0000_6000  boot information                       │ direct map but for the supervisor
//! 0x0000_7000  shared page                            │ pages
//! 0x0000_8000  vCPU blocks, one page each             │
//!   …          call pages, one page each              │
//!   …          page tables, PML4 first                │
//!   …          libOS data (.data, .bss)               │
//!   …          strings                                │
//!   …          free: the libOS's from here on         ┘
//! 0x1_0000_0000  arenas, as MEMORY_ADD asks for them    anonymous, huge pages
//!   …
//! rootfs_gpa   unikernel file, windows of 64 MiB        the file's page cache, read-only
//! ceiling      min(2^MAXPHYADDR, 512 GiB)
//! ```
//!
//! The first five pages are mapped at [`PRIVILEGED_BASE`], in a hole of the
//! libOS's part of the address space, and nowhere else. libOS text and constants
//! have no copy: the first 2 MiB of the file are mapped, read and execute, with
//! one large page around `LIBOS_IMAGE_BASE` ([`crate::loader`]).
//!
//! Boot budget, in pages that are written before the first instruction: 5
//! supervisor, 1 boot information, 1 shared, 2 per vCPU, about 12 page tables,
//! the libOS's initialised data, 1 of strings; [`POPULATE_EXTRA_BYTES`] more
//! are backed in the same call, so that the libOS's first pages fault neither
//! in the guest nor on the host.

use unikiln_abi::layout::{DIRECT_MAP_BYTES, LIBOS_IMAGE_BASE, LIBOS_IMAGE_MAX_BYTES};
use unikiln_abi::{LARGE_PAGE_BYTES, PAGE_BYTES};

/// Global descriptor table.
pub const GDT_GPA: u64 = 0x1000;
/// Interrupt descriptor table.
pub const IDT_GPA: u64 = 0x2000;
/// Task state segments, one per vCPU.
pub const TSS_GPA: u64 = 0x3000;
/// Ring-0 stubs.
pub const STUBS_GPA: u64 = 0x4000;
/// Frames that the stubs return through.
pub const FRAMES_GPA: u64 = 0x5000;
/// First page after the supervisor pages.
pub const PRIVILEGED_END_GPA: u64 = 0x6000;
/// Boot information.
pub const BOOT_INFO_GPA: u64 = 0x6000;
/// Shared page.
pub const SHARED_PAGE_GPA: u64 = 0x7000;
/// First vCPU block.
pub const VCPU_BLOCKS_GPA: u64 = 0x8000;

/// Where the supervisor pages are mapped: guest-physical `g` at `PRIVILEGED_BASE + g`.
pub const PRIVILEGED_BASE: u64 = 0x68a0_0000_0000;

/// Least size of the boot arena.
pub const BOOT_ARENA_MIN_BYTES: u64 = 4 << 20;
/// Most bytes of the boot arena: what one page directory maps.
pub const BOOT_ARENA_MAX_BYTES: u64 = 1 << 30;
/// Free bytes that the boot arena has at least when the libOS starts.
pub const BOOT_FREE_MIN_BYTES: u64 = 2 << 20;
/// Free bytes of the boot arena that the host backs before the start.
pub const POPULATE_EXTRA_BYTES: u64 = 256 << 10;

/// First guest-physical address of arenas.
pub const ARENAS_GPA: u64 = 4 << 30;
/// Arenas may exceed the memory limit by this much: the limit itself is
/// enforced by the libOS page by page, arenas come in steps of 2 MiB and also
/// hold its page tables.
pub const ARENA_SLACK_BYTES: u64 = 32 << 20;
/// Most arenas.
pub const ARENAS_MAX: usize = 256;

/// Bytes of a window of the unikernel file.
pub const ROOTFS_WINDOW_BYTES: u64 = 64 << 20;
/// Most windows: 128 GiB of root file system.
pub const ROOTFS_WINDOWS_MAX: u64 = 2048;

const _: () = assert!(PRIVILEGED_BASE >= LIBOS_IMAGE_BASE + LIBOS_IMAGE_MAX_BYTES);
const _: () = assert!(PRIVILEGED_BASE >> 39 == LIBOS_IMAGE_BASE >> 39);
const _: () = assert!(BOOT_ARENA_MAX_BYTES <= ARENAS_GPA);
const _: () = assert!(ROOTFS_WINDOW_BYTES.is_multiple_of(LARGE_PAGE_BYTES));

/// Where a guest-physical space of this shape does not fit.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The root file system and the memory limit need more than there is.
    #[error(
        "{memory_bytes} bytes of memory and {rootfs_bytes} bytes of root file system do not fit into {ceiling_bytes} bytes of guest-physical space"
    )]
    DoesNotFit {
        /// Memory limit.
        memory_bytes: u64,
        /// Bytes of the unikernel file.
        rootfs_bytes: u64,
        /// End of guest-physical space.
        ceiling_bytes: u64,
    },
}

/// Rounds up to whole pages; saturates at the last whole page.
pub const fn page_align_up(bytes: u64) -> u64 {
    align_up(bytes, PAGE_BYTES)
}

/// Rounds up to a power of two; saturates.
pub const fn align_up(bytes: u64, align: u64) -> u64 {
    bytes.saturating_add(align - 1) & !(align - 1)
}

/// End of guest-physical space for a CPU with this many address bits.
pub fn ceiling(physical_address_bits: u32) -> u64 {
    1u64.checked_shl(physical_address_bits)
        .map_or(DIRECT_MAP_BYTES, |end| end.min(DIRECT_MAP_BYTES))
}

/// Where the unikernel file goes: whole windows at the top of guest-physical
/// space, so that arenas below have the most room.
pub fn rootfs_gpa(
    ceiling_bytes: u64,
    rootfs_bytes: u64,
    memory_bytes: u64,
) -> Result<u64, LayoutError> {
    let needed = align_up(rootfs_bytes, ROOTFS_WINDOW_BYTES);
    let memory_end = ARENAS_GPA
        .saturating_add(align_up(memory_bytes, LARGE_PAGE_BYTES))
        .saturating_add(ARENA_SLACK_BYTES);
    ceiling_bytes
        .checked_sub(needed)
        .filter(|&gpa| gpa >= memory_end && needed <= ROOTFS_WINDOWS_MAX * ROOTFS_WINDOW_BYTES)
        .ok_or(LayoutError::DoesNotFit {
            memory_bytes,
            rootfs_bytes,
            ceiling_bytes,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_file_system_ends_at_the_ceiling() {
        let gpa = rootfs_gpa(ceiling(36), 5 << 20, 256 << 20).unwrap();
        assert_eq!(gpa, (64 << 30) - ROOTFS_WINDOW_BYTES);
        assert_eq!(ceiling(48), DIRECT_MAP_BYTES);
        assert_eq!(ceiling(200), DIRECT_MAP_BYTES);
    }

    #[test]
    fn memory_and_root_file_system_must_not_meet() {
        assert!(rootfs_gpa(ceiling(36), 1 << 20, 61 << 30).is_err());
        assert!(rootfs_gpa(ceiling(36), 100 << 30, 1 << 20).is_err());
        assert!(rootfs_gpa(ceiling(48), u64::MAX, u64::MAX).is_err());
    }
}
