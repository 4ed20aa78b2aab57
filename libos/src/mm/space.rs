//! The address space of a process: areas and page table under one lock, and
//! the flushes that an edit owes.
//!
//! A frame that an edit takes out of the table may still be reached through
//! another vCPU's translation. It is freed only after the flush, which the guard
//! runs on all vCPUs before it lets the lock go.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use alloc::vec::Vec;
use spin::{Mutex, MutexGuard};
use unikiln_abi::layout::{APP_END, LIBOS_END, LIBOS_START};

use super::pagetable::{self, Access, Entry, Root};
use super::vma::{Area, Areas, PROT_EXEC, PROT_READ, PROT_WRITE};
use super::wanted::Wanted;
use super::{LARGE_PAGE, PAGE, arena, bounds, spaces};
use crate::{arch, sched};

/// Lowest address that a program may map (Linux's vm.mmap_min_addr).
pub const LOWEST: u64 = 0x1_0000;

/// What stays free below an area that grows down (Linux's stack_guard_gap).
const STACK_GAP_BYTES: u64 = 256 * PAGE;

/// Pages that are flushed one by one; more are flushed all at once, because a
/// single flush costs nearly as much as all (34 and 44 µs on a software KVM).
const FLUSH_PAGES_MAX: usize = 2;
/// Pages that wait for a flush to be freed.
const FREE_MAX: usize = 512;

/// See the module documentation.
pub struct AddressSpace {
    inner: Mutex<Space>,
    /// The table, to switch to without the lock.
    root: Root,
    /// What it and those that it was forked into want soon after a fork.
    pub(super) wanted: Mutex<Wanted>,
    /// See [`AddressSpace::chance`].
    pub(super) chance: Mutex<Option<spaces::Chance>>,
    /// Processes that run in it; vfork has two.
    pub(super) users: AtomicUsize,
    /// Nobody's, empty, to be used again.
    pub(super) is_free: AtomicBool,
    /// What it was made for, the last time.
    pub(super) was_forked: AtomicBool,
    /// Tables that it kept when it became free.
    pub(super) kept: AtomicUsize,
    /// Index of the vCPU that holds the lock, plus one.
    holder: AtomicUsize,
}

/// What the lock protects.
pub struct Space {
    /// The page table.
    pub root: Root,
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
    /// Whose list of wanted pages counts, once it was forked.
    pub(super) family: Option<&'static AddressSpace>,
    /// Its process is killed, and gets no page any more.
    pub is_reaped: bool,
    flush: Flush,
}

/// Translations to flush before the lock is let go, and what is freed then.
struct Flush {
    root: Root,
    pages: [u64; FLUSH_PAGES_MAX],
    count: usize,
    /// Pages that only other vCPUs may hold a translation of.
    elsewhere: bool,
    /// Page tables, too.
    everything: bool,
    frames: Vec<u64>,
    large: Vec<u64>,
}

impl AddressSpace {
    /// Nothing mapped, one user.
    pub(super) const fn new(root: Root) -> AddressSpace {
        AddressSpace {
            root,
            wanted: Mutex::new(Wanted::new()),
            chance: Mutex::new(None),
            users: AtomicUsize::new(1),
            is_free: AtomicBool::new(false),
            was_forked: AtomicBool::new(false),
            kept: AtomicUsize::new(0),
            inner: Mutex::new(Space {
                root,
                areas: Areas::new(),
                brk_start: 0,
                brk: 0,
                mmap_top: APP_END,
                lock_future: false,
                family: None,
                is_reaped: false,
                flush: Flush {
                    root,
                    pages: [0; FLUSH_PAGES_MAX],
                    count: 0,
                    elsewhere: false,
                    everything: false,
                    frames: Vec::new(),
                    large: Vec::new(),
                },
            }),
            holder: AtomicUsize::new(0),
        }
    }

    /// The page table, for a vCPU that is to run in it.
    pub fn root(&self) -> Root {
        self.root
    }

    /// Locks it; the guard flushes what was edited.
    pub fn lock(&self) -> SpaceGuard<'_> {
        let inner = self.inner.lock();
        self.holder.store(arch::vcpu_index() + 1, Ordering::Relaxed);
        SpaceGuard {
            inner,
            holder: &self.holder,
            _after: spaces::Owed,
        }
    }

    /// For a crash record: nothing if the crash came while it was locked.
    pub fn try_lock(&self) -> Option<SpaceGuard<'_>> {
        let inner = self.inner.try_lock()?;
        self.holder.store(arch::vcpu_index() + 1, Ordering::Relaxed);
        Some(SpaceGuard {
            inner,
            holder: &self.holder,
            _after: spaces::Owed,
        })
    }

    /// Whether this vCPU holds the lock: a fault now is one of the libOS's own.
    pub fn is_held_here(&self) -> bool {
        self.holder.load(Ordering::Relaxed) == arch::vcpu_index() + 1
    }
}

/// The locked address space.
pub struct SpaceGuard<'a> {
    inner: MutexGuard<'a, Space>,
    holder: &'a AtomicUsize,
    /// Dropped last, once the lock is let go.
    _after: spaces::Owed,
}

impl core::ops::Deref for SpaceGuard<'_> {
    type Target = Space;
    fn deref(&self) -> &Space {
        &self.inner
    }
}

impl core::ops::DerefMut for SpaceGuard<'_> {
    fn deref_mut(&mut self) -> &mut Space {
        &mut self.inner
    }
}

impl Drop for SpaceGuard<'_> {
    fn drop(&mut self) {
        self.inner.flush.run();
        self.holder.store(0, Ordering::Relaxed);
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
        if self.count == 0 && !self.elsewhere && !self.everything {
            return;
        }
        if !sched::uses_root(self.root) {
            // This vCPU forgot all of it when it entered the table that it uses.
        } else if self.everything || self.count > self.pages.len() {
            self.root.enter();
        } else {
            for page in self.pages.iter().take(self.count) {
                arch::flush_page(*page);
            }
        }
        (self.count, self.elsewhere, self.everything) = (0, false, false);
        sched::flush_others(self.root);
        for gpa in self.frames.drain(..) {
            arena::release_frame(gpa);
        }
        for gpa in self.large.drain(..) {
            arena::release_large(gpa);
        }
    }

    /// Frees a page after the flush, which is one for many pages.
    fn free(&mut self, gpa: u64, large: bool) {
        let list = if large {
            &mut self.large
        } else {
            &mut self.frames
        };
        if list.try_reserve(1).is_ok() {
            list.push(gpa);
            if list.len() >= FREE_MAX {
                self.run();
            }
            return;
        }
        // No memory to remember it: nobody may reach it from here on.
        self.run();
        if large {
            arena::release_large(gpa);
        } else {
            arena::release_frame(gpa);
        }
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
            at = self.root.skip_empty(at, end);
            if at >= end {
                return true;
            }
            let (entry, large) = self.root.lookup(at);
            if large {
                let base = at & !(LARGE_PAGE - 1);
                if base < start || base + LARGE_PAGE > end {
                    if !self.root.split(at) {
                        return false;
                    }
                    continue;
                }
                self.root.clear(at, true);
                self.owe_flush(at, entry);
                self.free_later(entry, true);
                at = base + LARGE_PAGE;
                continue;
            }
            if !entry.is_empty() {
                self.root.clear(at, false);
                self.owe_flush(at, entry);
                self.free_later(entry, false);
            }
            at += PAGE;
        }
    }

    /// Gives all present pages of `start..end` other access.
    pub fn protect_pages(&mut self, start: u64, end: u64, protection: u32) -> bool {
        let access = access_of(protection);
        let mut at = start;
        loop {
            at = self.root.skip_empty(at, end);
            if at >= end {
                return true;
            }
            let (entry, large) = self.root.lookup(at);
            if large {
                let base = at & !(LARGE_PAGE - 1);
                if base < start || base + LARGE_PAGE > end {
                    if !self.root.split(at) {
                        return false;
                    }
                    continue;
                }
            }
            if !entry.is_empty() {
                let changed = entry.with_access(access);
                if changed != entry {
                    self.root.replace(at, changed, large);
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

    /// Remembers that other vCPUs may have `old`, which this vCPU forgot already.
    pub fn owe_flush_elsewhere(&mut self, old: Entry) {
        self.flush.elsewhere |= old.is_present() && sched::online() > 1;
    }

    /// Drops the reference that `old` held, once no vCPU can reach the page through it.
    pub fn free_later(&mut self, old: Entry, large: bool) {
        if old.is_counted() {
            self.flush.free(old.gpa(), large);
        }
    }

    /// Takes all that is mapped away. Nobody runs in it any more.
    pub(super) fn clear(&mut self) {
        let _ = self.unmap_sealed(LOWEST, LIBOS_START);
        let _ = self.unmap_sealed(LIBOS_END, APP_END);
        (self.brk_start, self.brk, self.mmap_top) = (0, 0, APP_END);
        (self.lock_future, self.is_reaped) = (false, false);
        self.family = None;
        self.flush.everything = true;
        self.flush.run();
    }

    /// Frees the page tables, in which nothing is mapped.
    pub(super) fn free_tables(&mut self) {
        let tables = self.root.take_tables();
        self.flush.everything = true;
        self.flush.run();
        tables.free();
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
