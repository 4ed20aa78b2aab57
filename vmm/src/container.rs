//! One container of the daemon, from its description to the record of its end.
//!
//! ```text
//! session, cgroup, oom_score_adj ─> control socket ─> boot ─> run ─> log written ─> exit file
//!                                                              └ STARTED: one line to stdout,
//!                                                                the socket is served
//! ```
//!
//! Standard output is a pipe of the daemon's: it gets one [`Ready`] as a line of JSON once
//! the program runs, or why it does not, and is closed then. Standard error gets what goes
//! wrong beside the guest.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::control::Server;
use crate::error::{Error, in_full};
use crate::hypercall::{GuestExit, OnStart};
use crate::log::Log;
use crate::machine::{Machine, Remote};
use crate::outcome::{CODE_OWN_FAILURE, ExitReason, Outcome};
use crate::spec::Spec;
use crate::stats::StatsFormat;

/// Version of [`Ending`].
pub const ENDING_VERSION: u32 = 1;

/// What the daemon hears before it hears nothing more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Ready {
    /// The program runs.
    Started,
    /// It does not, for this reason.
    Failed(String),
}

/// How a container ended; the exit file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ending {
    /// [`ENDING_VERSION`].
    pub version: u32,
    /// The exit code.
    pub exit_code: i32,
    /// `Completed`, `Error`, `OOMKilled`, `StartError`.
    pub reason: String,
    /// First line of a crash record, or why there was no program; may be empty.
    pub message: String,
    /// When the program started, in nanoseconds since 1970; none where it did not.
    pub started_at_ns: Option<u64>,
    /// When it ended.
    pub finished_at_ns: u64,
}

/// Failures of what is around the guest.
#[derive(Debug, thiserror::Error)]
enum SetUpError {
    #[error("cannot enter the cgroup {}", path.display())]
    Cgroup { path: PathBuf, source: io::Error },
    #[error("cannot set oom_score_adj to {value}")]
    OomScore { value: i32, source: io::Error },
    #[error("cannot make the control socket {}", path.display())]
    Control { path: PathBuf, source: io::Error },
}

/// Runs the container that a file describes: the exit code.
pub fn run(path: &Path, start_tsc: u64) -> i32 {
    // It fails where this is a session of its own already.
    let _ = rustix::process::setsid();
    let spec = match Spec::read(path) {
        Ok(spec) => spec,
        Err(error) => return fail_early(&error),
    };
    let started_at = Arc::new(OnceLock::new());
    let result = set_up(&spec, start_tsc, &started_at);
    let started_at_ns = started_at.get().copied();
    let ending = match result {
        Ok(outcome) => ending_of(&outcome, started_at_ns),
        Err(error) => {
            let message = in_full(&*error.error);
            say(&message);
            Ending {
                version: ENDING_VERSION,
                exit_code: error.code,
                reason: reason(None, error.code, started_at_ns.is_some()).to_owned(),
                message,
                started_at_ns,
                finished_at_ns: now_ns(),
            }
        }
    };
    if started_at_ns.is_none() {
        let why = match ending.message.as_str() {
            "" => format!(
                "the guest ended with {} before its program ran",
                ending.exit_code
            ),
            message => message.to_owned(),
        };
        tell(&Ready::Failed(why));
    }
    if let Some(path) = &spec.exit
        && let Err(error) = ending.write(path)
    {
        say(&format!("cannot write {}: {error}", path.display()));
    }
    ending.exit_code
}

/// Why there is no outcome.
struct Failure {
    error: Box<dyn std::error::Error>,
    code: i32,
}

impl<E: std::error::Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            error: Box::new(error),
            code: CODE_OWN_FAILURE,
        }
    }
}

fn set_up(
    spec: &Spec,
    start_tsc: u64,
    started_at: &Arc<OnceLock<u64>>,
) -> Result<Outcome, Failure> {
    for path in &spec.cgroup_procs {
        enter_cgroup(path)?;
    }
    let guest = Arc::new(OnceLock::new());
    let server = match &spec.control {
        None => None,
        Some(path) => Some(Server::bind(path).map_err(|source| SetUpError::Control {
            path: path.clone(),
            source,
        })?),
    };
    let mut config = spec.to_config()?;
    config.start_tsc = Some(start_tsc);
    if let Some(value) = spec.oom_score_adj {
        config.notes.extend(adjust_oom_score(value)?);
    }
    let (cell, remote) = (Arc::clone(started_at), Arc::clone(&guest));
    config.on_start = Some(OnStart::new(move || {
        // It is told once.
        let _ = cell.set(now_ns());
        tell(&Ready::Started);
        // Not before: a second thread makes all of the boot dearer, by half a millisecond.
        // Who connects meanwhile waits.
        if let Some(Err(error)) = server.map(|server| server.start(remote)) {
            say(&format!(
                "there is no thread for the control socket: {error}"
            ));
        }
    }));
    run_guest(spec, config, &guest).map_err(|error| {
        let code = error.refusal_code().map_or(CODE_OWN_FAILURE, i32::from);
        write_to_log(spec, &error, started_at.get().is_some());
        Failure {
            error: Box::new(error),
            code,
        }
    })
}

fn run_guest(spec: &Spec, config: Config, guest: &OnceLock<Remote>) -> Result<Outcome, Error> {
    let mut machine = Machine::boot(config)?;
    machine.keep_stats_in_log(spec.stats);
    // The cell is new, so it takes the handle.
    let _ = guest.set(machine.remote());
    machine.run()
}

/// Whoever reads the log finds there why there was no program. A refusal is there already.
fn write_to_log(spec: &Spec, error: &Error, has_started: bool) {
    let (None, Some(path), false) = (error.refusal_code(), &spec.log, has_started) else {
        return;
    };
    let target = crate::log::LogTarget::Queued(path.clone());
    if let Ok(mut log) = Log::open(crate::log::LogFormat::Cri, target) {
        // A line that cannot be written is in the exit file all the same.
        let _ = log.write_text(&format!("unikiln: cannot start: {}\n", in_full(error)));
        log.finish();
    }
}

fn enter_cgroup(path: &Path) -> Result<(), SetUpError> {
    let number = std::process::id().to_string();
    fs::write(path, number).map_err(|source| SetUpError::Cgroup {
        path: path.to_owned(),
        source,
    })
}

/// Sets the value; a line for the log where it may not be lowered.
fn adjust_oom_score(value: i32) -> Result<Option<String>, SetUpError> {
    let path = "/proc/self/oom_score_adj";
    match fs::write(path, value.to_string()) {
        Ok(()) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            // An unprivileged monitor may raise it, so it was to be lowered.
            Ok(Some(format!(
                "unikiln: oom_score_adj stays as it is: this user may not lower it to {value}\n"
            )))
        }
        Err(source) => Err(SetUpError::OomScore { value, source }),
    }
}

fn ending_of(outcome: &Outcome, started_at_ns: Option<u64>) -> Ending {
    let has_started = started_at_ns.is_some();
    Ending {
        version: ENDING_VERSION,
        exit_code: outcome.exit_code,
        reason: reason(Some(outcome.reason), outcome.exit_code, has_started).to_owned(),
        message: outcome.message.clone(),
        started_at_ns,
        finished_at_ns: now_ns(),
    }
}

fn reason(reason: Option<ExitReason>, code: i32, has_started: bool) -> &'static str {
    match (reason, code) {
        (Some(ExitReason::Guest(GuestExit::OomKilled)), _) => "OOMKilled",
        _ if !has_started => "StartError",
        (Some(_), 0) => "Completed",
        _ => "Error",
    }
}

impl Ending {
    /// Writes it so that whoever looks sees all of it or nothing.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(".tmp");
        let mut file = File::create(&unfinished)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        fs::rename(&unfinished, path)
    }

    /// Reads it.
    ///
    /// # Errors
    /// NotFound where there is none.
    pub fn read(path: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(path)?)?)
    }
}

/// Tells the daemon, and leaves its pipe.
fn tell(ready: &Ready) {
    let mut line = serde_json::to_vec(ready).unwrap_or_default();
    line.push(b'\n');
    // A daemon that went away finds the container by its control socket.
    let _ = rustix::io::write(rustix::stdio::stdout(), &line);
    if let Ok(null) = File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(&null);
    }
}

fn fail_early(error: &dyn std::error::Error) -> i32 {
    let text = in_full(error);
    say(&text);
    tell(&Ready::Failed(text));
    CODE_OWN_FAILURE
}

fn say(text: &str) {
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(io::stderr(), "unikiln-vmm: {text}");
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

/// Statistics as lines of the log.
pub(crate) fn stats_lines(format: StatsFormat, stats: &crate::stats::Stats) -> String {
    match format {
        StatsFormat::Json => {
            let json = serde_json::to_string(stats).unwrap_or_default();
            format!("unikiln: stats: {json}\n")
        }
        StatsFormat::Text => {
            let text = stats.to_string();
            let lines = text.lines().map(|line| format!("unikiln: stats: {line}\n"));
            lines.collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_is_read_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("exit.json");
        let ending = Ending {
            version: ENDING_VERSION,
            exit_code: 139,
            reason: "Error".into(),
            message: "crash: SIGSEGV \"x\"\u{fffd}".into(),
            started_at_ns: Some(1),
            finished_at_ns: 2,
        };
        ending.write(&path).unwrap();
        assert_eq!(Ending::read(&path).unwrap(), ending);
        let names: Vec<_> = fs::read_dir(directory.path()).unwrap().collect();
        assert_eq!(names.len(), 1);
    }

    #[test]
    fn reasons_are_kubernetes_words() {
        let guest = |exit| Some(ExitReason::Guest(exit));
        for (end, code, has_started, word) in [
            (guest(GuestExit::Exited(0)), 0, true, "Completed"),
            (guest(GuestExit::Exited(3)), 3, true, "Error"),
            (guest(GuestExit::Signaled(9)), 137, true, "Error"),
            (guest(GuestExit::OomKilled), 137, true, "OOMKilled"),
            (guest(GuestExit::ExecFailed(127)), 127, false, "StartError"),
            (None, 125, false, "StartError"),
            (None, 125, true, "Error"),
        ] {
            assert_eq!(reason(end, code, has_started), word);
        }
    }
}
