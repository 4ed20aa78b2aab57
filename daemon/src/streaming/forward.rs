//! One forwarded connection: TCP to a port of a pod, from inside the pod's network namespace.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream as StdStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use super::session::{Incoming, PIECE_BYTES, ToClient};
use crate::network::namespace;

/// A pod's own loopback answers at once, unless its queue of connections is full.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What a client has left to say once the pod has closed; most say nothing, and do not end it.
const LINGER: Duration = Duration::from_secs(1);
/// Servers on one family of addresses alone are found on either.
const LOOPBACKS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// Connects to `port` and carries bytes until both sides are done. What goes wrong is said on
/// the error stream, which ends last.
pub(super) async fn forward(
    netns: Option<PathBuf>,
    port: u16,
    mut from_client: mpsc::Receiver<Incoming>,
    to_client: ToClient,
) {
    // Such a call may wait: it is no work for a thread that serves others.
    let connecting = tokio::task::spawn_blocking(move || connect(netns.as_deref(), port));
    let connected = connecting
        .await
        .unwrap_or_else(|error| Err(error.to_string()));
    let stream =
        connected.and_then(|stream| TcpStream::from_std(stream).map_err(|error| error.to_string()));
    let error = match stream {
        Ok(stream) => carry(stream, &mut from_client, &to_client).await,
        Err(error) => {
            tracing::debug!(port, error, "port forward");
            to_client.end_data().await;
            Some(error)
        }
    };
    to_client.end_error(error).await;
}

async fn carry(
    stream: TcpStream,
    from_client: &mut mpsc::Receiver<Incoming>,
    to_client: &ToClient,
) -> Option<String> {
    let (mut reader, mut writer) = stream.into_split();
    let read = {
        let downward = down(&mut reader, to_client);
        let upward = up(&mut writer, from_client, None);
        tokio::pin!(downward, upward);
        tokio::select! {
            read = &mut downward => read,
            sent = &mut upward => match sent {
                // Nothing more to say, but much to hear.
                Sent::All => downward.await,
                Sent::Reset => return None,
            },
        }
    };
    // What the client is still sending has some time to arrive.
    up(&mut writer, from_client, Some(LINGER)).await;
    match read {
        Ok(()) => None,
        Err(error) => Some(format!("reading from the pod: {error}")),
    }
}

/// From the pod to the client, until the pod ends it.
async fn down(reader: &mut OwnedReadHalf, to_client: &ToClient) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    let result = loop {
        match reader.read(&mut piece).await {
            Ok(0) => break Ok(()),
            Ok(len) => {
                if !to_client.data(piece[..len].to_vec()).await {
                    return Ok(());
                }
            }
            Err(error) => break Err(error),
        }
    };
    to_client.end_data().await;
    result
}

#[derive(Debug, PartialEq, Eq)]
enum Sent {
    All,
    Reset,
}

/// From the client to the pod, until the client ends it or, with `idle`, is silent so long.
async fn up(
    writer: &mut OwnedWriteHalf,
    from_client: &mut mpsc::Receiver<Incoming>,
    idle: Option<Duration>,
) -> Sent {
    loop {
        let received = match idle {
            None => from_client.recv().await,
            Some(idle) => match tokio::time::timeout(idle, from_client.recv()).await {
                Ok(received) => received,
                Err(_) => return Sent::All,
            },
        };
        match received {
            Some(Incoming::Data(bytes)) => {
                if writer.write_all(&bytes).await.is_err() {
                    // The pod does not listen any more; what it still says is read.
                    return Sent::All;
                }
            }
            Some(Incoming::End) => {
                let _ = writer.shutdown().await;
                return Sent::All;
            }
            None => return Sent::Reset,
        }
    }
}

fn connect(netns: Option<&Path>, port: u16) -> Result<StdStream, String> {
    let connect = || connect_here(port);
    let stream = match netns {
        Some(path) => namespace::inside(path, connect).map_err(|error| error.to_string())??,
        None => connect()?,
    };
    let ready = stream
        .set_nonblocking(true)
        .and_then(|()| stream.set_nodelay(true));
    ready.map_err(|error| error.to_string())?;
    Ok(stream)
}

fn connect_here(port: u16) -> Result<StdStream, String> {
    let mut errors = Vec::new();
    for ip in LOOPBACKS {
        let address = SocketAddr::new(ip, port);
        match StdStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => errors.push(format!("{address}: {error}")),
        }
    }
    Err(format!(
        "cannot connect to port {port} of the pod: {}",
        errors.join("; ")
    ))
}
