//! Guest-physical memory as the libOS reaches it: through the direct map.
//!
//! Contract of every function: `gpa` lies in the boot arena or in an arena that
//! the monitor added and `arena.rs` mapped. The callers are `arena.rs`,
//! `frame.rs` and `pagetable.rs`, which only hold addresses of such memory.
#![expect(unsafe_code, reason = "turns guest-physical addresses into pointers")]

use unikiln_abi::layout::DIRECT_MAP_BASE;

/// Pointer to `gpa` in the direct map.
pub fn pointer<T>(gpa: u64) -> *mut T {
    core::ptr::with_exposed_provenance_mut((DIRECT_MAP_BASE + gpa) as usize)
}

/// Guest-physical address of something in the direct map.
pub fn address_of<T>(pointer: *const T) -> u64 {
    pointer.expose_provenance() as u64 - DIRECT_MAP_BASE
}

/// Clears `len` bytes.
pub fn clear(gpa: u64, len: usize) {
    // SAFETY: the module's contract; frames given out are not aliased by Rust
    // references, only by the program, which may race like any hardware.
    unsafe { core::ptr::write_bytes(pointer::<u8>(gpa), 0, len) }
}

/// Copies bytes out of a frame.
pub fn read(gpa: u64, dst: &mut [u8]) {
    // SAFETY: as `clear`.
    unsafe { core::ptr::copy_nonoverlapping(pointer::<u8>(gpa), dst.as_mut_ptr(), dst.len()) }
}

/// Copies bytes into a frame.
pub fn write(gpa: u64, src: &[u8]) {
    // SAFETY: as `clear`.
    unsafe { core::ptr::copy_nonoverlapping(src.as_ptr(), pointer::<u8>(gpa), src.len()) }
}

/// Copies one whole page.
pub fn copy_page(from: u64, to: u64) {
    // SAFETY: as `clear`; two different pages do not overlap.
    unsafe { core::ptr::copy_nonoverlapping(pointer::<u8>(from), pointer::<u8>(to), 4096) }
}
