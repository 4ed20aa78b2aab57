//! Blobs and references.

use std::fs;
use std::thread;

use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

use super::{descriptor, digest, put, store};
use crate::store::{Claim, Store, StoreError};

#[test]
fn a_blob_reads_as_it_was_written() {
    let (_root, store) = store();
    let digest = put(&store.lease().expect("lease"), b"clay");
    let blob = store.blob(&digest).expect("blob");
    assert_eq!(blob.len_bytes(), 4);
    assert_eq!(blob.read(10).expect("read"), b"clay");
    let too_long = store.blob(&digest).expect("blob").read(3);
    assert!(matches!(too_long, Err(StoreError::TooLarge { .. })));
    let other = store.blob(&super::digest(b"other"));
    assert!(matches!(other, Err(StoreError::MissingBlob { .. })));
}

#[test]
fn a_writer_resumes_what_another_left() {
    let (_root, store) = store();
    let lease = store.lease().expect("lease");
    let digest = super::digest(b"half and half");
    let mut writer = lease.writer(&digest, 13).expect("claim").expect("writer");
    writer.write(b"half and").expect("write");
    let early = writer.commit();
    assert!(matches!(
        early,
        Err(StoreError::WrongSize { found_bytes: 8, .. })
    ));
    let mut writer = lease.writer(&digest, 13).expect("claim").expect("writer");
    assert_eq!(writer.offset(), 8);
    writer.write(b" half").expect("write");
    writer.commit().expect("commit");
    assert_eq!(
        store.blob(&digest).expect("blob").read(13).expect("read"),
        b"half and half"
    );
    assert!(lease.writer(&digest, 13).expect("claim").is_none());
    assert_eq!(
        fs::read_dir(store.root().join("partial"))
            .expect("partial")
            .count(),
        0
    );
}

#[test]
fn a_lie_is_not_stored() {
    let (_root, store) = store();
    let lease = store.lease().expect("lease");
    let digest = super::digest(b"truth");
    let mut writer = lease.writer(&digest, 5).expect("claim").expect("writer");
    let long = writer.write(b"truth and more");
    assert!(matches!(
        long,
        Err(StoreError::TooLong { size_bytes: 5, .. })
    ));
    writer.write(b"false").expect("write");
    let wrong = writer.commit();
    assert!(matches!(wrong, Err(StoreError::WrongDigest { .. })));
    assert!(!store.has_blob(&digest).expect("has"));
    let mut writer = lease.writer(&digest, 5).expect("claim").expect("writer");
    assert_eq!(writer.offset(), 0, "what is wrong is not resumed");
    writer.write(b"tru").expect("write");
    writer.restart().expect("restart");
    writer.write(b"truth").expect("write");
    writer.commit().expect("commit");
    let size = lease.writer(&digest, 6);
    assert!(
        matches!(size, Err(StoreError::WrongSize { .. })),
        "{size:?}"
    );
}

#[test]
fn damage_is_found_moved_away_and_written_again() {
    let (_root, store) = store();
    let lease = store.lease().expect("lease");
    let digest = put(&lease, b"whole");
    for wrong in [b"whale".as_slice(), b"who"] {
        fs::write(store.blob_path(&digest), wrong).expect("damage");
        let read = store.blob(&digest).expect("blob").read(10);
        let Err(StoreError::Damaged { digest: named, .. }) = read else {
            panic!("{read:?}");
        };
        assert_eq!(named, digest.to_string());
        assert!(!store.has_blob(&digest).expect("has"));
        assert!(store.damaged_path(&digest).exists());
        put(&lease, b"whole");
        assert_eq!(
            store.blob(&digest).expect("blob").read(10).expect("read"),
            b"whole"
        );
    }
    // A wrong length shows when it is to be written.
    fs::write(store.blob_path(&digest), b"who").expect("damage");
    put(&lease, b"whole");
    assert_eq!(
        store.blob(&digest).expect("blob").read(10).expect("read"),
        b"whole"
    );
}

#[test]
fn one_writes_while_others_wait() {
    let (_root, store) = store();
    let lease = store.lease().expect("lease");
    let digest = super::digest(b"once");
    let mut writer = lease.writer(&digest, 4).expect("claim").expect("writer");
    assert!(matches!(lease.try_writer(&digest, 4), Ok(Claim::Busy)));
    thread::scope(|scope| {
        let waiters: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let lease = store.lease().expect("lease");
                    lease.writer(&digest, 4).expect("claim").is_none()
                })
            })
            .collect();
        writer.write(b"once").expect("write");
        writer.commit().expect("commit");
        for waiter in waiters {
            assert!(waiter.join().expect("thread"), "it is there already");
        }
    });
    assert!(matches!(lease.try_writer(&digest, 4), Ok(Claim::Stored)));
}

#[test]
fn references_name_what_is_there() {
    let (root, store) = store();
    let absent = store.set_reference("a:1", &descriptor(b"{}"));
    assert!(matches!(absent, Err(StoreError::MissingBlob { .. })));
    let lease = store.lease().expect("lease");
    put(&lease, b"{}");
    put(&lease, b"[]");
    store.set_reference("b:1", &descriptor(b"{}")).expect("set");
    store.set_reference("a:1", &descriptor(b"{}")).expect("set");
    store.set_reference("b:1", &descriptor(b"[]")).expect("set");
    let again = Store::open(root.path()).expect("store");
    let names: Vec<_> = again
        .references()
        .expect("references")
        .into_iter()
        .map(|reference| (reference.name.clone(), reference.digest().expect("digest")))
        .collect();
    assert_eq!(
        names,
        [
            ("a:1".to_owned(), digest(b"{}")),
            ("b:1".to_owned(), digest(b"[]"))
        ]
    );
    store.remove_reference("a:1").expect("remove");
    let gone = store.remove_reference("a:1");
    assert!(matches!(gone, Err(StoreError::UnknownReference { .. })));
    assert!(store.reference("b:1").is_ok());
}

#[test]
fn threads_set_references_at_once() {
    let (_root, store) = store();
    put(&store.lease().expect("lease"), b"{}");
    thread::scope(|scope| {
        for number in 0..8 {
            let store = &store;
            scope.spawn(move || {
                let name = format!("image:{number}");
                store.set_reference(&name, &descriptor(b"{}")).expect("set");
            });
        }
    });
    assert_eq!(store.references().expect("references").len(), 8);
}

#[test]
fn a_damaged_index_is_named() {
    let (_root, store) = store();
    fs::write(store.root().join("index.json"), b"{").expect("damage");
    assert!(matches!(store.references(), Err(StoreError::Index { .. })));
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// Each piece is written by a writer that resumes, or by the same one, or after
    /// a restart.
    #[test]
    fn any_interruptions_give_the_same_blob(
        pieces in proptest::collection::vec((any::<Vec<u8>>(), 0..4_u8), 0..12),
        is_wrong in any::<bool>(),
    ) {
        let (_root, store) = store();
        let lease = store.lease().expect("lease");
        let whole: Vec<u8> = pieces.iter().flat_map(|(piece, _)| piece.clone()).collect();
        let mut promised = whole.clone();
        if is_wrong {
            promised.push(0);
        }
        let digest = digest(&promised);
        let size = whole.len() as u64;
        let claim = || lease.writer(&digest, size).expect("claim").expect("writer");
        let mut writer = claim();
        let mut written = Vec::new();
        for (piece, step) in pieces {
            match step {
                0 => {
                    drop(writer);
                    writer = claim();
                }
                1 => {
                    writer.restart().expect("restart");
                    writer.write(&written).expect("write");
                }
                _ => {}
            }
            prop_assert_eq!(writer.offset(), written.len() as u64);
            writer.write(&piece).expect("write");
            written.extend_from_slice(&piece);
        }
        match writer.commit() {
            Ok(()) => {
                prop_assert!(!is_wrong);
                let blob = store.blob(&digest).expect("blob");
                prop_assert_eq!(blob.read(size).expect("read"), whole);
            }
            Err(StoreError::WrongDigest { .. }) => prop_assert!(is_wrong),
            Err(error) => panic!("{error}"),
        }
        prop_assert_eq!(store.usage().expect("usage").partial.count, 0);
    }
}
