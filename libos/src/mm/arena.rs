//! Guest-physical memory: arenas of 2 MiB chunks, chunks of 4 KiB frames.
//!
//! ```text
//! arena   boot arena or one MEMORY_ADD; its first frames hold the chunk records
//! chunk   Free → Small (frames, one count each) or Large (one mapping of 2 MiB)
//! frame   free bit, or a count of references
//! ```
//!
//! Chunk records live in the arena itself, never in the heap: the heap asks
//! here for memory. Fresh frames come zeroed from the host; used ones are
//! cleared when they are given out again. Page tables get chunks of their own
//! once the boot arena is used up: under shadow paging a 2 MiB page that holds
//! a page table cannot be mapped large by the host.
//!
//! The memory limit counts frames in use, libOS included. A chunk whose frames
//! are all free again goes back to the host, but for a few that are kept.
#![expect(unsafe_code, reason = "chunk records live in guest-physical memory")]

mod count;
mod grow;
mod host;

use spin::Mutex;
use unikiln_abi::boot::BootInfo;

pub use self::count::{
    arena_bytes, available_bytes, end_reserve, limit_bytes, peak_bytes, use_reserve, used_bytes,
};
use self::grow::SpareTables;
use self::host::SHRUNK_MAX;
use super::{LARGE_PAGE, PAGE, phys, round_up};

const FRAMES: usize = 512;
/// Each is 256 MiB at most: for 60 GiB of memory.
const ARENAS_MAX: usize = 256;
/// The first arena beyond the boot arena; each next one doubles.
const ARENA_FIRST_BYTES: u64 = 16 << 20;
const ARENA_MAX_BYTES: u64 = 256 << 20;
const NONE: u32 = u32::MAX;
/// Bytes of the boot arena that programs get although the host has not backed
/// them: 22 µs for each page touched, but a small program then needs no arena
/// (a memory slot, two exits, and a huge page of a millisecond).
const BOOT_COLD_BYTES: u64 = 512 << 10;
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
enum State {
    Free = 0,
    Small = 1,
    Large = 2,
    /// A part of the libOS heap that spans whole chunks.
    Heap = 3,
}

#[repr(C)]
struct Chunk {
    gpa: u64,
    state: State,
    /// Frames from here on were never used, and so are zero.
    fresh: u32,
    /// Data frames are fresh up to here only: further on, the host has not
    /// backed the boot arena yet, and page tables (which are few) go there.
    data_end: u32,
    /// Frames in use.
    used: u32,
    /// Next chunk in the list this one is in, by id.
    next: u32,
    /// In the partial list.
    listed: bool,
    /// Only for page tables.
    tables: bool,
    /// Free, but still backed and with old contents.
    dirty: bool,
    /// The boot arena stays backed.
    boot: bool,
    free: [u64; FRAMES / 64],
    /// Free frames that the host took back: zero again, and not backed.
    cold: [u64; FRAMES / 64],
    /// References, by frame; `counts[0]` of a large chunk.
    counts: [u32; FRAMES],
}

#[derive(Clone, Copy)]
struct Arena {
    gpa: u64,
    chunks: u64,
}

struct Arenas {
    list: [Arena; ARENAS_MAX],
    count: usize,
    /// Small chunks with room, for data and for page tables.
    partial: u32,
    partial_tables: u32,
    free: u32,
    /// Chunks that lost a frame lately, the last one first.
    shrunk: [u32; SHRUNK_MAX],
    dirty_chunks: u32,
    /// Frames that became free since the host was last given some.
    freed_frames: u64,
    next_arena_bytes: u64,
    spare_tables: SpareTables,
    arena_bytes: u64,
    /// As of the boot; see [`Arenas::limit_frames`].
    limit_frames: u64,
    used_frames: u64,
    peak_frames: u64,
    /// Frames beyond the limit that are given out while a process dies for its memory.
    reserve_frames: u64,
}

/// All zero, so that it takes no room in the file; [`Arenas::prepare`] has the rest.
static ARENAS: Mutex<Arenas> = Mutex::new(Arenas {
    list: [Arena { gpa: 0, chunks: 0 }; ARENAS_MAX],
    count: 0,
    partial: 0,
    partial_tables: 0,
    free: 0,
    shrunk: [0; SHRUNK_MAX],
    dirty_chunks: 0,
    freed_frames: 0,
    next_arena_bytes: 0,
    spare_tables: SpareTables::new(),
    arena_bytes: 0,
    limit_frames: 0,
    used_frames: 0,
    peak_frames: 0,
    reserve_frames: 0,
});

/// What a frame is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Data,
    Table,
}

impl Arenas {
    /// The record of chunk `id`; records are only touched under the lock.
    fn chunk(&mut self, id: u32) -> &mut Chunk {
        let arena = self.list[(id >> 20) as usize & (ARENAS_MAX - 1)];
        let index = u64::from(id & 0xf_ffff).min(arena.chunks.saturating_sub(1));
        // SAFETY: `adopt` initialized a record for each chunk of the arena at
        // its start; the exclusive borrow of `self` makes this the only one.
        unsafe { &mut *phys::pointer::<Chunk>(records_gpa(arena.gpa)).add(index as usize) }
    }

    /// Chunk and frame index of an address in an arena.
    fn locate(&self, gpa: u64) -> Option<(u32, usize)> {
        let (number, arena) = (self.list[..self.count].iter().enumerate())
            .find(|(_, a)| gpa >= a.gpa && gpa - a.gpa < a.chunks * LARGE_PAGE)?;
        let offset = gpa - arena.gpa;
        let id = (number as u32) << 20 | (offset / LARGE_PAGE) as u32;
        Some((id, (offset % LARGE_PAGE / PAGE) as usize))
    }

    fn list_partial(&mut self, id: u32) {
        let tables = self.chunk(id).tables;
        let head = if tables {
            self.partial_tables
        } else {
            self.partial
        };
        let chunk = self.chunk(id);
        if chunk.listed {
            return;
        }
        chunk.listed = true;
        chunk.next = head;
        if tables {
            self.partial_tables = id;
        } else {
            self.partial = id;
        }
    }

    fn list_free(&mut self, id: u32) {
        let head = self.free;
        let chunk = self.chunk(id);
        chunk.state = State::Free;
        chunk.next = head;
        self.free = id;
    }

    /// A whole free chunk, from a new arena if there is none.
    fn take_chunk(&mut self) -> Option<u32> {
        if self.free == NONE {
            self.grow(LARGE_PAGE)?;
        }
        let id = self.free;
        if id == NONE {
            return None;
        }
        self.free = self.chunk(id).next;
        self.chunk(id).next = NONE;
        self.clean(id);
        Some(id)
    }

    /// One frame from the partial lists, or from a new chunk.
    fn take_frame(&mut self, purpose: Use) -> Option<u64> {
        let tables = purpose == Use::Table;
        // The boot arena serves both purposes while it lasts.
        if let Some(gpa) = self.take_boot(tables) {
            return Some(gpa);
        }
        loop {
            let id = if tables {
                self.partial_tables
            } else {
                self.partial
            };
            if id == NONE {
                let fresh = self.take_chunk()?;
                let chunk = self.chunk(fresh);
                chunk.state = State::Small;
                chunk.tables = tables;
                chunk.data_end = FRAMES as u32;
                self.list_partial(fresh);
                continue;
            }
            if let Some(gpa) = self.chunk(id).take(true) {
                return Some(gpa);
            }
            // Full: out of its list until a frame comes back.
            let chunk = self.chunk(id);
            let next = chunk.next;
            chunk.listed = false;
            if tables {
                self.partial_tables = next;
            } else {
                self.partial = next;
            }
        }
    }

    /// Before the first arena.
    fn prepare(&mut self) {
        self.partial = NONE;
        self.partial_tables = NONE;
        self.free = NONE;
        self.shrunk = [NONE; SHRUNK_MAX];
        self.next_arena_bytes = ARENA_FIRST_BYTES;
    }

    fn take_boot(&mut self, tables: bool) -> Option<u64> {
        let chunks = self.list[0].chunks as u32;
        (0..chunks).find_map(|id| self.chunk(id).take(tables))
    }

    fn release(&mut self, id: u32, index: usize) {
        let chunk = self.chunk(id);
        chunk.free[index / 64] |= 1 << (index % 64);
        chunk.used -= 1;
        self.subtract_used(1);
        self.freed_frames += 1;
        let chunk = self.chunk(id);
        let (empty, listed) = (chunk.used == 0 && !chunk.boot, chunk.listed);
        if !empty {
            self.note_shrunk(id);
        }
        if !listed && !empty {
            self.list_partial(id);
        } else if empty && !listed {
            self.give_back(id);
        } else if empty {
            self.unlist(id);
            self.give_back(id);
        }
    }

    /// One reference less; the last frees the frame.
    fn drop_reference(&mut self, id: u32, index: usize) {
        let count = &mut self.chunk(id).counts[index];
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.release(id, index);
        }
    }

    fn unlist(&mut self, id: u32) {
        let tables = self.chunk(id).tables;
        let after = self.chunk(id).next;
        let mut at = if tables {
            self.partial_tables
        } else {
            self.partial
        };
        if at == id {
            if tables {
                self.partial_tables = after;
            } else {
                self.partial = after;
            }
        } else {
            while at != NONE && self.chunk(at).next != id {
                at = self.chunk(at).next;
            }
            if at != NONE {
                self.chunk(at).next = after;
            }
        }
        self.chunk(id).listed = false;
    }
}

impl Chunk {
    fn take(&mut self, beyond_backed: bool) -> Option<u64> {
        // A frame that is backed costs less than one that is not.
        let warm = (0..self.free.len()).find(|&word| self.free[word] & !self.cold[word] != 0);
        let word = warm.or_else(|| self.free.iter().position(|bits| *bits != 0));
        if let Some(word) = word {
            let cold = self.cold[word];
            let bits = match self.free[word] & !cold {
                0 => self.free[word],
                warm => warm,
            };
            let bit = bits & bits.wrapping_neg();
            self.free[word] &= !bit;
            self.cold[word] &= !bit;
            let index = word * 64 + bit.trailing_zeros() as usize;
            return Some(self.give(index, cold & bit == 0));
        }
        let end = if beyond_backed {
            FRAMES as u32
        } else {
            self.data_end
        };
        if self.fresh < end {
            self.fresh += 1;
            return Some(self.give(self.fresh as usize - 1, false));
        }
        None
    }

    fn give(&mut self, index: usize, clear: bool) -> u64 {
        let gpa = self.gpa + index as u64 * PAGE;
        self.used += 1;
        self.counts[index] = 1;
        if clear {
            phys::clear(gpa, PAGE as usize);
        }
        gpa
    }
}

/// Where the boot arena's records are: behind what the monitor left there.
static BOOT_RECORDS: core::sync::atomic::AtomicU64 = core::sync::atomic::AtomicU64::new(0);

fn records_gpa(arena_gpa: u64) -> u64 {
    if arena_gpa == 0 {
        BOOT_RECORDS.load(core::sync::atomic::Ordering::Relaxed)
    } else {
        arena_gpa
    }
}

#[cfg(target_os = "none")]
fn lock() -> spin::MutexGuard<'static, Arenas> {
    ARENAS.lock()
}

/// Unit tests have one arena, with a limit of all of it.
#[cfg(not(target_os = "none"))]
fn lock() -> spin::MutexGuard<'static, Arenas> {
    let mut arenas = ARENAS.lock();
    if arenas.count == 0 {
        arenas.prepare();
        arenas.limit_frames = phys::TEST_BYTES / PAGE;
        // Frame 0 is the page-table root.
        arenas.adopt(0, phys::TEST_BYTES, PAGE, Some(phys::TEST_BYTES));
    }
    arenas
}

/// Takes the boot arena into use. Called once, before the heap exists.
pub fn init(info: &BootInfo) {
    let mut arenas = lock();
    arenas.prepare();
    arenas.limit_frames = info.memory_limit_bytes / PAGE;
    arenas.adopt(
        info.boot_arena_gpa,
        info.boot_arena_bytes,
        info.boot_free_gpa,
        Some(info.boot_populated_gpa),
    );
    arenas.add_used(0);
}

/// A zeroed frame with one reference, or nothing at the memory limit.
pub(in crate::mm) fn allocate_frame() -> Option<u64> {
    allocate(Use::Data)
}

/// A zeroed frame for a page table.
pub(in crate::mm) fn allocate_table() -> Option<u64> {
    allocate(Use::Table)
}

fn allocate(purpose: Use) -> Option<u64> {
    let mut arenas = lock();
    if !arenas.count_used(1) {
        return None;
    }
    let frame = arenas.take_frame(purpose);
    if frame.is_none() {
        arenas.subtract_used(1);
    }
    frame
}

/// 2 MiB of zeros, or nothing: the caller then uses small frames.
pub(in crate::mm) fn allocate_large() -> Option<u64> {
    let mut arenas = lock();
    // Leave small programs some room: a large page may be mostly untouched.
    let room = arenas.limit_frames().saturating_sub(arenas.used_frames);
    if room < 4 * FRAMES as u64 || !arenas.count_used(FRAMES as u64) {
        return None;
    }
    let Some(id) = arenas.take_chunk() else {
        arenas.subtract_used(FRAMES as u64);
        return None;
    };
    let chunk = arenas.chunk(id);
    chunk.state = State::Large;
    chunk.used = FRAMES as u32;
    chunk.fresh = FRAMES as u32;
    chunk.counts[0] = 1;
    Some(chunk.gpa)
}

/// Ends a large mapping; with the last one, its memory goes back to the host. Another
/// mapping of it may have been split: then each frame loses a reference.
pub(in crate::mm) fn release_large(gpa: u64) {
    let mut arenas = lock();
    let Some((id, 0)) = arenas.locate(gpa) else {
        return;
    };
    let chunk = arenas.chunk(id);
    if chunk.state == State::Small {
        (0..FRAMES).for_each(|index| arenas.drop_reference(id, index));
        return;
    }
    if chunk.state == State::Large {
        chunk.counts[0] = chunk.counts[0].saturating_sub(1);
        if chunk.counts[0] == 0 {
            arenas.subtract_used(FRAMES as u64);
            arenas.freed_frames += FRAMES as u64;
            arenas.give_back(id);
        }
    }
}

/// One more large mapping of the same memory.
pub(in crate::mm) fn share_large(gpa: u64) {
    let mut arenas = lock();
    if let Some((id, 0)) = arenas.locate(gpa) {
        let chunk = arenas.chunk(id);
        match chunk.state {
            State::Large => chunk.counts[0] += 1,
            // Another mapping of it was split.
            State::Small => chunk.counts.iter_mut().for_each(|count| *count += 1),
            State::Free | State::Heap => {}
        }
    }
}

/// Mappings of a large chunk; two where another one was split, whatever became of it.
pub(in crate::mm) fn large_references(gpa: u64) -> u32 {
    let mut arenas = lock();
    match arenas.locate(gpa) {
        Some((id, 0)) if arenas.chunk(id).state == State::Large => arenas.chunk(id).counts[0],
        _ => 2,
    }
}

/// Turns a large chunk into 512 frames, each with a reference of every large mapping.
pub(in crate::mm) fn split_large(gpa: u64) {
    let mut arenas = lock();
    if let Some((id, 0)) = arenas.locate(gpa) {
        let chunk = arenas.chunk(id);
        if chunk.state == State::Large {
            chunk.state = State::Small;
            chunk.counts = [chunk.counts[0]; FRAMES];
        }
    }
}

/// One more reference.
pub(in crate::mm) fn share_frame(gpa: u64) {
    let mut arenas = lock();
    if let Some((id, index)) = arenas.locate(gpa) {
        arenas.chunk(id).counts[index] += 1;
    }
}

/// References of a frame.
pub(in crate::mm) fn frame_references(gpa: u64) -> u32 {
    let mut arenas = lock();
    arenas
        .locate(gpa)
        .map_or(0, |(id, index)| arenas.chunk(id).counts[index])
}

/// Free memory goes back to the host, but for a little: the program said that it
/// needs it no longer. Nothing happens until there is enough of it to be worth exits.
pub fn give_free_to_host() {
    lock().give_free_to_host();
}

/// One reference less; the last frees the frame.
pub(in crate::mm) fn release_frame(gpa: u64) {
    let mut arenas = lock();
    if let Some((id, index)) = arenas.locate(gpa) {
        arenas.drop_reference(id, index);
    }
}

/// Contiguous zeroed memory for the heap, never freed: address, bytes.
pub(in crate::mm) fn allocate_heap(bytes: u64) -> Option<(u64, u64)> {
    let mut arenas = lock();
    let bytes = round_up(bytes, PAGE)?;
    // From the boot arena's fresh frames while they last.
    let frames = (bytes / PAGE) as u32;
    for id in 0..arenas.list[0].chunks as u32 {
        let chunk = arenas.chunk(id);
        if bytes <= LARGE_PAGE && chunk.fresh + frames <= FRAMES as u32 {
            let gpa = chunk.gpa + u64::from(chunk.fresh) * PAGE;
            chunk.fresh += frames;
            chunk.used += frames;
            return arenas.count_heap(u64::from(frames)).then_some((gpa, bytes));
        }
    }
    let bytes = round_up(bytes, LARGE_PAGE)?;
    if !arenas.count_heap(bytes / PAGE) {
        return None;
    }
    let found = arenas.take_run(bytes / LARGE_PAGE);
    if found.is_none() {
        arenas.subtract_used(bytes / PAGE);
    }
    found.map(|gpa| (gpa, bytes))
}

impl Arenas {
    /// `chunks` free chunks in a row.
    fn take_run(&mut self, chunks: u64) -> Option<u64> {
        for attempt in 0..2 {
            if attempt == 1 {
                self.grow(chunks * LARGE_PAGE)?;
            }
            for number in (0..self.count).rev() {
                let total = self.list[number].chunks as u32;
                let mut run = 0;
                for index in 0..total {
                    let id = (number as u32) << 20 | index;
                    run = if self.chunk(id).state == State::Free {
                        run + 1
                    } else {
                        0
                    };
                    if u64::from(run) == chunks {
                        let first = index + 1 - run;
                        return Some(self.claim_run(number as u32, first, index));
                    }
                }
            }
        }
        None
    }

    fn claim_run(&mut self, number: u32, first: u32, last: u32) -> u64 {
        for index in first..=last {
            self.chunk(number << 20 | index).state = State::Heap;
            self.clean(number << 20 | index);
        }
        // Rebuild the free list without them.
        let (mut at, mut kept) = (self.free, NONE);
        while at != NONE {
            let next = self.chunk(at).next;
            if self.chunk(at).state == State::Free {
                self.chunk(at).next = kept;
                kept = at;
            }
            at = next;
        }
        self.free = kept;
        self.chunk(number << 20 | first).gpa
    }
}
