//! The HTTP side: a request with a token, upgraded to the protocol that the client asks for.

use std::convert::Infallible;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::file::{File, watch};
use super::program::Asked;
use super::session::Activity;
use super::token::{Granted, Tokens};
use super::upgrade::{PORTS, PROGRAMS, Protocol, negotiate};
use super::{spdy, websocket};

/// Connections at once; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 1024;
/// A client that does not send its request is not waited for.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Between attempts to accept while the system has no room.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves connections until it is aborted; they end with it.
pub(super) async fn serve(listener: TcpListener, tokens: Arc<Tokens>, idle: Duration) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let tokens = Arc::clone(&tokens);
                connections.spawn(async move {
                    let _permit = permit;
                    connection(stream, &tokens, idle).await;
                });
            }
            // No descriptor is left, most often: others will end.
            Err(error) => {
                tracing::warn!(%error, "streaming: cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// What a connection becomes.
struct Upgrade {
    protocol: Protocol,
    target: Target,
    upgraded: hyper::upgrade::OnUpgrade,
}

/// What is at its other end.
enum Target {
    Ports {
        netns: Option<PathBuf>,
        ports: Vec<u16>,
    },
    Program(Asked),
}

async fn connection(stream: TcpStream, tokens: &Tokens, idle: Duration) {
    let _ = stream.set_nodelay(true);
    let socket = stream.as_fd().try_clone_to_owned();
    let socket = match socket.and_then(|socket| watch(socket, Interest::READABLE)) {
        Ok(socket) => socket,
        Err(error) => return tracing::warn!(%error, "streaming: cannot watch a connection"),
    };
    let chosen = std::sync::Mutex::new(None);
    let service = service_fn(|request| {
        let answer = match answer(request, tokens) {
            Ok((response, upgrade)) => {
                *chosen
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(upgrade);
                response
            }
            Err((status, text)) => refusal(status, text),
        };
        async { Ok::<_, Infallible>(answer) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "streaming: connection");
    }
    let chosen = chosen
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let Some(upgrade) = chosen else { return };
    let Ok(upgraded) = upgrade.upgraded.await else {
        return;
    };
    let activity = Activity::new();
    let io = TokioIo::new(upgraded);
    let activity = &activity;
    let is_program = matches!(upgrade.target, Target::Program(_));
    let gone = hung_up(&socket);
    let session = async {
        match (upgrade.target, upgrade.protocol) {
            (Target::Ports { netns, ports }, Protocol::Channels(encoding, _)) => {
                websocket::channels(io, encoding, netns, &ports, activity).await;
            }
            (Target::Ports { netns, .. }, Protocol::Tunnel) => {
                websocket::tunnel(io, netns, activity).await;
            }
            (Target::Ports { netns, .. }, Protocol::Spdy(_)) => {
                spdy::ports(io, netns, activity).await;
            }
            (Target::Program(asked), Protocol::Channels(encoding, rules)) => {
                websocket::program(io, encoding, rules, asked, activity).await;
            }
            (Target::Program(asked), Protocol::Spdy(rules)) => {
                spdy::program(io, rules, asked, activity).await;
            }
            // Nobody was offered that.
            (Target::Program(_), Protocol::Tunnel) => {}
        }
    };
    tokio::select! {
        () = session => {}
        () = gone, if is_program => tracing::debug!("streaming: the client has closed"),
        () = activity.ends(idle) => tracing::debug!("streaming: connection was idle"),
    }
}

/// Returns once the client has closed its side, even where nothing is read any more because a
/// program takes no input.
async fn hung_up(socket: &File) {
    while let Ok(mut guard) = socket.readable().await {
        if guard.ready().is_read_closed() {
            return;
        }
        guard.clear_ready();
    }
}

type Refused = (StatusCode, String);

/// Response and upgrade, or what is wrong with the request. A token is used up by a request
/// that could have been served.
fn answer(
    mut request: Request<Incoming>,
    tokens: &Tokens,
) -> Result<(Response<Full<Bytes>>, Upgrade), Refused> {
    let bad = |text: &str| (StatusCode::BAD_REQUEST, text.to_owned());
    if !matches!(*request.method(), Method::GET | Method::POST) {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "GET and POST only".into()));
    }
    let path = request.uri().path().trim_start_matches('/').to_owned();
    let offers = match path.split_once('/') {
        Some(("portforward", _)) => PORTS,
        Some(("exec" | "attach", _)) => PROGRAMS,
        _ => return Err((StatusCode::NOT_FOUND, "nothing is here".to_owned())),
    };
    let named =
        query_ports(request.uri().query().unwrap_or_default()).map_err(|text| bad(&text))?;
    let (protocol, mut response) =
        negotiate(request.headers(), offers).map_err(|text| bad(&text))?;
    let gone = || {
        let text = "this URL was used, is too old, or never was; ask the runtime for another";
        (StatusCode::NOT_FOUND, text.to_owned())
    };
    let target = match tokens.take(&path).ok_or_else(gone)? {
        Granted::PortForward { netns, ports } => {
            let ports = if ports.is_empty() { named } else { ports };
            if matches!(protocol, Protocol::Channels(..)) {
                match ports.len() {
                    0 => return Err(bad("name the ports to forward: ?port=N")),
                    count if count > websocket::PORTS_MAX => {
                        return Err(bad("too many ports for one connection"));
                    }
                    _ => {}
                }
            }
            Target::Ports { netns, ports }
        }
        Granted::Exec(asked) | Granted::Attach(asked) => Target::Program(asked),
    };
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let upgraded = hyper::upgrade::on(&mut request);
    Ok((
        response,
        Upgrade {
            protocol,
            target,
            upgraded,
        },
    ))
}

/// `port=80&port=81`, `port=80,81`.
fn query_ports(query: &str) -> Result<Vec<u16>, String> {
    let mut ports = Vec::new();
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        if name == "port" {
            for text in value.split(',').flat_map(|part| part.split("%2C")) {
                match text.parse() {
                    Ok(port) if port > 0 => ports.push(port),
                    _ => return Err(format!("port {text:?} is not 1 to 65535")),
                }
            }
        }
    }
    Ok(ports)
}

fn refusal(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{text}\n")));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}
