//! Work that is many short processes: shells, a script as configure is one, make with gcc.
//! Files are on tmpfs natively and in the in-memory layer of the guest.

use anyhow::{Result, ensure};

use crate::bench::Bench;
use crate::measure::compare;
use crate::programs::installed;
use crate::report::{Row, Section};

/// What the scripts start.
const TOOLS: [&str; 10] = [
    "basename", "cat", "dirname", "expr", "grep", "mkdir", "rm", "sed", "sort", "tr",
];
/// Where gcc and make find what they need.
const COMPILER: [&str; 3] = [
    "/usr/lib/gcc/x86_64-linux-gnu",
    "/usr/include",
    "/usr/lib/x86_64-linux-gnu",
];
/// Where the guest works, and where a process does.
const DIRECTORIES: [&str; 2] = ["/tmp/bench-work", "/dev/shm/unikiln-bench-work"];

/// One row each, start to end.
pub(super) fn measure(bench: &Bench) -> Result<Vec<Section>> {
    let shell = installed("dash")?;
    let (configure, project) = (bench.source("configure.sh"), bench.source("project.sh"));
    let mut includes = vec![configure.clone()];
    for tool in TOOLS.into_iter().chain(["sh", "wc"]) {
        includes.push(format!("/usr/bin/{tool}"));
    }
    let scripts = build(bench, &shell, &includes)?;
    includes = vec![project.clone()];
    for tool in ["sh", "gcc", "as", "ld", "make", "cat", "mkdir", "rm"] {
        includes.push(format!("/usr/bin/{tool}"));
    }
    includes.extend(COMPILER.map(str::to_owned));
    let compiler = build(bench, &shell, &includes)?;

    let times = bench.scale(200, 20).to_string();
    let repeat =
        format!("i=0; while [ $i -lt {times} ]; do sh -c true || exit; i=$((i+1)); done; echo $i");
    let checks = bench.scale(50, 5);
    let (checks_text, files) = (checks.to_string(), bench.scale(16, 3).to_string());
    let one = ["--cpus", "1", "--memory", "1G"];
    let two = ["--cpus", "2", "--memory", "1G"];
    let mut rows = Vec::new();
    for (what, file, options, args) in [
        (
            format!("sh -c true, {times} times"),
            &scripts,
            one,
            vec!["-c", &repeat],
        ),
        (
            format!("a script of {} short commands", 10 * checks),
            &scripts,
            one,
            vec![&configure, DIRECTORIES[0], &checks_text],
        ),
        (
            format!("make of {files} C files, two jobs"),
            &compiler,
            two,
            vec![&project, DIRECTORIES[0], &files, "2"],
        ),
    ] {
        rows.push(row(bench, what, &shell, (file, &options), &args)?);
    }
    // It may be gone, where the last script was a quick one.
    let _ = std::fs::remove_dir_all(DIRECTORIES[1]);
    Ok(vec![Section::new(
        "shells and what they start, start to end",
        rows,
    )])
}

fn build(bench: &Bench, shell: &str, includes: &[String]) -> Result<String> {
    let includes: Vec<&str> = includes.iter().map(String::as_str).collect();
    bench.unikernel(shell, &includes)
}

/// As many vCPUs as processors natively; both sides print the same.
fn row(
    bench: &Bench,
    what: String,
    shell: &str,
    (file, options): (&str, &[&str]),
    args: &[&str],
) -> Result<Row> {
    let ours = bench.run_words(options, file, args);
    let processors = if options.contains(&"1") { "0" } else { "0,1" };
    let native_args = args.iter().map(|&word| match word {
        word if word == DIRECTORIES[0] => DIRECTORIES[1],
        word => word,
    });
    let mut native = vec!["taskset", "-c", processors, shell];
    native.extend(native_args);
    let (got, want) = (
        bench.runner.run(&ours)?.stdout,
        bench.runner.run(&native)?.stdout,
    );
    ensure!(
        got == want && !got.is_empty(),
        "{what}: the guest says {:?}, natively it is {:?}",
        String::from_utf8_lossy(&got),
        String::from_utf8_lossy(&want)
    );
    let (took, native_took) = compare(
        bench.rounds,
        &mut || Ok(bench.runner.run(&ours)?.total_ms()),
        &mut || Ok(bench.runner.run(&native)?.total_ms()),
    )?;
    Ok(Row::cost(what, "ms", took, "native", native_took))
}
