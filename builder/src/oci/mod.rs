//! Images from OCI layouts and docker archives. All of it is untrusted input:
//! every blob's size and digest is checked, every path stays inside the root,
//! every quantity has a bound.
//!
//! | module | what it owns |
//! |---|---|
//! | [`container`] | the directory or tar file that an image is in |
//! | [`digest`] | digests and verified reading |
//! | [`index`] | the way from an OCI layout's index to one manifest |
//! | [`docker`] | `manifest.json` of a docker archive |
//! | [`config`] | what the image configuration says about running |
//! | [`kept`] | layers that the store keeps unpacked |
//! | [`compression`], [`layer`], [`tar`], [`apply`] | from a layer's blob into the tree |
//! | [`alone`] | one layer that is not merged with others |
//! | [`fuzz`] | entries for `tests/fuzz` |
//! | [`mod@write`], [`write_layer`] | writing an OCI layout |

mod alone;
mod apply;
mod compression;
pub(crate) mod config;
mod container;
mod digest;
mod docker;
mod fuzz;
mod index;
mod kept;
mod layer;
mod tar;
pub(crate) mod write;
mod write_layer;

use std::path::Path;

use oci_spec::image::Descriptor;
use unikiln_unikernel::Manifest;

pub(crate) use self::alone::LoneLayer;
pub use self::apply::ApplyError;
pub use self::container::ContainerError;
pub(crate) use self::digest::Hasher;
pub use self::digest::{BlobError, Digest};
pub(crate) use self::fuzz::{fuzz_archive, fuzz_decompress, fuzz_documents, fuzz_layer};
pub(crate) use self::index::{DOCUMENT_MAX_BYTES, TAG_ANNOTATION, by_platform};
pub(crate) use self::kept::KeptLayers;
pub use self::layer::LayerError;
pub use self::tar::TarError;
pub use self::write::WriteLayoutError;
pub use self::write_layer::WriteLayerError;

use self::apply::Applier;
use self::container::Container;
use self::layer::{Allowance, Layer};
use crate::build::Limits;
use crate::platform::Platform;
use crate::progress::{Progress, Step};
use crate::rootfs::storage::Storage;
use crate::rootfs::tree::Tree;
use crate::rootfs::{RootFs, StorageError};

/// What keeps an image from being read.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The directory or archive.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// A blob.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// A layer.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// File contents cannot be kept.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A file that every image of the kind has is missing.
    #[error("there is no {name}; this is not {kind}")]
    NotAnImage {
        /// The file.
        name: &'static str,
        /// What was expected.
        kind: &'static str,
    },
    /// A document is not the JSON that it should be.
    #[error("{name} is damaged")]
    Json {
        /// Its name or digest.
        name: String,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// No image of that tag.
    #[error("there is no image with tag {tag:?}; there are: {available}")]
    TagNotFound {
        /// The tag.
        tag: String,
        /// What is there.
        available: String,
    },
    /// Several images, and no tag.
    #[error("there are several images; add a tag, one of: {available}")]
    TagNeeded {
        /// What is there.
        available: String,
    },
    /// No image for this machine.
    #[error("the image is for {found}, not for {wanted}; get it for linux/amd64{hint}")]
    WrongPlatform {
        /// Platforms that are there.
        found: String,
        /// What was asked for.
        wanted: Platform,
        /// What else can be done.
        hint: &'static str,
    },
    /// A document that one program may take for a manifest and another for an index.
    #[error("{name} is no {expected}: it has {field:?}, too; copy the image again")]
    Ambiguous {
        /// Its digest.
        name: String,
        /// What its descriptor says.
        expected: &'static str,
        /// What does not belong there.
        field: &'static str,
    },
    /// A document says another type of itself than its descriptor does.
    #[error(
        "{name} says that it is {found:?}, its descriptor says {expected:?}; copy the image again"
    )]
    WrongMediaType {
        /// Its digest.
        name: String,
        /// Of the document.
        found: String,
        /// Of the descriptor.
        expected: String,
    },
    /// A media type that is not understood.
    #[error("{name} has media type {media_type:?}, which is not {expected}")]
    UnknownMediaType {
        /// Digest.
        name: String,
        /// Its media type.
        media_type: String,
        /// What was expected.
        expected: &'static str,
    },
    /// Indexes that lead to indexes without end.
    #[error("image indexes are nested more than {depth} deep")]
    TooDeep {
        /// The limit.
        depth: usize,
    },
    /// Manifest and configuration disagree.
    #[error("the manifest has {layers} layers, but the configuration has {diff_ids}")]
    LayerCount {
        /// Of the manifest.
        layers: usize,
        /// Of the configuration.
        diff_ids: usize,
    },
}

/// An image whose documents are read and whose layers are not.
pub(crate) struct Image {
    manifest: Manifest,
    layers: Vec<Layer>,
}

impl Image {
    /// Reads an OCI layout in a directory.
    pub(crate) fn oci(
        directory: &Path,
        tag: Option<&str>,
        platform: Platform,
    ) -> Result<Self, ImageError> {
        index::read(&Container::directory(directory)?, tag, platform)
    }

    /// Reads the image that a manifest is for, of a directory of blobs.
    pub(crate) fn stored(
        directory: &Path,
        manifest: &Descriptor,
        platform: Platform,
    ) -> Result<Self, ImageError> {
        index::read_manifest(&Container::directory(directory)?, manifest, platform)
    }

    /// The manifest for the platform that a manifest or an index leads to.
    pub(crate) fn stored_manifest(
        directory: &Path,
        descriptor: &Descriptor,
        platform: Platform,
    ) -> Result<Descriptor, ImageError> {
        let container = Container::directory(directory)?;
        index::manifest_descriptor(&container, vec![descriptor], platform)
    }

    /// Reads an OCI layout in a tar file.
    pub(crate) fn oci_archive(
        file: &Path,
        tag: Option<&str>,
        platform: Platform,
        limits: &Limits,
        spool_directory: &Path,
    ) -> Result<Self, ImageError> {
        let container = Container::archive(file, spool_directory, limits.unpacked_bytes)?;
        index::read(&container, tag, platform)
    }

    /// Reads what `docker save` writes.
    pub(crate) fn docker_archive(
        file: &Path,
        tag: Option<&str>,
        platform: Platform,
        limits: &Limits,
        spool_directory: &Path,
    ) -> Result<Self, ImageError> {
        let container = Container::archive(file, spool_directory, limits.unpacked_bytes)?;
        docker::read(&container, tag, platform)
    }

    /// Digests of the unpacked layers, lowest first.
    pub(crate) fn diff_ids(&self) -> impl Iterator<Item = &Digest> {
        self.layers.iter().map(|layer| &layer.diff_id)
    }

    /// Unpacks one layer, counted from the lowest, without those below.
    pub(crate) fn unpack_alone(
        &self,
        number: usize,
        limits: &Limits,
        spool_directory: &Path,
        progress: &mut dyn Progress,
    ) -> Result<LoneLayer, ImageError> {
        let layer = self.layers.get(number).ok_or(ImageError::LayerCount {
            layers: self.layers.len(),
            diff_ids: number,
        })?;
        progress.begin(Step::Unpack, layer.range.len_bytes);
        LoneLayer::unpack(layer, limits, spool_directory, progress)
    }

    /// Unpacks and merges the layers. `kept` has some unpacked, and keeps the others.
    pub(crate) fn unpack(
        self,
        limits: &Limits,
        spool_directory: &Path,
        kept: Option<&KeptLayers>,
        progress: &mut dyn Progress,
    ) -> Result<(RootFs, Manifest), ImageError> {
        let total_bytes = self.layers.iter().map(|layer| layer.range.len_bytes).sum();
        progress.begin(Step::Unpack, total_bytes);
        let mut tree = Tree::new();
        let mut storage = Storage::new_in(spool_directory)?;
        let mut allowance = Allowance {
            limit_bytes: limits.unpacked_bytes,
            left_bytes: limits.unpacked_bytes,
        };
        let mut applier = Applier::new(&mut tree, &mut storage, limits);
        for (number, layer) in self.layers.iter().enumerate() {
            // Far fewer than 2^32 fit into a manifest.
            applier.layer = number as u32;
            layer.unpack(&mut applier, &mut allowance, kept, progress)?;
        }
        Ok((
            RootFs {
                tree,
                storage,
                hot: Vec::new(),
            },
            self.manifest,
        ))
    }
}

/// Finds a blob and checks its size.
fn find_blob(
    container: &Container,
    digest: &Digest,
    size_bytes: u64,
) -> Result<container::FileRange, ImageError> {
    let range = container
        .find(&digest.blob_name())?
        .ok_or_else(|| BlobError::Missing {
            digest: digest.to_string(),
        })?;
    if range.len_bytes != size_bytes {
        return Err(BlobError::WrongSize {
            digest: digest.to_string(),
            expected_bytes: size_bytes,
            found_bytes: range.len_bytes,
        }
        .into());
    }
    Ok(range)
}
