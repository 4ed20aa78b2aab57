//! Exec and Attach under an OCI runtime, over a WebSocket. What a unikernel answers:
//! `refusals.rs`.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::time::Instant;

use libtest_mimic::Trial;
use tonic::Code;
use unikiln_daemon::proto;

use crate::client::PATIENCE;
use crate::node::shared;
use crate::pod::{Container, Handler};
use crate::streams::{exec_sync, receive, send, web_socket};
use crate::{all, one};

const V5: &str = "v5.channel.k8s.io";

pub fn trials() -> Vec<Trial> {
    all([
        one("exec::exec_streams", exec_streams),
        one("exec::a_terminal", a_terminal),
        one("exec::a_client_that_vanishes", a_client_that_vanishes),
        one("exec::attach_streams", attach_streams),
        one("exec::what_cannot_be_asked_for", what_cannot_be_asked_for),
    ])
}

/// A request for a shell's three streams.
fn request(container: &Container<'_>, script: &str) -> proto::ExecRequest {
    let words = ["/bin/busybox", "sh", "-c", script];
    proto::ExecRequest {
        container_id: container.id.clone(),
        cmd: words.map(str::to_owned).to_vec(),
        tty: false,
        stdin: true,
        stdout: true,
        stderr: true,
    }
}

/// The streams of a request.
fn open(container: &Container<'_>, request: proto::ExecRequest) -> TcpStream {
    let answer = container.node.client.exec(request).expect("an answer");
    web_socket(&answer.url, V5).expect("a WebSocket")
}

/// Adds what comes to its channel until `is_enough` or the end.
fn hear(
    stream: &mut TcpStream,
    channels: &mut BTreeMap<u8, Vec<u8>>,
    is_enough: impl Fn(&BTreeMap<u8, Vec<u8>>) -> bool,
) {
    while !is_enough(channels)
        && let Some(frame) = receive(stream)
    {
        let (channel, bytes) = frame.split_first().expect("a channel");
        channels.entry(*channel).or_default().extend(bytes);
    }
}

/// All that comes until the server closes: output, errors, how it ended.
fn all_of(stream: &mut TcpStream) -> (String, String, serde_json::Value) {
    let mut channels = BTreeMap::new();
    hear(stream, &mut channels, |_| false);
    let mut text = |channel| {
        let bytes = channels.remove(&channel).unwrap_or_default();
        String::from_utf8(bytes).expect("UTF-8")
    };
    let (output, errors, status) = (text(1), text(2), text(3));
    let status = serde_json::from_str(&status).unwrap_or_else(|_| panic!("a Status: {status:?}"));
    (output, errors, status)
}

fn exec_streams() {
    let node = shared();
    let pod = node.pod(Handler::Runc).run();
    let container = pod.container(&["/bin/sleeper"]).start();
    container.says("ready");
    let script = "/bin/busybox cat; echo err >&2; exit 5";
    let mut stream = open(&container, request(&container, script));
    let line = "\0a line of some length, which goes in and comes out\n";
    for _ in 0..1000 {
        send(&mut stream, line.as_bytes());
    }
    // The end of stdin.
    send(&mut stream, &[255, 0]);
    let (output, errors, status) = all_of(&mut stream);
    assert!(output == line[1..].repeat(1000), "{}", output.len());
    assert_eq!(errors, "err\n");
    assert_eq!(status["reason"], "NonZeroExitCode", "{status}");
    assert_eq!(status["details"]["causes"][0]["message"], "5", "{status}");
    // One that ends well, and one that is not there.
    let mut stream = open(&container, request(&container, "true"));
    let (_, _, status) = all_of(&mut stream);
    assert_eq!(status["status"], "Success", "{status}");
    let mut missing = request(&container, "");
    missing.cmd = vec!["/bin/nothing-here".to_owned()];
    let (_, _, status) = all_of(&mut open(&container, missing));
    assert_eq!(status["reason"], "InternalError", "{status}");
    let message = status["message"].as_str().expect("a text");
    assert!(message.contains("/bin/nothing-here"), "{message}");
    pod.remove();
}

fn a_terminal() {
    let node = shared();
    let pod = node.pod(Handler::Runc).run();
    let container = pod.container(&["/bin/sleeper"]).start();
    container.says("ready");
    let script = "until [ \"$(/bin/busybox stty size 2>/dev/null)\" = '43 132' ]; do :; done; echo sized; \
        read line; echo \"line: $line\"; exit 6";
    let mut terminal = request(&container, script);
    (terminal.tty, terminal.stderr) = (true, false);
    let mut stream = open(&container, terminal);
    send(&mut stream, b"\x04{\"Width\":80,\"Height\":24}");
    send(&mut stream, b"\x04{\"Width\":132,\"Height\":43}");
    let mut channels = BTreeMap::new();
    let is_sized = |channels: &BTreeMap<u8, Vec<u8>>| {
        channels.get(&1).is_some_and(|bytes| bytes == b"sized\r\n")
    };
    hear(&mut stream, &mut channels, is_sized);
    send(&mut stream, b"\0typed\r");
    let (output, _, status) = all_of(&mut stream);
    // The container's terminal says what is typed.
    assert_eq!(output, "typed\r\nline: typed\r\n");
    assert_eq!(status["details"]["causes"][0]["message"], "6", "{status}");
    pod.remove();
}

fn a_client_that_vanishes() {
    let node = shared();
    let pod = node.pod(Handler::Runc).run();
    let container = pod.container(&["/bin/sleeper"]).start();
    container.says("ready");
    for is_terminal in [false, true] {
        let script = "echo up; /bin/busybox sleep 3601; true";
        let mut request = request(&container, script);
        (request.tty, request.stderr) = (is_terminal, !is_terminal);
        let mut stream = open(&container, request);
        let is_up = |channels: &BTreeMap<u8, Vec<u8>>| {
            channels
                .get(&1)
                .is_some_and(|bytes| bytes.starts_with(b"up"))
        };
        hear(&mut stream, &mut BTreeMap::new(), is_up);
        drop(stream);
        let since = Instant::now();
        loop {
            let answer = exec_sync(&container, &["/bin/busybox", "ps"], 0).expect("an answer");
            let listed = String::from_utf8_lossy(&answer.stdout).into_owned();
            if !listed.contains("sleep 3601") {
                break;
            }
            assert!(since.elapsed() < PATIENCE, "still there:\n{listed}");
        }
    }
    pod.remove();
}

fn attach_streams() {
    let node = shared();
    let pod = node.pod(Handler::Runc).run();
    let script = "echo up; /bin/busybox cat; echo err >&2; exit 4";
    let plan = pod.container(&["/bin/busybox", "sh", "-c", script]);
    let plan = plan.with(|config| (config.stdin, config.stdin_once) = (true, true));
    let container = plan.start();
    container.says("up");
    let request = proto::AttachRequest {
        container_id: container.id.clone(),
        stdin: true,
        tty: false,
        stdout: true,
        stderr: true,
    };
    let answer = node.client.attach(request).expect("an answer");
    let mut stream = web_socket(&answer.url, V5).expect("a WebSocket");
    send(&mut stream, b"\0through the stream\n");
    send(&mut stream, &[255, 0]);
    let (output, errors, status) = all_of(&mut stream);
    assert_eq!(output, "through the stream\n");
    assert_eq!(errors, "err\n");
    assert_eq!(status["status"], "Success", "{status}");
    assert_eq!(container.ends().exit_code, 4);
    container.says("through the stream");
    pod.remove();
}

fn what_cannot_be_asked_for() {
    let node = shared();
    let pod = node.pod(Handler::Runc).run();
    let container = pod.container(&["/bin/sleeper"]).create();
    let good = request(&container, "true");
    let early = node.client.exec(good.clone()).expect_err("does not run");
    assert_eq!(early.code(), Code::FailedPrecondition, "{early}");
    container.start();
    let with = |change: fn(&mut proto::ExecRequest)| {
        let mut request = good.clone();
        change(&mut request);
        request
    };
    for request in [
        with(|request| request.tty = true),
        with(|request| {
            (request.stdin, request.stdout, request.stderr) = (false, false, false);
        }),
        with(|request| request.cmd.clear()),
        with(|request| request.cmd[0].clear()),
    ] {
        let error = node.client.exec(request.clone()).expect_err("refused");
        assert_eq!(error.code(), Code::InvalidArgument, "{request:?}: {error}");
    }
    let none = proto::AttachRequest {
        container_id: container.id.clone(),
        ..Default::default()
    };
    let error = node.client.attach(none).expect_err("refused");
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    pod.remove();
}
