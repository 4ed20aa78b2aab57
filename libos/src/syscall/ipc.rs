//! What System V segments and semaphores have in common: keys, owners, permissions.
//! Nobody here has CAP_IPC_OWNER.

use crate::errno::Errno;
use crate::mm::user;
use crate::{process, time};

/// IPC_PRIVATE: no key.
pub(super) const PRIVATE: i32 = 0;
pub(super) const IPC_CREAT: u32 = 0o1000;
pub(super) const IPC_EXCL: u32 = 0o2000;
pub(super) const IPC_RMID: u32 = 0;
pub(super) const IPC_SET: u32 = 1;
pub(super) const IPC_STAT: u32 = 2;
pub(super) const IPC_INFO: u32 = 3;

/// Who may do what.
#[derive(Clone, Copy)]
pub(super) struct Owner {
    uid: u32,
    gid: u32,
    creator_uid: u32,
    creator_gid: u32,
    mode: u32,
}

/// The time in seconds.
pub(super) fn now() -> u64 {
    time::realtime_ns() / 1_000_000_000
}

impl Owner {
    /// Of what the running process makes.
    pub(super) fn new(mode: u32) -> Owner {
        let own = process::current().credentials.lock();
        Owner {
            uid: own.euid,
            gid: own.egid,
            creator_uid: own.euid,
            creator_gid: own.egid,
            mode: mode & 0o777,
        }
    }

    /// Reads an ipc64_perm: the key, the owner, the creator, the mode.
    pub(super) fn read(address: u64) -> Result<Owner, Errno> {
        let word = |index: u64| user::read::<u32>(address.wrapping_add(4 * index));
        Ok(Owner {
            uid: word(1)?,
            gid: word(2)?,
            creator_uid: word(3)?,
            creator_gid: word(4)?,
            mode: word(5)?,
        })
    }

    /// IPC_SET.
    pub(super) fn change(&mut self, wanted: Owner) -> Result<(), Errno> {
        self.check_change()?;
        if wanted.uid == u32::MAX || wanted.gid == u32::MAX {
            return Err(Errno::EINVAL);
        }
        (self.uid, self.gid, self.mode) = (wanted.uid, wanted.gid, wanted.mode & 0o777);
        Ok(())
    }

    /// Mode, owner's user and group, creator's user and group.
    pub(super) fn shown(&self) -> [u32; 5] {
        [
            self.mode,
            self.uid,
            self.gid,
            self.creator_uid,
            self.creator_gid,
        ]
    }

    /// An ipc64_perm, with more bits in its mode.
    pub(super) fn words(&self, key: i32, more: u32) -> [u64; 6] {
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        [
            pair(key as u32, self.uid),
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
