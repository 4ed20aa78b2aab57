//! AF_UNIX: sockets between the threads and processes of the guest.
//!
//! | module | what it owns |
//! |---|---|
//! | `address` | `struct sockaddr_un` |
//! | `names` | who is bound to which path or abstract name |
//! | `listing` | all sockets, for `/proc/net/unix` |
//! | `endpoint` | one end: whom it is connected to, its readiness |
//! | `queue` | messages, and what they take of the send buffer |
//! | `connection` | listen, connect, accept, pairs |
//! | `stream` | SOCK_STREAM: bytes |
//! | `datagram` | SOCK_DGRAM and SOCK_SEQPACKET: messages |

mod address;
mod connection;
mod datagram;
mod endpoint;
pub mod listing;
mod names;
mod queue;
mod stream;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::AtomicUsize;

use linux_raw_sys::ioctl::{FIONREAD, TIOCOUTQ};
use linux_raw_sys::net::{AF_UNIX, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET, SOCK_STREAM};

use super::control::PeerCredentials;
use super::family::{Family, Kind, Patience, Shutdown};
use super::garbage::Files;
use super::in_flight;
use super::message::{Incoming, Outgoing};
use super::options::{self, Options, Value};
use crate::errno::{Errno, SysResult};
use crate::fs::open_file::Readiness;
use crate::fs::readiness::Watchers;
use crate::mm::user;
use address::{Address, FAMILY_BYTES, family_of};
use endpoint::{Endpoint, Phase};

/// The kind of a socket type; ESOCKTNOSUPPORT. Raw sockets are datagram sockets here.
pub fn kind(number: u32) -> Result<Kind, Errno> {
    match number {
        SOCK_STREAM => Ok(Kind::Stream),
        SOCK_DGRAM | SOCK_RAW => Ok(Kind::Datagram),
        SOCK_SEQPACKET => Ok(Kind::SequencedPacket),
        _ => Err(Errno::ESOCKTNOSUPPORT),
    }
}

/// An AF_UNIX socket: an end that is released when this is dropped.
pub struct UnixSocket(Arc<Endpoint>);

impl UnixSocket {
    /// A socket that is connected to nothing.
    pub fn new(kind: Kind) -> UnixSocket {
        UnixSocket(Endpoint::new(kind))
    }

    /// Two sockets that are connected to each other.
    pub fn pair(kind: Kind) -> [UnixSocket; 2] {
        connection::pair(kind).map(UnixSocket)
    }

    /// Bytes that can be received: all of a connection, the next datagram's.
    fn waiting_bytes(&self) -> Result<usize, Errno> {
        let state = self.0.state.lock();
        if state.phase == Phase::Listening {
            return Err(Errno::EINVAL);
        }
        let most = if self.0.kind.connects() {
            usize::MAX
        } else {
            1
        };
        let queue = state.queue.iter().take(most);
        Ok(queue
            .map(|queued| queued.message.data.len() - queued.taken)
            .sum())
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        self.0.release();
        in_flight::socket_closed();
    }
}

impl Family for UnixSocket {
    fn domain(&self) -> u32 {
        AF_UNIX
    }

    fn kind(&self) -> Kind {
        self.0.kind
    }

    fn ino(&self) -> u64 {
        self.0.ino
    }

    fn options(&self) -> &Options {
        &self.0.options
    }

    fn option(&self, level: u32, name: u32, _room: usize) -> Result<Value, Errno> {
        options::get_socket_level(self, level, name)
    }

    fn bind(&self, raw: &[u8]) -> Result<(), Errno> {
        if raw.len() == FAMILY_BYTES && family_of(raw)? == AF_UNIX {
            return names::bind_automatically(&self.0);
        }
        names::bind(&self.0, Address::parse(raw)?)
    }

    fn listen(&self, backlog: u32) -> Result<(), Errno> {
        connection::listen(&self.0, backlog)
    }

    fn is_listening(&self) -> bool {
        self.0.state.lock().phase == Phase::Listening
    }

    fn accept(&self, patience: Patience) -> Result<Box<dyn Family>, Errno> {
        let end = connection::accept(&self.0, patience)?;
        Ok(Box::new(UnixSocket(end)))
    }

    fn connect(&self, raw: &[u8], patience: Patience) -> Result<(), Errno> {
        if self.0.kind.connects() {
            connection::connect(&self.0, raw, patience)
        } else {
            datagram::connect(&self.0, raw)
        }
    }

    fn send(&self, message: &mut Outgoing<'_>) -> SysResult {
        match self.0.kind {
            Kind::Stream => stream::send(&self.0, message),
            Kind::Datagram | Kind::SequencedPacket => datagram::send(&self.0, message),
        }
    }

    fn receive(&self, message: &mut Incoming<'_>) -> SysResult {
        match self.0.kind {
            Kind::Stream => stream::receive(&self.0, message),
            Kind::Datagram | Kind::SequencedPacket => datagram::receive(&self.0, message),
        }
    }

    fn shutdown(&self, how: Shutdown) -> Result<(), Errno> {
        self.0.shut(how);
        Ok(())
    }

    fn local_address(&self) -> Vec<u8> {
        self.0.address()
    }

    fn peer_address(&self) -> Result<Vec<u8>, Errno> {
        let peer = self.0.state.lock().peer.clone();
        peer.map(|peer| peer.address()).ok_or(Errno::ENOTCONN)
    }

    fn take_error(&self) -> Option<Errno> {
        self.0.take_error()
    }

    fn set_error(&self, errno: Errno) {
        self.0.state.lock().error = Some(errno);
    }

    fn peer_credentials(&self) -> Option<PeerCredentials> {
        self.0.state.lock().peer_credentials.clone()
    }

    fn messages(&self) -> Option<&AtomicUsize> {
        Some(&self.0.messages)
    }

    fn visit_in_flight(&self, visit: &mut dyn FnMut(&Files)) {
        self.0.visit_in_flight(visit);
    }

    fn readiness(&self) -> Readiness {
        self.0.readiness()
    }

    fn watchers(&self) -> &Watchers {
        &self.0.watchers
    }

    fn ioctl(&self, request: u32, argument: u64) -> SysResult {
        let bytes = match request {
            FIONREAD => self.waiting_bytes()?,
            TIOCOUTQ => self.0.sent_bytes(),
            _ => return Err(Errno::ENOTTY),
        };
        user::write::<u32>(argument, &u32::try_from(bytes).unwrap_or(u32::MAX))?;
        Ok(0)
    }
}
