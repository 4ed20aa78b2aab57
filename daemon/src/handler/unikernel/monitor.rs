//! The monitor's process: started, found again, ended.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal, waitpid,
};
use unikiln_vmm::container::Ready;
use unikiln_vmm::control::{Reply, Request, ask};

use super::{CONTROL, MONITOR_LOG, SPEC, failed};
use crate::handler::{HandlerError, Process, start_ticks};

/// How long a program may take until it runs: a busy machine starts in milliseconds.
const START_WAIT: Duration = Duration::from_secs(60);
/// How long an answer may take; opening a log anew waits for its disk.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// How long a killed guest may take to write its log.
const END_WAIT: Duration = Duration::from_secs(8);
/// How long a killed process may take to be gone.
const KILL_WAIT: Duration = Duration::from_secs(10);
/// What is quoted of the monitor's own words.
const QUOTE_MAX_BYTES: usize = 1024;
const LINE_MAX_BYTES: usize = 64 << 10;
/// Signals to its process that a monitor passes on to its guest.
const FORWARDED: [Signal; 9] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::USR1,
    Signal::USR2,
    Signal::ALARM,
    Signal::TERM,
    Signal::CONT,
    Signal::WINCH,
];

/// Starts the monitor of the container in `directory`; returns when its program runs.
pub(super) fn start(program: &Path, directory: &Path) -> Result<Process, HandlerError> {
    let log = directory.join(MONITOR_LOG);
    let cannot = |what: &Path, error: &dyn std::fmt::Display| {
        HandlerError::Failed(format!("cannot start {}: {error}", what.display()))
    };
    let words = File::create(&log).map_err(|error| cannot(&log, &error))?;
    let mut child = Command::new(program)
        .arg("--spec")
        .arg(directory.join(SPEC))
        .env_clear()
        // Its few threads share one heap: less memory, and less to map.
        .env("MALLOC_ARENA_MAX", "1")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(words)
        .spawn()
        .map_err(|error| cannot(program, &error))?;
    let outcome = identify(&child).and_then(|process| {
        let stdout = child.stdout.take();
        match stdout.map_or(Ok(None), |stdout| first_line(&stdout))? {
            Some(Ready::Started) => Ok(process),
            Some(Ready::Failed(why)) => Err(HandlerError::Failed(why)),
            None => Err(HandlerError::Failed(format!(
                "the monitor ended without a word of the program: {}",
                last_words(&log)
            ))),
        }
    });
    if outcome.is_err() {
        // What told of a failure is about to end; what told nothing must not go on.
        if !ends_soon(&mut child) {
            let _ = child.kill();
        }
        let _ = child.wait();
    }
    outcome
}

fn identify(child: &Child) -> Result<Process, HandlerError> {
    let pid = child.id() as i32;
    let start_ticks = start_ticks(pid).ok_or_else(|| {
        HandlerError::Failed(format!("the monitor, process {pid}, is not in /proc"))
    })?;
    Ok(Process { pid, start_ticks })
}

/// What the monitor says of its program; none where it ended first.
fn first_line(stdout: &ChildStdout) -> Result<Option<Ready>, HandlerError> {
    let until = Instant::now() + START_WAIT;
    let mut line = Vec::new();
    loop {
        if !readable(stdout, until).map_err(|errno| failed(&errno))? {
            return Err(HandlerError::Timeout(format!(
                "the program did not run within {} s; the monitor was ended",
                START_WAIT.as_secs()
            )));
        }
        let mut bytes = [0; 4096];
        let count = match rustix::io::read(stdout, &mut bytes) {
            Err(Errno::INTR) => continue,
            other => other.map_err(|errno| failed(&errno))?,
        };
        line.extend_from_slice(&bytes[..count]);
        if count == 0 && line.is_empty() {
            return Ok(None);
        }
        if count == 0 || line.ends_with(b"\n") || line.len() > LINE_MAX_BYTES {
            return serde_json::from_slice(&line)
                .map(Some)
                .map_err(|error| failed(&error));
        }
    }
}

/// Waits until a descriptor has bytes, has ended, or a process is gone; false at `until`.
fn readable(fd: impl AsFd, until: Instant) -> Result<bool, Errno> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
        let timeout = Timespec {
            tv_sec: left.as_secs() as i64,
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

fn ends_soon(child: &mut Child) -> bool {
    let until = Instant::now() + Duration::from_secs(2);
    let pid = Pid::from_raw(child.id() as i32);
    let Some(Ok(fd)) = pid.map(|pid| pidfd_open(pid, PidfdFlags::empty())) else {
        return false;
    };
    readable(&fd, until).unwrap_or(false)
}

fn last_words(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let start = text.len().saturating_sub(QUOTE_MAX_BYTES);
    let text = String::from_utf8_lossy(&text[start..]);
    match text.trim() {
        "" => format!("nothing is in {} either", log.display()),
        words => words.replace('\n', "; "),
    }
}

/// A monitor that is there.
#[derive(Debug)]
pub(super) struct Monitor {
    process: OwnedFd,
    pid: i32,
}

impl Monitor {
    /// The process, unless it is gone and another has its number.
    pub(super) fn find(process: Process) -> Option<Self> {
        let pid = Pid::from_raw(process.pid)?;
        let fd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        // Looked at after it was opened: the number cannot be another's from here on.
        (start_ticks(process.pid)? == process.start_ticks && !is_gone(&fd)).then_some(Self {
            process: fd,
            pid: process.pid,
        })
    }

    /// Asks it; none where it is gone.
    pub(super) fn ask(
        &self,
        directory: &Path,
        request: &Request,
    ) -> Result<Option<Reply>, HandlerError> {
        match ask(&directory.join(CONTROL), request, ANSWER_WAIT) {
            Ok(reply) => Ok(Some(reply)),
            Err(_) if is_gone(&self.process) => Ok(None),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock
                ) =>
            {
                Err(HandlerError::Timeout(format!(
                    "the monitor, process {}, did not answer within {} s",
                    self.pid,
                    ANSWER_WAIT.as_secs()
                )))
            }
            Err(error) => Err(HandlerError::Failed(format!(
                "cannot ask the monitor, process {}: {error}",
                self.pid
            ))),
        }
    }

    /// Sends a signal by the host's own way, where the monitor passes it on.
    pub(super) fn pass(&self, signal: i32) -> Result<bool, HandlerError> {
        let passed = FORWARDED.into_iter().find(|it| it.as_raw() == signal);
        match passed.map(|signal| pidfd_send_signal(&self.process, signal)) {
            None => Ok(false),
            Some(Ok(()) | Err(Errno::SRCH)) => Ok(true),
            Some(Err(errno)) => Err(failed(&errno)),
        }
    }

    /// It is about to end: waits for it, and kills it where it takes too long.
    pub(super) fn end(&self) -> Result<(), HandlerError> {
        if readable(&self.process, Instant::now() + END_WAIT).unwrap_or(false) {
            return Ok(());
        }
        self.kill()
    }

    /// Ends the process; its end is not recorded.
    pub(super) fn kill(&self) -> Result<(), HandlerError> {
        match pidfd_send_signal(&self.process, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(errno) => return Err(failed(&errno)),
        }
        if readable(&self.process, Instant::now() + KILL_WAIT).unwrap_or(false) {
            return Ok(());
        }
        Err(HandlerError::Timeout(format!(
            "the monitor, process {}, was killed and is not gone; it may wait for a disk",
            self.pid
        )))
    }
}

fn is_gone(process: &OwnedFd) -> bool {
    readable(process, Instant::now()).unwrap_or(false)
}

impl Monitor {
    /// Ends the process and takes its end where it is this daemon's to take.
    pub(super) fn remove(&self) -> Result<(), HandlerError> {
        self.kill()?;
        reap_pid(self.pid);
        Ok(())
    }
}

/// A monitor that this daemon started stays as a number until its end is taken.
pub(super) fn reap(process: Process) {
    reap_pid(process.pid);
}

fn reap_pid(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        // Another daemon's is the init process's.
        let _ = waitpid(Some(pid), WaitOptions::NOHANG);
    }
}

/// Every monitor that runs this description.
pub(super) fn all_of(spec: &Path) -> Vec<Monitor> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: i32| {
        let start_ticks = start_ticks(pid)?;
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let words: Vec<&[u8]> = line.split(|&byte| byte == 0).collect();
        let ours = [&b"--spec"[..], spec.as_os_str().as_encoded_bytes()];
        let is_ours = words.windows(2).any(|two| two == ours);
        is_ours.then(|| Monitor::find(Process { pid, start_ticks }))?
    })
    .collect()
}
