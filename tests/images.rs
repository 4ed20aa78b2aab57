//! Images of every transport, made by umoci and skopeo, run as their
//! configuration says; bad ones give one clear error and leave nothing behind.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::Unikiln;
use common::image::{IMAGE_TOOLS, convert, make, new_layout, tool};
use common::skip::{Need, has_all};

/// Busybox below /bin, and a second layer that whites out `data/gone` and all
/// that the first one had in `data/opaque`.
fn layout() -> PathBuf {
    make("small-oci", |layout| {
        let work = tempfile::tempdir().expect("temporary directory");
        let first = work.path().join("1");
        let second = work.path().join("2");
        for dir in ["bin", "etc", "data/opaque", "tmp"] {
            fs::create_dir_all(first.join(dir)).expect("temporary directory is writable");
        }
        fs::create_dir_all(second.join("data/opaque")).expect("temporary directory is writable");
        let write = |path: PathBuf, text: &str| {
            fs::write(path, text).expect("temporary directory is writable")
        };
        fs::copy("/bin/busybox", first.join("bin/busybox")).expect("busybox is installed");
        write(
            first.join("etc/passwd"),
            "root:x:0:0:root:/root:/bin/sh\npotter:x:1000:1001::/home:/bin/sh\n",
        );
        write(
            first.join("etc/group"),
            "root:x:0:\npotters:x:1001:\nkiln:x:1002:potter\n",
        );
        write(first.join("data/gone"), "gone\n");
        write(first.join("data/kept"), "kept\n");
        write(first.join("data/opaque/below"), "below\n");
        write(second.join("data/.wh.gone"), "");
        write(second.join("data/opaque/.wh..wh..opq"), "");
        write(second.join("data/opaque/above"), "above\n");
        write(second.join("data/not-elf"), "neither ELF nor script\n");
        std::os::unix::fs::symlink("/bin/busybox", second.join("data/cat")).expect("writable");
        tool(
            "chmod",
            &["755", second.join("data/not-elf").to_str().expect("UTF-8")],
        );
        // Programs that Linux would refuse: of 32 bits, and without its interpreter.
        let mut elf = fs::read("/bin/busybox").expect("busybox is installed");
        elf[4] = 1; // EI_CLASS
        fs::write(second.join("data/elf32"), &elf).expect("temporary directory is writable");
        fs::copy("/bin/cat", second.join("data/no-interpreter")).expect("coreutils are installed");
        tool(
            "chmod",
            &["755", second.join("data/elf32").to_str().expect("UTF-8")],
        );
        let tars = [work.path().join("1.tar"), work.path().join("2.tar")];
        for (dir, tar) in [&first, &second].into_iter().zip(&tars) {
            let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
            tool(
                "tar",
                &[
                    "--owner=0",
                    "--group=0",
                    "-C",
                    &text(dir),
                    "-cf",
                    &text(tar),
                    ".",
                ],
            );
        }
        new_layout(layout, "small", &[&tars[0], &tars[1]]);
        let image = format!("{}:small", layout.display());
        let settings = [
            "--config.entrypoint=/bin/busybox",
            "--config.cmd=ls",
            "--config.cmd=/data",
            "--config.env=GLAZE=blue",
            "--config.workingdir=/data",
        ];
        tool(
            "umoci",
            &[&["config", "--image", &image], settings.as_slice()].concat(),
        );
        let potter = format!("{}:small", layout.display());
        tool(
            "umoci",
            &[
                "config",
                "--image",
                &potter,
                "--tag",
                "potter",
                "--config.user",
                "potter",
            ],
        );
        tool(
            "umoci",
            &[
                "config",
                "--image",
                &potter,
                "--tag",
                "foreign",
                "--architecture",
                "arm64",
            ],
        );
    })
}

fn small() -> String {
    format!("oci:{}:small", layout().display())
}

/// A copy of the layout that a test may spoil.
fn spoiled(spoil: impl FnOnce(&Path)) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let copy = dir.path().join("layout");
    tool(
        "cp",
        &[
            "-r",
            layout().to_str().expect("UTF-8"),
            copy.to_str().expect("UTF-8"),
        ],
    );
    spoil(&copy);
    let image = format!("oci:{}:small", copy.display());
    (dir, image)
}

/// The blobs of a layout, largest first: layers before configurations.
fn blobs(layout: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(layout.join("blobs/sha256")).expect("umoci writes sha256");
    let mut blobs: Vec<_> = entries
        .map(|entry| entry.expect("readable").path())
        .collect();
    blobs.sort_by_key(|blob| {
        std::cmp::Reverse(fs::metadata(blob).map_or(0, |metadata| metadata.len()))
    });
    blobs
}

const TOOLS: [Need<'static>; 4] = [
    Need::File("/bin/busybox"),
    IMAGE_TOOLS[0],
    IMAGE_TOOLS[1],
    IMAGE_TOOLS[2],
];

fn can_build(test: &str) -> bool {
    has_all(test, &TOOLS)
}

fn can_run(test: &str) -> bool {
    can_build(test) && has_all(test, &[Need::Kvm])
}

/// A build of `image` fails with one line that has these words, and leaves no file.
fn assert_refused(image: &str, words: &[&str]) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let file = dir.path().join("x.uk");
    let outcome = Unikiln::command(["build", image, "-o", file.to_str().expect("UTF-8")]).output();
    outcome.assert_own_failure(words);
    let left: Vec<_> = fs::read_dir(dir.path()).expect("readable").collect();
    assert!(
        left.is_empty(),
        "left behind: {left:?}\n{}",
        outcome.story()
    );
}

#[test]
fn an_oci_layout_runs_as_configured() {
    if can_run("an_oci_layout_runs_as_configured") {
        Unikiln::run(small())
            .output()
            .assert_code(0)
            .assert_stdout("cat\nelf32\nkept\nno-interpreter\nnot-elf\nopaque\n");
    }
}

#[test]
fn an_oci_archive_runs() {
    if can_run("an_oci_archive_runs") {
        let archive = convert(&layout(), "small", "oci-archive");
        let outcome = Unikiln::run(format!("oci-archive:{}", archive.display()))
            .args(["cat", "kept"])
            .output();
        outcome.assert_code(0).assert_stdout("kept\n");
    }
}

#[test]
fn a_docker_archive_runs() {
    if can_run("a_docker_archive_runs") {
        let archive = convert(&layout(), "small", "docker-archive");
        let outcome = Unikiln::run(format!("docker-archive:{}", archive.display()))
            .args(["ls", "opaque"])
            .output();
        outcome.assert_code(0).assert_stdout("above\n");
    }
}

#[test]
fn environment_and_directory_come_from_the_image() {
    if can_run("environment_and_directory_come_from_the_image") {
        let outcome = Unikiln::run(small()).args(["env"]).output();
        outcome
            .assert_code(0)
            .assert_stdout_has("GLAZE=blue\n")
            .assert_stdout_has("PATH=/");
        Unikiln::run(small())
            .args(["pwd"])
            .output()
            .assert_stdout("/data\n");
        let outcome = Unikiln::run(small())
            .options(["-w", "/etc", "-e", "GLAZE=red"])
            .args(["env"])
            .output();
        outcome.assert_code(0).assert_stdout_has("GLAZE=red\n");
    }
}

#[test]
fn the_user_comes_from_the_image() {
    if can_run("the_user_comes_from_the_image") {
        let outcome = Unikiln::run(format!("oci:{}:potter", layout().display()))
            .args(["id"])
            .output();
        outcome
            .assert_code(0)
            .assert_stdout("uid=1000(potter) gid=1001(potters) groups=1001(potters),1002(kiln)\n");
    }
}

#[test]
fn an_entrypoint_replaces_program_and_cmd() {
    if can_run("an_entrypoint_replaces_program_and_cmd") {
        let run = |entrypoint: &str, args: &[&str]| {
            Unikiln::run(small())
                .options(["--entrypoint", entrypoint])
                .args(args)
                .output()
        };
        run("/data/cat", &["kept"])
            .assert_code(0)
            .assert_stdout("kept\n");
        run("busybox", &["echo", "by PATH"])
            .assert_code(0)
            .assert_stdout("by PATH\n");
        run("/absent", &[])
            .assert_code(127)
            .assert_stderr_has("/absent");
        run("absent", &[])
            .assert_code(127)
            .assert_stderr_has("absent");
        run("/data/kept", &[])
            .assert_code(126)
            .assert_stderr_has("/data/kept");
        run("/data", &[])
            .assert_code(126)
            .assert_stderr_has("/data");
        run("/data/not-elf", &[])
            .assert_code(126)
            .assert_stderr_has("/data/not-elf");
        run("/data/elf32", &[])
            .assert_code(126)
            .assert_stderr_has("/data/elf32");
        run("/data/no-interpreter", &[])
            .assert_code(127)
            .assert_stderr_has("ld-linux");
    }
}

#[test]
fn the_same_image_gives_the_same_bytes() {
    if can_build("the_same_image_gives_the_same_bytes") {
        let dir = tempfile::tempdir().expect("temporary directory");
        let build = |image: &str, name: &str| {
            let file = dir.path().join(name);
            Unikiln::command(["build", image, "-o", file.to_str().expect("UTF-8")])
                .output()
                .assert_code(0);
            fs::read(file).expect("it was written")
        };
        let archive = convert(&layout(), "small", "oci-archive");
        assert!(
            build(&small(), "a.uk") == build(&small(), "b.uk"),
            "two builds differ"
        );
        assert!(
            build(&small(), "a.uk") == build(&format!("oci-archive:{}", archive.display()), "c.uk"),
            "transports differ"
        );
        assert!(
            build("host:/bin/ls", "d.uk") == build("host:/bin/ls", "e.uk"),
            "two host builds differ"
        );
    }
}

#[test]
fn standard_tools_read_the_file() {
    let needs = [Need::Program("fsck.erofs"), Need::Program("readelf")];
    if can_build("standard_tools_read_the_file") && has_all("standard_tools_read_the_file", &needs)
    {
        let dir = tempfile::tempdir().expect("temporary directory");
        let file = dir.path().join("small.uk");
        let file = file.to_str().expect("UTF-8");
        Unikiln::command(["build", &small(), "-o", file])
            .output()
            .assert_code(0);
        tool("fsck.erofs", &[file]);
        tool("readelf", &["-Wl", "-n", file]);
        let text = Unikiln::command(["inspect", file]).output();
        text.assert_code(0)
            .assert_stdout_has("/bin/busybox")
            .assert_stdout_has("GLAZE=blue");
        let json = Unikiln::command(["inspect", "--json", file]).output();
        let value: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
        assert_eq!(value["manifest"]["workingDir"], "/data", "{}", json.story());
        assert_eq!(
            value["manifest"]["cmd"],
            serde_json::json!(["ls", "/data"]),
            "{}",
            json.story()
        );
        assert_eq!(
            value["manifest"]["image"]["layers"]
                .as_array()
                .map(Vec::len),
            Some(2),
            "{}",
            json.story()
        );
    }
}

#[test]
fn a_packed_image_is_read_by_others_and_by_us() {
    if can_run("a_packed_image_is_read_by_others_and_by_us") {
        let dir = tempfile::tempdir().expect("temporary directory");
        let image = format!("oci:{}", dir.path().join("packed").display());
        Unikiln::command(["pack", "/bin/busybox", "/etc/debian_version", "-o", &image])
            .output()
            .assert_code(0);
        tool("skopeo", &["inspect", "--raw", &image]);
        let outcome = Unikiln::run(&image)
            .args(["cat", "/etc/debian_version"])
            .output();
        let want = fs::read_to_string("/etc/debian_version").expect("Debian");
        outcome.assert_code(0).assert_stdout(&want);
    }
}

#[test]
fn what_is_no_image_is_refused() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let garbage = dir.path().join("garbage");
    fs::write(&garbage, vec![0x5a; 10_000]).expect("writable");
    let garbage = garbage.to_str().expect("UTF-8");
    assert_refused("oci:/absent", &["/absent"]);
    assert_refused("oci-archive:/absent.tar", &["/absent.tar"]);
    assert_refused(&format!("oci-archive:{garbage}"), &["garbage"]);
    assert_refused(&format!("docker-archive:{garbage}"), &["garbage"]);
    assert_refused(&format!("oci:{}", dir.path().display()), &[]);
    assert_refused("host:/absent", &["/absent"]);
    assert_refused(
        "host:no-such-program-anywhere",
        &["no-such-program-anywhere"],
    );
}

#[test]
fn damaged_layouts_are_refused() {
    if can_build("damaged_layouts_are_refused") {
        let (_dir, image) = spoiled(|layout| {
            let layer = &blobs(layout)[0];
            let mut bytes = fs::read(layer).expect("readable");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            tool("chmod", &["600", layer.to_str().expect("UTF-8")]);
            fs::write(layer, bytes).expect("writable");
        });
        assert_refused(&image, &["digest", "sha256:"]);

        let (_dir, image) =
            spoiled(|layout| fs::remove_file(&blobs(layout)[0]).expect("it is there"));
        assert_refused(&image, &["sha256:"]);

        let (_dir, image) =
            spoiled(|layout| fs::write(layout.join("index.json"), "{").expect("writable"));
        assert_refused(&image, &["index.json"]);

        assert_refused(&format!("oci:{}:absent", layout().display()), &["absent"]);
        assert_refused(
            &format!("oci:{}:foreign", layout().display()),
            &["arm64", "amd64"],
        );

        let archive = convert(&layout(), "small", "oci-archive");
        let dir = tempfile::tempdir().expect("temporary directory");
        let cut = dir.path().join("cut.tar");
        let bytes = fs::read(archive).expect("readable");
        fs::write(&cut, &bytes[..bytes.len() / 2]).expect("writable");
        assert_refused(&format!("oci-archive:{}", cut.display()), &["cut.tar"]);
    }
}

#[test]
fn a_bomb_is_refused() {
    if can_build("a_bomb_is_refused") {
        let dir = tempfile::tempdir().expect("temporary directory");
        let file = dir.path().join("x.uk");
        let words = [
            "build",
            &small(),
            "-o",
            file.to_str().expect("UTF-8"),
            "--max-unpacked",
            "100k",
        ];
        let outcome = Unikiln::command(words).output();
        outcome.assert_own_failure(&["--max-unpacked"]);
        assert!(!file.exists());
    }
}
