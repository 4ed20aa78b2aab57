//! New arenas: asked for, mapped, and taken into use.
//!
//! Memory that runs out must not be in need of memory to grow: the page tables
//! of the next arena's direct map are set aside when an arena is taken into use.

use core::sync::atomic::Ordering;

use super::{
    ARENA_MAX_BYTES, ARENAS_MAX, Arena, Arenas, BOOT_COLD_BYTES, BOOT_RECORDS, Chunk, State,
};
use crate::hypercall;
use crate::mm::{LARGE_PAGE, PAGE, pagetable, phys, round_up};

/// Page tables that the direct map of one arena needs at most: it is far
/// smaller than 1 GiB, so it may begin in one directory and end in the next,
/// and that may be the first of 512 GiB.
const SPARE_TABLES: usize = 3;
/// Most that one arena is asked to hold in a row.
const PIECE_MAX_BYTES: u64 = (1 << 30) - 2 * LARGE_PAGE;
const _: () = assert!(ARENA_MAX_BYTES < 1 << 30);

/// Zeroed frames for the next arena's page tables.
pub(super) struct SpareTables {
    frames: [u64; SPARE_TABLES],
    count: usize,
}

impl SpareTables {
    pub(super) const fn new() -> Self {
        Self {
            frames: [0; SPARE_TABLES],
            count: 0,
        }
    }

    /// Takes the frames that are missing from `gpa` on: bytes taken.
    fn refill(&mut self, gpa: u64) -> u64 {
        let mut bytes = 0;
        for frame in &mut self.frames[self.count..] {
            *frame = gpa + bytes;
            bytes += PAGE;
        }
        self.count = SPARE_TABLES;
        bytes
    }

    fn take(&mut self) -> Option<u64> {
        self.count = self.count.checked_sub(1)?;
        Some(self.frames[self.count])
    }
}

impl Arenas {
    /// Takes an arena into use. Frames below `first_free` of it are in use for ever.
    pub(super) fn adopt(&mut self, gpa: u64, bytes: u64, first_free: u64, populated: Option<u64>) {
        let boot = populated.is_some();
        if self.count == ARENAS_MAX {
            return;
        }
        let chunks = bytes / LARGE_PAGE;
        let records = round_up(chunks * size_of::<Chunk>() as u64, PAGE).unwrap_or(bytes);
        let records_at = if boot { first_free } else { gpa };
        if boot {
            BOOT_RECORDS.store(records_at, Ordering::Relaxed);
        }
        let spare_at = records_at + records;
        let spare_bytes = self.spare_tables.refill(spare_at);
        let reserved = spare_at + spare_bytes - gpa;
        let number = self.count as u32;
        self.list[self.count] = Arena { gpa, chunks };
        self.count += 1;
        self.arena_bytes += bytes;
        self.add_used(reserved / PAGE);
        for index in (0..chunks as u32).rev() {
            let start = u64::from(index) * LARGE_PAGE;
            let taken = reserved.saturating_sub(start).min(LARGE_PAGE) / PAGE;
            let id = number << 20 | index;
            let record = phys::pointer::<Chunk>(records_at).wrapping_add(index as usize);
            // SAFETY: the record lies in the reserved frames at the arena's
            // start, which are zero and ours alone. A chunk of zeros is valid.
            let chunk = unsafe { &mut *record };
            chunk.gpa = gpa + start;
            chunk.boot = boot;
            chunk.fresh = taken as u32;
            chunk.used = taken as u32;
            let backed = populated.map_or(LARGE_PAGE, |end| {
                (end + BOOT_COLD_BYTES).saturating_sub(chunk.gpa)
            });
            chunk.data_end = (backed.min(LARGE_PAGE) / PAGE) as u32;
            if boot {
                chunk.state = State::Small;
                chunk.listed = true;
            } else if taken > 0 {
                chunk.state = State::Small;
                self.list_partial(id);
            } else {
                self.list_free(id);
            }
        }
    }

    /// Asks the monitor for an arena with at least `bytes` of whole chunks.
    pub(super) fn grow(&mut self, bytes: u64) -> Option<()> {
        if bytes > PIECE_MAX_BYTES {
            return None;
        }
        let limit = self.limit_frames() * PAGE;
        // Records cost frames of the first chunk: one more chunk than asked for.
        let wanted = round_up(bytes + LARGE_PAGE, LARGE_PAGE)?.max(self.next_arena_bytes);
        let room = round_up(limit.saturating_sub(self.arena_bytes), LARGE_PAGE)? + 2 * LARGE_PAGE;
        let mut size = wanted.min(room.max(2 * LARGE_PAGE));
        let gpa = loop {
            match hypercall::memory_add(size) {
                Ok(gpa) => break gpa,
                Err(_) if size > bytes + LARGE_PAGE => {
                    size = (size / 2 / LARGE_PAGE).max(1) * LARGE_PAGE
                }
                Err(_) => return None,
            }
            if size < bytes + LARGE_PAGE {
                return None;
            }
        };
        self.next_arena_bytes = (self.next_arena_bytes * 2).min(ARENA_MAX_BYTES);
        let mut mapped = 0;
        while mapped < size {
            if !pagetable::map_direct(gpa + mapped, || self.spare_tables.take()) {
                return None;
            }
            mapped += LARGE_PAGE;
        }
        self.adopt(gpa, size, gpa, None);
        Some(())
    }
}
