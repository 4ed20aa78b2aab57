//! Every program of `tests/guests/must_fail` ends as the same program would end
//! on Linux, and its crash record names the cause.

mod common;

use common::guest::{Build, Guest, all};
use common::skip::{Need, has_all};
use common::{Unikiln, native};
use libtest_mimic::{Arguments, Failed, Trial};

/// What the first line of every crash record holds.
const RECORD_MARK: &str = "crash:";

/// What every crash record tells, whatever happened.
const SECTIONS: [&str; 6] = [
    "program: /",
    "registers:\n",
    "code at rip: ",
    "backtrace:\n  #0 0x",
    "last system calls (",
    " at the peak, ",
];

/// What one about the libOS itself tells.
const LIBOS_SECTIONS: [&str; 3] = [
    "backtrace of the libOS:\n  #0 libos+0x",
    "last system calls (",
    "memory: ",
];
/// The wanted words of such a record have this.
const LIBOS_MARK: &str = " in the libOS";

fn check(guest: &Guest, build: Build) -> Result<(), Failed> {
    let name = format!("{} ({})", guest.name, build.name());
    if !has_all(&name, &[Need::Kvm, Need::Program(Guest::compiler(build))]) {
        return Ok(());
    }
    let program = guest.compile(build);
    let outcome = Unikiln::run(format!("host:{}", program.display()))
        .options(&guest.options)
        .output();
    outcome.assert_code(guest.exit);
    match &guest.record {
        Some(all_words) => {
            outcome.assert_stderr_has(RECORD_MARK);
            let of_libos = all_words.iter().any(|words| words.contains(LIBOS_MARK));
            let sections = if of_libos {
                &LIBOS_SECTIONS[..]
            } else {
                &SECTIONS[..]
            };
            for words in sections
                .iter()
                .copied()
                .chain(all_words.iter().map(String::as_str))
            {
                outcome.assert_stderr_has(words);
            }
        }
        None => drop(outcome.assert_stderr_lacks(RECORD_MARK)),
    }
    for words in &guest.stderr {
        outcome.assert_stderr_has(words);
    }
    if guest.native {
        outcome.assert_same(&native(&program, &guest.args, &guest.env));
    }
    Ok(())
}

fn main() {
    let guests = all("tests/guests/must_fail").expect("the folder is in the repository");
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
