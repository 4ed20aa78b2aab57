//! An open end of a pipe, or both of a named one.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use linux_raw_sys::general::{
    EPOLLERR, EPOLLHUP, O_ACCMODE, O_DIRECT, O_NONBLOCK, O_RDONLY, O_WRONLY, S_IFIFO,
};

use super::super::attributes::{ANONYMOUS_DEVICE, Attributes};
use super::super::memory::MemoryInode;
use super::super::node::Node;
use super::super::open_file::{File, OpenFile, Readiness};
use super::super::readiness::Watchers;
use super::super::transfer::{Sink, Source};
use super::queue::Queue;
use super::{Pipe, READABLE, SLOTS, State, WRITABLE};
use crate::errno::{Errno, SysResult};
use crate::mm::user;

/// See the module documentation.
pub(super) struct End {
    pipe: Arc<Pipe>,
    reads: bool,
    writes: bool,
    /// O_DIRECT: each write is a packet.
    packets: AtomicBool,
    /// Opens of the other end before this one, where none was there; 0 where one
    /// was. A reader is hung up only once it had a writer.
    met: u64,
    inode: Option<Arc<MemoryInode>>,
}

impl End {
    /// Another end with `O_*` flags.
    pub(super) fn new(pipe: &Arc<Pipe>, flags: u32, inode: Option<Arc<MemoryInode>>) -> End {
        let mut state = pipe.state.lock();
        let end = End::counted(pipe, &mut state, flags, inode);
        drop(state);
        pipe.wake_both();
        end
    }

    /// An end of a named pipe.
    ///
    /// # Errors
    /// ENXIO for a writer that would not wait for a reader.
    pub(super) fn open(
        pipe: &Arc<Pipe>,
        flags: u32,
        inode: Arc<MemoryInode>,
    ) -> Result<End, Errno> {
        let mut state = pipe.state.lock();
        let only_writes = flags & O_ACCMODE == O_WRONLY;
        if only_writes && flags & O_NONBLOCK != 0 && state.readers == 0 {
            return Err(Errno::ENXIO);
        }
        let end = End::counted(pipe, &mut state, flags, Some(inode));
        drop(state);
        pipe.wake_both();
        Ok(end)
    }

    fn counted(
        pipe: &Arc<Pipe>,
        state: &mut State,
        flags: u32,
        inode: Option<Arc<MemoryInode>>,
    ) -> End {
        let access = flags & O_ACCMODE;
        let (reads, writes) = (access != O_WRONLY, access != O_RDONLY);
        state.readers += usize::from(reads);
        state.writers += usize::from(writes);
        state.reader_opens += u64::from(reads);
        state.writer_opens += u64::from(writes);
        let (others, opens) = if reads {
            (state.writers, state.writer_opens)
        } else {
            (state.readers, state.reader_opens)
        };
        let met = if others == 0 { opens } else { 0 };
        End {
            pipe: pipe.clone(),
            reads,
            writes,
            packets: AtomicBool::new(flags & O_DIRECT != 0),
            met,
            inode,
        }
    }

    /// See the field.
    pub(super) fn met(&self) -> u64 {
        self.met
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let one_sided = {
            let mut state = self.pipe.state.lock();
            state.readers -= usize::from(self.reads);
            state.writers -= usize::from(self.writes);
            if state.readers == 0 && state.writers == 0 {
                state.queue = Queue::new(SLOTS);
            }
            (state.readers == 0) != (state.writers == 0)
        };
        if one_sided {
            self.pipe.wake_both();
        }
    }
}

impl File for End {
    fn attributes(&self) -> Result<Attributes, Errno> {
        Ok(match &self.inode {
            Some(inode) => inode.attributes(),
            None => Attributes::generated(ANONYMOUS_DEVICE, self.pipe.id, S_IFIFO | 0o600),
        })
    }

    fn node(&self) -> Option<Node> {
        self.inode.clone().map(Node::Memory)
    }

    fn read(&self, _offset: u64, nonblocking: bool, sink: &mut dyn Sink) -> SysResult {
        self.pipe.read_into(nonblocking, sink)
    }

    fn write(&self, _offset: u64, nonblocking: bool, source: &mut dyn Source) -> SysResult {
        let packet = self.packets.load(Ordering::Relaxed);
        self.pipe.write_from(nonblocking, packet, source)
    }

    fn flags_changed(&self, flags: u32) {
        self.packets.store(flags & O_DIRECT != 0, Ordering::Relaxed);
    }

    fn readiness(&self) -> Readiness {
        let state = self.pipe.state.lock();
        let mut events = 0;
        if self.reads {
            if !state.queue.is_empty() {
                events |= READABLE;
            }
            if state.writers == 0 && state.writer_opens != self.met {
                events |= EPOLLHUP;
            }
        }
        if self.writes {
            if state.queue.free_slots() > 0 {
                events |= WRITABLE;
            }
            if state.readers == 0 {
                events |= EPOLLERR;
            }
        }
        Readiness::of(events)
    }

    fn watchers(&self) -> [Option<&Watchers>; 2] {
        [
            self.reads.then_some(&self.pipe.read_watchers),
            self.writes.then_some(&self.pipe.write_watchers),
        ]
    }

    fn ioctl(&self, request: u32, argument: u64) -> SysResult {
        if request != linux_raw_sys::ioctl::FIONREAD {
            return Err(Errno::ENOTTY);
        }
        user::write::<u32>(argument, &(self.pipe.bytes() as u32))?;
        Ok(0)
    }

    fn label(&self) -> Option<Vec<u8>> {
        self.inode
            .is_none()
            .then(|| format!("pipe:[{}]", self.pipe.id).into_bytes())
    }

    fn reopen(&self, flags: u32) -> Result<Arc<OpenFile>, Errno> {
        let end = End::new(&self.pipe, flags, None);
        Ok(OpenFile::new(end, flags, None))
    }

    fn as_pipe(&self) -> Option<&Arc<Pipe>> {
        Some(&self.pipe)
    }
}
