//! The libOS's own stacks: one for each thread and one for each vCPU's idle loop.
//!
//! ```text
//! LIBOS_STACKS_BASE + n * STRIDE   guard: never mapped
//!                   + GUARD        the stack
//! ```
//!
//! A stack that runs over faults in its guard, and the trap entry reports it
//! from the emergency stack. Stacks are kept for the next thread: mapping one
//! costs a shadow fault on a software KVM.

use alloc::vec::Vec;

use spin::Mutex;
use unikiln_abi::layout::{LIBOS_END, LIBOS_STACKS_BASE};

use super::pagetable::{Access, COUNTED, Entry, Root};
use super::{Frame, PAGE};
use crate::errno::Errno;

/// Bytes of a stack. The deepest path seen (a path lookup inside execve inside
/// a crash record) takes a third of it.
const STACK_BYTES: u64 = 32 << 10;
/// Distance between two stacks.
const STRIDE: u64 = 64 << 10;

static STACKS: Mutex<Stacks> = Mutex::new(Stacks {
    free: Vec::new(),
    made: 0,
});

struct Stacks {
    /// Numbers of mapped stacks that nobody uses.
    free: Vec<u64>,
    /// Numbers given out so far.
    made: u64,
}

/// A stack: its lowest address and its top.
///
/// # Errors
/// ENOMEM.
pub fn allocate() -> Result<(u64, u64), Errno> {
    let number = {
        let mut stacks = STACKS.lock();
        if let Some(number) = stacks.free.pop() {
            return Ok(bounds(number));
        }
        // Room to give it back without an allocation that could fail.
        let capacity = stacks.made as usize + 1;
        let len = stacks.free.len();
        stacks
            .free
            .try_reserve(capacity - len)
            .map_err(|_| Errno::ENOMEM)?;
        stacks.made += 1;
        stacks.made - 1
    };
    let (bottom, top) = bounds(number);
    if top > LIBOS_END {
        return Err(Errno::ENOMEM);
    }
    map(bottom, top)?;
    Ok((bottom, top))
}

/// Gives a stack back that nothing runs on.
pub fn release(top: u64) {
    if top <= LIBOS_STACKS_BASE {
        // The first thread's, which is part of the image.
        return;
    }
    let number = (top - STRIDE - LIBOS_STACKS_BASE) / STRIDE;
    STACKS.lock().free.push(number);
}

fn bounds(number: u64) -> (u64, u64) {
    let top = LIBOS_STACKS_BASE + (number + 1) * STRIDE;
    (top - STACK_BYTES, top)
}

fn map(bottom: u64, top: u64) -> Result<(), Errno> {
    let access = Access {
        read: true,
        write: true,
        execute: false,
    };
    // The tables above are edited under this lock.
    static MAPPING: Mutex<()> = Mutex::new(());
    let _mapping = MAPPING.lock();
    let mut at = bottom;
    while at < top {
        // A stack that was half made keeps its frames for the next try.
        if Root::first().lookup(at).0.is_empty() {
            let gpa = Frame::zeroed()?.into_counted();
            if !Root::first().set_small(at, Entry::new(gpa, access, COUNTED)) {
                drop(Frame::from_counted(gpa));
                return Err(Errno::ENOMEM);
            }
        }
        at += PAGE;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_do_not_meet_and_have_a_guard() {
        let ((_, first_top), (second, _)) = (bounds(0), bounds(1));
        assert!(second - first_top >= PAGE);
        assert_eq!(bounds(0).0 - LIBOS_STACKS_BASE, STRIDE - STACK_BYTES);
    }
}
