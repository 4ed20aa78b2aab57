//! Starting, logs, signals, ends.

use std::fs;
use std::path::{Path, PathBuf};

use unikiln_daemon::handler::Handler;

use crate::node::{Node, is_alive, read_log, wait_for};

#[test]
fn a_container_runs_logs_and_ends() {
    let Some(node) = Node::new("oci life") else {
        return;
    };
    let container = node.container("echo out; echo err >&2; exit 7");
    let ended = container.run();
    assert_eq!((ended.exit_code, ended.reason.as_str()), (7, "Error"));
    let mut lines = container.lines();
    lines.sort();
    let line = |stream: &str, text: &str| (stream.to_owned(), text.to_owned());
    assert_eq!(lines, [line("stderr", "err"), line("stdout", "out")]);
    container.delete().expect("delete");
    container.delete().expect("delete again");
    let fine = node.container("true");
    let ended = fine.run();
    assert_eq!((ended.exit_code, ended.reason.as_str()), (0, "Completed"));
    drop((container, fine));
    node.assert_clean();
}

#[test]
fn signals_reach_the_program() {
    let Some(node) = Node::new("oci signals") else {
        return;
    };
    let polite =
        node.container("trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.1; done");
    let process = polite.start();
    polite.wait_line("up");
    let handler = node.handler();
    handler.signal(&polite.launch(), process, 15).expect("TERM");
    assert_eq!(polite.wait(process).exit_code, 3);
    assert!(polite.said().contains(&"bye".to_owned()));
    // It is gone, which is no error.
    handler
        .signal(&polite.launch(), process, 15)
        .expect("TERM again");
    let stubborn = node.container("trap '' TERM; echo up; sleep 1000 & wait");
    let process = stubborn.start();
    stubborn.wait_line("up");
    handler
        .signal(&stubborn.launch(), process, 9)
        .expect("KILL");
    assert_eq!(stubborn.wait(process).exit_code, 137);
    drop((polite, stubborn));
    node.assert_clean();
}

#[test]
fn a_log_is_opened_anew_without_losing_a_line() {
    let Some(node) = Node::new("oci log") else {
        return;
    };
    let container = node.container(
        "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i + 1)); done; echo end; sleep 1000",
    );
    let process = container.start();
    let log = container.log.clone().expect("log");
    let handler = node.handler();
    // Under its own name nothing is to be opened, and nothing may be lost.
    handler
        .reopen_log(&container.launch(), process)
        .expect("reopen");
    let mut parts = Vec::new();
    for number in 0..4 {
        let old = log.with_extension(format!("{number}"));
        fs::rename(&log, &old).expect("rename");
        handler
            .reopen_log(&container.launch(), process)
            .expect("reopen");
        assert!(log.exists());
        parts.push(old);
    }
    parts.push(log);
    let files: Vec<_> = parts.iter().map(PathBuf::as_path).collect();
    let is_end = |line: &(String, String)| line.1 == "end";
    wait_for("the last line", || read_log(&files).iter().any(is_end));
    let numbered = read_log(&files).into_iter().filter(|line| !is_end(line));
    let expected = (0..3000).map(|number| ("stdout".to_owned(), format!("line {number}")));
    assert_eq!(numbered.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}

#[test]
fn a_container_without_a_log_and_one_with_a_terminal_run() {
    let Some(node) = Node::new("oci terminal") else {
        return;
    };
    let mut quiet = node.container("echo nobody listens; exit 4");
    quiet.log = None;
    assert_eq!(quiet.run().exit_code, 4);
    let mut terminal = node.container("[ -t 1 ] && echo a terminal");
    terminal.config.tty = true;
    assert_eq!(terminal.run().exit_code, 0);
    assert_eq!(terminal.said()[0].trim_end(), "a terminal");
}

#[test]
fn a_program_that_is_not_there_is_told_in_the_runtimes_words() {
    let Some(node) = Node::new("oci start failure") else {
        return;
    };
    let mut container = node.container("");
    container.config.command = vec!["/no/such/program".to_owned()];
    let error = container
        .try_start()
        .expect_err("must not start")
        .to_string();
    assert!(
        error.contains("/no/such/program") && error.contains("no such file"),
        "{error}"
    );
    container.delete().expect("delete");
    drop(container);
    node.assert_clean();
}

#[test]
fn another_runtime_does_the_same() {
    let Some(node) = Node::with("crun", "oci crun", Vec::new()) else {
        return;
    };
    let controllers = Path::new("/sys/fs/cgroup/unified/cgroup.controllers");
    if std::fs::read_to_string(controllers).is_ok_and(|list| !list.trim().is_empty()) {
        eprintln!("crun does not run where cgroups of both versions have controllers");
        return;
    }
    let container = node.container("echo out; sleep 1000");
    let process = container.start();
    container.wait_line("out");
    let output = container
        .exec(process, "echo in; exit 5", None)
        .expect("exec");
    assert_eq!((output.exit_code, output.stdout), (5, b"in\n".to_vec()));
    let handler = node.handler();
    handler
        .signal(&container.launch(), process, 9)
        .expect("KILL");
    assert_eq!(container.wait(process).exit_code, 137);
    assert!(!is_alive(process));
    drop(container);
    node.assert_clean();
}
