//! MSG_PEEK on a connection: receiving without taking.
//!
//! Every look begins at the first byte, so nothing goes to the program before there
//! is enough. With rings, what is looked at moves to where bytes wait that the
//! program's memory did not take: a look can want more than a ring has.

use linux_raw_sys::general::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLRDHUP};
use linux_raw_sys::net::MSG_TRUNC;

use super::HostSocket;
use super::beside;
use super::buffer::{BUFFER_MAX_BYTES, Buffer};
use super::ring::{End, Rings};
use super::stream::RECEIVABLE;
use crate::errno::{Errno, SysResult};
use crate::hypercall::socket as host;
use crate::net::message::Incoming;

/// Nothing more comes.
const ENDED: u32 = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

/// Shows what there is once it is `target` bytes, or no more will come.
pub(super) fn receive(own: &HostSocket, incoming: &mut Incoming<'_>, target: usize) -> SysResult {
    if let Some(rings) = own.rings() {
        return receive_ringed(own, rings, incoming, target);
    }
    let wanted = incoming.data.remaining().min(BUFFER_MAX_BYTES);
    if own.held_bytes() > 0 {
        return show_held(own, incoming, wanted);
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

fn show_held(own: &HostSocket, incoming: &mut Incoming<'_>, wanted: usize) -> SysResult {
    let mut held = own.held.lock().clone();
    held.truncate(wanted);
    if !incoming.asks(MSG_TRUNC) {
        incoming.data.put(&held)?;
    }
    Ok(held.len())
}

fn receive_ringed(
    own: &HostSocket,
    rings: &Rings,
    incoming: &mut Incoming<'_>,
    target: usize,
) -> SysResult {
    let wanted = incoming.data.remaining().min(BUFFER_MAX_BYTES);
    loop {
        let seen = own.change_count();
        let failure = pull(own, rings, wanted).err();
        let held = own.held_bytes();
        let is_over = failure.is_some_and(|errno| errno != Errno::EAGAIN)
            || rings.end() != End::Open
            || own.word() & ENDED != 0;
        if held > 0 && (held >= target.min(wanted) || is_over) {
            return show_held(own, incoming, wanted);
        }
        if held == 0 && is_over {
            return failure.map_or(Ok(0), |errno| rings.take_error().map_or(Err(errno), Err));
        }
        // More bytes are a change of a socket that is readable already.
        let events = if held > 0 { 0 } else { RECEIVABLE };
        match own.wait_change(incoming.patience, events, seen) {
            Ok(()) => {}
            Err(_) if held > 0 => return show_held(own, incoming, wanted),
            Err(errno) => return Err(errno),
        }
    }
}

/// Has `wanted` bytes held where there are as many. EAGAIN where there are not; an
/// end that the host tells is none.
fn pull(own: &HostSocket, rings: &Rings, wanted: usize) -> Result<(), Errno> {
    loop {
        // Who wants no byte is told whether there is one.
        rings.pull(&own.held, wanted.max(1));
        let held = own.held_bytes();
        if held >= wanted.max(1) || rings.end() == End::Ended {
            return Ok(());
        }
        if own.word() & (EPOLLIN | ENDED) == 0 {
            return Err(Errno::EAGAIN);
        }
        let missing = wanted.max(1) - held;
        let mut buffer = Buffer::take(missing)?;
        let (data, _) = buffer.incoming(missing)?;
        let count = host::receive(own.handle, data, 0, None)?;
        if count == 0 {
            return Ok(());
        }
        let bytes = data.get(..count).unwrap_or(data);
        own.held.lock().extend_from_slice(bytes);
    }
}
