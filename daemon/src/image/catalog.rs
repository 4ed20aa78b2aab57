//! Which images are here: the store's references, put together by image. A reference whose
//! blobs are not all here is no image, so that kubelet pulls it again.
//!
//! What a manifest says never changes, and is read once.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use serde::Deserialize;
use unikiln_builder::registry::ARTIFACT_TYPE;
use unikiln_builder::{Digest, Platform, Reference, Store, StoreError};
use unikiln_unikernel::UnikernelFile;

use super::{ImageError, Images, LocalImage, name};

/// Most that is read of a manifest or a configuration.
pub(super) const DOCUMENT_MAX_BYTES: u64 = 8 << 20;

/// An image with its names in the store.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) image: LocalImage,
    pub(super) names: Vec<String>,
}

/// What is known of a reference's target, once all of it was there.
#[derive(Debug)]
pub(super) struct Facts {
    /// Without names.
    image: LocalImage,
    /// Manifest, configuration, layers.
    blobs: Vec<Digest>,
}

#[derive(Debug, Deserialize)]
struct Blob {
    digest: String,
    #[serde(default)]
    size: u64,
    #[serde(default, rename = "mediaType")]
    media_type: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    artifact_type: Option<String>,
    config: Blob,
    layers: Vec<Blob>,
    annotations: Option<BTreeMap<String, String>>,
}

/// An image's configuration, as far as it says how to run it.
#[derive(Debug, Default, Deserialize)]
struct Config {
    #[serde(default)]
    config: Option<Process>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Process {
    user: Option<String>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
    working_dir: Option<String>,
    stop_signal: Option<String>,
    volumes: Option<BTreeMap<String, serde_json::Value>>,
}

impl Images {
    /// All images, by id.
    pub fn list(&self) -> Result<Vec<LocalImage>, ImageError> {
        let entries = self.entries()?;
        Ok(entries.into_iter().map(|entry| entry.image).collect())
    }

    /// The image of a name, a name with digest, an id, or 12 digits of one.
    pub fn find(&self, text: &str) -> Result<Option<LocalImage>, ImageError> {
        Ok(self.entry(text)?.map(|entry| entry.image))
    }

    /// Images that a filter is for; a name without tag is for all of its tags.
    pub fn matching(&self, text: &str) -> Result<Vec<LocalImage>, ImageError> {
        if name::is_bare(text)
            && let Ok(wanted) = name::parse(text)
        {
            let prefix = name::repository(&wanted);
            let is_of = |name: &String| {
                let rest = name.strip_prefix(&prefix);
                rest.is_some_and(|rest| rest.starts_with([':', '@']))
            };
            let mut images = self.list()?;
            images.retain(|image| image.tags.iter().chain(&image.digests).any(is_of));
            if !images.is_empty() {
                return Ok(images);
            }
        }
        Ok(self.find(text)?.into_iter().collect())
    }

    pub(super) fn entry(&self, text: &str) -> Result<Option<Entry>, ImageError> {
        if text.is_empty() {
            return Err(ImageError::NoName);
        }
        let parsed = name::parse(text);
        let digits = name::id_digits(text);
        let whole = match (&parsed, digits) {
            (Ok(reference), _) => Some(reference.to_string()),
            (Err(_), Some(_)) => None,
            (Err(error), None) => return Err(error.clone()),
        };
        let mut entries = self.entries()?;
        if let Some(whole) = whole {
            let is_it = |entry: &Entry| {
                let image = &entry.image;
                image.tags.contains(&whole) || image.digests.contains(&whole)
            };
            if let Some(index) = entries.iter().position(is_it) {
                return Ok(Some(entries.swap_remove(index)));
            }
        }
        let Some(digits) = digits else {
            return Ok(None);
        };
        entries.retain(|entry| name::is_id(&entry.image.id, digits));
        if entries.len() > 1 {
            return Err(ImageError::Ambiguous {
                text: text.to_owned(),
            });
        }
        Ok(entries.pop())
    }

    fn entries(&self) -> Result<Vec<Entry>, ImageError> {
        let store = &self.shared.store;
        let mut known = HashMap::new();
        let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
        for reference in store.references()? {
            let Some(facts) = self.facts(&reference)? else {
                continue;
            };
            known.insert(
                reference.descriptor.digest().to_string(),
                Arc::clone(&facts),
            );
            let mut is_complete = true;
            for blob in &facts.blobs {
                is_complete &= store.has_blob(blob)?;
            }
            if !is_complete {
                continue;
            }
            let entry = entries.entry(facts.image.id.clone());
            let entry = entry.or_insert_with(|| Entry {
                image: facts.image.clone(),
                names: Vec::new(),
            });
            entry.add(&reference);
        }
        // What has no name any more is forgotten.
        *self
            .shared
            .facts
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = known;
        Ok(entries.into_values().collect())
    }

    fn facts(&self, reference: &Reference) -> Result<Option<Arc<Facts>>, ImageError> {
        let digest = reference.descriptor.digest().to_string();
        let known = self
            .shared
            .facts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let found = known.get(&digest).cloned();
        drop(known);
        if found.is_some() {
            return Ok(found);
        }
        let store = &self.shared.store;
        let Some(manifest) = store.manifest_for(reference, Platform::default())? else {
            return Ok(None);
        };
        match read(store, &manifest) {
            Ok(facts) => Ok(facts.map(Arc::new)),
            // One image that cannot be read must not hide the others.
            Err(error) => {
                tracing::debug!(name = %reference.name, %error, "an image cannot be read");
                Ok(None)
            }
        }
    }
}

impl Entry {
    fn add(&mut self, reference: &Reference) {
        self.names.push(reference.name.clone());
        // A name that is none of a registry's was not put there by a pull.
        let Ok(parsed) = name::parse(&reference.name) else {
            return;
        };
        let digest = format!(
            "{}@{}",
            name::repository(&parsed),
            reference.descriptor.digest()
        );
        let image = &mut self.image;
        if !image.digests.contains(&digest) {
            image.digests.push(digest);
        }
        if parsed.digest().is_none() {
            image.tags.push(parsed.to_string());
        }
    }
}

/// Reads what a manifest leads to; `None` for what is no image, and no unikernel that runs here.
fn read(store: &Store, manifest_digest: &Digest) -> Result<Option<Facts>, StoreError> {
    let bytes = store.blob(manifest_digest)?.read(DOCUMENT_MAX_BYTES)?;
    let Ok(manifest) = serde_json::from_slice::<Manifest>(&bytes) else {
        return Ok(None);
    };
    let mut blobs = vec![manifest_digest.clone()];
    let mut size_bytes = bytes.len() as u64;
    for blob in std::iter::once(&manifest.config).chain(&manifest.layers) {
        let digest = Digest::parse(&blob.digest).map_err(StoreError::Digest)?;
        if !blobs.contains(&digest) {
            blobs.push(digest);
            size_bytes = size_bytes.saturating_add(blob.size);
        }
    }
    let is_unikernel = manifest.artifact_type.as_deref() == Some(ARTIFACT_TYPE)
        || manifest.config.media_type == ARTIFACT_TYPE;
    let mut image = if is_unikernel {
        match unikernel(store, &manifest) {
            // Its configuration is that of all unikernels.
            Some(image) => LocalImage {
                id: manifest_digest.to_string(),
                ..image
            },
            None => return Ok(None),
        }
    } else {
        let digest = Digest::parse(&manifest.config.digest).map_err(StoreError::Digest)?;
        let config = store.blob(&digest)?.read(DOCUMENT_MAX_BYTES)?;
        match serde_json::from_slice::<Config>(&config) {
            Ok(config) => LocalImage {
                id: digest.to_string(),
                ..config.config.unwrap_or_default().into()
            },
            Err(_) => return Ok(None),
        }
    };
    image.manifest = manifest_digest.to_string();
    image.size_bytes = size_bytes;
    image.annotations = manifest.annotations.unwrap_or_default();
    Ok(Some(Facts { image, blobs }))
}

/// A unikernel that was pushed as it is says itself how it runs.
fn unikernel(store: &Store, manifest: &Manifest) -> Option<LocalImage> {
    let digest = Digest::parse(&manifest.layers.first()?.digest).ok()?;
    let file = UnikernelFile::open(&store.root().join(blob_name(&digest))).ok()?;
    let said = file.manifest().clone();
    Some(LocalImage {
        user: said.user.spec,
        entrypoint: said.entrypoint,
        cmd: said.cmd,
        env: said.env,
        working_dir: said.working_dir,
        stop_signal: said.stop_signal.unwrap_or_default(),
        volumes: said.volumes,
        ..LocalImage::default()
    })
}

/// Where the store has the file of a unikernel that was pushed as it is; `None` for an image.
pub(super) fn unikernel_blob(
    store: &Store,
    image: &LocalImage,
) -> Result<Option<PathBuf>, StoreError> {
    // Only such have their manifest's digest as id.
    if image.id != image.manifest {
        return Ok(None);
    }
    let digest = Digest::parse(&image.manifest).map_err(StoreError::Digest)?;
    let bytes = store.blob(&digest)?.read(DOCUMENT_MAX_BYTES)?;
    let manifest: Manifest =
        serde_json::from_slice(&bytes).map_err(|source| StoreError::NotAnImage {
            digest: image.manifest.clone(),
            source,
        })?;
    let Some(layer) = manifest.layers.first() else {
        return Ok(None);
    };
    let digest = Digest::parse(&layer.digest).map_err(StoreError::Digest)?;
    Ok(Some(store.root().join(blob_name(&digest))))
}

/// The path of a blob in an OCI image layout, which the store is.
fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}", digest.to_string().replacen(':', "/", 1))
}

impl From<Process> for LocalImage {
    fn from(process: Process) -> Self {
        Self {
            user: process.user.unwrap_or_default(),
            entrypoint: process.entrypoint.unwrap_or_default(),
            cmd: process.cmd.unwrap_or_default(),
            env: process.env.unwrap_or_default(),
            working_dir: process.working_dir.unwrap_or_default(),
            stop_signal: process.stop_signal.unwrap_or_default(),
            volumes: process.volumes.unwrap_or_default().into_keys().collect(),
            ..Self::default()
        }
    }
}
