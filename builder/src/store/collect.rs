//! Garbage collection: marks what references, leases and holds reach, removes the rest.
//!
//! | what | stays |
//! |---|---|
//! | blobs | while a reference, a lease or a hold reaches them |
//! | partial blobs | while a lease names them, or for a day, to be resumed |
//! | damaged blobs | never |
//! | unikernels | while their image does and they were used in the last 30 days |
//! | unpacked layers | while their image does and they were used in the last 7 days |
//! | layers as directories | while their image does, or a container uses them |
//! | linked programs | if they were used in the last 30 days |
//! | leases | while their process lives |
//!
//! It holds the store's lock alone, so that no lease grows meanwhile. That takes
//! as long as reading the manifests and removing files: nobody waits for a
//! download or a build.

use std::collections::BTreeSet;
use std::fs::{File, Metadata};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::disk::TEMPORARY_PREFIX;
use super::lock::Wait;
use super::unikernel::remove_directory;
use super::usage::{Amount, Usage, files, names};
use super::{Store, StoreError, disk, flat_name, lock};
use crate::oci::Digest;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a partial blob waits to be resumed.
const PARTIAL_AGE: Duration = DAY;
/// How long an unpacked layer, which is large, stays unused.
const UNPACKED_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long what can be made again stays unused.
const UNUSED_AGE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

impl Store {
    /// Removes what nobody needs; what that was.
    pub fn collect(&self) -> Result<Usage, StoreError> {
        self.collect_at(SystemTime::now())
    }

    /// As if it were `now`.
    pub(super) fn collect_at(&self, now: SystemTime) -> Result<Usage, StoreError> {
        let _lock = lock::exclusive(&self.lock_path())?;
        let marked = self.marked()?;
        let mut freed = Usage::default();
        let is_older = |metadata: &Metadata, age| {
            let modified = metadata.modified().ok();
            modified.is_some_and(|then| now.duration_since(then).is_ok_and(|old| old > age))
        };
        for (path, metadata) in files(&self.root.join("blobs"))? {
            // What is not named by a digest was not put there by a store.
            if self
                .digest_of(&path)
                .is_some_and(|digest| !marked.contains(&digest))
            {
                remove(&path, &metadata, &mut freed.blobs)?;
            }
        }
        let kept: BTreeSet<_> = marked.iter().map(flat_name).collect();
        for (path, metadata) in files(&self.root.join("partial"))? {
            let is_kept = name_of(&path).is_some_and(|name| kept.contains(name));
            if !is_kept && is_older(&metadata, PARTIAL_AGE) {
                remove(&path, &metadata, &mut freed.partial)?;
            }
        }
        for (path, metadata) in files(&self.root.join("damaged"))? {
            remove(&path, &metadata, &mut freed.damaged)?;
        }
        for directory in names(&self.unikernels_path())? {
            let has_image = name_of(&directory).is_some_and(|name| kept.contains(name));
            for (path, metadata) in files(&directory)? {
                if !has_image || is_older(&metadata, UNUSED_AGE) {
                    remove(&path, &metadata, &mut freed.unikernels)?;
                }
            }
            // Somebody may be about to put one into the directory of a kept image.
            if !has_image {
                remove_directory(&directory)?;
            }
        }
        for directory in names(&self.building_path())? {
            self.collect_building(&directory, &mut freed.unikernels)?;
        }
        for (path, metadata) in files(&self.layers_path())? {
            let name = name_of(&path).unwrap_or_default();
            let is_kept = kept.contains(name) && !is_older(&metadata, UNPACKED_AGE);
            // Or one that is being unpacked, for a day at most.
            let is_new = name.starts_with(TEMPORARY_PREFIX) && !is_older(&metadata, DAY);
            if !is_kept && !is_new {
                remove(&path, &metadata, &mut freed.layers)?;
            }
        }
        self.collect_trees(&kept, &mut freed.layers)?;
        for (path, metadata) in files(&self.root.join("linked"))? {
            if is_older(&metadata, UNUSED_AGE) {
                remove(&path, &metadata, &mut freed.linked)?;
            }
        }
        for path in names(&self.root)? {
            let is_temporary =
                name_of(&path).is_some_and(|name| name.starts_with(TEMPORARY_PREFIX));
            if is_temporary && path.metadata().is_ok_and(|file| is_older(&file, DAY)) {
                disk::remove(&path)?;
            }
        }
        Ok(freed)
    }

    /// Removes what a builder left that was killed.
    fn collect_building(&self, directory: &Path, freed: &mut Amount) -> Result<(), StoreError> {
        let _locked = match lock::claim(directory, |path| File::open(path), Wait::No) {
            Ok(Some(locked)) => locked,
            Ok(None) => return Ok(()),
            // Its builder was done with it.
            Err(StoreError::Write { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        for (_, metadata) in files(directory)? {
            freed.add(&metadata);
        }
        remove_directory(directory)
    }

    /// The digest that a blob's path names.
    fn digest_of(&self, path: &Path) -> Option<Digest> {
        let algorithm = name_of(path.parent()?)?;
        let digest = Digest::parse(&format!("{algorithm}:{}", name_of(path)?)).ok()?;
        (self.blob_path(&digest) == path).then_some(digest)
    }
}

fn name_of(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

fn remove(path: &Path, metadata: &Metadata, freed: &mut Amount) -> Result<(), StoreError> {
    disk::remove(path)?;
    freed.add(metadata);
    Ok(())
}
