//! Go: programs of ours, and test binaries of the standard library, all static
//! (CGO_ENABLED=0), as images of one file.

use std::collections::BTreeSet;
use std::process::Command;

use libtest_mimic::{Failed, Trial};

use crate::common::compile::{self, GO};
use crate::common::outcome::{Outcome, run};
use crate::common::skip::{Need, has_all};
use crate::common::{PATH, Unikiln, cache_dir, native};
use crate::image::PROGRAMS;

const SOURCES: &str = "/usr/share/go-1.19/src";
const PROGRAM_NAMES: [&str; 3] = ["collect", "goroutines", "timers"];
const PACKAGES: [&str; 7] = [
    "net", "net/http", "os", "runtime", "strings", "sync", "time",
];
const LEFT_OUT: &str = include_str!("go_tests.txt");
const OPTIONS: [&str; 4] = ["--memory", "512M", "--cpus", "2"];

/// One for each program and each package.
pub(crate) fn trials() -> Vec<Trial> {
    let programs =
        PROGRAM_NAMES.map(|name| Trial::test(format!("go::{name}"), move || prints_the_same(name)));
    let packages =
        PACKAGES.map(|name| Trial::test(format!("go::std_{name}"), move || tests_pass(name)));
    programs.into_iter().chain(packages).collect()
}

/// `go WORDS`, which writes the program whose path comes back.
fn make(name: &str, words: &[&str], what: &str) -> String {
    let cache = cache_dir("runtimes").join("go");
    compile::go(&cache, name, words, what)
}

fn prints_the_same(name: &str) -> Result<(), Failed> {
    if has_all(name, &[Need::Kvm, Need::File(GO)]) {
        let program = make(name, &["build"], &format!("{PROGRAMS}/go/{name}.go"));
        let native = native(&program, [""; 0], &[]);
        native.assert_code(0);
        Unikiln::run(format!("host:{program}"))
            .options(OPTIONS)
            .output()
            .assert_same(&native);
    }
    Ok(())
}

/// All tests of a package but those that are left out, here and in a guest,
/// with the same verdict for each.
fn tests_pass(package: &str) -> Result<(), Failed> {
    if !has_all(package, &[Need::Kvm, Need::File(GO)]) {
        return Ok(());
    }
    // Debian has the time zones in a package of their own.
    let words = ["test", "-c", "-tags", "timetzdata"];
    let name = package.replace('/', "_");
    let program = make(&format!("{name}.test"), &words, package);
    let directory = format!("{SOURCES}/{package}");
    let in_directory = |args: &[&str]| {
        let mut command = Command::new("setsid");
        command
            .arg(&program)
            .args(args)
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", "/root")
            .current_dir(&directory);
        run(command, None)
    };
    let listed = in_directory(&["-test.list", "."]);
    let pattern = pattern(package, &listed.out());
    let args = ["-test.short", "-test.v", "-test.run", &pattern];
    let native = in_directory(&args);
    native.assert_code(0);
    let guest = Unikiln::run(format!("host:{program}"))
        .options(OPTIONS)
        .options(["--include", &directory, "--workdir", &directory])
        .options(["--include", &format!("{SOURCES}/testdata")])
        .args(args)
        .output();
    guest.assert_code(0);
    let (want, got) = (verdicts(&native), verdicts(&guest));
    assert!(
        want == got,
        "verdicts differ\nonly here: {:?}\nonly in the guest: {:?}",
        want.difference(&got).collect::<Vec<_>>(),
        got.difference(&want).collect::<Vec<_>>()
    );
    Ok(())
}

/// A pattern of all that are listed and not left out. What is left out must exist.
fn pattern(package: &str, listed: &str) -> String {
    let mut names: BTreeSet<&str> = listed
        .lines()
        .filter(|line| line.starts_with("Test") || line.starts_with("Example"))
        .collect();
    for line in LEFT_OUT.lines().filter(|line| !line.starts_with('#')) {
        let (test, _reason) = line.split_once(": ").expect("each has a reason");
        if let Some(name) = test
            .strip_prefix(package)
            .and_then(|rest| rest.strip_prefix(' '))
        {
            assert!(names.remove(name), "{package} has no {name}");
        }
    }
    let names: Vec<&str> = names.into_iter().collect();
    format!("^({})$", names.join("|"))
}

/// Lines such as `--- PASS: TestOnce` without the time taken.
fn verdicts(outcome: &Outcome) -> BTreeSet<String> {
    outcome
        .out()
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("--- "))
        .filter_map(|line| line.split_once(" ("))
        .map(|(verdict, _)| verdict.to_owned())
        .collect()
}
