//! futex(2): threads that wait for a word to change.
//!
//! A waiter registers first and looks at the word afterwards, so a wake in
//! between is not lost. With one thread nobody wakes anybody: a wait ends by
//! its timeout or by a signal.

use core::sync::atomic::{AtomicU64, Ordering};

use alloc::vec::Vec;
use linux_raw_sys::general::{
    FUTEX_CLOCK_REALTIME, FUTEX_CMP_REQUEUE, FUTEX_PRIVATE_FLAG, FUTEX_REQUEUE, FUTEX_WAIT,
    FUTEX_WAIT_BITSET, FUTEX_WAKE, FUTEX_WAKE_BITSET, FUTEX_WAKE_OP,
};
use spin::Mutex;

use super::clock::{read_timeout, read_timespec};
use crate::errno::{Errno, SysResult};
use crate::mm::user;
use crate::sched::{self, WaitQueue};
use crate::time;

/// Every bit: plain FUTEX_WAIT and FUTEX_WAKE.
const ANY: u32 = u32::MAX;

static WAITERS: Mutex<Vec<Waiter>> = Mutex::new(Vec::new());
static QUEUE: WaitQueue = WaitQueue::new();
static TICKETS: AtomicU64 = AtomicU64::new(0);

/// A thread that waits. First come, first woken.
struct Waiter {
    ticket: u64,
    address: u64,
    bits: u32,
    woken: bool,
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
    match operation & !(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME) {
        FUTEX_WAIT => wait(address, value, ANY, read_timeout(timeout)?),
        FUTEX_WAIT_BITSET => wait(address, value, value3, read_deadline(timeout, is_realtime)?),
        FUTEX_WAKE => wake(address, value, ANY),
        FUTEX_WAKE_BITSET => wake(address, value, value3),
        FUTEX_REQUEUE => requeue(address, value, value2, address2),
        FUTEX_CMP_REQUEUE => {
            if user::read::<u32>(address)? != value3 {
                return Err(Errno::EAGAIN);
            }
            requeue(address, value, value2, address2)
        }
        FUTEX_WAKE_OP => wake_op(address, value, value2, address2, value3),
        // Priority inheritance.
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

fn wait(address: u64, expected: u32, bits: u32, deadline_ns: Option<u64>) -> SysResult {
    if bits == 0 {
        return Err(Errno::EINVAL);
    }
    let ticket = TICKETS.fetch_add(1, Ordering::Relaxed);
    {
        let mut waiters = WAITERS.lock();
        waiters.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        waiters.push(Waiter {
            ticket,
            address,
            bits,
            woken: false,
        });
    }
    let result = match user::read::<u32>(address) {
        Ok(word) if word != expected => Err(Errno::EAGAIN),
        Err(errno) => Err(errno),
        Ok(_) => sched::wait(&QUEUE, deadline_ns, || is_woken(ticket).then_some(0)),
    };
    WAITERS.lock().retain(|waiter| waiter.ticket != ticket);
    result
}

fn is_woken(ticket: u64) -> bool {
    WAITERS
        .lock()
        .iter()
        .any(|waiter| waiter.ticket == ticket && waiter.woken)
}

/// Wakes up to `count` waiters of `address` that share a bit of `bits`.
fn wake(address: u64, count: u32, bits: u32) -> SysResult {
    if bits == 0 {
        return Err(Errno::EINVAL);
    }
    user::check_range(address, 4)?;
    let woken = mark(&mut WAITERS.lock(), address, count, bits);
    if woken > 0 {
        QUEUE.wake_all();
    }
    Ok(woken)
}

fn mark(waiters: &mut [Waiter], address: u64, count: u32, bits: u32) -> usize {
    let asleep = waiters
        .iter_mut()
        .filter(|waiter| waiter.address == address && waiter.bits & bits != 0 && !waiter.woken);
    asleep
        .take(count as usize)
        .map(|waiter| waiter.woken = true)
        .count()
}

/// Wakes up to `count` and lets up to `moved` of the others wait for `to`.
fn requeue(from: u64, count: u32, moved: u32, to: u64) -> SysResult {
    if (count as i32) < 0 || (moved as i32) < 0 || !to.is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    let mut waiters = WAITERS.lock();
    let woken = mark(&mut waiters, from, count, ANY);
    let asleep = waiters
        .iter_mut()
        .filter(|waiter| waiter.address == from && !waiter.woken);
    let requeued = asleep
        .take(moved as usize)
        .map(|waiter| waiter.address = to)
        .count();
    drop(waiters);
    QUEUE.wake_all();
    Ok(woken + requeued)
}

/// FUTEX_WAKE_OP: changes the word at `address2`, wakes waiters of `address`,
/// and those of `address2` if the old word compares. `code` is
/// `operation:4 comparison:4 operand:12 compared:12`.
fn wake_op(address: u64, count: u32, count2: u32, address2: u64, code: u32) -> SysResult {
    if !address2.is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    let old: u32 = user::read(address2)?;
    user::write(address2, &operate(code, old)?)?;
    let compares = compare(code, old)?;
    let woken = wake(address, count, ANY)?;
    Ok(if compares {
        woken + wake(address2, count2, ANY)?
    } else {
        woken
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

    fn waiter(ticket: u64, address: u64, bits: u32) -> Waiter {
        Waiter {
            ticket,
            address,
            bits,
            woken: false,
        }
    }

    #[test]
    fn the_first_waiters_are_woken() {
        let mut waiters = [
            waiter(0, 8, ANY),
            waiter(1, 4, ANY),
            waiter(2, 8, 2),
            waiter(3, 8, 1),
        ];
        assert_eq!(mark(&mut waiters, 8, 2, 1), 2);
        assert_eq!(waiters.map(|w| w.woken), [true, false, false, true]);
    }

    #[test]
    fn a_word_that_differs_is_not_waited_for() {
        let word = 7u32;
        let address = (&raw const word).expose_provenance() as u64;
        assert_eq!(wait(address, 8, ANY, None), Err(Errno::EAGAIN));
        assert!(
            WAITERS
                .lock()
                .iter()
                .all(|waiter| waiter.address != address)
        );
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
