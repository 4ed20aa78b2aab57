//! Entries are read as they were written, or not at all.

use std::fs;
use std::time::{Duration, SystemTime};

use super::store;

#[test]
fn a_damaged_entry_is_none_and_is_written_anew() {
    let (_root, store) = store();
    let digest = [7; 32];
    assert_eq!(store.linked(&digest).expect("read"), None);
    store.keep_linked(&digest, b"text").expect("keep");
    assert_eq!(
        store.linked(&digest).expect("read").as_deref(),
        Some(&b"text"[..])
    );
    let path = store.linked_path(&digest);
    let whole = fs::read(&path).expect("entry");
    let mut wrong = whole.clone();
    wrong[whole.len() - 1] ^= 1;
    for damaged in [&wrong[..], &whole[..whole.len() - 1], &whole[..10], b""] {
        fs::write(&path, damaged).expect("damage");
        assert_eq!(store.linked(&digest).expect("read"), None);
    }
    // The entry of another program.
    store.keep_linked(&[8; 32], b"other").expect("keep");
    fs::copy(store.linked_path(&[8; 32]), &path).expect("copy");
    assert_eq!(store.linked(&digest).expect("read"), None);
    store.keep_linked(&digest, b"text").expect("keep");
    assert_eq!(
        store.linked(&digest).expect("read").as_deref(),
        Some(&b"text"[..])
    );
}

#[test]
fn entries_go_when_they_are_not_used() {
    let (_root, store) = store();
    let day = Duration::from_secs(24 * 60 * 60);
    store.keep_linked(&[1; 32], b"used").expect("keep");
    store.keep_linked(&[2; 32], b"not used").expect("keep");
    let old = SystemTime::now() - 31 * day;
    for digest in [[1; 32], [2; 32]] {
        let file = fs::File::open(store.linked_path(&digest)).expect("entry");
        file.set_modified(old).expect("time");
    }
    assert!(store.linked(&[1; 32]).expect("read").is_some());
    assert_eq!(store.collect().expect("collect").linked.count, 1);
    assert!(store.linked(&[1; 32]).expect("read").is_some());
    assert!(store.linked(&[2; 32]).expect("read").is_none());
}
