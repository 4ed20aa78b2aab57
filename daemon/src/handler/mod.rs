//! Handlers: what a RuntimeClass names, and how its containers run.
//!
//! | module | handler |
//! |---|---|
//! | `unikernel` | a unikernel and its monitor for each container |
//! | `oci` | an OCI runtime, supervised by conmon |
//!
//! [`streams`] is what a client of Exec and Attach gets of a program.
//!
//! Every call blocks. A container's directory ([`Launch::directory`]) is the handler's to
//! fill: what it needs to find the container again after the daemon was killed lies there.

pub mod oci;
pub mod streams;
pub mod unikernel;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use self::streams::{Attached, Streams};
use crate::cgroup::Cgroup;
use crate::image::LocalImage;
use crate::proto::{
    ContainerConfig, LinuxContainerResources, LinuxContainerUser, PodSandboxConfig,
};

/// What a handler is given of a container. All of it is the same at each call.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    /// The container's id: 64 hexadecimal digits.
    pub id: &'a str,
    /// The container's directory below the state directory, absolute, mode 0700.
    pub directory: &'a Path,
    /// The container as kubelet wants it.
    pub config: &'a ContainerConfig,
    /// Its pod.
    pub pod: &'a PodSandboxConfig,
    /// Its image.
    pub image: &'a LocalImage,
    /// Its mounts, those of the pod (`/etc/resolv.conf`, `/etc/hostname`, `/etc/hosts`) included
    /// where the container has none of its own there; in the order in which they are made.
    pub mounts: &'a [Mount],
    /// The pod's network namespace; none: the host's.
    pub network: Option<&'a Path>,
    /// The container's cgroup, which exists and has its limits.
    pub cgroup: &'a Cgroup,
    /// The file that CRI log lines go to; none: no log is wanted.
    pub log: Option<&'a Path>,
}

/// Something of the host at a place of the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Directory or file of the host, absolute, symbolic links resolved.
    pub source: PathBuf,
    /// Absolute path in the container.
    pub place: PathBuf,
    /// The container cannot change it.
    pub read_only: bool,
    /// `read_only` holds for what is mounted below, too.
    pub recursive_read_only: bool,
    /// What the host mounts below later is seen (`HostToContainer`, `Bidirectional`).
    pub propagated: bool,
}

/// A process of the host, told apart from a later one with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// Field 22 of `/proc/PID/stat`: clock ticks from the boot to its start.
    pub start_ticks: u64,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// 0 to 255; 128 + N where signal N ended it.
    pub exit_code: i32,
    /// `Completed`, `Error`, `OOMKilled`, `StartError`, `Unknown`.
    pub reason: String,
    /// First line of a crash record or an error; may be empty.
    pub message: String,
    /// When.
    pub finished_at: SystemTime,
}

/// What a command in a container gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecOutput {
    /// Its exit code.
    pub exit_code: i32,
    /// Its standard output, 16 MiB at most.
    pub stdout: Vec<u8>,
    /// Its standard error, 16 MiB at most.
    pub stderr: Vec<u8>,
}

/// What only the inside of a guest knows; the rest is the cgroup's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GuestStats {
    /// Bytes of memory that the guest's programs use.
    pub memory_used_bytes: u64,
    /// Most of it so far.
    pub memory_peak_bytes: u64,
    /// Bytes written to its root file system's upper layer.
    pub upper_bytes: u64,
    /// Inodes of that layer.
    pub upper_inodes: u64,
    /// Threads (tasks) of the guest.
    pub threads: u64,
    /// Exits of its vCPUs so far, by reason.
    pub exits: std::collections::BTreeMap<String, u64>,
}

/// Why a handler cannot. The daemon turns each into the gRPC code that it names.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// The request can never work: `InvalidArgument`.
    #[error("{0}")]
    Invalid(String),
    /// Not now: `FailedPrecondition`.
    #[error("{0}")]
    Precondition(String),
    /// Not by this handler: `Unimplemented`.
    #[error("{0}")]
    Unimplemented(String),
    /// It took too long: `DeadlineExceeded`.
    #[error("{0}")]
    Timeout(String),
    /// Anything else: `Internal`.
    #[error("{0}")]
    Failed(String),
}

/// How containers run.
pub trait Handler: Send + Sync + std::fmt::Debug {
    /// Checks all of the request and prepares what takes time; nothing runs after it.
    /// After an error, [`Handler::delete`] is called.
    fn create(&self, launch: &Launch<'_>) -> Result<(), HandlerError>;

    /// Starts a created container, and returns once its program runs or cannot. The process is
    /// the one whose end is the container's end: its monitor, or conmon. It outlives the daemon.
    fn start(&self, launch: &Launch<'_>) -> Result<Process, HandlerError>;

    /// Sends a signal to the program. No error where it is gone already.
    fn signal(
        &self,
        launch: &Launch<'_>,
        process: Process,
        signal: i32,
    ) -> Result<(), HandlerError>;

    /// How it ended. Called once the process is gone, by whichever daemon is there then.
    fn ended(&self, launch: &Launch<'_>, process: Process) -> Ended;

    /// Opens the log file anew, after it was renamed.
    fn reopen_log(&self, launch: &Launch<'_>, process: Process) -> Result<(), HandlerError>;

    /// Takes new limits while it runs; the cgroup has them already.
    fn update(
        &self,
        launch: &Launch<'_>,
        process: Process,
        resources: &LinuxContainerResources,
    ) -> Result<(), HandlerError>;

    /// What the guest says of itself; none where the cgroup knows all.
    fn stats(
        &self,
        launch: &Launch<'_>,
        process: Process,
    ) -> Result<Option<GuestStats>, HandlerError>;

    /// Runs a command in the container and collects what it writes.
    fn exec_sync(
        &self,
        launch: &Launch<'_>,
        process: Process,
        command: &[String],
        timeout: Option<Duration>,
    ) -> Result<ExecOutput, HandlerError>;

    /// Whether there can be streams at all; the error is what Exec and Attach answer else.
    fn has_streams(&self) -> Result<(), HandlerError>;

    /// Starts a command in the container and gives its streams.
    fn exec(
        &self,
        launch: &Launch<'_>,
        process: Process,
        command: &[String],
        streams: Streams,
    ) -> Result<Attached, HandlerError>;

    /// Gives the streams of the container's own program.
    fn attach(
        &self,
        launch: &Launch<'_>,
        process: Process,
        streams: Streams,
    ) -> Result<Attached, HandlerError>;

    /// Removes all that `create` and `start` left but the directory itself, processes too.
    /// May be called at any time and again.
    fn delete(&self, launch: &Launch<'_>, process: Option<Process>) -> Result<(), HandlerError>;

    /// The host's directory that holds what the container wrote to its root file system; none
    /// where [`Handler::stats`] tells its size.
    fn upper_directory(&self, launch: &Launch<'_>) -> Option<PathBuf>;

    /// The user and groups that a created container's program starts with; none where only the
    /// inside of a guest knows them.
    fn user(&self, launch: &Launch<'_>) -> Option<LinuxContainerUser>;

    /// Bytes of memory that a container takes beside its programs', which its cgroup has to allow
    /// beyond its limit.
    fn overhead_bytes(&self, limit_bytes: u64) -> u64;

    /// Whether a mount can be read-only with all that is mounted below it.
    fn has_recursive_read_only(&self) -> bool;

    /// Ends, unmounts and releases what containers left that no record knows any more.
    /// `directory` holds the directories of all containers, which stay.
    fn sweep(&self, directory: &Path, is_known: &dyn Fn(&str) -> bool) -> Result<(), HandlerError>;
}

/// Field 22 of `/proc/PID/stat`; none where there is no such process. One that has ended and is
/// not waited for yet has it still.
pub(crate) fn start_ticks(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything.
    let (_, fields) = text.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    // The first is field 3.
    fields.nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::start_ticks;

    #[test]
    fn processes_have_a_start() {
        let own = i32::try_from(std::process::id()).expect("pid");
        assert!(start_ticks(own).expect("this process") > 0);
        assert_eq!(start_ticks(i32::MAX), None);
    }
}
