//! Tiny assembler guests: assembled, linked and packed into a unikernel file by
//! the test itself, so that the monitor is tested without the libOS.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use unikiln_abi::layout::LIBOS_IMAGE_BASE;
use unikiln_unikernel::{
    Checksums, Manifest, NOTE_TYPE_MANIFEST, PT_LOAD, PT_NOTE, PT_ROOTFS, note,
};
use unikiln_vmm::{Config, LogFormat, LogTarget, Outcome};

const PRELUDE: &str = include_str!("prelude.S");
const PAGE: usize = 4096;
const ON_TRAP: &str = "
on_trap:
    add $100, %r11
    movq $0, 0(%r15)
    ARG 1, %r11
    movq $0, 16(%r15)
    movq $0, 24(%r15)
    DO EXIT";
/// The services of ring 0, at addresses of their own.
const GATES: &str = "
gate_flush_page: int $0x81
    ret
gate_load_root: int $0x82
    ret
";
const ON_SYSCALL: &str = "on_syscall: FINISH 99";
/// Text and data lie this far apart (see prelude.S).
const DATA_OFFSET: usize = 0x1_0000;
const BSS_BYTES: u64 = 0x8000;

/// A guest that was built, in a directory of its own.
pub(crate) struct Guest {
    directory: TempDir,
    manifest: Manifest,
    flat: Vec<u8>,
    extra_bytes: usize,
}

/// What a guest left behind.
pub(crate) struct Ran {
    pub(crate) outcome: Outcome,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

/// Assembles a guest; `source` follows the prelude and starts at `main`.
pub(crate) fn guest(source: &str) -> Guest {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let mut text = format!("{PRELUDE}\n{source}\n.text\n");
    for (label, default) in [("on_trap:", ON_TRAP), ("on_syscall:", ON_SYSCALL)] {
        if !source.contains(label) {
            text.push_str(default);
            text.push('\n');
        }
    }
    text.push_str(GATES);
    text.push_str("text_end: nop\n");
    fs::write(path("guest.S"), text).unwrap();
    tool("as", &["--64", "-o"], &[&path("guest.o"), &path("guest.S")]);
    let base = format!("-Ttext={LIBOS_IMAGE_BASE:#x}");
    let data = format!("-Tdata={:#x}", LIBOS_IMAGE_BASE + DATA_OFFSET as u64);
    tool(
        "ld",
        &[
            "-z",
            "noseparate-code",
            "--oformat=binary",
            "-e",
            "main",
            &base,
            &data,
            "-o",
        ],
        &[&path("guest.bin"), &path("guest.o")],
    );
    let flat = fs::read(path("guest.bin")).unwrap();
    Guest {
        directory,
        manifest: Manifest {
            entrypoint: vec!["/guest".into()],
            working_dir: "/".into(),
            ..Manifest::default()
        },
        flat,
        extra_bytes: 0,
    }
}

fn tool(name: &str, args: &[&str], files: &[&Path]) {
    let output = Command::new(name).args(args).args(files).output();
    let output = output.unwrap_or_else(|error| panic!("{name} is needed (binutils): {error}"));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {message}");
}

impl Guest {
    /// Changes the manifest.
    pub(crate) fn manifest(mut self, change: impl FnOnce(&mut Manifest)) -> Self {
        change(&mut self.manifest);
        self
    }

    /// Makes the file longer by this many bytes of zeros, as a root file system would.
    pub(crate) fn with_rootfs_bytes(mut self, bytes: usize) -> Self {
        self.extra_bytes = bytes;
        self
    }

    /// Writes the unikernel file and returns its path.
    pub(crate) fn write(&self) -> PathBuf {
        let path = self.directory.path().join("guest.uk");
        fs::write(&path, self.bytes()).unwrap();
        path
    }

    fn bytes(&self) -> Vec<u8> {
        let text_bytes = DATA_OFFSET.min(self.flat.len());
        let mut data = self.flat.get(DATA_OFFSET..).unwrap_or(&[]).to_vec();
        data.resize(data.len().next_multiple_of(PAGE).max(PAGE), 0);
        let data_at = PAGE + text_bytes.next_multiple_of(PAGE);
        let notes_at = data_at + data.len();
        let manifest = serde_json::to_vec(&self.manifest).unwrap();
        let mut notes = note(NOTE_TYPE_MANIFEST, &manifest);
        let sums_at = notes_at + notes.len();
        notes.extend(Checksums::default().encode());
        let total = (notes_at + notes.len()).next_multiple_of(PAGE) + self.extra_bytes;

        let mut file = Vec::with_capacity(total);
        let entry = u64::from_le_bytes(self.flat[16..24].try_into().unwrap());
        file.extend(elf_header(entry, 4));
        let base = LIBOS_IMAGE_BASE;
        for (kind, flags, offset, vaddr, filesz, memsz) in [
            (PT_LOAD, 5, PAGE, base, text_bytes, text_bytes as u64),
            (
                PT_LOAD,
                6,
                data_at,
                base + DATA_OFFSET as u64,
                data.len(),
                data.len() as u64 + BSS_BYTES,
            ),
            (PT_NOTE, 4, notes_at, 0, notes.len(), 0),
            (PT_ROOTFS, 4, 0, 0, total, 0),
        ] {
            file.extend(program_header(
                kind,
                flags,
                offset as u64,
                vaddr,
                filesz as u64,
                memsz,
            ));
        }
        file.resize(PAGE, 0);
        file.extend(&self.flat[..text_bytes]);
        file.resize(data_at, 0);
        file.extend(&data);
        file.extend(&notes);
        file.resize(total, 0);
        let descriptor_at = sums_at + Checksums::descriptor_offset();
        let sums = Checksums {
            head: crc32fast::hash(&file[..descriptor_at]),
            tail: 0,
        };
        file[sums_at..notes_at + notes.len()].copy_from_slice(&sums.encode());
        file
    }

    /// Runs it with the default configuration.
    pub(crate) fn run(&self) -> Ran {
        self.run_with(|_| {})
    }

    /// Runs it with a changed configuration.
    pub(crate) fn run_with(&self, change: impl FnOnce(&mut Config)) -> Ran {
        let (mut stdout, mut stderr) =
            (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let mut config = Config::new(self.write());
        config.log_format = LogFormat::Raw;
        config.log_target = LogTarget::Files {
            stdout: stdout.try_clone().unwrap(),
            stderr: stderr.try_clone().unwrap(),
        };
        change(&mut config);
        let outcome = unikiln_vmm::run(config).unwrap_or_else(|error| panic!("{error:?}"));
        let stderr = String::from_utf8(read_back(&mut stderr)).unwrap();
        if outcome.exit_code != 0 {
            println!("{:?}\n{stderr}", outcome.reason);
        }
        Ran {
            outcome,
            stdout: read_back(&mut stdout),
            stderr,
        }
    }
}

impl Ran {
    /// Asserts the exit code.
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.outcome.exit_code, code, "{:?}", self.outcome.reason);
        self
    }

    /// Standard output as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// Standard output as little-endian words.
    pub(crate) fn words(&self) -> Vec<u64> {
        self.stdout
            .chunks_exact(8)
            .map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap()))
            .collect()
    }
}

fn read_back(file: &mut File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

fn elf_header(entry: u64, phdr_count: u16) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    bytes.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    for word in [entry, 64, 0] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend([0; 4]);
    for half in [64, 56, phdr_count, 64, 0, 0] {
        bytes.extend(half.to_le_bytes());
    }
    bytes
}

fn program_header(
    kind: u32,
    flags: u32,
    offset: u64,
    vaddr: u64,
    filesz: u64,
    memsz: u64,
) -> Vec<u8> {
    let mut bytes = kind.to_le_bytes().to_vec();
    bytes.extend(flags.to_le_bytes());
    for word in [offset, vaddr, vaddr, filesz, memsz, PAGE as u64] {
        bytes.extend(word.to_le_bytes());
    }
    bytes
}
