//! Messages: SOCK_DGRAM, and SOCK_SEQPACKET over a connection.
//!
//! A datagram goes to the address that comes with it or to the peer, and waits
//! there: the sender waits when too many do. A message is received whole or cut.

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::general::EPOLLERR;
use linux_raw_sys::net::{AF_UNSPEC, MSG_OOB, MSG_PEEK, MSG_TRUNC};
use spin::Mutex;

use super::address::{Address, family_of};
use super::endpoint::{Endpoint, Phase, READABLE, WRITABLE};
use super::names;
use super::queue::{Charge, Message};
use super::stream::{Along, peek_files, take_files, tells_sender};
use crate::errno::{Errno, SysResult};
use crate::net::Kind;
use crate::net::control::Credentials;
use crate::net::message::{Incoming, Outgoing};

/// Bytes of the send buffer that a message cannot have.
const RESERVED_BYTES: usize = 32;

/// Sets where datagrams go; AF_UNSPEC takes that back.
pub(super) fn connect(own: &Arc<Endpoint>, raw: &[u8]) -> Result<(), Errno> {
    let target = if family_of(raw)? == AF_UNSPEC {
        None
    } else {
        let address = Address::parse(raw)?;
        bind_if_credentials_pass(own)?;
        let target = names::find(&address, own.kind)?;
        if !accepts_from(&target, own) {
            return Err(Errno::EPERM);
        }
        let mut state = target.state.lock();
        state
            .senders
            .retain(|sender| sender.strong_count() > 0 && sender.as_ptr() != Arc::as_ptr(own));
        state.senders.push(Arc::downgrade(own));
        drop(state);
        Some(target)
    };
    let old = {
        let mut state = own.state.lock();
        state.phase = match target {
            Some(_) => Phase::Connected,
            None => Phase::Idle,
        };
        core::mem::replace(&mut state.peer, target.clone())
    };
    if let Some(old) = old
        && !target.is_some_and(|target| Arc::ptr_eq(&target, &old))
    {
        left(own, &old);
    }
    // Whoever waits for room here may be the peer now, or may no longer send.
    own.room.wake_all();
    own.notify(WRITABLE);
    Ok(())
}

/// A socket whose messages tell their sender has a name to answer to.
pub(super) fn bind_if_credentials_pass(own: &Arc<Endpoint>) -> Result<(), Errno> {
    if own.options.passes_credentials() && !own.is_bound() {
        names::bind_automatically(own)?;
    }
    Ok(())
}

/// Whether `target` takes messages of `own`: it has no peer, or that one.
fn accepts_from(target: &Endpoint, own: &Arc<Endpoint>) -> bool {
    let state = target.state.lock();
    state
        .peer
        .as_ref()
        .is_none_or(|peer| Arc::ptr_eq(peer, own))
}

/// `own` no longer has the peer `old`: what waits here is lost, and if anything is,
/// a peer that sends here is told.
fn left(own: &Arc<Endpoint>, old: &Arc<Endpoint>) {
    let lost = core::mem::take(&mut own.state.lock().queue);
    let lost_some = !lost.is_empty();
    drop(lost);
    if lost_some {
        own.room.wake_all();
    }
    let told = {
        let mut state = old.state.lock();
        state
            .senders
            .retain(|sender| sender.as_ptr() != Arc::as_ptr(own));
        let sends_here = state
            .peer
            .as_ref()
            .is_some_and(|peer| Arc::ptr_eq(peer, own));
        let told = lost_some && sends_here && !state.released;
        if told {
            state.error = Some(Errno::ECONNRESET);
        }
        told
    };
    if told {
        old.notify(EPOLLERR);
    }
}

/// What came of putting a message into the queue of another end.
enum Offered {
    Taken,
    /// The other end is closed.
    Closed,
    /// It has another peer.
    Refused,
    /// It receives nothing more.
    Shut,
}

/// Puts the message into the queue; none where it has to wait, and stays in its place.
fn offer(target: &Endpoint, own: &Arc<Endpoint>, place: &mut Option<Message>) -> Option<Offered> {
    let mut state = target.state.lock();
    if state.released {
        return Some(Offered::Closed);
    }
    let mutual = state.peer.as_ref().map(|peer| Arc::ptr_eq(peer, own));
    if mutual == Some(false) {
        return Some(Offered::Refused);
    }
    if state.shut.receive {
        return Some(Offered::Shut);
    }
    let bounded = mutual.is_none() && !core::ptr::eq(target, &**own);
    if bounded && state.queue.len() > state.backlog {
        return None;
    }
    target.push(&mut state, place.take()?);
    Some(Offered::Taken)
}

/// Sends one message.
pub(super) fn send(own: &Arc<Endpoint>, out: &mut Outgoing<'_>) -> SysResult {
    if own.kind == Kind::SequencedPacket {
        if let Some(errno) = own.take_error() {
            return Err(errno);
        }
        if own.state.lock().phase != Phase::Connected {
            return Err(Errno::ENOTCONN);
        }
        out.address = None;
    }
    if out.flags & MSG_OOB != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let along = Along::read(&out.control)?;
    let address = match &out.address {
        Some(raw) => Some(Address::parse(raw)?),
        None => None,
    };
    bind_if_credentials_pass(own)?;
    let len = out.data.remaining();
    if len > own.options.send_buffer().saturating_sub(RESERVED_BYTES) {
        return Err(Errno::EMSGSIZE);
    }
    out.patience.wait(&own.writable, || own.may_send())??;
    let mut data = Vec::new();
    data.try_reserve_exact(len).map_err(|_| Errno::ENOBUFS)?;
    data.resize(len, 0);
    out.data.take(&mut data)?;
    let mut message = Some(Message {
        data,
        credentials: along.credentials,
        files: Mutex::new(along.files),
        charge: Charge::new(own, len),
    });
    loop {
        let target = match &address {
            Some(address) => names::find(address, own.kind)?,
            None => own.state.lock().peer.clone().ok_or(Errno::ENOTCONN)?,
        };
        if let Some(message) = &mut message
            && message.credentials.is_none()
            && tells_sender(own, &target)
        {
            message.credentials = Some(Credentials::of_sender());
        }
        let offered = out
            .patience
            .wait(&target.room, || offer(&target, own, &mut message))?;
        match offered {
            Offered::Taken => {
                target.notify(READABLE);
                return Ok(len);
            }
            Offered::Refused => return Err(Errno::EPERM),
            Offered::Shut => return Err(Errno::EPIPE),
            Offered::Closed if own.kind == Kind::SequencedPacket => return Err(Errno::EPIPE),
            Offered::Closed if lose_peer(own, &target) => return Err(Errno::ECONNREFUSED),
            // Somebody else may have the name by now.
            Offered::Closed => {}
        }
    }
}

/// Forgets a peer that is closed; whether it was the peer.
fn lose_peer(own: &Arc<Endpoint>, gone: &Arc<Endpoint>) -> bool {
    let was_peer = {
        let mut state = own.state.lock();
        let was_peer = state
            .peer
            .as_ref()
            .is_some_and(|peer| Arc::ptr_eq(peer, gone));
        if was_peer {
            state.peer = None;
            state.phase = Phase::Idle;
        }
        was_peer
    };
    if was_peer {
        left(own, gone);
    }
    was_peer
}

/// Receives one message.
pub(super) fn receive(own: &Endpoint, incoming: &mut Incoming<'_>) -> SysResult {
    if own.kind == Kind::SequencedPacket && own.state.lock().phase != Phase::Connected {
        return Err(Errno::ENOTCONN);
    }
    if incoming.asks(MSG_OOB) {
        return Err(Errno::EOPNOTSUPP);
    }
    let peeks = incoming.asks(MSG_PEEK);
    // The end of a datagram socket shows only to those who wait.
    let sees_end =
        own.kind == Kind::SequencedPacket || incoming.patience != crate::net::Patience::None;
    let (message, was_full) = match incoming
        .patience
        .wait(&own.readable, || look(own, peeks, sees_end))?
    {
        Looked::Message(message, was_full) => (message, was_full),
        Looked::Ended => return Ok(0),
        Looked::Failed(errno) => return Err(errno),
    };
    if !peeks {
        made_room(own, was_full);
    }
    if own.options.passes_credentials() {
        incoming.credentials = Some(message.credentials.unwrap_or(Credentials::NOBODY));
    }
    incoming.address = message.charge.sender.sender_address();
    let len = message.data.len().min(incoming.data.remaining());
    incoming
        .data
        .put(message.data.get(..len).unwrap_or_default())?;
    if peeks {
        peek_files(&message, incoming);
    } else {
        take_files(&message, incoming);
    }
    if len < message.data.len() {
        incoming.reported |= MSG_TRUNC;
    }
    Ok(if incoming.asks(MSG_TRUNC) {
        message.data.len()
    } else {
        len
    })
}

enum Looked {
    /// A message, and whether senders were waiting for room.
    Message(Arc<Message>, bool),
    Ended,
    Failed(Errno),
}

fn look(own: &Endpoint, peeks: bool, sees_end: bool) -> Option<Looked> {
    let mut state = own.state.lock();
    if let Some(errno) = state.error.take() {
        return Some(Looked::Failed(errno));
    }
    let was_full = state.queue.len() > state.backlog;
    let message = if peeks {
        state.queue.front().map(|first| first.message.clone())
    } else {
        state.queue.pop_front().map(|first| first.message)
    };
    match message {
        Some(message) => Some(Looked::Message(message, was_full)),
        None if state.shut.receive && sees_end => Some(Looked::Ended),
        None => None,
    }
}

/// A message was taken: whoever waits for room looks again.
fn made_room(own: &Endpoint, was_full: bool) {
    own.room.wake_all();
    if !was_full {
        return;
    }
    let senders = own.state.lock().senders.clone();
    for sender in senders.iter().filter_map(alloc::sync::Weak::upgrade) {
        sender.notify(WRITABLE);
    }
}
