//! The size of a process's memory, and its end before the process's own.

use super::LARGE_PAGE;
use super::pagetable;
use super::space::{AddressSpace, Space};
use crate::fs::PAGE_BYTES;

impl AddressSpace {
    /// Pages in memory, and those of its page tables.
    pub fn resident_pages(&self) -> u64 {
        let space = self.lock();
        space
            .areas
            .iter()
            .map(|area| pages(&space, area.start, area.end))
            .sum()
    }

    /// Frees what is private, although the process has not ended: it gets no page again, and
    /// ends at its next fault.
    pub fn reap(&self) {
        let mut space = self.lock();
        space.is_reaped = true;
        let mut at = 0;
        while let Some(area) = space.areas.next_from(at) {
            let (start, end, shared) = (area.start, area.end, area.shared);
            if !shared {
                // Whole areas hold whole pages: nothing has to be split.
                space.clear_pages(start, end);
            }
            at = end;
        }
    }
}

fn pages(space: &Space, start: u64, end: u64) -> u64 {
    let (mut pages, mut tables, mut last_slot) = (0, 0, u64::MAX);
    let mut at = space.root.skip_empty(start, end);
    while at < end {
        let (entry, large) = space.root.lookup(at);
        let bytes = pagetable::entry_bytes(large);
        if entry.is_counted() {
            pages += bytes / PAGE_BYTES;
        }
        if !large && at / LARGE_PAGE != last_slot {
            last_slot = at / LARGE_PAGE;
            tables += 1;
        }
        at = space.root.skip_empty((at & !(bytes - 1)) + bytes, end);
    }
    pages + tables
}
