//! The content store: images by digest, named by references, with what was made
//! of them. Used by the command line and the daemon at once, by any number of
//! processes. A store is an OCI image layout, so that other tools read it too.
//!
//! ```text
//! ROOT/
//!   oci-layout          marks an OCI image layout
//!   index.json          references: a name for each descriptor
//!   blobs/sha256/HEX    whole blobs, their digests checked when they were written
//!   partial/sha256-HEX  blobs on their way; locked by their writer
//!   damaged/sha256-HEX  blobs that turned out wrong when they were read
//!   unikernels/, building/  unikernels made of the images (unikernel.rs)
//!   layers/             layers kept unpacked (unpacked.rs)
//!   trees/, tree-users/ layers as directories, and who uses them (trees.rs)
//!   linked/             what became of programs when they were bound to the libOS (linked.rs)
//!   leases/             one file for each lease, locked while its process lives
//!   holds/              one file for each hold (hold.rs)
//!   lock                shared: add to a lease; exclusive: references, collection
//!   reserve             room for a new index.json when the disk is full
//! ```
//!
//! Everything appears by rename, when it is whole and on the disk. Locks are
//! `flock`s, which the kernel drops with the process. No lock is waited for
//! while `lock` is held.
//!
//! | module | what it owns |
//! |---|---|
//! | [`Lease`] (`lease`) | what must not be collected, for as long as a process lives |
//! | `hold` | what must not be collected until it is released |
//! | [`Blob`] (`blob`) | reading blobs, verified |
//! | [`BlobWriter`] (`writer`) | writing blobs, resumed, verified |
//! | [`Reference`] (`reference`) | names |
//! | [`StoredImage`] (`image`) | what is known of an image, and finding it |
//! | `unikernel` | what was built of an image, once |
//! | `unpacked` | layers, decompressed once |
//! | [`LayerTree`] (`trees`) | layers as directories |
//! | `linked` | what became of programs, once |
//! | `mark`, `collect` | what must stay; removing the rest |
//! | [`Usage`] (`usage`) | what it takes of the disk |
//! | [`StoreError`] (`error`) | what goes wrong |
//! | `lock`, `disk` | locks; files that appear whole |

mod blob;
mod collect;
mod disk;
mod error;
mod hold;
mod image;
mod lease;
mod linked;
mod lock;
mod mark;
mod reference;
mod trees;
mod unikernel;
mod unpacked;
mod usage;
mod writer;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use blob::{Blob, BlobReader};
pub use error::StoreError;
pub use image::StoredImage;
pub use lease::Lease;
pub use reference::Reference;
pub use trees::LayerTree;
pub(crate) use unpacked::UnpackedWriter;
pub use usage::{Amount, Usage};
pub use writer::{BlobWriter, Claim};

use crate::oci::Digest;

/// Variable that names the root.
const ROOT_VARIABLE: &str = "UNIKILN_ROOT";
/// The root of root's store.
const SYSTEM_ROOT: &str = "/var/lib/unikiln";
/// What makes a directory an OCI image layout.
const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// Directories of the root.
const DIRECTORIES: [&str; 5] = [
    "blobs/sha256",
    "blobs/sha512",
    "partial",
    "damaged",
    "leases",
];

/// A store that is there. See the module documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// Where the store is unless the user says otherwise: `UNIKILN_ROOT`, then
    /// `/var/lib/unikiln` for root, then `unikiln` in the user's data directory.
    pub fn default_root() -> Result<PathBuf, StoreError> {
        let variable = |name| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        if let Some(root) = std::env::var_os(ROOT_VARIABLE).filter(|root| !root.is_empty()) {
            return Ok(root.into());
        }
        if rustix::process::geteuid().is_root() {
            return Ok(SYSTEM_ROOT.into());
        }
        // A relative XDG_DATA_HOME is to be ignored, says the specification.
        variable("XDG_DATA_HOME")
            .or_else(|| Some(variable("HOME")?.join(".local/share")))
            .map(|data| data.join("unikiln"))
            .ok_or(StoreError::NoHome)
    }

    /// Opens the store at `root`, and makes what is missing of it.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let store = Self { root: root.into() };
        disk::make_root(&store.root)?;
        for directory in DIRECTORIES {
            disk::make_directory(&store.root.join(directory))?;
        }
        let layout = store.root.join("oci-layout");
        if !disk::exists(&layout)? {
            disk::write_whole(&layout, LAYOUT)?;
        }
        store.make_reserve();
        Ok(store)
    }

    /// The directory that the store is in.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root.join(digest.blob_name())
    }

    fn partial_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("partial").join(flat_name(digest))
    }

    fn damaged_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("damaged").join(flat_name(digest))
    }

    fn lock_path(&self) -> PathBuf {
        self.root.join("lock")
    }
}

/// A digest as one file name.
fn flat_name(digest: &Digest) -> String {
    digest.to_string().replace(':', "-")
}
