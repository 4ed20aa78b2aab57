//! Descriptors of processes.
//! Source: pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2).

use linux_raw_sys::general::O_NONBLOCK;

use super::file::descriptor;
use super::open::install;
use super::signal;
use crate::errno::{Errno, SysResult};
use crate::fs::node::Node;
use crate::fs::process_file::ProcessFile;
use crate::mm::user;
use crate::process::inspect::{Identity, may_inspect};
use crate::process::{table, threads};
use crate::signal::SigInfo;
use crate::signal::number::SI_USER;

/// PIDFD_NONBLOCK is the same bit as O_NONBLOCK.
const PIDFD_NONBLOCK: u64 = O_NONBLOCK as u64;

/// The process that a descriptor is of, and whether waiting for it returns at once.
pub(super) fn of(fd: u64) -> Result<(ProcessFile, bool), Errno> {
    let file = descriptor(fd)?;
    let of = *file.file().as_process_file().ok_or(Errno::EBADF)?;
    Ok((of, file.flags() & O_NONBLOCK != 0))
}

/// The process that a signal is for: a directory of `/proc` names one, too.
fn target(fd: u64) -> Result<ProcessFile, Errno> {
    let file = descriptor(fd)?;
    if let Some(of) = file.file().as_process_file() {
        return Ok(*of);
    }
    let Some(Node::Pseudo(place)) = file.file().node() else {
        return Err(Errno::EBADF);
    };
    let pid = place.process().ok_or(Errno::EBADF)?;
    let serial = table::kin(pid).ok_or(Errno::ESRCH)?.serial;
    Ok(ProcessFile { pid, serial })
}

/// pidfd_open(2).
pub(super) fn pidfd_open(args: &[u64; 6]) -> SysResult {
    let (pid, flags) = (args[0] as u32, u64::from(args[1] as u32));
    if flags & !PIDFD_NONBLOCK != 0 || (pid as i32) <= 0 {
        return Err(Errno::EINVAL);
    }
    match ProcessFile::open(pid, flags as u32) {
        Some(file) => install(file, true),
        // Of a thread that is not the first of its process.
        None if threads::exists(pid) => Err(Errno::EINVAL),
        None => Err(Errno::ESRCH),
    }
}

/// pidfd_send_signal(2).
pub(super) fn pidfd_send_signal(args: &[u64; 6]) -> SysResult {
    let [fd, number, address, flags, ..] = *args;
    if flags as u32 != 0 {
        return Err(Errno::EINVAL);
    }
    let target = target(fd)?;
    let told: Option<SigInfo> = match address {
        0 => None,
        address => Some(user::read(address)?),
    };
    if told.is_some_and(|info| info.number() != number as u32) {
        return Err(Errno::EINVAL);
    }
    let sent = table::with_same(target.pid, target.serial, |process| {
        signal::check_origin(told.as_ref(), process)?;
        let number = signal::read_number(number)?;
        let info = told.unwrap_or_else(|| signal::sender(number, SI_USER));
        signal::send_one(process, (number != 0).then_some(info))
    });
    sent.ok_or(Errno::ESRCH)?.map(|()| 0)
}

/// pidfd_getfd(2).
pub(super) fn pidfd_getfd(args: &[u64; 6]) -> SysResult {
    let [fd, wanted, flags, ..] = *args;
    if flags as u32 != 0 {
        return Err(Errno::EINVAL);
    }
    let seen = of(fd)?.0.seen()?;
    if seen.ended.is_some() {
        return Err(Errno::ESRCH);
    }
    if !may_inspect(seen.process, Identity::Real) {
        return Err(Errno::EPERM);
    }
    let file = seen.process.files.lock().get(wanted as i32)?;
    install(file, true)
}
