//! What a test needs from the machine. What is missing is skipped loudly: a
//! line `SKIPPED: …` past the test harness's capture, and one in `skipped.log`.
//! With `CI=true` or `UNIKILN_NO_SKIP=1` it is a failure.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Something that may be missing.
#[derive(Clone, Copy, Debug)]
pub enum Need<'a> {
    /// A usable /dev/kvm.
    Kvm,
    /// A program in PATH.
    Program(&'a str),
    /// A file at this path.
    File(&'a str),
    /// The right to make a network namespace.
    Namespaces,
    /// The right to mount a tmpfs in a mount namespace.
    Mounts,
    /// The right to bind ports below 1024.
    LowPorts,
}

/// Whether all of `needs` are there.
pub fn has_all(test: &str, needs: &[Need<'_>]) -> bool {
    needs.iter().all(|need| match missing(*need) {
        None => true,
        Some(reason) => {
            skip(test, &reason);
            false
        }
    })
}

fn missing(need: Need<'_>) -> Option<String> {
    match need {
        Need::Kvm => OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/kvm")
            .err()
            .map(|error| format!("/dev/kvm: {error}")),
        Need::Program(name) => find_program(name)
            .is_none()
            .then(|| format!("no program {name} in PATH")),
        Need::Namespaces => {
            let made = Command::new("unshare").args(["--net", "true"]).output();
            let made = made.is_ok_and(|output| output.status.success());
            (!made).then(|| "no right to make a network namespace".to_owned())
        }
        Need::Mounts => {
            let mount = ["--mount", "mount", "-t", "tmpfs", "test", "/mnt"];
            let made = Command::new("unshare").args(mount).output();
            let made = made.is_ok_and(|output| output.status.success());
            (!made).then(|| "no right to mount in a namespace".to_owned())
        }
        Need::LowPorts => UdpSocket::bind((Ipv4Addr::new(127, 83, 53, 2), 53))
            .err()
            .map(|error| format!("port 53 of a loopback address: {error}")),
        Need::File(path) => (!Path::new(path).exists()).then(|| format!("no file {path}")),
    }
}

/// Looks `name` up in PATH.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

fn skip(test: &str, reason: &str) {
    let line = format!("SKIPPED: {test}: {reason} (tests/setup.sh installs what is missing)\n");
    let strict = std::env::var("CI").is_ok_and(|value| value == "true")
        || std::env::var("UNIKILN_NO_SKIP").is_ok_and(|value| value == "1");
    assert!(!strict, "{line}no skips are allowed here");
    // Not eprintln: that would be captured. Failing to tell is no failure of the test.
    let _ = std::io::stderr().write_all(line.as_bytes());
    let log = super::cache_dir("skips").join("skipped.log");
    if let Ok(mut log) = OpenOptions::new().create(true).append(true).open(log) {
        let _ = log.write_all(line.as_bytes());
    }
}
