//! Servers of language runtimes: those of their libraries, and of three frameworks from
//! PyPI and npm.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use libtest_mimic::{Failed, Trial};

use crate::image::{self, can_run, debian};
use crate::server::{PATIENCE, Server, curl, free_port, wrk};

const CLIENTS: [&str; 2] = ["curl", "wrk"];
const OPTIONS: [&str; 4] = ["--memory", "512M", "--cpus", "2"];
const PYTHON: [&str; 4] = ["--cpus", "1", "--entrypoint", "/usr/bin/python3.11"];
const NODE: [&str; 6] = [
    "--memory",
    "512M",
    "--cpus",
    "2",
    "--entrypoint",
    "/usr/bin/node",
];
/// Where packages from PyPI are.
const PYPI: [&str; 2] = ["-e", "PYTHONPATH=/srv/pypi"];
const PAGE: &str = include_str!("files/srv/www/index.html");

/// One for each server.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("python::http_server", python_http_server),
        Trial::test("python::asyncio", python_asyncio),
        Trial::test("python::flask", flask),
        Trial::test("python::fastapi", fastapi),
        Trial::test("node::http", node_http),
        Trial::test("node::express", express),
        Trial::test("go::net_http", go_net_http),
        Trial::test("java::httpserver", java_httpserver),
        Trial::test("rust::hyper", rust_hyper),
    ]
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}/")
}

/// A greeting, a large body that comes back in upper case, many requests.
fn greets(port: u16, greeting: &str) {
    let url = url(port);
    assert_eq!(curl(&[], &url), greeting);
    let body = "kiln".repeat(25_000);
    let work = tempfile::tempdir().expect("temporary directory");
    let file = work.path().join("body");
    std::fs::write(&file, &body).expect("it is writable");
    let data = format!("@{}", file.display());
    let answer = curl(&["--data-binary", &data], &url);
    assert!(
        answer == body.to_uppercase(),
        "{} bytes came back others",
        body.len()
    );
    wrk(16, &url);
}

/// One request after another: a thread is started for each.
fn python_http_server() -> Result<(), Failed> {
    if can_run("http_server", &["curl"]) {
        let args = ["-u", "-m", "http.server", "-d", "/srv/www", "80"];
        let (server, port) = Server::publish("http.server", 80, &PYTHON, debian(), &args);
        for _ in 0..20 {
            assert_eq!(curl(&[], &url(port)), PAGE);
        }
        server.ends(143).assert_stderr_has("\"GET / HTTP/1.1\" 200");
    }
    Ok(())
}

/// Streams and datagrams, both families.
fn python_asyncio() -> Result<(), Failed> {
    if can_run("asyncio", &[]) {
        let [stream, ipv4, ipv6] = [(); 3].map(|()| free_port());
        let mappings = [
            format!("{stream}:7"),
            format!("127.0.0.1:{ipv4}:7/udp"),
            format!("[::1]:{ipv6}:8/udp"),
        ];
        let options = PYTHON
            .into_iter()
            .chain(mappings.iter().flat_map(|mapping| ["-p", mapping]));
        let args = ["/srv/asyncio_server.py"];
        let mut server = Server::start("asyncio", options, debian(), &args);
        server.says("ready\n");
        let addresses: [SocketAddr; 2] = [
            (Ipv4Addr::LOCALHOST, stream).into(),
            (Ipv6Addr::LOCALHOST, stream).into(),
        ];
        for at in addresses {
            let mut stream = server.connect(at);
            let mut lines = BufReader::new(stream.try_clone()?);
            for number in 0..50 {
                stream.write_all(format!("line {number}\n").as_bytes())?;
                let mut line = String::new();
                lines.read_line(&mut line)?;
                assert_eq!(line, format!("LINE {number}\n"));
            }
        }
        echoes((Ipv4Addr::LOCALHOST, ipv4).into())?;
        echoes((Ipv6Addr::LOCALHOST, ipv6).into())?;
        server.ends(0).assert_stdout("ready\nended\n");
    }
    Ok(())
}

fn echoes(at: SocketAddr) -> Result<(), Failed> {
    let socket = UdpSocket::bind(SocketAddr::new(
        match at {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        },
        0,
    ))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut back = vec![0; 70_000];
    // Python 3.11's asyncio sends no empty ones.
    for len in [1, 1500, 60_000] {
        let sent = vec![len as u8; len];
        socket.send_to(&sent, at)?;
        let (count, from) = socket.recv_from(&mut back)?;
        assert!(
            back[..count] == sent && from == at,
            "{count} of {len} bytes from {from}"
        );
    }
    Ok(())
}

fn flask() -> Result<(), Failed> {
    if can_run("flask", &CLIENTS) {
        let args = ["-m", "flask", "--app", "/srv/flask_app.py", "run"];
        let args = [&args[..], &["--host", "0.0.0.0", "--port", "80"]].concat();
        let options = [&PYPI[..], &PYTHON].concat();
        let (server, port) = Server::publish("flask", 80, &options, debian(), &args);
        let url = url(port);
        assert_eq!(curl(&[], &url), "flask 3.1.3 answers\n");
        assert_eq!(curl(&[], &format!("{url}hello/kiln")), "hello kiln\n");
        let json = ["-H", "Content-Type: application/json", "-d", "[1, 2, 39]"];
        assert_eq!(curl(&json, &format!("{url}sum")), "{\"sum\":42}\n");
        let code = ["-o", "/dev/null", "-w", "%{http_code}"];
        assert_eq!(curl(&code, &format!("{url}gone")), "410");
        wrk(4, &url);
        server.ends(143);
    }
    Ok(())
}

/// An application of coroutines in uvicorn, checked by pydantic's compiled core.
fn fastapi() -> Result<(), Failed> {
    if can_run("fastapi", &CLIENTS) {
        let args = ["-m", "uvicorn", "--app-dir", "/srv", "fastapi_app:app"];
        let args = [&args[..], &["--host", "0.0.0.0", "--port", "80"]].concat();
        let options = [&["--memory", "512M"], &PYPI[..], &PYTHON].concat();
        let (server, port) = Server::publish("fastapi", 80, &options, debian(), &args);
        let url = url(port);
        assert_eq!(curl(&[], &url), "{\"fastapi\":\"0.165.0\"}");
        let item = ["-H", "Content-Type: application/json", "-d"];
        let post = |json: &str| curl(&[&item[..], &[json]].concat(), &format!("{url}items/7"));
        assert_eq!(
            post(r#"{"name": "brick", "price": 1.5}"#),
            r#"{"id":7,"name":"brick","total":10.5}"#
        );
        assert!(post(r#"{"name": "brick", "price": "much"}"#).contains("float_parsing"));
        wrk(16, &url);
        // It stops as told, and then ends by the same signal.
        server
            .ends(143)
            .assert_stderr_has("Application shutdown complete.");
    }
    Ok(())
}

fn node_http() -> Result<(), Failed> {
    if can_run("node_http", &CLIENTS) {
        let args = ["/srv/http_server.js"];
        let (server, port) = Server::publish("node", 80, &NODE, debian(), &args);
        greets(port, "node answers\n");
        server.ends(0).assert_stdout("ready\nended\n");
    }
    Ok(())
}

fn express() -> Result<(), Failed> {
    if can_run("express", &CLIENTS) {
        let args = ["/srv/express_app.js"];
        let (server, port) = Server::publish("express", 80, &NODE, debian(), &args);
        let url = url(port);
        assert_eq!(curl(&[], &url), PAGE);
        assert_eq!(curl(&[], &format!("{url}version")), "5.1.0");
        assert_eq!(curl(&[], &format!("{url}hello/kiln")), "hello kiln\n");
        let json = ["-H", "Content-Type: application/json", "-d", "[1, 2, 39]"];
        assert_eq!(curl(&json, &format!("{url}sum")), "{\"sum\":42}");
        wrk(16, &url);
        server.ends(143);
    }
    Ok(())
}

fn go_net_http() -> Result<(), Failed> {
    if can_run("net_http", &CLIENTS) && image::has_go("net_http") {
        let file = image::go("server");
        let (server, port) = Server::publish("net/http", 80, &OPTIONS, file, &[]);
        greets(port, "go answers\n");
        server.ends(0).assert_stdout("ended\n");
    }
    Ok(())
}

fn java_httpserver() -> Result<(), Failed> {
    if can_run("httpserver", &CLIENTS) && image::has_java("httpserver") {
        let (file, classes) = image::java();
        let args = ["-Xmx128m", "-cp", &classes, "Greeter"];
        let datagrams = free_port();
        let mapping = format!("{datagrams}:7/udp");
        let options = [&OPTIONS[..], &["-p", &mapping]].concat();
        let (server, port) = Server::publish("java", 80, &options, file, &args);
        greets(port, "java answers\n");
        echoes((Ipv4Addr::LOCALHOST, datagrams).into())?;
        server.ends(143).assert_stdout("ready\nended\n");
    }
    Ok(())
}

fn rust_hyper() -> Result<(), Failed> {
    if can_run("hyper", &CLIENTS) {
        let file = image::hyper();
        let (server, port) = Server::publish("hyper", 80, &OPTIONS, file, &[]);
        greets(port, "hyper answers\n");
        server.ends(0).assert_stdout("ready\nended\n");
    }
    Ok(())
}
