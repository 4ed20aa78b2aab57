//! Layers kept unpacked, so that the next image with the same layer is built
//! without decompressing it: its unikernel is written from here.
//!
//! ```text
//! layers/sha256-DIFF_ID    the layer's tar stream
//! ```
//!
//! They can be made again, so they are not synced, and are checked when they are
//! read. They go with the last image that has the layer, or when no image was
//! built of them for a week. A file's time of change is the time of its last use.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::NamedTempFile;

use super::disk::{self, TEMPORARY_PREFIX};
use super::unikernel::use_file;
use super::{Store, StoreError, flat_name};
use crate::oci::Digest;

/// A layer that is being unpacked.
#[derive(Debug)]
pub(crate) struct UnpackedWriter {
    path: PathBuf,
    temporary: NamedTempFile,
    file: Arc<File>,
}

impl Store {
    pub(super) fn layers_path(&self) -> PathBuf {
        self.root.join("layers")
    }

    /// The unpacked layer, not checked, and its length.
    pub(crate) fn unpacked(&self, diff_id: &Digest) -> Result<Option<(File, u64)>, StoreError> {
        let path = self.unpacked_path(diff_id);
        if !use_file(&path)? {
            return Ok(None);
        }
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(StoreError::reading(&path))?,
        };
        let metadata = file.metadata().map_err(StoreError::reading(&path))?;
        Ok(Some((file, metadata.len())))
    }

    /// Removes an unpacked layer that is damaged.
    pub(crate) fn drop_unpacked(&self, diff_id: &Digest) -> Result<(), StoreError> {
        disk::remove(&self.unpacked_path(diff_id))
    }

    /// Begins to keep a layer.
    pub(crate) fn unpacked_writer(&self, diff_id: &Digest) -> Result<UnpackedWriter, StoreError> {
        let path = self.unpacked_path(diff_id);
        let directory = self.layers_path();
        let failed = || StoreError::writing(&path);
        disk::make_directory(&directory)?;
        let temporary = tempfile::Builder::new()
            .prefix(TEMPORARY_PREFIX)
            .tempfile_in(&directory)
            .map_err(failed())?;
        let file = temporary.as_file().try_clone().map_err(failed())?;
        Ok(UnpackedWriter {
            path,
            temporary,
            file: Arc::new(file),
        })
    }

    pub(super) fn unpacked_path(&self, diff_id: &Digest) -> PathBuf {
        self.layers_path().join(flat_name(diff_id))
    }
}

impl UnpackedWriter {
    /// The file: what was written can be read at its offset.
    pub(crate) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// Appends bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.temporary
            .write_all(bytes)
            .map_err(StoreError::writing(&self.path))
    }

    /// Keeps what was written, which the caller has found to be right.
    pub(crate) fn commit(self) -> Result<(), StoreError> {
        let failed = StoreError::writing(&self.path);
        self.temporary
            .persist(&self.path)
            .map_err(|error| failed(error.error))
            .map(drop)
    }
}
