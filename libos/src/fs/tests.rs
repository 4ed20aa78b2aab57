//! The whole tree over an image that `mkfs.erofs` makes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, Once};
use std::vec::Vec;

use linux_raw_sys::general::{
    O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_PATH, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY,
};

use super::memory::used_pages;
use super::open_file::Page;
use super::path::Found;
use super::rename::{Mode, rename};
use super::tree::{self, NewFile};
use super::{Caller, open, resolve, resolve_name};
use crate::errno::Errno;
use crate::mm::rootfs;

static MOUNTED: Once = Once::new();
/// Tests that look at counts of the whole layer keep others out.
static ALONE: Mutex<()> = Mutex::new(());

/// Writes the tree that all tests see.
fn write_tree(top: &Path) {
    let directory =
        |name: &str| std::fs::create_dir_all(top.join(name)).expect("makes a directory");
    for name in [
        "usr/bin",
        "usr/lib",
        "etc/conf.d",
        "deep/a/b/c",
        "move/me/inner",
        "many",
        "empty",
        "proc",
        "cached/one",
        "cached/two",
    ] {
        directory(name);
    }
    let file =
        |name: &str, bytes: &[u8]| std::fs::write(top.join(name), bytes).expect("writes a file");
    file("etc/hostname", b"box\n");
    file("etc/conf.d/one", b"1");
    file("etc/conf.d/two", b"2");
    file("usr/bin/tool", &pattern(10_000));
    file("usr/lib/whole", &pattern(8192));
    file("deep/a/b/c/leaf", b"leaf");
    file("move/me/inner/file", b"inside");
    file("cached/one/file", b"old");
    file("cached/two/file", b"22");
    for index in 0..700 {
        file(&format!("many/entry-with-a-long-name-{index:04}"), b"");
    }
    std::fs::hard_link(top.join("usr/bin/tool"), top.join("usr/bin/alias")).expect("links");
    for (name, target) in [
        ("bin", "usr/bin"),
        ("loop", "loop"),
        ("cached/link", "one"),
        ("etc/abs", "/etc/hostname"),
        ("deep/up", "../etc/hostname"),
        ("dangling", "etc/made"),
    ] {
        std::os::unix::fs::symlink(target, top.join(name)).expect("makes a symlink");
    }
}

pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 % 251) as u8).collect()
}

/// Bytes of an image made of `top`; none where `mkfs.erofs` is missing.
pub(crate) fn make_image(top: &Path, options: &[&str]) -> Option<&'static [u8]> {
    let image: PathBuf = top.with_extension("erofs");
    let made = Command::new("mkfs.erofs")
        .args(options)
        .arg("-T0")
        .arg(&image)
        .arg(top)
        .output();
    match made {
        Ok(output) if output.status.success() => {
            Some(Vec::leak(std::fs::read(image).expect("reads the image")))
        }
        Ok(output) => panic!("mkfs.erofs: {}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => {
            std::eprintln!("SKIPPED: mkfs.erofs is not installed");
            None
        }
    }
}

/// Mounts the tree once for all tests. The guard keeps tests one after the other.
fn mounted() -> Option<MutexGuard<'static, ()>> {
    MOUNTED.call_once(|| {
        let top = std::env::temp_dir().join(format!("unikiln-fs-{}", std::process::id()));
        write_tree(&top);
        if let Some(image) = make_image(&top, &[]) {
            rootfs::set_for_test(image);
            super::init().expect("mounts");
        }
        let _ = std::fs::remove_dir_all(&top);
        let _ = std::fs::remove_file(top.with_extension("erofs"));
    });
    let guard = ALONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    (!rootfs::is_empty()).then_some(guard)
}

fn read_all(path: &str) -> Result<Vec<u8>, Errno> {
    let file = open(path.as_bytes(), O_RDONLY, 0)?;
    let mut bytes = vec![0; file.size() as usize + 1];
    let count = file.read_at(0, &mut bytes)?;
    bytes.truncate(count);
    Ok(bytes)
}

fn write_all(path: &str, flags: u32, bytes: &[u8]) -> Result<(), Errno> {
    let file = open(path.as_bytes(), flags, 0o644)?;
    assert_eq!(file.write_at(0, bytes)?, bytes.len());
    Ok(())
}

fn root() -> Caller {
    Caller::default()
}

fn found(path: &str) -> Found {
    resolve(&root(), None, path.as_bytes(), false)
        .unwrap_or_else(|errno| panic!("{path}: {errno:?}"))
}

fn names(path: &str) -> Vec<String> {
    let (node, ..) = found(path).existing().expect("exists");
    let mut names: Vec<String> = node
        .list()
        .expect("lists")
        .into_iter()
        .map(|listed| String::from_utf8_lossy(&listed.name).into_owned())
        .collect();
    names.sort();
    names
}

fn move_to(from: &str, to: &str, mode: Mode) -> Result<(), Errno> {
    rename(&root(), &found(from), &found(to), mode)
}

fn unlink(path: &str) -> Result<(), Errno> {
    tree::unlink(&root(), &found(path))
}

fn fails(path: &str, flags: u32) -> Errno {
    open(path.as_bytes(), flags, 0)
        .err()
        .unwrap_or_else(|| panic!("{path} opens"))
}

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
fn writing_copies_up_and_keeps_the_inode_number() {
    let Some(_alone) = mounted() else { return };
    let base = used_pages();
    let old = open(b"/usr/bin/tool", O_RDONLY, 0).expect("opens");
    let before = old.attributes().expect("stats");
    assert_eq!(before.nlink, 2);
    let file = open(b"/usr/bin/tool", O_RDWR, 0).expect("opens for writing");
    assert_eq!(used_pages(), base, "opening copies nothing");
    assert_eq!(file.write_at(5000, b"CHANGED"), Ok(7));
    assert_eq!(used_pages(), base + 1, "one page is copied");
    let mut expected = pattern(10_000);
    expected[5000..5007].copy_from_slice(b"CHANGED");
    // The other hard link and the descriptor from before see it too.
    assert_eq!(read_all("/usr/bin/alias"), Ok(expected.clone()));
    let mut seen = vec![0; 10_000];
    assert_eq!(old.read_at(0, &mut seen), Ok(10_000));
    assert_eq!(seen, expected);
    let after = file.attributes().expect("stats");
    assert_eq!(
        (after.ino, after.device, after.nlink),
        (before.ino, before.device, 2)
    );
    // Truncated and grown again, the image does not show through.
    file.file().truncate(100).expect("truncates");
    file.file().truncate(6000).expect("grows");
    expected.truncate(100);
    expected.resize(6000, 0);
    assert_eq!(read_all("/usr/bin/tool"), Ok(expected));
    assert_eq!(used_pages(), base, "the copied page is free again");
    write_all("/usr/bin/tool", O_WRONLY | O_TRUNC, &pattern(10_000)).expect("restores");
}

#[test]
fn names_come_and_go_over_the_image() {
    let Some(_alone) = mounted() else { return };
    let at = "/etc/conf.d/one";
    assert_eq!(unlink(at), Ok(()));
    assert_eq!(fails(at, O_RDONLY), Errno::ENOENT);
    assert_eq!(names("/etc/conf.d"), ["two"]);
    write_all(at, O_CREAT | O_EXCL | O_WRONLY, b"new").expect("makes");
    assert_eq!(fails(at, O_CREAT | O_EXCL | O_WRONLY), Errno::EEXIST);
    assert_eq!(read_all(at).as_deref(), Ok(&b"new"[..]));
    assert_eq!(names("/etc/conf.d"), ["one", "two"]);
    assert_eq!(
        tree::remove_directory(&root(), &found("/etc/conf.d")),
        Err(Errno::ENOTEMPTY)
    );
    unlink(at).expect("removes");
    unlink("/etc/conf.d/two").expect("removes");
    assert_eq!(
        tree::remove_directory(&root(), &found("/etc/conf.d")),
        Ok(())
    );
    assert_eq!(fails("/etc/conf.d", O_RDONLY), Errno::ENOENT);
    // A new directory of the same name is opaque.
    tree::create(&root(), &found("/etc/conf.d/"), &NewFile::Directory, 0o755).expect("makes");
    assert!(names("/etc/conf.d").is_empty());
    write_all("/dangling", O_CREAT | O_WRONLY, b"through").expect("makes through the symlink");
    assert_eq!(read_all("/etc/made").as_deref(), Ok(&b"through"[..]));
}

#[test]
fn a_directory_of_the_image_moves_with_all_below() {
    let Some(_alone) = mounted() else { return };
    let inside = open(b"/move/me/inner", O_RDONLY | O_DIRECTORY, 0).expect("opens");
    assert_eq!(inside.path(), b"/move/me/inner");
    assert_eq!(
        move_to("/move/me", "/move/me/inner/x", Mode::Replace),
        Err(Errno::EINVAL)
    );
    assert_eq!(move_to("/move/me", "/empty/moved", Mode::Replace), Ok(()));
    assert_eq!(
        read_all("/empty/moved/inner/file").as_deref(),
        Ok(&b"inside"[..])
    );
    assert_eq!(
        read_all("/empty/moved/inner/../../moved/inner/file").as_deref(),
        Ok(&b"inside"[..])
    );
    assert_eq!(inside.path(), b"/empty/moved/inner");
    assert_eq!(names("/empty"), ["moved"]);
    assert!(names("/move").is_empty());
    let up = found("/empty/moved/..").existing().expect("exists").0;
    assert_eq!(
        up.identity(),
        found("/empty").existing().expect("exists").0.identity()
    );
    assert_eq!(
        move_to("/empty/moved", "/etc/hostname", Mode::Replace),
        Err(Errno::ENOTDIR)
    );
    assert_eq!(
        move_to("/etc/hostname", "/empty/moved", Mode::Replace),
        Err(Errno::EISDIR)
    );
    assert_eq!(
        move_to("/empty/moved", "/deep", Mode::Replace),
        Err(Errno::ENOTEMPTY)
    );
    assert_eq!(
        move_to("/empty/moved", "/move", Mode::NoReplace),
        Err(Errno::EEXIST)
    );
    assert_eq!(
        move_to("/empty/moved/inner", "/deep/a", Mode::Exchange),
        Ok(())
    );
    assert_eq!(
        read_all("/empty/moved/inner/b/c/leaf").as_deref(),
        Ok(&b"leaf"[..])
    );
    assert_eq!(read_all("/deep/a/file").as_deref(), Ok(&b"inside"[..]));
    assert_eq!(
        move_to("/empty/moved/inner", "/deep/a", Mode::Exchange),
        Ok(())
    );
    assert_eq!(read_all("/deep/a/b/c/leaf").as_deref(), Ok(&b"leaf"[..]));
}

#[test]
fn links_count_and_removed_files_stay_readable() {
    let Some(_alone) = mounted() else { return };
    let base = used_pages();
    write_all("/tmp/one", O_CREAT | O_WRONLY, b"data").expect("makes");
    let (node, ..) = found("/tmp/one").existing().expect("exists");
    tree::link(&root(), &node, &found("/tmp/two")).expect("links");
    assert_eq!(node.attributes().expect("stats").nlink, 2);
    assert_eq!(
        move_to("/tmp/one", "/tmp/two", Mode::Replace),
        Ok(()),
        "same file: nothing happens"
    );
    assert_eq!(names("/tmp"), ["one", "two"]);
    let file = open(b"/tmp/two", O_RDWR, 0).expect("opens");
    unlink("/tmp/one").expect("removes");
    assert_eq!(file.path(), b"/tmp/two");
    unlink("/tmp/two").expect("removes");
    assert_eq!(file.attributes().expect("stats").nlink, 0);
    assert_eq!(file.write_at(4, b"more"), Ok(4));
    let mut seen = [0; 8];
    assert_eq!(file.read_at(0, &mut seen), Ok(8));
    assert_eq!(&seen, b"datamore");
    assert_eq!(file.path(), b"/ (deleted)");
    assert_eq!(used_pages(), base + 1);
    drop((file, node));
    assert_eq!(used_pages(), base, "the last close frees the data");
}

#[test]
fn files_are_sparse_and_the_layer_is_limited() {
    let Some(_alone) = mounted() else { return };
    let base = used_pages();
    let file = open(b"/tmp/sparse", O_CREAT | O_RDWR, 0o600).expect("makes");
    assert_eq!(file.write_at(1 << 40, b"end"), Ok(3));
    assert_eq!(file.size(), (1 << 40) + 3);
    assert_eq!(file.attributes().expect("stats").blocks, 8);
    let seek = linux_raw_sys::general::SEEK_DATA;
    assert_eq!(file.seek(10, seek), Ok(1 << 40));
    let mut zeros = [1; 10];
    assert_eq!(file.read_at(5000, &mut zeros), Ok(10));
    assert_eq!(zeros, [0; 10]);
    let chunk = vec![7; 1 << 20];
    let mut at = 0;
    let full = loop {
        match file.write_at(at, &chunk) {
            Ok(count) => at += count as u64,
            Err(errno) => break errno,
        }
    };
    assert_eq!(full, Errno::ENOSPC);
    unlink("/tmp/sparse").expect("removes");
    drop(file);
    assert_eq!(used_pages(), base);
}

#[test]
fn pages_are_the_image_until_written() {
    let Some(_alone) = mounted() else { return };
    let file = open(b"/usr/lib/whole", O_RDONLY, 0).expect("opens");
    assert!(matches!(file.page(0), Ok(Page::Rootfs { .. })));
    assert!(matches!(file.page(1), Ok(Page::Rootfs { .. })));
    assert_eq!(file.page(2).err(), Some(Errno::ENXIO));
    let small = open(b"/etc/hostname", O_RDONLY, 0).expect("opens");
    let Ok(Page::Frame(frame)) = small.page(0) else {
        panic!("an inline tail is copied")
    };
    let mut seen = [1; 8];
    frame.read(0, &mut seen);
    assert_eq!(&seen, b"box\n\0\0\0\0");
    let written = open(b"/usr/lib/whole", O_RDWR, 0).expect("opens");
    let Ok(Page::Frame(frame)) = written.page_for_write(1) else {
        panic!("a frame")
    };
    frame.write(0, b"mapped");
    assert_eq!(
        &read_all("/usr/lib/whole").expect("reads")[4096..4102],
        b"mapped"
    );
}

#[test]
fn permissions_bind_all_but_root() {
    let Some(_alone) = mounted() else { return };
    let other = Caller {
        uid: 1000,
        gid: 1000,
        groups: vec![50],
    };
    let mut attributes = found("/etc/hostname")
        .existing()
        .expect("exists")
        .0
        .attributes()
        .expect("stats");
    (attributes.mode, attributes.uid, attributes.gid) = (0o100_640, 0, 50);
    assert_eq!(other.check(&attributes, super::access::READ), Ok(()));
    assert_eq!(
        other.check(&attributes, super::access::WRITE),
        Err(Errno::EACCES)
    );
    assert_eq!(root().check(&attributes, super::access::WRITE), Ok(()));
    assert_eq!(
        root().check(&attributes, super::access::EXECUTE),
        Err(Errno::EACCES)
    );
    write_all("/tmp/theirs", O_CREAT | O_WRONLY, b"").expect("makes");
    assert_eq!(
        tree::unlink(&other, &found("/tmp/theirs")),
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
fn appending_and_positions() {
    let Some(_alone) = mounted() else { return };
    write_all("/tmp/log", O_CREAT | O_WRONLY, b"one").expect("makes");
    let file = open(b"/tmp/log", O_RDWR | O_APPEND, 0).expect("opens");
    let mut source = super::transfer::BufferSource(b"two");
    assert_eq!(file.write(&mut source), Ok(3));
    assert_eq!(file.position(), 6);
    assert_eq!(read_all("/tmp/log").as_deref(), Ok(&b"onetwo"[..]));
    assert_eq!(file.seek(-1, 0), Err(Errno::EINVAL));
    assert_eq!(file.seek(-1, 2), Ok(5));
    unlink("/tmp/log").expect("removes");
}

#[test]
fn mount_points_stay() {
    let Some(_alone) = mounted() else { return };
    assert_eq!(
        tree::remove_directory(&root(), &found("/proc")),
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

#[test]
fn proc_tells_of_the_process() {
    let Some(_alone) = mounted() else { return };
    crate::process::current().image.lock().exe = b"/usr/bin/tool".to_vec();
    let (link, ..) = resolve(&root(), None, b"/proc/self", false)
        .expect("resolves")
        .existing()
        .expect("exists");
    assert_eq!(link.link_target().expect("links").path(), Some(&b"1"[..]));
    let exe = open(b"/proc/self/exe", O_RDONLY, 0).expect("opens");
    assert_eq!(exe.size(), 10_000);
    // Every file and link can be looked at, and every directory listed.
    let mut queue = vec![String::from("/proc"), String::from("/sys")];
    let mut seen = 0;
    while let Some(path) = queue.pop() {
        for name in names(&path) {
            seen += 1;
            let path = format!("{path}/{name}");
            let found = resolve(&root(), None, path.as_bytes(), false);
            let (node, directory, _) = found.expect("resolves").existing().expect("exists");
            node.attributes().expect("stats");
            if node.is_directory() {
                let up = node.parent().expect("has a parent");
                assert_eq!(up.identity(), directory.identity(), "{path}");
                queue.push(path);
            } else if node.link_target().is_err() {
                open(path.as_bytes(), O_RDONLY, 0)
                    .unwrap_or_else(|errno| panic!("{path}: {errno:?}"));
            }
        }
    }
    assert!(seen > 100, "{seen}");
    let text = |path: &str| {
        let file = open(path.as_bytes(), O_RDONLY, 0).expect("opens");
        let mut bytes = vec![0; 64 << 10];
        let count = file.read_at(0, &mut bytes).expect("reads");
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    };
    assert_eq!(text("/proc/self/stat").split(' ').count(), 52);
    assert!(text("/proc/meminfo").starts_with("MemTotal:"));
    assert!(text("/proc/cpuinfo").contains("flags\t\t: fpu"));
    assert_eq!(text("/proc/sys/kernel/random/uuid").len(), 37);
    assert_eq!(&text("/proc/sys/kernel/random/uuid")[14..15], "4");
    assert_eq!(text("/sys/devices/system/cpu/online"), "0\n");
    let file = open(b"/proc/self/comm", O_RDWR, 0).expect("opens");
    assert_eq!(file.write_at(0, b"renamed\n"), Ok(8));
    assert_eq!(text("/proc/1/task/1/comm"), "renamed\n");
}

#[test]
fn pipes_carry_and_end() {
    let Some(_alone) = mounted() else { return };
    let (read, write) = super::pipe::Pipe::pair(linux_raw_sys::general::O_NONBLOCK);
    let mut seen = [0; 8];
    assert_eq!(read.read_at(0, &mut seen), Err(Errno::EAGAIN));
    assert_eq!(write.write_at(0, b"hello"), Ok(5));
    assert_eq!(read.read_at(0, &mut seen[..3]), Ok(3));
    assert_eq!(read.read_at(0, &mut seen), Ok(2));
    let much = vec![1; 100_000];
    assert_eq!(write.write_at(0, &much), Ok(65_536));
    assert_eq!(write.write_at(0, b"x"), Err(Errno::EAGAIN));
    let mut some = vec![0; 4095];
    assert_eq!(read.read_at(0, &mut some), Ok(4095));
    assert_eq!(
        write.write_at(0, &much[..4096]),
        Err(Errno::EAGAIN),
        "all or nothing"
    );
    assert_eq!(write.write_at(0, &much[..4095]), Ok(4095));
    drop(write);
    let mut rest = vec![0; 100_000];
    assert_eq!(read.read_at(0, &mut rest), Ok(65_536));
    assert_eq!(read.read_at(0, &mut rest), Ok(0));
    let (read, write) = super::pipe::Pipe::pair(0);
    drop(read);
    assert_eq!(write.write_at(0, b"x"), Err(Errno::EPIPE));
}

#[test]
fn descriptors_are_lowest_first_and_limited() {
    let Some(_alone) = mounted() else { return };
    let file = open(b"/dev/null", O_RDONLY, 0).expect("opens");
    let mut table = super::FdTable::new();
    for fd in 0..4 {
        assert_eq!(table.insert(file.clone(), fd == 2, 0, 4), Ok(fd));
    }
    assert_eq!(table.insert(file.clone(), false, 0, 4), Err(Errno::EMFILE));
    assert!(table.remove(1).is_ok());
    assert_eq!(table.remove(1).err(), Some(Errno::EBADF));
    assert_eq!(table.get(-1).err(), Some(Errno::EBADF));
    assert_eq!(table.insert(file.clone(), false, 10, 64), Ok(10));
    assert_eq!(table.insert(file.clone(), false, 0, 64), Ok(1));
    assert_eq!(table.insert(file.clone(), false, 0, 64), Ok(4));
    table.close_on_exec();
    assert_eq!(table.numbers().collect::<Vec<_>>(), [0, 1, 3, 4, 10]);
    assert_eq!(table.insert(file, false, 0, 64), Ok(2));
}

#[test]
fn remembered_paths_are_forgotten_when_they_change() {
    let Some(_alone) = mounted() else { return };
    let look = |path: &str| {
        let found = super::look_up(&root(), None, path.as_bytes(), true).ok()?;
        found
            .node
            .map(|node| node.attributes().expect("stats").size)
    };
    for _ in 0..3 {
        assert_eq!(look("/cached/one/file"), Some(3));
        assert_eq!(look("/cached/one/none"), None);
        assert_eq!(look("/cached/link/file"), Some(3));
    }
    // The file itself changes: no directory does.
    write_all("/cached/one/file", O_WRONLY, b"longer").expect("writes");
    assert_eq!(look("/cached/one/file"), Some(6));
    write_all("/cached/one/none", O_CREAT | O_WRONLY, b"x").expect("makes");
    assert_eq!(look("/cached/one/none"), Some(1));
    unlink("/cached/one/none").expect("removes");
    assert_eq!(look("/cached/one/none"), None);
    assert_eq!(look("/cached/two/file"), Some(2));
    move_to("/cached/two", "/cached/three", Mode::Replace).expect("moves");
    assert_eq!(look("/cached/two/file"), None);
    assert_eq!(look("/cached/three/file"), Some(2));
    unlink("/cached/link").expect("removes");
    assert_eq!(look("/cached/link/file"), None);
    assert_eq!(look("/absent"), None);
    write_all("/absent", O_CREAT | O_WRONLY, b"").expect("makes");
    assert_eq!(look("/absent"), Some(0));
    unlink("/absent").expect("removes");
    assert_eq!(look("/absent"), None);
}
