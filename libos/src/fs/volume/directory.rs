//! Directories of a volume: looking names up and listing them.

use alloc::sync::Arc;
use alloc::vec::Vec;

use unikiln_abi::volume::{DIRENT_BYTES, Fields, NODE_PREVIOUS, opcode};

use super::exchange::{Buffer, Question};
use super::inode::{Entry, VolumeInode, running_call};
use super::{covered, visit_covered};
use crate::errno::Errno;
use crate::fs::attributes::FileType;
use crate::fs::name::NAME_MAX;
use crate::fs::node::{Identity, Node, Visitor};

/// Bytes of names asked for at once.
const LISTING_BYTES: usize = 64 << 10;

impl VolumeInode {
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

    /// [`VolumeInode::lookup`] of what is opened next with these flags: opened already,
    /// where it is a file.
    pub fn lookup_to_open(
        self: &Arc<Self>,
        name: &[u8],
        flags: u32,
    ) -> Result<Option<Node>, Errno> {
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
            parts: &[&flags.to_le_bytes(), &[0; 4]],
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
                    inode.offer(flags, handle);
                }
                Ok(Some(node))
            }
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Keeps a handle for the open of the running call.
    fn offer(&self, flags: u32, handle: u64) {
        let unused = self.ready.lock().replace((running_call(), flags, handle));
        if let Some((.., unused)) = unused {
            self.volume.release(unused, false);
        }
    }

    /// The handle that this call opened with these flags.
    pub(super) fn take_ready(&self, wanted: u32) -> Option<u64> {
        let (call, flags, handle) = self.ready.lock().take()?;
        if call != 0 && call == running_call() && flags == wanted {
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
            let reply = |it: &mut Fields<'_>| Some((it.u32()?, it.u32()? != 0));
            let (got, is_end) = self.volume.ask(&question, buffer.gpa(), reply)?;
            let mut entries = Fields(buffer.bytes().get(..got as usize).ok_or(Errno::EIO)?);
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
            if is_end || got == 0 {
                return Ok(());
            }
        }
    }
}
