//! The whole tree over an image that `mkfs.erofs` makes.

mod files;
mod notify;
mod overlay;
mod paths;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, Once};
use std::vec::Vec;

use linux_raw_sys::general::O_RDONLY;

use super::path::Found;
use super::rename::{Mode, rename};
use super::tree;
use super::{Caller, open, resolve_name};
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
        "watched/sub",
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
    file("watched/file", b"old");
    file("watched/other", b"");
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
    resolve_name(&root(), None, path.as_bytes()).unwrap_or_else(|errno| panic!("{path}: {errno:?}"))
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
    tree::unlink(&root(), found(path))
}

fn fails(path: &str, flags: u32) -> Errno {
    open(path.as_bytes(), flags, 0)
        .err()
        .unwrap_or_else(|| panic!("{path} opens"))
}
