//! What an image starts: names, scripts, shells; what its configuration says.

use std::fs;
use std::process::Command;

use serde_json::json;

use super::{
    assert_cannot, assert_may_not, assert_notes, assert_runs, compile, hello, verdict,
    verdict_with, with_libc,
};
use crate::image::Tar;

#[test]
fn programs_that_are_not_there() {
    let tar = || {
        Tar::new()
            .directory("etc")
            .mode("etc/text", b"x", 0o644)
            .program("bin/empty", b"")
            .program("bin/text", b"echo hi\n")
            .mode("bin/private", b"#!/bin/text\n", 0o700)
    };
    assert_cannot(
        &verdict(tar(), &[]),
        127,
        "no-program",
        &["names no program"],
    );
    assert_cannot(
        &verdict(tar(), &["/absent"]),
        127,
        "not-found",
        &["/absent", "no such file"],
    );
    assert_cannot(&verdict(tar(), &["absent"]), 127, "not-found", &["absent"]);
    assert_cannot(
        &verdict(tar(), &["/etc"]),
        126,
        "not-executable",
        &["/etc", "directory"],
    );
    assert_cannot(
        &verdict(tar(), &["/etc/text"]),
        126,
        "not-executable",
        &["/etc/text"],
    );
    assert_cannot(
        &verdict(tar(), &["empty"]),
        126,
        "not-executable",
        &["/bin/empty is empty"],
    );
    assert_cannot(
        &verdict(tar(), &["text"]),
        126,
        "not-executable",
        &["/bin/text", "#!"],
    );
    let config = json!({"Entrypoint": ["/bin/private"], "User": "1000:1000"});
    assert_cannot(
        &verdict_with(tar(), config),
        126,
        "not-executable",
        &["user"],
    );
    let config = json!({"Entrypoint": ["text"], "Env": ["PATH=/etc:/sbin"]});
    assert_cannot(
        &verdict_with(tar(), config),
        126,
        "not-executable",
        &["text"],
    );
    let config = json!({"Entrypoint": ["/bin/text"], "WorkingDir": "/etc/text"});
    assert_cannot(
        &verdict_with(tar(), config),
        126,
        "bad-working-dir",
        &["/etc/text"],
    );
}

#[test]
fn scripts_and_their_interpreters() {
    let tar = || {
        with_libc(Tar::new())
            .program("bin/hello", &hello())
            .program("bin/env", &hello())
            .program("good", b"#! /bin/hello -x\n")
            .program("far", b"#!/good\n")
            .program("bad", b"#!/bin/absent\nx")
            .program("windows", b"#!/bin/hello\r\n")
            .program("by-env", b"#!/usr/bin/env absent\n")
            .program("options", b"#!/usr/bin/env -iS absent\n")
            .program("split", b"#!/usr/bin/env -S A=1 hello -x\n")
            .program("loop", b"#!/loop\n")
            .symlink("usr", ".")
    };
    let good = verdict(tar(), &["/far", "1"]);
    assert_runs(&good);
    let paths: Vec<&str> = good
        .needs
        .programs
        .iter()
        .map(|program| program.path.as_str())
        .collect();
    assert_eq!(paths, ["/far", "/good", "/bin/hello"]);
    assert_runs(&verdict(tar(), &["/windows"]));
    let bad = verdict(tar(), &["/bad"]);
    assert_cannot(&bad, 127, "missing-interpreter", &["/bad", "/bin/absent"]);
    let by_env = verdict(tar(), &["/by-env"]);
    assert_cannot(&by_env, 127, "not-found", &["absent"]);
    assert_runs(&verdict(tar(), &["/options"]));
    let split = verdict(tar(), &["/split"]);
    assert_runs(&split);
    assert_eq!(split.needs.programs.len(), 3, "{split}");
    assert_may_not(
        &verdict(tar(), &["/usr/bin/env", "absent"]),
        "not-found",
        &["absent"],
    );
    assert_cannot(&verdict(tar(), &["/loop"]), 126, "not-executable", &["#!"]);
}

#[test]
fn shells_by_what_their_scripts_say() {
    let shell = fs::read("/bin/dash").expect("dash");
    let busybox = fs::read("/bin/busybox").expect("busybox");
    let tar = || {
        with_libc(Tar::new())
            .program("bin/sh", &shell)
            .program("bin/busybox", &busybox)
            .program("bin/hello", &hello())
            .program(
                "entry",
                b"#!/bin/sh\nset -e\nif [ \"$1\" = x ]; then shift; fi\nexec \"$@\"\n",
            )
            .program(
                "setup",
                b"#!/bin/sh\nset -e\nchown -R 1 /data\nexec \"$@\"\n",
            )
    };
    let runs = verdict(tar(), &["/entry", "hello", "world"]);
    assert_runs(&runs);
    assert_eq!(
        runs.needs
            .programs
            .last()
            .map(|program| program.path.as_str()),
        Some("/bin/hello")
    );
    assert_may_not(
        &verdict(tar(), &["/entry", "absent"]),
        "not-found",
        &["absent"],
    );
    assert_notes(
        &verdict(tar(), &["/setup", "hello"]),
        "fork",
        &["/setup", "chown", "line 3"],
    );
    assert_notes(&verdict(tar(), &["sh"]), "shell", &["standard input"]);
    assert_may_not(&verdict(tar(), &["sh", "/absent"]), "shell", &["/absent"]);
    assert_runs(&verdict(
        tar(),
        &["sh", "-ec", "cd /; exec hello \"$@\"", "sh", "1"],
    ));
    // dash forks for the last command, busybox becomes it.
    assert_notes(
        &verdict(tar(), &["/bin/sh", "-c", "hello"]),
        "fork",
        &["hello"],
    );
    assert_runs(&verdict(tar(), &["busybox", "sh", "-c", "hello"]));
    assert_notes(
        &verdict(tar(), &["sh", "-c", "hello & exec hello"]),
        "fork",
        &["background"],
    );
    assert_notes(
        &verdict(tar(), &["sh", "-c", "exec $PROGRAM"]),
        "shell",
        &["only it knows"],
    );
    assert_notes(
        &verdict(tar(), &["sh", "-c", ". /etc/profile"]),
        "shell",
        &["/etc/profile"],
    );
}

#[test]
fn what_the_configuration_says() {
    let program = compile(
        "char room[400 << 20]; int main(void) { return room[5]; }",
        &["-static"],
    );
    let config = json!({
        "Entrypoint": ["/p"], "Cmd": ["a b"], "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/data": {}},
        "StopSignal": "SIGWHAT", "WorkingDir": "/new", "User": "7:8",
    });
    let verdict = verdict_with(Tar::new().program("p", &program), config);
    assert_may_not(&verdict, "memory", &["MiB"]);
    let needs = &verdict.needs;
    assert_eq!(needs.command, ["/p", "a b"]);
    assert_eq!(needs.ports, ["80/tcp"]);
    assert_eq!(needs.volumes, ["/data"]);
    assert_eq!(
        (needs.user.as_str(), needs.working_dir.as_str()),
        ("7:8", "/new")
    );
    assert_eq!(needs.architecture, "amd64");
    assert!(needs.minimum_memory_bytes > 400 << 20);
    assert!(
        verdict
            .findings
            .iter()
            .any(|finding| finding.code == "stop-signal")
    );
    let text = verdict.to_string();
    for words in ["may not run: ", "80/tcp", "/data", "SIGWHAT", "\"a b\""] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn the_command_line_says_it_by_exit_code_and_json() {
    let program = env!("CARGO_BIN_EXE_unikiln-builder");
    let run = |words: &[&str]| {
        let output = Command::new(program)
            .arg("check")
            .args(words)
            .output()
            .expect("run");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let (code, text) = run(&["host:/bin/ls"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("runs\n"), "{text}");
    let (code, text) = run(&["host:/bin/ls", "--entrypoint", "/absent"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.starts_with("cannot run: /absent"), "{text}");
    let (code, text) = run(&["--json", "host:/bin/dash", "/absent"]);
    assert_eq!(code, Some(1), "{text}");
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json["answer"], "may-not");
    assert_eq!(json["findings"][0]["code"], "shell");
    assert_eq!(json["needs"]["programs"][0]["kind"], "elf");
    let (code, text) = run(&["host:/bin/dash", "-c", "exec dash -c :"]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(run(&["oci:/absent"]).0, Some(125));
    assert_eq!(run(&["/bin/ls"]).0, Some(125));
}
