//! A process among others: parents, process groups, sessions.
//! Source: credentials(7), setpgid(2), setsid(2).

use crate::errno::{Errno, SysResult};
use crate::process;
use crate::process::table::{self, Kin};

/// What the process with this id is to others; 0 for the running one.
fn kin_of(pid: u64) -> Result<Kin, Errno> {
    let pid = match pid as u32 {
        0 => process::current().pid(),
        pid => pid,
    };
    table::kin(pid).ok_or(Errno::ESRCH)
}

/// getppid(2); 0 where the parent is outside.
pub(super) fn getppid(_args: &[u64; 6]) -> SysResult {
    if process::current().is_init() {
        // Its parent is outside, whatever becomes of others.
        return Ok(0);
    }
    Ok(kin_of(0)?.parent as usize)
}

/// getpgrp(2).
pub(super) fn getpgrp(_args: &[u64; 6]) -> SysResult {
    Ok(kin_of(0)?.group as usize)
}

/// getpgid(2).
pub(super) fn getpgid(args: &[u64; 6]) -> SysResult {
    Ok(kin_of(args[0])?.group as usize)
}

/// getsid(2).
pub(super) fn getsid(args: &[u64; 6]) -> SysResult {
    Ok(kin_of(args[0])?.session as usize)
}

/// setpgid(2): of oneself, or of a child that has called no execve yet.
pub(super) fn setpgid(args: &[u64; 6]) -> SysResult {
    let own = process::current().pid();
    let pid = match args[0] as u32 {
        0 => own,
        pid => pid,
    };
    let group = match args[1] as i32 {
        group if group < 0 => return Err(Errno::EINVAL),
        0 => pid,
        group => group.unsigned_abs(),
    };
    let (mine, kin) = (kin_of(0)?, kin_of(u64::from(pid))?);
    if pid != own {
        if kin.parent != own {
            return Err(Errno::ESRCH);
        }
        if kin.session != mine.session {
            return Err(Errno::EPERM);
        }
        if kin.has_program {
            return Err(Errno::EACCES);
        }
    }
    // A session's leader stays in its group, and a group is in one session.
    if kin.session == pid || (group != pid && !table::has_group(mine.session, group)) {
        return Err(Errno::EPERM);
    }
    table::change(pid, |kin| {
        kin.group = group;
        Ok(0)
    })
}

/// setsid(2): a new session and group, unless the process leads a group.
pub(super) fn setsid(_args: &[u64; 6]) -> SysResult {
    let pid = process::current().pid();
    if table::has_any_of_group(pid) {
        return Err(Errno::EPERM);
    }
    table::change(pid, |kin| {
        (kin.group, kin.session) = (pid, pid);
        Ok(pid as usize)
    })
}
