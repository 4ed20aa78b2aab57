//! What the containers of a pod share beyond the network: IPC, `/dev/shm`, and processes
//! where kubelet asks for it (`shareProcessNamespace`).
//!
//! ```text
//! RUN/pods/KEY/users/ID     one for each container that shares
//! RUN/pods/KEY/ipc          the IPC namespace, held by a bind mount
//! RUN/pods/KEY/shm          a tmpfs
//! RUN/pods/KEY/pid, init    the process namespace, and the number of its first process
//! ```
//!
//! KEY stands for the pod: its uid and attempt. It is all gone after a reboot, as the pod is.
//! The first container makes what is shared, the last one removes it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};
use sha2::{Digest, Sha256};

use super::process;
use crate::handler::{HandlerError, Launch, Process};

/// As large as a container's own would be.
const SHM_OPTIONS: &std::ffi::CStr = c"mode=1777,size=64m";

/// A process namespace lives while its first process does. That one does nothing, and the
/// kernel reaps what it inherits, for it ignores SIGCHLD.
const HOLD: &str = "cd / && unshare --pid=\"$1\" --fork \
    sh -c 'trap \"\" CHLD; exec sleep infinity' </dev/null >/dev/null 2>&1 & echo $!";
/// How long that may take.
const HOLD_LIMIT: Duration = Duration::from_secs(20);

/// What goes wrong with what is shared.
#[derive(Debug, thiserror::Error)]
pub(super) enum PodError {
    #[error("cannot {operation} {}: {source}", path.display())]
    File {
        operation: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("cannot make a namespace for the pod with unshare: {text}")]
    Unshare { text: String },
}

impl From<PodError> for HandlerError {
    fn from(error: PodError) -> Self {
        Self::Failed(error.to_string())
    }
}

fn unshare_failed(text: &str) -> PodError {
    PodError::Unshare {
        text: text.to_owned(),
    }
}

/// An IPC namespace and its `/dev/shm`.
#[derive(Debug)]
pub(super) struct Ipc {
    pub(super) namespace: PathBuf,
    pub(super) memory: PathBuf,
}

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Pods {
    directory: PathBuf,
    /// Joining and leaving are looked at, then done.
    lock: Mutex<()>,
}

impl Pods {
    pub(super) fn below(directory: &Path) -> Self {
        Self {
            directory: directory.join("pods"),
            lock: Mutex::new(()),
        }
    }

    /// The pod's IPC namespace, which this container shares from now on.
    pub(super) fn ipc(&self, launch: &Launch<'_>) -> Result<Ipc, PodError> {
        let _lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let pod = self.join(launch)?;
        let shared = Ipc {
            namespace: pod.join("ipc"),
            memory: pod.join("shm"),
        };
        if !is_mount_point(&shared.namespace) {
            let option = format!("--ipc={}", shared.namespace.display());
            make_file(&shared.namespace)?;
            unshare(&[&option, "true"])?;
        }
        if !is_mount_point(&shared.memory) {
            let path = &shared.memory;
            fs::create_dir_all(path).map_err(failed("make", path))?;
            let flags = MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NODEV;
            rustix::mount::mount("shm", path, "tmpfs", flags, SHM_OPTIONS)
                .map_err(|error| failed("mount a tmpfs on", path)(error.into()))?;
        }
        Ok(shared)
    }

    /// The pod's process namespace, which this container shares from now on.
    pub(super) fn processes(&self, launch: &Launch<'_>) -> Result<PathBuf, PodError> {
        let _lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let pod = self.join(launch)?;
        let (namespace, init) = (pod.join("pid"), pod.join("init"));
        let is_held = fs::read_to_string(&init).is_ok_and(|text| recall(&text).is_some());
        if is_mount_point(&namespace) && is_held {
            return Ok(namespace);
        }
        unmount(&namespace)?;
        make_file(&namespace)?;
        let output = Command::new("sh")
            .args(["-c", HOLD, "sh"])
            .arg(&namespace)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| unshare_failed(&error.to_string()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let holder = text.trim().parse().ok().and_then(process::identify);
        let holder = holder.ok_or_else(|| unshare_failed("it ended at once"))?;
        fs::write(&init, format!("{} {}", holder.pid, holder.start_ticks))
            .map_err(failed("write", &init))?;
        let deadline = Instant::now() + HOLD_LIMIT;
        while !is_mount_point(&namespace) {
            if !process::is_alive(holder) || Instant::now() > deadline {
                process::kill_family(&[holder.pid]);
                return Err(unshare_failed("it does not hold the namespace"));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(namespace)
    }

    /// The container shares nothing any more; the last one removes what was shared.
    pub(super) fn leave(&self, launch: &Launch<'_>) -> Result<(), PodError> {
        let _lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        leave(&self.directory.join(key(launch)), launch.id)
    }

    /// Containers that nobody knows any more share nothing.
    pub(super) fn sweep(&self, is_known: &dyn Fn(&str) -> bool) -> Result<(), PodError> {
        let _lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        for pod in names(&self.directory) {
            let pod = self.directory.join(pod);
            let users = names(&pod.join("users"));
            for user in users.iter().filter(|user| !is_known(user)) {
                leave(&pod, user)?;
            }
        }
        Ok(())
    }

    fn join(&self, launch: &Launch<'_>) -> Result<PathBuf, PodError> {
        let pod = self.directory.join(key(launch));
        let users = pod.join("users");
        fs::create_dir_all(&users).map_err(failed("make", &users))?;
        make_file(&users.join(launch.id))?;
        Ok(pod)
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = directory.read_dir().into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// Takes a container out of its pod, and the pod away with the last one.
fn leave(pod: &Path, container: &str) -> Result<(), PodError> {
    let users = pod.join("users");
    let user = users.join(container);
    match fs::remove_file(&user) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("remove", &user)(error));
        }
        _ => {}
    }
    if !names(&users).is_empty() {
        return Ok(());
    }
    let init = fs::read_to_string(pod.join("init")).ok();
    if let Some(init) = init.and_then(|text| recall(&text)) {
        process::kill_family(&[init]);
    }
    for name in ["ipc", "shm", "pid"] {
        unmount(&pod.join(name))?;
    }
    match fs::remove_dir_all(pod) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", pod)(error)),
        _ => Ok(()),
    }
}

/// A name for the pod, which its containers have in common.
fn key(launch: &Launch<'_>) -> String {
    let metadata = launch.pod.metadata.clone().unwrap_or_default();
    let text = format!(
        "{}/{}/{}/{}",
        metadata.namespace, metadata.name, metadata.uid, metadata.attempt
    );
    let digest = Sha256::digest(text.as_bytes());
    digest[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The process that `init` names, if it is there.
fn recall(text: &str) -> Option<i32> {
    let (pid, start_ticks) = text.trim().split_once(' ')?;
    let process = Process {
        pid: pid.parse().ok()?,
        start_ticks: start_ticks.parse().ok()?,
    };
    process::is_alive(process).then_some(process.pid)
}

fn is_mount_point(path: &Path) -> bool {
    let device = |path: &Path| path.metadata().map(|file| file.dev());
    match (device(path), path.parent().map(device)) {
        (Ok(own), Some(Ok(parent))) => own != parent,
        _ => false,
    }
}

fn make_file(path: &Path) -> Result<(), PodError> {
    File::create(path).map(drop).map_err(failed("make", path))
}

fn unshare(arguments: &[&str]) -> Result<(), PodError> {
    let output = Command::new("unshare")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| unshare_failed(&error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(unshare_failed(
        String::from_utf8_lossy(&output.stderr).trim(),
    ))
}

fn unmount(path: &Path) -> Result<(), PodError> {
    match rustix::mount::unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
        Ok(()) | Err(Errno::INVAL | Errno::NOENT) => Ok(()),
        Err(error) => Err(failed("unmount", path)(error.into())),
    }
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PodError {
    let path = path.to_owned();
    move |source| PodError::File {
        operation,
        path,
        source,
    }
}
