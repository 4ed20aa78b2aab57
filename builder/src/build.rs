//! From a reference to a unikernel file.

use std::path::{Path, PathBuf};

use unikiln_unikernel::Manifest;

use crate::host::{self, HostError};
use crate::libos::Libos;
use crate::progress::Progress;
use crate::reference::ImageRef;
use crate::rootfs::RootFs;
use crate::rootfs::tree::Kind;
use crate::unikernel::{self, BuildReport, WriteError};

/// Bounds on what an image may unpack to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all layers, unpacked.
    pub unpacked_bytes: u64,
    /// Entries of all layers.
    pub entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            unpacked_bytes: 16 << 30,
            entries: 1_000_000,
        }
    }
}

/// How to build.
#[derive(Clone, Debug, Default)]
pub struct BuildOptions {
    /// More files and directories of this machine, for `host:` images.
    pub include: Vec<PathBuf>,
    /// Bounds on what comes out of layers.
    pub limits: Limits,
}

/// What keeps an image from becoming a unikernel file.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The program's image cannot be made.
    #[error("cannot make an image of {reference}")]
    Host {
        /// The reference.
        reference: String,
        /// Why.
        source: HostError,
    },
    /// `--include` is for `host:` images.
    #[error("files can be included in host: images only, not in {reference}")]
    IncludeNotPossible {
        /// The reference.
        reference: String,
    },
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Builds the unikernel file `output` of the image. A failure leaves nothing
/// there; a file that was there before stays.
pub fn build(
    reference: &ImageRef,
    output: &Path,
    options: &BuildOptions,
    progress: &mut dyn Progress,
) -> Result<BuildReport, BuildError> {
    let spool_directory = unikernel::parent(output);
    let (rootfs, mut manifest) = match reference {
        ImageRef::Host { program } => host::image(
            std::slice::from_ref(program),
            &options.include,
            spool_directory,
        )
        .map_err(|source| BuildError::Host {
            reference: reference.to_string(),
            source,
        })?,
        _ => {
            return Err(BuildError::IncludeNotPossible {
                reference: reference.to_string(),
            });
        }
    };
    complete(&mut manifest, &rootfs);
    Ok(unikernel::write(&rootfs, manifest, output, progress)?)
}

/// Fills in what is the same for every kind of image.
fn complete(manifest: &mut Manifest, _rootfs: &RootFs) {
    manifest.libos = Libos::identity();
    manifest.builder_version = env!("CARGO_PKG_VERSION").to_owned();
}
