//! Random trees, read back by `fsck.erofs`, which shares no code with the writer.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use proptest::collection::vec;
use proptest::prelude::{Strategy, any};
use proptest::{prop_assert, prop_assert_eq, proptest};

use super::{BLOCK_BYTES, Plan, SUPERBLOCK_OFFSET};
use crate::progress::NoProgress;
use crate::rootfs::RootFs;
use crate::rootfs::storage::{FileData, Storage};
use crate::rootfs::tree::{Attributes, InodeId, Kind, Tree};

/// A file to be: its path, its size and its permissions.
type Entry = (Vec<Vec<u8>>, usize, u16);

fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_map(|byte| {
        if byte == 0 || byte == b'/' {
            b'!'
        } else {
            byte
        }
    });
    let dots = |name: Vec<u8>| {
        if name == b"." || name == b".." {
            b"x".to_vec()
        } else {
            name
        }
    };
    // Few short names, so that paths share directories.
    proptest::prop_oneof![
        3 => (b'a'..b'e').prop_map(|byte| vec![byte]),
        1 => vec(byte, 1..256).prop_map(dots),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    let size = proptest::prop_oneof![
        0..100usize,
        1900..2200usize,
        4000..4200usize,
        0..20_000usize
    ];
    (vec(name(), 1..5), size, 0..0o1000u16)
}

fn contents(size: usize) -> Vec<u8> {
    (0..size).map(|index| (index * 7 + size) as u8).collect()
}

/// Adds the entries that have room; a second name for every fourth file.
fn tree(entries: &[Entry]) -> Tree {
    let mut tree = Tree::new();
    for (number, (path, size, mode)) in entries.iter().enumerate() {
        let parts: Vec<_> = path.iter().map(Vec::as_slice).collect();
        let Some((last, parents)) = parts.split_last() else {
            continue;
        };
        let Ok(parent) = tree.make_directories(parents, 0) else {
            continue;
        };
        if tree.child(parent, last).is_some() {
            continue;
        }
        let kind = match number % 5 {
            4 => Kind::Symlink(vec![b'l'; 1 + size % 4000]),
            _ => Kind::File(FileData::Bytes(contents(*size).into())),
        };
        // Readable, so that the test may look at it without privileges.
        let mut attributes = Attributes::with_mode(mode | 0o400);
        if number % 3 == 0 {
            attributes
                .xattrs
                .insert(b"user.test".to_vec(), vec![b'v'; size % 3000]);
        }
        let id = tree.add(attributes, kind);
        tree.link(parent, last, id, 0);
        if number % 4 == 0 {
            tree.link(InodeId::ROOT, format!("again-{number}").as_bytes(), id, 0);
        }
    }
    tree
}

/// Compares what `fsck.erofs` has extracted with the tree.
fn compare(
    tree: &Tree,
    id: InodeId,
    path: &Path,
) -> Result<(), proptest::test_runner::TestCaseError> {
    let inode = tree.inode(id);
    let metadata = path.symlink_metadata().expect("metadata");
    match &inode.kind {
        Kind::Directory(names) => {
            prop_assert_eq!(fs::read_dir(path).expect("directory").count(), names.len());
            for (name, dentry) in names {
                compare(
                    tree,
                    dentry.inode,
                    &path.join(std::ffi::OsStr::from_bytes(name)),
                )?;
            }
        }
        Kind::Symlink(target) => {
            let found = fs::read_link(path).expect("link");
            prop_assert_eq!(found.as_os_str().as_bytes(), target.as_slice());
        }
        Kind::File(FileData::Bytes(bytes)) => {
            prop_assert!(fs::read(path).expect("file") == bytes[..]);
            prop_assert_eq!(
                metadata.permissions().mode() & 0o777,
                u32::from(inode.attributes.mode)
            );
        }
        other => panic!("{other:?} was not made"),
    }
    Ok(())
}

/// Writes the tree as an image and compares what is read back of it.
fn read_back(
    entries: &[Entry],
    first_block: u64,
) -> Result<(), proptest::test_runner::TestCaseError> {
    let directory = tempfile::tempdir().expect("directory");
    let storage = Storage::new_in(directory.path()).expect("storage");
    let rootfs = RootFs {
        tree: tree(entries),
        storage,
        hot: Vec::new(),
    };
    let plan = Plan::new(&rootfs, first_block).expect("plan");
    let mut bytes = Vec::new();
    plan.write(&mut bytes, &mut NoProgress).expect("write");
    let start = first_block * BLOCK_BYTES;
    prop_assert_eq!(start + bytes.len() as u64, plan.end_bytes());

    let image = directory.path().join("image");
    let file = fs::File::create(&image).expect("create");
    file.write_all_at(&bytes, start).expect("write");
    let superblock = plan.superblock().encode();
    file.write_all_at(&superblock, SUPERBLOCK_OFFSET as u64)
        .expect("write");

    let extracted = directory.path().join("extracted");
    let argument = format!("--extract={}", extracted.display());
    let output = Command::new("fsck.erofs")
        .arg(argument)
        .arg(&image)
        .output()
        .expect("fsck.erofs, of Debian's erofs-utils");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    prop_assert!(output.status.success() && !said.contains("<E>"), "{}", said);
    compare(&rootfs.tree, InodeId::ROOT, &extracted)
}

#[test]
fn a_root_directory_that_fills_a_block_is_found() {
    // From 4,001 to 4,032 bytes of names the inode and its tail fit into a block,
    // but not into the first one, where a slot is left out.
    let full: Vec<Entry> = (b'a'..b'o')
        .map(|byte| (vec![vec![byte; 255]], 10, 0o644))
        .collect();
    for last in (140..=190).step_by(5) {
        let mut entries = full.clone();
        entries.push((vec![vec![b'z'; last]], 10, 0o644));
        read_back(&entries, 1).expect("same tree");
    }
}

proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 24, ..Default::default() })]

    #[test]
    fn random_trees_read_back(entries in vec(entry(), 0..150), first_block in 1..300u64) {
        read_back(&entries, first_block)?;
    }
}
