//! Unikernel files, as the monitor opens them.

use unikiln_abi::image::{GATES, LIBOS_MAGIC, LibosHeader};
use unikiln_abi::layout::{LIBOS_IMAGE_BASE, TRAP_ENTRIES};
use unikiln_abi::{ABI_VERSION, PAGE_BYTES};
use unikiln_unikernel::{
    CHECKSUM_NOTE_BYTES, Checksums, ELF_HEADER_BYTES, Manifest, NOTE_TYPE_MANIFEST, PHDR_BYTES,
    PT_LOAD, PT_NOTE, PT_ROOTFS, UnikernelFile, note,
};

use super::with_file;
use crate::{Random, Target, mutate};

/// The target.
pub const TARGET: Target = Target {
    name: "unikernel",
    max_bytes: 32 << 10,
    run,
    mend,
    seeds,
};

const PAGE: usize = PAGE_BYTES as usize;
/// Where the seed has its notes.
const NOTES: usize = 3 * PAGE;

fn run(input: &[u8]) {
    with_file(input, |path| {
        let Ok(file) = UnikernelFile::open(&path) else {
            return;
        };
        let len_bytes = input.len() as u64;
        assert_eq!(file.rootfs_bytes(), len_bytes);
        assert!(file.notes_end() <= len_bytes);
        let header = file.libos_header();
        let in_text = |address| {
            let mut segments = file.segments().iter();
            segments.any(|segment| segment.flags.executable && segment.contains(address))
        };
        assert!(in_text(file.entry()) && in_text(header.syscall_entry));
        let entries = header.trap_entries.iter().chain(&header.gates);
        assert!(entries.copied().all(in_text));
        for segment in file.segments() {
            let end = segment.offset.checked_add(segment.filesz_bytes);
            assert!(end.is_some_and(|end| end <= len_bytes));
            assert!(segment.vaddr >= LIBOS_IMAGE_BASE);
        }
        let _ = file.verify_head();
        let _ = file.verify_tail();
    });
}

/// Changes the manifest as JSON or a header's field, and sets lengths right.
fn mend(input: &mut Vec<u8>, random: &mut Random) {
    if input.len() < NOTES + PAGE {
        return;
    }
    match random.below(4) {
        0 => {
            let at = ELF_HEADER_BYTES + random.below(5) * PHDR_BYTES + random.below(7) * 8;
            let edge = random.number() >> random.below(64);
            input[at..at + 8].copy_from_slice(&edge.to_le_bytes());
        }
        1 => {
            let mut manifest = serde_json::to_vec(&manifest()).expect("manifest");
            mutate::json(&mut manifest, random);
            *input = file(&manifest);
        }
        2 => {
            // The length that the root file system's header claims.
            let len_bytes = (input.len() as u64).to_le_bytes();
            let at = ELF_HEADER_BYTES + 3 * PHDR_BYTES + 32;
            input[at..at + 8].copy_from_slice(&len_bytes);
        }
        _ => {}
    }
}

fn manifest() -> Manifest {
    let mut manifest = Manifest {
        entrypoint: vec!["/bin/true".to_owned()],
        working_dir: "/".to_owned(),
        ..Manifest::default()
    };
    manifest.image.digest = "sha256:00".to_owned();
    manifest
}

/// The smallest whole file: header page, libOS text, libOS data, notes.
fn file(manifest: &[u8]) -> Vec<u8> {
    let text = LIBOS_IMAGE_BASE;
    let data = LIBOS_IMAGE_BASE + PAGE_BYTES;
    let mut bytes = vec![0; NOTES];
    let mut notes = note(NOTE_TYPE_MANIFEST, manifest);
    notes.extend_from_slice(&Checksums::default().encode());
    bytes.extend_from_slice(&notes);
    bytes.resize(bytes.len().next_multiple_of(PAGE), 0);
    let len_bytes = bytes.len() as u64;
    let notes_bytes = notes.len() as u64;
    for (index, (kind, flags, offset, vaddr, filesz, memsz)) in [
        (PT_LOAD, 5u32, PAGE_BYTES, text, PAGE_BYTES, PAGE_BYTES),
        (PT_LOAD, 6, 2 * PAGE_BYTES, data, 64, PAGE_BYTES),
        (PT_NOTE, 4, NOTES as u64, 0, notes_bytes, 0),
        (PT_ROOTFS, 4, 0, 0, len_bytes, 0),
    ]
    .into_iter()
    .enumerate()
    {
        let at = ELF_HEADER_BYTES + index * PHDR_BYTES;
        bytes[at..at + 4].copy_from_slice(&kind.to_le_bytes());
        bytes[at + 4..at + 8].copy_from_slice(&flags.to_le_bytes());
        for (field, value) in [offset, vaddr, vaddr, filesz, memsz, PAGE_BYTES]
            .iter()
            .enumerate()
        {
            bytes[at + 8 + field * 8..][..8].copy_from_slice(&value.to_le_bytes());
        }
    }
    let entry = text + 1024;
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    for (at, value) in [(16, 2u16), (18, 62), (54, PHDR_BYTES as u16), (56, 4)] {
        bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }
    bytes[24..32].copy_from_slice(&entry.to_le_bytes());
    bytes[32..40].copy_from_slice(&(ELF_HEADER_BYTES as u64).to_le_bytes());
    let mut words = vec![
        LIBOS_MAGIC,
        u64::from(ABI_VERSION) | (size_of::<LibosHeader>() as u64) << 32,
        entry,
        data + PAGE_BYTES,
        entry,
    ];
    words.extend([entry; TRAP_ENTRIES]);
    words.extend([text, text + PAGE_BYTES]);
    words.extend([entry; GATES]);
    for (index, word) in words.iter().enumerate() {
        bytes[PAGE + index * 8..][..8].copy_from_slice(&word.to_le_bytes());
    }
    let covered = NOTES + notes.len() - CHECKSUM_NOTE_BYTES + Checksums::descriptor_offset();
    let checksums = Checksums {
        head: crc32fast::hash(&bytes[..covered]),
        tail: crc32fast::hash(&bytes[NOTES + notes.len()..]),
    };
    let at = NOTES + notes.len() - CHECKSUM_NOTE_BYTES;
    bytes[at..at + CHECKSUM_NOTE_BYTES].copy_from_slice(&checksums.encode());
    bytes
}

fn seeds() -> Vec<Vec<u8>> {
    let seed = file(&serde_json::to_vec(&manifest()).expect("manifest"));
    with_file(&seed, |path| {
        let file = UnikernelFile::open(&path).expect("a whole file");
        file.verify_head().expect("head");
        file.verify_tail().expect("tail");
    });
    vec![seed]
}
