//! The command line: options, exit codes, both log formats, statistics, and
//! errors that say what failed, on what, and what to do next.

#[path = "../common/mod.rs"]
mod common;
mod failures;
mod images;
mod network;
mod options;
mod served;
mod signals;
mod strace;
mod terminal;

use common::skip::{Need, has_all};
use common::{Outcome, Unikiln};

/// Whether guests can run here.
fn kvm(test: &str) -> bool {
    has_all(test, &[Need::Kvm, Need::File("/bin/busybox")])
}

/// Runs a busybox applet.
fn busybox(options: &[&str], args: &[&str]) -> Outcome {
    Unikiln::run("host:/bin/busybox")
        .options(options)
        .args(args)
        .output()
}
