//! Interfaces, addresses and routes: a dump that the monitor asks the kernel for
//! (rtnetlink(7)), as the kernel gives it.

use std::fs::File;
use std::io::{self, Read, Write};

use unikiln_abi::socket::{DUMP_ADDRESSES, DUMP_LINKS, DUMP_ROUTES};

use super::{errno, host};

/// Most bytes of a dump.
const DUMP_MAX_BYTES: usize = 1 << 20;
/// Most bytes of one answer of the kernel's.
const ANSWER_MAX_BYTES: usize = 64 << 10;
/// `struct nlmsghdr`: length, type, flags, sequence, port.
const HEADER_BYTES: usize = 16;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// The messages of a dump, NLMSG_DONE the last.
pub(super) fn dump(what: u64, family: u64) -> io::Result<Vec<u8>> {
    let kind = match what {
        DUMP_LINKS => libc::RTM_GETLINK,
        DUMP_ADDRESSES => libc::RTM_GETADDR,
        DUMP_ROUTES => libc::RTM_GETROUTE,
        _ => return Err(errno(libc::EINVAL)),
    };
    let family = match i32::try_from(family) {
        Ok(family @ (libc::AF_UNSPEC | libc::AF_INET | libc::AF_INET6)) => family,
        _ => return Err(errno(libc::EAFNOSUPPORT)),
    };
    let socket = host::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE)?;
    let mut socket = File::from(socket);
    socket.write_all(&request(kind, family))?;
    let mut messages = Vec::new();
    let mut answer = vec![0; ANSWER_MAX_BYTES];
    loop {
        // The kernel answers within the call, so there is nothing to wait for, and in
        // parts that are smaller than this.
        let bytes = socket.read(&mut answer)?;
        let part = answer.get(..bytes).unwrap_or_default();
        messages.extend_from_slice(part);
        match end(part) {
            Some(0) => return Ok(messages),
            Some(code) => return Err(errno(code)),
            None if bytes == 0 || messages.len() > DUMP_MAX_BYTES => {
                return Err(errno(libc::ENOBUFS));
            }
            None => {}
        }
    }
}

/// Header and `struct rtgenmsg`, padded to the largest of the three structures.
fn request(kind: u16, family: i32) -> [u8; 32] {
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let mut request = [0; 32];
    let words = [
        32,
        u32::from(kind) | u32::from(flags) << 16,
        1,
        0,
        family as u32,
    ];
    for (target, word) in request.chunks_exact_mut(4).zip(words) {
        target.copy_from_slice(&word.to_le_bytes());
    }
    request
}

/// 0 where the dump is complete in these messages, an errno where it failed.
fn end(mut messages: &[u8]) -> Option<i32> {
    loop {
        let (header, _) = messages.split_first_chunk::<HEADER_BYTES>()?;
        let &[a, b, c, d, e, f, ..] = header;
        let len = (u32::from_ne_bytes([a, b, c, d]) as usize).max(HEADER_BYTES);
        match u16::from_ne_bytes([e, f]) {
            NLMSG_DONE => return Some(0),
            NLMSG_ERROR => {
                let code = messages
                    .get(HEADER_BYTES..HEADER_BYTES + 4)?
                    .try_into()
                    .ok()?;
                return Some(i32::from_ne_bytes(code).saturating_neg().max(1));
            }
            _ => messages = messages.get(len.next_multiple_of(4)..)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dumps_are_whole() {
        for what in [DUMP_LINKS, DUMP_ADDRESSES, DUMP_ROUTES] {
            let messages = dump(what, libc::AF_UNSPEC as u64).unwrap();
            assert_eq!(end(&messages), Some(0));
        }
        // The loopback device is in every namespace.
        let links = dump(DUMP_LINKS, 0).unwrap();
        assert!(links.windows(3).any(|name| name == b"lo\0"));
    }

    #[test]
    fn other_dumps_are_refused() {
        let code = |what, family| dump(what, family).unwrap_err().raw_os_error();
        assert_eq!(code(3, 0), Some(libc::EINVAL));
        assert_eq!(code(DUMP_LINKS, 1), Some(libc::EAFNOSUPPORT));
        assert_eq!(code(DUMP_LINKS, u64::MAX), Some(libc::EAFNOSUPPORT));
    }

    #[test]
    fn damaged_messages_end() {
        assert_eq!(end(&[]), None);
        assert_eq!(end(&[0; 15]), None);
        // A length of 0 must not be walked on the spot.
        assert_eq!(end(&[0; 64]), None);
        let mut failed = [0u8; 20];
        failed[..6].copy_from_slice(&[20, 0, 0, 0, 2, 0]);
        failed[16..].copy_from_slice(&(-libc::EPERM).to_ne_bytes());
        assert_eq!(end(&failed), Some(libc::EPERM));
    }
}
