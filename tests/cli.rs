//! The command line: options, exit codes, both log formats, statistics, and
//! errors that say what failed, on what, and what to do next.

mod common;

use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::Unikiln;
use common::skip::{Need, has_all};

fn kvm(test: &str) -> bool {
    has_all(test, &[Need::Kvm, Need::File("/bin/busybox")])
}

/// Runs a busybox applet.
fn busybox(options: &[&str], args: &[&str]) -> common::Outcome {
    Unikiln::run("host:/bin/busybox")
        .options(options)
        .args(args)
        .output()
}

#[test]
fn the_readme_command_lists_the_root() {
    if kvm("the_readme_command_lists_the_root") {
        let outcome = Unikiln::run("host:/bin/ls").args(["-l", "/"]).output();
        outcome
            .assert_code(0)
            .assert_stdout_has(" bin")
            .assert_stdout_has(" proc")
            .assert_stdout_has(" lib");
    }
}

#[test]
fn exit_codes_are_the_programs() {
    if kvm("exit_codes_are_the_programs") {
        for code in [0, 1, 2, 77, 125, 126, 127, 200, 255] {
            busybox(&[], &["ash", "-c", &format!("exit {code}")]).assert_code(code);
        }
        busybox(&[], &["false"]).assert_code(1);
    }
}

#[test]
fn environment_is_set_and_passed_on() {
    if kvm("environment_is_set_and_passed_on") {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        fs::write(
            file.path(),
            "# a comment\nFROM_FILE=yes and more\nFROM_HOST\n",
        )
        .expect("writable");
        let file = file.path().to_str().expect("UTF-8");
        let outcome = Unikiln::run("host:/bin/busybox")
            .options([
                "--env-file",
                file,
                "-e",
                "A=1",
                "-e",
                "A=2",
                "--env",
                "FROM_HOST_TOO",
                "-e",
                "NOT_THERE",
            ])
            .args(["env"])
            .host_env("FROM_HOST", "host")
            .host_env("FROM_HOST_TOO", "too")
            .host_env("SECRET", "hidden")
            .output();
        outcome
            .assert_code(0)
            .assert_stdout_has("FROM_FILE=yes and more\n")
            .assert_stdout_has("FROM_HOST=host\n");
        outcome
            .assert_stdout_has("FROM_HOST_TOO=too\n")
            .assert_stdout_has("A=2\n");
        for absent in ["A=1", "NOT_THERE", "SECRET"] {
            assert!(
                !outcome.out().contains(absent),
                "{absent}\n{}",
                outcome.story()
            );
        }
    }
}

#[test]
fn the_working_directory_is_set() {
    if kvm("the_working_directory_is_set") {
        busybox(&["-w", "/proc"], &["pwd"])
            .assert_code(0)
            .assert_stdout("/proc\n");
        busybox(&[], &["pwd"]).assert_code(0).assert_stdout("/\n");
        // Made where it is not there, as docker does.
        busybox(&["--workdir", "/made/here"], &["pwd"])
            .assert_code(0)
            .assert_stdout("/made/here\n");
    }
}

#[test]
fn standard_input_is_empty_unless_asked_for() {
    if kvm("standard_input_is_empty_unless_asked_for") {
        let cat = |options: &[&str]| {
            Unikiln::run("host:/bin/cat")
                .options(options)
                .stdin("some\ninput")
                .output()
        };
        cat(&[]).assert_code(0).assert_stdout("");
        cat(&["-i"]).assert_code(0).assert_stdout("some\ninput");
        let outcome = Unikiln::run("host:/bin/busybox")
            .options(["-i"])
            .args(["tee", "/tmp/copy"])
            .stdin("kept\n")
            .output();
        outcome.assert_code(0).assert_stdout("kept\n");
        let sorted = Unikiln::run("host:/bin/busybox")
            .options(["-i"])
            .args(["sort"])
            .stdin("c\na\nb\n")
            .output();
        sorted.assert_code(0).assert_stdout("a\nb\nc\n");
    }
}

#[test]
fn both_streams_stay_apart() {
    if kvm("both_streams_stay_apart") {
        let outcome = busybox(
            &[],
            &["ash", "-c", "echo out; echo err >&2; printf 'no newline'"],
        );
        outcome.assert_code(0).assert_stdout("out\nno newline");
        assert_eq!(outcome.err(), "err\n", "{}", outcome.story());
    }
}

#[test]
fn the_kubernetes_log_format_is_written() {
    if kvm("the_kubernetes_log_format_is_written") {
        let script = "echo one; echo two >&2; printf unfinished";
        let outcome = busybox(&["--log-format", "cri"], &["ash", "-c", script]);
        outcome.assert_code(0);
        let out = outcome.out();
        let lines: Vec<Vec<&str>> = out
            .lines()
            .map(|line| line.splitn(4, ' ').collect())
            .collect();
        let find = |text: &str| lines.iter().find(|fields| fields.get(3) == Some(&text));
        let one = find("one").unwrap_or_else(|| panic!("{}", outcome.story()));
        assert_eq!(one[1..3], ["stdout", "F"], "{}", outcome.story());
        // 2026-01-02T03:04:05.123456789Z
        assert!(
            one[0].len() == 30 && one[0].ends_with('Z') && &one[0][10..11] == "T",
            "{}",
            outcome.story()
        );
        assert_eq!(
            find("two").map(|fields| fields[1]),
            Some("stderr"),
            "{}",
            outcome.story()
        );
        assert_eq!(
            find("unfinished").map(|fields| fields[2]),
            Some("P"),
            "{}",
            outcome.story()
        );
    }
}

#[test]
fn statistics_are_printed_at_exit() {
    if kvm("statistics_are_printed_at_exit") {
        let text = busybox(&["--stats"], &["echo", "x"]);
        text.assert_code(0).assert_stdout("x\n");
        assert!(text.err().lines().count() >= 5, "{}", text.story());
        let json = busybox(&["--stats=json"], &["echo", "x"]);
        let last = json
            .err()
            .trim_end()
            .lines()
            .last()
            .map(str::to_owned)
            .unwrap_or_default();
        let value: serde_json::Value =
            serde_json::from_str(&last).unwrap_or_else(|error| panic!("{error}\n{}", json.story()));
        let phases = value["phases"].as_array().map_or(0, Vec::len);
        assert!(phases >= 8, "{}", json.story());
        assert!(
            value["exits"]["log"].as_u64() >= Some(1),
            "{}",
            json.story()
        );
        for count in ["syscalls_trapped", "memory_peak_bytes"] {
            let counted = value["libos"][count].as_u64();
            assert!(counted > Some(0), "{count}\n{}", json.story());
        }
        assert_eq!(busybox(&[], &["echo", "x"]).err(), "");
    }
}

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
        common::image::tool("kill", &["-TERM", &child.id().to_string()]);
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
        common::image::tool("kill", &["-TERM", &child.id().to_string()]);
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
fn a_unikernel_file_runs_again_and_again() {
    if kvm("a_unikernel_file_runs_again_and_again") {
        let dir = tempfile::tempdir().expect("temporary directory");
        let file = dir.path().join("echo.uk");
        let file = file.to_str().expect("UTF-8");
        Unikiln::command(["build", "host:/bin/echo", "-o", file])
            .output()
            .assert_code(0);
        for word in ["one", "two"] {
            Unikiln::run(file)
                .args(["-n", word])
                .output()
                .assert_code(0)
                .assert_stdout(word);
        }
        // Options after IMAGE are the program's.
        Unikiln::run(file)
            .args(["--memory", "-e", "--", "-i"])
            .output()
            .assert_stdout("--memory -e -- -i\n");
    }
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
    Unikiln::command(["run", "no-such-transport:x"])
        .output()
        .assert_own_failure(&["no-such-transport:x"]);
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
    common::outcome::run(command, None).assert_own_failure(&["/dev/kvm"]);
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
    // Where nobody may go too.
    fs::copy(env!("CARGO_BIN_EXE_unikiln"), &program).expect("writable");
    common::image::tool(
        "chmod",
        &["-R", "go+rX", dir.path().to_str().expect("UTF-8")],
    );
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&program)
        .arg("run")
        .arg(&file);
    common::outcome::run(command, None).assert_own_failure(&["/dev/kvm", "ermission"]);
}
