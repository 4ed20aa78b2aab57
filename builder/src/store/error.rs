//! What goes wrong with the store.

use std::io;
use std::path::{Path, PathBuf};

use crate::oci::BlobError;

/// What goes wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nobody says where the store is.
    #[error("no directory for images: HOME is not set; set UNIKILN_ROOT or use --root")]
    NoHome,
    /// The disk is full, or a quota used up.
    #[error(
        "no space left for {}; remove images with `unikiln rmi`, or put the store elsewhere with --root",
        path.display()
    )]
    Full {
        /// What was to be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file or directory cannot be made, written, moved or removed.
    #[error("cannot write {}", path.display())]
    Write {
        /// What was to be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file or directory cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// What was to be read.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A lock cannot be taken.
    #[error("cannot lock {}", path.display())]
    Lock {
        /// What was to be locked.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The reference index is not what it was written as.
    #[error(
        "{} is damaged; move it away and pull the images again, their blobs are still there",
        path.display()
    )]
    Index {
        /// The index.
        path: PathBuf,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// The index cannot be put into words.
    #[error("cannot write the reference index")]
    EncodeIndex(#[source] serde_json::Error),
    /// A digest that cannot be checked.
    #[error(transparent)]
    Digest(BlobError),
    /// A blob that is used as a manifest, and is none.
    #[error("blob {digest} is no manifest of an image")]
    NotAnImage {
        /// Its digest.
        digest: String,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// A descriptor cannot be made.
    #[error("cannot describe a blob")]
    Descriptor(#[source] oci_spec::OciSpecError),
    /// The blob is not in the store.
    #[error("blob {digest} is not in the store; `unikiln pull` fetches it")]
    MissingBlob {
        /// Its digest.
        digest: String,
    },
    /// A stored blob is not what its digest promises. It was moved away.
    #[error(
        "blob {digest} was damaged on the disk (its digest is {found}) and is removed; `unikiln pull` fetches it again"
    )]
    Damaged {
        /// The digest that was promised.
        digest: String,
        /// The digest, or the length, of what was there.
        found: String,
    },
    /// A document is longer than any sensible one.
    #[error("blob {digest} has {len_bytes} bytes, more than the {limit_bytes} of a document")]
    TooLarge {
        /// Its digest.
        digest: String,
        /// Its length.
        len_bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
    /// More was written than the blob's descriptor says.
    #[error("blob {digest} is longer than the {size_bytes} bytes that its descriptor says")]
    TooLong {
        /// The promised digest.
        digest: String,
        /// The promised length.
        size_bytes: u64,
    },
    /// The blob has another size than its descriptor says. A partial blob stays.
    #[error("blob {digest} has {found_bytes} bytes instead of {size_bytes}")]
    WrongSize {
        /// The promised digest.
        digest: String,
        /// The promised length.
        size_bytes: u64,
        /// What is there.
        found_bytes: u64,
    },
    /// What was written is not what the digest promises. It is removed.
    #[error("blob {digest} has the wrong content (its digest is {found})")]
    WrongDigest {
        /// The promised digest.
        digest: String,
        /// The digest of what was written.
        found: String,
    },
    /// A hold's name that is none.
    #[error("a hold cannot be called {name:?}: letters, digits, hyphens, up to 128 of them")]
    HoldName {
        /// The name.
        name: String,
    },
    /// No reference of that name.
    #[error("there is no image {name}; `unikiln images` lists them")]
    UnknownReference {
        /// The name.
        name: String,
    },
}

impl StoreError {
    /// For a write to `path` that failed.
    pub(super) fn writing(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::Full { path, source }
            }
            _ => Self::Write { path, source },
        }
    }

    /// For a read of `path` that failed.
    pub(super) fn reading(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Read { path, source }
    }

    /// Whether room on the disk is all that is missing.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }
}
