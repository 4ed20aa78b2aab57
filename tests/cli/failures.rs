//! What cannot be run: one clear line, the right exit code, no panic.

use std::fs;
use std::process::Command;

use crate::common::image::tool;
use crate::common::skip::{Need, has_all};
use crate::common::{Unikiln, outcome};
use crate::{busybox, kvm};

#[test]
fn programs_that_cannot_start_are_told_apart() {
    if kvm("programs_that_cannot_start_are_told_apart") {
        let run = |entrypoint: &str| {
            busybox(
                &[
                    "--include",
                    "/etc/debian_version",
                    "--entrypoint",
                    entrypoint,
                ],
                &[],
            )
        };
        run("/absent").assert_code(127).assert_stderr_has("/absent");
        run("absent").assert_code(127).assert_stderr_has("absent");
        run("/etc/debian_version")
            .assert_code(126)
            .assert_stderr_has("/etc/debian_version");
        run("/etc").assert_code(126).assert_stderr_has("/etc");
    }
}

#[test]
fn memory_is_limited_and_too_little_is_refused() {
    if kvm("memory_is_limited_and_too_little_is_refused") {
        let outcome = busybox(&["--memory", "64M"], &["free", "-k"]);
        let total = outcome
            .out()
            .lines()
            .find_map(|line| {
                line.strip_prefix("Mem:")
                    .map(|rest| rest.split_whitespace().next().map(str::to_owned))
            })
            .flatten();
        assert_eq!(total.as_deref(), Some("65536"), "{}", outcome.story());
        let outcome = busybox(&["--memory", "1M"], &["true"]);
        outcome.assert_own_failure(&["memory"]);
        for size in ["", "x", "12q", "-5M", "0"] {
            let outcome = busybox(&[&format!("--memory={size}")], &["true"]);
            outcome.assert_code(125).assert_stderr_has("memory");
        }
    }
}

#[test]
fn bad_unikernel_files_are_refused() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    let good = path("good.uk");
    Unikiln::command(["build", "host:/bin/true", "-o", &good])
        .output()
        .assert_code(0);
    let bytes = fs::read(&good).expect("it was written");
    let refused = |name: &str, bytes: &[u8], words: &[&str]| {
        fs::write(path(name), bytes).expect("writable");
        for command in ["run", "inspect"] {
            Unikiln::command([command, &path(name)])
                .output()
                .assert_own_failure(words);
        }
    };
    refused("empty.uk", b"", &["empty.uk"]);
    refused(
        "text.uk",
        b"#!/bin/sh\necho this is not it\n",
        &["text.uk", "unikernel"],
    );
    refused(
        "half.uk",
        &bytes[..bytes.len() / 2],
        &["half.uk", "truncated"],
    );
    refused("head.uk", &bytes[..600], &["head.uk"]);
    let mut corrupted = bytes.clone();
    corrupted[4096] ^= 0xff; // the libOS header's magic number
    refused("corrupted.uk", &corrupted, &["corrupted.uk"]);
    let mut newer = bytes;
    newer[4096 + 8] ^= 0x40; // its ABI version
    refused("newer.uk", &newer, &["newer.uk", "ABI"]);
    Unikiln::command(["run", &path("absent.uk")])
        .output()
        .assert_own_failure(&["absent.uk"]);
    Unikiln::command(["run", "/bin/true"])
        .output()
        .assert_own_failure(&["/bin/true"]);
}

#[test]
fn usage_errors_exit_with_125() {
    for words in [
        &["run"][..],
        &["run", "--no-such-option", "host:/bin/true"],
        &["no-such-command"],
        &["build", "host:/bin/true"],
        &[],
    ] {
        let outcome = Unikiln::command(words).output();
        outcome.assert_code(125);
        assert!(!outcome.stderr.is_empty(), "{}", outcome.story());
    }
    // What no registry can have, and no transport is.
    Unikiln::command(["run", "No-Such-Transport:x"])
        .output()
        .assert_own_failure(&["No-Such-Transport:x", "oci:DIR[:TAG]"]);
    Unikiln::command(["run", "--env-file", "/absent", "host:/bin/true"])
        .output()
        .assert_own_failure(&["/absent"]);
    Unikiln::command(["--help"])
        .output()
        .assert_code(0)
        .assert_stdout_has("run");
    Unikiln::command(["--version"])
        .output()
        .assert_code(0)
        .assert_stdout_has("unikiln 0.");
}

#[test]
fn without_dev_kvm_the_error_says_so() {
    // A mount namespace of its own, with nothing in /dev.
    let unshare = Command::new("unshare").args(["--mount", "true"]).status();
    if !unshare.is_ok_and(|status| status.success()) {
        let needs = [Need::Program("unshare with the right to mount")];
        has_all("without_dev_kvm_the_error_says_so", &needs);
        return;
    }
    let dir = tempfile::tempdir().expect("temporary directory");
    let file = dir.path().join("true.uk");
    let file = file.to_str().expect("UTF-8");
    Unikiln::command(["build", "host:/bin/true", "-o", file])
        .output()
        .assert_code(0);
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs none /dev && exec \"$0\" run \"$1\"";
    command.args([
        "--mount",
        "sh",
        "-c",
        script,
        env!("CARGO_BIN_EXE_unikiln"),
        file,
    ]);
    outcome::run(command, None).assert_own_failure(&["/dev/kvm"]);
}

#[test]
fn without_a_right_to_kvm_the_error_says_so() {
    // A user without rights on /dev/kvm; only root can become one.
    if !has_all(
        "without_a_right_to_kvm_the_error_says_so",
        &[Need::Program("setpriv"), Need::Kvm],
    ) {
        return;
    }
    let dir = tempfile::tempdir().expect("temporary directory");
    let (program, file) = (dir.path().join("unikiln"), dir.path().join("true.uk"));
    Unikiln::command([
        "build",
        "host:/bin/true",
        "-o",
        file.to_str().expect("UTF-8"),
    ])
    .output()
    .assert_code(0);
    // Where nobody may go too. A copy made by this process could still be open for
    // writing in a child that another test is just starting: ETXTBSY.
    tool(
        "cp",
        &[
            env!("CARGO_BIN_EXE_unikiln"),
            program.to_str().expect("UTF-8"),
        ],
    );
    tool(
        "chmod",
        &["-R", "go+rX", dir.path().to_str().expect("UTF-8")],
    );
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&program)
        .arg("run")
        .arg(&file);
    outcome::run(command, None).assert_own_failure(&["/dev/kvm", "ermission"]);
}
