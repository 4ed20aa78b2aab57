//! One layer by itself, for who stacks layers with overlayfs. What it hides of the
//! layers below is kept as overlayfs has it: a character device 0/0 in place of a
//! name, an attribute on a directory.

use std::collections::BTreeSet;
use std::path::Path;

use super::apply::Applier;
use super::layer::{Allowance, Layer};
use super::{ImageError, Limits};
use crate::progress::Progress;
use crate::rootfs::storage::Storage;
use crate::rootfs::tree::{Attributes, InodeId, Kind, Tree};

/// Marks a directory that shows nothing of the layers below.
const OPAQUE: &[u8] = b"trusted.overlay.opaque";
/// What overlayfs takes for its own; of an image it is nobody's.
const OVERLAY_PREFIX: &[u8] = b"trusted.overlay.";

/// What a layer says of others, on its way.
#[derive(Debug, Default)]
pub(super) struct Alone {
    described: BTreeSet<InodeId>,
    whiteouts: Vec<(InodeId, Vec<u8>)>,
    opaque: BTreeSet<InodeId>,
}

impl Alone {
    /// A directory has attributes of its own, not only a place in a path.
    pub(super) fn describe(&mut self, directory: InodeId) {
        self.described.insert(directory);
    }

    /// A name of the layers below is hidden.
    pub(super) fn hide(&mut self, directory: InodeId, name: &[u8]) {
        self.whiteouts.push((directory, name.to_vec()));
    }

    /// All that the layers below have in a directory is hidden.
    pub(super) fn hide_all(&mut self, directory: InodeId) {
        self.opaque.insert(directory);
    }
}

/// A layer with its whiteouts as overlayfs has them.
#[derive(Debug)]
pub(crate) struct LoneLayer {
    pub(crate) tree: Tree,
    pub(crate) storage: Storage,
    described: BTreeSet<InodeId>,
}

impl LoneLayer {
    pub(super) fn unpack(
        layer: &Layer,
        limits: &Limits,
        spool_directory: &Path,
        progress: &mut dyn Progress,
    ) -> Result<Self, ImageError> {
        let mut tree = Tree::new();
        let mut storage = Storage::new_in(spool_directory)?;
        let mut alone = Alone::default();
        let mut allowance = Allowance {
            limit_bytes: limits.unpacked_bytes,
            left_bytes: limits.unpacked_bytes,
        };
        let mut applier = Applier::new(&mut tree, &mut storage, limits);
        applier.alone = Some(&mut alone);
        layer.unpack(&mut applier, &mut allowance, None, progress)?;
        Ok(Self::finish(tree, storage, alone))
    }

    fn finish(mut tree: Tree, storage: Storage, mut alone: Alone) -> Self {
        for index in 0..tree.inode_count() {
            let xattrs = &mut tree.inode_at_mut(index).attributes.xattrs;
            xattrs.retain(|name, _| !name.starts_with(OVERLAY_PREFIX));
        }
        for (directory, name) in alone.whiteouts {
            match tree.child(directory, &name) {
                // It hides what lies below, and the layer has its own.
                Some(child) if tree.names(child).is_some() => {
                    alone.opaque.insert(child);
                }
                Some(_) => {}
                None => {
                    let kind = Kind::CharDevice { major: 0, minor: 0 };
                    let whiteout = tree.add(Attributes::default(), kind);
                    tree.link(directory, &name, whiteout, 0);
                }
            }
        }
        for directory in alone.opaque {
            let attributes = &mut tree.inode_mut(directory).attributes;
            attributes.xattrs.insert(OPAQUE.to_vec(), b"y".to_vec());
        }
        Self {
            tree,
            storage,
            described: alone.described,
        }
    }

    /// Whether a directory is there only because a path leads through it: a layer below
    /// may know its attributes.
    pub(crate) fn is_implied(&self, directory: InodeId) -> bool {
        self.tree.names(directory).is_some() && !self.described.contains(&directory)
    }
}
