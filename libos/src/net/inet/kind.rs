//! Which internet sockets there are.

use linux_raw_sys::net::{SOCK_DGRAM, SOCK_RAW, SOCK_STREAM};

use crate::errno::Errno;
use crate::net::Kind;

/// Protocols: ICMP, TCP, UDP, ICMP for IPv6, UDP-Lite.
const ICMP: u32 = 1;
pub(super) const TCP: u32 = 6;
const UDP: u32 = 17;
const ICMP_V6: u32 = 58;
/// Numbers of protocols end here.
const PROTOCOLS: u32 = 263;

/// Kind and protocol of what `socket` asks for, refused as Linux refuses it to an
/// unprivileged container.
pub fn kind(number: u32, protocol: u32) -> Result<(Kind, u32), Errno> {
    if protocol >= PROTOCOLS {
        return Err(Errno::EINVAL);
    }
    match (number, protocol) {
        (SOCK_STREAM, 0 | TCP) => Ok((Kind::Stream, TCP)),
        (SOCK_DGRAM, 0 | UDP) => Ok((Kind::Datagram, UDP)),
        // No group may ping (`net.ipv4.ping_group_range`).
        (SOCK_DGRAM, ICMP | ICMP_V6) => Err(Errno::EACCES),
        (SOCK_RAW, 1..) => Err(Errno::EPERM),
        (SOCK_STREAM | SOCK_DGRAM | SOCK_RAW, _) => Err(Errno::EPROTONOSUPPORT),
        _ => Err(Errno::ESOCKTNOSUPPORT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_refused_as_to_a_container() {
        let refused = |number, protocol| kind(number, protocol).err();
        assert_eq!(kind(1, 0), Ok((Kind::Stream, 6)));
        assert_eq!(kind(2, 17), Ok((Kind::Datagram, 17)));
        assert_eq!(refused(1, 17), Some(Errno::EPROTONOSUPPORT));
        assert_eq!(refused(1, 262), Some(Errno::EPROTONOSUPPORT));
        assert_eq!(refused(1, 263), Some(Errno::EINVAL));
        assert_eq!(refused(1, u32::MAX), Some(Errno::EINVAL));
        assert_eq!(refused(2, 1), Some(Errno::EACCES));
        assert_eq!(refused(3, 0), Some(Errno::EPROTONOSUPPORT));
        assert_eq!(refused(3, 1), Some(Errno::EPERM));
        assert_eq!(refused(5, 0), Some(Errno::ESOCKTNOSUPPORT));
    }
}
