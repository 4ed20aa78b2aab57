//! The OCI runtime's command line: `RUNTIME --root DIR COMMAND …`.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use oci_spec::runtime::{Features, LinuxResources};

use super::output::collect;

/// How long a command may take before it counts as hung.
const COMMAND_LIMIT: Duration = Duration::from_secs(120);
/// Most bytes of what it says.
const OUTPUT_MAX_BYTES: usize = 1 << 20;

/// What goes wrong with a runtime.
#[derive(Debug, thiserror::Error)]
pub(super) enum RuntimeError {
    /// There is no such program.
    #[error(
        "OCI runtime {} cannot be started: {source}; install it, or correct its path in the \
         configuration",
        path.display()
    )]
    Missing {
        path: PathBuf,
        source: std::io::Error,
    },
    /// It said no.
    #[error("{runtime} {command}: {text}")]
    Refused {
        runtime: String,
        command: &'static str,
        text: String,
    },
    /// It hung.
    #[error("{runtime} {command} did not end within {} s and was killed", COMMAND_LIMIT.as_secs())]
    Hung {
        runtime: String,
        command: &'static str,
    },
    /// It cannot be given something, or read.
    #[error("cannot talk to {runtime} {command}: {source}")]
    Pipe {
        runtime: String,
        command: &'static str,
        source: std::io::Error,
    },
}

/// A runtime by its path.
#[derive(Clone, Debug)]
pub(super) struct Runtime {
    pub(super) path: PathBuf,
    /// Where it keeps the state of its containers; gone after a reboot.
    pub(super) root: PathBuf,
}

impl Runtime {
    /// Its name for messages.
    pub(super) fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        name.to_string_lossy().into_owned()
    }

    /// Options that come before each command.
    pub(super) fn options(&self) -> [&OsStr; 2] {
        ["--root".as_ref(), self.root.as_os_str()]
    }

    /// A command to be started.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.args(self.options());
        command
    }

    /// Whether the program is there.
    pub(super) fn check(&self) -> Result<(), RuntimeError> {
        let found = rustix::fs::access(&self.path, rustix::fs::Access::EXEC_OK);
        found.map_err(|error| RuntimeError::Missing {
            path: self.path.clone(),
            source: error.into(),
        })
    }

    pub(super) fn start(&self, id: &str) -> Result<(), RuntimeError> {
        self.run("start", &[id.as_ref()], None).map(drop)
    }

    /// What it says of a container; an error where it knows none.
    pub(super) fn state(&self, id: &str) -> Result<String, RuntimeError> {
        let output = self.run("state", &[id.as_ref()], None)?;
        Ok(String::from_utf8_lossy(&output).into_owned())
    }

    pub(super) fn kill(&self, id: &str, signal: i32, all: bool) -> Result<(), RuntimeError> {
        let signal = signal.to_string();
        let mut arguments: Vec<&OsStr> = Vec::new();
        if all {
            arguments.push("--all".as_ref());
        }
        arguments.extend([OsStr::new(id), signal.as_ref()]);
        self.run("kill", &arguments, None).map(drop)
    }

    /// Kills a container and forgets it; nothing where it knows none.
    pub(super) fn delete(&self, id: &str) -> Result<(), RuntimeError> {
        let deleted = self.run("delete", &["--force".as_ref(), id.as_ref()], None);
        match deleted {
            Ok(_) => Ok(()),
            Err(error @ RuntimeError::Missing { .. }) if self.may_know(id) => Err(error),
            Err(RuntimeError::Missing { .. }) => Ok(()),
            // Some fail for what they never knew.
            Err(error) => match self.state(id) {
                Ok(_) => Err(error),
                Err(_) => Ok(()),
            },
        }
    }

    /// Whether there is something of a container in its directory.
    fn may_know(&self, id: &str) -> bool {
        let entries = self.root.read_dir().into_iter().flatten().flatten();
        let mut names = entries.map(|entry| entry.file_name());
        names.any(|name| name.to_string_lossy().contains(id))
    }

    pub(super) fn update(&self, id: &str, resources: &LinuxResources) -> Result<(), RuntimeError> {
        let text = serde_json::to_vec(resources).map_err(|error| RuntimeError::Pipe {
            runtime: self.name(),
            command: "update",
            source: error.into(),
        })?;
        let arguments = ["--resources".as_ref(), "-".as_ref(), id.as_ref()];
        self.run("update", &arguments, Some(&text)).map(drop)
    }

    /// What it can do; none where it is too old to tell.
    pub(super) fn features(&self) -> Option<Features> {
        let text = self.run("features", &[], None).ok()?;
        serde_json::from_slice(&text).ok()
    }

    fn run(
        &self,
        command: &'static str,
        arguments: &[&OsStr],
        input: Option<&[u8]>,
    ) -> Result<Vec<u8>, RuntimeError> {
        let pipe = |source| RuntimeError::Pipe {
            runtime: self.name(),
            command,
            source,
        };
        let stdin = if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        };
        let mut child = self
            .command()
            .arg(command)
            .args(arguments)
            .current_dir(Path::new("/"))
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| RuntimeError::Missing {
                path: self.path.clone(),
                source,
            })?;
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
            // One that does not read says why in its error.
            let _ = stdin.write_all(input);
        }
        let output = collect(&mut child, OUTPUT_MAX_BYTES, Some(COMMAND_LIMIT)).map_err(pipe)?;
        let Some(status) = output.status else {
            let _ = child.kill();
            child.wait().map_err(pipe)?;
            return Err(RuntimeError::Hung {
                runtime: self.name(),
                command,
            });
        };
        if status.success() {
            return Ok(output.stdout);
        }
        let text = words(&output.stderr);
        Err(RuntimeError::Refused {
            runtime: self.name(),
            command,
            text: if text.is_empty() {
                status.to_string()
            } else {
                text
            },
        })
    }
}

/// What a runtime said, without the shape of its log: `time=… level=error msg="…"`.
pub(super) fn words(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines = text.lines().filter(|line| !line.contains("level=warning"));
    let lines: Vec<_> = lines.map(message).filter(|line| !line.is_empty()).collect();
    // The same is said twice: to the log, and to who looks.
    let mut said: Vec<String> = Vec::new();
    for line in lines {
        if said.last() != Some(&line) {
            said.push(line);
        }
    }
    said.join("; ")
}

fn message(line: &str) -> String {
    let Some((_, quoted)) = line.split_once("msg=\"") else {
        return line.trim().to_owned();
    };
    let mut message = String::new();
    let mut letters = quoted.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => break,
            '\\' => match letters.next() {
                Some('n') => message.push('\n'),
                Some(other) => message.push(other),
                None => break,
            },
            letter => message.push(letter),
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn an_error_is_told_without_the_shape_of_a_log() {
        let said = b"time=\"2026-01-01T00:00:00Z\" level=warning msg=\"never mind\"\n\
            time=\"2026-01-01T00:00:00Z\" level=error msg=\"exec: \\\"nope\\\": not found\"\n\
            exec: \"nope\": not found\n";
        assert_eq!(words(said), "exec: \"nope\": not found");
        assert_eq!(words(b"plain words\n"), "plain words");
        assert_eq!(words(b""), "");
    }
}
