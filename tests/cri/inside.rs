//! Namespaces for the whole test: network, mounts, processes. When the test ends, however it
//! ends, all that daemons left in them is gone: bridges, rules, addresses, monitors.

use std::env;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Set once they are made.
const MARK: &str = "UNIKILN_CRI_INSIDE";

/// What happens in them before the test goes on: places that are the host's get a file
/// system of their own, and the shell stays as the first process, which reaps the rest.
const SCRIPT: &str = r#"
set -e
mount -t tmpfs run /run
mkdir -p /var/lib/cni
mount -t tmpfs cni /var/lib/cni
ip link set lo up
"$@" &
wait $!
"#;

/// Starts this test again inside, unless that has happened.
pub fn enter() {
    if env::var_os(MARK).is_some() {
        return;
    }
    let test = env::current_exe().expect("a test has a file");
    build_programs();
    let error = Command::new("unshare")
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child"])
        .args(["--mount-proc", "--propagation", "private"])
        .args(["sh", "-c", SCRIPT, "sh"])
        .arg(test)
        .args(env::args_os().skip(1))
        .env(MARK, "1")
        // The daemons' own ways to other places than a test says.
        .env_remove("UNIKILN_ROOT")
        .env_remove("NOTIFY_SOCKET")
        .exec();
    panic!("cannot start unshare: {error}");
}

/// Cargo makes programs of this package for a test; monitor and daemon are of other packages.
fn build_programs() {
    let unikiln = Path::new(env!("CARGO_BIN_EXE_unikiln"));
    let directory = unikiln.parent().expect("a program lies in a directory");
    let target = directory.parent().expect("of a target directory");
    let mut command = Command::new(env!("CARGO"));
    command
        // As tests/run makes the tests: with other features of what they share, all of it
        // would be compiled again.
        .args(["build", "--locked", "--quiet", "--bins", "--test", "cri"])
        .args(["--workspace", "--exclude", "unikiln-libos"])
        .arg("--manifest-path")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .arg("--target-dir")
        .arg(target);
    if directory.ends_with("release") {
        command.arg("--release");
    }
    // Cargo tells a test of its package what build scripts (ring's) watch of their own: they
    // would run again, and all that needs them be compiled again.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    let status = command.status().expect("cargo starts");
    assert!(status.success(), "monitor and daemon cannot be built");
}
