//! Pass-through: standard output to standard output, all else to standard error.

use std::io;

use super::Stream;
use super::output::Output;
use crate::memory::GuestSlice;

/// See the module documentation.
#[derive(Debug)]
pub(super) struct RawSink {
    stdout: Output,
    stderr: Output,
}

impl RawSink {
    pub(super) fn new(stdout: Output, stderr: Output) -> Self {
        Self { stdout, stderr }
    }

    /// Writes without a copy.
    pub(super) fn write_guest(&mut self, stream: Stream, bytes: &GuestSlice<'_>) -> io::Result<()> {
        match stream {
            Stream::Stdout => self.stdout.write_guest(bytes),
            Stream::Stderr => self.stderr.write_guest(bytes),
            Stream::Libos => {
                let mut copy = vec![0; bytes.len()];
                bytes.copy_to(&mut copy);
                self.write(stream, &copy)
            }
        }
    }

    /// Writes bytes; those of the libOS end with a newline.
    pub(super) fn write(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        let output = match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr | Stream::Libos => &self.stderr,
        };
        let ended = stream != Stream::Libos || bytes.ends_with(b"\n") || bytes.is_empty();
        output.write(bytes).map_err(|(_, error)| error)?;
        if ended {
            return Ok(());
        }
        output.write(b"\n").map_err(|(_, error)| error)
    }
}
