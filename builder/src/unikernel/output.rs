//! The file as a stream from its head on, written in large aligned pieces.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

/// The file is written in pieces that end at multiples of this: file systems
/// then keep it in huge pages of the page cache, and a guest maps 2 MiB of it
/// with one fault instead of 512 (read of the root file system: 10 times faster).
const PIECE_BYTES: usize = 2 << 20;

/// See the module documentation. The first piece is written last, because the
/// head in it is complete only then: headers, libOS, metadata and hot files
/// share one huge page that way.
pub(super) struct Output<'a> {
    file: &'a File,
    /// The head and what follows it, up to a multiple of [`PIECE_BYTES`].
    first: Vec<u8>,
    first_bytes: usize,
    /// The piece being filled, and where it goes.
    piece: Vec<u8>,
    offset: u64,
    checksum: crc32fast::Hasher,
}

impl<'a> Output<'a> {
    /// Starts behind `head`, whose bytes from `notes_end` on count for the
    /// checksum as all that is written here does.
    pub(super) fn new(file: &'a File, head: &[u8], notes_end: usize) -> Self {
        let first_bytes = head.len().next_multiple_of(PIECE_BYTES);
        let mut first = Vec::with_capacity(first_bytes);
        first.extend_from_slice(head);
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(&head[notes_end..]);
        Self {
            file,
            first,
            first_bytes,
            piece: Vec::new(),
            offset: first_bytes as u64,
            checksum,
        }
    }

    /// Checksum of what was written so far.
    pub(super) fn checksum(&self) -> u32 {
        self.checksum.clone().finalize()
    }

    /// Writes what is left, with the complete `head` in front.
    pub(super) fn finish(mut self, head: &[u8]) -> io::Result<()> {
        self.flush()?;
        self.first[..head.len()].copy_from_slice(head);
        self.file.write_all_at(&self.first, 0)
    }
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.checksum.update(bytes);
        let (first, mut rest) =
            bytes.split_at(bytes.len().min(self.first_bytes - self.first.len()));
        self.first.extend_from_slice(first);
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(PIECE_BYTES - self.piece.len()));
            self.piece.extend_from_slice(now);
            rest = later;
            if self.piece.len() == PIECE_BYTES {
                self.flush()?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.piece, self.offset)?;
        self.offset += self.piece.len() as u64;
        self.piece.clear();
        Ok(())
    }
}
