//! The host's files as a place to look for programs.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

use crate::program::Files;

/// See the module documentation.
pub(super) struct HostFiles;

/// Bytes of an absolute path as a path of this machine.
pub(super) fn to_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

impl Files for HostFiles {
    fn is_executable(&self, path: &[u8]) -> bool {
        fs::metadata(to_path(path))
            .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    }

    fn read_exact_at(&self, path: &[u8], buffer: &mut [u8], offset: u64) -> Option<()> {
        File::open(to_path(path))
            .ok()?
            .read_exact_at(buffer, offset)
            .ok()
    }

    fn len_bytes(&self, path: &[u8]) -> Option<u64> {
        fs::metadata(to_path(path))
            .ok()
            .filter(fs::Metadata::is_file)
            .map(|file| file.len())
    }
}
