//! Calls that change what a mapping allows or shows: mprotect, mseal,
//! remap_file_pages, and seals of a memory file that is mapped.
//!
//! Sources: mprotect(2), mseal(2), remap_file_pages(2), fcntl(2).

use linux_raw_sys::general::{F_SEAL_WRITE, PROT_GROWSDOWN, PROT_GROWSUP, PROT_SEM};

use super::map::{ACCESS, checked_end};
use super::space::AddressSpace;
use super::vma::{Area, Backing, PROT_WRITE};
use super::{PAGE, bounds, round_down};
use crate::errno::{Errno, SysResult};

impl AddressSpace {
    /// mprotect(2).
    ///
    /// # Errors
    /// EINVAL, EACCES, ENOMEM; EPERM over a sealed area.
    pub fn protect(&self, address: u64, bytes: u64, protection: u32) -> SysResult {
        let grows = protection & (PROT_GROWSDOWN | PROT_GROWSUP);
        let protection = protection & !grows;
        if grows == PROT_GROWSDOWN | PROT_GROWSUP || !address.is_multiple_of(PAGE) {
            return Err(Errno::EINVAL);
        }
        if bytes == 0 {
            return Ok(0);
        }
        let end = checked_end(address, bytes).ok_or(Errno::ENOMEM)?;
        if protection & !(ACCESS | PROT_SEM) != 0 {
            return Err(Errno::EINVAL);
        }
        let protection = protection & ACCESS;
        let mut space = self.lock();
        let mut address = address;
        if grows != 0 {
            let first = space.areas.find(address).ok_or(Errno::ENOMEM)?;
            let is_stack = first.traits.grows_down || first.name == "[stack]";
            if grows == PROT_GROWSUP || !is_stack {
                return Err(Errno::EINVAL);
            }
            address = first.start;
        }
        if !space.areas.covers(address, end) {
            return Err(Errno::ENOMEM);
        }
        space.check_change(address, end)?;
        let mut new_data = 0;
        for area in space.areas.overlapping(address, end) {
            if let Backing::File { file, .. } = &area.backing
                && area.shared
                && protection & PROT_WRITE != 0
                && (area.traits.never_writable || file.check_map(protection, true).is_err())
            {
                return Err(Errno::EACCES);
            }
            if protection & PROT_WRITE != 0 && !area.shared && !area.is_data() {
                new_data += area.part(address, end).len();
            }
        }
        if new_data > 0 {
            let data = space.areas.bytes_of(Area::is_data);
            if data.saturating_add(new_data) > bounds::data_bytes() {
                return Err(Errno::ENOMEM);
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

    /// mseal(2).
    ///
    /// # Errors
    /// EINVAL, ENOMEM.
    pub fn seal(&self, address: u64, bytes: u64) -> SysResult {
        if bytes == 0 && address.is_multiple_of(PAGE) {
            return Ok(0);
        }
        let end = checked_end(address, bytes).ok_or(Errno::EINVAL)?;
        let mut space = self.lock();
        if !space.areas.covers(address, end) {
            return Err(Errno::ENOMEM);
        }
        space.set_traits(address, end, |traits| traits.sealed = true)?;
        Ok(0)
    }

    /// remap_file_pages(2): a part of a shared mapping shows other pages.
    ///
    /// # Errors
    /// EINVAL.
    pub fn remap_file_pages(&self, address: u64, bytes: u64, page: u64) -> SysResult {
        let address = round_down(address, PAGE);
        let bytes = round_down(bytes, PAGE);
        let end = checked_end(address, bytes).ok_or(Errno::EINVAL)?;
        let offset = page.checked_mul(PAGE).ok_or(Errno::EINVAL)?;
        offset.checked_add(bytes).ok_or(Errno::EINVAL)?;
        let mut space = self.lock();
        let area = space.areas.find(address).ok_or(Errno::EINVAL)?;
        if !area.shared || area.end < end {
            return Err(Errno::EINVAL);
        }
        let mut area = area.part(address, end);
        if let Backing::File { offset: shown, .. } = &mut area.backing {
            *shown = offset;
        }
        space.unmap_range(address, end)?;
        space.add(area);
        Ok(0)
    }

    /// Adds `seals` to a memory file, which `add` does: not while it is mapped
    /// for writing where they forbid writing.
    ///
    /// # Errors
    /// EBUSY; what `add` says.
    pub fn seal_file(
        &self,
        file: (u64, u64),
        seals: u32,
        add: impl FnOnce() -> SysResult,
    ) -> SysResult {
        let space = self.lock();
        let writes = |area: &Area| match &area.backing {
            Backing::File { file: mapped, .. } => {
                area.shared
                    && !area.traits.never_writable
                    && mapped.writable()
                    && mapped.inode_id() == file
            }
            Backing::Anonymous => false,
        };
        if seals & F_SEAL_WRITE != 0 && space.areas.iter().any(writes) {
            return Err(Errno::EBUSY);
        }
        add()
    }
}
