//! Walking, listing and permissions.

use linux_raw_sys::general::{O_CREAT, O_DIRECTORY, O_NOFOLLOW, O_PATH, O_RDONLY, O_WRONLY};

use super::{fails, found, mounted, move_to, names, pattern, read_all, root, unlink, write_all};
use crate::errno::Errno;
use crate::fs::rename::Mode;
use crate::fs::tree::NewFile;
use crate::fs::{Caller, access, open, tree};

#[test]
fn paths_lead_where_linux_says() {
    let Some(_alone) = mounted() else { return };
    for path in [
        "/etc/hostname",
        "etc/hostname",
        "//etc///hostname",
        "/etc/./conf.d/../hostname",
        "/../../etc/hostname",
        "/etc/abs",
        "/deep/up",
        "/deep/a/../up",
    ] {
        assert_eq!(read_all(path).as_deref(), Ok(&b"box\n"[..]), "{path}");
    }
    assert_eq!(read_all("/bin/tool"), Ok(pattern(10_000)));
    assert_eq!(fails("", O_RDONLY), Errno::ENOENT);
    assert_eq!(fails("/etc/hostname/", O_RDONLY), Errno::ENOTDIR);
    assert_eq!(fails("/etc/hostname/x", O_RDONLY), Errno::ENOTDIR);
    assert_eq!(fails("/nothing/x", O_RDONLY), Errno::ENOENT);
    assert_eq!(fails("/loop", O_RDONLY), Errno::ELOOP);
    assert_eq!(fails("/etc/abs", O_NOFOLLOW), Errno::ELOOP);
    assert_eq!(fails("/etc/hostname", O_DIRECTORY), Errno::ENOTDIR);
    assert_eq!(fails("/etc", O_WRONLY), Errno::EISDIR);
    assert_eq!(fails(&"n".repeat(256), O_RDONLY), Errno::ENAMETOOLONG);
    assert_eq!(fails(&"/".repeat(4096), O_RDONLY), Errno::ENAMETOOLONG);
    assert!(open(b"/etc/abs", O_PATH | O_NOFOLLOW, 0).is_ok());
}

#[test]
fn a_large_directory_is_searched_and_listed() {
    let Some(_alone) = mounted() else { return };
    assert_eq!(names("/many").len(), 700);
    for index in 0..700 {
        assert_eq!(
            read_all(&format!("/many/entry-with-a-long-name-{index:04}")),
            Ok(vec![])
        );
    }
    assert_eq!(
        fails("/many/entry-with-a-long-name-0700", O_RDONLY),
        Errno::ENOENT
    );
    assert_eq!(fails("/many/a", O_RDONLY), Errno::ENOENT);
    assert_eq!(fails("/many/z", O_RDONLY), Errno::ENOENT);
}

#[test]
fn permissions_bind_all_but_root() {
    let Some(_alone) = mounted() else { return };
    let other = Caller {
        uid: 1000,
        gid: 1000,
        groups: vec![50],
        capabilities: 0,
    };
    let mut attributes = found("/etc/hostname")
        .existing()
        .expect("exists")
        .0
        .attributes()
        .expect("stats");
    (attributes.mode, attributes.uid, attributes.gid) = (0o100_640, 0, 50);
    assert_eq!(other.check(&attributes, access::READ), Ok(()));
    assert_eq!(other.check(&attributes, access::WRITE), Err(Errno::EACCES));
    assert_eq!(root().check(&attributes, access::WRITE), Ok(()));
    assert_eq!(
        root().check(&attributes, access::EXECUTE),
        Err(Errno::EACCES)
    );
    write_all("/tmp/theirs", O_CREAT | O_WRONLY, b"").expect("makes");
    assert_eq!(
        tree::unlink(&other, found("/tmp/theirs")),
        Err(Errno::EPERM),
        "sticky"
    );
    let denied = tree::create(&other, &found("/etc/mine"), &NewFile::Regular, 0o600);
    assert_eq!(denied.err(), Some(Errno::EACCES));
    let made = tree::create(&other, &found("/tmp/mine"), &NewFile::Regular, 0o600).expect("makes");
    assert_eq!(made.attributes().expect("stats").uid, 1000);
    unlink("/tmp/theirs").expect("removes");
    unlink("/tmp/mine").expect("removes");
}

#[test]
fn mount_points_stay() {
    let Some(_alone) = mounted() else { return };
    assert_eq!(
        tree::remove_directory(&root(), found("/proc")),
        Err(Errno::EBUSY)
    );
    assert_eq!(
        move_to("/proc", "/elsewhere", Mode::Replace),
        Err(Errno::EBUSY)
    );
    assert_eq!(
        move_to("/etc", "/dev/etc", Mode::Replace),
        Err(Errno::EXDEV)
    );
    let created = tree::create(&root(), &found("/proc/new"), &NewFile::Regular, 0o600);
    assert_eq!(created.err(), Some(Errno::ENOENT));
    assert_eq!(read_all("/dev/null"), Ok(vec![]));
    assert_eq!(fails("/dev/tty", O_RDONLY), Errno::ENXIO);
    assert_eq!(names("/dev/shm"), Vec::<String>::new());
}
