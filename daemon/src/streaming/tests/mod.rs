//! The server with clients of each protocol, against servers on this machine's loopback and
//! programs of this machine.
//! In a pod's namespace: `daemon/tests/network/streaming.rs`.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

mod channels;
mod program;
mod programs;
mod spdy;
mod spdy_programs;

const SPDY_HEADERS: &str =
    "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: portforward.k8s.io\r\n";

fn start() -> Streaming {
    start_with(TOKEN_LIFE, IDLE)
}

fn start_with(token_life: Duration, idle: Duration) -> Streaming {
    let address = "127.0.0.1:0".parse().unwrap();
    Streaming::start_with(address, Handle::current(), token_life, idle).unwrap()
}

/// A server that serves each connection by `serve`; its port.
async fn pod<F: Future<Output = ()> + Send + 'static>(serve: fn(TcpStream) -> F) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    port
}

async fn echo(mut stream: TcpStream) {
    let (mut reader, mut writer) = stream.split();
    let _ = tokio::io::copy(&mut reader, &mut writer).await;
}

/// Reads until the end, and only then answers how much that was.
async fn count(mut stream: TcpStream) {
    let mut all = Vec::new();
    if stream.read_to_end(&mut all).await.is_ok() {
        let _ = stream
            .write_all(format!("{} bytes", all.len()).as_bytes())
            .await;
    }
}

/// A port that nobody listens on.
async fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

/// Sends a request; the answer's head, and the connection behind it.
async fn request(url: &str, method: &str, headers: &str) -> (String, TcpStream) {
    let rest = url.strip_prefix("http://").unwrap();
    let (address, path) = rest.split_once('/').unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("{method} /{path} HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.expect("an answer"));
    }
    (String::from_utf8(answer).unwrap(), stream)
}

#[tokio::test]
async fn only_what_was_granted_is_served() {
    let server = start();
    let url = server.port_forward(None, &[]).unwrap();
    let status = |head: &str| head.split(' ').nth(1).unwrap().to_owned();
    for (path, method, headers, expected) in [
        (url.clone(), "GET", "", "400"),
        (url.clone(), "PUT", SPDY_HEADERS, "405"),
        (
            url.clone(),
            "POST",
            "Connection: Upgrade\r\nUpgrade: h2c\r\n",
            "400",
        ),
        (
            url.clone(),
            "POST",
            "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n",
            "400",
        ),
        (
            url.clone(),
            "GET",
            "Connection: Upgrade\r\nUpgrade: websocket\r\n",
            "400",
        ),
        (format!("{url}?port=x"), "POST", SPDY_HEADERS, "400"),
        (
            url.replace("portforward", "other"),
            "POST",
            SPDY_HEADERS,
            "404",
        ),
        (format!("{url}0"), "POST", SPDY_HEADERS, "404"),
    ] {
        let (head, _) = request(&path, method, headers).await;
        assert_eq!(status(&head), expected, "{method} {path} {headers}");
    }
    // None of them used it up.
    let (head, _) = request(&url, "POST", SPDY_HEADERS).await;
    assert_eq!(status(&head), "101");
    assert!(
        head.to_lowercase()
            .contains("x-stream-protocol-version: portforward.k8s.io"),
        "{head}"
    );
    let (head, _) = request(&url, "POST", SPDY_HEADERS).await;
    assert_eq!(status(&head), "404");

    let server = start_with(Duration::ZERO, IDLE);
    let url = server.port_forward(None, &[]).unwrap();
    let (head, _) = request(&url, "POST", SPDY_HEADERS).await;
    assert_eq!(status(&head), "404", "too old");
    for port in [0, -1, 65536] {
        assert!(matches!(
            server.port_forward(None, &[port]),
            Err(StreamingError::BadPort { .. })
        ));
    }
}

#[tokio::test]
async fn urls_are_reachable_and_an_address_is_taken_once() {
    let any = Streaming::start("0.0.0.0:0".parse().unwrap(), Handle::current()).unwrap();
    let url = any.port_forward(None, &[]).unwrap();
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    let error = Streaming::start(any.address(), Handle::current()).unwrap_err();
    assert!(matches!(error, StreamingError::Listen { .. }), "{error}");
}

#[tokio::test]
async fn an_idle_connection_ends() {
    let server = start_with(TOKEN_LIFE, Duration::from_millis(300));
    let url = server.port_forward(None, &[]).unwrap();
    let (_, mut stream) = request(&url, "POST", SPDY_HEADERS).await;
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut rest))
        .await
        .unwrap()
        .unwrap();
}
