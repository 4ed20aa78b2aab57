//! Futexes that say who holds them: FUTEX_LOCK_PI and its relatives, as glibc's
//! PTHREAD_PRIO_INHERIT mutexes use them.
//!
//! ```text
//! word = holder's thread id | FUTEX_WAITERS | FUTEX_OWNER_DIED
//! ```
//!
//! There are no priorities to inherit: all threads are of one class. What is left
//! is the word, its waiters in order, and errors where the holder is gone.
//! Source: futex(2), "Priority-inheritance futexes".

use super::bucket::{self, Bucket};
use super::{ANY, Word, block};
use crate::errno::{Errno, SysResult};
use crate::mm::user;
use crate::process::{self, threads};

/// The holder died without letting go.
pub(super) const OWNER_DIED: u32 = 0x4000_0000;
/// Somebody waits in the libOS.
pub(super) const WAITERS: u32 = 0x8000_0000;
/// The holder's id.
pub(super) const TID_MASK: u32 = 0x3fff_ffff;

/// What one try found.
enum Try {
    /// The lock is the caller's.
    Taken,
    /// Its holder lives.
    Held,
}

/// Takes the lock if it is free, else marks it as waited for. The bucket is locked.
fn try_lock(address: u64, mark: bool) -> Result<Try, Errno> {
    let me = process::thread().tid();
    let mut outcome = Ok(Try::Held);
    user::update(address, |word| {
        let holder = word & TID_MASK;
        outcome = Ok(Try::Held);
        if holder == me {
            return Err(Errno::EDEADLK);
        }
        if holder == 0 {
            outcome = Ok(Try::Taken);
            return Ok(word & (WAITERS | OWNER_DIED) | me);
        }
        if !threads::exists(holder) {
            return Err(Errno::ESRCH);
        }
        Ok(if mark { word | WAITERS } else { word })
    })?;
    outcome
}

/// FUTEX_LOCK_PI.
pub(super) fn lock(lock: Word, deadline_ns: Option<u64>) -> SysResult {
    loop {
        // The page is there before a lock is held.
        lock.read()?;
        let me = process::thread();
        {
            let mut bucket = bucket::lock_for(lock.key);
            if let Try::Taken = try_lock(lock.address, true)? {
                keep_waiters_bit(&bucket, lock)?;
                return Ok(0);
            }
            bucket::add(&mut bucket, me, lock.key, ANY)?;
        }
        match block(deadline_ns) {
            // Handed over, or the lock is free: look who holds it.
            Ok(_) if lock.read()? & TID_MASK == me.tid() => return Ok(0),
            Ok(_) => {}
            // glibc has no way to be told of a signal here.
            Err(Errno::EINTR) => return Err(Errno::EINTR),
            Err(errno) => return Err(errno),
        }
    }
}

/// FUTEX_TRYLOCK_PI: also cleans up after a holder that died.
pub(super) fn try_lock_now(lock: Word) -> SysResult {
    lock.read()?;
    let bucket = bucket::lock_for(lock.key);
    match try_lock(lock.address, false)? {
        Try::Taken => {
            keep_waiters_bit(&bucket, lock)?;
            Ok(0)
        }
        Try::Held => Err(Errno::EAGAIN),
    }
}

fn keep_waiters_bit(bucket: &Bucket, lock: Word) -> Result<(), Errno> {
    let bit = if bucket::has_waiter(bucket, lock.key) {
        WAITERS
    } else {
        0
    };
    user::update(lock.address, |word| Ok(word & !WAITERS | bit)).map(drop)
}

/// FUTEX_UNLOCK_PI.
pub(super) fn unlock(lock: Word) -> SysResult {
    let me = process::thread().tid();
    if lock.read()? & TID_MASK != me {
        return Err(Errno::EPERM);
    }
    let mut bucket = bucket::lock_for(lock.key);
    user::update(lock.address, |word| {
        if word & TID_MASK == me {
            // Free, but for the mark that makes newcomers ask: the one woken takes it.
            Ok(word & WAITERS)
        } else {
            Err(Errno::EPERM)
        }
    })?;
    if bucket::wake_in(&mut bucket, lock.key, 1, ANY) == 0 {
        user::update(lock.address, |word| Ok(word & !WAITERS))?;
    }
    Ok(0)
}
