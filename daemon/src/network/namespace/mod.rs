//! Network namespaces, one for each pod, pinned at `/run/netns/unikiln-…` as `ip netns` does.
//!
//! ```text
//! thread: unshare(NEWNET) ─► lo up ─► bind mount of /proc/thread-self/ns/net ─► ends
//!                                              │
//!                            /run/netns/unikiln-0123456789abcdef   keeps the namespace alive
//! ```
//!
//! A reboot leaves nothing (`/run` is memory), a killed daemon leaves all of it:
//! [`Namespace::list`] finds them again. [`inside`] runs a closure in one.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use rustix::mount::{
    MountPropagationFlags, UnmountFlags, mount_bind, mount_bind_recursive, mount_change, unmount,
};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};

use super::netlink::{self, NetlinkError};

mod sys;
#[cfg(test)]
mod tests;

/// Where `ip netns` has its namespaces.
const DIRECTORY: &str = "/run/netns";
const PREFIX: &str = "unikiln-";
/// Digits of the pod's id in the name: an interface's or a file's name stays readable.
const ID_DIGITS: usize = 16;
/// `NSFS_MAGIC` of linux/magic.h.
const NSFS_MAGIC: u64 = 0x6e73_6673;
/// Mounts above each other that a removal takes away: one, unless something went wrong.
const STACKED_MOUNTS_MAX: usize = 16;
/// `lo` has this number in every namespace.
const LOOPBACK_INDEX: u32 = 1;
/// What pods get before their own sysctls, as with other runtimes: a pod's ports belong to the
/// pod alone, so it needs no privilege to bind the low ones, nor to ping.
const DEFAULTS: [(&str, &str); 2] = [
    ("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0"),
    ("/proc/sys/net/ipv4/ping_group_range", "0 2147483647"),
];

/// What goes wrong with a namespace.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// `/run/netns` cannot be made or mounted.
    #[error("cannot prepare {}; it takes root and a writable /run", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The id is not one that names can be made of.
    #[error("{id:?} is no pod id: it takes {ID_DIGITS} hexadecimal digits at least")]
    BadId {
        /// As given.
        id: String,
    },
    /// There is one of this name.
    #[error("the network namespace {} is there already; remove it first", path.display())]
    Exists {
        /// Its file.
        path: PathBuf,
    },
    /// It cannot be made.
    #[error("cannot make the network namespace {}: {step}", path.display())]
    Create {
        /// Its file.
        path: PathBuf,
        /// What was being done.
        step: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// `lo` cannot be set up in it.
    #[error("cannot set up lo in the network namespace {}", path.display())]
    Loopback {
        /// Its file.
        path: PathBuf,
        /// What the kernel said.
        source: NetlinkError,
    },
    /// Not a file that this module made.
    #[error(
        "{} is no network namespace of unikiln ({DIRECTORY}/{PREFIX}ID); it is left alone",
        path.display()
    )]
    NotOurs {
        /// As given.
        path: PathBuf,
    },
    /// No network namespace is there: after a reboot, or it was removed.
    #[error("no network namespace is at {}; the pod has to be made anew", path.display())]
    Gone {
        /// Its file.
        path: PathBuf,
    },
    /// It cannot be opened or entered.
    #[error("cannot enter the network namespace {}", path.display())]
    Enter {
        /// Its file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It cannot be removed.
    #[error("cannot remove the network namespace {}", path.display())]
    Remove {
        /// Its file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// `/run/netns` cannot be read.
    #[error("cannot list {}", path.display())]
    List {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A pod's network namespace. Dropping it does not remove it: records keep its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    path: PathBuf,
}

impl Namespace {
    /// Makes the namespace of a pod, with `lo` up. On an error nothing is left.
    pub fn create(pod_id: &str) -> Result<Self, NamespaceError> {
        let path = Self::path_of(pod_id)?;
        prepare_directory().map_err(|source| NamespaceError::Directory {
            path: DIRECTORY.into(),
            source,
        })?;
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o444)
            .open(&path);
        file.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => NamespaceError::Exists { path: path.clone() },
            _ => create_error(&path, "making its file")(source),
        })?;
        let made = on_a_thread(|| unshare_and_pin(&path))
            .map_err(create_error(&path, "starting a thread"))
            .and_then(|pinned| pinned);
        if let Err(error) = made {
            // What failed first is what is told.
            let _ = Self::remove(&path);
            return Err(error);
        }
        Ok(Self { path })
    }

    /// Where the namespace of a pod is or would be.
    pub fn path_of(pod_id: &str) -> Result<PathBuf, NamespaceError> {
        match pod_id.get(..ID_DIGITS) {
            Some(digits) if is_id(digits) => {
                Ok(Path::new(DIRECTORY).join(format!("{PREFIX}{digits}")))
            }
            _ => Err(NamespaceError::BadId {
                id: pod_id.to_owned(),
            }),
        }
    }

    /// Its file, to be opened or given to `setns`, `--netns`, CNI.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes a namespace that [`Namespace::create`] made. No error where it is gone.
    pub fn remove(path: &Path) -> Result<(), NamespaceError> {
        if !is_ours(path) {
            return Err(NamespaceError::NotOurs {
                path: path.to_owned(),
            });
        }
        let failed = |source: io::Error| NamespaceError::Remove {
            path: path.to_owned(),
            source,
        };
        for _ in 0..STACKED_MOUNTS_MAX {
            match unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
                Ok(()) => {}
                // Not mounted (any more), or no file at all.
                Err(Errno::INVAL | Errno::NOENT) => break,
                Err(errno) => return Err(failed(errno.into())),
            }
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        }
    }

    /// All that are there, whole or half made.
    pub fn list() -> Result<Vec<PathBuf>, NamespaceError> {
        let failed = |source| NamespaceError::List {
            path: DIRECTORY.into(),
            source,
        };
        let entries = match fs::read_dir(DIRECTORY) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            if is_ours(&path) {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths)
    }

    /// Whether a network namespace is at `path`: a reboot, or a kill between the two steps of
    /// making one, leaves no file or an empty one.
    pub fn is_at(path: &Path) -> bool {
        open(path).is_ok()
    }
}

/// Runs `work` on a thread of its own inside the network namespace at `path`. Sockets that it
/// opens stay in that namespace wherever they are used.
pub fn inside<T: Send>(path: &Path, work: impl FnOnce() -> T + Send) -> Result<T, NamespaceError> {
    let file = open(path)?;
    let enter_error = |source| NamespaceError::Enter {
        path: path.to_owned(),
        source,
    };
    let entered = on_a_thread(|| {
        move_into_thread_name_spaces(rustix::fd::AsFd::as_fd(&file), ThreadNameSpaceType::NETWORK)?;
        Ok(work())
    });
    entered.and_then(|done| done).map_err(enter_error)
}

/// Opens the namespace's file, and nothing else that lies there.
fn open(path: &Path) -> Result<File, NamespaceError> {
    let enter_error = |source: io::Error| NamespaceError::Enter {
        path: path.to_owned(),
        source,
    };
    let gone = || NamespaceError::Gone {
        path: path.to_owned(),
    };
    // Non-blocking: a FIFO at that path must not hold the daemon.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = file.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => gone(),
        _ => enter_error(error),
    })?;
    let status = rustix::fs::fstatfs(&file).map_err(|errno| enter_error(errno.into()))?;
    if u64::try_from(status.f_type) != Ok(NSFS_MAGIC) {
        return Err(gone());
    }
    // A namespace of another kind is an nsfs file, too.
    let descriptor = format!("/proc/self/fd/{}", rustix::fd::AsRawFd::as_raw_fd(&file));
    let kind = fs::read_link(descriptor).map_err(enter_error)?;
    match kind.to_str() {
        Some(name) if name.starts_with("net:") => Ok(file),
        // A kernel without that name for it: `setns` checks the kind itself.
        Some(name) if !name.contains(":[") => Ok(file),
        _ => Err(gone()),
    }
}

/// On the new thread: the namespace is made, prepared and pinned.
fn unshare_and_pin(path: &Path) -> Result<(), NamespaceError> {
    sys::unshare_network().map_err(create_error(path, "unshare; it takes root"))?;
    netlink::set_up(LOOPBACK_INDEX).map_err(|source| NamespaceError::Loopback {
        path: path.to_owned(),
        source,
    })?;
    for (file, value) in DEFAULTS {
        match fs::write(file, value) {
            // A kernel without IPv4, or a /proc without sysctls: nothing to set.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => result.map_err(create_error(path, "setting its default sysctls"))?,
        }
    }
    mount_bind("/proc/thread-self/ns/net", path)
        .map_err(|errno| create_error(path, "mounting it")(errno.into()))
}

/// Makes `/run/netns` a shared mount, as `ip netns` does: a namespace that is removed here
/// is then gone from every other mount namespace, and does not live on in one of them.
fn prepare_directory() -> io::Result<()> {
    static ONCE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONCE_AT_A_TIME
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(DIRECTORY)?;
    // `ip netns` takes this lock, too: two at once would mount twice.
    let directory = File::open(DIRECTORY)?;
    rustix::fs::flock(&directory, FlockOperation::LockExclusive)?;
    let shared = MountPropagationFlags::SHARED | MountPropagationFlags::REC;
    match mount_change(DIRECTORY, shared) {
        // Not a mount yet.
        Err(Errno::INVAL) => {
            mount_bind_recursive(DIRECTORY, DIRECTORY)?;
            mount_change(DIRECTORY, shared)?;
        }
        result => result?,
    }
    Ok(())
}

/// Runs `work` on a thread that ends with it, so that no other work sees its namespace.
fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let name = "namespace".to_owned();
        let running = thread::Builder::new()
            .name(name)
            .spawn_scoped(scope, work)?;
        match running.join() {
            Ok(done) => Ok(done),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn create_error(path: &Path, step: &'static str) -> impl Fn(io::Error) -> NamespaceError {
    move |source| NamespaceError::Create {
        path: path.to_owned(),
        step,
        source,
    }
}

fn is_id(digits: &str) -> bool {
    digits
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_ours(path: &Path) -> bool {
    let name = path.strip_prefix(DIRECTORY).ok().and_then(Path::to_str);
    name.and_then(|name| name.strip_prefix(PREFIX))
        .is_some_and(|digits| digits.len() == ID_DIGITS && is_id(digits))
}
