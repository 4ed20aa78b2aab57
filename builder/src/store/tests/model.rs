//! Any order of changes, against a model that knows what must be there.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::{Strategy, any, prop_oneof, proptest};

use super::{has, put_image, refer, store};
use crate::store::{Lease, StoreError};

#[derive(Clone, Debug)]
enum Change {
    /// Writes an image under a new lease, names it, and ends the lease.
    Pull {
        image: u8,
        name: u8,
    },
    /// Removes a name.
    Remove {
        name: u8,
    },
    /// Keeps an image by a lease of its own.
    Use {
        image: u8,
    },
    /// Ends that lease.
    Release {
        image: u8,
    },
    Collect,
}

fn change() -> impl Strategy<Value = Change> {
    let image = || any::<u8>().prop_map(|number| number % 4);
    let name = || any::<u8>().prop_map(|number| number % 3);
    prop_oneof![
        (image(), name()).prop_map(|(image, name)| Change::Pull { image, name }),
        name().prop_map(|name| Change::Remove { name }),
        image().prop_map(|image| Change::Use { image }),
        image().prop_map(|image| Change::Release { image }),
        proptest::strategy::Just(Change::Collect),
    ]
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]

    #[test]
    fn collection_removes_what_nobody_reaches(
        changes in proptest::collection::vec(change(), 1..24)
    ) {
        let (_root, store) = store();
        let mut digests = BTreeMap::new();
        let mut names: BTreeMap<u8, u8> = BTreeMap::new();
        let mut leases: BTreeMap<u8, Lease> = BTreeMap::new();
        let mut there = BTreeSet::new();
        for change in changes {
            match change {
                Change::Pull { image, name } => {
                    let lease = store.lease().expect("lease");
                    let digest = put_image(&lease, &format!("image {image}"));
                    refer(&store, &name.to_string(), &digest[0]);
                    digests.insert(image, digest);
                    names.insert(name, image);
                    there.insert(image);
                }
                Change::Remove { name } => {
                    let removed = store.remove_reference(&name.to_string());
                    match names.remove(&name) {
                        Some(_) => removed.expect("removed"),
                        None => assert!(matches!(
                            removed,
                            Err(StoreError::UnknownReference { .. })
                        )),
                    }
                }
                Change::Use { image } => {
                    if let Some([manifest, ..]) = digests.get(&image) {
                        let lease = store.lease().expect("lease");
                        assert_eq!(lease.has_blob(manifest).expect("has"), there.contains(&image));
                        leases.insert(image, lease);
                    }
                }
                Change::Release { image } => drop(leases.remove(&image)),
                Change::Collect => {
                    store.collect().expect("collect");
                    there.retain(|image| {
                        leases.contains_key(image) || names.values().any(|named| named == image)
                    });
                }
            }
            for (image, digests) in &digests {
                for digest in digests {
                    assert_eq!(has(&store, digest), there.contains(image), "{image}");
                }
            }
        }
    }
}
