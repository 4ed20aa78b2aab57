//! Mapping calls: mmap, munmap.
//!
//! Each takes the address space, checks its arguments as Linux does, edits the
//! areas, then the page table. Shared anonymous memory is a memory file without
//! a name, so that it is one thing however often it is mapped. Source: mmap(2).

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::general::{
    F_SEAL_FUTURE_WRITE, F_SEAL_WRITE, MAP_32BIT, MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_GROWSDOWN,
    MAP_HUGETLB, MAP_LOCKED, MAP_NONBLOCK, MAP_NORESERVE, MAP_POPULATE, MAP_PRIVATE, MAP_SHARED,
    MAP_SHARED_VALIDATE,
};

use super::bounds;
use super::space::{AddressSpace, LOWEST, Space, is_program_range};
use super::vma::{Area, Backing, PROT_EXEC, PROT_READ, PROT_WRITE, Traits};
use super::{PAGE, arena, fault, round_down, round_up};
use crate::errno::{Errno, SysResult};
use crate::fs::{self, OpenFile};

/// Most areas of one process (Linux's vm.max_map_count).
pub(super) const AREAS_MAX: usize = 65_530;
/// Private anonymous mappings up to here get their frames at once: glibc's heap grows by a
/// little over 128 KiB, and a fault for each part of it costs more than frames that stay
/// untouched, which the host does not back.
const POPULATE_ANONYMOUS_BYTES: u64 = 288 << 10;
/// Private file mappings up to here get their translations at once.
const POPULATE_FILE_BYTES: u64 = 16 << 20;
/// Writable private file mappings up to here are copied at once.
const COPY_AHEAD_BYTES: u64 = 512 << 10;
/// glibc's loader reserves a library's whole span by mapping its first segment
/// so, and maps the others over it: not worth populating.
const MAP_DENYWRITE: u32 = 0x800;
/// What MAP_SHARED_VALIDATE takes: the flags that were there before it. The
/// bits from 26 on are the size of a huge page.
const VALIDATED: u32 = 0x7c07_f9f3;
pub(super) const ACCESS: u32 = PROT_READ | PROT_WRITE | PROT_EXEC;
/// Where MAP_32BIT mappings go.
const LOW_RANGE: (u64, u64) = (0x4000_0000, 0x8000_0000);
/// Sizes of huge pages that x86-64 has, as flags give them: 2 MiB, 1 GiB, or the default.
const HUGE_SIZES: [u32; 3] = [0, 21, 30];

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

impl Request {
    /// What it maps, and whether writes are shared.
    fn backing(&self, bytes: u64) -> Result<(Backing, bool), Errno> {
        let kind = self.flags & 0xf;
        let grows = self.flags & MAP_GROWSDOWN != 0;
        let Some(file) = &self.file else {
            return match kind {
                MAP_PRIVATE => Ok((Backing::Anonymous, false)),
                MAP_SHARED if !grows => {
                    let file = fs::open_shared_memory(bytes, b"/dev/zero (deleted)".to_vec());
                    Ok((Backing::File { file, offset: 0 }, true))
                }
                _ => Err(Errno::EINVAL),
            };
        };
        let shared = match kind {
            MAP_PRIVATE => false,
            MAP_SHARED_VALIDATE if self.flags & !VALIDATED != 0 => return Err(Errno::EOPNOTSUPP),
            MAP_SHARED | MAP_SHARED_VALIDATE => true,
            _ => return Err(Errno::EINVAL),
        };
        file.check_map(self.protection, shared)?;
        if grows {
            return Err(Errno::EINVAL);
        }
        let (file, offset) = (file.clone(), self.offset);
        Ok((Backing::File { file, offset }, shared))
    }
}

impl AddressSpace {
    /// mmap(2): the address.
    ///
    /// # Errors
    /// As the man page has them.
    pub fn map(&self, request: Request) -> SysResult {
        let flags = request.flags;
        if !request.offset.is_multiple_of(PAGE) {
            return Err(Errno::EINVAL);
        }
        if flags & MAP_HUGETLB != 0 {
            let known = HUGE_SIZES.contains(&(flags >> 26));
            // No reserved huge pages, as on a host with nr_hugepages = 0.
            return Err(if known && request.file.is_none() && request.bytes > 0 {
                Errno::ENOMEM
            } else {
                Errno::EINVAL
            });
        }
        let bytes = round_up(request.bytes, PAGE).filter(|b| *b > 0);
        let bytes = bytes.ok_or(if request.bytes == 0 {
            Errno::EINVAL
        } else {
            Errno::ENOMEM
        })?;
        if request.file.is_some() && request.offset.checked_add(bytes).is_none() {
            return Err(Errno::EOVERFLOW);
        }
        let mut space = self.lock();
        let start = space.place(request.address, bytes, flags)?;
        let limit = bounds::locked_bytes();
        let locked = flags & MAP_LOCKED != 0;
        if locked && limit == 0 {
            return Err(Errno::EPERM);
        }
        let locked = locked || space.lock_future;
        if locked {
            space.check_locked(bytes)?;
        }
        let (backing, shared) = request.backing(bytes)?;
        let mut area = Area {
            start,
            end: start + bytes,
            protection: request.protection & ACCESS,
            shared,
            name: request.name,
            backing,
            traits: Traits {
                locked,
                grows_down: flags & MAP_GROWSDOWN != 0,
                ..Traits::default()
            },
        };
        area.check_seals()?;
        if area.is_data() && flags & MAP_NORESERVE == 0 && bytes > arena::limit_bytes() {
            // Linux's heuristic overcommit refuses what can never fit.
            return Err(Errno::ENOMEM);
        }
        space.check_growth(bytes, area.is_data(), (start, start + bytes))?;
        space.unmap_range(start, start + bytes)?;
        space.add(area.clone());
        space.populate_new(&area, flags);
        Ok(start as usize)
    }

    /// munmap(2).
    ///
    /// # Errors
    /// EINVAL, ENOMEM; EPERM over a sealed area.
    pub fn unmap(&self, address: u64, bytes: u64) -> SysResult {
        let end = checked_end(address, bytes).ok_or(Errno::EINVAL)?;
        if end > unikiln_abi::layout::APP_END {
            return Err(Errno::EINVAL);
        }
        let files = self.shared_files(address, end);
        self.lock().unmap_range(address, end)?;
        for (file, first, last) in files {
            // Nobody is told what went wrong, as in Linux.
            let _ = file.file().write_back(first, last);
        }
        Ok(0)
    }

    /// The file that is mapped shared at an address, by device and inode number, and the
    /// bytes into it; none in other memory.
    pub fn shared_place(&self, address: u64) -> Option<((u64, u64), u64)> {
        let space = self.lock();
        let area = space.areas.find(address).filter(|area| area.shared)?;
        match &area.backing {
            Backing::File { file, offset } => {
                Some((file.inode_id(), offset + (address - area.start)))
            }
            Backing::Anonymous => None,
        }
    }

    /// Files in volumes that are mapped shared in the range, and their pages there.
    pub fn shared_files(&self, start: u64, end: u64) -> Vec<(Arc<OpenFile>, u64, u64)> {
        let mut files = Vec::new();
        if fs::volume::all().is_empty() {
            return files;
        }
        for area in self.lock().areas.overlapping(start, end) {
            if let (Backing::File { file, .. }, true) = (&area.backing, area.shared)
                && file.file().volume_handle().is_some()
                && let Backing::File { offset, .. } = area.part(start, end).backing
            {
                let part = area.part(start, end);
                let first = offset / PAGE;
                files.push((file.clone(), first, first + part.len() / PAGE));
            }
        }
        files
    }
}

pub(super) fn checked_end(address: u64, bytes: u64) -> Option<u64> {
    if !address.is_multiple_of(PAGE) || bytes == 0 {
        return None;
    }
    address.checked_add(round_up(bytes, PAGE)?)
}

impl Area {
    /// Moves the start forward to `start`, keeping what each address shows.
    pub(super) fn advance(&mut self, start: u64) {
        if let Backing::File { offset, .. } = &mut self.backing {
            *offset += start - self.start;
        }
        self.start = start;
    }

    /// A new shared mapping of a sealed file is refused, or never written.
    fn check_seals(&mut self) -> Result<(), Errno> {
        let Backing::File { file, .. } = &self.backing else {
            return Ok(());
        };
        if self.shared && file.file().seals() & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE) != 0 {
            if self.protection & PROT_WRITE != 0 {
                return Err(Errno::EPERM);
            }
            self.traits.never_writable = true;
        }
        Ok(())
    }
}

impl Space {
    /// Where a new mapping goes; the caller takes away what is there.
    fn place(&self, address: u64, bytes: u64, flags: u32) -> Result<u64, Errno> {
        if self.areas.count() >= AREAS_MAX {
            return Err(Errno::ENOMEM);
        }
        if flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) != 0 {
            let end = address.checked_add(bytes).ok_or(Errno::ENOMEM)?;
            if !address.is_multiple_of(PAGE) {
                return Err(Errno::EINVAL);
            }
            if address < LOWEST {
                return Err(Errno::EPERM);
            }
            if !is_program_range(address, end) {
                return Err(Errno::ENOMEM);
            }
            if flags & MAP_FIXED_NOREPLACE != 0 && !self.areas.is_free(address, end) {
                return Err(Errno::EEXIST);
            }
            return Ok(address);
        }
        let low = flags & MAP_32BIT != 0;
        let mut hint = round_down(address, PAGE);
        if hint != 0 && hint < LOWEST {
            hint = LOWEST;
        }
        if let Some(end) = hint.checked_add(bytes)
            && hint != 0
            && is_program_range(hint, end)
            && (!low || end <= LOW_RANGE.1)
            && self.areas.is_free(hint, end)
        {
            return Ok(hint);
        }
        let found = if low {
            (self.areas).find_gap_below(LOW_RANGE.0, LOW_RANGE.1, bytes, PAGE)
        } else {
            self.find_free(bytes)
        };
        found.ok_or(Errno::ENOMEM)
    }

    /// Whether areas in the range may be changed or taken away, and their ends
    /// cut: EPERM where one is sealed, ENOMEM where there would be too many.
    pub(super) fn check_change(&self, start: u64, end: u64) -> Result<(), Errno> {
        if (self.areas.overlapping(start, end)).any(|area| area.traits.sealed) {
            return Err(Errno::EPERM);
        }
        let cut = |at: u64| self.areas.find(at).is_some_and(|area| area.start < at);
        let more = usize::from(cut(start)) + usize::from(cut(end));
        if more > 0 && self.areas.count() + more > AREAS_MAX {
            return Err(Errno::ENOMEM);
        }
        Ok(())
    }

    /// Changes the traits of all areas in the range.
    pub(super) fn set_traits(
        &mut self,
        start: u64,
        end: u64,
        set: impl Fn(&mut Traits),
    ) -> Result<(), Errno> {
        if self.areas.count() + 2 > AREAS_MAX {
            return Err(Errno::ENOMEM);
        }
        for mut area in self.areas.remove(start, end) {
            set(&mut area.traits);
            self.areas.insert(area);
        }
        Ok(())
    }

    /// Takes everything in the range away.
    pub fn unmap_range(&mut self, start: u64, end: u64) -> Result<(), Errno> {
        if self.areas.is_free(start, end) {
            return Ok(());
        }
        self.check_change(start, end)?;
        self.unmap_sealed(start, end)
    }

    /// The same where sealed areas and cut ones are no matter.
    pub(super) fn unmap_sealed(&mut self, start: u64, end: u64) -> Result<(), Errno> {
        let parts: alloc::vec::Vec<(u64, u64)> = (self.areas.overlapping(start, end))
            .map(|area| (area.start.max(start), area.end.min(end)))
            .collect();
        for (first, last) in parts {
            if !self.clear_pages(first, last) {
                return Err(Errno::ENOMEM);
            }
        }
        self.areas.remove(start, end);
        Ok(())
    }

    /// Gives a new mapping what it will surely touch. Failures are left to the
    /// page faults, which can report them.
    pub(super) fn populate_new(&mut self, area: &Area, flags: u32) {
        if area.protection == 0 {
            return;
        }
        let asked = flags & (MAP_POPULATE | MAP_NONBLOCK) == MAP_POPULATE || area.traits.locked;
        match &area.backing {
            Backing::Anonymous => {
                let small = area.len() <= POPULATE_ANONYMOUS_BYTES && flags & MAP_NORESERVE == 0;
                if asked || (small && area.protection & PROT_WRITE != 0) {
                    // Not all of it fits: the rest is left to the faults.
                    let _ = fault::populate(self, area.start, area.end, false);
                }
            }
            Backing::File { file, offset } => {
                let writable = area.protection & PROT_WRITE != 0 && !area.shared;
                if writable && area.len() <= COPY_AHEAD_BYTES {
                    fault::copy_file_ahead(self, area, file, *offset);
                } else if asked {
                    fault::populate_file(self, area, file, *offset, area.start, area.end);
                } else if wants_file_pages(area, file, flags) {
                    fault::populate_there(self, area, file, *offset, area.start, area.end);
                }
            }
        }
    }
}

/// Whether a file mapping gets its translations at once without being asked.
/// Frames of memory files come by faults, as they take memory.
fn wants_file_pages(area: &Area, file: &OpenFile, flags: u32) -> bool {
    area.len() <= POPULATE_FILE_BYTES
        && !(area.shared && file.writable())
        && (flags & MAP_DENYWRITE == 0 || area.protection & PROT_EXEC != 0)
}
