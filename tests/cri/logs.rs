//! Log files: their format, long lines, rotation.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use libtest_mimic::Trial;
use tonic::Code;
use unikiln_daemon::proto;

use crate::log::{self, Entry};
use crate::node::shared;
use crate::pod::{Container, Handler};
use crate::{all, each, one};

pub fn trials() -> Vec<Trial> {
    all([
        one(
            "logs::system_calls_by_annotation",
            system_calls_by_annotation,
        ),
        each(
            "logs::both_streams_in_the_format",
            both_streams_in_the_format,
        ),
        each("logs::long_lines_come_in_parts", long_lines_come_in_parts),
        each("logs::rotation_loses_nothing", rotation_loses_nothing),
        each("logs::a_container_without_a_log", a_container_without_a_log),
        each(
            "logs::reopening_needs_a_running_container",
            reopening_needs_a_running_container,
        ),
    ])
}

/// The numbers of the lines of `programs/count.c` in their order. Each stream must have its own
/// in order; between the two there is none.
pub fn numbers(entries: &[Entry]) -> Vec<u64> {
    let mut all = Vec::new();
    for stream in ["stdout", "stderr"] {
        let of_stream = entries.iter().filter(|entry| entry.stream == stream);
        let numbers: Vec<u64> = of_stream
            .map(|entry| {
                let word = entry.text.split(' ').nth(1).unwrap_or_default();
                let digits = word.trim_end_matches(|letter: char| !letter.is_ascii_digit());
                digits
                    .parse()
                    .unwrap_or_else(|_| panic!("no number in {:?}", entry.text))
            })
            .collect();
        assert!(numbers.is_sorted(), "{stream} is out of order: {numbers:?}");
        all.extend(numbers);
    }
    all.sort_unstable();
    all
}

/// Exactly the lines 0 to `count` - 1, once each.
#[track_caller]
pub fn assert_numbers(entries: &[Entry], count: u64) {
    let numbers = numbers(entries);
    let wanted: Vec<_> = (0..count).collect();
    if numbers != wanted {
        let missing: Vec<_> = wanted.iter().filter(|it| !numbers.contains(it)).collect();
        let doubled: Vec<_> = numbers
            .windows(2)
            .filter(|pair| pair[0] == pair[1])
            .collect();
        panic!("of {count} lines {missing:?} are missing, {doubled:?} doubled");
    }
}

/// ReopenContainerLog.
pub fn reopen(container: &Container<'_>) -> Result<(), tonic::Status> {
    let container_id = container.id.clone();
    let request = proto::ReopenContainerLogRequest { container_id };
    container
        .node
        .client
        .reopen_container_log(request)
        .map(drop)
}

fn both_streams_in_the_format(handler: Handler) {
    let node = shared();
    let pod = node.pod(handler).run();
    let container = pod.container(&["/bin/count", "30"]).start();
    assert_eq!(container.ends().exit_code, 0, "{}", container.story());
    let entries = log::read(&container.log);
    assert_numbers(&entries, 30);
    let errors = entries.iter().filter(|entry| entry.stream == "stderr");
    assert_eq!(errors.count(), 10);
    assert_eq!(
        container.status().log_path,
        container.log.to_str().expect("UTF-8")
    );
    pod.remove();
}

fn long_lines_come_in_parts(handler: Handler) {
    let node = shared();
    let pod = node.pod(handler).run();
    let container = pod.container(&["/bin/count", "6", "0", "100000"]).start();
    assert_eq!(container.ends().exit_code, 0, "{}", container.story());
    let entries = log::read(&container.log);
    assert_eq!(entries.len(), 6);
    for entry in &entries {
        assert_eq!(entry.text.len(), 100_000);
        assert!(entry.parts >= 6, "{} parts", entry.parts);
        let number = entry.text.find('a').unwrap_or(0);
        let rest = entry.text.bytes().enumerate().skip(number + 26);
        for (place, byte) in rest {
            assert_eq!(byte, b'a' + (place % 26) as u8, "at {place}");
        }
    }
    pod.remove();
}

fn rotation_loses_nothing(handler: Handler) {
    const LINES: u64 = 3000;
    let node = shared();
    let pod = node.pod(handler).run();
    let lines = LINES.to_string();
    let container = pod.container(&["/bin/count", &lines, "300"]).start();
    let mut files: Vec<PathBuf> = Vec::new();
    for number in 0..8 {
        thread::sleep(Duration::from_millis(100));
        let rotated = container.log.with_extension(format!("log.{number}"));
        fs::rename(&container.log, &rotated).expect("the log is there");
        files.push(rotated);
        // Its end may be anywhere: then there is nothing to reopen.
        if let Err(error) = reopen(&container) {
            assert_eq!(error.code(), Code::FailedPrecondition, "{error}");
            break;
        }
        assert!(container.log.exists(), "reopened, and not there");
    }
    assert_eq!(container.ends().exit_code, 0, "{}", container.story());
    files.push(container.log.clone());
    files.retain(|file| file.exists());
    assert!(files.len() > 3, "it ended too early: {files:?}");
    let files: Vec<_> = files.iter().map(PathBuf::as_path).collect();
    assert_numbers(&log::read_all(&files), LINES);
    pod.remove();
}

fn a_container_without_a_log(handler: Handler) {
    let node = shared();
    let pod = node.pod(handler).run();
    let plan = pod.container(&["/bin/count", "1000"]);
    let container = plan.with(|config| config.log_path.clear()).start();
    let status = container.ends();
    assert_eq!((status.exit_code, status.log_path.as_str()), (0, ""));
    pod.remove();
}

fn system_calls_by_annotation() {
    let node = shared();
    let pod = node.pod(Handler::Unikiln).run();
    let plan = pod.container(&["/bin/ends", "exit", "0"]).with(|config| {
        let annotation = ("unikiln.dev/strace", "write,%process");
        config
            .annotations
            .insert(annotation.0.to_owned(), annotation.1.to_owned());
    });
    let container = plan.start();
    let lines = container.output();
    for words in ["write(", "exit_group("] {
        let found = lines.iter().any(|line| line.contains(words));
        assert!(found, "no {words:?} in {lines:#?}");
    }
    assert!(lines.contains(&"exit 0".to_owned()), "{lines:#?}");
    pod.remove();
}

fn reopening_needs_a_running_container(handler: Handler) {
    let node = shared();
    let pod = node.pod(handler).run();
    let container = pod.container(&["/bin/ends", "exit", "0"]).create();
    let error = reopen(&container).expect_err("it does not run yet");
    assert_eq!(error.code(), Code::FailedPrecondition, "{error}");
    container.start();
    container.ends();
    let error = reopen(&container).expect_err("it is over");
    assert_eq!(error.code(), Code::FailedPrecondition, "{error}");
    pod.remove();
}
