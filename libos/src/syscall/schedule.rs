//! Scheduling calls. There is one class of threads: what asks is answered as for
//! an ordinary process, a class that is set is checked and forgotten. Affinity
//! is real. Source: sched(7), getpriority(2), membarrier(2).

use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use crate::arch;
use crate::errno::{Errno, SysResult};
use crate::mm::user;
use crate::process::{self, Thread, table, threads};
use crate::sched;

const SCHED_OTHER: u32 = 0;
const SCHED_FIFO: u32 = 1;
const SCHED_RR: u32 = 2;
const SCHED_BATCH: u32 = 3;
const SCHED_IDLE: u32 = 5;
const SCHED_DEADLINE: u32 = 6;
/// May be or-ed to a policy.
const SCHED_RESET_ON_FORK: u32 = 0x4000_0000;
/// Bytes of struct sched_attr in its first version.
const ATTRIBUTES_BYTES: usize = 48;
/// Commands that membarrier(2) takes: all but those of restartable sequences.
const BARRIERS: u32 = 0x7f;
/// What a priority is of.
const PRIO_PROCESS: u64 = 0;
/// See [`PRIO_PROCESS`].
const PRIO_PGRP: u64 = 1;
/// See [`PRIO_PROCESS`].
const PRIO_USER: u64 = 2;
/// Length of a round-robin slice.
const SLICE_NS: u64 = 100_000_000;

/// sched_yield(2).
pub(super) fn sched_yield(_args: &[u64; 6]) -> SysResult {
    sched::yield_now();
    Ok(0)
}

/// Runs `with` on the thread that a call is about; 0 is the running one.
fn with_thread<R>(tid: u64, with: impl FnOnce(&'static Thread) -> R) -> Result<R, Errno> {
    match tid as i32 {
        tid if tid < 0 => Err(Errno::EINVAL),
        0 => Ok(with(process::thread())),
        tid => threads::with(tid as u32, with).ok_or(Errno::ESRCH),
    }
}

/// The same for affinity calls, which know no negative thread.
fn with_bound_thread<R>(tid: u64, with: impl FnOnce(&'static Thread) -> R) -> Result<R, Errno> {
    if (tid as i32) < 0 {
        return Err(Errno::ESRCH);
    }
    with_thread(tid, with)
}

/// The call is about a thread that there is.
fn check_pid(pid: u64) -> Result<(), Errno> {
    with_thread(pid, |_| ())
}

/// Whether the running process decides on another: it has one of its users.
fn owns(thread: &Thread) -> bool {
    let euid = process::current().credentials.lock().euid;
    let theirs = thread.process().credentials.lock();
    let is_own = core::ptr::eq(thread.process(), process::current());
    is_own || euid == 0 || [theirs.uid, theirs.euid].contains(&euid)
}

/// The call changes a thread that the caller decides on.
fn check_owned(pid: u64) -> Result<(), Errno> {
    match with_thread(pid, owns)? {
        true => Ok(()),
        false => Err(Errno::EPERM),
    }
}

/// The address, which must be one: these calls answer NULL with EINVAL.
fn not_null(address: u64) -> Result<u64, Errno> {
    if address == 0 {
        Err(Errno::EINVAL)
    } else {
        Ok(address)
    }
}

/// vCPUs that there are, as a mask.
fn online() -> u64 {
    u64::MAX >> (64 - sched::cpu_count().min(64))
}

/// sched_getaffinity(2): bytes of the mask.
pub(super) fn sched_getaffinity(args: &[u64; 6]) -> SysResult {
    let [pid, bytes, address, ..] = *args;
    if bytes % 8 != 0 || bytes == 0 {
        return Err(Errno::EINVAL);
    }
    let mask = with_bound_thread(pid, |thread| thread.affinity.load(Ordering::Relaxed))?;
    user::write(address, &(mask & online()))?;
    Ok(8)
}

/// sched_setaffinity(2).
pub(super) fn sched_setaffinity(args: &[u64; 6]) -> SysResult {
    let [pid, bytes, address, ..] = *args;
    let mut mask = [0; 8];
    let part = mask.get_mut(..bytes.min(8) as usize).ok_or(Errno::EINVAL)?;
    user::copy_in(address, part)?;
    if !with_bound_thread(pid, owns)? {
        return Err(Errno::EPERM);
    }
    let mask = u64::from_le_bytes(mask) & online();
    if mask == 0 {
        return Err(Errno::EINVAL);
    }
    with_bound_thread(pid, |thread| {
        thread.affinity.store(mask, Ordering::SeqCst);
        sched::affinity_changed(thread);
    })?;
    Ok(0)
}

/// sched_getscheduler(2).
pub(super) fn sched_getscheduler(args: &[u64; 6]) -> SysResult {
    check_pid(args[0]).map(|()| SCHED_OTHER as usize)
}

/// sched_getparam(2).
pub(super) fn sched_getparam(args: &[u64; 6]) -> SysResult {
    check_pid(args[0])?;
    user::write(not_null(args[1])?, &0u32).map(|()| 0)
}

fn set_policy(policy: u32, priority: u32) -> SysResult {
    match policy & !SCHED_RESET_ON_FORK {
        SCHED_OTHER | SCHED_BATCH | SCHED_IDLE if priority == 0 => Ok(0),
        SCHED_FIFO | SCHED_RR if (1..=99).contains(&priority) => Err(Errno::EPERM),
        SCHED_DEADLINE => Err(Errno::EPERM),
        _ => Err(Errno::EINVAL),
    }
}

/// sched_setscheduler(2): real-time classes are not to be had.
pub(super) fn sched_setscheduler(args: &[u64; 6]) -> SysResult {
    check_owned(args[0])?;
    set_policy(args[1] as u32, user::read(not_null(args[2])?)?)
}

/// sched_setparam(2).
pub(super) fn sched_setparam(args: &[u64; 6]) -> SysResult {
    check_owned(args[0])?;
    set_policy(SCHED_OTHER, user::read(not_null(args[1])?)?)
}

/// sched_get_priority_max(2).
pub(super) fn sched_get_priority_max(args: &[u64; 6]) -> SysResult {
    priority_bound(args[0], 99)
}

/// sched_get_priority_min(2).
pub(super) fn sched_get_priority_min(args: &[u64; 6]) -> SysResult {
    priority_bound(args[0], 1)
}

fn priority_bound(policy: u64, real_time: usize) -> SysResult {
    match policy as u32 {
        SCHED_FIFO | SCHED_RR => Ok(real_time),
        SCHED_OTHER | SCHED_BATCH | SCHED_IDLE | SCHED_DEADLINE => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}

/// sched_rr_get_interval(2).
pub(super) fn sched_rr_get_interval(args: &[u64; 6]) -> SysResult {
    check_pid(args[0])?;
    super::clock::write_timespec(args[1], SLICE_NS).map(|()| 0)
}

/// sched_getattr(2).
pub(super) fn sched_getattr(args: &[u64; 6]) -> SysResult {
    let [pid, address, bytes, flags, ..] = *args;
    if flags != 0 || (bytes as usize) < ATTRIBUTES_BYTES {
        return Err(Errno::EINVAL);
    }
    check_pid(pid)?;
    let mut attributes = [0; ATTRIBUTES_BYTES];
    attributes[..4].copy_from_slice(&(ATTRIBUTES_BYTES as u32).to_le_bytes());
    let nice = with_thread(pid, |thread| thread.nice.load(Ordering::Relaxed))?;
    attributes[16..20].copy_from_slice(&nice.to_le_bytes());
    user::copy_out(not_null(address)?, &attributes).map(|()| 0)
}

/// sched_setattr(2).
pub(super) fn sched_setattr(args: &[u64; 6]) -> SysResult {
    check_owned(args[0])?;
    let attributes = not_null(args[1])?;
    let policy: u32 = user::read(attributes.wrapping_add(4))?;
    let priority: u32 = user::read(attributes.wrapping_add(20))?;
    set_policy(policy, priority)
}

/// The threads that a call is about: one, those of a group's processes, or of a user's; 0
/// for the caller's.
fn those(which: u64, who: u64) -> Result<Vec<&'static Thread>, Errno> {
    let own = process::current();
    let who = who as u32;
    let found: Vec<&'static Thread> = match which {
        PRIO_PROCESS => return with_thread(u64::from(who), |thread| alloc::vec![thread]),
        PRIO_PGRP => {
            let own = table::kin(own.pid()).map_or(0, |kin| kin.group);
            let group = if who == 0 { own } else { who };
            let members = table::running(|_, kin| kin.group == group);
            let is_member = |thread: &&'static Thread| members.contains(&thread.process().pid());
            threads::everybody().into_iter().filter(is_member).collect()
        }
        PRIO_USER => {
            let own = own.credentials.lock().uid;
            let user = if who == 0 { own } else { who };
            let uid = |thread: &Thread| thread.process().credentials.lock().uid;
            let is_theirs = |thread: &&'static Thread| uid(thread) == user;
            threads::everybody().into_iter().filter(is_theirs).collect()
        }
        _ => return Err(Errno::EINVAL),
    };
    if found.is_empty() {
        return Err(Errno::ESRCH);
    }
    Ok(found)
}

/// getpriority(2): 20 less the nice value, so that it is never negative; the best of all.
pub(super) fn getpriority(args: &[u64; 6]) -> SysResult {
    let those = those(args[0], args[1])?;
    let nice = |thread: &&Thread| thread.nice.load(Ordering::Relaxed) as i32;
    Ok((20 - those.iter().map(nice).min().unwrap_or(0)) as usize)
}

/// setpriority(2).
pub(super) fn setpriority(args: &[u64; 6]) -> SysResult {
    let nice = (args[2] as i32).clamp(-20, 19);
    let is_root = super::credentials::is_root();
    let mut result = Ok(0);
    for thread in those(args[0], args[1])? {
        if !owns(thread) {
            result = Err(Errno::EPERM);
        } else if nice < thread.nice.load(Ordering::Relaxed) as i32 && !is_root {
            result = Err(Errno::EACCES);
        } else {
            thread.nice.store(nice as u32, Ordering::Relaxed);
        }
    }
    result
}

/// getcpu(2).
pub(super) fn getcpu(args: &[u64; 6]) -> SysResult {
    if args[0] != 0 {
        user::write(args[0], &(arch::vcpu_index() as u32))?;
    }
    if args[1] != 0 {
        user::write(args[1], &0u32)?;
    }
    Ok(0)
}

/// membarrier(2).
pub(super) fn membarrier(args: &[u64; 6]) -> SysResult {
    let command = args[0] as u32;
    match command {
        0 => Ok(BARRIERS as usize),
        _ if command.is_power_of_two() && command & BARRIERS != 0 => {
            sched::barrier();
            Ok(0)
        }
        _ => Err(Errno::EINVAL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ordinary_classes_are_to_be_had() {
        assert_eq!(set_policy(SCHED_BATCH | SCHED_RESET_ON_FORK, 0), Ok(0));
        assert_eq!(set_policy(SCHED_FIFO, 10), Err(Errno::EPERM));
        assert_eq!(set_policy(SCHED_FIFO, 100), Err(Errno::EINVAL));
        assert_eq!(set_policy(4, 0), Err(Errno::EINVAL));
    }

    #[test]
    fn a_mask_without_a_vcpu_is_refused() {
        let mask = 2u64;
        let address = (&raw const mask).expose_provenance() as u64;
        assert_eq!(
            sched_setaffinity(&[0, 8, address, 0, 0, 0]),
            Err(Errno::EINVAL)
        );
        assert_eq!(
            sched_setaffinity(&[0, 1, address, 0, 0, 0]),
            Err(Errno::EINVAL)
        );
    }
}
