//! What layers mean: merging, hiding, linking, and every way to write a name.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::process::Command;

use tar::{EntryType, Header};

use crate::image::{Layer, Layout, Tar};
use crate::view::View;

/// Builds the layers and mounts the result.
fn view(layers: &[Layer]) -> Option<View> {
    let layout = Layout::new(layers);
    layout.build().expect("build");
    // The mount holds the file, so the layout may go.
    View::new(&layout.output())
}

#[test]
fn whiteouts_hide_lower_layers_only() {
    let lower = Tar::new()
        .file("a/gone", "1")
        .file("a/kept", "2")
        .file("b/x/deep", "3")
        .gzip();
    let upper = Tar::new()
        .file("a/.wh.gone", "")
        .file("a/.wh.never-there", "")
        .file("c/new", "4")
        // Of this same layer: the whiteout does not reach it.
        .file("c/.wh.new", "")
        .file("b/.wh.x", "")
        .gzip();
    let Some(view) = view(&[lower, upper]) else {
        return;
    };
    assert!(!view.has("a/gone") && !view.has("b/x") && !view.has("a/.wh.gone"));
    assert_eq!(view.text("a/kept"), "2");
    assert_eq!(view.text("c/new"), "4");
}

#[test]
fn an_opaque_directory_keeps_only_its_own_layer() {
    let lower = Tar::new()
        .file("d/old", "1")
        .file("d/sub/old", "2")
        .file("d/both", "3")
        .gzip();
    let upper = Tar::new()
        .file("d/both", "4")
        .file("d/sub/new", "5")
        .file("d/.wh..wh..opq", "")
        .file("d/after", "6")
        .gzip();
    let Some(view) = view(&[lower, upper]) else {
        return;
    };
    assert!(!view.has("d/old") && !view.has("d/sub/old"));
    assert_eq!(view.text("d/both"), "4");
    assert_eq!(view.text("d/sub/new"), "5");
    assert_eq!(view.text("d/after"), "6");
}

#[test]
fn later_members_replace_earlier_ones_and_directories_merge() {
    let lower = Tar::new()
        .file("file-to-dir", "1")
        .file("dir-to-file/below", "2")
        .file("merged/low", "3")
        .symlink("link-to-dir", "merged")
        .gzip();
    let upper = Tar::new().file("file-to-dir/below", "never").gzip();
    // A file as parent is an error, so the directory must come first.
    let layout = Layout::new(&[lower, upper]);
    assert!(layout.build().is_err());

    let lower = Tar::new()
        .file("file-to-dir", "1")
        .file("dir-to-file/below", "2")
        .file("merged/low", "3")
        .symlink("link-to-dir", "merged")
        .gzip();
    let upper = Tar::new()
        .directory("file-to-dir/")
        .file("file-to-dir/below", "4")
        .file("dir-to-file", "5")
        .directory("merged/")
        .file("link-to-dir/through", "6")
        .gzip();
    let Some(view) = view(&[lower, upper]) else {
        return;
    };
    assert_eq!(view.text("file-to-dir/below"), "4");
    assert_eq!(view.text("dir-to-file"), "5");
    assert_eq!(view.text("merged/low"), "3");
    assert_eq!(view.text("merged/through"), "6");
    let merged = view.path("merged").metadata().expect("metadata");
    assert_eq!(
        (merged.uid(), merged.gid(), merged.mtime()),
        (1, 2, 1_700_000_000)
    );
}

#[test]
fn links_stay_inside_the_root() {
    let layer = Tar::new()
        .file("etc/passwd", "root of the image")
        .symlink("abs", "/etc/passwd")
        .symlink("up", "../../../../etc")
        .symlink("etc-link", "/etc")
        .file("etc-link/made", "inside")
        .file("up/too", "inside too")
        .hard_link("hard", "/etc/passwd")
        .gzip();
    let Some(view) = view(&[layer]) else { return };
    assert_eq!(
        fs::read_link(view.path("abs")).expect("link").to_str(),
        Some("/etc/passwd")
    );
    assert_eq!(view.text("etc/made"), "inside");
    assert_eq!(view.text("etc/too"), "inside too");
    assert_eq!(view.text("hard"), "root of the image");
    let [one, other] = ["hard", "etc/passwd"].map(|name| view.path(name).metadata().expect(name));
    assert_eq!((one.ino(), one.nlink()), (other.ino(), 2));
}

#[test]
fn hard_links_reach_lower_layers_and_survive_replacement() {
    let lower = Tar::new()
        .file("one", "shared")
        .hard_link("two", "one")
        .gzip();
    let upper = Tar::new()
        .hard_link("three", "./two")
        .file("one", "new")
        .gzip();
    let Some(view) = view(&[lower, upper]) else {
        return;
    };
    assert_eq!(view.text("one"), "new");
    assert_eq!(view.text("two"), "shared");
    assert_eq!(view.text("three"), "shared");
    assert_eq!(view.path("two").metadata().expect("two").nlink(), 2);
    assert_eq!(view.path("one").metadata().expect("one").nlink(), 1);
}

#[test]
fn long_names_come_from_gnu_and_pax() {
    let gnu = format!("{}/{}/file", "g".repeat(200), "h".repeat(255));
    let pax = format!("{}/{}", "p".repeat(120), "q".repeat(120));
    let target = "t".repeat(400);
    let layer = Tar::new()
        .with(|tar| {
            let mut header = Header::new_gnu();
            header.set_size(3);
            header.set_mode(0o600);
            header.set_entry_type(EntryType::Regular);
            tar.append_data(&mut header, &gnu, &b"gnu"[..])
                .expect("append");
            let mut header = Header::new_gnu();
            header.set_entry_type(EntryType::Symlink);
            header.set_size(0);
            header.set_mode(0o777);
            tar.append_link(&mut header, "long-link", &target)
                .expect("append");
        })
        .pax(&[
            ("path", pax.as_bytes()),
            ("uid", b"70000"),
            ("mtime", b"1234.5"),
        ])
        .file("short", "pax")
        .gzip();
    let Some(view) = view(&[layer]) else { return };
    assert_eq!(view.text(&gnu), "gnu");
    assert_eq!(view.text(&pax), "pax");
    let metadata = view.path(&pax).metadata().expect("metadata");
    assert_eq!((metadata.uid(), metadata.gid()), (70000, 2));
    assert_eq!(
        (metadata.mtime(), metadata.mtime_nsec()),
        (1234, 500_000_000)
    );
    let link = fs::read_link(view.path("long-link")).expect("link");
    assert_eq!(link.to_str(), Some(target.as_str()));
}

#[test]
fn attributes_with_newlines_and_devices_are_kept() {
    // VFS_CAP_REVISION_2 with CAP_DAC_OVERRIDE and CAP_FOWNER: a newline byte.
    let capability = [
        1, 0, 0, 2, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    let layer = Tar::new()
        .pax(&[
            ("SCHILY.xattr.security.capability", &capability),
            ("SCHILY.xattr.user.note", b"two\nlines"),
            ("path", b"bin/tool"),
        ])
        .file("x", "tool")
        .member(EntryType::Char, "dev/c", "", b"")
        .member(EntryType::Block, "dev/b", "", b"")
        .member(EntryType::Fifo, "dev/f", "", b"")
        .gzip();
    let Some(view) = view(&[layer]) else { return };
    let metadata = ["dev/c", "dev/b", "dev/f"].map(|name| view.path(name).metadata().expect(name));
    assert!(metadata[0].file_type().is_char_device());
    assert!(metadata[1].file_type().is_block_device());
    assert!(metadata[2].file_type().is_fifo());
    // makedev(5, 300)
    assert_eq!(
        metadata[0].rdev(),
        (300 & 0xff) | (5 << 8) | ((300 & !0xff) << 12)
    );
    match Command::new("getcap").arg(view.path("bin/tool")).output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(said.contains("cap_dac_override,cap_fowner=ep"), "{said}");
        }
        Err(error) => eprintln!("SKIP: there is no getcap: {error}"),
    }
}

#[test]
fn every_compression_gives_the_same_file() {
    let tar = || {
        let big = "0123456789abcdef".repeat(100_000);
        Tar::new().file("big", &big).file("small", "x").bytes()
    };
    let mut rootfs = Vec::new();
    for layer in [Layer::gzip(tar()), Layer::zstd(tar()), Layer::plain(tar())] {
        let layout = Layout::new(&[layer]);
        let report = layout.build().expect("build");
        let bytes = fs::read(layout.output()).expect("read");
        rootfs.push(bytes[report.head_bytes as usize..].to_vec());
    }
    assert!(rootfs[0] == rootfs[1] && rootfs[0] == rootfs[2]);
}

#[test]
fn the_same_image_gives_the_same_bytes() {
    let layout = Layout::new(&[Tar::new().file("a", "1").file("b/c", "2").gzip()]);
    let mut files = Vec::new();
    for _ in 0..2 {
        layout.build().expect("build");
        files.push(fs::read(layout.output()).expect("read"));
    }
    assert!(files[0] == files[1]);
}

#[test]
fn odd_sizes_and_crowded_directories_read_back() {
    let sizes = [0, 1, 2047, 2048, 4095, 4096, 4097, 12_288, 70_001];
    let mut tar = Tar::new();
    for size in sizes {
        tar = tar.file(&format!("size/{size}"), &"z".repeat(size));
    }
    for number in 0..3000 {
        tar = tar.file(&format!("many/file-with-a-name-{number}"), "");
    }
    // Sorts before the dots.
    tar = tar
        .file("many/!first", "!")
        .file("many/-", "-")
        .file("many/..x", "x");
    let Some(view) = view(&[tar.gzip()]) else {
        return;
    };
    for size in sizes {
        assert_eq!(view.text(&format!("size/{size}")), "z".repeat(size));
    }
    assert_eq!(fs::read_dir(view.path("many")).expect("read").count(), 3003);
    assert_eq!(view.text("many/!first"), "!");
    assert_eq!(view.text("many/..x"), "x");
    assert!(view.has("many/file-with-a-name-2999") && !view.has("many/file-with-a-name-3000"));
}

#[test]
fn old_gnu_sparse_files_get_their_holes_back() {
    let layer = Tar::new()
        .with(|tar| {
            let mut header = Header::new_gnu();
            header.set_entry_type(EntryType::GNUSparse);
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            header.set_size(1024);
            let gnu = header.as_gnu_mut().expect("gnu");
            gnu.name[..6].copy_from_slice(b"sparse");
            for (piece, (offset, len)) in gnu.sparse.iter_mut().zip([(4096, 512), (10_240, 512)]) {
                piece
                    .offset
                    .copy_from_slice(format!("{offset:011o}\0").as_bytes());
                piece
                    .numbytes
                    .copy_from_slice(format!("{len:011o}\0").as_bytes());
            }
            gnu.realsize
                .copy_from_slice(format!("{:011o}\0", 20_000).as_bytes());
            header.set_cksum();
            tar.append(
                &header,
                [b'A'; 512]
                    .iter()
                    .chain(&[b'B'; 512])
                    .copied()
                    .collect::<Vec<_>>()
                    .as_slice(),
            )
            .expect("append");
        })
        .file("after", "sparse")
        .gzip();
    let Some(view) = view(&[layer]) else { return };
    let mut wanted = vec![0; 20_000];
    wanted[4096..4608].fill(b'A');
    wanted[10_240..10_752].fill(b'B');
    assert!(fs::read(view.path("sparse")).expect("read") == wanted);
    assert_eq!(view.text("after"), "sparse");
}
