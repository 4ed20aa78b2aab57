//! Documents that are read, and those that are refused because two readers could
//! read them differently.

use super::{Document, DocumentError, Kind, kind, read};

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn config(media_type: &str) -> String {
    format!(r#""config":{{"mediaType":{media_type:?},"digest":"{DIGEST}","size":2}}"#)
}

fn manifest(more: &str) -> String {
    let config = config("application/vnd.oci.image.config.v1+json");
    format!(r#"{{"schemaVersion":2,{config},"layers":[]{more}}}"#)
}

fn index(more: &str) -> String {
    format!(r#"{{"schemaVersion":2,"manifests":[]{more}}}"#)
}

#[test]
fn both_kinds_are_read() {
    let named = format!(r#","mediaType":{MANIFEST:?}"#);
    for (text, declared) in [
        (manifest(""), Some(MANIFEST)),
        (manifest(&named), Some("text/plain; charset=utf-8")),
        (manifest(""), None),
    ] {
        let typed = read(text.as_bytes(), declared).expect("a manifest");
        assert_eq!(typed.media_type, MANIFEST);
        assert!(matches!(typed.document, Document::Manifest(_)));
    }
    for declared in [Some(INDEX), Some("application/json"), None] {
        let typed = read(index("").as_bytes(), declared).expect("an index");
        assert_eq!(typed.media_type, INDEX);
        assert!(matches!(typed.document, Document::Index(_)));
    }
}

#[test]
fn ambiguous_documents_are_refused() {
    let other = format!(r#","mediaType":{INDEX:?}"#);
    for (text, declared) in [
        (manifest(r#","manifests":[]"#), Some(MANIFEST)),
        (manifest(r#","manifests":[]"#), None),
        (index(r#","layers":[]"#), Some(INDEX)),
        (index(&format!(",{}", config("application/x"))), Some(INDEX)),
        (manifest(&other), Some(MANIFEST)),
    ] {
        let error = read(text.as_bytes(), declared).expect_err(&text);
        assert!(matches!(error, DocumentError::Ambiguous { .. }), "{error}");
    }
    // The same field twice, and a document of the other kind than announced.
    for (text, declared) in [
        (manifest(r#","layers":[]"#), MANIFEST),
        (manifest(""), INDEX),
        (index(""), MANIFEST),
    ] {
        let error = read(text.as_bytes(), Some(declared)).expect_err(&text);
        assert!(matches!(error, DocumentError::Json(_)), "{error}");
    }
}

#[test]
fn schema_1_is_refused_by_name() {
    let pretty = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    for (text, declared) in [
        ("{}", Some(pretty)),
        (r#"{"schemaVersion":1,"fsLayers":[]}"#, None),
        (r#"{"schemaVersion":2,"layers":[],"fsLayers":[]}"#, None),
    ] {
        let error = read(text.as_bytes(), declared).expect_err(text);
        assert!(error.to_string().contains("schema 1"), "{error}");
    }
    let error = read(br#"{"schemaVersion":3}"#, None).expect_err("the future");
    assert!(matches!(error, DocumentError::SchemaVersion { found: 3 }));
}

#[test]
fn images_and_unikernels_are_told_from_the_rest() {
    let parse = |text: &str| match read(text.as_bytes(), None).expect(text).document {
        Document::Manifest(manifest) => kind(&manifest),
        Document::Index(_) => panic!("not an index"),
    };
    assert_eq!(parse(&manifest("")).expect("an image"), Kind::Image);
    let ours = format!(r#","artifactType":{:?}"#, super::ARTIFACT_TYPE);
    assert_eq!(parse(&manifest(&ours)).expect("ours"), Kind::Unikernel);
    let config = config("application/vnd.example.chart+json");
    let other = format!(r#"{{"schemaVersion":2,{config},"layers":[]}}"#);
    let error = parse(&other).expect_err("a chart");
    assert!(error.to_string().contains("vnd.example.chart"), "{error}");
}
