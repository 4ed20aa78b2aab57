//! Calls that reach into another process: its memory, and what it shares with others.
//! Source: process_vm_readv(2), kcmp(2).

use alloc::sync::Arc;
use core::cmp::Ordering;

use crate::errno::{Errno, SysResult};
use crate::fs::transfer::{Sink, Source, UserRanges};
use crate::mm::spaces::Held;
use crate::mm::user;
use crate::process::inspect::{Identity, may_inspect};
use crate::process::table::{self, Seen};
use crate::process::{self, threads};

/// Bytes copied at once.
const CHUNK_BYTES: usize = 4096;

/// What kcmp(2) compares: KCMP_FILE and so on, in the order of their numbers.
const KCMP_FILE: u64 = 0;
const KCMP_VM: u64 = 1;
const KCMP_SIGHAND: u64 = 4;
const KCMP_IO: u64 = 5;
const KCMP_SYSVSEM: u64 = 6;

/// The process of a thread, which the caller may look into.
fn inspected(tid: u64) -> Result<Seen, Errno> {
    let pid = threads::with(tid as u32, |thread| thread.process().pid());
    let seen = table::look(pid.unwrap_or(tid as u32)).ok_or(Errno::ESRCH)?;
    if may_inspect(seen.process, Identity::Real) {
        Ok(seen)
    } else {
        Err(Errno::EPERM)
    }
}

/// Both ways of process_vm_readv: `copy` moves a piece at an address of the other process,
/// or of the caller itself, and gives how many bytes it moved.
fn process_vm(
    args: &[u64; 6],
    mut copy: impl FnMut(Option<&Held>, u64, &mut [u8], &mut UserRanges) -> SysResult,
) -> SysResult {
    let [pid, local, local_count, remote, remote_count, flags] = *args;
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let mut local = UserRanges::vector(local, local_count)?;
    let mut remote = UserRanges::vector(remote, remote_count)?;
    if local.remaining() == 0 {
        return Ok(0);
    }
    let seen = inspected(pid)?;
    let space = seen.space().ok_or(Errno::ESRCH)?;
    // Memory at hand is reached as a program reaches it.
    let is_own = core::ptr::eq(&raw const *space, process::current().space());
    let space = Some(&space).filter(|_| !is_own);
    let mut chunk = [0; CHUNK_BYTES];
    let mut done = 0;
    while local.remaining() > 0 && remote.remaining() > 0 {
        let (at, len) = remote.next(CHUNK_BYTES.min(local.remaining()));
        let piece = chunk.get_mut(..len).ok_or(Errno::EFAULT)?;
        match copy(space, at, piece, &mut local) {
            Ok(count) => {
                done += count;
                if count < len {
                    break;
                }
            }
            Err(_) if done > 0 => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(done)
}

/// process_vm_readv(2).
pub(super) fn process_vm_readv(args: &[u64; 6]) -> SysResult {
    process_vm(args, |space, at, piece, local| {
        let read = match space {
            Some(space) => space.read(at, piece),
            None => user::copy_in_part(at, piece),
        };
        local.put(piece.get(..read).unwrap_or_default())?;
        if read == 0 {
            Err(Errno::EFAULT)
        } else {
            Ok(read)
        }
    })
}

/// process_vm_writev(2).
pub(super) fn process_vm_writev(args: &[u64; 6]) -> SysResult {
    process_vm(args, |space, at, piece, local| {
        local.take(piece)?;
        let written = match space {
            Some(space) => space.write(at, piece),
            None => user::copy_out_part(at, piece),
        };
        if written == 0 {
            Err(Errno::EFAULT)
        } else {
            Ok(written)
        }
    })
}

/// kcmp(2): 0 for the same, 1 and 2 for an order that means nothing.
pub(super) fn kcmp(args: &[u64; 6]) -> SysResult {
    let [one, other, kind, first, second, _] = *args;
    let (one, other) = (inspected(one)?, inspected(other)?);
    let file = |seen: &Seen, fd: u64| {
        let file = seen.process.files.lock().get(fd as i32);
        file.map(|file| Arc::as_ptr(&file).addr())
    };
    let order = match kind {
        KCMP_FILE => file(&one, first)?.cmp(&file(&other, second)?),
        KCMP_VM => {
            let space = |seen: &Seen| seen.space().map(|space| (&raw const *space).addr());
            space(&one).cmp(&space(&other))
        }
        // Tables of files, directories and handlers are a process's own.
        2..=KCMP_SIGHAND => one.pid.cmp(&other.pid),
        // Nobody has any.
        KCMP_IO | KCMP_SYSVSEM => Ordering::Equal,
        _ => return Err(Errno::EINVAL),
    };
    Ok(match order {
        Ordering::Equal => 0,
        Ordering::Less => 1,
        Ordering::Greater => 2,
    })
}
