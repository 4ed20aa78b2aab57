//! Advisory locks: of whole files (`flock`) and of ranges (`fcntl`).
//!
//! The two kinds do not see each other, as in Linux. A lock of ranges belongs to
//! a process (POSIX record locks) or to an open file (OFD locks), a lock of the
//! whole file to an open file; an owner never conflicts with itself. Record
//! locks end when their process closes any descriptor of the file, the others
//! when their open file is closed.
//!
//! Source: fcntl_locking(2), flock(2).

use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashMap;
use spin::{LazyLock, Mutex};

use super::open_file::{File, OpenFile};
use crate::errno::Errno;
use crate::sched::{self, WaitQueue};
use crate::sorted::sort_by_key;

/// Whose lock it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A process, by id.
    Process(u32),
    /// An open file, by address; its locks end before the address is used again.
    File(usize),
}

impl Owner {
    /// The open file as an owner.
    pub fn file<F: File + ?Sized>(file: &OpenFile<F>) -> Owner {
        Owner::File(core::ptr::from_ref(file).cast::<()>().addr())
    }
}

/// How much a lock keeps others out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Others may have shared locks too.
    Shared,
    /// Nobody else may have a lock.
    Exclusive,
}

/// A locked range, its last byte included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose it is.
    pub owner: Owner,
    /// How it is locked.
    pub kind: Kind,
    /// First byte.
    pub first: u64,
    /// Last byte; `i64::MAX` is the end, wherever that is.
    pub last: u64,
}

impl Record {
    fn conflicts(&self, other: &Record) -> bool {
        self.owner != other.owner
            && (self.kind == Kind::Exclusive || other.kind == Kind::Exclusive)
            && self.first <= other.last
            && other.first <= self.last
    }
}

/// The locks of one file.
#[derive(Debug, Default)]
struct Locks {
    whole: Vec<(Owner, Kind)>,
    /// By first byte.
    records: Vec<Record>,
}

impl Locks {
    fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.records.is_empty()
    }

    fn conflict(&self, wanted: &Record) -> Option<Record> {
        let mut records = self.records.iter();
        records.find(|record| record.conflicts(wanted)).copied()
    }

    /// Takes what `owner` has between `first` and `last` away.
    fn clear(&mut self, owner: Owner, first: u64, last: u64) {
        let mut pieces = Vec::new();
        self.records.retain(|record| {
            if record.owner != owner || record.last < first || last < record.first {
                return true;
            }
            if record.first < first {
                let last = first - 1;
                pieces.push(Record { last, ..*record });
            }
            if last < record.last {
                let first = last + 1;
                pieces.push(Record { first, ..*record });
            }
            false
        });
        self.records.append(&mut pieces);
    }

    /// Makes `wanted` so, joined with neighbors of the same owner and kind.
    fn set(&mut self, mut wanted: Record) {
        self.clear(wanted.owner, wanted.first, wanted.last);
        self.records.retain(|record| {
            let same = record.owner == wanted.owner && record.kind == wanted.kind;
            let before = record.last.checked_add(1) == Some(wanted.first);
            let after = wanted.last.checked_add(1) == Some(record.first);
            if same && before {
                wanted.first = record.first;
            }
            if same && after {
                wanted.last = record.last;
            }
            !(same && (before || after))
        });
        self.records.push(wanted);
        sort_by_key(&mut self.records, |record| record.first);
    }

    /// Gives `owner` a lock of the whole file; false where another is in the way,
    /// and then `owner` has none.
    fn set_whole(&mut self, owner: Owner, kind: Kind) -> bool {
        self.whole.retain(|(other, _)| *other != owner);
        let free = match kind {
            Kind::Shared => self.whole.iter().all(|(_, other)| *other == Kind::Shared),
            Kind::Exclusive => self.whole.is_empty(),
        };
        if free {
            self.whole.push((owner, kind));
        }
        free
    }
}

/// Device and inode number of a file.
type Id = (u64, u64);

/// Files that have locks.
static LOCKED: LazyLock<Mutex<HashMap<Id, Locks>>> = LazyLock::new(Mutex::default);
/// Woken when a lock goes or gets smaller.
static RELEASED: WaitQueue = WaitQueue::new();
/// Record locks of processes: closing a descriptor is cheap while there are none.
static PROCESS_RECORDS: AtomicUsize = AtomicUsize::new(0);

/// Runs `change` on the locks of one file, then forgets the file if it has none.
fn with_locks<T>(id: Id, change: impl FnOnce(&mut Locks) -> T) -> T {
    let of_processes = |locks: &Locks| {
        let records = locks.records.iter();
        records
            .filter(|record| matches!(record.owner, Owner::Process(_)))
            .count()
    };
    let mut locked = LOCKED.lock();
    let locks = locked.entry(id).or_default();
    let before = of_processes(locks);
    let outcome = change(locks);
    let after = of_processes(locks);
    if locks.is_empty() {
        locked.remove(&id);
    }
    // Wraps where there are fewer than before, which is what subtracting is.
    PROCESS_RECORDS.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
    outcome
}

/// Runs `attempt` until it gives true, at most once unless it may wait.
fn attempt(waits: bool, mut attempt: impl FnMut() -> bool) -> Result<(), Errno> {
    if attempt() {
        return Ok(());
    }
    if !waits {
        return Err(Errno::EAGAIN);
    }
    sched::wait(&RELEASED, None, || attempt().then_some(()))
}

/// Locks or unlocks (`None`) a whole file for `file`.
///
/// # Errors
/// EAGAIN where somebody else has it and `waits` is false; EINTR. The lock that
/// `file` had is gone then, as in Linux.
pub fn set_whole(file: &OpenFile, kind: Option<Kind>, waits: bool) -> Result<(), Errno> {
    let (id, owner) = (file.inode_id(), Owner::file(file));
    let Some(kind) = kind else {
        with_locks(id, |locks| locks.whole.retain(|(other, _)| *other != owner));
        RELEASED.wake_all();
        return Ok(());
    };
    file.locked.store(true, Ordering::Relaxed);
    let outcome = attempt(waits, || {
        with_locks(id, |locks| locks.set_whole(owner, kind))
    });
    // Also on success: an exclusive lock that became shared lets others in.
    RELEASED.wake_all();
    outcome
}

/// Locks a range.
///
/// # Errors
/// EAGAIN where somebody else is in the way and `waits` is false; EINTR.
pub fn set_record(file: &OpenFile, wanted: Record, waits: bool) -> Result<(), Errno> {
    let id = file.inode_id();
    if matches!(wanted.owner, Owner::File(_)) {
        file.locked.store(true, Ordering::Relaxed);
    }
    let outcome = attempt(waits, || {
        with_locks(id, |locks| {
            let free = locks.conflict(&wanted).is_none();
            if free {
                locks.set(wanted);
            }
            free
        })
    });
    if outcome.is_ok() && wanted.kind == Kind::Shared {
        RELEASED.wake_all();
    }
    outcome
}

/// Unlocks what `owner` has between `first` and `last`.
pub fn clear_records(file: &OpenFile, owner: Owner, first: u64, last: u64) {
    with_locks(file.inode_id(), |locks| locks.clear(owner, first, last));
    RELEASED.wake_all();
}

/// The first lock that is in the way of `wanted`.
pub fn conflict(file: &OpenFile, wanted: &Record) -> Option<Record> {
    with_locks(file.inode_id(), |locks| locks.conflict(wanted))
}

/// Process `pid` closed a descriptor of `file`: its record locks are gone.
pub fn descriptor_closed(file: &OpenFile, pid: u32) {
    if PROCESS_RECORDS.load(Ordering::Relaxed) > 0 {
        clear_records(file, Owner::Process(pid), 0, u64::MAX);
    }
}

/// An open file that had locks is closed.
pub fn file_closed(id: Id, owner: Owner) {
    with_locks(id, |locks| {
        locks.whole.retain(|(other, _)| *other != owner);
        locks.clear(owner, 0, u64::MAX);
    });
    RELEASED.wake_all();
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: u64 = i64::MAX as u64;

    fn record(owner: u32, kind: Kind, first: u64, last: u64) -> Record {
        Record {
            owner: Owner::Process(owner),
            kind,
            first,
            last,
        }
    }

    #[test]
    fn ranges_split_and_join() {
        let mut locks = Locks::default();
        locks.set(record(1, Kind::Exclusive, 0, 99));
        locks.set(record(1, Kind::Shared, 40, 49));
        let exclusive = |first, last| record(1, Kind::Exclusive, first, last);
        let expected = [
            exclusive(0, 39),
            record(1, Kind::Shared, 40, 49),
            exclusive(50, 99),
        ];
        assert_eq!(locks.records, expected);
        locks.set(exclusive(40, 49));
        assert_eq!(locks.records, [exclusive(0, 99)]);
        locks.clear(Owner::Process(1), 10, 19);
        locks.clear(Owner::Process(1), 90, END);
        assert_eq!(locks.records, [exclusive(0, 9), exclusive(20, 89)]);
        locks.clear(Owner::Process(2), 0, END);
        assert_eq!(locks.records.len(), 2);
        locks.set(exclusive(0, END));
        assert_eq!(locks.records, [exclusive(0, END)]);
    }

    #[test]
    fn owners_conflict_unless_both_share() {
        let mut locks = Locks::default();
        locks.set(record(1, Kind::Shared, 10, 19));
        locks.set(record(2, Kind::Shared, 15, 25));
        let in_the_way = |kind, first, last| locks.conflict(&record(3, kind, first, last));
        assert_eq!(in_the_way(Kind::Shared, 0, END), None);
        assert_eq!(in_the_way(Kind::Exclusive, 0, 9), None);
        let first = in_the_way(Kind::Exclusive, 19, END);
        assert_eq!(first, Some(record(1, Kind::Shared, 10, 19)));
        let own = locks.conflict(&record(1, Kind::Exclusive, 10, 14));
        assert_eq!(own, None);
        let file = Record {
            owner: Owner::File(1),
            ..record(1, Kind::Exclusive, 10, 14)
        };
        assert!(locks.conflict(&file).is_some());
    }

    #[test]
    fn a_failed_change_of_a_whole_lock_loses_it() {
        let mut locks = Locks::default();
        assert!(locks.set_whole(Owner::File(1), Kind::Shared));
        assert!(locks.set_whole(Owner::File(2), Kind::Shared));
        assert!(!locks.set_whole(Owner::File(1), Kind::Exclusive));
        assert_eq!(locks.whole, [(Owner::File(2), Kind::Shared)]);
        assert!(locks.set_whole(Owner::File(2), Kind::Exclusive));
    }
}
