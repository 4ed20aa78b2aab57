//! A server that its clients reach by published ports: well-behaved ones, those that
//! stall or reset, many at once, and many one after another.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::guest::{Build, all};
use crate::kvm;
use crate::network::free_port;

const PATIENCE: Duration = Duration::from_secs(60);

/// The running server and where its ports are.
struct Served {
    child: Child,
    output: BufReader<ChildStdout>,
    ipv4: SocketAddr,
    ipv6: SocketAddr,
    datagrams: SocketAddr,
}

impl Served {
    fn start(number: u16) -> Self {
        Self::start_program("echo", number, "2")
    }

    fn start_program(name: &str, number: u16, cpus: &str) -> Self {
        let guests = all("tests/guests/served").expect("the folder is in the repository");
        let guest = guests.iter().find(|guest| guest.name == name);
        let program = guest.expect("it is there").compile(Build::Static);
        let [ipv4, ipv6, datagrams] = [0, 1, 2].map(|part| free_port(number + part));
        let mut child = Command::new(env!("CARGO_BIN_EXE_unikiln"))
            .args(["run", "--cpus", cpus])
            .args(["-p", &format!("127.0.0.1:{ipv4}:7")])
            .args(["-p", &format!("{ipv6}:8")])
            .args(["-p", &format!("{datagrams}:7/udp")])
            .arg(format!("host:{}", program.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unikiln starts");
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        output.read_line(&mut line).expect("readable");
        assert_eq!(line, "ready\n");
        Self {
            child,
            output,
            ipv4: ([127, 0, 0, 1], ipv4).into(),
            ipv6: ([0, 0, 0, 0, 0, 0, 0, 1], ipv6).into(),
            datagrams: ([127, 0, 0, 1], datagrams).into(),
        }
    }

    /// Resident memory of the monitor and its guest, in KiB.
    fn memory_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        number
            .and_then(|number| number.parse().ok())
            .expect("a number of KiB")
    }

    /// Open files of the monitor.
    fn files(&self) -> usize {
        let listed = fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        listed.expect("it runs").count()
    }

    /// Waits until the monitor has no more open files than these.
    fn settles_at(&self, files: usize) {
        let until = Instant::now() + PATIENCE;
        while self.files() > files {
            assert!(
                Instant::now() < until,
                "{} files, not {files}",
                self.files()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn ends(mut self) {
        client(self.ipv4).write_all(b"end").expect("it reads");
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().expect("ours") {
                let mut said = String::new();
                self.output.read_to_string(&mut said).expect("UTF-8");
                assert_eq!(said, "ok echo\n", "{status}");
                return assert!(status.success(), "{status}");
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("still running after {PATIENCE:?}");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It is over where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn client(at: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(at).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time");
    stream
}

/// Sends bytes and waits for all of them.
fn echo(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).expect("it reads");
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).expect("it answers");
    assert!(back == bytes, "{} bytes came back others", bytes.len());
}

#[test]
fn both_families_and_datagrams_are_served() {
    if kvm("both_families_and_datagrams_are_served") {
        let served = Served::start(20);
        echo(&mut client(served.ipv4), b"by IPv4");
        echo(&mut client(served.ipv6), b"by IPv6");
        let mapped = SocketAddr::from(([127, 0, 0, 1], served.ipv6.port()));
        echo(&mut client(mapped), b"by IPv4 to a socket of both");

        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time");
        let mut back = [0; 2000];
        for len in [0, 1, 1500] {
            let sent = vec![7; len];
            socket.send_to(&sent, served.datagrams).expect("sent");
            let (count, from) = socket.recv_from(&mut back).expect("it answers");
            assert_eq!((&back[..count], from), (&sent[..], served.datagrams));
        }
        served.ends();
    }
}

#[test]
fn a_thousand_clients_are_served_at_once() {
    if kvm("a_thousand_clients_are_served_at_once") {
        let served = Served::start(23);
        let before = served.files();
        let mut clients: Vec<TcpStream> = (0..1000).map(|_| client(served.ipv4)).collect();
        for (number, stream) in clients.iter_mut().enumerate() {
            echo(stream, number.to_string().as_bytes());
        }
        drop(clients);
        served.settles_at(before);
        served.ends();
    }
}

#[test]
fn clients_that_stall_or_reset_harm_nobody() {
    if kvm("clients_that_stall_or_reset_harm_nobody") {
        let served = Served::start(26);
        let before = served.files();
        let stalled: Vec<TcpStream> = (0..20).map(|_| client(served.ipv4)).collect();
        for mut stream in stalled.iter().take(10) {
            stream.write_all(b"half").expect("sent");
        }
        for _ in 0..200 {
            // Closed with bytes unread, a connection is reset.
            let mut stream = client(served.ipv4);
            stream.write_all(b"answer this").expect("sent");
            let mut one = [0];
            stream.read_exact(&mut one).expect("it answers");
        }
        echo(&mut client(served.ipv4), &[9; 30_000]);
        drop(stalled);
        served.settles_at(before);
        served.ends();
    }
}

/// Sends without an end and reads nothing: by datagrams, by connections that the server
/// ends, and by connections that do not stay.
fn flood(served: &Served, until: Instant) -> Vec<thread::JoinHandle<()>> {
    let (ipv4, datagrams) = (served.ipv4, served.datagrams);
    let go_on = move || Instant::now() < until;
    vec![
        thread::spawn(move || {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
            while go_on() {
                // What is not taken is lost.
                let _ = socket.send_to(&[1; 1400], datagrams);
            }
        }),
        thread::spawn(move || {
            while go_on() {
                let mut stream = client(ipv4);
                let time = Some(Duration::from_millis(20));
                stream.set_write_timeout(time).expect("a time");
                while go_on() && stream.write_all(&[2; 60_000]).is_ok() {}
            }
        }),
        thread::spawn(move || {
            while go_on() {
                drop(TcpStream::connect(ipv4));
                // Ports are not used up so soon.
                thread::sleep(Duration::from_millis(1));
            }
        }),
    ]
}

#[test]
fn clients_that_flood_harm_nobody() {
    if kvm("clients_that_flood_harm_nobody") {
        // With rings and without.
        survives_a_flood(Served::start_program("echo", 36, "1"));
        survives_a_flood(Served::start(36));
    }
}

fn survives_a_flood(served: Served) {
    for _ in 0..3 {
        echo(&mut client(served.ipv4), &[9; 30_000]);
    }
    let (files, memory) = (served.files(), served.memory_kib());
    let until = Instant::now() + Duration::from_secs(2);
    let flooders = flood(&served, until);
    let mut count = 0;
    while count < 20 || Instant::now() < until {
        echo(&mut client(served.ipv4), b"one of many");
        echo(&mut client(served.ipv6), b"another one");
        count += 1;
    }
    for flooder in flooders {
        flooder.join().expect("it does not panic");
    }
    served.settles_at(files);
    let grown = served.memory_kib().saturating_sub(memory);
    assert!(grown < 32 * 1024, "{grown} KiB more");
    served.ends();
}

#[test]
fn short_connections_leave_nothing_behind() {
    if kvm("short_connections_leave_nothing_behind") {
        let served = Served::start(29);
        echo(&mut client(served.ipv4), b"first");
        let before = served.files();
        for number in 0..2000 {
            echo(&mut client(served.ipv4), format!("{number}").as_bytes());
        }
        served.settles_at(before);
        served.ends();
    }
}

#[test]
fn what_was_written_before_the_exit_arrives() {
    if kvm("what_was_written_before_the_exit_arrives") {
        for (number, count) in [(32, 1), (33, 5_000), (34, 60_000), (35, 9_000_000)] {
            let mut served = Served::start_program("parting", number, "2");
            let mut stream = client(served.ipv4);
            stream.write_all(&u32::to_le_bytes(count)).expect("sent");
            // The program has exited long before, where all of it fits on the way.
            thread::sleep(Duration::from_millis(300));
            let mut came = Vec::new();
            stream.read_to_end(&mut came).expect("no reset");
            assert_eq!(came.len(), count as usize);
            assert!((0..).zip(&came).all(|(at, byte)| *byte == (at % 251) as u8));
            let status = served.child.wait().expect("ours");
            assert!(status.success(), "{status} after {count} bytes");
        }
    }
}
