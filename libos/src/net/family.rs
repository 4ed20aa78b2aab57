//! What a family of sockets implements: [`Family`], and the words that all of
//! them share: [`Kind`], [`Shutdown`], [`Patience`].

use alloc::boxed::Box;
use alloc::vec::Vec;

use core::sync::atomic::AtomicUsize;

use linux_raw_sys::net::{SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM, SOL_SOCKET};

use super::control::PeerCredentials;
use super::garbage::Files;
use super::message::{Incoming, Outgoing};
use super::options::{Options, Value};
use crate::errno::{Errno, SysResult};
use crate::fs::open_file::Readiness;
use crate::fs::readiness::Watchers;
use crate::sched::{self, WaitQueue};
use crate::time;

/// How a socket carries bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A connection that carries bytes.
    Stream,
    /// Messages, each for itself.
    Datagram,
    /// A connection that carries messages.
    SequencedPacket,
}

impl Kind {
    /// `SOCK_*`.
    pub fn number(self) -> u32 {
        match self {
            Kind::Stream => SOCK_STREAM,
            Kind::Datagram => SOCK_DGRAM,
            Kind::SequencedPacket => SOCK_SEQPACKET,
        }
    }

    /// Whether it carries over a connection.
    pub fn connects(self) -> bool {
        self != Kind::Datagram
    }
}

/// Which directions end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shutdown {
    /// Nothing more is received.
    pub receive: bool,
    /// Nothing more is sent.
    pub send: bool,
}

impl Shutdown {
    /// Both directions.
    pub const BOTH: Shutdown = Shutdown {
        receive: true,
        send: true,
    };

    /// From the argument of `shutdown`; EINVAL.
    pub fn from_how(how: u32) -> Result<Shutdown, Errno> {
        use linux_raw_sys::net::{SHUT_RD, SHUT_RDWR, SHUT_WR};
        Ok(Shutdown {
            receive: matches!(how, SHUT_RD | SHUT_RDWR),
            send: match how {
                SHUT_RD => false,
                SHUT_WR | SHUT_RDWR => true,
                _ => return Err(Errno::EINVAL),
            },
        })
    }

    /// What the other end sees of it.
    pub fn mirrored(self) -> Shutdown {
        Shutdown {
            receive: self.send,
            send: self.receive,
        }
    }

    /// Ends also what `more` ends.
    pub fn add(&mut self, more: Shutdown) {
        self.receive |= more.receive;
        self.send |= more.send;
    }
}

/// How long a call may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Not at all.
    None,
    /// Until then (CLOCK_MONOTONIC ns), or for ever.
    Until(Option<u64>),
}

impl Patience {
    /// At most `timeout_ns` from now; for ever without one.
    pub fn new(nonblocking: bool, timeout_ns: Option<u64>) -> Patience {
        match timeout_ns {
            _ if nonblocking => Patience::None,
            Some(0) => Patience::None,
            Some(ns) => Patience::Until(Some(time::monotonic_ns().saturating_add(ns))),
            None => Patience::Until(None),
        }
    }

    /// Runs `poll` until it gives a value; EAGAIN when patience ends, EINTR, which
    /// is final where there is a timeout.
    pub fn wait<T>(
        self,
        queue: &WaitQueue,
        mut poll: impl FnMut() -> Option<T>,
    ) -> Result<T, Errno> {
        match self {
            Patience::None => poll().ok_or(Errno::EAGAIN),
            Patience::Until(deadline_ns) => {
                sched::wait(queue, deadline_ns, poll).map_err(|errno| match errno {
                    Errno::ETIMEDOUT => Errno::EAGAIN,
                    // Started again it would wait for all of its time (signal(7)).
                    Errno::EINTR if deadline_ns.is_some() => Errno::EINTR_FINAL,
                    errno => errno,
                })
            }
        }
    }
}

/// A socket of one family. Addresses are `struct sockaddr` of that family, in bytes.
pub trait Family: Send + Sync {
    /// `AF_*`.
    fn domain(&self) -> u32;

    /// How it carries bytes.
    fn kind(&self) -> Kind;

    /// What `SO_PROTOCOL` shows.
    fn protocol(&self) -> u32 {
        0
    }

    /// Inode number.
    fn ino(&self) -> u64;

    /// Options of `SOL_SOCKET`.
    fn options(&self) -> &Options;

    /// Sets an option of any level.
    fn set_option(&self, level: u32, name: u32, bytes: &[u8]) -> Result<(), Errno> {
        if level != SOL_SOCKET {
            return Err(Errno::EOPNOTSUPP);
        }
        self.options().set(name, bytes)
    }

    /// What an option of any level shows, where there are `room` bytes for it.
    fn option(&self, level: u32, name: u32, room: usize) -> Result<Value, Errno>;

    /// Gives it a name.
    fn bind(&self, address: &[u8]) -> Result<(), Errno>;

    /// Lets others connect; about `backlog` of them wait to be accepted.
    fn listen(&self, backlog: u32) -> Result<(), Errno>;

    /// Whether others can connect.
    fn is_listening(&self) -> bool;

    /// The next connection.
    fn accept(&self, patience: Patience) -> Result<Box<dyn Family>, Errno>;

    /// Where a connection that was just accepted came from.
    fn accepted_from(&self) -> Result<Vec<u8>, Errno> {
        self.peer_address().map_err(|_| Errno::ECONNABORTED)
    }

    /// Connects to, or from now on sends to, the socket at `address`.
    fn connect(&self, address: &[u8], patience: Patience) -> Result<(), Errno>;

    /// Sends; gives the bytes sent.
    fn send(&self, message: &mut Outgoing<'_>) -> SysResult;

    /// Receives; gives the bytes received.
    fn receive(&self, message: &mut Incoming<'_>) -> SysResult;

    /// Ends directions.
    fn shutdown(&self, how: Shutdown) -> Result<(), Errno>;

    /// Its name.
    fn local_address(&self) -> Vec<u8>;

    /// Name of the other end; ENOTCONN.
    fn peer_address(&self) -> Result<Vec<u8>, Errno>;

    /// Takes the error that waits to be reported.
    fn take_error(&self) -> Option<Errno>;

    /// Leaves an error to be reported by the next call.
    fn set_error(&self, errno: Errno);

    /// Who made the other end; none where that is not known.
    fn peer_credentials(&self) -> Option<PeerCredentials> {
        None
    }

    /// Counts the messages that hold it; none where its own messages hold no files.
    fn messages(&self) -> Option<&AtomicUsize> {
        None
    }

    /// Calls `visit` with the place of the files of each message in its queues. A
    /// lock is held meanwhile: nothing may be dropped.
    fn visit_in_flight(&self, _visit: &mut dyn FnMut(&Files)) {}

    /// Whether it is the host's, whose readiness the monitor tells.
    fn is_host_socket(&self) -> bool {
        false
    }

    /// Its last descriptor is about to close; this may wait.
    fn closing(&self) {}

    /// What is ready now.
    fn readiness(&self) -> Readiness;

    /// Who is told of changes of it.
    fn watchers(&self) -> &Watchers;

    /// A control request.
    fn ioctl(&self, request: u32, argument: u64) -> SysResult;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shutdown_is_seen_mirrored() {
        assert_eq!(Shutdown::from_how(3), Err(Errno::EINVAL));
        let mut how = Shutdown::from_how(0).unwrap();
        assert_eq!(how.mirrored(), Shutdown::from_how(1).unwrap());
        how.add(how.mirrored());
        assert_eq!(how, Shutdown::BOTH);
    }

    #[test]
    fn no_patience_is_eagain() {
        let queue = WaitQueue::new();
        let patience = Patience::new(true, None);
        assert_eq!(patience.wait(&queue, || None::<()>), Err(Errno::EAGAIN));
        assert_eq!(patience.wait(&queue, || Some(7)), Ok(7));
        assert_eq!(Patience::new(false, Some(0)), Patience::None);
        assert_eq!(Patience::new(false, None), Patience::Until(None));
    }
}
