//! Pipes, with and without a name.
//!
//! | file | what it owns |
//! |---|---|
//! | `queue.rs` | the bytes: pages in a queue |
//! | `end.rs` | an open end as a file |
//! | `splice.rs` | pages from pipe to pipe and between pipes and files |
//!
//! The lock of the state is never held while program memory is touched: what is
//! written is staged in a page first, what is read is taken out first and put
//! back where it could not be given.

mod end;
mod queue;
pub mod splice;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;
use core::sync::atomic::{AtomicU64, Ordering};

use linux_raw_sys::general::{
    EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDNORM, EPOLLWRNORM, O_ACCMODE, O_NONBLOCK,
    O_RDONLY, O_RDWR, O_WRONLY, SIGPIPE,
};
use spin::Mutex;

use super::memory::MemoryInode;
use super::open_file::{OpenFile, Origin};
use super::readiness::Watchers;
use super::transfer::{Sink, Source};
use crate::errno::{Errno, SysResult};
use crate::sched::{self, WaitQueue};
use crate::signal;
use end::End;
use queue::{BACKLOG_PAGES, PIPE_BUF, Queue, Segment, Taken, blank_page};

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

    fn try_append(&self, staged: &mut Option<Segment>) -> Option<Result<(), Errno>> {
        let mut state = self.state.lock();
        if state.readers == 0 {
            return Some(Err(Errno::EPIPE));
        }
        *staged = state.queue.append(staged.take()?).err();
        staged.is_none().then_some(Ok(()))
    }

    /// Runs `attempt`, waiting until it gives something unless `nonblocking`.
    fn wait_writable<T>(
        &self,
        nonblocking: bool,
        progress: &mut Progress,
        mut attempt: impl FnMut() -> Option<Result<T, Errno>>,
    ) -> Result<T, Errno> {
        match attempt() {
            Some(outcome) => outcome,
            None if nonblocking => Err(Errno::EAGAIN),
            None => {
                self.tell(progress);
                sched::wait(&self.writable, None, attempt)?
            }
        }
    }

    /// Wakes readers for what was written since the last time.
    fn tell(&self, progress: &mut Progress) {
        if progress.done > progress.told {
            progress.told = progress.done;
            self.wake_readers();
        }
    }

    /// Writes all of `source`, each page at once and so up to PIPE_BUF bytes in
    /// one piece. SIGPIPE where nobody can read.
    fn write_from(&self, nonblocking: bool, packet: bool, source: &mut dyn Source) -> SysResult {
        let mut progress = Progress::default();
        let mut failed = None;
        while source.remaining() > 0 {
            let is_first = progress.done == 0;
            if !nonblocking && !packet {
                match self.give_in_advance(is_first, &mut progress, source) {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(errno) => {
                        failed = Some(errno);
                        break;
                    }
                }
            }
            let room = self.wait_writable(nonblocking, &mut progress, || {
                self.state.lock().room(source.remaining(), packet, is_first)
            });
            let step = room
                .and_then(|len| self.write_page(len, nonblocking, packet, &mut progress, source));
            if let Err(errno) = step {
                failed = Some(errno);
                break;
            }
        }
        self.tell(&mut progress);
        if failed == Some(Errno::EPIPE) {
            signal::raise_current(SIGPIPE);
        }
        match failed {
            Some(errno) if progress.done == 0 => Err(errno),
            _ => Ok(progress.done),
        }
    }

    /// Where the pipe is full: what follows is copied here, and waits for room without
    /// its writer, so that a reader need not wait for another process to run. False where
    /// there is room, or where another writer does so.
    ///
    /// # Errors
    /// EPIPE, EINTR; EFAULT where nothing could be copied.
    fn give_in_advance(
        &self,
        is_first: bool,
        progress: &mut Progress,
        source: &mut dyn Source,
    ) -> Result<bool, Errno> {
        {
            let mut state = self.state.lock();
            let room = state.room(source.remaining(), false, is_first);
            if room.is_some() || !state.queue.begin_backlog() {
                return Ok(false);
            }
        }
        let (mut pages, mut bytes, mut failed) = (Vec::new(), 0, None);
        while pages.len() < BACKLOG_PAGES && source.remaining() > 0 {
            let len = source.remaining().min(PIPE_BUF);
            let mut page = blank_page();
            let place = Arc::get_mut(&mut page).and_then(|page| page.get_mut(..len));
            if let Err(errno) = place.ok_or(Errno::EIO).and_then(|place| source.take(place)) {
                failed = Some(errno);
                break;
            }
            pages.push(Segment::new(page, len, false));
            bytes += len;
        }
        if self.state.lock().queue.add_backlog(pages) {
            // Readers may have found it empty and sleep.
            self.wake_readers();
        }
        self.tell(progress);
        let waited = sched::wait(&self.writable, None, || {
            let state = self.state.lock();
            if !state.queue.has_backlog() {
                return Some(Ok(()));
            }
            (state.readers == 0).then_some(Err(Errno::EPIPE))
        });
        let left = self.state.lock().queue.end_backlog();
        progress.done += bytes - left;
        waited??;
        failed.map_or(Ok(true), Err)
    }

    fn write_page(
        &self,
        len: usize,
        nonblocking: bool,
        packet: bool,
        progress: &mut Progress,
        source: &mut dyn Source,
    ) -> Result<(), Errno> {
        let spare = self.state.lock().queue.take_spare();
        let mut page = spare.unwrap_or_else(blank_page);
        let place = Arc::get_mut(&mut page).and_then(|page| page.get_mut(..len));
        source.take(place.ok_or(Errno::EIO)?)?;
        let mut staged = Some(Segment::new(page, len, packet));
        self.wait_writable(nonblocking, progress, || self.try_append(&mut staged))?;
        progress.done += len;
        Ok(())
    }
}

/// How far a write is.
#[derive(Default)]
struct Progress {
    done: usize,
    /// As much of it as readers were woken for.
    told: usize,
}
