//! Sockets: making, naming and connecting them, and their options. Sending and
//! receiving is in `message`.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use linux_raw_sys::general::{O_CLOEXEC, O_NONBLOCK};
use linux_raw_sys::net::{SO_BINDTODEVICE, SOL_SOCKET};

use super::file::descriptor;
use super::open::install;
use crate::errno::{Errno, SysResult};
use crate::fs::{self, OpenFile};
use crate::mm::user;
use crate::net::family::Shutdown;
use crate::net::options::Value;
use crate::net::{self, Socket};
use crate::process;

/// Flags in the type argument; they are those of `open`.
const SOCK_CLOEXEC: u32 = O_CLOEXEC;
/// See [`SOCK_CLOEXEC`].
const SOCK_NONBLOCK: u32 = O_NONBLOCK;
/// Bits of the type argument that are the type.
const TYPE_MASK: u32 = 0xf;
/// Bytes of `struct sockaddr_storage`: no address is longer.
pub(super) const ADDRESS_MAX_BYTES: usize = 128;
/// Most connections that wait to be accepted (`net.core.somaxconn`).
const BACKLOG_MAX: u32 = 4096;
/// Most bytes of an option that are read.
const OPTION_MAX_BYTES: usize = 256;

/// An open file that is a socket.
pub(super) struct SocketFile(pub(super) Arc<OpenFile>);

impl SocketFile {
    /// The socket behind a descriptor: EBADF, ENOTSOCK.
    pub(super) fn get(fd: u64) -> Result<SocketFile, Errno> {
        let file = descriptor(fd)?;
        if file.is_path() {
            return Err(Errno::EBADF);
        }
        match file.file().as_socket() {
            Some(_) => Ok(SocketFile(file)),
            None => Err(Errno::ENOTSOCK),
        }
    }

    /// The socket.
    pub(super) fn socket(&self) -> Result<&Socket, Errno> {
        self.0.file().as_socket().ok_or(Errno::ENOTSOCK)
    }

    /// Whether its calls do not wait.
    pub(super) fn nonblocking(&self) -> bool {
        self.0.flags() & O_NONBLOCK != 0
    }
}

/// Reads an address: EINVAL where it is longer than any, EFAULT.
pub(super) fn read_address(addr: u64, len: u64) -> Result<Vec<u8>, Errno> {
    let len = usize::try_from(len as i32).map_err(|_| Errno::EINVAL)?;
    if len > ADDRESS_MAX_BYTES {
        return Err(Errno::EINVAL);
    }
    let mut raw = vec![0; len];
    user::copy_in(addr, &mut raw)?;
    Ok(raw)
}

/// Writes an address as far as there is room for it, and its length at `len_at`.
pub(super) fn write_address(raw: &[u8], addr: u64, len_at: u64) -> Result<(), Errno> {
    let room = user::read::<i32>(len_at)?;
    let room = usize::try_from(room).map_err(|_| Errno::EINVAL)?;
    user::write::<u32>(len_at, &(raw.len() as u32))?;
    user::copy_out(addr, raw.get(..room).unwrap_or(raw))
}

/// Type and flags of the type argument; EINVAL for flags that do not exist.
fn split_type(argument: u64) -> Result<(u32, u32), Errno> {
    let (kind, flags) = (argument as u32 & TYPE_MASK, argument as u32 & !TYPE_MASK);
    if flags & !(SOCK_CLOEXEC | SOCK_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    Ok((kind, flags))
}

/// socket(2).
pub(super) fn socket(args: &[u64; 6]) -> SysResult {
    let [domain, kind, protocol, ..] = *args;
    let (kind, flags) = split_type(kind)?;
    let family = net::create(domain as u32, kind, protocol as u32)?;
    install(
        Socket::open(family, flags & SOCK_NONBLOCK),
        flags & SOCK_CLOEXEC != 0,
    )
}

/// socketpair(2).
pub(super) fn socketpair(args: &[u64; 6]) -> SysResult {
    let [domain, kind, protocol, out, ..] = *args;
    let (kind, flags) = split_type(kind)?;
    let pair = net::create_pair(domain as u32, kind, protocol as u32)?;
    let table = &process::current().files;
    let limit = fs::open_files();
    let reserve = || table.lock().reserve(flags & SOCK_CLOEXEC != 0, limit);
    let one_fd = reserve()?;
    let other_fd = reserve().inspect_err(|_| table.lock().give_back(one_fd))?;
    let numbers = u64::from(one_fd) | u64::from(other_fd) << 32;
    if let Err(errno) = user::write::<u64>(out, &numbers) {
        let mut table = table.lock();
        table.give_back(one_fd);
        table.give_back(other_fd);
        return Err(errno);
    }
    for (fd, family) in [one_fd, other_fd].into_iter().zip(pair) {
        let file = Socket::open(family, flags & SOCK_NONBLOCK);
        table.lock().fill(fd, file);
    }
    Ok(0)
}

/// bind(2).
pub(super) fn bind(args: &[u64; 6]) -> SysResult {
    let [fd, addr, len, ..] = *args;
    let file = SocketFile::get(fd)?;
    let raw = read_address(addr, len)?;
    file.socket()?.family().bind(&raw)?;
    Ok(0)
}

/// listen(2).
pub(super) fn listen(args: &[u64; 6]) -> SysResult {
    let file = SocketFile::get(args[0])?;
    // A negative backlog is a huge one.
    let backlog = (args[1] as u32).min(BACKLOG_MAX);
    file.socket()?.family().listen(backlog)?;
    Ok(0)
}

/// accept(2).
pub(super) fn accept(args: &[u64; 6]) -> SysResult {
    accept_with(args, 0)
}

/// accept4(2).
pub(super) fn accept4(args: &[u64; 6]) -> SysResult {
    accept_with(args, args[3] as u32)
}

fn accept_with(args: &[u64; 6], flags: u32) -> SysResult {
    let [fd, addr, len_at, ..] = *args;
    if flags & !(SOCK_CLOEXEC | SOCK_NONBLOCK) != 0 {
        descriptor(fd)?;
        return Err(Errno::EINVAL);
    }
    let file = SocketFile::get(fd)?;
    let files = &process::current().files;
    // First: without a descriptor for it, the connection has to stay where it is.
    let new_fd = files
        .lock()
        .reserve(flags & SOCK_CLOEXEC != 0, fs::open_files())?;
    match accept_from(&file, flags, addr, len_at) {
        Ok(accepted) => {
            files.lock().fill(new_fd, accepted);
            Ok(new_fd as usize)
        }
        Err(errno) => {
            files.lock().give_back(new_fd);
            Err(errno)
        }
    }
}

fn accept_from(
    file: &SocketFile,
    flags: u32,
    addr: u64,
    len_at: u64,
) -> Result<Arc<OpenFile>, Errno> {
    let socket = file.socket()?;
    let patience = socket.receive_patience(file.nonblocking());
    let family = socket.family().accept(patience)?;
    if addr != 0 {
        let raw = family.accepted_from()?;
        write_address(&raw, addr, len_at)?;
    }
    Ok(Socket::open(family, flags & SOCK_NONBLOCK))
}

/// connect(2).
pub(super) fn connect(args: &[u64; 6]) -> SysResult {
    let [fd, addr, len, ..] = *args;
    let file = SocketFile::get(fd)?;
    let raw = read_address(addr, len)?;
    let socket = file.socket()?;
    let patience = socket.send_patience(file.nonblocking());
    socket.family().connect(&raw, patience)?;
    Ok(0)
}

/// shutdown(2).
pub(super) fn shutdown(args: &[u64; 6]) -> SysResult {
    let file = SocketFile::get(args[0])?;
    let how = Shutdown::from_how(args[1] as u32)?;
    file.socket()?.family().shutdown(how)?;
    Ok(0)
}

/// getsockname(2).
pub(super) fn getsockname(args: &[u64; 6]) -> SysResult {
    let [fd, addr, len_at, ..] = *args;
    let file = SocketFile::get(fd)?;
    let raw = file.socket()?.family().local_address();
    write_address(&raw, addr, len_at)?;
    Ok(0)
}

/// getpeername(2).
pub(super) fn getpeername(args: &[u64; 6]) -> SysResult {
    let [fd, addr, len_at, ..] = *args;
    let file = SocketFile::get(fd)?;
    let raw = file.socket()?.family().peer_address()?;
    write_address(&raw, addr, len_at)?;
    Ok(0)
}

/// setsockopt(2).
pub(super) fn setsockopt(args: &[u64; 6]) -> SysResult {
    let [fd, level, name, addr, len, _] = *args;
    let file = SocketFile::get(fd)?;
    let len = usize::try_from(len as i32).map_err(|_| Errno::EINVAL)?;
    let (level, name) = (level as u32, name as u32);
    // This one is a name.
    let is_short = len < size_of::<i32>() && name != SO_BINDTODEVICE;
    if level == SOL_SOCKET && is_short {
        return Err(Errno::EINVAL);
    }
    let mut bytes = vec![0; len.min(OPTION_MAX_BYTES)];
    user::copy_in(addr, &mut bytes)?;
    file.socket()?.family().set_option(level, name, &bytes)?;
    Ok(0)
}

/// getsockopt(2).
pub(super) fn getsockopt(args: &[u64; 6]) -> SysResult {
    let [fd, level, name, addr, len_at, _] = *args;
    let file = SocketFile::get(fd)?;
    let room = user::read::<i32>(len_at)?;
    let room = usize::try_from(room).map_err(|_| Errno::EINVAL)?;
    let family = file.socket()?.family();
    let bytes = match family.option(level as u32, name as u32, room)? {
        Value::Cut(mut bytes) => {
            bytes.truncate(room);
            bytes
        }
        Value::Whole(bytes) if bytes.len() > room => return Err(Errno::EINVAL),
        Value::List(bytes) if bytes.len() > room => {
            user::write::<u32>(len_at, &(bytes.len() as u32))?;
            return Err(Errno::ERANGE);
        }
        Value::Whole(bytes) | Value::List(bytes) => bytes,
    };
    user::copy_out(addr, &bytes)?;
    user::write::<u32>(len_at, &(bytes.len() as u32))?;
    Ok(0)
}
