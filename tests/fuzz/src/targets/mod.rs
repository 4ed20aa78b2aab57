//! One target for each reader of untrusted input.

pub mod documents;
pub mod erofs;
pub mod layer;
pub mod program;
pub mod reference;
pub mod unikernel;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use tempfile::NamedTempFile;

/// A file that holds the input, for readers that want a path.
pub(crate) fn with_file(bytes: &[u8], read: impl FnOnce(PathBuf)) {
    thread_local! {
        static FILE: NamedTempFile = NamedTempFile::new().expect("temporary file");
    }
    FILE.with(|file| {
        let inner: &File = file.as_file();
        inner.set_len(bytes.len() as u64).expect("set length");
        inner.write_all_at(bytes, 0).expect("write");
        read(file.path().to_owned());
    });
}
