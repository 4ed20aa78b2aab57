//! The store as several processes use it: at once, killed at any moment, on a
//! full disk. Processes are this test binary again, with the name of a task.
//!
//! | module | what it owns |
//! |---|---|
//! | [`task`] | what the other processes do |
//! | [`processes`] | many at once, and killed |
//! | [`full`] | a disk that is full |
//! | [`unikernels`] | images converted once, and what a damaged blob does |

#[path = "../builder/image.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod image;
#[path = "../../../tests/common/skip.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod skip;

mod full;
mod processes;
mod task;
mod unikernels;

use std::path::PathBuf;

use sha2::{Digest as _, Sha256};
use unikiln_builder::{Digest, Lease, Store, StoreError};

/// Where tests keep what they make.
fn cache_dir(name: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&directory).expect("directory");
    directory
}

fn digest(bytes: &[u8]) -> Digest {
    let hex: String = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Digest::parse(&format!("sha256:{hex}")).expect("digest")
}

/// Writes a blob in small pieces, as a download does; whether it was written here.
fn put(lease: &Lease, bytes: &[u8]) -> Result<bool, StoreError> {
    let Some(mut writer) = lease.writer(&digest(bytes), bytes.len() as u64)? else {
        return Ok(false);
    };
    for piece in bytes[writer.offset() as usize..].chunks(16 << 10) {
        writer.write(piece)?;
    }
    writer.commit()?;
    Ok(true)
}

/// Bytes that no other seed gives.
fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Writes an image with two layers; its manifest's digest. All images share a layer.
fn put_image(lease: &Lease, number: u64) -> Result<Digest, StoreError> {
    let config = format!(r#"{{"number":{number}}}"#).into_bytes();
    let layers = [bytes(1 << 40, 64 << 10), bytes(number, 128 << 10)];
    put(lease, &config)?;
    let mut entries = Vec::new();
    for layer in &layers {
        put(lease, layer)?;
        entries.push(format!(r#"{{"digest":"{}"}}"#, digest(layer)));
    }
    let manifest = format!(
        r#"{{"config":{{"digest":"{}"}},"layers":[{}]}}"#,
        digest(&config),
        entries.join(",")
    );
    put(lease, manifest.as_bytes())?;
    Ok(digest(manifest.as_bytes()))
}

/// All that a pull does.
fn pull(store: &Store, number: u64) -> Result<(), StoreError> {
    let lease = store.lease()?;
    let manifest = put_image(&lease, number)?;
    store.set_reference(&format!("image:{number}"), &store.descriptor(&manifest)?)
}

/// Every image that has a name is whole, and every blob is what it should be.
fn assert_consistent(store: &Store) {
    for reference in store.references().expect("references") {
        let number = reference.name.rsplit(':').next().expect("a number");
        let number = number.parse().expect("a number");
        let scratch = tempfile::tempdir().expect("directory");
        let other = Store::open(scratch.path()).expect("store");
        let wanted = put_image(&other.lease().expect("lease"), number).expect("put");
        assert_eq!(reference.digest().expect("digest"), wanted);
        for blob in blobs(&other) {
            assert!(
                store.has_blob(&blob).expect("has"),
                "{}: {blob}",
                reference.name
            );
        }
    }
    for blob in blobs(store) {
        store.verify(&blob).expect("whole");
    }
}

fn blobs(store: &Store) -> Vec<Digest> {
    let directory = store.root().join("blobs/sha256");
    std::fs::read_dir(directory)
        .expect("blobs")
        .map(|entry| entry.expect("entry").file_name())
        .map(|name| Digest::parse(&format!("sha256:{}", name.to_string_lossy())).expect("digest"))
        .collect()
}
