//! What the other processes do: this binary again, with a task and a store.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use unikiln_builder::{BuildOptions, Digest, Progress, Step, Store, build_cached};

use crate::{bytes, full, pull, put};

const TASK: &str = "STORE_TEST_TASK";
const ROOT: &str = "STORE_TEST_ROOT";

/// Bytes of the blob that several processes write.
pub(crate) const BLOB_BYTES: usize = 4 << 20;

/// A process that does `task` to the store at `root`.
pub(crate) fn command(task: &str, root: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command
        .args(["--exact", "task::task", "--ignored", "--nocapture"])
        .env(TASK, task)
        .env(ROOT, root)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// What it said, once it is done; it must succeed.
pub(crate) fn said(child: std::process::Child) -> String {
    let output = child.wait_with_output().expect("output");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{errors}");
    said
}

fn say(word: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "said {word}").expect("stdout");
    out.flush().expect("stdout");
}

#[test]
#[ignore = "a process that other tests start"]
fn task() {
    let root = PathBuf::from(std::env::var_os(ROOT).expect("a test starts this"));
    let task = std::env::var(TASK).expect("a test starts this");
    if task == "full" {
        return full::fill(&root);
    }
    let store = Store::open(root).expect("store");
    match task.split_once(' ').unwrap_or((&task, "")) {
        ("write", _) => {
            let lease = store.lease().expect("lease");
            let is_mine = put(&lease, &bytes(7, BLOB_BYTES)).expect("put");
            say(if is_mine { "wrote" } else { "found" });
        }
        ("half", _) => {
            let lease = store.lease().expect("lease");
            let all = bytes(7, BLOB_BYTES);
            let writer = lease.writer(&crate::digest(&all), all.len() as u64);
            let mut writer = writer.expect("claim").expect("writer");
            writer.write(&all[..all.len() / 2]).expect("write");
            say("half");
            std::thread::sleep(std::time::Duration::from_secs(60));
        }
        ("pull", numbers) => {
            for number in numbers.split(' ') {
                let number = number.parse().expect("number");
                pull(&store, number).expect("pull");
            }
        }
        // Pulls, removes and collects until it is killed.
        ("churn", seed) => {
            let mut number: u64 = seed.parse().expect("number");
            say("begun");
            loop {
                number = number
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                pull(&store, (number >> 33) % 5).expect("pull");
                if number >> 40 & 1 == 0 {
                    // Another process may have removed it.
                    let _ = store.remove_reference(&format!("image:{}", (number >> 35) % 5));
                }
                store.collect().expect("collect");
            }
        }
        ("build", image) => {
            let lease = store.lease().expect("lease");
            let image = Digest::parse(image).expect("digest");
            let mut steps = Steps(false);
            let options = BuildOptions::default();
            let path = build_cached(&lease, &image, &options, &mut steps).expect("build");
            assert!(path.exists());
            say(if steps.0 { "built" } else { "found" });
        }
        (other, _) => panic!("no task {other}"),
    }
}

/// Whether anything was done.
struct Steps(bool);

impl Progress for Steps {
    fn begin(&mut self, _step: Step, _total_bytes: u64) {
        self.0 = true;
    }

    fn advance(&mut self, _bytes: u64) {}
}
