//! Writes an image made of this machine's programs as an OCI layout: one gzip
//! layer, the same bytes for the same files.

use std::path::{Path, PathBuf};

use crate::host::{self, HostError};
use crate::oci::write::{LayoutWriter, WriteLayoutError};
use crate::reference::{ImageRef, ReferenceError};
use crate::unikernel;

/// How to pack.
#[derive(Clone, Debug, Default)]
pub struct PackOptions {
    /// More files and directories of this machine.
    pub include: Vec<PathBuf>,
}

/// What was packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackReport {
    /// Digest of the image manifest.
    pub manifest_digest: String,
    /// Bytes of the compressed layer.
    pub layer_bytes: u64,
}

/// What keeps an image from being packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The output is no `oci:` reference.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The files cannot be collected.
    #[error("cannot make an image of these files")]
    Host(#[from] HostError),
    /// The layout cannot be written.
    #[error(transparent)]
    Write(#[from] WriteLayoutError),
}

/// Packs `programs`, with the files that they need, into the OCI layout
/// `output`. The first program is the entrypoint; a directory is taken as it is.
pub fn pack(
    programs: &[PathBuf],
    output: &ImageRef,
    options: &PackOptions,
) -> Result<PackReport, PackError> {
    let ImageRef::Oci { directory, tag } = output else {
        return Err(ReferenceError::NotWritable {
            text: output.to_string(),
        }
        .into());
    };
    let spool_directory = unikernel::parent(directory);
    let spool_directory = if spool_directory.is_dir() {
        spool_directory
    } else {
        Path::new(".")
    };
    let (rootfs, manifest) = host::image(programs, &options.include, spool_directory)?;
    let writer = LayoutWriter::new(directory)?;
    let layer = writer.layer(&rootfs)?;
    let manifest_digest = writer.image(&layer, &manifest, tag.as_deref())?;
    Ok(PackReport {
        manifest_digest,
        layer_bytes: layer.len_bytes,
    })
}
