//! Bad images: one clear error, nothing left behind.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::Unikiln;
use crate::common::image::{convert, tool};
use crate::{can_build, layout, small};

/// A copy of the layout that a test may spoil.
fn spoiled(spoil: impl FnOnce(&Path)) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let copy = dir.path().join("layout");
    tool(
        "cp",
        &[
            "-r",
            layout().to_str().expect("UTF-8"),
            copy.to_str().expect("UTF-8"),
        ],
    );
    spoil(&copy);
    let image = format!("oci:{}:small", copy.display());
    (dir, image)
}

/// The blobs of a layout, largest first: layers before configurations.
fn blobs(layout: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(layout.join("blobs/sha256")).expect("umoci writes sha256");
    let mut blobs: Vec<_> = entries
        .map(|entry| entry.expect("readable").path())
        .collect();
    blobs.sort_by_key(|blob| {
        std::cmp::Reverse(fs::metadata(blob).map_or(0, |metadata| metadata.len()))
    });
    blobs
}

/// A build of `image` fails with one line that has these words, and leaves no file.
fn assert_refused(image: &str, words: &[&str]) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let file = dir.path().join("x.uk");
    let outcome = Unikiln::command(["build", image, "-o", file.to_str().expect("UTF-8")]).output();
    outcome.assert_own_failure(words);
    let left: Vec<_> = fs::read_dir(dir.path()).expect("readable").collect();
    assert!(
        left.is_empty(),
        "left behind: {left:?}\n{}",
        outcome.story()
    );
}

#[test]
fn what_is_no_image_is_refused() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let garbage = dir.path().join("garbage");
    fs::write(&garbage, vec![0x5a; 10_000]).expect("writable");
    let garbage = garbage.to_str().expect("UTF-8");
    assert_refused("oci:/absent", &["/absent"]);
    assert_refused("oci-archive:/absent.tar", &["/absent.tar"]);
    assert_refused(&format!("oci-archive:{garbage}"), &["garbage"]);
    assert_refused(&format!("docker-archive:{garbage}"), &["garbage"]);
    assert_refused(&format!("oci:{}", dir.path().display()), &[]);
    assert_refused("host:/absent", &["/absent"]);
    assert_refused(
        "host:no-such-program-anywhere",
        &["no-such-program-anywhere"],
    );
}

#[test]
fn damaged_layouts_are_refused() {
    if can_build("damaged_layouts_are_refused") {
        let (_dir, image) = spoiled(|layout| {
            let layer = &blobs(layout)[0];
            let mut bytes = fs::read(layer).expect("readable");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            tool("chmod", &["600", layer.to_str().expect("UTF-8")]);
            fs::write(layer, bytes).expect("writable");
        });
        assert_refused(&image, &["digest", "sha256:"]);

        let (_dir, image) =
            spoiled(|layout| fs::remove_file(&blobs(layout)[0]).expect("it is there"));
        assert_refused(&image, &["sha256:"]);

        let (_dir, image) =
            spoiled(|layout| fs::write(layout.join("index.json"), "{").expect("writable"));
        assert_refused(&image, &["index.json"]);

        assert_refused(&format!("oci:{}:absent", layout().display()), &["absent"]);
        assert_refused(
            &format!("oci:{}:foreign", layout().display()),
            &["arm64", "amd64"],
        );

        let archive = convert(&layout(), "small", "oci-archive");
        let dir = tempfile::tempdir().expect("temporary directory");
        let cut = dir.path().join("cut.tar");
        let bytes = fs::read(archive).expect("readable");
        fs::write(&cut, &bytes[..bytes.len() / 2]).expect("writable");
        assert_refused(&format!("oci-archive:{}", cut.display()), &["cut.tar"]);
    }
}

#[test]
fn a_bomb_is_refused() {
    if can_build("a_bomb_is_refused") {
        let dir = tempfile::tempdir().expect("temporary directory");
        let file = dir.path().join("x.uk");
        let words = [
            "build",
            &small(),
            "-o",
            file.to_str().expect("UTF-8"),
            "--max-unpacked",
            "100k",
        ];
        let outcome = Unikiln::command(words).output();
        outcome.assert_own_failure(&["--max-unpacked"]);
        assert!(!file.exists());
    }
}
