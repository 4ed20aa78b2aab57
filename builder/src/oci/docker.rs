//! `manifest.json` of a docker archive. It names files, not digests: the
//! configuration is checked against its name, layers against the
//! configuration's list of unpacked digests.

use std::io::Read;

use serde::Deserialize;

use super::compression::Compression;
use super::config::{self, Documents};
use super::container::Container;
use super::digest::{Digest, Hasher, HashingReader, read_document};
use super::index::DOCUMENT_MAX_BYTES;
use super::layer::Layer;
use super::{BlobError, Image, ImageError};
use crate::platform::Platform;

const KIND: &str = "a docker archive (a file made by `docker save`)";

/// One image of the archive.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// Reads the documents of one image.
pub(super) fn read(
    container: &Container,
    tag: Option<&str>,
    platform: Platform,
) -> Result<Image, ImageError> {
    let name = "manifest.json";
    let range = container
        .find(name)?
        .ok_or(ImageError::NotAnImage { name, kind: KIND })?;
    let bytes = read_document(&range, name, DOCUMENT_MAX_BYTES)?;
    let entries: Vec<Entry> =
        serde_json::from_slice(&bytes).map_err(|source| ImageError::Json {
            name: name.to_owned(),
            source,
        })?;
    let entry = by_tag(&entries, tag)?;

    let config_range = container
        .find(&entry.config)?
        .ok_or_else(|| missing(&entry.config))?;
    let config = read_document(&config_range, &entry.config, DOCUMENT_MAX_BYTES)?;
    let image_digest = verify_config(&entry.config, &config)?;
    let mut documents = Documents {
        config,
        config_name: entry.config.clone(),
        config_digest: image_digest.clone(),
        image_digest,
        layer_digests: entry.layers.clone(),
        platform,
    };
    let (_, diff_ids) = config::read(&documents)?;
    documents.layer_digests = diff_ids.iter().map(ToString::to_string).collect();
    let (run, diff_ids) = config::read(&documents)?;

    let mut layers = Vec::new();
    for (name, diff_id) in entry.layers.iter().zip(diff_ids) {
        let range = container.find(name)?.ok_or_else(|| missing(name))?;
        let mut start = Vec::new();
        range
            .reader()
            .take(4)
            .read_to_end(&mut start)
            .map_err(|source| BlobError::Read {
                digest: name.clone(),
                source,
            })?;
        let compression = Compression::sniff(&start);
        layers.push(Layer {
            name: name.clone(),
            range,
            compression,
            digest: None,
            diff_id,
        });
    }
    Ok(Image {
        manifest: run,
        layers,
    })
}

/// Looks for an image in a `manifest.json`.
pub(super) fn fuzz_manifest(bytes: &[u8]) {
    if let Ok(entries) = serde_json::from_slice::<Vec<Entry>>(bytes) {
        for tag in [None, Some("a:1"), Some("library/a")] {
            if let Ok(entry) = by_tag(&entries, tag) {
                let _ = verify_config(&entry.config, bytes);
            }
        }
    }
}

fn missing(name: &str) -> BlobError {
    BlobError::Missing {
        digest: name.to_owned(),
    }
}

fn by_tag<'a>(entries: &'a [Entry], tag: Option<&str>) -> Result<&'a Entry, ImageError> {
    let tags = |entry: &Entry| entry.repo_tags.clone().unwrap_or_default();
    let available = || {
        let all: Vec<_> = entries.iter().flat_map(tags).collect();
        if all.is_empty() {
            "none with a tag".to_owned()
        } else {
            all.join(", ")
        }
    };
    let found = match tag {
        Some(tag) => entries.iter().find(|entry| {
            tags(entry)
                .iter()
                .any(|found| full_name(found) == full_name(tag))
        }),
        None if entries.len() > 1 => {
            return Err(ImageError::TagNeeded {
                available: available(),
            });
        }
        None => entries.first(),
    };
    found.ok_or_else(|| ImageError::TagNotFound {
        tag: tag.unwrap_or_default().to_owned(),
        available: available(),
    })
}

/// A repository name without what docker leaves out, and with a tag.
fn full_name(name: &str) -> String {
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    let name = name.strip_prefix("library/").unwrap_or(name);
    let has_tag = name
        .rsplit('/')
        .next()
        .is_some_and(|last| last.contains(':'));
    if has_tag {
        name.to_owned()
    } else {
        format!("{name}:latest")
    }
}

/// The configuration's digest, which its name must agree with where it is one:
/// `HEX.json`, or `blobs/sha256/HEX`.
fn verify_config(name: &str, config: &[u8]) -> Result<String, ImageError> {
    let stem = name.rsplit('/').next().unwrap_or(name);
    let stem = stem.strip_suffix(".json").unwrap_or(stem);
    if let Ok(digest) = Digest::parse(&format!("sha256:{stem}")) {
        HashingReader::new(config, &digest).verify(&digest)?;
        return Ok(digest.to_string());
    }
    let mut hasher = Hasher::sha256();
    hasher.update(config);
    Ok(hasher.finish())
}
