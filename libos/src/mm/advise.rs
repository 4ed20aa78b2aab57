//! madvise(2) and mincore(2): what the program knows about its pages, and what
//! it may know.

use alloc::vec::Vec;

use linux_raw_sys::general::{
    MADV_COLD, MADV_DODUMP, MADV_DOFORK, MADV_DONTDUMP, MADV_DONTFORK, MADV_DONTNEED,
    MADV_DONTNEED_LOCKED, MADV_FREE, MADV_HUGEPAGE, MADV_KEEPONFORK, MADV_MERGEABLE,
    MADV_NOHUGEPAGE, MADV_NORMAL, MADV_PAGEOUT, MADV_POPULATE_READ, MADV_POPULATE_WRITE,
    MADV_RANDOM, MADV_REMOVE, MADV_SEQUENTIAL, MADV_UNMERGEABLE, MADV_WILLNEED, MADV_WIPEONFORK,
};

use super::fault::{self, Fault};
use super::space::{AddressSpace, Space};
use super::vma::{Area, Backing, PROT_WRITE, Traits};
use super::{LARGE_PAGE, PAGE, arena, round_down, round_up};
use crate::errno::{Errno, SysResult};
use crate::fs;

/// What one advice does to one area.
enum Action {
    /// The pages go; their contents too where they are private.
    Drop,
    /// The pages of the file behind it become a hole.
    Punch,
    /// Large pages, or none.
    LargePages(bool),
    /// What children of fork have there.
    Inherit(fn(&mut Traits)),
    /// Nothing: there is no swap, and no dump.
    Nothing,
}

impl Area {
    /// What `advice` means here.
    fn action(&self, advice: u32) -> Result<Action, Errno> {
        let anonymous = matches!(self.backing, Backing::Anonymous);
        let loses = matches!(advice, MADV_DONTNEED | MADV_FREE | MADV_DONTNEED_LOCKED);
        if self.traits.sealed && loses && anonymous && self.protection & PROT_WRITE == 0 {
            return Err(Errno::EPERM);
        }
        let bound = matches!(
            advice,
            MADV_DONTNEED | MADV_FREE | MADV_REMOVE | MADV_COLD | MADV_PAGEOUT
        );
        if self.traits.locked && bound {
            return Err(Errno::EINVAL);
        }
        match advice {
            MADV_DONTNEED | MADV_DONTNEED_LOCKED => Ok(Action::Drop),
            MADV_FREE | MADV_WIPEONFORK if !anonymous => Err(Errno::EINVAL),
            MADV_FREE => Ok(Action::Drop),
            MADV_REMOVE if anonymous => Err(Errno::EINVAL),
            MADV_REMOVE if !self.shared || self.protection & PROT_WRITE == 0 => Err(Errno::EACCES),
            MADV_REMOVE => Ok(Action::Punch),
            MADV_HUGEPAGE => Ok(Action::LargePages(true)),
            MADV_NOHUGEPAGE => Ok(Action::LargePages(false)),
            MADV_DONTFORK => Ok(Action::Inherit(|traits| traits.stays_here = true)),
            MADV_DOFORK => Ok(Action::Inherit(|traits| traits.stays_here = false)),
            MADV_WIPEONFORK => Ok(Action::Inherit(|traits| traits.is_wiped = true)),
            MADV_KEEPONFORK => Ok(Action::Inherit(|traits| traits.is_wiped = false)),
            _ => Ok(Action::Nothing),
        }
    }
}

fn is_known(advice: u32) -> bool {
    matches!(
        advice,
        MADV_NORMAL
            | MADV_RANDOM
            | MADV_SEQUENTIAL
            | MADV_WILLNEED
            | MADV_DONTNEED
            | MADV_FREE
            | MADV_REMOVE
            | MADV_DONTFORK
            | MADV_DOFORK
            | MADV_MERGEABLE
            | MADV_UNMERGEABLE
            | MADV_HUGEPAGE
            | MADV_NOHUGEPAGE
            | MADV_DONTDUMP
            | MADV_DODUMP
            | MADV_WIPEONFORK
            | MADV_KEEPONFORK
            | MADV_COLD
            | MADV_PAGEOUT
            | MADV_POPULATE_READ
            | MADV_POPULATE_WRITE
            | MADV_DONTNEED_LOCKED
    )
}

impl AddressSpace {
    /// madvise(2). What is mapped follows the advice even where a part is not.
    ///
    /// # Errors
    /// EINVAL, EACCES, EPERM, EFAULT, ENOMEM.
    pub fn advise(&self, address: u64, bytes: u64, advice: u32) -> SysResult {
        if !is_known(advice) || !address.is_multiple_of(PAGE) {
            return Err(Errno::EINVAL);
        }
        let bytes = round_up(bytes, PAGE).ok_or(Errno::EINVAL)?;
        let end = address.checked_add(bytes).ok_or(Errno::EINVAL)?;
        if matches!(advice, MADV_POPULATE_READ | MADV_POPULATE_WRITE) {
            return self.populate(address, end, advice == MADV_POPULATE_WRITE);
        }
        if bytes == 0 {
            return Ok(0);
        }
        let mut punched = Vec::new();
        let mut space = self.lock();
        let complete = space.areas.covers(address, end);
        let areas: Vec<Area> = space.areas.overlapping(address, end).cloned().collect();
        for area in areas {
            let part = area.part(address, end);
            match area.action(advice)? {
                Action::Nothing => {}
                Action::Drop => {
                    if !space.clear_pages(part.start, part.end) {
                        return Err(Errno::ENOMEM);
                    }
                }
                Action::LargePages(wanted) => {
                    space.set_traits(part.start, part.end, |t| t.small_pages = !wanted)?;
                }
                Action::Inherit(change) => space.set_traits(part.start, part.end, change)?,
                Action::Punch => punched.push(part),
            }
        }
        drop(space);
        for part in punched {
            if let Backing::File { file, offset } = &part.backing {
                fs::punch_hole(file, *offset, part.len())?;
            }
        }
        if matches!(
            advice,
            MADV_DONTNEED | MADV_FREE | MADV_REMOVE | MADV_DONTNEED_LOCKED
        ) {
            arena::give_free_to_host();
        }
        if complete { Ok(0) } else { Err(Errno::ENOMEM) }
    }

    /// MADV_POPULATE_READ and MADV_POPULATE_WRITE.
    fn populate(&self, start: u64, end: u64, write: bool) -> SysResult {
        let mut at = start;
        while at < end {
            // The lock is let go between large pages: others fault meanwhile.
            let next = (round_down(at, LARGE_PAGE) + LARGE_PAGE).min(end);
            fault::populate(&mut self.lock(), at, next, write).map_err(|fault| match fault {
                Fault::NotMapped | Fault::OutOfMemory => Errno::ENOMEM,
                Fault::Denied => Errno::EINVAL,
                Fault::PastEnd => Errno::EFAULT,
            })?;
            at = next;
        }
        Ok(0)
    }

    /// mincore(2) for `pages` pages from `address`.
    ///
    /// # Errors
    /// ENOMEM where not all of it is mapped.
    pub fn residency(&self, address: u64, pages: u64) -> Result<Vec<u8>, Errno> {
        let space = self.lock();
        if !space.areas.covers(address, address + pages * PAGE) {
            return Err(Errno::ENOMEM);
        }
        let pages = (0..pages).map(|index| address + index * PAGE);
        Ok(pages
            .map(|page| u8::from(space.is_resident(page)))
            .collect())
    }
}

impl Space {
    /// Whether touching the page needs neither memory nor the host: it has a
    /// translation, or the file has it.
    fn is_resident(&self, page: u64) -> bool {
        if !self.root.lookup(page).0.is_empty() {
            return true;
        }
        let Some(area) = self.areas.find(page) else {
            return false;
        };
        match &area.backing {
            Backing::File { file, offset } => file
                .file()
                .is_resident((offset + (page - area.start)) / PAGE),
            Backing::Anonymous => false,
        }
    }
}
