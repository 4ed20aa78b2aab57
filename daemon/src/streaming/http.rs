//! The HTTP side: a request with a token, upgraded to the protocol that the client asks for.
//!
//! | request | becomes |
//! |---|---|
//! | `Upgrade: websocket`, subprotocol `v4.channel.k8s.io`, `v4.base64.channel.k8s.io`, none | channels |
//! | `Upgrade: websocket`, subprotocol `SPDY/3.1+portforward.k8s.io` | SPDY inside of a WebSocket |
//! | `Upgrade: SPDY/3.1`, `X-Stream-Protocol-Version: portforward.k8s.io` | SPDY |

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::session::Activity;
use super::token::{Granted, Tokens};
use super::{spdy, websocket};

/// Connections at once; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 1024;
/// A client that does not send its request is not waited for.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Between attempts to accept while the system has no room.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const PORT_FORWARD: &str = "portforward.k8s.io";
const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";
const SPDY: &str = "SPDY/3.1";
const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");

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
    netns: Option<PathBuf>,
    ports: Vec<u16>,
    upgraded: hyper::upgrade::OnUpgrade,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Channels(websocket::Encoding),
    Tunnel,
    Spdy,
}

async fn connection(stream: TcpStream, tokens: &Tokens, idle: Duration) {
    let _ = stream.set_nodelay(true);
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
    let session = async {
        let (netns, activity) = (upgrade.netns, &activity);
        match upgrade.protocol {
            Protocol::Channels(encoding) => {
                websocket::channels(io, encoding, netns, &upgrade.ports, activity).await;
            }
            Protocol::Tunnel => websocket::tunnel(io, netns, activity).await,
            Protocol::Spdy => spdy::serve(io, netns, activity).await,
        }
    };
    tokio::select! {
        () = session => {}
        () = activity.ends(idle) => tracing::debug!("streaming: connection was idle"),
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
    let token = request.uri().path().strip_prefix("/portforward/");
    let token = token
        .ok_or_else(|| (StatusCode::NOT_FOUND, "nothing is here".to_owned()))?
        .to_owned();
    let named =
        query_ports(request.uri().query().unwrap_or_default()).map_err(|text| bad(&text))?;
    let (protocol, mut response) = negotiate(request.headers()).map_err(|text| bad(&text))?;
    let gone = || {
        let text = "this URL was used, is too old, or never was; ask the runtime for another";
        (StatusCode::NOT_FOUND, text.to_owned())
    };
    let Granted::PortForward { netns, ports } = tokens.take(&token).ok_or_else(gone)?;
    let ports = if ports.is_empty() { named } else { ports };
    if matches!(protocol, Protocol::Channels(_)) {
        match ports.len() {
            0 => return Err(bad("name the ports to forward: ?port=N")),
            count if count > websocket::PORTS_MAX => {
                return Err(bad("too many ports for one connection"));
            }
            _ => {}
        }
    }
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let upgraded = hyper::upgrade::on(&mut request);
    Ok((
        response,
        Upgrade {
            protocol,
            netns,
            ports,
            upgraded,
        },
    ))
}

/// Which protocol the client asks for, and the head that agrees.
fn negotiate(headers: &HeaderMap) -> Result<(Protocol, Response<Full<Bytes>>), String> {
    let has = |name: HeaderName, token: &str| {
        words(headers, &name).any(|word| word.eq_ignore_ascii_case(token))
    };
    if !has(header::CONNECTION, "upgrade") {
        return Err("this URL takes an upgrade: to a WebSocket, or to SPDY/3.1".into());
    }
    let mut response = Response::new(Full::default());
    let head = response.headers_mut();
    head.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    if has(header::UPGRADE, SPDY) {
        if !words(headers, &STREAM_PROTOCOL).any(|word| word == PORT_FORWARD) {
            return Err(format!(
                "X-Stream-Protocol-Version has to be {PORT_FORWARD}"
            ));
        }
        head.insert(header::UPGRADE, HeaderValue::from_static(SPDY));
        head.insert(STREAM_PROTOCOL, HeaderValue::from_static(PORT_FORWARD));
        return Ok((Protocol::Spdy, response));
    }
    if !has(header::UPGRADE, "websocket") {
        return Err("only websocket and SPDY/3.1 can be upgraded to".into());
    }
    let key = headers
        .get(header::SEC_WEBSOCKET_KEY)
        .ok_or("Sec-WebSocket-Key is missing")?;
    if !has(header::SEC_WEBSOCKET_VERSION, "13") {
        return Err("Sec-WebSocket-Version has to be 13".into());
    }
    let offered: Vec<&str> = words(headers, &header::SEC_WEBSOCKET_PROTOCOL).collect();
    let known = [
        (TUNNEL, Protocol::Tunnel),
        (
            "v4.channel.k8s.io",
            Protocol::Channels(websocket::Encoding::Binary),
        ),
        (
            "v4.base64.channel.k8s.io",
            Protocol::Channels(websocket::Encoding::Base64),
        ),
        (
            "channel.k8s.io",
            Protocol::Channels(websocket::Encoding::Binary),
        ),
        (
            "base64.channel.k8s.io",
            Protocol::Channels(websocket::Encoding::Base64),
        ),
    ];
    let chosen = offered
        .iter()
        .find_map(|offer| known.iter().find(|(name, _)| name == offer));
    let protocol = match chosen {
        Some((name, protocol)) => {
            head.insert(
                header::SEC_WEBSOCKET_PROTOCOL,
                HeaderValue::from_static(name),
            );
            *protocol
        }
        None if offered.is_empty() => Protocol::Channels(websocket::Encoding::Binary),
        None => {
            return Err(format!(
                "no known subprotocol in {offered:?}; {TUNNEL} and v4.channel.k8s.io are"
            ));
        }
    };
    let accept = derive_accept_key(key.as_bytes());
    let accept = HeaderValue::from_str(&accept).map_err(|error| error.to_string())?;
    head.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    head.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    Ok((protocol, response))
}

/// Words of a header that is a list, maybe given several times.
fn words<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|word| !word.is_empty())
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
