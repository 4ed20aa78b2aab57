//! What is mapped where: an ordered set of areas that never overlap.
//!
//! Pure bookkeeping, tested on the host. Page-table work is `map.rs`'s.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::Cell;

use crate::fs::OpenFile;

/// PROT_* bits as Linux numbers them.
pub const PROT_READ: u32 = 1;
/// See [`PROT_READ`].
pub const PROT_WRITE: u32 = 2;
/// See [`PROT_READ`].
pub const PROT_EXEC: u32 = 4;

/// What an area shows.
#[derive(Clone)]
pub enum Backing {
    /// Zeros, private.
    Anonymous,
    /// A file from `offset`, which belongs to the area's first byte.
    File {
        /// The open file.
        file: Arc<OpenFile>,
        /// Bytes into it, page-aligned.
        offset: u64,
    },
}

/// One area.
#[derive(Clone)]
pub struct Area {
    /// First address.
    pub start: u64,
    /// First address after it.
    pub end: u64,
    /// PROT_* bits.
    pub protection: u32,
    /// MAP_SHARED: writes reach the file.
    pub shared: bool,
    /// The stack, the heap: a name for /proc/self/maps.
    pub name: &'static str,
    /// What it shows.
    pub backing: Backing,
    /// What else is special about it.
    pub traits: Traits,
}

/// What calls besides mmap made of an area.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traits {
    /// Counted in VmLck (mlock, MAP_LOCKED).
    pub locked: bool,
    /// Grows by faults below it (MAP_GROWSDOWN).
    pub grows_down: bool,
    /// No large pages (MADV_NOHUGEPAGE).
    pub small_pages: bool,
    /// Shared with a memory file that is sealed against new writers.
    pub never_writable: bool,
    /// Can be neither changed nor taken away (mseal).
    pub sealed: bool,
    /// Children have nothing there (MADV_DONTFORK).
    pub stays_here: bool,
    /// Children have zeros there (MADV_WIPEONFORK).
    pub is_wiped: bool,
}

impl Area {
    /// Bytes.
    pub fn len(&self) -> u64 {
        self.end - self.start
    }

    /// Areas are never empty.
    pub fn is_empty(&self) -> bool {
        self.end == self.start
    }

    /// Private and writable, but for the stack: what RLIMIT_DATA counts.
    pub fn is_data(&self) -> bool {
        self.protection & PROT_WRITE != 0 && !self.shared && self.name != "[stack]"
    }

    /// The part of this area inside `start..end`.
    pub fn part(&self, start: u64, end: u64) -> Area {
        let mut part = self.clone();
        part.start = self.start.max(start);
        part.end = self.end.min(end);
        if let Backing::File { offset, .. } = &mut part.backing {
            *offset += part.start - self.start;
        }
        part
    }

    /// Whether `next` just goes on where this area ends.
    fn continues_into(&self, next: &Area) -> bool {
        self.end == next.start
            && self.protection == next.protection
            && self.shared == next.shared
            && self.name == next.name
            && self.traits == next.traits
            && match (&self.backing, &next.backing) {
                (Backing::Anonymous, Backing::Anonymous) => true,
                (Backing::File { file: a, offset: x }, Backing::File { file: b, offset: y }) => {
                    Arc::ptr_eq(a, b) && x + self.len() == *y
                }
                _ => false,
            }
    }
}

/// All areas by start address.
#[derive(Default)]
pub struct Areas {
    by_start: BTreeMap<u64, Area>,
    /// Where the search for a gap may begin: thousands of mappings would
    /// otherwise be walked for each new one.
    hint: Cell<Hint>,
}

/// What the last searches for a gap learned.
#[derive(Clone, Copy, Default)]
struct Hint {
    /// The gaps between here and `high` are known.
    from: u64,
    /// Upper end of the searches; the hint holds for this one alone.
    high: u64,
    /// Bytes of the largest gap in `from..high`.
    largest: u64,
}

impl Areas {
    /// No areas.
    pub const fn new() -> Areas {
        Areas {
            by_start: BTreeMap::new(),
            hint: Cell::new(Hint {
                from: 0,
                high: 0,
                largest: 0,
            }),
        }
    }

    /// The area that holds `address`.
    pub fn find(&self, address: u64) -> Option<&Area> {
        let (_, area) = self.by_start.range(..=address).next_back()?;
        (address < area.end).then_some(area)
    }

    /// Areas that touch `start..end`, lowest first.
    pub fn overlapping(&self, start: u64, end: u64) -> impl Iterator<Item = &Area> {
        let first = self.find(start).map_or(start, |area| area.start);
        self.by_start
            .range(first..end.max(first))
            .map(|(_, area)| area)
    }

    /// Every area, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = &Area> {
        self.by_start.values()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.by_start.len()
    }

    /// The first area that starts at or after `address`.
    pub fn next_from(&self, address: u64) -> Option<&Area> {
        self.by_start.range(address..).next().map(|(_, area)| area)
    }

    /// Adds an area, joined with equal neighbours. Its range must be free.
    pub fn insert(&mut self, mut area: Area) {
        if let Some((_, before)) = self.by_start.range(..area.start).next_back()
            && before.continues_into(&area)
        {
            let start = before.start;
            if let Some(before) = self.by_start.remove(&start) {
                area = Area {
                    end: area.end,
                    ..before
                };
            }
        }
        if let Some(after) = self.by_start.get(&area.end)
            && area.continues_into(after)
        {
            let (old_end, end) = (area.end, after.end);
            self.by_start.remove(&old_end);
            area.end = end;
        }
        self.by_start.insert(area.start, area);
    }

    /// Takes `start..end` away, and returns what was there.
    pub fn remove(&mut self, start: u64, end: u64) -> Vec<Area> {
        let touched: Vec<u64> = self
            .overlapping(start, end)
            .map(|area| area.start)
            .collect();
        let mut removed = Vec::new();
        // A gap may have come about above the hint: search from the top again.
        if self.hint.get().from < end {
            self.hint.set(Hint::default());
        }
        for key in touched {
            let Some(area) = self.by_start.remove(&key) else {
                continue;
            };
            if area.start < start {
                self.by_start
                    .insert(area.start, area.part(area.start, start));
            }
            if area.end > end {
                self.by_start.insert(end, area.part(end, area.end));
            }
            removed.push(area.part(start, end));
        }
        removed
    }

    /// Whether all of `start..end` is mapped.
    pub fn covers(&self, start: u64, end: u64) -> bool {
        let mut at = start;
        for area in self.overlapping(start, end) {
            if area.start > at {
                return false;
            }
            at = area.end;
        }
        at >= end
    }

    /// Whether nothing of `start..end` is mapped.
    pub fn is_free(&self, start: u64, end: u64) -> bool {
        self.overlapping(start, end).next().is_none()
    }

    /// The highest free range of `bytes` in `low..high`, aligned.
    pub fn find_gap_below(&self, low: u64, high: u64, bytes: u64, align: u64) -> Option<u64> {
        let mut hint = self.hint.get();
        if hint.high != high || bytes <= hint.largest {
            hint = Hint {
                from: high,
                high,
                largest: 0,
            };
        }
        let found = self.search_gap(low, bytes, align, &mut hint);
        self.hint.set(hint);
        found
    }

    /// Walks down from `hint.from`, which follows; too small gaps are noted.
    fn search_gap(&self, low: u64, bytes: u64, align: u64, hint: &mut Hint) -> Option<u64> {
        for (_, area) in self.by_start.range(..hint.from).rev() {
            if area.end <= hint.from {
                let start = hint.from.checked_sub(bytes)? & !(align - 1);
                if start >= area.end && start >= low {
                    return Some(start);
                }
                hint.largest = hint.largest.max(hint.from - area.end);
            }
            hint.from = hint.from.min(area.start);
            if hint.from < low {
                return None;
            }
        }
        let start = hint.from.checked_sub(bytes)? & !(align - 1);
        (start >= low).then_some(start)
    }

    /// Bytes mapped in all.
    pub fn total_bytes(&self) -> u64 {
        self.by_start.values().map(Area::len).sum()
    }

    /// Bytes of the areas that `is` picks.
    pub fn bytes_of(&self, is: impl Fn(&Area) -> bool) -> u64 {
        let picked = self.by_start.values().filter(|area| is(area));
        picked.map(Area::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anonymous(start: u64, end: u64, protection: u32) -> Area {
        Area {
            start,
            end,
            protection,
            shared: false,
            name: "",
            backing: Backing::Anonymous,
            traits: Traits::default(),
        }
    }

    #[test]
    fn neighbours_join_and_parts_split() {
        let mut areas = Areas::new();
        areas.insert(anonymous(0x1000, 0x3000, 3));
        areas.insert(anonymous(0x5000, 0x6000, 3));
        areas.insert(anonymous(0x3000, 0x5000, 3));
        assert_eq!(areas.count(), 1);
        let removed = areas.remove(0x2000, 0x4000);
        assert_eq!(removed.len(), 1);
        assert_eq!((removed[0].start, removed[0].end), (0x2000, 0x4000));
        assert_eq!(areas.count(), 2);
        assert!(areas.is_free(0x2000, 0x4000));
        assert!(!areas.is_free(0x1000, 0x4000));
        assert!(areas.covers(0x4000, 0x6000));
        assert!(!areas.covers(0x1000, 0x6000));
    }

    #[test]
    fn gaps_are_found_from_the_top() {
        let mut areas = Areas::new();
        assert_eq!(
            areas.find_gap_below(0x1000, 0x10000, 0x2000, 0x1000),
            Some(0xe000)
        );
        areas.insert(anonymous(0xe000, 0x10000, 1));
        areas.insert(anonymous(0x9000, 0xd000, 1));
        assert_eq!(
            areas.find_gap_below(0x1000, 0x10000, 0x1000, 0x1000),
            Some(0xd000)
        );
        assert_eq!(
            areas.find_gap_below(0x1000, 0x10000, 0x2000, 0x1000),
            Some(0x7000)
        );
        assert_eq!(areas.find_gap_below(0x1000, 0x10000, 0x9000, 0x1000), None);
    }

    /// The search with a hint finds what a search from the top finds.
    #[test]
    fn a_remembered_search_misses_no_gap() {
        let mut areas = Areas::new();
        let mut state = 12_345_u64;
        let mut random = |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % below
        };
        for _ in 0..4000 {
            let bytes = (1 + random(4)) * 0x1000;
            let align = if random(3) == 0 { 0x4000 } else { 0x1000 };
            if random(2) == 0 {
                let start = 0x1000 + random(0xff) * 0x1000;
                areas.remove(start, start + bytes);
                continue;
            }
            let found = areas.find_gap_below(0x1000, 0x10_0000, bytes, align);
            areas.hint.set(Hint::default());
            assert_eq!(found, areas.find_gap_below(0x1000, 0x10_0000, bytes, align));
            if let Some(start) = found {
                areas.insert(anonymous(start, start + bytes, random(2) as u32));
            }
        }
    }
}
