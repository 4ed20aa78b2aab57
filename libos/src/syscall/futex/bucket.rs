//! Who waits for which word: buckets of waiters by a hash of the word's key.
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

/// A word, the same for all who can wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// An address space, or a file that is mapped shared.
    pub(super) of: u64,
    /// Address in it, or bytes into it.
    pub(super) at: u64,
}

/// A thread that waits for the word of `key`. First come, first woken.
#[derive(Clone, Copy)]
pub(super) struct Waiter {
    thread: &'static Thread,
    key: Key,
    bits: u32,
}

/// The waiters of one bucket.
pub(super) type Bucket = MutexGuard<'static, VecDeque<Waiter>>;

fn index_of(key: Key) -> usize {
    let word = (key.at >> 2) ^ key.of;
    ((word.wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> 58) as usize % BUCKETS
}

fn lock(index: usize) -> MutexGuard<'static, VecDeque<Waiter>> {
    TABLE[index % BUCKETS].lock()
}

/// Locks the bucket of a word.
pub(super) fn lock_for(key: Key) -> Bucket {
    lock(index_of(key))
}

/// Adds the thread to the bucket of `key`, which is locked.
///
/// # Errors
/// ENOMEM.
pub(super) fn add(
    bucket: &mut Bucket,
    thread: &'static Thread,
    key: Key,
    bits: u32,
) -> Result<(), Errno> {
    bucket.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
    thread.futex.woken.store(false, SeqCst);
    thread.futex.bucket.store(index_of(key), SeqCst);
    bucket.push_back(Waiter { thread, key, bits });
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

/// Takes up to `count` waiters of `key` that share a bit of `bits`, and
/// gives each to `with`.
fn take(
    bucket: &mut VecDeque<Waiter>,
    key: Key,
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
        if waiter.key == key && waiter.bits & bits != 0 {
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

/// Wakes up to `count` waiters of `key`, whose bucket is locked.
pub(super) fn wake_in(bucket: &mut Bucket, key: Key, count: usize, bits: u32) -> usize {
    take(bucket, key, count, bits, wake_waiter)
}

/// Wakes up to `count` waiters of `key`.
pub(super) fn wake(key: Key, count: usize, bits: u32) -> usize {
    wake_in(&mut lock_for(key), key, count, bits)
}

/// Whether anybody waits for `key`, whose bucket is locked.
pub(super) fn has_waiter(bucket: &Bucket, key: Key) -> bool {
    bucket.iter().any(|waiter| waiter.key == key)
}

/// Both buckets of two words, locked; one guard where they are the same.
fn lock_both(
    first: Key,
    second: Key,
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
    from: Key,
    to: Key,
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
        for waiter in source.iter_mut().filter(|waiter| waiter.key == from) {
            if renamed == wanted {
                break;
            }
            waiter.key = to;
            renamed += 1;
        }
        return Ok(woken + renamed);
    };
    target.try_reserve(wanted).map_err(|_| Errno::ENOMEM)?;
    let index = index_of(to);
    let renamed = take(&mut source, from, wanted, u32::MAX, |mut waiter| {
        waiter.key = to;
        waiter.thread.futex.bucket.store(index, Relaxed);
        target.push_back(waiter);
    });
    Ok(woken + renamed)
}

/// Wakes waiters of two words under both locks: `change` runs first, and
/// says whether those of the second are woken too.
///
/// # Errors
/// What `change` says.
pub(super) fn wake_two(
    first: (Key, usize),
    second: (Key, usize),
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
