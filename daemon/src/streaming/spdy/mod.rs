//! SPDY/3.1 as Kubernetes uses it: a client opens streams in pairs, one for data and one for
//! errors, by headers `streamtype`, `port` and `requestid`; the server accepts each.
//!
//! There is no flow control but that of the connection: Kubernetes' clients know no windows.
//! So a pod that does not read holds up the other streams of its connection once its queue is
//! full, and never takes more memory than that.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::frame::{Head, Kind};
use self::headers::{Compressor, Decompressor};
use super::forward::forward;
use super::session::{Activity, IN_QUEUE, Incoming, OUT_QUEUE, Outgoing, PIECE_BYTES, ToClient};

mod frame;
mod headers;
#[cfg(test)]
pub(super) mod testing;

/// Forwards of one connection at once.
const FORWARDS_MAX: usize = 1024;
/// Halves of pairs that wait for the other.
const HALVES_MAX: usize = 256;
/// How long one waits.
const HALF_LIFE: Duration = Duration::from_secs(30);
/// A control frame has headers of a few words.
const CONTROL_MAX_BYTES: usize = 64 << 10;

/// RST_STREAM's status codes.
const PROTOCOL_ERROR: u32 = 1;
const REFUSED_STREAM: u32 = 3;

/// Serves one connection until the client leaves.
pub(super) async fn serve(
    io: impl AsyncRead + AsyncWrite + Unpin,
    netns: Option<PathBuf>,
    activity: &Activity,
) {
    let (mut reader, mut writer) = tokio::io::split(io);
    let (queue, mut out) = mpsc::channel(OUT_QUEUE);
    let mut session = Session {
        netns,
        queue,
        streams: HashMap::new(),
        halves: HashMap::new(),
        forwards: JoinSet::new(),
        headers: Decompressor::new(),
    };
    let send = async {
        let mut headers = Compressor::new();
        while let Some(outgoing) = out.recv().await {
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

/// One of a pair of streams.
#[derive(Debug, Default)]
struct Half {
    since: Option<Instant>,
    error: Option<u32>,
    data: Option<(u32, mpsc::Receiver<Incoming>)>,
}

struct Session {
    netns: Option<PathBuf>,
    queue: mpsc::Sender<Outgoing>,
    /// Streams that data may come on.
    streams: HashMap<u32, mpsc::Sender<Incoming>>,
    halves: HashMap<String, Half>,
    forwards: JoinSet<()>,
    headers: Decompressor,
}

impl Session {
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
                // Its queue ends without an end: the forward ends.
                self.streams.remove(&stream);
                self.halves
                    .retain(|_, half| half.data.as_ref().is_none_or(|(data, _)| *data != stream));
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

    /// Accepts a stream; both of a pair start their forward. The error is a reset's status.
    async fn open(
        &mut self,
        stream: u32,
        is_last: bool,
        headers: &HashMap<String, String>,
    ) -> Result<(), u32> {
        let is_new = stream % 2 == 1 && !self.streams.contains_key(&stream);
        let port = headers
            .get("port")
            .and_then(|port| port.parse::<u16>().ok());
        let port = port
            .filter(|port| is_new && *port > 0)
            .ok_or(PROTOCOL_ERROR)?;
        let is_data = match headers.get("streamtype").map(String::as_str) {
            Some("data") => true,
            Some("error") => false,
            _ => return Err(PROTOCOL_ERROR),
        };
        // Clients of before request ids open the error stream first and the data stream next.
        let request = match headers.get("requestid") {
            Some(request) => request.clone(),
            None => format!(
                "stream {}",
                if is_data {
                    stream.saturating_sub(2)
                } else {
                    stream
                }
            ),
        };
        let now = Instant::now();
        self.expire(now).await;
        while self.forwards.try_join_next().is_some() {}
        if self.forwards.len() >= FORWARDS_MAX || self.halves.len() >= HALVES_MAX {
            return Err(REFUSED_STREAM);
        }
        let half = self.halves.entry(request.clone()).or_default();
        half.since.get_or_insert(now);
        let is_taken = if is_data {
            half.data.is_some()
        } else {
            half.error.is_some()
        };
        if is_taken {
            return Err(PROTOCOL_ERROR);
        }
        if is_data {
            let (sender, receiver) = mpsc::channel(IN_QUEUE);
            half.data = Some((stream, receiver));
            if is_last {
                let _ = sender.try_send(Incoming::End);
            } else {
                self.streams.insert(stream, sender);
            }
        } else {
            half.error = Some(stream);
        }
        // Before anything that the forward sends: one queue keeps the order.
        self.send(Outgoing::Accept { stream })
            .await
            .map_err(|_| REFUSED_STREAM)?;
        if let Some(Half {
            error: Some(_),
            data: Some(_),
            ..
        }) = self.halves.get(&request)
            && let Some(Half {
                error: Some(error),
                data: Some((data, receiver)),
                ..
            }) = self.halves.remove(&request)
        {
            let to_client = ToClient {
                queue: self.queue.clone(),
                data,
                error,
            };
            self.forwards
                .spawn(forward(self.netns.clone(), port, receiver, to_client));
        }
        Ok(())
    }

    /// Resets halves whose other half never came.
    async fn expire(&mut self, now: Instant) {
        let old = |half: &Half| {
            half.since
                .is_some_and(|since| now.duration_since(since) > HALF_LIFE)
        };
        let expired: Vec<_> = self.halves.extract_if(|_, half| old(half)).collect();
        for (_, half) in expired {
            for stream in half
                .error
                .into_iter()
                .chain(half.data.map(|(data, _)| data))
            {
                self.streams.remove(&stream);
                let status = REFUSED_STREAM;
                let _ = self.send(Outgoing::Reset { stream, status }).await;
            }
        }
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
