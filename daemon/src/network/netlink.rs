//! What the kernel is asked by rtnetlink, in the calling thread's network namespace: to set a
//! link up, and for the addresses of one.
//!
//! Layouts are linux/netlink.h, linux/rtnetlink.h and linux/if_addr.h.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustix::fd::OwnedFd;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with,
};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP: u16 = 0x300;
const IFF_UP: u32 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
/// `RT_SCOPE_UNIVERSE`: an address that others can reach.
const SCOPE_GLOBAL: u8 = 0;
/// `nlmsghdr`.
const HEADER_BYTES: usize = 16;
/// `ifaddrmsg`.
const ADDRESS_BYTES: usize = 8;
/// The kernel's own bound on a piece of a dump.
const PIECE_BYTES: usize = 32 << 10;

/// What goes wrong with rtnetlink.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The socket does not work, or the kernel refuses.
    #[error("the kernel refuses: {what}")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// What it said.
        source: io::Error,
    },
    /// An answer that does not follow the protocol.
    #[error("the kernel's answer cannot be read: {what}")]
    Malformed {
        /// What was asked.
        what: &'static str,
    },
}

/// An address of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkAddress {
    /// The address.
    pub address: IpAddr,
    /// Bits of its network.
    pub prefix_len: u8,
}

/// Sets the link with this number up.
pub fn set_up(index: u32) -> Result<(), NetlinkError> {
    let mut body = vec![0; 4];
    body.extend(index.to_ne_bytes());
    body.extend(IFF_UP.to_ne_bytes());
    body.extend(IFF_UP.to_ne_bytes());
    ask(
        "set a link up",
        RTM_NEWLINK,
        NLM_F_ACK,
        &body,
        |_, _| Ok(()),
    )
}

/// The addresses of the link `name` that others can reach; none where there is no such link.
pub fn addresses(name: &str) -> Result<Vec<LinkAddress>, NetlinkError> {
    let what = "list addresses";
    let refused = |source| NetlinkError::Refused { what, source };
    let socket = open().map_err(refused)?;
    let index = match rustix::net::netdevice::name_to_index(&socket, name) {
        Ok(index) => index,
        Err(rustix::io::Errno::NODEV) => return Ok(Vec::new()),
        Err(errno) => return Err(refused(errno.into())),
    };
    let mut found = Vec::new();
    ask(
        what,
        RTM_GETADDR,
        NLM_F_DUMP,
        &[0; ADDRESS_BYTES],
        |kind, body| {
            if kind == RTM_NEWADDR {
                found.extend(parse_address(body, index).ok_or(NetlinkError::Malformed { what })?);
            }
            Ok(())
        },
    )?;
    Ok(found)
}

/// One `RTM_NEWADDR`; the inner none: of another link or scope. The outer one: malformed.
fn parse_address(body: &[u8], index: u32) -> Option<Option<LinkAddress>> {
    let (head, mut attributes) = body.split_at_checked(ADDRESS_BYTES)?;
    let (prefix_len, scope) = (*head.get(1)?, *head.get(3)?);
    let link = u32::from_ne_bytes(head.get(4..8)?.try_into().ok()?);
    let (mut local, mut address) = (None, None);
    while attributes.len() >= 4 {
        let len = usize::from(u16::from_ne_bytes([attributes[0], attributes[1]]));
        let kind = u16::from_ne_bytes([attributes[2], attributes[3]]);
        let value = attributes.get(4..len)?;
        match kind {
            IFA_LOCAL => local = parse_ip(value),
            IFA_ADDRESS => address = parse_ip(value),
            _ => {}
        }
        attributes = attributes
            .get(len.next_multiple_of(4)..)
            .unwrap_or_default();
    }
    // On a point-to-point link IFA_ADDRESS is the other end.
    let address = local.or(address);
    Some(
        address
            .filter(|_| link == index && scope == SCOPE_GLOBAL)
            .map(|address| LinkAddress {
                address,
                prefix_len,
            }),
    )
}

fn parse_ip(value: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(value) {
        return Some(Ipv4Addr::from(octets).into());
    }
    <[u8; 16]>::try_from(value)
        .ok()
        .map(|octets| Ipv6Addr::from(octets).into())
}

fn open() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    // Protocol 0 is NETLINK_ROUTE.
    let route = None;
    Ok(socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        flags,
        route,
    )?)
}

/// Sends one request and hands each message of the answer to `each`.
fn ask(
    what: &'static str,
    kind: u16,
    flags: u16,
    body: &[u8],
    mut each: impl FnMut(u16, &[u8]) -> Result<(), NetlinkError>,
) -> Result<(), NetlinkError> {
    let refused = |source| NetlinkError::Refused { what, source };
    let malformed = || NetlinkError::Malformed { what };
    let socket = open().map_err(refused)?;
    let len = u32::try_from(HEADER_BYTES + body.len()).map_err(|_| malformed())?;
    let mut request = len.to_ne_bytes().to_vec();
    request.extend(kind.to_ne_bytes());
    request.extend((NLM_F_REQUEST | flags).to_ne_bytes());
    // Sequence number and port: one request a socket needs neither.
    request.extend([0; 8]);
    request.extend(body);
    let kernel = SocketAddrNetlink::new(0, 0);
    sendto(&socket, &request, SendFlags::empty(), &kernel)
        .map_err(|errno| refused(errno.into()))?;

    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let (len, _) =
            rustix::io::retry_on_intr(|| recv(&socket, &mut piece[..], RecvFlags::empty()))
                .map_err(|errno| refused(errno.into()))?;
        let mut rest = piece.get(..len).ok_or_else(malformed)?;
        while let Some((kind, body, next)) = split_message(rest) {
            match kind {
                NLMSG_DONE => return Ok(()),
                NLMSG_ERROR => {
                    let errno = body.get(..4).and_then(|bytes| bytes.try_into().ok());
                    let errno = errno.map(i32::from_ne_bytes).ok_or_else(malformed)?;
                    return match errno {
                        0 => Ok(()),
                        _ => Err(refused(io::Error::from_raw_os_error(
                            errno.saturating_neg(),
                        ))),
                    };
                }
                _ => each(kind, body)?,
            }
            rest = next;
        }
        if !rest.is_empty() || len == 0 {
            return Err(malformed());
        }
    }
}

/// Kind and body of the first message, and what comes behind it.
fn split_message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let len = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?);
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let len = usize::try_from(len).ok()?;
    let body = bytes.get(HEADER_BYTES..len)?;
    Some((
        kind,
        body,
        bytes.get(len.next_multiple_of(4)..).unwrap_or_default(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_of_no_use_to_others() {
        assert_eq!(addresses("lo").unwrap(), []);
        assert_eq!(addresses("no-such-link").unwrap(), []);
    }

    #[test]
    fn a_link_that_is_not_there_cannot_be_set_up() {
        let error = set_up(u32::MAX >> 1).unwrap_err();
        assert!(matches!(error, NetlinkError::Refused { .. }), "{error:?}");
    }

    #[test]
    fn the_local_end_of_a_message_is_taken() {
        let mut body = vec![2, 24, 0, SCOPE_GLOBAL, 7, 0, 0, 0];
        body.extend([8, 0, 1, 0, 10, 0, 0, 9]);
        body.extend([8, 0, 2, 0, 10, 0, 0, 1]);
        let here = LinkAddress {
            address: Ipv4Addr::new(10, 0, 0, 1).into(),
            prefix_len: 24,
        };
        assert_eq!(parse_address(&body, 7), Some(Some(here)));
        assert_eq!(parse_address(&body, 8), Some(None));
        body[8] = 200;
        assert_eq!(parse_address(&body, 7), None);
        assert_eq!(parse_address(&body[..5], 7), None);
    }

    #[test]
    fn a_message_that_lies_about_its_length_is_none() {
        assert_eq!(split_message(&[0; 15]), None);
        let mut bytes = vec![0; 16];
        bytes[0] = 15;
        assert_eq!(split_message(&bytes), None);
        bytes[0] = 200;
        assert_eq!(split_message(&bytes), None);
        bytes[0] = 16;
        assert_eq!(split_message(&bytes), Some((0, &[][..], &[][..])));
    }
}
