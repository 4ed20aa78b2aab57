//! The four-level page table, edited in place through the direct map.
//!
//! Every entry is written with Accessed and Dirty set: the libOS does not use
//! them, the CPU then has nothing to update, and a host with shadow paging maps
//! neighbours of a faulting page in one go. Bits 9 to 11 and 52 are the libOS's.
//!
//! Making a translation stricter needs a flush by the caller; making one where
//! there was none does not.
#![expect(unsafe_code, reason = "page tables are raw memory")]

use core::sync::atomic::{AtomicU64, Ordering};

use unikiln_abi::layout::{DIRECT_MAP_BASE, LIBOS_END, LIBOS_START};

use super::{LARGE_PAGE, PAGE, arena, phys};
use crate::arch;

const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const LARGE: u64 = 1 << 7;
/// The frame belongs to this mapping: a reference is dropped with the entry.
pub const COUNTED: u64 = 1 << 9;
/// A write makes a copy first.
pub const COPY_ON_WRITE: u64 = 1 << 10;
/// Present for the libOS's records only: PROT_NONE over a page that has contents.
pub const HIDDEN: u64 = 1 << 11;
/// A private page that was written and that fork left to two processes: unlike other pages
/// with [`COPY_ON_WRITE`] it is no page of a file.
pub const FORKED: u64 = 1 << 52;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
const TABLE_FLAGS: u64 = PRESENT | WRITABLE | USER | ACCESSED;

/// Guest-physical address of the first root, set at boot.
static FIRST: AtomicU64 = AtomicU64::new(0);

/// Slots of a root that are the libOS's, the same in every root.
const LIBOS_SLOTS: core::ops::Range<u64> = (LIBOS_START >> 39)..(LIBOS_END >> 39);

/// A whole table: the guest-physical address of its uppermost page. All of them show the
/// same below [`LIBOS_SLOTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root(u64);

/// What a page allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// PROT_READ, or anything: x86 cannot forbid reading alone.
    pub read: bool,
    /// PROT_WRITE.
    pub write: bool,
    /// PROT_EXEC.
    pub execute: bool,
}

/// One leaf entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry(u64);

impl Entry {
    /// An entry for `gpa`; `extra` is of [`COUNTED`] and [`COPY_ON_WRITE`].
    pub fn new(gpa: u64, access: Access, extra: u64) -> Entry {
        let mut bits = (gpa & ADDRESS) | USER | ACCESSED | DIRTY | extra;
        bits |= if access.read || access.write || access.execute {
            PRESENT
        } else {
            HIDDEN
        };
        if access.write && extra & COPY_ON_WRITE == 0 {
            bits |= WRITABLE;
        }
        if !access.execute {
            bits |= NO_EXECUTE;
        }
        Entry(bits)
    }

    /// Nothing there, not even hidden.
    pub fn is_empty(self) -> bool {
        self.0 & (PRESENT | HIDDEN) == 0
    }
    /// The CPU may use it.
    pub fn is_present(self) -> bool {
        self.0 & PRESENT != 0
    }
    /// The CPU may write through it.
    pub fn is_writable(self) -> bool {
        self.0 & (PRESENT | WRITABLE) == PRESENT | WRITABLE
    }
    /// Instructions may be fetched through it.
    pub fn is_executable(self) -> bool {
        self.0 & PRESENT != 0 && self.0 & NO_EXECUTE == 0
    }
    /// Holds a reference.
    pub fn is_counted(self) -> bool {
        self.0 & COUNTED != 0
    }
    /// See [`COPY_ON_WRITE`].
    pub fn is_copy_on_write(self) -> bool {
        self.0 & COPY_ON_WRITE != 0
    }
    /// See [`FORKED`].
    pub fn is_forked(self) -> bool {
        self.0 & (COUNTED | FORKED) == COUNTED | FORKED
    }
    /// Shows a page of a file that a write would copy.
    pub fn is_of_file(self) -> bool {
        self.0 & (COPY_ON_WRITE | FORKED) == COPY_ON_WRITE
    }
    /// A page of one's own that may be written: nobody else sees it.
    pub fn is_own_and_writable(self) -> bool {
        self.is_writable() && self.is_counted() && !self.is_copy_on_write()
    }
    /// The same access to another page.
    pub fn with_frame(self, gpa: u64) -> Entry {
        Entry(self.0 & !ADDRESS | gpa)
    }
    /// The same as a large entry.
    pub fn large(self) -> Entry {
        Entry(self.0 | LARGE)
    }
    /// What both sides have after fork of what one had.
    pub fn forked(self) -> Entry {
        let own = self.0 & (COUNTED | COPY_ON_WRITE) == COUNTED;
        let bits = if own { FORKED | COPY_ON_WRITE } else { 0 };
        Entry((self.0 | bits) & !(if own { WRITABLE } else { 0 }))
    }
    /// Guest-physical address.
    pub fn gpa(self) -> u64 {
        self.0 & ADDRESS
    }
    /// The same page with other access.
    pub fn with_access(self, access: Access) -> Entry {
        let kept = self.0 & (COUNTED | COPY_ON_WRITE | FORKED);
        Entry(Entry::new(self.gpa(), access, kept).0 | (self.0 & LARGE))
    }
}

/// Takes over the table that the monitor built.
pub fn init(pml4_gpa: u64) {
    FIRST.store(pml4_gpa, Ordering::Relaxed);
}

fn slot(table_gpa: u64, index: u64) -> *mut u64 {
    phys::pointer::<u64>(table_gpa + index * 8)
}

fn load(table_gpa: u64, index: u64) -> u64 {
    // SAFETY: `table_gpa` came from a present table entry, `index` is below 512.
    unsafe { slot(table_gpa, index & 511).read_volatile() }
}

fn store(table_gpa: u64, index: u64, value: u64) {
    // SAFETY: as `load`; the caller holds the lock of the address space, or
    // edits the direct map under the lock of the arenas.
    unsafe { slot(table_gpa, index & 511).write_volatile(value) }
}

const fn index_of(address: u64, level: u32) -> u64 {
    (address >> (12 + 9 * level)) & 511
}

impl Root {
    /// The one that the monitor built.
    pub fn first() -> Root {
        Root(FIRST.load(Ordering::Relaxed))
    }

    /// A root with nothing but the libOS in it; none without memory.
    pub fn new() -> Option<Root> {
        let new = arena::allocate_table()?;
        // Tables below these slots are there since the boot: what is mapped in them later
        // is mapped in all roots.
        for slot in LIBOS_SLOTS {
            store(new, slot, load(Root::first().0, slot));
        }
        Some(Root(new))
    }

    /// How many tables the program's part has below the uppermost page.
    pub fn count_tables(self) -> usize {
        let program = (0..512).filter(|slot| !LIBOS_SLOTS.contains(slot));
        let tables = program.map(|slot| load(self.0, slot));
        let tables = tables.filter(|entry| entry & PRESENT != 0);
        tables
            .map(|entry| 1 + count_below(entry & ADDRESS, 2))
            .sum()
    }

    /// Takes all tables of the program's part away, in which nothing is mapped any more.
    /// They are freed by [`Tables::free`], once no vCPU remembers them.
    pub fn take_tables(self) -> Tables {
        let mut tables = Tables([0; 512]);
        for (slot, table) in (0..).zip(&mut tables.0) {
            let entry = load(self.0, slot);
            if !LIBOS_SLOTS.contains(&slot) && entry & PRESENT != 0 {
                *table = entry & ADDRESS;
                store(self.0, slot, 0);
            }
        }
        tables
    }

    /// Guest-physical address of its uppermost page.
    pub fn gpa(self) -> u64 {
        self.0
    }

    /// Makes the calling vCPU use it, and forget all translations.
    pub fn enter(self) {
        arch::load_root(self.0);
    }

    /// The table of `level` (0 = page table, 1 = directory) that covers `address`.
    fn table(self, address: u64, level: u32) -> Option<u64> {
        let mut at = self.0;
        let mut current = 3;
        while current > level {
            let entry = load(at, index_of(address, current));
            if entry & PRESENT == 0 || entry & LARGE != 0 {
                return None;
            }
            at = entry & ADDRESS;
            current -= 1;
        }
        Some(at)
    }

    /// The same, made where it is missing.
    fn table_or_new(
        self,
        address: u64,
        level: u32,
        mut new: impl FnMut() -> Option<u64>,
    ) -> Option<u64> {
        let mut at = self.0;
        let mut current = 3;
        while current > level {
            let index = index_of(address, current);
            let entry = load(at, index);
            at = if entry & PRESENT == 0 {
                let fresh = new()?;
                store(at, index, fresh | TABLE_FLAGS);
                fresh
            } else if entry & LARGE != 0 {
                return None;
            } else {
                entry & ADDRESS
            };
            current -= 1;
        }
        Some(at)
    }

    /// The leaf entry at `address`, and whether it is a large one.
    pub fn lookup(self, address: u64) -> (Entry, bool) {
        let Some(directory) = self.table(address, 1) else {
            return (Entry(0), false);
        };
        let entry = load(directory, index_of(address, 1));
        if entry & (PRESENT | HIDDEN) == 0 {
            return (Entry(0), false);
        }
        if entry & LARGE != 0 {
            return (Entry(entry), true);
        }
        (Entry(load(entry & ADDRESS, index_of(address, 0))), false)
    }

    /// Writes a small entry. False when there is no memory for a table.
    pub fn set_small(self, address: u64, entry: Entry) -> bool {
        match self.table_or_new(address, 0, arena::allocate_table) {
            Some(page_table) => {
                store(page_table, index_of(address, 0), entry.0);
                true
            }
            None => false,
        }
    }

    /// Writes a large entry, if nothing but an empty table is in its place.
    pub fn set_large(self, address: u64, entry: Entry) -> bool {
        let Some(directory) = self.table_or_new(address, 1, arena::allocate_table) else {
            return false;
        };
        let index = index_of(address, 1);
        let old = load(directory, index);
        if old & PRESENT != 0 && old & LARGE == 0 {
            if (0..512).any(|i| load(old & ADDRESS, i) & (PRESENT | HIDDEN) != 0) {
                return false;
            }
            // The CPU may remember the way to the table: it must forget it before
            // the table's frame becomes something else.
            store(directory, index, 0);
            arch::flush_page(address);
            crate::sched::flush_others(self);
            arena::release_frame(old & ADDRESS);
        }
        store(directory, index, entry.0 | LARGE);
        true
    }

    /// Replaces an existing large entry by 512 small ones of the same pages.
    pub fn split(self, address: u64) -> bool {
        let Some(directory) = self.table(address, 1) else {
            return false;
        };
        let index = index_of(address, 1);
        let old = Entry(load(directory, index));
        let Some(page_table) = arena::allocate_table() else {
            return false;
        };
        if old.is_counted() {
            arena::split_large(old.gpa());
        }
        for i in 0..512 {
            store(page_table, i, (old.0 & !LARGE) + i * PAGE);
        }
        store(directory, index, page_table | TABLE_FLAGS);
        true
    }

    /// Rewrites an existing entry at `address`.
    pub fn replace(self, address: u64, entry: Entry, large: bool) {
        let level = u32::from(large);
        if let Some(at) = self.table(address, level) {
            store(at, index_of(address, level), entry.0);
        }
    }

    /// Takes the entry at `address` away.
    pub fn clear(self, address: u64, large: bool) {
        self.replace(address, Entry(0), large);
    }

    /// Whether nothing at all is mapped in the 2 MiB around `address`.
    pub fn large_slot_is_empty(self, address: u64) -> bool {
        let Some(directory) = self.table(address, 1) else {
            return true;
        };
        let entry = load(directory, index_of(address, 1));
        if entry & (PRESENT | HIDDEN) == 0 {
            return true;
        }
        entry & LARGE == 0 && (0..512).all(|i| load(entry & ADDRESS, i) & (PRESENT | HIDDEN) == 0)
    }

    /// First address at or after `from`, before `end`, below which no table exists:
    /// lets walks of huge empty ranges skip them.
    pub fn skip_empty(self, from: u64, end: u64) -> u64 {
        let mut at = from;
        while at < end {
            let mut table_gpa = self.0;
            let mut level = 3;
            loop {
                let entry = load(table_gpa, index_of(at, level));
                if entry & (PRESENT | HIDDEN) == 0 {
                    let span = PAGE << (9 * level);
                    at = match at.checked_add(span) {
                        Some(next) => next & !(span - 1),
                        None => return end,
                    };
                    break;
                }
                if level == 0 || entry & LARGE != 0 {
                    return at;
                }
                table_gpa = entry & ADDRESS;
                level -= 1;
            }
        }
        end
    }
}

/// Tables of a root's program part, by slot; 0 for none.
pub struct Tables([u64; 512]);

impl Tables {
    /// Frees them.
    pub fn free(self) {
        for table in self.0.into_iter().filter(|table| *table != 0) {
            free_tables(table, 2);
        }
    }
}

/// Tables that the entries of a table of `level` lead to.
fn count_below(table_gpa: u64, level: u32) -> usize {
    let entries = (0..512).map(|index| load(table_gpa, index));
    let tables = entries.filter(|entry| entry & PRESENT != 0 && entry & LARGE == 0);
    match level {
        0 => 0,
        1 => tables.count(),
        _ => tables
            .map(|entry| 1 + count_below(entry & ADDRESS, level - 1))
            .sum(),
    }
}

/// Frees a table whose entries of `level` lead to nothing but tables.
fn free_tables(table_gpa: u64, level: u32) {
    for index in 0..512 {
        let entry = load(table_gpa, index);
        if level > 0 && entry & PRESENT != 0 && entry & LARGE == 0 {
            free_tables(entry & ADDRESS, level - 1);
        }
    }
    arena::release_frame(table_gpa);
}

/// Maps 2 MiB of an arena in the direct map.
pub fn map_direct(gpa: u64, new: impl FnMut() -> Option<u64>) -> bool {
    map_direct_access(gpa, true, new)
}

/// The same, read-only where it is a window of the root file system.
pub fn map_direct_access(gpa: u64, write: bool, new: impl FnMut() -> Option<u64>) -> bool {
    let address = DIRECT_MAP_BASE + gpa;
    let Some(directory) = Root::first().table_or_new(address, 1, new) else {
        return false;
    };
    let access = Access {
        read: true,
        write,
        execute: false,
    };
    store(
        directory,
        index_of(address, 1),
        Entry::new(gpa, access, 0).0 | LARGE,
    );
    true
}

/// Bytes that an entry of either size maps.
pub const fn entry_bytes(large: bool) -> u64 {
    if large { LARGE_PAGE } else { PAGE }
}
