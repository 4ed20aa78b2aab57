//! Programs by the streams of SPDY.

use super::super::spdy::testing::{Client, Frame};
use super::program::{ALL, Seen, TERMINAL, shell, verdict};
use super::*;
use crate::handler::streams::{Size, Streams};

/// A program's client, which has opened no stream yet.
async fn client(
    server: &Streaming,
    script: &'static str,
    streams: Streams,
    version: &str,
) -> (Client<TcpStream>, std::sync::Arc<Seen>) {
    let (program, seen) = shell(script);
    let url = server.exec(streams, program).unwrap();
    let headers = format!(
        "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: {version}\r\n"
    );
    let (head, stream) = request(&url, "POST", &headers).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    (Client::new(stream), seen)
}

async fn open<const N: usize>(client: &mut Client<TcpStream>, kinds: [&str; N]) -> [u32; N] {
    let mut streams = [0; N];
    for (stream, kind) in streams.iter_mut().zip(kinds) {
        *stream = client.open(&[("streamtype", kind)]).await;
        assert_eq!(client.frame().await, Some(Frame::Accepted(*stream)));
    }
    streams
}

/// All that comes on each of `streams`, each of which ends.
async fn ends<const N: usize>(client: &mut Client<TcpStream>, streams: [u32; N]) -> [Vec<u8>; N] {
    let mut heard = [const { Vec::new() }; N];
    let mut open = streams.to_vec();
    while !open.is_empty() {
        match client.frame().await.expect("the server closed") {
            Frame::Data {
                stream,
                is_last,
                bytes,
            } => {
                let at = streams.iter().position(|it| *it == stream).unwrap();
                assert!(open.contains(&stream), "{stream} has ended");
                heard[at].extend(bytes);
                open.retain(|it| *it != stream || !is_last);
            }
            other => panic!("{other:?}"),
        }
    }
    heard
}

#[tokio::test]
async fn streams_and_the_exit_code_come_by_streams() {
    let server = start();
    let script = "echo err >&2; cat; exit 3";
    let (mut client, seen) = client(&server, script, ALL, "v4.channel.k8s.io").await;
    let kinds = ["error", "stdin", "stdout", "stderr"];
    let [error, stdin, stdout, stderr] = open(&mut client, kinds).await;
    client.send(error, &[], true).await;
    let piece: Vec<u8> = (0..100_000_u32).map(|it| it as u8).collect();
    for _ in 0..20 {
        client.send(stdin, &piece, false).await;
    }
    client.send(stdin, b"the end", true).await;
    let [out, err, status] = ends(&mut client, [stdout, stderr, error]).await;
    assert!(out == [&piece.repeat(20)[..], b"the end"].concat());
    assert_eq!(err, b"err\n");
    assert_eq!(verdict(&status), "NonZeroExitCode: 3");
    assert_eq!(client.frame().await, None, "the server closes");
    assert!(!seen.has_left());
}

#[tokio::test]
async fn a_program_waits_for_all_of_its_streams() {
    let server = start();
    let script = "read x; echo $x";
    let (mut client, _) = client(&server, script, TERMINAL, "v3.channel.k8s.io").await;
    let [stdout, error] = open(&mut client, ["stdout", "error"]).await;
    for kind in ["stderr", "stdout", "data", ""] {
        let stream = client.open(&[("streamtype", kind)]).await;
        let reset = Frame::Reset { stream, status: 1 };
        assert_eq!(client.frame().await, Some(reset), "{kind:?}");
    }
    let [stdin] = open(&mut client, ["stdin"]).await;
    client.send(stdin, b"typed\n", true).await;
    client.control(6, &[1]).await;
    assert_eq!(client.frame().await, Some(Frame::Pong(1)), "not begun");
    open(&mut client, ["resize"]).await;
    let [out, text] = ends(&mut client, [stdout, error]).await;
    assert_eq!((out, text), (b"typed\n".to_vec(), Vec::new()));
}

#[tokio::test]
async fn a_terminal_has_sizes_since_version_3() {
    let server = start();
    let (mut newer, seen) = client(&server, "read x", TERMINAL, "v4.channel.k8s.io").await;
    let kinds = ["error", "stdin", "stdout", "resize"];
    let [error, stdin, stdout, resize] = open(&mut newer, kinds).await;
    let text = b"{\"Width\":100,\"Height\":30}\n";
    newer.send(resize, text, false).await;
    let size = Size {
        columns: 100,
        rows: 30,
    };
    seen.wait("a size", |seen| *seen.sizes.lock().unwrap() == [size])
        .await;
    newer.send(stdin, b"\n", false).await;
    let [_, status] = ends(&mut newer, [stdout, error]).await;
    assert_eq!(verdict(&status), "Success");
    for version in ["v2.channel.k8s.io", "channel.k8s.io"] {
        let (mut older, _) = client(&server, "exit 9", TERMINAL, version).await;
        let [error, _, stdout] = open(&mut older, ["error", "stdin", "stdout"]).await;
        let [_, text] = ends(&mut older, [stdout, error]).await;
        let text = String::from_utf8(text).unwrap();
        assert!(text.ends_with("exit code 9"), "{version}: {text}");
    }
}

#[tokio::test]
async fn a_client_that_vanishes_leaves_the_program() {
    let server = start();
    let script = "echo up; exec sleep 1000";
    let (mut client, seen) = client(&server, script, ALL, "v4.channel.k8s.io").await;
    let kinds = ["error", "stdin", "stdout", "stderr"];
    let [_, _, stdout, _] = open(&mut client, kinds).await;
    let up = Frame::Data {
        stream: stdout,
        is_last: false,
        bytes: b"up\n".to_vec(),
    };
    assert_eq!(client.frame().await, Some(up));
    drop(client);
    seen.wait("its end", Seen::has_left).await;
}

#[tokio::test]
async fn a_reset_of_stdin_is_its_end() {
    let server = start();
    let (mut client, _) = client(&server, "cat; echo over", ALL, "v4.channel.k8s.io").await;
    let kinds = ["error", "stdin", "stdout", "stderr"];
    let [error, stdin, stdout, stderr] = open(&mut client, kinds).await;
    client.control(3, &[stdin, 5]).await;
    let [out, _, status] = ends(&mut client, [stdout, stderr, error]).await;
    assert_eq!(out, b"over\n");
    assert_eq!(verdict(&status), "Success");
}
