//! From the index of an OCI layout to one manifest: by tag, then by platform.

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest, MediaType, Platform as OciPlatform};
use serde::de::IgnoredAny;

use super::compression::Compression;
use super::config::{self, Documents};
use super::container::Container;
use super::digest::{Digest, HashingReader, read_document};
use super::layer::Layer;
use super::{Image, ImageError, find_blob};
use crate::platform::{Platform, describe};

/// Most bytes of an index, a manifest or a configuration.
pub(crate) const DOCUMENT_MAX_BYTES: u64 = 8 << 20;
/// Most indexes on the way to a manifest.
const DEPTH_MAX: usize = 4;
/// Annotation that holds the tag.
pub(crate) const TAG_ANNOTATION: &str = "org.opencontainers.image.ref.name";

const LAYOUT: &str = "an OCI image layout (a directory made by `skopeo copy … oci:DIR`)";

/// Reads the documents of one image.
pub(super) fn read(
    container: &Container,
    tag: Option<&str>,
    platform: Platform,
) -> Result<Image, ImageError> {
    let name = "index.json";
    let range = container
        .find(name)?
        .ok_or(ImageError::NotAnImage { name, kind: LAYOUT })?;
    let bytes = read_document(&range, name, DOCUMENT_MAX_BYTES)?;
    let index: ImageIndex = parse_index(&bytes, name, None)?;
    let tagged = by_tag(index.manifests(), tag)?;
    let descriptor = manifest_descriptor(container, tagged, platform)?;
    read_manifest(container, &descriptor, platform)
}

fn parse<'a, T: serde::Deserialize<'a>>(bytes: &'a [u8], name: &str) -> Result<T, ImageError> {
    serde_json::from_slice(bytes).map_err(|source| ImageError::Json {
        name: name.to_owned(),
        source,
    })
}

/// What tells an index from a manifest. A document must not pass for both:
/// programs would disagree on what the image is (CVE-2021-41190).
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    media_type: Option<String>,
    config: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
    fs_layers: Option<IgnoredAny>,
    manifests: Option<IgnoredAny>,
}

impl Shape {
    /// Reads it, and compares the type with the descriptor's.
    fn read(bytes: &[u8], name: &str, descriptor: Option<&Descriptor>) -> Result<Self, ImageError> {
        let shape: Self = parse(bytes, name)?;
        if let (Some(found), Some(descriptor)) = (&shape.media_type, descriptor)
            && found != descriptor.media_type().as_ref()
        {
            return Err(ImageError::WrongMediaType {
                name: name.to_owned(),
                found: found.clone(),
                expected: descriptor.media_type().to_string(),
            });
        }
        Ok(shape)
    }

    fn refuse(
        fields: &[(&'static str, &Option<IgnoredAny>)],
        name: &str,
        expected: &'static str,
    ) -> Result<(), ImageError> {
        match fields.iter().find(|(_, value)| value.is_some()) {
            Some(&(field, _)) => Err(ImageError::Ambiguous {
                name: name.to_owned(),
                expected,
                field,
            }),
            None => Ok(()),
        }
    }
}

fn parse_index(
    bytes: &[u8],
    name: &str,
    descriptor: Option<&Descriptor>,
) -> Result<ImageIndex, ImageError> {
    let shape = Shape::read(bytes, name, descriptor)?;
    let foreign = [
        ("config", &shape.config),
        ("layers", &shape.layers),
        ("fsLayers", &shape.fs_layers),
    ];
    Shape::refuse(&foreign, name, "image index")?;
    parse(bytes, name)
}

fn parse_manifest(
    bytes: &[u8],
    name: &str,
    descriptor: Option<&Descriptor>,
) -> Result<ImageManifest, ImageError> {
    let shape = Shape::read(bytes, name, descriptor)?;
    let foreign = [
        ("manifests", &shape.manifests),
        ("fsLayers", &shape.fs_layers),
    ];
    Shape::refuse(&foreign, name, "image manifest")?;
    parse(bytes, name)
}

/// Whether the bytes are an index; looks for an image in it.
pub(super) fn fuzz_index(bytes: &[u8], platform: Platform) -> bool {
    let Ok(index) = parse_index(bytes, "fuzz", None) else {
        return false;
    };
    for tag in [None, Some("v")] {
        if let Ok(found) = by_tag(index.manifests(), tag) {
            let _ = by_platform(&found, platform);
        }
    }
    true
}

/// Whether the bytes are a manifest.
pub(super) fn fuzz_manifest(bytes: &[u8]) -> bool {
    parse_manifest(bytes, "fuzz", None).is_ok()
}

fn tag_of(descriptor: &Descriptor) -> Option<&str> {
    descriptor
        .annotations()
        .as_ref()?
        .get(TAG_ANNOTATION)
        .map(String::as_str)
}

/// The descriptors that the tag leaves: several only if they differ in platform.
fn by_tag<'a>(
    descriptors: &'a [Descriptor],
    tag: Option<&str>,
) -> Result<Vec<&'a Descriptor>, ImageError> {
    let available = || {
        let tags: Vec<_> = descriptors.iter().filter_map(tag_of).collect();
        if tags.is_empty() {
            "none with a tag".to_owned()
        } else {
            tags.join(", ")
        }
    };
    let found: Vec<_> = descriptors
        .iter()
        .filter(|entry| tag.is_none() || tag_of(entry) == tag)
        .collect();
    match (found.len(), tag) {
        (0, tag) => Err(ImageError::TagNotFound {
            tag: tag.unwrap_or_default().to_owned(),
            available: available(),
        }),
        (2.., None) if found.iter().any(|entry| entry.platform().is_none()) => {
            Err(ImageError::TagNeeded {
                available: available(),
            })
        }
        _ => Ok(found),
    }
}

/// Follows nested indexes to the manifest for this platform.
pub(super) fn manifest_descriptor(
    container: &Container,
    candidates: Vec<&Descriptor>,
    platform: Platform,
) -> Result<Descriptor, ImageError> {
    let mut descriptor = by_platform(&candidates, platform)?.clone();
    for _ in 0..DEPTH_MAX {
        match descriptor.media_type().as_ref() {
            "application/vnd.oci.image.manifest.v1+json"
            | "application/vnd.docker.distribution.manifest.v2+json" => return Ok(descriptor),
            "application/vnd.oci.image.index.v1+json"
            | "application/vnd.docker.distribution.manifest.list.v2+json" => {
                let bytes = read_verified(container, &descriptor)?;
                let name = descriptor.digest().to_string();
                let index = parse_index(&bytes, &name, Some(&descriptor))?;
                let candidates: Vec<_> = index.manifests().iter().collect();
                descriptor = by_platform(&candidates, platform)?.clone();
            }
            other => {
                return Err(ImageError::UnknownMediaType {
                    name: descriptor.digest().to_string(),
                    media_type: other.to_owned(),
                    expected: "an image manifest or index",
                });
            }
        }
    }
    Err(ImageError::TooDeep { depth: DEPTH_MAX })
}

/// The image of the highest level that fits, the first of equal ones.
pub(crate) fn by_platform<'a>(
    descriptors: &[&'a Descriptor],
    wanted: Platform,
) -> Result<&'a Descriptor, ImageError> {
    let level = |platform: &OciPlatform| {
        let variant = platform.variant().as_deref();
        wanted.level_of(platform.os(), platform.architecture(), variant)
    };
    let mut best: Option<(u8, &Descriptor)> = None;
    for &entry in descriptors {
        if let Some(level) = entry.platform().as_ref().and_then(level)
            && best.is_none_or(|(best, _)| best < level)
        {
            best = Some((level, entry));
        }
    }
    // One without a platform shows it in its configuration.
    let unknown = || descriptors.iter().find(|entry| entry.platform().is_none());
    best.map(|(_, entry)| entry)
        .or_else(|| unknown().copied())
        .ok_or_else(|| {
            let found: Vec<_> = descriptors
                .iter()
                .filter_map(|entry| entry.platform().as_ref())
                .map(|platform| {
                    let variant = platform.variant().as_deref();
                    describe(platform.os(), platform.architecture(), variant)
                })
                .collect();
            config::wrong_platform(found.join(", "), wanted)
        })
}

fn read_verified(container: &Container, descriptor: &Descriptor) -> Result<Vec<u8>, ImageError> {
    let digest = Digest::parse(descriptor.digest().as_ref())?;
    let range = find_blob(container, &digest, descriptor.size())?;
    let bytes = read_document(&range, descriptor.digest().as_ref(), DOCUMENT_MAX_BYTES)?;
    HashingReader::new(bytes.as_slice(), &digest).verify(&digest)?;
    Ok(bytes)
}

pub(super) fn read_manifest(
    container: &Container,
    descriptor: &Descriptor,
    platform: Platform,
) -> Result<Image, ImageError> {
    let digest = descriptor.digest().to_string();
    let bytes = read_verified(container, descriptor)?;
    let manifest = parse_manifest(&bytes, &digest, Some(descriptor))?;
    let is_config = matches!(manifest.config().media_type(), MediaType::ImageConfig)
        || manifest.config().media_type().as_ref()
            == "application/vnd.docker.container.image.v1+json";
    if !is_config {
        return Err(ImageError::UnknownMediaType {
            name: manifest.config().digest().to_string(),
            media_type: manifest.config().media_type().to_string(),
            expected: "an image configuration; this is an artifact, not an image",
        });
    }
    let config = read_verified(container, manifest.config())?;
    let documents = Documents {
        config,
        config_name: manifest.config().digest().to_string(),
        config_digest: manifest.config().digest().to_string(),
        image_digest: digest,
        platform,
        layer_digests: manifest
            .layers()
            .iter()
            .map(|layer| layer.digest().to_string())
            .collect(),
    };
    let (run, diff_ids) = config::read(&documents)?;
    let mut layers = Vec::new();
    for (descriptor, diff_id) in manifest.layers().iter().zip(diff_ids) {
        let name = descriptor.digest().to_string();
        let compression = Compression::of_media_type(descriptor.media_type()).ok_or_else(|| {
            ImageError::UnknownMediaType {
                name: name.clone(),
                media_type: descriptor.media_type().to_string(),
                expected: "a layer that this builder can unpack (tar, gzip, zstd)",
            }
        })?;
        let digest = Digest::parse(&name)?;
        let range = find_blob(container, &digest, descriptor.size())?;
        layers.push(Layer {
            name,
            range,
            compression,
            digest: Some(digest),
            diff_id,
        });
    }
    Ok(Image {
        manifest: run,
        layers,
    })
}
