//! Files of the root file system: many small ones, and a large one read and
//! mapped. Natively the same files lie on the file system of the target
//! directory, in the page cache.

use std::fs;

use anyhow::{Context, Result};

use crate::bench::{Bench, text};
use crate::microcosts::{Figure, reported};
use crate::report::{Section, Target};

const SMALL_FILES: usize = 10_000;

const FIGURES: [Figure; 4] = [
    (
        "stat_open_read_first",
        "stat, open, read, close: first time",
        "µs",
        1e3,
        Target::AtMost(0.5),
    ),
    (
        "stat_open_read_again",
        "stat, open, read, close: again",
        "µs",
        1e3,
        Target::AtMost(0.5),
    ),
    (
        "read_per_mib",
        "read in 64 KiB steps: each MiB",
        "µs",
        1e3,
        Target::None,
    ),
    (
        "mmap_touch_per_4k",
        "mmap, touch: each 4 KiB",
        "µs",
        1e3,
        Target::None,
    ),
];

/// One section.
pub(crate) fn measure(bench: &Bench) -> Result<Vec<Section>> {
    let directory = text(bench.path("small"))?;
    fs::create_dir(&directory).with_context(|| format!("cannot make {directory}"))?;
    for index in 0..SMALL_FILES {
        // From 16 bytes to 8 KiB.
        let path = format!("{directory}/f{index}");
        fs::write(&path, vec![b'k'; 16 * (index % 512 + 1)])
            .with_context(|| format!("cannot write {path}"))?;
    }
    let large_mib = bench.scale(64, 8);
    let large = bench.random_file("large", large_mib << 20)?;
    let args = [directory.as_str(), &SMALL_FILES.to_string(), &large];
    let rows = reported(bench, "files", &[&directory, &large], &args, &FIGURES)?;
    Ok(vec![Section::new("files of the root file system", rows)])
}
