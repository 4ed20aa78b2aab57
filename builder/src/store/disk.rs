//! Files and directories that are there whole or not at all, even after a
//! power cut: written beside their place, synced, renamed, the directory synced.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::StoreError;

/// Prefix of files beside their place.
pub(super) const TEMPORARY_PREFIX: &str = ".unikiln-";
/// Images may hold secrets: nobody else looks in.
const ROOT_MODE: u32 = 0o700;
/// Permissions of what is written whole.
const FILE_MODE: u32 = 0o644;

/// Makes the root and its parents.
pub(super) fn make_root(path: &Path) -> Result<(), StoreError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(StoreError::writing(parent))?;
    }
    let made = DirBuilder::new().mode(ROOT_MODE).create(path);
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made.map_err(StoreError::writing(path)),
    }
}

/// Makes a directory of the store.
pub(super) fn make_directory(path: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(path).map_err(StoreError::writing(path))
}

/// Whether there is something at `path`.
pub(super) fn exists(path: &Path) -> Result<bool, StoreError> {
    path.try_exists().map_err(StoreError::reading(path))
}

/// Syncs the names in a directory.
pub(super) fn sync_directory(path: &Path) -> Result<(), StoreError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(StoreError::writing(path))
}

/// Writes a small file so that a reader sees the old bytes or the new ones.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let directory = directory_of(path);
    let failed = || StoreError::writing(path);
    let mut file = tempfile::Builder::new()
        .prefix(TEMPORARY_PREFIX)
        .permissions(Permissions::from_mode(FILE_MODE))
        .tempfile_in(&directory)
        .map_err(failed())?;
    file.write_all(bytes).map_err(failed())?;
    file.as_file().sync_all().map_err(failed())?;
    file.persist(path).map_err(|error| failed()(error.error))?;
    sync_directory(&directory)
}

/// Moves a file that is synced to its place.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::rename(from, to).map_err(StoreError::writing(to))?;
    sync_directory(&directory_of(to))
}

/// Removes a file, if it is there.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::writing(path)(error))
        }
        _ => Ok(()),
    }
}

/// The directory that a file of the store is in.
pub(super) fn directory_of(path: &Path) -> PathBuf {
    crate::unikernel::parent(path).to_owned()
}
