//! Descriptors: duplicating them, and what `fcntl` and `ioctl` do.

use linux_raw_sys::general::{
    F_ADD_SEALS, F_DUPFD, F_DUPFD_CLOEXEC, F_GET_SEALS, F_GETFD, F_GETFL, F_GETLK, F_GETOWN,
    F_GETOWN_EX, F_GETPIPE_SZ, F_GETSIG, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_OWNER_PGRP,
    F_OWNER_PID, F_SEAL_EXEC, F_SEAL_FUTURE_WRITE, F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_SHRINK,
    F_SEAL_WRITE, F_SETFD, F_SETFL, F_SETLK, F_SETLKW, F_SETOWN, F_SETOWN_EX, F_SETPIPE_SZ,
    F_SETSIG, FD_CLOEXEC, O_APPEND, O_CLOEXEC, O_NONBLOCK,
};
use linux_raw_sys::ioctl::{FIOASYNC, FIOCLEX, FIONBIO, FIONCLEX, FIONREAD};

use core::sync::atomic::Ordering;

use super::file::descriptor;
use super::lock;
use crate::errno::{Errno, SysResult};
use crate::fs::attributes::FileType;
use crate::fs::node::Node;
use crate::fs::signal_io::{O_ASYNC, Owner};
use crate::fs::{self, OpenFile};
use crate::mm::user;
use crate::process::{self, capabilities::SYS_RESOURCE};
use crate::signal::number::SIGNAL_MAX;

/// Who gets a socket's signals: FIOSETOWN and so on, as the generic headers number them.
const FIOSETOWN: u32 = 0x8901;
/// See [`FIOSETOWN`].
const SIOCSPGRP: u32 = 0x8902;
/// See [`FIOSETOWN`].
const FIOGETOWN: u32 = 0x8903;
/// See [`FIOSETOWN`].
const SIOCGPGRP: u32 = 0x8904;

/// All that F_ADD_SEALS takes.
const ALL_SEALS: u32 =
    F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE | F_SEAL_EXEC;

/// dup(2).
pub(super) fn dup(args: &[u64; 6]) -> SysResult {
    let file = descriptor(args[0])?;
    super::open::install(file, false)
}

/// dup2(2).
pub(super) fn dup2(args: &[u64; 6]) -> SysResult {
    let [old, new, ..] = *args;
    let file = descriptor(old)?;
    if old as i32 == new as i32 {
        return Ok(new as u32 as usize);
    }
    duplicate_to(file, new, false)
}

/// dup3(2).
pub(super) fn dup3(args: &[u64; 6]) -> SysResult {
    let [old, new, flags, ..] = *args;
    if flags as u32 & !O_CLOEXEC != 0 || old as i32 == new as i32 {
        return Err(Errno::EINVAL);
    }
    duplicate_to(descriptor(old)?, new, flags as u32 & O_CLOEXEC != 0)
}

fn duplicate_to(file: alloc::sync::Arc<OpenFile>, new: u64, close_on_exec: bool) -> SysResult {
    let limit = fs::open_files();
    let replaced =
        process::current()
            .files
            .lock()
            .replace(new as i32, file, close_on_exec, limit)?;
    if let Some(replaced) = replaced {
        fs::close(replaced);
    }
    Ok(new as u32 as usize)
}

/// fcntl(2).
pub(super) fn fcntl(args: &[u64; 6]) -> SysResult {
    let [fd, command, argument, ..] = *args;
    let file = descriptor(fd)?;
    let files = &process::current().files;
    match command as u32 {
        F_DUPFD => duplicate_from(file, argument, false),
        F_DUPFD_CLOEXEC => duplicate_from(file, argument, true),
        F_GETFD => Ok(if files.lock().closes_on_exec(fd as i32)? {
            FD_CLOEXEC as usize
        } else {
            0
        }),
        F_SETFD => {
            files
                .lock()
                .set_close_on_exec(fd as i32, argument as u32 & FD_CLOEXEC != 0)?;
            Ok(0)
        }
        F_GETFL => Ok((file.flags() & !O_CLOEXEC) as usize),
        _ if file.is_path() => Err(Errno::EBADF),
        F_SETFL => {
            let wanted = argument as u32;
            if (wanted ^ file.flags()) & O_ASYNC != 0 {
                // Files that send no signals do not mind.
                let _ = file.set_async(wanted & O_ASYNC != 0, fd as i32);
            }
            file.set_flags(wanted);
            Ok(0)
        }
        F_GETLK | F_OFD_GETLK => lock::get(&file, command as u32, argument),
        F_SETLK | F_SETLKW | F_OFD_SETLK | F_OFD_SETLKW => {
            lock::set(&file, fd as i32, command as u32, argument)
        }
        F_SETPIPE_SZ => file.file().as_pipe().ok_or(Errno::EBADF)?.set_capacity(
            argument as u32,
            process::current()
                .credentials
                .lock()
                .capabilities
                .has(SYS_RESOURCE),
        ),
        F_GETPIPE_SZ => Ok(file.file().as_pipe().ok_or(Errno::EBADF)?.capacity()),
        F_GETOWN => Ok(owner(&file) as isize as usize),
        F_SETOWN => set_owner(&file, argument as i32),
        F_GETOWN_EX => {
            let owner = *file.notice().owner.lock();
            let id = if owner.exists() { owner.id } else { 0 };
            user::write(argument, &[owner.kind, id]).map(|()| 0)
        }
        F_SETOWN_EX => {
            let [kind, id]: [u32; 2] = user::read(argument)?;
            let owner = Owner::new(kind, id)?;
            *file.notice().owner.lock() = owner;
            Ok(0)
        }
        F_GETSIG => Ok(file.notice().signal.load(Ordering::Relaxed) as usize),
        F_SETSIG => match argument as u32 {
            signal if signal <= SIGNAL_MAX => {
                file.notice().signal.store(signal, Ordering::Relaxed);
                Ok(0)
            }
            _ => Err(Errno::EINVAL),
        },
        F_GET_SEALS => with_seals(&file, |seals| Ok(*seals as usize)),
        F_ADD_SEALS => add_seals(&file, argument as u32),
        _ => Err(Errno::EINVAL),
    }
}

fn duplicate_from(file: alloc::sync::Arc<OpenFile>, from: u64, close_on_exec: bool) -> SysResult {
    let limit = fs::open_files();
    let from = u32::try_from(from as i32)
        .ok()
        .filter(|&from| from < limit)
        .ok_or(Errno::EINVAL)?;
    let fd = process::current()
        .files
        .lock()
        .insert(file, close_on_exec, from, limit)?;
    Ok(fd as usize)
}

/// Who gets signals of a file: a process, or a group as a negative number; 0 for nobody.
fn owner(file: &OpenFile) -> i32 {
    let owner = *file.notice().owner.lock();
    match owner.kind {
        _ if !owner.exists() => 0,
        F_OWNER_PGRP => -(owner.id as i32),
        _ => owner.id as i32,
    }
}

fn set_owner(file: &OpenFile, id: i32) -> SysResult {
    let (kind, id) = match id {
        i32::MIN => return Err(Errno::EINVAL),
        id if id < 0 => (F_OWNER_PGRP, id.unsigned_abs()),
        id => (F_OWNER_PID, id.unsigned_abs()),
    };
    let owner = Owner::new(kind, id)?;
    *file.notice().owner.lock() = owner;
    Ok(0)
}

fn with_seals(file: &OpenFile, apply: impl FnOnce(&mut u32) -> SysResult) -> SysResult {
    match file.node() {
        Some(Node::Memory(inode)) => match inode.data() {
            Ok(data) => {
                let mut data = data.lock();
                if data.takes_seals() {
                    apply(&mut data.seals)
                } else {
                    Err(Errno::EINVAL)
                }
            }
            Err(_) => Err(Errno::EINVAL),
        },
        _ => Err(Errno::EINVAL),
    }
}

/// F_ADD_SEALS, but while the file is mapped for writing that would be forbidden.
fn add_seals(file: &OpenFile, added: u32) -> SysResult {
    if !file.writable() {
        return Err(Errno::EPERM);
    }
    if added & !ALL_SEALS != 0 {
        return Err(Errno::EINVAL);
    }
    process::current()
        .space()
        .seal_file(file.inode_id(), added, || {
            with_seals(file, |seals| {
                if *seals & F_SEAL_SEAL != 0 {
                    return Err(Errno::EPERM);
                }
                *seals |= added;
                Ok(0)
            })
        })
}

fn is_socket(file: &OpenFile) -> bool {
    let attributes = file.attributes();
    attributes.is_ok_and(|attributes| attributes.file_type() == FileType::Socket)
}

/// ioctl(2): what all files have in common, then what the file's kind has.
pub(super) fn ioctl(args: &[u64; 6]) -> SysResult {
    let [fd, request, argument, ..] = *args;
    let file = descriptor(fd)?;
    if file.is_path() {
        return Err(Errno::EBADF);
    }
    let request = request as u32;
    let files = &process::current().files;
    match request {
        FIOCLEX => files.lock().set_close_on_exec(fd as i32, true).map(|()| 0),
        FIONCLEX => files.lock().set_close_on_exec(fd as i32, false).map(|()| 0),
        FIONBIO => {
            let wanted = user::read::<u32>(argument)? != 0;
            let kept = file.flags() & (O_APPEND | O_NONBLOCK) & !O_NONBLOCK;
            file.set_flags(kept | if wanted { O_NONBLOCK } else { 0 });
            Ok(0)
        }
        FIOASYNC => {
            let on = user::read::<u32>(argument)? != 0;
            file.set_async(on, fd as i32).map(|()| 0)
        }
        FIOSETOWN | SIOCSPGRP if is_socket(&file) => set_owner(&file, user::read(argument)?),
        FIOGETOWN | SIOCGPGRP if is_socket(&file) => {
            user::write(argument, &owner(&file)).map(|()| 0)
        }
        FIONREAD
            if file.file().seekable() && file.attributes()?.file_type() == FileType::Regular =>
        {
            let left = file.attributes()?.size.saturating_sub(file.position());
            user::write::<u32>(argument, &u32::try_from(left).unwrap_or(u32::MAX))?;
            Ok(0)
        }
        _ => file.file().ioctl(request, argument),
    }
}
