//! What happens while a program runs: signals to `unikiln`, a reader that goes away.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::image::tool;
use crate::kvm;

#[test]
fn a_termination_signal_reaches_the_program() {
    if kvm("a_termination_signal_reaches_the_program") {
        let mut child = Command::new(env!("CARGO_BIN_EXE_unikiln"))
            .args([
                "run",
                "host:/bin/busybox",
                "ash",
                "-c",
                "trap 'echo caught; exit 5' TERM; echo ready; while :; do :; done",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unikiln starts");
        let mut stdout = child.stdout.take().expect("piped");
        let mut ready = [0; 6];
        stdout.read_exact(&mut ready).expect("the guest writes");
        tool("kill", &["-TERM", &child.id().to_string()]);
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).expect("UTF-8");
        assert_eq!(
            (rest.as_str(), child.wait().expect("ours").code()),
            ("caught\n", Some(5))
        );
    }
}

#[test]
fn a_sleeping_program_ends_by_a_signal() {
    if kvm("a_sleeping_program_ends_by_a_signal") {
        let mut child = Command::new(env!("CARGO_BIN_EXE_unikiln"))
            .args([
                "run",
                "host:/bin/busybox",
                "ash",
                "-c",
                "echo ready; exec sleep 1000",
            ])
            .args([] as [&str; 0])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unikiln starts");
        let mut ready = [0; 6];
        child
            .stdout
            .take()
            .expect("piped")
            .read_exact(&mut ready)
            .expect("the guest writes");
        std::thread::sleep(Duration::from_millis(200));
        tool("kill", &["-TERM", &child.id().to_string()]);
        let started = Instant::now();
        assert_eq!(child.wait().expect("ours").code(), Some(143));
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_program() {
    if kvm("a_reader_that_goes_away_ends_the_program") {
        let mut child = Command::new(env!("CARGO_BIN_EXE_unikiln"))
            .args(["run", "host:/usr/bin/yes"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("unikiln starts");
        let mut some = [0; 1000];
        child
            .stdout
            .take()
            .expect("piped")
            .read_exact(&mut some)
            .expect("the guest writes");
        let started = Instant::now();
        while child.try_wait().expect("ours").is_none() {
            if started.elapsed() > Duration::from_secs(20) {
                child.kill().expect("ours");
                panic!("still writing to a closed pipe after 20 s");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
