//! What single operations cost inside, timed by the program itself with its own
//! clock, against the same program as a native process.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use crate::bench::Bench;
use crate::measure::{Samples, in_turns};
use crate::report::{Row, Section, Target};

/// Figure's name in the guest's report, what it is, unit, ns in a unit, target.
pub(crate) type Figure = (&'static str, &'static str, &'static str, f64, Target);

const CALLS: [Figure; 5] = [
    ("getppid", "getppid", "ns", 1.0, Target::AtMost(0.15)),
    (
        "read_a_byte",
        "read of a byte of /dev/zero",
        "ns",
        1.0,
        Target::None,
    ),
    (
        "futex_wakes_nobody",
        "futex without a waiter: wake",
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

const EVENTS: [Figure; 3] = [
    (
        "epoll_add",
        "eventfd, epoll_ctl: each of 1,000",
        "µs",
        1e3,
        Target::None,
    ),
    (
        "epoll_one_of_1000",
        "write, epoll_wait, read: one of 1,000",
        "µs",
        1e3,
        Target::None,
    ),
    (
        "epoll_all_of_1000",
        "the same with all ready: each",
        "µs",
        1e3,
        Target::None,
    ),
];
const MAPPINGS: [Figure; 2] = [
    (
        "mmap_munmap",
        "mmap and munmap of 64 KiB",
        "µs",
        1e3,
        Target::None,
    ),
    (
        "mmap_touch_munmap",
        "… with one page touched",
        "µs",
        1e3,
        Target::None,
    ),
];

/// System calls and clock, then events, then memory.
pub(crate) fn measure(bench: &Bench) -> Result<Vec<Section>> {
    let count = bench.scale(20_000, 2_000).to_string();
    let calls = reported(bench, "calls", &[], &[&count], &CALLS)?;
    let both = [EVENTS.as_slice(), &MAPPINGS].concat();
    let count = bench.scale(5_000, 200).to_string();
    let mut events = reported(bench, "events", &[], &[&count], &both)?;
    let mappings = events.split_off(EVENTS.len());
    let touches = reported(bench, "touch", &[], &[], &TOUCHES)?;
    Ok(vec![
        Section::new("system calls and the clock", calls),
        Section::new("epoll with 1,000 eventfds", events),
        Section::new("mappings", mappings),
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
    rows(bench, &bench.run_words(&[], &file, args), &native, figures)
}

/// The costs that two command lines report.
pub(crate) fn rows(
    bench: &Bench,
    ours: &[&str],
    native: &[&str],
    figures: &[Figure],
) -> Result<Vec<Row>> {
    compared(bench, ours, native, figures, Row::cost)
}

/// Ours as a share of the native speed.
pub(crate) fn speed_rows(
    bench: &Bench,
    ours: &[&str],
    native: &[&str],
    figures: &[Figure],
) -> Result<Vec<Row>> {
    compared(bench, ours, native, figures, Row::speed)
}

fn compared(
    bench: &Bench,
    ours: &[&str],
    native: &[&str],
    figures: &[Figure],
    row: fn(&'static str, &'static str, Samples, &'static str, Samples) -> Row,
) -> Result<Vec<Row>> {
    let sides = in_turns(
        bench.rounds,
        &mut [
            &mut || parse(&bench.runner.run(ours)?.stdout, figures),
            &mut || parse(&bench.runner.run(native)?.stdout, figures),
        ],
    )?;
    let [ours, theirs] = sides.as_slice() else {
        anyhow::bail!("two sides were measured");
    };
    let row = |((figure, ours), theirs): ((&Figure, &Samples), &Samples)| {
        let &(_, what, unit, _, target) = figure;
        row(what, unit, ours.clone(), "native", theirs.clone()).target(target)
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
