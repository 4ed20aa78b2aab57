//! What each pod was given, on disk: DEL is run with the configuration that ADD was run with,
//! whatever `/etc/cni/net.d` says by then, and by another daemon if this one is killed.
//!
//! ```text
//! CACHE/ID.json    written before the first plugin runs, again with the result of the last,
//!                  removed when all plugins did DEL
//! CACHE/ID.stdin   what the plugins of the pod read; locked while one runs. The lock is the
//!                  open file's, so a plugin that outlives a killed daemon still holds it.
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config::{Network, is_name};
use super::error::CniError;
use super::pod::PodNetwork;
use super::result::CniResult;

const VERSION: u32 = 1;
const SUFFIX: &str = ".json";
/// Between two looks at a lock that another process holds.
const LOCK_STEP: Duration = Duration::from_millis(20);

/// A pod's network, as ADD was told and answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Attachment {
    version: u32,
    pub(super) pod: PodNetwork,
    pub(super) network: Network,
    /// What the last plugin said, for `prevResult`; none while ADD is not done.
    pub(super) previous: Option<Value>,
    pub(super) result: Option<CniResult>,
}

impl Attachment {
    pub(super) fn new(pod: &PodNetwork, network: Network) -> Self {
        Self {
            version: VERSION,
            pod: pod.clone(),
            network,
            previous: None,
            result: None,
        }
    }
}

/// What was found of a pod.
#[derive(Debug)]
pub(super) enum Found {
    Nothing,
    Whole(Box<Attachment>),
    /// It cannot be read, and was moved away.
    Damaged,
}

/// The directory.
#[derive(Debug)]
pub(super) struct Cache {
    directory: PathBuf,
}

impl Cache {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    pub(super) fn read(&self, id: &str) -> Result<Found, CniError> {
        let path = self.path(id, SUFFIX);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(source) => return Err(CniError::Read { path, source }),
        };
        let what = match serde_json::from_slice::<Attachment>(&bytes) {
            Ok(attachment) if attachment.version == VERSION && attachment.pod.id == id => {
                return Ok(Found::Whole(Box::new(attachment)));
            }
            Ok(_) => "it is of another version or pod".to_owned(),
            Err(error) => error.to_string(),
        };
        let aside = self.path(id, ".damaged");
        fs::rename(&path, &aside).map_err(|source| CniError::Cache { path, source })?;
        tracing::warn!(pod = id, file = %aside.display(), what, "cni cache is damaged; set aside");
        Ok(Found::Damaged)
    }

    /// Writes it whole or not at all.
    pub(super) fn write(&self, attachment: &Attachment) -> Result<(), CniError> {
        let path = self.path(&attachment.pod.id, SUFFIX);
        let write = || {
            self.make_directory()?;
            let mut file = tempfile::Builder::new()
                .prefix(".new-")
                .tempfile_in(&self.directory)?;
            serde_json::to_writer(&mut file, attachment)?;
            file.persist(&path)?;
            Ok(())
        };
        write().map_err(|source: io::Error| CniError::Cache {
            path: path.clone(),
            source,
        })
    }

    pub(super) fn remove(&self, id: &str) -> Result<(), CniError> {
        for suffix in [".stdin", SUFFIX] {
            let path = self.path(id, suffix);
            match fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => result.map_err(|source| CniError::Cache { path, source })?,
            }
        }
        Ok(())
    }

    /// Pods that were given a network, or may have been.
    pub(super) fn ids(&self) -> Result<Vec<String>, CniError> {
        let failed = |source| CniError::Read {
            path: self.directory.clone(),
            source,
        };
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
            ids.extend(id.filter(|id| is_name(id)).map(str::to_owned));
        }
        ids.sort();
        Ok(ids)
    }

    /// The pod's standard input, once no plugin of another daemon holds it, or `patience` ran out.
    pub(super) fn input(&self, id: &str, patience: Duration) -> Result<Input, CniError> {
        let path = self.path(id, ".stdin");
        let open = || {
            self.make_directory()?;
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)?;
            let deadline = Instant::now() + patience;
            loop {
                match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                    Ok(()) => break,
                    Err(Errno::WOULDBLOCK) if Instant::now() < deadline => {
                        std::thread::sleep(LOCK_STEP);
                    }
                    Err(Errno::WOULDBLOCK) => {
                        tracing::warn!(
                            pod = id,
                            "a cni plugin of an earlier daemon still runs; not waited for any longer"
                        );
                        break;
                    }
                    Err(errno) => return Err(errno.into()),
                }
            }
            Ok(Input { file })
        };
        open().map_err(|source: io::Error| CniError::Cache {
            path: path.clone(),
            source,
        })
    }

    fn make_directory(&self) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)
    }

    fn path(&self, id: &str, suffix: &str) -> PathBuf {
        Path::new(&self.directory).join(format!("{id}{suffix}"))
    }
}

/// What plugins of one pod read.
#[derive(Debug)]
pub(super) struct Input {
    file: File,
}

impl Input {
    /// A file at whose start `value` is to be read.
    pub(super) fn holding(&mut self, value: &Value) -> io::Result<File> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(value.to_string().as_bytes())?;
        self.file.rewind()?;
        self.file.try_clone()
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        // Of the open file, so a process that a plugin left behind does not hold it.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}
