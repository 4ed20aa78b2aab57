//! What a request of NETLINK_ROUTE is answered: dumps of links, addresses and
//! routes, one link, and errors as an unprivileged container gets them.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use linux_raw_sys::net::{AF_INET, AF_INET6};
use unikiln_abi::socket::{DUMP_ADDRESSES, DUMP_LINKS, DUMP_ROUTES};

use super::message::{
    self, Message, NLM_F_MULTI, NLMSG_DONE, NLMSG_ERROR, RTM_NEWADDR, RTM_NEWLINK, RTM_NEWROUTE,
};
use crate::errno::Errno;

/// Most bytes of one answer: programs read a page at a time.
const ANSWER_BYTES: usize = 4096;
/// The first type of rtnetlink, and the first that Linux does not have.
const RTM_BASE: u16 = 16;
const RTM_END: u16 = 124;
/// Which link, which route.
const RTM_GETLINK: u16 = 18;
const RTM_GETADDR: u16 = 22;
const RTM_GETROUTE: u16 = 26;
/// Of four types in a row, the third asks.
const KINDS: u16 = 4;
const KIND_GET: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
/// Name of an interface.
const IFLA_IFNAME: u16 = 3;

/// Answers all requests of one datagram, to the program at `port`. Answers go to
/// the end of `queue`, one datagram each.
pub(super) fn answer(requests: &[u8], port: u32, queue: &mut VecDeque<Vec<u8>>) {
    for request in message::messages(requests) {
        let outcome = if request.flags & NLM_F_REQUEST == 0 || request.kind < RTM_BASE {
            Ok(())
        } else {
            serve(&request, port, queue)
        };
        if outcome.is_err() || request.flags & NLM_F_ACK != 0 {
            queue.push_back(error(&request, outcome.err(), port));
        }
    }
}

/// An acknowledgement, or the errno that a request came to.
fn error(request: &Message<'_>, errno: Option<Errno>, port: u32) -> Vec<u8> {
    let code = errno.map_or(0, |errno| -i32::from(errno.number()));
    let mut body = code.to_ne_bytes().to_vec();
    let whole = request.to_bytes(request.flags, request.sequence, port);
    // The request comes back whole where it failed.
    let len = if errno.is_some() {
        whole.len()
    } else {
        message::HEADER_BYTES
    };
    body.extend_from_slice(whole.get(..len).unwrap_or(&whole));
    let answer = Message {
        kind: NLMSG_ERROR,
        flags: 0,
        sequence: request.sequence,
        body: &body,
    };
    answer.to_bytes(0, request.sequence, port)
}

fn serve(request: &Message<'_>, port: u32, queue: &mut VecDeque<Vec<u8>>) -> Result<(), Errno> {
    if request.kind >= RTM_END {
        return Err(Errno::EOPNOTSUPP);
    }
    if request.body.is_empty() {
        return Ok(());
    }
    if (request.kind - RTM_BASE) % KINDS != KIND_GET {
        return Err(Errno::EPERM);
    }
    let family = match u32::from(message::byte(request.body, 0)) {
        family @ (AF_INET | AF_INET6) => family,
        _ => 0,
    };
    if request.flags & NLM_F_DUMP == 0 {
        return match request.kind {
            RTM_GETLINK => one_link(request, port, queue),
            _ => Err(Errno::EOPNOTSUPP),
        };
    }
    let (what, family, kind) = match request.kind {
        RTM_GETLINK => (DUMP_LINKS, 0, RTM_NEWLINK),
        RTM_GETADDR => (DUMP_ADDRESSES, family, RTM_NEWADDR),
        RTM_GETROUTE => (DUMP_ROUTES, family, RTM_NEWROUTE),
        _ => return Err(Errno::EOPNOTSUPP),
    };
    let dumped = message::dump(what, family)?;
    let entries = message::messages(&dumped).filter(|entry| entry.kind == kind);
    let done = Message {
        kind: NLMSG_DONE,
        flags: 0,
        sequence: 0,
        body: &[0; 4],
    };
    let mut part: Vec<u8> = Vec::new();
    for entry in entries.chain([done]) {
        let bytes = entry.to_bytes(NLM_F_MULTI, request.sequence, port);
        if !part.is_empty() && part.len() + bytes.len() > ANSWER_BYTES {
            queue.push_back(core::mem::take(&mut part));
        }
        part.extend(bytes);
    }
    queue.push_back(part);
    Ok(())
}

/// The link that a request names by its index or its name; ENODEV.
fn one_link(request: &Message<'_>, port: u32, queue: &mut VecDeque<Vec<u8>>) -> Result<(), Errno> {
    let index = message::word(request.body, 4);
    let attributes = request.body.get(message::structure_bytes(RTM_NEWLINK)..);
    let name = attributes
        .and_then(|attributes| message::attribute(attributes, IFLA_IFNAME))
        .and_then(|name| name.split(|byte| *byte == 0).next());
    if index == 0 && name.is_none() {
        return Err(Errno::EINVAL);
    }
    let dumped = message::dump(DUMP_LINKS, 0)?;
    let mut links = message::messages(&dumped).filter(|link| link.kind == RTM_NEWLINK);
    let found = links.find(|link| match index {
        0 => link.text(IFLA_IFNAME) == name,
        index => message::word(link.body, 4) == index,
    });
    let link = found.ok_or(Errno::ENODEV)?;
    queue.push_back(link.to_bytes(0, request.sequence, port));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(kind: u16, flags: u16, body: &[u8]) -> Vec<(u16, i32)> {
        let request = Message {
            kind,
            flags,
            sequence: 9,
            body,
        };
        let mut queue = VecDeque::new();
        answer(&request.to_bytes(flags, 9, 0), 4, &mut queue);
        let answers = queue.iter().flat_map(|bytes| {
            assert_eq!((message::word(bytes, 8), message::word(bytes, 12)), (9, 4));
            message::messages(bytes).map(|answer| (answer.kind, message::word(answer.body, 0)))
        });
        answers.map(|(kind, code)| (kind, code as i32)).collect()
    }

    #[test]
    fn requests_are_refused_as_in_a_container() {
        let code = |errno: Errno| [(NLMSG_ERROR, -i32::from(errno.number()))];
        // RTM_NEWADDR, RTM_GETNEIGH, one that does not exist, a route by its address.
        assert_eq!(answered(20, 5, &[0; 8]), code(Errno::EPERM));
        assert_eq!(answered(30, 0x301, &[0; 8]), code(Errno::EOPNOTSUPP));
        assert_eq!(answered(200, 1, &[0; 8]), code(Errno::EOPNOTSUPP));
        assert_eq!(answered(26, 1, &[0; 12]), code(Errno::EOPNOTSUPP));
        assert_eq!(answered(18, 1, &[0; 16]), code(Errno::EINVAL));
        // Without a monitor there is nothing to dump.
        assert_eq!(answered(18, 0x301, &[0; 16]), code(Errno::ENOSYS));
    }

    #[test]
    fn what_is_no_request_is_acknowledged_at_most() {
        assert_eq!(answered(18, 0, &[0; 16]), []);
        assert_eq!(answered(18, 4, &[0; 16]), [(NLMSG_ERROR, 0)]);
        assert_eq!(answered(3, 1, &[]), []);
        assert_eq!(answered(18, 1, &[]), []);
        let mut queue = VecDeque::new();
        answer(&[255; 40], 1, &mut queue);
        assert!(queue.is_empty());
    }
}
