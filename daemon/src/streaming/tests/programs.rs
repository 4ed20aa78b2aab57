//! Programs by the channels of a WebSocket.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::channels::{next, open};
use super::program::{ALL, Seen, TERMINAL, broken, packets, shell, verdict};
use super::*;
use crate::handler::streams::{Size, Streams};

type Socket = WebSocketStream<TcpStream>;

const V5: &str = "v5.channel.k8s.io";
const V4: &str = "v4.channel.k8s.io";

/// Opens a shell's streams by the best of `protocols`, and hears of that.
async fn exec(
    server: &Streaming,
    script: &'static str,
    streams: Streams,
    protocols: &str,
) -> (Socket, std::sync::Arc<Seen>) {
    let (program, seen) = shell(script);
    let url = server.exec(streams, program).unwrap();
    let (socket, chosen) = open(&url, Some(protocols)).await;
    assert_eq!(protocols.split(", ").next(), Some(chosen.as_str()));
    (socket, seen)
}

async fn send(socket: &mut Socket, message: &[u8]) {
    socket
        .send(Message::binary(message.to_vec()))
        .await
        .unwrap();
}

/// All that comes until the server closes, by channel.
async fn all(socket: &mut Socket) -> BTreeMap<u8, Vec<u8>> {
    let mut all = BTreeMap::<u8, Vec<u8>>::new();
    while let Some(message) = next(socket).await {
        all.entry(message[0]).or_default().extend(&message[1..]);
    }
    all
}

#[tokio::test]
async fn streams_and_the_exit_code_come_by_channels() {
    let server = start();
    let script = "echo err >&2; cat; exit 3";
    let (mut socket, _) = exec(&server, script, ALL, "v5.channel.k8s.io, v4.channel.k8s.io").await;
    assert_eq!(next(&mut socket).await.unwrap(), b"\x01", "it is open");
    // Channels that a client does not write on are for nobody.
    for message in [
        &b"\x00hel"[..],
        b"\x01x",
        b"\x02x",
        b"\x03x",
        b"\x09x",
        b"\x00lo",
        b"\xff\x09",
    ] {
        send(&mut socket, message).await;
    }
    send(&mut socket, b"\xff\x00").await;
    let all = all(&mut socket).await;
    assert_eq!(all[&1], b"hello");
    assert_eq!(all[&2], b"err\n");
    assert_eq!(verdict(&all[&3]), "NonZeroExitCode: 3");
    assert_eq!(all.len(), 3);
}

#[tokio::test]
async fn only_wanted_streams_are_given() {
    let server = start();
    let out = Streams {
        stdout: true,
        ..Streams::default()
    };
    let (mut socket, _) = exec(&server, "echo err >&2; cat; echo out", out, V4).await;
    // Nobody has the program's input, so it has ended.
    let _ = socket.send(Message::binary(b"\x00in".to_vec())).await;
    let all = all(&mut socket).await;
    assert_eq!(all[&1], b"out\n");
    assert_eq!(verdict(&all[&3]), "Success");
    assert_eq!(all.len(), 2);
}

#[tokio::test]
async fn older_versions_have_texts() {
    let server = start();
    let (mut socket, _) = exec(&server, "read x; exit 7", ALL, "channel.k8s.io").await;
    send(&mut socket, b"\x00line\n").await;
    let text = String::from_utf8(all(&mut socket).await[&3].clone()).unwrap();
    assert!(text.ends_with("exit code 7"), "{text}");
    let (mut socket, _) = exec(&server, "read x; echo $x", ALL, "v4.base64.channel.k8s.io").await;
    assert_eq!(next(&mut socket).await.unwrap(), b"1");
    let message = format!("0{}", STANDARD.encode("line\n"));
    socket.send(Message::text(message)).await.unwrap();
    let all = all(&mut socket).await;
    assert_eq!(STANDARD.decode(&all[&b'1']).unwrap(), b"line\n");
    assert_eq!(verdict(&STANDARD.decode(&all[&b'3']).unwrap()), "Success");
}

#[tokio::test]
async fn a_terminal_has_sizes_and_no_stderr() {
    let server = start();
    let (mut socket, seen) = exec(&server, "read x; echo $x; echo no >&2", TERMINAL, V5).await;
    send(&mut socket, b"\x04{\"Width\":80,\"Height\":24}\n").await;
    let size = Size {
        columns: 80,
        rows: 24,
    };
    seen.wait("a size", |seen| *seen.sizes.lock().unwrap() == [size])
        .await;
    send(&mut socket, b"\x04{\"Width\":132,\"Heig").await;
    send(&mut socket, b"\x04ht\":43}").await;
    seen.wait("another", |seen| seen.sizes.lock().unwrap().len() == 2)
        .await;
    send(&mut socket, b"\x00typed\n").await;
    let all = all(&mut socket).await;
    assert_eq!(all[&1], b"typed\n");
    assert!(!all.contains_key(&2));
    assert!(!seen.has_left());
    // Without a terminal there are none.
    let (mut socket, seen) = exec(&server, "read x", ALL, V5).await;
    send(&mut socket, b"\x04{\"Width\":80,\"Height\":24}").await;
    send(&mut socket, b"\x00\n").await;
    super::programs::all(&mut socket).await;
    assert!(seen.sizes.lock().unwrap().is_empty());
}

#[tokio::test]
async fn many_bytes_go_both_ways_unharmed() {
    let server = start();
    let (socket, _) = exec(&server, "cat", ALL, V5).await;
    let bytes: Vec<u8> = (0..4_000_000_u32).map(|it| (it ^ it >> 8) as u8).collect();
    let (mut sink, mut source) = socket.split();
    let sent = bytes.clone();
    let sending = tokio::spawn(async move {
        for piece in sent.chunks(9999) {
            let message = [&[0][..], piece].concat();
            sink.send(Message::binary(message)).await.unwrap();
        }
        sink.send(Message::binary(vec![255, 0])).await.unwrap();
    });
    let (mut heard, mut status) = (Vec::<u8>::new(), Vec::<u8>::new());
    while let Some(Ok(Message::Binary(message))) = source.next().await {
        match message[0] {
            1 => heard.extend(&message[1..]),
            3 => status.extend(&message[1..]),
            other => panic!("channel {other}"),
        }
    }
    sending.await.unwrap();
    assert!(heard == bytes, "{} of {}", heard.len(), bytes.len());
    assert_eq!(verdict(&status), "Success");
}

#[tokio::test]
async fn a_client_that_vanishes_leaves_the_program() {
    let server = start();
    let (mut socket, seen) = exec(&server, "echo up; exec sleep 1000", ALL, V5).await;
    while next(&mut socket).await.unwrap().len() == 1 {}
    assert!(!seen.has_left());
    drop(socket);
    seen.wait("its end", Seen::has_left).await;
    // Also one that does not read what it is given, and one whose program reads nothing.
    let (mut socket, seen) = exec(&server, "exec cat /dev/zero", ALL, V5).await;
    while next(&mut socket).await.unwrap().len() == 1 {}
    drop(socket);
    seen.wait("its end", Seen::has_left).await;
    let (mut socket, seen) = exec(&server, "echo up; exec sleep 1000", ALL, V5).await;
    while next(&mut socket).await.unwrap().len() == 1 {}
    let piece = [&[0][..], &vec![1; 30_000]].concat();
    // More than queues and the pipe hold, less than the kernel does.
    for _ in 0..25 {
        send(&mut socket, &piece).await;
    }
    drop(socket);
    seen.wait("its end", Seen::has_left).await;
}

#[tokio::test]
async fn a_program_that_reads_nothing_does_not_hold_its_end_up() {
    let server = start();
    let (mut socket, _) = exec(&server, "exec <&-; sleep 1; exit 4", ALL, V5).await;
    let piece = [&[0][..], &vec![1; 30_000]].concat();
    for _ in 0..30 {
        send(&mut socket, &piece).await;
    }
    assert_eq!(verdict(&all(&mut socket).await[&3]), "NonZeroExitCode: 4");
}

#[tokio::test]
async fn who_outlives_the_command_does_not_hold_its_end_up() {
    let server = start();
    let (mut socket, _) = exec(&server, "sleep 1000 & echo $!", ALL, V5).await;
    let all = all(&mut socket).await;
    let pid = String::from_utf8(all[&1].clone()).unwrap();
    let killed = std::process::Command::new("kill").arg(pid.trim()).status();
    assert!(killed.unwrap().success());
    assert_eq!(verdict(&all[&3]), "Success");
}

#[tokio::test]
async fn what_cannot_be_opened_is_an_internal_error() {
    let server = start();
    let url = server.exec(ALL, broken()).unwrap();
    let (mut socket, _) = open(&url, Some(V5)).await;
    let status = all(&mut socket).await[&3].clone();
    assert_eq!(verdict(&status), "InternalError: no such \"thing\"");
}

#[tokio::test]
async fn packets_are_told_apart_and_the_end_of_input_goes_on() {
    let server = start();
    let (program, far) = packets();
    let url = server.attach(ALL, program).unwrap();
    assert!(url.contains("/attach/"));
    let (mut socket, _) = open(&url, Some(V5)).await;
    let write = |bytes: &[u8]| rustix::io::write(&far, bytes).unwrap();
    write(b"\x02out");
    write(b"\x03err");
    write(b"\x09unknown");
    let large = [&[2][..], &vec![7; 32 << 10]].concat();
    write(&large);
    send(&mut socket, b"\x00in").await;
    send(&mut socket, b"\xff\x00").await;
    let (far, read) = tokio::task::spawn_blocking(move || {
        let mut all = Vec::<u8>::new();
        let mut piece = [0; 100];
        while let Ok(len @ 1..) = rustix::io::read(&far, &mut piece) {
            all.extend(&piece[..len]);
        }
        (far, all)
    })
    .await
    .unwrap();
    assert_eq!(read, b"in");
    rustix::io::write(&far, b"\x02last").unwrap();
    drop(far);
    let all = all(&mut socket).await;
    assert_eq!(all[&1], [b"out", &large[1..], b"last"].concat());
    assert_eq!(all[&2], b"err");
    assert_eq!(verdict(&all[&3]), "Success");
}

#[tokio::test]
async fn urls_are_for_one_thing() {
    let server = start();
    let url = server.exec(ALL, broken()).unwrap();
    let status = |head: &str| head.split(' ').nth(1).unwrap().to_owned();
    let other = url.replace("/exec/", "/attach/");
    let spdy = |version: &str| {
        format!(
            "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: {version}\r\n"
        )
    };
    for (path, headers, expected) in [
        (&url, SPDY_HEADERS.to_owned(), "400"),
        (&url, spdy("v9.channel.k8s.io"), "400"),
        (&other, spdy("v4.channel.k8s.io"), "404"),
    ] {
        let (head, _) = request(path, "POST", &headers).await;
        assert_eq!(status(&head), expected, "{path} {headers}");
    }
    let offered = spdy("v2.channel.k8s.io, v4.channel.k8s.io");
    let (head, _) = request(&url, "POST", &offered).await;
    assert_eq!(status(&head), "101");
    let agreed = "x-stream-protocol-version: v4.channel.k8s.io";
    assert!(head.to_lowercase().contains(agreed), "{head}");
}
