//! Starting processes and timing them from outside.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// A process that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a finished process took and said.
#[derive(Debug)]
pub(crate) struct Finished {
    /// From before it was started to the first byte of its standard output.
    pub(crate) first_byte: Duration,
    /// From before it was started until it was gone.
    pub(crate) total: Duration,
    /// Its standard output.
    pub(crate) stdout: Vec<u8>,
    /// Its standard error.
    pub(crate) stderr: String,
}

impl Finished {
    /// [`Self::first_byte`] in ms.
    pub(crate) fn first_byte_ms(&self) -> f64 {
        self.first_byte.as_secs_f64() * 1e3
    }

    /// [`Self::total`] in ms.
    pub(crate) fn total_ms(&self) -> f64 {
        self.total.as_secs_f64() * 1e3
    }
}

/// Starts processes that see an empty environment but for PATH, no input, and
/// `/` as their working directory, as a container would.
#[derive(Debug)]
pub(crate) struct Runner {
    stderr: PathBuf,
}

impl Runner {
    /// Keeps what processes say on standard error in a file in `scratch`.
    pub(crate) fn new(scratch: &Path) -> Self {
        Self {
            stderr: scratch.join("stderr"),
        }
    }

    /// Runs a command to its end; anything but exit code 0 is an error.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, words: &[S]) -> Result<Finished> {
        let started = Instant::now();
        let running = self.start(words)?;
        running.finish(started)
    }

    /// Starts a command and waits until it has said something.
    pub(crate) fn start_until_output<S: AsRef<OsStr>>(&self, words: &[S]) -> Result<Running> {
        let mut running = self.start(words)?;
        running.wait_for_output()?;
        Ok(running)
    }

    fn start<S: AsRef<OsStr>>(&self, words: &[S]) -> Result<Running> {
        let (program, args) = words.split_first().context("no command")?;
        let name = program.as_ref().display().to_string();
        let stderr = File::create(&self.stderr)
            .with_context(|| format!("cannot write {}", self.stderr.display()))?;
        let mut child = Command::new(program)
            .args(args)
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let stdout = child.stdout.take().context("standard output is piped")?;
        Ok(Running {
            name,
            child,
            stdout,
            first: None,
            stderr: self.stderr.clone(),
        })
    }
}

/// A process that was started; killed when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    name: String,
    child: Child,
    stdout: ChildStdout,
    first: Option<u8>,
    stderr: PathBuf,
}

impl Running {
    /// Its process number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait_for_output(&mut self) -> Result<()> {
        let _watch = Watch::start(self.pid());
        let mut byte = [0];
        match self.stdout.read_exact(&mut byte) {
            Ok(()) => {
                self.first = Some(byte[0]);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                let status = self.child.wait().context("cannot wait for it")?;
                bail!("{} said nothing ({status})\n{}", self.name, self.errors())
            }
            Err(error) => Err(error).context("cannot read from a pipe"),
        }
    }

    fn finish(mut self, started: Instant) -> Result<Finished> {
        let watch = Watch::start(self.pid());
        let mut stdout = vec![0; 1 << 16];
        let got = self
            .stdout
            .read(&mut stdout)
            .context("cannot read from a pipe")?;
        let first_byte = started.elapsed();
        stdout.truncate(got);
        self.stdout
            .read_to_end(&mut stdout)
            .context("cannot read from a pipe")?;
        let status = self.child.wait().context("cannot wait for it")?;
        let total = started.elapsed();
        drop(watch);
        let stderr = self.errors();
        ensure!(
            status.success(),
            "{} ended with {status}\n{stderr}",
            self.name
        );
        Ok(Finished {
            first_byte,
            total,
            stdout,
            stderr,
        })
    }

    fn errors(&self) -> String {
        std::fs::read(&self.stderr).map_or_else(
            |_| String::new(),
            |bytes| String::from_utf8_lossy(&bytes).into_owned(),
        )
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It is gone already but where something failed or it sleeps for ever.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Kills a process that hangs. Ends with the process that it watches.
#[derive(Debug)]
struct Watch {
    _stop: mpsc::Sender<()>,
}

impl Watch {
    fn start(pid: u32) -> Self {
        let (stop, stopped) = mpsc::channel::<()>();
        thread::spawn(move || {
            if stopped.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                eprintln!(
                    "process {pid} hangs for {} s; killing it",
                    PATIENCE.as_secs()
                );
                // Its reader then sees the end and reports the signal.
                let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
            }
        });
        Self { _stop: stop }
    }
}

/// Runs a tool that prepares something; shows what it said where it fails.
pub(crate) fn tool<S: AsRef<OsStr>>(words: &[S]) -> Result<Vec<u8>> {
    let (program, args) = words.split_first().context("no command")?;
    let name = program.as_ref().display();
    let output = Command::new(program)
        .args(args)
        .output()
        .with_context(|| format!("cannot start {name}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{name} ended with {}\n{said}",
        output.status
    );
    Ok(output.stdout)
}
