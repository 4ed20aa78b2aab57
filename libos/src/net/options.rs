//! The options of `SOL_SOCKET`: [`Options`] of one socket, reading ([`get`]) and
//! setting ([`Options::set`]) them by name.
//!
//! Options that mean something to networks alone are kept and shown. Source: socket(7).

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use linux_raw_sys::net::{
    SO_ACCEPTCONN, SO_BINDTODEVICE, SO_BROADCAST, SO_COOKIE, SO_DOMAIN, SO_DONTROUTE, SO_ERROR,
    SO_KEEPALIVE, SO_LINGER, SO_MARK, SO_OOBINLINE, SO_PASSCRED, SO_PEERCRED, SO_PEERGROUPS,
    SO_PRIORITY, SO_PROTOCOL, SO_RCVBUF, SO_RCVBUFFORCE, SO_RCVLOWAT, SO_RCVTIMEO_NEW,
    SO_RCVTIMEO_OLD, SO_REUSEADDR, SO_SNDBUF, SO_SNDBUFFORCE, SO_SNDLOWAT, SO_SNDTIMEO_NEW,
    SO_SNDTIMEO_OLD, SO_TIMESTAMP, SO_TYPE, SOL_SOCKET,
};

use super::control::PeerCredentials;
use super::family::{Family, Patience};
use crate::errno::Errno;
use crate::process;

/// Bytes of a buffer that nobody set, and the most that one can be set to before it is doubled.
const BUFFER_BYTES: usize = 212_992;
/// Least bytes of a send buffer.
const SEND_BUFFER_MIN_BYTES: usize = 4608;
/// Least bytes of a receive buffer.
const RECEIVE_BUFFER_MIN_BYTES: usize = 2304;
/// A timeout that never comes.
const NEVER: u64 = u64::MAX;
/// Priorities above this are user 0's.
const PRIORITY_MAX: u32 = 6;
const NSEC: u64 = 1_000_000_000;
const USEC: u64 = 1_000_000;

/// Options of one socket.
pub struct Options {
    /// Those that are on or off, a bit each.
    switches: AtomicU64,
    send_buffer: AtomicUsize,
    receive_buffer: AtomicUsize,
    send_timeout_ns: AtomicU64,
    receive_timeout_ns: AtomicU64,
    low_water: AtomicU32,
    priority: AtomicU32,
    /// Linger time in seconds; kept while it is off.
    linger: AtomicU32,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            switches: AtomicU64::new(0),
            send_buffer: AtomicUsize::new(BUFFER_BYTES),
            receive_buffer: AtomicUsize::new(BUFFER_BYTES),
            send_timeout_ns: AtomicU64::new(NEVER),
            receive_timeout_ns: AtomicU64::new(NEVER),
            low_water: AtomicU32::new(1),
            priority: AtomicU32::new(0),
            linger: AtomicU32::new(0),
        }
    }
}

/// Whether an option is just on or off.
fn is_switch(name: u32) -> bool {
    matches!(
        name,
        SO_REUSEADDR
            | SO_DONTROUTE
            | SO_BROADCAST
            | SO_KEEPALIVE
            | SO_OOBINLINE
            | SO_PASSCRED
            | SO_TIMESTAMP
    )
}

fn integer(bytes: &[u8]) -> Result<i32, Errno> {
    let word = bytes.first_chunk().ok_or(Errno::EINVAL)?;
    Ok(i32::from_ne_bytes(*word))
}

/// Nanoseconds of a `struct timeval`; one of zero never comes, a negative one is over.
fn timeout_ns(bytes: &[u8]) -> Result<u64, Errno> {
    let (sec, rest) = bytes.split_first_chunk().ok_or(Errno::EINVAL)?;
    let usec = rest.first_chunk().ok_or(Errno::EINVAL)?;
    let (sec, usec) = (i64::from_ne_bytes(*sec), i64::from_ne_bytes(*usec));
    let usec = u64::try_from(usec)
        .ok()
        .filter(|&usec| usec < USEC)
        .ok_or(Errno::EDOM)?;
    Ok(match u64::try_from(sec) {
        Err(_) => 0,
        Ok(0) if usec == 0 => NEVER,
        Ok(sec) => sec
            .saturating_mul(NSEC)
            .saturating_add(usec * (NSEC / USEC)),
    })
}

fn timeval(ns: u64) -> Vec<u8> {
    let ns = if ns == NEVER { 0 } else { ns };
    [ns / NSEC, ns % NSEC / (NSEC / USEC)]
        .iter()
        .flat_map(|word| word.to_ne_bytes())
        .collect()
}

fn is_root() -> bool {
    process::current().credentials.lock().euid == 0
}

impl Options {
    fn is_on(&self, name: u32) -> bool {
        self.switches.load(Ordering::Relaxed) >> name & 1 == 1
    }

    fn switch(&self, name: u32, on: bool) {
        if on {
            self.switches.fetch_or(1 << name, Ordering::Relaxed);
        } else {
            self.switches.fetch_and(!(1 << name), Ordering::Relaxed);
        }
    }

    /// Whether messages come with the credentials of their sender.
    pub fn passes_credentials(&self) -> bool {
        self.is_on(SO_PASSCRED)
    }

    /// Takes over what a connection has of the socket that it came in by.
    pub fn inherit(&self, from: &Options) {
        self.switch(SO_PASSCRED, from.passes_credentials());
    }

    /// What a connection has of a host socket that it came in by.
    pub fn of_accepted(&self) -> Options {
        let from = |value: &AtomicU64| AtomicU64::new(value.load(Ordering::Relaxed));
        Options {
            send_timeout_ns: from(&self.send_timeout_ns),
            receive_timeout_ns: from(&self.receive_timeout_ns),
            low_water: AtomicU32::new(self.low_water.load(Ordering::Relaxed)),
            switches: AtomicU64::new(self.switches.load(Ordering::Relaxed) & 1 << SO_LINGER),
            linger: AtomicU32::new(self.linger.load(Ordering::Relaxed)),
            ..Options::default()
        }
    }

    /// How long closing waits for what was sent, where it does.
    pub fn linger_seconds(&self) -> Option<u32> {
        let seconds = self.linger.load(Ordering::Relaxed);
        self.is_on(SO_LINGER).then_some(seconds)
    }

    /// Bytes that may be sent and not received yet.
    pub fn send_buffer(&self) -> usize {
        self.send_buffer.load(Ordering::Relaxed)
    }

    /// Bytes that a receive of a stream waits for.
    pub fn low_water(&self) -> usize {
        self.low_water.load(Ordering::Relaxed) as usize
    }

    /// How long a send may wait.
    pub fn send_patience(&self, nonblocking: bool) -> Patience {
        let ns = self.send_timeout_ns.load(Ordering::Relaxed);
        Patience::new(nonblocking, (ns != NEVER).then_some(ns))
    }

    /// How long a receive may wait.
    pub fn receive_patience(&self, nonblocking: bool) -> Patience {
        let ns = self.receive_timeout_ns.load(Ordering::Relaxed);
        Patience::new(nonblocking, (ns != NEVER).then_some(ns))
    }

    /// Sets an option: ENOPROTOOPT for those that do not exist or only tell.
    pub fn set(&self, name: u32, bytes: &[u8]) -> Result<(), Errno> {
        let value = integer(bytes)?;
        match name {
            _ if is_switch(name) => self.switch(name, value != 0),
            SO_SNDBUF | SO_RCVBUF => set_buffer(self, name == SO_SNDBUF, value, BUFFER_BYTES),
            SO_SNDBUFFORCE | SO_RCVBUFFORCE => {
                if !is_root() {
                    return Err(Errno::EPERM);
                }
                let most = i32::MAX as usize / 2;
                set_buffer(self, name == SO_SNDBUFFORCE, value.max(0), most);
            }
            SO_SNDTIMEO_OLD | SO_SNDTIMEO_NEW => self
                .send_timeout_ns
                .store(timeout_ns(bytes)?, Ordering::Relaxed),
            SO_RCVTIMEO_OLD | SO_RCVTIMEO_NEW => self
                .receive_timeout_ns
                .store(timeout_ns(bytes)?, Ordering::Relaxed),
            SO_LINGER => {
                let seconds = integer(bytes.get(4..).unwrap_or_default())?;
                self.switch(name, value != 0);
                if value != 0 {
                    self.linger.store(seconds as u32, Ordering::Relaxed);
                }
            }
            SO_RCVLOWAT => {
                let value = u32::try_from(value).unwrap_or(i32::MAX as u32);
                self.low_water.store(value.max(1), Ordering::Relaxed);
            }
            SO_PRIORITY => {
                let value = value as u32;
                if value > PRIORITY_MAX && !is_root() {
                    return Err(Errno::EPERM);
                }
                self.priority.store(value, Ordering::Relaxed);
            }
            _ => return Err(Errno::ENOPROTOOPT),
        }
        Ok(())
    }
}

/// Linux takes twice what is asked, for what the messages themselves take.
fn set_buffer(options: &Options, send: bool, value: i32, most: usize) {
    // A negative value is a huge one.
    let bytes = (value as u32 as usize).min(most) * 2;
    if send {
        let bytes = bytes.max(SEND_BUFFER_MIN_BYTES);
        options.send_buffer.store(bytes, Ordering::Relaxed);
    } else {
        let bytes = bytes.max(RECEIVE_BUFFER_MIN_BYTES);
        options.receive_buffer.store(bytes, Ordering::Relaxed);
    }
}

/// What an option shows.
#[derive(Debug, PartialEq, Eq)]
pub enum Value {
    /// Cut to the room that there is.
    Cut(Vec<u8>),
    /// EINVAL where there is not room for all.
    Whole(Vec<u8>),
    /// ERANGE, and the bytes needed, where there is not room for all.
    List(Vec<u8>),
}

fn int(value: u32) -> Value {
    Value::Cut(value.to_ne_bytes().to_vec())
}

/// What an option of a socket shows that has those of `SOL_SOCKET` alone;
/// EOPNOTSUPP for other levels.
pub fn get_socket_level(socket: &dyn Family, level: u32, name: u32) -> Result<Value, Errno> {
    if level != SOL_SOCKET {
        return Err(Errno::EOPNOTSUPP);
    }
    get(socket, name)
}

/// What an option of a socket shows; ENOPROTOOPT.
pub fn get(socket: &dyn Family, name: u32) -> Result<Value, Errno> {
    let options = socket.options();
    Ok(match name {
        _ if is_switch(name) => int(u32::from(options.is_on(name))),
        SO_TYPE => int(socket.kind().number()),
        SO_DOMAIN => int(socket.domain()),
        SO_PROTOCOL => int(socket.protocol()),
        SO_ERROR => int(u32::from(socket.take_error().map_or(0, Errno::number))),
        SO_ACCEPTCONN => int(u32::from(socket.is_listening())),
        SO_SNDBUF => int(options.send_buffer() as u32),
        SO_RCVBUF => int(options.receive_buffer.load(Ordering::Relaxed) as u32),
        SO_RCVLOWAT => int(options.low_water.load(Ordering::Relaxed)),
        SO_SNDLOWAT => int(1),
        SO_PRIORITY => int(options.priority.load(Ordering::Relaxed)),
        SO_SNDTIMEO_OLD | SO_SNDTIMEO_NEW => {
            Value::Cut(timeval(options.send_timeout_ns.load(Ordering::Relaxed)))
        }
        SO_RCVTIMEO_OLD | SO_RCVTIMEO_NEW => {
            Value::Cut(timeval(options.receive_timeout_ns.load(Ordering::Relaxed)))
        }
        SO_LINGER => {
            let on = u32::from(options.is_on(SO_LINGER));
            let seconds = options.linger.load(Ordering::Relaxed);
            Value::Cut([on.to_ne_bytes(), seconds.to_ne_bytes()].concat())
        }
        SO_PEERCRED => {
            let peer = socket.peer_credentials();
            let who = peer.map_or(PeerCredentials::UNKNOWN, |peer| peer.who);
            Value::Cut(who.to_bytes().to_vec())
        }
        SO_PEERGROUPS => {
            let peer = socket.peer_credentials().ok_or(Errno::ENODATA)?;
            let groups = peer.groups.iter();
            Value::List(groups.flat_map(|group| group.to_ne_bytes()).collect())
        }
        // Neither can be set.
        SO_BINDTODEVICE => Value::Whole(Vec::new()),
        SO_MARK => int(0),
        SO_COOKIE => Value::Whole(socket.ino().to_ne_bytes().to_vec()),
        _ => return Err(Errno::ENOPROTOOPT),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeval_of(sec: i64, usec: i64) -> Vec<u8> {
        [sec.to_ne_bytes(), usec.to_ne_bytes()].concat()
    }

    #[test]
    fn timeouts_are_checked() {
        assert_eq!(timeout_ns(&timeval_of(1, 500_000)), Ok(1_500_000_000));
        assert_eq!(timeout_ns(&timeval_of(0, 0)), Ok(NEVER));
        assert_eq!(timeout_ns(&timeval_of(-1, 0)), Ok(0));
        assert_eq!(timeout_ns(&timeval_of(0, 1_000_000)), Err(Errno::EDOM));
        assert_eq!(timeout_ns(&timeval_of(0, -1)), Err(Errno::EDOM));
        assert_eq!(timeout_ns(&[0; 15]), Err(Errno::EINVAL));
        assert_eq!(timeval(1_500_000_000), timeval_of(1, 500_000));
        assert_eq!(timeval(NEVER), timeval_of(0, 0));
    }

    #[test]
    fn buffers_are_doubled_within_bounds() {
        let options = Options::default();
        let set = |value: i32| options.set(SO_SNDBUF, &value.to_ne_bytes());
        set(10_000).unwrap();
        assert_eq!(options.send_buffer(), 20_000);
        set(0).unwrap();
        assert_eq!(options.send_buffer(), SEND_BUFFER_MIN_BYTES);
        set(-1).unwrap();
        assert_eq!(options.send_buffer(), 2 * BUFFER_BYTES);
    }

    #[test]
    fn what_cannot_be_set_is_refused() {
        let options = Options::default();
        let one = 1i32.to_ne_bytes();
        assert_eq!(options.set(SO_TYPE, &one), Err(Errno::ENOPROTOOPT));
        assert_eq!(options.set(9999, &one), Err(Errno::ENOPROTOOPT));
        assert_eq!(options.set(SO_REUSEADDR, &[1]), Err(Errno::EINVAL));
        assert_eq!(options.set(SO_LINGER, &one), Err(Errno::EINVAL));
        options.set(SO_PASSCRED, &one).unwrap();
        assert!(options.passes_credentials());
    }
}
