//! What all sections share: a scratch directory that vanishes, the command
//! under test, guest programs and unikernel files.

use std::env;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::command::{Finished, Runner, tool};

/// Sources of the guest programs.
const GUESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/bench/guests");

/// See the module documentation.
#[derive(Debug)]
pub(crate) struct Bench {
    /// Pairs for each ratio.
    pub(crate) rounds: usize,
    /// Small inputs.
    pub(crate) quick: bool,
    /// Starts processes.
    pub(crate) runner: Runner,
    unikiln: PathBuf,
    scratch: TempDir,
}

impl Bench {
    /// Builds the command under test unless one is given.
    pub(crate) fn new(unikiln: Option<PathBuf>, rounds: usize, quick: bool) -> Result<Self> {
        ensure!(rounds > 0, "a median needs at least one round");
        let unikiln = match unikiln {
            Some(path) => path
                .canonicalize()
                .with_context(|| format!("cannot find {}", path.display()))?,
            None => build_unikiln()?,
        };
        let target = unikiln.parent().context("a program lies in a directory")?;
        let scratch = tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(target)
            .with_context(|| format!("cannot make a directory in {}", target.display()))?;
        Ok(Self {
            rounds,
            quick,
            runner: Runner::new(scratch.path()),
            unikiln,
            scratch,
        })
    }

    /// A place in the scratch directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// A large figure, or a small one with `--quick`.
    pub(crate) fn scale(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    /// The path of `guests/NAME`.
    pub(crate) fn source(&self, name: &str) -> String {
        format!("{GUESTS}/{name}")
    }

    /// Compiles `guests/NAME.c`, static; the program's absolute path.
    pub(crate) fn guest(&self, name: &str) -> Result<String> {
        let program = text(self.path(name))?;
        let source = self.source(&format!("{name}.c"));
        tool(&[
            "gcc",
            "-std=gnu11",
            "-O2",
            "-Wall",
            "-Wextra",
            "-static",
            &source,
            "-o",
            &program,
        ])?;
        Ok(program)
    }

    /// Builds the unikernel file of a program of this machine.
    pub(crate) fn unikernel(&self, program: &str, includes: &[&str]) -> Result<String> {
        self.build(program, includes, &[])
    }

    /// The same with the program's own instructions, which can be run outside a unikernel.
    pub(crate) fn unlinked(&self, program: &str) -> Result<String> {
        self.build(program, &[], &["--no-link"])
    }

    fn build(&self, program: &str, includes: &[&str], options: &[&str]) -> Result<String> {
        let name = Path::new(program)
            .file_name()
            .context("a program has a name")?;
        let mut number = 0;
        let file = loop {
            let file = self.path(&format!("{}-{number}.uk", name.display()));
            if !file.exists() {
                break text(file)?;
            }
            number += 1;
        };
        let image = format!("host:{program}");
        let mut words = vec!["build", &image, "-o", &file];
        words.extend(options);
        for include in includes {
            words.extend(["--include", include]);
        }
        self.unikiln_tool(&words)?;
        Ok(file)
    }

    /// Runs `unikiln` outside any measurement; what it wrote.
    pub(crate) fn unikiln_tool(&self, words: &[&str]) -> Result<Vec<u8>> {
        let mut command = vec![self.unikiln()];
        command.extend(words);
        tool(&command)
    }

    /// The words of `unikiln run OPTIONS FILE ARGS`.
    pub(crate) fn run_words<'a>(
        &'a self,
        options: &[&'a str],
        file: &'a str,
        args: &[&'a str],
    ) -> Vec<&'a str> {
        [&[self.unikiln(), "run"], options, &[file], args].concat()
    }

    /// `unikiln run FILE ARGS` to its end.
    pub(crate) fn run(&self, file: &str, args: &[&str]) -> Result<Finished> {
        self.runner.run(&self.run_words(&[], file, args))
    }

    /// The command under test.
    pub(crate) fn unikiln(&self) -> &str {
        // Checked where it was found.
        self.unikiln.to_str().unwrap_or_default()
    }

    /// A file of bytes that nothing can compress or share.
    pub(crate) fn random_file(&self, name: &str, bytes: usize) -> Result<String> {
        let path = self.path(name);
        let write = || {
            let mut file = BufWriter::with_capacity(1 << 20, File::create(&path)?);
            let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ bytes as u64;
            for _ in 0..bytes / 8 {
                // Marsaglia's xorshift64.
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                file.write_all(&state.to_le_bytes())?;
            }
            file.flush()
        };
        write().with_context(|| format!("cannot write {}", path.display()))?;
        text(path)
    }
}

/// The path as text; commands are made of words.
pub(crate) fn text(path: PathBuf) -> Result<String> {
    path.into_os_string()
        .into_string()
        .map_err(|path| anyhow::anyhow!("{} is not UTF-8", path.display()))
}

/// Builds `unikiln` with the cargo that runs this; its path.
fn build_unikiln() -> Result<PathBuf> {
    let own = env::current_exe().context("cannot find this program")?;
    let examples = own.parent().context("a program lies in a directory")?;
    let directory = examples
        .parent()
        .context("examples lie below a target directory")?;
    let path = directory.join("unikiln");
    if let Some(cargo) = env::var_os("CARGO") {
        ensure!(
            !cfg!(debug_assertions),
            "measure a release build: cargo run --release --example bench"
        );
        eprintln!("building unikiln …");
        let mut words = vec![cargo];
        words.extend(["build", "--release", "--bin", "unikiln", "--manifest-path"].map(Into::into));
        words.push(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").into());
        tool(&words)?;
    }
    ensure!(
        path.is_file(),
        "there is no {}; build it, or name one with --unikiln",
        path.display()
    );
    ensure!(path.to_str().is_some(), "{} is not UTF-8", path.display());
    Ok(path)
}
