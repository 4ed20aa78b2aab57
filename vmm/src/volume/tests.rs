//! The server as a guest's messages meet it, without a guest: what it does, and what
//! it refuses whatever the bytes are.

mod confined;
mod wild;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

use unikiln_abi::volume::{
    ENTRY_BYTES, Fields, IN_HEADER_BYTES, InHeader, NODE_PREVIOUS, NODE_ROOT, OUT_HEADER_BYTES,
    opcode,
};

use super::limit::Limit;
use super::mount::Mount;
use super::server::{Server, own_descriptors};
use crate::memory::{Arena, Backing, GuestAddress, GuestMemory};

const ROOM: usize = 64 << 10;
const MOST: usize = 64;

/// A volume below a directory that also holds what must not be reached.
struct Volume {
    top: tempfile::TempDir,
    server: Server,
    memory: GuestMemory,
    limit: Arc<Limit>,
}

impl Volume {
    fn new(read_only: bool) -> Self {
        let top = tempfile::tempdir().unwrap();
        let source = top.path().join("volume");
        fs::create_dir_all(source.join("sub/deep")).unwrap();
        fs::write(source.join("file"), b"hello").unwrap();
        fs::write(top.path().join("secret"), b"secret").unwrap();
        symlink("../secret", source.join("out")).unwrap();
        symlink("/etc", source.join("absolute")).unwrap();
        let mount = Mount {
            source,
            place: "/data".into(),
            read_only,
        };
        let limit = Arc::new(Limit::new(MOST));
        let own = Arc::new(own_descriptors().unwrap());
        let server = Server::open(&mount, &own, &limit).unwrap();
        let memory = GuestMemory::default();
        memory.insert(Arena::new(GuestAddress(0), 2 << 20, Backing::SmallPages).unwrap());
        Self {
            top,
            server,
            memory,
            limit,
        }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.top.path().join("volume").join(name)
    }

    fn raw(&self, request: &[u8]) -> Vec<u8> {
        let data = self.memory.slice(0, 1 << 20).unwrap();
        self.server.serve(request, Some(&data), ROOM)
    }

    /// One message: the reply's body, or the errno.
    fn ask(&self, opcode: u32, node: u64, parts: &[&[u8]]) -> Result<Vec<u8>, i32> {
        let replies = self.raw(&message(opcode, node, parts));
        let mut fields = Fields(&replies);
        let len = fields.u32().expect("a reply") as usize;
        let error = fields.u32().unwrap() as i32;
        assert_eq!(fields.u64(), Some(7));
        if error != 0 {
            assert_eq!(len, OUT_HEADER_BYTES);
            return Err(-error);
        }
        Ok(replies[OUT_HEADER_BYTES..len].to_vec())
    }

    fn look_up(&self, node: u64, name: &[u8]) -> Result<u64, i32> {
        let entry = self.ask(opcode::LOOKUP, node, &[name, &[0]])?;
        assert_eq!(entry.len(), ENTRY_BYTES);
        Ok(Fields(&entry).u64().unwrap())
    }

    fn open(&self, node: u64, flags: i32) -> Result<u64, i32> {
        let body = self.ask(opcode::OPEN, node, &[&flags.to_le_bytes(), &[0; 4]])?;
        Ok(Fields(&body).u64().unwrap())
    }

    fn create(&self, name: &[u8], flags: i32, mode: u32) -> Result<(u64, u64), i32> {
        let (flags, mode) = (flags.to_le_bytes(), mode.to_le_bytes());
        let parts: [&[u8]; 5] = [&flags, &mode, &[0; 8], name, &[0]];
        let body = self.ask(opcode::CREATE, NODE_ROOT, &parts)?;
        let mut fields = Fields(&body);
        let node = fields.u64().unwrap();
        fields.bytes(ENTRY_BYTES - 8).unwrap();
        Ok((node, fields.u64().unwrap()))
    }

    fn transfer(&self, opcode: u32, handle: u64, offset: u64, len: u32) -> Result<u32, i32> {
        let parts: [&[u8]; 4] = [
            &handle.to_le_bytes(),
            &offset.to_le_bytes(),
            &len.to_le_bytes(),
            &[0; 20],
        ];
        let body = self.ask(opcode, NODE_ROOT, &parts)?;
        Ok(Fields(&body).u32().unwrap())
    }
}

fn message(opcode: u32, node: u64, parts: &[&[u8]]) -> Vec<u8> {
    let body: Vec<u8> = parts.concat();
    let header = InHeader {
        len: (IN_HEADER_BYTES + body.len()) as u32,
        opcode,
        unique: 7,
        node,
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
    };
    let mut bytes = [&header.to_bytes()[..], &body].concat();
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

#[test]
fn bytes_go_between_file_and_memory() {
    let volume = Volume::new(false);
    let flags = libc::O_RDWR | libc::O_EXCL;
    let (node, handle) = volume.create(b"new", flags, 0o640).unwrap();
    volume.memory.write(0, b"some bytes").unwrap();
    assert_eq!(volume.transfer(opcode::WRITE, handle, 3, 10), Ok(10));
    assert_eq!(fs::read(volume.path("new")).unwrap(), b"\0\0\0some bytes");
    let mode = fs::metadata(volume.path("new")).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o640, "whatever the monitor's umask is");
    assert_eq!(volume.transfer(opcode::READ, handle, 8, 100), Ok(5));
    let mut got = [0; 5];
    volume.memory.slice(0, 5).unwrap().copy_to(&mut got);
    assert_eq!(&got, b"bytes");
    assert_eq!(volume.create(b"new", flags, 0o640), Err(libc::EEXIST));
    assert_eq!(volume.create(b"new", libc::O_RDWR, 0).unwrap().0, node);
    // A file that nobody can name any more is still there.
    fs::remove_file(volume.path("new")).unwrap();
    assert_eq!(volume.transfer(opcode::READ, handle, 0, 100), Ok(13));
    let release = message(opcode::RELEASE, node, &[&handle.to_le_bytes(), &[0; 16]]);
    assert!(volume.raw(&release).is_empty());
    assert_eq!(
        volume.transfer(opcode::READ, handle, 0, 1),
        Err(libc::EBADF)
    );
}

#[test]
fn data_ranges_and_offsets_are_checked() {
    let volume = Volume::new(false);
    let file = volume.look_up(NODE_ROOT, b"file").unwrap();
    let handle = volume.open(file, libc::O_RDWR).unwrap();
    let wrong = volume.transfer(opcode::READ, handle, 0, (1 << 20) + 1);
    assert_eq!(wrong, Err(libc::EINVAL));
    let wrong = volume.transfer(opcode::READ, handle, u64::MAX, 1);
    assert_eq!(wrong, Err(libc::EINVAL));
    // -1 would be the file's position.
    let wrong = volume.transfer(opcode::WRITE, handle, u64::MAX, 1);
    assert_eq!(wrong, Err(libc::EINVAL));
    let parts: [&[u8]; 4] = [&handle.to_le_bytes(), &[0; 8], &[1, 0, 0, 0], &[0; 20]];
    let without = volume
        .server
        .serve(&message(opcode::READ, file, &parts), None, ROOM);
    let error = i32::from_le_bytes(without[4..8].try_into().unwrap());
    assert_eq!(error, -libc::EINVAL);
}

#[test]
fn descriptors_are_bounded_and_come_back() {
    let volume = Volume::new(false);
    let file = volume.look_up(NODE_ROOT, b"file").unwrap();
    let mut handles = Vec::new();
    let full = loop {
        match volume.open(file, libc::O_RDONLY) {
            Ok(handle) => handles.push(handle),
            Err(errno) => break errno,
        }
    };
    assert_eq!((full, handles.len()), (libc::ENFILE, MOST - 1));
    assert_eq!(volume.look_up(NODE_ROOT, b"sub"), Err(libc::ENFILE));
    for handle in handles {
        volume.raw(&message(
            opcode::RELEASE,
            file,
            &[&handle.to_le_bytes(), &[0; 16]],
        ));
    }
    let again = volume.look_up(NODE_ROOT, b"file").unwrap();
    assert_eq!((again, volume.limit.held()), (file, 1));
    let forget = |uses: u64| {
        let body = [
            &1u64.to_le_bytes()[..],
            &file.to_le_bytes(),
            &uses.to_le_bytes(),
        ]
        .concat();
        volume.raw(&message(opcode::BATCH_FORGET, NODE_ROOT, &[&body]))
    };
    assert!(forget(1).is_empty());
    volume.open(file, libc::O_RDONLY).unwrap();
    forget(u64::MAX);
    assert_eq!(volume.open(file, libc::O_RDONLY), Err(libc::ESTALE));
    // The root stays.
    let body = [
        &1u64.to_le_bytes()[..],
        &1u64.to_le_bytes(),
        &u64::MAX.to_le_bytes(),
    ]
    .concat();
    volume.raw(&message(opcode::BATCH_FORGET, NODE_ROOT, &[&body]));
    volume.look_up(NODE_ROOT, b"file").unwrap();
}

#[test]
fn messages_follow_each_other() {
    let volume = Volume::new(false);
    let open = message(opcode::OPEN, NODE_PREVIOUS, &[&[0; 8]]);
    let both = [
        message(opcode::LOOKUP, NODE_ROOT, &[b"file\0"]),
        open.clone(),
    ]
    .concat();
    let replies = volume.raw(&both);
    let mut fields = Fields(&replies);
    let first = fields.u32().unwrap() as usize;
    assert_eq!(first, OUT_HEADER_BYTES + ENTRY_BYTES);
    let handle = Fields(&replies[first.next_multiple_of(8) + OUT_HEADER_BYTES..])
        .u64()
        .unwrap();
    assert_eq!(volume.transfer(opcode::READ, handle, 0, 9), Ok(5));
    let absent = [
        message(opcode::LOOKUP, NODE_ROOT, &[b"absent\0"]),
        open.clone(),
    ]
    .concat();
    assert_eq!(volume.raw(&absent).len(), OUT_HEADER_BYTES);
    assert!(volume.raw(&open).is_empty());
}

#[test]
fn what_the_host_says_is_told() {
    let volume = Volume::new(false);
    let sub = volume.look_up(NODE_ROOT, b"sub").unwrap();
    let remove = |opcode, node, name: &[u8]| volume.ask(opcode, node, &[name, &[0]]);
    assert_eq!(
        remove(opcode::RMDIR, NODE_ROOT, b"sub"),
        Err(libc::ENOTEMPTY)
    );
    assert_eq!(remove(opcode::UNLINK, NODE_ROOT, b"sub"), Err(libc::EISDIR));
    assert_eq!(
        remove(opcode::RMDIR, NODE_ROOT, b"file"),
        Err(libc::ENOTDIR)
    );
    fs::remove_dir_all(volume.top.path().join("volume")).unwrap();
    assert_eq!(
        volume.create(b"new", libc::O_RDWR, 0o600),
        Err(libc::ENOENT)
    );
    assert_eq!(volume.look_up(sub, b"deep"), Err(libc::ENOENT));
    assert!(volume.ask(opcode::GETATTR, NODE_ROOT, &[&[0; 16]]).is_ok());
}

#[test]
fn a_missing_source_is_made_and_odd_ones_are_refused() {
    let top = tempfile::tempdir().unwrap();
    let open = |path: &Path| {
        let mount = Mount {
            source: path.to_owned(),
            place: "/data".into(),
            read_only: false,
        };
        super::Volumes::open(&[mount])
    };
    open(&top.path().join("made/here")).unwrap();
    assert!(top.path().join("made/here").is_dir());
    assert!(open(Path::new("/dev/null")).is_err());
    fs::write(top.path().join("file"), b"").unwrap();
    let below = open(&top.path().join("file/below")).unwrap_err();
    assert!(below.to_string().contains("-v SRC:DST"), "{below}");
    let one = open(&top.path().join("file")).unwrap();
    assert_eq!(
        one.flags().collect::<Vec<_>>(),
        [unikiln_abi::volume::VOLUME_FILE]
    );
    let twice = Mount::parse("/tmp:/a".as_ref()).unwrap();
    assert!(super::Volumes::open(&[twice.clone(), twice]).is_err());
    fs::set_permissions(top.path(), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn new_files_are_as_asked_for() {
    let volume = Volume::new(false);
    let make = |mode: u32, name: &[u8]| {
        let parts: [&[u8]; 4] = [&mode.to_le_bytes(), &[0; 4], name, &[0]];
        volume.ask(opcode::MKDIR, NODE_ROOT, &parts)
    };
    make(0o777, b"open").unwrap();
    let mode = |name: &str| fs::metadata(volume.path(name)).unwrap().mode() & 0o7777;
    assert_eq!(
        mode("open"),
        0o777,
        "the guest applied its own creation mask"
    );
    // A group that is handed down stays.
    fs::set_permissions(volume.path(""), fs::Permissions::from_mode(0o2755)).unwrap();
    make(0o700, b"handed").unwrap();
    assert_eq!(mode("handed"), 0o2700);
    let parts: [&[u8]; 4] = [b"link", &[0], b"/anywhere/at all", &[0]];
    volume.ask(opcode::SYMLINK, NODE_ROOT, &parts).unwrap();
    let target = fs::read_link(volume.path("link")).unwrap();
    assert_eq!(target, Path::new("/anywhere/at all"));
}
