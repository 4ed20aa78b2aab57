//! Agreement with the tools that others use: an image changed with umoci looks
//! the same mounted from a unikernel file as unpacked by umoci, and skopeo's
//! archives of it give the same file.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use unikiln_builder::{BuildOptions, ImageRef, NoProgress, build};

use crate::view::View;

/// Runs a tool; `false`, loudly, where it is not installed.
pub(crate) fn tool(program: &str, arguments: &[&str]) -> bool {
    match Command::new(program).args(arguments).output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{program} {arguments:?}: {said}");
            true
        }
        Err(error) => {
            eprintln!("SKIP: there is no {program}: {error}");
            false
        }
    }
}

/// Everything that can be seen of a tree, by path.
pub(crate) fn listing(root: &Path) -> BTreeMap<String, String> {
    let mut seen = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(path) = pending.pop() {
        let metadata = path.symlink_metadata().expect("metadata");
        let mut line = format!(
            "{:o} {}:{} links {} time {} device {}",
            metadata.mode(),
            metadata.uid(),
            metadata.gid(),
            metadata.nlink(),
            metadata.mtime(),
            metadata.rdev()
        );
        if metadata.is_dir() {
            for entry in fs::read_dir(&path).expect("directory") {
                pending.push(entry.expect("entry").path());
            }
        } else if metadata.is_symlink() {
            line += &format!(" -> {}", fs::read_link(&path).expect("link").display());
        } else if metadata.is_file() {
            line += &format!(" {}", crate::image::digest(&fs::read(&path).expect("file")));
        }
        let name = path
            .strip_prefix(root)
            .expect("below the root")
            .display()
            .to_string();
        seen.insert(name, line);
    }
    seen
}

#[test]
fn umoci_and_skopeo_agree() {
    let directory = tempfile::tempdir().expect("directory");
    let at = |name: &str| directory.path().join(name).display().to_string();
    let (layout, image, bundle) = (at("layout"), at("layout") + ":v", at("bundle"));
    if !tool("umoci", &["init", "--layout", &layout]) {
        return;
    }
    tool("umoci", &["new", "--image", &image]);
    let root = Path::new(&bundle).join("rootfs");
    tool("umoci", &["unpack", "--image", &image, &bundle]);
    fs::create_dir_all(root.join("usr/share")).expect("directory");
    tool(
        "cp",
        &[
            "-a",
            "/usr/share/perl5",
            "/usr/lib/x86_64-linux-gnu/perl-base",
            root.join("usr/share").to_str().expect("utf-8"),
        ],
    );
    fs::write(root.join("one"), "1").expect("write");
    fs::hard_link(root.join("one"), root.join("two")).expect("link");
    tool(
        "mknod",
        &[root.join("null").to_str().expect("utf-8"), "c", "1", "3"],
    );
    tool("umoci", &["repack", "--image", &image, &bundle]);
    // A second layer: removed, replaced and changed.
    fs::remove_dir_all(root.join("usr/share/perl-base/IO")).expect("remove");
    fs::remove_file(root.join("two")).expect("remove");
    fs::write(root.join("three"), "3").expect("write");
    tool(
        "umoci",
        &["repack", "--image", &image, "--refresh-bundle", &bundle],
    );
    tool(
        "umoci",
        &[
            "config",
            "--image",
            &image,
            "--config.cmd",
            "/three",
            "--config.workingdir",
            "/usr",
        ],
    );
    fs::remove_dir_all(&bundle).expect("remove");
    tool("umoci", &["unpack", "--image", &image, &bundle]);

    let file = directory.path().join("a.uk");
    // What other tools unpack is not linked.
    let options = BuildOptions {
        no_link: true,
        ..BuildOptions::default()
    };
    let reference = ImageRef::parse(&format!("oci:{image}")).expect("reference");
    let report = build(&reference, &file, &options, &mut NoProgress).expect("build");
    assert_eq!(report.manifest.cmd, ["/three"]);
    assert_eq!(report.manifest.working_dir, "/usr");
    if let Some(view) = View::new(&file) {
        assert_eq!(listing(view.root()), listing(&root));
    }

    let rootfs =
        |file: &Path, head_bytes: u64| fs::read(file).expect("read").split_off(head_bytes as usize);
    let wanted = rootfs(&file, report.head_bytes);
    for transport in ["oci-archive", "docker-archive"] {
        let archive = format!("{transport}:{}:a/b:v", at(transport));
        if !tool("skopeo", &["copy", "-q", &format!("oci:{image}"), &archive]) {
            return;
        }
        let reference = ImageRef::parse(&archive).expect("reference");
        let report = build(&reference, &file, &options, &mut NoProgress).expect(transport);
        assert!(
            rootfs(&file, report.head_bytes) == wanted,
            "{transport} differs"
        );
    }
}
