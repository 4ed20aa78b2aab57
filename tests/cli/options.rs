//! What options do, and what the program's end becomes.

use std::fs;

use crate::common::Unikiln;
use crate::{busybox, kvm};

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
        for count in ["syscalls_direct", "memory_peak_bytes"] {
            let counted = value["libos"][count].as_u64();
            assert!(counted > Some(0), "{count}\n{}", json.story());
        }
        assert_eq!(busybox(&[], &["echo", "x"]).err(), "");
    }
}

#[test]
fn system_calls_enter_directly_unless_told_otherwise() {
    if kvm("system_calls_enter_directly_unless_told_otherwise") {
        let calls = |options: &[&str]| {
            let outcome = busybox(options, &["ls", "/"]);
            outcome.assert_code(0);
            let last = outcome.err().trim_end().lines().last().map(str::to_owned);
            let value: serde_json::Value =
                serde_json::from_str(&last.unwrap_or_default()).unwrap_or_default();
            let count = |name: &str| value["libos"][name].as_u64().unwrap_or(u64::MAX);
            (count("syscalls_direct"), count("syscalls_trapped"))
        };
        let (direct, trapped) = calls(&["--stats=json"]);
        assert!(trapped <= direct / 10, "{direct} direct, {trapped} trapped");
        let (direct, trapped) = calls(&["--stats=json", "--no-link"]);
        assert!(
            direct == 0 && trapped > 5,
            "{direct} direct, {trapped} trapped"
        );
    }
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
fn cpus_are_what_the_program_counts() {
    if !kvm("cpus_are_what_the_program_counts") {
        return;
    }
    for cpus in ["1", "3", "16"] {
        Unikiln::run("host:/usr/bin/nproc")
            .options(["--cpus", cpus])
            .output()
            .assert_code(0)
            .assert_stdout(&format!("{cpus}\n"));
    }
    for wrong in ["0", "17", "1.5", "many"] {
        Unikiln::run("host:/usr/bin/nproc")
            .options(["--cpus", wrong])
            .output()
            .assert_code(125)
            .assert_stderr_has("--cpus");
    }
}
