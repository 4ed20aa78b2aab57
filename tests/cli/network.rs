//! Ports, modes and namespaces: who reaches a program, and whom it reaches.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::Outcome;
use crate::common::guest::{Build, all};
use crate::common::image::tool;
use crate::common::skip::{Need, has_all};
use crate::{busybox, kvm};

const PATIENCE: Duration = Duration::from_secs(60);

/// A port that no kernel chooses, free just now; another for each `number`.
pub(crate) fn free_port(number: u16) -> u16 {
    let first = 10_000 + (std::process::id() as u16 % 25) * 400 + 10 * number;
    (first..first + 10)
        .find(|&port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok())
        .expect("one of ten ports is free")
}

/// Connects as soon as somebody listens.
fn connect(port: u16) -> TcpStream {
    let until = Instant::now() + PATIENCE;
    loop {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            Ok(stream) => return stream,
            Err(error) => assert!(Instant::now() < until, "port {port}: {error}"),
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Says something to a program that listens at `port` of the host; what it printed.
fn say_to(port: u16, options: &'static [&'static str], published: &str) -> Outcome {
    let words: Vec<String> = published.split_whitespace().map(Into::into).collect();
    let program = thread::spawn(move || {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (published, listens) = words.split_at(words.len() - 1);
        let options = [options, published].concat();
        busybox(&options, &["nc", "-l", "-p", listens[0]])
    });
    connect(port).write_all(b"said\n").expect("it reads");
    program.join().expect("no panic")
}

#[test]
fn a_published_port_is_served() {
    if kvm("a_published_port_is_served") {
        let port = free_port(0);
        let outcome = say_to(port, &["-p"], &format!("127.0.0.1:{port}:80 80"));
        outcome.assert_code(0).assert_stdout("said\n");
        assert!(outcome.stderr.is_empty(), "{}", outcome.story());
    }
}

#[test]
fn other_ports_are_reached_from_this_machine_and_the_log_says_so() {
    if kvm("other_ports_are_reached_from_this_machine_and_the_log_says_so") {
        let port = free_port(1);
        say_to(port, &[], &port.to_string())
            .assert_code(0)
            .assert_stdout("said\n")
            .assert_stderr_has(&format!("publish it with -p {port}:{port}"))
            .assert_stderr_has("--network host");
        let outcome = say_to(port, &["--network", "host"], &port.to_string());
        outcome.assert_code(0).assert_stdout("said\n");
        assert!(outcome.stderr.is_empty(), "{}", outcome.story());
    }
}

#[test]
fn a_port_in_use_is_named() {
    if kvm("a_port_in_use_is_named") {
        let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port");
        let port = taken.local_addr().expect("bound").port();
        let mapping = format!("{port}:80");
        busybox(&["-p", &mapping], &["nc", "-l", "-p", "80"])
            .assert_code(1)
            .assert_stderr_has("Address already in use")
            .assert_stderr_has(&format!("port {port}/tcp (-p {port}:80/tcp) is in use"));
    }
}

#[test]
fn without_a_network_nothing_is_reached() {
    if kvm("without_a_network_nothing_is_reached") {
        busybox(&["--network", "none"], &["nc", "127.0.0.1", "80"])
            .assert_code(1)
            .assert_stderr_has("--network none");
    }
}

/// A network namespace of its own, while it lives.
struct Namespace(Child);

impl Namespace {
    fn new() -> Self {
        let mut child = Command::new("unshare")
            .args([
                "--net",
                "sh",
                "-c",
                "busybox ip link set lo up; echo ready; exec sleep 300",
            ])
            .stdout(Stdio::piped())
            .spawn()
            .expect("util-linux is installed");
        let mut ready = [0; 6];
        let mut stdout = child.stdout.take().expect("piped");
        stdout.read_exact(&mut ready).expect("it is made");
        Self(child)
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.0.id())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.0.kill().expect("ours");
        self.0.wait().expect("ours");
    }
}

#[test]
fn a_namespace_is_joined_first() {
    let name = "a_namespace_is_joined_first";
    if kvm(name) && has_all(name, &[Need::Namespaces]) {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = server.local_addr().expect("bound").port().to_string();
        let reach = |options: &[&str]| busybox(options, &["nc", "127.0.0.1", &port]);
        let greeter = thread::spawn(move || {
            let (mut stream, _) = server.accept().expect("a client");
            stream.write_all(b"outside\n").expect("it reads");
        });
        reach(&[]).assert_code(0).assert_stdout("outside\n");
        greeter.join().expect("no panic");

        let namespace = Namespace::new();
        reach(&["--netns", &namespace.path()])
            .assert_code(1)
            .assert_stderr_has("Connection refused");
    }
}

/// Closed sockets that the monitor still has are in nobody's way.
#[test]
fn a_closed_socket_makes_room_at_once() {
    let name = "a_closed_socket_makes_room_at_once";
    if kvm(name) && has_all(name, &[Need::Program("prlimit")]) {
        let guests = all("tests/guests/served").expect("the folder is in the repository");
        let guest = guests.iter().find(|guest| guest.name == "crowded");
        let program = guest.expect("it is there").compile(Build::Static);
        let image = format!("host:{}", program.display());
        let unikiln = env!("CARGO_BIN_EXE_unikiln");
        tool("prlimit", &["--nofile=100:100", unikiln, "run", &image]);
    }
}

/// Who is in a namespace keeps it, whoever made it and whatever becomes of its devices.
#[test]
fn a_namespace_may_be_left_and_emptied_under_the_guest() {
    let name = "a_namespace_may_be_left_and_emptied_under_the_guest";
    if kvm(name) && has_all(name, &[Need::Namespaces]) {
        let guests = all("tests/guests/served").expect("the folder is in the repository");
        let guest = guests.iter().find(|guest| guest.name == "alone");
        let program = guest.expect("it is there").compile(Build::Static);
        let image = format!("host:{}", program.display());
        let namespace = Namespace::new();
        let path = namespace.path();
        let mut child = Command::new(env!("CARGO_BIN_EXE_unikiln"))
            .args(["run", "-i", "--netns", &path, &image])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unikiln starts");
        let mut stdin = child.stdin.take().expect("piped");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut said = || lines.next().expect("a line").expect("UTF-8");
        assert_eq!(said(), "ready");
        let mut try_it = || {
            stdin.write_all(b"try\n").expect("it reads");
            said()
        };
        assert_eq!(try_it(), "hello");
        drop(namespace);
        assert_eq!(try_it(), "hello");
        busybox(&["--netns", &path], &["true"])
            .assert_code(125)
            .assert_stderr_has(&format!("cannot open the network namespace {path}"));
        let inside = format!("--net=/proc/{}/ns/net", child.id());
        let ip = |words: &[&str]| {
            tool("nsenter", &[&[&inside, "busybox", "ip"], words].concat());
        };
        ip(&["addr", "flush", "dev", "lo"]);
        assert_eq!(try_it(), "Cannot assign requested address");
        assert_eq!(try_it(), "Cannot assign requested address");
        ip(&["link", "set", "lo", "down"]);
        ip(&["link", "set", "lo", "up"]);
        assert_eq!(try_it(), "hello");
        drop(stdin);
        assert!(child.wait().expect("ours").success());
    }
}

#[test]
fn wrong_network_options_are_explained() {
    for (options, words) in [
        (&["-p", "80"][..], "write [IP:]HOST:GUEST[/tcp|/udp]"),
        (&["-p", "8080:80/sctp"], "write tcp or udp"),
        (&["-p", "70000:80"], "ports are 1 to 65535"),
        (&["-p", "::1:8080:80"], "IPv6 addresses in brackets"),
        (
            &["-p", "81:80", "-p", "82:80"],
            "one port of the guest twice",
        ),
        (
            &["-p", "81:80", "--network", "host"],
            "no meaning with --network host",
        ),
        (&["--network", "bridge"], "write host or none"),
        (
            &["--network", "host", "--netns", "/x"],
            "cannot be used with",
        ),
        (&["--netns", "/run/netns/gone"], "/run/netns/gone"),
        (&["--dns", "resolver"], "--dns"),
        (&["--add-host", "db"], "write NAME:IP"),
    ] {
        let outcome = busybox(options, &["true"]);
        assert!([2, 125].contains(&outcome.code), "{}", outcome.story());
        outcome.assert_stderr_has(words);
    }
}

#[test]
fn names_come_from_this_machine_and_from_options() {
    if kvm("names_come_from_this_machine_and_from_options") {
        let host = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        if !host.is_empty() {
            busybox(&[], &["cat", "/etc/resolv.conf"])
                .assert_code(0)
                .assert_stdout_has(host.trim_end());
        }
        let options = [
            "--dns",
            "9.9.9.9",
            "--dns",
            "::1",
            "--add-host",
            "db:10.0.0.7",
        ];
        let outcome = busybox(
            &[&options[..], &["--hostname", "box"]].concat(),
            &["cat", "/etc/resolv.conf", "/etc/hosts"],
        );
        outcome
            .assert_code(0)
            .assert_stdout_has("nameserver 9.9.9.9\nnameserver ::1\n")
            .assert_stdout_has("127.0.0.1\tlocalhost\n::1\tlocalhost")
            .assert_stdout_has("10.0.0.7\tdb\n127.0.0.1\tbox\n");
        assert_eq!(outcome.out().matches("nameserver").count(), 2);
    }
}
