//! `-p [IP:]HOST:GUEST[/PROTOCOL]`: which port of the host is which of the guest.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::address::is_loopback;
use super::policy::Mode;

/// Why a port was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// Not of the form.
    #[error(
        "-p {text:?}: write [IP:]HOST:GUEST[/tcp|/udp], as in -p 8080:80 or -p 127.0.0.1:5353:53/udp"
    )]
    Shape {
        /// As given.
        text: String,
    },
    /// A port that is none.
    #[error("-p {text:?}: {port:?} is no port; ports are 1 to 65535")]
    Port {
        /// As given.
        text: String,
        /// The part that is no port.
        port: String,
    },
    /// An address that is none.
    #[error("-p {text:?}: {ip:?} is no IP address of this host; write IPv6 addresses in brackets")]
    Address {
        /// As given.
        text: String,
        /// The part that is no address.
        ip: String,
    },
    /// Another protocol.
    #[error("-p {text:?}: {protocol:?} is no protocol for ports; write tcp or udp")]
    Protocol {
        /// As given.
        text: String,
        /// The part behind the slash.
        protocol: String,
    },
    /// All ports are the host's, or none is.
    #[error(
        "-p {mapping} has no meaning with --network host, --network none or --netns; leave one of them out"
    )]
    NotPublished {
        /// The first of them.
        mapping: PortMapping,
    },
    /// One socket of the guest is one of the host.
    #[error(
        "-p {first} and -p {second} publish one port of the guest twice; one of them has to go"
    )]
    Twice {
        /// One of them.
        first: PortMapping,
        /// The other.
        second: PortMapping,
    },
}

/// What ports belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Stream sockets.
    Tcp,
    /// Datagram sockets.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// One port of the guest that is reachable from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortMapping {
    /// Address of the host; all of them where none is given.
    pub ip: Option<IpAddr>,
    /// Port of the host.
    pub host: u16,
    /// Port of the guest.
    pub guest: u16,
    /// Of which protocol.
    pub protocol: Protocol,
}

impl FromStr for PortMapping {
    type Err = PortError;

    fn from_str(given: &str) -> Result<Self, PortError> {
        let text = || given.to_owned();
        let (rest, protocol) = match given.rsplit_once('/') {
            None => (given, Protocol::Tcp),
            Some((rest, "tcp")) => (rest, Protocol::Tcp),
            Some((rest, "udp")) => (rest, Protocol::Udp),
            Some((_, protocol)) => {
                let (text, protocol) = (text(), protocol.to_owned());
                return Err(PortError::Protocol { text, protocol });
            }
        };
        let port = |part: &str| match part.parse() {
            Ok(port) if port != 0 && part.bytes().all(|byte| byte.is_ascii_digit()) => Ok(port),
            _ => Err(PortError::Port {
                text: text(),
                port: part.to_owned(),
            }),
        };
        let shape = || PortError::Shape { text: text() };
        let (rest, guest) = rest.rsplit_once(':').ok_or_else(shape)?;
        let (ip, host) = match rest.rsplit_once(':') {
            Some((ip, host)) => (Some(ip), host),
            None => (None, rest),
        };
        let ip = ip.map(|ip| {
            parse_ip(ip).ok_or_else(|| PortError::Address {
                text: text(),
                ip: ip.to_owned(),
            })
        });
        Ok(Self {
            ip: ip.transpose()?,
            host: port(host)?,
            guest: port(guest)?,
            protocol,
        })
    }
}

/// IPv6 in brackets, as it has colons of its own.
fn parse_ip(text: &str) -> Option<IpAddr> {
    match text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
    {
        Some(text) => text.parse().ok().map(IpAddr::V6),
        None => text.parse().ok().map(IpAddr::V4),
    }
}

impl fmt::Display for PortMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            Some(IpAddr::V4(ip)) => write!(f, "{ip}:")?,
            Some(IpAddr::V6(ip)) => write!(f, "[{ip}]:")?,
            None => {}
        }
        write!(f, "{}:{}/{}", self.host, self.guest, self.protocol)
    }
}

impl PortMapping {
    /// Whether a socket of this family can be the one of this mapping.
    fn fits_family(&self, is_ipv6: bool) -> bool {
        is_ipv6 || !self.ip.is_some_and(|ip| ip.is_ipv6())
    }

    /// The host's address for one that the guest binds, where it is among those published.
    /// A socket that `takes_ipv6_only` has no part in an IPv4 address: it is the second
    /// of a server that has one for each family, and stays within this machine.
    pub(super) fn host_address(
        &self,
        guest: SocketAddr,
        takes_ipv6_only: bool,
    ) -> Option<SocketAddr> {
        let ip = match (self.ip, guest.ip()) {
            (Some(IpAddr::V4(_)), IpAddr::V6(own)) if own.is_unspecified() && takes_ipv6_only => {
                Ipv6Addr::LOCALHOST.into()
            }
            (Some(ip), own) if own.is_unspecified() => in_family(ip, own),
            (Some(ip), own)
                if !ip.is_unspecified() && ip != own.to_canonical() && !is_loopback(guest) =>
            {
                return None;
            }
            (_, own) => own,
        };
        let mut address = guest;
        address.set_ip(ip);
        address.set_port(self.host);
        Some(address)
    }
}

/// An address for a socket of the other's family.
fn in_family(ip: IpAddr, other: IpAddr) -> IpAddr {
    match (ip, other) {
        (IpAddr::V4(ip), IpAddr::V6(_)) => ip.to_ipv6_mapped().into(),
        _ => ip,
    }
}

/// The mapping for a socket that the guest gives this address, if there is one.
pub(super) fn find(
    mappings: &[PortMapping],
    protocol: Protocol,
    guest: SocketAddr,
) -> Option<&PortMapping> {
    let is_ipv6 = guest.ip().to_canonical().is_ipv6();
    mappings.iter().find(|mapping| {
        mapping.guest == guest.port()
            && mapping.protocol == protocol
            && mapping.fits_family(is_ipv6)
    })
}

/// Where a guest gets to that connects to itself: its published port is another here.
pub(super) fn outward(
    mappings: &[PortMapping],
    protocol: Protocol,
    to: SocketAddr,
) -> Option<SocketAddr> {
    let is_own = is_loopback(to) || to.ip().is_unspecified();
    let mapping = find(mappings, protocol, to).filter(|_| is_own)?;
    let mut address = to;
    if let Some(ip) = mapping.ip.filter(|ip| !ip.is_unspecified()) {
        address.set_ip(in_family(ip, to.ip()));
    }
    address.set_port(mapping.host);
    Some(address)
}

/// How a guest sees itself at the other end: the way back of [`outward`].
pub(super) fn inward(
    mappings: &[PortMapping],
    protocol: Protocol,
    from: SocketAddr,
) -> Option<SocketAddr> {
    let ip = from.ip().to_canonical();
    let mapping = mappings.iter().find(|mapping| {
        mapping.host == from.port()
            && mapping.protocol == protocol
            && (is_loopback(from) || mapping.ip == Some(ip))
    })?;
    let mut address = from;
    address.set_port(mapping.guest);
    Some(address)
}

/// Refuses mappings that cannot be followed.
pub(super) fn check(mode: &Mode, mappings: &[PortMapping]) -> Result<(), PortError> {
    if let Some(&mapping) = mappings.first().filter(|_| *mode != Mode::Published) {
        return Err(PortError::NotPublished { mapping });
    }
    for (index, &second) in mappings.iter().enumerate() {
        let clash = mappings
            .iter()
            .take(index)
            .find(|first| first.guest == second.guest && first.protocol == second.protocol);
        if let Some(&first) = clash {
            return Err(PortError::Twice { first, second });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
