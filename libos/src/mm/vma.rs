//! What is mapped where: an ordered set of areas that never overlap.
//!
//! Pure bookkeeping, tested on the host. Page-table work is `map.rs`'s.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

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

    /// The part of this area inside `start..end`.
    fn part(&self, start: u64, end: u64) -> Area {
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
}

impl Areas {
    /// No areas.
    pub const fn new() -> Areas {
        Areas {
            by_start: BTreeMap::new(),
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
        let mut top = high;
        for (_, area) in self.by_start.range(..high).rev() {
            if area.end <= top {
                let start = top.checked_sub(bytes)? & !(align - 1);
                if start >= area.end && start >= low {
                    return Some(start);
                }
            }
            top = top.min(area.start);
            if top < low {
                return None;
            }
        }
        let start = top.checked_sub(bytes)? & !(align - 1);
        (start >= low).then_some(start)
    }

    /// Bytes mapped in all.
    pub fn total_bytes(&self) -> u64 {
        self.by_start.values().map(Area::len).sum()
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
}
