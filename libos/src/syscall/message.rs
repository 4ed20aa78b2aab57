//! Sending and receiving over sockets, one message or several at a time.
//!
//! ```text
//!  struct msghdr   0 name 8 name bytes(u32) 16 iov 24 iov count 32 control 40 control bytes 48 flags
//!  struct mmsghdr  a msghdr, 56 bytes transferred(u32), 64 bytes in all
//! ```

use alloc::sync::Arc;
use alloc::vec;

use linux_raw_sys::net::MSG_DONTWAIT;

use super::poll::timespec_deadline;
use super::socket::{ADDRESS_MAX_BYTES, SocketFile, read_address, write_address};
use crate::errno::{Errno, SysResult};
use crate::fs::transfer::{IOV_MAX, TRANSFER_MAX_BYTES, UserRanges};
use crate::fs::{self, OpenFile};
use crate::mm::user;
use crate::net::control::{self, HEADER_BYTES, SCM_CREDENTIALS, SCM_RIGHTS};
use crate::net::message::{Incoming, Outgoing};
use crate::process;
use crate::time;

/// Some of the control data did not fit.
const MSG_CTRUNC: u32 = 0x8;
/// Files that are received close at `execve`.
const MSG_CMSG_CLOEXEC: u32 = 0x4000_0000;
/// recvmmsg: wait for the first message alone.
const MSG_WAITFORONE: u32 = 0x1_0000;
/// A 32-bit program's message, which no 64-bit one can have.
const MSG_CMSG_COMPAT: u32 = 0x8000_0000;
/// Bytes of `struct mmsghdr`.
const MMSGHDR_BYTES: u64 = 64;
/// Most messages of one call.
const MESSAGES_MAX: u64 = 1024;
/// Most bytes of control data that are sent (`net.core.optmem_max`).
const CONTROL_MAX_BYTES: u64 = 128 << 10;

/// A `struct msghdr`.
struct Header {
    at: u64,
    name: u64,
    name_bytes: u32,
    vector: u64,
    count: u64,
    control: u64,
    control_bytes: u64,
}

impl Header {
    fn read(at: u64) -> Result<Header, Errno> {
        let mut raw = [0; 56];
        user::copy_in(at, &mut raw)?;
        let (words, _) = raw.as_chunks();
        let word = |index: usize| words.get(index).map_or(0, |word| u64::from_le_bytes(*word));
        let name = word(0);
        let header = Header {
            at,
            name,
            name_bytes: if name == 0 { 0 } else { word(1) as u32 },
            vector: word(2),
            count: word(3),
            control: word(4),
            control_bytes: word(5),
        };
        if (header.name_bytes as i32) < 0 {
            return Err(Errno::EINVAL);
        }
        Ok(header)
    }

    /// Where the data is.
    fn ranges(&self) -> Result<UserRanges, Errno> {
        if self.count > IOV_MAX as u64 {
            return Err(Errno::EMSGSIZE);
        }
        UserRanges::vector(self.vector, self.count)
    }
}

/// sendto(2).
pub(super) fn sendto(args: &[u64; 6]) -> SysResult {
    let [fd, buffer, len, flags, addr, addr_len] = *args;
    let mut data = UserRanges::one(buffer, len.min(TRANSFER_MAX_BYTES as u64))?;
    let file = SocketFile::get(fd)?;
    let flags = flags as u32;
    let socket = file.socket()?;
    let patience = socket.send_patience(file.nonblocking() || flags & MSG_DONTWAIT != 0);
    let mut message = Outgoing::new(&mut data, flags, patience);
    if addr != 0 {
        let raw = read_address(addr, addr_len)?;
        let counts = !raw.is_empty() || socket.family().is_host_socket();
        message.address = counts.then_some(raw);
    }
    socket.family().send(&mut message)
}

/// recvfrom(2).
pub(super) fn recvfrom(args: &[u64; 6]) -> SysResult {
    let [fd, buffer, len, flags, addr, len_at] = *args;
    let mut data = UserRanges::one(buffer, len.min(TRANSFER_MAX_BYTES as u64))?;
    let file = SocketFile::get(fd)?;
    let flags = flags as u32;
    let socket = file.socket()?;
    let patience = socket.receive_patience(file.nonblocking() || flags & MSG_DONTWAIT != 0);
    let mut message = Incoming::new(&mut data, flags, patience);
    let count = socket.family().receive(&mut message)?;
    if addr != 0 {
        write_address(&message.address, addr, len_at)?;
    }
    Ok(count)
}

/// sendmsg(2).
pub(super) fn sendmsg(args: &[u64; 6]) -> SysResult {
    let [fd, at, flags, ..] = *args;
    if flags as u32 & MSG_CMSG_COMPAT != 0 {
        return Err(Errno::EINVAL);
    }
    send_one(&SocketFile::get(fd)?, at, flags as u32)
}

fn send_one(file: &SocketFile, at: u64, flags: u32) -> SysResult {
    let header = Header::read(at)?;
    let name_bytes = header.name_bytes.min(ADDRESS_MAX_BYTES as u32);
    let address = if name_bytes > 0 {
        Some(read_address(header.name, u64::from(name_bytes))?)
    } else {
        None
    };
    let mut data = header.ranges()?;
    let socket = file.socket()?;
    let patience = socket.send_patience(file.nonblocking() || flags & MSG_DONTWAIT != 0);
    let mut message = Outgoing::new(&mut data, flags, patience);
    message.address = address;
    if header.control_bytes > CONTROL_MAX_BYTES {
        return Err(Errno::ENOBUFS);
    }
    if header.control_bytes > 0 {
        message.control = vec![0; header.control_bytes as usize];
        user::copy_in(header.control, &mut message.control)?;
    }
    socket.family().send(&mut message)
}

/// recvmsg(2).
pub(super) fn recvmsg(args: &[u64; 6]) -> SysResult {
    let [fd, at, flags, ..] = *args;
    if flags as u32 & MSG_CMSG_COMPAT != 0 {
        return Err(Errno::EINVAL);
    }
    receive_one(&SocketFile::get(fd)?, at, flags as u32)
}

fn receive_one(file: &SocketFile, at: u64, flags: u32) -> SysResult {
    let header = Header::read(at)?;
    let mut data = header.ranges()?;
    let socket = file.socket()?;
    let patience = socket.receive_patience(file.nonblocking() || flags & MSG_DONTWAIT != 0);
    let mut message = Incoming::new(&mut data, flags, patience);
    message.with_control = header.control != 0;
    let count = socket.family().receive(&mut message)?;
    let control_bytes = deliver(&header, &mut message);
    if header.name != 0 {
        write_address(&message.address, header.name, header.at + 8)?;
    }
    let reported = message.reported | flags & MSG_CMSG_CLOEXEC;
    user::write::<u32>(header.at + 48, &reported)?;
    user::write::<u64>(header.at + 40, &control_bytes)?;
    Ok(count)
}

/// Gives the program credentials and files, as far as there is room for them, and
/// the bytes that they took. What does not fit is closed.
fn deliver(header: &Header, message: &mut Incoming<'_>) -> u64 {
    let room = if header.control == 0 {
        0
    } else {
        usize::try_from(header.control_bytes).unwrap_or(usize::MAX)
    };
    let mut used = deliver_control(header, message, room);
    if let Some(credentials) = message.credentials {
        let bytes = credentials.to_bytes();
        let (bytes, cut) = control::put(SCM_CREDENTIALS, &bytes, room - used);
        // The message is received all the same where they cannot be written.
        if user::copy_out(header.control, &bytes).is_ok() {
            used += bytes.len();
        }
        if cut {
            message.reported |= MSG_CTRUNC;
        }
    }
    if message.files.is_empty() {
        return used as u64;
    }
    let at = header.control.wrapping_add(used as u64);
    let left = room - used;
    let fit = left.saturating_sub(HEADER_BYTES) / size_of::<u32>();
    let close_on_exec = message.flags & MSG_CMSG_CLOEXEC != 0;
    let numbers = install_files(
        message.files.get(..fit).unwrap_or(&message.files),
        at.wrapping_add(HEADER_BYTES as u64),
        close_on_exec,
    );
    if numbers < message.files.len() {
        message.reported |= MSG_CTRUNC;
    }
    if numbers > 0 {
        let data_bytes = numbers * size_of::<u32>();
        let len = HEADER_BYTES + data_bytes;
        let (bytes, _) = control::put(SCM_RIGHTS, &[], HEADER_BYTES);
        let written = user::copy_out(at, &bytes);
        if written
            .and_then(|()| user::write::<u64>(at, &(len as u64)))
            .is_ok()
        {
            used += len.next_multiple_of(8).min(left);
        }
    }
    used as u64
}

/// Gives the program the host's control messages, as far as there is room for
/// them; the bytes that they took.
fn deliver_control(header: &Header, message: &mut Incoming<'_>, room: usize) -> usize {
    let fits = message.control.len() <= room;
    let bytes = message.control.get(..room).unwrap_or(&message.control);
    if user::copy_out(header.control, bytes).is_err() {
        return 0;
    }
    let used = bytes.len();
    if !fits {
        message.reported |= MSG_CTRUNC;
    }
    used
}

/// Gives files descriptors and writes those at `at`, until one fails; how many there are.
fn install_files(files: &[Arc<OpenFile>], at: u64, close_on_exec: bool) -> usize {
    let table = &process::current().files;
    for (index, file) in files.iter().enumerate() {
        let reserved = table.lock().reserve(close_on_exec, fs::open_files());
        let Ok(fd) = reserved else { return index };
        let place = at.wrapping_add((index * size_of::<u32>()) as u64);
        if user::write::<u32>(place, &fd).is_err() {
            table.lock().give_back(fd);
            return index;
        }
        table.lock().fill(fd, file.clone());
    }
    files.len()
}

/// sendmmsg(2).
pub(super) fn sendmmsg(args: &[u64; 6]) -> SysResult {
    let [fd, at, count, flags, ..] = *args;
    let flags = flags as u32;
    if flags & MSG_CMSG_COMPAT != 0 {
        return Err(Errno::EINVAL);
    }
    let file = SocketFile::get(fd)?;
    for index in 0..(count as u32 as u64).min(MESSAGES_MAX) {
        let here = at.wrapping_add(index * MMSGHDR_BYTES);
        let sent = send_one(&file, here, flags)
            .and_then(|sent| user::write::<u32>(here.wrapping_add(56), &(sent as u32)));
        match sent {
            Ok(()) => {}
            Err(errno) if index == 0 => return Err(errno),
            Err(_) => return Ok(index as usize),
        }
    }
    Ok((count as u32 as usize).min(MESSAGES_MAX as usize))
}

/// recvmmsg(2). The timeout is looked at after each message, as in Linux.
pub(super) fn recvmmsg(args: &[u64; 6]) -> SysResult {
    let [fd, at, count, flags, timeout, _] = *args;
    let mut flags = flags as u32;
    if flags & MSG_CMSG_COMPAT != 0 {
        return Err(Errno::EINVAL);
    }
    let deadline = timespec_deadline(timeout)?;
    let file = SocketFile::get(fd)?;
    if let Some(errno) = file.socket()?.family().take_error() {
        return Err(errno);
    }
    let mut done = 0;
    let mut failure = None;
    while done < u64::from(count as u32) {
        let here = at.wrapping_add(done * MMSGHDR_BYTES);
        let received = receive_one(&file, here, flags & !MSG_WAITFORONE)
            .and_then(|len| user::write::<u32>(here.wrapping_add(56), &(len as u32)));
        if let Err(errno) = received {
            failure = Some(errno);
            break;
        }
        done += 1;
        if flags & MSG_WAITFORONE != 0 {
            flags |= MSG_DONTWAIT;
        }
        if deadline.is_some_and(|deadline| time::monotonic_ns() >= deadline) {
            break;
        }
    }
    if let Some(deadline) = deadline {
        write_left(timeout, deadline)?;
    }
    match failure {
        Some(errno) if done == 0 => return Err(errno),
        Some(errno) if errno != Errno::EAGAIN => file.socket()?.family().set_error(errno),
        _ => {}
    }
    Ok(done as usize)
}

/// Writes what is left of a timeout.
fn write_left(timeout: u64, deadline_ns: u64) -> Result<(), Errno> {
    let left = deadline_ns.saturating_sub(time::monotonic_ns());
    user::write::<u64>(timeout, &(left / time::SECOND_NS))?;
    user::write::<u64>(timeout.wrapping_add(8), &(left % time::SECOND_NS))
}
