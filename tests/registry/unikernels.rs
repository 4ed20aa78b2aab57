//! Unikernels as artifacts: pushed beside the image that they were made of,
//! pulled, and run as they are.

use std::fs;

use serde_json::{Value, json};

use crate::layout;
use crate::liar::{Liar, Reply};
use crate::server::{Server, Wants};
use crate::{User, assert_has, registry_and_kvm, text};

const ARTIFACT: &str = "application/vnd.unikiln.unikernel.v1";
const FILE: &str = "application/vnd.unikiln.unikernel.v1.elf";

/// An artifact with this file, as the liar serves it.
fn artifact(file: Vec<u8>) -> Liar {
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": layout::MANIFEST,
        "artifactType": ARTIFACT,
        "config": layout::descriptor("application/vnd.oci.empty.v1+json", b"{}"),
        "layers": [layout::descriptor(FILE, &file)],
    })
    .to_string()
    .into_bytes();
    let name = layout::digest(&file);
    Liar::start(move |request| {
        if request.path.contains("/manifests/") {
            return Reply::new(200, manifest.clone()).with("content-type", layout::MANIFEST);
        }
        match request.path.contains(&name) {
            true => Reply::new(200, file.clone()),
            false => Reply::new(200, "{}"),
        }
    })
}

#[test]
fn a_unikernel_is_pushed_pulled_and_run_without_conversion() {
    if registry_and_kvm("a_unikernel_is_pushed_pulled_and_run_without_conversion") {
        let server = Server::start(Wants::default());
        let layout = layout::busybox(0);
        let builder = User::new();
        let file = builder.path("a.uk");
        let built = builder.run(&["build", &layout.name("latest"), "-o", text(&file)]);
        built.assert_code(0);
        let image = builder.run(&["push", &layout.name("latest"), &server.image("a:1")]);
        image.assert_code(0);
        let pushed = builder.run(&["push", text(&file), &server.image("a:uk")]);
        pushed.assert_code(0);
        assert!(pushed.stderr.is_empty(), "{}", pushed.story());
        let digest = pushed.out().trim().to_owned();

        let manifest = server.raw("a:uk");
        assert_eq!(manifest["artifactType"], ARTIFACT);
        assert_eq!(manifest["subject"]["digest"], image.out().trim());
        // This registry does not list what refers to an image, so the list is a tag.
        let list = server.raw(&format!("a:{}", image.out().trim().replacen(':', "-", 1)));
        let listed = |list: &Value| {
            let entries = list["manifests"].as_array().expect("a list").clone();
            entries
                .iter()
                .map(|it| it["digest"].clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(listed(&list), [json!(digest)]);
        assert_eq!(list["manifests"][0]["artifactType"], ARTIFACT);
        // The same once more is no second entry, and another one is.
        builder
            .run(&["push", text(&file), &server.image("a:uk")])
            .assert_code(0);
        let plain = builder.path("b.uk");
        let source = layout.name("latest");
        let built = builder.run(&["build", "--no-link", &source, "-o", text(&plain)]);
        built.assert_code(0);
        builder
            .run(&["push", text(&plain), &server.image("a:plain")])
            .assert_code(0);
        let list = server.raw(&format!("a:{}", image.out().trim().replacen(':', "-", 1)));
        assert_eq!(listed(&list).len(), 2);

        let user = User::new();
        assert_eq!(user.pull(&[&server.image("a:uk")]), digest);
        server.stop();
        let run = user.run(&["run", &only_name(&user), "echo", "fired"]);
        run.assert_code(0).assert_stdout("fired\n");
        let unikernels = fs::read_dir(user.store().join("unikernels"));
        assert_eq!(
            unikernels.map_or(0, Iterator::count),
            0,
            "nothing was converted"
        );
    }
}

/// The only name in the store.
fn only_name(user: &User) -> String {
    let listed = user.run(&["images"]);
    listed.assert_code(0);
    let line = listed.out().lines().nth(1).expect("one image").to_owned();
    line.split_whitespace().next().expect("a name").to_owned()
}

/// Where the libOS of a file says which ABI it speaks: behind its magic number.
fn abi_offset(file: &[u8]) -> usize {
    let magic = b"UNIKILN\0";
    let at = file.windows(magic.len()).position(|bytes| bytes == magic);
    at.expect("a libOS") + magic.len()
}

#[test]
fn a_unikernel_without_its_image_refers_to_none() {
    if registry_and_kvm("a_unikernel_without_its_image_refers_to_none") {
        let server = Server::start(Wants::default());
        let user = User::new();
        let file = user.path("a.uk");
        let layout = layout::busybox(0);
        let built = user.run(&["build", &layout.name("latest"), "-o", text(&file)]);
        built.assert_code(0);
        let pushed = user.run(&["push", text(&file), &server.image("a:uk")]);
        pushed.assert_code(0).assert_stderr_has("refers to none");
        assert_eq!(server.raw("a:uk")["subject"], Value::Null);
        let run = user.run(&["run", &server.image("a:uk"), "echo", "fired"]);
        run.assert_code(0).assert_stdout("fired\n");
        let run = user.run(&["run", "--no-link", &server.image("a:uk"), "true"]);
        run.assert_code(125).assert_stderr_has("is a unikernel");

        // What cannot run here gets no name: another ABI, damage, another file.
        let good = fs::read(&file).expect("built");
        let abi = abi_offset(&good);
        let mut other = good.clone();
        other[abi] ^= 0x40;
        let liar = artifact(other);
        let message = user.refused(&[&liar.image()]);
        assert_has(&message, &["speaks ABI version", "have it pushed again"]);
        let mut damaged = good.clone();
        damaged[abi + 0x1000] ^= 1;
        let message = user.refused(&[&artifact(damaged).image()]);
        assert_has(&message, &["no unikernel that runs", "corrupted"]);
        let busybox = fs::read("/bin/busybox").expect("installed");
        let message = user.refused(&[&artifact(busybox).image()]);
        assert_has(&message, &["no unikernel that runs"]);
        let names = user.run(&["images", "--quiet"]);
        assert_eq!(names.out().lines().count(), 1, "{}", names.story());
    }
}
