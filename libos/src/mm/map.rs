//! Mapping calls: mmap, munmap, mprotect, mremap, madvise, brk.
//!
//! Each takes the address space, checks its arguments as Linux does, edits the
//! areas, then the page table. Sources: mmap(2), mremap(2), madvise(2), brk(2).

use alloc::sync::Arc;

use linux_raw_sys::general::{
    MADV_DONTNEED, MADV_FREE, MADV_REMOVE, MAP_ANONYMOUS, MAP_FIXED, MAP_FIXED_NOREPLACE,
    MAP_HUGETLB, MAP_NORESERVE, MAP_POPULATE, MAP_PRIVATE, MAP_SHARED, MAP_SHARED_VALIDATE,
    MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE,
};

use super::pagetable;
use super::space::{AddressSpace, Space, is_program_range};
use super::vma::{Area, Backing, PROT_EXEC, PROT_READ, PROT_WRITE};
use super::{PAGE, arena, fault, round_down, round_up};
use crate::errno::{Errno, SysResult};
use crate::fs::OpenFile;

/// Most areas of one process (Linux's vm.max_map_count).
const AREAS_MAX: usize = 65_530;
/// Private anonymous mappings up to here get their frames at once.
const POPULATE_ANONYMOUS_BYTES: u64 = 128 << 10;
/// Private file mappings up to here get their translations at once.
const POPULATE_FILE_BYTES: u64 = 16 << 20;
/// Writable private file mappings up to here are copied at once.
const COPY_AHEAD_BYTES: u64 = 512 << 10;
/// glibc's loader reserves a library's whole span by mapping its first segment
/// so, and maps the others over it: not worth populating.
const MAP_DENYWRITE: u32 = 0x800;

/// One mmap call.
pub struct Request {
    /// Wanted address.
    pub address: u64,
    /// Bytes.
    pub bytes: u64,
    /// PROT_* bits.
    pub protection: u32,
    /// MAP_* bits.
    pub flags: u32,
    /// The file of a file mapping.
    pub file: Option<Arc<OpenFile>>,
    /// Bytes into it.
    pub offset: u64,
    /// Name in /proc/self/maps.
    pub name: &'static str,
}

impl AddressSpace {
    /// mmap(2): the address.
    ///
    /// # Errors
    /// As the man page has them.
    pub fn map(&self, request: Request) -> SysResult {
        let bytes = round_up(request.bytes, PAGE).filter(|b| *b > 0);
        let bytes = bytes.ok_or(if request.bytes == 0 {
            Errno::EINVAL
        } else {
            Errno::ENOMEM
        })?;
        let flags = request.flags;
        if request.protection & !(PROT_READ | PROT_WRITE | PROT_EXEC) != 0
            || !request.offset.is_multiple_of(PAGE)
        {
            return Err(Errno::EINVAL);
        }
        let shared = match flags & 0xf {
            MAP_PRIVATE => false,
            MAP_SHARED | MAP_SHARED_VALIDATE => true,
            _ => return Err(Errno::EINVAL),
        };
        if flags & MAP_HUGETLB != 0 {
            // No reserved huge pages, as on a host with nr_hugepages = 0.
            return Err(Errno::ENOMEM);
        }
        if request.offset.checked_add(bytes).is_none() {
            return Err(Errno::EOVERFLOW);
        }
        let backing = match (flags & MAP_ANONYMOUS != 0, request.file) {
            (true, _) => Backing::Anonymous,
            (false, Some(file)) => {
                file.check_map(request.protection, shared)?;
                Backing::File {
                    file,
                    offset: request.offset,
                }
            }
            (false, None) => return Err(Errno::EBADF),
        };
        let anonymous_write = matches!(backing, Backing::Anonymous)
            && request.protection & PROT_WRITE != 0
            && flags & MAP_NORESERVE == 0;
        if anonymous_write && bytes > arena::limit_bytes() {
            // Linux's heuristic overcommit refuses what can never fit.
            return Err(Errno::ENOMEM);
        }
        let mut space = self.lock();
        let start = space.place(request.address, bytes, flags)?;
        let area = Area {
            start,
            end: start + bytes,
            protection: request.protection,
            shared,
            name: request.name,
            backing,
        };
        space.add(area.clone());
        space.populate_new(&area, flags);
        Ok(start as usize)
    }

    /// munmap(2).
    ///
    /// # Errors
    /// EINVAL, ENOMEM.
    pub fn unmap(&self, address: u64, bytes: u64) -> SysResult {
        let end = checked_end(address, bytes).ok_or(Errno::EINVAL)?;
        if !is_program_range(address.max(super::space::LOWEST), end) {
            return if end <= super::space::LOWEST {
                Ok(0)
            } else {
                Err(Errno::EINVAL)
            };
        }
        let mut space = self.lock();
        space.unmap_range(address, end).map(|()| 0)
    }

    /// mprotect(2).
    ///
    /// # Errors
    /// EINVAL, EACCES, ENOMEM.
    pub fn protect(&self, address: u64, bytes: u64, protection: u32) -> SysResult {
        if !address.is_multiple_of(PAGE) || protection & !(PROT_READ | PROT_WRITE | PROT_EXEC) != 0
        {
            return Err(Errno::EINVAL);
        }
        if bytes == 0 {
            return Ok(0);
        }
        let end = checked_end(address, bytes).ok_or(Errno::ENOMEM)?;
        let mut space = self.lock();
        if !space.areas.covers(address, end) {
            return Err(Errno::ENOMEM);
        }
        for area in space.areas.overlapping(address, end) {
            if let Backing::File { file, .. } = &area.backing
                && area.shared
            {
                file.check_map(protection, true)?;
            }
        }
        let mut changed = false;
        for mut area in space.areas.remove(address, end) {
            changed |= area.protection != protection;
            area.protection = protection;
            space.areas.insert(area);
        }
        if changed && !space.protect_pages(address, end, protection) {
            return Err(Errno::ENOMEM);
        }
        Ok(0)
    }

    /// mremap(2): the new address.
    ///
    /// # Errors
    /// EINVAL, EFAULT, ENOMEM.
    pub fn remap(
        &self,
        old: u64,
        old_bytes: u64,
        new_bytes: u64,
        flags: u32,
        to: u64,
    ) -> SysResult {
        let old_bytes = round_up(old_bytes, PAGE).ok_or(Errno::EINVAL)?;
        let new_bytes = round_up(new_bytes, PAGE)
            .filter(|b| *b > 0)
            .ok_or(Errno::EINVAL)?;
        let fixed = flags & MREMAP_FIXED != 0;
        if !old.is_multiple_of(PAGE)
            || flags & !(MREMAP_MAYMOVE | MREMAP_FIXED) != 0
            || (fixed && flags & MREMAP_MAYMOVE == 0)
            || flags & MREMAP_DONTUNMAP != 0
            || old_bytes == 0
        {
            return Err(Errno::EINVAL);
        }
        let mut space = self.lock();
        let old_end = old.checked_add(old_bytes).ok_or(Errno::EINVAL)?;
        let area = space.areas.find(old).ok_or(Errno::EFAULT)?.clone();
        if area.end < old_end {
            return Err(Errno::EFAULT);
        }
        if !fixed && new_bytes <= old_bytes {
            if new_bytes < old_bytes {
                space.unmap_range(old + new_bytes, old_end)?;
            }
            return Ok(old as usize);
        }
        if new_bytes > arena::limit_bytes() && matches!(area.backing, Backing::Anonymous) {
            return Err(Errno::ENOMEM);
        }
        let new_end = old.checked_add(new_bytes).ok_or(Errno::ENOMEM)?;
        let in_place = !fixed
            && area.end == old_end
            && is_program_range(old_end, new_end)
            && space.areas.is_free(old_end, new_end);
        if in_place {
            let mut more = area.clone();
            more.advance(old_end);
            more.end = new_end;
            space.add(more);
            return Ok(old as usize);
        }
        if flags & MREMAP_MAYMOVE == 0 {
            return Err(Errno::ENOMEM);
        }
        let target = if fixed {
            let end = checked_end(to, new_bytes).ok_or(Errno::EINVAL)?;
            if !is_program_range(to, end) || (to < old_end && end > old) {
                return Err(Errno::EINVAL);
            }
            space.unmap_range(to, end)?;
            to
        } else {
            space.find_free(new_bytes).ok_or(Errno::ENOMEM)?
        };
        space.move_area(&area, old, old_bytes.min(new_bytes), target, new_bytes)?;
        space.unmap_range(old, old_end)?;
        Ok(target as usize)
    }

    /// madvise(2): DONTNEED and FREE take the pages away, the rest is a hint.
    ///
    /// # Errors
    /// EINVAL, ENOMEM.
    pub fn advise(&self, address: u64, bytes: u64, advice: u32) -> SysResult {
        if !address.is_multiple_of(PAGE) {
            return Err(Errno::EINVAL);
        }
        let bytes = round_up(bytes, PAGE).ok_or(Errno::EINVAL)?;
        let end = address.checked_add(bytes).ok_or(Errno::EINVAL)?;
        if bytes == 0 {
            return Ok(0);
        }
        match advice {
            MADV_DONTNEED | MADV_FREE => {
                let mut space = self.lock();
                if !space.areas.covers(address, end) {
                    return Err(Errno::ENOMEM);
                }
                if space.clear_pages(address, end) {
                    Ok(0)
                } else {
                    Err(Errno::ENOMEM)
                }
            }
            MADV_REMOVE => Err(Errno::EOPNOTSUPP),
            // POPULATE_READ and POPULATE_WRITE.
            22 | 23 => super::user::fault_in(address, bytes).map(|()| 0),
            // NORMAL to WILLNEED, the fork and dump hints, MERGEABLE, HUGEPAGE
            // and their opposites, COLD, PAGEOUT.
            0..=4 | 10..=21 => {
                if self.lock().areas.covers(address, end) {
                    Ok(0)
                } else {
                    Err(Errno::ENOMEM)
                }
            }
            _ => Err(Errno::EINVAL),
        }
    }

    /// brk(2): the break after the call, the old one when it cannot move.
    pub fn set_break(&self, wanted: u64) -> u64 {
        let mut space = self.lock();
        let old = space.brk;
        if wanted < space.brk_start {
            return old;
        }
        let (Some(old_end), Some(new_end)) = (round_up(old, PAGE), round_up(wanted, PAGE)) else {
            return old;
        };
        if new_end > old_end {
            let fits = is_program_range(old_end, new_end)
                && space.areas.is_free(old_end, new_end)
                && new_end - space.brk_start <= arena::limit_bytes();
            if !fits {
                return old;
            }
            let area = Area {
                start: old_end,
                end: new_end,
                protection: PROT_READ | PROT_WRITE,
                shared: false,
                name: "[heap]",
                backing: Backing::Anonymous,
            };
            space.add(area.clone());
            space.populate_new(&area, 0);
        } else if new_end < old_end && space.unmap_range(new_end, old_end).is_err() {
            return old;
        }
        space.brk = wanted;
        wanted
    }
}

fn checked_end(address: u64, bytes: u64) -> Option<u64> {
    if !address.is_multiple_of(PAGE) || bytes == 0 {
        return None;
    }
    address.checked_add(round_up(bytes, PAGE)?)
}

impl Area {
    /// Moves the start forward to `start`, keeping what each address shows.
    fn advance(&mut self, start: u64) {
        if let Backing::File { offset, .. } = &mut self.backing {
            *offset += start - self.start;
        }
        self.start = start;
    }
}

impl Space {
    /// Where a new mapping goes; what a fixed one replaces is gone afterwards.
    fn place(&mut self, address: u64, bytes: u64, flags: u32) -> Result<u64, Errno> {
        if self.areas.count() >= AREAS_MAX {
            return Err(Errno::ENOMEM);
        }
        if flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) != 0 {
            let end = checked_end(address, bytes).ok_or(Errno::EINVAL)?;
            if address < super::space::LOWEST {
                return Err(Errno::EPERM);
            }
            if !is_program_range(address, end) {
                return Err(Errno::ENOMEM);
            }
            if flags & MAP_FIXED_NOREPLACE != 0 {
                return if self.areas.is_free(address, end) {
                    Ok(address)
                } else {
                    Err(Errno::EEXIST)
                };
            }
            self.unmap_range(address, end)?;
            return Ok(address);
        }
        let hint = round_down(address, PAGE);
        if let Some(end) = hint.checked_add(bytes)
            && hint != 0
            && is_program_range(hint, end)
            && self.areas.is_free(hint, end)
        {
            return Ok(hint);
        }
        self.find_free(bytes).ok_or(Errno::ENOMEM)
    }

    /// Takes everything in the range away.
    pub fn unmap_range(&mut self, start: u64, end: u64) -> Result<(), Errno> {
        if self.areas.is_free(start, end) {
            return Ok(());
        }
        if !self.clear_pages(start, end) {
            return Err(Errno::ENOMEM);
        }
        self.areas.remove(start, end);
        Ok(())
    }

    /// Gives a new mapping what it will surely touch. Failures are left to the
    /// page faults, which can report them.
    fn populate_new(&mut self, area: &Area, flags: u32) {
        if area.protection == 0 {
            return;
        }
        let asked = flags & MAP_POPULATE != 0;
        match &area.backing {
            Backing::Anonymous => {
                let small = area.len() <= POPULATE_ANONYMOUS_BYTES && flags & MAP_NORESERVE == 0;
                if asked || (small && area.protection & PROT_WRITE != 0) {
                    let mut at = area.start;
                    while at < area.end {
                        let attempt = fault::Attempt {
                            address: at,
                            write: false,
                            execute: false,
                        };
                        if pagetable::lookup(at).0.is_empty()
                            && fault::serve(self, attempt).is_err()
                        {
                            return;
                        }
                        at += PAGE;
                    }
                }
            }
            Backing::File { file, offset } => {
                let writable = area.protection & PROT_WRITE != 0 && !area.shared;
                if writable && area.len() <= COPY_AHEAD_BYTES {
                    fault::copy_file_ahead(self, area, file, *offset);
                } else if asked
                    || (area.len() <= POPULATE_FILE_BYTES && flags & MAP_DENYWRITE == 0)
                    || (area.protection & PROT_EXEC != 0 && area.len() <= POPULATE_FILE_BYTES)
                {
                    fault::populate_file(area, file, *offset, area.start, area.end);
                }
            }
        }
    }

    /// Moves the translations of `bytes` at `from` to `to`, where an area like
    /// `area` of `new_bytes` is made.
    fn move_area(
        &mut self,
        area: &Area,
        from: u64,
        bytes: u64,
        to: u64,
        new_bytes: u64,
    ) -> Result<(), Errno> {
        let mut moved = area.clone();
        moved.advance(from);
        moved.start = to;
        moved.end = to + new_bytes;
        let mut at = from;
        loop {
            at = pagetable::skip_empty(at, from + bytes);
            if at >= from + bytes {
                break;
            }
            let (entry, large) = pagetable::lookup(at);
            let target = at - from + to;
            let whole = at.is_multiple_of(super::LARGE_PAGE)
                && target.is_multiple_of(super::LARGE_PAGE)
                && at + super::LARGE_PAGE <= from + bytes;
            if large && !whole {
                if !pagetable::split(at) {
                    return Err(Errno::ENOMEM);
                }
                continue;
            }
            if !entry.is_empty() {
                let set = if large {
                    pagetable::set_large(target, entry)
                } else {
                    pagetable::set_small(target, entry)
                };
                if !set {
                    return Err(Errno::ENOMEM);
                }
                pagetable::clear(at, large);
                self.owe_flush(at, entry);
            }
            at += pagetable::entry_bytes(large);
        }
        self.add(moved);
        Ok(())
    }
}
