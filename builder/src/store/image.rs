//! What the store knows of an image, for lists.

use serde::{Deserialize, Serialize};

use super::usage::files;
use super::{Reference, Store, StoreError, flat_name};
use crate::oci::{DOCUMENT_MAX_BYTES, Digest, Image};
use crate::platform::Platform;

/// An image that has a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredImage {
    /// Its name.
    pub reference: String,
    /// Digest of the manifest or index that the name is for.
    pub digest: String,
    /// Digest of the manifest for this platform, if there is one.
    pub manifest_digest: Option<String>,
    /// When it was made, as its configuration says (RFC 3339).
    pub created: Option<String>,
    /// Bytes of its blobs. Images share blobs: the sum of several may be less.
    pub size_bytes: u64,
    /// Bytes of unikernels made of it.
    pub unikernel_bytes: u64,
    /// Whether all blobs of this platform are there.
    pub is_complete: bool,
}

#[derive(Deserialize)]
struct Config {
    created: Option<String>,
}

impl Store {
    /// All images, by name. One that is damaged or only half there is listed, too.
    pub fn images(&self) -> Result<Vec<StoredImage>, StoreError> {
        let references = self.references()?;
        references.iter().map(|one| self.image(one)).collect()
    }

    /// References that a user names: by name, as written or with docker's defaults
    /// filled in, or by the digest of index or manifest (`sha256:` may be left out,
    /// and all but the first twelve digits).
    pub fn find(&self, text: &str) -> Result<Vec<Reference>, StoreError> {
        let references = self.references()?;
        let full_name = crate::ImageRef::parse(text).map(|image| image.to_string());
        let by_name = references.iter().find(|one| one.name == text).or_else(|| {
            let full_name = full_name.as_deref().ok()?;
            references.iter().find(|one| one.name == full_name)
        });
        if let Some(reference) = by_name {
            return Ok(vec![reference.clone()]);
        }
        let mut found = Vec::new();
        if is_digest_prefix(text) {
            for reference in references {
                let image = self.image(&reference)?;
                let digests = [Some(image.digest), image.manifest_digest];
                let names = |digest: &String| {
                    digest.starts_with(text)
                        || digest
                            .split_once(':')
                            .is_some_and(|(_, hex)| hex.starts_with(text))
                };
                if digests.iter().flatten().any(names) {
                    found.push(reference);
                }
            }
        }
        if found.is_empty() {
            return Err(StoreError::UnknownReference {
                name: text.to_owned(),
            });
        }
        Ok(found)
    }

    /// The manifest for `platform` that a manifest or an index leads to; none where the way
    /// there is not in the store, or there is no such platform.
    pub fn manifest_for(
        &self,
        reference: &Reference,
        platform: Platform,
    ) -> Result<Option<Digest>, StoreError> {
        match Image::stored_manifest(self.root(), &reference.descriptor, platform) {
            Ok(manifest) => Digest::parse(manifest.digest().as_ref())
                .map(Some)
                .map_err(StoreError::Digest),
            // What is wrong with it is told by who wants to use it.
            Err(_) => Ok(None),
        }
    }

    fn image(&self, reference: &Reference) -> Result<StoredImage, StoreError> {
        let digest = reference.digest()?;
        let mut image = StoredImage {
            reference: reference.name.clone(),
            digest: digest.to_string(),
            manifest_digest: None,
            created: None,
            size_bytes: 0,
            unikernel_bytes: 0,
            is_complete: false,
        };
        for blob in self.reached(vec![digest])? {
            if let Ok(metadata) = self.blob_path(&blob).metadata() {
                image.size_bytes += metadata.len();
            }
        }
        let Some(manifest) = self.manifest_for(reference, Platform::default())? else {
            return Ok(image);
        };
        let children = self.children(&manifest)?;
        image.is_complete = self.has_blob(&manifest)? && !children.is_empty();
        for child in &children {
            image.is_complete &= self.has_blob(child)?;
        }
        // The configuration is the first child.
        image.created = children.first().and_then(|config| self.created(config));
        let unikernels = self.unikernels_path().join(flat_name(&manifest));
        for (_, metadata) in files(&unikernels)? {
            image.unikernel_bytes += metadata.len();
        }
        image.manifest_digest = Some(manifest.to_string());
        Ok(image)
    }

    fn created(&self, config: &Digest) -> Option<String> {
        let bytes = self.blob(config).ok()?.read(DOCUMENT_MAX_BYTES).ok()?;
        serde_json::from_slice::<Config>(&bytes).ok()?.created
    }
}

/// Whether a digest may begin like this, and not too many do.
fn is_digest_prefix(text: &str) -> bool {
    let hex = text.split_once(':').map_or(text, |(_, hex)| hex);
    hex.len() >= 12 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
}
