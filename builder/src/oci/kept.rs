//! A layer that the store has kept unpacked: its contents are used where they
//! are, and checked by another thread meanwhile.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::thread;

use super::apply::Applier;
use super::layer::{Layer, LayerError};
use super::tar::Source;
use crate::store::Store;

/// Bytes hashed at a time.
const CHUNK_BYTES: usize = 256 << 10;

/// The file as a tar stream.
struct Stream {
    file: Arc<File>,
    position: u64,
    len_bytes: u64,
}

impl Layer {
    /// Merges the layer from its unpacked file of `len_bytes`, which is removed
    /// where it is damaged.
    pub(super) fn apply_kept(
        &self,
        file: File,
        len_bytes: u64,
        store: &Store,
        applier: &mut Applier<'_>,
    ) -> Result<(), LayerError> {
        let stream = Stream {
            file: Arc::new(file),
            position: 0,
            len_bytes,
        };
        let (is_whole, applied) = thread::scope(|scope| {
            let file = Arc::clone(&stream.file);
            let checker = scope.spawn(move || self.is_whole(&file));
            let applied = applier.apply(stream);
            (checker.join(), applied)
        });
        if !matches!(is_whole, Ok(Ok(true))) {
            store.drop_unpacked(&self.diff_id)?;
            return Err(LayerError::KeptDamaged {
                name: self.name.clone(),
            });
        }
        applied.map_err(|source| LayerError::Apply {
            name: self.name.clone(),
            source,
        })
    }

    fn is_whole(&self, file: &File) -> io::Result<bool> {
        let mut hasher = self.diff_id.hasher();
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut offset = 0;
        loop {
            let len = file.read_at(&mut chunk, offset)?;
            if len == 0 {
                return Ok(hasher.finish() == self.diff_id.to_string());
            }
            hasher.update(&chunk[..len]);
            offset += len as u64;
        }
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
