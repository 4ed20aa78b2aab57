//! System V semaphores: semget(2), semop(2), semtimedop(2), semctl(2).
//!
//! ```text
//! semop ─→ all operations at once ─→ done ─→ those who wait are tried again, the first first
//!      └→ one cannot be: waits ─→ done for it by another's change, EIDRM, EINTR, EAGAIN
//! ```
//!
//! What a process asked to be undone is kept in the set, by process, and is done at its end.

mod set;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::SeqCst;

use spin::Mutex;

use self::set::{
    OPERATIONS_MAX, SEM_UNDO, State, Tried, UNDOING, VALUE_MAX, Waiting, alters, read_operations,
};
use super::clock::read_timeout;
use super::ipc::{
    IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT, Outcome, Owner, Table, check_id, now, write_words,
};
use crate::errno::{Errno, SysResult};
use crate::mm::user;
use crate::process;
use crate::sched::{self, WaitQueue};

const GETPID: u32 = 11;
const GETVAL: u32 = 12;
const GETALL: u32 = 13;
const GETNCNT: u32 = 14;
const GETZCNT: u32 = 15;
const SETVAL: u32 = 16;
const SETALL: u32 = 17;
const SEM_STAT: u32 = 18;
const SEM_INFO: u32 = 19;
const SEM_STAT_ANY: u32 = 20;
/// Linux's defaults, which `/proc/sys/kernel/sem` shows.
const PER_SET_MAX: usize = 32_000;
const ALL_MAX: usize = 1_024_000_000;
const SETS_MAX: usize = 32_000;

static SETS: Mutex<Table<Set>> = Mutex::new(Table::new());

struct Set {
    state: State,
    /// When it was operated on last, in seconds.
    operated: u64,
    outcomes: Arc<WaitQueue>,
}

/// struct semid64_ds of asm/sembuf.h, which begins with an ipc64_perm.
pub type Status = [u64; 13];

impl Set {
    fn status(&self, owner: &Owner) -> Status {
        let [a, b, c, d, e, f] = owner.words(0);
        let (operated, changed) = (self.operated, owner.changed);
        let count = self.state.semaphores.len() as u64;
        [a, b, c, d, e, f, operated, 0, changed, 0, count, 0, 0]
    }
}

fn count_semaphores(sets: &Table<Set>) -> usize {
    let sets = sets.by_id.values();
    sets.map(|(_, set)| set.state.semaphores.len()).sum()
}

fn make(sets: &Table<Set>, count: usize) -> Result<Set, Errno> {
    if count == 0 {
        return Err(Errno::EINVAL);
    }
    if count_semaphores(sets) + count > ALL_MAX {
        return Err(Errno::ENOSPC);
    }
    let mut semaphores = Vec::new();
    let room = semaphores.try_reserve_exact(count);
    room.map_err(|_| Errno::ENOMEM)?;
    semaphores.resize(count, (0, 0));
    Ok(Set {
        state: State {
            semaphores,
            ..State::default()
        },
        operated: 0,
        outcomes: Arc::new(WaitQueue::new()),
    })
}

/// semget(2).
pub(super) fn semget(args: &[u64; 6]) -> SysResult {
    let (key, count, flags) = (args[0] as i32, args[1] as i32, args[2] as u32);
    let count = usize::try_from(count).map_err(|_| Errno::EINVAL)?;
    if count > PER_SET_MAX {
        return Err(Errno::EINVAL);
    }
    let fits = |set: &Set| count <= set.state.semaphores.len();
    let make = |sets: &Table<Set>| make(sets, count);
    SETS.lock().open(key, flags, SETS_MAX, fits, make)
}

/// semop(2).
pub(super) fn semop(args: &[u64; 6]) -> SysResult {
    operate(args, None)
}

/// semtimedop(2).
pub(super) fn semtimedop(args: &[u64; 6]) -> SysResult {
    operate(args, read_timeout(args[3])?)
}

fn operate(args: &[u64; 6], deadline_ns: Option<u64>) -> SysResult {
    let [id, address, count, ..] = *args;
    let operations = read_operations(address, count)?;
    let pid = process::current().pid();
    let outcome = Outcome::default();
    let outcomes = {
        let mut sets = SETS.lock();
        let (owner, set) = sets.get(id)?;
        let len = set.state.semaphores.len();
        if operations.iter().any(|one| usize::from(one.number) >= len) {
            return Err(Errno::EFBIG);
        }
        let is_change = alters(&operations);
        owner.check(if is_change { 0o222 } else { 0o444 })?;
        if operations.iter().any(|one| one.flags & SEM_UNDO != 0) {
            set.state.prepare_undo(pid)?;
        }
        let outcomes = set.outcomes.clone();
        match set.state.attempt(pid, &operations) {
            Tried::Refused(errno) => return Err(errno),
            Tried::Done => {
                set.operated = now();
                let is_any_done = is_change && set.state.update();
                drop(sets);
                if is_any_done {
                    outcomes.wake_all();
                }
                return Ok(0);
            }
            Tried::Blocked(blocker) => {
                let room = set.state.waiting.try_reserve(1);
                room.map_err(|_| Errno::ENOMEM)?;
                set.state.waiting.push(Waiting {
                    pid,
                    operations,
                    blocker,
                    outcome: outcome.clone(),
                });
            }
        }
        outcomes
    };
    let waited = sched::wait(&outcomes, deadline_ns, || outcome.lock().take());
    let why = match waited {
        Ok(outcome) => return outcome,
        Err(Errno::ETIMEDOUT) => Errno::EAGAIN,
        Err(errno) => errno,
    };
    if let Ok((_, set)) = SETS.lock().get(id) {
        let waiting = &mut set.state.waiting;
        waiting.retain(|one| !Arc::ptr_eq(&one.outcome, &outcome));
    }
    // It may have been done at the last moment.
    outcome.lock().take().unwrap_or(Err(why))
}

/// A process has ended.
pub fn process_ended(pid: u32) {
    if UNDOING.load(SeqCst) == 0 {
        return;
    }
    let mut woken = Vec::new();
    for (_, (_, set)) in SETS.lock().by_id.iter_mut() {
        if !set.state.undo.contains_key(&pid) {
            continue;
        }
        UNDOING.fetch_sub(1, SeqCst);
        set.operated = now();
        if set.state.undo(pid) {
            woken.push(set.outcomes.clone());
        }
    }
    woken.iter().for_each(|outcomes| outcomes.wake_all());
}

/// struct seminfo; what is in use, or what limits say.
fn info(sets: &Table<Set>, is_use: bool) -> [u32; 10] {
    let (in_use, largest) = if is_use {
        (sets.by_id.len() as u32, count_semaphores(sets) as u32)
    } else {
        (20, VALUE_MAX as u32)
    };
    [
        ALL_MAX as u32,
        SETS_MAX as u32,
        ALL_MAX as u32,
        ALL_MAX as u32,
        PER_SET_MAX as u32,
        OPERATIONS_MAX as u32,
        OPERATIONS_MAX as u32,
        in_use,
        VALUE_MAX as u32,
        largest,
    ]
}

/// semctl(2).
pub(super) fn semctl(args: &[u64; 6]) -> SysResult {
    let [id, number, command, argument, ..] = *args;
    let command = command as u32;
    check_id(id)?;
    match command {
        IPC_INFO | SEM_INFO => {
            let (info, last) = {
                let sets = SETS.lock();
                (info(&sets, command == SEM_INFO), sets.highest())
            };
            write_words(argument, &info)?;
            Ok(last)
        }
        IPC_STAT | SEM_STAT | SEM_STAT_ANY => {
            let status = {
                let mut sets = SETS.lock();
                let (owner, set) = sets.get(id)?;
                if command != SEM_STAT_ANY {
                    owner.check(0o444)?;
                }
                set.status(owner)
            };
            write_words(argument, &status)?;
            let is_by_place = command != IPC_STAT;
            Ok(if is_by_place { id as i32 as usize } else { 0 })
        }
        IPC_SET => {
            let wanted = Owner::read(argument)?;
            SETS.lock().get(id)?.0.change(wanted).map(|()| 0)
        }
        IPC_RMID => {
            let set = SETS.lock().remove(id)?;
            UNDOING.fetch_sub(set.state.undo.len(), SeqCst);
            for one in &set.state.waiting {
                *one.outcome.lock() = Some(Err(Errno::EIDRM));
            }
            set.outcomes.wake_all();
            Ok(0)
        }
        GETALL => {
            let values: Vec<u16> = {
                let mut sets = SETS.lock();
                let (owner, set) = sets.get(id)?;
                owner.check(0o444)?;
                let all = set.state.semaphores.iter();
                all.map(|(value, _)| *value as u16).collect()
            };
            write_words(argument, &values).map(|()| 0)
        }
        GETPID | GETVAL | GETNCNT | GETZCNT => {
            let mut sets = SETS.lock();
            let (owner, set) = sets.get(id)?;
            owner.check(0o444)?;
            let number = usize::try_from(number as i32).map_err(|_| Errno::EINVAL)?;
            let semaphore = set.state.semaphores.get(number).ok_or(Errno::EINVAL)?;
            Ok(match command {
                GETPID => semaphore.1 as usize,
                GETVAL => semaphore.0 as usize,
                _ => set.state.count_waiting(number, command == GETZCNT),
            })
        }
        SETVAL => {
            let value = argument as i32;
            if !(0..=VALUE_MAX).contains(&value) {
                return Err(Errno::ERANGE);
            }
            let number = usize::try_from(number as i32).map_err(|_| Errno::EINVAL)?;
            set_values(id, number, 1, |_| Ok(value))
        }
        SETALL => {
            let len = {
                let mut sets = SETS.lock();
                let (owner, set) = sets.get(id)?;
                owner.check(0o222)?;
                set.state.semaphores.len()
            };
            let mut values = Vec::new();
            let room = values.try_reserve_exact(len);
            room.map_err(|_| Errno::ENOMEM)?;
            for index in 0..len as u64 {
                let value: u16 = user::read(argument.wrapping_add(2 * index))?;
                values.push(i32::from(value));
            }
            if values.iter().any(|value| *value > VALUE_MAX) {
                return Err(Errno::ERANGE);
            }
            set_values(id, 0, len, |index| {
                values.get(index).copied().ok_or(Errno::EIDRM)
            })
        }
        _ => Err(Errno::EINVAL),
    }
}

/// Sets `count` values from `first` on, which nobody undoes any more.
fn set_values(
    id: u64,
    first: usize,
    count: usize,
    value: impl Fn(usize) -> Result<i32, Errno>,
) -> SysResult {
    let pid = process::current().pid();
    let mut sets = SETS.lock();
    let (owner, set) = sets.get(id)?;
    if first + count > set.state.semaphores.len() {
        return Err(Errno::EINVAL);
    }
    owner.check(0o222)?;
    for index in first..first + count {
        if let Some(semaphore) = set.state.semaphores.get_mut(index) {
            *semaphore = (value(index)?, pid);
        }
        for (_, undo) in set.state.undo.iter_mut() {
            if let Some(change) = undo.get_mut(index) {
                *change = 0;
            }
        }
    }
    owner.changed = now();
    let is_any_done = set.state.update();
    let outcomes = set.outcomes.clone();
    drop(sets);
    if is_any_done {
        outcomes.wake_all();
    }
    Ok(0)
}

/// Ids and status of all sets.
pub fn list() -> Vec<(i32, Status)> {
    let sets = SETS.lock();
    let all = sets.by_id.iter();
    all.map(|(id, (owner, set))| (*id, set.status(owner)))
        .collect()
}
