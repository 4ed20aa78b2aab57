//! Debian's servers, driven by their own clients, curl and wrk.

use std::fs;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};

use crate::image::{can_run, debian};
use crate::server::{Server, client, curl, free_port, wrk};

const PAGE: &str = include_str!("files/srv/www/index.html");
/// How long a busy machine may take to read a file of two lines.
const LOADING_MAX: Duration = Duration::from_secs(30);
const NGINX: [&str; 2] = ["-c", "/srv/nginx.conf"];

/// One for each server.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("debian::redis", redis),
        Trial::test("debian::redis_on_a_volume", redis_on_a_volume),
        Trial::test("debian::redis_benchmark", redis_benchmark),
        Trial::test("debian::nginx", nginx),
        Trial::test("debian::memcached", memcached),
        Trial::test("debian::lighttpd", lighttpd),
        Trial::test("debian::haproxy", haproxy),
    ]
}

/// Redis without snapshots, which it writes in a child process.
pub(crate) fn start_redis() -> (Server, String) {
    start_redis_with(&[], &[])
}

/// The same with more options and arguments.
pub(crate) fn start_redis_with(options: &[&str], args: &[&str]) -> (Server, String) {
    let port = free_port();
    // It has a socket for each family, and only one of them can be at this address.
    let mapping = format!("127.0.0.1:{port}:6379");
    let always = ["--entrypoint", "/usr/bin/redis-server", "-p", &mapping];
    let args = [&["--save", ""], args].concat();
    let mut server = Server::start("redis", [&always, options].concat(), debian(), &args);
    drop(server.connect((Ipv4Addr::LOCALHOST, port).into()));
    let port = port.to_string();
    // It listens before it has read its append-only file, and says so until it has.
    let end = Instant::now() + LOADING_MAX;
    while client("redis-cli", ["-p", &port, "PING"]).out() != "PONG\n" {
        assert!(Instant::now() < end, "redis still loads");
        thread::sleep(Duration::from_millis(20));
    }
    (server, port)
}

/// Static files, one process.
pub(crate) fn start_nginx(options: &[&str]) -> (Server, u16) {
    let options = [options, &["--entrypoint", "/usr/sbin/nginx"]].concat();
    Server::publish("nginx", 80, &options, debian(), &NGINX)
}

fn start_lighttpd() -> (Server, u16) {
    let options = ["--entrypoint", "/usr/sbin/lighttpd"];
    let args = ["-D", "-f", "/srv/lighttpd.conf"];
    Server::publish("lighttpd", 80, &options, debian(), &args)
}

fn redis() -> Result<(), Failed> {
    if can_run("redis", &["redis-cli"]) {
        let (server, port) = start_redis();
        let value = "v".repeat(100_000);
        for (words, answer) in [
            (&["PING"][..], "PONG"),
            (&["SET", "key", &value], "OK"),
            (&["GET", "key"], &value),
            (&["INCRBY", "count", "41"], "41"),
            (&["INCR", "count"], "42"),
            (&["RPUSH", "list", "a", "b", "c"], "3"),
            (&["LRANGE", "list", "0", "-1"], "a\nb\nc"),
            (&["EVAL", "return redis.call('GET', 'count')", "0"], "42"),
            (&["SET", "brief", "1", "PX", "1"], "OK"),
            (&["BLPOP", "nothing", "0.1"], ""),
            (&["GET", "brief"], ""),
            (&["SAVE"], "OK"),
            (
                &["BGREWRITEAOF"],
                "Background append only file rewriting started",
            ),
            (&["DBSIZE"], "3"),
        ] {
            let outcome = client("redis-cli", [&["-p", &port], words].concat());
            assert_eq!(outcome.out().trim_end(), answer, "{words:.40?}");
        }
        server
            .ends(0)
            .assert_stdout_has("Redis is now ready to exit");
    }
    Ok(())
}

/// What redis answered to is in its append-only file on the host: another one finds it,
/// after an end by SIGTERM and after one by SIGKILL.
fn redis_on_a_volume() -> Result<(), Failed> {
    if can_run("redis_on_a_volume", &["redis-cli"]) {
        let folder = tempfile::tempdir()?;
        let volume = format!("{}:/data", folder.path().display());
        let args = ["--dir", "/data", "--appendonly", "yes"];
        let args = [&args[..], &["--appendfsync", "always"]].concat();
        let start = || start_redis_with(&["-v", &volume], &args);
        let ask =
            |port: &str, words: &[&str]| client("redis-cli", [&["-p", port], words].concat()).out();
        let (server, port) = start();
        assert_eq!(ask(&port, &["SET", "kiln", "hot"]), "OK\n");
        server.ends(0);
        let (server, port) = start();
        assert_eq!(ask(&port, &["GET", "kiln"]), "hot\n");
        assert_eq!(ask(&port, &["INCR", "starts"]), "1\n");
        // Its monitor is killed.
        drop(server);
        let (server, port) = start();
        assert_eq!(ask(&port, &["GET", "kiln"]), "hot\n");
        assert_eq!(ask(&port, &["INCR", "starts"]), "2\n");
        server.ends(0);
    }
    Ok(())
}

/// The default set, some twenty commands from 50 clients, one by one and 16 at a time.
fn redis_benchmark() -> Result<(), Failed> {
    if can_run("redis_benchmark", &["redis-benchmark", "redis-cli"]) {
        let (server, port) = start_redis();
        for pipeline in ["1", "16"] {
            let words = ["-p", &port, "-n", "1600", "-P", pipeline, "--csv"];
            let outcome = client("redis-benchmark", words);
            let rows = outcome.out();
            let rates: Vec<f64> = rows
                .lines()
                .skip(1)
                .filter_map(|row| row.split("\",\"").nth(1)?.parse().ok())
                .collect();
            assert!(
                rates.len() >= 20 && rates.iter().all(|&rate| rate > 0.0),
                "{}",
                outcome.story()
            );
        }
        let outcome = client("redis-cli", ["-p", &port, "GET", "counter:__rand_int__"]);
        assert_eq!(outcome.out(), "3200\n");
        server.ends(0);
    }
    Ok(())
}

fn nginx() -> Result<(), Failed> {
    if can_run("nginx", &["curl", "wrk"]) {
        let (server, port) = start_nginx(&[]);
        for host in ["127.0.0.1", "[::1]"] {
            let url = format!("http://{host}:{port}/");
            assert_eq!(curl(&[], &url), PAGE);
        }
        let url = format!("http://127.0.0.1:{port}/");
        assert_eq!(curl(&["-r", "0-14"], &url), PAGE[..15]);
        let code = ["-o", "/dev/null", "-w", "%{http_code}"];
        assert_eq!(curl(&code, &format!("{url}missing")), "404");
        wrk(64, &url);
        server.ends(0);
    }
    Ok(())
}

fn memcached() -> Result<(), Failed> {
    if can_run("memcached", &["memccapable", "memccp", "memccat"]) {
        let options = ["--cpus", "2", "--entrypoint", "/usr/bin/memcached"];
        let args = ["-u", "root", "-t", "2", "-B", "auto"];
        let (server, port) = Server::publish("memcached", 11_211, &options, debian(), &args);
        let port = port.to_string();
        // The protocol's own suite, text and binary.
        client("memccapable", ["-h", "127.0.0.1", "-p", &port])
            .assert_stdout_has("All tests passed");
        let servers = format!("--servers=127.0.0.1:{port}");
        let work = tempfile::tempdir()?;
        let file = work.path().join("page");
        fs::write(&file, PAGE)?;
        client("memccp", [servers.as_str(), file.to_str().expect("UTF-8")]);
        let read = client("memccat", [&servers, "page"]);
        assert_eq!(read.out().trim_end(), PAGE.trim_end());
        server.ends(0);
    }
    Ok(())
}

fn lighttpd() -> Result<(), Failed> {
    if can_run("lighttpd", &["curl", "wrk"]) {
        let (server, port) = start_lighttpd();
        let url = format!("http://127.0.0.1:{port}/");
        assert_eq!(curl(&[], &url), PAGE);
        let before = server.files_at_rest();
        wrk(16, &url);
        // It ends with 1 while a client is connected, natively too.
        server.settles_at(before);
        server.ends(0);
    }
    Ok(())
}

/// In front of nginx and lighttpd, three guests in all.
fn haproxy() -> Result<(), Failed> {
    if can_run("haproxy", &["curl", "wrk"]) {
        let (nginx, first) = start_nginx(&[]);
        let (lighttpd, second) = start_lighttpd();
        assert_eq!(curl(&[], &format!("http://127.0.0.1:{second}/")), PAGE);
        let before = lighttpd.files_at_rest();
        let backends = [
            format!("FIRST=127.0.0.1:{first}"),
            format!("SECOND=127.0.0.1:{second}"),
        ];
        let options = ["-e", &backends[0], "-e", &backends[1]];
        let entrypoint = ["--cpus", "1", "--entrypoint", "/usr/sbin/haproxy"];
        let options = [&options[..], &entrypoint].concat();
        let args = ["-db", "-f", "/srv/haproxy.cfg"];
        let (haproxy, port) = Server::publish("haproxy", 80, &options, debian(), &args);
        let url = format!("http://127.0.0.1:{port}/");
        let mut seen = Vec::new();
        for _ in 0..4 {
            let answer = curl(&["-i"], &url);
            let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
            assert_eq!(body, PAGE);
            let backend = head.lines().find_map(|line| {
                line.to_lowercase()
                    .strip_prefix("x-backend: ")
                    .map(str::to_owned)
            });
            seen.push(backend.expect("haproxy names its choice"));
        }
        seen.sort_unstable();
        assert_eq!(seen, ["first", "first", "second", "second"]);
        wrk(16, &url);
        // Its hard stop is the default action; SIGUSR1 is the soft one.
        haproxy.ends(143);
        nginx.ends(0);
        lighttpd.settles_at(before);
        lighttpd.ends(0);
    }
    Ok(())
}
