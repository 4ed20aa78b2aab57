//! From an image of the store to a unikernel file in the store. An image is
//! converted once for each libOS and builder, whoever asks for it.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::build::{self, BuildError, BuildOptions};
use crate::libos::hex;
use crate::oci::{BlobError, Digest, Image, ImageError, KeptLayers, LayerError};
use crate::progress::Progress;
use crate::store::{Lease, Store, StoreError};

/// This builder. Another one may write another file.
pub(crate) const IDENTITY: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "-",
    env!("UNIKILN_BUILDER_SOURCES")
);
/// The libOS that this builder embeds.
const LIBOS: &str = env!("UNIKILN_LIBOS_HASH");
/// Bytes of a key, of the digest that it is cut from.
const KEY_BYTES: usize = 16;

/// The unikernel file of the image of the store whose manifest or index is
/// `digest`: the one that was built before, or a new one. It stays there for as
/// long as `lease` lives, or a reference to the image.
pub fn build_cached(
    lease: &Lease,
    digest: &Digest,
    options: &BuildOptions,
    progress: &mut dyn Progress,
) -> Result<PathBuf, BuildError> {
    if !options.include.is_empty() {
        return Err(BuildError::IncludeNotPossible {
            reference: digest.to_string(),
        });
    }
    lease.keep(digest)?;
    let store = lease.store();
    let descriptor = store.descriptor(digest)?;
    let failed = |source| explain(lease, digest, source);
    let platform = options.platform;
    let manifest = Image::stored_manifest(store.root(), &descriptor, platform).map_err(failed)?;
    let image = Digest::parse(manifest.digest().as_ref()).map_err(StoreError::Digest)?;
    let mut attempt = |output: &Path, kept: &KeptLayers| {
        let directory = crate::unikernel::parent(output);
        let (rootfs, mut config) = Image::stored(store.root(), &manifest, platform)
            .and_then(|image| image.unpack(&options.limits, directory, Some(kept), progress))
            .map_err(failed)?;
        let name = image.to_string();
        build::complete(&name, &rootfs, &mut config)?;
        let store = Some(store);
        build::finish(&name, rootfs, config, store, output, options, progress).map(drop)
    };
    lease.unikernel(&image, &key(options), |output| {
        loop {
            let kept = KeptLayers::new(store);
            let built = attempt(output, &kept);
            match kept.finish() {
                // It is gone, and unpacked again.
                Err(LayerError::KeptDamaged { .. }) => {}
                Err(error) => break Err(failed(error.into())),
                Ok(()) => break built,
            }
        }
    })
}

/// The unikernel file of the image whose manifest is `manifest`, where it was built before.
pub fn find_cached(
    store: &Store,
    manifest: &Digest,
    options: &BuildOptions,
) -> Result<Option<PathBuf>, StoreError> {
    store.find_unikernel(manifest, &key(options))
}

/// Stands for all but the image that decides what a unikernel file is.
fn key(options: &BuildOptions) -> String {
    let (platform, no_link) = (options.platform, options.no_link);
    let text = format!("{LIBOS} {IDENTITY} {platform:?} no_link={no_link}");
    hex(&Sha256::digest(text)[..KEY_BYTES])
}

/// A blob that is missing or damaged is the store's to tell about.
pub(crate) fn explain(lease: &Lease, reference: &Digest, source: ImageError) -> BuildError {
    let named = match &source {
        ImageError::Blob(error) | ImageError::Layer(LayerError::Blob(error)) => match error {
            BlobError::Missing { digest }
            | BlobError::WrongSize { digest, .. }
            | BlobError::WrongDigest { digest, .. } => Digest::parse(digest).ok(),
            _ => None,
        },
        _ => None,
    };
    let checked = named.map_or(Ok(()), |digest| lease.store().verify(&digest));
    match checked {
        Err(error) => error.into(),
        // The manifest tells lies of a blob that is whole.
        Ok(()) => BuildError::Image {
            reference: reference.to_string(),
            source,
        },
    }
}
