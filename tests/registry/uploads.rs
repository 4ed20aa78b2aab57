//! What is pushed to registries that are not docker-registry: one that lists what
//! refers to an image, one that breaks, one that takes uploads elsewhere.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::layout;
use crate::liar::{Liar, Reply, Request};
use crate::{User, text};

/// A registry that takes everything, with its uploads at `place`.
fn accepts(request: &Request, place: &str) -> Reply {
    match (request.method.as_str(), request.path.as_str()) {
        ("HEAD" | "GET", _) => Reply::new(404, ""),
        ("POST", _) => Reply::new(202, "").with("location", place),
        _ => Reply::new(201, ""),
    }
}

/// An image of one small layer.
fn small() -> layout::Layout {
    let layout = layout::Layout::new();
    let image = layout.image("v1", &[layout::layer("a", b"a")]);
    layout.tag(image);
    layout
}

fn puts(liar: &Liar) -> Vec<Request> {
    let mut asked = liar.asked();
    asked.retain(|request| request.method == "PUT");
    asked
}

#[test]
fn a_registry_that_lists_referrers_gets_no_tag_for_them() {
    let user = User::new();
    let layout = layout::Layout::new();
    // Nothing of it runs: a file is enough to build.
    let image = layout.image("v1", &[layout::layer("bin/a", b"#!/bin/b\n")]);
    let digest = image["digest"].as_str().expect("a word").to_owned();
    layout.tag(image);
    let file = user.path("a.uk");
    let built = user.run(&["build", &layout.name("latest"), "-o", text(&file)]);
    built.assert_code(0);
    let blob = layout
        .path()
        .join("blobs")
        .join(digest.replacen(':', "/", 1));
    let manifest = std::fs::read(blob).expect("written above");
    let subject = digest.clone();
    let liar = Liar::start(move |request| {
        if request.method == "GET" && request.path.ends_with(&subject) {
            return Reply::new(200, manifest.clone()).with("content-type", layout::MANIFEST);
        }
        let reply = accepts(request, "/v2/a/blobs/uploads/1?state=x");
        match request.path.contains("/manifests/") {
            true => reply.with("oci-subject", &subject),
            false => reply,
        }
    });
    let pushed = user.run(&["push", text(&file), &liar.image()]);
    pushed.assert_code(0);
    let manifests: Vec<_> = puts(&liar)
        .into_iter()
        .filter(|request| request.path.contains("/manifests/"))
        .collect();
    assert_eq!(manifests.len(), 1, "the unikernel's own");
    assert_eq!(manifests[0].path, "/v2/a/manifests/1");
    let sent: Value = serde_json::from_str(&manifests[0].body).expect("a manifest");
    assert_eq!(sent["subject"]["digest"], digest);
    assert_eq!(
        pushed.out().trim(),
        layout::digest(manifests[0].body.as_bytes())
    );
    // The upload's own query stays, and the digest is added.
    let upload = puts(&liar).remove(0).path;
    assert!(
        upload.starts_with("/v2/a/blobs/uploads/1?state=x&digest=sha256%3A"),
        "{upload}"
    );
}

#[test]
fn a_broken_upload_is_begun_again() {
    let broken = AtomicUsize::new(0);
    let liar = Liar::start(move |request| {
        let is_blob = request.method == "PUT" && request.path.contains("/uploads/");
        if is_blob && broken.fetch_add(1, Ordering::Relaxed) == 0 {
            return Reply::new(503, "");
        }
        accepts(request, "/v2/a/blobs/uploads/1")
    });
    let pushed = User::new().run(&["push", &small().name("latest"), &liar.image()]);
    pushed.assert_code(0);
    // Configuration and layer, one of them twice, and the manifest.
    assert_eq!(puts(&liar).len(), 4);
}

#[test]
fn an_upload_elsewhere_takes_no_secrets_along() {
    let elsewhere = Liar::start(|request| accepts(request, "/"));
    let place = format!(
        "http://localhost:{}/u",
        elsewhere.name().rsplit_once(':').expect("a port").1
    );
    let liar = Liar::start(move |request| match request.header("authorization") {
        None => Reply::new(401, "").with("www-authenticate", "Basic realm=\"r\""),
        Some(_) => accepts(request, &place),
    });
    let user = User::new();
    let layout = small();
    let words = [
        "push",
        "--creds",
        "kiln:hot",
        &layout.name("latest"),
        &liar.image(),
    ];
    user.run(&words).assert_code(0);
    let sent = puts(&elsewhere);
    assert_eq!(sent.len(), 2, "configuration and layer");
    assert!(
        sent.iter()
            .all(|request| request.header("authorization").is_none())
    );
}
