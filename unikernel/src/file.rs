//! Opening a unikernel file. Nothing in it is believed before it is checked:
//! after [`UnikernelFile::open`] every range lies inside the file and every
//! address inside the libOS's region.
//!
//! Checksums are apart, because they read more of the file:
//! [`UnikernelFile::verify_head`] covers headers, libOS and manifest and is
//! cheap enough for every boot (CRC-32 by carry-less multiplication, about
//! 0.1 ms for 1 MiB in the page cache); [`UnikernelFile::verify_tail`] reads
//! the whole root file system and is for `inspect`.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use unikiln_abi::ABI_VERSION;
use unikiln_abi::image::LibosHeader;
use unikiln_abi::layout::LIBOS_IMAGE_BASE;

use crate::elf::{self, PT_LOAD, PT_NOTE, ProgramHeader, Segment};
use crate::libos::{self, LIBOS_HEADER_BYTES};
use crate::note::{Checksums, split_note};
use crate::{
    Manifest, NOTE_TYPE_CHECKSUMS, NOTE_TYPE_MANIFEST, NOTES_MAX_BYTES, OpenError, PT_ROOTFS,
};

/// Bytes that a checksum reads at a time: fits the first-level cache, and is
/// below the size from which malloc maps (and the kernel clears) fresh memory.
const CHUNK_BYTES: usize = 32 << 10;

/// An open unikernel file whose structure has been checked.
#[derive(Debug)]
pub struct UnikernelFile {
    path: PathBuf,
    file: File,
    entry: u64,
    segments: Vec<Segment>,
    libos_header: LibosHeader,
    manifest: Manifest,
    rootfs_bytes: u64,
    notes_end: u64,
    checksums: Checksums,
}

impl UnikernelFile {
    /// Opens and checks the file at `path`; reads its headers and notes only.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let file = File::open(path).map_err(|source| OpenError::Open {
            path: path.to_owned(),
            source,
        })?;
        Reader { path, file: &file }.parse().map(|parts| Self {
            path: path.to_owned(),
            entry: parts.libos_header.entry,
            segments: parts.segments,
            libos_header: parts.libos_header,
            manifest: parts.manifest,
            rootfs_bytes: parts.rootfs_bytes,
            notes_end: parts.notes_end,
            checksums: parts.checksums,
            file,
        })
    }

    /// Where the file was found.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file, to map it.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The libOS entry.
    pub fn entry(&self) -> u64 {
        self.entry
    }

    /// The libOS's segments by ascending address; the first one starts at
    /// [`LIBOS_IMAGE_BASE`] and none share a page.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The libOS header; all its addresses lie in fitting segments.
    pub fn libos_header(&self) -> &LibosHeader {
        &self.libos_header
    }

    /// What to run.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Bytes of the root file system, which are the file's.
    pub fn rootfs_bytes(&self) -> u64 {
        self.rootfs_bytes
    }

    /// Offset of the first byte after the notes: where EROFS's own blocks begin.
    pub fn notes_end(&self) -> u64 {
        self.notes_end
    }

    /// Compares headers, libOS and manifest with their checksum.
    pub fn verify_head(&self) -> Result<(), OpenError> {
        let end = self.notes_end - size_of::<Checksums>() as u64;
        self.compare("headers, libOS or manifest", 0..end, self.checksums.head)
    }

    /// Compares the root file system with its checksum: reads all of it.
    pub fn verify_tail(&self) -> Result<(), OpenError> {
        self.compare(
            "root file system",
            self.notes_end..self.rootfs_bytes,
            self.checksums.tail,
        )
    }

    fn compare(
        &self,
        what: &str,
        range: std::ops::Range<u64>,
        expected: u32,
    ) -> Result<(), OpenError> {
        let reader = Reader {
            path: &self.path,
            file: &self.file,
        };
        let mut hasher = crc32fast::Hasher::new();
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut offset = range.start;
        while offset < range.end {
            let len = (range.end - offset).min(CHUNK_BYTES as u64) as usize;
            reader.read_at(&mut chunk[..len], offset)?;
            hasher.update(&chunk[..len]);
            offset += len as u64;
        }
        let found = hasher.finalize();
        if found != expected {
            return Err(reader.corrupted(format!(
                "{what} have checksum {found:08x} instead of {expected:08x}"
            )));
        }
        Ok(())
    }
}

/// What [`Reader::parse`] found.
struct Parts {
    segments: Vec<Segment>,
    libos_header: LibosHeader,
    manifest: Manifest,
    rootfs_bytes: u64,
    notes_end: u64,
    checksums: Checksums,
}

/// Reads one file and words its errors.
struct Reader<'a> {
    path: &'a Path,
    file: &'a File,
}

impl Reader<'_> {
    fn parse(&self) -> Result<Parts, OpenError> {
        let length = self
            .file
            .metadata()
            .map_err(|source| self.unreadable(source))?
            .len();
        let mut head = vec![0; length.min(1024) as usize];
        self.read_at(&mut head, 0)?;
        let header = elf::parse_header(&head).map_err(|why| self.foreign(why))?;
        let mut headers = Vec::with_capacity(header.phdr_count);
        for index in 0..header.phdr_count {
            let Some(phdr) = elf::parse_program_header(&head, index) else {
                return Err(self.truncated(1024, length));
            };
            headers.push(phdr);
        }

        let rootfs = headers
            .iter()
            .find(|phdr| phdr.kind == PT_ROOTFS)
            .ok_or_else(|| self.foreign("it holds no root file system"))?;
        let rootfs_bytes = rootfs.filesz;
        if rootfs.offset != 0 {
            return Err(self.corrupted("the root file system does not start at 0"));
        }
        if length < rootfs_bytes {
            return Err(self.truncated(rootfs_bytes, length));
        }
        if length > rootfs_bytes {
            return Err(self.corrupted(format!("{} bytes follow its end", length - rootfs_bytes)));
        }
        for phdr in &headers {
            if phdr.end().is_none_or(|end| end > rootfs_bytes) {
                return Err(self.corrupted("a program header points outside the file"));
            }
        }

        let segments = self.segments(&headers)?;
        let libos_header = self.libos_header(&segments)?;
        if header.entry != libos_header.entry {
            return Err(self.corrupted("the ELF entry is not the libOS entry"));
        }
        let mut notes = headers.iter().filter(|phdr| phdr.kind == PT_NOTE);
        let (Some(note), None) = (notes.next(), notes.next()) else {
            return Err(self.corrupted("there is not exactly one note segment"));
        };
        let (manifest, checksums) = self.notes(note)?;
        Ok(Parts {
            segments,
            libos_header,
            manifest,
            rootfs_bytes,
            // Checked with all program headers above.
            notes_end: note.offset + note.filesz,
            checksums,
        })
    }

    fn segments(&self, headers: &[ProgramHeader]) -> Result<Vec<Segment>, OpenError> {
        let mut segments = Vec::new();
        let mut free_from = LIBOS_IMAGE_BASE;
        for phdr in headers.iter().filter(|phdr| phdr.kind == PT_LOAD) {
            let segment = phdr.segment().map_err(|field| {
                self.corrupted(format!("segment {} has a bad {field}", segments.len()))
            })?;
            if segment.vaddr < free_from {
                return Err(self.corrupted("libOS segments overlap or are not in order"));
            }
            free_from =
                (segment.vaddr + segment.memsz_bytes).next_multiple_of(unikiln_abi::PAGE_BYTES);
            segments.push(segment);
        }
        match segments.first() {
            Some(first) if first.vaddr == LIBOS_IMAGE_BASE => Ok(segments),
            _ => Err(self.corrupted("no libOS segment starts at the image base")),
        }
    }

    fn libos_header(&self, segments: &[Segment]) -> Result<LibosHeader, OpenError> {
        let mut bytes = [0; LIBOS_HEADER_BYTES];
        match segments.first() {
            Some(first) if first.filesz_bytes >= LIBOS_HEADER_BYTES as u64 => {
                self.read_at(&mut bytes, first.offset)?;
            }
            _ => return Err(self.corrupted("the libOS is too short for its header")),
        }
        let version = libos::parse_version(&bytes)
            .ok_or_else(|| self.corrupted("the libOS header has a wrong magic number"))?;
        if version != ABI_VERSION {
            return Err(OpenError::WrongAbi {
                path: self.path.to_owned(),
                file_version: version,
                monitor_version: ABI_VERSION,
            });
        }
        let header = libos::parse_header(&bytes)
            .ok_or_else(|| self.corrupted("the libOS is too short for its header"))?;
        libos::check_header(&header, segments)
            .map_err(|field| self.corrupted(format!("the libOS header has bad {field}")))?;
        Ok(header)
    }

    fn notes(&self, phdr: &ProgramHeader) -> Result<(Manifest, Checksums), OpenError> {
        if phdr.filesz > NOTES_MAX_BYTES {
            return Err(self.corrupted(format!("its notes claim {} bytes", phdr.filesz)));
        }
        let mut bytes = vec![0; phdr.filesz as usize];
        self.read_at(&mut bytes, phdr.offset)?;
        let split = || {
            let (first_kind, manifest, rest) = split_note(&bytes)?;
            let (second_kind, checksums, rest) = split_note(rest)?;
            let whole = first_kind == NOTE_TYPE_MANIFEST
                && second_kind == NOTE_TYPE_CHECKSUMS
                && rest.is_empty();
            whole.then_some((manifest, Checksums::decode(checksums)?))
        };
        let (manifest, checksums) =
            split().ok_or_else(|| self.corrupted("its notes are not a manifest and checksums"))?;
        let manifest = serde_json::from_slice(manifest)
            .map_err(|error| self.corrupted(format!("its manifest cannot be read ({error})")))?;
        Ok((manifest, checksums))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), OpenError> {
        match self.file.read_exact_at(buffer, offset) {
            Ok(()) => Ok(()),
            // Someone cut the file after its length was taken.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(self.truncated(
                offset + buffer.len() as u64,
                self.file.metadata().map_or(0, |metadata| metadata.len()),
            )),
            Err(source) => Err(self.unreadable(source)),
        }
    }

    fn unreadable(&self, source: io::Error) -> OpenError {
        OpenError::Read {
            path: self.path.to_owned(),
            source,
        }
    }

    fn foreign(&self, why: &'static str) -> OpenError {
        OpenError::NotUnikernel {
            path: self.path.to_owned(),
            why,
        }
    }

    fn truncated(&self, expected_bytes: u64, found_bytes: u64) -> OpenError {
        OpenError::Truncated {
            path: self.path.to_owned(),
            expected_bytes,
            found_bytes,
        }
    }

    fn corrupted(&self, what: impl Into<String>) -> OpenError {
        OpenError::Corrupted {
            path: self.path.to_owned(),
            what: what.into(),
        }
    }
}
