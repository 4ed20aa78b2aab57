//! The layers of an image as directories, which overlayfs puts over one another for a
//! container of an OCI runtime.
//!
//! Each layer is unpacked once, in the store; it stays while an image has it, or a
//! container that [`Layers::take`] was called for until [`Layers::release`], across
//! restarts of the daemon.

use std::path::Path;

use unikiln_builder::{
    Digest, LayerTree, LayersError, Limits, NoProgress, Store, StoreError, layer_trees,
};

use super::LocalImage;

/// The store's layers.
#[derive(Clone, Debug)]
pub struct Layers {
    store: Store,
}

impl Layers {
    /// Of the store at `root`.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        Ok(Self {
            store: Store::open(root)?,
        })
    }

    /// The image's layers, lowest first, unpacked where they were not. They are `container`'s
    /// until it is released.
    pub fn take(&self, image: &LocalImage, container: &str) -> Result<Vec<LayerTree>, LayersError> {
        let manifest = Digest::parse(&image.manifest).map_err(StoreError::Digest)?;
        let lease = self.store.lease()?;
        let limits = Limits::default();
        layer_trees(&lease, &manifest, container, &limits, &mut NoProgress)
    }

    /// A container needs its layers no longer. May be called again.
    pub fn release(&self, container: &str) -> Result<(), StoreError> {
        self.store.release_trees(container)
    }

    /// Containers that have layers, those among them that nobody knows any more.
    pub fn containers(&self) -> Result<Vec<String>, StoreError> {
        self.store.tree_users()
    }
}
