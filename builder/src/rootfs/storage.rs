//! Where file contents wait until the EROFS writer asks for them: an unnamed
//! temporary file for what came out of a layer, the host's own files for a
//! `host:` image. So a large image needs no memory of its size, and no file of
//! it ever has a name on the host.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes copied at a time.
const CHUNK_BYTES: usize = 256 << 10;

/// What goes wrong with stored contents.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The temporary file could not be made.
    #[error("cannot make a temporary file in {}", directory.display())]
    Create {
        /// Where.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The temporary file could not be written.
    #[error("cannot write to the temporary file for file contents")]
    Write(#[source] io::Error),
    /// The temporary file could not be read.
    #[error("cannot read the temporary file for file contents")]
    Read(#[source] io::Error),
    /// A file of the host could not be read.
    #[error("cannot read {}", path.display())]
    ReadHost {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Contents of one file.
#[derive(Clone, Debug)]
pub(crate) enum FileData {
    /// Made up by the builder.
    Bytes(Arc<[u8]>),
    /// A range of the temporary file.
    Spooled { offset: u64, len_bytes: u64 },
    /// A range of a layer that the store keeps unpacked.
    Layer {
        file: Arc<File>,
        offset: u64,
        len_bytes: u64,
    },
    /// Other contents with bytes put over them, each at its offset; they may reach
    /// behind the end.
    Changed {
        base: Arc<FileData>,
        edits: Arc<[Edit]>,
        len_bytes: u64,
    },
    /// A file of the host, as long as it was when it was found.
    Host { path: Arc<Path>, len_bytes: u64 },
}

/// Bytes to be put over what a file has at an offset, or behind its end.
pub(crate) type Edit = (usize, Vec<u8>);

impl FileData {
    /// These contents, changed.
    pub(crate) fn changed(&self, edits: Vec<Edit>) -> Self {
        let ends = edits.iter().map(|(at, bytes)| (at + bytes.len()) as u64);
        Self::Changed {
            len_bytes: ends.max().unwrap_or(0).max(self.len_bytes()),
            base: Arc::new(self.clone()),
            edits: edits.into(),
        }
    }

    pub(crate) fn len_bytes(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Spooled { len_bytes, .. }
            | Self::Layer { len_bytes, .. }
            | Self::Changed { len_bytes, .. }
            | Self::Host { len_bytes, .. } => *len_bytes,
        }
    }
}

/// See the module documentation.
#[derive(Debug)]
pub(crate) struct Storage {
    spool: File,
    end: u64,
    chunk: Vec<u8>,
    /// Small files gather here, so that they cost no system call each.
    buffered: Vec<u8>,
}

impl Storage {
    /// Makes the temporary file, unnamed, in `directory`.
    pub(crate) fn new_in(directory: &Path) -> Result<Self, StorageError> {
        let spool = tempfile::tempfile_in(directory).map_err(|source| StorageError::Create {
            directory: directory.to_owned(),
            source,
        })?;
        Ok(Self {
            spool,
            end: 0,
            chunk: vec![0; CHUNK_BYTES],
            buffered: Vec::new(),
        })
    }

    /// Keeps everything that `reader` gives. The outer error is storage's, the
    /// inner one the reader's.
    pub(crate) fn keep(
        &mut self,
        reader: &mut impl Read,
    ) -> Result<io::Result<FileData>, StorageError> {
        let offset = self.end;
        loop {
            let len = match reader.read(&mut self.chunk) {
                Ok(0) => break,
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Ok(Err(error)),
            };
            self.buffered.extend_from_slice(&self.chunk[..len]);
            self.end += len as u64;
            if self.buffered.len() >= CHUNK_BYTES {
                self.flush()?;
            }
        }
        Ok(Ok(FileData::Spooled {
            offset,
            len_bytes: self.end - offset,
        }))
    }

    /// Writes out what is buffered; needed once before reading.
    pub(crate) fn flush(&mut self) -> Result<(), StorageError> {
        let at = self.end - self.buffered.len() as u64;
        self.spool
            .write_all_at(&self.buffered, at)
            .map_err(StorageError::Write)?;
        self.buffered.clear();
        Ok(())
    }

    /// Opens contents for reading at any offset.
    pub(crate) fn open<'a>(&'a self, data: &'a FileData) -> Result<Contents<'a>, StorageError> {
        Ok(match data {
            FileData::Bytes(bytes) => Contents::Bytes(bytes),
            FileData::Spooled { offset, .. } => Contents::Spooled {
                file: &self.spool,
                start: *offset,
            },
            FileData::Layer { file, offset, .. } => Contents::Spooled {
                file,
                start: *offset,
            },
            FileData::Changed { base, edits, .. } => Contents::Changed {
                base: Box::new(self.open(base)?),
                base_bytes: base.len_bytes(),
                edits,
            },
            FileData::Host { path, .. } => {
                let file = File::open(path).map_err(|source| StorageError::ReadHost {
                    path: path.to_path_buf(),
                    source,
                })?;
                Contents::Host { file, path }
            }
        })
    }

    /// Reads up to `limit_bytes` from the start of contents.
    pub(crate) fn read_start(
        &self,
        data: &FileData,
        limit_bytes: u64,
    ) -> Result<Vec<u8>, StorageError> {
        let mut bytes = vec![0; data.len_bytes().min(limit_bytes) as usize];
        self.open(data)?.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }
}

/// Puts what of `bytes`, which begin at `at`, lies in `chunk`, which begins at `start`.
fn put_over(chunk: &mut [u8], start: usize, at: usize, bytes: &[u8]) {
    let from = at.max(start);
    let to = (at + bytes.len()).min(start + chunk.len());
    if from < to {
        chunk[from - start..to - start].copy_from_slice(&bytes[from - at..to - at]);
    }
}

/// Opened contents.
pub(crate) enum Contents<'a> {
    Bytes(&'a [u8]),
    Spooled {
        file: &'a File,
        start: u64,
    },
    Changed {
        base: Box<Contents<'a>>,
        base_bytes: u64,
        edits: &'a [Edit],
    },
    Host {
        file: File,
        path: &'a Path,
    },
}

impl Contents<'_> {
    /// Fills `buffer` from `offset`, which must lie inside the contents with it.
    pub(crate) fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), StorageError> {
        match self {
            Self::Bytes(bytes) => {
                let source = usize::try_from(offset)
                    .ok()
                    .and_then(|start| bytes.get(start..start.checked_add(buffer.len())?))
                    .ok_or_else(|| StorageError::Read(io::ErrorKind::UnexpectedEof.into()))?;
                buffer.copy_from_slice(source);
                Ok(())
            }
            Self::Spooled { file, start } => file
                .read_exact_at(buffer, start + offset)
                .map_err(StorageError::Read),
            Self::Changed {
                base,
                base_bytes,
                edits,
            } => {
                let there = base_bytes.saturating_sub(offset).min(buffer.len() as u64);
                let (from_base, behind) = buffer.split_at_mut(there as usize);
                if !from_base.is_empty() {
                    base.read_exact_at(from_base, offset)?;
                }
                behind.fill(0);
                for (at, bytes) in *edits {
                    put_over(buffer, offset as usize, *at, bytes);
                }
                Ok(())
            }
            Self::Host { file, path } => {
                file.read_exact_at(buffer, offset)
                    .map_err(|source| StorageError::ReadHost {
                        path: path.to_path_buf(),
                        source,
                    })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CHUNK_BYTES, FileData, Storage};

    #[test]
    fn changes_reach_over_chunks_and_behind_the_end() {
        let directory = tempfile::tempdir().expect("directory");
        let mut storage = Storage::new_in(directory.path()).expect("storage");
        let mut wanted = vec![b'.'; CHUNK_BYTES + 1000];
        let data = storage.keep(&mut wanted.as_slice()).expect("keep");
        let data = data.expect("a slice can be read");
        let edits = [
            (0, b"first".to_vec()),
            (CHUNK_BYTES - 2, b"across".to_vec()),
            (CHUNK_BYTES - 1, b"over".to_vec()),
            (wanted.len() + 7, b"behind".to_vec()),
        ];
        storage.flush().expect("flush");
        let changed = data.changed(edits.to_vec());
        for (at, bytes) in edits {
            wanted.resize(wanted.len().max(at + bytes.len()), 0);
            wanted[at..at + bytes.len()].copy_from_slice(&bytes);
        }
        let found = storage.read_start(&changed, u64::MAX).expect("read");
        assert!(found == wanted);
        // In pieces, which may begin behind the end of the original.
        let contents = storage.open(&changed).expect("open");
        for piece in [1, 7, 1000, CHUNK_BYTES - 1] {
            let mut offset = 0;
            for wanted in wanted.chunks(piece).rev().take(300) {
                offset += wanted.len();
                let mut found = vec![0; wanted.len()];
                let at = changed.len_bytes() as usize - offset;
                contents.read_exact_at(&mut found, at as u64).expect("read");
                assert!(found == wanted, "{piece} at {at}");
            }
        }
        // The original is as it was.
        let FileData::Spooled { len_bytes, .. } = data else {
            panic!("not spooled")
        };
        let old = storage.read_start(&data, len_bytes).expect("read");
        assert!(old.iter().all(|&byte| byte == b'.'));
    }
}
