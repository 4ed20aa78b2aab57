//! Images of the store are converted once, and what a damaged blob does.

use std::fs;

use unikiln_builder::{
    BuildOptions, Digest, ImageRef, NoProgress, Store, build, build_cached, inspect,
};

use crate::image::{Layer, Layout, Tar, message};
use crate::put;
use crate::task::{command, said};

/// Puts an image into the store and names it; the digest of its manifest.
pub(crate) fn import(store: &Store, layout: &Layout, name: &str) -> Digest {
    let lease = store.lease().expect("lease");
    for entry in layout
        .path()
        .join("blobs/sha256")
        .read_dir()
        .expect("blobs")
    {
        put(
            &lease,
            &fs::read(entry.expect("entry").path()).expect("blob"),
        )
        .expect("put");
    }
    let index = fs::read(layout.path().join("index.json")).expect("index");
    let index: serde_json::Value = serde_json::from_slice(&index).expect("JSON");
    let digest = index["manifests"][0]["digest"].as_str().expect("digest");
    let digest = Digest::parse(digest).expect("digest");
    let descriptor = store.descriptor(&digest).expect("descriptor");
    store.set_reference(name, &descriptor).expect("set");
    digest
}

fn layout() -> Layout {
    let mut layout = Layout::new(&[
        Tar::new().directory("etc").file("etc/a", "one").gzip(),
        Layer::zstd(Tar::new().file("etc/b", "two").bytes()),
    ]);
    layout.config["created"] = "2026-11-24T09:30:00Z".into();
    layout.write();
    layout
}

#[test]
fn an_image_is_converted_once_and_goes_with_its_unikernel() {
    let root = tempfile::tempdir().expect("directory");
    let store = Store::open(root.path()).expect("store");
    let image = import(&store, &layout(), "localhost:5000/a:1");
    let task = format!("build {image}");
    let start = |_| command(&task, root.path()).spawn().expect("process");
    let children: Vec<_> = (0..4).map(start).collect();
    let said: Vec<_> = children.into_iter().map(said).collect();
    let built = said.iter().filter(|said| said.contains("said built"));
    assert_eq!(built.count(), 1, "{said:?}");

    let lease = store.lease().expect("lease");
    let build = |no_link| {
        let options = BuildOptions {
            no_link,
            ..BuildOptions::default()
        };
        build_cached(&lease, &image, &options, &mut NoProgress).expect("build")
    };
    let path = build(false);
    assert_eq!(
        inspect(&path).expect("whole").manifest.image.digest,
        image.to_string()
    );
    assert_ne!(
        build(true),
        path,
        "options that change the file make another"
    );
    let [listed] = store
        .images()
        .expect("images")
        .try_into()
        .expect("one image");
    assert_eq!(listed.reference, "localhost:5000/a:1");
    assert_eq!(listed.created.as_deref(), Some("2026-11-24T09:30:00Z"));
    assert!(listed.is_complete && listed.size_bytes > 0 && listed.unikernel_bytes > 0);

    store
        .remove_reference("localhost:5000/a:1")
        .expect("remove");
    store.collect().expect("collect");
    assert!(path.exists(), "a lease keeps it");
    drop(lease);
    store.collect().expect("collect");
    assert_eq!(store.usage().expect("usage").total().count, 0);
}

#[test]
fn a_store_reads_as_an_image_layout() {
    let root = tempfile::tempdir().expect("directory");
    let store = Store::open(root.path()).expect("store");
    let image = import(&store, &layout(), "localhost:5000/a:1");
    let reference = format!("oci:{}:localhost:5000/a:1", root.path().display());
    let reference = ImageRef::parse(&reference).expect("reference");
    let output = tempfile::tempdir().expect("directory");
    let output = output.path().join("a.uk");
    let report = build(
        &reference,
        &output,
        &BuildOptions::default(),
        &mut NoProgress,
    );
    let direct = report.expect("build").manifest;
    assert_eq!(direct.image.digest, image.to_string());
    // The same image gives the same file, whichever way it goes.
    let lease = store.lease().expect("lease");
    let cached = build_cached(&lease, &image, &BuildOptions::default(), &mut NoProgress);
    assert!(fs::read(cached.expect("build")).expect("read") == fs::read(&output).expect("read"));
}

#[test]
fn a_damaged_layer_is_named_and_can_be_fetched_again() {
    let root = tempfile::tempdir().expect("directory");
    let store = Store::open(root.path()).expect("store");
    let layout = layout();
    let image = import(&store, &layout, "a:1");
    let layer = layout.manifest["layers"][0]["digest"]
        .as_str()
        .expect("digest");
    let stored = root.path().join("blobs").join(layer.replace(':', "/"));
    let whole = fs::read(&stored).expect("layer");
    let mut wrong = whole.clone();
    wrong[20] ^= 1;
    for damaged in [wrong.as_slice(), &whole[..whole.len() - 1], b""] {
        fs::write(&stored, damaged).expect("damage");
        let lease = store.lease().expect("lease");
        let build = || build_cached(&lease, &image, &BuildOptions::default(), &mut NoProgress);
        let said = message(&build().expect_err("damaged"));
        assert!(
            said.contains(layer) && said.contains("unikiln pull"),
            "{said}"
        );
        assert!(!stored.exists(), "it is moved away");
        let said = message(&build().expect_err("missing"));
        assert!(
            said.contains(layer) && said.contains("unikiln pull"),
            "{said}"
        );
        let [listed] = store
            .images()
            .expect("images")
            .try_into()
            .expect("one image");
        assert!(!listed.is_complete);
        assert!(put(&lease, &whole).expect("put"), "a pull writes it again");
    }
    let lease = store.lease().expect("lease");
    build_cached(&lease, &image, &BuildOptions::default(), &mut NoProgress).expect("build");
}

/// An image with the first layers of another, and one more.
fn on_top(lower: &[(&str, &str)], name: &str, text: &str) -> Layout {
    let layers = lower
        .iter()
        .map(|(name, text)| Tar::new().file(name, text).gzip());
    let layers: Vec<_> = layers.chain([Tar::new().file(name, text).gzip()]).collect();
    Layout::new(&layers)
}

#[test]
fn layers_are_unpacked_once_and_give_the_same_file() {
    let root = tempfile::tempdir().expect("directory");
    let store = Store::open(root.path()).expect("store");
    let base = [("lib", "of all images"), ("empty", "")];
    let layouts = [on_top(&base, "app", "one"), on_top(&base, "lib", "another")];
    let layers = || store.usage().expect("usage").layers.count;
    let mut images = Vec::new();
    for (layout, kept) in layouts.iter().zip([3, 4]) {
        let image = import(&store, layout, &format!("image:{kept}"));
        let lease = store.lease().expect("lease");
        let cached = build_cached(&lease, &image, &BuildOptions::default(), &mut NoProgress);
        layout.build().expect("build");
        let cached = cached.expect("build");
        assert!(fs::read(&cached).expect("read") == fs::read(layout.output()).expect("read"));
        assert_eq!(layers(), kept);
        images.push((image, cached));
    }
    // What is there already counts for the limit as ever.
    let mut options = BuildOptions {
        no_link: true,
        ..BuildOptions::default()
    };
    options.limits.unpacked_bytes = 100;
    let lease = store.lease().expect("lease");
    let refused = build_cached(&lease, &images[0].0, &options, &mut NoProgress);
    let said = message(&refused.expect_err("over the limit"));
    assert!(said.contains("--max-unpacked"), "{said}");
    // What is damaged is unpacked again.
    for entry in root.path().join("layers").read_dir().expect("layers") {
        let path = entry.expect("entry").path();
        let mut bytes = fs::read(&path).expect("layer");
        bytes[600] ^= 1;
        fs::write(&path, bytes).expect("damage");
    }
    let (image, cached) = &images[1];
    fs::remove_file(cached).expect("remove");
    build_cached(&lease, image, &BuildOptions::default(), &mut NoProgress).expect("build");
    assert!(fs::read(cached).expect("read") == fs::read(layouts[1].output()).expect("read"));
    drop(lease);

    assert_eq!(store.collect().expect("collect").layers.count, 0);
    store.remove_reference("image:3").expect("remove");
    assert_eq!(store.collect().expect("collect").layers.count, 1);
    assert_eq!(layers(), 3);
    store.remove_reference("image:4").expect("remove");
    store.collect().expect("collect");
    assert_eq!(store.usage().expect("usage").total().count, 0);
}

#[test]
fn names_and_digests_find_images() {
    let root = tempfile::tempdir().expect("directory");
    let store = Store::open(root.path()).expect("store");
    let image = import(&store, &layout(), "docker.io/library/a:1").to_string();
    import(&store, &layout(), "localhost:5000/a:1");
    let find = |text: &str| store.find(text).map(|found| found.len());
    assert_eq!(find("localhost:5000/a:1").expect("name"), 1);
    let hex = &image["sha256:".len()..];
    for text in [&image, hex, &hex[..12], &image["".len()..24]] {
        assert_eq!(find(text).expect("digest"), 2, "{text}");
    }
    for text in ["localhost:5000/a", &hex[..11], "ffffffffffff", ""] {
        let message = find(text).expect_err("unknown").to_string();
        assert!(message.contains("unikiln images"), "{message}");
    }
}
