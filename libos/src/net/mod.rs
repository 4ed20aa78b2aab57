//! Sockets: what all families share, and the families behind it.
//!
//! ```text
//!  descriptor ──▶ OpenFile ──▶ Socket (a kind of file) ──▶ Family: unix, inet
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
//! | `inet` | AF_INET, AF_INET6: sockets of the host |
//! | `netlink` | AF_NETLINK: what the host says of its interfaces |
//!
//! One more family is one more type that implements [`Family`] and one more arm in
//! [`create`].

pub mod control;
pub mod family;
mod garbage;
mod in_flight;
pub mod inet;
pub mod message;
pub mod netlink;
pub mod options;
pub mod unix;

use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use linux_raw_sys::general::{O_RDWR, S_IFSOCK};
use linux_raw_sys::net::{AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_UNIX};

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
/// An old name of AF_PACKET.
const SOCK_PACKET: u32 = 10;
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

/// What a new socket is to be.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Unix(Kind),
    /// Kind and protocol.
    Inet(Kind, u32),
    /// Type.
    Netlink(u32),
}

/// Checks what `socket` and `socketpair` ask for.
fn check(domain: u32, kind: u32, protocol: u32) -> Result<Wanted, Errno> {
    if domain >= FAMILIES {
        return Err(Errno::EAFNOSUPPORT);
    }
    if kind >= TYPES {
        return Err(Errno::EINVAL);
    }
    match domain {
        AF_UNIX if protocol != 0 && protocol != AF_UNIX => Err(Errno::EPROTONOSUPPORT),
        AF_UNIX => unix::kind(kind).map(Wanted::Unix),
        AF_INET if kind == SOCK_PACKET => Err(Errno::EPERM),
        AF_INET | AF_INET6 => {
            let (kind, protocol) = inet::kind(kind, protocol)?;
            Ok(Wanted::Inet(kind, protocol))
        }
        AF_NETLINK => {
            netlink::check(kind, protocol)?;
            Ok(Wanted::Netlink(kind))
        }
        // As without CAP_NET_RAW.
        AF_PACKET => Err(Errno::EPERM),
        _ => Err(Errno::EAFNOSUPPORT),
    }
}

/// A new socket of a family.
pub fn create(domain: u32, kind: u32, protocol: u32) -> Result<Box<dyn Family>, Errno> {
    Ok(match check(domain, kind, protocol)? {
        Wanted::Unix(kind) => Box::new(unix::UnixSocket::new(kind)),
        Wanted::Netlink(kind) => Box::new(netlink::NetlinkSocket::new(kind)),
        Wanted::Inet(kind, protocol) => Box::new(inet::InetSocket::open(domain, (kind, protocol))?),
    })
}

/// Two new sockets that are connected to each other.
pub fn create_pair(domain: u32, kind: u32, protocol: u32) -> Result<[Box<dyn Family>; 2], Errno> {
    match check(domain, kind, protocol)? {
        Wanted::Unix(kind) => {
            let [one, other] = unix::UnixSocket::pair(kind);
            Ok([Box::new(one), Box::new(other)])
        }
        Wanted::Inet(..) | Wanted::Netlink(_) => Err(Errno::EOPNOTSUPP),
    }
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

    fn is_host_socket(&self) -> bool {
        self.family.is_host_socket()
    }

    fn closing(&self) {
        self.family.closing();
    }

    fn watchers(&self) -> [Option<&Watchers>; 2] {
        [Some(self.family.watchers()), None]
    }

    fn ioctl(&self, request: u32, argument: u64) -> SysResult {
        let of_interface = netlink::interface::ioctl(self.family.domain(), request, argument);
        of_interface.unwrap_or_else(|| self.family.ioctl(request, argument))
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
        assert_eq!(refused(9, 1, 0), Some(Errno::EAFNOSUPPORT));
        assert_eq!(refused(2, 10, 0), Some(Errno::EPERM));
        assert_eq!(refused(17, 3, 0), Some(Errno::EPERM));
        assert_eq!(check(1, 1, 1), Ok(Wanted::Unix(Kind::Stream)));
        assert_eq!(check(1, 3, 0), Ok(Wanted::Unix(Kind::Datagram)));
        assert_eq!(check(10, 1, 0), Ok(Wanted::Inet(Kind::Stream, 6)));
        let pair = create_pair(2, 1, 0).err();
        assert_eq!(pair, Some(Errno::EOPNOTSUPP));
    }
}
