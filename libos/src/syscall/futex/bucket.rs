//! Who waits for which word: buckets of waiters by a hash of the word's address.
//!
//! A waiter is in exactly one bucket until somebody takes it out. A requeue may
//! move it: its thread keeps the bucket's number. Buckets are locked in the
//! order of their numbers.

use alloc::collections::VecDeque;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use spin::{Mutex, MutexGuard};

use crate::errno::Errno;
use crate::process::Thread;
use crate::sched;

const BUCKETS: usize = 64;

static TABLE: [Mutex<VecDeque<Waiter>>; BUCKETS] = [const { Mutex::new(VecDeque::new()) }; BUCKETS];

/// A thread that waits for the word at `address`. First come, first woken.
#[derive(Clone, Copy)]
pub(super) struct Waiter {
    thread: &'static Thread,
    address: u64,
    bits: u32,
}

/// The waiters of one bucket.
pub(super) type Bucket = MutexGuard<'static, VecDeque<Waiter>>;

fn index_of(address: u64) -> usize {
    (((address >> 2).wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> 58) as usize % BUCKETS
}

fn lock(index: usize) -> MutexGuard<'static, VecDeque<Waiter>> {
    TABLE[index % BUCKETS].lock()
}

/// Locks the bucket of an address.
pub(super) fn lock_for(address: u64) -> Bucket {
    lock(index_of(address))
}

/// Adds the thread to the bucket of `address`, which is locked.
///
/// # Errors
/// ENOMEM.
pub(super) fn add(
    bucket: &mut Bucket,
    thread: &'static Thread,
    address: u64,
    bits: u32,
) -> Result<(), Errno> {
    bucket.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
    thread.futex.woken.store(false, SeqCst);
    thread.futex.bucket.store(index_of(address), SeqCst);
    bucket.push_back(Waiter {
        thread,
        address,
        bits,
    });
    Ok(())
}

/// Takes the thread out, wherever it was moved to; false where somebody woke it first.
pub(super) fn remove(thread: &'static Thread) -> bool {
    loop {
        let index = thread.futex.bucket.load(SeqCst);
        let mut bucket = lock(index);
        if thread.futex.bucket.load(SeqCst) != index {
            continue;
        }
        let found = (bucket.iter()).position(|waiter| core::ptr::eq(waiter.thread, thread));
        return match found {
            Some(at) => bucket.remove(at).is_some(),
            None => false,
        };
    }
}

/// Takes up to `count` waiters of `address` that share a bit of `bits`, and
/// gives each to `with`.
fn take(
    bucket: &mut VecDeque<Waiter>,
    address: u64,
    count: usize,
    bits: u32,
    mut with: impl FnMut(Waiter),
) -> usize {
    let mut taken = 0;
    let mut at = 0;
    while taken < count {
        let Some(waiter) = bucket.get(at).copied() else {
            break;
        };
        if waiter.address == address && waiter.bits & bits != 0 {
            bucket.remove(at);
            with(waiter);
            taken += 1;
        } else {
            at += 1;
        }
    }
    taken
}

fn wake_waiter(waiter: Waiter) {
    waiter.thread.futex.woken.store(true, SeqCst);
    sched::wake(waiter.thread);
}

/// Wakes up to `count` waiters of `address`, whose bucket is locked.
pub(super) fn wake_in(bucket: &mut Bucket, address: u64, count: usize, bits: u32) -> usize {
    take(bucket, address, count, bits, wake_waiter)
}

/// Wakes up to `count` waiters of `address`.
pub(super) fn wake(address: u64, count: usize, bits: u32) -> usize {
    wake_in(&mut lock_for(address), address, count, bits)
}

/// Whether anybody waits for `address`, whose bucket is locked.
pub(super) fn has_waiter(bucket: &Bucket, address: u64) -> bool {
    bucket.iter().any(|waiter| waiter.address == address)
}

/// Both buckets of two addresses, locked; one guard where they are the same.
fn lock_both(
    first: u64,
    second: u64,
) -> (
    MutexGuard<'static, VecDeque<Waiter>>,
    Option<MutexGuard<'static, VecDeque<Waiter>>>,
) {
    let (a, b) = (index_of(first), index_of(second));
    match a.cmp(&b) {
        core::cmp::Ordering::Equal => (lock(a), None),
        core::cmp::Ordering::Less => {
            let low = lock(a);
            (low, Some(lock(b)))
        }
        core::cmp::Ordering::Greater => {
            let low = lock(b);
            (lock(a), Some(low))
        }
    }
}

/// If `check` agrees with both buckets locked, wakes up to `count` waiters of
/// `from` and lets up to `moved` of the others wait for `to`: both numbers added.
///
/// # Errors
/// What `check` says; ENOMEM.
pub(super) fn requeue(
    from: u64,
    to: u64,
    count: usize,
    moved: usize,
    check: impl FnOnce() -> Result<(), Errno>,
) -> Result<usize, Errno> {
    let (mut source, mut target) = lock_both(from, to);
    check()?;
    let woken = take(&mut source, from, count, u32::MAX, wake_waiter);
    let wanted = moved.min(source.len());
    let Some(target) = &mut target else {
        let mut renamed = 0;
        for waiter in source.iter_mut().filter(|waiter| waiter.address == from) {
            if renamed == wanted {
                break;
            }
            waiter.address = to;
            renamed += 1;
        }
        return Ok(woken + renamed);
    };
    target.try_reserve(wanted).map_err(|_| Errno::ENOMEM)?;
    let index = index_of(to);
    let renamed = take(&mut source, from, wanted, u32::MAX, |mut waiter| {
        waiter.address = to;
        waiter.thread.futex.bucket.store(index, Relaxed);
        target.push_back(waiter);
    });
    Ok(woken + renamed)
}

/// Wakes waiters of two addresses under both locks: `change` runs first, and
/// says whether those of the second are woken too.
///
/// # Errors
/// What `change` says.
pub(super) fn wake_two(
    first: (u64, usize),
    second: (u64, usize),
    change: impl FnOnce() -> Result<bool, Errno>,
) -> Result<usize, Errno> {
    let (mut bucket, mut other) = lock_both(first.0, second.0);
    let both = change()?;
    let mut woken = take(&mut bucket, first.0, first.1, u32::MAX, wake_waiter);
    if both {
        let other = other.as_mut().unwrap_or(&mut bucket);
        woken += take(other, second.0, second.1, u32::MAX, wake_waiter);
    }
    Ok(woken)
}
