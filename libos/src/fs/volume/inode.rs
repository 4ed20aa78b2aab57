//! A file of a volume: [`VolumeInode`], what can be asked of it and changed.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use spin::Mutex;
use unikiln_abi::volume::{
    Attr, FATTR_KILL_SUIDGID, FATTR_SIZE, Fields, NODE_ROOT, SetAttr, opcode,
};

use super::Volume;
use super::exchange::Question;
use super::pages::Pages;
use crate::errno::Errno;
use crate::fs::Caller;
use crate::fs::attributes::{Attributes, FileType, Timestamp};
use crate::fs::memory::{Body, MemoryInode};
use crate::fs::node::{Identity, Node};
use crate::fs::pipe::Pipe;
use crate::mm::FilePages;
use crate::process;
use crate::process::capabilities::FSETID;

/// See the module documentation.
pub struct VolumeInode {
    /// Where it is.
    pub(super) volume: &'static Volume,
    /// Its node, as the monitor numbers it.
    pub(super) node: u64,
    ino: u64,
    pub(super) kind: FileType,
    /// Answers that told of it.
    uses: AtomicU64,
    /// A directory's: where it was found.
    parent: Mutex<Option<Node>>,
    seen: Mutex<Seen>,
    /// Opened with the question for its name: the call that asked, flags, handle.
    pub(super) ready: Mutex<Option<(u64, u32, u64)>>,
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
pub(super) fn running_call() -> u64 {
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
        if let Some((.., handle)) = self.ready.get_mut().take() {
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
        crate::mm::spaces::forget(gone, true);
    }

    /// The path in a symlink.
    pub fn link_target(&self) -> Result<Vec<u8>, Errno> {
        if self.kind != FileType::Symlink {
            return Err(Errno::EINVAL);
        }
        self.ask(opcode::READLINK, &[], |fields| Some(fields.0.to_vec()))
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
}
