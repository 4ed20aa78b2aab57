//! futex(2): threads that wait for a word to change.
//!
//! | file | what it owns |
//! |---|---|
//! | `bucket.rs` | who waits for which word |
//! | `pi.rs` | futexes that say who holds them |
//! | `robust.rs` | what happens to futexes that a thread still holds at its end |
//!
//! A waiter is in its bucket before it looks at the word, under the bucket's
//! lock, so a wake in between is not lost. A word is known by its address space and its
//! address there, or, where it is in a shared mapping and the call does not say that it is
//! private to the process, by its file and its place in that ([`Word`]).

mod bucket;
mod pi;
mod robust;

use core::sync::atomic::Ordering::SeqCst;

use linux_raw_sys::general::{
    FUTEX_CLOCK_REALTIME, FUTEX_CMP_REQUEUE, FUTEX_LOCK_PI, FUTEX_LOCK_PI2, FUTEX_PRIVATE_FLAG,
    FUTEX_REQUEUE, FUTEX_TRYLOCK_PI, FUTEX_UNLOCK_PI, FUTEX_WAIT, FUTEX_WAIT_BITSET, FUTEX_WAKE,
    FUTEX_WAKE_BITSET, FUTEX_WAKE_OP,
};

use bucket::Key;
pub(super) use robust::{HEAD_BYTES as ROBUST_HEAD_BYTES, release as release_robust_list};

use super::clock::{read_timeout, read_timespec};
use crate::errno::{Errno, SysResult};
use crate::mm::user;
use crate::sched::{self, WaitQueue};
use crate::{process, time};

/// Every bit: plain FUTEX_WAIT and FUTEX_WAKE.
const ANY: u32 = u32::MAX;

/// Futex waiters are woken by name; nobody wakes this queue.
static NOBODY: WaitQueue = WaitQueue::new();

/// A word that a call names.
#[derive(Clone, Copy)]
struct Word {
    address: u64,
    key: Key,
}

impl Word {
    fn new(address: u64, is_private: bool) -> Word {
        let space = process::current().space();
        let own = Key {
            of: space.root().gpa(),
            at: address,
        };
        let shared = if is_private {
            None
        } else {
            space.shared_place(address)
        };
        let key = shared.map_or(own, |((device, inode), offset)| Key {
            // No root is at such an address.
            of: inode ^ device << 40 | 1 << 63,
            at: offset,
        });
        Word { address, key }
    }

    fn read(self) -> Result<u32, Errno> {
        user::read(self.address)
    }
}

/// futex(2).
pub(super) fn futex(args: &[u64; 6]) -> SysResult {
    let [address, operation, value, timeout, address2, value3] = *args;
    let operation = operation as u32;
    let is_realtime = operation & FUTEX_CLOCK_REALTIME != 0;
    let (value, value2, value3) = (value as u32, timeout as u32, value3 as u32);
    if address % 4 != 0 {
        return Err(Errno::EINVAL);
    }
    let command = operation & !(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);
    if is_realtime && !matches!(command, FUTEX_WAIT_BITSET | FUTEX_LOCK_PI2) {
        return Err(Errno::ENOSYS);
    }
    let is_private = operation & FUTEX_PRIVATE_FLAG != 0;
    let address = Word::new(address, is_private);
    let second = || Word::new(address2, is_private);
    match command {
        FUTEX_WAIT => wait(address, value, ANY, read_timeout(timeout)?),
        FUTEX_WAIT_BITSET => wait(address, value, value3, read_deadline(timeout, is_realtime)?),
        FUTEX_WAKE => wake(address, value, ANY),
        FUTEX_WAKE_BITSET => wake(address, value, value3),
        FUTEX_REQUEUE => requeue(address, value, value2, second(), None),
        FUTEX_CMP_REQUEUE => requeue(address, value, value2, second(), Some(value3)),
        FUTEX_WAKE_OP => wake_op(address, value, value2, second(), value3),
        FUTEX_LOCK_PI => pi::lock(address, read_deadline(timeout, true)?),
        FUTEX_LOCK_PI2 => pi::lock(address, read_deadline(timeout, is_realtime)?),
        FUTEX_TRYLOCK_PI => pi::try_lock_now(address),
        FUTEX_UNLOCK_PI => pi::unlock(address),
        // FD is gone from Linux; WAIT_REQUEUE_PI and CMP_REQUEUE_PI are not used by glibc.
        _ => Err(Errno::ENOSYS),
    }
}

/// An absolute timeout as a deadline on CLOCK_MONOTONIC.
fn read_deadline(address: u64, is_realtime: bool) -> Result<Option<u64>, Errno> {
    if address == 0 {
        return Ok(None);
    }
    let at_ns = read_timespec(address)?;
    if !is_realtime {
        return Ok(Some(at_ns));
    }
    let left_ns = at_ns.saturating_sub(time::realtime_ns());
    Ok(Some(time::monotonic_ns().saturating_add(left_ns)))
}

fn wait(word: Word, expected: u32, bits: u32, deadline_ns: Option<u64>) -> SysResult {
    if bits == 0 {
        return Err(Errno::EINVAL);
    }
    // The page is there before a lock is held.
    if word.read()? != expected {
        return Err(Errno::EAGAIN);
    }
    {
        let mut bucket = bucket::lock_for(word.key);
        if word.read()? != expected {
            return Err(Errno::EAGAIN);
        }
        bucket::add(&mut bucket, process::thread(), word.key, bits)?;
    }
    block(deadline_ns)
}

/// Sleeps until somebody takes the running thread out of its bucket.
fn block(deadline_ns: Option<u64>) -> SysResult {
    let me = process::thread();
    let result = sched::wait(&NOBODY, deadline_ns, || {
        me.futex.woken.load(SeqCst).then_some(0)
    });
    if result.is_ok() || bucket::remove(me) {
        return result;
    }
    // Woken and interrupted at once: the wake counts, as its sender knows of it.
    Ok(0)
}

/// Wakes up to `count` waiters of a word that share a bit of `bits`.
fn wake(word: Word, count: u32, bits: u32) -> SysResult {
    if bits == 0 {
        return Err(Errno::EINVAL);
    }
    user::check_range(word.address, 4)?;
    // A count of 0 or less wakes one, as in Linux.
    let count = (count as i32).max(1);
    Ok(bucket::wake(word.key, count as usize, bits))
}

/// Wakes who waits for a word that the libOS itself changed.
pub(super) fn wake_one(address: u64) {
    bucket::wake(Word::new(address, false).key, 1, ANY);
}

/// Wakes up to `count` and lets up to `moved` of the others wait for `to`, if
/// the word is `expected`.
fn requeue(from: Word, count: u32, moved: u32, to: Word, expected: Option<u32>) -> SysResult {
    if (count as i32) < 0 || (moved as i32) < 0 || !to.address.is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    user::check_range(from.address, 4)?;
    user::check_range(to.address, 4)?;
    let check = || match expected {
        Some(expected) if from.read()? != expected => Err(Errno::EAGAIN),
        _ => Ok(()),
    };
    // The page is there before a lock is held.
    check()?;
    bucket::requeue(from.key, to.key, count as usize, moved as usize, check)
}

/// FUTEX_WAKE_OP: changes the second word, wakes waiters of the first,
/// and those of the second if the old word compares. `code` is
/// `operation:4 comparison:4 operand:12 compared:12`.
fn wake_op(first: Word, count: u32, count2: u32, second: Word, code: u32) -> SysResult {
    if !second.address.is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    user::check_range(first.address, 4)?;
    // Bad codes change nothing, and the page is there before a lock is held.
    let word = second.read()?;
    operate(code, word)?;
    compare(code, word)?;
    let at_least_one = |count: u32| (count as i32).max(1) as usize;
    let woken = (first.key, at_least_one(count));
    bucket::wake_two(woken, (second.key, at_least_one(count2)), || {
        let old = user::update(second.address, |old| operate(code, old))?;
        compare(code, old)
    })
}

/// Twelve bits with a sign.
fn signed12(bits: u32) -> i32 {
    ((bits << 20) as i32) >> 20
}

fn operate(code: u32, old: u32) -> Result<u32, Errno> {
    let mut operand = signed12(code >> 12) as u32;
    if code >> 31 != 0 {
        // FUTEX_OP_ARG_SHIFT
        operand = 1u32.wrapping_shl(operand);
    }
    match (code >> 28) & 7 {
        0 => Ok(operand),
        1 => Ok(old.wrapping_add(operand)),
        2 => Ok(old | operand),
        3 => Ok(old & !operand),
        4 => Ok(old ^ operand),
        _ => Err(Errno::ENOSYS),
    }
}

fn compare(code: u32, old: u32) -> Result<bool, Errno> {
    let (old, with) = (old as i32, signed12(code));
    match (code >> 24) & 15 {
        0 => Ok(old == with),
        1 => Ok(old != with),
        2 => Ok(old < with),
        3 => Ok(old <= with),
        4 => Ok(old > with),
        5 => Ok(old >= with),
        _ => Err(Errno::ENOSYS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_differs_is_not_waited_for() {
        let word = 7u32;
        let address = (&raw const word).expose_provenance() as u64;
        let word = Word::new(address, true);
        assert_eq!(wait(word, 8, ANY, None), Err(Errno::EAGAIN));
        assert_eq!(wake(word, 1, ANY), Ok(0));
    }

    #[test]
    fn waiters_are_woken_in_order_moved_and_taken_out() {
        let me = process::thread();
        let words = [0u32; 64];
        let at =
            |index: usize| Word::new((&raw const words[index]).expose_provenance() as u64, true);
        let add = |index, bits| {
            let key = at(index).key;
            bucket::add(&mut bucket::lock_for(key), me, key, bits).unwrap();
        };
        add(0, 1);
        assert_eq!(bucket::wake(at(0).key, 1, 2), 0);
        assert_eq!(bucket::wake(at(1).key, 1, ANY), 0);
        for target in 1..64 {
            // All of them go to the next word, whichever bucket it is in.
            assert_eq!(requeue(at(target - 1), 0, 1, at(target), Some(0)), Ok(1));
        }
        assert_eq!(requeue(at(0), 0, 1, at(1), Some(1)), Err(Errno::EAGAIN));
        assert!(!me.futex.woken.load(SeqCst));
        assert_eq!(bucket::wake(at(63).key, 5, ANY), 1);
        assert!(me.futex.woken.load(SeqCst));
        assert!(!bucket::remove(me));
        add(5, ANY);
        assert!(bucket::remove(me));
    }

    #[test]
    fn wake_op_codes_are_decoded() {
        let code = |op: u32, cmp: u32, arg: u32, with: u32| op << 28 | cmp << 24 | arg << 12 | with;
        assert_eq!(operate(code(1, 0, 0xfff, 0), 5), Ok(4));
        assert_eq!(operate(code(8, 0, 3, 0), 5), Ok(8));
        assert_eq!(compare(code(0, 2, 0, 0xfff), 0), Ok(false));
        assert_eq!(compare(code(0, 4, 0, 0xfff), 0), Ok(true));
        assert!(operate(code(7, 0, 0, 0), 0).is_err());
    }
}
