//! Addresses of internet sockets, as the monitor takes and gives them.

use alloc::boxed::Box;
use alloc::vec::Vec;

use linux_raw_sys::net::{AF_INET, AF_INET6};
use unikiln_abi::socket::{ADDRESS_MAX_BYTES, SocketAddress};

/// Bytes of `struct sockaddr_in`.
const INET_BYTES: usize = 16;

/// An address for the monitor. What follows the longest one means nothing.
pub(super) fn to_host(raw: &[u8]) -> SocketAddress {
    let len = raw.len().min(ADDRESS_MAX_BYTES);
    let mut address = SocketAddress {
        len_bytes: len as u32,
        ..SocketAddress::default()
    };
    for (to, from) in address.bytes.iter_mut().zip(raw) {
        *to = *from;
    }
    address
}

/// The same where the monitor can reach it.
pub(super) fn boxed(raw: &[u8]) -> Box<SocketAddress> {
    Box::new(to_host(raw))
}

/// An address of the monitor's as the program gets it.
pub(super) fn from_host(address: &SocketAddress) -> Vec<u8> {
    let len = address.len_bytes as usize;
    address.bytes.get(..len).unwrap_or(&address.bytes).to_vec()
}

/// The address of a socket without any.
pub(super) fn unspecified(domain: u32) -> Vec<u8> {
    let bytes = if domain == AF_INET6 {
        ADDRESS_MAX_BYTES
    } else {
        INET_BYTES
    };
    let mut raw = (domain as u16).to_ne_bytes().to_vec();
    raw.resize(bytes, 0);
    raw
}

/// Whether connecting to it ends a connection (AF_UNSPEC).
pub(super) fn is_unspecified(raw: &[u8]) -> bool {
    raw.first_chunk() == Some(&[0; 2])
}

/// Whether sockets of the family are the host's.
pub fn is_inet(domain: u32) -> bool {
    matches!(domain, AF_INET | AF_INET6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_go_there_and_back() {
        let raw = [2, 0, 0, 80, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(from_host(&to_host(&raw)), raw);
        assert!(is_unspecified(&[0; 16]) && !is_unspecified(&raw) && !is_unspecified(&[]));
        assert_eq!(to_host(&[10; 128]).len_bytes, 28);
        assert_eq!(from_host(&to_host(&[])), []);
        assert_eq!(unspecified(AF_INET)[..4], [2, 0, 0, 0]);
        assert_eq!(unspecified(AF_INET6).len(), 28);
    }
}
