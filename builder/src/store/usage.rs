//! What the store takes of the disk.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Store, StoreError};

/// Bytes of a block as `stat` counts them.
const STAT_BLOCK_BYTES: u64 = 512;

/// Files of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Amount {
    /// How many.
    pub count: u64,
    /// What they take of the disk.
    pub bytes: u64,
}

/// Files by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Blobs of images.
    pub blobs: Amount,
    /// Blobs on their way, or left by a writer that was interrupted.
    pub partial: Amount,
    /// Blobs that turned out wrong.
    pub damaged: Amount,
    /// Unikernels made of images, those being made included.
    pub unikernels: Amount,
    /// Layers kept unpacked, as streams and as directories.
    pub layers: Amount,
    /// What became of programs when they were bound to the libOS.
    pub linked: Amount,
}

impl Amount {
    pub(super) fn add(&mut self, metadata: &Metadata) {
        self.count += 1;
        self.bytes += metadata.blocks() * STAT_BLOCK_BYTES;
    }
}

impl Usage {
    /// All of them.
    pub fn total(&self) -> Amount {
        let kinds = [
            self.blobs,
            self.partial,
            self.damaged,
            self.unikernels,
            self.layers,
            self.linked,
        ];
        Amount {
            count: kinds.iter().map(|kind| kind.count).sum(),
            bytes: kinds.iter().map(|kind| kind.bytes).sum(),
        }
    }
}

impl Store {
    /// Counts what is there now.
    pub fn usage(&self) -> Result<Usage, StoreError> {
        let mut usage = Usage::default();
        let kinds = [
            ("blobs", &mut usage.blobs),
            ("partial", &mut usage.partial),
            ("damaged", &mut usage.damaged),
            ("layers", &mut usage.layers),
            ("linked", &mut usage.linked),
        ];
        for (directory, amount) in kinds {
            for (_, metadata) in files(&self.root.join(directory))? {
                amount.add(&metadata);
            }
        }
        for (_, metadata) in files(&self.trees_path())? {
            usage.layers.add(&metadata);
        }
        for directory in [self.unikernels_path(), self.building_path()] {
            for (_, metadata) in files(&directory)? {
                usage.unikernels.add(&metadata);
            }
        }
        Ok(usage)
    }
}

/// All files below a directory. What others remove meanwhile is left out.
pub(super) fn files(directory: &Path) -> Result<Vec<(PathBuf, Metadata)>, StoreError> {
    let mut files = Vec::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        for path in names(&directory)? {
            match path.symlink_metadata() {
                Ok(metadata) if metadata.is_dir() => pending.push(path),
                Ok(metadata) => files.push((path, metadata)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(StoreError::reading(&path)(error)),
            }
        }
    }
    Ok(files)
}

/// What is in a directory; nothing where there is none.
pub(super) fn names(directory: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = match directory.read_dir() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(StoreError::reading(directory))?,
    };
    entries
        .map(|entry| Ok(entry.map_err(StoreError::reading(directory))?.path()))
        .collect()
}
