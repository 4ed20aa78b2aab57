//! Holds: what must stay for something that outlives a process, as a container
//! outlives the daemon that made it.
//!
//! ```text
//! holds/NAME    digests, one a line
//! ```
//!
//! A hold is not synced: what it is for does not outlive the machine. As with a
//! lease, a digest is added under the store's shared lock, before anybody looks
//! whether its blob is there.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::disk::{self, TEMPORARY_PREFIX};
use super::usage::names;
use super::{Store, StoreError, lock};
use crate::oci::Digest;

/// Longest name.
const NAME_MAX_BYTES: usize = 128;

impl Store {
    /// Keeps a manifest or an index, and all that it names, until `name` is released. The
    /// caller sees to it that nobody else changes the hold at the same time.
    pub fn hold(&self, name: &str, digest: &Digest) -> Result<(), StoreError> {
        let path = self.hold_path(name)?;
        let directory = self.holds_path();
        let failed = || StoreError::writing(&path);
        let _lock = lock::shared(&self.lock_path())?;
        let mut text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text.map_err(StoreError::reading(&path))?,
        };
        text += &format!("{digest}\n");
        disk::make_directory(&directory)?;
        let mut file = tempfile::Builder::new()
            .prefix(TEMPORARY_PREFIX)
            .tempfile_in(&directory)
            .map_err(failed())?;
        file.write_all(text.as_bytes()).map_err(failed())?;
        file.persist(&path).map_err(|error| failed()(error.error))?;
        Ok(())
    }

    /// Ends a hold, if it is there; what it held, which is left to [`Self::collect`].
    pub fn release(&self, name: &str) -> Result<Vec<Digest>, StoreError> {
        let path = self.hold_path(name)?;
        let held = digests(&path)?;
        disk::remove(&path)?;
        Ok(held)
    }

    /// Names of all holds.
    pub fn holds(&self) -> Result<Vec<String>, StoreError> {
        let files = names(&self.holds_path())?;
        let name = |path: PathBuf| Some(path.file_name()?.to_str()?.to_owned());
        Ok(files
            .into_iter()
            .filter_map(name)
            .filter(|name| is_name(name))
            .collect())
    }

    /// What is held by all of them. The caller holds the store's lock alone.
    pub(super) fn held(&self) -> Result<Vec<Digest>, StoreError> {
        let mut held = Vec::new();
        for path in names(&self.holds_path())? {
            if !path
                .file_name()
                .and_then(|name| name.to_str())
                .is_some_and(is_name)
            {
                // Its writer was killed, or the lock would not be ours.
                disk::remove(&path)?;
                continue;
            }
            held.extend(digests(&path)?);
        }
        Ok(held)
    }

    fn holds_path(&self) -> PathBuf {
        self.root.join("holds")
    }

    fn hold_path(&self, name: &str) -> Result<PathBuf, StoreError> {
        if is_name(name) {
            return Ok(self.holds_path().join(name));
        }
        Err(StoreError::HoldName {
            name: name.to_owned(),
        })
    }
}

/// What a hold is for; nothing where it was released just now.
fn digests(path: &Path) -> Result<Vec<Digest>, StoreError> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        text => {
            let text = text.map_err(StoreError::reading(path))?;
            Ok(text
                .lines()
                .filter_map(|line| Digest::parse(line).ok())
                .collect())
        }
    }
}

fn is_name(name: &str) -> bool {
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !name.is_empty() && name.len() <= NAME_MAX_BYTES && name.bytes().all(is_fit)
}
