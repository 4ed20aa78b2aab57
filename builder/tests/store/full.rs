//! A full disk: a small tmpfs, mounted in a mount namespace of its own.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use unikiln_builder::{BuildOptions, NoProgress, Store, StoreError, build_cached};

use crate::image::{Layer, Layout, Tar};
use crate::skip::{Need, has_all};
use crate::task::{command, said};
use crate::unikernels::import;
use crate::{assert_consistent, blobs, bytes, pull, put};

#[test]
fn a_full_disk_is_told_and_survived() {
    if !has_all("a_full_disk_is_told_and_survived", &[Need::Mounts]) {
        return;
    }
    let root = tempfile::tempdir().expect("directory");
    let task = command("full", root.path());
    let mut unshare = Command::new("unshare");
    unshare
        .args(["--mount", "sh", "-c"])
        .arg("mount -t tmpfs -o size=6m store \"$0\" && exec \"$@\"")
        .arg(root.path())
        .arg(task.get_program())
        .args(task.get_args())
        .envs(
            task.get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    said(unshare.spawn().expect("process"));
}

/// In the namespace.
pub(crate) fn fill(root: &Path) {
    let store = Store::open(root).expect("store");
    pull(&store, 1).expect("pull");
    blob_larger_than_the_disk(&store);
    unikernel_larger_than_the_disk(&store);
    names_on_a_full_disk(&store);
    pull(&store, 2).expect("pull");
    assert_consistent(&store);
}

fn blob_larger_than_the_disk(store: &Store) {
    let error = put(&store.lease().expect("lease"), &bytes(9, 8 << 20)).expect_err("full");
    assert!(error.is_full(), "{error:?}");
    assert!(error.to_string().contains("unikiln rmi"), "{error}");
    assert_consistent(store);
    // What was written of it does not keep the disk full.
    pull(store, 2).expect("pull");
    store.remove_reference("image:2").expect("remove");
    store.collect().expect("collect");
}

fn unikernel_larger_than_the_disk(store: &Store) {
    let text = String::from_utf8(vec![b'x'; 3 << 20]).expect("text");
    let layout = Layout::new(&[Layer::gzip(Tar::new().file("big", &text).bytes())]);
    let image = import(store, &layout, "big:1");
    let lease = store.lease().expect("lease");
    let built = build_cached(&lease, &image, &BuildOptions::default(), &mut NoProgress);
    let message = crate::image::message(&built.expect_err("full"));
    assert!(message.contains("No space left on device"), "{message}");
    assert_eq!(store.usage().expect("usage").unikernels.count, 0);
    drop(lease);
    store.remove_reference("big:1").expect("remove");
    store.collect().expect("collect");
    assert_consistent(store);
}

fn names_on_a_full_disk(store: &Store) {
    let lease = store.lease().expect("lease");
    let manifest = crate::put_image(&lease, 3).expect("put");
    let descriptor = store.descriptor(&manifest).expect("descriptor");
    let filler = store.root().join("filler");
    fill_up(&filler);

    let set = store.set_reference("image:3", &descriptor);
    assert!(matches!(set, Err(StoreError::Full { .. })), "{set:?}");
    let more = store.lease().and_then(|lease| put(&lease, b"more"));
    assert!(matches!(more, Err(StoreError::Full { .. })), "{more:?}");
    assert_eq!(store.references().expect("references").len(), 1);
    assert_consistent(store);

    // To remove works all the same, again and again.
    store.remove_reference("image:1").expect("remove");
    drop(lease);
    assert!(store.collect().expect("collect").blobs.bytes > 0);
    assert_eq!(blobs(store).len(), 0);
    fs::remove_file(&filler).expect("remove");
    assert!(Store::open(store.root()).is_ok());
    assert!(store.root().join("reserve").exists());
}

/// Writes until there is no room for another byte.
fn fill_up(path: &Path) {
    let mut file = File::create(path).expect("filler");
    for len in [64 << 10, 1] {
        let piece = vec![0; len];
        let error = loop {
            if let Err(error) = file.write_all(&piece) {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
