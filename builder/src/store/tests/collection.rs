//! What is collected, and what is not.

use std::fs;
use std::time::{Duration, SystemTime};

use super::{digest, has, put, put_image, refer, store};
use crate::store::StoreError;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[test]
fn what_a_reference_reaches_stays() {
    let (_root, store) = store();
    let lease = store.lease().expect("lease");
    let image = put_image(&lease, "a");
    let other = put_image(&lease, "b");
    // An index with a platform that was never fetched, and something of no image.
    let absent = digest(b"absent");
    let index = format!(
        r#"{{"manifests":[{{"digest":"{}"}},{{"digest":"{absent}"}}]}}"#,
        image[0]
    );
    let index = put(&lease, index.as_bytes());
    let loose = put(&lease, b"loose");
    refer(&store, "a:1", &index);
    drop(lease);

    let freed = store.collect().expect("collect");
    assert_eq!(freed.blobs.count, 4);
    assert!(freed.blobs.bytes > 0);
    assert!(has(&store, &index));
    assert!(image.iter().all(|digest| has(&store, digest)));
    assert!(!other.iter().any(|digest| has(&store, digest)));
    assert!(!has(&store, &loose));

    store.remove_reference("a:1").expect("remove");
    assert_eq!(store.collect().expect("collect").blobs.count, 4);
    assert_eq!(store.usage().expect("usage").total().count, 0);
}

#[test]
fn what_is_held_stays_until_it_is_released() {
    let (_root, store) = store();
    let lease = store.lease().expect("lease");
    let (image, other) = (put_image(&lease, "a"), put_image(&lease, "b"));
    let third = put_image(&lease, "c");
    store.hold("one", &image[0]).expect("hold");
    store.hold("one", &other[0]).expect("hold");
    store.hold("two", &image[0]).expect("hold");
    drop(lease);
    store.collect().expect("collect");
    assert!(image.iter().chain(&other).all(|digest| has(&store, digest)));
    assert!(!has(&store, &third[0]));
    let mut holds = store.holds().expect("holds");
    holds.sort();
    assert_eq!(holds, ["one", "two"]);

    let released = store.release("one").expect("release");
    assert_eq!(released, [image[0].clone(), other[0].clone()]);
    assert!(store.release("one").expect("again").is_empty());
    store.collect().expect("collect");
    assert!(image.iter().all(|digest| has(&store, digest)));
    assert!(!other.iter().any(|digest| has(&store, digest)));
    store.release("two").expect("release");
    store.collect().expect("collect");
    assert_eq!(store.usage().expect("usage").total().count, 0);

    let long = "a".repeat(129);
    for name in ["", "../a", "a/b", ".a", &long] {
        let error = store.hold(name, &image[0]).expect_err(name);
        assert!(matches!(error, StoreError::HoldName { .. }), "{name}");
    }
}

#[test]
fn what_a_lease_keeps_stays() {
    let (_root, store) = store();
    let lease = store.lease().expect("lease");
    let image = put_image(&lease, "a");
    // Another lease that begins with the manifest keeps what it names.
    let user = store.lease().expect("lease");
    assert!(user.has_blob(&image[0]).expect("has"));
    drop(lease);
    store.collect().expect("collect");
    assert!(image.iter().all(|digest| has(&store, digest)));
    let leases = || {
        fs::read_dir(store.root().join("leases"))
            .expect("leases")
            .count()
    };
    assert_eq!(leases(), 1);
    drop(user);
    assert_eq!(leases(), 0);
    store.collect().expect("collect");
    assert!(!image.iter().any(|digest| has(&store, digest)));
}

#[test]
fn a_lease_file_that_nobody_locks_is_removed() {
    let (_root, store) = store();
    let digest = put(&store.lease().expect("lease"), b"left");
    let dead = store.root().join("leases/lease-dead");
    fs::write(&dead, format!("{digest}\n")).expect("write");
    store.collect().expect("collect");
    assert!(!dead.exists());
    assert!(!has(&store, &digest));
}

#[test]
fn a_line_that_was_cut_off_spoils_no_other() {
    let (_root, store) = store();
    let lease = store.lease().expect("lease");
    let path = fs::read_dir(store.root().join("leases")).expect("leases");
    let path = path.map(|entry| entry.expect("entry").path()).next();
    fs::write(path.expect("a lease"), "sha256:0123").expect("write");
    let kept = put(&lease, b"kept");
    store.collect().expect("collect");
    assert!(has(&store, &kept));
}

#[test]
fn a_partial_blob_waits_a_day_and_longer_for_its_writer() {
    let (_root, store) = store();
    let partial = |text: &[u8]| {
        let lease = store.lease().expect("lease");
        let writer = lease.writer(&digest(text), text.len() as u64);
        let mut writer = writer.expect("claim").expect("writer");
        writer.write(&text[..1]).expect("write");
        writer
    };
    let left = partial(b"left");
    let busy = partial(b"busy");
    drop(left);
    let later = SystemTime::now() + DAY / 2;
    assert_eq!(store.collect_at(later).expect("collect").partial.count, 0);
    let later = SystemTime::now() + 2 * DAY;
    assert_eq!(store.collect_at(later).expect("collect").partial.count, 1);
    assert!(busy.digest() == &digest(b"busy"));
    assert_eq!(store.usage().expect("usage").partial.count, 1);
}

#[test]
fn damaged_blobs_go_and_foreign_files_stay() {
    let (_root, store) = store();
    let lease = store.lease().expect("lease");
    let damaged = put(&lease, b"whole");
    fs::write(store.blob_path(&damaged), b"whale").expect("damage");
    let verified = store.verify(&damaged);
    assert!(matches!(verified, Err(StoreError::Damaged { .. })));
    let foreign = store.root().join("blobs/sha256/README");
    fs::write(&foreign, b"not ours").expect("write");
    let freed = store.collect().expect("collect");
    assert_eq!((freed.damaged.count, freed.blobs.count), (1, 0));
    assert!(foreign.exists());
}

#[test]
fn a_damaged_manifest_keeps_nothing_and_breaks_nothing() {
    let (_root, store) = store();
    let lease = store.lease().expect("lease");
    let image = put_image(&lease, "a");
    refer(&store, "a:1", &image[0]);
    drop(lease);
    fs::write(store.blob_path(&image[0]), b"{\"layers\":7").expect("damage");
    assert_eq!(store.collect().expect("collect").blobs.count, 2);
    let descriptor = store.descriptor(&image[0]);
    assert!(matches!(descriptor, Err(StoreError::Damaged { .. })));
    // The name is still there to be removed or pulled again.
    store.remove_reference("a:1").expect("remove");
}
