//! Unikernels are built once, and go with their image.

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use super::{put_image, refer, store};
use crate::store::StoreError;

fn write(path: &Path) -> Result<(), StoreError> {
    fs::write(path, b"unikernel").map_err(StoreError::writing(path))
}

#[test]
fn a_unikernel_is_built_once_for_each_key() {
    let (_root, store) = store();
    let lease = store.lease().expect("lease");
    let [image, ..] = put_image(&lease, "a");
    let built = Cell::new(0);
    let make = |key| {
        lease.unikernel(&image, key, |path| {
            built.set(built.get() + 1);
            write(path)
        })
    };
    let first = make("one").expect("build");
    assert_eq!(fs::read(&first).expect("read"), b"unikernel");
    assert_eq!(make("one").expect("build"), first);
    assert_eq!(built.get(), 1);
    assert_ne!(make("two").expect("build"), first);
    assert_eq!(built.get(), 2);
    assert_eq!(store.usage().expect("usage").unikernels.count, 2);
}

#[test]
fn a_failure_leaves_nothing_and_the_next_builds() {
    let (_root, store) = store();
    let lease = store.lease().expect("lease");
    let [image, ..] = put_image(&lease, "a");
    let failed = lease.unikernel(&image, "key", |path| {
        write(path)?;
        Err(StoreError::NoHome)
    });
    assert!(matches!(failed, Err(StoreError::NoHome)));
    assert_eq!(store.usage().expect("usage").unikernels.count, 0);
    lease.unikernel(&image, "key", write).expect("build");
}

#[test]
fn threads_that_want_the_same_build_it_once() {
    let (_root, store) = store();
    let [image, ..] = put_image(&store.lease().expect("lease"), "a");
    let built = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let lease = store.lease().expect("lease");
                let path = lease.unikernel(&image, "key", |path| {
                    built.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(20));
                    write(path)
                });
                assert!(path.expect("build").exists());
            });
        }
    });
    assert_eq!(built.into_inner(), 1);
    assert_eq!(
        fs::read_dir(store.building_path())
            .expect("building")
            .count(),
        0
    );
}

#[test]
fn a_unikernel_goes_with_its_image_or_when_it_is_not_used() {
    let (_root, store) = store();
    let lease = store.lease().expect("lease");
    let [a, ..] = put_image(&lease, "a");
    let [b, ..] = put_image(&lease, "b");
    let of_a = lease.unikernel(&a, "key", write).expect("build");
    let of_b = lease.unikernel(&b, "key", write).expect("build");
    refer(&store, "a:1", &a);
    drop(lease);
    assert_eq!(store.collect().expect("collect").unikernels.count, 1);
    assert!(of_a.exists() && !of_b.exists());
    let later = SystemTime::now() + Duration::from_secs(31 * 24 * 60 * 60);
    store.collect_at(later).expect("collect");
    assert!(!of_a.exists());
    store.remove_reference("a:1").expect("remove");
    store.collect().expect("collect");
    assert_eq!(
        fs::read_dir(store.unikernels_path())
            .expect("unikernels")
            .count(),
        0
    );
}

#[test]
fn what_a_dead_builder_left_is_collected_and_a_living_one_is_not_disturbed() {
    let (_root, store) = store();
    let lease = store.lease().expect("lease");
    let [image, ..] = put_image(&lease, "a");
    let dead = store.building_path().join("dead");
    fs::create_dir_all(&dead).expect("directory");
    fs::write(dead.join(".unikiln-1"), b"half").expect("write");
    let path = lease.unikernel(&image, "key", |path| {
        assert_eq!(store.collect()?.unikernels.count, 1);
        write(path)
    });
    assert!(path.expect("build").exists());
    assert!(!dead.exists());
}
