//! A command in a container that runs: `RUNTIME exec --process FILE`.
//!
//! | way | the runtime's standard streams |
//! |---|---|
//! | [`sync`] | pipes, read here to their end |
//! | [`streams`] | pipes that somebody else reads and writes |
//! | [`streams`] with a terminal | a terminal of the host ([`Console`]), whose bytes and size the runtime passes on to the container's |

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oci_spec::runtime::{Process as Description, Spec};

use super::console::Console;
use super::output::collect;
use super::process;
use super::runtime::{Runtime, words};
use crate::handler::streams::{Attached, Output, Program, Size, Streams};
use crate::handler::{ExecOutput, HandlerError};

/// Most bytes of each stream that are given back.
const OUTPUT_MAX_BYTES: usize = 16 << 20;
/// What a runtime says with when it cannot start the command.
const FAILED_CODES: [i32; 4] = [1, 126, 127, 255];
/// How long a command whose client is gone may take to end by itself.
const LEAVE_LIMIT: Duration = Duration::from_secs(2);
/// What a terminal is called unless the container says otherwise.
const TERM: &str = "TERM=xterm";

/// A container's command, and where it runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exec<'a> {
    pub(super) runtime: &'a Runtime,
    pub(super) id: &'a str,
    /// The container's, with its `config.json`: a command has its user, environment and rights.
    pub(super) bundle: &'a Path,
    pub(super) command: &'a [String],
}

impl Exec<'_> {
    /// Runs the command and collects its output.
    pub(super) fn sync(&self, limit: Option<Duration>) -> Result<ExecOutput, HandlerError> {
        let files = self.describe(false)?;
        let mut child = self
            .runtime_command(&files, false)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| self.failed("cannot start the OCI runtime", &error))?;
        let collected = collect(&mut child, OUTPUT_MAX_BYTES, limit);
        let has_ended = collected
            .as_ref()
            .is_ok_and(|output| output.status.is_some());
        if !has_ended {
            kill(&mut child, &files);
        }
        let output = collected
            .map_err(|error| self.failed("cannot read the output of a command", &error))?;
        let Some(status) = output.status else {
            let text = format!(
                "command {:?} did not end within {} s and was killed",
                self.command,
                limit.unwrap_or_default().as_secs_f64()
            );
            return Err(HandlerError::Timeout(text));
        };
        let exit_code = status.code().unwrap_or(255);
        if files.program().is_none() && FAILED_CODES.contains(&exit_code) {
            return Err(cannot_run(self.command, &files, &output.stderr));
        }
        Ok(ExecOutput {
            exit_code,
            stdout: output.stdout,
            stderr: output.stderr,
        })
    }

    /// Starts the command and gives its streams.
    pub(super) fn streams(&self, streams: Streams) -> Result<Attached, HandlerError> {
        let files = self.describe(streams.tty)?;
        let mut runtime = self.runtime_command(&files, streams.tty);
        let terminal = if streams.tty {
            let terminal = Terminal::give(&mut runtime);
            Some(
                terminal
                    .map_err(|error| self.failed("cannot make a terminal for a command", &error))?,
            )
        } else {
            let pipe = |is_wanted: bool| {
                if is_wanted {
                    Stdio::piped()
                } else {
                    Stdio::null()
                }
            };
            runtime
                .stdin(pipe(streams.stdin))
                .stdout(pipe(streams.stdout))
                .stderr(pipe(streams.stderr));
            None
        };
        let child = runtime.spawn();
        // The terminal's end has to be the runtime's alone.
        drop(runtime);
        let mut child =
            child.map_err(|error| self.failed("cannot start the OCI runtime", &error))?;
        let ended = process::open(child.id() as i32);
        let mut stdin = child.stdin.take().map(OwnedFd::from);
        let mut stdout = child.stdout.take().map(OwnedFd::from);
        let stderr = child.stderr.take().map(OwnedFd::from);
        let mut console = None;
        if let Some(terminal) = terminal {
            stdin = streams.stdin.then_some(terminal.stdin);
            stdout = Some(terminal.stdout);
            console = Some(terminal.console);
        }
        let program = Running {
            child: Mutex::new(child),
            console,
            files,
            command: self.command.to_vec(),
        };
        // It is ended again where this is an error.
        let ended = ended
            .ok_or_else(|| self.failed("cannot watch a command", &"no file descriptor is left"))?;
        Ok(Attached {
            stdin,
            output: Output::Files { stdout, stderr },
            ended: Some(ended),
            program: Box::new(program),
        })
    }

    /// Writes down what the runtime is to start.
    fn describe(&self, has_terminal: bool) -> Result<Files, HandlerError> {
        if self.command.first().is_none_or(String::is_empty) {
            let text = "there is no command to run".to_owned();
            return Err(HandlerError::Invalid(text));
        }
        let spec = Spec::load(self.bundle.join("config.json"))
            .map_err(|error| self.failed("cannot read config.json", &error))?;
        let mut description = spec.process().clone().unwrap_or_default();
        description.set_args(Some(self.command.to_vec()));
        description.set_terminal(Some(has_terminal));
        if has_terminal {
            name_terminal(&mut description);
        }
        let written = Files::new(self.bundle).and_then(|files| {
            fs::write(files.process(), serde_json::to_vec(&description)?)?;
            Ok(files)
        });
        written.map_err(|error| self.failed("cannot write to the bundle", &error))
    }

    /// The runtime's command line.
    fn runtime_command(&self, files: &Files, has_terminal: bool) -> Command {
        let mut command = if has_terminal {
            // The terminal becomes the runtime's own, so that it is told of sizes and of the
            // end of the other side, even where the daemon was killed.
            let mut command = Command::new("setsid");
            command.arg("-c").arg(&self.runtime.path);
            command.args(self.runtime.options());
            command
        } else {
            self.runtime.command()
        };
        command.arg("--log").arg(files.log());
        command.arg("exec").arg("--process").arg(files.process());
        command.arg("--pid-file").arg(files.pid()).arg(self.id);
        command.current_dir("/");
        command
    }

    fn failed(&self, what: &str, error: &dyn std::fmt::Display) -> HandlerError {
        HandlerError::Failed(format!("{what} of container {}: {error}", self.id))
    }
}

/// A terminal, three times: for what is read, what is written, and its size.
struct Terminal {
    console: Console,
    stdin: OwnedFd,
    stdout: OwnedFd,
}

impl Terminal {
    /// Makes one that is a command's standard input, output and error.
    fn give(runtime: &mut Command) -> std::io::Result<Self> {
        let (console, end) = Console::open()?;
        let (stdin, stdout) = (console.duplicate()?, console.duplicate()?);
        let [input, output, error] = end.into_stdio()?;
        runtime.stdin(input).stdout(output).stderr(error);
        Ok(Self {
            console,
            stdin,
            stdout,
        })
    }
}

/// Says what a container's terminal is, unless the container does.
fn name_terminal(description: &mut Description) {
    let mut environment = description.env().clone().unwrap_or_default();
    if !environment.iter().any(|entry| entry.starts_with("TERM=")) {
        environment.push(TERM.to_owned());
    }
    description.set_env(Some(environment));
}

/// A command that the runtime could not start, in the runtime's words.
fn cannot_run(command: &[String], files: &Files, stderr: &[u8]) -> HandlerError {
    let log = fs::read(files.log()).unwrap_or_default();
    let said = [words(&log), words(stderr)];
    let said = said.iter().find(|text| !text.is_empty());
    let said = said.map_or("the OCI runtime does not say why", String::as_str);
    HandlerError::Failed(format!("command {command:?} cannot be run: {said}"))
}

/// Kills the command, what it started, and the runtime that waits for it.
fn kill(child: &mut Child, files: &Files) {
    let heads = files.program().into_iter().chain([child.id() as i32]);
    process::kill_family(&Vec::from_iter(heads));
    // It was killed with the rest.
    let _ = child.wait();
}

/// A command whose streams somebody has.
#[derive(Debug)]
struct Running {
    /// The runtime, which waits for the command.
    child: Mutex<Child>,
    console: Option<Console>,
    files: Files,
    command: Vec<String>,
}

impl Running {
    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Program for Running {
    fn resize(&self, size: Size) -> std::io::Result<()> {
        match &self.console {
            Some(console) => console.resize(size),
            None => Ok(()),
        }
    }

    fn exit_code(&self) -> Result<i32, HandlerError> {
        let status = self.child().wait().map_err(|error| {
            HandlerError::Failed(format!(
                "cannot see how command {:?} ended: {error}",
                self.command
            ))
        })?;
        let exit_code = status.code().unwrap_or(255);
        if self.files.program().is_none() && FAILED_CODES.contains(&exit_code) {
            return Err(cannot_run(&self.command, &self.files, &[]));
        }
        Ok(exit_code)
    }

    fn leave(mut self: Box<Self>) {
        // Hangs up.
        self.console = None;
        let pid = self.child().id() as i32;
        if let Some(process) = process::identify(pid) {
            process::wait_end(process, LEAVE_LIMIT);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !matches!(child.try_wait(), Ok(Some(_))) {
            kill(child, &self.files);
        }
    }
}

/// Files of one command, removed with it.
#[derive(Debug)]
struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    fn new(bundle: &Path) -> std::io::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("exec-")
            .tempdir_in(bundle)?;
        Ok(Self { directory })
    }

    fn process(&self) -> PathBuf {
        self.directory.path().join("process.json")
    }

    fn pid(&self) -> PathBuf {
        self.directory.path().join("pid")
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// The number of the command's process on the host; none before it is started.
    fn program(&self) -> Option<i32> {
        let text = fs::read_to_string(self.pid()).ok()?;
        text.trim().parse().ok()
    }
}
