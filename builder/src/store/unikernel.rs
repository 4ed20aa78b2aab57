//! Unikernels made of the store's images, so that an image is converted once.
//!
//! ```text
//! unikernels/sha256-IMAGE/KEY.uk     whole files
//! building/sha256-IMAGE-KEY/         one being made; locked by its builder
//! ```
//!
//! KEY stands for all but the image that the file depends on. A file's time of
//! change is the time of its last use.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::lock::{self, Wait};
use super::{Lease, Store, StoreError, disk, flat_name};
use crate::oci::Digest;

impl Store {
    pub(super) fn unikernels_path(&self) -> PathBuf {
        self.root.join("unikernels")
    }

    /// The unikernel of the image whose manifest is `image`, if it is there.
    pub(crate) fn find_unikernel(
        &self,
        image: &Digest,
        key: &str,
    ) -> Result<Option<PathBuf>, StoreError> {
        let path = self.unikernel_path(image, key);
        Ok(disk::exists(&path)?.then_some(path))
    }

    fn unikernel_path(&self, image: &Digest, key: &str) -> PathBuf {
        let directory = self.unikernels_path().join(flat_name(image));
        directory.join(format!("{key}.uk"))
    }

    pub(super) fn building_path(&self) -> PathBuf {
        self.root.join("building")
    }
}

impl Lease {
    /// The unikernel of the image whose manifest is `image`, which is kept; one
    /// that is not there is built by `build` at the path that it is given. Who
    /// wants the same at once waits.
    pub(crate) fn unikernel<E: From<StoreError>>(
        &self,
        image: &Digest,
        key: &str,
        build: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        self.keep(image)?;
        let store = self.store();
        let path = store.unikernel_path(image, key);
        if use_file(&path)? {
            return Ok(path);
        }
        let name = format!("{}-{key}", flat_name(image));
        let building = store.building_path().join(name);
        let _locked = lock::claim(&building, make_and_open, Wait::Yes)?;
        let built = build_locked(&building, &path, build);
        let removed = remove_directory(&building);
        built?;
        removed?;
        Ok(path)
    }
}

fn build_locked<E: From<StoreError>>(
    building: &Path,
    path: &Path,
    build: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    // Who had the lock before may have made it.
    if use_file(path)? {
        return Ok(());
    }
    let output = building.join("image.uk");
    build(&output)?;
    File::open(&output)
        .and_then(|file| file.sync_all())
        .map_err(StoreError::writing(&output))?;
    // Collection removes the directory of an image, but not while one is kept.
    let directory = disk::directory_of(path);
    disk::make_directory(&directory)?;
    Ok(disk::rename(&output, path)?)
}

/// Notes that a file is used now; whether it is there.
pub(super) fn use_file(path: &Path) -> Result<bool, StoreError> {
    match File::open(path).and_then(|file| file.set_modified(SystemTime::now())) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::reading(path)(error)),
    }
}

/// Collection, or who built it, may remove the directory at any moment.
pub(super) fn make_and_open(path: &Path) -> io::Result<File> {
    loop {
        fs::create_dir_all(path)?;
        match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
    }
}

/// Removes a directory with its files, if it is there.
pub(super) fn remove_directory(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::writing(path)(error))
        }
        _ => Ok(()),
    }
}
