//! Locks between processes, and between threads: each opens the file itself.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::StoreError;

/// What to do where another holds the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Wait for it.
    Yes,
    /// Come back without.
    No,
}

/// Waits for the lock file at `path`, together with others that share it.
pub(super) fn shared(path: &Path) -> Result<File, StoreError> {
    lock_file(path).and_then(|file| {
        uninterrupted(|| file.lock_shared()).map_err(locking(path))?;
        Ok(file)
    })
}

/// Waits for the lock file at `path`, alone.
pub(super) fn exclusive(path: &Path) -> Result<File, StoreError> {
    lock_file(path).and_then(|file| {
        uninterrupted(|| file.lock()).map_err(locking(path))?;
        Ok(file)
    })
}

/// Opens what is at `path` and locks it, if `wait` allows: `None` where another
/// holds it. What was moved or removed by the holder meanwhile is opened anew.
pub(super) fn claim(
    path: &Path,
    open: impl Fn(&Path) -> io::Result<File>,
    wait: Wait,
) -> Result<Option<File>, StoreError> {
    loop {
        let file = open(path).map_err(StoreError::writing(path))?;
        match wait {
            Wait::Yes => uninterrupted(|| file.lock()).map_err(locking(path))?,
            Wait::No => match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(source)) => return Err(locking(path)(source)),
            },
        }
        let locked = file.metadata().map_err(StoreError::reading(path))?;
        match path.metadata() {
            Ok(there) if (there.dev(), there.ino()) == (locked.dev(), locked.ino()) => {
                return Ok(Some(file));
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::reading(path)(error));
            }
            _ => {}
        }
    }
}

fn lock_file(path: &Path) -> Result<File, StoreError> {
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(StoreError::writing(path))
}

fn uninterrupted(lock: impl Fn() -> io::Result<()>) -> io::Result<()> {
    loop {
        match lock() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn locking(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Lock { path, source }
}
