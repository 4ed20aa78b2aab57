//! Volumes: directories and files of the host that a guest may use.
//!
//! ```text
//! VOLUME_CALL → Volumes ─ server::Server (one for each volume)
//!                          ├ node     O_PATH descriptors of what the guest knows, by number
//!                          ├ handle   open files, by number
//!                          ├ names, data, attributes, xattr   what a message does
//! VOLUME_WATCH ─ watch     inotify of the host, for the guest's
//! ```
//!
//! The server is our own rather than `fuse-backend-rs` (0.14, looked at for this):
//! its messages come through a closed list of transports, virtio queues or
//! `/dev/fuse`, neither of which there is here; its passthrough file system does not
//! keep a volume read-only and does not bound the descriptors that a guest holds; it
//! would bring a second `vm-memory`, an old `nix`, `mio`, and over 200 more uses of
//! `unsafe` into the monitor. This server has three: one moves bytes of guest memory,
//! one raises a limit, one is `truncate`.
//!
//! Confinement: a guest names files by a node that it was given and one name. The name
//! has no slash and is not `..`, and is opened by `openat2` with RESOLVE_BENEATH,
//! RESOLVE_NO_SYMLINKS and RESOLVE_NO_MAGICLINKS relative to the node's O_PATH
//! descriptor. The server follows no symlink ever: the guest reads it and walks on in
//! its own view. Opening a node again goes through this process's `/proc/self/fd`,
//! where only descriptors of nodes are named, and only for regular files and directories.
//! Extended attributes, truncation and watches name a node by a path there, so a monitor
//! with volumes needs `/proc` in its view.

mod attributes;
mod data;
mod handle;
mod limit;
mod mount;
mod names;
mod node;
mod server;
#[cfg(test)]
mod tests;
mod watch;
mod xattr;

use std::path::PathBuf;
use std::sync::Arc;

use rustix::io::Errno;
use unikiln_abi::volume::{VOLUME_FILE, VOLUME_READ_ONLY, VOLUMES_MAX};

pub use mount::{Mount, MountError};
pub use server::Server;
pub use watch::Watcher;

use limit::Limit;

/// Errors of this module.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// SRC could be neither opened nor made.
    #[error("cannot use {} as a volume: {source}; name a directory or file that this user may read (-v SRC:DST[:ro])", path.display())]
    Source {
        /// SRC.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// SRC is a device, a socket or a pipe.
    #[error("{} is neither a directory nor a file, and cannot be a volume", path.display())]
    Kind {
        /// SRC.
        path: PathBuf,
    },
    /// Two volumes at one place.
    #[error("two volumes are to be at {place}; give each a place of its own")]
    Twice {
        /// DST.
        place: String,
    },
    /// Too many.
    #[error("{count} volumes are more than the {VOLUMES_MAX} that a guest may have")]
    TooMany {
        /// As asked for.
        count: usize,
    },
    /// `/proc` is missing.
    #[error("volumes need /proc of the host: cannot open /proc/self/fd: {0}")]
    Proc(#[source] std::io::Error),
}

/// All volumes of a guest.
#[derive(Debug, Default)]
pub struct Volumes {
    servers: Vec<Server>,
    /// Watches nodes for the guest.
    pub watcher: Watcher,
}

impl Volumes {
    /// Opens each SRC; a missing one is made a directory, as docker does.
    ///
    /// # Errors
    /// See [`VolumeError`].
    pub fn open(mounts: &[Mount]) -> Result<Self, VolumeError> {
        if mounts.is_empty() {
            return Ok(Self::default());
        }
        let count = mounts.len();
        if count > VOLUMES_MAX {
            return Err(VolumeError::TooMany { count });
        }
        for (at, mount) in mounts.iter().enumerate() {
            if mounts.iter().skip(at + 1).any(|it| it.place == mount.place) {
                let place = mount.place.to_string_lossy().into_owned();
                return Err(VolumeError::Twice { place });
            }
        }
        let limit = Arc::new(Limit::of_process());
        let own = Arc::new(server::own_descriptors().map_err(VolumeError::Proc)?);
        let open = |mount| Server::open(mount, &own, &limit);
        Ok(Self {
            servers: mounts.iter().map(open).collect::<Result<_, _>>()?,
            watcher: Watcher::default(),
        })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.servers.len()
    }

    /// A volume by its number.
    pub fn server(&self, index: u64) -> Option<&Server> {
        self.servers.get(usize::try_from(index).ok()?)
    }

    /// `VOLUME_*` bits of each.
    pub fn flags(&self) -> impl Iterator<Item = u32> {
        self.servers.iter().map(|server| {
            let read_only = if server.is_read_only() {
                VOLUME_READ_ONLY
            } else {
                0
            };
            let file = if server.is_file() { VOLUME_FILE } else { 0 };
            read_only | file
        })
    }
}

/// A negated errno, as a status or a reply has it.
fn negated(errno: Errno) -> i32 {
    -errno.raw_os_error()
}
