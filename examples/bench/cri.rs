//! `unikiln serve` side by side with containerd and runc, asked by one client over gRPC: what
//! each step of a pod's life takes, alone and eight at a time, and what a hundred pods weigh.
//!
//! Both have the same image, the same CNI plugins, and pods of one container. Stopping is not
//! gentle on either side: the program has no handler for SIGTERM.

mod client;
mod servers;

use std::thread;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::bench::Bench;
use crate::measure::Samples;
use crate::report::{Row, Section, Target};

use client::{Client, STEPS};
use servers::Servers;

const THEIRS: &str = "containerd";
/// Pods at once under load.
const CROWD: usize = 8;
/// RunPodSandbox to the first log line, of containerd's.
const START: Target = Target::AtMost(0.3);
/// The figure that it is about.
const START_STEP: usize = 4;

/// Samples of each step.
type Steps = Vec<Samples>;

/// One section for one pod at a time, one for eight, one for many.
pub(crate) fn measure(bench: &Bench) -> Result<Vec<Section>> {
    let servers = Servers::start(bench)?;
    let alone = bench.rounds * bench.scale(4, 1);
    let crowds = bench.rounds * bench.scale(2, 1);
    Ok(vec![
        section("CRI, one pod at a time", in_turns(&servers, alone, 1)?),
        section(
            "CRI, eight pods at a time",
            in_turns(&servers, crowds, CROWD)?,
        ),
        many(&servers, bench.scale(100, 8))?,
    ])
}

fn section(title: &str, [ours, theirs]: [Steps; 2]) -> Section {
    let mut rows = Vec::new();
    for (step, name) in STEPS.iter().enumerate() {
        let (ours, theirs) = (&ours[step], &theirs[step]);
        let p99 = |samples: &Samples| Samples::from_iter([samples.quantile(0.99)]);
        let target = if step == START_STEP {
            START
        } else {
            Target::None
        };
        let cost = |what: &str, ours: Samples, theirs: Samples| {
            Row::cost(format!("{name}, {what}"), "ms", ours, THEIRS, theirs)
        };
        rows.push(cost("p50", ours.clone(), theirs.clone()).target(target));
        rows.push(cost("p99", p99(ours), p99(theirs)));
    }
    Section::new(title, rows)
}

/// Lives of pods, `at_once` of them at a time, both sides in turns.
fn in_turns(servers: &Servers, rounds: usize, at_once: usize) -> Result<[Steps; 2]> {
    let mut samples = [const { Vec::new() }; 2];
    for round in 0..=rounds {
        for step in 0..2 {
            let side = (round + step) % 2;
            let client = [&servers.ours, &servers.theirs][side];
            let lives = lives(client, at_once).with_context(|| ["unikiln", THEIRS][side])?;
            // The first turn warms caches.
            if round > 0 {
                samples[side].resize(STEPS.len(), Samples::default());
                for life in lives {
                    for (sample, figure) in samples[side].iter_mut().zip(life) {
                        sample.push(figure);
                    }
                }
            }
        }
    }
    Ok(samples)
}

/// What pods take that are run, and then ended, at the same time.
fn lives(client: &Client, at_once: usize) -> Result<Vec<Vec<f64>>> {
    let pods = all_at_once((0..at_once).map(|_| || client.run()))?;
    all_at_once(pods.into_iter().map(|pod| move || client.end(pod)))
}

fn all_at_once<T: Send>(
    tasks: impl Iterator<Item = impl FnOnce() -> Result<T> + Send>,
) -> Result<Vec<T>> {
    thread::scope(|scope| {
        let threads: Vec<_> = tasks.map(|task| scope.spawn(task)).collect();
        let joined = threads.into_iter().map(|thread| match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.collect()
    })
}

/// Many pods alive at once: how fast they come, what they weigh.
fn many(servers: &Servers, count: usize) -> Result<Section> {
    let mut figures = Vec::new();
    for (side, client) in [("ours", &servers.ours), ("theirs", &servers.theirs)] {
        let started = Instant::now();
        let mut pods = Vec::new();
        while pods.len() < count {
            let batch = CROWD.min(count - pods.len());
            pods.extend(all_at_once((0..batch).map(|_| || client.run()))?);
        }
        let rate = count as f64 / started.elapsed().as_secs_f64();
        let (server, weight) = servers.memory_mib(side)?;
        for batch in pods.chunks_mut(CROWD) {
            let batch = batch.iter_mut().map(std::mem::take);
            all_at_once(batch.map(|pod| move || client.end(pod)))?;
        }
        figures.push([1e3 / rate, weight / count as f64, server]);
    }
    let row = |what: &str, unit, figure: usize| {
        let [ours, theirs] = [0, 1].map(|side: usize| Samples::from_iter([figures[side][figure]]));
        Row::cost(what, unit, ours, THEIRS, theirs)
    };
    let rows = vec![
        row("time for each pod, eight at a time", "ms", 0),
        row("memory of a pod that sleeps (Pss)", "MiB", 1),
        row("memory of the server (Pss)", "MiB", 2),
    ];
    Ok(Section::new(
        format!("CRI, {count} pods alive at once"),
        rows,
    ))
}
