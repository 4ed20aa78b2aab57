//! Layers that try to leave the root: the shapes that containerd's tests know,
//! and some more. Each ends as a contained result, which umoci's agrees with where
//! it has one, or in an error that names the layer and the entry.

mod shapes;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use tar::EntryType;
use unikiln_builder::BuildOptions;

use crate::image::{Layer, Layout, Tar};
use crate::tools::{listing, tool};
use crate::view::View;

/// What becomes of one shape.
enum End {
    /// The name leads to the same inode as the other one does.
    Same(&'static str, &'static str),
    /// They lead to different files.
    Different(&'static str, &'static str),
    /// The name leads to a file with this text.
    Text(&'static str, &'static str),
    /// Nothing has the name.
    Gone(&'static str),
    /// The entry is refused, in these words.
    Refused(&'static str, &'static str),
}

use End::{Different, Gone, Refused, Same, Text};

/// Whether umoci makes the same of it. Its own reading of links differs where it does not.
#[derive(PartialEq)]
enum Umoci {
    Agrees,
    Differs,
}

/// A shape: its name, the layer below, the hostile layer, what becomes of it.
type Shape = (&'static str, Option<Tar>, Tar, End, Umoci);

fn check(shapes: Vec<Shape>) {
    for (name, lower, upper, end, umoci) in shapes {
        let layers: Vec<Layer> = lower.into_iter().chain([upper]).map(Tar::gzip).collect();
        let layout = Layout::new(&layers);
        if let Refused(entry, why) = end {
            let said = layout.refusal(&BuildOptions::default());
            let layer = layout.manifest["layers"][layers.len() - 1]["digest"].as_str();
            for words in [entry, why, layer.expect("digest")] {
                assert!(said.contains(words), "{name}: {words:?} is not in {said:?}");
            }
            continue;
        }
        layout
            .build()
            .unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let Some(view) = View::new(&layout.output()) else {
            return;
        };
        check_end(name, &view, &end);
        if umoci == Umoci::Agrees {
            compare(name, &layout, view.root());
        }
    }
}

fn check_end(name: &str, view: &View, end: &End) {
    let inode = |path: &str| view.inside(path).metadata().expect(name).ino();
    match *end {
        Same(one, other) => assert_eq!(inode(one), inode(other), "{name}"),
        Different(one, other) => assert_ne!(inode(one), inode(other), "{name}"),
        Text(path, expected) => {
            let found = fs::read_to_string(view.inside(path)).expect(name);
            assert_eq!(found, expected, "{name}");
        }
        Gone(path) => assert!(!view.has(path.trim_start_matches('/')), "{name}"),
        Refused(..) => unreachable!("was looked at before"),
    }
}

/// The same image as umoci unpacks it.
fn compare(name: &str, layout: &Layout, root: &Path) {
    let directory = tempfile::tempdir().expect("directory");
    let bundle = directory.path().join("bundle");
    let image = format!("{}:v", layout.path().display());
    let bundle_text = bundle.display().to_string();
    if tool("umoci", &["unpack", "--image", &image, &bundle_text]) {
        let (mut ours, mut theirs) = (listing(root), listing(&bundle.join("rootfs")));
        // The times of directories that no entry speaks of are umoci's own.
        for tree in [&mut ours, &mut theirs] {
            for line in tree.values_mut().filter(|line| line.starts_with('4')) {
                line.clear();
            }
        }
        assert_eq!(ours, theirs, "{name}");
    }
}

#[test]
fn symbolic_links_stay_inside() {
    check(shapes::symlinks());
}

#[test]
fn hard_links_stay_inside() {
    check(shapes::hard_links());
}

#[test]
fn whiteouts_hide_what_is_inside_only() {
    check(shapes::whiteouts());
}

#[test]
fn files_of_this_machine_keep_their_content_and_permissions() {
    let outside = tempfile::tempdir().expect("directory");
    let (target, beside) = (
        outside.path().join("perm400"),
        outside.path().join("beside"),
    );
    for (file, mode) in [(&target, 0o400), (&beside, 0o640)] {
        fs::write(file, "untouched").expect("write");
        fs::set_permissions(file, PermissionsExt::from_mode(mode)).expect("chmod");
    }
    let before = listing(outside.path());
    let [target, beside] = [&target, &beside].map(|path| path.to_str().expect("utf-8"));
    let layer = Tar::new()
        .symlink(beside, target)
        .hard_link("sketchylink", beside)
        .file("sketchylink", "through the link")
        .symlink("dir", outside.path().to_str().expect("utf-8"))
        .file("dir/new", "new")
        .member(EntryType::Directory, "dir/", "", b"")
        .gzip();
    let layout = Layout::new(&[layer]);
    layout.build().expect("build");
    assert_eq!(listing(outside.path()), before);
    let Some(view) = View::new(&layout.output()) else {
        return;
    };
    // The way through the link led to the image's own directory of that name.
    let inside = format!("{}/new", outside.path().display());
    assert_eq!(view.text(inside.trim_start_matches('/')), "new");
    assert!(view.path("dir").symlink_metadata().expect("dir").is_dir());
}
