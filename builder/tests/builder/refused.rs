//! Images that must be refused: one clear message, nothing left behind.

use std::fs;

use serde_json::json;
use tar::EntryType;
use unikiln_builder::{BuildOptions, ImageRef, Limits, NoProgress, build};

use crate::image::{GZIP, INDEX, Layer, Layout, MANIFEST, Tar, digest, message};

fn refusal(layers: &[Layer]) -> String {
    Layout::new(layers).refusal(&BuildOptions::default())
}

fn assert_says(message: &str, wanted: &[&str]) {
    for words in wanted {
        assert!(message.contains(words), "{words:?} is not in {message:?}");
    }
}

#[test]
fn paths_that_leave_the_root() {
    for name in ["../evil", "a/../../evil", "..", "a/.."] {
        let said = refusal(&[Tar::new().file(name, "x").gzip()]);
        assert_says(&said, &[name, "path traversal"]);
    }
    let said = refusal(&[Tar::new()
        .file("a", "x")
        .hard_link("b", "../../etc/passwd")
        .gzip()]);
    assert_says(&said, &["../../etc/passwd", "path traversal"]);
}

#[test]
fn links_that_lead_nowhere() {
    assert_says(
        &refusal(&[Tar::new().hard_link("b", "/missing").gzip()]),
        &["/missing"],
    );
    let to_directory = Tar::new().directory("d").hard_link("b", "d").gzip();
    assert_says(&refusal(&[to_directory]), &["hard link", "\"d\""]);
    let circle = Tar::new()
        .symlink("a", "b")
        .symlink("b", "a")
        .file("a/x", "")
        .gzip();
    assert_says(&refusal(&[circle]), &["too many symbolic links"]);
    let long = "n".repeat(300);
    let overlong = Tar::new()
        .pax(&[("linkpath", long.as_bytes())])
        .symlink("a", "x")
        .file("a/x", "");
    assert_says(&refusal(&[overlong.gzip()]), &["overlong"]);
    assert_says(
        &refusal(&[Tar::new().symlink("a", "").gzip()]),
        &["empty or overlong target"],
    );
    assert_says(
        &refusal(&[Tar::new().file(".wh.", "").gzip()]),
        &["names nothing"],
    );
}

#[test]
fn trees_deeper_than_any_program_needs() {
    let mut tar = Tar::new();
    for level in 0..40 {
        // Each link leads to the end of the chain so far.
        let here = if level == 0 {
            String::new()
        } else {
            format!("link{level}/")
        };
        let deep = "d/".repeat(40);
        tar = tar.file(&format!("{here}{deep}x"), "");
        let target = format!("/{}", here + &deep);
        tar = tar.symlink(
            &format!("link{}", level + 1),
            &target[..target.len().min(99)],
        );
    }
    assert_says(&refusal(&[tar.gzip()]), &["path"]);
}

#[test]
fn wrong_digests_and_sizes() {
    let layout = Layout::new(&[Tar::new().file("a", "1").gzip()]);
    let layer = layout.manifest["layers"][0]["digest"]
        .as_str()
        .expect("digest")
        .to_owned();
    let path = layout.blob_path(&layer);
    let right = fs::read(&path).expect("read");

    let mut wrong = right.clone();
    *wrong.last_mut().expect("byte") ^= 1;
    fs::write(&path, &wrong).expect("write");
    assert_says(
        &layout.refusal(&BuildOptions::default()),
        &[&layer, "wrong content"],
    );

    // Unpacks all the same: only the digest tells.
    let other = Tar::new().file("a", "2").gzip().blob;
    fs::write(&path, &other).expect("write");
    let said = layout.refusal(&BuildOptions::default());
    assert!(
        said.contains("wrong content") || said.contains("bytes instead of"),
        "{said}"
    );

    fs::write(&path, &right[..right.len() - 1]).expect("write");
    assert_says(
        &layout.refusal(&BuildOptions::default()),
        &[&layer, "bytes instead of"],
    );

    fs::remove_file(&path).expect("remove");
    assert_says(
        &layout.refusal(&BuildOptions::default()),
        &[&layer, "missing"],
    );
}

#[test]
fn a_layer_that_is_not_what_the_configuration_says() {
    let mut layer = Tar::new().file("a", "1").gzip();
    layer.diff_id = digest(b"something else");
    assert_says(&refusal(&[layer]), &["unpacks to", "instead of"]);

    let mut layout = Layout::new(&[Tar::new().file("a", "1").gzip()]);
    layout.config["rootfs"]["diff_ids"] = json!([]);
    layout.write();
    assert_says(
        &layout.refusal(&BuildOptions::default()),
        &["1 layers", "has 0"],
    );
}

#[test]
fn damaged_documents_and_manifests() {
    let layout = Layout::new(&[Tar::new().file("a", "1").gzip()]);
    fs::write(layout.path().join("index.json"), "{").expect("write");
    assert_says(
        &layout.refusal(&BuildOptions::default()),
        &["index.json is damaged"],
    );
    fs::remove_file(layout.path().join("index.json")).expect("remove");
    assert_says(
        &layout.refusal(&BuildOptions::default()),
        &["no index.json"],
    );
    layout.write_index(&[]);
    assert_says(
        &layout.refusal(&BuildOptions::default()),
        &["no image with tag"],
    );
    let descriptor = layout.blob(b"[]", MANIFEST);
    layout.write_index(&[descriptor]);
    assert_says(&layout.refusal(&BuildOptions::default()), &["is damaged"]);
}

#[test]
fn unknown_media_types() {
    let mut layer = Tar::new().file("a", "1").gzip();
    layer.media_type = "application/vnd.example.layer".to_owned();
    assert_says(
        &refusal(&[layer]),
        &["application/vnd.example.layer", "not a layer"],
    );

    let mut layout = Layout::new(&[Tar::new().gzip()]);
    layout.manifest["artifactType"] = json!("application/example");
    layout.write();
    let config = layout.blob(b"{}", "application/vnd.oci.empty.v1+json");
    layout.manifest["config"] = config;
    let bytes = serde_json::to_vec(&layout.manifest).expect("manifest");
    let descriptor = layout.blob(&bytes, MANIFEST);
    layout.write_index(&[descriptor]);
    assert_says(&layout.refusal(&BuildOptions::default()), &["artifact"]);

    let descriptor = layout.blob(
        b"{}",
        "application/vnd.docker.distribution.manifest.v1+json",
    );
    layout.write_index(&[descriptor]);
    assert_says(
        &layout.refusal(&BuildOptions::default()),
        &["manifest.v1+json"],
    );
}

#[test]
fn other_architectures() {
    let mut layout = Layout::new(&[Tar::new().file("a", "1").gzip()]);
    layout.config["architecture"] = json!("arm64");
    layout.write();
    assert_says(
        &layout.refusal(&BuildOptions::default()),
        &["linux/arm64", "linux/amd64"],
    );

    let index = json!({"schemaVersion": 2, "manifests": [
        {"mediaType": MANIFEST, "digest": digest(b"1"), "size": 1,
         "platform": {"os": "linux", "architecture": "s390x"}},
        {"mediaType": MANIFEST, "digest": digest(b"2"), "size": 1,
         "platform": {"os": "windows", "architecture": "amd64"}},
    ]});
    let descriptor = layout.blob(index.to_string().as_bytes(), INDEX);
    layout.write_index(&[descriptor]);
    let said = layout.refusal(&BuildOptions::default());
    assert_says(
        &said,
        &["linux/s390x, windows/amd64", "not for linux/amd64"],
    );
}

#[test]
fn a_nested_index_leads_to_this_platform() {
    let layout = Layout::new(&[Tar::new().file("a", "1").gzip()]);
    let manifest = serde_json::to_vec(&layout.manifest).expect("manifest");
    let mut descriptor = layout.blob(&manifest, MANIFEST);
    descriptor["platform"] = json!({"os": "linux", "architecture": "amd64"});
    let other = json!({"mediaType": MANIFEST, "digest": digest(b"1"), "size": 1,
        "platform": {"os": "unknown", "architecture": "unknown"}});
    let mut nested = json!({"schemaVersion": 2, "manifests": [other, descriptor]});
    for _ in 0..2 {
        let descriptor = layout.blob(nested.to_string().as_bytes(), INDEX);
        nested = json!({"schemaVersion": 2, "manifests": [descriptor.clone()]});
        layout.write_index(&[descriptor]);
    }
    let report = layout.build().expect("build");
    assert_eq!(report.manifest.image.digest, digest(&manifest));
    for _ in 0..8 {
        let descriptor = layout.blob(nested.to_string().as_bytes(), INDEX);
        nested = json!({"schemaVersion": 2, "manifests": [descriptor.clone()]});
        layout.write_index(&[descriptor]);
    }
    fs::remove_file(layout.output()).expect("remove");
    assert_says(&layout.refusal(&BuildOptions::default()), &["nested"]);
}

#[test]
fn decompression_bombs() {
    let zeros = "\0".repeat(8 << 20);
    let limits = Limits {
        unpacked_bytes: 4 << 20,
        entries: 100,
        ..Limits::default()
    };
    let options = BuildOptions {
        limits,
        ..BuildOptions::default()
    };
    let bomb = Layout::new(&[Tar::new().file("zeros", &zeros).gzip()]);
    assert_says(&bomb.refusal(&options), &["zeros", "--max-unpacked"]);

    // After the end of the archive, where no member counts it.
    let mut tail = Tar::new().file("a", "1").bytes();
    tail.extend_from_slice(zeros.as_bytes());
    assert_says(
        &Layout::new(&[Layer::gzip(tail)]).refusal(&options),
        &["--max-unpacked"],
    );

    // Two layers share one limit.
    let half = || Tar::new().file("zeros", &zeros[..3 << 20]).gzip();
    assert_says(
        &Layout::new(&[half(), half()]).refusal(&options),
        &["--max-unpacked"],
    );

    let mut many = Tar::new();
    for number in 0..200 {
        many = many.file(&format!("f{number}"), "");
    }
    assert_says(
        &Layout::new(&[many.gzip()]).refusal(&options),
        &["more than 100 entries"],
    );

    let name = Tar::new()
        .member(EntryType::GNULongName, "x", "", &[b'a'; 2 << 20])
        .file("x", "");
    assert_says(&refusal(&[name.gzip()]), &["overlong extension record"]);
}

#[test]
fn damaged_tar_streams() {
    let right = Tar::new()
        .file("a", &"text ".repeat(1000))
        .file("b", "2")
        .bytes();
    // Inside a header and inside contents; blobs and digests agree with it.
    for end in [200, 512 + 700, 512 + 5120 + 100] {
        let said = refusal(&[Layer::gzip(right[..end].to_vec())]);
        assert!(
            said.contains("ends inside") || said.contains("cannot unpack"),
            "{said}"
        );
    }
    let mut wrong = right.clone();
    wrong[3] ^= 0xff;
    assert_says(
        &refusal(&[Layer::gzip(wrong)]),
        &["damaged header at byte 0"],
    );
    assert_says(
        &refusal(&[Layer::gzip(vec![0x55; 4096])]),
        &["damaged header"],
    );

    let blob = Layer::gzip(right.clone()).blob;
    let cut = Layer::new(blob[..blob.len() / 2].to_vec(), GZIP, &right);
    assert_says(&refusal(&[cut]), &["cannot be decompressed"]);
    let not_gzip = Layer::new(right.clone(), GZIP, &right);
    assert_says(&refusal(&[not_gzip]), &["cannot be decompressed"]);

    let unknown = Tar::new().member(EntryType::new(b'Z'), "z", "", b"").gzip();
    assert_says(&refusal(&[unknown]), &["unknown type 0x5a"]);
    let bad_pax = Tar::new()
        .member(EntryType::XHeader, "x", "", b"99 path=a\n")
        .file("a", "");
    assert_says(&refusal(&[bad_pax.gzip()]), &["extension record"]);
    let sparse = Tar::new()
        .pax(&[("GNU.sparse.major", b"1")])
        .file("a", "")
        .gzip();
    assert_says(&refusal(&[sparse]), &["sparse"]);
}

#[test]
fn users_that_the_image_does_not_have() {
    let mut layout = Layout::new(&[Tar::new()
        .file("etc/passwd", "web:x:7:8::/:/bin/sh\n")
        .gzip()]);
    layout.config["config"]["User"] = json!("web");
    layout.write();
    let user = layout.build().expect("build").manifest.user;
    assert_eq!((user.uid, user.gid), (7, 8));
    fs::remove_file(layout.output()).expect("remove");
    layout.config["config"]["User"] = json!("nginx");
    layout.write();
    assert_says(
        &layout.refusal(&BuildOptions::default()),
        &["\"nginx\"", "/etc/passwd"],
    );
}

#[test]
fn archives_that_are_none() {
    let directory = tempfile::tempdir().expect("directory");
    let file = directory.path().join("a.tar");
    let output = directory.path().join("out.uk");
    let try_build = |text: String| {
        let reference = ImageRef::parse(&text).expect("reference");
        let error = build(
            &reference,
            &output,
            &BuildOptions::default(),
            &mut NoProgress,
        )
        .expect_err("must be refused");
        assert!(!output.exists());
        message(&error)
    };
    let archive = |kind: &str| try_build(format!("{kind}:{}", file.display()));

    assert_says(&archive("oci-archive"), &["cannot open"]);
    for (bytes, wanted) in [
        (b"not a tar".to_vec(), "not a whole tar archive"),
        (vec![0x55; 2000], "not a whole tar archive"),
        (vec![0; 2048], "there is no"),
        (Tar::new().file("other", "x").bytes(), "there is no"),
        (vec![0x1f, 0x8b, 8, 0], "not a whole tar archive"),
    ] {
        fs::write(&file, bytes).expect("write");
        for kind in ["oci-archive", "docker-archive"] {
            assert_says(&archive(kind), &[wanted]);
        }
    }
    let whole = Tar::new()
        .file("manifest.json", &"[] ".repeat(2000))
        .bytes();
    fs::write(&file, &whole[..3000]).expect("write");
    assert_says(
        &archive("docker-archive"),
        &["not a whole tar archive", "cut off"],
    );
    let said = try_build(format!("oci:{}", file.display()));
    assert_says(&said, &["cannot open"]);

    let manifest = r#"[{"Config":"c.json","RepoTags":["a:1"],"Layers":["l.tar"]}]"#;
    fs::write(&file, Tar::new().file("manifest.json", manifest).bytes()).expect("write");
    assert_says(&archive("docker-archive"), &["c.json is missing"]);
    let said = try_build(format!("docker-archive:{}:b:1", file.display()));
    assert_says(&said, &["\"b:1\"", "there are: a:1"]);
}
