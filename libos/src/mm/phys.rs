//! Guest-physical memory as the libOS reaches it: through the direct map.
//!
//! Contract of every function: `gpa` lies in the boot arena or in an arena that
//! the monitor added and `arena.rs` mapped. The callers are `arena.rs`,
//! `frame.rs` and `pagetable.rs`, which only hold addresses of such memory.
#![expect(unsafe_code, reason = "turns guest-physical addresses into pointers")]

/// Where guest-physical 0 is.
#[cfg(target_os = "none")]
fn base() -> u64 {
    unikiln_abi::layout::DIRECT_MAP_BASE
}

/// Unit tests have a block of the host's memory for it.
#[cfg(not(target_os = "none"))]
fn base() -> u64 {
    static BLOCK: spin::Once<u64> = spin::Once::new();
    *BLOCK.call_once(|| {
        let bytes = (TEST_BYTES + crate::mm::LARGE_PAGE) as usize;
        let block = alloc::vec![0u8; bytes].leak().as_mut_ptr();
        super::round_up(block.expose_provenance() as u64, crate::mm::LARGE_PAGE).unwrap_or(0)
    })
}

/// Guest-physical memory of unit tests.
#[cfg(not(target_os = "none"))]
pub(in crate::mm) const TEST_BYTES: u64 = 128 << 20;

/// Pointer to `gpa` in the direct map.
pub fn pointer<T>(gpa: u64) -> *mut T {
    core::ptr::with_exposed_provenance_mut((base() + gpa) as usize)
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
