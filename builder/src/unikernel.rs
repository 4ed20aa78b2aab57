//! Writes `NAME.uk`: the libOS and the manifest in front, the root file system
//! behind. The layout is drawn in `unikiln_unikernel`.
//!
//! The file grows under a temporary name beside its place and is renamed at the
//! end, so that a failure leaves nothing half-written.

mod output;

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use unikiln_abi::{LARGE_PAGE_BYTES, PAGE_BYTES};
use unikiln_unikernel::{
    CHECKSUM_NOTE_BYTES, Checksums, ELF_HEADER_BYTES, Manifest, NOTE_TYPE_MANIFEST, PHDR_BYTES,
    PHDRS_MAX, PT_LOAD, PT_NOTE, PT_ROOTFS, note,
};

use crate::libos::{Libos, LibosError};
use crate::progress::Progress;
use crate::rootfs::erofs::{BLOCK_BYTES, Plan, SUPERBLOCK_OFFSET};
use crate::rootfs::{ErofsError, RootFs};
use output::Output;

/// Permissions of the file.
const FILE_MODE: u32 = 0o644;

const FLAG_EXECUTE: u32 = 1;
const FLAG_WRITE: u32 = 2;
const FLAG_READ: u32 = 4;

/// What keeps a unikernel file from being written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The libOS cannot be linked.
    #[error("cannot link the libOS")]
    Libos(#[from] LibosError),
    /// More libOS segments than the file has room for.
    #[error("the libOS has more than {} segments", PHDRS_MAX - 2)]
    TooManySegments,
    /// The manifest cannot be written as JSON.
    #[error("cannot write the manifest")]
    Manifest(#[source] serde_json::Error),
    /// The root file system cannot be written.
    #[error("cannot write the root file system")]
    Rootfs(#[from] ErofsError),
    /// A rename would replace a device or a directory.
    #[error("{} is no regular file; choose another output", path.display())]
    NotAFile {
        /// The output.
        path: PathBuf,
    },
    /// The temporary file cannot be made.
    #[error("cannot create a file in {}", directory.display())]
    Create {
        /// Where.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildReport {
    /// Length of the unikernel file.
    pub file_bytes: u64,
    /// Bytes before the root file system's metadata: libOS, manifest, headers.
    pub head_bytes: u64,
    /// Inodes of the root file system.
    pub inode_count: usize,
    /// What the file says of itself.
    pub manifest: Manifest,
}

/// The directory that a file will be in.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Writes `rootfs` and `manifest` to `output`.
pub(crate) fn write(
    rootfs: &RootFs,
    manifest: Manifest,
    output: &Path,
    progress: &mut dyn Progress,
) -> Result<BuildReport, WriteError> {
    if output.metadata().is_ok_and(|there| !there.is_file()) {
        return Err(WriteError::NotAFile {
            path: output.to_owned(),
        });
    }
    let mut head = Head::new(&Libos::embedded()?, &manifest)?;
    let plan = Plan::new(rootfs, head.bytes.len() as u64 / BLOCK_BYTES)?;
    let failed = |source| WriteError::Write {
        path: output.to_owned(),
        source,
    };

    let file = tempfile::Builder::new()
        .prefix(".unikiln-")
        .permissions(Permissions::from_mode(FILE_MODE))
        .tempfile_in(parent(output))
        .map_err(|source| WriteError::Create {
            directory: parent(output).to_owned(),
            source,
        })?;
    let mut tail = Output::new(file.as_file(), &head.bytes, head.notes_end);
    plan.write(&mut tail, progress)?;
    let padding = padded_bytes(&plan) - plan.end_bytes();
    tail.write_all(&vec![0; padding as usize]).map_err(failed)?;
    head.finish(&plan, tail.checksum());
    tail.finish(&head.bytes).map_err(failed)?;
    file.persist(output).map_err(|error| failed(error.error))?;
    Ok(BuildReport {
        file_bytes: padded_bytes(&plan),
        head_bytes: head.bytes.len() as u64,
        inode_count: plan.inode_count(),
        manifest,
    })
}

/// Length of the file: whole large pages, which the page cache can then hold as such.
fn padded_bytes(plan: &Plan<'_>) -> u64 {
    plan.end_bytes().next_multiple_of(LARGE_PAGE_BYTES)
}

/// Everything before the metadata, in memory.
struct Head {
    bytes: Vec<u8>,
    notes_end: usize,
    phdr_count: usize,
}

impl Head {
    fn new(libos: &Libos, manifest: &Manifest) -> Result<Self, WriteError> {
        if libos.segments.len() + 2 > PHDRS_MAX {
            return Err(WriteError::TooManySegments);
        }
        let mut head = Self {
            bytes: vec![0; PAGE_BYTES as usize],
            notes_end: 0,
            phdr_count: 0,
        };
        for segment in &libos.segments {
            let offset = head.bytes.len() as u64;
            let write = if segment.flags.writable {
                FLAG_WRITE
            } else {
                0
            };
            let execute = if segment.flags.executable {
                FLAG_EXECUTE
            } else {
                0
            };
            head.bytes.extend_from_slice(segment.bytes);
            head.pad();
            head.program_header(ProgramHeader {
                kind: PT_LOAD,
                flags: FLAG_READ | write | execute,
                offset,
                vaddr: segment.vaddr,
                filesz: segment.bytes.len() as u64,
                memsz: segment.memsz_bytes,
                align: PAGE_BYTES,
            });
        }

        let notes_start = head.bytes.len();
        let manifest = serde_json::to_vec(manifest).map_err(WriteError::Manifest)?;
        head.bytes
            .extend_from_slice(&note(NOTE_TYPE_MANIFEST, &manifest));
        head.bytes.extend_from_slice(&Checksums::default().encode());
        head.notes_end = head.bytes.len();
        head.program_header(ProgramHeader {
            kind: PT_NOTE,
            flags: FLAG_READ,
            offset: notes_start as u64,
            vaddr: 0,
            filesz: (head.notes_end - notes_start) as u64,
            memsz: 0,
            align: 4,
        });
        head.pad();
        head.elf_header(libos.entry);
        Ok(head)
    }

    fn pad(&mut self) {
        self.bytes
            .resize(self.bytes.len().next_multiple_of(PAGE_BYTES as usize), 0);
    }

    fn put(&mut self, offset: usize, field: &[u8]) {
        self.bytes[offset..offset + field.len()].copy_from_slice(field);
    }

    fn program_header(&mut self, header: ProgramHeader) {
        let at = ELF_HEADER_BYTES + self.phdr_count * PHDR_BYTES;
        self.put(at, &header.kind.to_le_bytes());
        self.put(at + 4, &header.flags.to_le_bytes());
        self.put(at + 8, &header.offset.to_le_bytes());
        self.put(at + 16, &header.vaddr.to_le_bytes());
        self.put(at + 24, &header.vaddr.to_le_bytes());
        self.put(at + 32, &header.filesz.to_le_bytes());
        self.put(at + 40, &header.memsz.to_le_bytes());
        self.put(at + 48, &header.align.to_le_bytes());
        self.phdr_count += 1;
    }

    fn elf_header(&mut self, entry: u64) {
        // Magic, 64-bit, little-endian, version 1, System V.
        self.put(0, b"\x7fELF\x02\x01\x01");
        // ET_EXEC, EM_X86_64, version 1.
        self.put(16, &2u16.to_le_bytes());
        self.put(18, &62u16.to_le_bytes());
        self.put(20, &1u32.to_le_bytes());
        self.put(24, &entry.to_le_bytes());
        self.put(32, &(ELF_HEADER_BYTES as u64).to_le_bytes());
        self.put(52, &(ELF_HEADER_BYTES as u16).to_le_bytes());
        self.put(54, &(PHDR_BYTES as u16).to_le_bytes());
        // Section headers have no count, but readelf wants to know their size.
        self.put(58, &64u16.to_le_bytes());
    }

    /// Fills in what is known only when the root file system is written.
    fn finish(&mut self, plan: &Plan<'_>, tail: u32) {
        self.program_header(ProgramHeader {
            kind: PT_ROOTFS,
            flags: FLAG_READ,
            offset: 0,
            vaddr: 0,
            filesz: padded_bytes(plan),
            memsz: 0,
            align: PAGE_BYTES,
        });
        self.put(56, &(self.phdr_count as u16).to_le_bytes());
        self.put(SUPERBLOCK_OFFSET, &plan.superblock().encode());
        let covered = self.notes_end - CHECKSUM_NOTE_BYTES + Checksums::descriptor_offset();
        let head = crc32fast::hash(&self.bytes[..covered]);
        let note = Checksums { head, tail }.encode();
        self.put(self.notes_end - note.len(), &note);
    }
}

struct ProgramHeader {
    kind: u32,
    flags: u32,
    offset: u64,
    vaddr: u64,
    filesz: u64,
    memsz: u64,
    align: u64,
}
