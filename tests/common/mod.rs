//! What the whole-system tests share. A test reads as a story:
//!
//! ```ignore
//! let outcome = Unikiln::run("host:/bin/ls").args(["-l", "/"]).output();
//! outcome.assert_code(0).assert_stdout_has("etc");
//! ```
//!
//! Each guest is a child process `unikiln run …`, as a user starts it, so that
//! a monitor that dies takes no other test with it. [`Outcome`] keeps both
//! streams and prints them when an expectation fails.
//!
//! | file | what it holds |
//! |---|---|
//! | `outcome.rs` | running a command with a deadline, and what is expected of it |
//! | `guest.rs` | the programs of `tests/guests`: their directives, building them |
//! | `server.rs` | a guest that serves: its ports, its log, its end; clients of this machine |
//! | `skip.rs` | what a test needs from the machine, and how it is missed |
//! | `compile.rs` | programs made by Go and by cargo |
//! | `downloads.rs` | all that comes from the network, and waiting for it |
//! | `registries.rs` | packages from PyPI and npm, by pip and npm |
//! | `image.rs` | images made by other people's tools: umoci, skopeo, dpkg |

// Each test binary uses its own part of this module.
#![allow(dead_code, unreachable_pub)]

pub mod compile;
pub mod downloads;
pub mod guest;
pub mod image;
pub mod outcome;
pub mod registries;
pub mod server;
pub mod skip;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

pub use outcome::Outcome;

/// PATH of guests and of the native programs that they are compared with.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where tests keep what they make; survives between runs.
pub fn cache_dir(name: &str) -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&dir)
        .unwrap_or_else(|error| panic!("cannot make {}: {error}", dir.display()));
    dir
}

/// A word that no other test has, now or in another process: for names of files
/// that are renamed to their place when they are complete.
pub fn unique() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!(
        "{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
}

/// One invocation of the command line under test.
#[derive(Debug)]
pub struct Unikiln {
    options: Vec<OsString>,
    image: Option<OsString>,
    args: Vec<OsString>,
    stdin: Option<Vec<u8>>,
    host_env: Vec<(OsString, OsString)>,
}

impl Unikiln {
    /// `unikiln run IMAGE`.
    pub fn run(image: impl AsRef<OsStr>) -> Self {
        let mut command = Self::command(["run"]);
        command.image = Some(image.as_ref().to_owned());
        command
    }

    /// Any other subcommand with its arguments.
    pub fn command<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> Self {
        Self {
            options: words
                .into_iter()
                .map(|word| word.as_ref().to_owned())
                .collect(),
            image: None,
            args: Vec::new(),
            stdin: None,
            host_env: Vec::new(),
        }
    }

    /// Options before IMAGE.
    pub fn options<S: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.options
            .extend(words.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    /// The program's arguments, after IMAGE.
    pub fn args<S: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.args
            .extend(words.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    /// A variable of the guest.
    pub fn env(self, assignment: &str) -> Self {
        self.options(["-e", assignment])
    }

    /// A variable of the `unikiln` process itself.
    pub fn host_env(mut self, name: &str, value: &str) -> Self {
        self.host_env.push((name.into(), value.into()));
        self
    }

    /// Standard input of the `unikiln` process (which passes it on only with `-i`).
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// Runs it to its end.
    pub fn output(self) -> Outcome {
        let mut command = Command::new(env!("CARGO_BIN_EXE_unikiln"));
        command
            .args(&self.options)
            .args(&self.image)
            .args(&self.args)
            .envs(self.host_env);
        command.stdin(if self.stdin.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        });
        outcome::run(command, self.stdin)
    }
}

/// Runs a program of this machine as the guests are run: nothing but PATH in
/// its environment, its own session, working directory `/`.
pub fn native<S: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    args: impl IntoIterator<Item = S>,
    env: &[String],
) -> Outcome {
    // Whoever started the tests in the background had these ignored.
    let mut command = Command::new("env");
    command
        .args(["--default-signal=HUP,INT,QUIT", "setsid"])
        .arg(program)
        .args(args)
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", "/root");
    for (name, value) in env
        .iter()
        .filter_map(|assignment| assignment.split_once('='))
    {
        command.env(name, value);
    }
    command.current_dir("/").stdin(Stdio::null());
    outcome::run(command, None)
}
