//! What processes cost: fork, spawn and a pipe between two; then work that is many of them.

mod servers;
mod work;

use anyhow::Result;

use crate::bench::Bench;
use crate::microcosts::{Figure, rows};
use crate::report::{Section, Target};

const FIGURES: [Figure; 8] = [
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
        "vfork_exec",
        "vfork, execve, exit and wait",
        "µs",
        1e3,
        Target::AtMost(1.5),
    ),
    (
        "spawn",
        "posix_spawn, exit and wait",
        "µs",
        1e3,
        Target::AtMost(1.5),
    ),
    (
        "spawn_dynamic",
        "posix_spawn of a dynamic program",
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
    let file = bench.unikernel(&program, &["/usr/bin/true"])?;
    let count = bench.scale(100, 10).to_string();
    let options = ["--cpus", "1", "--memory", "1G"];
    let ours = bench.run_words(&options, &file, &[&count]);
    let native = ["taskset", "-c", "0", &program, &count];
    let mut sections = vec![Section::new(
        "processes, on one vCPU",
        rows(bench, &ours, &native, &FIGURES)?,
    )];
    sections.extend(work::measure(bench)?);
    sections.extend(servers::measure(bench)?);
    Ok(sections)
}
