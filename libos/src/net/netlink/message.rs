//! The messages of rtnetlink, as the host gives them and the program reads them.
//!
//! ```text
//!  nlmsghdr   0 bytes(u32) 4 type(u16) 6 flags(u16) 8 sequence(u32) 12 port(u32), body, padding to 4
//!  body       a structure by the type, then attributes
//!  rtattr     0 bytes(u16) 2 type(u16), data, padding to 4
//! ```
//!
//! Source: netlink(7), rtnetlink(7).

use alloc::vec;
use alloc::vec::Vec;

use crate::errno::Errno;
use crate::hypercall::socket as host;

/// Bytes of `struct nlmsghdr`.
pub const HEADER_BYTES: usize = 16;
/// An errno, and the header that it answers.
pub const NLMSG_ERROR: u16 = 2;
/// The end of a dump.
pub const NLMSG_DONE: u16 = 3;
/// A link, an address, a route.
pub const RTM_NEWLINK: u16 = 16;
/// See [`RTM_NEWLINK`].
pub const RTM_NEWADDR: u16 = 20;
/// See [`RTM_NEWLINK`].
pub const RTM_NEWROUTE: u16 = 24;
/// One of several messages.
pub const NLM_F_MULTI: u16 = 2;

/// Bytes that the first try at a dump has room for.
const DUMP_FIRST_BYTES: usize = 16 << 10;
/// The monitor makes no longer ones.
const DUMP_MAX_BYTES: usize = 2 << 20;

/// What comes before a message's attributes, by its type; 0 for types that have none.
pub fn structure_bytes(kind: u16) -> usize {
    match kind {
        RTM_NEWLINK => 16,
        RTM_NEWADDR => 8,
        RTM_NEWROUTE => 12,
        _ => 0,
    }
}

/// The word at `offset`, 0 past the end.
pub fn word(bytes: &[u8], offset: usize) -> u32 {
    let word = bytes.get(offset..).and_then(<[u8]>::first_chunk);
    word.map_or(0, |word| u32::from_ne_bytes(*word))
}

/// The half word at `offset`, 0 past the end.
pub fn half(bytes: &[u8], offset: usize) -> u16 {
    let half = bytes.get(offset..).and_then(<[u8]>::first_chunk);
    half.map_or(0, |half| u16::from_ne_bytes(*half))
}

/// The byte at `offset`, 0 past the end.
pub fn byte(bytes: &[u8], offset: usize) -> u8 {
    bytes.get(offset).copied().unwrap_or(0)
}

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// `RTM_*` or `NLMSG_*`.
    pub kind: u16,
    /// `NLM_F_*`.
    pub flags: u16,
    /// The sender's number for it.
    pub sequence: u32,
    /// All after the header.
    pub body: &'a [u8],
}

impl<'a> Message<'a> {
    /// The data of the first attribute of a type.
    pub fn attribute(&self, kind: u16) -> Option<&'a [u8]> {
        let first = self.body.get(structure_bytes(self.kind)..)?;
        attribute(first, kind)
    }

    /// The text of an attribute, without its NUL.
    pub fn text(&self, kind: u16) -> Option<&'a [u8]> {
        let data = self.attribute(kind)?;
        data.split(|byte| *byte == 0).next()
    }

    /// With another sender, as a part of an answer.
    pub fn to_bytes(self, flags: u16, sequence: u32, port: u32) -> Vec<u8> {
        let mut bytes = header(self.kind, flags, sequence, port, self.body.len());
        bytes.extend_from_slice(self.body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }
}

/// The header of a message with a body of `len` bytes.
fn header(kind: u16, flags: u16, sequence: u32, port: u32, len: usize) -> Vec<u8> {
    let mut bytes = ((HEADER_BYTES + len) as u32).to_ne_bytes().to_vec();
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&flags.to_ne_bytes());
    bytes.extend_from_slice(&sequence.to_ne_bytes());
    bytes.extend_from_slice(&port.to_ne_bytes());
    bytes
}

/// The data of the first attribute of a type among `attributes`.
pub fn attribute(mut attributes: &[u8], kind: u16) -> Option<&[u8]> {
    loop {
        let len = usize::from(half(attributes, 0));
        let data = attributes.get(4..len)?;
        // The upper bits say how the data is to be read.
        if half(attributes, 2) & 0x3fff == kind {
            return Some(data);
        }
        attributes = attributes.get(len.next_multiple_of(4)..)?;
    }
}

/// The messages of a buffer, until one that cannot be right.
pub fn messages(mut buffer: &[u8]) -> impl Iterator<Item = Message<'_>> {
    core::iter::from_fn(move || {
        let len = word(buffer, 0) as usize;
        let body = buffer.get(HEADER_BYTES..len)?;
        let message = Message {
            kind: half(buffer, 4),
            flags: half(buffer, 6),
            sequence: word(buffer, 8),
            body,
        };
        buffer = buffer.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// What the host says of its network (`DUMP_*`), of one family of addresses or of
/// all (0). The end of the dump is not counted among the messages.
pub fn dump(what: u64, family: u32) -> Result<Vec<u8>, Errno> {
    let mut bytes = DUMP_FIRST_BYTES;
    loop {
        let mut buffer = vec![0; bytes];
        match host::route_dump(what, family, &mut buffer) {
            Ok(len) => {
                buffer.truncate(len);
                return Ok(buffer);
            }
            Err(Errno::ENOBUFS) if bytes < DUMP_MAX_BYTES => bytes *= 4,
            Err(errno) => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(name: &[u8]) -> Vec<u8> {
        let mut body = vec![0; 16];
        body[4] = 7;
        body.extend([5, 0, 1, 0, 99, 0, 0, 0]);
        body.extend((4 + name.len() as u16).to_ne_bytes());
        body.extend([3, 0]);
        body.extend(name);
        let message = Message {
            kind: RTM_NEWLINK,
            flags: 0,
            sequence: 0,
            body: &body,
        };
        message.to_bytes(NLM_F_MULTI, 5, 77)
    }

    #[test]
    fn messages_follow_each_other() {
        let mut buffer = link(b"lo\0");
        buffer.extend(link(b"eth0\0"));
        assert_eq!(word(&buffer, 12), 77);
        let all: Vec<_> = messages(&buffer).collect();
        assert_eq!(all.len(), 2);
        assert_eq!((all[1].flags, all[1].sequence), (NLM_F_MULTI, 5));
        assert_eq!(all[0].text(3), Some(&b"lo"[..]));
        assert_eq!(all[1].text(3), Some(&b"eth0"[..]));
        assert_eq!(all[1].attribute(1), Some(&[99][..]));
        assert_eq!(all[1].attribute(2), None);
        assert_eq!(word(all[1].body, 4), 7);
    }

    #[test]
    fn damaged_ones_end_the_list() {
        let whole = link(b"lo\0");
        for len in [0, 15, 39] {
            assert_eq!(messages(&whole[..len]).next(), None, "{len}");
        }
        assert_eq!(messages(&[0; 64]).next(), None);
        assert_eq!(messages(&[255; 64]).next(), None);
        assert_eq!(attribute(&[3, 0, 1, 0], 1), None);
        assert_eq!(attribute(&[0; 4], 0), None);
        assert_eq!(attribute(&[9, 0, 1, 0, 7], 1), None);
    }
}
