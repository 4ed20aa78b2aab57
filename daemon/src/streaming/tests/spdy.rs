//! SPDY, bare and inside of a WebSocket.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{SinkExt, StreamExt};
use tokio::io::DuplexStream;
use tokio_tungstenite::tungstenite::Message;

use super::super::session::Activity;
use super::super::spdy::ports;
use super::super::spdy::testing::{Client, Frame};
use super::*;

async fn client(server: &Streaming) -> Client<TcpStream> {
    let url = server.port_forward(None, &[]).unwrap();
    let (head, stream) = request(&url, "POST", SPDY_HEADERS).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    Client::new(stream)
}

/// Its bytes go in messages of odd sizes.
async fn tunnelled(server: &Streaming) -> Client<DuplexStream> {
    let url = server.port_forward(None, &[]).unwrap();
    let (socket, chosen) = channels::open(&url, Some("SPDY/3.1+portforward.k8s.io")).await;
    assert_eq!(chosen, "SPDY/3.1+portforward.k8s.io");
    let (near, far) = tokio::io::duplex(64 << 10);
    let (mut sink, mut source) = socket.split();
    let (mut reader, mut writer) = tokio::io::split(far);
    tokio::spawn(async move {
        let mut piece = vec![0; 777];
        while let Ok(len @ 1..) = reader.read(&mut piece).await {
            sink.send(Message::binary(piece[..len].to_vec()))
                .await
                .unwrap();
        }
        let _ = sink.close().await;
    });
    tokio::spawn(async move {
        while let Some(Ok(message)) = source.next().await {
            if let Message::Binary(bytes) = message {
                let _ = writer.write_all(&bytes).await;
            }
        }
        let _ = writer.shutdown().await;
    });
    Client::new(near)
}

/// Uploads, ends, and reads the answer that comes only then.
async fn half_close<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
    mut client: Client<S>,
) {
    let port = pod(count).await;
    let (error, data) = client.forward(port).await;
    let mut seen = Vec::new();
    let piece = vec![7; 200_000];
    for _ in 0..10 {
        client.send(data, &piece, false).await;
    }
    client.send(data, &[], true).await;
    assert_eq!(client.read_to_end(data, &mut seen).await, b"2000000 bytes");
    assert_eq!(client.read_to_end(error, &mut seen).await, b"");
    assert_eq!(seen, [Frame::Accepted(error), Frame::Accepted(data)]);
    client.control(6, &[41]).await;
    assert_eq!(client.frame().await, Some(Frame::Pong(41)));
}

#[tokio::test]
async fn a_half_closed_stream_still_hears_the_answer() {
    let server = start();
    half_close(client(&server).await).await;
    half_close(tunnelled(&server).await).await;
}

#[tokio::test]
async fn many_streams_do_not_mix() {
    let server = start();
    let port = pod(echo).await;
    let mut client = client(&server).await;
    let mut pairs = Vec::new();
    for number in 0..100_u32 {
        let (error, data) = client.forward(port).await;
        client
            .send(data, format!("stream {number}").as_bytes(), true)
            .await;
        pairs.push((data, error, number));
    }
    let mut heard = std::collections::HashMap::<u32, (Vec<u8>, bool)>::new();
    while heard.values().filter(|(_, ended)| *ended).count() < 2 * pairs.len() {
        if let Frame::Data {
            stream,
            is_last,
            bytes,
        } = client.frame().await.unwrap()
        {
            let entry = heard.entry(stream).or_default();
            entry.0.extend(bytes);
            entry.1 |= is_last;
        }
    }
    for (data, error, number) in pairs {
        assert_eq!(heard[&data].0, format!("stream {number}").as_bytes());
        assert_eq!(heard[&error].0, b"");
    }
}

#[tokio::test]
async fn errors_come_on_the_error_stream_and_others_go_on() {
    let server = start();
    let (closed, open) = (closed_port().await, pod(echo).await);
    let mut client = client(&server).await;
    let (error, data) = client.forward(closed).await;
    let mut seen = Vec::new();
    let text = client.read_to_end(error, &mut seen).await;
    assert!(String::from_utf8(text).unwrap().contains("refused"));
    assert!(seen.contains(&Frame::Data {
        stream: data,
        is_last: true,
        bytes: Vec::new()
    }));
    let (_, data) = client.forward(open).await;
    client.send(data, b"still here", true).await;
    assert_eq!(client.read_to_end(data, &mut seen).await, b"still here");
}

#[tokio::test]
async fn streams_that_make_no_sense_are_reset() {
    let server = start();
    let mut client = client(&server).await;
    for headers in [
        &[][..],
        &[("streamtype", "data")],
        &[("streamtype", "data"), ("port", "0")],
        &[("streamtype", "data"), ("port", "70000")],
        &[("streamtype", "stdin"), ("port", "80")],
    ] {
        let stream = client.open(headers).await;
        assert_eq!(
            client.frame().await,
            Some(Frame::Reset { stream, status: 1 }),
            "{headers:?}"
        );
    }
    let half = [("streamtype", "error"), ("port", "80"), ("requestid", "7")];
    let stream = client.open(&half).await;
    assert_eq!(client.frame().await, Some(Frame::Accepted(stream)));
    let stream = client.open(&half).await;
    assert_eq!(
        client.frame().await,
        Some(Frame::Reset { stream, status: 1 })
    );
    // Frames that are of no interest, then one that is none.
    client.control(4, &[0]).await;
    client.control(9, &[1, 100]).await;
    client.control(7, &[0, 0]).await;
    client
        .io
        .write_all(&[0x80, 9, 0, 1, 0, 0, 0, 0])
        .await
        .unwrap();
    assert_eq!(client.frame().await, None);
}

static CLOSED: AtomicUsize = AtomicUsize::new(0);

/// Counts connections that their client left.
async fn watch(mut stream: TcpStream) {
    let mut all = Vec::new();
    let _ = stream.write_all(b"!").await;
    let _ = stream.read_to_end(&mut all).await;
    CLOSED.fetch_add(1, Ordering::Relaxed);
}

#[tokio::test]
async fn a_reset_and_a_client_that_vanishes_end_the_pods_connections() {
    let server = start();
    let port = pod(watch).await;
    let mut vanishing = client(&server).await;
    let mut client = client(&server).await;
    let (error, data) = client.forward(port).await;
    vanishing.forward(port).await;
    for client in [&mut client, &mut vanishing] {
        while !matches!(client.frame().await.unwrap(), Frame::Data { bytes, .. } if bytes == b"!") {
        }
    }
    client.control(3, &[data, 5]).await;
    assert_eq!(client.read_to_end(error, &mut Vec::new()).await, b"");
    drop(vanishing);
    let both = async {
        while CLOSED.load(Ordering::Relaxed) < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), both)
        .await
        .expect("a connection is left");
}

static WRITTEN: AtomicUsize = AtomicUsize::new(0);

async fn flood(mut stream: TcpStream) {
    let piece = vec![1; 64 << 10];
    while stream.write_all(&piece).await.is_ok() {
        WRITTEN.fetch_add(piece.len(), Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_pod() {
    let server = start();
    let port = pod(flood).await;
    let mut client = client(&server).await;
    let (_, data) = client.forward(port).await;
    // The pod writes until all buffers between are full: the kernel's and ours.
    let mut before = 0;
    let mut still = 0;
    while still < 10 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = WRITTEN.load(Ordering::Relaxed);
        still = if now == before && now > 0 {
            still + 1
        } else {
            0
        };
        before = now;
        assert!(now < 64 << 20, "nothing holds the pod");
    }
    // And goes on when it is read.
    let mut read = 0;
    while read < before + (1 << 20) {
        if let Some(Frame::Data { stream, bytes, .. }) = client.frame().await {
            assert_eq!(stream, data);
            read += bytes.len();
        }
    }
}

proptest::proptest! {
    /// A client that sends anything: the session ends with it, whatever it understood.
    #[test]
    fn any_bytes_end_a_session_in_order(
        frames in proptest::collection::vec(
            (0_u8..12, 0_u8..2, proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40)),
            0..12,
        ),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ended = runtime.block_on(async {
            let (mut near, far) = tokio::io::duplex(1 << 20);
            for (kind, flags, body) in &frames {
                // Kind 0: a data frame of stream 1.
                let head = if *kind == 0 { [0, 0, 0, 1] } else { [0x80, 3, 0, *kind] };
                let len = u8::try_from(body.len()).unwrap();
                near.write_all(&[&head[..], &[*flags, 0, 0, len], body].concat()).await.unwrap();
            }
            near.shutdown().await.unwrap();
            let activity = Activity::new();
            let session = ports(far, None, &activity);
            tokio::time::timeout(Duration::from_secs(60), session).await
        });
        proptest::prop_assert!(ended.is_ok());
    }
}
