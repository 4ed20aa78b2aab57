//! Sockets: what all families share, and the families behind it.
//!
//! ```text
//!  descriptor ──▶ OpenFile ──▶ Socket (a kind of file) ──▶ Family: unix
//!                              identity, read and write     addresses, connections, queues
//! ```
//!
//! | module | what it owns |
//! |---|---|
//! | `family` | the trait that a family implements, kinds of sockets, how long a call waits |
//! | `message` | what one send or receive carries |
//! | `options` | the options of `SOL_SOCKET` |
//! | `control` | control messages: files and credentials |
//! | `in_flight`, `garbage` | files that were sent and not received yet |
//! | `unix` | AF_UNIX |
//!
//! A family other than AF_UNIX is one more type that implements [`Family`] and
//! one more arm in [`create`].

pub mod control;
pub mod family;
mod garbage;
mod in_flight;
pub mod message;
pub mod options;
pub mod unix;

use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use linux_raw_sys::general::{O_RDWR, S_IFSOCK};
use linux_raw_sys::net::AF_UNIX;

pub use family::{Family, Kind, Patience};
pub use garbage::Files;

use crate::errno::{Errno, SysResult};
use crate::fs::OpenFile;
use crate::fs::attributes::{Attributes, SOCKET_DEVICE};
use crate::fs::open_file::{File, Readiness};
use crate::fs::readiness::Watchers;
use crate::fs::transfer::{Sink, Source};
use crate::process;
use message::{Incoming, Outgoing};

/// Families that Linux has numbers for.
const FAMILIES: u32 = 46;
/// Socket types that Linux has numbers for.
const TYPES: u32 = 11;

static NEXT_INO: AtomicU64 = AtomicU64::new(1);

/// An inode number for a socket.
fn next_ino() -> u64 {
    NEXT_INO.fetch_add(1, Ordering::Relaxed)
}

/// An open socket.
pub struct Socket {
    family: Box<dyn Family>,
    /// User and group that made it.
    owner: (u32, u32),
}

impl Socket {
    /// An open file of a socket, with O_NONBLOCK or not.
    pub fn open(family: Box<dyn Family>, flags: u32) -> Arc<OpenFile> {
        let owner = {
            let credentials = process::current().credentials.lock();
            (credentials.fsuid, credentials.fsgid)
        };
        OpenFile::new(Socket { family, owner }, O_RDWR | flags, None)
    }

    /// The family behind it.
    pub fn family(&self) -> &dyn Family {
        &*self.family
    }

    /// How long a send may wait.
    pub fn send_patience(&self, nonblocking: bool) -> Patience {
        self.family.options().send_patience(nonblocking)
    }

    /// How long a receive, or an accept, may wait.
    pub fn receive_patience(&self, nonblocking: bool) -> Patience {
        self.family.options().receive_patience(nonblocking)
    }
}

/// Checks what `socket` and `socketpair` ask for; gives the kind where the family is there.
fn check(domain: u32, kind: u32, protocol: u32) -> Result<Kind, Errno> {
    if domain >= FAMILIES {
        return Err(Errno::EAFNOSUPPORT);
    }
    if kind >= TYPES {
        return Err(Errno::EINVAL);
    }
    match domain {
        AF_UNIX if protocol != 0 && protocol != AF_UNIX => Err(Errno::EPROTONOSUPPORT),
        AF_UNIX => unix::kind(kind),
        // The others need the host's network.
        _ => Err(Errno::EAFNOSUPPORT),
    }
}

/// A new socket of a family.
pub fn create(domain: u32, kind: u32, protocol: u32) -> Result<Box<dyn Family>, Errno> {
    Ok(Box::new(unix::UnixSocket::new(check(
        domain, kind, protocol,
    )?)))
}

/// Two new sockets that are connected to each other.
pub fn create_pair(domain: u32, kind: u32, protocol: u32) -> Result<[Box<dyn Family>; 2], Errno> {
    let [one, other] = unix::UnixSocket::pair(check(domain, kind, protocol)?);
    Ok([Box::new(one), Box::new(other)])
}

impl File for Socket {
    fn attributes(&self) -> Result<Attributes, Errno> {
        let mut attributes =
            Attributes::generated(SOCKET_DEVICE, self.family.ino(), S_IFSOCK | 0o777);
        (attributes.uid, attributes.gid) = self.owner;
        Ok(attributes)
    }

    fn read(&self, _offset: u64, nonblocking: bool, sink: &mut dyn Sink) -> SysResult {
        if sink.remaining() == 0 {
            return Ok(0);
        }
        let patience = self.receive_patience(nonblocking);
        self.family.receive(&mut Incoming::new(sink, 0, patience))
    }

    fn write(&self, _offset: u64, nonblocking: bool, source: &mut dyn Source) -> SysResult {
        let patience = self.send_patience(nonblocking);
        self.family.send(&mut Outgoing::new(source, 0, patience))
    }

    fn readiness(&self) -> Readiness {
        self.family.readiness()
    }

    fn watchers(&self) -> [Option<&Watchers>; 2] {
        [Some(self.family.watchers()), None]
    }

    fn ioctl(&self, request: u32, argument: u64) -> SysResult {
        self.family.ioctl(request, argument)
    }

    fn label(&self) -> Option<Vec<u8>> {
        Some(format!("socket:[{}]", self.family.ino()).into_bytes())
    }

    fn as_socket(&self) -> Option<&Socket> {
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_checked_in_linux_order() {
        let refused = |domain, kind, protocol| check(domain, kind, protocol).err();
        assert_eq!(refused(46, 1, 0), Some(Errno::EAFNOSUPPORT));
        assert_eq!(refused(1, 11, 0), Some(Errno::EINVAL));
        assert_eq!(refused(1, 4, 0), Some(Errno::ESOCKTNOSUPPORT));
        assert_eq!(refused(1, 1, 6), Some(Errno::EPROTONOSUPPORT));
        assert_eq!(refused(2, 1, 0), Some(Errno::EAFNOSUPPORT));
        assert_eq!(check(1, 1, 1), Ok(Kind::Stream));
        assert_eq!(check(1, 3, 0), Ok(Kind::Datagram));
    }
}
