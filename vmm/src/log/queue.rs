//! A log file that does not hold up the program.
//!
//! ```text
//! vCPU ─ write ─> pending (whole lines, bounded) ─ thread "log" ─> file
//!           └ full: waits for room, once and a second at most, then drops and counts
//! ```
//!
//! The thread starts with the first line. It takes all that is pending at once; where
//! lines were dropped meanwhile it puts one in their place that counts them. A write that
//! a full disk cut off inside a line is taken back to the line's start, so that the file
//! always ends with a whole line, and tried again: here, or in the next file where this
//! one was renamed and [`Reopener::reopen`] called. So rotation tears and doubles nothing.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::cri::format_lines;
use super::{LogError, Stream};
use crate::hypercall::lock;

/// No more is taken once so much is pending.
const PENDING_MAX_BYTES: usize = 1 << 20;
/// A buffer that grew beyond this is not kept.
const KEPT_MAX_BYTES: usize = 64 << 10;
/// How long a program waits for room, in all until the file takes something.
const ROOM_WAIT: Duration = Duration::from_millis(900);
/// How often a file that takes nothing is tried.
const RETRY: Duration = Duration::from_millis(100);
/// How long the end waits for the file.
const FINISH_WAIT: Duration = Duration::from_secs(5);
/// How long who wants the file opened anew waits for it.
const REOPEN_WAIT: Duration = Duration::from_secs(3);
const STACK_BYTES: usize = 64 << 10;

/// See the module documentation.
#[derive(Debug)]
pub(super) struct QueuedSink {
    queue: Arc<Queue>,
    is_started: bool,
}

#[derive(Debug)]
struct Queue {
    path: PathBuf,
    file: Mutex<File>,
    state: Mutex<State>,
    /// The thread has something to do.
    work: Condvar,
    /// The thread did something.
    progress: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Whole log lines.
    pending: Vec<u8>,
    /// Bytes of lines that the thread has in hand.
    in_hand: usize,
    /// Since the file took something last, a program waited in vain, or it took an error:
    /// nobody waits for room.
    is_stalled: bool,
    /// Not taken since there was room last; after all that is pending.
    dropped_lines: u64,
    dropped_bytes: u64,
    /// The file for what is written next.
    next_file: Option<File>,
    /// Nothing more comes.
    is_ending: bool,
}

/// Opens the file of a log anew.
#[derive(Clone, Debug)]
pub struct Reopener(Arc<Queue>);

impl QueuedSink {
    pub(super) fn open(path: PathBuf) -> Result<Self, LogError> {
        let file = open(&path).map_err(|source| LogError::Open {
            path: path.clone(),
            source,
        })?;
        let queue = Queue {
            path,
            file: Mutex::new(file),
            state: Mutex::default(),
            work: Condvar::new(),
            progress: Condvar::new(),
        };
        Ok(Self {
            queue: Arc::new(queue),
            is_started: false,
        })
    }

    /// Takes bytes as log lines, or drops them and counts that.
    pub(super) fn write(&mut self, time: SystemTime, stream: Stream, bytes: &[u8]) {
        self.queue.push(time, stream, bytes);
        if !self.is_started {
            // Where there is no thread to be had this one writes, as far as it goes at once.
            self.is_started = self.start();
            if !self.is_started {
                self.queue.serve(false);
            }
        }
    }

    fn start(&self) -> bool {
        let queue = Arc::clone(&self.queue);
        let run = move || {
            crate::events::block_forwarded();
            queue.serve(true);
        };
        std::thread::Builder::new()
            .name("log".into())
            .stack_size(STACK_BYTES)
            .spawn(run)
            .is_ok()
    }

    pub(super) fn reopener(&self) -> Reopener {
        Reopener(Arc::clone(&self.queue))
    }

    /// Waits until all is written, or the file has had its time.
    pub(super) fn finish(&mut self) {
        let until = Instant::now() + FINISH_WAIT;
        let mut state = lock(&self.queue.state);
        state.is_ending = true;
        self.queue.work.notify_all();
        while self.is_started && state.has_work() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = wait(&self.queue.progress, state, left);
        }
    }
}

impl Reopener {
    /// Opens the file that has the log's name now; later lines go there.
    ///
    /// # Errors
    /// The old file stays in use where the new one cannot be opened; a disk that takes
    /// nothing at all is not waited for longer than seconds.
    pub fn reopen(&self) -> Result<(), LogError> {
        let queue = &self.0;
        let file = open(&queue.path).map_err(|source| LogError::Open {
            path: queue.path.clone(),
            source,
        })?;
        let until = Instant::now() + REOPEN_WAIT;
        let mut state = lock(&queue.state);
        state.next_file = Some(file);
        if state.in_hand == 0 {
            // The thread is idle, or is not there yet.
            queue.change_file(&mut state);
        }
        queue.work.notify_all();
        while state.next_file.is_some() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(LogError::Stuck);
            }
            state = wait(&queue.progress, state, left);
        }
        Ok(())
    }
}

impl Queue {
    fn push(&self, time: SystemTime, stream: Stream, bytes: &[u8]) {
        let mut state = lock(&self.state);
        let until = Instant::now() + ROOM_WAIT;
        while state.is_full() && !state.is_stalled {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                state.is_stalled = true;
            } else {
                state = wait(&self.progress, state, left);
            }
        }
        if state.is_full() {
            let ends = bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
            let is_open = !bytes.ends_with(b"\n") && !bytes.is_empty();
            state.dropped_lines += ends + u64::from(is_open);
            state.dropped_bytes += bytes.len() as u64;
            return;
        }
        state.tell_dropped();
        format_lines(&mut state.pending, time, stream, bytes);
        if state.in_hand == 0 {
            self.work.notify_one();
        }
    }

    /// Writes what is pending; for ever where `stays` says so.
    fn serve(&self, stays: bool) {
        let mut lines = Vec::new();
        let mut state = lock(&self.state);
        loop {
            self.change_file(&mut state);
            if state.pending.is_empty() {
                state.tell_dropped();
            }
            if state.pending.is_empty() {
                self.progress.notify_all();
                if !stays || state.is_ending {
                    return;
                }
                state = (self.work.wait(state)).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            std::mem::swap(&mut lines, &mut state.pending);
            state.in_hand = lines.len();
            drop(state);
            let whole = self.write(&lines);
            state = lock(&self.state);
            state.in_hand = 0;
            state.is_stalled &= whole == 0;
            let is_done = whole == lines.len();
            if is_done {
                lines.clear();
                lines.shrink_to(KEPT_MAX_BYTES);
            } else {
                lines.drain(..whole);
                state.put_back(&mut lines);
                state.is_stalled = true;
            }
            self.change_file(&mut state);
            self.progress.notify_all();
            if !is_done {
                if !stays {
                    return;
                }
                state = wait(&self.work, state, RETRY);
            }
        }
    }

    /// Writes lines: bytes of whole lines that are in the file, all unless there was an error.
    fn write(&self, lines: &[u8]) -> usize {
        let file = lock(&self.file);
        let mut written = 0;
        while let Some(rest) = lines.get(written..).filter(|rest| !rest.is_empty()) {
            match (&*file).write(rest) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return take_back(&file, lines, written),
                Ok(count) => written += count,
            }
        }
        written
    }

    /// Turns to the next file where there is one. Nobody writes meanwhile.
    fn change_file(&self, state: &mut State) {
        if let Some(next) = state.next_file.take() {
            *lock(&self.file) = next;
            self.progress.notify_all();
        }
    }
}

impl State {
    fn is_full(&self) -> bool {
        self.pending.len() + self.in_hand >= PENDING_MAX_BYTES
    }

    fn has_work(&self) -> bool {
        self.in_hand > 0 || !self.pending.is_empty() || self.dropped_lines > 0
    }

    /// Counts what was dropped, in its place.
    fn tell_dropped(&mut self) {
        if self.dropped_lines == 0 {
            return;
        }
        let text = format!(
            "unikiln: log: {} lines ({} bytes) were dropped: the log file did not take them in time\n",
            self.dropped_lines, self.dropped_bytes
        );
        let now = SystemTime::now();
        format_lines(&mut self.pending, now, Stream::Libos, text.as_bytes());
        (self.dropped_lines, self.dropped_bytes) = (0, 0);
    }

    /// Lines that the file did not take go before those that came meanwhile.
    fn put_back(&mut self, lines: &mut Vec<u8>) {
        lines.append(&mut self.pending);
        std::mem::swap(lines, &mut self.pending);
    }
}

/// Takes the part of a line that was written last away again: bytes of whole lines.
fn take_back(file: &File, lines: &[u8], written: usize) -> usize {
    let done = lines.get(..written).unwrap_or_default();
    let whole = (done.iter().rposition(|&byte| byte == b'\n')).map_or(0, |at| at + 1);
    let part = (written - whole) as u64;
    let shorter = file.metadata().map(|it| it.len().saturating_sub(part));
    let is_whole = part == 0
        || shorter.is_ok_and(|len_bytes| {
            // Not below a rotated file's end: nobody else writes it.
            file.set_len(len_bytes).is_ok()
        });
    // A part that cannot be taken back stays, and its line goes on there.
    if is_whole { whole } else { written }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)
}

fn wait<'a>(
    condition: &Condvar,
    state: MutexGuard<'a, State>,
    time: Duration,
) -> MutexGuard<'a, State> {
    let waited = condition.wait_timeout(state, time);
    waited.unwrap_or_else(PoisonError::into_inner).0
}

#[cfg(test)]
mod tests;
