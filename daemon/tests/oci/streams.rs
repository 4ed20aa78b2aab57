//! Streams of commands, and of a container's own program.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::thread::{self, JoinHandle};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{Shutdown, shutdown};
use unikiln_daemon::handler::streams::{Attached, Output, STDOUT_PACKET, Size, Streams};
use unikiln_daemon::handler::{Handler, HandlerError, Process};

use crate::node::{Container, Node, wait_for};

const ALL: Streams = Streams {
    stdin: true,
    stdout: true,
    stderr: true,
    tty: false,
};
const TERMINAL: Streams = Streams {
    stderr: false,
    tty: true,
    ..ALL
};

impl Container<'_> {
    fn streams(&self, process: Process, script: &str, streams: Streams) -> Attached {
        let command = ["/bin/sh", "-c", script].map(str::to_owned);
        let handler = self.node.handler();
        let attached = handler.exec(&self.launch(), process, &command, streams);
        attached.expect("the command starts")
    }

    fn attach(&self, process: Process, streams: Streams) -> Attached {
        let handler = self.node.handler();
        let attached = handler.attach(&self.launch(), process, streams);
        attached.expect("conmon takes a client")
    }
}

fn files(output: Output) -> (Option<File>, Option<File>) {
    match output {
        Output::Files { stdout, stderr } => (stdout.map(File::from), stderr.map(File::from)),
        Output::Packets(_) => panic!("packets of a command"),
    }
}

/// Reads a file to its end.
fn reading(file: Option<File>) -> JoinHandle<Vec<u8>> {
    let mut file = file.expect("a stream");
    thread::spawn(move || {
        let mut all = Vec::new();
        let mut piece = [0; 4096];
        // The end of a terminal is an error.
        while let Ok(len @ 1..) = file.read(&mut piece) {
            all.extend_from_slice(&piece[..len]);
        }
        all
    })
}

fn wait_end(ended: Option<OwnedFd>) {
    let ended = ended.expect("a command has an end");
    poll(&mut [PollFd::new(&ended, PollFlags::IN)], None).expect("poll");
}

/// Reads until `words` have come.
fn read_until(file: &mut File, words: &str) -> String {
    let mut all = Vec::new();
    let mut piece = [0; 4096];
    while !String::from_utf8_lossy(&all).contains(words) {
        match file.read(&mut piece) {
            Ok(len @ 1..) => all.extend_from_slice(&piece[..len]),
            end => panic!("{end:?} after {:?}", String::from_utf8_lossy(&all)),
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

fn runs(words: &str) -> bool {
    let entries = fs::read_dir("/proc").expect("proc").flatten();
    let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let mut lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.any(|line| line.contains(words) && !line.contains(" -c "))
}

#[test]
fn a_command_has_three_streams_and_an_exit_code() {
    let Some(node) = Node::new("oci exec streams") else {
        return;
    };
    let container = node.container("sleep 1000");
    let process = container.start();
    let attached = container.streams(process, "cat; echo err >&2; exit 3", ALL);
    let (stdout, stderr) = files(attached.output);
    let (stdout, stderr) = (reading(stdout), reading(stderr));
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|it| (it ^ it >> 9) as u8).collect();
    let mut stdin = File::from(attached.stdin.expect("stdin"));
    stdin.write_all(&bytes).expect("write");
    drop(stdin);
    wait_end(attached.ended);
    assert_eq!(attached.program.exit_code().expect("an exit code"), 3);
    assert!(stdout.join().expect("stdout") == bytes);
    assert_eq!(stderr.join().expect("stderr"), b"err\n");
    drop(attached.program);
    // Only what is wanted is there.
    let out = Streams {
        stdout: true,
        ..Streams::default()
    };
    let attached = container.streams(process, "cat; echo out; echo err >&2", out);
    assert!(attached.stdin.is_none());
    let (stdout, stderr) = files(attached.output);
    assert!(stderr.is_none());
    assert_eq!(reading(stdout).join().expect("stdout"), b"out\n");
    wait_end(attached.ended);
    assert_eq!(attached.program.exit_code().expect("an exit code"), 0);
    drop((attached.program, container));
    node.assert_clean();
}

#[test]
fn a_command_that_is_not_there_is_told_in_the_runtimes_words() {
    let Some(node) = Node::new("oci exec failure") else {
        return;
    };
    let container = node.container("sleep 1000");
    let process = container.start();
    let handler = node.handler();
    for streams in [ALL, TERMINAL] {
        let command = ["/no/such/command".to_owned()];
        let attached = handler.exec(&container.launch(), process, &command, streams);
        let attached = attached.expect("the runtime starts");
        let reading = reading(files(attached.output).0);
        wait_end(attached.ended);
        let error = attached.program.exit_code().expect_err("must fail");
        let error = error.to_string();
        assert!(error.contains("no such file"), "{error}");
        drop(attached.program);
        reading.join().expect("stdout");
    }
    let nothing = handler.exec(&container.launch(), process, &[], ALL);
    assert!(matches!(nothing, Err(HandlerError::Invalid(_))));
}

#[test]
fn a_terminal_has_a_size_and_takes_keys() {
    let Some(node) = Node::new("oci exec terminal") else {
        return;
    };
    let container = node.container("sleep 1000");
    let process = container.start();
    let script = "trap 'echo interrupted; exit 7' INT; [ -t 0 ] && [ -t 1 ] && echo $TERM; \
        until [ \"$(stty size 2>/dev/null)\" = '24 80' ]; do sleep 0.05; done; echo first; \
        until [ \"$(stty size 2>/dev/null)\" = '43 132' ]; do sleep 0.05; done; echo second; \
        read line; echo \"line: $line\"; while :; do sleep 0.05; done";
    let attached = container.streams(process, script, TERMINAL);
    let resize = |columns, rows| {
        let resized = attached.program.resize(Size { columns, rows });
        resized.expect("resize");
    };
    // Before the runtime can know of it.
    resize(80, 24);
    let mut stdin = File::from(attached.stdin.expect("stdin"));
    let mut output = files(attached.output).0.expect("a terminal");
    let said = read_until(&mut output, "first\r\n");
    assert_eq!(said, "xterm\r\nfirst\r\n", "no echo of another terminal");
    resize(132, 43);
    read_until(&mut output, "second\r\n");
    stdin.write_all(b"typed\r").expect("write");
    let said = read_until(&mut output, "line: typed\r\n");
    assert_eq!(said, "typed\r\nline: typed\r\n", "one echo");
    stdin.write_all(b"\x03").expect("write");
    read_until(&mut output, "interrupted\r\n");
    wait_end(attached.ended);
    assert_eq!(attached.program.exit_code().expect("an exit code"), 7);
    drop((attached.program, container));
    node.assert_clean();
}

#[test]
fn a_client_that_vanishes_leaves_no_process() {
    let Some(node) = Node::new("oci exec vanish") else {
        return;
    };
    let container = node.container("sleep 1000");
    let process = container.start();
    // One that ends with its input, one that does not, one that is hung up on, one that does
    // not hear of it; and one whose client's connection is dropped with the daemon's.
    for (script, streams, is_dropped) in [
        ("echo up; cat; sleep 0.1 && echo 65431", ALL, false),
        ("echo up; (sleep 65432 & sleep 65432); true", ALL, false),
        ("echo up; sleep 65433; true", TERMINAL, false),
        ("trap '' HUP; echo up; sleep 65434; true", TERMINAL, false),
        ("echo up; sleep 65435; true", ALL, true),
    ] {
        let attached = container.streams(process, script, streams);
        let (stdout, stderr) = files(attached.output);
        let mut stdout = stdout.expect("stdout");
        read_until(&mut stdout, "up");
        drop((stdout, stderr, attached.stdin));
        let program = attached.program;
        if is_dropped {
            drop(program);
        } else {
            program.leave();
        }
        wait_for("the end of the command", || !runs("sleep 6543"));
        let left = container
            .directory
            .join("bundle")
            .read_dir()
            .expect("bundle")
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("exec-"));
        assert_eq!(left.count(), 0, "{script}");
    }
    // The container goes on.
    let output = container.exec(process, "echo here", None).expect("exec");
    assert_eq!(output.stdout, b"here\n");
    drop(container);
    node.assert_clean();
}

#[test]
fn an_attached_client_hears_and_feeds_the_program() {
    let Some(node) = Node::new("oci attach") else {
        return;
    };
    let mut container = node.container("echo up; cat; echo err >&2; exit 6");
    container.config.stdin = true;
    container.config.stdin_once = true;
    let process = container.start();
    container.wait_line("up");
    let attached = container.attach(process, ALL);
    let Output::Packets(socket) = attached.output else {
        panic!("conmon has packets");
    };
    assert!(attached.ended.is_none());
    let line = "of the many lines that go both ways\n";
    let text = line.repeat(50_000);
    let stdin = attached.stdin.expect("stdin");
    let sent = text.clone();
    let sending = thread::spawn(move || {
        rustix::io::ioctl_fionbio(&stdin, false).expect("blocks");
        for piece in sent.as_bytes().chunks(8000) {
            assert_eq!(
                rustix::io::write(&stdin, piece).expect("write"),
                piece.len()
            );
        }
        shutdown(&stdin, Shutdown::Write).expect("shutdown");
    });
    rustix::io::ioctl_fionbio(&socket, false).expect("blocks");
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut packet = vec![0; 64 << 10];
    loop {
        let len = rustix::io::read(&socket, &mut packet).expect("read");
        match packet[..len].split_first() {
            Some((&STDOUT_PACKET, bytes)) => stdout.extend_from_slice(bytes),
            Some((_, bytes)) => stderr.extend_from_slice(bytes),
            None => break,
        }
    }
    sending.join().expect("sending");
    assert!(stdout == text.as_bytes(), "{} bytes", stdout.len());
    assert_eq!(stderr, b"err\n");
    assert_eq!(container.wait(process).exit_code, 6);
    assert_eq!(container.said().len(), 50_002);
    let gone = node.handler().attach(&container.launch(), process, ALL);
    assert!(matches!(gone, Err(HandlerError::Precondition(_))));
    drop(container);
    node.assert_clean();
}

#[test]
fn an_attached_terminal_has_a_size_and_goes_on_without_its_client() {
    let Some(node) = Node::new("oci attach terminal") else {
        return;
    };
    let script = "echo up; read line; \
        until [ \"$(stty size 2>/dev/null)\" = '43 132' ]; do sleep 0.05; done; echo sized; \
        read line; echo \"line: $line\"; exit 8";
    let mut container = node.container(script);
    container.config.stdin = true;
    container.config.tty = true;
    let process = container.start();
    let handler = node.handler();
    wait_for("up", || {
        container.said().iter().any(|line| line.trim() == "up")
    });
    let attached = container.attach(process, TERMINAL);
    let stdin = attached.stdin.expect("stdin");
    rustix::io::write(&stdin, b"\r").expect("write");
    let resized = attached.program.resize(Size {
        columns: 132,
        rows: 43,
    });
    resized.expect("resize");
    wait_for("the size", || {
        container.said().iter().any(|line| line.trim() == "sized")
    });
    drop((stdin, attached.output));
    attached.program.leave();
    let again = handler.attach(&container.launch(), process, TERMINAL);
    let again = again.expect("another client");
    rustix::io::write(again.stdin.expect("stdin"), b"typed\r").expect("write");
    assert_eq!(container.wait(process).exit_code, 8);
    let said = container.said().concat();
    assert!(said.contains("line: typed"), "{said}");
    // A program without an input is given none.
    let container = node.container("sleep 1000");
    let process = container.start();
    assert!(container.attach(process, ALL).stdin.is_none());
}
