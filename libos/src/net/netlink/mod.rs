//! AF_NETLINK, as far as programs need it to learn of interfaces, addresses and
//! routes: NETLINK_ROUTE, whose dumps the monitor fetches. Nothing can be changed,
//! and no news of changes come.
//!
//! | module | what it owns |
//! |---|---|
//! | `message` | the messages of rtnetlink |
//! | `answer` | what a request is answered |
//! | `interface` | the same by `ioctl`: SIOCGIFCONF and so on |
//! | `listing` | the same in `/proc/net` |

mod answer;
pub mod interface;
pub mod listing;
pub mod message;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use linux_raw_sys::general::{EPOLLIN, EPOLLOUT, EPOLLRDNORM, EPOLLWRBAND, EPOLLWRNORM};
use linux_raw_sys::net::{
    AF_NETLINK, AF_UNSPEC, MSG_OOB, MSG_PEEK, MSG_TRUNC, SOCK_DGRAM, SOCK_RAW, SOL_SOCKET,
};
use spin::Mutex;

use super::family::{Family, Kind, Patience, Shutdown};
use super::message::{Incoming, Outgoing};
use super::next_ino;
use super::options::{self, Options, Value};
use crate::errno::{Errno, SysResult};
use crate::fs::open_file::Readiness;
use crate::fs::readiness::Watchers;
use crate::process;
use crate::sched::WaitQueue;
use crate::sorted::SortedMap;

/// The only protocol here.
const NETLINK_ROUTE: u32 = 0;
/// Protocols that Linux has room for.
const PROTOCOLS: u32 = 32;
/// Level of netlink's own options.
const SOL_NETLINK: u32 = 270;
/// Options that change nothing here: groups to hear from, more about errors.
const ACCEPTED_OPTIONS: [u32; 6] = [1, 2, 3, 5, 10, 11];
/// Bytes of `struct sockaddr_nl`: family, padding, port, groups.
const ADDRESS_BYTES: usize = 12;
/// Bytes of the send buffer that a message cannot have.
const RESERVED_BYTES: usize = 32;

/// Ports in use.
static PORTS: Mutex<SortedMap<u32, ()>> = Mutex::new(SortedMap::new());
/// Ports for those who bind to none, below the number of any process.
static NEXT_PORT: AtomicU32 = AtomicU32::new(-4097_i32 as u32);

/// Whether there are such sockets: ESOCKTNOSUPPORT, EPROTONOSUPPORT.
pub fn check(kind: u32, protocol: u32) -> Result<(), Errno> {
    if kind != SOCK_RAW && kind != SOCK_DGRAM {
        return Err(Errno::ESOCKTNOSUPPORT);
    }
    match protocol {
        NETLINK_ROUTE => Ok(()),
        PROTOCOLS.. => Err(Errno::EPROTONOSUPPORT),
        // Known to Linux, but not in this kernel.
        _ => Err(Errno::EPROTONOSUPPORT),
    }
}

/// Port and groups of an address: EINVAL.
fn parse(raw: &[u8]) -> Result<(u32, u32), Errno> {
    if raw.len() < ADDRESS_BYTES || u32::from(message::half(raw, 0)) != AF_NETLINK {
        return Err(Errno::EINVAL);
    }
    Ok((message::word(raw, 4), message::word(raw, 8)))
}

fn address(port: u32, groups: u32) -> Vec<u8> {
    let mut raw = AF_NETLINK.to_ne_bytes().to_vec();
    raw.extend_from_slice(&port.to_ne_bytes());
    raw.extend_from_slice(&groups.to_ne_bytes());
    raw
}

/// Name of a socket: 0 before it has one.
#[derive(Default)]
struct Name {
    port: u32,
    groups: u32,
}

/// A socket that asks the kernel about its network.
pub struct NetlinkSocket {
    /// SOCK_RAW or SOCK_DGRAM, which are the same but for what SO_TYPE shows.
    kind: u32,
    ino: u64,
    options: Options,
    name: Mutex<Name>,
    answers: Mutex<VecDeque<Vec<u8>>>,
    /// Woken when there are answers.
    readable: WaitQueue,
    watchers: Watchers,
}

impl NetlinkSocket {
    /// A socket without a name.
    pub fn new(kind: u32) -> NetlinkSocket {
        NetlinkSocket {
            kind,
            ino: next_ino(),
            options: Options::default(),
            name: Mutex::new(Name::default()),
            answers: Mutex::new(VecDeque::new()),
            readable: WaitQueue::new(),
            watchers: Watchers::new(),
        }
    }

    /// The port, a new one where it has none: the process's number first.
    fn port(&self) -> u32 {
        let mut name = self.name.lock();
        if name.port == 0 {
            let mut ports = PORTS.lock();
            let mut port = process::current().pid();
            while ports.insert(port, ()).is_some() {
                port = NEXT_PORT.fetch_sub(1, Ordering::Relaxed);
            }
            name.port = port;
        }
        name.port
    }
}

impl Drop for NetlinkSocket {
    fn drop(&mut self) {
        let port = self.name.lock().port;
        PORTS.lock().remove(&port);
    }
}

impl Family for NetlinkSocket {
    fn domain(&self) -> u32 {
        AF_NETLINK
    }

    fn kind(&self) -> Kind {
        Kind::Datagram
    }

    fn ino(&self) -> u64 {
        self.ino
    }

    fn options(&self) -> &Options {
        &self.options
    }

    fn set_option(&self, level: u32, name: u32, bytes: &[u8]) -> Result<(), Errno> {
        match level {
            SOL_SOCKET => self.options.set(name, bytes),
            SOL_NETLINK if bytes.len() < size_of::<u32>() => Err(Errno::EINVAL),
            SOL_NETLINK if ACCEPTED_OPTIONS.contains(&name) => Ok(()),
            _ => Err(Errno::ENOPROTOOPT),
        }
    }

    fn option(&self, level: u32, name: u32, _room: usize) -> Result<Value, Errno> {
        match (level, name) {
            (SOL_SOCKET, linux_raw_sys::net::SO_TYPE) => {
                Ok(Value::Cut(self.kind.to_ne_bytes().to_vec()))
            }
            (SOL_SOCKET, _) => options::get(self, name),
            _ => Err(Errno::ENOPROTOOPT),
        }
    }

    fn bind(&self, raw: &[u8]) -> Result<(), Errno> {
        let (port, groups) = parse(raw)?;
        {
            let mut name = self.name.lock();
            if name.port != 0 && port != name.port {
                return Err(Errno::EINVAL);
            }
            if name.port == 0 && port != 0 {
                if PORTS.lock().insert(port, ()).is_some() {
                    return Err(Errno::EADDRINUSE);
                }
                name.port = port;
            }
            name.groups = groups;
        }
        self.port();
        Ok(())
    }

    fn listen(&self, _backlog: u32) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    fn is_listening(&self) -> bool {
        false
    }

    fn accept(&self, _patience: Patience) -> Result<Box<dyn Family>, Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    fn connect(&self, raw: &[u8], _patience: Patience) -> Result<(), Errno> {
        if raw.len() >= 2 && u32::from(message::half(raw, 0)) == AF_UNSPEC {
            return Ok(());
        }
        match parse(raw)? {
            (0, 0) => {
                self.port();
                Ok(())
            }
            // Other programs are not reached by it, nor groups.
            _ => Err(Errno::EPERM),
        }
    }

    fn send(&self, out: &mut Outgoing<'_>) -> SysResult {
        if out.flags & MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        if let Some(raw) = &out.address {
            match parse(raw)? {
                (0, 0) => {}
                (_, 0) => return Err(Errno::ECONNREFUSED),
                _ => return Err(Errno::EPERM),
            }
        }
        let port = self.port();
        let len = out.data.remaining();
        if len > self.options.send_buffer().saturating_sub(RESERVED_BYTES) {
            return Err(Errno::EMSGSIZE);
        }
        let mut requests = vec![0; len];
        out.data.take(&mut requests)?;
        let mut answers = VecDeque::new();
        answer::answer(&requests, port, &mut answers);
        self.answers.lock().append(&mut answers);
        self.readable.wake_all();
        self.watchers.notify(EPOLLIN | EPOLLRDNORM);
        Ok(len)
    }

    fn receive(&self, incoming: &mut Incoming<'_>) -> SysResult {
        if incoming.asks(MSG_OOB) {
            return Err(Errno::EOPNOTSUPP);
        }
        let peeks = incoming.asks(MSG_PEEK);
        let answer = incoming.patience.wait(&self.readable, || {
            let mut answers = self.answers.lock();
            if peeks {
                answers.front().cloned()
            } else {
                answers.pop_front()
            }
        })?;
        let room = incoming.data.remaining();
        let bytes = answer.get(..room).unwrap_or(&answer);
        incoming.data.put(bytes)?;
        // From the kernel, to nobody else.
        incoming.address = address(0, 0);
        if bytes.len() < answer.len() {
            incoming.reported |= MSG_TRUNC;
        }
        let whole = incoming.asks(MSG_TRUNC);
        Ok(if whole { answer.len() } else { bytes.len() })
    }

    fn shutdown(&self, _how: Shutdown) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    fn local_address(&self) -> Vec<u8> {
        let name = self.name.lock();
        address(name.port, name.groups)
    }

    fn peer_address(&self) -> Result<Vec<u8>, Errno> {
        Ok(address(0, 0))
    }

    fn take_error(&self) -> Option<Errno> {
        None
    }

    // Its calls leave none.
    fn set_error(&self, _errno: Errno) {}

    fn readiness(&self) -> Readiness {
        let mut events = EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;
        if !self.answers.lock().is_empty() {
            events |= EPOLLIN | EPOLLRDNORM;
        }
        Readiness::of(events)
    }

    fn watchers(&self) -> &Watchers {
        &self.watchers
    }

    fn ioctl(&self, _request: u32, _argument: u64) -> SysResult {
        Err(Errno::ENOTTY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_for_one_socket() {
        let (one, other) = (NetlinkSocket::new(3), NetlinkSocket::new(3));
        one.bind(&address(0x7000_0001, 0)).unwrap();
        assert_eq!(one.local_address(), address(0x7000_0001, 0));
        let taken = other.bind(&address(0x7000_0001, 0));
        assert_eq!(taken, Err(Errno::EADDRINUSE));
        assert_eq!(other.local_address(), address(0, 0));
        other.bind(&address(0, 0)).unwrap();
        assert_ne!(message::word(&other.local_address(), 4), 0);
        assert_eq!(one.bind(&address(5, 0)), Err(Errno::EINVAL));
        drop(one);
        let again = NetlinkSocket::new(2);
        again.bind(&address(0x7000_0001, 0)).unwrap();
    }

    #[test]
    fn what_is_asked_for_is_checked() {
        assert_eq!(check(3, 0), Ok(()));
        assert_eq!(check(1, 0), Err(Errno::ESOCKTNOSUPPORT));
        assert_eq!(check(3, 16), Err(Errno::EPROTONOSUPPORT));
        assert_eq!(parse(&[16; 12]), Err(Errno::EINVAL));
        assert_eq!(parse(&address(7, 1)[..11]), Err(Errno::EINVAL));
        assert_eq!(parse(&address(7, 1)), Ok((7, 1)));
    }
}
