//! The layers of an image of the store as directories of the host, for who stacks them
//! with overlayfs, and a whole image as one, for who mounts it. Each is unpacked once,
//! whoever wants it.

use std::path::PathBuf;

use crate::build::{BuildError, Limits};
use crate::cached::explain;
use crate::oci::{Digest, Image, LoneLayer};
use crate::platform::Platform;
use crate::progress::Progress;
use crate::rootfs::tree::InodeId;
use crate::rootfs::unpack::{UnpackError, unpack};
use crate::store::{LayerTree, Lease, StoreError};

/// What keeps layers from being unpacked.
#[derive(Debug, thiserror::Error)]
pub enum LayersError {
    /// The image cannot be read.
    #[error(transparent)]
    Image(Box<BuildError>),
    /// The store does not give it, or does not take the directories.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A layer, or a whole image, cannot be written.
    #[error("cannot unpack {diff_id}")]
    Unpack {
        /// Digest of the unpacked layer, or of the manifest.
        diff_id: String,
        /// Why.
        source: UnpackError,
    },
}

/// The layers of the image whose manifest or index is `digest`, lowest first. They stay
/// until [`Store::release_trees`](crate::Store::release_trees) for `user`, a file name.
pub fn layer_trees(
    lease: &Lease,
    digest: &Digest,
    user: &str,
    limits: &Limits,
    progress: &mut dyn Progress,
) -> Result<Vec<LayerTree>, LayersError> {
    lease.keep(digest)?;
    let store = lease.store();
    let descriptor = store.descriptor(digest)?;
    let failed = |source| LayersError::Image(Box::new(explain(lease, digest, source)));
    let platform = Platform::default();
    let manifest = Image::stored_manifest(store.root(), &descriptor, platform).map_err(failed)?;
    let image = Image::stored(store.root(), &manifest, platform).map_err(failed)?;
    let diff_ids: Vec<_> = image.diff_ids().cloned().collect();
    lease.use_trees(user, &diff_ids)?;
    let mut trees = Vec::new();
    for (number, diff_id) in diff_ids.iter().enumerate() {
        let tree = lease.tree(diff_id, |directory| {
            let spool = crate::unikernel::parent(directory);
            let layer = image
                .unpack_alone(number, limits, spool, progress)
                .map_err(failed)?;
            unpack(&layer.tree, &layer.storage, directory).map_err(|source| {
                LayersError::Unpack {
                    diff_id: diff_id.to_string(),
                    source,
                }
            })?;
            Ok::<_, LayersError>(implied(&layer))
        })?;
        trees.push(tree);
    }
    Ok(trees)
}

/// All files of the image whose manifest or index is `digest`, as a directory that nobody may
/// change. It stays while the image does.
pub fn image_tree(
    lease: &Lease,
    digest: &Digest,
    limits: &Limits,
    progress: &mut dyn Progress,
) -> Result<PathBuf, LayersError> {
    lease.keep(digest)?;
    let store = lease.store();
    let descriptor = store.descriptor(digest)?;
    let failed = |source| LayersError::Image(Box::new(explain(lease, digest, source)));
    let platform = Platform::default();
    let manifest = Image::stored_manifest(store.root(), &descriptor, platform).map_err(failed)?;
    let name = Digest::parse(manifest.digest().as_ref()).map_err(StoreError::Digest)?;
    let tree = lease.tree(&name, |directory| {
        let spool = crate::unikernel::parent(directory);
        let (rootfs, _) = Image::stored(store.root(), &manifest, platform)
            .and_then(|image| image.unpack(limits, spool, None, progress))
            .map_err(failed)?;
        unpack(&rootfs.tree, &rootfs.storage, directory).map_err(|source| LayersError::Unpack {
            diff_id: name.to_string(),
            source,
        })?;
        Ok::<_, LayersError>(Vec::new())
    })?;
    Ok(tree.path)
}

/// Paths of directories that the layer says nothing of; the root's is `.`.
fn implied(layer: &LoneLayer) -> Vec<Vec<u8>> {
    let mut implied = Vec::new();
    let mut pending = vec![(Vec::new(), InodeId::ROOT)];
    while let Some((path, id)) = pending.pop() {
        for (name, dentry) in layer.tree.names(id).into_iter().flatten() {
            if layer.tree.names(dentry.inode).is_some() {
                let mut child = path.clone();
                if !child.is_empty() {
                    child.push(b'/');
                }
                child.extend_from_slice(name);
                pending.push((child, dentry.inode));
            }
        }
        if layer.is_implied(id) {
            implied.push(if path.is_empty() { b".".to_vec() } else { path });
        }
    }
    implied
}
