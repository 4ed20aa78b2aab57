//! `--strace`: lines as the host's strace writes them, filters, and the log
//! that they go to.

use std::fs;

use crate::common::guest::{Build, Guest, all};
use crate::common::skip::{Need, has_all};
use crate::common::{Outcome, Unikiln, native};
use crate::{busybox, kvm};

/// What each line of a trace begins with.
const PREFIX: &str = "unikiln: strace: [pid 1] ";

/// Lines of the trace, without prefix and time.
fn trace(outcome: &Outcome) -> Vec<String> {
    let without_time = |line: &str| match line.rsplit_once(" <") {
        Some((rest, time)) if is_time(time) => rest.to_owned(),
        _ => line.to_owned(),
    };
    outcome
        .err()
        .lines()
        .filter_map(|line| line.strip_prefix(PREFIX))
        .map(without_time)
        .collect()
}

/// `0.000012>`.
fn is_time(text: &str) -> bool {
    text.strip_suffix('>')
        .and_then(|time| time.split_once('.'))
        .is_some_and(|(seconds, micros)| {
            micros.len() == 6 && seconds.parse::<u32>().is_ok() && micros.parse::<u32>().is_ok()
        })
}

/// Names of the calls in a trace; signals and ends have none.
fn names(lines: &[String]) -> Vec<&str> {
    lines
        .iter()
        .filter(|line| !line.starts_with(['-', '+', '<']))
        .filter_map(|line| Some(line.split_once('(')?.0))
        .collect()
}

fn find<'a>(lines: &'a [String], start: &str, outcome: &Outcome) -> &'a str {
    lines
        .iter()
        .find(|line| line.starts_with(start))
        .unwrap_or_else(|| panic!("no line {start:?}\n{}", outcome.story()))
}

fn guest(folder: &str, name: &str) -> Guest {
    all(folder)
        .expect("the folder is in the repository")
        .into_iter()
        .find(|guest| guest.name == name)
        .unwrap_or_else(|| panic!("no guest {name}"))
}

/// Addresses and process ids differ from run to run, what a file system fills in
/// beyond the question from machine to machine.
fn comparable(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("0x") {
        let digits = rest[at + 2..]
            .bytes()
            .take_while(u8::is_ascii_hexdigit)
            .count();
        let end = at + 2 + digits;
        text.push_str(&rest[..at]);
        text.push_str(if digits >= 5 {
            "ADDRESS"
        } else {
            &rest[at..end]
        });
        rest = &rest[end..];
    }
    text.push_str(rest);
    if let (Some(start), Some(end)) = (text.find("stx_mask="), text.find(", stx_attributes")) {
        text.replace_range(start..end, "stx_mask=MASK");
    }
    if let (Some(start), Some(end)) = (text.find("si_pid="), text.find(", si_uid")) {
        text.replace_range(start..end, "si_pid=PID");
    }
    text
}

/// The part of a trace between two marks, the first included.
fn between(lines: &[String], from: &str, to: &str) -> Vec<String> {
    let mark = |name: &str| format!("access(\"{name}\"");
    lines
        .iter()
        .skip_while(|line| !line.starts_with(&mark(from)))
        .take_while(|line| !line.starts_with(&mark(to)))
        .map(|line| comparable(line))
        .collect()
}

#[test]
fn a_trace_is_what_strace_shows() {
    let test = "a_trace_is_what_strace_shows";
    if !has_all(
        test,
        &[Need::Kvm, Need::Program("gcc"), Need::Program("strace")],
    ) {
        return;
    }
    let program = guest("tests/guests", "traced").compile(Build::Static);
    let file = tempfile::NamedTempFile::new().expect("temporary file");
    let file = file.path().to_str().expect("UTF-8");
    let program_text = program.to_str().expect("UTF-8");
    native("strace", ["-a1", "-o", file, program_text], &[]).assert_code(0);
    let theirs = fs::read_to_string(file).expect("strace wrote it");
    let theirs: Vec<String> = theirs.lines().map(str::to_owned).collect();
    let outcome = Unikiln::run(format!("host:{program_text}"))
        .options(["--strace"])
        .output();
    outcome.assert_code(0).assert_stdout("ok traced\n");
    let ours = trace(&outcome);

    let (shown, wanted) = (
        between(&ours, "/begin", "/arguments"),
        between(&theirs, "/begin", "/arguments"),
    );
    assert!(wanted.len() > 100, "{theirs:#?}");
    for (shown, wanted) in shown.iter().zip(&wanted) {
        assert_eq!(shown, wanted);
    }
    assert_eq!(shown.len(), wanted.len());
    let arguments = |lines: &[String]| -> Vec<String> {
        let call = |line: &String| {
            line.rsplit_once(" = ")
                .map_or("", |(call, _)| call)
                .to_owned()
        };
        between(lines, "/arguments", "/end")
            .iter()
            .map(call)
            .collect()
    };
    let (shown, wanted) = (arguments(&ours), arguments(&theirs));
    assert!(wanted.len() > 45, "{theirs:#?}");
    for (shown, wanted) in shown.iter().zip(&wanted) {
        assert_eq!(shown, wanted);
    }
    assert_eq!(shown.len(), wanted.len());
}

#[test]
fn a_trace_begins_with_execve_and_ends_with_the_end() {
    if kvm("a_trace_begins_with_execve_and_ends_with_the_end") {
        let outcome = busybox(&["--strace"], &["ash", "-c", "exec busybox sh -c 'exit 3'"]);
        outcome.assert_code(3);
        let lines = trace(&outcome);
        let story = outcome.story();
        assert!(
            lines[0].starts_with("execve(\"/bin/busybox\", [\"/bin/busybox\", \"ash\", \"-c\", "),
            "{story}"
        );
        assert!(lines[0].ends_with(" /* 3 vars */) = 0"), "{story}");
        // The shell's own exec, which returns into the new program.
        let second = lines[1..].iter().find(|line| line.starts_with("execve("));
        let second = second.unwrap_or_else(|| panic!("{story}"));
        assert!(
            second.contains("[\"busybox\", \"sh\", \"-c\", \"exit 3\"]"),
            "{story}"
        );
        assert!(second.ends_with(") = 0"), "{story}");
        let end = &lines[lines.len() - 2..];
        assert_eq!(
            end,
            ["exit_group(3) = ?", "+++ exited with 3 +++"],
            "{story}"
        );
        let first = outcome.err();
        let first = first.lines().next().unwrap_or_default();
        let time = first.rsplit_once(" <").map(|(_, time)| time);
        assert!(time.is_some_and(is_time), "{story}");
    }
}

#[test]
fn a_filter_picks_calls() {
    if kvm("a_filter_picks_calls") {
        let run = |filter: &str| {
            let outcome = busybox(&[&format!("--strace={filter}")], &["cat", "/proc/uptime"]);
            outcome.assert_code(0);
            outcome
        };
        let all = run("all");
        let lines = trace(&all);
        for name in ["execve", "brk", "openat", "sendfile", "exit_group"] {
            assert!(names(&lines).contains(&name), "{name}\n{}", all.story());
        }
        let some = run("openat,sendfile");
        let lines = trace(&some);
        assert!(names(&lines).len() >= 2, "{}", some.story());
        assert!(
            names(&lines)
                .iter()
                .all(|name| matches!(*name, "openat" | "sendfile")),
            "{}",
            some.story()
        );
        find(&lines, "openat(AT_FDCWD, \"/proc/uptime\", O_RDONLY", &some);
        let class = run("%file");
        let lines = trace(&class);
        assert!(
            names(&lines).contains(&"execve") && names(&lines).contains(&"openat"),
            "{}",
            class.story()
        );
        assert!(!names(&lines).contains(&"sendfile"), "{}", class.story());
        let rest = run("!%file,brk");
        let lines = trace(&rest);
        for absent in ["execve", "openat", "brk"] {
            assert!(
                !names(&lines).contains(&absent),
                "{absent}\n{}",
                rest.story()
            );
        }
        assert!(names(&lines).contains(&"sendfile"), "{}", rest.story());
        let none = run("none");
        assert_eq!(trace(&none), ["+++ exited with 0 +++"], "{}", none.story());
        assert_eq!(busybox(&[], &["true"]).err(), "");
    }
}

#[test]
fn a_wrong_filter_is_refused_before_boot() {
    let run = |filter: &str| {
        // Nothing is built either: there is no such image.
        Unikiln::run("host:/absent")
            .options([format!("--strace={filter}")])
            .output()
    };
    run("read,opnat").assert_own_failure(&["--strace", "\"opnat\"", "did you mean", "openat"]);
    run("!exitgroup").assert_own_failure(&["\"exitgroup\"", "exit_group"]);
    run("%files").assert_own_failure(&["\"%files\"", "%file, %desc, %memory"]);
    run("read,,write").assert_own_failure(&["--strace", "missing"]);
    run("").assert_own_failure(&["--strace", "missing"]);
}

#[test]
fn signals_are_shown_where_they_arrive() {
    let test = "signals_are_shown_where_they_arrive";
    if !has_all(test, &[Need::Kvm, Need::Program("gcc")]) {
        return;
    }
    let program = guest("tests/guests/must_fail", "null_read").compile(Build::Static);
    let outcome = Unikiln::run(format!("host:{}", program.display()))
        .options(["--strace=none"])
        .output();
    outcome
        .assert_code(139)
        .assert_stderr_has("unikiln: crash: SIGSEGV");
    assert_eq!(
        trace(&outcome),
        [
            "--- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=0x18} ---",
            "+++ killed by SIGSEGV (core dumped) +++"
        ],
        "{}",
        outcome.story()
    );
    let outcome = busybox(&["--strace=kill"], &["ash", "-c", "kill -TERM $$"]);
    outcome.assert_code(143);
    assert_eq!(
        trace(&outcome),
        [
            "kill(1, SIGTERM) = 0",
            "--- SIGTERM {si_signo=SIGTERM, si_code=SI_USER, si_pid=1, si_uid=0} ---",
            "+++ killed by SIGTERM +++"
        ],
        "{}",
        outcome.story()
    );
}

#[test]
fn a_call_that_blocks_is_shown_before_it_returns() {
    if kvm("a_call_that_blocks_is_shown_before_it_returns") {
        let outcome = busybox(
            &["--strace=%desc,nanosleep,clock_nanosleep"],
            &["sleep", "1"],
        );
        let lines = trace(&outcome);
        let begun = lines
            .iter()
            .position(|line| line.ends_with("<unfinished ...>"));
        let begun = begun.unwrap_or_else(|| panic!("{}", outcome.story()));
        assert!(
            lines[begun].contains("{tv_sec=1, tv_nsec=0}, <unfinished ...>"),
            "{}",
            outcome.story()
        );
        let resumed = &lines[begun + 1];
        assert!(
            resumed.starts_with("<... ") && resumed.contains("nanosleep resumed>"),
            "{}",
            outcome.story()
        );
        assert!(resumed.ends_with(") = 0"), "{}", outcome.story());
    }
}

#[test]
fn the_kubernetes_log_has_the_trace_on_stderr() {
    if kvm("the_kubernetes_log_has_the_trace_on_stderr") {
        let options = ["--log-format", "cri", "--strace=write"];
        let outcome = busybox(&options, &["printf", "no newline"]);
        outcome.assert_code(0);
        let out = outcome.out();
        let lines: Vec<Vec<&str>> = out
            .lines()
            .map(|line| line.splitn(4, ' ').collect())
            .collect();
        let wanted = format!("{PREFIX}write(1, \"no newline\", 10) = 10 <");
        let line = lines
            .iter()
            .find(|fields| fields.get(3).is_some_and(|text| text.starts_with(&wanted)));
        let line = line.unwrap_or_else(|| panic!("{}", outcome.story()));
        assert_eq!(line[1..3], ["stderr", "F"], "{}", outcome.story());
        assert_eq!(outcome.err(), "");
    }
}
