//! Members of a layer's tar stream. The `tar` crate knows the header fields;
//! the walk over the stream is ours, because a layer is untrusted: extension
//! records are bounded, and PAX values may hold newlines (binary attributes do).
//!
//! Understood: V7, ustar, GNU long names and old GNU sparse files, PAX local
//! records. PAX global records are passed over, as container tools do.

mod extension;
mod source;

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use tar::{EntryType, GnuExtSparseHeader, GnuSparseHeader, Header};

use extension::{Extensions, is_extension, is_header_only, number_field};

pub(super) use source::Source;

const BLOCK_BYTES: usize = 512;
/// Most bytes of one extension record (long name, PAX records).
const EXTENSION_MAX_BYTES: u64 = 1 << 20;
/// Most pieces of a sparse file.
const PIECES_MAX: usize = 1 << 20;

/// What is wrong with a tar stream.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The stream cannot be read or unpacked.
    #[error("cannot unpack the tar stream")]
    Read(#[source] io::Error),
    /// The stream ends inside a member.
    #[error("the tar stream ends inside a member")]
    Truncated,
    /// A member is longer than what is left.
    #[error("{path:?} is cut off")]
    CutOff {
        /// The member.
        path: String,
    },
    /// A header has a wrong checksum or an unreadable number.
    #[error("the tar stream has a damaged header at byte {offset_bytes}")]
    BadHeader {
        /// Where.
        offset_bytes: u64,
    },
    /// An extension record makes no sense or is too long.
    #[error("the tar stream has a damaged or overlong extension record at byte {offset_bytes}")]
    BadExtension {
        /// Where.
        offset_bytes: u64,
    },
    /// A sparse file in a form that is not supported, or a damaged one.
    #[error(
        "the tar stream has a sparse file of an unsupported form at byte {offset_bytes}; pack the layer without --sparse"
    )]
    BadSparse {
        /// Where.
        offset_bytes: u64,
    },
}

/// One member: names as they are in the archive.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) kind: EntryType,
    pub(super) path: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) mtime_s: u64,
    pub(super) mtime_ns: u32,
    pub(super) device: (u32, u32),
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Bytes of the file, holes included.
    pub(super) len_bytes: u64,
}

/// Piece of a sparse file that the archive holds.
#[derive(Clone, Copy, Debug)]
struct Piece {
    offset: u64,
    len_bytes: u64,
}

/// See the module documentation.
pub(super) struct Reader<R> {
    input: R,
    /// Bytes read so far.
    position: u64,
    /// Stored bytes of the current member that nobody has read, and its padding.
    left: u64,
    padding: u64,
    /// Pieces of the current member to come; a plain file is one piece.
    pieces: VecDeque<Piece>,
    /// Position in the current file, holes included, and its length.
    file_position: u64,
    file_bytes: u64,
}

impl<R: Source> Reader<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            position: 0,
            left: 0,
            padding: 0,
            pieces: VecDeque::new(),
            file_position: 0,
            file_bytes: 0,
        }
    }

    /// Where the current member's stored contents begin; right after [`Self::next`].
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// See [`Source::backing`].
    pub(super) fn backing(&self) -> Option<Arc<File>> {
        self.input.backing()
    }

    /// Passes over what is left of the current member, and reads the next header.
    pub(super) fn next(&mut self) -> Result<Option<Member>, TarError> {
        let mut extensions = Extensions::default();
        loop {
            self.skip(self.left)?;
            self.skip(self.padding)?;
            let header_offset = self.position;
            let Some(header) = self.header()? else {
                return Ok(None);
            };
            let bad_header = || TarError::BadHeader {
                offset_bytes: header_offset,
            };
            let stored_bytes = match extensions.size {
                // Some writers give links a size, but never contents.
                _ if is_header_only(header.entry_type()) => 0,
                Some(size) if !is_extension(header.entry_type()) => size,
                _ => number_field(&header.as_old().size).ok_or_else(bad_header)?,
            };
            self.left = stored_bytes;
            self.padding = stored_bytes.wrapping_neg() % BLOCK_BYTES as u64;
            match header.entry_type() {
                EntryType::XGlobalHeader => {}
                EntryType::GNULongName => extensions.path = Some(self.long_name()?),
                EntryType::GNULongLink => extensions.link = Some(self.long_name()?),
                EntryType::XHeader => {
                    let bad = TarError::BadExtension {
                        offset_bytes: header_offset,
                    };
                    let records = self.extension()?;
                    extensions.read_pax(&records).ok_or(bad)?;
                }
                kind => {
                    if extensions.is_pax_sparse {
                        return Err(TarError::BadSparse {
                            offset_bytes: header_offset,
                        });
                    }
                    self.begin_file(&header, kind, stored_bytes, header_offset)?;
                    let member = self.member(&header, kind, extensions);
                    return member.ok_or_else(bad_header).map(Some);
                }
            }
        }
    }

    /// The next header; `None` at the end of the archive.
    fn header(&mut self) -> Result<Option<Header>, TarError> {
        let offset_bytes = self.position;
        let mut block = [0; BLOCK_BYTES];
        let mut filled = 0;
        while filled < BLOCK_BYTES {
            match self.read_input(&mut block[filled..])? {
                // An archive may end without its two zero blocks.
                0 if filled == 0 => return Ok(None),
                0 => return Err(TarError::Truncated),
                len => filled += len,
            }
        }
        if block == [0; BLOCK_BYTES] {
            return Ok(None);
        }
        let header = Header::from_byte_slice(&block).clone();
        let sum: u32 = block[..148]
            .iter()
            .chain(&block[156..])
            .map(|&byte| u32::from(byte))
            .sum();
        // The checksum field itself counts as eight spaces.
        if header.cksum().ok() != Some(sum + 8 * u32::from(b' ')) {
            return Err(TarError::BadHeader { offset_bytes });
        }
        Ok(Some(header))
    }

    fn begin_file(
        &mut self,
        header: &Header,
        kind: EntryType,
        stored_bytes: u64,
        offset_bytes: u64,
    ) -> Result<(), TarError> {
        self.file_position = 0;
        self.file_bytes = stored_bytes;
        self.pieces = [Piece {
            offset: 0,
            len_bytes: stored_bytes,
        }]
        .into();
        if kind == EntryType::GNUSparse {
            let bad = || TarError::BadSparse { offset_bytes };
            let gnu = header.as_gnu().ok_or_else(bad)?;
            self.file_bytes = gnu.real_size().map_err(|_| bad())?;
            self.pieces.clear();
            self.add_pieces(&gnu.sparse).ok_or_else(bad)?;
            let mut is_extended = gnu.is_extended();
            while is_extended {
                let mut more = GnuExtSparseHeader::new();
                // The map blocks stand before the stored bytes and are not part of them.
                self.fill(more.as_mut_bytes())?;
                self.add_pieces(&more.sparse).ok_or_else(bad)?;
                is_extended = more.is_extended();
            }
            let stored: u64 = self.pieces.iter().map(|piece| piece.len_bytes).sum();
            if stored != stored_bytes {
                return Err(bad());
            }
        }
        Ok(())
    }

    /// Adds pieces in ascending order inside the file; `None` for others.
    fn add_pieces(&mut self, headers: &[GnuSparseHeader]) -> Option<()> {
        for header in headers.iter().filter(|header| !header.is_empty()) {
            let piece = Piece {
                offset: header.offset().ok()?,
                len_bytes: header.length().ok()?,
            };
            let start = self
                .pieces
                .back()
                .map_or(0, |last| last.offset + last.len_bytes);
            let end = piece.offset.checked_add(piece.len_bytes)?;
            if piece.offset < start || end > self.file_bytes || self.pieces.len() >= PIECES_MAX {
                return None;
            }
            self.pieces.push_back(piece);
        }
        Some(())
    }

    /// Puts header and extensions together; `None` for an unreadable number.
    fn member(&self, header: &Header, kind: EntryType, extensions: Extensions) -> Option<Member> {
        let has_device = matches!(kind, EntryType::Char | EntryType::Block);
        let device = if has_device {
            (header.device_major().ok()??, header.device_minor().ok()??)
        } else {
            (0, 0)
        };
        let (mtime_s, mtime_ns) = match extensions.mtime {
            Some(mtime) => mtime,
            // A time before the epoch reads as a number that is too large.
            None => (
                header
                    .mtime()
                    .ok()
                    .filter(|&time| time <= i64::MAX as u64)
                    .unwrap_or(0),
                0,
            ),
        };
        Some(Member {
            kind,
            path: extensions
                .path
                .unwrap_or_else(|| header.path_bytes().into_owned()),
            link: extensions
                .link
                .or_else(|| header.link_name_bytes().map(|name| name.into_owned()))
                .unwrap_or_default(),
            mode: (number_field(&header.as_old().mode)? & 0o7777) as u32,
            uid: extensions
                .uid
                .or_else(|| number_field(&header.as_old().uid))?,
            gid: extensions
                .gid
                .or_else(|| number_field(&header.as_old().gid))?,
            mtime_s,
            mtime_ns,
            device,
            xattrs: extensions.xattrs,
            len_bytes: self.file_bytes,
        })
    }

    fn extension(&mut self) -> Result<Vec<u8>, TarError> {
        if self.left > EXTENSION_MAX_BYTES {
            return Err(TarError::BadExtension {
                offset_bytes: self.position,
            });
        }
        let mut bytes = vec![0; self.left as usize];
        self.fill(&mut bytes)?;
        self.left = 0;
        Ok(bytes)
    }

    fn long_name(&mut self) -> Result<Vec<u8>, TarError> {
        let mut name = self.extension()?;
        name.truncate(
            name.iter()
                .position(|&byte| byte == 0)
                .unwrap_or(name.len()),
        );
        Ok(name)
    }

    fn fill(&mut self, mut buffer: &mut [u8]) -> Result<(), TarError> {
        while !buffer.is_empty() {
            match self.read_input(buffer)? {
                0 => return Err(TarError::Truncated),
                len => buffer = &mut buffer[len..],
            }
        }
        Ok(())
    }

    fn skip(&mut self, len_bytes: u64) -> Result<(), TarError> {
        match self.input.pass(len_bytes) {
            Ok(()) => {
                self.position += len_bytes;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(TarError::Truncated),
            Err(error) => Err(TarError::Read(error)),
        }
    }

    fn read_input(&mut self, buffer: &mut [u8]) -> Result<usize, TarError> {
        loop {
            match self.input.read(buffer) {
                Ok(len) => {
                    self.position += len as u64;
                    return Ok(len);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(TarError::Read(error)),
            }
        }
    }
}

/// Reads the current member's contents, holes as zeros.
impl<R: Source> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self
            .pieces
            .front()
            .is_some_and(|piece| piece.len_bytes == 0)
        {
            self.pieces.pop_front();
        }
        let next = self.pieces.front().copied();
        let hole_end = next.map_or(self.file_bytes, |piece| piece.offset);
        if self.file_position < hole_end {
            let len = buffer.len().min(clamp(hole_end - self.file_position));
            buffer[..len].fill(0);
            self.file_position += len as u64;
            return Ok(len);
        }
        let Some(piece) = self.pieces.front_mut() else {
            return Ok(0);
        };
        let len = buffer.len().min(clamp(piece.len_bytes));
        let count = self.input.read(&mut buffer[..len])?;
        if count == 0 && len > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        piece.offset += count as u64;
        piece.len_bytes -= count as u64;
        self.position += count as u64;
        self.file_position += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

fn clamp(len_bytes: u64) -> usize {
    usize::try_from(len_bytes).unwrap_or(usize::MAX)
}
