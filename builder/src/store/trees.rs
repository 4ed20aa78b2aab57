//! Layers as directories, for OCI runtimes: overlayfs puts them over one another. Whole
//! images, too, for who mounts one: they have the manifest's digest, and no users.
//!
//! ```text
//! trees/sha256-DIFF_ID/fs        the layer's files
//! trees/sha256-DIFF_ID/implied   directories that it says nothing of but their path,
//!                                separated by NUL
//! tree-users/USER                trees that a container uses, one digest a line
//! building/tree-sha256-DIFF_ID/  one being made; locked by its maker
//! ```
//!
//! A tree is there whole and on the disk, or not at all. It goes with the last image
//! that has the layer, but not before the last of its users: a container outlives the
//! daemon, and a lease does not.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::lock::{self, Wait};
use super::unikernel::{make_and_open, remove_directory, use_file};
use super::usage::{Amount, files, names};
use super::{Lease, Store, StoreError, disk, flat_name};
use crate::oci::Digest;

/// What is whole has this file.
const IMPLIED: &str = "implied";
const FILES: &str = "fs";

/// A layer's directory. See the module documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerTree {
    /// Digest of the unpacked layer.
    pub diff_id: Digest,
    /// The directory of its files.
    pub path: PathBuf,
    /// Directories of it that have no attributes of their own: those of a layer below count.
    pub implied: Vec<Vec<u8>>,
}

impl Store {
    pub(super) fn trees_path(&self) -> PathBuf {
        self.root.join("trees")
    }

    fn tree_users_path(&self) -> PathBuf {
        self.root.join("tree-users")
    }

    /// Who uses trees.
    pub fn tree_users(&self) -> Result<Vec<String>, StoreError> {
        let paths = names(&self.tree_users_path())?;
        let users = paths.iter().filter_map(|path| path.file_name()?.to_str());
        let is_user = |name: &&str| !name.starts_with(disk::TEMPORARY_PREFIX);
        Ok(users.filter(is_user).map(str::to_owned).collect())
    }

    /// Lets go of the trees of `user`; nothing where it has none.
    pub fn release_trees(&self, user: &str) -> Result<(), StoreError> {
        disk::remove(&self.tree_users_path().join(user))
    }

    /// Removes trees that neither `kept` nor a user names. The caller holds the store's
    /// lock alone.
    pub(super) fn collect_trees(
        &self,
        kept: &BTreeSet<String>,
        freed: &mut Amount,
    ) -> Result<(), StoreError> {
        let mut used = BTreeSet::new();
        for path in names(&self.tree_users_path())? {
            match fs::read_to_string(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                text => {
                    let text = text.map_err(StoreError::reading(&path))?;
                    let digests = text.lines().filter_map(|line| Digest::parse(line).ok());
                    used.extend(digests.map(|digest| flat_name(&digest)));
                }
            }
        }
        for path in names(&self.trees_path())? {
            let name = path.file_name().and_then(|name| name.to_str());
            if name.is_some_and(|name| kept.contains(name) || used.contains(name)) {
                continue;
            }
            for (_, metadata) in files(&path)? {
                freed.add(&metadata);
            }
            // Half of one must never be taken for whole.
            let gone = self.building_path().join(name.unwrap_or("gone"));
            disk::make_directory(&self.building_path())?;
            remove_directory(&gone)?;
            disk::rename(&path, &gone)?;
            remove_directory(&gone)?;
        }
        Ok(())
    }
}

impl Lease {
    /// Notes that `user` uses the trees of these layers, now and after this process; they
    /// need not be there yet.
    pub(crate) fn use_trees(&self, user: &str, diff_ids: &[Digest]) -> Result<(), StoreError> {
        let store = self.store();
        let directory = store.tree_users_path();
        disk::make_directory(&directory)?;
        let lines: Vec<_> = diff_ids.iter().map(Digest::to_string).collect();
        let _lock = lock::shared(&store.lock_path())?;
        disk::write_whole(&directory.join(user), lines.join("\n").as_bytes())
    }

    /// The tree of a layer, which a user has named; one that is not there is made by
    /// `make`, which is given an empty directory and tells what is implied. Who wants the
    /// same at once waits.
    pub(crate) fn tree<E: From<StoreError>>(
        &self,
        diff_id: &Digest,
        make: impl FnOnce(&Path) -> Result<Vec<Vec<u8>>, E>,
    ) -> Result<LayerTree, E> {
        let store = self.store();
        let place = store.trees_path().join(flat_name(diff_id));
        if let Some(tree) = find(diff_id, &place)? {
            return Ok(tree);
        }
        let building = store
            .building_path()
            .join(format!("tree-{}", flat_name(diff_id)));
        let _locked = lock::claim(&building, make_and_open, Wait::Yes)?;
        // Who had the lock before may have made it, or was killed at it.
        if find(diff_id, &place)?.is_none() {
            let made = building.join("tree");
            remove_directory(&made)?;
            let fresh = made.join(FILES);
            disk::make_directory(&fresh)?;
            let implied = make(&fresh)?;
            let list = made.join(IMPLIED);
            fs::write(&list, implied.join(&0)).map_err(StoreError::writing(&list))?;
            File::open(&made)
                .and_then(|directory| Ok(rustix::fs::syncfs(directory)?))
                .map_err(StoreError::writing(&made))?;
            disk::make_directory(&store.trees_path())?;
            disk::rename(&made, &place)?;
        }
        let tree = find(diff_id, &place)?;
        remove_directory(&building)?;
        tree.ok_or_else(|| {
            let source = io::ErrorKind::NotFound.into();
            StoreError::Read {
                path: place,
                source,
            }
            .into()
        })
    }
}

fn find(diff_id: &Digest, place: &Path) -> Result<Option<LayerTree>, StoreError> {
    let list = place.join(IMPLIED);
    if !use_file(&list)? {
        return Ok(None);
    }
    let implied = fs::read(&list).map_err(StoreError::reading(&list))?;
    let paths = implied.split(|&byte| byte == 0);
    Ok(Some(LayerTree {
        diff_id: diff_id.clone(),
        path: place.join(FILES),
        implied: paths
            .filter(|path| !path.is_empty())
            .map(<[u8]>::to_vec)
            .collect(),
    }))
}
