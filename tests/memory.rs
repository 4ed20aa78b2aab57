//! Memory that a guest gives back goes back to the host, and what it merely
//! reserves costs nothing: both are measured at the monitor, in /proc.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use common::guest::{Build, all};
use common::skip::{Need, has_all};

/// Bytes that the guest touches and gives back.
const TOUCHED_MIB: u64 = 64;

/// A guest that says in which state it is and waits until it may go on.
struct Paused {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Paused {
    fn start(args: &[&str]) -> Self {
        let guests = all("tests/guests/measured").expect("the folder is in the repository");
        let guest = guests
            .into_iter()
            .find(|guest| guest.name == "host_memory")
            .expect("the program is there");
        let program = guest.compile(Build::Static);
        let mut child = Command::new(env!("CARGO_BIN_EXE_unikiln"))
            .args(["run", "-i", "--memory", "512M"])
            .arg(format!("host:{}", program.display()))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unikiln starts");
        let input = child.stdin.take().expect("a pipe");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        Self {
            child,
            input,
            output,
        }
    }

    /// Waits for `state` and measures the monitor.
    fn resident_mib_when(&mut self, state: &str) -> u64 {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("readable");
        assert_eq!(line.trim_end(), state);
        let resident = tree_resident_kib(self.child.id()) / 1024;
        self.input.write_all(b"\n").expect("the guest reads");
        resident
    }

    fn finish(mut self) {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("readable");
        assert_eq!(line, "ok host_memory\n");
        assert!(self.child.wait().expect("it is ours").success());
    }
}

/// Resident KiB of a process and all that it started.
fn tree_resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let row = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let own: u64 = row
        .and_then(|row| row.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0);
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return own;
    };
    let children = tasks.flatten().flat_map(|task| {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        let pids = children
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok());
        pids.collect::<Vec<u32>>()
    });
    own + children.map(tree_resident_kib).sum::<u64>()
}

/// Touches 64 MiB, gives them back as `args` say; most of `given_mib` must be gone.
fn gives_back(args: &[&str], given_mib: u64) {
    if !has_all(&args.join(" "), &[Need::Kvm, Need::Program("gcc")]) {
        return;
    }
    let mut guest = Paused::start(args);
    let start = guest.resident_mib_when("start");
    let touched = guest.resident_mib_when("touched");
    let after = guest.resident_mib_when("given back");
    guest.finish();
    eprintln!("{args:?}: {start} MiB at the start, {touched} touched, {after} after");
    assert!(touched >= start + TOUCHED_MIB * 9 / 10, "nothing measured");
    assert!(
        after + given_mib * 8 / 10 <= touched,
        "too little came back"
    );
}

#[test]
fn dontneed_gives_memory_back() {
    for step in ["2048", "64", "4"] {
        gives_back(&["dontneed", step], TOUCHED_MIB);
    }
}

#[test]
fn free_gives_memory_back() {
    gives_back(&["free", "64"], TOUCHED_MIB);
}

#[test]
fn every_other_part_comes_back_too() {
    gives_back(&["half"], TOUCHED_MIB / 2);
}

#[test]
fn holes_in_memory_files_give_memory_back() {
    gives_back(&["remove", "64"], TOUCHED_MIB);
    gives_back(&["punch", "4096"], TOUCHED_MIB);
}

/// A part of what is unmapped stays with the guest, for what is mapped next.
#[test]
fn munmap_gives_memory_back() {
    gives_back(&["munmap", "64"], TOUCHED_MIB / 2);
}

#[test]
fn reservations_cost_nothing() {
    if !has_all("reserve", &[Need::Kvm, Need::Program("gcc")]) {
        return;
    }
    let mut guest = Paused::start(&["reserve"]);
    let start = guest.resident_mib_when("start");
    let touched = guest.resident_mib_when("touched");
    let after = guest.resident_mib_when("given back");
    guest.finish();
    eprintln!("reserve: {start} MiB at the start, {touched} touched, {after} after");
    // 64 touches far apart: 16 pages and up to two page tables for each, a few
    // large pages, and what the host keeps for one memory slot.
    assert!(touched <= start + 24, "{touched} MiB after {start} MiB");
}
