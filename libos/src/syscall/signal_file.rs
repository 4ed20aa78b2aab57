//! Signals that are read as files.

use linux_raw_sys::general::{O_CLOEXEC, O_NONBLOCK};

use super::file::descriptor;
use super::open::install;
use crate::errno::{Errno, SysResult};
use crate::fs::signal_file;
use crate::mm::user;
use crate::signal::Set;

/// SFD_* flags are the same bits as O_*.
const SFD_CLOEXEC: u32 = O_CLOEXEC;
/// See [`SFD_CLOEXEC`].
const SFD_NONBLOCK: u32 = O_NONBLOCK;

/// signalfd(2) without flags.
pub(super) fn signalfd(args: &[u64; 6]) -> SysResult {
    let [fd, set, bytes, ..] = *args;
    open_or_change(fd, set, bytes, 0)
}

/// signalfd4(2).
pub(super) fn signalfd4(args: &[u64; 6]) -> SysResult {
    let [fd, set, bytes, flags, ..] = *args;
    open_or_change(fd, set, bytes, flags as u32)
}

/// Descriptor -1 asks for a new file.
fn open_or_change(fd: u64, set: u64, bytes: u64, flags: u32) -> SysResult {
    if bytes != size_of::<Set>() as u64 || flags & !(SFD_CLOEXEC | SFD_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    let wanted = Set::from_bits(user::read::<u64>(set)?).without(Set::UNBLOCKABLE);
    if fd as i32 == -1 {
        return install(
            signal_file::open(wanted, flags & SFD_NONBLOCK),
            flags & SFD_CLOEXEC != 0,
        );
    }
    let file = descriptor(fd)?;
    file.file()
        .as_signal_file()
        .ok_or(Errno::EINVAL)?
        .set_wanted(wanted);
    Ok(fd as u32 as usize)
}
