//! What is pushed of an OCI layout: the descriptor behind a tag, documents, and
//! the files of blobs. The store is such a layout, too.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use oci_spec::image::{Descriptor, ImageIndex};

use crate::oci::{BlobError, DOCUMENT_MAX_BYTES, Digest, TAG_ANNOTATION};

/// What is wrong with a layout.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A file of it.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// `index.json` is not an index.
    #[error("{} is no OCI image index", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// No image of that tag, or several without one.
    #[error("{} has {count} images for tag {tag}; name one of: {available}", path.display())]
    Tag {
        /// The layout.
        path: PathBuf,
        /// How many fit.
        count: usize,
        /// What was asked for.
        tag: String,
        /// What is there.
        available: String,
    },
    /// A digest, or content that does not have it.
    #[error(transparent)]
    Blob(#[from] BlobError),
}

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// The only image with this tag, or the only image.
    pub(super) fn tagged(&self, tag: Option<&str>) -> Result<Descriptor, LayoutError> {
        let path = self.root.join("index.json");
        let bytes = read(&path, DOCUMENT_MAX_BYTES)?;
        let index: ImageIndex =
            serde_json::from_slice(&bytes).map_err(|source| LayoutError::Index {
                path: path.clone(),
                source,
            })?;
        let tag_of = |descriptor: &Descriptor| {
            let annotations = descriptor.annotations().as_ref()?;
            annotations.get(TAG_ANNOTATION).cloned()
        };
        let fits = |entry: &&Descriptor| tag.is_none() || tag_of(entry).as_deref() == tag;
        let mut found: Vec<_> = index.manifests().iter().filter(fits).cloned().collect();
        match (found.len(), found.pop()) {
            (1, Some(only)) => Ok(only),
            (count, _) => {
                let tags: Vec<_> = index.manifests().iter().filter_map(tag_of).collect();
                Err(LayoutError::Tag {
                    path: self.root.clone(),
                    count,
                    tag: tag.unwrap_or("(none)").to_owned(),
                    available: tags.join(", "),
                })
            }
        }
    }

    /// A document, its digest checked.
    pub(super) fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, LayoutError> {
        let digest = Digest::parse(descriptor.digest().as_ref())?;
        let bytes = read(&self.blob_path(&digest), DOCUMENT_MAX_BYTES)?;
        let found = super::session::digest_of(&bytes, digest.hasher());
        if found != digest.to_string() {
            return Err(BlobError::WrongDigest {
                digest: digest.to_string(),
                found,
            }
            .into());
        }
        Ok(bytes)
    }

    pub(super) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root.join(digest.blob_name())
    }

    pub(super) fn has(&self, descriptor: &Descriptor) -> bool {
        Digest::parse(descriptor.digest().as_ref())
            .is_ok_and(|digest| self.blob_path(&digest).is_file())
    }
}

fn read(path: &Path, limit_bytes: u64) -> Result<Vec<u8>, LayoutError> {
    let failed = |source| LayoutError::Read {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(limit_bytes + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > limit_bytes {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    Ok(bytes)
}
