//! Manifests, configurations, digests and names of blobs.

use std::fs;

use serde_json::{Value, json};
use tar::EntryType;
use unikiln_builder::BuildOptions;

use super::{assert_says, docker_refusal};
use crate::image::{INDEX, Layout, MANIFEST, Tar, digest};
use crate::tools::tool;

/// Layers chosen by names that an attacker can guess: contents count, not names.
#[test]
fn cve_2014_8178_contents_under_another_name() {
    let right = Tar::new().file("a", "right").gzip();
    let wrong = Tar::new().file("a", "wrong").bytes();
    let config = json!({
        "architecture": "amd64", "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [right.diff_id]},
    })
    .to_string();
    let name = digest(config.as_bytes()).replace("sha256:", "");
    let manifest = json!([{
        "Config": format!("{name}.json"), "RepoTags": null, "Layers": ["layer/layer.tar"],
    }]);
    let members = Tar::new().file(&format!("{name}.json"), &config).member(
        EntryType::Regular,
        "layer/layer.tar",
        "",
        &wrong,
    );
    let said = docker_refusal(&manifest, members);
    assert_says(&said, &["layer/layer.tar", &right.diff_id, "instead of"]);

    // The configuration is held to its own name.
    let members = Tar::new().file(&format!("{name}.json"), &config.replace("linux", "linux "));
    assert_says(&docker_refusal(&manifest, members), &["wrong content"]);
}

/// Ids that are paths: names in an archive are keys and lead nowhere else.
#[test]
fn cve_2014_9358_ids_that_are_paths() {
    let outside = tempfile::tempdir().expect("directory");
    let config = outside.path().join("config.json");
    let json = json!({"architecture": "amd64", "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": []}});
    fs::write(&config, json.to_string()).expect("write");
    let config = config.display().to_string();
    for name in [
        config.clone(),
        format!("../../../../../../../..{config}"),
        "../../../etc/passwd".to_owned(),
        "/etc/passwd".to_owned(),
        "link".to_owned(),
        "hard".to_owned(),
        "circle".to_owned(),
        "..".to_owned(),
        String::new(),
    ] {
        let manifest = json!([{"Config": name, "RepoTags": ["a:1"], "Layers": []}]);
        let members = Tar::new()
            .symlink("link", "/etc/passwd")
            .hard_link("hard", "../../../etc/passwd")
            .symlink("circle", "circle");
        assert_says(&docker_refusal(&manifest, members), &["is missing"]);
    }
}

/// A document that is a manifest to one program and an index to another.
#[test]
fn cve_2021_41190_manifest_or_index() {
    let mut layout = Layout::new(&[Tar::new().file("a", "1").gzip()]);
    let right = layout.manifest.clone();
    let refuse = |layout: &Layout, document: &Value, media_type: &str, wanted: &[&str]| {
        let descriptor = layout.blob(document.to_string().as_bytes(), media_type);
        layout.write_index(std::slice::from_ref(&descriptor));
        let name = descriptor["digest"].as_str().expect("digest").to_owned();
        let said = layout.refusal(&BuildOptions::default());
        assert_says(&said, &[wanted, &[name.as_str()]].concat());
    };
    for media_type in [Value::Null, json!(MANIFEST)] {
        let mut both = right.clone();
        both["mediaType"] = media_type;
        both["manifests"] = json!([]);
        refuse(
            &layout,
            &both,
            MANIFEST,
            &["no image manifest", "\"manifests\""],
        );
    }
    for (field, value) in [
        ("layers", json!([])),
        ("config", json!({})),
        ("fsLayers", json!([])),
    ] {
        let mut both = json!({"schemaVersion": 2, "manifests": []});
        both[field] = value;
        refuse(&layout, &both, INDEX, &["no image index", field]);
    }
    refuse(&layout, &right, INDEX, &["descriptor says", "index.v1"]);
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []});
    refuse(
        &layout,
        &index,
        MANIFEST,
        &["descriptor says", "manifest.v1"],
    );
    // The same key twice: which one counts depends on the reader.
    let twice = right
        .to_string()
        .replacen("\"layers\":", "\"layers\":[],\"layers\":", 1);
    let descriptor = layout.blob(twice.as_bytes(), MANIFEST);
    layout.write_index(&[descriptor]);
    assert_says(
        &layout.refusal(&BuildOptions::default()),
        &["duplicate field"],
    );
    layout.write();
    layout.build().expect("the right one");
}

/// Digests of other types, and such that are paths.
#[test]
fn cve_2024_3727_digests_that_are_none() {
    let mut layout = Layout::new(&[Tar::new().file("a", "1").gzip()]);
    let right = layout.manifest["layers"][0]["digest"]
        .as_str()
        .expect("digest")
        .to_owned();
    let long = "a".repeat(64);
    for wrong in [
        "".to_owned(),
        "sha256".to_owned(),
        "sha256:".to_owned(),
        right.to_uppercase(),
        right.replace("sha256", "sha1"),
        right.replace("sha256", "md5"),
        right[..70].to_owned(),
        format!("{right}0"),
        format!("sha256:{}", "../".repeat(21)),
        "sha256:/etc/passwd".to_owned(),
        format!("../sha256:{long}"),
        format!("sha256:{}", long.replacen('a', "\u{e9}", 1)),
    ] {
        layout.manifest["layers"][0]["digest"] = json!(wrong);
        layout.write();
        let said = layout.refusal(&BuildOptions::default());
        assert!(
            said.contains("none that can be checked") || said.contains("is damaged"),
            "{wrong:?}: {said}"
        );
    }
    layout.manifest["layers"][0]["digest"] = json!(right);
    layout.config["rootfs"]["diff_ids"][0] = json!("sha256:../../../etc");
    layout.write();
    let said = layout.refusal(&BuildOptions::default());
    assert_says(&said, &["../../../etc", "none that can be checked"]);
}

/// Files of a layout that would hold the reader up or never end.
#[test]
fn layouts_of_pipes_and_devices() {
    let layout = Layout::new(&[Tar::new().file("a", "1").gzip()]);
    let layer = layout.manifest["layers"][0]["digest"]
        .as_str()
        .expect("digest");
    let blob = layout.blob_path(layer);
    fs::remove_file(&blob).expect("remove");
    let refused = || layout.refusal(&BuildOptions::default());
    if tool("mkfifo", &[blob.to_str().expect("utf-8")]) {
        assert_says(&refused(), &["no regular file"]);
        fs::remove_file(&blob).expect("remove");
    }
    std::os::unix::fs::symlink("/dev/zero", &blob).expect("link");
    assert_says(&refused(), &["no regular file"]);
}
