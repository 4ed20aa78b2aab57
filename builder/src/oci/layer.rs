//! Unpacks one layer: a thread reads, hashes and decompresses the blob while
//! this one walks the tar stream and merges it into the tree.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use super::apply::{Applier, ApplyError};
use super::compression::Compression;
use super::container::FileRange;
use super::digest::{BlobError, Digest, Hasher, HashingReader};
use super::kept::KeptLayers;
use super::tar::{Source, TarError};
use crate::progress::Progress;
use crate::rootfs::path::display;
use crate::store::{StoreError, UnpackedWriter};

/// Bytes of unpacked data handed over at a time.
const CHUNK_BYTES: usize = 256 << 10;
/// Chunks that may wait.
const CHUNKS_WAITING: usize = 8;

/// What is wrong with a layer.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The blob is not what was promised.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The blob does not unpack.
    #[error("layer {name} cannot be decompressed")]
    Decompress {
        /// Its digest or name.
        name: String,
        /// What the decompressor said.
        source: io::Error,
    },
    /// Its contents cannot be merged.
    #[error("layer {name} cannot be applied")]
    Apply {
        /// Its digest or name.
        name: String,
        /// Why.
        source: ApplyError,
    },
    /// The layer cannot be kept unpacked.
    #[error(transparent)]
    Store(Box<StoreError>),
    /// The layer was kept unpacked, and is damaged. It is removed.
    #[error("layer {name} was damaged where it was kept unpacked, and is removed; try again")]
    KeptDamaged {
        /// Its digest.
        name: String,
    },
    /// The layers unpack to more than the limit.
    #[error(
        "with {path:?} of layer {name} the layers unpack to more than {limit_bytes} bytes (decompression bomb?); raise --max-unpacked if the image is trusted"
    )]
    TooLarge {
        /// The layer's digest or name.
        name: String,
        /// Its member that was read last.
        path: String,
        /// The limit.
        limit_bytes: u64,
    },
}

impl From<StoreError> for LayerError {
    fn from(error: StoreError) -> Self {
        Self::Store(Box::new(error))
    }
}

/// A layer to be unpacked.
#[derive(Debug)]
pub(super) struct Layer {
    /// Its digest, or its name in a docker archive.
    pub(super) name: String,
    pub(super) range: FileRange,
    pub(super) compression: Compression,
    /// Digest of the blob; docker archives have none.
    pub(super) digest: Option<Digest>,
    /// Digest of the unpacked tar stream.
    pub(super) diff_id: Digest,
}

/// Bytes that layers may still unpack to, of a limit.
pub(super) struct Allowance {
    pub(super) limit_bytes: u64,
    pub(super) left_bytes: u64,
}

impl Layer {
    /// Merges the layer into the applier's tree, and verifies its digests.
    pub(super) fn unpack(
        &self,
        applier: &mut Applier<'_>,
        allowance: &mut Allowance,
        kept: Option<&KeptLayers>,
        progress: &mut dyn Progress,
    ) -> Result<(), LayerError> {
        let mut keeping = None;
        if let Some(kept) = kept {
            let store = kept.store();
            // One that is over the limit goes the long way, which says where.
            if let Some((file, len_bytes)) = store.unpacked(&self.diff_id)?
                && let Some(left_bytes) = allowance.left_bytes.checked_sub(len_bytes)
            {
                allowance.left_bytes = left_bytes;
                self.apply_kept(file, len_bytes, kept, applier)?;
                progress.advance(self.range.len_bytes);
                return Ok(());
            }
            // The blob of one that is not compressed is as good.
            if self.compression != Compression::None {
                keeping = Some(store.unpacked_writer(&self.diff_id)?);
            }
        }
        let (full, chunks) = sync_channel(CHUNKS_WAITING);
        let (empty, recycled) = channel();
        let read_bytes = AtomicU64::new(0);
        let (unpacked, applied) = thread::scope(|scope| {
            let producer = scope.spawn(|| self.produce(full, recycled, &read_bytes));
            let mut stream = Stream {
                chunks,
                empty,
                chunk: Vec::new(),
                position: 0,
                hasher: self.diff_id.hasher(),
                allowance,
                is_over_limit: false,
                keeping: keeping.as_mut(),
                keep_error: None,
                read_bytes: &read_bytes,
                reported_bytes: 0,
                progress,
            };
            let applied = self.consume(&mut stream, applier);
            // Dropped, the channel tells the producer to stop.
            drop(stream);
            let unpacked = producer.join().unwrap_or_else(|_| {
                Err(self.decompress_error(io::Error::other("the decompressor panicked")))
            });
            (unpacked, applied)
        });
        match (unpacked, applied) {
            // A blob with the wrong content explains every other failure.
            (Err(LayerError::Blob(error)), _) => Err(error.into()),
            // What the consumer saw of a producer's failure is a broken stream.
            (Err(error), Err(LayerError::Apply { .. }) | Ok(())) => Err(error),
            (_, applied) => applied,
        }?;
        match keeping {
            Some(writer) => Ok(writer.commit()?),
            None => Ok(()),
        }
    }

    /// Reads, hashes and decompresses; ends early when nobody listens.
    fn produce(
        &self,
        full: SyncSender<io::Result<Vec<u8>>>,
        recycled: Receiver<Vec<u8>>,
        read_bytes: &AtomicU64,
    ) -> Result<(), LayerError> {
        let counting = CountingReader {
            inner: self.range.reader(),
            read_bytes,
        };
        let Some(digest) = &self.digest else {
            return self.decompress(counting, full, recycled);
        };
        let mut hashing = HashingReader::new(counting, digest);
        let decompressed = self.decompress(&mut hashing, full, recycled);
        hashing.verify(digest)?;
        decompressed
    }

    fn decompress(
        &self,
        input: impl Read,
        full: SyncSender<io::Result<Vec<u8>>>,
        recycled: Receiver<Vec<u8>>,
    ) -> Result<(), LayerError> {
        let mut decoder = match self.compression.decoder(input) {
            Ok(decoder) => decoder,
            Err(source) => return Err(self.decompress_error(source)),
        };
        loop {
            let mut chunk = recycled.try_recv().unwrap_or_default();
            chunk.resize(CHUNK_BYTES, 0);
            let mut filled = 0;
            while filled < CHUNK_BYTES {
                match decoder.read(&mut chunk[filled..]) {
                    Ok(0) => break,
                    Ok(len) => filled += len,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(source) => {
                        // The consumer must not take this for a regular end.
                        let _ = full.send(Err(io::ErrorKind::InvalidData.into()));
                        return Err(self.decompress_error(source));
                    }
                }
            }
            chunk.truncate(filled);
            if filled == 0 || full.send(Ok(chunk)).is_err() {
                return Ok(());
            }
        }
    }

    fn consume(
        &self,
        stream: &mut Stream<'_>,
        applier: &mut Applier<'_>,
    ) -> Result<(), LayerError> {
        let apply_error = |source| LayerError::Apply {
            name: self.name.clone(),
            source,
        };
        let mut applied = applier.apply(&mut *stream).map_err(apply_error);
        if applied.is_ok() {
            // What follows the end of the archive counts for the digest.
            applied = io::copy(stream, &mut io::sink())
                .map(drop)
                .map_err(|source| apply_error(applier.tar_error(TarError::Read(source))));
        }
        if stream.is_over_limit {
            return Err(LayerError::TooLarge {
                name: self.name.clone(),
                path: display(&applier.path),
                limit_bytes: stream.allowance.limit_bytes,
            });
        }
        if let Some(error) = stream.keep_error.take() {
            return Err(error.into());
        }
        applied?;
        stream.report();
        let found = std::mem::replace(&mut stream.hasher, self.diff_id.hasher()).finish();
        if found != self.diff_id.to_string() {
            return Err(BlobError::WrongDiffId {
                digest: self.name.clone(),
                diff_id: self.diff_id.to_string(),
                found,
            }
            .into());
        }
        Ok(())
    }

    fn decompress_error(&self, source: io::Error) -> LayerError {
        LayerError::Decompress {
            name: self.name.clone(),
            source,
        }
    }
}

/// Counts what is read of the blob, for the other thread's progress.
struct CountingReader<'a, R> {
    inner: R,
    read_bytes: &'a AtomicU64,
}

impl<R: Read> Read for CountingReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(buffer)?;
        self.read_bytes.fetch_add(len as u64, Ordering::Relaxed);
        Ok(len)
    }
}

/// The unpacked stream on the consumer's side: bounded, hashed, reported.
struct Stream<'a> {
    chunks: Receiver<io::Result<Vec<u8>>>,
    /// Where read chunks go back: fresh memory costs a page fault per page.
    empty: Sender<Vec<u8>>,
    chunk: Vec<u8>,
    position: usize,
    hasher: Hasher,
    allowance: &'a mut Allowance,
    is_over_limit: bool,
    /// Where the store keeps the stream, and what was wrong with that.
    keeping: Option<&'a mut UnpackedWriter>,
    keep_error: Option<StoreError>,
    read_bytes: &'a AtomicU64,
    reported_bytes: u64,
    progress: &'a mut dyn Progress,
}

impl Stream<'_> {
    fn report(&mut self) {
        let read_bytes = self.read_bytes.load(Ordering::Relaxed);
        self.progress.advance(read_bytes - self.reported_bytes);
        self.reported_bytes = read_bytes;
    }

    /// Gets the next chunk; `false` at the end.
    fn refill(&mut self) -> io::Result<bool> {
        let Ok(chunk) = self.chunks.recv() else {
            return Ok(false);
        };
        let chunk = chunk?;
        self.report();
        self.hasher.update(&chunk);
        let Some(left) = self.allowance.left_bytes.checked_sub(chunk.len() as u64) else {
            self.is_over_limit = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        };
        self.allowance.left_bytes = left;
        if let Some(writer) = &mut self.keeping
            && let Err(error) = writer.write(&chunk)
        {
            self.keep_error = Some(error);
            return Err(io::ErrorKind::Other.into());
        }
        // The producer may be gone already.
        let _ = self.empty.send(std::mem::replace(&mut self.chunk, chunk));
        self.position = 0;
        Ok(true)
    }
}

impl Source for Stream<'_> {
    fn backing(&self) -> Option<Arc<File>> {
        self.keeping.as_ref().map(|writer| writer.file())
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position == self.chunk.len() && !self.refill()? {
            return Ok(0);
        }
        let rest = &self.chunk[self.position..];
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        self.position += len;
        Ok(len)
    }
}
