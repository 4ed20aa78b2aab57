//! SPDY/3.1 as Kubernetes uses it: a client opens streams, whose headers say what they are for;
//! the server accepts each.
//!
//! | module | owns |
//! |---|---|
//! | `frame`, `headers` | the wire |
//! | `ports` | pairs of streams, each pair a connection to a port |
//! | `program` | the streams of one program |
//!
//! There is no flow control but that of the connection: Kubernetes' clients know no windows.
//! So a pod that does not read holds up the other streams of its connection once its queue is
//! full, and never takes more memory than that.

use std::collections::HashMap;
use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use self::frame::{Head, Kind};
use self::headers::{Compressor, Decompressor};
use super::session::{Activity, CLOSE_LIMIT, Incoming, OUT_QUEUE, Outgoing, PIECE_BYTES};

mod frame;
mod headers;
mod ports;
mod program;
#[cfg(test)]
pub(super) mod testing;

pub(super) use self::ports::ports;
pub(super) use self::program::program;

/// A control frame has headers of a few words.
const CONTROL_MAX_BYTES: usize = 64 << 10;

/// RST_STREAM's status codes.
const PROTOCOL_ERROR: u32 = 1;
const REFUSED_STREAM: u32 = 3;

/// Streams that data may come on.
type FromClient = HashMap<u32, mpsc::Sender<Incoming>>;

/// What streams are for.
trait Service {
    /// Accepts a stream with these headers, before anything else goes on it. The error is a
    /// reset's status.
    async fn open(&mut self, streams: &mut FromClient, stream: Opened<'_>) -> Result<(), u32>;

    /// The client broke a stream.
    fn reset(&mut self, stream: u32);
}

/// A stream that a client opens.
struct Opened<'a> {
    stream: u32,
    /// It says nothing on it.
    is_last: bool,
    headers: &'a HashMap<String, String>,
}

impl Opened<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// Serves one connection until the client leaves, or the service closes it.
async fn serve<S: Service>(
    io: impl AsyncRead + AsyncWrite + Unpin,
    service: impl FnOnce(mpsc::Sender<Outgoing>) -> S,
    activity: &Activity,
) {
    let (mut reader, mut writer) = tokio::io::split(io);
    let (queue, mut out) = mpsc::channel(OUT_QUEUE);
    let mut session = Session {
        service: service(queue.clone()),
        queue,
        streams: HashMap::new(),
        headers: Decompressor::new(),
    };
    let send = async {
        let mut headers = Compressor::new();
        while let Some(outgoing) = out.recv().await {
            if outgoing == Outgoing::Close {
                writer.shutdown().await?;
                tokio::time::sleep(CLOSE_LIMIT).await;
                break;
            }
            activity.note();
            let bytes = frame::encode(outgoing, &mut headers)?;
            writer.write_all(&bytes).await?;
            writer.flush().await?;
        }
        Ok(())
    };
    let ended: io::Result<()> = tokio::select! {
        ended = session.receive(&mut reader, activity) => ended,
        ended = send => ended,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "streaming: SPDY connection");
    }
}

struct Session<S> {
    service: S,
    queue: mpsc::Sender<Outgoing>,
    streams: FromClient,
    headers: Decompressor,
}

impl<S: Service> Session<S> {
    async fn receive(
        &mut self,
        reader: &mut (impl AsyncRead + Unpin),
        activity: &Activity,
    ) -> io::Result<()> {
        loop {
            let mut head = [0; frame::HEAD_BYTES];
            match reader.read_exact(&mut head).await {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                result => result?,
            };
            activity.note();
            match Head::parse(head)? {
                Head::Data {
                    stream,
                    is_last,
                    len_bytes,
                } => {
                    self.receive_data(reader, stream, is_last, len_bytes)
                        .await?;
                }
                Head::Control {
                    kind,
                    is_last,
                    len_bytes,
                } => {
                    if len_bytes > CONTROL_MAX_BYTES {
                        return Err(invalid("a control frame is too long"));
                    }
                    let mut body = vec![0; len_bytes];
                    reader.read_exact(&mut body).await?;
                    self.receive_control(kind, is_last, &body).await?;
                }
            }
        }
    }

    /// Passes data on in pieces, however long the frame is.
    async fn receive_data(
        &mut self,
        reader: &mut (impl AsyncRead + Unpin),
        stream: u32,
        is_last: bool,
        len_bytes: usize,
    ) -> io::Result<()> {
        let mut left = len_bytes;
        while left > 0 {
            let mut piece = vec![0; left.min(PIECE_BYTES)];
            reader.read_exact(&mut piece).await?;
            left -= piece.len();
            // None: of a stream that is done, or of errors, which clients do not write.
            if let Some(sender) = self.streams.get(&stream) {
                let sent = sender.send(Incoming::Data(piece)).await;
                if sent.is_err() {
                    self.streams.remove(&stream);
                }
            }
        }
        if is_last && let Some(sender) = self.streams.remove(&stream) {
            let _ = sender.send(Incoming::End).await;
        }
        Ok(())
    }

    async fn receive_control(&mut self, kind: Kind, is_last: bool, body: &[u8]) -> io::Result<()> {
        match kind {
            Kind::SynStream => {
                let (stream, block) = frame::parse_syn_stream(body)?;
                // Also of a stream that is refused: the state of the compression goes on.
                let headers = self.headers.read(block)?;
                if let Err(status) = self.open(stream, is_last, &headers).await {
                    self.send(Outgoing::Reset { stream, status }).await?;
                }
            }
            Kind::RstStream => {
                let stream = frame::parse_stream(body)?;
                // Its queue ends without an end: what is at its other side ends.
                self.streams.remove(&stream);
                self.service.reset(stream);
            }
            Kind::Ping => {
                let id = frame::parse_ping(body)?;
                // Even ones would be answers to the server's own.
                if id % 2 == 1 {
                    self.send(Outgoing::Pong { id }).await?;
                }
            }
            Kind::Headers => {
                self.headers.read(
                    body.get(4..)
                        .ok_or_else(|| invalid("HEADERS is too short"))?,
                )?;
            }
            Kind::Other => {}
        }
        Ok(())
    }

    async fn open(
        &mut self,
        stream: u32,
        is_last: bool,
        headers: &HashMap<String, String>,
    ) -> Result<(), u32> {
        if stream.is_multiple_of(2) || self.streams.contains_key(&stream) {
            return Err(PROTOCOL_ERROR);
        }
        let opened = Opened {
            stream,
            is_last,
            headers,
        };
        self.service.open(&mut self.streams, opened).await
    }

    async fn send(&self, outgoing: Outgoing) -> io::Result<()> {
        self.queue
            .send(outgoing)
            .await
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
