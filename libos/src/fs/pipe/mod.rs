//! Pipes, with and without a name.
//!
//! | file | what it owns |
//! |---|---|
//! | `queue.rs` | the bytes: pages in a queue |
//! | `end.rs` | an open end as a file |
//! | `write.rs` | writing, a page at a time |
//! | `splice.rs` | pages from pipe to pipe and between pipes and files |
//!
//! The lock of the state is never held while program memory is touched: what is
//! written is staged in a page first, what is read is taken out first and put
//! back where it could not be given.

mod end;
mod queue;
pub mod splice;
mod write;

use alloc::sync::Arc;
use core::mem;
use core::sync::atomic::{AtomicU64, Ordering};

use linux_raw_sys::general::{
    EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDNORM, EPOLLWRNORM, O_ACCMODE, O_NONBLOCK,
    O_RDONLY, O_RDWR, O_WRONLY,
};
use spin::Mutex;

use super::memory::MemoryInode;
use super::open_file::{OpenFile, Origin};
use super::readiness::Watchers;
use super::transfer::Sink;
use crate::errno::{Errno, SysResult};
use crate::sched::{self, WaitQueue};
use end::End;
use queue::{PIPE_BUF, Queue, Segment, Taken};

/// Pages that a new pipe holds.
const SLOTS: usize = 16;
/// Most bytes that F_SETPIPE_SZ gives to everybody (`pipe-max-size`).
pub const CAPACITY_MAX_BYTES: usize = 1 << 20;
/// What is ready when there are bytes.
const READABLE: u32 = EPOLLIN | EPOLLRDNORM;
/// What is ready when there is room.
const WRITABLE: u32 = EPOLLOUT | EPOLLWRNORM;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// A pipe: a queue of pages and who holds its ends.
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
    queue: Queue,
    readers: usize,
    writers: usize,
    /// Opens of each kind so far: what opening a named pipe waits for.
    reader_opens: u64,
    writer_opens: u64,
}

impl State {
    /// How many of `len` bytes the next write may take at once: fewer than a
    /// page where they join the last one. None where there is no room.
    fn room(&self, len: usize, packet: bool, is_first: bool) -> Option<Result<usize, Errno>> {
        if self.readers == 0 {
            return Some(Err(Errno::EPIPE));
        }
        let odd = len % PIPE_BUF;
        if is_first && !packet && odd != 0 && self.queue.joins(odd) {
            return Some(Ok(odd));
        }
        (self.queue.free_slots() > 0).then_some(Ok(len.min(PIPE_BUF)))
    }
}

impl Pipe {
    /// An empty pipe without ends.
    pub fn new() -> Arc<Pipe> {
        Arc::new(Pipe {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            state: Mutex::new(State {
                queue: Queue::new(SLOTS),
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
        let end = |access: u32| {
            let flags = flags | access;
            OpenFile::new(End::new(&pipe, flags, None), flags, None)
        };
        (end(O_RDONLY), end(O_WRONLY))
    }

    /// Opens a named pipe; waits for the other end unless O_NONBLOCK says not to.
    ///
    /// # Errors
    /// ENXIO for a writer that would not wait for a reader; EINTR.
    pub fn open_named(
        self: &Arc<Self>,
        inode: &Arc<MemoryInode>,
        flags: u32,
        origin: Option<Origin>,
    ) -> Result<Arc<OpenFile>, Errno> {
        let access = flags & O_ACCMODE;
        if access > O_RDWR {
            return Err(Errno::EINVAL);
        }
        let nonblocking = flags & O_NONBLOCK != 0;
        let end = End::open(self, flags, inode.clone())?;
        if access != O_RDWR && !nonblocking {
            let (reads, met) = (access == O_RDONLY, end.met());
            let queue = if reads {
                &self.readable
            } else {
                &self.writable
            };
            sched::wait(queue, None, || {
                let state = self.state.lock();
                let (here, opens) = if reads {
                    (state.writers, state.writer_opens)
                } else {
                    (state.readers, state.reader_opens)
                };
                (here > 0 || opens != met).then_some(())
            })?;
        }
        Ok(OpenFile::new(end, flags, origin))
    }

    /// Bytes that it holds at most.
    pub fn capacity(&self) -> usize {
        self.state.lock().queue.slots() * PIPE_BUF
    }

    /// Sets the capacity, rounded up to a power of two of pages.
    ///
    /// # Errors
    /// EINVAL beyond 2 GiB, EPERM beyond `pipe-max-size` unless `privileged`,
    /// EBUSY where it holds more now.
    pub fn set_capacity(&self, bytes: u32, privileged: bool) -> SysResult {
        if bytes > 1 << 31 {
            return Err(Errno::EINVAL);
        }
        let capacity = (bytes as usize).max(PIPE_BUF).next_power_of_two();
        let slots = capacity / PIPE_BUF;
        {
            let mut state = self.state.lock();
            let grows = slots > state.queue.slots();
            if grows && capacity > CAPACITY_MAX_BYTES && !privileged {
                return Err(Errno::EPERM);
            }
            let made_room = state.queue.set_slots(slots).ok_or(Errno::EBUSY)?;
            if !made_room {
                return Ok(capacity);
            }
        }
        self.wake_writers();
        Ok(capacity)
    }

    /// Bytes in it.
    pub fn bytes(&self) -> usize {
        self.state.lock().queue.bytes()
    }

    /// Bytes came.
    fn wake_readers(&self) {
        self.readable.wake_all();
        self.read_watchers.notify(READABLE);
    }

    /// Room came.
    fn wake_writers(&self) {
        self.writable.wake_all();
        self.write_watchers.notify(WRITABLE);
    }

    /// An end came or went.
    fn wake_both(&self) {
        self.readable.wake_all();
        self.writable.wake_all();
        self.read_watchers.notify(READABLE | EPOLLHUP | EPOLLERR);
        self.write_watchers.notify(WRITABLE | EPOLLHUP | EPOLLERR);
    }

    /// Takes bytes; none where a writer may still give some.
    fn try_take(&self, most: usize, pages: Option<usize>) -> Option<Taken> {
        let mut state = self.state.lock();
        if state.queue.is_empty() && state.writers > 0 {
            return None;
        }
        Some(state.queue.take(most, pages))
    }

    /// Takes up to `most` bytes, waiting for the first ones; nothing at the end.
    fn take(&self, most: usize, pages: Option<usize>, nonblocking: bool) -> Result<Taken, Errno> {
        match self.try_take(most, pages) {
            Some(taken) => Ok(taken),
            None if nonblocking => Err(Errno::EAGAIN),
            None => self.await_bytes(most, pages),
        }
    }

    /// Sleeps until bytes come. Meanwhile there is room for what this reader will take.
    fn await_bytes(&self, most: usize, pages: Option<usize>) -> Result<Taken, Errno> {
        let bytes = pages.map_or(most, |pages| most.min(pages.saturating_mul(PIPE_BUF)));
        let mut awaited = self.state.lock().queue.await_bytes(bytes);
        let taken = sched::wait(&self.readable, None, || {
            let mut state = self.state.lock();
            if state.queue.is_empty() && state.writers > 0 {
                return None;
            }
            state.queue.awaits_no_more(mem::take(&mut awaited));
            Some(state.queue.take(most, pages))
        });
        if awaited > 0 {
            self.state.lock().queue.awaits_no_more(awaited);
        }
        taken
    }

    fn put_back(&self, segments: impl DoubleEndedIterator<Item = Segment>) {
        let some = {
            let mut state = self.state.lock();
            state.queue.put_back(segments);
            !state.queue.is_empty()
        };
        // Somebody may have found it empty meanwhile.
        if some {
            self.wake_readers();
        }
    }

    /// Reads into `sink`. What a bad pointer does not take stays in the pipe.
    fn read_into(&self, nonblocking: bool, sink: &mut dyn Sink) -> SysResult {
        if sink.remaining() == 0 {
            return Ok(0);
        }
        let taken = self.take(sink.remaining(), None, nonblocking)?;
        let made_room = taken.made_room;
        let mut segments = taken.into_segments();
        let (mut done, mut failed) = (0, None);
        while let Some(segment) = segments.next() {
            if let Err(errno) = sink.put(segment.bytes()) {
                self.put_back(core::iter::once(segment).chain(segments));
                failed = Some(errno);
                break;
            }
            done += segment.len();
            self.state.lock().queue.recycle(segment);
        }
        if made_room {
            self.wake_writers();
        }
        match failed {
            Some(errno) if done == 0 => Err(errno),
            _ => Ok(done),
        }
    }
}
