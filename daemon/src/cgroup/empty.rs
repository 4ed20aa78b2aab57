//! Emptying: the processes of a cgroup, their end, and the removal of its directories.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::error::CgroupError;
use super::file::{self, Text};

/// How long processes may take to die: one in an uninterruptible wait can hold out.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a directory may stay busy: the last process is let go of after its end is seen.
const REMOVE_TIMEOUT: Duration = Duration::from_secs(5);

const PAUSE: Duration = Duration::from_millis(5);

/// The processes in directories and below, each once, in order.
pub fn processes(directories: &[PathBuf]) -> Result<Vec<i32>, CgroupError> {
    let mut found = BTreeSet::new();
    for directory in directories {
        collect(directory, &mut found)?;
    }
    Ok(found.into_iter().collect())
}

fn collect(directory: &Path, found: &mut BTreeSet<i32>) -> Result<(), CgroupError> {
    if let Some(text) = Text::read(&directory.join("cgroup.procs"))? {
        found.extend(text.processes()?);
    }
    for child in children(directory)? {
        collect(&child, found)?;
    }
    Ok(())
}

/// The directories in a directory; none where it is gone.
fn children(directory: &Path) -> Result<Vec<PathBuf>, CgroupError> {
    let failed = |source| CgroupError::Read {
        file: directory.to_owned(),
        source,
    };
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut children = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            children.push(entry.path());
        }
    }
    Ok(children)
}

/// Ends all processes in directories and below.
pub fn kill(path: &str, directories: &[PathBuf]) -> Result<(), CgroupError> {
    let deadline = Instant::now() + KILL_TIMEOUT;
    loop {
        let processes = processes(directories)?;
        if processes.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(CgroupError::Processes {
                path: path.to_owned(),
                count: processes.len(),
                seconds: KILL_TIMEOUT.as_secs(),
            });
        }
        for directory in directories {
            // All at once, children that are being made included; since Linux 5.14.
            let _ = file::write(&directory.join("cgroup.kill"), "1");
            // No signal reaches a process that version 1 froze.
            let _ = file::write(&directory.join("freezer.state"), "THAWED");
        }
        signal_each(path, directories, &processes)?;
        thread::sleep(PAUSE);
    }
}

/// SIGKILL to each that is in the cgroup still when its number is held fast: a number may be
/// another process's by now.
fn signal_each(path: &str, directories: &[PathBuf], seen: &[i32]) -> Result<(), CgroupError> {
    let held: Vec<_> = seen
        .iter()
        .filter_map(|pid| {
            let pidfd = pidfd_open(Pid::from_raw(*pid)?, PidfdFlags::empty()).ok()?;
            Some((*pid, pidfd))
        })
        .collect();
    let still: BTreeSet<i32> = processes(directories)?.into_iter().collect();
    for (pid, pidfd) in held.iter().filter(|(pid, _)| still.contains(pid)) {
        match pidfd_send_signal(pidfd, Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => {
                return Err(CgroupError::Kill {
                    pid: *pid,
                    path: path.to_owned(),
                    source: error.into(),
                });
            }
        }
    }
    Ok(())
}

/// Removes a directory with all below, deepest first; waits while one is busy.
pub fn remove(directory: &Path) -> Result<(), CgroupError> {
    let deadline = Instant::now() + REMOVE_TIMEOUT;
    loop {
        for child in children(directory)? {
            remove(&child)?;
        }
        match fs::remove_dir(directory) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error)
                if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < deadline =>
            {
                thread::sleep(PAUSE);
            }
            Err(source) => {
                return Err(CgroupError::Remove {
                    directory: directory.to_owned(),
                    source,
                });
            }
        }
    }
}
