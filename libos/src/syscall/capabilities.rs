//! Calls about capabilities: capget, capset, and what prctl has of them.
//!
//! Source: capget(2), prctl(2).

use linux_raw_sys::prctl::{
    PR_CAP_AMBIENT_CLEAR_ALL, PR_CAP_AMBIENT_IS_SET, PR_CAP_AMBIENT_LOWER, PR_CAP_AMBIENT_RAISE,
};

use super::credentials::with;
use crate::errno::{Errno, SysResult};
use crate::mm::user;
use crate::process::capabilities::{self, SETPCAP};
use crate::process::{self, threads};

/// _LINUX_CAPABILITY_VERSION_1, with 32-bit sets.
const VERSION_1: u32 = 0x1998_0330;
/// _LINUX_CAPABILITY_VERSION_3, and 2 which differs in nothing.
const VERSION_3: u32 = 0x2008_0522;
/// See [`VERSION_3`].
const VERSION_2: u32 = 0x2007_1026;

/// Checks a capability header: how many 32-bit words each set has, and whose they are; 0
/// for the caller. An unknown version is answered with the one that is spoken here.
fn read_capability_header(header: u64) -> Result<(u32, u32), Errno> {
    let [version, pid]: [u32; 2] = user::read(header)?;
    let words = match version {
        VERSION_1 => 1,
        VERSION_2 | VERSION_3 => 2,
        _ => {
            user::write(header, &VERSION_3)?;
            return Err(Errno::EINVAL);
        }
    };
    if (pid as i32) < 0 {
        return Err(Errno::EINVAL);
    }
    Ok((words, pid))
}

/// capget(2).
pub(super) fn capget(args: &[u64; 6]) -> SysResult {
    let [header, data, ..] = *args;
    let (words, pid) = match read_capability_header(header) {
        // A null pointer only asks for the version.
        Err(Errno::EINVAL) if data == 0 => return Ok(0),
        other => other?,
    };
    if data == 0 {
        return Ok(0);
    }
    let target = match pid {
        0 => process::current(),
        pid => threads::with(pid, |thread| thread.process()).ok_or(Errno::ESRCH)?,
    };
    let own = target.credentials.lock().capabilities;
    for word in 0..words {
        let at = data.wrapping_add(u64::from(word) * 12);
        for (index, set) in (0..).zip([own.effective, own.permitted, own.inheritable]) {
            let part = (set >> (32 * word)) as u32;
            user::write(at.wrapping_add(index * 4), &part)?;
        }
    }
    Ok(0)
}

/// capset(2).
pub(super) fn capset(args: &[u64; 6]) -> SysResult {
    let [header, data, ..] = *args;
    let (words, pid) = read_capability_header(header)?;
    // Nobody sets those of others.
    if pid != 0 && pid != process::thread().tid() {
        return Err(Errno::EPERM);
    }
    let mut sets = [0; 3];
    for word in 0..words {
        let at = data.wrapping_add(u64::from(word) * 12);
        for (index, set) in (0..).zip(&mut sets) {
            let part: u32 = user::read(at.wrapping_add(index * 4))?;
            *set |= u64::from(part) << (32 * word);
        }
    }
    let [effective, permitted, inheritable] = sets.map(|set| set & capabilities::ALL);
    with(|own| own.capabilities.set(effective, permitted, inheritable))
        .map(|()| 0)
        .ok_or(Errno::EPERM)
}

/// The set of one capability; EINVAL where there is none of that number.
fn one(capability: u64) -> Result<capabilities::Set, Errno> {
    if capability <= u64::from(capabilities::LAST) {
        Ok(1 << capability)
    } else {
        Err(Errno::EINVAL)
    }
}

/// PR_CAPBSET_READ.
pub(super) fn is_bounding(capability: u64) -> SysResult {
    let wanted = one(capability)?;
    Ok(usize::from(with(|own| {
        own.capabilities.bounding & wanted != 0
    })))
}

/// PR_CAPBSET_DROP.
pub(super) fn drop_bounding(capability: u64) -> SysResult {
    let wanted = one(capability)?;
    with(|own| {
        if !own.capabilities.has(SETPCAP) {
            return Err(Errno::EPERM);
        }
        own.capabilities.bounding &= !wanted;
        Ok(0)
    })
}

/// PR_CAP_AMBIENT.
pub(super) fn ambient(command: u64, capability: u64) -> SysResult {
    if command == u64::from(PR_CAP_AMBIENT_CLEAR_ALL) {
        if capability != 0 {
            return Err(Errno::EINVAL);
        }
        with(|own| own.capabilities.ambient = 0);
        return Ok(0);
    }
    let wanted = one(capability)?;
    with(|own| {
        let sets = &mut own.capabilities;
        match command as u32 {
            PR_CAP_AMBIENT_IS_SET => return Ok(usize::from(sets.ambient & wanted != 0)),
            PR_CAP_AMBIENT_LOWER => sets.ambient &= !wanted,
            PR_CAP_AMBIENT_RAISE if sets.permitted & sets.inheritable & wanted == 0 => {
                return Err(Errno::EPERM);
            }
            PR_CAP_AMBIENT_RAISE => sets.ambient |= wanted,
            _ => return Err(Errno::EINVAL),
        }
        Ok(0)
    })
}

/// PR_GET_KEEPCAPS.
pub(super) fn keeps_capabilities() -> bool {
    with(|own| own.capabilities.keep)
}

/// PR_SET_KEEPCAPS.
pub(super) fn set_keeps_capabilities(value: u64) -> SysResult {
    if value > 1 {
        return Err(Errno::EINVAL);
    }
    with(|own| own.capabilities.keep = value == 1);
    Ok(0)
}
