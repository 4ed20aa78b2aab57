//! An ELF file that is loaded: its header, its dynamic linker and libraries, and
//! what it does of its own accord.

use std::collections::BTreeSet;

use unikiln_unikernel::ProgramNeeds;

use super::calls::State;
use super::elf::Mapped;
use super::header::{self, Refusal};
use super::program::{Certainty, Examiner, base_name};
use super::reach::{self, File, Reach};
use super::{calls, devices, script};
use crate::program::closure::{Closure, closure};
use crate::program::{join, variable};
use crate::rootfs::path::display;

/// Most bytes of a program and its libraries together that are read.
const CONTENTS_MAX_BYTES: u64 = 128 << 20;
/// Most libraries that are named, and that are said to be missing.
const LIBRARIES_MAX: usize = 1024;
const LACKING_MAX: usize = 16;
/// Largest dynamic linker that is read as a whole.
const INTERPRETER_MAX_BYTES: u64 = 16 << 20;
/// Programs that do what the text says that they are given, without their versions.
const TOLD: [&str; 11] = [
    "busybox", "java", "lua", "node", "nodejs", "perl", "php", "python", "ruby", "tclsh", "toybox",
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

/// A file of the image, read.
type Contents = (Vec<u8>, Vec<u8>);

impl Examiner<'_> {
    /// Looks at the ELF file at `path`, as the program of `command`.
    pub(super) fn elf(&mut self, path: &[u8], command: &[String], certainty: Certainty) {
        let name = display(path);
        let Some((bytes, len_bytes)) = self.files.read_start(path, CONTENTS_MAX_BYTES) else {
            return;
        };
        match header::check(&bytes, len_bytes) {
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
            libraries: libraries
                .take(LIBRARIES_MAX)
                .map(|path| display(path))
                .collect(),
            position_independent: mapped.is_relocatable,
            isa_level: mapped.isa_level(),
        });
        self.see_kind(path, &name, &mapped);
        let Some(sure_versions) = self.linked(&name, &closure, certainty) else {
            return;
        };
        let (contents, is_cut) = self.contents(path, bytes, len_bytes, &closure);
        if closure.is_musl || self.versioned(&contents, sure_versions) {
            let is_shell = script::command(self, path, command, certainty);
            self.does(&name, &contents, is_shell, is_cut);
        }
    }

    /// The program and its libraries, as many as fit; whether some do not.
    fn contents(
        &self,
        path: &[u8],
        bytes: Vec<u8>,
        len_bytes: u64,
        closure: &Closure,
    ) -> (Vec<Contents>, bool) {
        let mut left = CONTENTS_MAX_BYTES.saturating_sub(len_bytes);
        let mut is_cut = len_bytes > bytes.len() as u64;
        let mut contents = vec![(path.to_vec(), bytes)];
        for path in closure.paths.iter().skip(1) {
            match self.files.read(path, left) {
                Some(bytes) => {
                    left -= bytes.len() as u64;
                    contents.push((path.clone(), bytes));
                }
                None => is_cut = true,
            }
        }
        (contents, is_cut)
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

    /// Whether the dynamic linker finds what it looks for: how sure the rest is then.
    fn linked(
        &mut self,
        name: &str,
        closure: &Closure,
        mut certainty: Certainty,
    ) -> Option<Certainty> {
        if let Some(interpreter) = &closure.interpreter {
            let text = display(interpreter);
            let place = join(self.manifest.working_dir.as_bytes(), interpreter);
            if let Err(problem) = self.executable(&place) {
                let what = format!("{name} needs the dynamic linker {text}: {}", problem.what);
                let advice = "add the C library that the program was made for to the image";
                let code = problem.code_of_interpreter();
                self.fails(certainty, code, what, advice, problem.exit_code);
                return None;
            }
            let start = self.files.read_start(&place, INTERPRETER_MAX_BYTES);
            let (bytes, len_bytes) = start.unwrap_or_default();
            if let Err(refusal) = header::check(&bytes, len_bytes) {
                let (code, what, advice) = refusal_text(&text, refusal);
                self.fails(certainty, code, what, advice, 126);
                return None;
            }
            // Others may find libraries by rules of their own.
            if !closure.is_musl && !is_glibc(&bytes) {
                certainty = Certainty::Likely;
            }
        }
        let missing = closure.missing.iter();
        let missing: Vec<_> = missing
            .filter(|(name, _)| Some(name) != closure.interpreter.as_ref())
            .take(LACKING_MAX)
            .cloned()
            .collect();
        let names: Vec<_> = missing.iter().map(|(name, _)| base_name(name)).collect();
        let places = if names.is_empty() {
            Vec::new()
        } else {
            self.files.find_names(&names)
        };
        for ((library, by), place) in missing.iter().zip(places) {
            let (library, by) = (display(library), display(by));
            match place {
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
        missing.is_empty().then_some(certainty)
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
        for (by, version, library) in lacking.iter().take(LACKING_MAX) {
            let what = format!("{by} needs version {version} of {library}, which is older");
            let advice = "take a newer C library, or build the program on the image's own system";
            self.fails(certainty, "missing-version", what, advice, 126);
        }
        lacking.is_empty()
    }

    /// What the program does of its own accord. A shell is told what to do.
    fn does(&mut self, name: &str, contents: &[Contents], is_shell: bool, is_cut: bool) {
        let (program, libraries) = contents.split_at(1);
        let libraries = libraries.iter().filter(|(path, _)| !is_c_library(path));
        let files: Vec<_> = (program.iter().chain(libraries))
            .filter_map(|(path, bytes)| Some(File::new(display(path), Mapped::parse(bytes)?)))
            .collect();
        let reach = reach::reach(&files);
        self.name_calls(&reach);
        if is_shell {
            return;
        }
        self.makes_processes(name, &reach);
        self.makes_calls(name, &reach);
        if reach.is_cut || is_cut {
            let what = format!("{name} has more code on its way than is looked at");
            self.note("code-not-followed", what, "");
        }
        for device in program.iter().flat_map(|(_, bytes)| devices::named(bytes)) {
            let what = format!("{name} names {device}, which is not there");
            self.note("device", what, "");
        }
    }

    /// Adds calls that are not whole to the list.
    fn name_calls(&mut self, reach: &Reach) {
        for &number in &reach.present {
            match calls::state(number) {
                State::Full => {}
                State::Partial(_) => drop(self.partial.insert(number)),
                State::Stub("ENOSYS", _) => drop(self.missing.insert(number)),
                State::Stub(..) => drop(self.refused.insert(number)),
            }
        }
    }

    fn makes_processes(&mut self, name: &str, reach: &Reach) {
        let base = display(base_name(name.as_bytes()));
        let version = |char: char| char.is_ascii_digit() || char == '.';
        let is_told = TOLD.contains(&base.trim_end_matches(version));
        let place = reach.fork.as_ref().filter(|_| !is_told);
        self.needs.fork |= place.is_some();
        if let Some(place) = place {
            let what = format!("{name} starts other processes (by {place})");
            self.note("fork", what, "");
        } else if reach.has_fork || reach.fork.is_some() {
            let what = format!("{name} can start other processes when it is told to");
            self.note("fork-possible", what, "");
        }
    }

    fn makes_calls(&mut self, name: &str, reach: &Reach) {
        for (&number, place) in &reach.calls {
            let State::Stub(errno, why) = calls::state(number) else {
                continue;
            };
            if calls::may_fail(number) {
                let call = calls::name(number);
                let what = format!(
                    "{name} makes the system call {call}, which gives {errno}: {why} (by {place})"
                );
                self.warn(
                    "missing-call",
                    what,
                    "libos/SYSCALLS.md lists what is there",
                );
            }
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

/// Whether a dynamic linker is glibc's, which finds libraries and versions as
/// [`closure`] and [`Examiner::versioned`] do.
fn is_glibc(bytes: &[u8]) -> bool {
    let own: &[u8] = b"GLIBC_PRIVATE";
    Mapped::parse(bytes).is_some_and(|mapped| mapped.defined_versions().contains(&own))
}

fn is_c_library(path: &[u8]) -> bool {
    let name = base_name(path);
    C_LIBRARY
        .iter()
        .any(|library| name.starts_with(library.as_bytes()))
}
