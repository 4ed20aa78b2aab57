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
use super::ipc::{IPC_CREAT, IPC_EXCL, IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT, Owner, PRIVATE, now};
use crate::errno::{Errno, SysResult};
use crate::mm::user;
use crate::process;
use crate::sched::{self, WaitQueue};
use crate::sorted::SortedMap;

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

static SETS: Mutex<Sets> = Mutex::new(Sets {
    by_id: SortedMap::new(),
    last_id: -1,
});

struct Sets {
    by_id: SortedMap<i32, Set>,
    last_id: i32,
}

struct Set {
    key: i32,
    owner: Owner,
    state: State,
    /// Seconds: operated, changed.
    times: [u64; 2],
    outcomes: Arc<WaitQueue>,
}

impl Set {
    /// struct semid64_ds of asm/sembuf.h.
    fn status(&self) -> [u64; 13] {
        let [a, b, c, d, e, f] = self.owner.words(self.key, 0);
        let [operated, changed] = self.times;
        let count = self.state.semaphores.len() as u64;
        [a, b, c, d, e, f, operated, 0, changed, 0, count, 0, 0]
    }
}

impl Sets {
    fn get(&mut self, id: u64) -> Result<&mut Set, Errno> {
        self.by_id.get_mut(&(id as i32)).ok_or(Errno::EINVAL)
    }

    fn count(&self) -> usize {
        let sets = self.by_id.values();
        sets.map(|set| set.state.semaphores.len()).sum()
    }

    fn make(&mut self, key: i32, count: usize, mode: u32) -> SysResult {
        if count == 0 {
            return Err(Errno::EINVAL);
        }
        if self.by_id.len() >= SETS_MAX || self.count() + count > ALL_MAX {
            return Err(Errno::ENOSPC);
        }
        let mut semaphores = Vec::new();
        let room = semaphores.try_reserve_exact(count);
        room.map_err(|_| Errno::ENOMEM)?;
        semaphores.resize(count, (0, 0));
        let room = self.by_id.try_reserve(1);
        room.map_err(|_| Errno::ENOMEM)?;
        let id = loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(0);
            if !self.by_id.contains_key(&self.last_id) {
                break self.last_id;
            }
        };
        let set = Set {
            key,
            owner: Owner::new(mode),
            state: State {
                semaphores,
                ..State::default()
            },
            times: [0, now()],
            outcomes: Arc::new(WaitQueue::new()),
        };
        self.by_id.insert(id, set);
        Ok(id as usize)
    }
}

/// semget(2).
pub(super) fn semget(args: &[u64; 6]) -> SysResult {
    let (key, count, flags) = (args[0] as i32, args[1] as i32, args[2] as u32);
    let count = usize::try_from(count).map_err(|_| Errno::EINVAL)?;
    if count > PER_SET_MAX {
        return Err(Errno::EINVAL);
    }
    let mut sets = SETS.lock();
    let found = match key {
        PRIVATE => None,
        _ => sets.by_id.iter().find(|(_, set)| set.key == key),
    };
    match found {
        Some(_) if flags & (IPC_CREAT | IPC_EXCL) == IPC_CREAT | IPC_EXCL => Err(Errno::EEXIST),
        Some((_, set)) if set.state.semaphores.len() < count => Err(Errno::EINVAL),
        Some((id, set)) => set.owner.check(flags).map(|()| *id as usize),
        None if key != PRIVATE && flags & IPC_CREAT == 0 => Err(Errno::ENOENT),
        None => sets.make(key, count, flags),
    }
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
    let (pid, tid) = (process::current().pid(), process::thread().tid());
    let outcomes = {
        let mut sets = SETS.lock();
        let set = sets.get(id)?;
        let len = set.state.semaphores.len();
        if operations.iter().any(|one| usize::from(one.number) >= len) {
            return Err(Errno::EFBIG);
        }
        let is_change = alters(&operations);
        set.owner.check(if is_change { 0o222 } else { 0o444 })?;
        if operations.iter().any(|one| one.flags & SEM_UNDO != 0) {
            set.state.prepare_undo(pid)?;
        }
        let outcomes = set.outcomes.clone();
        match set.state.attempt(pid, &operations) {
            Tried::Refused(errno) => return Err(errno),
            Tried::Done => {
                set.times[0] = now();
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
                    tid,
                    pid,
                    operations,
                    blocker,
                    outcome: None,
                });
            }
        }
        outcomes
    };
    let waited = sched::wait(&outcomes, deadline_ns, || match SETS.lock().get(id) {
        Ok(set) => set.state.take(tid, false),
        Err(_) => Some(Err(Errno::EIDRM)),
    });
    let why = match waited {
        Ok(outcome) => return outcome,
        Err(Errno::ETIMEDOUT) => Errno::EAGAIN,
        Err(errno) => errno,
    };
    // It may have been done at the last moment.
    match SETS.lock().get(id) {
        Ok(set) => set.state.take(tid, true).unwrap_or(Err(why)),
        Err(_) => Err(Errno::EIDRM),
    }
}

/// A process has ended.
pub fn process_ended(pid: u32) {
    if UNDOING.load(SeqCst) == 0 {
        return;
    }
    let mut woken = Vec::new();
    for (_, set) in SETS.lock().by_id.iter_mut() {
        if !set.state.undo.contains_key(&pid) {
            continue;
        }
        UNDOING.fetch_sub(1, SeqCst);
        set.times[0] = now();
        if set.state.undo(pid) {
            woken.push(set.outcomes.clone());
        }
    }
    woken.iter().for_each(|outcomes| outcomes.wake_all());
}

/// struct seminfo; what is in use, or what limits say.
fn info(sets: &Sets, is_use: bool) -> [u32; 10] {
    let (in_use, largest) = if is_use {
        (sets.by_id.len() as u32, sets.count() as u32)
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

fn write_words<T: user::Pod>(mut address: u64, words: &[T]) -> Result<(), Errno> {
    for word in words {
        user::write(address, word)?;
        address = address.wrapping_add(size_of::<T>() as u64);
    }
    Ok(())
}

/// semctl(2).
pub(super) fn semctl(args: &[u64; 6]) -> SysResult {
    let [id, number, command, argument, ..] = *args;
    let command = command as u32;
    match command {
        IPC_INFO | SEM_INFO => {
            let (info, last) = {
                let sets = SETS.lock();
                let last = sets.by_id.keys().last().copied().unwrap_or(0);
                (info(&sets, command == SEM_INFO), last)
            };
            write_words(argument, &info)?;
            Ok(last as usize)
        }
        IPC_STAT | SEM_STAT | SEM_STAT_ANY => {
            let status = {
                let mut sets = SETS.lock();
                let set = sets.get(id)?;
                if command != SEM_STAT_ANY {
                    set.owner.check(0o444)?;
                }
                set.status()
            };
            write_words(argument, &status)?;
            let is_by_place = command != IPC_STAT;
            Ok(if is_by_place { id as i32 as usize } else { 0 })
        }
        IPC_SET => {
            let wanted = Owner::read(argument)?;
            let mut sets = SETS.lock();
            let set = sets.get(id)?;
            set.owner.change(wanted)?;
            set.times[1] = now();
            Ok(0)
        }
        IPC_RMID => {
            let mut sets = SETS.lock();
            sets.get(id)?.owner.check_change()?;
            let removed = sets.by_id.remove(&(id as i32));
            drop(sets);
            if let Some(set) = removed {
                UNDOING.fetch_sub(set.state.undo.len(), SeqCst);
                set.outcomes.wake_all();
            }
            Ok(0)
        }
        GETALL => {
            let values: Vec<u16> = {
                let mut sets = SETS.lock();
                let set = sets.get(id)?;
                set.owner.check(0o444)?;
                let all = set.state.semaphores.iter();
                all.map(|(value, _)| *value as u16).collect()
            };
            write_words(argument, &values).map(|()| 0)
        }
        GETPID | GETVAL | GETNCNT | GETZCNT => {
            let mut sets = SETS.lock();
            let set = sets.get(id)?;
            set.owner.check(0o444)?;
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
                let set = sets.get(id)?;
                set.owner.check(0o222)?;
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
    let set = sets.get(id)?;
    if first + count > set.state.semaphores.len() {
        return Err(Errno::EINVAL);
    }
    set.owner.check(0o222)?;
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
    set.times[1] = now();
    let is_any_done = set.state.update();
    let outcomes = set.outcomes.clone();
    drop(sets);
    if is_any_done {
        outcomes.wake_all();
    }
    Ok(0)
}

/// A set as `/proc/sysvipc/sem` shows it.
pub struct Shown {
    /// Key.
    pub key: i32,
    /// Id.
    pub id: i32,
    /// Mode, owner's user and group, creator's user and group.
    pub owner: [u32; 5],
    /// Semaphores in it.
    pub count: usize,
    /// Seconds: operated, changed.
    pub times: [u64; 2],
}

/// All sets.
pub fn list() -> Vec<Shown> {
    let sets = SETS.lock();
    let shown = sets.by_id.iter().map(|(id, set)| Shown {
        key: set.key,
        id: *id,
        owner: set.owner.shown(),
        count: set.state.semaphores.len(),
        times: set.times,
    });
    shown.collect()
}
