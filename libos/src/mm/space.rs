//! The address space of a process: areas and page table under one lock, and
//! the flushes that an edit owes.

use spin::{Mutex, MutexGuard};
use unikiln_abi::layout::{APP_END, LIBOS_END, LIBOS_START};

use super::pagetable::{self, Access, Entry};
use super::vma::{Area, Areas, PROT_EXEC, PROT_READ, PROT_WRITE};
use super::{LARGE_PAGE, PAGE, arena, bounds};
use crate::arch;

/// Lowest address that a program may map (Linux's vm.mmap_min_addr).
pub const LOWEST: u64 = 0x1_0000;

/// What stays free below an area that grows down (Linux's stack_guard_gap).
const STACK_GAP_BYTES: u64 = 256 * PAGE;

/// Pages that are flushed one by one; more are flushed all at once, because a
/// single flush costs nearly as much as all (34 and 44 µs on a software KVM).
const FLUSH_PAGES_MAX: usize = 2;

/// See the module documentation.
pub struct AddressSpace {
    inner: Mutex<Space>,
}

/// What the lock protects.
pub struct Space {
    /// What is mapped.
    pub areas: Areas,
    /// First address of the heap, page-aligned.
    pub brk_start: u64,
    /// The program break.
    pub brk: u64,
    /// Mappings without an address go below this.
    pub mmap_top: u64,
    /// New areas are locked (MCL_FUTURE).
    pub lock_future: bool,
    flush: Flush,
}

/// Translations to flush before the lock is let go.
#[derive(Default)]
struct Flush {
    pages: [u64; FLUSH_PAGES_MAX],
    count: usize,
}

impl Default for AddressSpace {
    fn default() -> Self {
        Self::new()
    }
}

impl AddressSpace {
    /// Nothing mapped.
    pub const fn new() -> AddressSpace {
        AddressSpace {
            inner: Mutex::new(Space {
                areas: Areas::new(),
                brk_start: 0,
                brk: 0,
                mmap_top: APP_END,
                lock_future: false,
                flush: Flush {
                    pages: [0; FLUSH_PAGES_MAX],
                    count: 0,
                },
            }),
        }
    }

    /// Locks it; the guard flushes what was edited.
    pub fn lock(&self) -> SpaceGuard<'_> {
        SpaceGuard(self.inner.lock())
    }

    /// For a crash record: nothing if the crash came while it was locked.
    pub fn try_lock(&self) -> Option<SpaceGuard<'_>> {
        self.inner.try_lock().map(SpaceGuard)
    }
}

/// The locked address space.
pub struct SpaceGuard<'a>(MutexGuard<'a, Space>);

impl core::ops::Deref for SpaceGuard<'_> {
    type Target = Space;
    fn deref(&self) -> &Space {
        &self.0
    }
}

impl core::ops::DerefMut for SpaceGuard<'_> {
    fn deref_mut(&mut self) -> &mut Space {
        &mut self.0
    }
}

impl Drop for SpaceGuard<'_> {
    fn drop(&mut self) {
        self.0.flush.run();
    }
}

impl Flush {
    fn add(&mut self, address: u64) {
        if let Some(slot) = self.pages.get_mut(self.count) {
            *slot = address;
        }
        self.count += 1;
    }

    fn run(&mut self) {
        if self.count > self.pages.len() {
            arch::flush_all();
        } else {
            for page in &self.pages[..self.count] {
                arch::flush_page(*page);
            }
        }
        self.count = 0;
    }
}

/// What an area allows, as a page-table entry says it.
pub fn access_of(protection: u32) -> Access {
    Access {
        read: protection & PROT_READ != 0,
        write: protection & PROT_WRITE != 0,
        execute: protection & PROT_EXEC != 0,
    }
}

/// Whether a program may map all of `start..end`.
pub fn is_program_range(start: u64, end: u64) -> bool {
    start < end && start >= LOWEST && end <= APP_END && (end <= LIBOS_START || start >= LIBOS_END)
}

impl Space {
    /// Takes all translations of `start..end` away and frees what they hold.
    /// False when a large page had to be split and there was no memory for it.
    pub fn clear_pages(&mut self, start: u64, end: u64) -> bool {
        let mut at = start;
        loop {
            at = pagetable::skip_empty(at, end);
            if at >= end {
                return true;
            }
            let (entry, large) = pagetable::lookup(at);
            if large {
                let base = at & !(LARGE_PAGE - 1);
                if base < start || base + LARGE_PAGE > end {
                    if !pagetable::split(at) {
                        return false;
                    }
                    continue;
                }
                pagetable::clear(at, true);
                self.owe_flush(at, entry);
                arena::release_large(entry.gpa());
                at = base + LARGE_PAGE;
                continue;
            }
            if !entry.is_empty() {
                pagetable::clear(at, false);
                self.owe_flush(at, entry);
                if entry.is_counted() {
                    arena::release_frame(entry.gpa());
                }
            }
            at += PAGE;
        }
    }

    /// Gives all present pages of `start..end` other access.
    pub fn protect_pages(&mut self, start: u64, end: u64, protection: u32) -> bool {
        let access = access_of(protection);
        let mut at = start;
        loop {
            at = pagetable::skip_empty(at, end);
            if at >= end {
                return true;
            }
            let (entry, large) = pagetable::lookup(at);
            if large {
                let base = at & !(LARGE_PAGE - 1);
                if base < start || base + LARGE_PAGE > end {
                    if !pagetable::split(at) {
                        return false;
                    }
                    continue;
                }
            }
            if !entry.is_empty() {
                let changed = entry.with_access(access);
                if changed != entry {
                    pagetable::replace(at, changed, large);
                    self.owe_flush(at, entry);
                }
            }
            at += pagetable::entry_bytes(large);
        }
    }

    /// Remembers that `old`, which was at `address`, may be cached by the CPU.
    pub fn owe_flush(&mut self, address: u64, old: Entry) {
        if old.is_present() {
            self.flush.add(address);
        }
    }

    /// A free range for a mapping without an address. Large ones start on a
    /// large-page boundary so that large pages fit.
    pub fn find_free(&self, bytes: u64) -> Option<u64> {
        let align = if bytes >= LARGE_PAGE {
            LARGE_PAGE
        } else {
            PAGE
        };
        let above = (self.areas).find_gap_below(LIBOS_END, self.mmap_top, bytes, align);
        above.or_else(|| self.areas.find_gap_below(LOWEST, LIBOS_START, bytes, align))
    }

    /// Lets an area that grows down reach `page`, as far as the stack limit and
    /// the gap to the area below allow: the area.
    pub fn grow_down(&mut self, page: u64) -> Option<Area> {
        let above = self.areas.next_from(page)?;
        let gap = page.checked_sub(STACK_GAP_BYTES)?;
        if !above.traits.grows_down
            || above.end - page > bounds::stack_bytes()
            || !is_program_range(page, above.start)
            || !self.areas.is_free(gap, page)
        {
            return None;
        }
        let mut below = above.clone();
        (below.start, below.end) = (page, above.start);
        let none = (page, page);
        self.check_growth(below.len(), below.is_data(), none).ok()?;
        self.add(below);
        self.areas.find(page).cloned()
    }

    /// Whether one more area is allowed.
    pub fn has_room_for_area(&self) -> bool {
        self.areas.count() < super::map::AREAS_MAX
    }

    /// Adds an area whose range is free.
    pub fn add(&mut self, area: Area) {
        self.areas.insert(area);
    }
}
