//! ExecSync under an OCI runtime, and port forwarding over WebSocket.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use tonic::{Code, Status};
use unikiln_daemon::proto;

use crate::client::PATIENCE;
use crate::node::shared;
use crate::pod::{Container, Handler};
use crate::{all, each, one};

pub fn trials() -> Vec<Trial> {
    all([
        one("streams::exec_sync", a_command),
        one(
            "streams::exec_sync_takes_too_long",
            a_command_takes_too_long,
        ),
        each("streams::port_forward", port_forward),
        one("streams::a_url_works_once", a_url_works_once),
    ])
}

/// Runs a command in a container.
pub fn exec_sync(
    container: &Container<'_>,
    words: &[&str],
    timeout: i64,
) -> Result<proto::ExecSyncResponse, Status> {
    container.node.client.exec_sync(proto::ExecSyncRequest {
        container_id: container.id.clone(),
        cmd: words.iter().map(|&word| word.to_owned()).collect(),
        timeout,
    })
}

fn a_command() {
    let node = shared();
    let pod = node.pod(Handler::Runc).run();
    let container = pod.container(&["/bin/sleeper"]).start();
    container.says("ready");
    for (words, code, stdout, stderr) in [
        (&["/bin/busybox", "echo", "hello"][..], 0, "hello\n", ""),
        (
            &["/bin/busybox", "sh", "-c", "echo out; echo err >&2; exit 5"],
            5,
            "out\n",
            "err\n",
        ),
        (
            &["/bin/busybox", "cat", "/etc/greeting"],
            0,
            "of the image\n",
            "",
        ),
    ] {
        let answer = exec_sync(&container, words, 0).expect("an answer");
        assert_eq!(answer.exit_code, code, "{words:?}");
        assert_eq!(String::from_utf8_lossy(&answer.stdout), stdout, "{words:?}");
        assert_eq!(String::from_utf8_lossy(&answer.stderr), stderr, "{words:?}");
    }
    // A megabyte comes whole.
    let words = ["/bin/busybox", "head", "-c", "1048576", "/dev/zero"];
    let answer = exec_sync(&container, &words, 0).expect("an answer");
    assert_eq!(answer.stdout.len(), 1 << 20);
    assert!(exec_sync(&container, &["/bin/nothing-here"], 0).map_or(true, |it| it.exit_code != 0));
    assert!(exec_sync(&container, &[], 0).is_err(), "no command");
    pod.remove();
}

fn a_command_takes_too_long() {
    let node = shared();
    let pod = node.pod(Handler::Runc).run();
    let container = pod.container(&["/bin/sleeper"]).start();
    container.says("ready");
    let since = Instant::now();
    let error = exec_sync(&container, &["/bin/busybox", "sleep", "3600"], 1).expect_err("too long");
    assert_eq!(error.code(), Code::DeadlineExceeded, "{error}");
    let elapsed = since.elapsed();
    assert!(elapsed >= Duration::from_secs(1), "{elapsed:?}");
    // It is not left running.
    let since = Instant::now();
    loop {
        let answer = exec_sync(&container, &["/bin/busybox", "ps"], 0).expect("an answer");
        let listed = String::from_utf8_lossy(&answer.stdout).into_owned();
        if !listed.contains("sleep 3600") {
            break;
        }
        assert!(since.elapsed() < PATIENCE, "still there:\n{listed}");
    }
    pod.remove();
}

/// The URL for ports of a pod.
fn url(node: &crate::node::Node, pod: &str, ports: &[i32]) -> String {
    let request = proto::PortForwardRequest {
        pod_sandbox_id: pod.to_owned(),
        port: ports.to_vec(),
    };
    node.client.port_forward(request).expect("an answer").url
}

/// A WebSocket (RFC 6455) to a URL, or what the server answered instead.
pub fn web_socket(url: &str, protocol: &str) -> Result<TcpStream, String> {
    let rest = url.strip_prefix("http://").expect("an http URL");
    let (host, path) = rest.split_once('/').expect("a path");
    let at: SocketAddr = host.parse().expect("an address");
    let mut stream = TcpStream::connect(at).expect("the streaming server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time");
    let request = format!(
        "GET /{path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: {protocol}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).expect("an answer") == 0 {
            break;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    if !head.starts_with("HTTP/1.1 101") {
        return Err(head);
    }
    // The sample key of the RFC has this answer there.
    assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    assert!(
        head.to_lowercase().contains(&protocol.to_lowercase()),
        "{head}"
    );
    Ok(stream)
}

/// Sends a masked binary frame.
pub fn send(stream: &mut TcpStream, payload: &[u8]) {
    let length = u8::try_from(payload.len()).expect("short");
    assert!(length < 126, "short");
    let mask = [1, 2, 3, 4];
    let mut frame = vec![0x82, 0x80 | length];
    frame.extend(mask);
    frame.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    stream.write_all(&frame).expect("sent");
}

/// The next binary frame; none once the server closes.
pub fn receive(stream: &mut TcpStream) -> Option<Vec<u8>> {
    loop {
        let mut head = [0; 2];
        stream.read_exact(&mut head).ok()?;
        let length = match head[1] & 0x7f {
            126 => {
                let mut more = [0; 2];
                stream.read_exact(&mut more).ok()?;
                usize::from(u16::from_be_bytes(more))
            }
            127 => {
                let mut more = [0; 8];
                stream.read_exact(&mut more).ok()?;
                usize::try_from(u64::from_be_bytes(more)).expect("a length")
            }
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).ok()?;
        match head[0] & 0x0f {
            2 => return Some(payload),
            8 => return None,
            _ => {}
        }
    }
}

fn port_forward(handler: Handler) {
    let node = shared();
    let pod = node.pod(handler).run();
    let server = pod
        .container(&["/bin/serve", "80", "through the stream"])
        .start();
    server.says("listening");
    let url = url(&node, &pod.id, &[80]);
    let mut stream = web_socket(&url, "v4.channel.k8s.io").expect("a WebSocket");
    // Channel 0 is the port's data, channel 1 its errors; each begins with the port.
    let mut data = Vec::new();
    let mut errors = Vec::new();
    send(&mut stream, b"\0a request\n");
    while !data.ends_with(b"stream\n") {
        let frame = receive(&mut stream).expect("the words come");
        match frame.split_first() {
            Some((0, bytes)) => data.extend_from_slice(bytes),
            Some((1, bytes)) => errors.extend_from_slice(bytes),
            other => panic!("a frame of another channel: {other:?}"),
        }
    }
    let mut wanted = 80_u16.to_le_bytes().to_vec();
    assert_eq!(errors, wanted);
    wanted.extend(b"through the stream\n");
    assert_eq!(data, wanted);
    pod.remove();
}

fn a_url_works_once() {
    let node = shared();
    let pod = node.pod(Handler::Unikiln).run();
    let url = url(&node, &pod.id, &[80]);
    let first = web_socket(&url, "v4.channel.k8s.io").expect("a WebSocket");
    let answer = web_socket(&url, "v4.channel.k8s.io").expect_err("its token is used up");
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    drop(first);
    let guessed = format!("{}x", &url[..url.len() - 1]);
    let answer = web_socket(&guessed, "v4.channel.k8s.io").expect_err("no such token");
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    pod.remove();
}
