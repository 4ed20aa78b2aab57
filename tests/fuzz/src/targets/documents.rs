//! Indexes, manifests, configurations, `manifest.json`, and the user files.

use std::fs;
use std::path::Path;

use crate::{Random, Target, mutate};

/// The target.
pub const TARGET: Target = Target {
    name: "documents",
    max_bytes: 16 << 10,
    run: unikiln_builder::fuzz::documents,
    mend,
    seeds,
};

/// Changes values, so that the document stays JSON.
fn mend(input: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..random.below(3) {
        mutate::json(input, random);
    }
}

/// The documents of a real image, and those that show the rest of the formats.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = [
        r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[
            {"mediaType":"application/vnd.oci.image.manifest.v1+json","size":7,
             "digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
             "platform":{"architecture":"amd64","os":"linux","variant":"v2","os.version":"1"},
             "annotations":{"org.opencontainers.image.ref.name":"v"}},
            {"mediaType":"application/vnd.oci.image.manifest.v1+json","size":7,
             "digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
             "platform":{"architecture":"arm64","os":"linux"}}]}"#,
        r#"{"architecture":"amd64","os":"linux","variant":"v2","created":"2024-01-01T00:00:00Z",
            "config":{"User":"web:logs","ExposedPorts":{"80/tcp":{}},"Env":["A=b"],
            "Entrypoint":["/a"],"Cmd":["b"],"Volumes":{"/data":{}},"WorkingDir":"srv",
            "Labels":{"a":"b"},"StopSignal":"SIGQUIT"},
            "rootfs":{"type":"layers","diff_ids":[
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]},
            "history":[{"created_by":"x","empty_layer":true}]}"#,
        r#"[{"Config":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855.json",
            "RepoTags":["a:1","docker.io/library/b:2"],"Layers":["x/layer.tar"]}]"#,
        "root:x:0:0:root:/root:/bin/sh\nweb:x:7:8::/srv:/bin/sh\nlogs:x:9:root,web\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    if let Ok(layout) = tempfile::tempdir() {
        seeds.extend(packed(layout.path()));
    }
    seeds
}

/// What `pack` writes.
fn packed(layout: &Path) -> Vec<Vec<u8>> {
    let reference = unikiln_builder::ImageRef::Oci {
        directory: layout.join("image"),
        tag: None,
    };
    let program = "/bin/true".into();
    let packed = unikiln_builder::pack(&[program], &reference, &Default::default());
    assert!(packed.is_ok(), "{packed:?}");
    let blobs = fs::read_dir(layout.join("image/blobs/sha256")).expect("blobs");
    let blobs = blobs.map(|entry| entry.expect("entry").path());
    blobs
        .chain([layout.join("image/index.json")])
        .map(|path| fs::read(path).expect("file"))
        .filter(|bytes| bytes.first() == Some(&b'{'))
        .collect()
}
