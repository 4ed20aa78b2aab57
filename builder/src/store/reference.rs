//! Names of images: `index.json`, as in every OCI image layout, with the whole
//! name as the annotation that holds the tag. So `skopeo inspect
//! oci:ROOT:docker.io/library/redis:7` works on a store.
//!
//! It is read without a lock, for a rename replaces it, and changed under the
//! store's lock.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use oci_spec::image::{Descriptor, ImageIndex};
use rustix::fs::FallocateFlags;

use super::{Store, StoreError, disk, lock};
use crate::oci::{Digest, TAG_ANNOTATION};

/// Enough for an index of a few thousand references.
const RESERVE_BYTES: u64 = 1 << 20;
/// An index without references.
const EMPTY_INDEX: &[u8] =
    br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

/// A name, and the manifest or index that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Such as `docker.io/library/redis:7`.
    pub name: String,
    /// What the registry said the name is for.
    pub descriptor: Descriptor,
}

impl Reference {
    /// The digest of manifest or index.
    pub fn digest(&self) -> Result<Digest, StoreError> {
        Digest::parse(self.descriptor.digest().as_ref()).map_err(StoreError::Digest)
    }
}

impl Store {
    /// All references, by name.
    pub fn references(&self) -> Result<Vec<Reference>, StoreError> {
        let index = self.read_index()?;
        let mut references: Vec<_> = index
            .manifests()
            .iter()
            .filter_map(|descriptor| {
                Some(Reference {
                    name: name_of(descriptor)?.to_owned(),
                    descriptor: descriptor.clone(),
                })
            })
            .collect();
        references.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(references)
    }

    /// Digests of all that the index lists, with a name or without.
    pub(super) fn roots(&self) -> Result<Vec<Digest>, StoreError> {
        let index = self.read_index()?;
        let digests = index.manifests().iter().map(Descriptor::digest);
        digests
            .map(|digest| Digest::parse(digest.as_ref()).map_err(StoreError::Digest))
            .collect()
    }

    /// The reference `name`.
    pub fn reference(&self, name: &str) -> Result<Reference, StoreError> {
        let references = self.references()?;
        references
            .into_iter()
            .find(|reference| reference.name == name)
            .ok_or_else(|| StoreError::UnknownReference {
                name: name.to_owned(),
            })
    }

    /// Makes `name` stand for `descriptor`, whose blob must be there; what it
    /// stood for before is left to collection. A lease must keep all that the
    /// descriptor leads to until then.
    pub fn set_reference(&self, name: &str, descriptor: &Descriptor) -> Result<(), StoreError> {
        let digest = Digest::parse(descriptor.digest().as_ref()).map_err(StoreError::Digest)?;
        let mut descriptor = descriptor.clone();
        let annotations = HashMap::from([(TAG_ANNOTATION.to_owned(), name.to_owned())]);
        descriptor.set_annotations(Some(annotations));
        let _lock = lock::exclusive(&self.lock_path())?;
        if !self.has_blob(&digest)? {
            return Err(StoreError::MissingBlob {
                digest: digest.to_string(),
            });
        }
        self.change_index(|manifests| {
            manifests.retain(|old| name_of(old) != Some(name));
            manifests.push(descriptor);
        })
    }

    /// Removes the reference `name`. Its blobs are left to [`Self::collect`].
    pub fn remove_reference(&self, name: &str) -> Result<(), StoreError> {
        let _lock = lock::exclusive(&self.lock_path())?;
        self.reference(name)?;
        let remove =
            || self.change_index(|manifests| manifests.retain(|old| name_of(old) != Some(name)));
        match remove() {
            // What frees room must work when there is none.
            Err(error) if error.is_full() => {
                disk::remove(&self.reserve_path())?;
                let removed = remove();
                self.make_reserve();
                removed
            }
            result => result,
        }
    }

    /// Sets room aside. Without it a full disk may stay full, which is not worth
    /// a failure now.
    pub(super) fn make_reserve(&self) {
        let path = self.reserve_path();
        if path
            .metadata()
            .is_ok_and(|file| file.len() >= RESERVE_BYTES)
        {
            return;
        }
        let made = File::create(&path).is_ok_and(|file| {
            rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, RESERVE_BYTES).is_ok()
        });
        if !made {
            let _ = fs::remove_file(&path);
        }
    }

    fn reserve_path(&self) -> PathBuf {
        self.root.join("reserve")
    }

    fn index_path(&self) -> PathBuf {
        self.root.join("index.json")
    }

    fn read_index(&self) -> Result<ImageIndex, StoreError> {
        let path = self.index_path();
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => EMPTY_INDEX.to_vec(),
            read => read.map_err(StoreError::reading(&path))?,
        };
        serde_json::from_slice(&bytes).map_err(|source| StoreError::Index { path, source })
    }

    fn change_index(&self, change: impl FnOnce(&mut Vec<Descriptor>)) -> Result<(), StoreError> {
        let mut index = self.read_index()?;
        let mut manifests = index.manifests().clone();
        change(&mut manifests);
        index.set_manifests(manifests);
        let bytes = serde_json::to_vec(&index).map_err(StoreError::EncodeIndex)?;
        disk::write_whole(&self.index_path(), &bytes)
    }
}

fn name_of(descriptor: &Descriptor) -> Option<&str> {
    let annotations = descriptor.annotations().as_ref()?;
    annotations.get(TAG_ANNOTATION).map(String::as_str)
}
