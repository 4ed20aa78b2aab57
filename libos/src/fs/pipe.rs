//! Pipes, with and without a name.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use linux_raw_sys::general::{
    EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, O_ACCMODE, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY,
    S_IFIFO, SIGPIPE,
};
use spin::Mutex;

use super::attributes::{ANONYMOUS_DEVICE, Attributes};
use super::memory::MemoryInode;
use super::node::Node;
use super::open_file::{File, OpenFile, Origin, Readiness};
use super::readiness::Watchers;
use super::transfer::{Sink, Source};
use crate::errno::{Errno, SysResult};
use crate::mm::user;
use crate::sched::{self, WaitQueue};
use crate::signal;

/// Bytes that a new pipe holds.
const CAPACITY_BYTES: usize = 64 << 10;
/// Most bytes that F_SETPIPE_SZ gives.
pub const CAPACITY_MAX_BYTES: usize = 1 << 20;
/// Writes up to this are all or nothing.
const ATOMIC_BYTES: usize = 4096;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// A pipe: a queue of bytes and who holds its ends.
pub struct Pipe {
    id: u64,
    state: Mutex<State>,
    /// Woken when bytes come or the last writer goes.
    readable: WaitQueue,
    /// Woken when room comes or the last reader goes.
    writable: WaitQueue,
    read_watchers: Watchers,
    write_watchers: Watchers,
}

struct State {
    bytes: VecDeque<u8>,
    capacity: usize,
    readers: usize,
    writers: usize,
    /// Opens of each kind so far: what opening a named pipe waits for.
    reader_opens: u64,
    writer_opens: u64,
}

impl Pipe {
    /// An empty pipe without ends.
    pub fn new() -> Arc<Pipe> {
        Arc::new(Pipe {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            state: Mutex::new(State {
                bytes: VecDeque::new(),
                capacity: CAPACITY_BYTES,
                readers: 0,
                writers: 0,
                reader_opens: 0,
                writer_opens: 0,
            }),
            readable: WaitQueue::new(),
            writable: WaitQueue::new(),
            read_watchers: Watchers::new(),
            write_watchers: Watchers::new(),
        })
    }

    /// The two ends of a new pipe, reading end first.
    pub fn pair(flags: u32) -> (Arc<OpenFile>, Arc<OpenFile>) {
        let pipe = Pipe::new();
        let read = End::new(&pipe, true, false, None);
        let write = End::new(&pipe, false, true, None);
        (
            OpenFile::new(read, flags | O_RDONLY, None),
            OpenFile::new(write, flags | O_WRONLY, None),
        )
    }

    /// Opens a named pipe; waits for the other end unless O_NONBLOCK says not to.
    pub fn open_named(
        self: &Arc<Self>,
        inode: &Arc<MemoryInode>,
        flags: u32,
        origin: Option<Origin>,
    ) -> Result<Arc<OpenFile>, Errno> {
        let (reads, writes) = match flags & O_ACCMODE {
            O_RDONLY => (true, false),
            O_WRONLY => (false, true),
            O_RDWR => (true, true),
            _ => return Err(Errno::EINVAL),
        };
        let nonblocking = flags & O_NONBLOCK != 0;
        if writes && !reads && nonblocking && self.state.lock().readers == 0 {
            return Err(Errno::ENXIO);
        }
        let end = End::new(self, reads, writes, Some(inode.clone()));
        if reads != writes && !nonblocking {
            let (seen, here) = {
                let state = self.state.lock();
                if reads {
                    (state.writer_opens, state.writers)
                } else {
                    (state.reader_opens, state.readers)
                }
            };
            let queue = if reads {
                &self.readable
            } else {
                &self.writable
            };
            sched::wait(queue, None, || {
                let opens = {
                    let state = self.state.lock();
                    if reads {
                        state.writer_opens
                    } else {
                        state.reader_opens
                    }
                };
                (here > 0 || opens != seen).then_some(())
            })?;
        }
        Ok(OpenFile::new(end, flags, origin))
    }

    /// Bytes that it holds at most.
    pub fn capacity(&self) -> usize {
        self.state.lock().capacity
    }

    /// Sets the capacity, rounded up to a power of two of pages; EBUSY where it holds more now.
    pub fn set_capacity(&self, bytes: usize) -> SysResult {
        if bytes > CAPACITY_MAX_BYTES {
            return Err(Errno::EPERM);
        }
        let capacity = bytes.max(ATOMIC_BYTES).next_power_of_two();
        let mut state = self.state.lock();
        if capacity < state.bytes.len() {
            return Err(Errno::EBUSY);
        }
        state.capacity = capacity;
        Ok(capacity)
    }

    /// Bytes came: readers look again.
    fn wake_readers(&self) {
        self.readable.wake_all();
        self.read_watchers.notify(EPOLLIN);
    }

    /// `taken` bytes went: writers look again. To `poll` that is news only
    /// where there was no room before.
    fn wake_writers(&self, taken: usize) {
        self.writable.wake_all();
        let was_full = {
            let state = self.state.lock();
            state.bytes.len() + taken + ATOMIC_BYTES > state.capacity
        };
        if was_full {
            self.write_watchers.notify(EPOLLOUT);
        }
    }

    /// An end came or went: everybody looks again.
    fn wake(&self) {
        self.readable.wake_all();
        self.writable.wake_all();
        self.read_watchers.notify(EPOLLIN | EPOLLHUP);
        self.write_watchers.notify(EPOLLOUT | EPOLLERR);
    }

    /// Takes up to `most` bytes; none where a writer may still give some.
    fn try_take(&self, most: usize) -> Option<Vec<u8>> {
        let mut state = self.state.lock();
        if state.bytes.is_empty() && state.writers > 0 {
            return None;
        }
        let count = most.min(state.bytes.len());
        Some(state.bytes.drain(..count).collect())
    }

    /// Undoes [`Pipe::try_take`].
    fn put_back(&self, bytes: Vec<u8>) {
        let mut state = self.state.lock();
        for byte in bytes.into_iter().rev() {
            state.bytes.push_front(byte);
        }
    }

    /// Room for a write of `len` bytes now; none where it must wait.
    fn room(&self, len: usize) -> Option<Result<usize, Errno>> {
        let state = self.state.lock();
        if state.readers == 0 {
            return Some(Err(Errno::EPIPE));
        }
        let room = state.capacity.saturating_sub(state.bytes.len());
        let enough = if len <= ATOMIC_BYTES {
            room >= len
        } else {
            room > 0
        };
        enough.then_some(Ok(room.min(len)))
    }
}

/// One end of a pipe, or both of a named one.
struct End {
    pipe: Arc<Pipe>,
    reads: bool,
    writes: bool,
    inode: Option<Arc<MemoryInode>>,
}

impl End {
    fn new(pipe: &Arc<Pipe>, reads: bool, writes: bool, inode: Option<Arc<MemoryInode>>) -> End {
        {
            let mut state = pipe.state.lock();
            state.readers += usize::from(reads);
            state.writers += usize::from(writes);
            state.reader_opens += u64::from(reads);
            state.writer_opens += u64::from(writes);
        }
        pipe.wake();
        End {
            pipe: pipe.clone(),
            reads,
            writes,
            inode,
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        {
            let mut state = self.pipe.state.lock();
            state.readers -= usize::from(self.reads);
            state.writers -= usize::from(self.writes);
            if state.readers == 0 && state.writers == 0 {
                state.bytes.clear();
            }
        }
        self.pipe.wake();
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
        let most = sink.remaining();
        if most == 0 {
            return Ok(0);
        }
        let bytes = match self.pipe.try_take(most) {
            Some(bytes) => bytes,
            None if nonblocking => return Err(Errno::EAGAIN),
            None => sched::wait(&self.pipe.readable, None, || self.pipe.try_take(most))?,
        };
        if let Err(errno) = sink.put(&bytes) {
            // A bad pointer takes nothing out of the pipe.
            self.pipe.put_back(bytes);
            return Err(errno);
        }
        if !bytes.is_empty() {
            self.pipe.wake_writers(bytes.len());
        }
        Ok(bytes.len())
    }

    fn write(&self, _offset: u64, nonblocking: bool, source: &mut dyn Source) -> SysResult {
        let mut done = 0;
        while source.remaining() > 0 {
            let len = source.remaining();
            let room = match self.pipe.room(len) {
                Some(room) => room,
                None if nonblocking => Err(Errno::EAGAIN),
                None => sched::wait(&self.pipe.writable, None, || self.pipe.room(len))
                    .and_then(|room| room),
            };
            let step = room.and_then(|room| {
                let mut bytes = alloc::vec![0; room];
                source.take(&mut bytes)?;
                self.pipe.state.lock().bytes.extend(bytes);
                Ok(room)
            });
            match step {
                Ok(count) => {
                    done += count;
                    self.pipe.wake_readers();
                }
                Err(errno) => {
                    if errno == Errno::EPIPE {
                        signal::raise_current(SIGPIPE);
                    }
                    return if done > 0 { Ok(done) } else { Err(errno) };
                }
            }
        }
        Ok(done)
    }

    fn readiness(&self) -> Readiness {
        let state = self.pipe.state.lock();
        let mut events = 0;
        if self.reads {
            if !state.bytes.is_empty() {
                events |= EPOLLIN;
            }
            if state.writers == 0 {
                events |= EPOLLHUP;
            }
        }
        if self.writes {
            if state.capacity - state.bytes.len().min(state.capacity) >= ATOMIC_BYTES {
                events |= EPOLLOUT;
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
        let count = self.pipe.state.lock().bytes.len() as u32;
        user::write::<u32>(argument, &count)?;
        Ok(0)
    }

    fn label(&self) -> Option<Vec<u8>> {
        self.inode
            .is_none()
            .then(|| format!("pipe:[{}]", self.pipe.id).into_bytes())
    }

    fn reopen(&self, flags: u32) -> Result<Arc<OpenFile>, Errno> {
        let access = flags & O_ACCMODE;
        let end = End::new(&self.pipe, access != O_WRONLY, access != O_RDONLY, None);
        Ok(OpenFile::new(end, flags, None))
    }

    fn as_pipe(&self) -> Option<&Arc<Pipe>> {
        Some(&self.pipe)
    }
}
