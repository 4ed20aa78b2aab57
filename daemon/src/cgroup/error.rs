//! Why a cgroup cannot be made, limited, read or removed.

use std::io;
use std::path::PathBuf;

use super::bus::BusError;

/// What failed, on which file, and what to do where something can be done.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// No hierarchy is mounted.
    #[error(
        "no cgroup hierarchy is mounted ({}): mount cgroup2 at /sys/fs/cgroup",
        mountinfo.display()
    )]
    NoHierarchy {
        /// The list of mounts.
        mountinfo: PathBuf,
    },
    /// A controller for a limit that was asked for is in no hierarchy.
    #[error(
        "{asked} cannot be enforced: no mounted cgroup hierarchy has the controller {controller}; enable it in the kernel or leave the limit out"
    )]
    NoController {
        /// The controller.
        controller: String,
        /// The limit.
        asked: String,
    },
    /// A controller is not passed on to a cgroup.
    #[error("{asked} cannot be enforced: the controller {controller} cannot be enabled by {}", file.display())]
    Enable {
        /// The controller.
        controller: String,
        /// The limit.
        asked: String,
        /// A `cgroup.subtree_control`.
        file: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// The kernel lacks the file of a limit that was asked for.
    #[error("{asked} cannot be enforced: the kernel has no {}", file.display())]
    NoFile {
        /// The limit.
        asked: String,
        /// The missing file.
        file: PathBuf,
    },
    /// A request that can never work.
    #[error("{field}: {problem}")]
    Invalid {
        /// The field of the request.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Limits for a cgroup that is not there.
    #[error("there is no cgroup {path} to limit")]
    Gone {
        /// Its path.
        path: String,
    },
    /// A memory limit below what is in use.
    #[error("memory limit of {limit_bytes} bytes: {used_bytes} bytes are in use in {path}")]
    BelowUse {
        /// The new limit.
        limit_bytes: u64,
        /// The working set.
        used_bytes: u64,
        /// The cgroup.
        path: String,
    },
    /// A directory cannot be made.
    #[error("make {}", directory.display())]
    Make {
        /// The directory.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("read {}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file does not hold what the kernel writes there.
    #[error("{} line {line}: {problem}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// A value cannot be set.
    #[error("write {value:?} to {}", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// The value.
        value: String,
        /// What the kernel says.
        source: io::Error,
    },
    /// Processes are left after the time for their end.
    #[error("{count} processes of {path} did not end within {seconds} s of SIGKILL")]
    Processes {
        /// The cgroup.
        path: String,
        /// How many.
        count: usize,
        /// For how long.
        seconds: u64,
    },
    /// A directory cannot be removed.
    #[error("remove {}", directory.display())]
    Remove {
        /// The directory.
        directory: PathBuf,
        /// Why; EBUSY where processes are left.
        source: io::Error,
    },
    /// A signal cannot be sent.
    #[error("kill process {pid} of {path}")]
    Kill {
        /// The process.
        pid: i32,
        /// The cgroup.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The process that keeps a scope alive cannot be started.
    #[error("start `sleep`, which keeps the scope {unit} until the container runs")]
    Holder {
        /// The scope.
        unit: String,
        /// Why.
        source: io::Error,
    },
    /// systemd cannot be asked, or refuses.
    #[error("systemd: {action} {unit}")]
    Systemd {
        /// What was asked.
        action: &'static str,
        /// Of which unit.
        unit: String,
        /// Why not.
        source: BusError,
    },
}
