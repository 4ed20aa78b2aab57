//! Unikernels as OCI artifacts: a manifest of type [`ARTIFACT_TYPE`] with the
//! empty configuration and one layer, the file as it is, so that a stored blob
//! boots without being copied. `subject` names the image that it was made of.
//!
//! An artifact is as untrusted as an image. Its libOS is guest code: the monitor
//! checks the file's structure and ABI, and confines what runs, whoever built it.
//! But whoever pushed it chose what runs, and what it says of its image (`subject`,
//! the digest in its note) is a claim that nobody has checked. Who wants to be sure
//! that a unikernel is made of an image converts the image.

use std::path::PathBuf;

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};
use serde_json::{Value, json};
use unikiln_unikernel::{OpenError, UnikernelFile};

use super::document::{self, Document, Kind};
use crate::oci::{BlobError, DOCUMENT_MAX_BYTES, Digest};
use crate::platform::Platform;
use crate::store::{Store, StoreError};

/// What registries list a unikernel as.
pub const ARTIFACT_TYPE: &str = "application/vnd.unikiln.unikernel.v1";
/// A unikernel file, not compressed.
pub(super) const LAYER_TYPE: &str = "application/vnd.unikiln.unikernel.v1.elf";
/// The configuration of artifacts that have none.
pub(super) const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
pub(super) const EMPTY: &[u8] = b"{}";
/// More than anybody has memory for.
const FILE_MAX_BYTES: u64 = 64 << 30;

/// What keeps a unikernel from being taken from the store.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The store.
    #[error("cannot read {name} from the store")]
    Store {
        /// Its name.
        name: String,
        /// Why.
        source: Box<StoreError>,
    },
    /// Its manifest.
    #[error("cannot use {name}")]
    Document {
        /// Its name.
        name: String,
        /// Why.
        source: document::DocumentError,
    },
    /// A manifest that is no unikernel's.
    #[error("the artifact is no unikernel: {reason}")]
    Shape {
        /// What is wrong.
        reason: &'static str,
    },
    /// A digest that cannot be checked.
    #[error("the artifact's layer cannot be checked")]
    Digest(#[source] BlobError),
    /// A unikernel of another version.
    #[error(
        "the artifact speaks ABI version {found}, this unikiln speaks {ours}; pull the image that \
         it was made of, {image}, or have it pushed again"
    )]
    WrongAbi {
        /// Of the artifact.
        found: u32,
        /// Of this program.
        ours: u32,
        /// As the artifact says.
        image: String,
    },
    /// The file.
    #[error("the artifact is no unikernel that runs")]
    Open(#[source] OpenError),
}

/// What a stored name is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Local {
    /// Not stored, or not all of it.
    Missing,
    /// An image, to be converted.
    Image {
        /// What the name is for.
        digest: String,
    },
    /// A unikernel, ready.
    Unikernel {
        /// What the name is for.
        digest: String,
        /// The file.
        path: PathBuf,
    },
}

/// What the store has under `name`; of an index, the platform's image.
pub fn local(store: &Store, name: &str, platform: Platform) -> Result<Local, ArtifactError> {
    let failed = |source| ArtifactError::Store {
        name: name.to_owned(),
        source: Box::new(source),
    };
    let reference = match store.reference(name) {
        Ok(reference) => reference,
        Err(StoreError::UnknownReference { .. }) => return Ok(Local::Missing),
        Err(error) => return Err(failed(error)),
    };
    let digest = reference.digest().map_err(failed)?;
    let blob = match store.blob(&digest) {
        Ok(blob) => blob,
        Err(StoreError::MissingBlob { .. }) => return Ok(Local::Missing),
        Err(error) => return Err(failed(error)),
    };
    let bytes = blob.read(DOCUMENT_MAX_BYTES).map_err(failed)?;
    let declared = reference.descriptor.media_type().to_string();
    let unusable = |source| ArtifactError::Document {
        name: name.to_owned(),
        source,
    };
    let typed = document::read(&bytes, Some(&declared)).map_err(unusable)?;
    let digest = digest.to_string();
    let manifest = match typed.document {
        Document::Manifest(manifest) => manifest,
        Document::Index(index) => match stored_manifest(store, index, platform) {
            Some(manifest) => manifest,
            None => return Ok(Local::Missing),
        },
    };
    for blob in document::blobs(&manifest) {
        let blob = Digest::parse(blob.digest().as_ref()).map_err(ArtifactError::Digest)?;
        if !store.has_blob(&blob).map_err(failed)? {
            return Ok(Local::Missing);
        }
    }
    match document::kind(&manifest).map_err(unusable)? {
        Kind::Image => Ok(Local::Image { digest }),
        Kind::Unikernel => {
            let file = open(store, &manifest)?;
            let path = file.path().to_owned();
            Ok(Local::Unikernel { digest, path })
        }
    }
}

/// The platform's manifest; none where it is not stored, or is not one that a pull
/// takes as it is.
fn stored_manifest(
    store: &Store,
    mut index: Box<ImageIndex>,
    platform: Platform,
) -> Option<Box<ImageManifest>> {
    for _ in 0..document::DEPTH_MAX {
        let chosen = document::choose(&index, platform).ok()?;
        let digest = Digest::parse(chosen.digest().as_ref()).ok()?;
        let bytes = store.blob(&digest).ok()?.read(DOCUMENT_MAX_BYTES).ok()?;
        let typed = document::read(&bytes, Some(chosen.media_type().as_ref())).ok()?;
        match typed.document {
            Document::Manifest(manifest) => return Some(manifest),
            Document::Index(next) => index = next,
        }
    }
    None
}

/// The layer that is the file.
pub(super) fn unikernel_layer(manifest: &ImageManifest) -> Result<&Descriptor, ArtifactError> {
    let shape = |reason| ArtifactError::Shape { reason };
    let [layer] = manifest.layers().as_slice() else {
        return Err(shape("it has not one layer"));
    };
    if layer.media_type().as_ref() != LAYER_TYPE {
        return Err(shape("its layer has another media type"));
    }
    if layer.size() > FILE_MAX_BYTES {
        return Err(shape("it is larger than 64 GiB"));
    }
    Ok(layer)
}

/// Opens the stored file, and checks its structure, head and ABI.
pub(super) fn open(
    store: &Store,
    manifest: &ImageManifest,
) -> Result<UnikernelFile, ArtifactError> {
    let layer = unikernel_layer(manifest)?;
    let digest = Digest::parse(layer.digest().as_ref()).map_err(ArtifactError::Digest)?;
    let path = store.root().join(digest.blob_name());
    let file = UnikernelFile::open(&path).map_err(|error| match error {
        OpenError::WrongAbi {
            file_version,
            monitor_version,
            ..
        } => ArtifactError::WrongAbi {
            found: file_version,
            ours: monitor_version,
            image: image_of(manifest),
        },
        error => ArtifactError::Open(error),
    })?;
    file.verify_head().map_err(ArtifactError::Open)?;
    Ok(file)
}

fn image_of(manifest: &ImageManifest) -> String {
    match manifest.subject() {
        Some(subject) => subject.digest().to_string(),
        None => "which it does not name".to_owned(),
    }
}

/// The manifest of `file`, whose digest and length are given. The same bytes for
/// the same file and subject.
pub(super) fn manifest(
    file: &UnikernelFile,
    digest: &str,
    len_bytes: u64,
    empty_digest: &str,
    subject: Option<&Descriptor>,
) -> Value {
    let said = file.manifest();
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": oci_distribution::manifest::OCI_IMAGE_MEDIA_TYPE,
        "artifactType": ARTIFACT_TYPE,
        "config": { "mediaType": EMPTY_TYPE, "digest": empty_digest, "size": EMPTY.len() },
        "layers": [{ "mediaType": LAYER_TYPE, "digest": digest, "size": len_bytes }],
        "annotations": {
            "org.unikiln.image.digest": said.image.digest,
            "org.unikiln.libos.abi": said.libos.abi_version.to_string(),
            "org.unikiln.libos.digest": said.libos.digest,
            "org.unikiln.builder.version": said.builder_version,
        },
    });
    if let Some(subject) = subject {
        manifest["subject"] = json!({
            "mediaType": subject.media_type().to_string(),
            "digest": subject.digest().to_string(),
            "size": subject.size(),
        });
    }
    manifest
}
