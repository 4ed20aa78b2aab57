//! Robust futexes: what a thread still holds at its end is marked, and whoever
//! waits for it is woken.
//!
//! ```text
//! head + 0   next entry, bit 0: a PI futex
//!      + 8   distance from an entry to its futex word (may be negative)
//!      + 16  entry that is being added or removed, or 0
//! ```
//!
//! Source: set_robust_list(2), the kernel's robust-futex-ABI document.

use super::pi::{OWNER_DIED, TID_MASK, WAITERS};
use super::wake_one;
use crate::errno::Errno;
use crate::mm::user;
use crate::process::Thread;

/// Bytes of struct robust_list_head.
pub(crate) const HEAD_BYTES: u64 = 24;
/// A list is followed this far (Linux's ROBUST_LIST_LIMIT): it may be a circle.
const ENTRIES_MAX: usize = 2048;

/// Walks the list of a thread that ends. What cannot be read ends the walk.
pub(crate) fn release(thread: &Thread) {
    let head = thread
        .robust_list
        .swap(0, core::sync::atomic::Ordering::Relaxed);
    if head != 0 {
        let _ = walk(head, thread.tid());
    }
}

fn walk(head: u64, tid: u32) -> Result<(), Errno> {
    let offset: u64 = user::read(head.wrapping_add(8))?;
    let pending: u64 = user::read(head.wrapping_add(16))?;
    let mut entry: u64 = user::read(head)?;
    for _ in 0..ENTRIES_MAX {
        if entry & !1 == head {
            break;
        }
        let next = user::read(entry & !1);
        if entry & !1 != pending & !1 {
            mark((entry & !1).wrapping_add(offset), tid, false)?;
        }
        entry = next?;
    }
    if pending != 0 {
        mark((pending & !1).wrapping_add(offset), tid, true)?;
    }
    Ok(())
}

/// Says in the word that its holder died.
fn mark(address: u64, tid: u32, is_pending: bool) -> Result<(), Errno> {
    if !address.is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    let word: u32 = user::read(address)?;
    if is_pending && word & TID_MASK == 0 {
        // It let go, but may have died before it woke the next one.
        wake_one(address);
        return Ok(());
    }
    let old = user::update(address, |word| {
        Ok(if word & TID_MASK == tid {
            word & WAITERS | OWNER_DIED
        } else {
            word
        })
    })?;
    if old & TID_MASK == tid && old & WAITERS != 0 {
        wake_one(address);
    }
    Ok(())
}
