//! Bytes over a connection: SOCK_STREAM.
//!
//! What does not fit into one call to the monitor goes in several. An error that
//! comes after some bytes went is left for the next call, as Linux leaves it.

use alloc::vec::Vec;

use linux_raw_sys::general::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP, SIGPIPE};
use linux_raw_sys::net::{MSG_ERRQUEUE, MSG_OOB, MSG_PEEK, MSG_TRUNC, MSG_WAITALL};

use super::HostSocket;
use super::beside;
use super::buffer::{BUFFER_MAX_BYTES, Buffer};
use crate::errno::{Errno, SysResult};
use crate::hypercall::socket as host;
use crate::net::Patience;
use crate::net::message::{Incoming, Outgoing};
use crate::signal;

/// A receive would give something, if only an end.
const RECEIVABLE: u32 = EPOLLIN | EPOLLRDHUP | EPOLLHUP;
/// A send would take something, or fail.
const SENDABLE: u32 = EPOLLOUT | EPOLLHUP;
/// Nothing more comes.
const ENDED: u32 = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

/// Sends into a stream.
pub(super) fn send(own: &HostSocket, out: &mut Outgoing<'_>) -> SysResult {
    own.report_error()?;
    let mut sent = 0;
    match send_all(own, out, &mut sent) {
        Ok(()) => Ok(sent),
        Err(errno) if sent > 0 => {
            own.leave_error(errno);
            Ok(sent)
        }
        Err(errno) => {
            if errno == Errno::EPIPE && out.flags & beside::MSG_NOSIGNAL == 0 {
                signal::raise_current(SIGPIPE);
            }
            Err(errno)
        }
    }
}

fn send_all(own: &HostSocket, out: &mut Outgoing<'_>, sent: &mut usize) -> Result<(), Errno> {
    let flags = beside::host_flags(out.flags);
    loop {
        let wanted = out.data.remaining().min(BUFFER_MAX_BYTES);
        let mut buffer = Buffer::take(wanted)?;
        let (data, sending) = buffer.outgoing(wanted)?;
        let has_beside = beside::fill(sending, out)?;
        // What can be read before the first bad page goes out.
        let filled = out.data.take_part(data);
        if filled == 0 && wanted > 0 {
            return Err(Errno::EFAULT);
        }
        let mut done = 0;
        loop {
            let rest = data.get(done..filled).unwrap_or_default();
            let seen = own.change_count();
            match host::send(own.handle, rest, flags, has_beside.then_some(&*sending)) {
                Ok(count) => {
                    done += count;
                    *sent += count;
                    if done >= filled {
                        break;
                    }
                    if out.patience == Patience::None {
                        return Ok(());
                    }
                    own.wait_ready(out.patience, SENDABLE | EPOLLERR)?;
                }
                Err(Errno::EAGAIN) => own.wait_change(out.patience, SENDABLE, seen)?,
                Err(errno) => return Err(errno),
            }
        }
        if filled < wanted {
            return Err(Errno::EFAULT);
        }
        if out.data.remaining() == 0 {
            return Ok(());
        }
    }
}

/// Receives from a stream.
pub(super) fn receive(own: &HostSocket, incoming: &mut Incoming<'_>) -> SysResult {
    own.report_error()?;
    if incoming.asks(MSG_OOB | MSG_ERRQUEUE) {
        // These never wait.
        incoming.patience = Patience::None;
        return take(own, incoming, incoming.data.remaining());
    }
    let len = incoming.data.remaining();
    let target = if incoming.asks(MSG_WAITALL) {
        len
    } else {
        len.min(own.options.low_water())
    };
    if incoming.patience != Patience::None && !own.is_listening() && own.held_bytes() == 0 {
        own.wait_ready(incoming.patience, RECEIVABLE | EPOLLERR)?;
    }
    if incoming.asks(MSG_PEEK) {
        return peek(own, incoming, target);
    }
    let mut copied = take_held(own, incoming);
    loop {
        if copied > 0 && copied >= len {
            return Ok(copied);
        }
        let wanted = (len - copied).min(BUFFER_MAX_BYTES);
        let seen = own.change_count();
        let failure = match take(own, incoming, wanted) {
            Ok(0) => return Ok(copied),
            Ok(count) => {
                copied += count;
                if count == wanted || copied < target {
                    continue;
                }
                return Ok(copied);
            }
            Err(Errno::EAGAIN) if copied >= target.max(1) => return Ok(copied),
            Err(Errno::EAGAIN) => match own.wait_change(incoming.patience, RECEIVABLE, seen) {
                Ok(()) => continue,
                // The end of the wait is no error of the connection.
                Err(_) if copied > 0 => return Ok(copied),
                Err(errno) => errno,
            },
            Err(errno) => errno,
        };
        if copied == 0 {
            return Err(failure);
        }
        if failure != Errno::EFAULT {
            own.leave_error(failure);
        }
        return Ok(copied);
    }
}

/// One call to the monitor, and its bytes to the program. What the program's memory
/// does not take waits for the next receive.
fn take(own: &HostSocket, incoming: &mut Incoming<'_>, wanted: usize) -> SysResult {
    let wanted = wanted.min(BUFFER_MAX_BYTES);
    let mut buffer = Buffer::take(wanted)?;
    let (data, received) = buffer.incoming(wanted)?;
    let flags = beside::host_flags(incoming.flags);
    let wants_beside = incoming.with_control || incoming.asks(MSG_ERRQUEUE);
    let place = wants_beside.then_some(&mut *received);
    let count = host::receive(own.handle, data, flags, place)?;
    if wants_beside {
        beside::deliver(received, incoming);
    }
    if incoming.asks(MSG_TRUNC) && !incoming.asks(MSG_ERRQUEUE) {
        // The bytes of a stream are thrown away.
        return Ok(count);
    }
    let bytes = data.get(..count).unwrap_or(data);
    let copied = incoming.data.put_part(bytes);
    let rest = bytes.get(copied..).unwrap_or_default();
    if !rest.is_empty() {
        if !incoming.asks(MSG_PEEK | MSG_OOB) {
            own.held.lock().splice(..0, rest.iter().copied());
        }
        if copied == 0 {
            return Err(Errno::EFAULT);
        }
    }
    Ok(copied)
}

/// Gives what an earlier receive could not.
fn take_held(own: &HostSocket, incoming: &mut Incoming<'_>) -> usize {
    if own.held_bytes() == 0 {
        return 0;
    }
    let mut held: Vec<u8> = core::mem::take(&mut *own.held.lock());
    let len = held.len().min(incoming.data.remaining());
    let copied = incoming
        .data
        .put_part(held.get(..len).unwrap_or_default())
        .min(len);
    held.drain(..copied);
    own.held.lock().splice(..0, held);
    copied
}

/// Receives without taking: every look begins at the first byte, so nothing goes to
/// the program before there is enough.
fn peek(own: &HostSocket, incoming: &mut Incoming<'_>, target: usize) -> SysResult {
    let wanted = incoming.data.remaining().min(BUFFER_MAX_BYTES);
    let held = own.held.lock().clone();
    if !held.is_empty() {
        let len = held.len().min(wanted);
        let bytes = held.get(..len).unwrap_or_default();
        return incoming.data.put(bytes).map(|()| len);
    }
    let flags = beside::host_flags(incoming.flags);
    loop {
        let seen = own.change_count();
        let mut buffer = Buffer::take(wanted)?;
        let (data, _) = buffer.incoming(wanted)?;
        let outcome = host::receive(own.handle, data, flags, None);
        let is_enough = match outcome {
            Ok(count) => count >= target.min(wanted) || count == 0 || own.host_ready() & ENDED != 0,
            Err(errno) => errno != Errno::EAGAIN,
        };
        // More bytes are a change of a socket that is readable already.
        let waited = if is_enough {
            Err(Errno::EAGAIN)
        } else if outcome.is_ok() {
            own.wait_change(incoming.patience, 0, seen)
        } else {
            own.wait_change(incoming.patience, RECEIVABLE, seen)
        };
        match (waited, outcome) {
            (Ok(()), _) => {}
            (Err(_), Ok(count)) => {
                let bytes = data.get(..count).unwrap_or(data);
                if !incoming.asks(MSG_TRUNC) {
                    incoming.data.put(bytes)?;
                }
                return Ok(count);
            }
            (Err(_), Err(errno)) if is_enough => return Err(errno),
            (Err(errno), Err(_)) => return Err(errno),
        }
    }
}
