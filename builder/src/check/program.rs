//! Follows what an image starts: the file of that name, the `#!` lines, the ELF
//! file with its dynamic linker and libraries, and what it does of its own accord.
//!
//! Only for the first program, and what its `#!` lines name, it is sure what the
//! guest would do; what a shell or another program starts later gives warnings.

use std::collections::BTreeSet;

use unikiln_unikernel::{Finding, Manifest, Needs, ProgramNeeds, Severity, Verdict};

use super::elf::Mapped;
use super::header::{self, Refusal};
use super::reach::{self, File};
use super::{calls, devices, finding, script};
use crate::program::closure::{Closure, closure};
use crate::program::tree_files::TreeFiles;
use crate::program::{DEFAULT_PATH, join, variable};
use crate::rootfs::RootFs;
use crate::rootfs::path::display;
use crate::rootfs::tree::{Inode, Kind};

/// Largest file that is read as a whole.
const FILE_MAX_BYTES: u64 = 512 << 20;
/// `#!` lines that the libOS follows.
const SCRIPTS_MAX: usize = 4;
/// What the libOS reads of a script's first line.
const START_BYTES: usize = 256;
/// Programs that start each other by `exec`.
const DEPTH_MAX: usize = 8;
/// Programs that start the one that they are given, and stay.
const WRAPPERS: [&str; 6] = [
    "catatonit",
    "docker-init",
    "dumb-init",
    "s6-svscan",
    "supervisord",
    "tini",
];
/// Programs that do what the text says that they are given, by the beginnings of their names.
const TOLD: [&str; 10] = [
    "busybox", "java", "lua", "node", "perl", "php", "python", "ruby", "tclsh", "toybox",
];
/// Parts of the C library and of the compiler's: known by the names of their functions.
const C_LIBRARY: [&str; 14] = [
    "ld-linux",
    "ld-musl",
    "libc-",
    "libc.",
    "libdl.",
    "libgcc_s.",
    "libm.",
    "libmvec.",
    "libnss_",
    "libpthread.",
    "libresolv.",
    "librt.",
    "libstdc++.",
    "libutil.",
];
const SET_ID: u16 = 0o6000;
const SYS_FORK: u64 = 57;

/// What is known of an image so far.
pub(super) struct Examiner<'a> {
    pub(super) files: TreeFiles<'a>,
    manifest: &'a Manifest,
    findings: Vec<Finding>,
    exit_code: Option<u8>,
    pub(super) needs: Needs,
    /// Memory of the writable segments of the program that has most.
    pub(super) writable_bytes: u64,
    missing: BTreeSet<u64>,
    refused: BTreeSet<u64>,
    partial: BTreeSet<u64>,
    depth: usize,
}

/// A file of the image, read.
type Contents = (Vec<u8>, Vec<u8>);

/// How sure it is that a program is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Certainty {
    /// The guest does it itself.
    Sure,
    /// Some program does.
    Likely,
}

/// Why a path is no program: what it is, exit code, kind of finding.
struct NoFile {
    what: &'static str,
    exit_code: u8,
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

    pub(super) fn note(&mut self, code: &'static str, what: String, advice: &str) {
        self.findings
            .push(finding(Severity::Note, code, what, advice));
    }

    pub(super) fn warn(&mut self, code: &'static str, what: String, advice: &str) {
        self.findings
            .push(finding(Severity::Warning, code, what, advice));
    }

    /// A guest would end with `exit_code`.
    pub(super) fn error(&mut self, code: &'static str, what: String, advice: &str, exit_code: u8) {
        self.findings
            .push(finding(Severity::Error, code, what, advice));
        self.exit_code.get_or_insert(exit_code);
    }

    fn fails(
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
        let names = |numbers: &BTreeSet<u64>| numbers.iter().copied().map(calls::name).collect();
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
    fn executable(&self, path: &[u8]) -> Result<&Inode, NoFile> {
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
            let Some(bytes) = self.files.read(&path, FILE_MAX_BYTES) else {
                return;
            };
            let Some((interpreter, argument)) = script_line(&bytes[..bytes.len().min(START_BYTES)])
            else {
                self.elf(&path, bytes, &command, certainty);
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

    fn elf(&mut self, path: &[u8], bytes: Vec<u8>, command: &[String], certainty: Certainty) {
        let name = display(path);
        match header::check(&bytes) {
            Ok(true) => {}
            Ok(false) => {
                let what = format!("{name} is cut off: it maps more than there is");
                self.warn("bad-elf", what, "build the image again");
            }
            Err(refusal) => {
                let (code, what, advice) = refusal_text(&name, refusal);
                self.fails(certainty, code, what, advice, 126);
                return;
            }
        }
        let library_path = variable(&self.manifest.env, "LD_LIBRARY_PATH").unwrap_or_default();
        let closure = closure(&self.files, path, library_path.as_bytes()).unwrap_or_default();
        self.writable_bytes = self.writable_bytes.max(closure.writable_bytes);
        let Some(mapped) = Mapped::parse(&bytes) else {
            return;
        };
        let libraries = closure.paths.iter().skip(1);
        let libraries = libraries.filter(|path| Some(*path) != closure.interpreter.as_ref());
        self.needs.programs.push(ProgramNeeds {
            path: name.clone(),
            kind: "elf".to_owned(),
            interpreter: closure.interpreter.as_deref().map(display),
            libraries: libraries.map(|path| display(path)).collect(),
            position_independent: mapped.is_relocatable,
            isa_level: mapped.isa_level(),
        });
        self.see_kind(path, &name, &mapped);
        if !self.linked(&name, &closure, certainty) {
            return;
        }
        let libraries = closure.paths.iter().skip(1);
        let read = |path: &Vec<u8>| Some((path.clone(), self.files.read(path, FILE_MAX_BYTES)?));
        let mut contents = vec![(path.to_vec(), bytes)];
        contents.extend(libraries.filter_map(read));
        if closure.is_musl || self.versioned(&contents, certainty) {
            let is_shell = script::command(self, path, command, certainty);
            self.does(&name, &contents, is_shell);
        }
    }

    /// What is unusual about a file, and works all the same.
    fn see_kind(&mut self, path: &[u8], name: &str, mapped: &Mapped<'_>) {
        if mapped.has_executable_stack() {
            let what = format!("{name} asks for a stack that can be executed");
            self.note("executable-stack", what, "it gets one");
        }
        if mapped.has_text_relocations() {
            let what = format!("{name} has relocations in its code");
            self.note(
                "text-relocations",
                what,
                "its system calls trap, which is slower",
            );
        }
        let mode = self
            .files
            .inode(path)
            .map_or(0, |inode| inode.attributes.mode);
        if mode & SET_ID != 0 {
            let what = format!("{name} changes to its owner or its group when it starts");
            self.note("set-id", what, "");
        }
    }

    /// Whether the dynamic linker finds what it looks for.
    fn linked(&mut self, name: &str, closure: &Closure, certainty: Certainty) -> bool {
        if let Some(interpreter) = &closure.interpreter {
            let text = display(interpreter);
            let place = join(self.manifest.working_dir.as_bytes(), interpreter);
            if let Err(problem) = self.executable(&place) {
                let what = format!("{name} needs the dynamic linker {text}: {}", problem.what);
                let advice = "add the C library that the program was made for to the image";
                let code = problem.code_of_interpreter();
                self.fails(certainty, code, what, advice, problem.exit_code);
                return false;
            }
            let bytes = self.files.read(&place, FILE_MAX_BYTES).unwrap_or_default();
            if let Err(refusal) = header::check(&bytes) {
                let (code, what, advice) = refusal_text(&text, refusal);
                self.fails(certainty, code, what, advice, 126);
                return false;
            }
        }
        let missing = closure.missing.iter();
        let missing: Vec<_> = missing
            .filter(|(name, _)| Some(name) != closure.interpreter.as_ref())
            .cloned()
            .collect();
        for (library, by) in &missing {
            let (library, by) = (display(library), display(by));
            match self.files.find_name(library.as_bytes()) {
                None => {
                    let what = format!("{by} needs {library}, which is not in the image");
                    let advice = "add the library to the image";
                    self.fails(certainty, "missing-library", what, advice, 127);
                }
                Some(place) => {
                    let place = display(&place);
                    let what = format!(
                        "{by} needs {library}, which is at {place}, where nobody looks for it"
                    );
                    let advice =
                        "name its directory in LD_LIBRARY_PATH (-e), or run ldconfig in the image";
                    self.warn("missing-library", what, advice);
                }
            }
        }
        missing.is_empty()
    }

    /// Whether libraries have the versions of symbols that others need.
    fn versioned(&mut self, contents: &[Contents], certainty: Certainty) -> bool {
        let files: Vec<_> = contents
            .iter()
            .filter_map(|(path, bytes)| Some((path, Mapped::parse(bytes)?)))
            .collect();
        let mut lacking = BTreeSet::new();
        for (path, file) in &files {
            for needed in file.needed_versions() {
                let is_it = |other: &&(&Vec<u8>, Mapped<'_>)| {
                    other.1.name() == Some(needed.library) || base_name(other.0) == needed.library
                };
                let Some((library, provider)) = files.iter().find(is_it) else {
                    continue;
                };
                let defined = provider.defined_versions();
                // A library without versions is taken as it is.
                if !defined.is_empty() && !defined.contains(&needed.version) {
                    lacking.insert((display(path), display(needed.version), display(library)));
                }
            }
        }
        for (by, version, library) in &lacking {
            let what = format!("{by} needs version {version} of {library}, which is older");
            let advice = "take a newer C library, or build the program on the image's own system";
            self.fails(certainty, "missing-version", what, advice, 126);
        }
        lacking.is_empty()
    }

    /// What the program does of its own accord. A shell is told what to do.
    fn does(&mut self, name: &str, contents: &[Contents], is_shell: bool) {
        let (program, libraries) = contents.split_at(1);
        let libraries = libraries.iter().filter(|(path, _)| !is_c_library(path));
        let files: Vec<_> = (program.iter().chain(libraries))
            .filter_map(|(path, bytes)| Some(File::new(display(path), Mapped::parse(bytes)?)))
            .collect();
        let reach = reach::reach(&files);
        for &number in &reach.present {
            match calls::state(number) {
                calls::State::Full => {}
                calls::State::Partial(_) => drop(self.partial.insert(number)),
                calls::State::Stub("ENOSYS", _) => drop(self.missing.insert(number)),
                calls::State::Stub(..) => drop(self.refused.insert(number)),
            }
        }
        if is_shell {
            return;
        }
        let has_processes = !matches!(calls::state(SYS_FORK), calls::State::Stub(..));
        let base = display(base_name(name.as_bytes()));
        let is_told = TOLD.iter().any(|told| base.starts_with(told));
        if let Some(place) = reach.fork.as_ref().filter(|_| !is_told) {
            self.needs.fork = true;
            if !has_processes {
                let what = format!("{name} starts other processes (by {place})");
                let is_wrapper = WRAPPERS.contains(&base.as_str());
                let advice = if is_wrapper {
                    "start the program that it is given by itself, with --entrypoint"
                } else {
                    "tell it to work as one process, if it can"
                };
                self.warn("fork", what, advice);
            }
        } else if (reach.has_fork || reach.fork.is_some()) && !has_processes {
            let what = format!("{name} can start other processes when it is told to, which fails");
            self.note("fork-possible", what, "");
        }
        for (&number, place) in &reach.calls {
            if calls::may_fail(number) {
                let call = calls::name(number);
                let what =
                    format!("{name} makes the system call {call}, which is not there (by {place})");
                let advice = "libos/SYSCALLS.md says more";
                self.warn("missing-call", what, advice);
            }
        }
        if reach.is_cut {
            let what = format!("{name} has more code on its way than is looked at");
            self.note("code-not-followed", what, "");
        }
        for device in program.iter().flat_map(|(_, bytes)| devices::named(bytes)) {
            let what = format!("{name} names {device}, which is not there");
            self.note("device", what, "");
        }
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
    fn code_of_interpreter(&self) -> &'static str {
        match self.exit_code {
            127 => "missing-interpreter",
            _ => self.code,
        }
    }
}

fn refusal_text(name: &str, refusal: Refusal) -> (&'static str, String, &'static str) {
    match refusal {
        Refusal::Empty => (
            "not-executable",
            format!("{name} is empty"),
            "build the image again",
        ),
        Refusal::NotElf => (
            "not-executable",
            format!("{name} is neither an ELF file nor a script with a #! line"),
            "give the script a first line such as #!/bin/sh",
        ),
        Refusal::Machine(machine) => (
            "wrong-architecture",
            format!("{name} is a program for {machine}; only x86-64 programs run"),
            "take the image for linux/amd64",
        ),
        Refusal::Bad(what) => (
            "bad-elf",
            format!("{name} is a damaged ELF file: {what}"),
            "build the image again",
        ),
    }
}

fn is_c_library(path: &[u8]) -> bool {
    let name = base_name(path);
    C_LIBRARY
        .iter()
        .any(|library| name.starts_with(library.as_bytes()))
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
