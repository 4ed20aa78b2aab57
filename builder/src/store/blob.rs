//! Reading blobs. What is read is hashed, and a blob that is not what its
//! digest promises is moved away, so that the next pull fetches it again.

use std::fs::File;
use std::io::{self, Read};
use std::str::FromStr;

use oci_spec::image::{Descriptor, DescriptorBuilder, MediaType};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Store, StoreError, disk};
use crate::oci::{DOCUMENT_MAX_BYTES, Digest, Hasher};

/// What tells a manifest from an index.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    media_type: Option<MediaType>,
    manifests: Option<IgnoredAny>,
}

/// A stored blob, opened: it can be read even if it is collected meanwhile.
#[derive(Debug)]
pub struct Blob {
    store: Store,
    digest: Digest,
    file: File,
    len_bytes: u64,
}

/// Reads a blob from its start, and hashes.
#[derive(Debug)]
pub struct BlobReader {
    blob: Blob,
    hasher: Hasher,
}

impl Store {
    /// Whether the blob is there. Its content is checked when it is read.
    pub fn has_blob(&self, digest: &Digest) -> Result<bool, StoreError> {
        disk::exists(&self.blob_path(digest))
    }

    /// Opens a blob.
    pub fn blob(&self, digest: &Digest) -> Result<Blob, StoreError> {
        let path = self.blob_path(digest);
        let file = File::open(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => StoreError::MissingBlob {
                digest: digest.to_string(),
            },
            _ => StoreError::reading(&path)(source),
        })?;
        let len_bytes = file.metadata().map_err(StoreError::reading(&path))?.len();
        Ok(Blob {
            store: self.clone(),
            digest: digest.clone(),
            file,
            len_bytes,
        })
    }

    /// Reads a whole blob, and compares. A wrong one is moved away.
    pub fn verify(&self, digest: &Digest) -> Result<(), StoreError> {
        self.blob(digest)?.reader().finish()
    }

    /// The descriptor of a manifest or an index that is there, by what it says of
    /// itself, or, for one that is silent, by what it holds.
    pub fn descriptor(&self, digest: &Digest) -> Result<Descriptor, StoreError> {
        let bytes = self.blob(digest)?.read(DOCUMENT_MAX_BYTES)?;
        let document: Document =
            serde_json::from_slice(&bytes).map_err(|source| StoreError::NotAnImage {
                digest: digest.to_string(),
                source,
            })?;
        let media_type = document.media_type.unwrap_or(match document.manifests {
            Some(_) => MediaType::ImageIndex,
            None => MediaType::ImageManifest,
        });
        DescriptorBuilder::default()
            .media_type(media_type)
            .digest(
                oci_spec::image::Digest::from_str(&digest.to_string())
                    .map_err(StoreError::Descriptor)?,
            )
            .size(bytes.len() as u64)
            .build()
            .map_err(StoreError::Descriptor)
    }

    /// Moves a blob away that was `found` to be another; the error to report.
    pub(super) fn damaged(&self, digest: &Digest, found: String) -> StoreError {
        match disk::rename(&self.blob_path(digest), &self.damaged_path(digest)) {
            // Somebody else may have found it, too.
            Err(StoreError::Write { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return error,
            Ok(()) => {}
        }
        StoreError::Damaged {
            digest: digest.to_string(),
            found,
        }
    }
}

impl Blob {
    /// Its length.
    pub fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// Its digest.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Reads it as a stream; [`BlobReader::finish`] says whether it was right.
    pub fn reader(self) -> BlobReader {
        BlobReader {
            hasher: self.digest.hasher(),
            blob: self,
        }
    }

    /// The whole document, verified.
    pub fn read(self, limit_bytes: u64) -> Result<Vec<u8>, StoreError> {
        if self.len_bytes > limit_bytes {
            return Err(StoreError::TooLarge {
                digest: self.digest.to_string(),
                len_bytes: self.len_bytes,
                limit_bytes,
            });
        }
        let path = self.store.blob_path(&self.digest);
        let mut reader = self.reader();
        let mut bytes = Vec::new();
        (&mut reader)
            .take(limit_bytes)
            .read_to_end(&mut bytes)
            .map_err(StoreError::reading(&path))?;
        reader.finish()?;
        Ok(bytes)
    }
}

impl BlobReader {
    /// Reads what is left, and compares. A wrong blob is moved away.
    pub fn finish(mut self) -> Result<(), StoreError> {
        let path = self.blob.store.blob_path(&self.blob.digest);
        io::copy(&mut self, &mut io::sink()).map_err(StoreError::reading(&path))?;
        let found = self.hasher.finish();
        if found == self.blob.digest.to_string() {
            Ok(())
        } else {
            Err(self.blob.store.damaged(&self.blob.digest, found))
        }
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.blob.file.read(buffer)?;
        self.hasher.update(&buffer[..len]);
        Ok(len)
    }
}
