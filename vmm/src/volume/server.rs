//! One volume: takes a request apart, serves its messages, puts the replies together.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat, fstat, open, openat, openat2};
use rustix::io::Errno;
use unikiln_abi::volume::{
    Attr, ENTRY_BYTES, Fields, InHeader, NODE_PREVIOUS, NODE_ROOT, OUT_HEADER_BYTES, opcode,
};

use super::handle::{Handle, Handles};
use super::limit::{Limit, Slot};
use super::mount::Mount;
use super::node::{Node, Nodes};
use super::{VolumeError, negated};
use crate::hypercall::lock;
use crate::memory::GuestSlice;

/// Opens a name below a directory and nothing else.
pub(super) const CONFINED: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS);
/// A mere place.
pub(super) const PLACE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Longest name of a file.
const NAME_MAX: usize = 255;

/// See the module documentation.
#[derive(Debug)]
pub struct Server {
    /// `/proc/self/fd`, to open nodes again.
    pub(super) own: Arc<OwnedFd>,
    pub(super) limit: Arc<Limit>,
    nodes: Mutex<Nodes>,
    handles: Mutex<Handles>,
    device: u64,
    is_file: bool,
    read_only: bool,
}

/// What a message is about.
pub(super) struct Message<'a> {
    pub(super) header: InHeader,
    pub(super) body: Fields<'a>,
    pub(super) data: Option<&'a GuestSlice<'a>>,
}

impl<'a> Message<'a> {
    pub(super) fn u32(&mut self) -> Result<u32, Errno> {
        self.body.u32().ok_or(Errno::INVAL)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Errno> {
        self.body.u64().ok_or(Errno::INVAL)
    }

    /// A string up to its NUL.
    pub(super) fn text(&mut self) -> Result<&'a [u8], Errno> {
        self.body.name().ok_or(Errno::INVAL)
    }

    /// One name of a directory.
    pub(super) fn name(&mut self) -> Result<&'a [u8], Errno> {
        let name = self.text()?;
        if name.len() > NAME_MAX {
            return Err(Errno::NAMETOOLONG);
        }
        if matches!(name, b"" | b"." | b"..") || name.contains(&b'/') {
            return Err(Errno::INVAL);
        }
        Ok(name)
    }

    /// The first `len` bytes of the data range.
    pub(super) fn data(&self, len: u32) -> Result<GuestSlice<'a>, Errno> {
        let data = self.data.ok_or(Errno::INVAL)?;
        data.subslice(0, len as usize).map_err(|_| Errno::INVAL)
    }
}

/// This process's descriptors, as the kernel lists them.
pub(super) fn own_descriptors() -> std::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(open("/proc/self/fd", flags, Mode::empty())?)
}

impl Server {
    /// Opens SRC; a missing one is made a directory.
    pub(super) fn open(
        mount: &Mount,
        own: &Arc<OwnedFd>,
        limit: &Arc<Limit>,
    ) -> Result<Self, VolumeError> {
        let path = || mount.source.clone();
        let failed = |source: std::io::Error| VolumeError::Source {
            path: path(),
            source,
        };
        // What the user names may be a symlink: it is followed once, here.
        let place = OFlags::PATH | OFlags::CLOEXEC;
        let fd = match open(&mount.source, place, Mode::empty()) {
            Err(Errno::NOENT) => {
                fs::create_dir_all(&mount.source).map_err(failed)?;
                open(&mount.source, place, Mode::empty())
            }
            other => other,
        };
        let fd = fd.map_err(|errno| failed(errno.into()))?;
        let stat = fstat(&fd).map_err(|errno| failed(errno.into()))?;
        let root = Node::new(fd, &stat, None);
        let is_file = match root.kind {
            FileType::Directory => false,
            FileType::RegularFile => true,
            _ => return Err(VolumeError::Kind { path: path() }),
        };
        Ok(Self {
            own: Arc::clone(own),
            limit: Arc::clone(limit),
            device: root.device(),
            nodes: Mutex::new(Nodes::new(root)),
            handles: Mutex::default(),
            is_file,
            read_only: mount.read_only,
        })
    }

    /// Whether it is a single file.
    pub fn is_file(&self) -> bool {
        self.is_file
    }

    /// Whether nothing can be changed.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Serves the messages of `request`: the replies, at most `room` bytes. What
    /// follows a malformed message is not looked at.
    pub fn serve(&self, request: &[u8], data: Option<&GuestSlice<'_>>, room: usize) -> Vec<u8> {
        let mut replies = Vec::new();
        let mut rest = request;
        let mut previous = Err(Errno::INVAL);
        while let Some(mut header) = InHeader::read(&mut Fields(rest)) {
            let Some(message) = rest.get(..header.len as usize) else {
                break;
            };
            let Some(body) = message.get(unikiln_abi::volume::IN_HEADER_BYTES..) else {
                break;
            };
            rest = rest
                .get(message.len().next_multiple_of(8)..)
                .unwrap_or_default();
            if header.node == NODE_PREVIOUS {
                match previous {
                    Ok(node) => header.node = node,
                    Err(_) => continue,
                }
            }
            let start = replies.len();
            replies.resize(start + OUT_HEADER_BYTES, 0);
            let message = Message {
                header,
                body: Fields(body),
                data,
            };
            let served = self.serve_one(message, &mut replies);
            let error = match served {
                Ok(Some(node)) => {
                    previous = Ok(node);
                    0
                }
                Ok(None) => 0,
                Err(errno) => {
                    replies.truncate(start + OUT_HEADER_BYTES);
                    previous = Err(errno);
                    negated(errno)
                }
            };
            if matches!(
                header.opcode,
                opcode::FORGET | opcode::BATCH_FORGET | opcode::RELEASE
            ) {
                replies.truncate(start);
                continue;
            }
            let bytes = (replies.len() - start) as u32;
            if let Some(place) = replies.get_mut(start..start + OUT_HEADER_BYTES) {
                let (len, after) = place.split_at_mut(4);
                let (code, unique) = after.split_at_mut(4);
                len.copy_from_slice(&bytes.to_le_bytes());
                code.copy_from_slice(&error.to_le_bytes());
                unique.copy_from_slice(&header.unique.to_le_bytes());
            }
            replies.resize(replies.len().next_multiple_of(8), 0);
            if replies.len() > room {
                replies.truncate(start);
                break;
            }
        }
        replies
    }

    /// Serves one message: its reply's body, and the node that the reply tells of.
    fn serve_one(&self, mut message: Message<'_>, out: &mut Vec<u8>) -> Result<Option<u64>, Errno> {
        let message = &mut message;
        if self.read_only && changes(message.header.opcode) {
            return Err(Errno::ROFS);
        }
        match message.header.opcode {
            opcode::LOOKUP => return self.look_up(message, out).map(Some),
            opcode::SYMLINK => return self.symlink(message, out).map(Some),
            opcode::MKNOD => return self.make_node(message, out).map(Some),
            opcode::MKDIR => return self.make_directory(message, out).map(Some),
            opcode::LINK => return self.link(message, out).map(Some),
            opcode::CREATE => return self.create(message, out).map(Some),
            opcode::TMPFILE => return self.create_unnamed(message, out).map(Some),
            opcode::FORGET => {
                let uses = message.u64()?;
                lock(&self.nodes).forget(message.header.node, uses);
            }
            opcode::BATCH_FORGET => {
                let count = message.u32()?;
                message.u32()?;
                for _ in 0..count {
                    let (node, uses) = (message.u64()?, message.u64()?);
                    lock(&self.nodes).forget(node, uses);
                }
            }
            opcode::GETATTR => self.get_attributes(message, out)?,
            opcode::SETATTR => self.set_attributes(message, out)?,
            opcode::READLINK => self.read_link(message, out)?,
            opcode::UNLINK => self.unlink(message, false)?,
            opcode::RMDIR => self.unlink(message, true)?,
            opcode::RENAME2 => self.rename(message)?,
            opcode::OPEN => self.open_node(message, out)?,
            opcode::READ => self.read(message, out)?,
            opcode::WRITE => self.write(message, out)?,
            opcode::RELEASE => {
                // Closed after the table's lock is released.
                let handle = message.u64()?;
                let handle = lock(&self.handles).remove(handle);
                drop(handle);
            }
            opcode::STATFS => self.statfs(message, out)?,
            opcode::FSYNC => self.sync(message)?,
            opcode::SYNCFS => self.sync_all()?,
            opcode::SETXATTR => self.set_xattr(message)?,
            opcode::GETXATTR => self.get_xattr(message, out)?,
            opcode::LISTXATTR => self.list_xattrs(message, out)?,
            opcode::REMOVEXATTR => self.remove_xattr(message)?,
            opcode::READDIR => self.read_directory(message, out)?,
            opcode::FALLOCATE => self.allocate(message)?,
            opcode::LSEEK => self.seek(message, out)?,
            opcode::COPY_FILE_RANGE => self.copy_range(message, out)?,
            _ => return Err(Errno::NOSYS),
        }
        Ok(None)
    }

    pub(super) fn node(&self, number: u64) -> Result<Arc<Node>, Errno> {
        lock(&self.nodes).get(number)
    }

    pub(super) fn handle(&self, number: u64) -> Result<Arc<Handle>, Errno> {
        lock(&self.handles).get(number)
    }

    pub(super) fn handles(&self) -> MutexGuard<'_, Handles> {
        lock(&self.handles)
    }

    /// Opens a node again, by its descriptor's own link.
    pub(super) fn reopen(&self, node: &Node, flags: OFlags) -> Result<OwnedFd, Errno> {
        match node.kind {
            FileType::RegularFile | FileType::Directory => {
                self.reopen_descriptor(&node.fd, flags, Mode::empty())
            }
            // The guest has pipes and devices of its own.
            _ => Err(Errno::PERM),
        }
    }

    pub(super) fn reopen_descriptor(
        &self,
        fd: &OwnedFd,
        flags: OFlags,
        mode: Mode,
    ) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOCTTY;
        openat(&*self.own, fd.as_raw_fd().to_string(), flags, mode)
    }

    /// The place called `name` in a directory.
    pub(super) fn place(&self, directory: &Node, name: &[u8]) -> Result<(OwnedFd, Stat), Errno> {
        let fd = openat2(directory.directory()?, name, PLACE, Mode::empty(), CONFINED)?;
        let stat = fstat(&fd)?;
        Ok((fd, stat))
    }

    /// Tells the guest of a node, which it uses once more.
    pub(super) fn tell(&self, fd: OwnedFd, stat: &Stat, slot: Slot, out: &mut Vec<u8>) -> u64 {
        let number = lock(&self.nodes).number(Node::new(fd, stat, Some(slot)));
        let start = out.len();
        out.extend_from_slice(&number.to_le_bytes());
        // Generation, and how long entry and attributes hold: no time at all.
        out.resize(start + ENTRY_BYTES - unikiln_abi::volume::ATTR_BYTES, 0);
        out.extend_from_slice(&self.attr(stat).to_bytes());
        number
    }

    pub(super) fn attr(&self, stat: &Stat) -> Attr {
        let ino = if stat.st_dev == self.device {
            stat.st_ino
        } else {
            // Another file system mounted below: its numbers must not meet ours.
            stat.st_ino ^ stat.st_dev.rotate_left(40)
        };
        Attr {
            ino,
            size: stat.st_size as u64,
            blocks: stat.st_blocks as u64,
            seconds: [stat.st_atime, stat.st_mtime, stat.st_ctime],
            nanoseconds: [stat.st_atime_nsec, stat.st_mtime_nsec, stat.st_ctime_nsec]
                .map(|it| it as u32),
            mode: stat.st_mode,
            nlink: stat.st_nlink as u32,
            uid: stat.st_uid,
            gid: stat.st_gid,
            rdev: stat.st_rdev as u32,
            block_bytes: stat.st_blksize as u32,
        }
    }

    /// The root's node.
    pub(super) fn root(&self) -> Result<Arc<Node>, Errno> {
        self.node(NODE_ROOT)
    }
}

/// A path that leads to a descriptor's file, for calls that take nothing else. It is
/// not opened, so that nobody who watches is told of an open.
pub(super) fn path_of(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// Whether a message changes the volume whatever else it says.
fn changes(opcode: u32) -> bool {
    matches!(
        opcode,
        opcode::SETATTR
            | opcode::SYMLINK
            | opcode::MKNOD
            | opcode::MKDIR
            | opcode::UNLINK
            | opcode::RMDIR
            | opcode::RENAME2
            | opcode::LINK
            | opcode::WRITE
            | opcode::SETXATTR
            | opcode::REMOVEXATTR
            | opcode::CREATE
            | opcode::TMPFILE
            | opcode::FALLOCATE
            | opcode::COPY_FILE_RANGE
    )
}
