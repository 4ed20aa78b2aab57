//! What processes cost: fork, spawn and a pipe between two, and a shell that starts programs.

use anyhow::Result;

use crate::bench::Bench;
use crate::microcosts::{Figure, rows};
use crate::report::{Section, Target};

const FIGURES: [Figure; 6] = [
    (
        "fork_exit",
        "fork, exit and wait",
        "µs",
        1e3,
        Target::AtMost(3.0),
    ),
    (
        "fork_exec",
        "fork, execve, exit and wait",
        "µs",
        1e3,
        Target::None,
    ),
    (
        "spawn",
        "posix_spawn, exit and wait",
        "µs",
        1e3,
        Target::AtMost(1.5),
    ),
    (
        "fork_exit_10m",
        "fork and exit of a process of 10 MiB",
        "µs",
        1e3,
        Target::None,
    ),
    (
        "fork_exit_500m",
        "fork and exit of a process of 500 MiB",
        "µs",
        1e3,
        Target::None,
    ),
    (
        "pipe_mebibyte",
        "a MiB through a pipe between two",
        "µs",
        1e3,
        Target::None,
    ),
];

/// One vCPU against one processor.
pub(crate) fn measure(bench: &Bench) -> Result<Vec<Section>> {
    let program = bench.guest("processes")?;
    let file = bench.unikernel(&program, &[])?;
    let count = bench.scale(100, 10).to_string();
    let options = ["--cpus", "1", "--memory", "1G"];
    let ours = bench.run_words(&options, &file, &[&count]);
    let native = ["taskset", "-c", "0", &program, &count];
    Ok(vec![Section::new(
        "processes, on one vCPU",
        rows(bench, &ours, &native, &FIGURES)?,
    )])
}
