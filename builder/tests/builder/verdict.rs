//! Verdicts on images made by hand: each kind of finding, from the image alone.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use tar::{EntryType, Header};
use unikiln_builder::{CheckOptions, ImageRef, NoProgress, check, check_file};
use unikiln_unikernel::{Answer, Severity, Verdict};

use crate::image::{Layout, Tar};

impl Tar {
    /// A file that can be executed, under a name of any length.
    fn program(self, name: &str, bytes: &[u8]) -> Self {
        self.mode(name, bytes, 0o755)
    }

    fn mode(self, name: &str, bytes: &[u8], mode: u32) -> Self {
        self.with(|builder| {
            let mut header = Header::new_gnu();
            header.set_entry_type(EntryType::Regular);
            header.set_mode(mode);
            header.set_size(bytes.len() as u64);
            header.set_uid(0);
            header.set_gid(0);
            builder
                .append_data(&mut header, name, bytes)
                .expect("append");
        })
    }
}

/// Compiles a C program of this machine.
fn compile(text: &str, flags: &[&str]) -> Vec<u8> {
    let directory = tempfile::tempdir().expect("directory");
    let source = directory.path().join("source.c");
    let output = directory.path().join("output");
    fs::write(&source, text).expect("write");
    let mut command = Command::new("cc");
    command.args(["-O1", "-w", "-o"]).arg(&output).arg(&source);
    let done = command.args(flags).output().expect("a C compiler");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    fs::read(output).expect("read")
}

/// The C library of this machine, where programs look for it.
fn with_libc(tar: Tar) -> Tar {
    let read = |path: &str| fs::read(path).expect(path);
    tar.program(
        "lib64/ld-linux-x86-64.so.2",
        &read("/lib64/ld-linux-x86-64.so.2"),
    )
    .program(
        "lib/x86_64-linux-gnu/libc.so.6",
        &read("/lib/x86_64-linux-gnu/libc.so.6"),
    )
}

fn hello() -> Vec<u8> {
    compile(
        "#include <stdio.h>\nint main(void) { puts(\"hi\"); return 0; }",
        &[],
    )
}

/// The verdict on an image of one layer that runs `command`.
fn verdict(tar: Tar, command: &[&str]) -> Verdict {
    verdict_with(tar, json!({"Entrypoint": command}))
}

fn verdict_with(tar: Tar, config: serde_json::Value) -> Verdict {
    let mut layout = Layout::new(&[tar.gzip()]);
    layout.config["config"] = config;
    layout.write();
    let checked = check(
        &layout.reference(),
        &CheckOptions::default(),
        &mut NoProgress,
    );
    let checked = checked.expect("it can be checked");
    // The file holds the same.
    let report = layout.build().expect("it can be built");
    let kept = check_file(&layout.output()).expect("it is there");
    assert_eq!(kept, checked);
    let stored = report.manifest.verdict.expect("it is there");
    assert_eq!(stored.needs, checked.needs);
    checked
}

#[track_caller]
fn assert_cannot(verdict: &Verdict, exit_code: u8, code: &str, words: &[&str]) {
    assert_eq!(verdict.answer, Answer::Cannot, "{verdict}");
    assert_eq!(verdict.exit_code, Some(exit_code), "{verdict}");
    assert_eq!(verdict.findings[0].code, code, "{verdict}");
    assert!(verdict.summary.starts_with("cannot run: "), "{verdict}");
    for word in words {
        assert!(verdict.summary.contains(word), "{word:?}: {verdict}");
    }
}

#[track_caller]
fn assert_may_not(verdict: &Verdict, code: &str, words: &[&str]) {
    assert_eq!(verdict.answer, Answer::MayNot, "{verdict}");
    assert_eq!(verdict.findings[0].code, code, "{verdict}");
    assert_eq!(verdict.exit_code, None, "{verdict}");
    for word in words {
        assert!(verdict.summary.contains(word), "{word:?}: {verdict}");
    }
}

#[track_caller]
fn assert_runs(verdict: &Verdict) {
    assert_eq!(
        (verdict.answer, verdict.summary.as_str()),
        (Answer::Runs, "runs"),
        "{verdict}"
    );
}

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
    assert_may_not(
        &verdict(tar(), &["/usr/bin/env", "absent"]),
        "not-found",
        &["absent"],
    );
    assert_cannot(&verdict(tar(), &["/loop"]), 126, "not-executable", &["#!"]);
}

#[test]
fn libraries_and_versions() {
    let program = hello();
    let runs = verdict(with_libc(Tar::new()).program("p", &program), &["/p"]);
    assert_runs(&runs);
    let only = &runs.needs.programs[0];
    assert_eq!(
        only.interpreter.as_deref(),
        Some("/lib64/ld-linux-x86-64.so.2")
    );
    assert_eq!(only.libraries, ["/lib/x86_64-linux-gnu/libc.so.6"]);
    assert!(only.position_independent);

    let alone = verdict(Tar::new().program("p", &program), &["/p"]);
    assert_cannot(
        &alone,
        127,
        "missing-interpreter",
        &["/p", "/lib64/ld-linux-x86-64.so.2"],
    );
    let loader = fs::read("/lib64/ld-linux-x86-64.so.2").expect("loader");
    let without = || {
        Tar::new()
            .program("p", &program)
            .program("lib64/ld-linux-x86-64.so.2", &loader)
    };
    assert_cannot(
        &verdict(without(), &["/p"]),
        127,
        "missing-library",
        &["/p", "libc.so.6"],
    );

    let libc = fs::read("/lib/x86_64-linux-gnu/libc.so.6").expect("libc");
    let elsewhere = || without().program("opt/libc.so.6", &libc);
    assert_may_not(
        &verdict(elsewhere(), &["/p"]),
        "missing-library",
        &["/opt/libc.so.6"],
    );
    let config = json!({"Entrypoint": ["/p"], "Env": ["LD_LIBRARY_PATH=/srv:/opt"]});
    assert_runs(&verdict_with(elsewhere(), config));

    // The same length, so that nothing moves.
    let mut newer = program;
    let name = b"GLIBC_2.2.5\0";
    let at = newer
        .windows(name.len())
        .position(|window| window == name)
        .expect("it is named");
    newer[at..at + name.len()].copy_from_slice(b"GLIBC_9.9.9\0");
    let newer = verdict(with_libc(Tar::new()).program("p", &newer), &["/p"]);
    assert_cannot(
        &newer,
        126,
        "missing-version",
        &["GLIBC_9.9.9", "libc.so.6"],
    );
}

#[test]
fn other_machines_and_damaged_files() {
    let good = compile("int main(void) { return 0; }", &["-static"]);
    let changed = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        verdict(Tar::new().program("p", &file), &["/p"])
    };
    assert_runs(&verdict(Tar::new().program("p", &good), &["/p"]));
    assert_cannot(
        &changed(18, &[183, 0]),
        126,
        "wrong-architecture",
        &["/p", "arm64"],
    );
    assert_cannot(
        &changed(4, &[1]),
        126,
        "wrong-architecture",
        &["only x86-64"],
    );
    assert_cannot(&changed(16, &[1, 0]), 126, "bad-elf", &["object file"]);
    assert_cannot(
        &changed(32, &[0xff; 8]),
        126,
        "bad-elf",
        &["program headers"],
    );
    let garbage = [b"\x7fELF".as_slice(), &[0x5a; 500]].concat();
    assert_cannot(
        &verdict(Tar::new().program("p", &garbage), &["/p"]),
        126,
        "bad-elf",
        &["/p"],
    );
    let half = &good[..good.len() / 2];
    assert_may_not(
        &verdict(Tar::new().program("p", half), &["/p"]),
        "bad-elf",
        &["cut off"],
    );
    let start = &good[..40];
    assert_cannot(
        &verdict(Tar::new().program("p", start), &["/p"]),
        126,
        "bad-elf",
        &["cut off"],
    );

    let mut layout = Layout::new(&[Tar::new().program("p", &good).gzip()]);
    layout.config["architecture"] = json!("arm64");
    layout.write();
    let other = check(
        &layout.reference(),
        &CheckOptions::default(),
        &mut NoProgress,
    )
    .expect("a verdict");
    assert_eq!((other.answer, other.exit_code), (Answer::Cannot, None));
    assert!(other.summary.contains("linux/arm64"), "{other}");
    layout.config["architecture"] = json!("amd64");
    layout.config["config"] = json!({"Entrypoint": ["/p"], "User": "nobody-knows"});
    layout.write();
    let unknown = check(
        &layout.reference(),
        &CheckOptions::default(),
        &mut NoProgress,
    )
    .expect("a verdict");
    assert_eq!(unknown.findings[0].code, "unknown-user");
    assert!(unknown.summary.contains("nobody-knows"), "{unknown}");
}

#[test]
fn processes_and_calls() {
    let fork = compile(
        "#include <unistd.h>\nint main(void) { return fork() != 0; }",
        &[],
    );
    let forks = verdict(with_libc(Tar::new()).program("p", &fork), &["/p"]);
    assert_may_not(&forks, "fork", &["/p", "main"]);
    assert!(
        forks.needs.fork
            && forks
                .needs
                .system_calls
                .missing
                .contains(&"fork".to_owned())
    );

    let unknown = "int main(void) { long n = 999; asm volatile(\"syscall\" : \"+a\"(n) : : \"rcx\", \"r11\", \"memory\"); return 0; }";
    let unknown = compile(unknown, &["-static"]);
    let unknown = verdict(Tar::new().program("p", &unknown), &["/p"]);
    assert_may_not(&unknown, "missing-call", &["999"]);

    let plain = compile(
        "int main(void) { return 0; }",
        &["-static", "-z", "execstack"],
    );
    let plain = verdict(Tar::new().mode("p", &plain, 0o4755), &["/p"]);
    assert_runs(&plain);
    let codes: Vec<&str> = plain
        .findings
        .iter()
        .map(|finding| finding.code.as_str())
        .collect();
    assert_eq!(codes, ["executable-stack", "set-id"]);
    assert!(
        plain
            .findings
            .iter()
            .all(|finding| finding.severity == Severity::Note)
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
    assert_may_not(
        &verdict(tar(), &["/setup", "hello"]),
        "shell",
        &["/setup", "chown", "line 3"],
    );
    assert_may_not(&verdict(tar(), &["sh"]), "shell", &["standard input"]);
    assert_may_not(&verdict(tar(), &["sh", "/absent"]), "shell", &["/absent"]);
    assert_runs(&verdict(
        tar(),
        &["sh", "-ec", "cd /; exec hello \"$@\"", "sh", "1"],
    ));
    // dash forks for the last command, busybox becomes it.
    assert_may_not(
        &verdict(tar(), &["/bin/sh", "-c", "hello"]),
        "shell",
        &["hello"],
    );
    assert_runs(&verdict(tar(), &["busybox", "sh", "-c", "hello"]));
    assert_may_not(
        &verdict(tar(), &["sh", "-c", "hello & exec hello"]),
        "shell",
        &["background"],
    );
    assert_may_not(
        &verdict(tar(), &["sh", "-c", "exec $PROGRAM"]),
        "shell",
        &["only it knows"],
    );
    assert_may_not(
        &verdict(tar(), &["sh", "-c", ". /etc/profile"]),
        "shell",
        &["/etc/profile"],
    );
}

#[test]
fn programs_of_this_machine() {
    for program in [
        "/usr/bin/redis-server",
        "/usr/bin/python3.11",
        "/bin/ls",
        "/usr/bin/sqlite3",
    ] {
        if !Path::new(program).exists() {
            eprintln!("SKIP: no {program} here");
            continue;
        }
        let image = ImageRef::Host {
            program: program.into(),
        };
        assert_runs(&check(&image, &CheckOptions::default(), &mut NoProgress).expect(program));
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
    let (code, text) = run(&["--json", "host:/bin/dash"]);
    assert_eq!(code, Some(1), "{text}");
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json["answer"], "may-not");
    assert_eq!(json["findings"][0]["code"], "shell");
    assert_eq!(json["needs"]["programs"][0]["kind"], "elf");
    assert_eq!(run(&["oci:/absent"]).0, Some(125));
    assert_eq!(run(&["/bin/ls"]).0, Some(125));
}
