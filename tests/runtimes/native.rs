//! Programs in C: many threads, SQLite's own speed test, and the compiler and
//! assembler of gcc, one process after the other.

use std::fs;
use std::path::Path;
use std::process::Command;

use libtest_mimic::{Failed, Trial};

use crate::common::image::tool;
use crate::common::skip::{Need, has_all};
use crate::common::{Outcome, Unikiln, cache_dir, downloads, native};
use crate::image::{PROGRAMS, build};

const CC1: &str = "/usr/lib/gcc/x86_64-linux-gnu/12/cc1";
const AS: &str = "/usr/bin/x86_64-linux-gnu-as";
const SQLITE: &str = "/usr/lib/x86_64-linux-gnu/libsqlite3.a";

/// One for each program.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("native::thousand_threads", thousand_threads),
        Trial::test("native::sqlite_speedtest", sqlite_speedtest),
        Trial::test("native::gcc", gcc),
    ]
}

/// Compiles a C program, static.
fn compile(source: &str, libraries: &[&str]) -> String {
    let name = Path::new(source).file_stem().expect("a file has a name");
    let program = cache_dir("runtimes").join(name);
    let program = program.to_str().expect("UTF-8");
    let words = ["-O2", "-static", "-pthread", "-o", program, source];
    tool("gcc", &[&words, libraries].concat());
    program.to_owned()
}

fn thousand_threads() -> Result<(), Failed> {
    if has_all("thousand_threads", &[Need::Kvm, Need::Program("gcc")]) {
        let program = compile(&format!("{PROGRAMS}/c/thousand_threads.c"), &[]);
        let native = native(&program, [""; 0], &[]);
        native.assert_code(0);
        Unikiln::run(format!("host:{program}"))
            .options(["--cpus", "2"])
            .output()
            .assert_same(&native);
    }
    Ok(())
}

/// The same answers to all queries: SQLite hashes them.
fn sqlite_speedtest() -> Result<(), Failed> {
    let needs = [Need::Kvm, Need::File(SQLITE), Need::Program("apt-get")];
    if has_all("sqlite_speedtest", &needs) {
        let source = downloads::speedtest_source();
        let program = compile(source.to_str().expect("UTF-8"), &["-lsqlite3", "-lm"]);
        let args = ["--size", "20", "--verify", "/tmp/speedtest.db"];
        let native = native(&program, args, &[]);
        fs::remove_file("/tmp/speedtest.db").expect("speedtest1 leaves its database");
        let guest = Unikiln::run(format!("host:{program}")).args(args).output();
        let hash = |outcome: &Outcome| {
            outcome.assert_code(0);
            let out = outcome.out();
            let line = out
                .lines()
                .find(|line| line.starts_with("Verification Hash"));
            line.expect("--verify prints a hash").to_owned()
        };
        assert!(hash(&native) == hash(&guest), "{}", guest.story());
    }
    Ok(())
}

/// cc1 compiles SQLite's speed test and as assembles what came out, each in a
/// unikernel: the same assembly language, then the same listing of bytes.
fn gcc() -> Result<(), Failed> {
    let needs = [
        Need::Kvm,
        Need::File(CC1),
        Need::File(AS),
        Need::File(SQLITE),
    ];
    if !has_all("gcc", &needs) {
        return Ok(());
    }
    let source = downloads::speedtest_source();
    let source = source.to_str().expect("UTF-8");
    let files = files_of(source);
    let options = ["--memory", "512M"];
    let words = [
        "-quiet",
        "-imultiarch",
        "x86_64-linux-gnu",
        "-O2",
        source,
        "-o",
        "-",
    ];
    let compiled = Unikiln::run(build("cc1", CC1, files.iter().map(String::as_str)))
        .options(options)
        .args(words)
        .output();
    compiled
        .assert_same(&native(CC1, words, &[]))
        .assert_code(0);

    let assembly = cache_dir("runtimes").join("speedtest1.s");
    fs::write(&assembly, &compiled.stdout)?;
    let assembly = assembly.to_str().expect("UTF-8");
    let words = ["-al", "-o", "/tmp/speedtest1.o", assembly];
    let assembled = Unikiln::run(build("as", AS, [assembly]))
        .options(options)
        .args(words)
        .output();
    assembled
        .assert_same(&native(AS, words, &[]))
        .assert_code(0);
    fs::remove_file("/tmp/speedtest1.o").expect("as writes it");
    Ok(())
}

/// A source file and all that it includes.
fn files_of(source: &str) -> Vec<String> {
    let output = Command::new("gcc").args(["-O2", "-M", source]).output();
    let output = output.expect("gcc is installed");
    let rule = String::from_utf8_lossy(&output.stdout);
    let (_, files) = rule.split_once(':').expect("a rule of make");
    files
        .split_whitespace()
        .filter(|word| *word != "\\")
        .map(str::to_owned)
        .collect()
}
