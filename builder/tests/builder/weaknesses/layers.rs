//! Members of layers, and the users that an image names.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use tar::{EntryType, Header};
use unikiln_builder::BuildOptions;

use super::{assert_says, refusal};
use crate::image::{Layer, Layout, Tar, digest};
use crate::tools::tool;
use crate::view::View;

/// The root directory replaced by a symbolic link, so that all else goes elsewhere.
#[test]
fn cve_2021_29136_a_root_that_is_a_symbolic_link() {
    let outside = tempfile::tempdir().expect("directory");
    let target = outside.path().to_str().expect("utf-8");
    for name in ["/", ".", "./", "./.", ""] {
        let layers = [
            Tar::new().file("kept", "1").gzip(),
            Tar::new().symlink(name, target).file("evil", "x").gzip(),
        ];
        let layer = digest(&layers[1].blob);
        assert_says(
            &refusal(&layers),
            &[&layer, &format!("{name:?}"), "replace the root"],
        );
        let hard = Tar::new().file("a", "1").hard_link(name, "a").gzip();
        assert_says(&refusal(&[hard]), &["replace the root"]);
        let file = Tar::new().member(EntryType::Fifo, name, "", b"").gzip();
        assert_says(&refusal(&[file]), &["replace the root"]);
    }
    assert_eq!(fs::read_dir(target).expect("directory").count(), 0);
}

/// A hard link to a symbolic link whose target's permissions change, and
/// CVE-2026-33056: a directory of the same name as a symbolic link before it.
#[test]
fn cve_2021_32760_and_cve_2026_33056_permissions_outside() {
    use std::os::unix::fs::PermissionsExt;
    let outside = tempfile::tempdir().expect("directory");
    let secret = outside.path().join("secret");
    fs::write(&secret, "untouched").expect("write");
    fs::set_permissions(&secret, PermissionsExt::from_mode(0o400)).expect("chmod");
    fs::set_permissions(outside.path(), PermissionsExt::from_mode(0o700)).expect("chmod");
    let layer = Tar::new()
        .symlink("to-file", secret.to_str().expect("utf-8"))
        .hard_link("hard", "to-file")
        .member(EntryType::Regular, "hard", "", b"new")
        .symlink("to-directory", outside.path().to_str().expect("utf-8"))
        .directory("to-directory/.")
        .symlink("again", outside.path().to_str().expect("utf-8"))
        .directory("again")
        .gzip();
    let layout = Layout::new(&[layer]);
    layout.build().expect("build");
    let mode = |path: &Path| path.metadata().expect("metadata").permissions().mode() & 0o7777;
    assert_eq!((mode(&secret), mode(outside.path())), (0o400, 0o700));
    assert_eq!(fs::read_to_string(&secret).expect("read"), "untouched");
    let Some(view) = View::new(&layout.output()) else {
        return;
    };
    for name in ["to-directory", "again"] {
        assert!(view.path(name).symlink_metadata().expect(name).is_dir());
    }
    assert_eq!(view.text("hard"), "new");
    assert!(
        view.path("to-file")
            .symlink_metadata()
            .expect("link")
            .is_symlink()
    );
}

/// Users whose numbers wrap around to root's.
#[test]
fn cve_2024_40635_numbers_that_overflow() {
    let passwd = "wraps:x:4294967296:0::/:\nroot:x:0:0::/root:\n";
    let mut layout = Layout::new(&[Tar::new().file("etc/passwd", passwd).gzip()]);
    for user in ["4294967296", "4294967295", "-1", "0:4294967296", "wraps"] {
        layout.config["config"]["User"] = json!(user);
        layout.write();
        let said = layout.refusal(&BuildOptions::default());
        assert_says(&said, &[user, "no number of a user or group"]);
    }
    let none = Tar::new()
        .pax(&[("gid", b"4294967295")])
        .file("a", "1")
        .gzip();
    assert_says(&refusal(&[none]), &["\"a\"", "1:4294967295"]);
    let owner = Tar::new()
        .pax(&[("uid", b"4294967296")])
        .file("a", "1")
        .gzip();
    let layer = digest(&owner.blob);
    assert_says(&refusal(&[owner]), &[&layer, "\"a\"", "owner 4294967296"]);
}

/// Headers hidden in contents: where PAX and header disagree on a length, a reader
/// that believes the wrong one sees other members than everybody else.
#[test]
fn cve_2025_62518_lengths_that_disagree() {
    let hidden = Tar::new().file("smuggled", "x").bytes();
    let len = hidden.len().to_string();
    let mut header = Header::new_ustar();
    header.set_path("outer").expect("path");
    header.set_mode(0o644);
    header.set_size(0);
    header.set_cksum();
    let mut tar = Tar::new().pax(&[("size", len.as_bytes())]).bytes();
    // Without the end of the archive.
    tar.truncate(tar.len() - 1024);
    tar.write_all(header.as_bytes()).expect("write");
    tar.write_all(&hidden).expect("write");
    tar.write_all(&Tar::new().file("after", "1").bytes())
        .expect("write");
    let layout = Layout::new(&[Layer::plain(tar.clone())]);
    layout.build().expect("build");
    let directory = tempfile::tempdir().expect("directory");
    let archive = directory.path().join("a.tar");
    fs::write(&archive, &tar).expect("write");
    let listed = Command::new("tar")
        .arg("-tf")
        .arg(&archive)
        .output()
        .expect("tar");
    assert_eq!(String::from_utf8_lossy(&listed.stdout), "outer\nafter\n");
    if let Some(view) = View::new(&layout.output()) {
        assert!(!view.has("smuggled"));
        assert_eq!(view.text("after"), "1");
        assert!(fs::read(view.path("outer")).expect("outer") == hidden);
    }

    // The length of a record does not apply to the long name between.
    let name = "n".repeat(150);
    let tar = Tar::new()
        .pax(&[("size", b"3")])
        .member(EntryType::GNULongName, "long", "", name.as_bytes())
        .file("short", "abc")
        .file("next", "1");
    let layout = Layout::new(&[tar.gzip()]);
    layout.build().expect("build");
    if let Some(view) = View::new(&layout.output()) {
        assert_eq!(
            (view.text(&name), view.text("next")),
            ("abc".into(), "1".into())
        );
    }
}

/// System calls that change files, of the builder at hostile layers, as strace saw them.
#[test]
fn nothing_is_changed_beside_the_output() {
    let layer = Tar::new()
        .symlink("root", "/")
        .symlink("up", "../../../../../..")
        .file("root/tmp/unikiln-escaped", "x")
        .file("up/tmp/unikiln-escaped-too", "x")
        .hard_link("root/tmp/hard", "/tmp/unikiln-escaped")
        .directory("root/etc/")
        .file("root/.wh.etc", "")
        .member(EntryType::Char, "root/dev/null", "", b"");
    let layout = Layout::new(&[layer.gzip()]);
    let directory = tempfile::tempdir().expect("directory");
    let trace = directory.path().join("trace");
    let place = directory.path().join("place");
    fs::create_dir(&place).expect("directory");
    let (trace_text, place_text) = (trace.display().to_string(), place.display().to_string());
    let output = format!("{place_text}/out.uk");
    let image = format!("oci:{}", layout.path().display());
    let program = env!("CARGO_BIN_EXE_unikiln-builder");
    let traced = [
        "-f",
        "-qq",
        "-s",
        "4096",
        "-e",
        "trace=%file,%desc",
        "-o",
        &trace_text,
    ];
    let command = [program, "build", &image, "-o", &output];
    if !tool("strace", &[traced.as_slice(), command.as_slice()].concat()) {
        return;
    }
    let mut changes = 0;
    for line in fs::read_to_string(&trace).expect("trace").lines() {
        let call = line.split_whitespace().nth(1).unwrap_or_default();
        let name = call.split('(').next().unwrap_or_default();
        let is_change = match name {
            "open" | "openat" | "creat" => {
                ["O_CREAT", "O_WRONLY", "O_RDWR", "O_TRUNC", "O_TMPFILE"]
                    .iter()
                    .any(|flag| line.contains(flag))
            }
            _ => [
                "mkdir",
                "mknod",
                "link",
                "symlink",
                "rename",
                "unlink",
                "rmdir",
                "chmod",
                "chown",
                "truncate",
                "utime",
                "setxattr",
                "removexattr",
                "mount",
            ]
            .iter()
            .any(|kind| name.contains(kind) && !name.starts_with("readlink")),
        };
        // A call on a descriptor is of a file that was opened before.
        if is_change && line.contains('"') {
            changes += 1;
            let is_terminal = line.contains("\"/dev/tty\"") || line.contains("\"/dev/null\"");
            assert!(
                line.contains(&format!("\"{place_text}")) || is_terminal,
                "{line}"
            );
        }
    }
    assert!(changes >= 2, "strace saw {changes} changes");
    assert!(Path::new(&output).exists());
    assert!(!Path::new("/tmp/unikiln-escaped").exists());
}
