//! The state directory, which is the truth: one record for each pod and container.
//!
//! ```text
//! STATE/lock                        one daemon at a time
//! STATE/sandboxes/ID/record.json    a pod; its resolv.conf, hostname, hosts beside it
//! STATE/containers/ID/record.json   a container; its handler's files beside it
//! STATE/damaged/…                   directories whose record cannot be read
//! ```
//!
//! A record is one line with version, kind and checksum, then JSON. It is replaced by
//! rename, so a daemon that is killed leaves the old or the new one. It is not forced to
//! the disk: what a power failure could tear belongs to the boot that ended with it.

mod record;

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};

pub use record::{
    ContainerPhase, ContainerRecord, Record, RecordError, SandboxPhase, SandboxRecord,
};

/// Name of the record in an object's directory.
const RECORD: &str = "record.json";
/// Name under which a record is written first.
const RECORD_NEW: &str = "record.json.new";
/// Most bytes of a record: kubelet's annotations are below 256 KiB, gRPC's messages below 16 MiB.
const RECORD_MAX_BYTES: u64 = 32 << 20;

/// How long a lock is waited for that a daemon before this one may have left.
const LOCK_LIMIT: Duration = Duration::from_secs(2);
/// Between two looks at it.
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// Errors of this module.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file or directory.
    #[error("cannot {operation} {}; is the disk full, or is the directory another user's?", path.display())]
    File {
        /// `write`, `remove` and so on.
        operation: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another daemon runs.
    #[error("another daemon uses the state directory {}; stop it, or give this one another --state", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A record that cannot be written.
    #[error("cannot write the record {}", path.display())]
    Encode {
        /// The record.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// A record that could not be read.
#[derive(Debug)]
pub struct Damaged {
    /// `sandbox` or `container`.
    pub kind: &'static str,
    /// The object's id, which names its directory.
    pub id: String,
    /// What is wrong.
    pub error: RecordError,
}

/// An open state directory. No other daemon can open it while this lives.
#[derive(Debug)]
pub struct State {
    root: PathBuf,
    _lock: File,
}

/// Locks the file. A child of a daemon that was killed holds the lock until it calls execve,
/// so one that is taken is waited for.
fn take(lock: &File) -> bool {
    let deadline = Instant::now() + LOCK_LIMIT;
    loop {
        if flock(lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(LOCK_PAUSE);
    }
}

impl State {
    /// Opens the directory, and makes it where it is not there.
    pub fn open(root: &Path) -> Result<Self, StateError> {
        for directory in [
            root.to_owned(),
            root.join(SandboxRecord::DIRECTORY),
            root.join(ContainerRecord::DIRECTORY),
        ] {
            make_directory(&directory)?;
        }
        let root = fs::canonicalize(root).map_err(|source| failed("resolve", root, source))?;
        let path = root.join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|source| failed("open", &path, source))?;
        if !take(&lock) {
            return Err(StateError::InUse { path: root });
        }
        Ok(Self { root, _lock: lock })
    }

    /// Where it is, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of an object of this kind.
    pub fn directory<R: Record>(&self, id: &str) -> PathBuf {
        self.root.join(R::DIRECTORY).join(id)
    }

    /// Makes the directory of a new object.
    pub fn create<R: Record>(&self, id: &str) -> Result<PathBuf, StateError> {
        let directory = self.directory::<R>(id);
        make_directory(&directory)?;
        Ok(directory)
    }

    /// Writes a record in the place of the one before.
    pub fn save<R: Record>(&self, record: &R) -> Result<(), StateError> {
        let directory = self.directory::<R>(record.id());
        let path = directory.join(RECORD);
        let bytes = record::encode(record).map_err(|source| StateError::Encode {
            path: path.clone(),
            source,
        })?;
        let new = directory.join(RECORD_NEW);
        fs::write(&new, bytes).map_err(|source| {
            // What a full disk left of it.
            let _ = fs::remove_file(&new);
            failed("write", &new, source)
        })?;
        fs::rename(&new, &path).map_err(|source| failed("replace", &path, source))
    }

    /// Removes an object's directory with all that is in it. No error where it is gone.
    pub fn remove<R: Record>(&self, id: &str) -> Result<(), StateError> {
        let directory = self.directory::<R>(id);
        // Without its record first, so that what a kill leaves is not taken for an object.
        for path in [directory.join(RECORD), directory.clone()] {
            let removed = if path == directory {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            match removed {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("remove", &path, source));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// All records of a kind, and those that cannot be read. Directories without
    /// a record are of objects whose removal, or whose making, was cut short: they are
    /// returned by id.
    pub fn load<R: Record>(&self) -> Result<Loaded<R>, StateError> {
        let parent = self.root.join(R::DIRECTORY);
        let mut loaded = Loaded {
            records: Vec::new(),
            damaged: Vec::new(),
            bare: Vec::new(),
        };
        let entries = fs::read_dir(&parent).map_err(|source| failed("read", &parent, source))?;
        for entry in entries {
            let entry = entry.map_err(|source| failed("read", &parent, source))?;
            let id = entry.file_name().to_string_lossy().into_owned();
            match self.read::<R>(&id) {
                Ok(Some(record)) => loaded.records.push(record),
                Ok(None) => loaded.bare.push(id),
                Err(error) => loaded.damaged.push(Damaged {
                    kind: R::KIND,
                    id,
                    error,
                }),
            }
        }
        Ok(loaded)
    }

    fn read<R: Record>(&self, id: &str) -> Result<Option<R>, RecordError> {
        let path = self.directory::<R>(id).join(RECORD);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.len() > RECORD_MAX_BYTES => {
                return Err(RecordError::TooLong {
                    len_bytes: metadata.len(),
                });
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(RecordError::Read(source)),
        }
        let bytes = fs::read(&path).map_err(RecordError::Read)?;
        let record: R = record::decode(&bytes)?;
        if record.id() != id {
            return Err(RecordError::OtherId {
                id: record.id().to_owned(),
            });
        }
        Ok(Some(record))
    }

    /// Moves an object's directory out of the way, for a person to look at; where it is then.
    pub fn set_aside<R: Record>(&self, id: &str) -> Result<PathBuf, StateError> {
        let parent = self.root.join("damaged");
        make_directory(&parent)?;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let to = parent.join(format!("{}-{id}-{}", R::KIND, now.as_nanos()));
        let from = self.directory::<R>(id);
        fs::rename(&from, &to).map_err(|source| failed("set aside", &from, source))?;
        Ok(to)
    }
}

/// What [`State::load`] found.
#[derive(Debug)]
pub struct Loaded<R> {
    /// Readable records.
    pub records: Vec<R>,
    /// Others, to be set aside.
    pub damaged: Vec<Damaged>,
    /// Ids of directories without a record.
    pub bare: Vec<String>,
}

fn make_directory(path: &Path) -> Result<(), StateError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        // One that was there may be open to others: what containers log and mount is secret.
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o700)))
        .map_err(|source| failed("make", path, source))
}

fn failed(operation: &'static str, path: &Path, source: io::Error) -> StateError {
    StateError::File {
        operation,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;
