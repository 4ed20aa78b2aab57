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
use super::{arena, spaces};
use crate::errno::Errno;

impl AddressSpace {
    /// A copy, with one user.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn fork(&self) -> Result<&'static AddressSpace, Errno> {
        let child = spaces::make()?;
        let copied = {
            let mut parent = self.lock();
            let mut space = child.lock();
            space.brk_start = parent.brk_start;
            space.brk = parent.brk;
            space.mmap_top = parent.mmap_top;
            let areas: alloc::vec::Vec<Area> = parent.areas.iter().cloned().collect();
            areas.into_iter().all(|area| {
                let is_copied = parent.copy_pages(&area, &space);
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
    fn copy_pages(&mut self, area: &Area, child: &Space) -> bool {
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
