//! A client of SPDY, for tests.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::frame::{self, HEAD_BYTES};
use super::headers::Compressor;

/// A frame that the server sent.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::streaming) enum Frame {
    Data {
        stream: u32,
        is_last: bool,
        bytes: Vec<u8>,
    },
    Accepted(u32),
    Reset {
        stream: u32,
        status: u32,
    },
    Pong(u32),
}

/// The client's end.
pub(in crate::streaming) struct Client<S> {
    pub(in crate::streaming) io: S,
    headers: Compressor,
    next: u32,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(in crate::streaming) fn new(io: S) -> Self {
        let headers = Compressor::new();
        Self {
            io,
            headers,
            next: 1,
        }
    }

    /// Opens a stream with these headers.
    pub(in crate::streaming) async fn open(&mut self, headers: &[(&str, &str)]) -> u32 {
        let stream = self.next;
        self.next += 2;
        let block = self.headers.write(headers).unwrap();
        self.io
            .write_all(&frame::syn_stream(stream, &block))
            .await
            .unwrap();
        stream
    }

    /// Opens both streams of a connection to `port`: errors, data.
    pub(in crate::streaming) async fn forward(&mut self, port: u16) -> (u32, u32) {
        let (port, request) = (port.to_string(), self.next.to_string());
        let headers = |kind| {
            [
                ("streamtype", kind),
                ("port", port.as_str()),
                ("requestid", request.as_str()),
            ]
        };
        let error = self.open(&headers("error")).await;
        self.send(error, &[], true).await;
        let data = self.open(&headers("data")).await;
        (error, data)
    }

    pub(in crate::streaming) async fn send(&mut self, stream: u32, bytes: &[u8], is_last: bool) {
        let mut frame = stream.to_be_bytes().to_vec();
        frame
            .extend((u32::from(is_last) << 24 | u32::try_from(bytes.len()).unwrap()).to_be_bytes());
        frame.extend(bytes);
        self.io.write_all(&frame).await.unwrap();
    }

    /// Sends a control frame with a body of words.
    pub(in crate::streaming) async fn control(&mut self, kind: u16, words: &[u32]) {
        let mut frame = [0x80, 3].to_vec();
        frame.extend(kind.to_be_bytes());
        frame.extend(u32::try_from(4 * words.len()).unwrap().to_be_bytes());
        frame.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        self.io.write_all(&frame).await.unwrap();
    }

    /// The next frame; none: the server closed.
    pub(in crate::streaming) async fn frame(&mut self) -> Option<Frame> {
        let mut head = [0; HEAD_BYTES];
        self.io.read_exact(&mut head).await.ok()?;
        let word =
            |at: usize, bytes: &[u8]| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        let len = word(4, &head) & 0xff_ffff;
        let mut body = vec![0; len as usize];
        self.io.read_exact(&mut body).await.ok()?;
        Some(match word(0, &head) {
            0x8003_0002 => Frame::Accepted(word(0, &body)),
            0x8003_0003 => Frame::Reset {
                stream: word(0, &body),
                status: word(4, &body),
            },
            0x8003_0006 => Frame::Pong(word(0, &body)),
            stream if stream >> 31 == 0 => Frame::Data {
                stream,
                is_last: head[4] & 1 != 0,
                bytes: body,
            },
            other => panic!("a frame {other:#x} that no server sends"),
        })
    }

    /// All that comes on `stream` until its end; `others` gets what else comes.
    pub(in crate::streaming) async fn read_to_end(
        &mut self,
        wanted: u32,
        others: &mut Vec<Frame>,
    ) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            match self.frame().await.expect("the server closed") {
                Frame::Data {
                    stream,
                    is_last,
                    bytes,
                } if stream == wanted => {
                    all.extend(bytes);
                    if is_last {
                        return all;
                    }
                }
                other => others.push(other),
            }
        }
    }
}
