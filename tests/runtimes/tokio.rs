//! A Rust program on tokio's runtime of several threads. It is a crate of its
//! own with its own lock file; cargo makes it here.

use libtest_mimic::{Failed, Trial};

use crate::common::compile;
use crate::common::skip::{Need, has_all};
use crate::common::{Unikiln, cache_dir, native};
use crate::image::PROGRAMS;

/// One trial.
pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::test("tokio::tasks", prints_the_same)]
}

/// The program's path.
fn program() -> String {
    let target = cache_dir("runtimes").join("tokio");
    compile::cargo(&format!("{PROGRAMS}/tokio"), &target, "tasks")
}

fn prints_the_same() -> Result<(), Failed> {
    if has_all("tokio", &[Need::Kvm]) {
        let program = program();
        let native = native(&program, [""; 0], &[]);
        native.assert_code(0);
        Unikiln::run(format!("host:{program}"))
            .options(["--cpus", "2"])
            .output()
            .assert_same(&native);
    }
    Ok(())
}
