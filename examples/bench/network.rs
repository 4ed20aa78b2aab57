//! Servers at work: redis under redis-benchmark, nginx under wrk, and one stream. Each
//! runs as a unikernel with one vCPU and as a process, on the same processors, and the
//! same client asks both in turns. The client shares the processors with them.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::bench::{Bench, text};
use crate::command::tool;
use crate::cpu;
use crate::machine::find;
use crate::measure::{Samples, Side, in_turns};
use crate::report::{Row, Section, Target};
use crate::server::Server;

/// As much of native speed as there should be.
pub(crate) const SPEED: Target = Target::AtLeast(0.8);
/// Exits for each 1,000 requests under load.
const EXITS: Target = Target::AtMost(10.0);
/// The page that nginx serves: as large as the one that it comes with.
const PAGE_BYTES: usize = 612;
/// What `guests/stream.c` sends, and what it is sent.
const STREAM_BYTES: usize = 256 << 20;
/// What this side sends and receives at once.
const PIECE_BYTES: usize = 256 << 10;
const GIB: f64 = (1 << 30) as f64;

/// Ports of the two sides, below those that kernels choose.
pub(crate) const OURS: u16 = 17_371;
pub(crate) const THEIRS: u16 = 17_372;

/// One section for each server.
pub(crate) fn measure(bench: &Bench) -> Result<Vec<Section>> {
    Ok(vec![redis(bench)?, nginx(bench)?, stream(bench)?])
}

/// `unikiln run` of a server in the host's network, with one vCPU.
fn unikernel(bench: &Bench, file: &str, args: &[&str]) -> Result<Server> {
    let options = ["--cpus", "1", "--network", "host", "--stats=json"];
    let words = bench.run_words(&options, file, args);
    Server::start(bench, &words, OURS)
}

/// Exits of a server for each 1,000 of so many requests.
fn exits_row(what: &str, stats: &Value, requests: f64) -> Result<Row> {
    let exits = stats["exits"].as_object().context("exits are counted")?;
    let all: f64 = exits.values().filter_map(Value::as_f64).sum();
    let samples = Samples::from_iter([all / requests * 1e3]);
    Ok(Row::value(what, "", samples).target(EXITS))
}

fn redis(bench: &Bench) -> Result<Section> {
    // Not what the link leads to: the program goes by its name.
    let program = find("redis-server").context("redis-server is not installed")?;
    let file = bench.unikernel(&program, &[])?;
    let args = |port: &str| ["--port", port, "--save", "", "--appendonly", "no"].map(str::to_owned);
    let (own_args, their_args) = (args(&OURS.to_string()), args(&THEIRS.to_string()));
    let their_args = their_args.each_ref().map(String::as_str);
    let theirs = Server::start(
        bench,
        &[&[program.as_str()], &their_args[..]].concat(),
        THEIRS,
    )?;
    let mut rows = Vec::new();
    // Clients, requests in one go, how many, and what is read of it.
    let loads = [
        ("50", "1", bench.scale(40_000, 2_000)),
        ("50", "16", bench.scale(200_000, 16_000)),
        ("1", "1", bench.scale(5_000, 500)),
    ];
    for (clients, pipeline, requests) in loads {
        let own_args = own_args.each_ref().map(String::as_str);
        let ours = unikernel(bench, &file, &own_args)?;
        let ask = |server: &Server| {
            let asked = 2.0 * requests as f64;
            server.load(1e3, || {
                let figures = redis_benchmark(server.port(), clients, pipeline, requests)?;
                Ok((figures, asked))
            })
        };
        let sides = both(bench, &mut || ask(&ours), &mut || ask(&theirs))?;
        let [ours_took, theirs_took] = &sides;
        let row = |what: String, figure: usize| {
            Row::speed(
                what,
                "µs",
                ours_took[figure].clone(),
                "native",
                theirs_took[figure].clone(),
            )
        };
        if clients == "1" {
            let cost = |what: &str, figure: usize| {
                Row::cost(
                    what,
                    "µs",
                    ours_took[figure].clone(),
                    "native",
                    theirs_took[figure].clone(),
                )
            };
            rows.push(cost("one client, GET: round trip, p50", 2));
            rows.push(cost("one client, GET: round trip, p99", 3));
            rows.extend(cpu::rows("one client: CPU", ours_took, theirs_took, 4));
            continue;
        }
        for (figure, name) in ["SET", "GET"].into_iter().enumerate() {
            let what = format!("50 clients, {pipeline} at a time: each {name}");
            rows.push(row(what, figure).target(SPEED));
        }
        // Two commands, and one turn more than is counted.
        let asked = 2.0 * requests as f64 * (bench.rounds + 1) as f64;
        let what = format!("50 clients, {pipeline} at a time: exits for 1,000");
        rows.push(exits_row(&what, &ours.end()?, asked)?);
        let what = format!("50 clients, {pipeline} at a time: CPU");
        rows.extend(cpu::rows(&what, ours_took, theirs_took, 4));
    }
    Ok(Section::new("redis, share of native speed", rows))
}

/// µs for each SET and each GET; then the GET's median and 99th percentile in µs.
fn redis_benchmark(port: u16, clients: &str, pipeline: &str, requests: usize) -> Result<Vec<f64>> {
    let (port, requests) = (port.to_string(), requests.to_string());
    let words = [
        "redis-benchmark",
        "-p",
        &port,
        "-t",
        "set,get",
        "-c",
        clients,
        "-P",
        pipeline,
        "-n",
        &requests,
        "--csv",
    ];
    let table = String::from_utf8(tool(&words)?).context("a table in UTF-8")?;
    let row = |name: &str| {
        let row = table
            .lines()
            .find(|line| line.starts_with(&format!("\"{name}\"")));
        let cells = row.map(|row| {
            row.split(',')
                .map(|cell| cell.trim_matches('"').parse().ok())
        });
        cells.map(|cells| cells.collect::<Vec<Option<f64>>>())
    };
    let cell = |name: &str, index: usize| {
        row(name)
            .and_then(|cells| cells.get(index).copied().flatten())
            .with_context(|| format!("no figure {index} of {name} in {table:?}"))
    };
    Ok(vec![
        1e6 / cell("SET", 1)?,
        1e6 / cell("GET", 1)?,
        cell("GET", 4)? * 1e3,
        cell("GET", 6)? * 1e3,
    ])
}

/// Both sides in turns: samples by figure, ours first.
pub(crate) fn both(bench: &Bench, ours: Side<'_>, theirs: Side<'_>) -> Result<[Vec<Samples>; 2]> {
    let sides = in_turns(bench.rounds, &mut [ours, theirs])?;
    sides.try_into().ok().context("two sides were measured")
}

/// What clients of nginx do: how many connections, and what wrk is told besides.
pub(crate) const LOADS: [(&str, &str, &[&str]); 2] = [
    ("64 connections: each request", "64", &[]),
    (
        "16 clients: connect, request, close",
        "16",
        &["-H", "Connection: close"],
    ),
];

/// A directory `name` with one page.
pub(crate) fn site(bench: &Bench, name: &str) -> Result<String> {
    let site = text(bench.path(name))?;
    fs::create_dir(&site).with_context(|| format!("cannot make {site}"))?;
    fs::write(format!("{site}/index.html"), "x".repeat(PAGE_BYTES))?;
    Ok(site)
}

/// Writes a configuration that begins with `head` and serves `site` at a port; its path.
pub(crate) fn configuration(site: &str, head: &str, port: u16) -> Result<String> {
    let file = format!("{site}/{port}.conf");
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path /tmp/bench-nginx-{port}-{kind};"))
        .concat();
    let text = format!(
        "{head} daemon off; pid /tmp/bench-nginx-{port}.pid;\n\
         events {{ worker_connections 1024; }}\n\
         http {{ access_log off; {temporary}\n\
         server {{ listen 127.0.0.1:{port}; root {site}; }} }}\n"
    );
    fs::write(&file, text).with_context(|| format!("cannot write {file}"))?;
    Ok(file)
}

fn nginx(bench: &Bench) -> Result<Section> {
    let program = find("nginx").context("nginx is not installed")?;
    let site = site(bench, "site")?;
    let head = "master_process off;";
    let (own, their) = (
        configuration(&site, head, OURS)?,
        configuration(&site, head, THEIRS)?,
    );
    let file = bench.unikernel(&program, &[&site])?;
    let theirs = Server::start(bench, &[&program, "-e", "stderr", "-c", &their], THEIRS)?;
    let mut rows = Vec::new();
    for (what, connections, more) in LOADS {
        let ours = unikernel(bench, &file, &["-e", "stderr", "-c", &own])?;
        let mut asked = 0.0;
        let sides = {
            let mut ask_ours = || {
                ours.load(1e3, || {
                    let (cost, requests) = wrk(ours.port(), connections, more)?;
                    asked += requests;
                    Ok((vec![cost], requests))
                })
            };
            let mut ask_theirs = || {
                theirs.load(1e3, || {
                    let (cost, requests) = wrk(theirs.port(), connections, more)?;
                    Ok((vec![cost], requests))
                })
            };
            both(bench, &mut ask_ours, &mut ask_theirs)?
        };
        let [ours_took, theirs_took] = &sides;
        let row = Row::speed(
            what,
            "µs",
            ours_took[0].clone(),
            "native",
            theirs_took[0].clone(),
        );
        rows.push(row.target(SPEED));
        let exits = exits_row(&format!("{what}: exits for 1,000"), &ours.end()?, asked)?;
        rows.push(if more.is_empty() {
            exits
        } else {
            exits.target(Target::None)
        });
        let (who, _) = what.split_once(':').context("who asks comes first")?;
        let what = format!("{who}: CPU");
        rows.extend(cpu::rows(&what, ours_took, theirs_took, 1));
    }
    Ok(Section::new(
        "nginx and a page of 612 bytes, share of native speed",
        rows,
    ))
}

/// µs for each request in a second of them, and how many there were.
pub(crate) fn wrk(port: u16, connections: &str, more: &[&str]) -> Result<(f64, f64)> {
    let url = format!("http://127.0.0.1:{port}/");
    let always = ["wrk", "-t", "1", "-d", "1s", "-c", connections];
    let words = [&always[..], more, &[&url]].concat();
    let said = String::from_utf8(tool(&words)?).context("words in UTF-8")?;
    ensure!(
        !said.contains("Non-2xx") && !said.contains("Socket errors"),
        "wrk was not served well:\n{said}"
    );
    let after = |words: &str| {
        let line = said.lines().find(|line| line.contains(words))?;
        line.split_whitespace()
            .find_map(|word| word.parse::<f64>().ok())
    };
    let rate = after("Requests/sec:").with_context(|| format!("no rate in {said:?}"))?;
    let requests = after("requests in").with_context(|| format!("no number in {said:?}"))?;
    Ok((1e6 / rate, requests))
}

fn stream(bench: &Bench) -> Result<Section> {
    let program = bench.guest("stream")?;
    let file = bench.unikernel(&program, &[])?;
    let ours = unikernel(bench, &file, &[&OURS.to_string()])?;
    let theirs = Server::start(bench, &[&program, &THEIRS.to_string()], THEIRS)?;
    let ask = |server: &Server| {
        let bytes = STREAM_BYTES as f64;
        let from = server.load(GIB, || Ok((vec![receive(server)?], bytes)))?;
        let to = server.load(GIB, || Ok((vec![send(server)?], bytes)))?;
        Ok([from, to].concat())
    };
    let sides = both(bench, &mut || ask(&ours), &mut || ask(&theirs))?;
    let [ours_took, theirs_took] = &sides;
    let row = |what, figure: usize| {
        Row::speed(
            what,
            "ms",
            ours_took[figure].clone(),
            "native",
            theirs_took[figure].clone(),
        )
        .target(SPEED)
    };
    let cpu = |what, first| cpu::rows(what, ours_took, theirs_took, first);
    let mut rows = vec![row("256 MiB from the server", 0)];
    rows.extend(cpu("from the server: CPU of a GiB", 1));
    rows.push(row("256 MiB to the server", 4));
    rows.extend(cpu("to the server: CPU of a GiB", 5));
    Ok(Section::new("one TCP stream, share of native speed", rows))
}

/// ms to receive all from a server.
fn receive(server: &Server) -> Result<f64> {
    let mut bytes = vec![0; PIECE_BYTES];
    let started = Instant::now();
    let mut connection = server.connect()?;
    connection.write_all(b"s")?;
    let mut got = 0;
    loop {
        match connection.read(&mut bytes)? {
            0 => break,
            count => got += count,
        }
    }
    ensure!(got == STREAM_BYTES, "{got} bytes of {STREAM_BYTES} came");
    Ok(started.elapsed().as_secs_f64() * 1e3)
}

/// ms to send it all.
fn send(server: &Server) -> Result<f64> {
    let mut bytes = vec![0; PIECE_BYTES];
    let started = Instant::now();
    let mut connection = server.connect()?;
    connection.write_all(b"r")?;
    for _ in 0..STREAM_BYTES / bytes.len() {
        connection.write_all(&bytes)?;
    }
    connection.shutdown(Shutdown::Write)?;
    connection.read_exact(&mut bytes[..1])?;
    Ok(started.elapsed().as_secs_f64() * 1e3)
}
