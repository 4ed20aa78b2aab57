//! Pages from pipe to pipe, and bytes between pipes and files.

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::general::SIGPIPE;

use super::super::transfer::{Sink, Source};
use super::Pipe;
use super::queue::{PIPE_BUF, Segment, blank_page};
use crate::errno::{Errno, SysResult};
use crate::sched;
use crate::signal;

/// Most bytes read from a file at once.
const READ_MAX_BYTES: usize = 1 << 20;

/// Slots of a pipe that are kept for what is on its way; they go back at the end.
struct Slots<'a> {
    pipe: &'a Pipe,
    count: usize,
}

impl<'a> Slots<'a> {
    /// Up to `most` of them, waiting for the first one. SIGPIPE where nobody reads.
    fn reserve(pipe: &'a Pipe, most: usize, nonblocking: bool) -> Result<Slots<'a>, Errno> {
        let attempt = || {
            let mut state = pipe.state.lock();
            if state.readers == 0 {
                return Some(Err(Errno::EPIPE));
            }
            let count = state.queue.reserve(most);
            (count > 0).then_some(Ok(Slots { pipe, count }))
        };
        let slots = match attempt() {
            Some(outcome) => outcome,
            None if nonblocking => Err(Errno::EAGAIN),
            None => sched::wait(&pipe.writable, None, attempt).and_then(|outcome| outcome),
        };
        slots.inspect_err(|errno| {
            if *errno == Errno::EPIPE {
                signal::raise_current(SIGPIPE);
            }
        })
    }

    /// Puts segments into them, no more than there are.
    fn fill(mut self, segments: impl Iterator<Item = Segment>) {
        let count = core::mem::take(&mut self.count);
        let made_room = self.pipe.state.lock().queue.fill(count, segments);
        self.pipe.wake_readers();
        if made_room {
            // Kept and not used: somebody may have found it full meanwhile.
            self.pipe.wake_writers();
        }
    }
}

impl Drop for Slots<'_> {
    fn drop(&mut self) {
        if self.count > 0 {
            let nothing = core::iter::empty();
            let made_room = self.pipe.state.lock().queue.fill(self.count, nothing);
            // What a writer gave in advance may be there now.
            self.pipe.wake_readers();
            if made_room {
                self.pipe.wake_writers();
            }
        }
    }
}

/// Waits for bytes in `pipe`; false at the end.
fn wait_readable(pipe: &Pipe, nonblocking: bool) -> Result<bool, Errno> {
    let attempt = || {
        let state = pipe.state.lock();
        match (state.queue.is_empty(), state.writers) {
            (false, _) => Some(true),
            (true, 0) => Some(false),
            (true, _) => None,
        }
    };
    match attempt() {
        Some(some) => Ok(some),
        None if nonblocking => Err(Errno::EAGAIN),
        None => sched::wait(&pipe.readable, None, attempt),
    }
}

/// Moves up to `len` bytes from one pipe to another.
///
/// # Errors
/// EAGAIN, EPIPE, EINTR.
pub fn move_pages(from: &Pipe, to: &Pipe, len: usize, nonblocking: bool) -> SysResult {
    while wait_readable(from, nonblocking)? {
        let slots = Slots::reserve(to, len.div_ceil(PIPE_BUF).max(1), nonblocking)?;
        let taken = from.state.lock().queue.take(len, Some(slots.count));
        let made_room = taken.made_room;
        let segments: Vec<Segment> = taken.into_segments().collect();
        let count = segments.iter().map(Segment::len).sum();
        // Somebody else may have been faster.
        if count > 0 {
            slots.fill(segments.into_iter());
            if made_room {
                from.wake_writers();
            }
            return Ok(count);
        }
    }
    Ok(0)
}

/// Copies up to `len` bytes from one pipe to another; they stay in the first.
///
/// # Errors
/// EAGAIN, EPIPE, EINTR.
pub fn copy_pages(from: &Pipe, to: &Pipe, len: usize, nonblocking: bool) -> SysResult {
    while wait_readable(from, nonblocking)? {
        let slots = Slots::reserve(to, len.div_ceil(PIPE_BUF).max(1), nonblocking)?;
        let copies = from.state.lock().queue.peek(len, slots.count);
        let count = copies.iter().map(Segment::len).sum();
        if count > 0 {
            slots.fill(copies.into_iter());
            return Ok(count);
        }
    }
    Ok(0)
}

/// Gives `write` up to `len` bytes of the pipe: all that is there, waiting for the first ones only.
///
/// # Errors
/// EAGAIN, EINTR, what `write` says where it took nothing.
pub fn drain(
    pipe: &Pipe,
    len: usize,
    nonblocking: bool,
    write: &mut dyn FnMut(&[u8]) -> SysResult,
) -> SysResult {
    let mut done = 0;
    while done < len {
        let taken = match pipe.take(len - done, Some(usize::MAX), nonblocking || done > 0) {
            Ok(taken) => taken,
            Err(errno) if done == 0 => return Err(errno),
            Err(_) => break,
        };
        let (made_room, before) = (taken.made_room, done);
        let mut segments = taken.into_segments();
        let mut outcome = Ok(());
        while let Some(mut segment) = segments.next() {
            let wanted = segment.len();
            let written = write(segment.bytes());
            let count = *written.as_ref().unwrap_or(&0);
            done += count;
            if count < wanted {
                segment.skip(count);
                pipe.put_back(core::iter::once(segment).chain(segments));
                outcome = written.and(Err(Errno::EAGAIN));
                break;
            }
        }
        if made_room {
            pipe.wake_writers();
        }
        match outcome {
            Err(errno) if done == 0 => return Err(errno),
            Ok(()) if done > before => {}
            _ => break,
        }
    }
    Ok(done)
}

/// Fills the pipe with up to `len` bytes that `read` gives, as far as there is
/// room, waiting for the first page of it.
///
/// # Errors
/// EAGAIN, EPIPE, EINTR, what `read` says.
pub fn feed(
    pipe: &Pipe,
    len: usize,
    nonblocking: bool,
    read: &mut dyn FnMut(&mut [u8]) -> SysResult,
) -> SysResult {
    let most = len.min(READ_MAX_BYTES);
    let slots = Slots::reserve(pipe, most.div_ceil(PIPE_BUF), nonblocking)?;
    let mut bytes = alloc::vec![0; most.min(slots.count * PIPE_BUF)];
    let count = read(&mut bytes)?;
    let segments = bytes
        .get(..count)
        .unwrap_or_default()
        .chunks(PIPE_BUF)
        .map(|chunk| segment(chunk.len(), &mut |page| page.copy_from_slice(chunk)));
    if count > 0 {
        slots.fill(segments);
    }
    Ok(count)
}

fn segment(len: usize, fill: &mut dyn FnMut(&mut [u8])) -> Segment {
    let mut page = blank_page();
    if let Some(place) = Arc::get_mut(&mut page).and_then(|page| page.get_mut(..len)) {
        fill(place);
    }
    Segment::new(page, len, false)
}

/// Fills the pipe from `source` as far as there is room, waiting for the first page of it.
///
/// # Errors
/// EAGAIN, EPIPE, EINTR; EFAULT where nothing could be read.
pub fn feed_from(pipe: &Pipe, nonblocking: bool, source: &mut dyn Source) -> SysResult {
    if source.remaining() == 0 {
        return Ok(0);
    }
    let slots = Slots::reserve(pipe, source.remaining().div_ceil(PIPE_BUF), nonblocking)?;
    let (mut segments, mut done) = (Vec::new(), 0);
    let mut outcome = Ok(());
    while outcome.is_ok() && segments.len() < slots.count && source.remaining() > 0 {
        let len = source.remaining().min(PIPE_BUF);
        let page = segment(len, &mut |place| outcome = source.take(place));
        if outcome.is_ok() {
            done += len;
            segments.push(page);
        }
    }
    match outcome {
        Err(errno) if done == 0 => Err(errno),
        _ => {
            slots.fill(segments.into_iter());
            Ok(done)
        }
    }
}

/// Reads into `sink` what is there, waiting for the first bytes only.
///
/// # Errors
/// As reading.
pub fn drain_into(pipe: &Pipe, nonblocking: bool, sink: &mut dyn Sink) -> SysResult {
    pipe.read_into(nonblocking, sink)
}
