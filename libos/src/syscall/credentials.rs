//! Who the process is: its id, users, groups. Its relatives are `family.rs`'s.
//!
//! The rules of set*id are Linux's; what a user may do to files is `fs`'s.
//! Source: credentials(7).

use alloc::vec::Vec;

use crate::errno::{Errno, SysResult};
use crate::mm::user;
use crate::process::capabilities::{SETGID, SETUID};
use crate::process::{self, Credentials};

/// "Leave it as it is" in setresuid and its relatives.
const KEEP: u32 = u32::MAX;
/// Most supplementary groups (NGROUPS_MAX).
const GROUPS_MAX: usize = 65_536;

/// getpid(2).
pub(super) fn getpid(_args: &[u64; 6]) -> SysResult {
    Ok(process::current().pid() as usize)
}

/// gettid(2).
pub(super) fn gettid(_args: &[u64; 6]) -> SysResult {
    Ok(process::thread().tid() as usize)
}

/// Runs `with` on the credentials of the process.
pub(super) fn with<R>(with: impl FnOnce(&mut Credentials) -> R) -> R {
    with(&mut process::current().credentials.lock())
}

/// Whether the process may do what root may.
pub(super) fn is_root() -> bool {
    with(|own| own.euid == 0)
}

/// getuid(2).
pub(super) fn getuid(_args: &[u64; 6]) -> SysResult {
    Ok(with(|own| own.uid) as usize)
}

/// geteuid(2).
pub(super) fn geteuid(_args: &[u64; 6]) -> SysResult {
    Ok(with(|own| own.euid) as usize)
}

/// getgid(2).
pub(super) fn getgid(_args: &[u64; 6]) -> SysResult {
    Ok(with(|own| own.gid) as usize)
}

/// getegid(2).
pub(super) fn getegid(_args: &[u64; 6]) -> SysResult {
    Ok(with(|own| own.egid) as usize)
}

fn write_ids(args: &[u64; 6], ids: [u32; 3]) -> SysResult {
    for (address, id) in args.iter().zip(ids) {
        user::write(*address, &id)?;
    }
    Ok(0)
}

/// getresuid(2).
pub(super) fn getresuid(args: &[u64; 6]) -> SysResult {
    write_ids(args, with(|own| [own.uid, own.euid, own.suid]))
}

/// getresgid(2).
pub(super) fn getresgid(args: &[u64; 6]) -> SysResult {
    write_ids(args, with(|own| [own.gid, own.egid, own.sgid]))
}

/// Real, effective and saved id of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ids {
    real: u32,
    effective: u32,
    saved: u32,
}

impl Ids {
    fn has(self, id: u32) -> bool {
        id == self.real || id == self.effective || id == self.saved
    }

    /// setuid(2), setgid(2).
    fn set(self, privileged: bool, id: u32) -> Result<Ids, Errno> {
        if id == KEEP {
            return Err(Errno::EINVAL);
        }
        if privileged {
            return Ok(Ids {
                real: id,
                effective: id,
                saved: id,
            });
        }
        if id != self.real && id != self.saved {
            return Err(Errno::EPERM);
        }
        Ok(Ids {
            effective: id,
            ..self
        })
    }

    /// setreuid(2), setregid(2).
    fn set_pair(self, privileged: bool, real: u32, effective: u32) -> Result<Ids, Errno> {
        let real_is_allowed = real == KEEP || real == self.real || real == self.effective;
        let effective_is_allowed = effective == KEEP || self.has(effective);
        if !(privileged || (real_is_allowed && effective_is_allowed)) {
            return Err(Errno::EPERM);
        }
        let mut new = self;
        if real != KEEP {
            new.real = real;
        }
        if effective != KEEP {
            new.effective = effective;
        }
        if real != KEEP || (effective != KEEP && effective != self.real) {
            new.saved = new.effective;
        }
        Ok(new)
    }

    /// setresuid(2), setresgid(2).
    fn set_all(self, privileged: bool, wanted: [u32; 3]) -> Result<Ids, Errno> {
        if !privileged && !wanted.iter().all(|id| *id == KEEP || self.has(*id)) {
            return Err(Errno::EPERM);
        }
        let pick = |wanted, old| if wanted == KEEP { old } else { wanted };
        Ok(Ids {
            real: pick(wanted[0], self.real),
            effective: pick(wanted[1], self.effective),
            saved: pick(wanted[2], self.saved),
        })
    }
}

fn change_users(change: impl FnOnce(Ids, bool) -> Result<Ids, Errno>) -> SysResult {
    with(|own| {
        let ids = Ids {
            real: own.uid,
            effective: own.euid,
            saved: own.suid,
        };
        let new = change(ids, own.capabilities.has(SETUID))?;
        (own.uid, own.euid, own.suid, own.fsuid) =
            (new.real, new.effective, new.saved, new.effective);
        let all = |ids: Ids| [ids.real, ids.effective, ids.saved];
        own.capabilities.users_changed(all(ids), all(new));
        Ok(0)
    })
}

fn change_groups(change: impl FnOnce(Ids, bool) -> Result<Ids, Errno>) -> SysResult {
    with(|own| {
        let ids = Ids {
            real: own.gid,
            effective: own.egid,
            saved: own.sgid,
        };
        let new = change(ids, own.capabilities.has(SETGID))?;
        (own.gid, own.egid, own.sgid, own.fsgid) =
            (new.real, new.effective, new.saved, new.effective);
        Ok(0)
    })
}

/// setuid(2).
pub(super) fn setuid(args: &[u64; 6]) -> SysResult {
    change_users(|ids, privileged| ids.set(privileged, args[0] as u32))
}

/// setgid(2).
pub(super) fn setgid(args: &[u64; 6]) -> SysResult {
    change_groups(|ids, privileged| ids.set(privileged, args[0] as u32))
}

/// setreuid(2).
pub(super) fn setreuid(args: &[u64; 6]) -> SysResult {
    change_users(|ids, privileged| ids.set_pair(privileged, args[0] as u32, args[1] as u32))
}

/// setregid(2).
pub(super) fn setregid(args: &[u64; 6]) -> SysResult {
    change_groups(|ids, privileged| ids.set_pair(privileged, args[0] as u32, args[1] as u32))
}

fn three(args: &[u64; 6]) -> [u32; 3] {
    [args[0] as u32, args[1] as u32, args[2] as u32]
}

/// setresuid(2).
pub(super) fn setresuid(args: &[u64; 6]) -> SysResult {
    change_users(|ids, privileged| ids.set_all(privileged, three(args)))
}

/// setresgid(2).
pub(super) fn setresgid(args: &[u64; 6]) -> SysResult {
    change_groups(|ids, privileged| ids.set_all(privileged, three(args)))
}

/// setfsuid(2): the old one, whether or not it changed.
pub(super) fn setfsuid(args: &[u64; 6]) -> SysResult {
    let wanted = args[0] as u32;
    Ok(with(|own| {
        let old = own.fsuid;
        let known = [own.uid, own.euid, own.suid, own.fsuid].contains(&wanted);
        if wanted != KEEP && (own.capabilities.has(SETUID) || known) {
            own.fsuid = wanted;
            own.capabilities.files_user_changed(old, wanted);
        }
        old
    }) as usize)
}

/// setfsgid(2): as [`setfsuid`].
pub(super) fn setfsgid(args: &[u64; 6]) -> SysResult {
    let wanted = args[0] as u32;
    Ok(with(|own| {
        let old = own.fsgid;
        let known = [own.gid, own.egid, own.sgid, own.fsgid].contains(&wanted);
        if wanted != KEEP && (own.capabilities.has(SETGID) || known) {
            own.fsgid = wanted;
        }
        old
    }) as usize)
}

/// getgroups(2).
pub(super) fn getgroups(args: &[u64; 6]) -> SysResult {
    let groups = with(|own| own.groups.clone());
    let room = usize::try_from(args[0] as i32).map_err(|_| Errno::EINVAL)?;
    if room == 0 {
        return Ok(groups.len());
    }
    if room < groups.len() {
        return Err(Errno::EINVAL);
    }
    for (index, group) in groups.iter().enumerate() {
        user::write(args[1].wrapping_add(index as u64 * 4), group)?;
    }
    Ok(groups.len())
}

/// setgroups(2).
pub(super) fn setgroups(args: &[u64; 6]) -> SysResult {
    let count = args[0] as u32 as usize;
    if !with(|own| own.capabilities.has(SETGID)) {
        return Err(Errno::EPERM);
    }
    if count > GROUPS_MAX {
        return Err(Errno::EINVAL);
    }
    let mut groups = Vec::new();
    groups.try_reserve_exact(count).map_err(|_| Errno::ENOMEM)?;
    for index in 0..count {
        groups.push(user::read::<u32>(args[1].wrapping_add(index as u64 * 4))?);
    }
    groups.sort_unstable();
    with(|own| own.groups = groups);
    Ok(0)
}

#[cfg(test)]
mod tests;
