//! What System V segments, semaphores and message queues have in common: tables by id and
//! by key, owners, permissions. Nobody here has CAP_IPC_OWNER.

use alloc::sync::Arc;

use spin::Mutex;

use crate::errno::{Errno, SysResult};
use crate::mm::user;
use crate::sorted::SortedMap;
use crate::{process, time};

/// IPC_PRIVATE: no key.
pub(super) const PRIVATE: i32 = 0;
const IPC_CREAT: u32 = 0o1000;
const IPC_EXCL: u32 = 0o2000;
pub(super) const IPC_NOWAIT: u32 = 0o4000;
pub(super) const IPC_RMID: u32 = 0;
pub(super) const IPC_SET: u32 = 1;
pub(super) const IPC_STAT: u32 = 2;
pub(super) const IPC_INFO: u32 = 3;

/// What becomes of one who waits. Whoever sets it takes the waiting one off its list, so that
/// it is there also when all the rest is removed.
pub(super) type Outcome<T> = Arc<Mutex<Option<Result<T, Errno>>>>;

/// All of one kind.
pub(super) struct Table<T> {
    pub(super) by_id: SortedMap<i32, (Owner, T)>,
    last_id: i32,
}

/// Who may do what.
#[derive(Clone, Copy)]
pub(super) struct Owner {
    pub(super) key: i32,
    uid: u32,
    gid: u32,
    creator_uid: u32,
    creator_gid: u32,
    mode: u32,
    /// Seconds.
    pub(super) changed: u64,
}

/// The time in seconds.
pub(super) fn now() -> u64 {
    time::realtime_ns() / 1_000_000_000
}

/// Ids are numbers from 0 on, also for the commands that ask by place.
///
/// # Errors
/// EINVAL.
pub(super) fn check_id(id: u64) -> Result<(), Errno> {
    let is_id = id as i32 >= 0;
    is_id.then_some(()).ok_or(Errno::EINVAL)
}

/// Writes a structure word by word.
pub(super) fn write_words<T: user::Pod>(mut address: u64, words: &[T]) -> Result<(), Errno> {
    for word in words {
        user::write(address, word)?;
        address = address.wrapping_add(size_of::<T>() as u64);
    }
    Ok(())
}

impl<T> Table<T> {
    pub(super) const fn new() -> Table<T> {
        Table {
            by_id: SortedMap::new(),
            last_id: -1,
        }
    }

    pub(super) fn get(&mut self, id: u64) -> Result<&mut (Owner, T), Errno> {
        self.by_id.get_mut(&(id as i32)).ok_or(Errno::EINVAL)
    }

    /// The highest id in use.
    pub(super) fn highest(&self) -> usize {
        self.by_id.keys().last().map_or(0, |id| *id as usize)
    }

    /// The id for a key: of one that `fits`, or of what `make` makes, at most `most` of them.
    pub(super) fn open(
        &mut self,
        key: i32,
        flags: u32,
        most: usize,
        fits: impl FnOnce(&T) -> bool,
        make: impl FnOnce(&Self) -> Result<T, Errno>,
    ) -> SysResult {
        let has_key = |(_, (owner, _)): &(&i32, &(Owner, T))| key != PRIVATE && owner.key == key;
        let found = self.by_id.iter().find(has_key);
        if let Some((id, (owner, one))) = found {
            if flags & (IPC_CREAT | IPC_EXCL) == IPC_CREAT | IPC_EXCL {
                return Err(Errno::EEXIST);
            }
            if !fits(one) {
                return Err(Errno::EINVAL);
            }
            return owner.check(flags).map(|()| *id as usize);
        }
        if key != PRIVATE && flags & IPC_CREAT == 0 {
            return Err(Errno::ENOENT);
        }
        let one = make(self)?;
        if self.by_id.len() >= most {
            return Err(Errno::ENOSPC);
        }
        let room = self.by_id.try_reserve(1);
        room.map_err(|_| Errno::ENOMEM)?;
        let id = loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(0);
            if !self.by_id.contains_key(&self.last_id) {
                break self.last_id;
            }
        };
        self.by_id.insert(id, (Owner::new(key, flags), one));
        Ok(id as usize)
    }

    /// IPC_RMID.
    pub(super) fn remove(&mut self, id: u64) -> Result<T, Errno> {
        self.get(id)?.0.check_change()?;
        let removed = self.by_id.remove(&(id as i32));
        removed.map(|(_, one)| one).ok_or(Errno::EINVAL)
    }
}

impl Owner {
    /// Of what the running process makes.
    fn new(key: i32, mode: u32) -> Owner {
        let own = process::current().credentials.lock();
        Owner {
            key,
            uid: own.euid,
            gid: own.egid,
            creator_uid: own.euid,
            creator_gid: own.egid,
            mode: mode & 0o777,
            changed: now(),
        }
    }

    /// Reads an ipc64_perm: the key, the owner, the creator, the mode.
    pub(super) fn read(address: u64) -> Result<Owner, Errno> {
        let word = |index: u64| user::read::<u32>(address.wrapping_add(4 * index));
        Ok(Owner {
            key: PRIVATE,
            uid: word(1)?,
            gid: word(2)?,
            creator_uid: word(3)?,
            creator_gid: word(4)?,
            mode: word(5)?,
            changed: 0,
        })
    }

    /// IPC_SET.
    pub(super) fn change(&mut self, wanted: Owner) -> Result<(), Errno> {
        self.check_change()?;
        if wanted.uid == u32::MAX || wanted.gid == u32::MAX {
            return Err(Errno::EINVAL);
        }
        (self.uid, self.gid, self.mode) = (wanted.uid, wanted.gid, wanted.mode & 0o777);
        self.changed = now();
        Ok(())
    }

    /// An ipc64_perm, with more bits in its mode.
    pub(super) fn words(&self, more: u32) -> [u64; 6] {
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        [
            pair(self.key as u32, self.uid),
            pair(self.gid, self.creator_uid),
            pair(self.creator_gid, self.mode | more),
            0,
            0,
            0,
        ]
    }

    /// Whether the running process may do what the three groups of bits of `wanted` ask for.
    pub(super) fn check(&self, wanted: u32) -> Result<(), Errno> {
        let own = process::current().credentials.lock();
        let in_group = |gid: u32| own.egid == gid || own.groups.contains(&gid);
        let granted = if own.euid == self.uid || own.euid == self.creator_uid {
            self.mode >> 6
        } else if in_group(self.gid) || in_group(self.creator_gid) {
            self.mode >> 3
        } else {
            self.mode
        };
        let wanted = wanted >> 6 | wanted >> 3 | wanted;
        let is_allowed = wanted & !granted & 7 == 0;
        is_allowed.then_some(()).ok_or(Errno::EACCES)
    }

    /// Whether the running process may change or remove what is owned.
    pub(super) fn check_change(&self) -> Result<(), Errno> {
        let euid = process::current().credentials.lock().euid;
        let is_owner = euid == self.uid || euid == self.creator_uid;
        is_owner.then_some(()).ok_or(Errno::EPERM)
    }
}
