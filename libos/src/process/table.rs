//! All processes by id: who is whose parent, groups and sessions, and who has ended.
//!
//! ```text
//! made ─→ runs ─→ has ended ─→ its parent waited: the number is free again
//! ```
//!
//! | file | what it owns |
//! |---|---|
//! | `children.rs` | children that a call waits for |
//! | `group.rs` | process groups: which there are, which are orphaned |
//!
//! The table is locked after a wait queue's own lock and before those of signals and
//! threads.

mod children;
mod group;

use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use spin::{Mutex, MutexGuard};

pub(super) use children::take_changed;
pub use children::{Found, Which};
pub use group::{has_any_of_group, has_group, is_orphaned};
pub(super) use group::{has_stopped, kept_by};

use super::end::{Ended, SIGCHLD};
use super::{Process, init, threads};
use crate::errno::Errno;
use crate::mm::spaces::Held;
use crate::signal;
use crate::sorted::SortedMap;

static TABLE: Mutex<Table> = Mutex::new(Table {
    by_pid: SortedMap::new(),
    unused: Vec::new(),
    last_serial: 0,
    made: 0,
});

/// Processes that have ended and were not waited for.
static ZOMBIES: AtomicUsize = AtomicUsize::new(0);

struct Table {
    by_pid: SortedMap<u32, Entry>,
    /// Structures of processes that were waited for.
    unused: Vec<&'static Process>,
    last_serial: u64,
    /// How many structures there are in all.
    made: usize,
}

/// A process among others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kin {
    /// Its parent; 0: outside.
    pub parent: u32,
    /// The thread of its parent that it is the child of.
    pub parent_thread: u32,
    /// Its process group.
    pub group: u32,
    /// Its session.
    pub session: u32,
    /// The signal that its parent gets at its end; 0 for none.
    pub exit_signal: u32,
    /// It called execve since it was made.
    pub has_program: bool,
    /// Tells it from others that had its number before, or get it later.
    pub serial: u64,
}

struct Entry {
    process: &'static Process,
    kin: Kin,
    ended: Option<Ended>,
}

/// A process as others look at it.
#[derive(Clone, Copy)]
pub struct Seen {
    /// The process; the structure becomes another's once the parent has waited.
    pub process: &'static Process,
    /// Its id.
    pub pid: u32,
    /// What it is to others.
    pub kin: Kin,
    /// How it ended; none while it runs.
    pub ended: Option<Ended>,
}

impl Table {
    /// Makes the number of a process that has ended free.
    fn remove(&mut self, pid: u32) {
        if let Some(entry) = self.by_pid.remove(&pid) {
            self.unused.push(entry.process);
            if entry.ended.is_some() {
                ZOMBIES.fetch_sub(1, Ordering::SeqCst);
                threads::publish();
            }
        }
    }
}

impl Seen {
    fn new((pid, entry): (&u32, &Entry)) -> Seen {
        Seen {
            process: entry.process,
            pid: *pid,
            kin: entry.kin,
            ended: entry.ended,
        }
    }

    /// Its memory, which stays its memory meanwhile; none where it has ended or is about to.
    pub fn space(&self) -> Option<Held> {
        let has_memory = || {
            let threads = self.process.threads.load(Ordering::SeqCst);
            threads > 0 && self.process.pid() == self.pid
        };
        let held = has_memory().then(|| self.process.space().hold())??;
        has_memory().then_some(held)
    }
}

fn table() -> MutexGuard<'static, Table> {
    let mut table = TABLE.lock();
    if table.by_pid.is_empty() {
        let first = Entry {
            process: init(),
            kin: Kin {
                parent: 0,
                parent_thread: 0,
                group: 1,
                session: 1,
                exit_signal: 0,
                has_program: true,
                serial: 0,
            },
            ended: None,
        };
        table.by_pid.insert(1, first);
    }
    table
}

/// A structure for process `pid`, which nobody finds before [`admit`].
///
/// # Errors
/// EAGAIN without memory.
pub(super) fn make(pid: u32) -> Result<&'static Process, Errno> {
    let mut table = table();
    // Room for all structures at once, so that giving one back needs no memory.
    let more = table.made + 1 - table.unused.len();
    let room = table.unused.try_reserve(more);
    room.map_err(|_| Errno::EAGAIN)?;
    let process = match table.unused.pop() {
        Some(unused) => unused,
        None => {
            table.made += 1;
            super::leak(Process::new(pid)).ok_or(Errno::EAGAIN)?
        }
    };
    process.begin(pid);
    Ok(process)
}

/// Puts a child of the running process, or its sibling, into the table.
///
/// A signal for all of a group reaches the parent before this, or the child after it: none
/// escapes by being made at that moment.
///
/// # Errors
/// EINTR where the parent has a signal to take first; EAGAIN without memory.
pub(super) fn admit(
    child: &'static Process,
    is_sibling: bool,
    exit_signal: u32,
) -> Result<(), Errno> {
    let mut table = table();
    let room = table.by_pid.try_reserve(1);
    room.map_err(|_| Errno::EAGAIN)?;
    if signal::is_due() {
        return Err(Errno::EINTR);
    }
    let parent = super::current().pid();
    let own = table.by_pid.get(&parent).ok_or(Errno::EAGAIN)?.kin;
    table.last_serial += 1;
    let mut kin = Kin {
        parent,
        parent_thread: super::thread().tid(),
        exit_signal,
        has_program: false,
        serial: table.last_serial,
        ..own
    };
    if is_sibling {
        kin.parent = own.parent.max(1);
        kin.parent_thread = own.parent_thread.max(1);
        kin.exit_signal = own.exit_signal;
    }
    let entry = Entry {
        process: child,
        kin,
        ended: None,
    };
    table.by_pid.insert(child.pid(), entry);
    Ok(())
}

/// Gives the structure of a process that never ran back.
pub(super) fn unmake(process: &'static Process) {
    table().unused.push(process);
}

/// Runs `with` on a process that has not been waited for, which stays that process meanwhile.
pub fn with<R>(pid: u32, with: impl FnOnce(&'static Process) -> R) -> Option<R> {
    let table = table();
    table.by_pid.get(&pid).map(|entry| with(entry.process))
}

/// The same where the number is its own still.
pub fn with_same<R>(pid: u32, serial: u64, with: impl FnOnce(&'static Process) -> R) -> Option<R> {
    let table = table();
    let entry = (table.by_pid.get(&pid)).filter(|entry| entry.kin.serial == serial)?;
    Some(with(entry.process))
}

/// The same where it runs still.
pub fn with_running<R>(pid: u32, with: impl FnOnce(&'static Process) -> R) -> Option<R> {
    let table = table();
    let running = |entry: &&Entry| entry.ended.is_none();
    let entry = table.by_pid.get(&pid).filter(running)?;
    Some(with(entry.process))
}

/// Whether an id is a process's, a group's or a session's.
pub fn is_taken(id: u32) -> bool {
    let table = table();
    table.by_pid.contains_key(&id)
        || table
            .by_pid
            .values()
            .any(|entry| entry.kin.group == id || entry.kin.session == id)
}

/// Ids of those that were not waited for, lowest first.
pub fn pids() -> Vec<u32> {
    table().by_pid.keys().copied().collect()
}

/// Ids of those that run and that `wanted` takes, lowest first.
pub fn running(wanted: impl Fn(&'static Process, &Kin) -> bool) -> Vec<u32> {
    let table = table();
    let running = table
        .by_pid
        .iter()
        .filter(|(_, entry)| entry.ended.is_none());
    let wanted = running.filter(|(_, entry)| wanted(entry.process, &entry.kin));
    wanted.map(|(pid, _)| *pid).collect()
}

/// Runs `with` on all that run, lowest id first; none is made meanwhile.
pub fn each_running(mut with: impl FnMut(&'static Process, &Kin)) {
    let table = table();
    for entry in table.by_pid.values().filter(|entry| entry.ended.is_none()) {
        with(entry.process, &entry.kin);
    }
}

/// What a process is to others.
pub fn kin(pid: u32) -> Option<Kin> {
    table().by_pid.get(&pid).map(|entry| entry.kin)
}

/// Changes it.
///
/// # Errors
/// What `change` says; ESRCH where there is no such process.
pub fn change<R>(pid: u32, change: impl FnOnce(&mut Kin) -> Result<R, Errno>) -> Result<R, Errno> {
    let mut table = table();
    let entry = table.by_pid.get_mut(&pid).ok_or(Errno::ESRCH)?;
    change(&mut entry.kin)
}

/// A process that has not been waited for.
pub fn look(pid: u32) -> Option<Seen> {
    let table = table();
    table.by_pid.get(&pid).map(|entry| Seen::new((&pid, entry)))
}

/// All processes that have not been waited for, lowest id first.
pub fn everybody() -> Vec<Seen> {
    table().by_pid.iter().map(Seen::new).collect()
}

/// The one with the lowest id above `pid`, without memory for a list.
pub fn next(pid: u32) -> Option<Seen> {
    let table = table();
    let next = table.by_pid.iter().find(|(other, _)| **other > pid);
    next.map(Seen::new)
}

/// How it ended; none while it runs.
pub fn ended(pid: u32) -> Option<Ended> {
    table().by_pid.get(&pid)?.ended
}

/// Children of a process, lowest first.
pub fn children(pid: u32) -> Vec<u32> {
    let table = table();
    let children = table.by_pid.iter().filter(|(_, e)| e.kin.parent == pid);
    children.map(|(pid, _)| *pid).collect()
}

/// Notes how a process ended. Its children get the nearest of its ancestors that takes them
/// in, or the first process, as their parent: those children are returned.
pub(super) fn note_end(pid: u32, ended: Ended) -> Vec<u32> {
    let mut table = table();
    let mut reaper = table.by_pid.get(&pid).map_or(1, |entry| entry.kin.parent);
    while reaper > 1
        && let Some(entry) = table.by_pid.get(&reaper)
        && (entry.ended.is_some() || entry.process.settings.child_subreaper.get() == 0)
    {
        reaper = entry.kin.parent;
    }
    let reaper = reaper.max(1);
    let mut orphans = Vec::new();
    for (child, entry) in table.by_pid.iter_mut() {
        if entry.kin.parent == pid {
            entry.kin.parent = reaper;
            entry.kin.parent_thread = reaper;
            entry.kin.exit_signal = SIGCHLD;
            orphans.push(*child);
        }
    }
    if let Some(entry) = table.by_pid.get_mut(&pid) {
        entry.ended = Some(ended);
        ZOMBIES.fetch_add(1, Ordering::SeqCst);
        threads::publish();
    }
    orphans
}

/// Forgets a process that has ended, where nobody will wait for it.
pub(super) fn forget(pid: u32) {
    table().remove(pid);
}

/// How many have ended and were not waited for.
pub fn zombies() -> usize {
    ZOMBIES.load(Ordering::SeqCst)
}

/// How many of a user.
pub(super) fn zombies_of(uid: u32) -> usize {
    let is_own = |entry: &&Entry| entry.ended.is_some_and(|ended| ended.uid == uid);
    table().by_pid.values().filter(is_own).count()
}

/// A thread of a process has ended: what were its children are another one's.
pub(super) fn thread_ended(pid: u32, from: u32, to: u32) {
    for (_, entry) in table().by_pid.iter_mut() {
        if entry.kin.parent == pid && entry.kin.parent_thread == from {
            entry.kin.parent_thread = to;
        }
    }
}
