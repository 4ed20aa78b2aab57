//! From a reference to a unikernel file.

use std::path::{Path, PathBuf};

use unikiln_unikernel::Manifest;

use crate::check;
use crate::host::{self, HostError};
use crate::hot::find_hot;
use crate::libos::Libos;
use crate::link::{self, LinkError};
use crate::oci::{Image, ImageError};
use crate::platform::Platform;
use crate::program::DEFAULT_PATH;
use crate::progress::Progress;
use crate::reference::ImageRef;
use crate::rootfs::RootFs;
use crate::store::{Store, StoreError};
use crate::unikernel::{self, BuildReport, WriteError};
use crate::user::{self, UserError};

/// Bounds on what an image may unpack to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all layers, unpacked.
    pub unpacked_bytes: u64,
    /// Entries of all layers, and directories that their paths imply.
    pub entries: u64,
    /// Bytes of all names, targets of symbolic links and extended attributes,
    /// which are kept in memory.
    pub metadata_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            unpacked_bytes: 16 << 30,
            entries: 1_000_000,
            metadata_bytes: 128 << 20,
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
    /// Which image of an index to take.
    pub platform: Platform,
    /// Leave `syscall` sites as they are: each call traps.
    pub no_link: bool,
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
    /// The image cannot be read.
    #[error("cannot use image {reference}")]
    Image {
        /// The reference.
        reference: String,
        /// Why.
        source: ImageError,
    },
    /// The image's user is unknown in it.
    #[error("cannot use image {reference}")]
    User {
        /// The reference.
        reference: String,
        /// Why.
        source: UserError,
    },
    /// Building does not use the network.
    #[error(
        "image {reference} is in a registry, which building does not reach: \
         `unikiln build` or `unikiln pull` does, or `skopeo copy docker://{reference} oci:DIR:TAG`"
    )]
    InRegistry {
        /// The reference.
        reference: String,
    },
    /// `--include` is for `host:` images.
    #[error("files can be included in host: images only, not in {reference}")]
    IncludeNotPossible {
        /// The reference.
        reference: String,
    },
    /// The image's programs cannot be read or kept.
    #[error("cannot bind the programs of {reference} to the libOS")]
    Link {
        /// The reference.
        reference: String,
        /// Why.
        source: LinkError,
    },
    /// The store does not give the image, or does not take its unikernel.
    #[error(transparent)]
    Store(#[from] StoreError),
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
    let (rootfs, manifest) = prepare(reference, spool_directory, options, progress)?;
    let name = reference.to_string();
    finish(&name, rootfs, manifest, None, output, options, progress)
}

/// From an image's files, whose manifest is complete, to the unikernel file; `reference` is
/// for messages, and `store` knows what became of other images' programs.
pub(crate) fn finish(
    reference: &str,
    mut rootfs: RootFs,
    mut manifest: Manifest,
    store: Option<&Store>,
    output: &Path,
    options: &BuildOptions,
    progress: &mut dyn Progress,
) -> Result<BuildReport, BuildError> {
    // Linking moves what the verdict looks at.
    manifest.verdict = Some(check::examine(&rootfs, &manifest));
    if !options.no_link {
        let linking = link::link(&mut rootfs, store).map_err(|source| BuildError::Link {
            reference: reference.to_owned(),
            source,
        })?;
        manifest.linking = Some(linking);
    }
    let hot = find_hot(&rootfs, &manifest);
    rootfs.hot = hot.inodes;
    manifest.minimum_memory_bytes = hot.minimum_memory_bytes;
    manifest.libos = Libos::identity();
    manifest.builder_version = env!("CARGO_PKG_VERSION").to_owned();
    Ok(unikernel::write(&rootfs, manifest, output, progress)?)
}

/// The image as it came, its user resolved, with what docker adds to every container.
pub(crate) fn prepare(
    reference: &ImageRef,
    spool_directory: &Path,
    options: &BuildOptions,
    progress: &mut dyn Progress,
) -> Result<(RootFs, Manifest), BuildError> {
    let is_host = matches!(reference, ImageRef::Host { .. });
    if !is_host && !options.include.is_empty() {
        return Err(BuildError::IncludeNotPossible {
            reference: reference.to_string(),
        });
    }
    let (rootfs, mut manifest) = load(reference, spool_directory, options, progress)?;
    complete(&reference.to_string(), &rootfs, &mut manifest)?;
    Ok((rootfs, manifest))
}

/// Resolves the user, and adds what docker adds to every container.
pub(crate) fn complete(
    reference: &str,
    rootfs: &RootFs,
    manifest: &mut Manifest,
) -> Result<(), BuildError> {
    manifest.user =
        user::resolve(rootfs, &manifest.user.spec).map_err(|source| BuildError::User {
            reference: reference.to_owned(),
            source,
        })?;
    add_variable(&mut manifest.env, "PATH", DEFAULT_PATH);
    Ok(())
}

fn load(
    reference: &ImageRef,
    spool_directory: &Path,
    options: &BuildOptions,
    progress: &mut dyn Progress,
) -> Result<(RootFs, Manifest), BuildError> {
    let (limits, platform) = (&options.limits, options.platform);
    let image = match reference {
        ImageRef::Oci { directory, tag } => Image::oci(directory, tag.as_deref(), platform),
        ImageRef::OciArchive { file, tag } => {
            Image::oci_archive(file, tag.as_deref(), platform, limits, spool_directory)
        }
        ImageRef::DockerArchive { file, tag } => {
            Image::docker_archive(file, tag.as_deref(), platform, limits, spool_directory)
        }
        ImageRef::Registry(_) => {
            return Err(BuildError::InRegistry {
                reference: reference.to_string(),
            });
        }
        ImageRef::Host { program } => {
            return host::image(
                std::slice::from_ref(program),
                &options.include,
                spool_directory,
            )
            .map_err(|source| BuildError::Host {
                reference: reference.to_string(),
                source,
            });
        }
    };
    image
        .and_then(|image| image.unpack(limits, spool_directory, None, progress))
        .map_err(|source| BuildError::Image {
            reference: reference.to_string(),
            source,
        })
}

fn add_variable(env: &mut Vec<String>, name: &str, value: &str) {
    let is_there = env.iter().any(|entry| {
        entry
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('='))
    });
    if !is_there {
        env.push(format!("{name}={value}"));
    }
}
