//! Servers of several processes: PostgreSQL under pgbench, nginx with two workers under wrk.
//! Two vCPUs; natively the same two processors, which the client shares with both.

use anyhow::{Context, Result};

use crate::bench::Bench;
use crate::command::tool;
use crate::machine::find;
use crate::measure::Samples;
use crate::network::{self, OURS, SPEED, THEIRS};
use crate::programs::installed;
use crate::report::{Row, Section};
use crate::server::Server;

const OPTIONS: [&str; 6] = ["--cpus", "2", "--memory", "1G", "--network", "host"];
/// What PostgreSQL is, and what its start needs besides.
const POSTGRES: [&str; 10] = [
    "/bin/sh",
    "/usr/lib/postgresql/15",
    "/usr/share/postgresql/15",
    "/usr/share/zoneinfo",
    "/usr/bin/chown",
    "/usr/bin/mkdir",
    "/usr/bin/rm",
    "/usr/bin/setpriv",
    "/etc/passwd",
    "/etc/group",
];
const DIRECTORIES: [&str; 2] = ["/tmp/bench-postgres", "/dev/shm/unikiln-bench-postgres"];

/// One section for each server.
pub(super) fn measure(bench: &Bench) -> Result<Vec<Section>> {
    Ok(vec![postgres(bench)?, nginx(bench)?])
}

fn postgres(bench: &Bench) -> Result<Section> {
    let (shell, script) = (installed("dash")?, bench.source("postgres.sh"));
    let includes = [&[script.as_str()], &POSTGRES[..]].concat();
    let file = bench.unikernel(&shell, &includes)?;
    let (own_port, their_port) = (OURS.to_string(), THEIRS.to_string());
    let words = bench.run_words(&OPTIONS, &file, &[&script, DIRECTORIES[0], &own_port]);
    let ours = Server::start(bench, &words, OURS)?;
    let words = [&shell, &script, DIRECTORIES[1], &their_port];
    let theirs = Server::start(bench, &words, THEIRS)?;
    for server in [&ours, &theirs] {
        pgbench(server, &["--initialize", "--quiet"])?;
    }
    let seconds = bench.scale(2, 1).to_string();
    let mut rows = Vec::new();
    let loads: [(&str, &[&str]); 3] = [
        ("4 clients, TPC-B: each transaction", &["--client=4"]),
        (
            "4 clients, SELECT alone: each",
            &["--client=4", "--select-only"],
        ),
        (
            "a connection for each SELECT",
            &["--client=2", "--select-only", "--connect"],
        ),
    ];
    for (what, options) in loads {
        let load = |server: &Server| {
            let said = pgbench(server, &[options, &["--time", &seconds]].concat())?;
            let rate = said.lines().find_map(|line| {
                line.strip_prefix("tps = ")?
                    .split(' ')
                    .next()?
                    .parse::<f64>()
                    .ok()
            });
            Ok(vec![
                1e6 / rate.with_context(|| format!("no rate in {said:?}"))?,
            ])
        };
        let [took, native] =
            network::both(bench, &mut || load(&ours), &mut || load(&theirs))?.map(only);
        rows.push(Row::speed(what, "µs", took, "native", native).target(SPEED));
    }
    drop(theirs);
    // It is memory.
    std::fs::remove_dir_all(DIRECTORIES[1])
        .with_context(|| format!("cannot remove {}", DIRECTORIES[1]))?;
    Ok(Section::new(
        "PostgreSQL under pgbench, share of native speed",
        rows,
    ))
}

/// The first figure.
fn only(figures: Vec<Samples>) -> Samples {
    figures.into_iter().next().unwrap_or_default()
}

fn pgbench(server: &Server, options: &[&str]) -> Result<String> {
    let port = server.port().to_string();
    let always = ["pgbench", "-h", "127.0.0.1", "-U", "bench", "-p", &port];
    let said = tool(&[&always[..], options, &["postgres"]].concat())?;
    String::from_utf8(said).context("words in UTF-8")
}

fn nginx(bench: &Bench) -> Result<Section> {
    let program = find("nginx").context("nginx is not installed")?;
    let site = network::site(bench, "workers")?;
    // Root's own workers: what they read is below a directory of root.
    let head = "user root; worker_processes 2;";
    let [own, their] = [OURS, THEIRS].map(|port| network::configuration(&site, head, port));
    let (own, their) = (own?, their?);
    let file = bench.unikernel(&program, &[&site, "/etc/passwd", "/etc/group"])?;
    let args = ["-e", "stderr", "-c", &own];
    let ours = Server::start(bench, &bench.run_words(&OPTIONS, &file, &args), OURS)?;
    let theirs = Server::start(bench, &[&program, "-e", "stderr", "-c", &their], THEIRS)?;
    let mut rows = Vec::new();
    for (what, connections, more) in network::LOADS {
        let load = |server: &Server| Ok(vec![network::wrk(server.port(), connections, more)?.0]);
        let [took, native] =
            network::both(bench, &mut || load(&ours), &mut || load(&theirs))?.map(only);
        rows.push(Row::speed(what, "µs", took, "native", native).target(SPEED));
    }
    Ok(Section::new(
        "nginx with two workers and a page of 612 bytes, share of native speed",
        rows,
    ))
}
