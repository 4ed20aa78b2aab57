//! Changes over the image.

use linux_raw_sys::general::{O_CREAT, O_DIRECTORY, O_EXCL, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY};

use super::{fails, found, mounted, move_to, names, pattern, read_all, root, unlink, write_all};
use crate::errno::Errno;
use crate::fs::memory::used_pages;
use crate::fs::rename::Mode;
use crate::fs::tree::NewFile;
use crate::fs::{Page, look_up, open, tree};

#[test]
fn writing_copies_up_and_keeps_the_inode_number() {
    let Some(_alone) = mounted() else { return };
    let base = used_pages();
    let old = open(b"/usr/bin/tool", O_RDONLY, 0).expect("opens");
    let before = old.attributes().expect("stats");
    assert_eq!(before.nlink, 2);
    let file = open(b"/usr/bin/tool", O_RDWR, 0).expect("opens for writing");
    assert_eq!(used_pages(), base, "opening copies nothing");
    assert_eq!(file.write_at(5000, b"CHANGED"), Ok(7));
    assert_eq!(used_pages(), base + 1, "one page is copied");
    let mut expected = pattern(10_000);
    expected[5000..5007].copy_from_slice(b"CHANGED");
    // The other hard link and the descriptor from before see it too.
    assert_eq!(read_all("/usr/bin/alias"), Ok(expected.clone()));
    let mut seen = vec![0; 10_000];
    assert_eq!(old.read_at(0, &mut seen), Ok(10_000));
    assert_eq!(seen, expected);
    let after = file.attributes().expect("stats");
    assert_eq!(
        (after.ino, after.device, after.nlink),
        (before.ino, before.device, 2)
    );
    // Truncated and grown again, the image does not show through.
    file.file().truncate(100).expect("truncates");
    file.file().truncate(6000).expect("grows");
    expected.truncate(100);
    expected.resize(6000, 0);
    assert_eq!(read_all("/usr/bin/tool"), Ok(expected));
    assert_eq!(used_pages(), base, "the copied page is free again");
    write_all("/usr/bin/tool", O_WRONLY | O_TRUNC, &pattern(10_000)).expect("restores");
}

#[test]
fn names_come_and_go_over_the_image() {
    let Some(_alone) = mounted() else { return };
    let at = "/etc/conf.d/one";
    assert_eq!(unlink(at), Ok(()));
    assert_eq!(fails(at, O_RDONLY), Errno::ENOENT);
    assert_eq!(names("/etc/conf.d"), ["two"]);
    write_all(at, O_CREAT | O_EXCL | O_WRONLY, b"new").expect("makes");
    assert_eq!(fails(at, O_CREAT | O_EXCL | O_WRONLY), Errno::EEXIST);
    assert_eq!(read_all(at).as_deref(), Ok(&b"new"[..]));
    assert_eq!(names("/etc/conf.d"), ["one", "two"]);
    assert_eq!(
        tree::remove_directory(&root(), found("/etc/conf.d")),
        Err(Errno::ENOTEMPTY)
    );
    unlink(at).expect("removes");
    unlink("/etc/conf.d/two").expect("removes");
    assert_eq!(
        tree::remove_directory(&root(), found("/etc/conf.d")),
        Ok(())
    );
    assert_eq!(fails("/etc/conf.d", O_RDONLY), Errno::ENOENT);
    // A new directory of the same name is opaque.
    tree::create(&root(), &found("/etc/conf.d/"), &NewFile::Directory, 0o755).expect("makes");
    assert!(names("/etc/conf.d").is_empty());
    write_all("/dangling", O_CREAT | O_WRONLY, b"through").expect("makes through the symlink");
    assert_eq!(read_all("/etc/made").as_deref(), Ok(&b"through"[..]));
}

#[test]
fn a_directory_of_the_image_moves_with_all_below() {
    let Some(_alone) = mounted() else { return };
    let inside = open(b"/move/me/inner", O_RDONLY | O_DIRECTORY, 0).expect("opens");
    assert_eq!(inside.path(), b"/move/me/inner");
    assert_eq!(
        move_to("/move/me", "/move/me/inner/x", Mode::Replace),
        Err(Errno::EINVAL)
    );
    assert_eq!(move_to("/move/me", "/empty/moved", Mode::Replace), Ok(()));
    assert_eq!(
        read_all("/empty/moved/inner/file").as_deref(),
        Ok(&b"inside"[..])
    );
    assert_eq!(
        read_all("/empty/moved/inner/../../moved/inner/file").as_deref(),
        Ok(&b"inside"[..])
    );
    assert_eq!(inside.path(), b"/empty/moved/inner");
    assert_eq!(names("/empty"), ["moved"]);
    assert!(names("/move").is_empty());
    let up = found("/empty/moved/..").existing().expect("exists").0;
    assert_eq!(
        up.identity(),
        found("/empty").existing().expect("exists").0.identity()
    );
    assert_eq!(
        move_to("/empty/moved", "/etc/hostname", Mode::Replace),
        Err(Errno::ENOTDIR)
    );
    assert_eq!(
        move_to("/etc/hostname", "/empty/moved", Mode::Replace),
        Err(Errno::EISDIR)
    );
    assert_eq!(
        move_to("/empty/moved", "/deep", Mode::Replace),
        Err(Errno::ENOTEMPTY)
    );
    assert_eq!(
        move_to("/empty/moved", "/move", Mode::NoReplace),
        Err(Errno::EEXIST)
    );
    assert_eq!(
        move_to("/empty/moved/inner", "/deep/a", Mode::Exchange),
        Ok(())
    );
    assert_eq!(
        read_all("/empty/moved/inner/b/c/leaf").as_deref(),
        Ok(&b"leaf"[..])
    );
    assert_eq!(read_all("/deep/a/file").as_deref(), Ok(&b"inside"[..]));
    assert_eq!(
        move_to("/empty/moved/inner", "/deep/a", Mode::Exchange),
        Ok(())
    );
    assert_eq!(read_all("/deep/a/b/c/leaf").as_deref(), Ok(&b"leaf"[..]));
}

#[test]
fn links_count_and_removed_files_stay_readable() {
    let Some(_alone) = mounted() else { return };
    let base = used_pages();
    write_all("/tmp/one", O_CREAT | O_WRONLY, b"data").expect("makes");
    let (node, ..) = found("/tmp/one").existing().expect("exists");
    tree::link(&root(), &node, &found("/tmp/two")).expect("links");
    assert_eq!(node.attributes().expect("stats").nlink, 2);
    assert_eq!(
        move_to("/tmp/one", "/tmp/two", Mode::Replace),
        Ok(()),
        "same file: nothing happens"
    );
    assert_eq!(names("/tmp"), ["one", "two"]);
    let file = open(b"/tmp/two", O_RDWR, 0).expect("opens");
    unlink("/tmp/one").expect("removes");
    assert_eq!(file.path(), b"/tmp/two");
    unlink("/tmp/two").expect("removes");
    assert_eq!(file.attributes().expect("stats").nlink, 0);
    assert_eq!(file.write_at(4, b"more"), Ok(4));
    let mut seen = [0; 8];
    assert_eq!(file.read_at(0, &mut seen), Ok(8));
    assert_eq!(&seen, b"datamore");
    assert_eq!(file.path(), b"/ (deleted)");
    assert_eq!(used_pages(), base + 1);
    drop((file, node));
    assert_eq!(used_pages(), base, "the last close frees the data");
}

#[test]
fn files_are_sparse_and_the_layer_is_limited() {
    let Some(_alone) = mounted() else { return };
    let base = used_pages();
    let file = open(b"/tmp/sparse", O_CREAT | O_RDWR, 0o600).expect("makes");
    assert_eq!(file.write_at(1 << 40, b"end"), Ok(3));
    assert_eq!(file.size(), (1 << 40) + 3);
    assert_eq!(file.attributes().expect("stats").blocks, 8);
    let seek = linux_raw_sys::general::SEEK_DATA;
    assert_eq!(file.seek(10, seek), Ok(1 << 40));
    let mut zeros = [1; 10];
    assert_eq!(file.read_at(5000, &mut zeros), Ok(10));
    assert_eq!(zeros, [0; 10]);
    let chunk = vec![7; 1 << 20];
    let mut at = 0;
    let full = loop {
        match file.write_at(at, &chunk) {
            Ok(count) => at += count as u64,
            Err(errno) => break errno,
        }
    };
    assert_eq!(full, Errno::ENOSPC);
    unlink("/tmp/sparse").expect("removes");
    drop(file);
    assert_eq!(used_pages(), base);
}

#[test]
fn pages_are_the_image_until_written() {
    let Some(_alone) = mounted() else { return };
    let file = open(b"/usr/lib/whole", O_RDONLY, 0).expect("opens");
    assert!(matches!(file.page(0), Ok(Page::Rootfs { .. })));
    assert!(matches!(file.page(1), Ok(Page::Rootfs { .. })));
    assert_eq!(file.page(2).err(), Some(Errno::ENXIO));
    let small = open(b"/etc/hostname", O_RDONLY, 0).expect("opens");
    let Ok(Page::Frame(frame)) = small.page(0) else {
        panic!("an inline tail is copied")
    };
    let mut seen = [1; 8];
    frame.read(0, &mut seen);
    assert_eq!(&seen, b"box\n\0\0\0\0");
    let written = open(b"/usr/lib/whole", O_RDWR, 0).expect("opens");
    let Ok(Page::Frame(frame)) = written.page_for_write(1) else {
        panic!("a frame")
    };
    frame.write(0, b"mapped");
    assert_eq!(
        &read_all("/usr/lib/whole").expect("reads")[4096..4102],
        b"mapped"
    );
}

#[test]
fn remembered_paths_are_forgotten_when_they_change() {
    let Some(_alone) = mounted() else { return };
    let look = |path: &str| {
        let found = look_up(&root(), None, path.as_bytes(), true).ok()?;
        found
            .node
            .map(|node| node.attributes().expect("stats").size)
    };
    for _ in 0..3 {
        assert_eq!(look("/cached/one/file"), Some(3));
        assert_eq!(look("/cached/one/none"), None);
        assert_eq!(look("/cached/link/file"), Some(3));
    }
    // The file itself changes: no directory does.
    write_all("/cached/one/file", O_WRONLY, b"longer").expect("writes");
    assert_eq!(look("/cached/one/file"), Some(6));
    write_all("/cached/one/none", O_CREAT | O_WRONLY, b"x").expect("makes");
    assert_eq!(look("/cached/one/none"), Some(1));
    unlink("/cached/one/none").expect("removes");
    assert_eq!(look("/cached/one/none"), None);
    assert_eq!(look("/cached/two/file"), Some(2));
    move_to("/cached/two", "/cached/three", Mode::Replace).expect("moves");
    assert_eq!(look("/cached/two/file"), None);
    assert_eq!(look("/cached/three/file"), Some(2));
    unlink("/cached/link").expect("removes");
    assert_eq!(look("/cached/link/file"), None);
    assert_eq!(look("/absent"), None);
    write_all("/absent", O_CREAT | O_WRONLY, b"").expect("makes");
    assert_eq!(look("/absent"), Some(0));
    unlink("/absent").expect("removes");
    assert_eq!(look("/absent"), None);
}
