//! What happens on the host meanwhile: changes, a full disk, a volume that goes.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};

use crate::common::outcome;
use crate::common::skip::{Need, has_all};
use crate::{Running, directory, kvm, program};

#[test]
fn changes_on_the_host_are_seen_and_told() {
    if !kvm("changes_on_the_host_are_seen_and_told") {
        return;
    }
    let dir = directory();
    let at = |name: &str| dir.path().join(name);
    // A ConfigMap as the kubelet writes it.
    for (version, value) in [("..1", "old"), ("..2", "new")] {
        fs::create_dir(at(version)).expect("writable");
        fs::write(at(version).join("value"), value).expect("writable");
    }
    symlink("..1", at("..data")).expect("writable");
    symlink("..data/value", at("value")).expect("writable");
    let mut guest = Running::start(dir.path(), "watch");
    fs::write(at("made"), "x").expect("writable");
    for line in ["create(made)", "modify(made)", "close_write(made)"] {
        assert_eq!(guest.line(), line);
    }
    symlink("..2", at("..data_tmp")).expect("writable");
    assert_eq!(guest.line(), "create(..data_tmp)");
    fs::rename(at("..data_tmp"), at("..data")).expect("writable");
    assert_eq!(guest.line(), "moved_from(..data_tmp)");
    assert_eq!(guest.line(), "moved_to(..data) value=new");
    fs::set_permissions(at("made"), fs::Permissions::from_mode(0o600)).expect("ours");
    assert_eq!(guest.line(), "attrib(made)");
    fs::remove_file(at("made")).expect("ours");
    assert_eq!(guest.line(), "delete(made)");
    fs::write(at("stop"), "").expect("writable");
    assert_eq!(guest.finish(), (String::new(), Some(0)));
}

#[test]
fn a_full_disk_is_enospc() {
    let needs = [Need::Kvm, Need::Program("unshare"), Need::Program("mount")];
    if !has_all("a_full_disk_is_enospc", &needs) {
        return;
    }
    let dir = directory();
    let mut command = Command::new("unshare");
    let script =
        "mount -t tmpfs -o size=1m none \"$1\" && exec \"$2\" run -v \"$1:/data\" \"$3\" /data";
    command
        .args(["-m", "sh", "-c", script, "sh"])
        .arg(dir.path())
        .arg(env!("CARGO_BIN_EXE_unikiln"))
        .arg(format!("host:{}", program("full").display()))
        .stdin(Stdio::null());
    outcome::run(command, None)
        .assert_code(0)
        .assert_stdout("ok full\n");
}

#[test]
fn a_volume_may_be_deleted_under_the_guest() {
    if !kvm("a_volume_may_be_deleted_under_the_guest") {
        return;
    }
    let dir = directory();
    let source = dir.path().join("volume");
    fs::create_dir(&source).expect("writable");
    let guest = Running::start(&source, "deleted");
    // Names that the guest makes meanwhile are in the way.
    while source.exists() {
        let _ = fs::remove_dir_all(&source);
    }
    assert_eq!(guest.finish(), ("ok deleted\n".into(), Some(0)));
}
