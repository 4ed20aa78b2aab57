//! Manifests and indexes as they come from a registry: which of both a document
//! is, and nothing that two readers could read differently (CVE-2021-41190). The
//! type that was announced, the type that it names and its fields must agree.

use oci_distribution::manifest::{
    IMAGE_CONFIG_MEDIA_TYPE, IMAGE_DOCKER_CONFIG_MEDIA_TYPE, IMAGE_MANIFEST_LIST_MEDIA_TYPE,
    IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE,
};
use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::artifact::ARTIFACT_TYPE;
use crate::oci::{ImageError, by_platform};
use crate::platform::Platform;

/// What is asked for.
pub(super) const ACCEPT: [&str; 4] = [
    OCI_IMAGE_MEDIA_TYPE,
    OCI_IMAGE_INDEX_MEDIA_TYPE,
    IMAGE_MANIFEST_MEDIA_TYPE,
    IMAGE_MANIFEST_LIST_MEDIA_TYPE,
];
/// Most indexes on the way to a manifest.
pub(super) const DEPTH_MAX: usize = 4;
const SCHEMA_1: [&str; 2] = [
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
];

/// What is wrong with a document.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It is not the JSON that it should be.
    #[error("it is no manifest or index")]
    Json(#[source] serde_json::Error),
    /// Docker's first format.
    #[error("it has Docker's schema 1, which is not supported; push the image again")]
    Schema1,
    /// A version that does not exist yet.
    #[error("its schema version is {found} instead of 2")]
    SchemaVersion {
        /// As written; 0 where it is missing.
        found: u64,
    },
    /// A document of some other kind.
    #[error("its media type is {media_type}, neither an image manifest nor an index")]
    MediaType {
        /// As announced or named.
        media_type: String,
    },
    /// A document that can be read as two kinds.
    #[error("it contradicts itself: {reason}")]
    Ambiguous {
        /// How.
        reason: String,
    },
    /// Neither an image nor a unikernel.
    #[error("it holds {found}, neither an image nor a unikernel")]
    Artifact {
        /// The type of what it holds.
        found: String,
    },
    /// No image for the platform.
    #[error(transparent)]
    Platform(Box<ImageError>),
    /// The platform's entry is an index, of which too little is in the layout.
    #[error("its image for {wanted} is not in the layout")]
    NotThere {
        /// The platform.
        wanted: String,
    },
    /// Indexes that lead to indexes without end.
    #[error("indexes are nested more than {depth} deep")]
    TooDeep {
        /// The limit.
        depth: usize,
    },
}

/// One of both.
#[derive(Debug)]
pub(super) enum Document {
    Manifest(Box<ImageManifest>),
    Index(Box<ImageIndex>),
}

/// A document with its type.
#[derive(Debug)]
pub(super) struct Typed {
    pub(super) document: Document,
    pub(super) media_type: String,
}

/// What decides the kind. A field that is there twice is an error of serde's.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    schema_version: Option<u64>,
    media_type: Option<String>,
    manifests: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
    config: Option<IgnoredAny>,
    fs_layers: Option<IgnoredAny>,
    history: Option<IgnoredAny>,
}

/// Reads a document that was announced as `declared`: by a descriptor, or by the
/// registry, which may not know.
pub(super) fn read(bytes: &[u8], declared: Option<&str>) -> Result<Typed, DocumentError> {
    let declared = declared
        .map(|text| text.split(';').next().unwrap_or(text).trim())
        .filter(|text| !is_vague(text));
    if declared.is_some_and(|text| SCHEMA_1.contains(&text)) {
        return Err(DocumentError::Schema1);
    }
    let probe: Probe = serde_json::from_slice(bytes).map_err(DocumentError::Json)?;
    let version = probe.schema_version.unwrap_or(0);
    if version == 1 || probe.fs_layers.is_some() || probe.history.is_some() {
        return Err(DocumentError::Schema1);
    }
    if version != 2 {
        return Err(DocumentError::SchemaVersion { found: version });
    }
    let named = probe.media_type.as_deref();
    if let (Some(declared), Some(named)) = (declared, named)
        && declared != named
    {
        return Err(DocumentError::Ambiguous {
            reason: format!(
                "it is announced as {} and calls itself {}",
                super::printable(declared),
                super::printable(named)
            ),
        });
    }
    let has_manifests = probe.manifests.is_some();
    let has_layers = probe.layers.is_some() || probe.config.is_some();
    if has_manifests && has_layers {
        return Err(DocumentError::Ambiguous {
            reason: "it has both manifests and layers".to_owned(),
        });
    }
    let media_type = declared.or(named).unwrap_or(if has_manifests {
        OCI_IMAGE_INDEX_MEDIA_TYPE
    } else {
        OCI_IMAGE_MEDIA_TYPE
    });
    let document = match media_type {
        OCI_IMAGE_MEDIA_TYPE | IMAGE_MANIFEST_MEDIA_TYPE => {
            Document::Manifest(serde_json::from_slice(bytes).map_err(DocumentError::Json)?)
        }
        OCI_IMAGE_INDEX_MEDIA_TYPE | IMAGE_MANIFEST_LIST_MEDIA_TYPE => {
            Document::Index(serde_json::from_slice(bytes).map_err(DocumentError::Json)?)
        }
        other => {
            return Err(DocumentError::MediaType {
                media_type: super::printable(other),
            });
        }
    };
    Ok(Typed {
        document,
        media_type: media_type.to_owned(),
    })
}

/// Types that servers of plain files give to everything.
fn is_vague(media_type: &str) -> bool {
    matches!(
        media_type,
        "" | "application/json" | "application/octet-stream" | "text/plain"
    )
}

/// What a manifest is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Image,
    Unikernel,
}

/// Whether we can use it.
pub(super) fn kind(manifest: &ImageManifest) -> Result<Kind, DocumentError> {
    let config = manifest.config().media_type().as_ref();
    let artifact = manifest.artifact_type().as_ref();
    let artifact = artifact.map(|media_type| media_type.as_ref());
    if artifact == Some(ARTIFACT_TYPE) || config == ARTIFACT_TYPE {
        return Ok(Kind::Unikernel);
    }
    if matches!(
        config,
        IMAGE_CONFIG_MEDIA_TYPE | IMAGE_DOCKER_CONFIG_MEDIA_TYPE
    ) {
        return Ok(Kind::Image);
    }
    Err(DocumentError::Artifact {
        found: super::printable(artifact.unwrap_or(config)),
    })
}

/// The entry of an index that is the platform's.
pub(super) fn choose(index: &ImageIndex, platform: Platform) -> Result<Descriptor, DocumentError> {
    let entries: Vec<_> = index.manifests().iter().collect();
    let chosen = by_platform(&entries, platform);
    chosen
        .cloned()
        .map_err(|error| DocumentError::Platform(Box::new(error)))
}

/// All blobs of a manifest, each once.
pub(super) fn blobs(manifest: &ImageManifest) -> Vec<Descriptor> {
    let mut blobs: Vec<Descriptor> = Vec::new();
    for blob in std::iter::once(manifest.config()).chain(manifest.layers()) {
        if blobs.iter().all(|seen| seen.digest() != blob.digest()) {
            blobs.push(blob.clone());
        }
    }
    blobs
}

#[cfg(test)]
mod tests;
