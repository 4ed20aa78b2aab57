//! Locks of files and of ranges in them: `flock` and the lock commands of `fcntl`.

use linux_raw_sys::general::{
    F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_RDLCK, F_SETLKW, F_UNLCK, F_WRLCK, LOCK_EX, LOCK_NB,
    LOCK_SH, LOCK_UN, SEEK_CUR, SEEK_END, SEEK_SET,
};

use super::file::descriptor;
use crate::errno::{Errno, SysResult};
use crate::fs::OpenFile;
use crate::fs::lock::{self, Kind, Owner, Record};
use crate::mm::user;
use crate::process;

/// A mandatory lock, which Linux no longer has.
const LOCK_MAND: u32 = 32;
/// The last byte that a file can have.
const OFFSET_MAX: i64 = i64::MAX;

/// `struct flock`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Flock {
    kind: i16,
    whence: i16,
    padding: u32,
    start: i64,
    len: i64,
    pid: i32,
    padding_end: u32,
}

crate::pod!(Flock);

const _: () = assert!(size_of::<Flock>() == 32);

impl Flock {
    /// First and last byte.
    fn range(&self, file: &OpenFile) -> Result<(u64, u64), Errno> {
        let base = match self.whence as u32 {
            SEEK_SET => 0,
            SEEK_CUR => file.position() as i64,
            SEEK_END => file.attributes()?.size as i64,
            _ => return Err(Errno::EINVAL),
        };
        let start = base.checked_add(self.start).ok_or(Errno::EOVERFLOW)?;
        if start < 0 {
            return Err(Errno::EINVAL);
        }
        let (first, last) = match self.len {
            0 => (start, OFFSET_MAX),
            len @ 1.. => {
                let last = start.checked_add(len - 1).ok_or(Errno::EOVERFLOW)?;
                (start, last)
            }
            len => (start + len, start - 1),
        };
        let first = u64::try_from(first).map_err(|_| Errno::EINVAL)?;
        Ok((first, last as u64))
    }

    /// Shared or exclusive; none to unlock.
    fn kind(&self) -> Result<Option<Kind>, Errno> {
        match self.kind as u32 {
            F_RDLCK => Ok(Some(Kind::Shared)),
            F_WRLCK => Ok(Some(Kind::Exclusive)),
            F_UNLCK => Ok(None),
            _ => Err(Errno::EINVAL),
        }
    }
}

/// `F_GETLK` and `F_OFD_GETLK`.
pub(super) fn get(file: &OpenFile, command: u32, addr: u64) -> SysResult {
    let mut flock = user::read::<Flock>(addr)?;
    let is_ofd = command == F_OFD_GETLK;
    let owner = owner(file, is_ofd, &flock)?;
    let (first, last) = flock.range(file)?;
    let Some(kind) = flock.kind()? else {
        return Err(Errno::EINVAL);
    };
    let wanted = Record {
        owner,
        kind,
        first,
        last,
    };
    match lock::conflict(file, &wanted) {
        None => flock.kind = F_UNLCK as i16,
        Some(record) => {
            flock.kind = match record.kind {
                Kind::Shared => F_RDLCK as i16,
                Kind::Exclusive => F_WRLCK as i16,
            };
            flock.whence = SEEK_SET as i16;
            flock.start = record.first as i64;
            flock.len = match record.last as i64 {
                OFFSET_MAX => 0,
                last => last - record.first as i64 + 1,
            };
            flock.pid = match record.owner {
                Owner::Process(pid) => pid as i32,
                Owner::File(_) => -1,
            };
        }
    }
    user::write(addr, &flock)?;
    Ok(0)
}

fn owner(file: &OpenFile, is_ofd: bool, flock: &Flock) -> Result<Owner, Errno> {
    match (is_ofd, flock.pid) {
        (true, 0) => Ok(Owner::file(file)),
        (true, _) => Err(Errno::EINVAL),
        (false, _) => Ok(Owner::Process(process::current().pid())),
    }
}

/// `F_SETLK`, `F_SETLKW` and their OFD forms; `fd` is the descriptor of `file`.
pub(super) fn set(file: &OpenFile, fd: i32, command: u32, addr: u64) -> SysResult {
    let flock = user::read::<Flock>(addr)?;
    let is_ofd = matches!(command, F_OFD_SETLK | F_OFD_SETLKW);
    let waits = matches!(command, F_SETLKW | F_OFD_SETLKW);
    let (first, last) = flock.range(file)?;
    let kind = flock.kind()?;
    let allowed = match kind {
        Some(Kind::Shared) => file.readable(),
        Some(Kind::Exclusive) => file.writable(),
        None => true,
    };
    if !allowed {
        return Err(Errno::EBADF);
    }
    let owner = owner(file, is_ofd, &flock)?;
    let Some(kind) = kind else {
        lock::clear_records(file, owner, first, last);
        return Ok(0);
    };
    let wanted = Record {
        owner,
        kind,
        first,
        last,
    };
    lock::set_record(file, wanted, waits)?;
    // Closed by another thread meanwhile: nothing would ever unlock it.
    let open = process::current().files.lock().get(fd);
    if !is_ofd && !open.is_ok_and(|open| Owner::file(&*open) == Owner::file(file)) {
        lock::clear_records(file, owner, first, last);
        return Err(Errno::EBADF);
    }
    Ok(0)
}

/// flock(2).
pub(super) fn flock(args: &[u64; 6]) -> SysResult {
    let [fd, operation, ..] = *args;
    let operation = operation as u32;
    // LOCK_MAND is accepted and does nothing, as in Linux.
    if operation & LOCK_MAND != 0 {
        return Ok(0);
    }
    let kind = match operation & !LOCK_NB {
        LOCK_SH => Some(Kind::Shared),
        LOCK_EX => Some(Kind::Exclusive),
        LOCK_UN => None,
        _ => return Err(Errno::EINVAL),
    };
    let file = descriptor(fd)?;
    if file.is_path() {
        return Err(Errno::EBADF);
    }
    lock::set_whole(&file, kind, operation & LOCK_NB == 0)?;
    Ok(0)
}
