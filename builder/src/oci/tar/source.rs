//! Where a tar stream comes from: a layer on its way out of a decompressor, or a
//! file in which contents can be passed over without reading them.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

/// Bytes read at a time that nobody wants.
const SCRATCH_BYTES: usize = 8 << 10;

/// Where a tar stream comes from.
pub(in crate::oci) trait Source: Read {
    /// Passes over bytes that nobody wants.
    fn pass(&mut self, mut len_bytes: u64) -> io::Result<()> {
        let mut scratch = [0; SCRATCH_BYTES];
        while len_bytes > 0 {
            let len = len_bytes.min(scratch.len() as u64) as usize;
            self.read_exact(&mut scratch[..len])?;
            len_bytes -= len as u64;
        }
        Ok(())
    }

    /// A file that holds the same bytes at the same offsets, those that were read
    /// or passed over.
    fn backing(&self) -> Option<Arc<File>> {
        None
    }
}

impl Source for &[u8] {}

impl<S: Source> Source for &mut S {
    fn pass(&mut self, len_bytes: u64) -> io::Result<()> {
        (**self).pass(len_bytes)
    }

    fn backing(&self) -> Option<Arc<File>> {
        (**self).backing()
    }
}
