//! Programs that tests make with a language's own tool.

use std::path::Path;
use std::process::Command;

/// Debian's Go, whatever else is in PATH.
pub const GO: &str = "/usr/lib/go-1.19/bin/go";

/// `go WORDS -o CACHE/NAME WHAT`, without modules and C; the program's path.
pub fn go(cache: &Path, name: &str, words: &[&str], what: &str) -> String {
    let program = cache.join(name);
    let mut command = Command::new(GO);
    command
        .args(words)
        .arg("-o")
        .arg(&program)
        .arg(what)
        .env("CGO_ENABLED", "0")
        .env("GOCACHE", cache.join("cache"))
        .env("GOFLAGS", "")
        .env("GO111MODULE", "off");
    succeed(command);
    program.to_str().expect("UTF-8").to_owned()
}

/// The program NAME of the crate in `folder`, which has a lock file of its own.
pub fn cargo(folder: &str, target: &Path, name: &str) -> String {
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["build", "--locked", "--release", "--quiet"])
        .args(["--manifest-path", &format!("{folder}/Cargo.toml")])
        .arg("--target-dir")
        .arg(target);
    succeed(command);
    format!("{}/release/{name}", target.display())
}

fn succeed(mut command: Command) {
    let output = command.output().expect("it is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}
