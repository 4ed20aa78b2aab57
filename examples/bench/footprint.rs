//! How large things are: the monitor beside a sleeping guest, and the libOS in
//! a unikernel file.
//!
//! Guest memory is told from the monitor's own by what the monitor asked the
//! host for: arenas carry MADV_HUGEPAGE or MADV_NOHUGEPAGE (`hg`, `nh` in
//! /proc/PID/smaps), the root file system is a mapping of the unikernel file.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::bench::Bench;
use crate::measure::Samples;
use crate::report::{Row, Section, Target};

/// Resident KiB of a process tree.
#[derive(Clone, Copy, Debug, Default)]
struct Resident {
    own: u64,
    own_proportional: u64,
    arenas: u64,
    unikernel: u64,
}

/// One section.
pub(crate) fn measure(bench: &Bench) -> Result<Vec<Section>> {
    let program = bench.guest("sleeper")?;
    let file = bench.unikernel(&program, &[])?;
    let mut seen = Vec::new();
    for _ in 0..bench.rounds {
        let running = bench
            .runner
            .start_until_output(&bench.run_words(&[], &file, &[]))?;
        let mut resident = Resident::default();
        add_tree(running.pid(), &file, &mut resident)?;
        ensure!(resident.arenas > 0, "no guest memory found in the monitor");
        seen.push(resident);
    }
    let mib = |field: fn(&Resident) -> u64| {
        seen.iter()
            .map(|one| field(one) as f64 / 1024.0)
            .collect::<Samples>()
    };
    let libos_bytes = libos_bytes(bench, &file)?;
    let rows = vec![
        Row::value(
            "monitor without guest memory, resident",
            "MiB",
            mib(|one| one.own),
        )
        .target(Target::AtMost(8.0)),
        Row::value(
            "… its share of what others map too (Pss)",
            "MiB",
            mib(|one| one.own_proportional),
        ),
        Row::value(
            "guest memory touched by a sleeping program",
            "MiB",
            mib(|one| one.arenas),
        ),
        Row::value(
            "unikernel file mapped (shared page cache)",
            "MiB",
            mib(|one| one.unikernel),
        ),
        Row::value(
            "libOS part of a unikernel file",
            "KiB",
            Samples::from_iter([libos_bytes / 1024.0]),
        )
        .target(Target::AtMost(1024.0)),
    ];
    Ok(vec![Section::new("footprint", rows)])
}

/// Adds a process and all that it started.
fn add_tree(pid: u32, file: &str, resident: &mut Resident) -> Result<()> {
    let path = format!("/proc/{pid}/smaps");
    let smaps = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    add_mappings(&smaps, file, resident);
    let tasks = format!("/proc/{pid}/task");
    for task in fs::read_dir(&tasks).with_context(|| format!("cannot read {tasks}"))? {
        let children = task.context("cannot list threads")?.path().join("children");
        let children = fs::read_to_string(&children)
            .with_context(|| format!("cannot read {}", children.display()))?;
        for child in children.split_whitespace() {
            add_tree(
                child.parse().context("a process has a number")?,
                file,
                resident,
            )?;
        }
    }
    Ok(())
}

fn add_mappings(smaps: &str, file: &str, resident: &mut Resident) {
    let (mut name, mut rss, mut pss) = ("", 0, 0);
    for line in smaps.lines() {
        let Some((key, value)) = line.split_once(':').filter(|(key, _)| !key.contains(' ')) else {
            // address permissions offset device inode name
            name = line.splitn(6, ' ').nth(5).unwrap_or_default().trim();
            continue;
        };
        let kib = || value.trim().trim_end_matches(" kB").parse().unwrap_or(0);
        match key {
            "Rss" => rss = kib(),
            "Pss" => pss = kib(),
            "VmFlags" => {
                let is_arena = value
                    .split_whitespace()
                    .any(|flag| flag == "hg" || flag == "nh");
                if Path::new(name) == Path::new(file) {
                    resident.unikernel += rss;
                } else if is_arena && name.is_empty() {
                    resident.arenas += rss;
                } else {
                    resident.own += rss;
                    resident.own_proportional += pss;
                }
            }
            _ => {}
        }
    }
}

fn libos_bytes(bench: &Bench, file: &str) -> Result<f64> {
    let said = bench.unikiln_tool(&["inspect", "--json", file])?;
    let said: Value = serde_json::from_slice(&said).context("inspect --json prints JSON")?;
    let segments = said["segments"]
        .as_array()
        .context("a unikernel file has segments")?;
    Ok(segments
        .iter()
        .filter_map(|segment| segment["fileBytes"].as_f64())
        .sum())
}
