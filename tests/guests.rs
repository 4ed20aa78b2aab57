//! Every program of `tests/guests` runs in a unikernel, in every build that it
//! names, checks itself, and prints the same as it does on the host.

mod common;

use std::path::Path;

use common::guest::{Build, Guest, all};
use common::skip::{Need, has_all};
use common::{Outcome, Unikiln, native};
use libtest_mimic::{Arguments, Failed, Trial};

/// What `stdin: yes` programs read: more than one pipe's capacity.
fn input() -> Vec<u8> {
    (0..300_000_u32).map(|n| (n * 7 % 251) as u8).collect()
}

fn check(guest: &Guest, build: Build) -> Result<(), Failed> {
    let name = format!("{} ({})", guest.name, build.name());
    if !has_all(&name, &[Need::Kvm, Need::Program(Guest::compiler(build))]) {
        return Ok(());
    }
    let program = guest.compile(build);
    if guest.cpus.is_empty() {
        check_run(guest, &program, &[]);
    }
    for cpus in &guest.cpus {
        check_run(guest, &program, &["--cpus", cpus]);
    }
    Ok(())
}

fn check_run(guest: &Guest, program: &Path, cpus: &[&str]) {
    let mut unikiln = Unikiln::run(format!("host:{}", program.display()))
        .options(&guest.options)
        .options(cpus);
    for assignment in &guest.env {
        unikiln = unikiln.env(assignment);
    }
    if guest.stdin {
        unikiln = unikiln.options(["-i"]).stdin(input());
    }
    let outcome = unikiln.args(&guest.args).output();
    outcome.assert_code(guest.exit);
    if guest.exit == 0 {
        outcome.assert_stdout_has(&format!("ok {}\n", guest.name));
    }
    for words in &guest.stderr {
        outcome.assert_stderr_has(words);
    }
    if guest.native && !guest.stdin {
        outcome.assert_same(&on_host(guest, program));
    }
}

/// The same program as a process. A busy machine can make it fail checks of
/// time, which says nothing about the guest: then it runs again.
fn on_host(guest: &Guest, program: &Path) -> Outcome {
    let run = || native(program, &guest.args, &guest.env);
    (0..3)
        .map(|_| run())
        .find(|outcome| outcome.code == guest.exit)
        .unwrap_or_else(run)
}

fn main() {
    let guests = all("tests/guests").expect("the folder is in the repository");
    let trials = guests
        .into_iter()
        .flat_map(|guest| {
            guest
                .builds
                .clone()
                .into_iter()
                .map(move |build| (guest.clone(), build))
        })
        .map(|(guest, build)| {
            Trial::test(format!("{}::{}", guest.name, build.name()), move || {
                check(&guest, build)
            })
        })
        .collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
