//! The command line, and files that are the same bit for bit.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::image::{Layer, Layout, Tar};
use crate::tools::tool;

/// The program itself.
pub(crate) fn builder() -> Command {
    Command::new(env!("CARGO_BIN_EXE_unikiln-builder"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn help(arguments: &[&str]) -> String {
    let output = builder().args(arguments).output().expect("run");
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).expect("utf-8")
}

#[test]
fn help_is_a_manual_page() {
    let sections = [
        (
            ["--help"].as_slice(),
            [
                "Usage:",
                "Commands:",
                "Examples:",
                "Exit status:",
                "Environment:",
            ]
            .as_slice(),
        ),
        (
            &["build", "--help"],
            &[
                "Usage:",
                "oci-archive:FILE[:TAG]",
                "--platform",
                "--max-unpacked",
                "--no-link",
                "Reproducible:",
                "Examples:",
                "Exit status:",
                "See also:",
            ],
        ),
        (
            &["inspect", "--help"],
            &["--json", "Examples:", "Exit status:"],
        ),
        (
            &["pack", "--help"],
            &["--include", "Examples:", "Exit status:"],
        ),
    ];
    for (arguments, wanted) in sections {
        let text = help(arguments);
        for words in wanted {
            assert!(text.contains(words), "{words} is not in {text}");
        }
        let longest = text.lines().map(|line| line.chars().count()).max();
        assert!(longest <= Some(100), "{arguments:?}: {longest:?} columns");
    }
    // A summary has no sections.
    assert!(!help(&["build", "-h"]).contains("Exit status:"));
}

#[test]
fn failures_exit_with_125_and_say_what_to_do() {
    let layout = Layout::new(&[Tar::new().file("a", "1").gzip()]);
    let image = format!("oci:{}", layout.path().display());
    let output = layout.output().display().to_string();
    for (arguments, wanted) in [
        (
            ["build", "--platform", "linux/arm64", &image, "-o", &output].as_slice(),
            "linux/amd64, not for linux/arm64",
        ),
        (
            &["build", "--platform", "amd64", &image, "-o", &output],
            "write linux/amd64",
        ),
        (&["build", &image], "--output"),
        (&["build", "oci:/nowhere", "-o", &output], "/nowhere"),
        (&["build", "nothing:x", "-o", &output], "oci:DIR"),
        (&["inspect", "/dev/null"], "not a unikernel file"),
    ] {
        let done = builder().args(arguments).output().expect("run");
        assert_eq!(done.status.code(), Some(125), "{arguments:?}");
        assert!(said(&done).contains(wanted), "{wanted}: {}", said(&done));
        assert!(!layout.output().exists());
    }
}

/// An image with a program to link, in three layers.
fn layout() -> Layout {
    let program = fs::read("/bin/true").expect("/bin/true");
    let libc = fs::read("/lib/x86_64-linux-gnu/libc.so.6").expect("libc");
    let member =
        |tar: Tar, name: &str, data: &[u8]| tar.member(tar::EntryType::Regular, name, "", data);
    let low = member(Tar::new(), "bin/true", &program).file("etc/passwd", "root:x:0:0::/root:/\n");
    let middle = member(Tar::new(), "lib/libc.so.6", &libc).symlink("lib64", "lib");
    let high = member(Tar::new(), "bin/again", &program).file("bin/.wh.true", "");
    Layout::new(&[
        low.gzip(),
        Layer::zstd(middle.bytes()),
        Layer::plain(high.bytes()),
    ])
}

#[test]
fn builds_are_the_same_bit_for_bit_wherever_and_whenever() {
    let layout = layout();
    let archive = layout.path().join("archive.tar").display().to_string();
    let parts = ["index.json", "oci-layout", "blobs"];
    let directory = layout.path().display().to_string();
    tool(
        "tar",
        &[&["-C", &directory, "-cf", &archive], parts.as_slice()].concat(),
    );
    let compressed = archive.clone() + ".gz";
    tool(
        "tar",
        &[&["-C", &directory, "-czf", &compressed], parts.as_slice()].concat(),
    );

    let somewhere = tempfile::tempdir().expect("directory");
    let mut files = Vec::new();
    for (number, (image, umask, zone)) in [
        (format!("oci:{directory}"), "022", "UTC"),
        (format!("oci:{directory}:v"), "077", "Asia/Tokyo"),
        (format!("oci-archive:{archive}"), "000", "America/Lima"),
        (format!("oci-archive:{compressed}:v"), "027", "UTC"),
    ]
    .into_iter()
    .enumerate()
    {
        // Another process has other hash seeds, addresses, a later clock.
        let place = somewhere.path().join(number.to_string());
        fs::create_dir(&place).expect("directory");
        let script = format!("umask {umask}; exec \"$0\" build {image} -o ./a.uk");
        let done = Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_unikiln-builder")])
            .current_dir(&place)
            .env("TZ", zone)
            .env("LC_ALL", if number == 0 { "C" } else { "tr_TR.UTF-8" })
            .env("TMPDIR", &place)
            .output()
            .expect("run");
        assert!(done.status.success(), "{}", said(&done));
        files.push(fs::read(place.join("a.uk")).expect("file"));
        assert!(mode(&place.join("a.uk")) & 0o400 != 0);
    }
    let manifest = layout.build().expect("build").manifest;
    assert!(
        manifest
            .linking
            .is_some_and(|linking| linking.bound_sites > 0)
    );
    for (number, file) in files.iter().enumerate() {
        assert!(*file == files[0], "build {number} differs");
    }
    // And by the library in this process.
    assert!(fs::read(layout.output()).expect("file") == files[0]);
}

fn mode(path: &Path) -> u32 {
    path.metadata().expect("metadata").permissions().mode()
}
