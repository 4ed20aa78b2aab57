//! One run of a plugin: environment, standard input, and how it ended.
//!
//! A plugin is a stranger: it may hang (it is killed, with its process group), write without
//! end (the same), or leave a process behind that holds its pipes (nobody waits for that).

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use serde::Deserialize;

use super::error::CniError;

/// Far more than a result has.
pub(super) const OUTPUT_MAX_BYTES: usize = 1 << 20;
/// What is kept of standard error; the rest is read and dropped.
const STDERR_KEPT_BYTES: usize = 16 << 10;
/// What errors quote.
const QUOTED_BYTES: usize = 512;

/// What a plugin is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Give a pod the network.
    Add,
    /// Take it away.
    Del,
    /// See whether it is as ADD left it.
    Check,
    /// Say whether ADD would work.
    Status,
    /// Say which versions are spoken.
    Version,
}

impl Verb {
    /// `CNI_COMMAND`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Del => "DEL",
            Self::Check => "CHECK",
            Self::Status => "STATUS",
            Self::Version => "VERSION",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A run that is to be made.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub(super) kind: &'a str,
    pub(super) executable: &'a Path,
    pub(super) verb: Verb,
    /// `CNI_…` beside `CNI_COMMAND`.
    pub(super) environment: &'a [(&'static str, OsString)],
    /// At its start.
    pub(super) stdin: File,
    pub(super) timeout: Duration,
}

/// The error object of a plugin.
#[derive(Debug, Deserialize)]
struct ErrorObject {
    code: u64,
    #[serde(default)]
    msg: String,
    #[serde(default)]
    details: String,
}

impl Run<'_> {
    /// Runs it; what it printed, where it succeeded.
    pub(super) fn run(self) -> Result<Vec<u8>, CniError> {
        let failed = |source| CniError::Run {
            plugin: self.kind.to_owned(),
            verb: self.verb,
            source,
        };
        let stdin = self.stdin.try_clone().map_err(failed)?;
        let mut child = Command::new(self.executable)
            .env("CNI_COMMAND", self.verb.as_str())
            .envs(
                self.environment
                    .iter()
                    .map(|(name, value)| (OsStr::new(name), value)),
            )
            // A plugin must not answer for the daemon.
            .env_remove("NOTIFY_SOCKET")
            .current_dir("/")
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let mut output = Output::default();
        let watched = output.watch(&mut child, Instant::now() + self.timeout);
        if !matches!(watched, Ok(Watched::Ended)) {
            kill_group(&child);
        }
        // Its number is its own until here, so the signal found the right group.
        let status = child.wait().map_err(failed)?;
        match watched.map_err(failed)? {
            Watched::Ended => self.judge(status, output),
            Watched::Late => Err(CniError::Timeout {
                plugin: self.kind.to_owned(),
                verb: self.verb,
                timeout: self.timeout,
                said: said(&[&output.stderr]),
            }),
            Watched::Flood => Err(CniError::Flood {
                plugin: self.kind.to_owned(),
                verb: self.verb,
                max_bytes: OUTPUT_MAX_BYTES,
            }),
        }
    }

    fn judge(&self, status: ExitStatus, output: Output) -> Result<Vec<u8>, CniError> {
        if !output.stderr.is_empty() {
            tracing::debug!(plugin = self.kind, verb = %self.verb, stderr = quote(&output.stderr), "cni plugin");
        }
        if status.success() {
            return Ok(output.stdout);
        }
        let plugin = self.kind.to_owned();
        let verb = self.verb;
        // What killed it cannot have been a whole answer.
        if let (Some(_), Ok(error)) = (
            status.code(),
            serde_json::from_slice::<ErrorObject>(&output.stdout),
        ) {
            let mut message = shorten(&error.msg);
            if !error.details.is_empty() {
                message = format!("{message}; {}", shorten(&error.details));
            }
            return Err(CniError::Failed {
                plugin,
                verb,
                code: error.code,
                message,
                said: said(&[&output.stderr]),
            });
        }
        let end = match (status.code(), status.signal()) {
            (Some(code), _) => format!("ended with exit code {code}"),
            (None, Some(signal)) => format!("was killed by signal {signal}"),
            (None, None) => "ended".to_owned(),
        };
        Err(CniError::Died {
            plugin,
            verb,
            end,
            said: said(&[&output.stdout, &output.stderr]),
        })
    }
}

enum Watched {
    Ended,
    Late,
    Flood,
}

#[derive(Default)]
struct Output {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Output {
    /// Reads both pipes until the process ends.
    fn watch(&mut self, child: &mut Child, deadline: Instant) -> io::Result<Watched> {
        let pid = Pid::from_child(child);
        let ended = pidfd_open(pid, PidfdFlags::empty())?;
        let mut stdout = child.stdout.take();
        let mut stderr = child.stderr.take();
        for pipe in [
            stdout.as_ref().map(AsFd::as_fd),
            stderr.as_ref().map(AsFd::as_fd),
        ] {
            let Some(pipe) = pipe else { continue };
            let flags = rustix::fs::fcntl_getfl(pipe)?;
            rustix::fs::fcntl_setfl(pipe, flags | rustix::fs::OFlags::NONBLOCK)?;
        }
        loop {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return Ok(Watched::Late);
            };
            let has_ended = {
                let mut waits = vec![PollFd::new(&ended, PollFlags::IN)];
                waits.extend(stdout.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
                waits.extend(stderr.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
                let left = Timespec::try_from(left).map_err(io::Error::other)?;
                match poll(&mut waits, Some(&left)) {
                    Ok(_) | Err(rustix::io::Errno::INTR) => {}
                    Err(errno) => return Err(errno.into()),
                }
                waits.first().is_some_and(|wait| !wait.revents().is_empty())
            };
            // Once it has ended, all that it wrote is in the pipes.
            drain(
                &mut stdout,
                &mut self.stdout,
                OUTPUT_MAX_BYTES + 1,
                has_ended,
            )?;
            drain(&mut stderr, &mut self.stderr, STDERR_KEPT_BYTES, has_ended)?;
            if self.stdout.len() > OUTPUT_MAX_BYTES {
                return Ok(Watched::Flood);
            }
            if has_ended {
                return Ok(Watched::Ended);
            }
        }
    }
}

/// Reads what is there, keeps what there is room for, and closes the pipe at its end.
/// `all`: until nothing is there any more, but not for ever: another process may write on.
fn drain(
    pipe: &mut Option<impl Read>,
    kept: &mut Vec<u8>,
    max_bytes: usize,
    all: bool,
) -> io::Result<()> {
    let mut piece = [0; 16 << 10];
    let pieces = if all {
        2 * OUTPUT_MAX_BYTES / piece.len()
    } else {
        1
    };
    for _ in 0..pieces {
        let Some(reader) = pipe else { return Ok(()) };
        match reader.read(&mut piece) {
            Ok(0) => *pipe = None,
            Ok(len) => {
                let room = len.min(max_bytes.saturating_sub(kept.len()));
                kept.extend(&piece[..room]);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn kill_group(child: &Child) {
    // Gone already: nothing to kill.
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
}

/// `; it said: …`, or nothing where nothing was written.
fn said(texts: &[&[u8]]) -> String {
    let quoted: Vec<_> = texts
        .iter()
        .map(|text| quote(text))
        .filter(|text| !text.is_empty())
        .collect();
    if quoted.is_empty() {
        return String::new();
    }
    format!("; it said: {}", quoted.join("; "))
}

/// The end of a text, which is where programs name what stopped them, as one line.
pub(super) fn quote(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let line = lines
        .join(" | ")
        .replace(|char: char| char.is_control(), "?");
    let start = line.len().saturating_sub(QUOTED_BYTES);
    match (start..line.len()).find(|at| line.is_char_boundary(*at)) {
        Some(at) if at > 0 => format!("…{}", &line[at..]),
        _ => line,
    }
}

/// The start of a text that is a message already.
fn shorten(text: &str) -> String {
    let text = text.trim().replace(|char: char| char.is_control(), " ");
    match text.char_indices().find(|(at, _)| *at >= QUOTED_BYTES) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_short_lines_of_whole_characters() {
        assert_eq!(quote(b""), "");
        assert_eq!(quote(b"  one\n\n two\x07\n"), "one | two?");
        let long = quote("ä".repeat(4000).as_bytes());
        assert!(
            long.starts_with('…') && long.len() <= QUOTED_BYTES + 4,
            "{long}"
        );
        assert!(shorten(&"ö".repeat(4000)).len() <= QUOTED_BYTES + 5);
    }
}
