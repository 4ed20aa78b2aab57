//! Good images: they run as their configuration says, and others can read them.

use std::fs;

use crate::common::Unikiln;
use crate::common::image::{convert, tool};
use crate::common::skip::{Need, has_all};
use crate::{can_build, can_run, layout, small};

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
