//! A program runs as the user that its image names, and is bound by the owners
//! and modes that the layers give their files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::can_run;
use crate::common::image::{make, new_layout, tool};
use crate::common::skip::{Need, has_all};
use crate::common::{Outcome, Unikiln};

/// Says as whom it runs.
const IDS: &str = r#"
#include <stdio.h>
#include <sys/auxv.h>
#include <unistd.h>
int main(void) {
    printf("%d %d %d %d %lu\n", getuid(), geteuid(), getgid(), getegid(), getauxval(AT_SECURE));
    return 0;
}
"#;

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// One layer: files with their modes, all of one owner.
fn layer(work: &Path, owner: u32, group: u32, fill: impl FnOnce(&Path)) -> PathBuf {
    let name = format!("{owner}-{group}");
    let (dir, tar) = (work.join(&name), work.join(format!("{name}.tar")));
    fs::create_dir_all(&dir).expect("temporary directory is writable");
    fill(&dir);
    let (owner, group) = (format!("--owner={owner}"), format!("--group={group}"));
    // Without the top, whose owner is not this layer's.
    let entries = fs::read_dir(&dir).expect("readable");
    let names: Vec<String> = entries
        .map(|entry| entry.expect("readable").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    let mut args = vec![owner.as_str(), &group, "-C", text(&dir), "-cf", text(&tar)];
    args.extend(names.iter().map(String::as_str));
    tool("tar", &args);
    tar
}

fn put(path: PathBuf, content: &[u8], mode: u32) {
    let parent = path.parent().expect("a file is in a folder");
    fs::create_dir_all(parent).expect("temporary directory is writable");
    fs::write(&path, content).expect("temporary directory is writable");
    set_mode(&path, mode);
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it was just made");
}

/// An image of user 1000, group 1000, who is also in group 1002.
fn layout() -> PathBuf {
    make("users-home-oci", |layout| {
        let work = tempfile::tempdir().expect("temporary directory");
        let work = work.path();
        let source = work.join("ids.c");
        let program = work.join("ids");
        fs::write(&source, IDS).expect("temporary directory is writable");
        tool("gcc", &["-static", "-o", text(&program), text(&source)]);
        let ids = fs::read(&program).expect("it was just made");
        let busybox = fs::read("/bin/busybox").expect("busybox is installed");
        let layers = [
            layer(work, 0, 0, |top| {
                put(top.join("bin/busybox"), &busybox, 0o755);
                put(top.join("bin/ids"), &ids, 0o755);
                put(
                    top.join("etc/passwd"),
                    b"root:x:0:0::/:/\npotter:x:1000:1000::/:/\nwheel:x:1003:0::/home:/\n",
                    0o644,
                );
                put(
                    top.join("etc/group"),
                    b"root:x:0:\npotter:x:1000:\nkiln:x:1002:potter\n",
                    0o644,
                );
                put(top.join("etc/shadow"), b"secret\n", 0o600);
                put(top.join("root/inside"), b"secret\n", 0o644);
                set_mode(&top.join("root"), 0o700);
                put(top.join("shared/of-root"), b"of root\n", 0o644);
                set_mode(&top.join("shared"), 0o1777);
            }),
            layer(work, 1000, 1000, |top| {
                put(top.join("home/own"), b"own\n", 0o600);
            }),
            layer(work, 0, 1002, |top| {
                put(top.join("srv/of-kiln"), b"for the group\n", 0o640)
            }),
            layer(work, 5, 6, |top| put(top.join("sbin/as-5"), &ids, 0o6755)),
        ];
        let tars: Vec<&Path> = layers.iter().map(PathBuf::as_path).collect();
        new_layout(layout, "users", &tars);
        let image = format!("{}:users", layout.display());
        for user in ["1000:1000", "potter", "0"] {
            let tag = user.replace(':', "-");
            let settings = ["--tag", &tag, "--config.user", user];
            tool(
                "umoci",
                &[&["config", "--image", &image], settings.as_slice()].concat(),
            );
        }
    })
}

fn run(tag: &str, args: &[&str]) -> Outcome {
    run_with(tag, &[], args)
}

fn run_with(tag: &str, options: &[&str], args: &[&str]) -> Outcome {
    Unikiln::run(format!("oci:{}:{tag}", layout().display()))
        .options(["--entrypoint", "/bin/busybox"])
        .options(options)
        .args(args)
        .output()
}

fn ready(test: &str) -> bool {
    can_run(test) && has_all(test, &[Need::Program("gcc")])
}

fn refused(tag: &str, args: &[&str], words: &str) {
    run(tag, args).assert_code(1).assert_stderr_has(words);
}

#[test]
fn files_of_root_are_closed_to_the_user() {
    if ready("files_of_root_are_closed_to_the_user") {
        for tag in ["1000-1000", "potter"] {
            run(tag, &["cat", "/home/own"])
                .assert_code(0)
                .assert_stdout("own\n");
            refused(tag, &["cat", "/etc/shadow"], "Permission denied");
            refused(tag, &["cat", "/root/inside"], "Permission denied");
            refused(tag, &["ls", "/root"], "Permission denied");
            refused(tag, &["touch", "/etc/new"], "Permission denied");
            refused(tag, &["mkdir", "/new"], "Permission denied");
            refused(tag, &["rm", "-f", "/etc/passwd"], "Permission denied");
            refused(tag, &["chmod", "644", "/etc/shadow"], "not permitted");
            refused(tag, &["chown", "0", "/home/own"], "not permitted");
        }
        run("0", &["cat", "/etc/shadow", "/root/inside", "/home/own"])
            .assert_code(0)
            .assert_stdout("secret\nsecret\nown\n");
    }
}

#[test]
fn groups_of_the_user_count() {
    if ready("groups_of_the_user_count") {
        run("potter", &["cat", "/srv/of-kiln"])
            .assert_code(0)
            .assert_stdout("for the group\n");
        refused("potter", &["touch", "/srv/of-kiln"], "Permission denied");
    }
}

#[test]
fn a_sticky_directory_keeps_the_files_of_others() {
    if ready("a_sticky_directory_keeps_the_files_of_others") {
        refused("potter", &["rm", "-f", "/shared/of-root"], "not permitted");
        run("potter", &["touch", "/shared/new"]).assert_code(0);
        run("potter", &["touch", "/tmp/new"]).assert_code(0);
    }
}

/// Container engines give the standard streams to the user: services log there.
#[test]
fn standard_streams_are_the_users() {
    if ready("standard_streams_are_the_users") {
        let script =
            "echo out > /dev/stdout; echo err > /dev/stderr; cd /proc/self/fd; echo again > 1";
        run("potter", &["ash", "-c", script])
            .assert_code(0)
            .assert_stdout("out\nagain\n")
            .assert_stderr_has("err\n");
    }
}

#[test]
fn a_set_id_program_runs_as_its_owner() {
    if ready("a_set_id_program_runs_as_its_owner") {
        let ids = |tag: &str, program: &str| {
            Unikiln::run(format!("oci:{}:{tag}", layout().display()))
                .options(["--entrypoint", program])
                .output()
        };
        ids("1000-1000", "/bin/ids").assert_stdout("1000 1000 1000 1000 0\n");
        ids("1000-1000", "/sbin/as-5").assert_stdout("1000 5 1000 6 1\n");
        ids("0", "/sbin/as-5").assert_stdout("0 5 0 6 1\n");
        // Also when a program starts it.
        run("potter", &["env", "/sbin/as-5"]).assert_stdout("1000 5 1000 6 1\n");
    }
}

#[test]
fn the_user_option_replaces_the_images_user() {
    if ready("the_user_option_replaces_the_images_user") {
        let who = ["ash", "-c", "echo $(id -u) $(id -g) $(id -G) $HOME"];
        for (options, line) in [
            (&["--user", "potter"][..], "1000 1000 1000 1002 /\n"),
            (&["-u", "1000:kiln"], "1000 1002 1002 /\n"),
            (&["-u", "1003"], "1003 0 0 /home\n"),
            (&["-u", "7:8", "-e", "HOME=/srv"], "7 8 8 /srv\n"),
            (&["-u", "7", "--group-add", "9"], "7 0 0 9 /\n"),
        ] {
            run_with("0", options, &who)
                .assert_code(0)
                .assert_stdout(line);
        }
        run_with("potter", &["--user", "0"], &["cat", "/etc/shadow"])
            .assert_code(0)
            .assert_stdout("secret\n");
        run_with("0", &["--user", "absent"], &["true"])
            .assert_code(125)
            .assert_stderr_has("cannot run as absent");
        run_with("0", &["--user", ""], &["true"])
            .assert_code(125)
            .assert_stderr_has("--user");
    }
}

#[test]
fn options_take_rights_away() {
    if ready("options_take_rights_away") {
        let script = "touch /new || echo kept; touch /dev/shm/new && echo made";
        run_with("0", &["--read-only"], &["ash", "-c", script])
            .assert_code(0)
            .assert_stdout("kept\nmade\n")
            .assert_stderr_has("Read-only file system");
        run_with(
            "1000-1000",
            &["--no-new-privileges"],
            &["env", "/sbin/as-5"],
        )
        .assert_stdout("1000 1000 1000 1000 0\n");
    }
}
