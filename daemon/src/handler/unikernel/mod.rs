//! A unikernel and its monitor for each container.
//!
//! ```text
//! create: fields refused? verdict, memory ─> spec.json
//! start:  unikiln-vmm --spec spec.json ─ a line on its standard output ─> runs, or why not
//! then:   control.sock (signal, reopen log, limits, statistics)
//! end:    exit.json
//! ```
//!
//! | file | what |
//! |---|---|
//! | [`fields`] | what of a request a unikernel cannot give; `daemon/SECURITY-FIELDS.md` |
//! | [`describe`] | the description of a container for its monitor |
//! | [`monitor`] | the monitor's process |
//!
//! All of it lies in the container's directory, so that any daemon finds it again.

mod describe;
mod fields;
mod monitor;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use unikiln_unikernel::UnikernelFile;
use unikiln_vmm::container::Ending;
use unikiln_vmm::control::{Reply, Request, Update};
use unikiln_vmm::refusal::refusal;

use super::streams::{Attached, Streams};
use super::{Ended, ExecOutput, GuestStats, Handler, HandlerError, Launch, Process};
use crate::cgroup::Cgroup;
use crate::image::LocalImage;
use crate::proto::{LinuxContainerResources, LinuxContainerUser};
use monitor::Monitor;

/// Name of the description in a container's directory.
const SPEC: &str = "spec.json";
/// Name of the control socket.
const CONTROL: &str = "control.sock";
/// Name of the record of the end.
const EXIT: &str = "exit.json";
/// What the monitor writes to its standard error.
const MONITOR_LOG: &str = "monitor.log";

/// What a monitor may take beside its guest's memory: 1.8 MiB were measured idle; rings of
/// connections and lines of the log that wait come on top.
const OVERHEAD_BYTES: u64 = 16 << 20;
/// The kernel's part of a guest's memory for what maps it: 2 MiB of a GiB were measured under
/// shadow paging.
const OVERHEAD_SHARE: u64 = 256;

/// What ExecSync, Exec and Attach answer.
const NO_STREAMS: &str = "a unikernel cannot be entered, for it has no second process: its log has what it \
    wrote and the record of a crash, the annotation unikiln.dev/strace adds its system calls";

const SIGKILL: i32 = 9;
/// Exit code of a container whose monitor was killed.
const CODE_KILLED: i32 = 137;

/// What the handler needs of the rest of the daemon.
pub trait Support: Send + Sync {
    /// The unikernel file of an image, converted before. It stays while the container is there.
    ///
    /// # Errors
    /// Why there is none.
    fn unikernel(&self, image: &LocalImage) -> Result<PathBuf, HandlerError>;

    /// Kills for lack of memory that a cgroup counted.
    fn oom_kills(&self, cgroup: &Cgroup) -> u64;
}

/// See the module documentation.
pub struct UnikernelHandler {
    /// Path of `unikiln-vmm`.
    monitor: PathBuf,
    support: Arc<dyn Support>,
}

impl fmt::Debug for UnikernelHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnikernelHandler({})", self.monitor.display())
    }
}

impl UnikernelHandler {
    /// A handler that runs the monitor at this path.
    pub fn new(monitor: PathBuf, support: Arc<dyn Support>) -> Self {
        Self { monitor, support }
    }
}

impl Handler for UnikernelHandler {
    fn create(&self, launch: &Launch<'_>) -> Result<(), HandlerError> {
        fields::check(launch.config, launch.pod)?;
        let path = self.support.unikernel(launch.image)?;
        let spec = describe::spec(launch, path)?;
        let config = spec.to_config().map_err(|error| invalid(&error))?;
        let file = UnikernelFile::open(&spec.unikernel).map_err(|error| failed(&error))?;
        if let Some(refusal) = refusal(file.manifest(), &config) {
            return Err(HandlerError::Invalid(format!(
                "the image {}",
                refusal.summary
            )));
        }
        let needed = file.manifest().minimum_memory_bytes;
        if spec.memory_bytes < needed {
            return Err(HandlerError::Invalid(format!(
                "the memory limit of {} bytes is too small for this image, which needs {needed}; raise the container's memory limit",
                spec.memory_bytes
            )));
        }
        let text = serde_json::to_vec_pretty(&spec).map_err(|error| failed(&error))?;
        write_whole(&launch.directory.join(SPEC), &text)
    }

    fn start(&self, launch: &Launch<'_>) -> Result<Process, HandlerError> {
        monitor::start(&self.monitor, launch.directory)
    }

    fn signal(
        &self,
        launch: &Launch<'_>,
        process: Process,
        signal: i32,
    ) -> Result<(), HandlerError> {
        let number = u32::try_from(signal)
            .ok()
            .filter(|it| (1..=64).contains(it));
        let number =
            number.ok_or_else(|| HandlerError::Invalid(format!("{signal} is no signal")))?;
        let Some(monitor) = Monitor::find(process) else {
            return Ok(());
        };
        let asked = monitor.ask(launch.directory, &Request::Signal(number));
        match (asked, signal) {
            (Ok(Some(Reply::Done)), SIGKILL) => monitor.end(),
            // It does not listen (any more): the host's own way.
            (Ok(None) | Err(_), SIGKILL) => monitor.kill(),
            (Err(error), _) => match monitor.pass(signal)? {
                true => Ok(()),
                false => Err(error),
            },
            (Ok(reply), _) => expect_done(reply),
        }
    }

    fn ended(&self, launch: &Launch<'_>, process: Process) -> Ended {
        monitor::reap(process);
        match Ending::read(&launch.directory.join(EXIT)) {
            Ok(ending) => Ended {
                exit_code: ending.exit_code,
                reason: ending.reason,
                message: ending.message,
                finished_at: UNIX_EPOCH + Duration::from_nanos(ending.finished_at_ns),
            },
            Err(error) => {
                let is_oom = self.support.oom_kills(launch.cgroup) > 0;
                let why = match (is_oom, error.kind()) {
                    (true, _) => "the container's cgroup ran out of memory".to_owned(),
                    (_, std::io::ErrorKind::NotFound) => "monitor was killed".to_owned(),
                    _ => format!("monitor was killed; its last record cannot be read: {error}"),
                };
                Ended {
                    exit_code: CODE_KILLED,
                    reason: if is_oom { "OOMKilled" } else { "Error" }.to_owned(),
                    message: why,
                    finished_at: SystemTime::now(),
                }
            }
        }
    }

    fn reopen_log(&self, launch: &Launch<'_>, process: Process) -> Result<(), HandlerError> {
        let monitor = Monitor::find(process).ok_or_else(not_running)?;
        expect_done(monitor.ask(launch.directory, &Request::ReopenLog)?)
    }

    fn update(
        &self,
        launch: &Launch<'_>,
        process: Process,
        resources: &LinuxContainerResources,
    ) -> Result<(), HandlerError> {
        // Time on CPUs is the cgroup's matter; how many the guest has stays.
        let Ok(bytes @ 1..) = u64::try_from(resources.memory_limit_in_bytes) else {
            return Ok(());
        };
        let update = Request::Update(Update {
            memory_bytes: Some(bytes),
            cpus: None,
        });
        let monitor = Monitor::find(process).ok_or_else(not_running)?;
        expect_done(monitor.ask(launch.directory, &update)?)
    }

    fn stats(
        &self,
        launch: &Launch<'_>,
        process: Process,
    ) -> Result<Option<GuestStats>, HandlerError> {
        let Some(monitor) = Monitor::find(process) else {
            return Ok(None);
        };
        match monitor.ask(launch.directory, &Request::Stats)? {
            Some(Reply::Stats(usage)) => Ok(Some(GuestStats {
                memory_used_bytes: usage.memory_used_bytes,
                memory_peak_bytes: usage.memory_peak_bytes,
                upper_bytes: usage.upper_bytes,
                upper_inodes: usage.upper_inodes,
                threads: usage.threads,
                exits: usage.exits,
            })),
            None | Some(Reply::Refused(_)) => Ok(None),
            Some(other) => Err(unexpected(&other)),
        }
    }

    fn exec_sync(
        &self,
        _: &Launch<'_>,
        _: Process,
        _: &[String],
        _: Option<Duration>,
    ) -> Result<ExecOutput, HandlerError> {
        Err(HandlerError::Unimplemented(NO_STREAMS.to_owned()))
    }

    fn has_streams(&self) -> Result<(), HandlerError> {
        Err(HandlerError::Unimplemented(NO_STREAMS.to_owned()))
    }

    fn exec(
        &self,
        _: &Launch<'_>,
        _: Process,
        _: &[String],
        _: Streams,
    ) -> Result<Attached, HandlerError> {
        Err(HandlerError::Unimplemented(NO_STREAMS.to_owned()))
    }

    fn attach(&self, _: &Launch<'_>, _: Process, _: Streams) -> Result<Attached, HandlerError> {
        Err(HandlerError::Unimplemented(NO_STREAMS.to_owned()))
    }

    fn delete(&self, launch: &Launch<'_>, process: Option<Process>) -> Result<(), HandlerError> {
        let left = match process {
            Some(process) => Vec::from_iter(Monitor::find(process)),
            // A daemon that was killed while it started one knows no process.
            None => monitor::all_of(&launch.directory.join(SPEC)),
        };
        for monitor in left {
            monitor.remove()?;
        }
        if let Some(process) = process {
            monitor::reap(process);
        }
        for name in [SPEC, CONTROL, EXIT, "exit.json.tmp", MONITOR_LOG] {
            remove(&launch.directory.join(name))?;
        }
        Ok(())
    }

    fn upper_directory(&self, _launch: &Launch<'_>) -> Option<PathBuf> {
        None
    }

    fn user(&self, _launch: &Launch<'_>) -> Option<LinuxContainerUser> {
        // The guest looks it up in the image's files.
        None
    }

    fn overhead_bytes(&self, limit_bytes: u64) -> u64 {
        OVERHEAD_BYTES + limit_bytes / OVERHEAD_SHARE
    }

    fn has_recursive_read_only(&self) -> bool {
        true
    }

    fn sweep(&self, directory: &Path, is_known: &dyn Fn(&str) -> bool) -> Result<(), HandlerError> {
        let entries = directory.read_dir().map_err(|error| failed(&error))?;
        for entry in entries {
            let name = entry.map_err(|error| failed(&error))?.file_name();
            if name.to_str().is_some_and(is_known) {
                continue;
            }
            for monitor in monitor::all_of(&directory.join(name).join(SPEC)) {
                monitor.kill()?;
            }
        }
        Ok(())
    }
}

fn expect_done(reply: Option<Reply>) -> Result<(), HandlerError> {
    match reply {
        Some(Reply::Done) | None => Ok(()),
        Some(Reply::Refused(why)) => Err(HandlerError::Precondition(why)),
        Some(other) => Err(unexpected(&other)),
    }
}

fn unexpected(reply: &Reply) -> HandlerError {
    HandlerError::Failed(format!("the monitor gave an answer to nothing: {reply:?}"))
}

fn not_running() -> HandlerError {
    HandlerError::Precondition("the container is not running".to_owned())
}

fn invalid(error: &dyn std::error::Error) -> HandlerError {
    HandlerError::Invalid(unikiln_vmm::error::in_full(error))
}

fn failed(error: &dyn std::error::Error) -> HandlerError {
    HandlerError::Failed(unikiln_vmm::error::in_full(error))
}

/// Writes a file so that there is all of it or the old one.
fn write_whole(path: &Path, text: &[u8]) -> Result<(), HandlerError> {
    let unfinished = path.with_extension("tmp");
    std::fs::write(&unfinished, text)
        .and_then(|()| std::fs::rename(&unfinished, path))
        .map_err(|error| HandlerError::Failed(format!("cannot write {}: {error}", path.display())))
}

fn remove(path: &Path) -> Result<(), HandlerError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(HandlerError::Failed(
            format!("cannot remove {}: {error}", path.display()),
        )),
        _ => Ok(()),
    }
}
