//! Layers on the host.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use tar::EntryType;

use crate::image::{Layout, Tar};
use crate::node::Node;
use crate::skip::{Need, has_all};
use unikiln_builder::Store;
use unikiln_daemon::image::LocalImage;
use unikiln_daemon::image::layers::Layers;

fn local(layout: &Layout) -> LocalImage {
    let index = fs::read(layout.path().join("index.json")).expect("index");
    let index: serde_json::Value = serde_json::from_slice(&index).expect("JSON");
    LocalImage {
        manifest: index["manifests"][0]["digest"]
            .as_str()
            .expect("digest")
            .to_owned(),
        ..LocalImage::default()
    }
}

/// Everything that can be seen of a tree.
fn listing(root: &Path) -> BTreeMap<String, String> {
    let mut seen = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(path) = pending.pop() {
        let metadata = path.symlink_metadata().expect("metadata");
        let mut line = format!(
            "{:o} {} {} {}",
            metadata.mode(),
            metadata.uid(),
            metadata.mtime(),
            metadata.nlink()
        );
        if metadata.is_dir() {
            pending.extend(
                fs::read_dir(&path)
                    .expect("directory")
                    .map(|entry| entry.expect("entry").path()),
            );
        } else if metadata.is_file() {
            line += &String::from_utf8_lossy(&fs::read(&path).expect("file"));
        }
        seen.insert(path.display().to_string(), line);
    }
    seen
}

#[test]
fn nothing_outside_a_layers_directory_is_touched() {
    if !has_all("oci breakout", &[Need::Mounts]) {
        return;
    }
    let outside = tempfile::tempdir().expect("directory");
    let secret = outside.path().join("secret");
    fs::write(&secret, "untouched").expect("write");
    fs::set_permissions(&secret, PermissionsExt::from_mode(0o400)).expect("chmod");
    let before = listing(outside.path());
    let out = outside.path().to_str().expect("utf-8");
    let secret = secret.to_str().expect("utf-8");
    let up = format!("{}{out}", "../".repeat(20));
    let shapes = [
        Tar::new().symlink("dir", out).file("dir/new", "new"),
        Tar::new().symlink("dir", &up).file("dir/new", "new"),
        Tar::new()
            .symlink("dir", out)
            .directory("dir/")
            .file("dir/secret", "new"),
        Tar::new()
            .symlink("link", secret)
            .hard_link("hard", "link")
            .file("hard", "new"),
        Tar::new().symlink("link", secret).file("link", "new"),
        Tar::new().hard_link("hard", secret),
        Tar::new().file(&format!("{up}/new"), "new"),
        Tar::new().file(secret, "inside"),
        Tar::new()
            .symlink("a", "b")
            .symlink("b", "a")
            .file("a/new", "new"),
        Tar::new().symlink("dir", out).file("dir/.wh.secret", ""),
        Tar::new().symlink("dir", out).file("dir/.wh..wh..opq", ""),
        Tar::new().file(".wh...", ""),
        Tar::new()
            .member(EntryType::Symlink, "proc", "/proc/self/root", b"")
            .file(&format!("proc{out}/new"), "new"),
        Tar::new()
            .directory("d/")
            .symlink("d/up", "../..")
            .file(&format!("d/up{out}/new"), "new"),
    ];
    let mut contained = 0;
    for (number, shape) in shapes.into_iter().enumerate() {
        let layout = Layout::new(&[shape.gzip()]);
        let layers = Layers::open(layout.path()).expect("store");
        if let Ok(trees) = layers.take(&local(&layout), "test") {
            contained += 1;
            let root = fs::canonicalize(&trees[0].path).expect("path");
            assert!(root.starts_with(fs::canonicalize(layout.path()).expect("path")));
            // A name inside is a name inside, whatever it looks like.
            for path in listing(&trees[0].path).into_keys() {
                assert!(Path::new(&path).starts_with(&trees[0].path), "{path}");
            }
        }
        assert_eq!(listing(outside.path()), before, "shape {number}");
        // What was refused leaves nothing half-made that counts.
        layers.release("test").expect("release");
        assert!(layers.containers().expect("users").is_empty());
    }
    assert!(contained >= 7, "only {contained} shapes were unpacked");
}

#[test]
fn layers_keep_attributes_and_whiteouts() {
    if !has_all("oci layers", &[Need::Mounts]) {
        return;
    }
    let layer = Tar::new()
        .directory("dir/")
        .file("dir/file", "text")
        .hard_link("dir/hard", "dir/file")
        .file("dir/.wh.gone", "")
        .directory("opaque/")
        .file("opaque/.wh..wh..opq", "")
        .pax(&[
            ("SCHILY.xattr.user.note", b"kept"),
            ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
        ])
        .file("noted", "")
        .file("deep/er/file", "");
    let layout = Layout::new(&[layer.gzip()]);
    let layers = Layers::open(layout.path()).expect("store");
    let trees = layers.take(&local(&layout), "test").expect("take");
    let root = &trees[0].path;
    let metadata = |path: &str| root.join(path).symlink_metadata().expect(path);
    let file = metadata("dir/file");
    assert_eq!(
        (file.uid(), file.gid(), file.mode() & 0o7777, file.mtime()),
        (1, 2, 0o644, 1_700_000_000)
    );
    assert_eq!((file.ino(), file.nlink()), (metadata("dir/hard").ino(), 2));
    assert_eq!(metadata("dir").mtime(), 1_700_000_000);
    let gone = metadata("dir/gone");
    assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
    let attribute = |path: &str, name: &str| {
        let mut value = [0; 16];
        let len = rustix::fs::lgetxattr(root.join(path), name, &mut value).ok()?;
        Some(value[..len].to_vec())
    };
    assert_eq!(
        attribute("opaque", "trusted.overlay.opaque"),
        Some(b"y".to_vec())
    );
    assert_eq!(attribute("noted", "user.note"), Some(b"kept".to_vec()));
    assert_eq!(attribute("noted", "trusted.overlay.redirect"), None);
    let mut implied: Vec<_> = trees[0]
        .implied
        .iter()
        .map(|path| String::from_utf8_lossy(path).into_owned())
        .collect();
    implied.sort();
    assert_eq!(implied, [".", "deep", "deep/er"]);
}

#[test]
fn layers_are_stacked_as_the_image_means_them() {
    let upper = [
        Tar::new()
            .file("etc/.wh.group", "")
            .file("sticky/new", "")
            .directory("etc/new/")
            .file("kept/.wh..wh..opq", "")
            .file("kept/only", ""),
        Tar::new().file("etc/new/file", "third\n"),
    ];
    let lower = Tar::new()
        .with(|builder| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(EntryType::Directory);
            header.set_mode(0o1777);
            header.set_size(0);
            header.set_cksum();
            builder
                .append_data(&mut header, "sticky/", std::io::empty())
                .expect("append");
        })
        .directory("kept/")
        .file("kept/old", "");
    let [second, third] = upper;
    let Some(node) = Node::with("runc", "oci stack", vec![lower, second, third]) else {
        return;
    };
    let container = node.container(
        "stat -c '%a %u' /sticky /; ls /kept; cat /etc/new/file; [ ! -e /etc/group ] && cat /etc/passwd | head -n 1",
    );
    assert_eq!(container.run().exit_code, 0, "{:?}", container.said());
    let expected = ["1777 0", "755 1", "only", "third", "root:x:0:0::/:/bin/sh"];
    assert_eq!(container.said(), expected);
}

#[test]
fn a_layer_is_unpacked_once_and_goes_with_its_last_user() {
    if !has_all("oci collection", &[Need::Mounts]) {
        return;
    }
    let layout = Layout::new(&[
        Tar::new().file("a", "a").gzip(),
        Tar::new().file("b", "b").gzip(),
    ]);
    let image = local(&layout);
    let layers = Layers::open(layout.path()).expect("store");
    let trees: Vec<_> = std::thread::scope(|scope| {
        let takers: Vec<_> = (0..4)
            .map(|number| {
                let (layers, image) = (layers.clone(), &image);
                scope.spawn(move || layers.take(image, &format!("user-{number}")).expect("take"))
            })
            .collect();
        takers
            .into_iter()
            .map(|taker| taker.join().expect("join"))
            .collect()
    });
    assert!(trees.iter().all(|found| *found == trees[0]));
    let store = Store::open(layout.path()).expect("store");
    // The image goes, its containers do not.
    fs::remove_file(layout.path().join("index.json")).expect("remove");
    store.collect().expect("collect");
    assert!(trees[0].iter().all(|tree| tree.path.is_dir()));
    for number in 0..4 {
        layers.release(&format!("user-{number}")).expect("release");
    }
    store.collect().expect("collect");
    assert!(trees[0].iter().all(|tree| !tree.path.exists()));
    let left: Vec<_> = ["trees", "building", "tree-users"]
        .iter()
        .flat_map(|name| fs::read_dir(layout.path().join(name)).into_iter().flatten())
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
