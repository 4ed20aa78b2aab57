//! Calls that give a process another program, end it, and wait for its children.
//! Source: execve(2), exit_group(2), wait(2), waitid(2).

use linux_raw_sys::general::{
    __WALL, __WCLONE, __WNOTHREAD, P_ALL, P_PGID, P_PID, P_PIDFD, WCONTINUED, WEXITED, WNOHANG,
    WNOWAIT, WSTOPPED, WUNTRACED,
};

use super::process_file;
use super::system::Usage;
use crate::errno::{Errno, SysResult};
use crate::mm::user;
use crate::process::end::{Ended, SIGCHLD};
use crate::process::table::{self, Which};
use crate::process::{self, exec, wait};
use crate::signal::SigInfo;

/// Most bytes of one argument string (Linux's MAX_ARG_STRLEN).
const ARGUMENT_MAX_BYTES: usize = 128 << 10;
/// Most bytes of all argument strings together.
const ARGUMENTS_MAX_BYTES: usize = 2 << 20;

/// exit(2): the thread ends; with the last one, the process.
pub fn exit(args: &[u64; 6]) -> SysResult {
    process::threads::exit(args[0] as i32)
}

/// exit_group(2).
pub fn exit_group(args: &[u64; 6]) -> SysResult {
    process::exit_group(args[0] as i32)
}

/// execve(2): does not return when it succeeds.
pub fn execve(args: &[u64; 6]) -> SysResult {
    let path = user::read_cstr(args[0], 4096)?;
    let arguments = read_strings(args[1])?;
    let environment = read_strings(args[2])?;
    exec::replace(&path, arguments, environment)
}

/// Options of both calls that choose among kinds of children.
const ANY_KIND: u32 = __WALL | __WCLONE | __WNOTHREAD;

/// The group of the running process.
fn own_group() -> u32 {
    table::kin(process::current().pid()).map_or(0, |kin| kin.group)
}

/// wait4(2).
pub fn wait4(args: &[u64; 6]) -> SysResult {
    let [pid, status, options, usage, ..] = *args;
    let options = options as u32;
    if options & !(WNOHANG | WUNTRACED | WCONTINUED | ANY_KIND) != 0 {
        return Err(Errno::EINVAL);
    }
    let which = match pid as i32 {
        -1 => Which::Any,
        0 => Which::Group(own_group()),
        i32::MIN => return Err(Errno::ESRCH),
        group if group < 0 => Which::Group(group.unsigned_abs()),
        pid => Which::Process(pid.unsigned_abs()),
    };
    let Some((pid, ended)) = wait::wait(which, options | WEXITED)? else {
        return Ok(0);
    };
    if status != 0 {
        user::write(status, &ended.status.0)?;
    }
    if usage != 0 {
        user::write(usage, &Usage::of(ended.used))?;
    }
    Ok(pid as usize)
}

/// waitid(2).
pub fn waitid(args: &[u64; 6]) -> SysResult {
    let [kind, id, info, options, usage, _] = *args;
    let options = options as u32;
    let known = WNOHANG | WNOWAIT | WEXITED | WSTOPPED | WCONTINUED | ANY_KIND;
    let states = WEXITED | WSTOPPED | WCONTINUED;
    if options & !known != 0 || options & states == 0 {
        return Err(Errno::EINVAL);
    }
    let (mut wanted, mut is_nonblocking) = (options, false);
    let id = id as u32;
    let which = match kind as u32 {
        P_ALL => Which::Any,
        P_PID if (id as i32) > 0 => Which::Process(id),
        P_PGID if id == 0 => Which::Group(own_group()),
        P_PGID if (id as i32) > 0 => Which::Group(id),
        P_PIDFD if (id as i32) >= 0 => {
            let (of, at_once) = process_file::of(u64::from(id))?;
            is_nonblocking = at_once && options & WNOHANG == 0;
            wanted |= if at_once { WNOHANG } else { 0 };
            Which::Same(of.pid, of.serial)
        }
        _ => return Err(Errno::EINVAL),
    };
    let found = wait::wait(which, wanted)?;
    if found.is_none() && is_nonblocking {
        return Err(Errno::EAGAIN);
    }
    let told = |(pid, ended): (u32, Ended)| {
        let (code, status) = ended.status.told();
        SigInfo::from_child(pid, ended.uid, code, status, 0)
    };
    if info != 0 {
        let told = found.map(told).unwrap_or_default();
        debug_assert!(told.signal == 0 || told.signal == SIGCHLD as i32);
        user::write(info, &told)?;
    }
    if usage != 0 {
        let used = found.map_or_else(Default::default, |(_, ended)| ended.used);
        user::write(usage, &Usage::of(used))?;
    }
    Ok(0)
}

fn read_strings(mut address: u64) -> Result<alloc::vec::Vec<alloc::vec::Vec<u8>>, Errno> {
    let mut strings = alloc::vec::Vec::new();
    let mut total = 0;
    if address == 0 {
        return Ok(strings);
    }
    loop {
        let pointer: u64 = user::read(address)?;
        if pointer == 0 {
            return Ok(strings);
        }
        let text = user::read_cstr(pointer, ARGUMENT_MAX_BYTES).map_err(|errno| {
            if errno == Errno::ENAMETOOLONG {
                Errno::E2BIG
            } else {
                errno
            }
        })?;
        total += text.len() + 9;
        if total > ARGUMENTS_MAX_BYTES {
            return Err(Errno::E2BIG);
        }
        strings.push(text);
        address = address.checked_add(8).ok_or(Errno::EFAULT)?;
    }
}
