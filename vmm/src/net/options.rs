//! Options that a guest may read and set on its sockets, one table.
//!
//! A value is copied and handed to the host's kernel, which checks it; what is
//! listed holds plain numbers, reaches no other socket, loads nothing and needs
//! no privilege. What would hand over a pointer, a filter, another protocol layer
//! or a device is not listed. Nobody joins a multicast group; how far a datagram goes that
//! is sent to one may be set, as runtimes do to every socket.

use std::io;

use super::errno;

/// May be read, set, or both.
const GET: u8 = 1;
const SET: u8 = 2;
const BOTH: u8 = GET | SET;

const SOCKET: i32 = libc::SOL_SOCKET;
const IP: i32 = libc::IPPROTO_IP;
const TCP: i32 = libc::IPPROTO_TCP;
const UDP: i32 = libc::IPPROTO_UDP;
const IPV6: i32 = libc::IPPROTO_IPV6;

/// Levels, names, what is allowed, most bytes of a value. By level and name.
#[rustfmt::skip]
const TABLE: &[(i32, i32, u8, usize)] = &[
    (IP, 1, BOTH, 4),       // IP_TOS
    (IP, 2, BOTH, 4),       // IP_TTL
    (IP, 8, BOTH, 4),       // IP_PKTINFO
    (IP, 10, BOTH, 4),      // IP_MTU_DISCOVER
    (IP, 11, BOTH, 4),      // IP_RECVERR
    (IP, 12, BOTH, 4),      // IP_RECVTTL
    (IP, 13, BOTH, 4),      // IP_RECVTOS
    (IP, 14, GET, 4),       // IP_MTU
    (IP, 15, BOTH, 4),      // IP_FREEBIND
    (IP, 20, BOTH, 4),      // IP_RECVORIGDSTADDR
    (IP, 21, BOTH, 4),      // IP_MINTTL
    (IP, 24, BOTH, 4),      // IP_BIND_ADDRESS_NO_PORT
    (IP, 33, BOTH, 4),      // IP_MULTICAST_TTL
    (IP, 34, BOTH, 4),      // IP_MULTICAST_LOOP
    (IP, 49, BOTH, 4),      // IP_MULTICAST_ALL
    (IP, 51, BOTH, 4),      // IP_LOCAL_PORT_RANGE
    (SOCKET, 2, BOTH, 4),   // SO_REUSEADDR
    (SOCKET, 3, GET, 4),    // SO_TYPE
    (SOCKET, 4, GET, 4),    // SO_ERROR
    (SOCKET, 5, BOTH, 4),   // SO_DONTROUTE
    (SOCKET, 6, BOTH, 4),   // SO_BROADCAST
    (SOCKET, 7, BOTH, 4),   // SO_SNDBUF
    (SOCKET, 8, BOTH, 4),   // SO_RCVBUF
    (SOCKET, 9, BOTH, 4),   // SO_KEEPALIVE
    (SOCKET, 10, BOTH, 4),  // SO_OOBINLINE
    (SOCKET, 11, BOTH, 4),  // SO_NO_CHECK
    (SOCKET, 12, BOTH, 4),  // SO_PRIORITY
    (SOCKET, 13, BOTH, 8),  // SO_LINGER
    (SOCKET, 15, BOTH, 4),  // SO_REUSEPORT
    (SOCKET, 18, BOTH, 4),  // SO_RCVLOWAT
    (SOCKET, 19, GET, 4),   // SO_SNDLOWAT
    (SOCKET, 29, BOTH, 4),  // SO_TIMESTAMP
    (SOCKET, 30, GET, 4),   // SO_ACCEPTCONN
    (SOCKET, 35, BOTH, 4),  // SO_TIMESTAMPNS
    (SOCKET, 38, GET, 4),   // SO_PROTOCOL
    (SOCKET, 39, GET, 4),   // SO_DOMAIN
    (SOCKET, 40, BOTH, 4),  // SO_RXQ_OVFL
    (SOCKET, 47, BOTH, 8),  // SO_MAX_PACING_RATE
    (SOCKET, 49, BOTH, 4),  // SO_INCOMING_CPU
    (SOCKET, 56, GET, 4),   // SO_INCOMING_NAPI_ID
    (SOCKET, 63, BOTH, 4),  // SO_TIMESTAMP_NEW
    (SOCKET, 64, BOTH, 4),  // SO_TIMESTAMPNS_NEW
    (TCP, 1, BOTH, 4),      // TCP_NODELAY
    (TCP, 2, BOTH, 4),      // TCP_MAXSEG
    (TCP, 3, BOTH, 4),      // TCP_CORK
    (TCP, 4, BOTH, 4),      // TCP_KEEPIDLE
    (TCP, 5, BOTH, 4),      // TCP_KEEPINTVL
    (TCP, 6, BOTH, 4),      // TCP_KEEPCNT
    (TCP, 7, BOTH, 4),      // TCP_SYNCNT
    (TCP, 8, BOTH, 4),      // TCP_LINGER2
    (TCP, 9, BOTH, 4),      // TCP_DEFER_ACCEPT
    (TCP, 10, BOTH, 4),     // TCP_WINDOW_CLAMP
    (TCP, 11, GET, 256),    // TCP_INFO
    (TCP, 12, BOTH, 4),     // TCP_QUICKACK
    (TCP, 13, BOTH, 16),    // TCP_CONGESTION
    (TCP, 18, BOTH, 4),     // TCP_USER_TIMEOUT
    (TCP, 23, BOTH, 4),     // TCP_FASTOPEN
    (TCP, 25, BOTH, 4),     // TCP_NOTSENT_LOWAT
    (TCP, 30, BOTH, 4),     // TCP_FASTOPEN_CONNECT
    (TCP, 34, BOTH, 4),     // TCP_FASTOPEN_NO_COOKIE
    (TCP, 36, BOTH, 4),     // TCP_INQ
    (UDP, 1, BOTH, 4),      // UDP_CORK
    (UDP, 103, BOTH, 4),    // UDP_SEGMENT
    (UDP, 104, BOTH, 4),    // UDP_GRO
    (IPV6, 16, BOTH, 4),    // IPV6_UNICAST_HOPS
    (IPV6, 18, BOTH, 4),    // IPV6_MULTICAST_HOPS
    (IPV6, 19, BOTH, 4),    // IPV6_MULTICAST_LOOP
    (IPV6, 23, BOTH, 4),    // IPV6_MTU_DISCOVER
    (IPV6, 24, GET, 4),     // IPV6_MTU
    (IPV6, 25, BOTH, 4),    // IPV6_RECVERR
    (IPV6, 26, BOTH, 4),    // IPV6_V6ONLY
    (IPV6, 29, BOTH, 4),    // IPV6_MULTICAST_ALL
    (IPV6, 49, BOTH, 4),    // IPV6_RECVPKTINFO
    (IPV6, 51, BOTH, 4),    // IPV6_RECVHOPLIMIT
    (IPV6, 62, BOTH, 4),    // IPV6_DONTFRAG
    (IPV6, 66, BOTH, 4),    // IPV6_RECVTCLASS
    (IPV6, 67, BOTH, 4),    // IPV6_TCLASS
    (IPV6, 70, BOTH, 4),    // IPV6_AUTOFLOWLABEL
    (IPV6, 73, BOTH, 4),    // IPV6_MINHOPCOUNT
    (IPV6, 74, BOTH, 4),    // IPV6_RECVORIGDSTADDR
    (IPV6, 78, BOTH, 4),    // IPV6_FREEBIND
];

/// Options of the socket level that take a privilege on Linux.
#[rustfmt::skip]
const PRIVILEGED: &[i32] = &[
    1,      // SO_DEBUG
    25,     // SO_BINDTODEVICE
    26,     // SO_ATTACH_FILTER
    32, 33, // SO_SNDBUFFORCE, SO_RCVBUFFORCE
    36,     // SO_MARK
    46,     // SO_BUSY_POLL
    50, 51, 52, // SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_CBPF and _EBPF
];

/// Most bytes to read of an option.
pub(super) fn readable(level: u64, name: u64) -> io::Result<(i32, i32, usize)> {
    allowed(level, name, GET)
}

/// Most bytes to set of an option.
pub(super) fn settable(level: u64, name: u64) -> io::Result<(i32, i32, usize)> {
    allowed(level, name, SET)
}

fn allowed(level: u64, name: u64, wanted: u8) -> io::Result<(i32, i32, usize)> {
    let unknown = || errno(libc::ENOPROTOOPT);
    let level = i32::try_from(level).map_err(|_| unknown())?;
    let name = i32::try_from(name).map_err(|_| unknown())?;
    let at = TABLE.binary_search_by_key(&(level, name), |&(level, name, ..)| (level, name));
    match at.ok().and_then(|at| TABLE.get(at)) {
        Some(&(level, name, access, bytes)) if access & wanted != 0 => Ok((level, name, bytes)),
        None if level == SOCKET && PRIVILEGED.contains(&name) => Err(errno(libc::EPERM)),
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of both families.
    const MCAST_JOIN_GROUP: i32 = 42;

    #[test]
    fn the_table_is_sorted_and_each_row_is_new() {
        let keys: Vec<_> = TABLE
            .iter()
            .map(|&(level, name, ..)| (level, name))
            .collect();
        assert!(keys.is_sorted_by(|before, after| before < after));
        for &(level, name, access, bytes) in TABLE {
            assert!((4..=256).contains(&bytes), "{level} {name}");
            assert!((GET..=BOTH).contains(&access), "{level} {name}");
            assert!(level != SOCKET || !PRIVILEGED.contains(&name), "{name}");
        }
    }

    #[test]
    fn names_are_linux() {
        for (level, name) in [
            (SOCKET, libc::SO_REUSEPORT),
            (SOCKET, libc::SO_LINGER),
            (SOCKET, libc::SO_INCOMING_CPU),
            (IP, libc::IP_PKTINFO),
            (IP, libc::IP_BIND_ADDRESS_NO_PORT),
            (TCP, libc::TCP_USER_TIMEOUT),
            (TCP, libc::TCP_CONGESTION),
            (IPV6, libc::IPV6_V6ONLY),
            (IPV6, libc::IPV6_TCLASS),
            (UDP, libc::UDP_SEGMENT),
        ] {
            assert!(
                settable(level as u64, name as u64).is_ok(),
                "{level} {name}"
            );
        }
    }

    #[test]
    fn what_is_not_listed_is_refused() {
        let code = |level: u64, name: u64| settable(level, name).unwrap_err().raw_os_error();
        for (level, name, wanted) in [
            (SOCKET, libc::SO_BINDTODEVICE, libc::EPERM),
            (SOCKET, libc::SO_MARK, libc::EPERM),
            (SOCKET, libc::SO_ATTACH_FILTER, libc::EPERM),
            (SOCKET, libc::SO_ERROR, libc::ENOPROTOOPT),
            (SOCKET, libc::SO_ZEROCOPY, libc::ENOPROTOOPT),
            (IP, libc::IP_ADD_MEMBERSHIP, libc::ENOPROTOOPT),
            (IP, libc::IP_ADD_SOURCE_MEMBERSHIP, libc::ENOPROTOOPT),
            (IP, libc::IP_MULTICAST_IF, libc::ENOPROTOOPT),
            (IPV6, MCAST_JOIN_GROUP, libc::ENOPROTOOPT),
            (IP, libc::IP_OPTIONS, libc::ENOPROTOOPT),
            (IP, libc::IP_TRANSPARENT, libc::ENOPROTOOPT),
            (IPV6, libc::IPV6_ADD_MEMBERSHIP, libc::ENOPROTOOPT),
            (TCP, libc::TCP_ULP, libc::ENOPROTOOPT),
            (TCP, libc::TCP_REPAIR, libc::ENOPROTOOPT),
            (UDP, 100, libc::ENOPROTOOPT),
            (255, 1, libc::ENOPROTOOPT),
        ] {
            assert_eq!(
                code(level as u64, name as u64),
                Some(wanted),
                "{level} {name}"
            );
        }
        assert_eq!(code(u64::MAX, 1), Some(libc::ENOPROTOOPT));
        assert_eq!(code(1 << 32 | 1, 2), Some(libc::ENOPROTOOPT));
    }
}
