//! Layers that the store has kept unpacked: their contents are used where they
//! are, while another thread checks them. Who uses them asks it at the end.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use super::apply::Applier;
use super::digest::Digest;
use super::layer::{Layer, LayerError};
use super::tar::Source;
use crate::store::Store;

/// Bytes hashed at a time.
const CHUNK_BYTES: usize = 256 << 10;

/// A layer in use.
struct Kept {
    name: String,
    diff_id: Digest,
    file: Arc<File>,
}

/// The store's layers as one image uses them. Each is checked from when it is used
/// on, one after the other.
pub(crate) struct KeptLayers {
    store: Store,
    used: Sender<Kept>,
    /// Gives those that are damaged.
    checker: JoinHandle<Vec<Kept>>,
}

impl KeptLayers {
    pub(crate) fn new(store: &Store) -> Self {
        let (used, layers) = channel::<Kept>();
        let is_damaged = |kept: &Kept| !matches!(kept.is_whole(), Ok(true));
        Self {
            store: store.clone(),
            used,
            checker: thread::spawn(move || layers.into_iter().filter(is_damaged).collect()),
        }
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Waits for the checks, and removes what is damaged from the store. Nothing
    /// that was made of the layers holds before.
    pub(crate) fn finish(self) -> Result<(), LayerError> {
        drop(self.used);
        let damaged = self
            .checker
            .join()
            .unwrap_or_else(|panic| resume_unwind(panic));
        for kept in &damaged {
            self.store.drop_unpacked(&kept.diff_id)?;
        }
        match damaged.into_iter().next() {
            Some(Kept { name, .. }) => Err(LayerError::KeptDamaged { name }),
            None => Ok(()),
        }
    }
}

impl Kept {
    fn is_whole(&self) -> io::Result<bool> {
        let mut hasher = self.diff_id.hasher();
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut offset = 0;
        loop {
            let len = self.file.read_at(&mut chunk, offset)?;
            if len == 0 {
                return Ok(hasher.finish() == self.diff_id.to_string());
            }
            hasher.update(&chunk[..len]);
            offset += len as u64;
        }
    }
}

/// The file as a tar stream.
struct Stream {
    file: Arc<File>,
    position: u64,
    len_bytes: u64,
}

impl Layer {
    /// Merges the layer from its unpacked file of `len_bytes`, not checked yet.
    pub(super) fn apply_kept(
        &self,
        file: File,
        len_bytes: u64,
        kept: &KeptLayers,
        applier: &mut Applier<'_>,
    ) -> Result<(), LayerError> {
        let file = Arc::new(file);
        // A checker that is gone shows at the end.
        let _ = kept.used.send(Kept {
            name: self.name.clone(),
            diff_id: self.diff_id.clone(),
            file: Arc::clone(&file),
        });
        let stream = Stream {
            file,
            position: 0,
            len_bytes,
        };
        applier.apply(stream).map_err(|source| LayerError::Apply {
            name: self.name.clone(),
            source,
        })
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read_at(buffer, self.position)?;
        self.position += len as u64;
        Ok(len)
    }
}

impl Source for Stream {
    fn pass(&mut self, len_bytes: u64) -> io::Result<()> {
        let end = self.position.checked_add(len_bytes);
        self.position = end
            .filter(|&end| end <= self.len_bytes)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(())
    }

    fn backing(&self) -> Option<Arc<File>> {
        Some(Arc::clone(&self.file))
    }
}
