//! What a guest finds outside: a name by the resolver of `--dns`, and the HTTP
//! server that it names, both of them this test's.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::thread;

use libtest_mimic::{Failed, Trial};

use crate::common::Unikiln;
use crate::common::skip::{Need, has_all};
use crate::image::{self, can_run, debian};

/// A loopback address of ours, so that a resolver of the machine is not in the way.
const RESOLVER: Ipv4Addr = Ipv4Addr::new(127, 83, 53, 1);
const NAME: &str = "kiln.test";
/// What Python's and Go's programs print.
const WANTED: &str = "\
address 127.0.0.1
no such name True
200 fired
";

/// One for each client.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("clients::python", python),
        Trial::test("clients::go", go),
        Trial::test("clients::curl", curl),
    ]
}

/// Starts resolver and server, which live as long as this process; the server's
/// URL. Nothing where this user may not have port 53.
fn outside() -> Option<&'static str> {
    static URL: OnceLock<Option<String>> = OnceLock::new();
    URL.get_or_init(|| {
        let resolver = UdpSocket::bind((RESOLVER, 53)).ok()?;
        thread::spawn(move || resolve(&resolver));
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = server.local_addr().expect("bound").port();
        thread::spawn(move || serve(&server));
        Some(format!("http://{NAME}:{port}/"))
    })
    .as_deref()
}

/// Answers A questions for [`NAME`]; it has no AAAA record, and no other name exists.
fn resolve(socket: &UdpSocket) {
    let mut packet = [0; 512];
    while let Ok((len, from)) = socket.recv_from(&mut packet) {
        let Some(question) = packet.get(12..len) else {
            continue;
        };
        let Some(end) = question.iter().position(|&byte| byte == 0) else {
            continue;
        };
        let Some(question) = question.get(..end + 5) else {
            continue;
        };
        let wanted = NAME.split('.').fold(Vec::new(), |mut name, label| {
            name.push(label.len() as u8);
            name.extend_from_slice(label.as_bytes());
            name
        });
        let is_known = question[..end].eq_ignore_ascii_case(&wanted);
        let is_a = question[end + 1..end + 3] == [0, 1];
        let answers = u8::from(is_known && is_a);
        // NXDOMAIN is 3.
        let code = if is_known { 0 } else { 3 };
        let mut answer = packet[..2].to_vec();
        answer.extend([0x85, 0x80 | code, 0, 1, 0, answers, 0, 0, 0, 0]);
        answer.extend_from_slice(question);
        if answers == 1 {
            // The name is at byte 12; class IN, a minute, four bytes.
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
            answer.extend(Ipv4Addr::LOCALHOST.octets());
        }
        // A client that is gone asks no more.
        let _ = socket.send_to(&answer, from);
    }
}

fn serve(server: &TcpListener) {
    for mut stream in server.incoming().flatten() {
        let Ok(reader) = stream.try_clone() else {
            continue;
        };
        let head = BufReader::new(reader).lines().map_while(Result::ok);
        // Up to the empty line.
        head.take_while(|line| !line.is_empty()).for_each(drop);
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nfired\n";
        // The client's program says what came.
        let _ = stream.write_all(answer.as_bytes());
    }
}

fn guest(file: PathBuf) -> Unikiln {
    Unikiln::run(file).options(["--cpus", "2", "--dns", &RESOLVER.to_string()])
}

fn with_outside(test: &str, check: impl FnOnce(&str)) -> Result<(), Failed> {
    if can_run(test, &[]) && has_all(test, &[Need::LowPorts]) {
        check(outside().ok_or("port 53 of our loopback address is taken")?);
    }
    Ok(())
}

fn python() -> Result<(), Failed> {
    with_outside("python", |url| {
        guest(debian())
            .options(["--entrypoint", "/usr/bin/python3.11"])
            .args(["/srv/client.py", url, NAME])
            .output()
            .assert_code(0)
            .assert_stdout(WANTED);
    })
}

fn go() -> Result<(), Failed> {
    if !image::has_go("go") {
        return Ok(());
    }
    with_outside("go", |url| {
        guest(image::go("client"))
            .args([url, NAME])
            .output()
            .assert_code(0)
            .assert_stdout(&WANTED.replace("True", "true"));
    })
}

fn curl() -> Result<(), Failed> {
    with_outside("curl", |url| {
        let curl = || guest(debian()).options(["--entrypoint", "/usr/bin/curl"]);
        curl()
            .args(["-sS", "--max-time", "60", url])
            .output()
            .assert_code(0)
            .assert_stdout("fired\n");
        curl()
            .args(["-sS", "--max-time", "60", "http://nowhere.test/"])
            .output()
            .assert_code(6)
            .assert_stderr_has("Could not resolve host: nowhere.test");
    })
}
