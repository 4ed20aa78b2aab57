//! What is killed, missing or broken.

use std::fs;

use unikiln_daemon::handler::{Handler, HandlerError};

use crate::node::{Node, is_alive, script, wait_for};

#[test]
fn a_killed_conmon_is_the_end_of_its_container() {
    let Some(node) = Node::new("oci killed conmon") else {
        return;
    };
    let container = node.container("echo up; sleep 87654");
    let process = container.start();
    container.wait_line("up");
    let pid = fs::read_to_string(container.directory.join("container.pid")).expect("pid");
    let status = std::process::Command::new("kill")
        .args(["-KILL", &process.pid.to_string()])
        .status();
    assert!(status.expect("kill").success());
    let ended = container.wait(process);
    assert_eq!((ended.exit_code, ended.reason.as_str()), (255, "Unknown"));
    wait_for("the end of the program", || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    });
    drop(container);
    node.assert_clean();
}

#[test]
fn a_missing_program_is_named() {
    let Some(mut node) = Node::new("oci missing") else {
        return;
    };
    node.runtime = node.path().join("no-such-runc");
    let container = node.container("true");
    let error = container.try_start().expect_err("must not start");
    assert!(matches!(error, HandlerError::Failed(_)), "{error:?}");
    assert!(error.to_string().contains("no-such-runc"), "{error}");
    container.delete().expect("there is nothing to delete");
}

#[test]
fn a_broken_runtime_is_told_and_leaves_nothing() {
    let Some(mut node) = Node::new("oci broken") else {
        return;
    };
    let broken = node.path().join("broken");
    node.runtime = broken.clone();
    for (text, words) in [
        ("#!/bin/sh\necho my own words >&2\nexit 1\n", "my own words"),
        ("#!/bin/sh\nexit 0\n", "ended"),
        ("#!/bin/sh\nkill -9 $$\n", "ended"),
    ] {
        script(&broken, text);
        let container = node.container("true");
        let error = container
            .try_start()
            .expect_err("must not start")
            .to_string();
        assert!(error.contains(words), "{error}");
        container.delete().expect("delete");
    }
    node.assert_clean();
}

#[test]
fn leftovers_of_a_killed_daemon_are_removed() {
    let Some(node) = Node::new("oci leftovers") else {
        return;
    };
    // Created, never started, and created again.
    let created = node.container("true");
    node.handler().create(&created.launch()).expect("create");
    node.handler()
        .create(&created.launch())
        .expect("create again");
    created.delete().expect("delete");
    // Started by a daemon that did not live to note it.
    let started = node.container("sleep 1000");
    let process = started.start();
    started.delete().expect("delete");
    assert!(!is_alive(process));
    // A directory that holds anything but what it should.
    let garbage = node.container("true");
    for path in ["bundle/rootfs/etc", "overlay/work", "exit"] {
        fs::create_dir_all(garbage.directory.join(path)).expect("directory");
    }
    fs::write(garbage.directory.join("conmon.pid"), "not a number").expect("write");
    fs::write(garbage.directory.join("container.pid"), "1").expect("write");
    fs::write(garbage.directory.join("bundle/config.json"), "{").expect("write");
    garbage.delete().expect("delete");
    // A number of another process must not be taken for conmon's.
    let mut other = std::process::Command::new("sleep")
        .arg("1000")
        .spawn()
        .expect("sleep");
    fs::write(garbage.directory.join("conmon.pid"), other.id().to_string()).expect("write");
    garbage.delete().expect("delete");
    assert!(
        other.try_wait().expect("wait").is_none(),
        "somebody else was killed"
    );
    other.kill().expect("kill");
    other.wait().expect("wait");
    drop((created, started, garbage));
    node.assert_clean();
}

#[test]
fn what_can_never_work_is_refused_before_anything_is_made() {
    let Some(node) = Node::new("oci refused") else {
        return;
    };
    let mut container = node.container("true");
    container.security().run_as_username = "nobody-here".to_owned();
    let error = container.try_start();
    assert!(matches!(error, Err(HandlerError::Invalid(_))), "{error:?}");
    let mut empty = node.container("true");
    empty.config.command.clear();
    let error = empty.try_start();
    assert!(matches!(error, Err(HandlerError::Invalid(_))), "{error:?}");
    assert!(!empty.directory.join("overlay").exists());
    let mut missing = node.container("true");
    missing.image.manifest = format!("sha256:{}", "0".repeat(64));
    assert!(missing.try_start().is_err());
    drop((container, empty, missing));
    node.assert_clean();
}

#[test]
fn containers_without_a_record_are_swept_away() {
    let Some(node) = Node::new("oci sweep") else {
        return;
    };
    let (known, lost) = (node.container("sleep 1000"), node.container("sleep 1000"));
    let (known_process, lost_process) = (known.start(), lost.start());
    let directory = node.path().join("containers");
    let handler = node.handler();
    handler
        .sweep(&directory, &|id| id == known.id)
        .expect("sweep");
    assert!(is_alive(known_process) && !is_alive(lost_process));
    assert!(!lost.directory.join("bundle").exists());
    let output = known.exec(
        known_process,
        "cat /dev/shm/none 2>/dev/null; echo fine",
        None,
    );
    assert_eq!(output.expect("exec").stdout, b"fine\n");
    handler.sweep(&directory, &|_| false).expect("sweep");
    assert!(!is_alive(known_process));
    node.assert_clean();
    std::mem::forget((known, lost));
}
