//! What became of programs when they were bound to the libOS, by the digest of
//! the program: a library that many images have is rewritten once.
//!
//! ```text
//! linked/BUILDER/HEX    SHA-256 of name and text (32 bytes), text
//! ```
//!
//! An entry is small: the bytes that change, not the file. It can be made again,
//! so it is not synced; what a power cut left of it does not match its checksum,
//! and is written anew. Its time of change is the time of its last use.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use super::disk::{self, TEMPORARY_PREFIX};
use super::unikernel::use_file;
use super::{Store, StoreError};
use crate::libos::hex;

const CHECKSUM_BYTES: usize = 32;

impl Store {
    /// The text that was kept for the program `digest` by this builder.
    pub(crate) fn linked(&self, digest: &[u8; 32]) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.linked_path(digest);
        let entry = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(StoreError::reading(&path))?,
        };
        let Some((checksum_there, text)) = entry.split_at_checked(CHECKSUM_BYTES) else {
            return Ok(None);
        };
        if checksum_there != checksum(digest, text) {
            return Ok(None);
        }
        use_file(&path)?;
        Ok(Some(text.to_vec()))
    }

    /// Keeps a text for the program `digest`.
    pub(crate) fn keep_linked(&self, digest: &[u8; 32], text: &[u8]) -> Result<(), StoreError> {
        let path = self.linked_path(digest);
        let directory = disk::directory_of(&path);
        let failed = || StoreError::writing(&path);
        disk::make_directory(&directory)?;
        let mut file = tempfile::Builder::new()
            .prefix(TEMPORARY_PREFIX)
            .tempfile_in(&directory)
            .map_err(failed())?;
        file.write_all(&checksum(digest, text)).map_err(failed())?;
        file.write_all(text).map_err(failed())?;
        file.persist(&path)
            .map_err(|error| failed()(error.error))
            .map(drop)
    }

    pub(super) fn linked_path(&self, digest: &[u8; 32]) -> PathBuf {
        let builder = self.root.join("linked").join(crate::cached::IDENTITY);
        builder.join(hex(digest))
    }
}

/// Of the name, too: an entry under another name is none.
fn checksum(digest: &[u8; 32], text: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = Sha256::new();
    hasher.update(digest);
    hasher.update(text);
    hasher.finalize().into()
}
