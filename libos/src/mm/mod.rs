//! Memory: frames, page tables, mappings, faults, and access to program memory.
//!
//! ```text
//! arena.rs      guest-physical arenas, 2 MiB chunks, 4 KiB frames, the memory limit
//! arena/host.rs   memory on its way back to the host
//! frame.rs      a counted handle of one frame
//! heap.rs       the libOS's own heap, made of frames
//! pagetable.rs  the four-level table, edited in place
//! vma.rs        what is mapped where, by address
//! space.rs      an address space: both of the above under one lock
//! spaces.rs     all address spaces
//! fork.rs       a space that shows what another does
//! wanted.rs    pages that are wanted soon after a fork
//! foreign.rs    memory of a process that does not run here
//! map.rs        mmap, munmap
//! protect.rs    mprotect, mseal, remap_file_pages
//! remap.rs      mremap
//! reap.rs       the size of a process, and its memory freed when memory runs out
//! advise.rs     madvise, mincore
//! attach.rs     shared memory that is attached as a whole
//! lock.rs       mlock and its relatives
//! brk.rs        the program break
//! bounds.rs     what resource limits allow
//! file_change.rs  mappings of a file whose pages went away
//! fault.rs      page faults of the program, and of the libOS at program addresses
//! user.rs       the one file that follows the program's pointers
//! stack.rs      the libOS's own stacks
//! rootfs.rs     the root file system's bytes, mapped window by window
//! phys.rs       guest-physical addresses and the direct map
//! ```

mod advise;
pub mod arena;
pub mod attach;
pub mod bounds;
mod brk;
pub mod fault;
mod file_change;
mod foreign;
mod fork;
pub mod frame;
#[cfg(target_os = "none")]
mod heap;
mod lock;
pub mod map;
pub mod pagetable;
pub mod phys;
mod protect;
mod reap;
mod remap;
pub mod rootfs;
pub mod space;
pub mod spaces;
pub mod stack;
pub mod user;
pub mod vma;
mod wanted;

pub use arena::{
    arena_bytes, available_bytes, give_free_to_host, limit_bytes, peak_bytes, used_bytes,
};
pub use file_change::FilePages;
pub use frame::Frame;

/// Bytes of a small page.
pub const PAGE: u64 = unikiln_abi::PAGE_BYTES;
/// Bytes of a large page.
pub const LARGE_PAGE: u64 = unikiln_abi::LARGE_PAGE_BYTES;

/// `value` rounded up to a multiple of `unit` (a power of two), if it fits.
pub const fn round_up(value: u64, unit: u64) -> Option<u64> {
    match value.checked_add(unit - 1) {
        Some(sum) => Some(sum & !(unit - 1)),
        None => None,
    }
}

/// `value` rounded down to a multiple of `unit` (a power of two).
pub const fn round_down(value: u64, unit: u64) -> u64 {
    value & !(unit - 1)
}
