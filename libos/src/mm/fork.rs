//! fork: a second space that shows what the first does, until one of both writes.
//!
//! | area | page | what the child has |
//! |---|---|---|
//! | private | its own frame | the same, read-only in both: a write copies it |
//! | private | a page of a file | the same; a write copies it as before |
//! | shared | of a memory file | the same |
//! | MADV_WIPEONFORK | any | nothing: zeros when it is touched |
//! | MADV_DONTFORK | any | not even the area |
//!
//! Large pages are shared whole. A write to one that is still shared splits it first.
//!
//! Pages that both sides are known to write soon are copied at once, those of files that
//! children are known to touch are mapped before (`wanted.rs`).

use super::pagetable::{self, COUNTED, Entry};
use super::space::{AddressSpace, Space, access_of};
use super::spaces::{self, For};
use super::vma::{Area, PROT_WRITE};
use super::wanted::Wanted;
use super::{Frame, PAGE, arena, phys, round_down};
use crate::errno::Errno;

/// Pages on both sides of an address that is written at once, which are copied with it.
const BESIDE_PAGES: u64 = 1;
/// What is copied in hope is at most this part of the memory that is left.
const SHARE_OF_FREE: u64 = 16;

/// What both sides will write soon.
struct Soon<'a> {
    addresses: [u64; 2],
    wanted: Option<&'a Wanted>,
}

impl Soon<'_> {
    fn has(&self, page: u64) -> bool {
        let is_beside = |address: &u64| {
            let distance = round_down(*address, PAGE).abs_diff(page);
            distance <= BESIDE_PAGES * PAGE
        };
        self.addresses.iter().any(is_beside) || self.wanted.is_some_and(|it| it.has(page))
    }
}

impl AddressSpace {
    /// A copy, with one user. Both sides will write at the addresses `soon`: what is there is
    /// copied now, which costs less than a fault on each side. So is what earlier forks
    /// taught, where nobody else writes to it meanwhile: `is_quiet`.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn fork(
        &'static self,
        soon: [u64; 2],
        is_quiet: bool,
    ) -> Result<&'static AddressSpace, Errno> {
        let child = spaces::make(For::Fork)?;
        let copied = {
            let mut parent = self.lock();
            let mut space = child.lock();
            let family = *parent.family.get_or_insert_with(|| {
                self.wanted.lock().clear();
                self
            });
            space.family = Some(family);
            let mut wanted = family.wanted.lock();
            wanted.forget_some();
            parent.map_wanted(&wanted);
            let is_cheap = wanted.bytes() <= arena::available_bytes() / SHARE_OF_FREE;
            let soon = Soon {
                addresses: soon,
                wanted: (is_quiet && is_cheap).then_some(&*wanted),
            };
            space.brk_start = parent.brk_start;
            space.brk = parent.brk;
            space.mmap_top = parent.mmap_top;
            let areas: alloc::vec::Vec<Area> = parent.areas.iter().cloned().collect();
            let mut inherited = (areas.into_iter()).filter(|area| !area.traits.stays_here);
            inherited.all(|area| {
                let is_copied = area.traits.is_wiped || parent.copy_pages(&area, &space, &soon);
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
    fn copy_pages(&mut self, area: &Area, child: &Space, soon: &Soon<'_>) -> bool {
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
                if !area.shared && !large && soon.has(at) && self.give_copy(area, child, at, entry)
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

    /// Gives a new space a copy of a page that either side may write. False for others, and
    /// without memory for it.
    fn give_copy(&self, area: &Area, child: &Space, at: u64, entry: Entry) -> bool {
        let was_forked = entry.is_forked() && area.protection & PROT_WRITE != 0;
        if !was_forked && !entry.is_own_and_writable() {
            return false;
        }
        let Ok(frame) = Frame::zeroed() else {
            return false;
        };
        phys::copy_page(entry.gpa(), frame.gpa());
        let own = Entry::new(entry.gpa(), access_of(area.protection), COUNTED);
        let is_set = child.root.set_small(at, own.with_frame(frame.gpa()));
        if is_set {
            frame.into_counted();
            if was_forked && arena::frame_references(entry.gpa()) == 1 {
                // Nobody shares it any more. To allow more needs no flush.
                self.root.replace(at, own, false);
            }
        }
        is_set
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
