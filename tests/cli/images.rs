//! `unikiln images` and `unikiln rmi`, on a store with images of a few bytes.

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use unikiln_builder::{Digest, Lease, Store};

use crate::common::{Outcome, Unikiln};

const REDIS: &str = "docker.io/library/redis:7";
const LOCAL: &str = "localhost:5000/tool:1";

fn put(lease: &Lease, bytes: &[u8]) -> Digest {
    let hex = Sha256::digest(bytes);
    let hex: String = hex.iter().map(|byte| format!("{byte:02x}")).collect();
    let digest = Digest::parse(&format!("sha256:{hex}")).expect("digest");
    let writer = lease.writer(&digest, bytes.len() as u64).expect("claim");
    if let Some(mut writer) = writer {
        writer.write(bytes).expect("write");
        writer.commit().expect("commit");
    }
    digest
}

/// Puts an image with these names into the store; its digest.
fn import(store: &Store, text: &str, names: &[&str]) -> String {
    let lease = store.lease().expect("lease");
    let descriptor = |media_type: &str, bytes: &[u8]| {
        let digest = put(&lease, bytes);
        let size = bytes.len();
        format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
    };
    let config = r#"{"created":"2026-11-24T09:30:00Z","architecture":"amd64","os":"linux"}"#;
    let config = descriptor(
        "application/vnd.oci.image.config.v1+json",
        config.as_bytes(),
    );
    let layer = descriptor("application/vnd.oci.image.layer.v1.tar", text.as_bytes());
    let manifest = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer}]}}"#);
    let digest = put(&lease, manifest.as_bytes());
    for name in names {
        let descriptor = store.descriptor(&digest).expect("descriptor");
        store.set_reference(name, &descriptor).expect("set");
    }
    digest.to_string()
}

fn store() -> (TempDir, Store) {
    let directory = tempfile::tempdir().expect("directory");
    let store = Store::open(directory.path()).expect("store");
    (directory, store)
}

fn unikiln(root: &TempDir, words: &[&str]) -> Outcome {
    let root = root.path().to_str().expect("UTF-8");
    Unikiln::command(words)
        .host_env("UNIKILN_ROOT", root)
        .output()
}

#[test]
fn images_are_listed() {
    let (root, store) = store();
    let head = "REFERENCE   DIGEST   CREATED   SIZE\n";
    unikiln(&root, &["images"])
        .assert_code(0)
        .assert_stdout(head);
    let digest = import(&store, "a", &[REDIS, LOCAL]);
    let listed = unikiln(&root, &["images"]);
    listed.assert_code(0);
    let lines: Vec<_> = listed.out().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    for (line, name) in lines[1..].iter().zip([REDIS, LOCAL]) {
        let cells: Vec<_> = line.split_whitespace().collect();
        assert_eq!(cells[..3], [name, &digest[..19], "2026-11-24"], "{line}");
    }
    unikiln(&root, &["images", "--digests"]).assert_stdout_has(&digest);
    let quiet = format!("{digest}\n{digest}\n");
    unikiln(&root, &["images", "-q"]).assert_stdout(&quiet);
    let json = unikiln(&root, &["images", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json.out()).expect("JSON");
    assert_eq!(json[1]["reference"], LOCAL);
    assert_eq!(json[1]["manifestDigest"], digest);
    assert_eq!(json[1]["isComplete"], true);
    unikiln(&root, &["images", "--usage"]).assert_stdout_has("images                 3 ");
    // --root is stronger than the variable.
    let (other, _) = self::store();
    let other_root = other.path().to_str().expect("UTF-8");
    unikiln(&root, &["images", "--root", other_root]).assert_stdout(head);
}

#[test]
fn images_are_removed_by_name_and_by_digest() {
    let (root, store) = store();
    let digest = import(&store, "a", &["a:1", "a:2"]);
    import(&store, "b", &["b:1"]);
    let unknown = unikiln(&root, &["rmi", "b:1", "missing:1"]);
    unknown
        .assert_code(125)
        .assert_stderr_has("there is no image missing:1; `unikiln images` lists them");
    assert_eq!(
        store.references().expect("references").len(),
        3,
        "none is removed"
    );
    unikiln(&root, &["rmi", "a:1"])
        .assert_code(0)
        .assert_stdout("removed a:1\nfreed 0 B\n");
    let short = &digest["sha256:".len()..][..12];
    let removed = unikiln(&root, &["rmi", "--force", short, "missing:1"]);
    removed
        .assert_code(0)
        .assert_stdout_has("removed a:2\nfreed ");
    assert!(!removed.out().contains("freed 0 B"));
    unikiln(&root, &["rmi", "--all"])
        .assert_code(0)
        .assert_stdout_has("removed b:1\n");
    assert_eq!(store.usage().expect("usage").total().count, 0);
    unikiln(&root, &["rmi"]).assert_code(125);
}

#[test]
fn a_store_that_cannot_be_made_is_named() {
    Unikiln::command(["images", "--root", "/proc/store"])
        .output()
        .assert_code(125)
        .assert_stderr_has("cannot write /proc/store");
}
