//! Messages: SOCK_DGRAM. Each goes to the monitor whole, and comes whole or cut.

use linux_raw_sys::general::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP};
use linux_raw_sys::net::{MSG_ERRQUEUE, MSG_TRUNC};

use unikiln_abi::socket::NAME_PEER;

use super::HostSocket;
use super::beside;
use super::buffer::Buffer;
use crate::errno::{Errno, SysResult};
use crate::hypercall::socket as host;
use crate::net::Patience;
use crate::net::message::{Incoming, Outgoing};

/// Most bytes of a datagram, its headers counted.
const DATAGRAM_MAX_BYTES: usize = 0xffff;
/// Most bytes that one receive brings: datagrams can be glued (UDP_GRO).
const RECEIVE_MAX_BYTES: usize = 128 << 10;
/// A receive would give something.
const RECEIVABLE: u32 = EPOLLIN | EPOLLRDHUP | EPOLLHUP;
/// A send would take something, or fail.
const SENDABLE: u32 = EPOLLOUT | EPOLLHUP;

/// Sends one datagram.
pub(super) fn send(own: &HostSocket, out: &mut Outgoing<'_>) -> SysResult {
    own.report_error()?;
    let len = out.data.remaining();
    if len > DATAGRAM_MAX_BYTES {
        return Err(Errno::EMSGSIZE);
    }
    if out.address.as_ref().is_some_and(|raw| raw.is_empty()) {
        return Err(Errno::EINVAL);
    }
    let flags = beside::host_flags(out.flags);
    let mut buffer = Buffer::take(len)?;
    let (data, sending) = buffer.outgoing(len)?;
    let has_beside = beside::fill(sending, out)?;
    if let Err(errno) = out.data.take(data) {
        // Linux looks at where it goes before it looks at the bytes.
        let is_lost = out.address.is_none() && own.address(NAME_PEER) == Err(Errno::ENOTCONN);
        return Err(if is_lost { Errno::EDESTADDRREQ } else { errno });
    }
    loop {
        let seen = own.change_count();
        match host::send(own.handle, data, flags, has_beside.then_some(&*sending)) {
            Err(Errno::EAGAIN) => own.wait_change(out.patience, SENDABLE, seen)?,
            outcome => return outcome,
        }
    }
}

/// Receives one datagram.
pub(super) fn receive(own: &HostSocket, incoming: &mut Incoming<'_>) -> SysResult {
    own.report_error()?;
    if incoming.asks(MSG_ERRQUEUE) {
        // It never waits.
        incoming.patience = Patience::None;
    }
    if incoming.patience != Patience::None {
        own.wait_ready(incoming.patience, RECEIVABLE | EPOLLERR)?;
    }
    let wanted = incoming.data.remaining().min(RECEIVE_MAX_BYTES);
    let flags = beside::host_flags(incoming.flags);
    loop {
        let seen = own.change_count();
        {
            let mut buffer = Buffer::take(wanted)?;
            let (data, received) = buffer.incoming(wanted)?;
            match host::receive(own.handle, data, flags, Some(&mut *received)) {
                Ok(count) => {
                    beside::deliver(received, incoming);
                    let bytes = data.get(..count).unwrap_or(data);
                    incoming.data.put(bytes)?;
                    let whole = incoming.asks(MSG_TRUNC);
                    return Ok(if whole { count } else { bytes.len() });
                }
                Err(Errno::EAGAIN) => {}
                Err(errno) => return Err(errno),
            }
        }
        // Only a call that waits sees the end, as in Linux.
        if incoming.patience != Patience::None && own.host_ready() & EPOLLRDHUP != 0 {
            return Ok(0);
        }
        own.wait_change(incoming.patience, RECEIVABLE, seen)?;
    }
}
