//! What a guest may do with the host's network: kinds of sockets, flags, and
//! which address a socket of its really gets.
//!
//! | mode | connect | bind and listen |
//! |---|---|---|
//! | published (default) | anywhere | ports of `-p`; the rest within this machine |
//! | host, a namespace | anywhere | anything |
//! | none | – | – |
//!
//! A published port of the guest is the port of the host that `-p` names, for the guest
//! too where it connects to itself. "Within this machine" is the device `lo`: a listener keeps the address that the
//! guest gave it, both families, and only this machine's processes reach it. A port
//! that the kernel chose for a datagram socket is a client's, and is left alone.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::str::FromStr;

use unikiln_abi::socket::Sending;

use super::address::is_loopback;
use super::ports::{PortMapping, Protocol, find};
use super::{errno, host};

/// Send flags that are passed on; Linux ignores what it does not know, too.
const SEND_FLAGS: i32 = libc::MSG_OOB
    | libc::MSG_DONTROUTE
    | libc::MSG_EOR
    | libc::MSG_CONFIRM
    | libc::MSG_MORE
    | libc::MSG_FASTOPEN;
/// Receive flags that are passed on.
const RECEIVE_FLAGS: i32 =
    libc::MSG_OOB | libc::MSG_PEEK | libc::MSG_TRUNC | libc::MSG_WAITALL | libc::MSG_ERRQUEUE;
/// Control messages that may go with a send, by level and type.
const CONTROL: [(i32, i32); 7] = [
    (libc::IPPROTO_IP, libc::IP_TOS),
    (libc::IPPROTO_IP, libc::IP_TTL),
    (libc::IPPROTO_IP, libc::IP_PKTINFO),
    (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO),
    (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT),
    (libc::IPPROTO_IPV6, libc::IPV6_TCLASS),
    (libc::SOL_UDP, libc::UDP_SEGMENT),
];
const LOOPBACK_DEVICE: &[u8] = b"lo\0";

/// Where a guest's sockets may go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Out, and in by published ports.
    #[default]
    Published,
    /// As any process of this namespace.
    Host,
    /// As any process of this other namespace.
    Namespace(PathBuf),
    /// Nowhere.
    None,
}

/// A word that is no network.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "--network {text:?}: write host or none; without it, ports of -p are published and the rest stays within this machine"
)]
pub struct ModeError {
    text: String,
}

impl FromStr for Mode {
    type Err = ModeError;

    fn from_str(text: &str) -> Result<Self, ModeError> {
        match text {
            "host" => Ok(Self::Host),
            "none" => Ok(Self::None),
            _ => Err(ModeError {
                text: text.to_owned(),
            }),
        }
    }
}

/// The kind of a new socket, if there may be one.
pub(super) fn kind(family: u64, kind: u64, protocol: u64) -> io::Result<(i32, Protocol)> {
    let family = match i32::try_from(family) {
        Ok(family @ (libc::AF_INET | libc::AF_INET6)) => family,
        _ => return Err(errno(libc::EAFNOSUPPORT)),
    };
    let (of_kind, number) = match i32::try_from(kind) {
        Ok(libc::SOCK_STREAM) => (Protocol::Tcp, libc::IPPROTO_TCP),
        Ok(libc::SOCK_DGRAM) => (Protocol::Udp, libc::IPPROTO_UDP),
        Ok(libc::SOCK_RAW) => return Err(errno(libc::EPERM)),
        Ok(0..10) => return Err(errno(libc::ESOCKTNOSUPPORT)),
        _ => return Err(errno(libc::EINVAL)),
    };
    match i32::try_from(protocol) {
        Ok(protocol) if protocol == 0 || protocol == number => Ok((family, of_kind)),
        _ => Err(errno(libc::EPROTONOSUPPORT)),
    }
}

pub(super) fn send_flags(flags: u64) -> i32 {
    flags as i32 & SEND_FLAGS
}

pub(super) fn receive_flags(flags: u64) -> i32 {
    flags as i32 & RECEIVE_FLAGS
}

/// Refuses control messages that are malformed or not listed.
pub(super) fn check_control(sending: &Sending) -> io::Result<()> {
    let bad = || errno(libc::EINVAL);
    let bytes = sending.control.get(..sending.control_bytes as usize);
    let mut rest = bytes.ok_or_else(bad)?;
    while let Some((header, _)) = rest.split_first_chunk::<16>() {
        let &[a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = header;
        let len = u64::from_ne_bytes([a, b, c, d, e, f, g, h]);
        let level = i32::from_ne_bytes([i, j, k, l]);
        let kind = i32::from_ne_bytes([m, n, o, p]);
        let len = usize::try_from(len).map_err(|_| bad())?;
        if len < header.len() || len > rest.len() || !CONTROL.contains(&(level, kind)) {
            return Err(bad());
        }
        rest = rest.get(len.next_multiple_of(8)..).unwrap_or_default();
    }
    Ok(())
}

/// What a bind becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The host's address.
    pub(super) address: SocketAddr,
    /// The published port behind it.
    pub(super) mapping: Option<PortMapping>,
    /// Only this machine may reach it.
    pub(super) is_local: bool,
}

/// Where a socket goes that the guest binds to `guest`.
pub(super) fn place(
    mode: &Mode,
    ports: &[PortMapping],
    protocol: Protocol,
    guest: SocketAddr,
    takes_ipv6_only: bool,
) -> io::Result<Place> {
    if let Some(&mapping) = find(ports, protocol, guest) {
        let address = mapping.host_address(guest, takes_ipv6_only);
        return Ok(Place {
            address: address.ok_or_else(|| errno(libc::EADDRNOTAVAIL))?,
            mapping: Some(mapping),
            is_local: false,
        });
    }
    // A stream socket may connect from there: `listen` decides.
    let receives = protocol == Protocol::Udp && guest.port() != 0;
    Ok(Place {
        address: guest,
        mapping: None,
        is_local: receives && *mode == Mode::Published && !is_loopback(guest),
    })
}

/// Whether [`keep_local`] works here, where it is needed.
pub(super) fn can_keep_local(mode: &Mode) -> bool {
    let try_it = || {
        let socket = host::socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
        keep_local(socket.as_fd())
    };
    *mode != Mode::Published || try_it().is_ok()
}

/// Keeps a socket within this machine. Linux lets everybody do so since 5.7, once for
/// each socket.
pub(super) fn keep_local(fd: BorrowedFd<'_>) -> io::Result<()> {
    host::set_option(fd, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, LOOPBACK_DEVICE)
}

#[cfg(test)]
mod tests {
    use unikiln_abi::socket::{CONTROL_MAX_BYTES, SocketAddress};

    use super::*;

    #[test]
    fn sockets_are_of_four_kinds() {
        let (inet, stream, datagram) = (
            libc::AF_INET as u64,
            libc::SOCK_STREAM as u64,
            libc::SOCK_DGRAM as u64,
        );
        let code = |family, of_kind, protocol| {
            kind(family, of_kind, protocol).map_err(|error| error.raw_os_error().unwrap())
        };
        for family in [libc::AF_INET, libc::AF_INET6] {
            for (of_kind, protocol, number) in
                [(stream, Protocol::Tcp, 6), (datagram, Protocol::Udp, 17)]
            {
                for number in [0, number] {
                    assert_eq!(code(family as u64, of_kind, number), Ok((family, protocol)));
                }
            }
        }
        for (family, of_kind, protocol, wanted) in [
            (libc::AF_UNIX as u64, stream, 0, libc::EAFNOSUPPORT),
            (libc::AF_NETLINK as u64, 3, 0, libc::EAFNOSUPPORT),
            (libc::AF_PACKET as u64, 3, 0, libc::EAFNOSUPPORT),
            (u64::MAX, stream, 0, libc::EAFNOSUPPORT),
            (inet + (1 << 32), stream, 0, libc::EAFNOSUPPORT),
            (inet, libc::SOCK_RAW as u64, 1, libc::EPERM),
            (inet, libc::SOCK_SEQPACKET as u64, 0, libc::ESOCKTNOSUPPORT),
            (inet, stream | libc::SOCK_CLOEXEC as u64, 0, libc::EINVAL),
            (inet, u64::MAX, 0, libc::EINVAL),
            (inet, stream, 17, libc::EPROTONOSUPPORT),
            (inet, stream, 262, libc::EPROTONOSUPPORT),
            (inet, datagram, 1, libc::EPROTONOSUPPORT),
            (inet, datagram, u64::MAX, libc::EPROTONOSUPPORT),
        ] {
            assert_eq!(
                code(family, of_kind, protocol),
                Err(wanted),
                "{family} {of_kind} {protocol}"
            );
        }
    }

    #[test]
    fn flags_that_are_not_listed_are_dropped() {
        assert_eq!(send_flags(u64::MAX) & libc::MSG_ERRQUEUE, 0);
        assert_eq!(send_flags(u64::MAX) & 0x400_0000, 0, "MSG_ZEROCOPY");
        assert_eq!(send_flags(libc::MSG_MORE as u64), libc::MSG_MORE);
        assert_eq!(receive_flags(u64::MAX) & libc::MSG_CMSG_CLOEXEC, 0);
        assert_eq!(receive_flags(libc::MSG_PEEK as u64), libc::MSG_PEEK);
    }

    #[test]
    fn control_messages_are_checked() {
        let check = |parts: &[(u64, i32, i32)], control_bytes: u32| {
            let mut sending = Sending {
                to: SocketAddress::default(),
                reserved: 0,
                control_bytes,
                control: [0; CONTROL_MAX_BYTES],
            };
            for (slot, &(len, level, kind)) in sending.control.chunks_mut(24).zip(parts) {
                slot[..8].copy_from_slice(&len.to_ne_bytes());
                slot[8..12].copy_from_slice(&level.to_ne_bytes());
                slot[12..16].copy_from_slice(&kind.to_ne_bytes());
            }
            check_control(&sending).map_err(|error| error.raw_os_error().unwrap())
        };
        let ttl = (20, libc::IPPROTO_IP, libc::IP_TTL);
        for (parts, bytes) in [
            (&[][..], 0),
            (&[ttl], 20),
            (&[ttl], 24),
            (&[ttl, ttl], 44),
            (&[(40, libc::IPPROTO_IP, libc::IP_TTL)], 40),
        ] {
            assert_eq!(check(parts, bytes), Ok(()), "{parts:?} {bytes}");
        }
        for (parts, bytes) in [
            (&[ttl][..], 19),
            (&[(0, libc::IPPROTO_IP, libc::IP_TTL)], 24),
            (&[(15, libc::IPPROTO_IP, libc::IP_TTL)], 24),
            (&[(u64::MAX, libc::IPPROTO_IP, libc::IP_TTL)], 24),
            (&[(u64::MAX - 7, libc::IPPROTO_IP, libc::IP_TTL)], 24),
            (&[(20, libc::SOL_SOCKET, libc::SCM_RIGHTS)], 20),
            (&[ttl, (20, libc::IPPROTO_IP, libc::IP_RETOPTS)], 44),
            (&[ttl], CONTROL_MAX_BYTES as u32 + 1),
            (&[ttl], u32::MAX),
        ] {
            assert_eq!(check(parts, bytes), Err(libc::EINVAL), "{parts:?} {bytes}");
        }
    }

    #[test]
    fn what_is_not_published_stays_in_this_machine() {
        let ports = [
            "8080:80".parse().unwrap(),
            "[::1]:53:53/udp".parse().unwrap(),
        ];
        let at = |mode: &Mode, protocol, guest: &str| {
            place(mode, &ports, protocol, guest.parse().unwrap(), false).unwrap()
        };
        let published = Mode::Published;
        for (protocol, guest, address, is_local) in [
            (Protocol::Tcp, "0.0.0.0:80", "0.0.0.0:8080", false),
            (Protocol::Tcp, "0.0.0.0:81", "0.0.0.0:81", false),
            (Protocol::Udp, "0.0.0.0:80", "0.0.0.0:80", true),
            (Protocol::Udp, "0.0.0.0:53", "0.0.0.0:53", true),
            (Protocol::Udp, "[::]:53", "[::1]:53", false),
            (Protocol::Tcp, "127.0.0.1:80", "127.0.0.1:8080", false),
            (Protocol::Udp, "127.0.0.1:80", "127.0.0.1:80", false),
            (Protocol::Udp, "0.0.0.0:0", "0.0.0.0:0", false),
        ] {
            let place = at(&published, protocol, guest);
            assert_eq!(
                place.address,
                address.parse().unwrap(),
                "{guest}/{protocol}"
            );
            assert_eq!(place.is_local, is_local, "{guest}/{protocol}");
        }
        assert!(!at(&Mode::Host, Protocol::Udp, "0.0.0.0:99").is_local);
    }
}
