//! What images and containers take of the disk. A walk over all files takes a while, so what was
//! counted is good for some seconds, or until this daemon changes something.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{ImageError, Images};
use crate::proto::{FilesystemIdentifier, FilesystemUsage, ImageFsInfoResponse, UInt64Value};

/// How long a count is good, as with containerd.
const FRESH: Duration = Duration::from_secs(10);
/// Bytes of a block as `stat` counts them.
const STAT_BLOCK_BYTES: u64 = 512;

/// Counts that were made, by directory and what is left out of it.
pub(super) type Counts = BTreeMap<(PathBuf, PathBuf), Count>;

/// What is below a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count {
    bytes: u64,
    inodes: u64,
    at: (Instant, SystemTime),
}

impl Images {
    /// What the store takes of its file system, and what containers whose files are below
    /// `containers` take of theirs. The store's does not count what is below `containers`.
    pub fn filesystems(&self, containers: &Path) -> Result<ImageFsInfoResponse, ImageError> {
        let root = self.shared.store.root();
        let images = self.count(root, containers)?;
        let written = self.count(containers, Path::new(""))?;
        // One file system has one name: kubelet asks itself whether there are two.
        let place = if device(containers)? == device(root)? {
            root
        } else {
            containers
        };
        Ok(ImageFsInfoResponse {
            image_filesystems: vec![images.at(root)],
            container_filesystems: vec![written.at(place)],
        })
    }

    /// What the whole root takes.
    pub fn usage(&self) -> Result<FilesystemUsage, ImageError> {
        let root = self.shared.store.root();
        Ok(self.count(root, Path::new(""))?.at(root))
    }

    fn count(&self, directory: &Path, without: &Path) -> Result<Count, ImageError> {
        let mut counts = self
            .shared
            .counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let key = (directory.to_owned(), without.to_owned());
        if let Some(count) = counts.get(&key)
            && count.at.0.elapsed() < FRESH
        {
            return Ok(*count);
        }
        let count = walk(directory, without)?;
        counts.insert(key, count);
        Ok(count)
    }
}

impl Count {
    fn at(&self, mountpoint: &Path) -> FilesystemUsage {
        let since = self.at.1.duration_since(UNIX_EPOCH).unwrap_or_default();
        FilesystemUsage {
            timestamp: i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
            fs_id: Some(FilesystemIdentifier {
                mountpoint: mountpoint.to_string_lossy().into_owned(),
            }),
            used_bytes: Some(UInt64Value { value: self.bytes }),
            inodes_used: Some(UInt64Value { value: self.inodes }),
        }
    }
}

fn device(path: &Path) -> Result<Option<u64>, ImageError> {
    let metadata = present(path.metadata()).map_err(failed(path))?;
    Ok(metadata.map(|metadata| metadata.dev()))
}

/// Counts what is below `directory` on its file system; nothing where there is none. What others
/// remove meanwhile is left out, and a file with several names is counted once.
fn walk(directory: &Path, without: &Path) -> Result<Count, ImageError> {
    let mut count = Count {
        bytes: 0,
        inodes: 0,
        at: (Instant::now(), SystemTime::now()),
    };
    let Some(top) = present(directory.symlink_metadata()).map_err(failed(directory))? else {
        return Ok(count);
    };
    let mut linked = BTreeSet::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        let Some(entries) = present(directory.read_dir()).map_err(failed(&directory))? else {
            continue;
        };
        for entry in entries {
            let path = entry.map_err(failed(&directory))?.path();
            let Some(metadata) = present(path.symlink_metadata()).map_err(failed(&path))? else {
                continue;
            };
            let is_counted = metadata.nlink() > 1
                && !metadata.is_dir()
                && !linked.insert((metadata.dev(), metadata.ino()));
            if path == without || metadata.dev() != top.dev() || is_counted {
                continue;
            }
            count.add(&metadata);
            if metadata.is_dir() {
                pending.push(path);
            }
        }
    }
    Ok(count)
}

impl Count {
    fn add(&mut self, metadata: &Metadata) {
        self.inodes += 1;
        self.bytes += metadata.blocks() * STAT_BLOCK_BYTES;
    }
}

/// `None` for what is not there, or was a directory a moment ago.
fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        result => result.map(Some),
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> ImageError {
    let path = path.to_owned();
    move |source| ImageError::Count {
        path,
        source: Arc::new(source),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::walk;

    #[test]
    fn files_are_counted_once_and_without_what_is_left_out() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        fs::create_dir_all(at("a/b")).expect("directories");
        fs::create_dir(at("state")).expect("a directory");
        fs::write(at("a/b/one"), vec![1; 10_000]).expect("a file");
        fs::hard_link(at("a/b/one"), at("a/two")).expect("a link");
        fs::write(at("state/three"), vec![1; 10_000]).expect("a file");
        std::os::unix::fs::symlink("/", at("a/root")).expect("a link");
        let all = walk(directory.path(), Path::new("")).expect("counted");
        // a, a/b, one with two, root, state, three.
        assert_eq!(all.inodes, 6);
        assert!(all.bytes >= 20_000 && all.bytes < 200_000, "{all:?}");
        let some = walk(directory.path(), &at("state")).expect("counted");
        assert_eq!(some.inodes, 4);
        assert!(all.bytes - some.bytes >= 10_000);
        let none = walk(&at("none"), Path::new("")).expect("counted");
        assert_eq!((none.bytes, none.inodes), (0, 0));
    }
}
