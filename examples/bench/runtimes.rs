//! Language runtimes at work, timed by the program itself once it runs: Python
//! on one processor, Go and Java with two busy threads on two.

use std::fs;

use anyhow::{Context, Result};

use crate::bench::{Bench, text};
use crate::command::tool;
use crate::microcosts::{Figure, speed_rows};
use crate::programs::{installed, python_modules};
use crate::report::{Row, Section, Target};
use crate::threads::CPUS;

const JAVA_HOME: &str = "/usr/lib/jvm/java-17-openjdk-amd64";
/// As much of native speed as there should be.
const TARGET: Target = Target::AtLeast(0.95);

/// One section.
pub(crate) fn measure(bench: &Bench) -> Result<Vec<Section>> {
    let mut rows = python(bench)?;
    rows.extend(go(bench)?);
    rows.extend(java(bench)?);
    Ok(vec![Section::new("runtimes, share of native speed", rows)])
}

fn python(bench: &Bench) -> Result<Vec<Row>> {
    let python = installed("python3.11")?;
    let script = bench.source("work.py");
    let includes = [python_modules(), vec![&script]].concat();
    let file = bench.unikernel(&python, &includes)?;
    let figure = ("python", "python3.11: a mix of programs");
    let args = [script.as_str(), &bench.scale(30, 2).to_string()];
    compare(bench, figure, &file, &python, &args, CPUS[0])
}

fn go(bench: &Bench) -> Result<Vec<Row>> {
    let program = text(bench.path("parallel-go"))?;
    let source = bench.source("parallel.go");
    tool(&["go", "build", "-o", &program, &source])?;
    let file = bench.unikernel(&program, &[])?;
    let figure = ("go", "Go: two goroutines, on vCPUs: 2");
    let args = [bench.scale(50, 2).to_string()];
    compare(bench, figure, &file, &program, &[&args[0]], CPUS[1])
}

fn java(bench: &Bench) -> Result<Vec<Row>> {
    let classes = text(bench.path("classes"))?;
    fs::create_dir(&classes).with_context(|| format!("cannot make {classes}"))?;
    tool(&["javac", "-d", &classes, &bench.source("Parallel.java")])?;
    let java = format!("{JAVA_HOME}/bin/java");
    let (library, configuration) = (format!("{JAVA_HOME}/lib"), format!("{JAVA_HOME}/conf"));
    let includes = [
        &library,
        &configuration,
        "/etc/java-17-openjdk",
        classes.as_str(),
    ];
    let file = bench.unikernel(&java, &includes)?;
    let figure = ("java", "Java: two threads, on vCPUs: 2");
    let rounds = bench.scale(80, 2).to_string();
    // The JVM picks its collector by the memory that it sees, and the machine has more.
    let args = [
        "-Xmx256m",
        "-XX:+UseG1GC",
        "-cp",
        classes.as_str(),
        "Parallel",
        &rounds,
    ];
    compare(bench, figure, &file, &java, &args, CPUS[1])
}

/// A program and its image with the same arguments on as many processors.
fn compare(
    bench: &Bench,
    (name, what): (&'static str, &'static str),
    file: &str,
    program: &str,
    args: &[&str],
    (vcpus, processors): (&str, &str),
) -> Result<Vec<Row>> {
    // A quick run is over before anything was compiled.
    let target = if bench.quick { Target::None } else { TARGET };
    let figures: [Figure; 1] = [(name, what, "ms", 1e6, target)];
    let ours = bench.run_words(&["--memory", "512M", "--cpus", vcpus], file, args);
    let native = [&["taskset", "-c", processors, program], args].concat();
    speed_rows(bench, &ours, &native, &figures)
}
