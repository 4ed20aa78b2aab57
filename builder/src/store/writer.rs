//! Writing blobs: into a partial file that its writer has locked, hashed on the
//! way, moved to its place when it is whole, right, and on the disk.
//!
//! ```text
//! claim ─► write … ─► commit: size, digest ─► fsync ─► rename ─► fsync directory
//!              └ dropped, killed: the partial file stays, the next writer resumes
//! ```

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::lock::{self, Wait};
use super::{Lease, StoreError, disk};
use crate::oci::{Digest, Hasher};

/// Bytes read at a time of a partial file that is resumed.
const CHUNK_BYTES: usize = 256 << 10;

/// Who writes a blob.
#[derive(Debug)]
pub enum Claim {
    /// Nobody: it is there.
    Stored,
    /// Another writer is at it.
    Busy,
    /// The caller.
    Writer(BlobWriter),
}

/// Writes one blob. See the module documentation.
#[derive(Debug)]
pub struct BlobWriter {
    lease: Lease,
    digest: Digest,
    size_bytes: u64,
    /// Locked.
    partial: File,
    offset: u64,
    hasher: Hasher,
}

pub(super) fn claim(
    lease: &Lease,
    digest: &Digest,
    size_bytes: u64,
    wait: Wait,
) -> Result<Claim, StoreError> {
    if lease.has_blob(digest)? && has_size(lease, digest, size_bytes)? {
        return Ok(Claim::Stored);
    }
    let path = lease.store().partial_path(digest);
    let Some(partial) = lock::claim(&path, open, wait)? else {
        return Ok(Claim::Busy);
    };
    // Who had the lock before may have finished it.
    if lease.store().has_blob(digest)? {
        disk::remove(&path)?;
        return Ok(Claim::Stored);
    }
    let mut writer = BlobWriter {
        lease: lease.clone(),
        digest: digest.clone(),
        size_bytes,
        partial,
        offset: 0,
        hasher: digest.hasher(),
    };
    writer.resume().map_err(StoreError::reading(&path))?;
    if writer.offset > size_bytes {
        writer.restart()?;
    }
    Ok(Claim::Writer(writer))
}

/// Whether the stored blob has the size that is promised now; `false` where it
/// was damaged, and is moved away. A digest has one size: another is a lie.
fn has_size(lease: &Lease, digest: &Digest, size_bytes: u64) -> Result<bool, StoreError> {
    let blob = lease.store().blob(digest)?;
    let found_bytes = blob.len_bytes();
    if found_bytes == size_bytes {
        return Ok(true);
    }
    match blob.reader().finish() {
        Ok(()) => Err(StoreError::WrongSize {
            digest: digest.to_string(),
            size_bytes,
            found_bytes,
        }),
        Err(StoreError::Damaged { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn open(path: &Path) -> io::Result<File> {
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

impl BlobWriter {
    /// Bytes that are there already: the next write continues behind them.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Length that the blob will have.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The blob's digest.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Appends all of `bytes`.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let end = self.offset.checked_add(bytes.len() as u64);
        let Some(end) = end.filter(|&end| end <= self.size_bytes) else {
            return Err(StoreError::TooLong {
                digest: self.digest.to_string(),
                size_bytes: self.size_bytes,
            });
        };
        if let Err(error) = self.partial.write_all_at(bytes, self.offset) {
            let error = self.writing(error);
            if error.is_full() {
                // A full disk is not left full. The error says what matters.
                let _ = self.restart();
            }
            return Err(error);
        }
        self.hasher.update(bytes);
        self.offset = end;
        Ok(())
    }

    /// Forgets what was written, for a server that cannot resume.
    pub fn restart(&mut self) -> Result<(), StoreError> {
        self.partial
            .set_len(0)
            .map_err(|error| self.writing(error))?;
        self.offset = 0;
        self.hasher = self.digest.hasher();
        Ok(())
    }

    /// Checks size and digest, and makes the blob appear. What is too short
    /// stays to be resumed, what is wrong is removed.
    pub fn commit(mut self) -> Result<(), StoreError> {
        if self.offset != self.size_bytes {
            return Err(StoreError::WrongSize {
                digest: self.digest.to_string(),
                size_bytes: self.size_bytes,
                found_bytes: self.offset,
            });
        }
        let hasher = std::mem::replace(&mut self.hasher, self.digest.hasher());
        let found = hasher.finish();
        let path = self.lease.store().partial_path(&self.digest);
        if found != self.digest.to_string() {
            disk::remove(&path)?;
            return Err(StoreError::WrongDigest {
                digest: self.digest.to_string(),
                found,
            });
        }
        self.partial
            .sync_all()
            .map_err(|error| self.writing(error))?;
        disk::rename(&path, &self.lease.store().blob_path(&self.digest))
    }

    /// Takes up what an earlier writer left.
    fn resume(&mut self) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let len = match (&self.partial).read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.hasher.update(&chunk[..len]);
            self.offset += len as u64;
        }
    }

    fn writing(&self, error: io::Error) -> StoreError {
        StoreError::writing(&self.lease.store().partial_path(&self.digest))(error)
    }
}
