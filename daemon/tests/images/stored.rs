//! Images that are here: names, removal, what is held, the disk, the command line's view.

use unikiln_daemon::image::Images;

use crate::layout;
use crate::node::Node;
use crate::server::{Server, Wants};
use crate::{registry, registry_and_busybox, small};

#[test]
fn an_image_has_all_its_tags_and_goes_with_all() {
    if registry("an_image_has_all_its_tags_and_goes_with_all") {
        let server = Server::start(Wants::default());
        let (one, two) = (small("one"), small("two"));
        for name in ["a:1", "a:2", "b:1"] {
            server.fill(&one.name("latest"), name, &[]);
        }
        server.fill(&two.name("latest"), "a:3", &[]);
        let node = Node::new();
        let ids = ["a:1", "a:2", "b:1", "a:3"].map(|name| node.pull(&server.image(name)));
        assert!(ids[0] == ids[1] && ids[1] == ids[2] && ids[2] != ids[3]);
        assert_eq!(node.list("").len(), 2);
        let image = node.status(&ids[0]).expect("it is there");
        let tags = ["a:1", "a:2", "b:1"].map(|name| server.image(name));
        assert_eq!(image.repo_tags, tags);
        assert_eq!(image.repo_digests.len(), 2, "{:?}", image.repo_digests);
        // A name without tag is for all.
        assert_eq!(node.list(&server.image("a")).len(), 2);
        assert_eq!(node.list(&server.image("b")), [image]);
        assert_eq!(node.list(&server.image("a:3")).len(), 1);
        assert!(node.list(&server.image("c")).is_empty());
        assert!(node.list(&server.image("a:4")).is_empty());

        node.remove(&server.image("a:2"));
        assert!(tags.iter().all(|tag| node.status(tag).is_none()));
        assert!(node.status(&ids[0]).is_none());
        assert_eq!(node.list("").len(), 1);
        // Once more, by all of its names.
        for name in tags.iter().chain([&ids[0]]) {
            node.remove(name);
        }
        node.remove(&ids[3]);
        assert!(node.list("").is_empty());
        let usage = node.store().usage().expect("counted");
        assert_eq!(usage.total().count, 0, "{usage:?}");
    }
}

#[test]
fn a_tag_that_moves_leaves_the_old_image_its_digest() {
    if registry("a_tag_that_moves_leaves_the_old_image_its_digest") {
        let server = Server::start(Wants::default());
        let (node, name) = (Node::new(), server.image("a:1"));
        server.fill(&small("one").name("latest"), "a:1", &[]);
        let old = node.pull(&name);
        let digests = node.status(&old).expect("it is there").repo_digests;
        server.fill(&small("two").name("latest"), "a:1", &[]);
        let new = node.pull(&name);
        assert_ne!(old, new);
        assert_eq!(node.status(&name).expect("it is there").id, new);
        let image = node.status(&old).expect("it stays");
        assert!(image.repo_tags.is_empty());
        assert_eq!(image.repo_digests, digests);
        node.remove(&old);
        assert!(node.status(&old).is_none() && node.status(&new).is_some());
    }
}

#[test]
fn what_a_container_uses_stays_while_no_daemon_runs() {
    if registry_and_busybox("what_a_container_uses_stays_while_no_daemon_runs") {
        let server = Server::start(Wants::default());
        server.fill(&layout::busybox(1).name("latest"), "a:1", &[]);
        server.fill(&small("volume").name("latest"), "b:1", &[]);
        let node = Node::new();
        let [a, b] = ["a:1", "b:1"].map(|name| {
            let id = node.pull(&server.image(name));
            node.images.find(&id).expect("found").expect("it is there")
        });
        let holder = "0123456789abcdef".repeat(4);
        node.images.hold(&holder, &a).expect("held");
        node.images.hold(&holder, &b).expect("held");
        node.remove(&a.id);
        node.remove(&b.id);
        assert!(node.list("").is_empty());
        // The daemon ends, and the command line collects.
        let root = node.root();
        node.store().collect().expect("collected");
        let later = Images::open(&root, None).expect("images");
        later.release_all_but(|name| name == holder).expect("kept");
        let (path, keep) = later.unikernel(&a).expect("converted of what was held");
        assert!(path.is_file());
        drop(keep);
        later.release(&holder).expect("released");
        later.release(&holder).expect("again");
        assert!(!path.exists());
        let error = later.unikernel(&a).expect_err("it is gone");
        assert_eq!(error.code(), tonic::Code::NotFound, "{}", error.story());
        let error = later.hold(&holder, &a).expect_err("it is gone");
        assert_eq!(error.code(), tonic::Code::NotFound);
        assert!(node.store().holds().expect("a list").is_empty());

        // A holder that is gone when the daemon starts.
        let id = node.pull(&server.image("b:1"));
        node.images.hold(&holder, &b).expect("held");
        node.remove(&id);
        let usage = || node.store().usage().expect("counted").blobs.count;
        assert_ne!(usage(), 0);
        later.release_all_but(|_| false).expect("released");
        assert_eq!(usage(), 0);
    }
}

#[test]
fn an_image_that_is_not_all_here_is_none() {
    if registry("an_image_that_is_not_all_here_is_none") {
        let server = Server::start(Wants::default());
        server.fill(&small("one").name("latest"), "a:1", &[]);
        let (node, name) = (Node::new(), server.image("a:1"));
        let id = node.pull(&name);
        let manifest = server.raw("a:1");
        let layer = manifest["layers"][0]["digest"].as_str().expect("a word");
        let blob = node.root().join("blobs").join(layer.replacen(':', "/", 1));
        std::fs::remove_file(&blob).expect("it is there");
        assert!(node.status(&name).is_none() && node.list("").is_empty());
        assert_eq!(node.pull(&name), id);
        assert!(node.status(&name).is_some() && blob.is_file());
        // What is not all here can be removed.
        std::fs::remove_file(&blob).expect("it is there");
        node.remove(&name);
        assert!(node.store().references().expect("a list").is_empty());
    }
}

#[test]
fn the_file_systems_grow_and_shrink() {
    if registry("the_file_systems_grow_and_shrink") {
        const BYTES: usize = 3 << 20;
        let server = Server::start(Wants::default());
        let content = "0123456789abcdef".repeat(BYTES / 16);
        server.fill(
            &small(&content).name("latest"),
            "a:1",
            &["--dest-oci-accept-uncompressed-layers"],
        );
        let node = Node::new();
        let used = || {
            let info = node.filesystems();
            let [images] = &info.image_filesystems[..] else {
                panic!("{info:?}");
            };
            let place = images.fs_id.as_ref().expect("a place");
            assert_eq!(place.mountpoint, node.root().display().to_string());
            assert!(images.timestamp > 1_700_000_000_000_000_000);
            let bytes = images.used_bytes.expect("bytes").value;
            (bytes, images.inodes_used.expect("inodes").value)
        };
        let empty = used();
        node.pull(&server.image("a:1"));
        let full = used();
        // Manifest, configuration, layer; and an index and a lock, with the first.
        assert!(full.1 >= empty.1 + 3, "{empty:?} {full:?}");
        let size = node.list("")[0].size;
        assert!(full.0 >= empty.0 + size, "{empty:?} {full:?} {size}");
        node.remove(&server.image("a:1"));
        let removed = used();
        assert_eq!(removed.1, full.1 - 3);
        assert!(removed.0 + size <= full.0, "{removed:?} {full:?} {size}");

        // What containers write is counted apart.
        let written = |info: unikiln_daemon::proto::ImageFsInfoResponse| {
            let usage = &info.container_filesystems[0];
            let place = usage.fs_id.clone().expect("a place").mountpoint;
            (
                place,
                usage.used_bytes.expect("bytes").value,
                usage.inodes_used.expect("inodes").value,
            )
        };
        std::fs::write(node.containers().join("file"), vec![1; BYTES]).expect("a file");
        let other = Images::open(&node.root(), None).expect("images");
        let info = other.filesystems(&node.containers()).expect("counted");
        assert_eq!(
            info.image_filesystems[0].inodes_used.expect("inodes").value,
            removed.1
        );
        let (place, bytes, inodes) = written(info);
        // It is the same file system.
        assert_eq!(place, node.root().display().to_string());
        assert!(bytes >= BYTES as u64 && inodes == 1, "{bytes} {inodes}");
    }
}

#[test]
fn the_command_line_and_the_daemon_see_the_same() {
    if registry("the_command_line_and_the_daemon_see_the_same") {
        let server = Server::start(Wants::default());
        server.fill(&small("one").name("latest"), "a:1", &[]);
        let (node, name) = (Node::new(), server.image("a:1"));
        let id = node.pull(&name);
        let store = node.store();
        let images = store.images().expect("a list");
        assert_eq!(images.len(), 1);
        assert_eq!(images[0].reference, name);
        assert!(images[0].is_complete);
        let daemons = &node.list("")[0];
        let digest = format!("{}@{}", server.image("a"), images[0].digest);
        assert_eq!(daemons.repo_digests, [digest]);
        // A collection at any time takes nothing that has a name.
        store.collect().expect("collected");
        assert_eq!(node.status(&id).expect("it is there").id, id);
        // `unikiln rmi`.
        store.remove_reference(&name).expect("removed");
        store.collect().expect("collected");
        assert!(node.status(&name).is_none() && node.list("").is_empty());
        // While a pull is on its way, collections take nothing of it.
        let collector = std::thread::spawn({
            let store = store.clone();
            move || {
                for _ in 0..20 {
                    store.collect().expect("collected");
                }
            }
        });
        for _ in 0..5 {
            node.pull(&name);
            assert!(node.status(&name).is_some());
        }
        collector.join().expect("no panic");
        assert!(node.status(&name).is_some());
    }
}

#[test]
fn an_image_is_a_volume_until_its_holder_is_released() {
    if registry("an_image_is_a_volume_until_its_holder_is_released") {
        // Layers are merged: the second hides and replaces.
        let layers = [
            layout::layer("data/old", b"hidden"),
            layout::layer("data/file", b"first"),
            layout::layer("data/.wh.old", b""),
            layout::layer("data/file", b"second"),
        ];
        let layout = layout::Layout::new();
        let image = layout.image("v1", &layers);
        layout.tag(image);
        let server = Server::start(Wants::default());
        server.fill(&layout.name("latest"), "a:1", &[]);
        let node = Node::new();
        let id = node.pull(&server.image("a:1"));
        let image = node.images.find(&id).expect("found").expect("it is there");
        let volume = |path: &str| node.images.volume("one", &image, path);
        let whole = volume("").expect("a volume");
        let data = volume("data").expect("a volume");
        assert_eq!(data, whole.join("data"));
        let file = volume("data/file").expect("a file");
        assert_eq!(std::fs::read(file).expect("it is there"), b"second");
        assert_eq!(std::fs::read_dir(&data).expect("a directory").count(), 1);
        for path in ["none", "data/old", "../..", "/data"] {
            let error = volume(path).expect_err(path);
            assert_eq!(error.code(), tonic::Code::InvalidArgument, "{path}");
            assert!(error.to_string().contains(path), "{error}");
        }
        // Another holder has the same directory, and keeps it.
        assert_eq!(
            node.images.volume("two", &image, "").expect("a volume"),
            whole
        );
        node.remove(&id);
        node.images.release("one").expect("released");
        node.store().collect().expect("collected");
        assert!(data.is_dir());
        node.images.release("two").expect("released");
        assert!(!whole.exists());
        let error = volume("").expect_err("it is gone");
        assert_eq!(error.code(), tonic::Code::NotFound);
    }
}
