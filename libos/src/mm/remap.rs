//! mremap(2): mappings that grow, shrink and move.

use linux_raw_sys::general::{MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE};
use unikiln_abi::layout::APP_END;

use super::map::checked_end;
use super::space::{AddressSpace, Space, is_program_range};
use super::vma::{Area, Backing};
use super::{LARGE_PAGE, PAGE, arena, fault, pagetable, round_up};
use crate::errno::{Errno, SysResult};

impl AddressSpace {
    /// mremap(2): the new address.
    ///
    /// # Errors
    /// EINVAL, EFAULT, ENOMEM, EAGAIN; EPERM over a sealed area.
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
        let (fixed, keeps) = (flags & MREMAP_FIXED != 0, flags & MREMAP_DONTUNMAP != 0);
        let may_move = flags & MREMAP_MAYMOVE != 0;
        if !old.is_multiple_of(PAGE)
            || flags & !(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP) != 0
            || (fixed || keeps) && !may_move
            || keeps && old_bytes != new_bytes
        {
            return Err(Errno::EINVAL);
        }
        let old_end = old.checked_add(old_bytes).ok_or(Errno::EINVAL)?;
        let mut space = self.lock();
        let area = space.areas.find(old).ok_or(Errno::EFAULT)?.clone();
        if new_bytes < old_bytes && old_end > APP_END {
            return Err(Errno::EINVAL);
        }
        if fixed {
            let end = checked_end(to, new_bytes).ok_or(Errno::EINVAL)?;
            if !is_program_range(to, end) || (to < old_end && end > old) {
                return Err(Errno::EINVAL);
            }
        } else if !keeps && old_bytes > 0 && new_bytes <= old_bytes {
            if new_bytes < old_bytes {
                space.unmap_range(old + new_bytes, old_end)?;
            }
            return Ok(old as usize);
        }
        if old_bytes == 0 && !area.shared {
            return Err(Errno::EINVAL);
        }
        if area.end < old_end && new_bytes >= old_bytes {
            return Err(Errno::EFAULT);
        }
        if area.traits.sealed {
            return Err(Errno::EPERM);
        }
        let growth = if keeps || old_bytes == 0 {
            new_bytes
        } else {
            new_bytes.saturating_sub(old_bytes)
        };
        space.check_resize(&area, growth, new_bytes)?;
        let new_end = old.checked_add(new_bytes).ok_or(Errno::ENOMEM)?;
        let in_place = !fixed
            && !keeps
            && area.end == old_end
            && old_bytes > 0
            && is_program_range(old_end, new_end)
            && space.areas.is_free(old_end, new_end);
        if in_place {
            let mut more = area.clone();
            more.advance(old_end);
            more.end = new_end;
            space.add(more);
            space.fill_locked(&area, old_end, new_end);
            return Ok(old as usize);
        }
        if !may_move || !space.has_room_for_area() {
            return Err(Errno::ENOMEM);
        }
        let target = if fixed {
            space.check_change(old, old_end)?;
            space.unmap_range(to, to + new_bytes)?;
            if new_bytes < old_bytes {
                space.unmap_range(old + new_bytes, old_end)?;
            }
            to
        } else {
            space.find_free(new_bytes).ok_or(Errno::ENOMEM)?
        };
        // What the area shows may have been cut by the above.
        let area = space.areas.find(old).ok_or(Errno::EFAULT)?.clone();
        let moved_bytes = old_bytes.min(new_bytes);
        if area.end < old + moved_bytes {
            return Err(Errno::EFAULT);
        }
        space.move_area(&area, old, moved_bytes, target, new_bytes)?;
        if keeps {
            space.set_traits(old, old_end, |traits| traits.locked = false)?;
        } else if old_bytes > 0 {
            space.unmap_range(old, old + moved_bytes)?;
        }
        space.fill_locked(&area, target + moved_bytes, target + new_bytes);
        Ok(target as usize)
    }
}

impl Space {
    /// Whether `area` may get `growth` bytes more and be `new_bytes` large.
    fn check_resize(&self, area: &Area, growth: u64, new_bytes: u64) -> Result<(), Errno> {
        if new_bytes > arena::limit_bytes()
            && growth > 0
            && matches!(area.backing, Backing::Anonymous)
        {
            return Err(Errno::ENOMEM);
        }
        if area.traits.locked {
            self.check_locked(growth)?;
        }
        self.check_growth(growth, area.is_data(), (area.start, area.start))
    }

    /// Gives the new part of a locked area its pages.
    fn fill_locked(&mut self, area: &Area, start: u64, end: u64) {
        if area.traits.locked && start < end {
            // Not all of it fits: the rest is left to the faults.
            let _ = fault::populate(self, start, end, false);
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
        if !self.move_pages(from, bytes, to) {
            // The tables that they came from are still there.
            self.move_pages(to, bytes, from);
            return Err(Errno::ENOMEM);
        }
        let mut moved = area.clone();
        moved.advance(from);
        moved.start = to;
        moved.end = to + new_bytes;
        self.add(moved);
        Ok(())
    }

    /// False when there was no memory for a table.
    fn move_pages(&mut self, from: u64, bytes: u64, to: u64) -> bool {
        let mut at = from;
        loop {
            at = self.root.skip_empty(at, from + bytes);
            if at >= from + bytes {
                return true;
            }
            let (entry, large) = self.root.lookup(at);
            let target = at - from + to;
            let whole = at.is_multiple_of(LARGE_PAGE)
                && target.is_multiple_of(LARGE_PAGE)
                && at + LARGE_PAGE <= from + bytes;
            if large && !whole {
                if !self.root.split(at) {
                    return false;
                }
                continue;
            }
            if !entry.is_empty() {
                let set = if large {
                    self.root.set_large(target, entry)
                } else {
                    self.root.set_small(target, entry)
                };
                if !set {
                    return false;
                }
                self.root.clear(at, large);
                self.owe_flush(at, entry);
            }
            at += pagetable::entry_bytes(large);
        }
    }
}
