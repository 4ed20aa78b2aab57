//! From the start of a process to the first byte of a static program's output:
//! `unikiln run hello.uk`, `runc run` of the same root file system, and the
//! program itself. The unikernel file is already built, the container's root
//! file system already unpacked.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::bench::Bench;
use crate::command::Finished;
use crate::measure::{Samples, in_turns};
use crate::report::{Row, Section, Target};
use crate::runc::Container;

const GREETING: &[u8] = b"hello from the kiln\n";

/// Ratios, then where the time of our side goes.
pub(crate) fn measure(bench: &Bench) -> Result<Vec<Section>> {
    let program = bench.guest("hello")?;
    let file = bench.unikernel(&program, &[])?;
    let container = Container::new(bench, &bench.unlinked(&program)?, &[&program])?;
    let native = container.host_path(&program);

    let times = |finished: Finished| {
        ensure!(
            finished.stdout == GREETING,
            "not the greeting: {:?}",
            String::from_utf8_lossy(&finished.stdout)
        );
        Ok(vec![finished.first_byte_ms(), finished.total_ms()])
    };
    let sides = in_turns(
        // Short and noisy: twice as many turns cost nothing.
        2 * bench.rounds,
        &mut [
            &mut || times(bench.run(&file, &[])?),
            &mut || times(container.run()?),
            &mut || times(bench.runner.run(&[&native])?),
        ],
    )?;
    let [ours, runc, native] = sides.as_slice() else {
        anyhow::bail!("three sides were measured");
    };
    let row = |what, side: &[Samples], name, figure: usize| {
        Row::cost(what, "ms", ours[figure].clone(), name, side[figure].clone())
    };
    let rows = vec![
        row("to the first line of output", runc, "runc", 0).target(Target::AtMost(0.35)),
        row("to the first line of output", native, "native", 0).target(Target::AtMost(5.0)),
        row("until the process is gone", runc, "runc", 1),
        row("until the process is gone", native, "native", 1),
    ];
    Ok(vec![
        Section::new("cold start of a static hello", rows),
        Section::new(
            "boot phases of that run, time taken by each",
            phases(bench, &file)?,
        ),
    ])
}

/// Phases in the order of the first boot; steps that run side by side may swap.
fn phases(bench: &Bench, file: &str) -> Result<Vec<Row>> {
    let mut taken: Vec<(String, Samples)> = Vec::new();
    for _ in 0..bench.rounds {
        let stats = stats(bench, file)?;
        let phases = stats["phases"]
            .as_array()
            .context("statistics have phases")?;
        let mut last_us = 0.0;
        for phase in phases {
            let name = phase["name"].as_str().context("a phase has a name")?;
            let at_us = phase["at_us"].as_f64().context("a phase has a time")?;
            let place = match taken.iter().position(|(known, _)| known == name) {
                Some(place) => place,
                None => {
                    taken.push((name.to_owned(), Samples::default()));
                    taken.len() - 1
                }
            };
            taken[place].1.push(at_us - last_us);
            last_us = at_us;
        }
    }
    Ok(taken
        .into_iter()
        .map(|(name, samples)| Row::value(name, "µs", samples))
        .collect())
}

/// What `--stats=json` says about a run.
pub(crate) fn stats(bench: &Bench, file: &str) -> Result<Value> {
    let finished = bench
        .runner
        .run(&bench.run_words(&["--stats=json"], file, &[]))?;
    let line = finished
        .stderr
        .lines()
        .last()
        .context("--stats=json prints a line")?;
    serde_json::from_str(line).with_context(|| format!("not statistics: {line}"))
}
