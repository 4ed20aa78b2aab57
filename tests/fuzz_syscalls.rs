//! Random system calls for a minute, half of it with one vCPU, half with two and
//! several threads: the guest ends as it wants to, without a failure of the libOS
//! and without a fault that the monitor sees.
//!
//! On a developer's machine it takes ten seconds; `UNIKILN_FUZZ_SECONDS` (of each
//! half) says otherwise, and `UNIKILN_FUZZ_SEED` repeats a run whose seed was printed.

mod common;

use std::env;

use common::Unikiln;
use common::guest::{Build, all};
use common::skip::{Need, has_all};

#[test]
fn no_call_harms_the_libos() {
    fuzz("no_call_harms_the_libos", "1", "1");
}

#[test]
fn no_calls_at_once_harm_the_libos() {
    fuzz("no_calls_at_once_harm_the_libos", "2", "4");
}

fn fuzz(test: &str, cpus: &str, threads: &str) {
    if !has_all(test, &[Need::Kvm, Need::Program("gcc")]) {
        return;
    }
    let guests = all("tests/guests").expect("the folder is in the repository");
    let guest = guests
        .into_iter()
        .find(|guest| guest.name == "fuzz_syscalls")
        .expect("the program is there");
    let program = guest.compile(Build::Static);
    let seconds = env::var("UNIKILN_FUZZ_SECONDS").unwrap_or_else(|_| {
        let in_ci = env::var_os("CI").is_some();
        if in_ci { "30" } else { "5" }.to_owned()
    });
    let seed = env::var("UNIKILN_FUZZ_SEED").unwrap_or_else(|_| "0".to_owned());
    let outcome = Unikiln::run(format!("host:{}", program.display()))
        .options(&guest.options)
        .options(["--cpus", cpus])
        .args([seed.as_str(), seconds.as_str(), threads])
        .output();
    // The seed is the first line, and so is in the story of a failure.
    outcome
        .assert_code(0)
        .assert_stdout_has("ok fuzz_syscalls\n");
    // That a port is in use is no failure.
    let log = outcome.err().replace("unikiln: network: ", "");
    assert!(!log.contains("unikiln:"), "{log}");
}
