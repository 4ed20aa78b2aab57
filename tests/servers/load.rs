//! Many connections: at once, and one after another without a trace.

use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;

use libtest_mimic::{Failed, Trial};

use crate::debian::{start_nginx, start_redis, start_redis_with};
use crate::image::can_run;
use crate::server::{Server, client, curl, stats, wrk};

/// Short connections, and how many of them warm everything up.
const SHORT: usize = 10_000;
const WARM: usize = 2_000;
/// What memory may grow by while the rest is served: far less than a leak of 4 KiB
/// for each would take.
const GROWTH_KIB: u64 = 8 * 1024;

/// Four trials.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("load::a_thousand_clients_of_redis", thousand_of_redis),
        Trial::test("load::a_thousand_clients_of_nginx", thousand_of_nginx),
        Trial::test("load::clients_that_stall", stalled),
        Trial::test("load::ten_thousand_short_connections", short),
    ]
}

fn thousand_of_redis() -> Result<(), Failed> {
    if can_run("thousand_of_redis", &["redis-benchmark", "redis-cli"]) {
        let (server, port) = start_redis();
        client("redis-cli", ["-p", &port, "PING"]).assert_stdout("PONG\n");
        let before = server.files_at_rest();
        let words = ["-p", &port, "-c", "1000", "-n", "5000", "-t", "incr", "-q"];
        client("redis-benchmark", words).assert_stdout_has("requests per second");
        let counted = client("redis-cli", ["-p", &port, "GET", "counter:__rand_int__"]);
        assert_eq!(counted.out(), "5000\n");
        server.settles_at(before);
        server.ends(0);
    }
    Ok(())
}

fn thousand_of_nginx() -> Result<(), Failed> {
    if can_run("thousand_of_nginx", &["wrk"]) {
        let (server, port) = start_nginx(&[]);
        let url = format!("http://127.0.0.1:{port}/");
        curl(&[], &url);
        let before = server.files_at_rest();
        wrk(1000, &url);
        server.settles_at(before);
        server.ends(0);
    }
    Ok(())
}

/// They ask and never read, until neither the ways to them nor the rings have room.
fn stalled() -> Result<(), Failed> {
    if can_run("stalled", &["redis-cli"]) {
        // With rings.
        let (mut server, port) = start_redis_with(&["--cpus", "1"], &[]);
        let ask = |words: &[&str]| client("redis-cli", [&["-p", &port], words].concat()).out();
        ask(&["SET", "key", &"v".repeat(100_000)]);
        let before = server.files_at_rest();
        let at = (Ipv4Addr::LOCALHOST, port.parse()?).into();
        let mut clients: Vec<_> = (0..4)
            .map(|_| {
                let mut stream = server.connect(at);
                let written = stream.write_all("GET key\r\n".repeat(150).as_bytes());
                written.map(|()| stream)
            })
            .collect::<Result<_, _>>()?;
        assert_eq!(ask(&["PING"]), "PONG\n");
        thread::sleep(Duration::from_millis(500));
        let cpu = server.cpu_seconds();
        thread::sleep(Duration::from_secs(2));
        let cpu = server.cpu_seconds() - cpu;
        assert!(cpu < 0.5, "{cpu} s of 2 s spent on clients that stall");
        assert_eq!(ask(&["PING"]), "PONG\n");
        // One of them wakes up, and gets all of it.
        let answer = format!("$100000\r\n{}\r\n", "v".repeat(100_000));
        let mut came = vec![0; 150 * answer.len()];
        clients[0].read_exact(&mut came)?;
        assert!(
            came.chunks(answer.len())
                .all(|came| came == answer.as_bytes())
        );
        drop(clients);
        server.settles_at(before);
        server.ends(0);
    }
    Ok(())
}

/// Open files of the guest, as nginx lists them.
fn guest_files(port: u16) -> usize {
    let listing = curl(&[], &format!("http://127.0.0.1:{port}/fd/"));
    // One line leads back to the directory above.
    listing.matches("<a href=").count() - 1
}

fn short() -> Result<(), Failed> {
    if can_run("short", &["curl"]) {
        let (mut server, port) = start_nginx(&[]);
        serve(&mut server, port, WARM)?;
        let (files, memory) = (guest_files(port), server.memory_kib());
        let monitor_files = server.files_at_rest();
        serve(&mut server, port, SHORT - WARM)?;
        let (files_after, memory_after) = (guest_files(port), server.memory_kib());
        assert_eq!(files_after, files, "files of the guest");
        server.settles_at(monitor_files);
        assert!(
            memory_after < memory + GROWTH_KIB,
            "from {memory} to {memory_after} KiB"
        );
        let outcome = server.ends(0);
        let opened = stats(&outcome)["sockets"]["opened"].as_u64();
        assert!(opened >= Some(SHORT as u64), "{}", outcome.story());
    }
    Ok(())
}

/// Connect, request, answer, end: `count` times.
fn serve(server: &mut Server, port: u16, count: usize) -> Result<(), Failed> {
    let request = "HEAD / HTTP/1.1\r\nHost: kiln\r\nConnection: close\r\n\r\n";
    for number in 0..count {
        let mut stream = server.connect((Ipv4Addr::LOCALHOST, port).into());
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n"),
            "{number}: {answer:?}"
        );
    }
    Ok(())
}
