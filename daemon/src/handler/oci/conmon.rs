//! conmon: the process beside each container that holds its output, writes its log, and
//! notes how it ended. It outlives the daemon; its end is the container's.
//!
//! ```text
//! DIRECTORY/conmon.pid           its number
//! DIRECTORY/container.pid        the number of the container's first process
//! DIRECTORY/exit/{ID,oom}        the exit code; there if memory ran out
//! DIRECTORY/bundle/{ctl,attach,winsz}  its pipes and its socket
//! ```
//!
//! What it is told on a pipe (`_OCI_SYNCPIPE`): `{"pid": N}`, or `{"pid": -1, "message": …}`
//! with what the runtime said.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::OFlags;
use serde::Deserialize;

use super::process;
use super::runtime::{Runtime, words};
use crate::handler::Process;

/// How long the runtime may take to create a container.
const CREATE_LIMIT: Duration = Duration::from_secs(240);
/// How long conmon may take to open its log anew.
const REOPEN_LIMIT: Duration = Duration::from_secs(10);
/// Most bytes of what it says on its pipe.
const SAID_MAX_BYTES: usize = 1 << 20;
/// Where the pipe is in conmon.
const SYNC_FD: i32 = 3;
/// Puts the pipe there. A program is given no other files than its standard ones: what is
/// open to one child of a daemon with threads may be open to all.
const TAKE_PIPE: &str = "exec \"$0\" \"$@\" 3>&1 1>/dev/null";
/// What conmon is told on its pipe: open the log anew.
const REOPEN: &[u8] = b"2 0 0\n";

/// What goes wrong with conmon.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConmonError {
    /// There is no such program.
    #[error("{} cannot be started: {source}; install conmon, or correct its path", path.display())]
    Missing { path: PathBuf, source: io::Error },
    /// The container was not created.
    #[error("{runtime} create: {text}")]
    Create { runtime: String, text: String },
    /// It ended, or says something else than it should.
    #[error("conmon failed: {text}")]
    Broken { text: String },
    /// A file cannot be made or read.
    #[error("cannot {operation} {}: {source}", path.display())]
    File {
        operation: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// Its socket does not take a client.
    #[error("cannot attach to conmon's socket {}: {source}", path.display())]
    Attach { path: PathBuf, source: io::Error },
    /// It is gone, or does not do as it is told.
    #[error("conmon does not open the log {} anew: {reason}", path.display())]
    Reopen { path: PathBuf, reason: String },
}

/// What a container's conmon needs to know.
#[derive(Debug)]
pub(super) struct Conmon<'a> {
    pub(super) program: &'a Path,
    pub(super) id: &'a str,
    pub(super) directory: &'a Path,
}

/// How a container is started.
#[derive(Debug)]
pub(super) struct Start<'a> {
    pub(super) runtime: &'a Runtime,
    pub(super) log: Option<&'a Path>,
    pub(super) has_terminal: bool,
    pub(super) has_stdin: bool,
    pub(super) stdin_once: bool,
    pub(super) is_systemd: bool,
}

#[derive(Deserialize)]
struct Said {
    pid: i32,
    #[serde(default)]
    message: String,
}

impl Conmon<'_> {
    pub(super) fn bundle(&self) -> PathBuf {
        self.directory.join("bundle")
    }

    fn pid_file(&self) -> PathBuf {
        self.directory.join("conmon.pid")
    }

    fn container_pid_file(&self) -> PathBuf {
        self.directory.join("container.pid")
    }

    fn exit_directory(&self) -> PathBuf {
        self.directory.join("exit")
    }

    /// Starts it, and has it create the container, whose program does not run yet.
    pub(super) fn create(&self, start: &Start<'_>) -> Result<Process, ConmonError> {
        let exit = self.exit_directory();
        fs::create_dir_all(&exit).map_err(file("make", &exit))?;
        let found = rustix::fs::access(self.program, rustix::fs::Access::EXEC_OK);
        found.map_err(|error| ConmonError::Missing {
            path: self.program.to_owned(),
            source: error.into(),
        })?;
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|error| file("make a pipe in", self.directory)(error.into()))?;
        let broken = |text: String| ConmonError::Broken { text };
        let mut command = self.command(start);
        command.stdout(writer).stderr(Stdio::piped());
        let child = command.spawn();
        // The end of the pipe must be conmon's alone.
        drop(command);
        let missing = |source| ConmonError::Missing {
            path: self.program.to_owned(),
            source,
        };
        let output = child.map_err(missing)?.wait_with_output();
        let output = output.map_err(|error| broken(error.to_string()))?;
        if !output.status.success() {
            let said = words(&output.stderr);
            return Err(broken(format!("{} {said}", output.status)));
        }
        let said = read_line(reader, CREATE_LIMIT)
            .map_err(|error| broken(error.to_string()))?
            .ok_or_else(|| broken("it says nothing of the container in time".to_owned()))?;
        if said.is_empty() {
            let runtime = start.runtime.name();
            return Err(broken(format!(
                "it ended while {runtime} created the container"
            )));
        }
        let said: Said = serde_json::from_slice(&said)
            .map_err(|error| broken(format!("{error} in {}", String::from_utf8_lossy(&said))))?;
        if said.pid <= 0 {
            return Err(ConmonError::Create {
                runtime: start.runtime.name(),
                text: words(said.message.as_bytes()),
            });
        }
        self.find()
            .ok_or_else(|| broken("it ended as soon as the container was created".to_owned()))
    }

    fn command(&self, start: &Start<'_>) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", TAKE_PIPE]).arg(self.program);
        command.args(["--cid", self.id, "--cuuid", self.id, "--name", self.id]);
        command.arg("--runtime").arg(&start.runtime.path);
        for option in start.runtime.options() {
            command.arg("--runtime-arg").arg(option);
        }
        command.arg("--bundle").arg(self.bundle());
        command
            .arg("--container-pidfile")
            .arg(self.container_pid_file());
        command.arg("--conmon-pidfile").arg(self.pid_file());
        command.arg("--exit-dir").arg(self.exit_directory());
        command.arg("--full-attach");
        match start.log {
            Some(log) => {
                let mut driver = std::ffi::OsString::from("k8s-file:");
                driver.push(log);
                command.arg("--log-path").arg(driver);
            }
            None => {
                command.args(["--log-path", "null"]);
            }
        }
        if start.has_terminal {
            command.arg("--terminal");
        }
        if start.has_stdin {
            command.arg("--stdin");
            if !start.stdin_once {
                command.arg("--leave-stdin-open");
            }
        }
        if start.is_systemd {
            command.arg("--systemd-cgroup");
        }
        command.args(["--log-level", "error"]);
        let path =
            std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into());
        command
            .env_clear()
            .env("PATH", path)
            .env("_OCI_SYNCPIPE", SYNC_FD.to_string())
            // It notes there that memory ran out.
            .current_dir(self.exit_directory())
            .process_group(0)
            .stdin(Stdio::null());
        command
    }

    /// The process, of this daemon or one before it; none where it is gone.
    pub(super) fn find(&self) -> Option<Process> {
        let pid = read_pid(&self.pid_file())?;
        let process = process::identify(pid)?;
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        // Its number may be another's by now.
        let mut words = line.split(|&byte| byte == 0);
        words
            .any(|word| word == self.id.as_bytes())
            .then_some(process)
    }

    /// The number of the container's first process, as the runtime gave it.
    pub(super) fn container_pid(&self) -> Option<i32> {
        read_pid(&self.container_pid_file())
    }

    /// The exit code, and when it was written; none where conmon never did.
    pub(super) fn exit(&self) -> Option<(i32, SystemTime)> {
        let path = self.exit_directory().join(self.id);
        let code = fs::read_to_string(&path).ok()?.trim().parse().ok()?;
        let written = path.metadata().and_then(|file| file.modified());
        Some((code, written.unwrap_or_else(|_| SystemTime::now())))
    }

    /// Whether conmon saw that memory ran out.
    pub(super) fn saw_oom(&self) -> bool {
        self.exit_directory().join("oom").exists()
    }

    /// Has it open its log anew, and waits until it has. Nothing where the file that it
    /// writes still has the log's name: conmon would replace what is there.
    pub(super) fn reopen(&self, process: Process, log: &Path) -> Result<(), ConmonError> {
        if has_open(process, log) {
            return Ok(());
        }
        let failed = |reason: String| ConmonError::Reopen {
            path: log.to_owned(),
            reason,
        };
        tell(&self.bundle(), REOPEN).map_err(|error| failed(error.to_string()))?;
        let deadline = Instant::now() + REOPEN_LIMIT;
        while !has_open(process, log) {
            if !process::is_alive(process) {
                return Err(failed("it is gone".to_owned()));
            }
            if Instant::now() > deadline {
                return Err(failed("it does not answer".to_owned()));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Forgets how an earlier attempt to start went.
    pub(super) fn clear(&self) -> Result<(), ConmonError> {
        for path in [self.pid_file(), self.container_pid_file()] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(file("remove", &path)(error));
                }
                _ => {}
            }
        }
        match fs::remove_dir_all(self.exit_directory()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(file("remove", &self.exit_directory())(error))
            }
            _ => Ok(()),
        }
    }
}

/// Tells the conmon of a bundle something on its pipe, without waiting: a line is taken whole
/// or not at all.
pub(super) fn tell(bundle: &Path, line: &[u8]) -> io::Result<()> {
    let flags = OFlags::NONBLOCK | OFlags::CLOEXEC;
    let pipe = File::options()
        .write(true)
        .custom_flags(flags.bits() as i32)
        .open(bundle.join("ctl"));
    pipe?.write_all(line)
}

/// Whether a process has the file of that name open.
fn has_open(process: Process, path: &Path) -> bool {
    let Ok(wanted) = path.metadata() else {
        return false;
    };
    let descriptors = fs::read_dir(format!("/proc/{}/fd", process.pid));
    let mut files = descriptors
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| fs::metadata(entry.path()).ok());
    files.any(|file| (file.dev(), file.ino()) == (wanted.dev(), wanted.ino()))
}

fn read_pid(path: &Path) -> Option<i32> {
    let text = fs::read_to_string(path).ok()?;
    text.trim().parse().ok().filter(|&pid| pid > 1)
}

/// A line of a pipe, or what came before its end; none where the time was up.
fn read_line(pipe: OwnedFd, limit: Duration) -> io::Result<Option<Vec<u8>>> {
    let mut pipe = File::from(pipe);
    let deadline = Instant::now() + limit;
    let mut line = Vec::new();
    while !line.ends_with(b"\n") && line.len() < SAID_MAX_BYTES {
        let left = deadline.saturating_duration_since(Instant::now());
        let ready = {
            let mut waited = [PollFd::new(&pipe, PollFlags::IN)];
            poll(&mut waited, Some(&process::timespec(left)))
        };
        match ready {
            Err(rustix::io::Errno::INTR) => continue,
            Ok(0) => return Ok(None),
            ready => ready?,
        };
        let mut chunk = [0; 4096];
        match pipe.read(&mut chunk)? {
            0 => break,
            len => line.extend_from_slice(&chunk[..len]),
        }
    }
    Ok(Some(line))
}

fn file(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ConmonError {
    let path = path.to_owned();
    move |source| ConmonError::File {
        operation,
        path,
        source,
    }
}
