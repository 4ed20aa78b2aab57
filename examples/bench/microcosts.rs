//! What single operations cost inside, timed by the program itself with its own
//! clock, against the same program as a native process.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use crate::bench::Bench;
use crate::measure::{Samples, in_turns};
use crate::report::{Row, Section, Target};

/// Figure's name in the guest's report, what it is, unit, ns in a unit, target.
pub(crate) type Figure = (&'static str, &'static str, &'static str, f64, Target);

const CALLS: [Figure; 3] = [
    (
        "getppid",
        "getppid (traps until sites are rewritten)",
        "ns",
        1.0,
        Target::None,
    ),
    (
        "clock_gettime_monotonic",
        "clock_gettime(CLOCK_MONOTONIC)",
        "ns",
        1.0,
        Target::AtMost(1.2),
    ),
    (
        "clock_gettime_realtime",
        "clock_gettime(CLOCK_REALTIME)",
        "ns",
        1.0,
        Target::AtMost(1.2),
    ),
];
const TOUCHES: [Figure; 3] = [
    (
        "touch_4k_small_mappings",
        "mmap 256 KiB, touch, munmap: each 4 KiB",
        "µs",
        1e3,
        Target::None,
    ),
    (
        "touch_4k_large_mapping",
        "mmap 64 MiB, touch: each 4 KiB",
        "µs",
        1e3,
        Target::None,
    ),
    (
        "touch_2m_huge_pages",
        "MADV_HUGEPAGE, touch: each 2 MiB",
        "µs",
        1e3,
        Target::None,
    ),
];

/// System calls and clock, then memory.
pub(crate) fn measure(bench: &Bench) -> Result<Vec<Section>> {
    let count = bench.scale(20_000, 2_000).to_string();
    let calls = reported(bench, "calls", &[], &[&count], &CALLS)?;
    let touches = reported(bench, "touch", &[], &[], &TOUCHES)?;
    Ok(vec![
        Section::new("system calls and the clock", calls),
        Section::new("anonymous memory, first touch", touches),
    ])
}

/// Runs a guest program that reports its own figures, on both sides.
pub(crate) fn reported(
    bench: &Bench,
    guest: &str,
    includes: &[&str],
    args: &[&str],
    figures: &[Figure],
) -> Result<Vec<Row>> {
    let program = bench.guest(guest)?;
    let file = bench.unikernel(&program, includes)?;
    let native = [&[program.as_str()], args].concat();
    let sides = in_turns(
        bench.rounds,
        &mut [
            &mut || parse(&bench.run(&file, args)?.stdout, figures),
            &mut || parse(&bench.runner.run(&native)?.stdout, figures),
        ],
    )?;
    let [ours, theirs] = sides.as_slice() else {
        anyhow::bail!("two sides were measured");
    };
    let row = |((figure, ours), theirs): ((&Figure, &Samples), &Samples)| {
        let &(_, what, unit, _, target) = figure;
        Row::cost(what, unit, ours.clone(), "native", theirs.clone()).target(target)
    };
    Ok(figures.iter().zip(ours).zip(theirs).map(row).collect())
}

/// `NAME NANOSECONDS` lines, in the order of `figures`.
fn parse(stdout: &[u8], figures: &[Figure]) -> Result<Vec<f64>> {
    let text = String::from_utf8_lossy(stdout);
    let found: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .collect();
    let value = |&(name, _, _, ns_in_unit, _): &Figure| {
        let ns = found
            .get(name)
            .with_context(|| format!("no {name} in {text:?}"))?;
        let ns: f64 = ns
            .parse()
            .with_context(|| format!("{name} is not a number: {ns}"))?;
        ensure!(ns > 0.0, "{name} took no time at all: {ns} ns");
        Ok(ns / ns_in_unit)
    };
    figures.iter().map(value).collect()
}
