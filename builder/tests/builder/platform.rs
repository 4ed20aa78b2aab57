//! Indexes with images for several machines, and images of many layers.

use serde_json::{Value, json};
use unikiln_builder::{BuildOptions, Platform};

use crate::image::{INDEX, Layer, Layout, MANIFEST, Tar, digest};
use crate::view::View;

/// A layout whose index has one image for each of these.
fn layout(platforms: &[(&str, &str, Option<&str>)]) -> (Layout, Vec<String>) {
    let mut layout = Layout::new(&[Tar::new().file("a", "1").gzip()]);
    let mut descriptors = Vec::new();
    for (number, (os, architecture, variant)) in platforms.iter().enumerate() {
        layout.config["os"] = json!(os);
        layout.config["architecture"] = json!(architecture);
        layout.config["variant"] = json!(variant);
        layout.config["author"] = json!(number.to_string());
        layout.write();
        let manifest = serde_json::to_vec(&layout.manifest).expect("manifest");
        let mut descriptor = layout.blob(&manifest, MANIFEST);
        descriptor["platform"] = json!({"os": os, "architecture": architecture});
        if let Some(variant) = variant {
            descriptor["platform"]["variant"] = json!(variant);
        }
        descriptors.push(descriptor);
    }
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": descriptors});
    let descriptor = layout.blob(index.to_string().as_bytes(), INDEX);
    layout.write_index(&[descriptor]);
    let digests = descriptors.iter().map(|entry| text(&entry["digest"]));
    let digests = digests.collect();
    (layout, digests)
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

fn options(platform: &str) -> BuildOptions {
    BuildOptions {
        platform: platform.parse().expect(platform),
        ..BuildOptions::default()
    }
}

#[test]
fn the_highest_level_that_fits_is_taken() {
    let (layout, digests) = layout(&[
        ("linux", "arm64", Some("v8")),
        ("linux", "amd64", Some("v3")),
        ("linux", "amd64", None),
        ("linux", "amd64", Some("v2")),
        ("windows", "amd64", None),
        ("linux", "amd64", Some("v1")),
    ]);
    for (platform, taken) in [
        ("linux/amd64", 2),
        ("linux/amd64/v1", 2),
        ("linux/amd64/v2", 3),
        ("linux/amd64/v3", 1),
        ("linux/amd64/v4", 1),
    ] {
        let report = layout.build_with(&options(platform)).expect(platform);
        let image = report.manifest.image;
        assert_eq!(image.digest, digests[taken], "{platform}");
        let level = [None, Some("v3"), None, Some("v2")][taken];
        assert_eq!(image.variant.as_deref(), level);
    }
}

#[test]
fn levels_that_were_not_asked_for_are_refused() {
    let (layout, _) = layout(&[
        ("linux", "amd64", Some("v3")),
        ("linux", "arm64", None),
        ("linux", "amd64", Some("v9")),
    ]);
    let said = layout.refusal(&options("linux/amd64/v2"));
    for words in [
        "linux/amd64/v3, linux/arm64",
        "not for linux/amd64/v2",
        "--platform",
    ] {
        assert!(said.contains(words), "{said}");
    }
    layout.build_with(&options("linux/amd64/v4")).expect("v3");
}

#[test]
fn a_manifest_without_an_index_is_held_to_its_configuration() {
    let mut layout = Layout::new(&[Tar::new().file("a", "1").gzip()]);
    layout.config["variant"] = json!("v2");
    layout.write();
    let said = layout.refusal(&BuildOptions::default());
    assert!(
        said.contains("for linux/amd64/v2, not for linux/amd64;"),
        "{said}"
    );
    layout.build_with(&options("linux/amd64/v2")).expect("v2");
    assert_eq!(Platform::default().to_string(), "linux/amd64");
}

#[test]
fn provenance_names_everything_that_went_in() {
    let layers = || {
        let tar = |name: &str| Tar::new().file(name, "x").bytes();
        [
            Layer::gzip(tar("a")),
            Layer::zstd(tar("b")),
            Layer::plain(tar("c")),
        ]
    };
    let layout = Layout::new(&layers());
    let manifest = layout.build().expect("build").manifest;
    let image = &manifest.image;
    let bytes = serde_json::to_vec(&layout.manifest).expect("manifest");
    assert_eq!(image.digest, digest(&bytes));
    assert_eq!(
        image.config_digest,
        text(&layout.manifest["config"]["digest"])
    );
    let blobs: Vec<_> = layers().iter().map(|layer| digest(&layer.blob)).collect();
    assert_eq!(image.layers, blobs);
    let diff_ids: Vec<_> = layers().into_iter().map(|layer| layer.diff_id).collect();
    assert_eq!(image.diff_ids, diff_ids);
    assert!(manifest.libos.digest.starts_with("sha256:"));
    assert_eq!(manifest.builder_version, env!("CARGO_PKG_VERSION"));

    let inspection = unikiln_builder::inspect(&layout.output()).expect("inspect");
    let shown = inspection.to_string();
    let written = serde_json::to_value(&inspection).expect("JSON");
    for (number, diff_id) in diff_ids.iter().enumerate() {
        assert!(
            shown.contains(&blobs[number]) && shown.contains(diff_id),
            "{shown}"
        );
        let image = &written["manifest"]["image"];
        assert_eq!(image["layers"][number], json!(blobs[number]));
        assert_eq!(image["diffIds"][number], json!(diff_id));
    }
    for digest in [&image.digest, &image.config_digest, &manifest.libos.digest] {
        assert!(shown.contains(digest), "{shown}");
    }
}

#[test]
fn a_hundred_and_twenty_layers_of_all_compressions() {
    let layers: Vec<_> = (0..120)
        .map(|number| {
            let tar = Tar::new()
                .file("counter", &number.to_string())
                .file(&format!("layers/{number}"), &number.to_string())
                .file(&format!("layers/.wh.{}", number - 10), "")
                .bytes();
            match number % 3 {
                0 => Layer::gzip(tar),
                1 => Layer::zstd(tar),
                _ => Layer::plain(tar),
            }
        })
        .collect();
    let layout = Layout::new(&layers);
    let report = layout.build().expect("build");
    assert_eq!(report.manifest.image.diff_ids.len(), 120);
    let Some(view) = View::new(&layout.output()) else {
        return;
    };
    assert_eq!(view.text("counter"), "119");
    let left = std::fs::read_dir(view.path("layers")).expect("directory");
    assert_eq!(left.count(), 10);
    assert_eq!(view.text("layers/110"), "110");
}
