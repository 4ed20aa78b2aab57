//! A whole tree: links, copies, modes, files that are no programs.

use super::super::link;
use super::program;
use crate::rootfs::RootFs;
use crate::rootfs::storage::{FileData, Storage};
use crate::rootfs::tree::{Attributes, InodeId, Kind, Tree};
use crate::store::Store;

fn add(tree: &mut Tree, name: &str, mode: u16, bytes: &[u8]) -> InodeId {
    let kind = Kind::File(FileData::Bytes(bytes.into()));
    let id = tree.add(Attributes::with_mode(mode), kind);
    tree.link(InodeId::ROOT, name.as_bytes(), id, 0);
    id
}

#[test]
fn a_tree_keeps_its_shape() {
    check_tree(&programs(), None);
}

#[test]
fn what_another_image_has_is_not_rewritten_again() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let programs = programs();
    check_tree(&programs, Some(&store));
    let entries = || store.usage().unwrap().linked.count;
    assert_eq!(entries(), 3, "one for each content");
    // From the store it is the same.
    check_tree(&programs, Some(&store));
    assert_eq!(entries(), 3);
}

/// One with a site that can be bound, and one without.
fn programs() -> [Vec<u8>; 2] {
    [
        program("mov $39, %eax\nsyscall\ntest %eax, %eax"),
        program("syscall\ntest %eax, %eax"),
    ]
}

fn check_tree([file, other]: &[Vec<u8>; 2], store: Option<&Store>) {
    let mut archive = file.clone();
    archive.extend_from_slice(b"appended");
    let mut tree = Tree::new();
    let first = add(&mut tree, "a", 0o4755, file);
    tree.link(InodeId::ROOT, b"link", first, 0);
    let copy = add(&mut tree, "copy", 0o644, file);
    let trapping = add(&mut tree, "other", 0o755, other);
    add(&mut tree, "archive", 0o755, &archive);
    add(&mut tree, "text", 0o755, b"#!/bin/sh\nexit 0\n");
    add(&mut tree, "empty", 0o644, b"");
    let directory = tempfile::tempdir().unwrap();
    let mut rootfs = RootFs {
        tree,
        storage: Storage::new_in(directory.path()).unwrap(),
        hot: Vec::new(),
    };
    let linking = link(&mut rootfs, store).unwrap();

    assert_eq!((linking.files, linking.changed_files), (4, 2));
    assert_eq!((linking.sites, linking.bound_sites), (3, 2));
    let reason = "instructions before it cannot move".to_owned();
    assert_eq!(
        linking.left_sites.into_iter().collect::<Vec<_>>(),
        [(reason, 1)]
    );
    let reason = "data after the ELF file".to_owned();
    assert_eq!(
        linking.left_files.into_iter().collect::<Vec<_>>(),
        [(reason, 1)]
    );

    let tree = &rootfs.tree;
    assert_eq!(tree.child(InodeId::ROOT, b"link"), Some(first));
    assert_eq!(tree.inode(first).attributes.mode, 0o4755);
    let bytes = |id: InodeId| {
        let Kind::File(data) = &tree.inode(id).kind else {
            panic!("no file");
        };
        rootfs.storage.read_start(data, u64::MAX).unwrap()
    };
    assert_ne!(&bytes(first), file);
    assert_eq!(bytes(first), bytes(copy));
    assert_eq!(&bytes(trapping), other);
}
