//! Which protocol a client and the server agree on.
//!
//! | request | becomes |
//! |---|---|
//! | `Upgrade: websocket`, a subprotocol of channels | channels |
//! | `Upgrade: websocket`, subprotocol `SPDY/3.1+portforward.k8s.io` | SPDY inside of a WebSocket |
//! | `Upgrade: SPDY/3.1`, one of `X-Stream-Protocol-Version` | SPDY |
//!
//! Of what a client offers, the first of a table counts: the newest.

use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::websocket::Encoding;

const SPDY: &str = "SPDY/3.1";
const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");

/// What a connection becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Channels(Encoding, Rules),
    Tunnel,
    Spdy(Rules),
}

/// What versions of a program's streams differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    /// The end is told as a `Status`; else as a text, where it is an error.
    pub(super) has_status: bool,
    /// Terminals have sizes.
    pub(super) has_sizes: bool,
    /// The client can close one channel.
    pub(super) can_close: bool,
}

const V5: Rules = Rules {
    has_status: true,
    has_sizes: true,
    can_close: true,
};
const V4: Rules = Rules {
    can_close: false,
    ..V5
};
const V3: Rules = Rules {
    has_status: false,
    ..V4
};
/// Version 2, and what was before versions had numbers.
const V2: Rules = Rules {
    has_sizes: false,
    ..V3
};

/// Names of protocols, the best first.
type Table = &'static [(&'static str, Protocol)];

/// What can be agreed on for a kind of URL.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offers {
    websocket: Table,
    spdy: Table,
}

/// For ports.
pub(super) const PORTS: Offers = Offers {
    websocket: &[
        ("SPDY/3.1+portforward.k8s.io", Protocol::Tunnel),
        (
            "v4.channel.k8s.io",
            Protocol::Channels(Encoding::Binary, V4),
        ),
        (
            "v4.base64.channel.k8s.io",
            Protocol::Channels(Encoding::Base64, V4),
        ),
        ("channel.k8s.io", Protocol::Channels(Encoding::Binary, V2)),
        (
            "base64.channel.k8s.io",
            Protocol::Channels(Encoding::Base64, V2),
        ),
    ],
    spdy: &[("portforward.k8s.io", Protocol::Spdy(V2))],
};

/// For programs. Sizes came to WebSockets before versions did.
pub(super) const PROGRAMS: Offers = Offers {
    websocket: &[
        (
            "v5.channel.k8s.io",
            Protocol::Channels(Encoding::Binary, V5),
        ),
        (
            "v4.channel.k8s.io",
            Protocol::Channels(Encoding::Binary, V4),
        ),
        (
            "v4.base64.channel.k8s.io",
            Protocol::Channels(Encoding::Base64, V4),
        ),
        ("channel.k8s.io", Protocol::Channels(Encoding::Binary, V3)),
        (
            "base64.channel.k8s.io",
            Protocol::Channels(Encoding::Base64, V3),
        ),
    ],
    spdy: &[
        ("v4.channel.k8s.io", Protocol::Spdy(V4)),
        ("v3.channel.k8s.io", Protocol::Spdy(V3)),
        ("v2.channel.k8s.io", Protocol::Spdy(V2)),
        ("channel.k8s.io", Protocol::Spdy(V2)),
    ],
};

/// The protocol, and the head that agrees.
pub(super) fn negotiate(
    headers: &HeaderMap,
    offers: Offers,
) -> Result<(Protocol, Response<Full<Bytes>>), String> {
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
        let (name, protocol) = choose(headers, &STREAM_PROTOCOL, offers.spdy)?
            .ok_or_else(|| format!("X-Stream-Protocol-Version has to be {}", names(offers.spdy)))?;
        head.insert(header::UPGRADE, HeaderValue::from_static(SPDY));
        head.insert(STREAM_PROTOCOL, HeaderValue::from_static(name));
        return Ok((protocol, response));
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
    let chosen = choose(headers, &header::SEC_WEBSOCKET_PROTOCOL, offers.websocket)?;
    let protocol = match chosen {
        Some((name, protocol)) => {
            let name = HeaderValue::from_static(name);
            head.insert(header::SEC_WEBSOCKET_PROTOCOL, name);
            protocol
        }
        // As before versions had numbers.
        None => Protocol::Channels(Encoding::Binary, V3),
    };
    let accept = derive_accept_key(key.as_bytes());
    let accept = HeaderValue::from_str(&accept).map_err(|error| error.to_string())?;
    head.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    head.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    Ok((protocol, response))
}

/// The best of what a header offers; none: it offers nothing at all.
fn choose(
    headers: &HeaderMap,
    name: &HeaderName,
    table: Table,
) -> Result<Option<(&'static str, Protocol)>, String> {
    let offered: Vec<&str> = words(headers, name).collect();
    let best = table.iter().find(|(name, _)| offered.contains(name));
    match best {
        Some(best) => Ok(Some(*best)),
        None if offered.is_empty() => Ok(None),
        None => Err(format!(
            "nothing known in {name}: {}; known: {}",
            offered.join(", "),
            names(table)
        )),
    }
}

fn names(table: Table) -> String {
    Vec::from_iter(table.iter().map(|(name, _)| *name)).join(", ")
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
