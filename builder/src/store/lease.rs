//! Leases: what a process writes or uses is not collected while it lives.
//!
//! A lease is a file of digests, one a line. Its process holds a lock on it; a
//! file that nobody locks belongs to a process that died. A digest is added
//! under the store's shared lock, before anybody looks whether its blob is
//! there: collection, which has the lock alone, has seen the line or is over.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tempfile::NamedTempFile;

use super::writer::{self, BlobWriter, Claim};
use super::{Store, StoreError, disk, lock};
use crate::oci::Digest;

/// Prefix of a lease's file.
const PREFIX: &str = "lease-";

/// See the module documentation. Clones are the same lease; it ends with the last.
/// A lease only grows: a process that lives long begins one for each piece of work.
#[derive(Clone, Debug)]
pub struct Lease {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    file: NamedTempFile,
    kept: Mutex<BTreeSet<Digest>>,
}

impl Store {
    /// Begins a lease.
    pub fn lease(&self) -> Result<Lease, StoreError> {
        let directory = self.leases_path();
        let failed = || StoreError::writing(&directory);
        // A file that is not locked yet must not look like a dead one.
        let _lock = lock::shared(&self.lock_path())?;
        let file = tempfile::Builder::new()
            .prefix(PREFIX)
            .append(true)
            .tempfile_in(&directory)
            .map_err(failed())?;
        file.as_file().lock().map_err(failed())?;
        Ok(Lease {
            shared: Arc::new(Shared {
                store: self.clone(),
                file,
                kept: Mutex::default(),
            }),
        })
    }

    pub(super) fn leases_path(&self) -> PathBuf {
        self.root.join("leases")
    }
}

/// What the lease at `path` keeps. One of a dead process is removed: `None`.
/// The caller holds the store's lock alone, so no lease begins or grows.
pub(super) fn living(path: &Path) -> Result<Option<Vec<Digest>>, StoreError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(StoreError::reading(path))?,
    };
    match file.try_lock() {
        Ok(()) => {
            disk::remove(path)?;
            return Ok(None);
        }
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(source)) => {
            return Err(StoreError::Lock {
                path: path.to_owned(),
                source,
            });
        }
    }
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        text => {
            let text = text.map_err(StoreError::reading(path))?;
            // What was cut off was never kept.
            let lines = text.lines().filter_map(|line| Digest::parse(line).ok());
            Ok(Some(lines.collect()))
        }
    }
}

impl Lease {
    /// The store.
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// Keeps a blob, and all that it names if it is a manifest or an index, from
    /// now on. It need not be there yet.
    pub fn keep(&self, digest: &Digest) -> Result<(), StoreError> {
        // Held while the line is written: no thread may take it for kept before.
        let mut kept = self
            .shared
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if kept.contains(digest) {
            return Ok(());
        }
        let _lock = lock::shared(&self.store().lock_path())?;
        // A full disk may have cut off the line before.
        let line = format!("\n{digest}\n");
        self.shared
            .file
            .as_file()
            .write_all(line.as_bytes())
            .map_err(StoreError::writing(self.shared.file.path()))?;
        kept.insert(digest.clone());
        Ok(())
    }

    /// Keeps a blob if it is there; whether it is.
    pub fn has_blob(&self, digest: &Digest) -> Result<bool, StoreError> {
        self.keep(digest)?;
        self.store().has_blob(digest)
    }

    /// Begins or resumes writing a blob of `size_bytes`, and keeps it. Waits
    /// while another process writes it; `None` where it is there already.
    pub fn writer(
        &self,
        digest: &Digest,
        size_bytes: u64,
    ) -> Result<Option<BlobWriter>, StoreError> {
        match writer::claim(self, digest, size_bytes, lock::Wait::Yes)? {
            Claim::Writer(writer) => Ok(Some(writer)),
            Claim::Stored | Claim::Busy => Ok(None),
        }
    }

    /// As [`Self::writer`], without waiting.
    pub fn try_writer(&self, digest: &Digest, size_bytes: u64) -> Result<Claim, StoreError> {
        writer::claim(self, digest, size_bytes, lock::Wait::No)
    }
}
