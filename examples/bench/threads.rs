//! What threads cost each other, on one vCPU and on two; natively the program
//! is bound to as many processors.

use anyhow::Result;

use crate::bench::Bench;
use crate::microcosts::{Figure, rows};
use crate::report::{Section, Target};

/// vCPUs, and the processors that a native process is bound to.
pub(crate) const CPUS: [(&str, &str); 2] = [("1", "0"), ("2", "0,1")];

const FIGURES: [Figure; 6] = [
    (
        "create_join",
        "pthread_create and join",
        "µs",
        1e3,
        Target::None,
    ),
    (
        "hand_over",
        "mutex and condition, handed to the other",
        "µs",
        1e3,
        Target::None,
    ),
    (
        "contend",
        "mutex that both want: lock and unlock",
        "ns",
        1.0,
        Target::None,
    ),
    (
        "futex_wake",
        "futex: from wake to running",
        "µs",
        1e3,
        Target::None,
    ),
    (
        "pipe_ping_pong",
        "pipes: a byte there and back",
        "µs",
        1e3,
        Target::None,
    ),
    (
        "fault_in_two",
        "page faults of both: each 4 KiB",
        "µs",
        1e3,
        Target::None,
    ),
];

/// One section for each number of vCPUs.
pub(crate) fn measure(bench: &Bench) -> Result<Vec<Section>> {
    let program = bench.guest("threads")?;
    let file = bench.unikernel(&program, &[])?;
    let count = bench.scale(5_000, 200).to_string();
    let section = |(vcpus, processors): (&str, &str)| {
        let ours = bench.run_words(&["--cpus", vcpus], &file, &[&count]);
        let native = ["taskset", "-c", processors, &program, &count];
        Ok(Section::new(
            format!("two threads, on vCPUs: {vcpus}"),
            rows(bench, &ours, &native, &FIGURES)?,
        ))
    };
    CPUS.into_iter().map(section).collect()
}
