//! Does a boot take longer when the root file system is large? The same hello
//! with a random file of 1 MiB and of 1 GiB beside it.

use anyhow::Result;

use crate::bench::Bench;
use crate::measure::compare;
use crate::report::{Row, Section, Target};

/// One ratio.
pub(crate) fn measure(bench: &Bench) -> Result<Vec<Section>> {
    let program = bench.guest("hello")?;
    let large_mib = bench.scale(1024, 64);
    let build = |mib: usize| {
        let ballast = bench.random_file(&format!("ballast-{mib}"), mib << 20)?;
        let file = bench.unikernel(&program, &[&ballast])?;
        std::fs::remove_file(&ballast)?;
        Ok::<_, anyhow::Error>(file)
    };
    let (small, large) = (build(1)?, build(large_mib)?);
    let (large_ms, small_ms) = compare(
        2 * bench.rounds,
        &mut || Ok(bench.run(&large, &[])?.first_byte_ms()),
        &mut || Ok(bench.run(&small, &[])?.first_byte_ms()),
    )?;
    std::fs::remove_file(&large)?;
    let what = format!("{large_mib} MiB image against 1 MiB");
    // Equal, with room for noise.
    let row = Row::cost(what, "ms", large_ms, "1 MiB", small_ms).target(Target::AtMost(1.05));
    Ok(vec![Section::new(
        "boot time and the size of the root file system",
        vec![row],
    )])
}
