//! An allocator that gives no more than a reader of small input may want. Beyond
//! that it fails, which ends the process: libFuzzer then names the input.

#![expect(unsafe_code, reason = "an allocator hands out raw memory")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Most bytes at once.
pub const ONE_MAX_BYTES: usize = 96 << 20;
/// Most bytes in all, what libFuzzer itself keeps included.
pub const ALL_MAX_BYTES: usize = 768 << 20;

static ALL_BYTES: AtomicUsize = AtomicUsize::new(0);

struct Bounded;

#[global_allocator]
static ALLOCATOR: Bounded = Bounded;

/// Bytes that are allocated now.
pub fn allocated_bytes() -> usize {
    ALL_BYTES.load(Ordering::Relaxed)
}

impl Bounded {
    fn may_add(&self, bytes: usize) -> bool {
        bytes <= ONE_MAX_BYTES && allocated_bytes().saturating_add(bytes) <= ALL_MAX_BYTES
    }
}

// SAFETY: every call goes to the system's allocator with the same arguments, or
// fails with null, which is allowed; counting touches no memory of the caller.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !self.may_add(layout.size()) {
            return std::ptr::null_mut();
        }
        ALL_BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !self.may_add(layout.size()) {
            return std::ptr::null_mut();
        }
        ALL_BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALL_BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_bytes: usize) -> *mut u8 {
        let more = new_bytes.saturating_sub(layout.size());
        if new_bytes > ONE_MAX_BYTES || !self.may_add(more) {
            return std::ptr::null_mut();
        }
        ALL_BYTES.fetch_add(new_bytes, Ordering::Relaxed);
        ALL_BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, new_bytes) }
    }
}
