//! What cannot be reached, changed or made.

use std::fs;
use std::os::unix::fs::{FileTypeExt, symlink};

use unikiln_abi::volume::{NODE_ROOT, SetAttr, opcode};

use super::Volume;

#[test]
fn names_stay_below_the_directory() {
    let volume = Volume::new(false);
    for name in [&b".."[..], b".", b"", b"sub/deep", b"/etc", b"../secret"] {
        assert_eq!(volume.look_up(NODE_ROOT, name), Err(libc::EINVAL));
    }
    let long = [b'x'; 256];
    assert_eq!(volume.look_up(NODE_ROOT, &long), Err(libc::ENAMETOOLONG));
    assert_eq!(volume.look_up(NODE_ROOT, b"absent"), Err(libc::ENOENT));
    // A name without its end.
    assert_eq!(
        volume.ask(opcode::LOOKUP, NODE_ROOT, &[b"file"]),
        Err(libc::EINVAL)
    );
    let file = volume.look_up(NODE_ROOT, b"file").unwrap();
    assert_eq!(volume.look_up(file, b"x"), Err(libc::ENOTDIR));
}

#[test]
fn symlinks_are_read_and_never_followed() {
    let volume = Volume::new(false);
    for (name, target) in [(&b"out"[..], &b"../secret"[..]), (b"absolute", b"/etc")] {
        let link = volume.look_up(NODE_ROOT, name).unwrap();
        assert_eq!(volume.ask(opcode::READLINK, link, &[]).unwrap(), target);
        assert_eq!(volume.open(link, libc::O_RDONLY), Err(libc::EPERM));
        assert_eq!(volume.look_up(link, b"passwd"), Err(libc::ENOTDIR));
        assert_eq!(
            volume.create(name, libc::O_WRONLY, 0o644),
            Err(libc::ELOOP),
            "opened through a symlink"
        );
        let size = SetAttr {
            valid: unikiln_abi::volume::FATTR_SIZE,
            ..SetAttr::default()
        };
        let cut = volume.ask(opcode::SETATTR, link, &[&size.to_bytes()]);
        assert_eq!(cut, Err(libc::EINVAL));
    }
    assert_eq!(
        fs::read(volume.top.path().join("secret")).unwrap(),
        b"secret"
    );
}

#[test]
fn a_directory_that_becomes_a_symlink_is_not_left() {
    let volume = Volume::new(false);
    let sub = volume.look_up(NODE_ROOT, b"sub").unwrap();
    fs::rename(volume.path("sub"), volume.path("moved")).unwrap();
    symlink("/etc", volume.path("sub")).unwrap();
    assert_eq!(volume.look_up(sub, b"passwd"), Err(libc::ENOENT));
    volume.look_up(sub, b"deep").unwrap();
    let link = volume.look_up(NODE_ROOT, b"sub").unwrap();
    assert_ne!(link, sub);
    assert_eq!(volume.look_up(link, b"passwd"), Err(libc::ENOTDIR));
}

#[test]
fn nothing_changes_in_a_read_only_volume() {
    let volume = Volume::new(true);
    let file = volume.look_up(NODE_ROOT, b"file").unwrap();
    for opcode in [
        opcode::SETATTR,
        opcode::SYMLINK,
        opcode::MKNOD,
        opcode::MKDIR,
        opcode::UNLINK,
        opcode::RMDIR,
        opcode::RENAME2,
        opcode::LINK,
        opcode::WRITE,
        opcode::SETXATTR,
        opcode::REMOVEXATTR,
        opcode::CREATE,
        opcode::TMPFILE,
        opcode::FALLOCATE,
        opcode::COPY_FILE_RANGE,
    ] {
        let answer = volume.ask(opcode, file, &[&[0; 128]]);
        assert_eq!(answer, Err(libc::EROFS), "opcode {opcode}");
    }
    for flags in [
        libc::O_WRONLY,
        libc::O_RDWR,
        libc::O_RDONLY | libc::O_TRUNC,
        libc::O_ACCMODE,
    ] {
        assert_eq!(volume.open(file, flags), Err(libc::EROFS));
    }
    let handle = volume.open(file, libc::O_RDONLY).unwrap();
    assert_eq!(volume.transfer(opcode::READ, handle, 0, 64), Ok(5));
    assert_eq!(fs::read(volume.path("file")).unwrap(), b"hello");
}

#[test]
fn devices_are_neither_made_nor_opened() {
    let volume = Volume::new(false);
    let make = |mode: u32, name: &[u8]| {
        let parts: [&[u8]; 4] = [&mode.to_le_bytes(), &[1; 12], name, &[0]];
        volume.ask(opcode::MKNOD, NODE_ROOT, &parts)
    };
    assert_eq!(make(libc::S_IFCHR | 0o600, b"c"), Err(libc::EPERM));
    assert_eq!(make(libc::S_IFBLK | 0o600, b"b"), Err(libc::EPERM));
    make(libc::S_IFIFO | 0o600, b"pipe").unwrap();
    assert!(
        fs::metadata(volume.path("pipe"))
            .unwrap()
            .file_type()
            .is_fifo()
    );
    // Opening it would wait for ever.
    let pipe = volume.look_up(NODE_ROOT, b"pipe").unwrap();
    assert_eq!(volume.open(pipe, libc::O_RDONLY), Err(libc::EPERM));
    let through = volume.create(b"pipe", libc::O_RDONLY, 0o600);
    assert_eq!(through, Err(libc::EPERM));
}
