//! Writing into a pipe: a page at a time, and in advance where it is full.

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::general::SIGPIPE;

use super::Pipe;
use super::queue::{BACKLOG_PAGES, PIPE_BUF, Segment, blank_page};
use crate::errno::{Errno, SysResult};
use crate::fs::transfer::Source;
use crate::{sched, signal};

impl Pipe {
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
    pub(super) fn write_from(
        &self,
        nonblocking: bool,
        packet: bool,
        source: &mut dyn Source,
    ) -> SysResult {
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
