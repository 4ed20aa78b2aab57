//! Kubernetes' channels over a WebSocket, and a WebSocket as a pipe for SPDY.
//!
//! Each message begins with its channel.
//!
//! | of | channels |
//! |---|---|
//! | ports | port I of the request has 2·I for data and 2·I + 1 for errors; the server's first message on each is the port, two bytes, little endian |
//! | a program | 0 stdin, 1 stdout, 2 stderr, 3 how it ended, 4 sizes of the terminal; the server's first message is empty |
//!
//! The connection ends once all is done. A channel has no end of its own; but in version 5 of a
//! program's, a message on channel 255 names one that the client has no more to say on.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::forward::forward;
use super::program::{self, Asked, FromClient};
use super::session::{
    Activity, CLOSE_LIMIT, IN_QUEUE, Incoming, OUT_QUEUE, Outgoing, PIECE_BYTES, ToClient,
};
use super::spdy;
use super::upgrade::Rules;

/// Channels have one byte, and a digit in base64.
pub(super) const PORTS_MAX: usize = 127;
/// Clients send pieces of 32 KiB.
const MESSAGE_MAX_BYTES: usize = 1 << 20;

/// A program's channels; that of stdin is 0, that of sizes 4.
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const CLOSE: usize = 255;

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// The channel as a byte, then bytes.
    Binary,
    /// The channel as a digit, then base64.
    Base64,
}

impl Encoding {
    /// Channel and bytes; none: not such a message.
    fn decode(self, message: &Message) -> Option<(usize, Vec<u8>)> {
        let bytes: &[u8] = match message {
            Message::Binary(bytes) => bytes,
            Message::Text(text) => text.as_bytes(),
            _ => return None,
        };
        let (channel, rest) = bytes.split_first()?;
        match self {
            Self::Binary => Some((usize::from(*channel), rest.to_vec())),
            Self::Base64 => Some((
                usize::from(channel.checked_sub(b'0')?),
                STANDARD.decode(rest).ok()?,
            )),
        }
    }

    fn encode(self, channel: u8, bytes: &[u8]) -> Message {
        match self {
            Self::Binary => {
                let mut message = vec![channel];
                message.extend(bytes);
                Message::binary(message)
            }
            Self::Base64 => {
                let channel = char::from(b'0'.saturating_add(channel));
                Message::text(format!("{channel}{}", STANDARD.encode(bytes)))
            }
        }
    }
}

/// Forwards `ports` by channels until all of them are done or the client leaves.
pub(super) async fn channels(
    io: impl AsyncRead + AsyncWrite + Unpin,
    encoding: Encoding,
    netns: Option<PathBuf>,
    ports: &[u16],
    activity: &Activity,
) {
    let (mut sink, source) = upgraded(io).await.split();
    let (queue, out) = mpsc::channel(OUT_QUEUE);
    let mut forwards = JoinSet::new();
    let mut routes = Routes::default();
    for (number, port) in (0_u32..).zip(ports) {
        let to_client = ToClient {
            queue: queue.clone(),
            data: 2 * number,
            error: 2 * number + 1,
        };
        for channel in [to_client.data, to_client.error] {
            let channel = u8::try_from(channel).unwrap_or(u8::MAX);
            let first = encoding.encode(channel, &port.to_le_bytes());
            if sink.send(first).await.is_err() {
                return;
            }
        }
        let (sender, receiver) = mpsc::channel(IN_QUEUE);
        routes.senders.extend([Some(sender), None]);
        forwards.spawn(forward(netns.clone(), *port, receiver, to_client));
    }
    // The queue ends with the last forward.
    drop(queue);
    exchange(sink, source, encoding, routes, out, activity).await;
}

/// Carries a program's streams by channels until it has ended or the client leaves.
pub(super) async fn program(
    io: impl AsyncRead + AsyncWrite + Unpin,
    encoding: Encoding,
    rules: Rules,
    asked: Asked,
    activity: &Activity,
) {
    let (mut sink, source) = upgraded(io).await.split();
    let (queue, out) = mpsc::channel(OUT_QUEUE);
    let (to_stdin, stdin) = mpsc::channel(IN_QUEUE);
    let (to_sizes, sizes) = mpsc::channel(IN_QUEUE);
    let streams = asked.streams;
    let first = match (streams.stdout, streams.stderr) {
        (true, _) => STDOUT,
        (false, true) => STDERR,
        (false, false) => ERROR,
    };
    if sink.send(encoding.encode(first, &[])).await.is_err() {
        return;
    }
    let routes = Routes {
        senders: vec![
            streams.stdin.then_some(to_stdin),
            None,
            None,
            None,
            streams.tty.then_some(to_sizes),
        ],
        can_close: rules.can_close,
    };
    let to_client = program::ToClient {
        queue,
        stdout: streams.stdout.then_some(u32::from(STDOUT)),
        stderr: streams.stderr.then_some(u32::from(STDERR)),
        error: u32::from(ERROR),
        has_status: rules.has_status,
    };
    let from_client = FromClient { stdin, sizes };
    let run = async {
        program::run(asked.open, from_client, to_client).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = exchange(sink, source, encoding, routes, out, activity) => {}
        () = run => {}
    }
}

/// Where messages go, by their channel.
#[derive(Default)]
struct Routes {
    /// None: what comes on the channel is for nobody.
    senders: Vec<Option<mpsc::Sender<Incoming>>>,
    /// Channels can be closed one by one.
    can_close: bool,
}

impl Routes {
    async fn deliver(&mut self, channel: usize, bytes: Vec<u8>) {
        if self.can_close && channel == CLOSE {
            for channel in bytes {
                let sender = self.senders.get_mut(usize::from(channel));
                if let Some(sender) = sender.and_then(Option::take) {
                    let _ = sender.send(Incoming::End).await;
                }
            }
        } else if let Some(Some(sender)) = self.senders.get(channel)
            && !bytes.is_empty()
        {
            // It may have ended; others have not.
            let _ = sender.send(Incoming::Data(bytes)).await;
        }
    }
}

/// Messages both ways, until nothing more is sent or the client leaves.
async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    mut sink: SplitSink<WebSocketStream<S>, Message>,
    mut source: SplitStream<WebSocketStream<S>>,
    encoding: Encoding,
    mut routes: Routes,
    mut out: mpsc::Receiver<Outgoing>,
    activity: &Activity,
) {
    let send = async {
        while let Some(outgoing) = out.recv().await {
            match outgoing {
                Outgoing::Data { stream, bytes } => {
                    activity.note();
                    let channel = u8::try_from(stream).unwrap_or(u8::MAX);
                    if sink.send(encoding.encode(channel, &bytes)).await.is_err() {
                        return;
                    }
                }
                Outgoing::Close => break,
                _ => {}
            }
        }
        // Also where the client is gone already.
        let _ = sink.send(goodbye()).await;
        tokio::time::sleep(CLOSE_LIMIT).await;
    };
    let receive = async {
        while let Some(Ok(message)) = source.next().await {
            activity.note();
            if message.is_close() {
                break;
            }
            if let Some((channel, bytes)) = encoding.decode(&message) {
                routes.deliver(channel, bytes).await;
            }
        }
    };
    tokio::select! {
        () = send => {}
        () = receive => {}
    }
}

/// Serves SPDY whose bytes are a WebSocket's binary messages, of any size.
pub(super) async fn tunnel(
    io: impl AsyncRead + AsyncWrite + Unpin,
    netns: Option<PathBuf>,
    activity: &Activity,
) {
    let (mut sink, mut source) = upgraded(io).await.split();
    let (inner, outer) = tokio::io::duplex(2 * PIECE_BYTES);
    let (mut from_spdy, mut to_spdy) = tokio::io::split(outer);
    let session = async {
        spdy::ports(inner, netns, activity).await;
    };
    let send = async {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            match from_spdy.read(&mut piece).await {
                Ok(0) | Err(_) => break,
                Ok(len) => {
                    if sink
                        .send(Message::binary(piece[..len].to_vec()))
                        .await
                        .is_err()
                    {
                        return;
                    }
                }
            }
        }
        let _ = sink.send(goodbye()).await;
    };
    let receive = async {
        receive_bytes(&mut source, &mut to_spdy).await;
        // The session sees the end and ends what it forwards.
        let _ = to_spdy.shutdown().await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        ((), ()) = async { tokio::join!(session, send) } => {}
        () = receive => {}
    }
}

async fn receive_bytes(
    source: &mut (impl Stream<Item = Result<Message, Error>> + Unpin),
    to_spdy: &mut (impl AsyncWrite + Unpin),
) {
    while let Some(Ok(message)) = source.next().await {
        let bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Close(_) | Message::Text(_) => return,
            _ => continue,
        };
        if to_spdy.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// The end of a connection where all went well: clients take one without a code for an error.
fn goodbye() -> Message {
    Message::Close(Some(CloseFrame {
        code: CloseCode::Normal,
        reason: Utf8Bytes::default(),
    }))
}

async fn upgraded<S: AsyncRead + AsyncWrite + Unpin>(io: S) -> WebSocketStream<S> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_MAX_BYTES))
        .max_frame_size(Some(MESSAGE_MAX_BYTES))
        .write_buffer_size(0)
        .max_write_buffer_size(2 * MESSAGE_MAX_BYTES);
    WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await
}
