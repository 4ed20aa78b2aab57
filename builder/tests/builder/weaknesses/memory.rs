//! What would fill memory or disk.

use std::fs;
use std::io::Write;

use serde_json::json;
use tar::EntryType;
use unikiln_builder::BuildOptions;

use super::{assert_says, docker_refusal, limited, refusal};
use crate::image::{GZIP, Layer, Layout, MANIFEST, Tar, digest};

/// Endless padding behind the end of a layer's archive.
#[test]
fn cve_2017_14992_endless_padding() {
    let mut tar = Tar::new().file("first", "1").bytes();
    let end = tar.len();
    tar.resize(end + (24 << 20), 0);
    let options = limited(8 << 20, 1000, 1 << 20);
    for layer in [Layer::gzip(tar.clone()), Layer::zstd(tar.clone())] {
        assert!(layer.blob.len() < 256 << 10);
        let name = digest(&layer.blob);
        let said = Layout::new(&[layer]).refusal(&options);
        assert_says(&said, &[&name, "\"first\"", "8388608", "--max-unpacked"]);
    }
    // Many members of nothing at all behind it: only the blob's own bytes are read.
    let mut blob = Layer::gzip(tar[..end].to_vec()).blob;
    let nothing = Layer::gzip(Vec::new()).blob;
    for _ in 0..100_000 {
        blob.extend_from_slice(&nothing);
    }
    let layer = Layer::new(blob, GZIP, &tar[..end]);
    Layout::new(&[layer]).build_with(&options).expect("small");
}

/// Documents and records of an archive that would be read into memory whole.
#[test]
fn cve_2023_25153_large_documents() {
    let layout = Layout::new(&[Tar::new().file("a", "1").gzip()]);
    let big = " ".repeat(9 << 20);
    fs::write(layout.path().join("index.json"), &big).expect("write");
    let said = layout.refusal(&BuildOptions::default());
    assert_says(&said, &["index.json", "too many for a JSON document"]);
    let descriptor = layout.blob(big.as_bytes(), MANIFEST);
    let name = descriptor["digest"].as_str().expect("digest").to_owned();
    layout.write_index(&[descriptor]);
    let said = layout.refusal(&BuildOptions::default());
    assert_says(&said, &[&name, "too many for a JSON document"]);

    let members = Tar::new().file("config.json", &big);
    let manifest = json!([{"Config": "config.json", "RepoTags": null, "Layers": []}]);
    assert_says(
        &docker_refusal(&manifest, members),
        &["config.json", "too many"],
    );
    // A name of 9 MiB, and more members than any image has.
    let members = Tar::new().member(EntryType::GNULongName, "x", "", big.as_bytes());
    assert_says(
        &docker_refusal(&manifest, members),
        &["not a whole tar", "overlong"],
    );
    let mut many = Tar::new();
    for _ in 0..66_000 {
        many = many.directory("d");
    }
    assert_says(
        &docker_refusal(&manifest, many),
        &["more than 65536 members"],
    );
}

/// A group file without end, which containerd read into memory.
#[test]
fn cve_2026_47262_groups_without_end() {
    let passwd = "web:x:7:8::/:/bin/sh\n";
    let mut group = String::new();
    for number in 0..400_000 {
        group += &format!("g{number}:x:{number}:web\n");
    }
    assert!(group.len() > 6 << 20);
    let layer = Tar::new()
        .file("etc/passwd", passwd)
        .file("etc/group", &group)
        .gzip();
    let mut layout = Layout::new(&[layer]);
    layout.config["config"]["User"] = json!("web");
    layout.write();
    let said = layout.refusal(&BuildOptions::default());
    assert_says(&said, &["/etc/group has", "more than 4194304"]);
    let few: String = group
        .lines()
        .take(100)
        .map(|line| format!("{line}\n"))
        .collect();
    let layer = Tar::new()
        .file("etc/passwd", passwd)
        .file("etc/group", &few)
        .gzip();
    let mut layout = Layout::new(&[layer]);
    layout.config["config"]["User"] = json!("web");
    layout.write();
    let said = layout.refusal(&BuildOptions::default());
    assert_says(&said, &["\"web\" is in more than 64 groups"]);
    // A line of many members.
    let members = vec!["web"; 100_000].join(",");
    let layer = Tar::new()
        .file("etc/passwd", passwd)
        .file("etc/group", &format!("all:x:9:{members}\n"))
        .gzip();
    let mut layout = Layout::new(&[layer]);
    layout.config["config"]["User"] = json!("web");
    layout.write();
    let user = layout.build().expect("build").manifest.user;
    assert_eq!(user.groups, [8, 9]);
}

/// Memory by way of what is kept in it: names, attributes, and directories that no
/// entry makes.
#[test]
fn names_and_attributes_without_end() {
    let value = vec![b'v'; 60_000];
    let mut tar = Tar::new();
    for number in 0..100 {
        let records: [(&str, &[u8]); 1] = [("SCHILY.xattr.user.a", &value)];
        tar = tar.pax(&records).file(&format!("f{number}"), "");
    }
    let layer = tar.gzip();
    let name = digest(&layer.blob);
    let said = Layout::new(&[layer]).refusal(&limited(64 << 20, 1000, 1 << 20));
    assert_says(&said, &[&name, "\"f17\"", "1048576"]);

    // Those of one file, which an inode has to hold.
    let names: Vec<_> = (0..6)
        .map(|number| format!("SCHILY.xattr.user.{number}"))
        .collect();
    let records: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), value.as_slice()))
        .collect();
    let layer = Tar::new().pax(&records).file("much", "").gzip();
    let name = digest(&layer.blob);
    let said = refusal(&[layer]);
    assert_says(&said, &[&name, "\"much\"", "too many for EROFS"]);

    let mut tar = Tar::new();
    for number in 0..100 {
        tar = tar.file(&format!("{number}/{}x", "d/".repeat(40)), "");
    }
    let said = Layout::new(&[tar.gzip()]).refusal(&limited(64 << 20, 1000, 1 << 20));
    assert_says(&said, &["\"23/d/d/", "more than 1000 entries"]);
}

/// A window of a decompressor that is larger than any layer needs.
#[test]
fn windows_of_zstd_have_a_limit() {
    let tar = Tar::new().file("a", "1").bytes();
    let compress = |window_log: u32| {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("zstd");
        encoder.include_contentsize(false).expect("option");
        encoder.window_log(window_log).expect("window");
        encoder.write_all(&tar).expect("write");
        Layer::new(encoder.finish().expect("finish"), crate::image::ZSTD, &tar)
    };
    Layout::new(&[compress(27)])
        .build()
        .expect("128 MiB is usual");
    assert_says(&refusal(&[compress(30)]), &["cannot be decompressed"]);
}
