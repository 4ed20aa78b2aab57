//! mlock(2) and its relatives. Nothing is ever paged out, so what is left of them
//! is that pages are there, the limit, and VmLck.

use super::fault::{self, Fault};
use super::space::AddressSpace;
use super::vma::Area;
use super::{LARGE_PAGE, PAGE, bounds, round_down, round_up};
use crate::errno::{Errno, SysResult};

impl AddressSpace {
    /// mlock(2), munlock(2): areas of the range are locked, or no longer.
    /// `fill` gives them their pages now.
    ///
    /// # Errors
    /// EPERM, EINVAL, ENOMEM.
    pub fn lock_range(&self, address: u64, bytes: u64, locked: bool, fill: bool) -> SysResult {
        let limit = bounds::locked_bytes();
        if locked && limit == 0 {
            return Err(Errno::EPERM);
        }
        let start = round_down(address, PAGE);
        let bytes = bytes.wrapping_add(address - start);
        // A length that wraps is none, as in Linux.
        let bytes = round_up(bytes, PAGE).unwrap_or(0);
        let end = start.checked_add(bytes).ok_or(Errno::EINVAL)?;
        let mut space = self.lock();
        if locked {
            let counted = space.areas.overlapping(start, end);
            let counted = counted.filter(|area| area.traits.locked);
            let there: u64 = counted.map(|area| area.part(start, end).len()).sum();
            let after = (space.locked_bytes() - there).saturating_add(bytes);
            if after > limit {
                return Err(Errno::ENOMEM);
            }
        }
        if bytes == 0 {
            return Ok(0);
        }
        let complete = space.areas.covers(start, end);
        space.set_traits(start, end, |traits| traits.locked = locked)?;
        drop(space);
        if !complete {
            return Err(Errno::ENOMEM);
        }
        let mut at = start;
        while fill && at < end {
            let next = (round_down(at, LARGE_PAGE) + LARGE_PAGE).min(end);
            fault::populate(&mut self.lock(), at, next, false).map_err(|fault| match fault {
                Fault::OutOfMemory => Errno::EAGAIN,
                _ => Errno::ENOMEM,
            })?;
            at = next;
        }
        Ok(0)
    }

    /// mlockall(2), munlockall(2): all there is, and what will come.
    ///
    /// # Errors
    /// EPERM, ENOMEM.
    pub fn lock_all(&self, current: Option<bool>, future: bool, fill: bool) -> SysResult {
        let limit = bounds::locked_bytes();
        let locks = future || current == Some(true);
        if locks && limit == 0 {
            return Err(Errno::EPERM);
        }
        let mut space = self.lock();
        if current == Some(true) && space.areas.total_bytes() > limit {
            return Err(Errno::ENOMEM);
        }
        space.lock_future = future;
        let Some(locked) = current else {
            return Ok(0);
        };
        space.set_traits(0, u64::MAX, |traits| traits.locked = locked)?;
        let areas: alloc::vec::Vec<Area> = space.areas.iter().cloned().collect();
        drop(space);
        for area in areas.iter().filter(|area| fill && area.protection != 0) {
            // What does not fit is left to the faults, as Linux does here.
            let _ = fault::populate(&mut self.lock(), area.start, area.end, false);
        }
        Ok(0)
    }
}
