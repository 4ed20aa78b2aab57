//! `struct sockaddr_in` and `sockaddr_in6` to and from [`SocketAddr`].

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use unikiln_abi::socket::SocketAddress;

use super::errno;

const IPV4_BYTES: u32 = 16;
const IPV6_BYTES: u32 = 28;
/// RFC 2133's, without the scope: Linux takes it still.
const IPV6_SHORT_BYTES: u32 = 24;

/// The family of an address; none where it is too short to have one.
pub(super) fn family(address: &SocketAddress) -> Option<i32> {
    let [low, high, ..] = address.bytes;
    (address.len_bytes >= 2).then(|| i32::from(u16::from_ne_bytes([low, high])))
}

/// What Linux makes of an address for a socket of this family.
pub(super) fn decode(address: &SocketAddress, socket_family: i32) -> io::Result<SocketAddr> {
    let given = family(address).ok_or_else(|| errno(libc::EINVAL))?;
    let shortest = if socket_family == libc::AF_INET6 {
        IPV6_SHORT_BYTES
    } else {
        IPV4_BYTES
    };
    if address.len_bytes < shortest {
        return Err(errno(libc::EINVAL));
    }
    let decoded = read(address);
    // Old programs leave the family of "any address" out.
    let is_any = given == libc::AF_UNSPEC
        && socket_family == libc::AF_INET
        && decoded.is_some_and(|address| address.ip() == Ipv4Addr::UNSPECIFIED);
    match decoded {
        Some(decoded) if given == socket_family || is_any => Ok(decoded),
        _ => Err(errno(libc::EAFNOSUPPORT)),
    }
}

/// The address, whatever the socket is; AF_UNSPEC is read as AF_INET.
pub(super) fn read(address: &SocketAddress) -> Option<SocketAddr> {
    let given = family(address)?;
    let bytes = &address.bytes;
    let port = u16::from_be_bytes(part(bytes, 2)?);
    if given == libc::AF_INET6 && address.len_bytes >= IPV6_SHORT_BYTES {
        let flow = u32::from_be_bytes(part(bytes, 4)?);
        let ip = Ipv6Addr::from(part::<16>(bytes, 8)?);
        let scope = match address.len_bytes {
            IPV6_BYTES => u32::from_ne_bytes(part(bytes, 24)?),
            _ => 0,
        };
        return Some(SocketAddrV6::new(ip, port, flow, scope).into());
    }
    let is_ipv4 = given == libc::AF_INET || given == libc::AF_UNSPEC;
    if is_ipv4 && address.len_bytes >= IPV4_BYTES {
        let ip = Ipv4Addr::from(part::<4>(bytes, 4)?);
        return Some(SocketAddrV4::new(ip, port).into());
    }
    None
}

/// As the kernel has it.
pub(super) fn encode(address: SocketAddr) -> SocketAddress {
    let mut encoded = SocketAddress::default();
    let mut put = |at: usize, part: &[u8]| {
        if let Some(target) = encoded.bytes.get_mut(at..at + part.len()) {
            target.copy_from_slice(part);
        }
    };
    put(2, &address.port().to_be_bytes());
    match address {
        SocketAddr::V4(v4) => {
            put(0, &(libc::AF_INET as u16).to_ne_bytes());
            put(4, &v4.ip().octets());
            encoded.len_bytes = IPV4_BYTES;
        }
        SocketAddr::V6(v6) => {
            put(0, &(libc::AF_INET6 as u16).to_ne_bytes());
            put(4, &v6.flowinfo().to_be_bytes());
            put(8, &v6.ip().octets());
            put(24, &v6.scope_id().to_ne_bytes());
            encoded.len_bytes = IPV6_BYTES;
        }
    }
    encoded
}

/// Whether it names this machine alone, mapped into IPv6 or not.
pub(super) fn is_loopback(address: SocketAddr) -> bool {
    match address.ip() {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => {
            ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|v4| v4.is_loopback())
        }
    }
}

fn part<const LEN: usize>(bytes: &[u8], at: usize) -> Option<[u8; LEN]> {
    bytes.get(at..at + LEN)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(family: i32, len_bytes: u32) -> SocketAddress {
        let mut address = SocketAddress {
            len_bytes,
            ..SocketAddress::default()
        };
        address.bytes[..2].copy_from_slice(&(family as u16).to_ne_bytes());
        address
    }

    #[test]
    fn addresses_survive_the_way_there_and_back() {
        for text in ["1.2.3.4:5", "[::1]:80", "[fe80::1%3]:65535", "0.0.0.0:0"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(read(&encode(address)), Some(address), "{text}");
        }
    }

    #[test]
    fn malformed_addresses_give_what_linux_gives() {
        let code = |address: &SocketAddress, family| {
            decode(address, family).map_err(|error| error.raw_os_error().unwrap())
        };
        let (inet, inet6) = (libc::AF_INET, libc::AF_INET6);
        for (given, len, socket, wanted) in [
            (inet, 0, inet, libc::EINVAL),
            (inet, 1, inet, libc::EINVAL),
            (inet, 15, inet, libc::EINVAL),
            (inet6, 16, inet6, libc::EINVAL),
            (inet6, 28, inet, libc::EAFNOSUPPORT),
            (inet, 28, inet6, libc::EAFNOSUPPORT),
            (libc::AF_UNIX, 28, inet, libc::EAFNOSUPPORT),
            (libc::AF_UNSPEC, 28, inet6, libc::EAFNOSUPPORT),
        ] {
            assert_eq!(code(&raw(given, len), socket), Err(wanted), "{given} {len}");
        }
        assert!(code(&raw(libc::AF_UNSPEC, 16), inet).is_ok());
        assert!(code(&raw(inet6, 24), inet6).is_ok());
        assert_eq!(read(&raw(inet6, 23)), None);
    }

    #[test]
    fn loopback_is_known_in_every_form() {
        for (text, loopback) in [
            ("127.9.9.9:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("0.0.0.0:1", false),
            ("[::]:1", false),
            ("[::ffff:1.2.3.4]:1", false),
        ] {
            assert_eq!(is_loopback(text.parse().unwrap()), loopback, "{text}");
        }
    }
}
