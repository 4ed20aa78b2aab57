//! Many processes at once, and killed at any moment.

use std::io::{BufRead, BufReader};
use std::process::Child;
use std::time::Duration;

use unikiln_builder::Store;

use crate::task::{BLOB_BYTES, command, said};
use crate::{assert_consistent, blobs, bytes, digest, pull, put};

fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().expect("directory");
    let store = Store::open(directory.path()).expect("store");
    (directory, store)
}

/// Waits until the process says `word`.
fn wait_for(child: &mut Child, word: &str) {
    let out = child.stdout.take().expect("piped");
    let mut lines = BufReader::new(out).lines();
    let found = lines.any(|line| line.expect("line").ends_with(word));
    assert!(found, "it never said {word}");
}

#[test]
fn one_of_many_writes_a_blob() {
    let (root, store) = store();
    let start = |_| command("write", root.path()).spawn().expect("process");
    let children: Vec<_> = (0..4).map(start).collect();
    let said: Vec<_> = children.into_iter().map(said).collect();
    let wrote = said.iter().filter(|said| said.contains("said wrote"));
    assert_eq!(wrote.count(), 1, "{said:?}");
    let found = said.iter().filter(|said| said.contains("said found"));
    assert_eq!(found.count(), 3, "{said:?}");
    store.verify(&digest(&bytes(7, BLOB_BYTES))).expect("whole");
    assert_eq!(store.usage().expect("usage").partial.count, 0);
}

#[test]
fn a_killed_writer_loses_nothing() {
    let (root, store) = store();
    pull(&store, 1).expect("pull");
    let mut child = command("half", root.path()).spawn().expect("process");
    wait_for(&mut child, "said half");
    // Its lease and its lock are alive.
    assert_eq!(store.collect().expect("collect").total().count, 0);
    child.kill().expect("kill");
    child.wait().expect("wait");

    assert_consistent(&store);
    let freed = store.collect().expect("collect");
    assert_eq!(freed.total().count, 0, "the half blob waits to be resumed");
    let leases = root.path().join("leases").read_dir().expect("leases");
    assert_eq!(leases.count(), 0);
    let all = bytes(7, BLOB_BYTES);
    let lease = store.lease().expect("lease");
    let writer = lease.writer(&digest(&all), all.len() as u64);
    let writer = writer.expect("claim").expect("writer");
    assert_eq!(writer.offset() as usize, BLOB_BYTES / 2);
    drop(writer);
    assert!(put(&lease, &all).expect("put"));
    store.verify(&digest(&all)).expect("whole");
}

#[test]
fn collection_takes_nothing_from_a_pull() {
    let (root, store) = store();
    let numbers = ["pull 1 2 3 4 5 6", "pull 4 5 6 7 8 9", "pull 1 3 5 7 9 11"];
    let mut children: Vec<_> = numbers
        .iter()
        .map(|task| command(task, root.path()).spawn().expect("process"))
        .collect();
    let mut collected = 0;
    while children
        .iter_mut()
        .any(|child| child.try_wait().expect("wait").is_none())
    {
        store.collect().expect("collect");
        collected += 1;
    }
    for child in children {
        said(child);
    }
    assert!(collected > 0);
    store.collect().expect("collect");
    let references = store.references().expect("references");
    assert_eq!(references.len(), 10, "{references:?}");
    assert_consistent(&store);
    // A manifest, a configuration and a layer each, and the layer of all.
    assert_eq!(blobs(&store).len(), 31);
}

#[test]
fn killed_at_any_moment_it_is_consistent() {
    let (root, store) = store();
    for round in 0_u64..8 {
        let start = |seed| {
            let task = format!("churn {seed}");
            command(&task, root.path()).spawn().expect("process")
        };
        let mut children = [start(round), start(100 + round)];
        for child in &mut children {
            wait_for(child, "said begun");
        }
        std::thread::sleep(Duration::from_millis(3 + 11 * round));
        for child in &mut children {
            child.kill().expect("kill");
            child.wait().expect("wait");
        }
        let store = Store::open(store.root()).expect("store");
        assert_consistent(&store);
        store.collect().expect("collect");
        assert_consistent(&store);
    }
    for number in 0..5 {
        pull(&store, number).expect("pull");
        store
            .remove_reference(&format!("image:{number}"))
            .expect("remove");
    }
    store.collect().expect("collect");
    assert_eq!(blobs(&store).len(), 0);
}
