//! Follows what an image starts: the file of that name, then the `#!` lines, up to
//! the ELF file that is loaded ([`super::loaded`]).
//!
//! Only for the first program, and what its `#!` lines name, it is sure what the
//! guest would do; what a shell or another program starts later gives warnings.

use std::collections::BTreeSet;

use unikiln_unikernel::{Finding, Manifest, Needs, ProgramNeeds, Severity, Verdict};

use super::{calls, finding};
use crate::program::tree_files::TreeFiles;
use crate::program::{DEFAULT_PATH, join, variable};
use crate::rootfs::RootFs;
use crate::rootfs::path::display;
use crate::rootfs::tree::{Inode, Kind};

/// `#!` lines that the libOS follows.
const SCRIPTS_MAX: usize = 4;
/// What the libOS reads of a script's first line.
const START_BYTES: u64 = 256;
/// Programs that start each other by `exec`.
const DEPTH_MAX: usize = 8;
/// Most findings of an image: one that is made to have more says no more by them.
const FINDINGS_MAX: usize = 64;
/// Most bytes of a finding's text.
const TEXT_MAX_BYTES: usize = 1024;
/// Most system calls of one kind that are named.
const CALLS_MAX: usize = 512;

/// What is known of an image so far.
pub(super) struct Examiner<'a> {
    pub(super) files: TreeFiles<'a>,
    pub(super) manifest: &'a Manifest,
    findings: Vec<Finding>,
    exit_code: Option<u8>,
    pub(super) needs: Needs,
    /// Memory of the writable segments of the program that has most.
    pub(super) writable_bytes: u64,
    pub(super) missing: BTreeSet<u64>,
    pub(super) refused: BTreeSet<u64>,
    pub(super) partial: BTreeSet<u64>,
    depth: usize,
}

/// How sure it is that a program is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Certainty {
    /// The guest does it itself.
    Sure,
    /// Some program does.
    Likely,
}

/// Why a path is no program: what it is, exit code, kind of finding.
pub(super) struct NoFile {
    pub(super) what: &'static str,
    pub(super) exit_code: u8,
    code: &'static str,
}

impl<'a> Examiner<'a> {
    pub(super) fn new(rootfs: &'a RootFs, manifest: &'a Manifest) -> Self {
        Self {
            files: TreeFiles(rootfs),
            manifest,
            findings: Vec::new(),
            exit_code: None,
            needs: Needs::default(),
            writable_bytes: 0,
            missing: BTreeSet::new(),
            refused: BTreeSet::new(),
            partial: BTreeSet::new(),
            depth: 0,
        }
    }

    fn add(&mut self, severity: Severity, code: &'static str, mut what: String, advice: &str) {
        if self.findings.len() < FINDINGS_MAX || severity == Severity::Error {
            if what.len() > TEXT_MAX_BYTES {
                what.truncate(what.floor_char_boundary(TEXT_MAX_BYTES));
                what.push('…');
            }
            self.findings.push(finding(severity, code, what, advice));
        }
    }

    pub(super) fn note(&mut self, code: &'static str, what: String, advice: &str) {
        self.add(Severity::Note, code, what, advice);
    }

    pub(super) fn warn(&mut self, code: &'static str, what: String, advice: &str) {
        self.add(Severity::Warning, code, what, advice);
    }

    /// A guest would end with `exit_code`.
    pub(super) fn error(&mut self, code: &'static str, what: String, advice: &str, exit_code: u8) {
        self.add(Severity::Error, code, what, advice);
        self.exit_code.get_or_insert(exit_code);
    }

    /// As [`Self::error`] where it is sure, else a warning.
    pub(super) fn fails(
        &mut self,
        certainty: Certainty,
        code: &'static str,
        what: String,
        advice: &str,
        exit_code: u8,
    ) {
        match certainty {
            Certainty::Sure => self.error(code, what, advice, exit_code),
            Certainty::Likely => self.warn(code, what, advice),
        }
    }

    pub(super) fn verdict(mut self) -> Verdict {
        let names = |numbers: &BTreeSet<u64>| {
            let numbers = numbers.iter().copied().take(CALLS_MAX);
            numbers.map(calls::name).collect()
        };
        self.needs.system_calls.missing = names(&self.missing);
        self.needs.system_calls.refused = names(&self.refused);
        self.needs.system_calls.partial = names(&self.partial);
        Verdict::new(self.findings, self.needs, self.exit_code)
    }

    /// Follows the image's command.
    pub(super) fn command(&mut self) {
        let command = self.needs.command.clone();
        if command.is_empty() {
            let what = "the image names no program".to_owned();
            self.error(
                "no-program",
                what,
                "give one after the image, or with --entrypoint",
                127,
            );
            return;
        }
        self.follow(&command, Certainty::Sure);
    }

    /// Follows a command: a program and its arguments.
    pub(super) fn follow(&mut self, command: &[String], certainty: Certainty) {
        if self.depth >= DEPTH_MAX {
            return;
        }
        self.depth += 1;
        let Some(name) = command.first() else { return };
        match self.find(name.as_bytes()) {
            Ok(path) => self.start(path, command.to_vec(), certainty),
            Err(problem) => {
                let what = format!("{name}: {}", problem.what);
                let advice = "name a program of the image by its path";
                self.fails(certainty, problem.code, what, advice, problem.exit_code);
            }
        }
    }

    /// A path as a program of the image sees it.
    pub(super) fn path(&self, name: &str) -> Vec<u8> {
        join(self.manifest.working_dir.as_bytes(), name.as_bytes())
    }

    /// Looks a program up as the libOS does.
    fn find(&self, name: &[u8]) -> Result<Vec<u8>, NoFile> {
        let directory = self.manifest.working_dir.as_bytes();
        if name.contains(&b'/') {
            let path = join(directory, name);
            return self.executable(&path).map(|_| path);
        }
        let mut problem = NoFile::absent();
        let search = variable(&self.manifest.env, "PATH").unwrap_or(DEFAULT_PATH);
        for entry in search.as_bytes().split(|&byte| byte == b':') {
            if name.is_empty() {
                break;
            }
            let path = join(&join(directory, entry), name);
            match self.executable(&path) {
                Ok(_) => return Ok(path),
                Err(other) if other.exit_code == 126 => problem = other,
                Err(_) => {}
            }
        }
        Err(problem)
    }

    /// A file that this image's user may execute.
    pub(super) fn executable(&self, path: &[u8]) -> Result<&Inode, NoFile> {
        let problem = |what| NoFile {
            what,
            exit_code: 126,
            code: "not-executable",
        };
        let inode = self.files.inode(path).ok_or_else(NoFile::absent)?;
        let attributes = &inode.attributes;
        let user = &self.manifest.user;
        let bits = if user.uid == 0 {
            0o111
        } else if user.uid == attributes.uid {
            0o100
        } else if user.gid == attributes.gid || user.groups.contains(&attributes.gid) {
            0o010
        } else {
            0o001
        };
        match inode.kind {
            Kind::File(_) if attributes.mode & bits != 0 => Ok(inode),
            Kind::File(_) => Err(problem("not executable for the image's user")),
            Kind::Directory(_) => Err(problem("a directory, no program")),
            _ => Err(problem("a special file, no program")),
        }
    }

    /// Follows `#!` lines to the ELF file that is loaded.
    fn start(&mut self, mut path: Vec<u8>, mut command: Vec<String>, certainty: Certainty) {
        for _ in 0..=SCRIPTS_MAX {
            let Some((start, _)) = self.files.read_start(&path, START_BYTES) else {
                return;
            };
            let Some((interpreter, argument)) = script_line(&start) else {
                self.elf(&path, &command, certainty);
                return;
            };
            self.needs.programs.push(ProgramNeeds {
                path: display(&path),
                kind: "script".to_owned(),
                interpreter: Some(display(&interpreter)),
                ..ProgramNeeds::default()
            });
            let place = join(self.manifest.working_dir.as_bytes(), &interpreter);
            if let Err(problem) = self.executable(&place) {
                let (script, name) = (display(&path), display(&interpreter));
                let what = format!("the script {script} is for {name}: {}", problem.what);
                let advice = "add it to the image, or correct the script's first line";
                let code = problem.code_of_interpreter();
                self.fails(certainty, code, what, advice, problem.exit_code);
                return;
            }
            let mut replaced = vec![display(&interpreter)];
            replaced.extend(argument.map(|argument| display(&argument)));
            replaced.push(display(&path));
            replaced.extend(command.into_iter().skip(1));
            command = replaced;
            path = place;
        }
        let what = format!(
            "more than {SCRIPTS_MAX} #! lines lead to each other at {}",
            display(&path)
        );
        self.fails(
            certainty,
            "not-executable",
            what,
            "name the program itself",
            126,
        );
    }
}

impl NoFile {
    fn absent() -> Self {
        Self {
            what: "no such file in the image",
            exit_code: 127,
            code: "not-found",
        }
    }

    /// The kind of finding where the file is another one's interpreter.
    pub(super) fn code_of_interpreter(&self) -> &'static str {
        match self.exit_code {
            127 => "missing-interpreter",
            _ => self.code,
        }
    }
}

pub(super) fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

/// Interpreter and argument of a `#!` line, as the libOS reads them.
fn script_line(start: &[u8]) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let blank = |byte: &u8| *byte == b' ' || *byte == b'\t' || *byte == b'\r';
    let line = start
        .strip_prefix(b"#!")?
        .split(|&byte| byte == b'\n')
        .next()?;
    let line = &line[line.iter().position(|byte| !blank(byte))?..];
    let end = line.iter().position(blank).unwrap_or(line.len());
    let (program, rest) = line.split_at(end);
    let rest = rest.iter().position(|byte| !blank(byte)).map(|from| {
        let rest = &rest[from..];
        let end = rest
            .iter()
            .rposition(|byte| !blank(byte))
            .map_or(0, |last| last + 1);
        rest[..end].to_vec()
    });
    Some((program.to_vec(), rest))
}
