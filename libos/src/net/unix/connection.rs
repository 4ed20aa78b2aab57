//! Connections: listening, connecting, accepting, and pairs.
//!
//! A connect makes the other end itself and leaves it with the listener; accept
//! only takes it. So connect does not wait for accept.

use alloc::sync::Arc;

use super::address::Address;
use super::datagram::bind_if_credentials_pass;
use super::endpoint::{Endpoint, Phase, READABLE, State, WRITABLE, lock_both};
use super::names;
use crate::errno::Errno;
use crate::net::control::PeerCredentials;
use crate::net::{Kind, Patience};

/// Two ends that are connected to each other.
pub(super) fn pair(kind: Kind) -> [Arc<Endpoint>; 2] {
    let (one, other) = (Endpoint::new(kind), Endpoint::new(kind));
    for (end, peer) in [(&one, &other), (&other, &one)] {
        let mut state = end.state.lock();
        state.peer = Some(peer.clone());
        state.phase = Phase::Connected;
        state.peer_credentials = Some(PeerCredentials::current());
        if !kind.connects() {
            state.senders.push(Arc::downgrade(peer));
        }
    }
    [one, other]
}

/// Lets others connect.
pub(super) fn listen(own: &Endpoint, backlog: u32) -> Result<(), Errno> {
    if !own.kind.connects() {
        return Err(Errno::EOPNOTSUPP);
    }
    if !own.is_bound() {
        return Err(Errno::EINVAL);
    }
    {
        let mut state = own.state.lock();
        if state.phase == Phase::Connected {
            return Err(Errno::EINVAL);
        }
        state.phase = Phase::Listening;
        state.backlog = backlog as usize;
        state.peer_credentials = Some(PeerCredentials::current());
    }
    own.room.wake_all();
    Ok(())
}

/// Connects to the listener at `raw`.
pub(super) fn connect(own: &Arc<Endpoint>, raw: &[u8], patience: Patience) -> Result<(), Errno> {
    let address = Address::parse(raw)?;
    bind_if_credentials_pass(own)?;
    let creator = PeerCredentials::current();
    loop {
        let listener = names::find(&address, own.kind)?;
        let joined = patience.wait(&listener.room, || join(own, &listener, &creator))??;
        if joined {
            listener.notify(READABLE);
            own.notify(WRITABLE);
            return Ok(());
        }
    }
}

/// Whether a listener takes one more connection: none where it has to wait, false
/// where the listener is closed.
fn takes_more(listening: &State) -> Option<Result<bool, Errno>> {
    if listening.released {
        return Some(Ok(false));
    }
    if listening.phase != Phase::Listening || listening.shut.receive {
        return Some(Err(Errno::ECONNREFUSED));
    }
    (listening.pending.len() <= listening.backlog).then_some(Ok(true))
}

/// Leaves a new end with the listener; none where too many wait there. False
/// where it has closed meanwhile, and another may have its name.
fn join(
    own: &Arc<Endpoint>,
    listener: &Arc<Endpoint>,
    creator: &PeerCredentials,
) -> Option<Result<bool, Errno>> {
    if Arc::ptr_eq(own, listener) {
        let taken = takes_more(&own.state.lock())?;
        return Some(taken.and(Err(Errno::EINVAL)));
    }
    let (mut state, mut listening) = lock_both(own, listener);
    match takes_more(&listening)? {
        Ok(true) => {}
        refused => return Some(refused),
    }
    match state.phase {
        Phase::Idle => {}
        Phase::Connected => return Some(Err(Errno::EISCONN)),
        Phase::Listening => return Some(Err(Errno::EINVAL)),
    }
    let end = Endpoint::new(own.kind);
    end.options.inherit(&listener.options);
    end.bound.lock().address = listener.bound.lock().address.clone();
    {
        let mut state = end.state.lock();
        state.phase = Phase::Connected;
        state.peer = Some(own.clone());
        state.accepted = false;
        state.peer_credentials = Some(creator.clone());
    }
    state.phase = Phase::Connected;
    state.peer = Some(end.clone());
    state.peer_credentials = listening.peer_credentials.clone();
    listening.pending.push_back(end);
    Some(Ok(true))
}

/// The next connection.
pub(super) fn accept(own: &Endpoint, patience: Patience) -> Result<Arc<Endpoint>, Errno> {
    if !own.kind.connects() {
        return Err(Errno::EOPNOTSUPP);
    }
    let end = patience.wait(&own.readable, || {
        let mut state = own.state.lock();
        if state.phase != Phase::Listening {
            return Some(Err(Errno::EINVAL));
        }
        match state.pending.pop_front() {
            Some(end) => Some(Ok(end)),
            // Only those who wait see the end, as in Linux.
            None if state.shut.receive && patience != Patience::None => Some(Err(Errno::EINVAL)),
            None => None,
        }
    })??;
    end.state.lock().accepted = true;
    own.room.wake_all();
    Ok(end)
}
