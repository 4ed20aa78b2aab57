//! A file of a volume: [`VolumeInode`], what can be asked of it and changed.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use spin::Mutex;
use unikiln_abi::volume::{
    Attr, DIRENT_BYTES, FATTR_KILL_SUIDGID, FATTR_SIZE, Fields, NODE_PREVIOUS, NODE_ROOT, SetAttr,
    opcode,
};

use super::exchange::{Buffer, Question};
use super::pages::Pages;
use super::{Volume, covered, visit_covered};
use crate::errno::Errno;
use crate::fs::Caller;
use crate::fs::attributes::{Attributes, FileType, Timestamp};
use crate::fs::memory::{Body, MemoryInode};
use crate::fs::name::NAME_MAX;
use crate::fs::node::{Identity, Node, Visitor, Xattr};
use crate::fs::pipe::Pipe;
use crate::mm::FilePages;
use crate::process;
use crate::process::capabilities::FSETID;

/// Bytes of names asked for at once.
const LISTING_BYTES: usize = 64 << 10;
/// Largest value of an extended attribute.
const XATTR_MAX_BYTES: usize = 64 << 10;

/// See the module documentation.
pub struct VolumeInode {
    /// Where it is.
    pub(super) volume: &'static Volume,
    /// Its node, as the monitor numbers it.
    pub(super) node: u64,
    ino: u64,
    kind: FileType,
    /// Answers that told of it.
    uses: AtomicU64,
    /// A directory's: where it was found.
    parent: Mutex<Option<Node>>,
    seen: Mutex<Seen>,
    /// Opened with the question for its name: the call that asked, and the handle.
    ready: Mutex<Option<(u64, u64)>>,
    /// What is mapped.
    pub(super) pages: Mutex<Pages>,
}

/// Attributes as an answer had them, and the call that asked; 0 for none.
#[derive(Clone, Copy, Default)]
struct Seen {
    attributes: Attributes,
    call: u64,
}

/// A change of attributes: `FATTR_*` bits and values.
pub type Change = SetAttr;

/// Something that tells the running system call from all others; 0 outside of calls.
fn running_call() -> u64 {
    let thread = process::thread();
    let count = thread.recent.running().unwrap_or(0);
    if count == 0 {
        0
    } else {
        u64::from(thread.tid()) << 40 | count & 0xff_ffff_ffff
    }
}

/// What an answer tells of a node.
pub(super) struct Entry {
    pub(super) node: u64,
    pub(super) attr: Attr,
}

impl Entry {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Entry> {
        let node = fields.u64()?;
        // Generation and how long it holds.
        fields.bytes(32)?;
        let attr = Attr::read(fields)?;
        Some(Entry { node, attr })
    }
}

fn time(attr: &Attr, at: usize) -> Timestamp {
    Timestamp {
        sec: attr.seconds.get(at).copied().unwrap_or(0),
        nsec: attr
            .nanoseconds
            .get(at)
            .map_or(0, |&ns| ns.min(999_999_999)),
    }
}

impl Volume {
    fn attributes(&self, attr: &Attr) -> Attributes {
        Attributes {
            device: self.device(),
            ino: attr.ino,
            mode: attr.mode,
            nlink: attr.nlink,
            uid: attr.uid,
            gid: attr.gid,
            rdev: attr.rdev,
            size: attr.size,
            blocks: attr.blocks,
            atime: time(attr, 0),
            mtime: time(attr, 1),
            ctime: time(attr, 2),
            btime: None,
        }
    }

    /// The inode that an answer tells of, found in `parent`.
    pub(super) fn inode(&'static self, entry: &Entry, parent: Option<Node>) -> Arc<VolumeInode> {
        let attributes = self.attributes(&entry.attr);
        let mut inodes = self.inodes.lock();
        let known = inodes.get(&entry.node).and_then(Weak::upgrade);
        let inode = known.unwrap_or_else(|| {
            let inode = Arc::new(VolumeInode {
                volume: self,
                node: entry.node,
                ino: entry.attr.ino,
                kind: attributes.file_type(),
                uses: AtomicU64::new(0),
                parent: Mutex::new(None),
                seen: Mutex::new(Seen::default()),
                ready: Mutex::new(None),
                pages: Mutex::new(Pages::default()),
            });
            inodes.insert(entry.node, Arc::downgrade(&inode));
            inode
        });
        drop(inodes);
        inode.uses.fetch_add(1, Ordering::Relaxed);
        inode.note(attributes);
        if inode.kind == FileType::Directory
            && let Some(parent) = parent
        {
            inode.set_parent(parent);
        }
        inode
    }

    /// The root. Asked for once, at boot.
    pub(super) fn root(&'static self, parent: Node) -> Result<Arc<VolumeInode>, Errno> {
        let question = Question {
            opcode: opcode::GETATTR,
            node: NODE_ROOT,
            parts: &[&[0; 16]],
        };
        let attr = self.ask(&question, 0, |fields| {
            fields.bytes(16)?;
            Attr::read(fields)
        })?;
        let entry = Entry {
            node: NODE_ROOT,
            attr,
        };
        Ok(self.inode(&entry, Some(parent)))
    }
}

impl Drop for VolumeInode {
    fn drop(&mut self) {
        {
            let mut inodes = self.volume.inodes.lock();
            // Another one may have taken its place.
            if inodes
                .get(&self.node)
                .is_some_and(|known| known.strong_count() == 0)
            {
                inodes.remove(&self.node);
            }
        }
        if let Some((_, handle)) = self.ready.get_mut().take() {
            self.volume.release(handle, false);
        }
        if self.node != NODE_ROOT {
            self.volume.forget(self.node, *self.uses.get_mut());
        }
    }
}

impl VolumeInode {
    /// Kind of the file.
    pub fn file_type(&self) -> FileType {
        self.kind
    }

    /// Device and inode number.
    pub fn identity(&self) -> Identity {
        Identity {
            device: self.volume.device(),
            ino: self.ino,
        }
    }

    /// Its volume.
    pub fn volume(&self) -> &'static Volume {
        self.volume
    }

    fn note(&self, attributes: Attributes) {
        *self.seen.lock() = Seen {
            attributes,
            call: running_call(),
        };
    }

    /// What was seen of it holds no more.
    pub(super) fn changed(&self) {
        self.seen.lock().call = 0;
    }

    pub(super) fn set_parent(&self, parent: Node) {
        // The old one is let go of without the lock.
        let old = self.parent.lock().replace(parent);
        drop(old);
    }

    /// The directory that holds this directory.
    pub fn parent(&self) -> Result<Node, Errno> {
        if self.kind != FileType::Directory {
            return Err(Errno::ENOTDIR);
        }
        self.parent.lock().clone().ok_or(Errno::ENOENT)
    }

    /// What `stat` shows.
    pub fn attributes(&self) -> Result<Attributes, Errno> {
        let seen = *self.seen.lock();
        if seen.call != 0 && seen.call == running_call() {
            return Ok(seen.attributes);
        }
        let attr = self.ask(opcode::GETATTR, &[&[0; 16]], |fields| {
            fields.bytes(16)?;
            Attr::read(fields)
        })?;
        let attributes = self.volume.attributes(&attr);
        self.note(attributes);
        Ok(attributes)
    }

    pub(super) fn ask<T>(
        &self,
        opcode: u32,
        parts: &[&[u8]],
        parse: impl FnOnce(&mut Fields<'_>) -> Option<T>,
    ) -> Result<T, Errno> {
        let question = Question {
            opcode,
            node: self.node,
            parts,
        };
        self.volume.ask(&question, 0, parse)
    }

    /// Changes attributes.
    pub fn change(&self, change: Change) -> Result<(), Errno> {
        let attr = self.ask(opcode::SETATTR, &[&change.to_bytes()], |fields| {
            fields.bytes(16)?;
            Attr::read(fields)
        })?;
        self.note(self.volume.attributes(&attr));
        super::watch::look();
        Ok(())
    }

    /// Sets the size, by an open handle where there is one.
    pub fn resize(&self, size: u64, handle: Option<u64>) -> Result<(), Errno> {
        let keeps = Caller::current().can(FSETID);
        let kill = if keeps { 0 } else { FATTR_KILL_SUIDGID };
        let by_handle = handle.map_or(0, |_| unikiln_abi::volume::FATTR_FH);
        self.change(Change {
            valid: FATTR_SIZE | kill | by_handle,
            handle: handle.unwrap_or(0),
            size,
            ..Change::default()
        })?;
        self.cut_pages(size);
        Ok(())
    }

    /// Takes away what mappings show past `size`.
    fn cut_pages(&self, size: u64) {
        let first = {
            let mut pages = self.pages.lock();
            if pages.is_empty() {
                return;
            }
            pages.cut(size)
        };
        let Identity { device, ino } = self.identity();
        let gone = FilePages {
            file: (device, ino),
            first,
            end: u64::MAX,
        };
        process::current().space.forget(gone, true);
    }

    /// The node called `name` in this directory.
    pub fn lookup(self: &Arc<Self>, name: &[u8]) -> Result<Option<Node>, Errno> {
        if self.kind != FileType::Directory {
            return Err(Errno::ENOTDIR);
        }
        if let Some(node) = covered(self.identity(), name) {
            return Ok(Some(node));
        }
        if name.len() > NAME_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        match self.ask(opcode::LOOKUP, &[name, &[0]], Entry::read) {
            Ok(entry) => Ok(Some(self.child(&entry))),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// [`VolumeInode::lookup`] of what is opened next for reading: opened already,
    /// where it is a file.
    pub fn lookup_to_read(self: &Arc<Self>, name: &[u8]) -> Result<Option<Node>, Errno> {
        let is_plain = self.kind == FileType::Directory && name.len() <= NAME_MAX;
        if !is_plain || covered(self.identity(), name).is_some() {
            return self.lookup(name);
        }
        let lookup = Question {
            opcode: opcode::LOOKUP,
            node: self.node,
            parts: &[name, &[0]],
        };
        let open = Question {
            opcode: opcode::OPEN,
            node: NODE_PREVIOUS,
            parts: &[&[0; 8]],
        };
        let mut handle = None;
        let found = self.volume.ask_all(&[lookup, open], 0, |at, reply| {
            if at == 0 {
                return reply
                    .and_then(|mut it| Entry::read(&mut it).ok_or(Errno::EIO))
                    .map(Some);
            }
            // What cannot be opened so is opened again, and says why.
            handle = reply.ok().and_then(|mut it| it.u64());
            Ok(None)
        });
        match found {
            Ok(entry) => {
                let node = self.child(&entry);
                if let (Node::Volume(inode), Some(handle)) = (&node, handle) {
                    inode.offer(handle);
                }
                Ok(Some(node))
            }
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Keeps a handle for the open of the running call.
    fn offer(&self, handle: u64) {
        let unused = self.ready.lock().replace((running_call(), handle));
        if let Some((_, unused)) = unused {
            self.volume.release(unused, false);
        }
    }

    /// The handle that this call opened, with its flags.
    pub(super) fn take_ready(&self) -> Option<u64> {
        let (call, handle) = self.ready.lock().take()?;
        if call != 0 && call == running_call() {
            return Some(handle);
        }
        self.volume.release(handle, false);
        None
    }

    /// The node that an answer tells of, in this directory.
    pub(super) fn child(self: &Arc<Self>, entry: &Entry) -> Node {
        let parent = Node::Volume(self.clone());
        Node::Volume(self.volume.inode(entry, Some(parent)))
    }

    /// The path in a symlink.
    pub fn link_target(&self) -> Result<Vec<u8>, Errno> {
        if self.kind != FileType::Symlink {
            return Err(Errno::EINVAL);
        }
        self.ask(opcode::READLINK, &[], |fields| Some(fields.0.to_vec()))
    }

    /// Calls `visit` with each name, until it says false.
    pub fn visit(&self, visit: &mut Visitor<'_>) -> Result<(), Errno> {
        if self.kind != FileType::Directory {
            return Err(Errno::ENOTDIR);
        }
        let own = self.identity();
        let mut hidden = Vec::new();
        visit_covered(own, &mut |name, node| {
            hidden.push(name.to_vec());
            visit(name, node.identity(), node.file_type())
        });
        let buffer = Buffer::for_data(LISTING_BYTES)?;
        let mut offset = 0u64;
        loop {
            let question = Question {
                opcode: opcode::READDIR,
                node: self.node,
                parts: &[
                    &[0; 8],
                    &offset.to_le_bytes(),
                    &(buffer.bytes().len() as u32).to_le_bytes(),
                    &[0; 20],
                ],
            };
            let got = self.volume.ask(&question, buffer.gpa(), |it| it.u32())?;
            let mut entries = Fields(buffer.bytes().get(..got as usize).ok_or(Errno::EIO)?);
            if got == 0 {
                return Ok(());
            }
            while let Some(ino) = entries.u64() {
                offset = entries.u64().ok_or(Errno::EIO)?;
                let len = entries.u32().ok_or(Errno::EIO)? as usize;
                let kind = entries.u32().ok_or(Errno::EIO)?;
                let padded = (DIRENT_BYTES + len).next_multiple_of(8) - DIRENT_BYTES;
                let name = entries.bytes(padded).ok_or(Errno::EIO)?;
                let name = name.get(..len).ok_or(Errno::EIO)?;
                if hidden.iter().any(|other| other == name) {
                    continue;
                }
                let identity = Identity {
                    device: own.device,
                    ino,
                };
                if !visit(name, identity, FileType::from_mode(kind << 12)) {
                    return Ok(());
                }
            }
        }
    }

    /// Writes a directory's names, or a file's bytes, to the disk.
    pub fn sync(&self, handle: u64, data_only: bool) -> Result<(), Errno> {
        let flags = u32::from(data_only);
        let parts: [&[u8]; 3] = [&handle.to_le_bytes(), &flags.to_le_bytes(), &[0; 4]];
        self.volume.tell(opcode::FSYNC, self.node, &parts)
    }

    /// Writes the file system that it is on to the disk.
    pub fn sync_volume(&self) -> Result<(), Errno> {
        self.volume.sync()
    }

    /// The guest's own pipe behind a FIFO.
    pub(super) fn pipe(&self) -> Result<Arc<MemoryInode>, Errno> {
        let attributes = self.attributes()?;
        let mut pipes = self.volume.pipes.lock();
        if let Some(pipe) = pipes.get(&self.ino).and_then(Weak::upgrade) {
            return Ok(pipe);
        }
        let pipe = MemoryInode::standing_for(&attributes, Body::Fifo(Pipe::new()));
        pipes.retain(|_, pipe| pipe.strong_count() > 0);
        pipes.insert(self.ino, Arc::downgrade(&pipe));
        Ok(pipe)
    }

    /// One extended attribute.
    pub fn xattr(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        self.get_xattrs(opcode::GETXATTR, &[name, &[0]])
    }

    /// Extended attributes: full names, without values.
    pub fn xattrs(&self) -> Result<Vec<Xattr>, Errno> {
        let names = match self.get_xattrs(opcode::LISTXATTR, &[]) {
            Err(Errno::EOPNOTSUPP) => return Ok(Vec::new()),
            other => other?,
        };
        let names = names
            .split(|&byte| byte == 0)
            .filter(|name| !name.is_empty());
        Ok(names.map(|name| (name.to_vec(), Vec::new())).collect())
    }

    fn get_xattrs(&self, opcode: u32, parts: &[&[u8]]) -> Result<Vec<u8>, Errno> {
        let buffer = Buffer::for_data(XATTR_MAX_BYTES)?;
        let size = (XATTR_MAX_BYTES as u32).to_le_bytes();
        let mut fields: Vec<&[u8]> = alloc::vec![&size, &[0; 4]];
        fields.extend_from_slice(parts);
        let question = Question {
            opcode,
            node: self.node,
            parts: &fields,
        };
        let got = self.volume.ask(&question, buffer.gpa(), |it| it.u32())?;
        let bytes = buffer.bytes().get(..got as usize).ok_or(Errno::EIO)?;
        Ok(bytes.to_vec())
    }

    /// Sets an extended attribute; `flags` are `XATTR_*`.
    pub fn set_xattr(&self, name: &[u8], value: &[u8], flags: u32) -> Result<(), Errno> {
        let mut buffer = Buffer::for_data(value.len())?;
        let place = buffer.bytes_mut().get_mut(..value.len());
        place.ok_or(Errno::E2BIG)?.copy_from_slice(value);
        let question = Question {
            opcode: opcode::SETXATTR,
            node: self.node,
            parts: &[
                &(value.len() as u32).to_le_bytes(),
                &flags.to_le_bytes(),
                name,
                &[0],
            ],
        };
        self.volume.ask(&question, buffer.gpa(), |_| Some(()))?;
        self.changed();
        super::watch::look();
        Ok(())
    }

    /// Removes an extended attribute.
    pub fn remove_xattr(&self, name: &[u8]) -> Result<(), Errno> {
        (self.volume).tell(opcode::REMOVEXATTR, self.node, &[name, &[0]])?;
        self.changed();
        super::watch::look();
        Ok(())
    }

    /// Blocks and files of the host's file system: `blocks, free, available, files,
    /// free`, bytes of a block.
    pub fn statfs(&self) -> Result<([u64; 5], u64), Errno> {
        self.ask(opcode::STATFS, &[], |fields| {
            let mut counts = [0; 5];
            for count in &mut counts {
                *count = fields.u64()?;
            }
            let block = fields.u32()?;
            fields.u32()?;
            let fragment = fields.u32()?;
            Some((
                counts,
                u64::from(if fragment > 0 { fragment } else { block }),
            ))
        })
    }
}
