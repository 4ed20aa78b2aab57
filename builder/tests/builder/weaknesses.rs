//! Published weaknesses of programs that read images, by their ids, and others of
//! their kind: nothing outside the output changes, memory stays bounded, and the
//! error names the layer and the entry.

mod documents;
mod layers;
mod memory;

use std::fs;

use serde_json::Value;
use unikiln_builder::{BuildOptions, ImageRef, Limits, NoProgress, build};

use crate::image::{Layer, Layout, Tar, message};

fn assert_says(said: &str, wanted: &[&str]) {
    for words in wanted {
        assert!(said.contains(words), "{words:?} is not in {said:?}");
    }
}

fn refusal(layers: &[Layer]) -> String {
    Layout::new(layers).refusal(&BuildOptions::default())
}

fn limited(unpacked_bytes: u64, entries: u64, metadata_bytes: u64) -> BuildOptions {
    let limits = Limits {
        unpacked_bytes,
        entries,
        metadata_bytes,
    };
    BuildOptions {
        limits,
        ..BuildOptions::default()
    }
}

/// A build of a docker archive with this `manifest.json`; what is said.
fn docker_refusal(manifest: &Value, members: Tar) -> String {
    let directory = tempfile::tempdir().expect("directory");
    let file = directory.path().join("a.tar");
    let tar = members.file("manifest.json", &manifest.to_string());
    fs::write(&file, tar.bytes()).expect("write");
    let output = directory.path().join("out.uk");
    let reference = ImageRef::DockerArchive { file, tag: None };
    let error = build(
        &reference,
        &output,
        &BuildOptions::default(),
        &mut NoProgress,
    );
    let error = error.expect_err("must be refused");
    assert_eq!(
        fs::read_dir(directory.path()).expect("directory").count(),
        1
    );
    message(&error)
}
