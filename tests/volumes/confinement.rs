//! What the guest cannot reach, change or do.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::outcome;
use crate::common::skip::{Need, has_all};
use crate::{Running, ash, directory, kvm, read, run, volume};

#[test]
fn a_read_only_volume_stays_as_it_is() {
    if !kvm("a_read_only_volume_stays_as_it_is") {
        return;
    }
    let dir = directory();
    fs::write(dir.path().join("file"), "kept").expect("writable");
    let script = "read line < /data/file; echo $line; echo x > /data/file; echo x > /data/new; \
                  echo x >> /data/file; exit 0";
    let outcome = ash(dir.path(), "/data:ro", script);
    outcome
        .assert_code(0)
        .assert_stdout("kept\n")
        .assert_stderr_has("/data/file: Read-only file system")
        .assert_stderr_has("/data/new: Read-only file system");
    let is_writable = |path: &str| run(dir.path(), "/data:ro", "host:/usr/bin/test", &["-w", path]);
    is_writable("/data/file").assert_code(1);
    is_writable("/tmp").assert_code(0);
    for command in [
        &["rm", "/data/file"][..],
        &["mv", "/data/file", "/data/moved"],
        &["chmod", "777", "/data/file"],
        &["mkdir", "/data/dir"],
        &["ln", "/data/file", "/data/link"],
        &["touch", "/data/file"],
    ] {
        let outcome = run(dir.path(), "/data:ro", "host:/bin/busybox", command);
        assert_ne!(outcome.code, 0, "{}", outcome.story());
        outcome.assert_stderr_has("Read-only file system");
    }
    assert_eq!(read(dir.path().join("file")), "kept");
    assert_eq!(fs::read_dir(dir.path()).expect("there").count(), 1);
    let mounts = ash(
        dir.path(),
        "/data:ro",
        "while read l; do echo $l; done < /proc/mounts",
    );
    mounts.assert_stdout_has("volume /data fuse.unikiln ro,nosuid,nodev 0 0\n");
    let script = "while read l; do echo $l; done < /proc/self/mountinfo";
    let mounts = ash(dir.path(), "/data:ro", script);
    mounts.assert_stdout_has(" 0:64 / /data ro,nosuid,nodev - fuse.unikiln volume ro\n");
    let kind = ["-f", "-c", "%T", "/data"];
    let outcome = run(dir.path(), "/data:ro", "host:/usr/bin/stat", &kind);
    outcome.assert_code(0).assert_stdout("fuseblk\n");
}

#[test]
fn symlinks_lead_through_the_guests_own_root() {
    if !kvm("symlinks_lead_through_the_guests_own_root") {
        return;
    }
    let dir = directory();
    let source = dir.path().join("volume");
    fs::create_dir_all(source.join("a/b")).expect("writable");
    let secret = dir.path().join("secret");
    fs::write(&secret, "secret").expect("writable");
    fs::write(source.join("inner"), "inner").expect("writable");
    symlink(&secret, source.join("absolute")).expect("writable");
    symlink("../secret", source.join("up")).expect("writable");
    symlink("../../../../../../../../../etc/passwd", source.join("far")).expect("writable");
    symlink("../../inner", source.join("a/b/inside")).expect("writable");
    symlink("/data/inner", source.join("own")).expect("writable");
    // That one is the image's own.
    let script = "cd /data; for f in absolute up far a/b/inside own; do \
                  if read line < $f; then :; fi; echo $f=$line; line=; done; \
                  cd a/b/../..; pwd; cd ..; pwd; cd /data/a/b; cd ../../..; pwd; exit 0";
    let outcome = ash(&source, "/data", script);
    outcome
        .assert_code(0)
        .assert_stdout("absolute=\nup=\nfar=root:x:0:0:root:/root:/bin/sh\na/b/inside=inner\nown=inner\n/data\n/\n/\n");
    outcome.assert_stderr_has("absolute: no such file");
}

#[test]
fn a_directory_swapped_for_a_symlink_is_no_way_out() {
    if !kvm("a_directory_swapped_for_a_symlink_is_no_way_out") {
        return;
    }
    let dir = directory();
    let source = dir.path().join("volume");
    let outside = dir.path().join("outside");
    fs::create_dir_all(source.join("d")).expect("writable");
    fs::create_dir(&outside).expect("writable");
    fs::write(source.join("d/secret"), "inside").expect("writable");
    fs::write(outside.join("secret"), "outside").expect("writable");
    let guest = Running::start(&source, "peek");
    symlink(&outside, source.join("link")).expect("writable");
    for _ in 0..3000 {
        for (from, to) in [("d", "real"), ("link", "d"), ("d", "link"), ("real", "d")] {
            fs::rename(source.join(from), source.join(to)).expect("names are ours");
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    fs::write(source.join("stop"), "").expect("writable");
    let (said, code) = guest.finish();
    assert_eq!(said, "inside some, outside 0, failed some\n");
    assert_eq!(code, Some(0));
}

#[test]
fn files_belong_to_who_makes_them_and_the_host_decides() {
    let needs = [Need::Kvm, Need::Program("setpriv")];
    if !has_all(
        "files_belong_to_who_makes_them_and_the_host_decides",
        &needs,
    ) {
        return;
    }
    let dir = directory();
    fs::write(dir.path().join("mine"), "private").expect("writable");
    let as_root = run(
        dir.path(),
        "/data",
        "host:/bin/chown",
        &["7:8", "/data/mine"],
    );
    as_root.assert_code(0);
    let mine = fs::metadata(dir.path().join("mine")).expect("there");
    assert_eq!((mine.uid(), mine.gid()), (7, 8));
    fs::set_permissions(dir.path().join("mine"), fs::Permissions::from_mode(0o600)).expect("ours");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).expect("ours");
    // A monitor without capabilities may do what any user may, whoever the guest
    // thinks it is.
    let mut command = Command::new("setpriv");
    command
        .arg("--bounding-set=-dac_override,-dac_read_search,-chown,-fowner")
        .arg(env!("CARGO_BIN_EXE_unikiln"))
        .arg("run")
        .args(volume(dir.path(), "/data"))
        .args(["host:/bin/busybox", "ash", "-c"])
        .arg("echo made > /data/made; read x < /data/mine; exec chown 7 /data/made")
        .stdin(Stdio::null());
    let outcome = outcome::run(command, None);
    outcome
        .assert_code(1)
        .assert_stderr_has("/data/mine: Permission denied")
        .assert_stderr_has("/data/made: Operation not permitted");
    let made = fs::metadata(dir.path().join("made")).expect("the guest made it");
    assert_eq!((made.uid(), made.gid()), (0, 0));
}
