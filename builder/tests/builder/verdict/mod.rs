//! Verdicts on images made by hand: each kind of finding, from the image alone.
//!
//! | module | what it owns |
//! |---|---|
//! | [`start`] | the command, scripts, shells, the configuration |
//! | [`program`] | ELF files, their libraries, what they do |

mod program;
mod start;

use std::fs;
use std::process::Command;

use serde_json::json;
use tar::{EntryType, Header};
use unikiln_builder::{CheckOptions, NoProgress, check, check_file};
use unikiln_unikernel::{Answer, Finding, Severity, Verdict};

use crate::image::{Layout, Tar};

impl Tar {
    /// A file that can be executed, under a name of any length.
    pub(super) fn program(self, name: &str, bytes: &[u8]) -> Self {
        self.mode(name, bytes, 0o755)
    }

    pub(super) fn mode(self, name: &str, bytes: &[u8], mode: u32) -> Self {
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
pub(super) fn compile(text: &str, flags: &[&str]) -> Vec<u8> {
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
pub(super) fn with_libc(tar: Tar) -> Tar {
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

pub(super) fn hello() -> Vec<u8> {
    compile(
        "#include <stdio.h>\nint main(void) { puts(\"hi\"); return 0; }",
        &[],
    )
}

/// The verdict on an image of one layer that runs `command`.
pub(super) fn verdict(tar: Tar, command: &[&str]) -> Verdict {
    verdict_with(tar, json!({"Entrypoint": command}))
}

pub(super) fn verdict_with(tar: Tar, config: serde_json::Value) -> Verdict {
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
pub(super) fn assert_cannot(verdict: &Verdict, exit_code: u8, code: &str, words: &[&str]) {
    assert_eq!(verdict.answer, Answer::Cannot, "{verdict}");
    assert_eq!(verdict.exit_code, Some(exit_code), "{verdict}");
    assert_eq!(verdict.findings[0].code, code, "{verdict}");
    assert!(verdict.summary.starts_with("cannot run: "), "{verdict}");
    for word in words {
        assert!(verdict.summary.contains(word), "{word:?}: {verdict}");
    }
}

#[track_caller]
pub(super) fn assert_may_not(verdict: &Verdict, code: &str, words: &[&str]) {
    assert_eq!(verdict.answer, Answer::MayNot, "{verdict}");
    assert_eq!(verdict.findings[0].code, code, "{verdict}");
    assert_eq!(verdict.exit_code, None, "{verdict}");
    for word in words {
        assert!(verdict.summary.contains(word), "{word:?}: {verdict}");
    }
}

/// It runs, and the verdict notes something.
#[track_caller]
pub(super) fn assert_notes(verdict: &Verdict, code: &str, words: &[&str]) {
    assert_runs(verdict);
    let noted = |finding: &&Finding| {
        finding.code == code && words.iter().all(|word| finding.what.contains(word))
    };
    let finding = verdict.findings.iter().find(noted);
    assert!(
        finding.is_some_and(|finding| finding.severity == Severity::Note),
        "{code} {words:?}: {verdict}"
    );
}

#[track_caller]
pub(super) fn assert_runs(verdict: &Verdict) {
    assert_eq!(
        (verdict.answer, verdict.summary.as_str()),
        (Answer::Runs, "runs"),
        "{verdict}"
    );
}
