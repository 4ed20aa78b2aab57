//! fork: a second space that shows what the first does, until one of both writes.
//!
//! | area | page | what the child has |
//! |---|---|---|
//! | private | its own frame | the same, read-only in both: a write copies it |
//! | private | a page of a file | the same; a write copies it as before |
//! | shared | of a memory file | the same |
//!
//! Large pages are shared whole. A write to one that is still shared splits it first.

use super::pagetable::{self, Entry};
use super::space::{AddressSpace, Space};
use super::vma::Area;
use super::{Frame, PAGE, arena, phys, round_down, spaces};
use crate::errno::Errno;

/// Pages on both sides of an address that is written at once, which are copied with it.
const BESIDE_PAGES: u64 = 1;

impl AddressSpace {
    /// A copy, with one user. Both sides will write at the addresses `soon`: what is there is
    /// copied now, which costs less than a fault on each side.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn fork(&self, soon: [u64; 2]) -> Result<&'static AddressSpace, Errno> {
        let child = spaces::make()?;
        let copied = {
            let mut parent = self.lock();
            let mut space = child.lock();
            space.brk_start = parent.brk_start;
            space.brk = parent.brk;
            space.mmap_top = parent.mmap_top;
            let areas: alloc::vec::Vec<Area> = parent.areas.iter().cloned().collect();
            areas.into_iter().all(|area| {
                let is_copied = parent.copy_pages(&area, &space, soon);
                let mut area = area;
                // Locks are not inherited.
                area.traits.locked = false;
                space.add(area);
                is_copied
            })
        };
        if !copied {
            child.leave();
            return Err(Errno::ENOMEM);
        }
        Ok(child)
    }
}

impl Space {
    /// Gives `child` the pages of an area. False without memory for tables.
    fn copy_pages(&mut self, area: &Area, child: &Space, soon: [u64; 2]) -> bool {
        let mut at = area.start;
        loop {
            at = self.root.skip_empty(at, area.end);
            if at >= area.end {
                return true;
            }
            let (entry, large) = self.root.lookup(at);
            let bytes = pagetable::entry_bytes(large);
            if large && (!at.is_multiple_of(bytes) || at + bytes > area.end) {
                if !self.root.split(at) {
                    return false;
                }
                continue;
            }
            if !entry.is_empty() {
                let is_soon = soon.iter().any(|address| {
                    let distance = round_down(*address, PAGE).abs_diff(at);
                    distance <= BESIDE_PAGES * PAGE
                });
                if is_soon
                    && !area.shared
                    && !large
                    && entry.is_own_and_writable()
                    && give_copy(child, at, entry)
                {
                    at += bytes;
                    continue;
                }
                let both = if area.shared { entry } else { entry.forked() };
                if !give(child, at, both, large) {
                    return false;
                }
                if both != entry {
                    self.root.replace(at, both, large);
                    self.owe_flush(at, entry);
                }
            }
            at += bytes;
        }
    }
}

/// Gives a new space a copy of a page. False without memory for it.
fn give_copy(child: &Space, at: u64, entry: Entry) -> bool {
    let Ok(frame) = Frame::zeroed() else {
        return false;
    };
    phys::copy_page(entry.gpa(), frame.gpa());
    let is_set = child.root.set_small(at, entry.with_frame(frame.gpa()));
    if is_set {
        frame.into_counted();
    }
    is_set
}

/// Puts an entry into a new space, with a reference of its own.
fn give(child: &Space, at: u64, entry: Entry, large: bool) -> bool {
    if entry.is_counted() {
        if large {
            arena::share_large(entry.gpa());
        } else {
            arena::share_frame(entry.gpa());
        }
    }
    let is_set = if large {
        child.root.set_large(at, entry)
    } else {
        child.root.set_small(at, entry)
    };
    if !is_set && entry.is_counted() {
        if large {
            arena::release_large(entry.gpa());
        } else {
            arena::release_frame(entry.gpa());
        }
    }
    is_set
}
