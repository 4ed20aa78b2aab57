//! Unikernel files that must be refused, and how cheaply whole ones are checked.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use unikiln_builder::{BuildOptions, ImageRef, NoProgress, build, inspect};
use unikiln_unikernel::{OpenError, UnikernelFile};

use crate::image::{Layout, Tar};

/// A small file, its bytes, and the directory that it is in.
fn small() -> (TempDir, PathBuf, Vec<u8>) {
    let layout = Layout::new(&[Tar::new()
        .file("a", "1")
        .file("b/c", &"2".repeat(9000))
        .gzip()]);
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("a.uk");
    build(
        &layout.reference(),
        &path,
        &BuildOptions::default(),
        &mut NoProgress,
    )
    .expect("build");
    let bytes = fs::read(&path).expect("read");
    (directory, path, bytes)
}

fn open(path: &Path, bytes: &[u8]) -> Result<UnikernelFile, OpenError> {
    fs::write(path, bytes).expect("write");
    UnikernelFile::open(path)
}

#[test]
fn a_whole_file_tells_what_it_holds() {
    let (_directory, path, bytes) = small();
    let file = open(&path, &bytes).expect("open");
    assert_eq!(file.rootfs_bytes(), bytes.len() as u64);
    assert_eq!(file.manifest().cmd, ["/bin/true"]);
    assert_eq!(file.entry(), file.libos_header().entry);
    file.verify_head().expect("head");
    file.verify_tail().expect("tail");
    let inspection = inspect(&path).expect("inspect");
    // The root, a, b and b/c.
    assert_eq!(inspection.inode_count, 4);
    let json: serde_json::Value =
        serde_json::from_str(&serde_json::to_string(&inspection).expect("json")).expect("json");
    assert_eq!(json["manifest"]["workingDir"], "/");
}

#[test]
fn truncated_files_say_how_many_bytes_are_missing() {
    let (_directory, path, bytes) = small();
    for len in [64, 500, 1024, 4096, 5000, bytes.len() / 2, bytes.len() - 1] {
        match open(&path, &bytes[..len]) {
            Err(OpenError::Truncated {
                expected_bytes,
                found_bytes,
                ..
            }) => {
                assert_eq!(found_bytes, len as u64);
                assert!(expected_bytes > found_bytes && expected_bytes <= bytes.len() as u64);
            }
            other => panic!("{len} bytes: {other:?}"),
        }
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(matches!(
        open(&path, &longer),
        Err(OpenError::Corrupted { .. })
    ));
}

#[test]
fn other_files_are_no_unikernels() {
    let (directory, path, _) = small();
    for bytes in [&b""[..], b"\x7fELF", b"#!/bin/sh\n", &[0; 8192]] {
        assert!(matches!(
            open(&path, bytes),
            Err(OpenError::NotUnikernel { .. })
        ));
    }
    let program = std::env::current_exe().expect("this program");
    assert!(matches!(
        UnikernelFile::open(&program),
        Err(OpenError::NotUnikernel { .. })
    ));
    let missing = directory.path().join("missing");
    assert!(matches!(
        UnikernelFile::open(&missing),
        Err(OpenError::Open { .. })
    ));
    assert!(matches!(
        UnikernelFile::open(directory.path()),
        Err(OpenError::Read { .. })
    ));
}

#[test]
fn another_abi_version_is_named() {
    let (_directory, path, mut bytes) = small();
    let first = UnikernelFile::open(&path).expect("open").segments()[0].offset as usize;
    bytes[first + 8] = 99;
    match open(&path, &bytes) {
        Err(OpenError::WrongAbi {
            file_version: 99,
            monitor_version,
            ..
        }) => {
            assert_eq!(monitor_version, unikiln_abi::ABI_VERSION);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_changed_byte_is_found() {
    let (_directory, path, bytes) = small();
    let notes_end = UnikernelFile::open(&path).expect("open").notes_end() as usize;
    // Every byte of headers and notes, and some of everything else.
    let dense = (0..1200).chain(notes_end - 600..notes_end);
    let sparse = (1200..bytes.len()).step_by(bytes.len() / 300);
    for offset in dense.chain(sparse) {
        let mut wrong = bytes.clone();
        wrong[offset] ^= 0x41;
        let Ok(file) = open(&path, &wrong) else {
            continue;
        };
        let found = file.verify_head().is_err() || file.verify_tail().is_err();
        assert!(found, "byte {offset} may change unseen");
    }
}

#[test]
fn checking_the_head_is_cheap_enough_for_every_boot() {
    let (_directory, path, _) = small();
    let file = UnikernelFile::open(&path).expect("open");
    let mut times: Vec<_> = (0..21)
        .map(|_| {
            let start = std::time::Instant::now();
            file.verify_head().expect("head");
            start.elapsed()
        })
        .collect();
    times.sort();
    let bytes = file.notes_end();
    eprintln!(
        "verify_head of {bytes} bytes: median {:?}, best {:?}",
        times[10], times[0]
    );
    // Generous: the machine may be busy, and the build unoptimized.
    assert!(times[0].as_millis() < 50);
}

#[test]
fn a_failed_build_keeps_the_file_that_was_there() {
    let (directory, path, bytes) = small();
    let reference = ImageRef::parse("oci:/nonexistent").expect("reference");
    build(&reference, &path, &BuildOptions::default(), &mut NoProgress).expect_err("refused");
    assert!(fs::read(&path).expect("read") == bytes);
    assert_eq!(fs::read_dir(directory.path()).expect("read").count(), 1);
}
