//! Where volumes go, and which are refused.

use std::fs;

use crate::common::Unikiln;
use crate::{ash, directory, kvm, read, run, volume};

#[test]
fn a_file_can_be_a_volume() {
    if !kvm("a_file_can_be_a_volume") {
        return;
    }
    let dir = directory();
    let file = dir.path().join("app.conf");
    fs::write(&file, "from the host\n").expect("writable");
    let script = "read line < /etc/app/app.conf; echo $line; echo changed > /etc/app/app.conf";
    ash(&file, "/etc/app/app.conf", script)
        .assert_code(0)
        .assert_stdout("from the host\n");
    assert_eq!(read(&file), "changed\n");
    let remove = ["rm", "/etc/app/app.conf"];
    let outcome = run(&file, "/etc/app/app.conf", "host:/bin/busybox", &remove);
    outcome.assert_code(1).assert_stderr_has("busy");
    assert!(file.exists());
    // A directory of the image is no place for a file.
    ash(&file, "/proc/sys", "exit 0").assert_code(125);
    ash(&file, "/tmp", "exit 0")
        .assert_code(125)
        .assert_stderr_has("volume at /tmp: it is a file");
}

#[test]
fn volumes_nest_in_any_order() {
    if !kvm("volumes_nest_in_any_order") {
        return;
    }
    let (outer, inner) = (directory(), directory());
    fs::write(outer.path().join("o"), "").expect("writable");
    fs::write(inner.path().join("i"), "").expect("writable");
    let outer_first = [volume(outer.path(), "/x"), volume(inner.path(), "/x/y")];
    let inner_first = [volume(inner.path(), "/x/y"), volume(outer.path(), "/x:ro")];
    for order in [outer_first, inner_first] {
        let script = "cd /x; echo *; cd y; echo *; pwd; cd ..; echo *; echo > y/new";
        let outcome = Unikiln::run("host:/bin/busybox")
            .options(order.as_flattened())
            .args(["ash", "-c", script])
            .output();
        outcome.assert_code(0);
        let out = outcome.out();
        let first = out.lines().next().unwrap_or_default();
        assert!(matches!(first, "o y" | "y o"), "{}", outcome.story());
        outcome.assert_stdout_has("/x/y\n");
        fs::remove_file(inner.path().join("new")).expect("the guest made it");
    }
    assert_eq!(fs::read_dir(outer.path()).expect("there").count(), 1);
}

#[test]
fn wrong_volumes_are_refused_with_a_hint() {
    let refused = |options: &[&str]| {
        let unikiln = Unikiln::run("host:/bin/true").options(options);
        unikiln.output()
    };
    refused(&["-v", "/tmp"]).assert_own_failure(&["SRC:DST"]);
    refused(&["-v", "/tmp:data"]).assert_own_failure(&["data", "absolute path"]);
    refused(&["-v", "/tmp:/"]).assert_own_failure(&["absolute path below /"]);
    refused(&["-v", "/tmp:/a/../b"]).assert_own_failure(&["without .."]);
    refused(&["-v", "/tmp:/a:rx"]).assert_own_failure(&["rx", "ro and rw"]);
    if kvm("wrong_volumes_are_refused_with_a_hint") {
        refused(&["-v", "/dev/null:/a"]).assert_own_failure(&["/dev/null"]);
        refused(&["-v", "/tmp:/a", "-v", "/var:/a"]).assert_own_failure(&["/a"]);
        // A missing directory is made, as docker makes it.
        let dir = directory();
        let made = dir.path().join("made/here");
        ash(&made, "/data", "echo > /data/file").assert_code(0);
        assert!(made.join("file").exists());
    }
}
