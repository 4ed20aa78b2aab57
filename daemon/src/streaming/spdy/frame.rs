//! Frames of SPDY/3.1, sections 2.2 and 2.6 of its draft.
//!
//! ```text
//! control  1 | version 3 : 15 | type : 16 | flags : 8 | length : 24 | …
//! data     0 | stream : 31                | flags : 8 | length : 24 | bytes
//! ```

use std::io;

use super::headers::Compressor;
use super::{Outgoing, invalid};

pub(super) const HEAD_BYTES: usize = 8;
const CONTROL: u32 = 1 << 31;
const VERSION: u32 = 3;
const FLAG_LAST: u8 = 1;
const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const HEADERS: u16 = 8;
/// Stream, associated stream, priority and slot.
const SYN_STREAM_FIXED_BYTES: usize = 10;

/// Control frames that mean something to a server of Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    SynStream,
    RstStream,
    Ping,
    Headers,
    /// SETTINGS, GOAWAY, WINDOW_UPDATE, SYN_REPLY: nothing is to be done.
    Other,
}

/// What a frame begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    Data {
        stream: u32,
        is_last: bool,
        len_bytes: usize,
    },
    Control {
        kind: Kind,
        is_last: bool,
        len_bytes: usize,
    },
}

impl Head {
    pub(super) fn parse(bytes: [u8; HEAD_BYTES]) -> io::Result<Self> {
        let [a, b, c, d, flags, rest @ ..] = bytes;
        let word = u32::from_be_bytes([a, b, c, d]);
        let is_last = flags & FLAG_LAST != 0;
        let len_bytes = rest
            .iter()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        if word & CONTROL == 0 {
            return Ok(Self::Data {
                stream: word,
                is_last,
                len_bytes,
            });
        }
        if (word & !CONTROL) >> 16 != VERSION {
            return Err(invalid("a frame is not of SPDY 3"));
        }
        let kind = match u16::from_be_bytes([c, d]) {
            SYN_STREAM => Kind::SynStream,
            RST_STREAM => Kind::RstStream,
            PING => Kind::Ping,
            HEADERS => Kind::Headers,
            _ => Kind::Other,
        };
        Ok(Self::Control {
            kind,
            is_last,
            len_bytes,
        })
    }
}

/// The stream that is opened, and its compressed headers.
pub(super) fn parse_syn_stream(body: &[u8]) -> io::Result<(u32, &[u8])> {
    let block = body
        .get(SYN_STREAM_FIXED_BYTES..)
        .ok_or_else(|| invalid("SYN_STREAM is too short"))?;
    Ok((parse_stream(body)?, block))
}

/// The stream that a control frame is about.
pub(super) fn parse_stream(body: &[u8]) -> io::Result<u32> {
    Ok(parse_ping(body)? & !CONTROL)
}

/// The number of a PING.
pub(super) fn parse_ping(body: &[u8]) -> io::Result<u32> {
    let word = body.get(..4).and_then(|bytes| bytes.try_into().ok());
    word.map(u32::from_be_bytes)
        .ok_or_else(|| invalid("a control frame is too short"))
}

/// What goes to the client.
pub(super) fn encode(outgoing: Outgoing, headers: &mut Compressor) -> io::Result<Vec<u8>> {
    match outgoing {
        Outgoing::Data { stream, bytes } => data(stream, 0, &bytes),
        Outgoing::End { stream } => data(stream, FLAG_LAST, &[]),
        Outgoing::Accept { stream } => {
            let mut body = stream.to_be_bytes().to_vec();
            body.extend(headers.write(&[])?);
            control(SYN_REPLY, &body)
        }
        Outgoing::Reset { stream, status } => control(
            RST_STREAM,
            &[stream.to_be_bytes(), status.to_be_bytes()].concat(),
        ),
        Outgoing::Pong { id } => control(PING, &id.to_be_bytes()),
        // The connection's own end says so.
        Outgoing::Close => Ok(Vec::new()),
    }
}

fn data(stream: u32, flags: u8, bytes: &[u8]) -> io::Result<Vec<u8>> {
    frame(stream & !CONTROL, flags, bytes)
}

fn control(kind: u16, body: &[u8]) -> io::Result<Vec<u8>> {
    frame(CONTROL | VERSION << 16 | u32::from(kind), 0, body)
}

fn frame(word: u32, flags: u8, body: &[u8]) -> io::Result<Vec<u8>> {
    let len = u32::try_from(body.len()).ok().filter(|len| *len < 1 << 24);
    let len = len.ok_or_else(|| invalid("a frame is too long"))?;
    let mut bytes = word.to_be_bytes().to_vec();
    bytes.extend((u32::from(flags) << 24 | len).to_be_bytes());
    bytes.extend(body);
    Ok(bytes)
}

/// A stream that a client opens, for tests.
#[cfg(test)]
pub(super) fn syn_stream(stream: u32, block: &[u8]) -> Vec<u8> {
    let mut body = stream.to_be_bytes().to_vec();
    body.extend([0; 6]);
    body.extend(block);
    control(SYN_STREAM, &body).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read() {
        let data = Head::Data {
            stream: 5,
            is_last: true,
            len_bytes: 0x01_02_03,
        };
        assert_eq!(Head::parse([0, 0, 0, 5, 1, 1, 2, 3]).unwrap(), data);
        let ping = Head::Control {
            kind: Kind::Ping,
            is_last: false,
            len_bytes: 4,
        };
        assert_eq!(Head::parse([0x80, 3, 0, 6, 0, 0, 0, 4]).unwrap(), ping);
        assert!(Head::parse([0x80, 2, 0, 6, 0, 0, 0, 4]).is_err());
        assert!(parse_syn_stream(&[0; 9]).is_err());
        assert!(parse_ping(&[0; 3]).is_err());
        assert_eq!(parse_stream(&[0x80, 0, 0, 9]).unwrap(), 9);
    }

    #[test]
    fn frames_are_written() {
        let mut headers = Compressor::new();
        let frame = encode(
            Outgoing::Reset {
                stream: 7,
                status: 3,
            },
            &mut headers,
        )
        .unwrap();
        assert_eq!(frame, [0x80, 3, 0, 3, 0, 0, 0, 8, 0, 0, 0, 7, 0, 0, 0, 3]);
        let frame = encode(Outgoing::End { stream: 7 }, &mut headers).unwrap();
        assert_eq!(frame, [0, 0, 0, 7, 1, 0, 0, 0]);
        let data = Outgoing::Data {
            stream: 7,
            bytes: b"ab".to_vec(),
        };
        assert_eq!(
            encode(data, &mut headers).unwrap(),
            [0, 0, 0, 7, 0, 0, 0, 2, b'a', b'b']
        );
    }
}
