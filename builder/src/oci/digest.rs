//! Digests, and readers that check what passes through them.

use std::fmt;
use std::io::{self, Read};

use sha2::{Digest as _, Sha256, Sha512};

use super::container::FileRange;
use crate::libos::hex;

/// What is wrong with a blob.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// A digest that is not `sha256:` or `sha512:` with its hexadecimal digits.
    #[error("digest {text:?} is none that can be checked; sha256 and sha512 are")]
    BadDigest {
        /// As written.
        text: String,
    },
    /// The blob is not in the image.
    #[error("blob {digest} is missing; copy the image again")]
    Missing {
        /// Its digest.
        digest: String,
    },
    /// The blob is longer or shorter than its descriptor says.
    #[error(
        "blob {digest} has {found_bytes} bytes instead of {expected_bytes}; copy the image again"
    )]
    WrongSize {
        /// Its digest.
        digest: String,
        /// What its descriptor says.
        expected_bytes: u64,
        /// What is there.
        found_bytes: u64,
    },
    /// The blob's content is not what its digest promises.
    #[error("blob {digest} has the wrong content (its digest is {found}); copy the image again")]
    WrongDigest {
        /// The digest that was promised.
        digest: String,
        /// The digest of what is there.
        found: String,
    },
    /// The unpacked layer is not what the image configuration promises.
    #[error("layer {digest} unpacks to {found} instead of {diff_id}; copy the image again")]
    WrongDiffId {
        /// The layer.
        digest: String,
        /// What the configuration says.
        diff_id: String,
        /// The digest of what was unpacked.
        found: String,
    },
    /// A document is longer than any sensible one.
    #[error("blob {digest} has {len_bytes} bytes, too many for a JSON document")]
    TooLarge {
        /// Its digest or name.
        digest: String,
        /// Its length.
        len_bytes: u64,
    },
    /// The blob cannot be read.
    #[error("cannot read blob {digest}")]
    Read {
        /// Its digest or name.
        digest: String,
        /// What the system said.
        source: io::Error,
    },
}

/// A checked digest: algorithm, colon, lower-case hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest {
    text: String,
    algorithm: Algorithm,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Algorithm {
    Sha256,
    Sha512,
}

impl Digest {
    /// Parses a digest as registries write it.
    pub fn parse(text: &str) -> Result<Self, BlobError> {
        let (algorithm, digits, wanted) = match text.split_once(':') {
            Some(("sha256", digits)) => (Algorithm::Sha256, digits, 64),
            Some(("sha512", digits)) => (Algorithm::Sha512, digits, 128),
            _ => {
                return Err(BlobError::BadDigest {
                    text: text.to_owned(),
                });
            }
        };
        let is_hex = digits
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if digits.len() != wanted || !is_hex {
            return Err(BlobError::BadDigest {
                text: text.to_owned(),
            });
        }
        Ok(Self {
            text: text.to_owned(),
            algorithm,
        })
    }

    /// Name of the blob in an image layout.
    pub(crate) fn blob_name(&self) -> String {
        format!("blobs/{}", self.text.replacen(':', "/", 1))
    }

    pub(crate) fn hasher(&self) -> Hasher {
        match self.algorithm {
            Algorithm::Sha256 => Hasher::Sha256(Sha256::new()),
            Algorithm::Sha512 => Hasher::Sha512(Box::new(Sha512::new())),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// Computes a digest.
#[derive(Debug)]
pub(crate) enum Hasher {
    Sha256(Sha256),
    Sha512(Box<Sha512>),
}

impl Hasher {
    pub(crate) fn sha256() -> Self {
        Self::Sha256(Sha256::new())
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    /// The digest as text.
    pub(crate) fn finish(self) -> String {
        match self {
            Self::Sha256(hasher) => format!("sha256:{}", hex(&hasher.finalize())),
            Self::Sha512(hasher) => format!("sha512:{}", hex(&hasher.finalize())),
        }
    }
}

/// Hashes what is read through it.
pub(super) struct HashingReader<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> HashingReader<R> {
    pub(super) fn new(inner: R, digest: &Digest) -> Self {
        Self {
            inner,
            hasher: digest.hasher(),
        }
    }

    /// Reads what is left, and compares.
    pub(super) fn verify(mut self, digest: &Digest) -> Result<(), BlobError> {
        io::copy(&mut self, &mut io::sink()).map_err(|source| BlobError::Read {
            digest: digest.to_string(),
            source,
        })?;
        let found = self.hasher.finish();
        if found == digest.text {
            Ok(())
        } else {
            Err(BlobError::WrongDigest {
                digest: digest.to_string(),
                found,
            })
        }
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..len]);
        Ok(len)
    }
}

/// Reads a whole document of at most `limit_bytes`; `name` is for messages.
pub(super) fn read_document(
    range: &FileRange,
    name: &str,
    limit_bytes: u64,
) -> Result<Vec<u8>, BlobError> {
    if range.len_bytes > limit_bytes {
        return Err(BlobError::TooLarge {
            digest: name.to_owned(),
            len_bytes: range.len_bytes,
        });
    }
    let mut bytes = Vec::new();
    range
        .reader()
        .read_to_end(&mut bytes)
        .map_err(|source| BlobError::Read {
            digest: name.to_owned(),
            source,
        })?;
    Ok(bytes)
}
