//! A registry that lies is refused with a clear message, and nothing of what it
//! sent gets a name or a place among the blobs.

use serde_json::json;

use crate::layout::{self, INDEX, MANIFEST};
use crate::liar::{Body, Image, Liar, Reply};
use crate::{User, assert_has};

/// Pulls an image whose layer comes as `reply`; the message, after the check
/// that nothing was kept of it.
fn refused_layer(reply: impl Fn(&Image) -> Reply + Send + Sync + 'static) -> String {
    let image = Image::new();
    let layer = image.layer_digest();
    let liar = Liar::start(move |request| match image.is_layer(request) {
        true => reply(&image),
        false => image.honest(request),
    });
    let user = User::new();
    let message = user.refused(&[&liar.image()]);
    assert!(!user.has_blob(&layer), "{message}");
    user.run(&["images", "--quiet"]).assert_stdout("");
    message
}

/// Pulls a manifest that comes as `reply`; the message.
fn refused_manifest(name: &str, reply: Reply) -> String {
    let liar = Liar::start(move |_| reply.clone());
    User::new().refused(&[&format!("{}/{name}", liar.name())])
}

#[test]
fn an_honest_image_is_pulled() {
    let image = Image::new();
    let (digest, layer) = (image.digest(), image.layer_digest());
    let liar = Liar::start(move |request| image.honest(request));
    let user = User::new();
    assert_eq!(user.pull(&[&liar.image()]), digest);
    assert!(user.has_blob(&digest) && user.has_blob(&layer));
    // Once more: the name's document alone is asked for.
    let before = liar.asked().len();
    assert_eq!(user.pull(&[&liar.image()]), digest);
    assert_eq!(liar.asked().len(), before + 1);
}

#[test]
fn blobs_must_have_their_digest_and_length() {
    let other = |image: &Image| {
        let mut layer = image.layer.clone();
        layer[1000] ^= 1;
        Reply::new(200, layer)
    };
    assert_has(&refused_layer(other), &["sends something else", "sha256:"]);
    let short = |image: &Image| Reply::new(200, &image.layer[1..]);
    assert_has(
        &refused_layer(short),
        &["bytes for blob sha256:", "which has"],
    );
    let long = |image: &Image| Reply::new(200, [&image.layer[..], b"x"].concat());
    assert_has(&refused_layer(long), &["which has"]);
    let short = |image: &Image| Reply::body(Body::Chunked(image.layer[1..].to_vec()));
    assert_has(&refused_layer(short), &["which has"]);
}

#[test]
fn bodies_without_end_are_ended() {
    let endless = |_: &Image| Reply::body(Body::Endless);
    assert_has(&refused_layer(endless), &["which has"]);
    let message = refused_manifest("a:1", Reply::body(Body::Endless));
    assert_has(
        &message,
        &["sends more than 8388608 bytes", "manifest 1 of a"],
    );
    // Of an error nobody reads that much; its status is told.
    let mut error = Reply::body(Body::Endless);
    error.status = 404;
    assert_has(&refused_manifest("a:1", error), &["has no manifest 1 of a"]);
}

#[test]
fn manifests_must_have_their_digest() {
    let image = Image::new();
    let other = layout::digest(b"other");
    let reply = Reply::new(200, image.manifest.clone()).with("content-type", MANIFEST);
    let message = refused_manifest(&format!("a@{other}"), reply.clone());
    assert_has(&message, &["sends something else", &other, &image.digest()]);
    let message = refused_manifest("a:1", reply.with("docker-content-digest", &other));
    assert_has(&message, &["sends something else", &image.digest()]);
}

#[test]
fn ambiguous_documents_are_refused() {
    let image = Image::new();
    let mut both: serde_json::Value = serde_json::from_slice(&image.manifest).expect("our own");
    both["manifests"] = json!([]);
    for media_type in [MANIFEST, INDEX] {
        both["mediaType"] = json!(media_type);
        let reply = Reply::new(200, both.to_string()).with("content-type", media_type);
        assert_has(&refused_manifest("a:1", reply), &["contradicts itself"]);
    }
    let reply = Reply::new(200, image.manifest).with("content-type", INDEX);
    assert_has(&refused_manifest("a:1", reply), &["contradicts itself"]);
}

#[test]
fn schema_1_and_other_artifacts_are_named() {
    let old = json!({ "schemaVersion": 1, "name": "a", "fsLayers": [] });
    let reply = Reply::new(200, old.to_string()).with(
        "content-type",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    );
    assert_has(&refused_manifest("a:1", reply), &["schema 1"]);
    let chart = json!({
        "schemaVersion": 2,
        "config": layout::descriptor("application/vnd.example.chart", b"{}"),
        "layers": [],
    });
    let reply = Reply::new(200, chart.to_string()).with("content-type", MANIFEST);
    assert_has(&refused_manifest("a:1", reply), &["vnd.example.chart"]);
}

#[test]
fn what_a_registry_writes_does_not_reach_the_terminal() {
    let error = json!({ "errors": [{ "code": "DENIED", "message": "no\u{1b}[2J\nunikiln: ok" }] });
    let message = refused_manifest("a:1", Reply::new(403, error.to_string()));
    assert_has(&message, &["no [2J unikiln: ok"]);
    assert!(!message.contains('\u{1b}') && message.lines().count() == 1);
}
