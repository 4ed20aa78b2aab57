//! A file descriptor that takes all bytes, or says why not.
//!
//! Inherited descriptors may be non-blocking (another process shares them), so
//! a full pipe is waited for rather than reported.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use vm_memory::{VolatileMemoryError, WriteVolatile};

use super::{LogError, LogTarget};
use crate::memory::GuestSlice;

/// Where bytes go: unbuffered, unlike the standard library's handles.
#[derive(Debug)]
pub(super) struct Output(File);

impl Output {
    /// Opens a target: standard output and standard error.
    pub(super) fn open(target: LogTarget) -> Result<(Self, Self), LogError> {
        let inherit = |fd: BorrowedFd<'_>| {
            let owned = fd.try_clone_to_owned();
            owned.map(|fd| Self(fd.into())).map_err(LogError::Inherit)
        };
        match target {
            LogTarget::Inherit => Ok((
                inherit(io::stdout().as_fd())?,
                inherit(io::stderr().as_fd())?,
            )),
            LogTarget::Files { stdout, stderr } => Ok((Self(stdout), Self(stderr))),
            LogTarget::Path(path) | LogTarget::Queued(path) => {
                open_pair(&path).map_err(|source| LogError::Open { path, source })
            }
        }
    }

    /// Writes straight from guest memory.
    pub(super) fn write_guest(&self, bytes: &GuestSlice<'_>) -> io::Result<()> {
        let mut written = 0;
        while written < bytes.len() {
            let rest = bytes.offset(written).map_err(io::Error::other)?;
            let result = (&self.0)
                .write_volatile(&rest)
                .map_err(|error| match error {
                    VolatileMemoryError::IOError(error) => error,
                    error => io::Error::other(error),
                });
            written += self.step(result)?;
        }
        Ok(())
    }

    /// Writes bytes; a failure says how many went out before it.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            let result = (&self.0).write(rest);
            written += self.step(result).map_err(|error| (written, error))?;
        }
        Ok(())
    }

    /// Bytes of one write; waits and says 0 where it should be tried again.
    fn step(&self, result: io::Result<usize>) -> io::Result<usize> {
        match result {
            Ok(0) => Err(ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                crate::events::wait_writable(self.0.as_fd());
                Ok(0)
            }
            other => other,
        }
    }
}

fn open_pair(path: &Path) -> io::Result<(Output, Output)> {
    let file = OpenOptions::new().append(true).create(true).open(path)?;
    let copy = file.try_clone()?;
    Ok((Output(file), Output(copy)))
}
