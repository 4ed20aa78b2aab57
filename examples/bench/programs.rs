//! Whole programs against themselves as native processes: start, work and end.
//! Images are `host:` ones of the very files that run natively.
//!
//! SQLite's database is on tmpfs natively and in the in-memory layer of the
//! guest, without fsync on both sides. sha256sum reads a file of the image.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::bench::{Bench, text};
use crate::machine::find;
use crate::measure::compare;
use crate::report::{Row, Section, Target};

const SQL: &str = "pragma synchronous=off; create table t(id integer primary key, k integer, name text); \
    with recursive n(i) as (select 1 union all select i + 1 from n where i < 100000) \
    insert into t select i, i * 7919 % 1009, 'name ' || i from n; \
    select count(*), sum(id), max(name) from t; \
    select k, count(*), avg(id) from t group by k order by 2 desc, 1 limit 3;";

/// CPU-bound work first: it has a target.
pub(crate) fn measure(bench: &Bench) -> Result<Vec<Section>> {
    let compute = bench.guest("compute")?;
    let compute_uk = bench.unikernel(&compute, &[])?;
    let python = installed("python3.11")?;
    let python_uk = bench.unikernel(&python, &python_modules())?;
    let loop_code = format!(
        "s = 0\nfor i in range({}): s += i * i % 7\nprint(s)",
        bench.scale(10_000_000, 500_000)
    );
    let mut rows = vec![
        speed(
            bench,
            "C: hash, sieve, matrix",
            &compute,
            &compute_uk,
            &[&bench.scale(15, 1).to_string()],
        )?,
        speed(
            bench,
            "python3.11, a loop of integers",
            &python,
            &python_uk,
            &["-c", &loop_code],
        )?,
        cost(
            bench,
            "python3.11 -c pass",
            (&python, &["-c", "pass"]),
            (&python_uk, &["-c", "pass"]),
            || Ok(()),
        )?,
    ];

    let sqlite = installed("sqlite3")?;
    let sqlite_uk = bench.unikernel(&sqlite, &[])?;
    let database = format!("/dev/shm/unikiln-bench-{}.db", std::process::id());
    let row = cost(
        bench,
        "sqlite3: 100k rows, two aggregates",
        (&sqlite, &[&database, SQL]),
        ((&sqlite_uk), &["/tmp/bench.db", SQL]),
        || fs::remove_file(&database).context("sqlite3 left no database"),
    )?;
    rows.push(row);

    let sha256sum = installed("sha256sum")?;
    let mib = bench.scale(256, 16);
    let input = bench.random_file("input", mib << 20)?;
    let sha256sum_uk = bench.unikernel(&sha256sum, &[&input])?;
    let what = format!("sha256sum of {mib} MiB in the image");
    rows.push(cost(
        bench,
        &what,
        (&sha256sum, &[&input]),
        (&sha256sum_uk, &[&input]),
        || Ok(()),
    )?);
    fs::remove_file(bench.path("input")).context("cannot remove the input")?;
    Ok(vec![Section::new(
        "whole programs, start to end (first two: share of native speed)",
        rows,
    )])
}

fn speed(bench: &Bench, what: &str, program: &str, file: &str, args: &[&str]) -> Result<Row> {
    let (ours, theirs) = compare(
        bench.rounds,
        &mut || Ok(bench.run(file, args)?.total_ms()),
        &mut || Ok(bench.runner.run(&[&[program], args].concat())?.total_ms()),
    )?;
    // A quick run is too short for its start not to count.
    let target = if bench.quick {
        Target::None
    } else {
        Target::AtLeast(0.97)
    };
    Ok(Row::speed(what, "ms", ours, "native", theirs).target(target))
}

/// Both sides print the same, or it is no comparison.
fn cost(
    bench: &Bench,
    what: &str,
    (program, native_args): (&str, &[&str]),
    (file, args): (&str, &[&str]),
    clean: impl Fn() -> Result<()>,
) -> Result<Row> {
    let native = || {
        let finished = bench.runner.run(&[&[program], native_args].concat())?;
        clean()?;
        Ok::<_, anyhow::Error>(finished)
    };
    let (got, want) = (bench.run(file, args)?.stdout, native()?.stdout);
    ensure!(
        got == want,
        "{what}: guest and native output differ:\n{}\n{}",
        show(&got),
        show(&want)
    );
    let (ours, theirs) = compare(
        bench.rounds,
        &mut || Ok(bench.run(file, args)?.total_ms()),
        &mut || Ok(native()?.total_ms()),
    )?;
    Ok(Row::cost(what, "ms", ours, "native", theirs))
}

fn show(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Where Python's modules are.
pub(crate) fn python_modules() -> Vec<&'static str> {
    let modules = [
        "/usr/lib/python3.11",
        "/usr/lib/python3",
        "/usr/local/lib/python3.11",
        "/etc/python3.11",
    ];
    modules
        .into_iter()
        .filter(|path| Path::new(path).exists())
        .collect()
}

pub(crate) fn installed(program: &str) -> Result<String> {
    let path = find(program).with_context(|| format!("{program} is not installed"))?;
    // A link may be one of several alternatives; measure what it leads to.
    text(fs::canonicalize(&path).with_context(|| format!("cannot look at {path}"))?)
}
