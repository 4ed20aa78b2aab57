//! Why a file was refused as a unikernel.

use std::io;
use std::path::PathBuf;

/// Errors of [`crate::UnikernelFile`].
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file could not be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something else than a unikernel file.
    #[error("{} is not a unikernel file: {why}; make one with `unikiln build IMAGE -o FILE.uk`", path.display())]
    NotUnikernel {
        /// The file.
        path: PathBuf,
        /// What is missing.
        why: &'static str,
    },
    /// The file ends early.
    #[error("{} is truncated: {found_bytes} of at least {expected_bytes} bytes are there; build or copy it again", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Bytes that its headers speak of.
        expected_bytes: u64,
        /// Bytes that are there.
        found_bytes: u64,
    },
    /// The file contradicts itself.
    #[error("{} is corrupted: {what}; build or copy it again", path.display())]
    Corrupted {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Written for another monitor.
    #[error("{} speaks ABI version {file_version}, this monitor speaks {monitor_version}; rebuild it with `unikiln build`", path.display())]
    WrongAbi {
        /// The file.
        path: PathBuf,
        /// Version of the libOS in the file.
        file_version: u32,
        /// Version of this program.
        monitor_version: u32,
    },
}
