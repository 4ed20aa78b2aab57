//! The streaming server: long-lived connections of kubelet's clients, by HTTP.
//!
//! ```text
//! kubelet ── CRI PortForward, Exec, Attach ──► Streaming ─► URL with a token, good once, for a minute
//! client  ── GET/POST URL, upgrade ──► http ─┬─ websocket   Kubernetes' channels
//!                                            └─ spdy        SPDY/3.1, bare or inside of a WebSocket
//!                                                 │
//!                                              forward ── TCP inside the pod's network namespace
//!                                              program ── streams that a handler opened
//! ```
//!
//! | module | owns |
//! |---|---|
//! | `token` | who may connect, and for what |
//! | `http` | the server, and its requests |
//! | `upgrade` | which protocol they become |
//! | `session` | what a connection's streams carry, whatever the protocol |
//! | `websocket` | Kubernetes' channels; a WebSocket as a pipe |
//! | `spdy` | SPDY/3.1 as Kubernetes uses it |
//! | `forward` | one connection to a port of a pod |
//! | `file` | files that tasks wait for |
//! | `program`, `status` | one program's streams, and how its end is told |
//!
//! Memory is bounded: a queue of each stream and one of each connection hold a few pieces, and
//! who reads slowly stops who writes.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use self::program::Asked;
pub use self::program::Open;
use self::token::{Granted, Tokens};
use crate::handler::streams::Streams;

mod file;
mod forward;
mod http;
mod program;
mod session;
mod spdy;
mod status;
#[cfg(test)]
mod tests;
mod token;
mod upgrade;
mod websocket;

/// How long a connection may lie still, as kubelet has it.
const IDLE: Duration = Duration::from_secs(4 * 60 * 60);
/// How long a URL is good.
const TOKEN_LIFE: Duration = Duration::from_secs(60);

/// What goes wrong with the streaming server.
#[derive(Debug, thiserror::Error)]
pub enum StreamingError {
    /// It cannot listen.
    #[error("cannot listen on {address} for streaming; choose another address")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A port that there cannot be.
    #[error("port {port} is not 1 to 65535")]
    BadPort {
        /// As asked for.
        port: i32,
    },
    /// Too many URLs were asked for and not used.
    #[error("{count} streaming URLs wait to be used; wait a minute")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// No random numbers for a token.
    #[error("the system has no random numbers")]
    Random {
        /// What the system said.
        source: io::Error,
    },
}

/// The running server. Dropping it ends the listening, and all connections.
#[derive(Debug)]
pub struct Streaming {
    address: SocketAddr,
    tokens: Arc<Tokens>,
    accepting: AbortHandle,
}

impl Streaming {
    /// Listens on `address` (port 0: the kernel's choice) and serves on `handle`.
    pub fn start(address: SocketAddr, handle: Handle) -> Result<Self, StreamingError> {
        Self::start_with(address, handle, TOKEN_LIFE, IDLE)
    }

    fn start_with(
        address: SocketAddr,
        handle: Handle,
        token_life: Duration,
        idle: Duration,
    ) -> Result<Self, StreamingError> {
        let failed = |source| StreamingError::Listen { address, source };
        let listener = std::net::TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let tokens = Arc::new(Tokens::new(token_life));
        let listener = {
            let _inside = handle.enter();
            tokio::net::TcpListener::from_std(listener).map_err(failed)?
        };
        let serving = handle.spawn(http::serve(listener, Arc::clone(&tokens), idle));
        Ok(Self {
            address,
            tokens,
            accepting: serving.abort_handle(),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A URL at which a client may forward ports, once and soon. `netns`: the pod's network
    /// namespace; none: the host's. `ports`: those that a client need not name itself.
    pub fn port_forward(
        &self,
        netns: Option<PathBuf>,
        ports: &[i32],
    ) -> Result<String, StreamingError> {
        let parse = |port: &i32| match u16::try_from(*port) {
            Ok(port) if port > 0 => Ok(port),
            _ => Err(StreamingError::BadPort { port: *port }),
        };
        let ports = ports.iter().map(parse).collect::<Result<_, _>>()?;
        self.url(Granted::PortForward { netns, ports })
    }

    /// A URL at which a client may have the streams of a command, which `open` starts then.
    pub fn exec(&self, streams: Streams, open: Open) -> Result<String, StreamingError> {
        self.url(Granted::Exec(Asked { streams, open }))
    }

    /// A URL at which a client may have the streams of a container's own program.
    pub fn attach(&self, streams: Streams, open: Open) -> Result<String, StreamingError> {
        self.url(Granted::Attach(Asked { streams, open }))
    }

    fn url(&self, what: Granted) -> Result<String, StreamingError> {
        let path = self.tokens.grant(what)?;
        Ok(format!("http://{}/{path}", self.reachable()))
    }

    /// An address that clients on this machine reach.
    fn reachable(&self) -> SocketAddr {
        let mut address = self.address;
        match address {
            SocketAddr::V4(v4) if v4.ip().is_unspecified() => {
                address.set_ip(Ipv4Addr::LOCALHOST.into())
            }
            SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
                address.set_ip(Ipv6Addr::LOCALHOST.into())
            }
            _ => {}
        }
        address
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
