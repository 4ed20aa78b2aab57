//! Images of docker-registry: run by name, of one platform of several, in all
//! formats and with many layers; and pushed.

use serde_json::json;

use crate::common::skip::has_all;
use crate::layout::{self, INDEX, Layout, MANIFEST};
use crate::server::{Server, Wants};
use crate::{REGISTRY, User, assert_has, registry_and_kvm};

const SCHEMA_2: &str = "application/vnd.docker.distribution.manifest.v2+json";

#[test]
fn an_image_is_pulled_converted_and_run_by_its_name() {
    if registry_and_kvm("an_image_is_pulled_converted_and_run_by_its_name") {
        let server = Server::start(Wants::default());
        server.fill(&layout::busybox(0).name("latest"), "a/b:1", &[]);
        let name = server.image("a/b:1");
        let user = User::new();
        let never = user.run(&["run", "--pull=never", &name, "true"]);
        never
            .assert_code(125)
            .assert_stderr_has("is not in the store");
        let run = user.run(&["run", &name, "echo", "hot"]);
        run.assert_code(0).assert_stdout("hot\n");
        user.run(&["images"]).assert_stdout_has(&name);
        // The registry is not needed any more, nor is the conversion made again.
        server.stop();
        let run = user.run(&["run", "--pull=never", &name, "echo", "still hot"]);
        run.assert_code(0).assert_stdout("still hot\n");
        let always = user.run(&["run", "--pull=always", &name, "true"]);
        always.assert_code(125).assert_stderr_has("cannot reach");
        let file = user.path("b.uk");
        user.run(&["build", &name, "-o", crate::text(&file)])
            .assert_code(0);
        let run = user.run(&["run", crate::text(&file), "echo", "built"]);
        run.assert_code(0).assert_stdout("built\n");
    }
}

#[test]
fn what_is_not_all_there_is_pulled_again() {
    if registry_and_kvm("what_is_not_all_there_is_pulled_again") {
        let server = Server::start(Wants::default());
        server.fill(&layout::busybox(0).name("latest"), "a:1", &[]);
        let (name, user) = (server.image("a:1"), User::new());
        user.pull(&[&name]);
        let manifest = server.raw("a:1");
        let layer = manifest["layers"][0]["digest"].as_str().expect("a word");
        let blob = user.store().join("blobs").join(layer.replacen(':', "/", 1));
        std::fs::remove_file(blob).expect("it is there");
        let never = user.run(&["run", "--pull=never", &name, "true"]);
        never.assert_code(125).assert_stderr_has("not in the store");
        let run = user.run(&["run", &name, "echo", "whole"]);
        run.assert_code(0).assert_stdout("whole\n");
    }
}

#[test]
fn a_digest_names_one_image() {
    if has_all("a_digest_names_one_image", &REGISTRY) {
        let server = Server::start(Wants::default());
        server.fill(&layout::busybox(0).name("latest"), "a:1", &[]);
        let user = User::new();
        let digest = user.pull(&[&server.image("a:1")]);
        let by_digest = server.image(&format!("a:1@{digest}"));
        assert_eq!(user.pull(&[&by_digest]), digest);
        let other = layout::digest(b"other");
        let message = user.refused(&[&server.image(&format!("a@{other}"))]);
        assert_has(&message, &["has no manifest", &other]);
        let message = user.refused(&[&server.image("a:2")]);
        assert_has(&message, &["has no manifest 2 of a"]);
    }
}

#[test]
fn an_index_gives_the_platforms_image() {
    if has_all("an_index_gives_the_platforms_image", &REGISTRY) {
        let layout = Layout::new();
        let images: Vec<_> = ["v3", "v1"]
            .iter()
            .map(|variant| {
                let layer = layout::layer("name", variant.as_bytes());
                layout.image(variant, &[layer])
            })
            .collect();
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": images });
        let index = index.to_string().into_bytes();
        layout.blob(&index);
        layout.tag(layout::descriptor(INDEX, &index));
        let digest_of = |number: usize| images[number]["digest"].as_str().expect("ours");
        let server = Server::start(Wants::default());
        // Ours is tested with theirs, and theirs with ours.
        let user = User::new();
        let pushed = user.run(&["push", &layout.name("latest"), &server.image("ours:1")]);
        pushed.assert_code(0);
        assert_eq!(pushed.out().trim(), layout::digest(&index));
        assert_eq!(server.raw("ours:1")["manifests"][1]["digest"], digest_of(1));
        server.fill(
            &layout.name("latest"),
            "theirs:1",
            &["--all", "--preserve-digests"],
        );
        for name in ["ours:1", "theirs:1"] {
            let user = User::new();
            let digest = user.pull(&[&server.image(name)]);
            assert_eq!(digest, layout::digest(&index), "{name}");
            assert!(user.has_blob(digest_of(1)) && !user.has_blob(digest_of(0)));
            user.pull(&["--platform", "linux/amd64/v3", &server.image(name)]);
            assert!(user.has_blob(digest_of(0)));
            let message = user.refused(&["--platform", "linux/s390x", &server.image(name)]);
            assert_has(&message, &["unikernels run programs for linux/amd64"]);
        }
        // An index without an image that fits.
        let new = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [images[0]] });
        let new = new.to_string().into_bytes();
        layout.blob(&new);
        layout.tag(layout::descriptor(INDEX, &new));
        server.fill(&layout.name("latest"), "new:1", &["--all"]);
        let message = User::new().refused(&[&server.image("new:1")]);
        assert_has(&message, &["linux/amd64/v3", "--platform"]);
        // What was pulled of an index can be pushed: the platform's image.
        let user = User::new();
        user.pull(&[&server.image("ours:1")]);
        let pushed = user.run(&["push", &server.image("ours:1"), &server.image("again:1")]);
        pushed
            .assert_code(0)
            .assert_stderr_has("only the image for linux/amd64");
        assert_eq!(pushed.out().trim(), digest_of(1));
    }
}

#[test]
fn many_layers_and_all_formats_run() {
    if registry_and_kvm("many_layers_and_all_formats_run") {
        let layout = layout::busybox(119);
        let source = layout.name("latest");
        let user = User::new();
        for (format, media_type, layer) in [
            (&["--format", "oci"][..], MANIFEST, "gzip"),
            (&["--format", "v2s2"], SCHEMA_2, "gzip"),
            (
                &["--format", "oci", "--dest-compress-format", "zstd"],
                MANIFEST,
                "zstd",
            ),
            (&[], MANIFEST, "layer.v1.tar"),
        ] {
            // One for each: skopeo takes a layer that is there in another compression.
            let server = Server::start(Wants::default());
            if format.is_empty() {
                let pushed = user.run(&["push", "--quiet", &source, &server.image("a:1")]);
                pushed.assert_code(0);
                assert!(pushed.stderr.is_empty(), "{}", pushed.story());
            } else {
                server.fill(&source, "a:1", format);
            }
            let manifest = server.raw("a:1");
            assert_eq!(manifest["mediaType"], media_type, "{format:?}");
            let layers = manifest["layers"].as_array().expect("a list");
            assert_eq!(layers.len(), 120, "{format:?}");
            let first = layers[0]["mediaType"].as_str().expect("a word");
            assert!(first.ends_with(layer), "{format:?}: {first}");
            let run = user.run(&["run", &server.image("a:1"), "ls", "/layers"]);
            run.assert_code(0);
            assert_eq!(run.out().lines().count(), 119, "{}", run.story());
        }
    }
}
