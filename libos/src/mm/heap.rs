//! The libOS's heap: talc over memory that `arena.rs` hands out.
#![expect(unsafe_code, reason = "gives memory to the allocator")]

use core::alloc::Layout;

use talc::base::Talc;
use talc::base::binning::Binning;
use talc::source::Source;

use super::{arena, phys};

/// Least bytes by which the heap grows.
const GROW_BYTES: u64 = 128 << 10;

/// Grows the heap from the arenas.
#[derive(Debug)]
struct ArenaSource;

// SAFETY: `acquire` never uses the allocator: `arena.rs` keeps its records in
// the arenas themselves.
unsafe impl Source for ArenaSource {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let wanted = (layout.size() as u64)
            .checked_add(layout.align() as u64 + 8192)
            .ok_or(())?;
        let (gpa, bytes) = arena::allocate_heap(wanted.max(GROW_BYTES)).ok_or(())?;
        // SAFETY: the range is ours alone and never freed.
        unsafe { talc.claim(phys::pointer(gpa), bytes as usize) }
            .map(|_| ())
            .ok_or(())
    }
}

#[global_allocator]
static HEAP: talc::TalcLock<spin::Mutex<()>, ArenaSource> = talc::TalcLock::new(ArenaSource);
