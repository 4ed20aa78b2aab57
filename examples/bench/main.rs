//! Measures Unikiln side by side with what it replaces, and prints ratios:
//!
//! ```text
//! cargo run --release --example bench            # everything, about a quarter of an hour
//! cargo run --release --example bench -- --quick # does it measure at all? half a minute
//! ```
//!
//! Both sides of a ratio run in turns (A B A B …) in one process's lifetime, so
//! that a machine that drifts or is busy hurts both alike; what is printed is
//! the medians' ratio. A target that is missed is marked, never hidden. What
//! cannot be measured is an error.
//!
//! | file | what it owns |
//! |---|---|
//! | `bench.rs` | scratch directory, guest programs, unikernel files |
//! | `command.rs` | starting processes and timing them |
//! | `measure.rs` | turns and medians |
//! | `cpu.rs` | CPU time of a server and its clients |
//! | `server.rs` | a server under load |
//! | `report.rs` | rows, targets, the table, JSON |
//! | `machine.rs` | what the figures were measured on; what must be installed |
//! | `runc.rs` | the container that cold starts are compared with |
//! | `cold_start.rs` … `cri.rs` | one section each |

#![forbid(unsafe_code)]

mod bench;
mod boot_size;
mod build_time;
mod cold_start;
mod command;
mod cpu;
mod cri;
mod files;
mod footprint;
mod machine;
mod measure;
mod microcosts;
mod network;
mod processes;
mod programs;
mod pull;
mod report;
mod runc;
mod runtimes;
mod server;
mod threads;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};

use bench::Bench;
use report::{Report, Section};

/// Measure Unikiln against runc and native processes; prints ratios.
#[derive(Debug, Parser)]
struct Options {
    /// Few repetitions and small inputs: shows that everything can be measured.
    #[arg(long)]
    quick: bool,
    /// Pairs for each ratio.
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// Print JSON with every sample instead of the table.
    #[arg(long)]
    json: bool,
    /// Measure these parts alone.
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    only: Vec<Part>,
    /// The `unikiln` command to measure; without this, cargo builds it first.
    #[arg(long, value_name = "FILE")]
    unikiln: Option<PathBuf>,
}

/// Parts of the benchmark, in the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    ColdStart,
    BootSize,
    Programs,
    Runtimes,
    Microcosts,
    Threads,
    Processes,
    Files,
    Network,
    Footprint,
    BuildTime,
    Pull,
    Cri,
}

impl Part {
    fn measure(self, bench: &Bench) -> Result<Vec<Section>> {
        match self {
            Self::ColdStart => cold_start::measure(bench),
            Self::BootSize => boot_size::measure(bench),
            Self::Programs => programs::measure(bench),
            Self::Runtimes => runtimes::measure(bench),
            Self::Microcosts => microcosts::measure(bench),
            Self::Threads => threads::measure(bench),
            Self::Processes => processes::measure(bench),
            Self::Files => files::measure(bench),
            Self::Network => network::measure(bench),
            Self::Footprint => footprint::measure(bench),
            Self::BuildTime => build_time::measure(bench),
            Self::Pull => pull::measure(bench),
            Self::Cri => cri::measure(bench),
        }
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    let parts = match options.only.as_slice() {
        [] => Part::value_variants(),
        chosen => chosen,
    };
    machine::require_tools(parts)?;
    let rounds = if options.quick { 3 } else { options.rounds };
    let bench = Bench::new(options.unikiln, rounds, options.quick)?;
    machine::warn_if_busy();
    let started = Instant::now();
    let mut report = Report::new(machine::describe(), rounds);
    for &part in parts {
        let name = part
            .to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned());
        eprintln!("[{:>4} s] {name} …", started.elapsed().as_secs());
        let sections = part
            .measure(&bench)
            .with_context(|| format!("cannot measure {name}"))?;
        report.sections.extend(sections);
    }
    eprintln!("[{:>4} s] done", started.elapsed().as_secs());
    if options.json {
        println!(
            "{}",
            serde_json::to_string_pretty(&report.to_json()).context("cannot write JSON")?
        );
    } else {
        print!("{report}");
    }
    Ok(())
}
