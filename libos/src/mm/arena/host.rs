//! Memory on its way back to the host.
//!
//! A chunk whose frames are all free goes back whole, but for a few that stay
//! backed. Parts of a chunk go back when the program said that it needs memory
//! no longer (madvise, a hole in a file), in groups of 64 KiB: an exit for each
//! page would cost more than the page.

use super::{Arenas, Chunk, FRAMES, NONE, State};
use crate::hypercall;
use crate::mm::{LARGE_PAGE, PAGE, phys};

/// Free chunks that stay backed: clearing one is ten times cheaper than having
/// the host back it anew, and an exit is spared on each side.
const DIRTY_MAX: u32 = 16;
/// The same after the program said that it needs memory no longer (madvise).
const DIRTY_AFTER_ADVICE: u32 = 4;

/// Chunks that are remembered as having lost frames.
pub(super) const SHRUNK_MAX: usize = 8;
/// Frames (1 MiB) that must have become free since the last time: a collector that
/// frees 64 KiB at a time would pay an exit for each, and a fault on its next use.
const GIVE_MIN_FRAMES: u64 = 256;
/// Frames that go back together.
const GROUP_FRAMES: usize = 16;
const GROUP: u64 = (1 << GROUP_FRAMES) - 1;

impl Arenas {
    /// Returns an empty chunk to the host and to the free list.
    pub(super) fn give_back(&mut self, id: u32) {
        let chunk = self.chunk(id);
        let gpa = chunk.gpa;
        chunk.fresh = 0;
        chunk.used = 0;
        chunk.tables = false;
        chunk.free = [0; FRAMES / 64];
        chunk.cold = [0; FRAMES / 64];
        // Where the host refuses, the old contents stay: cleared on the next use.
        if self.dirty_chunks < DIRTY_MAX || hypercall::memory_release(gpa, LARGE_PAGE).is_err() {
            self.chunk(id).dirty = true;
            self.dirty_chunks += 1;
        }
        self.list_free(id);
    }

    /// Remembers that frames of a chunk became free.
    pub(super) fn note_shrunk(&mut self, id: u32) {
        if self.shrunk[0] != id {
            let at = self.shrunk.iter().position(|other| *other == id);
            self.shrunk[..=at.unwrap_or(SHRUNK_MAX - 1)].rotate_right(1);
            self.shrunk[0] = id;
        }
    }

    /// Has the host take back free chunks until few are left that it backs, and
    /// the free parts of those that lost frames lately.
    pub(super) fn give_free_to_host(&mut self) {
        if self.freed_frames < GIVE_MIN_FRAMES {
            return;
        }
        self.freed_frames = 0;
        for id in core::mem::replace(&mut self.shrunk, [NONE; SHRUNK_MAX]) {
            if id != NONE {
                self.give_parts(id);
            }
        }
        let mut id = self.free;
        while id != NONE && self.dirty_chunks > DIRTY_AFTER_ADVICE {
            let chunk = self.chunk(id);
            let (gpa, next, dirty) = (chunk.gpa, chunk.next, chunk.dirty);
            if dirty && hypercall::memory_release(gpa, LARGE_PAGE).is_ok() {
                self.chunk(id).dirty = false;
                self.dirty_chunks -= 1;
            }
            id = next;
        }
    }

    /// Gives the free groups of a chunk back.
    fn give_parts(&mut self, id: u32) {
        let chunk = self.chunk(id);
        // The boot arena stays backed, page tables are few.
        if chunk.state != State::Small || chunk.boot || chunk.tables {
            return;
        }
        let mut first = 0;
        while let Some((start, end)) = chunk.cooling_groups(first) {
            let gpa = chunk.gpa + (start * GROUP_FRAMES) as u64 * PAGE;
            let bytes = ((end - start) * GROUP_FRAMES) as u64 * PAGE;
            if hypercall::memory_release(gpa, bytes).is_ok() {
                for group in start..end {
                    let (word, mask) = group_mask(group);
                    chunk.cold[word] |= mask;
                }
            }
            first = end;
        }
    }

    /// Makes the frames of a free chunk zero again.
    pub(super) fn clean(&mut self, id: u32) {
        let chunk = self.chunk(id);
        if chunk.dirty {
            chunk.dirty = false;
            phys::clear(chunk.gpa, LARGE_PAGE as usize);
            self.dirty_chunks -= 1;
        }
    }
}

/// Word and bits of a group in a bitmap of frames.
fn group_mask(group: usize) -> (usize, u64) {
    let frame = group * GROUP_FRAMES;
    (frame / 64, GROUP << (frame % 64))
}

impl Chunk {
    /// The next groups in a row, from `first` on, that are free and still backed.
    fn cooling_groups(&self, first: usize) -> Option<(usize, usize)> {
        let cools = |group: &usize| {
            let (word, mask) = group_mask(*group);
            self.free[word] & mask == mask && self.cold[word] & mask != mask
        };
        let groups = FRAMES / GROUP_FRAMES;
        let start = (first..groups).find(cools)?;
        let end = (start..groups).find(|group| !cools(group));
        Some((start, end.unwrap_or(groups)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_go_back_only_when_they_are_free_and_backed() {
        let mut chunk = Chunk {
            gpa: 0,
            state: State::Small,
            fresh: FRAMES as u32,
            data_end: FRAMES as u32,
            used: 0,
            next: NONE,
            listed: false,
            tables: false,
            dirty: false,
            boot: false,
            free: [0; FRAMES / 64],
            cold: [0; FRAMES / 64],
            counts: [0; FRAMES],
        };
        assert_eq!(chunk.cooling_groups(0), None);
        chunk.free[0] = u64::MAX >> 1;
        assert_eq!(chunk.cooling_groups(0), Some((0, 3)));
        chunk.free[0] = u64::MAX;
        chunk.free[1] = GROUP;
        assert_eq!(chunk.cooling_groups(0), Some((0, 5)));
        chunk.cold[0] = GROUP << 16;
        assert_eq!(chunk.cooling_groups(0), Some((0, 1)));
        assert_eq!(chunk.cooling_groups(1), Some((2, 5)));
        assert_eq!(chunk.cooling_groups(5), None);
    }
}
