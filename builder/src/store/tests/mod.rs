//! What the store's tests share. What needs several processes is in
//! `builder/tests/store`.
//!
//! | module | what it owns |
//! |---|---|
//! | [`blobs`] | blobs and references |
//! | [`collection`] | what is collected, and what is not |
//! | [`linked`] | outcomes of linking |
//! | [`model`] | any order of changes, against a model |
//! | [`unikernels`] | unikernels are built once |

mod blobs;
mod collection;
mod linked;
mod model;
mod unikernels;

use oci_spec::image::{Descriptor, MediaType};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::{Lease, Store};
use crate::libos::hex;
use crate::oci::Digest;

fn store() -> (TempDir, Store) {
    let directory = tempfile::tempdir().expect("temporary directory");
    let store = Store::open(directory.path()).expect("store");
    (directory, store)
}

fn digest(bytes: &[u8]) -> Digest {
    Digest::parse(&format!("sha256:{}", hex(&Sha256::digest(bytes)))).expect("digest")
}

fn put(lease: &Lease, bytes: &[u8]) -> Digest {
    let digest = digest(bytes);
    let writer = lease.writer(&digest, bytes.len() as u64);
    if let Some(mut writer) = writer.expect("writer") {
        writer.write(bytes).expect("write");
        writer.commit().expect("commit");
    }
    digest
}

fn descriptor(bytes: &[u8]) -> Descriptor {
    let digest = digest(bytes).to_string();
    Descriptor::new(
        MediaType::ImageManifest,
        bytes.len() as u64,
        digest.parse::<oci_spec::image::Digest>().expect("digest"),
    )
}

/// An image of one layer: its manifest's digest.
fn put_image(lease: &Lease, name: &str) -> [Digest; 3] {
    let config = format!(r#"{{"config of":"{name}"}}"#);
    let layer = format!("layer of {name}");
    let child = |bytes: &str| {
        let digest = put(lease, bytes.as_bytes());
        (
            digest.clone(),
            format!(r#"{{"digest":"{digest}","size":{}}}"#, bytes.len()),
        )
    };
    let (config, config_entry) = child(&config);
    let (layer, layer_entry) = child(&layer);
    let manifest = format!(r#"{{"config":{config_entry},"layers":[{layer_entry}]}}"#);
    [put(lease, manifest.as_bytes()), config, layer]
}

/// Makes `name` stand for a manifest or an index that is there.
fn refer(store: &Store, name: &str, digest: &Digest) {
    let descriptor = store.descriptor(digest).expect("descriptor");
    store.set_reference(name, &descriptor).expect("set");
}

fn has(store: &Store, digest: &Digest) -> bool {
    store.has_blob(digest).expect("has")
}
