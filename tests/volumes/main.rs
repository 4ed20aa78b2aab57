//! Volumes (`-v SRC:DST[:ro]`): what the guest leaves on the host, what it sees of it,
//! and what it cannot reach.

#[path = "../common/mod.rs"]
mod common;

mod confinement;
mod contents;
mod host;
mod mounting;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use common::guest::{Build, all};
use common::skip::{Need, has_all};
use common::{Outcome, Unikiln};
use tempfile::TempDir;

fn kvm(test: &str) -> bool {
    has_all(test, &[Need::Kvm])
}

/// A directory that is removed with the test. Not below `/tmp`, which some of the
/// guests see as a volume.
fn directory() -> TempDir {
    TempDir::new_in(common::cache_dir("volumes")).expect("a temporary directory")
}

fn volume(source: &Path, rest: &str) -> [String; 2] {
    ["-v".into(), format!("{}:{rest}", source.display())]
}

/// A program of `tests/guests/volumes`.
fn program(name: &str) -> PathBuf {
    let guests = all("tests/guests/volumes").expect("the folder is in the repository");
    let guest = guests.into_iter().find(|guest| guest.name == name);
    guest.expect("the program is there").compile(Build::Static)
}

fn run(source: &Path, rest: &str, image: &str, args: &[&str]) -> Outcome {
    let unikiln = Unikiln::run(image).options(volume(source, rest));
    unikiln.args(args).output()
}

fn run_program(source: &Path, name: &str) -> Outcome {
    let image = format!("host:{}", program(name).display());
    run(source, "/data", &image, &["/data"])
}

fn ash(source: &Path, rest: &str, script: &str) -> Outcome {
    run(source, rest, "host:/bin/busybox", &["ash", "-c", script])
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A guest that has said `ready`.
struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Running {
    fn start(source: &Path, name: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_unikiln"))
            .arg("run")
            .args(volume(source, "/data"))
            .arg(format!("host:{}", program(name).display()))
            .arg("/data")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unikiln starts");
        let lines = BufReader::new(child.stdout.take().expect("piped"));
        let mut running = Self { child, lines };
        assert_eq!(running.line(), "ready");
        running
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("the guest writes");
        line.trim_end().to_owned()
    }

    /// The rest of its output, and its exit code.
    fn finish(mut self) -> (String, Option<i32>) {
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).expect("UTF-8");
        (rest, self.child.wait().expect("the child is ours").code())
    }
}
