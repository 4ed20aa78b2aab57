//! The bytes in a pipe: pages in a queue, as in Linux. A page holds what one
//! write put there; a later small write joins it where it fits. Pipes that are
//! spliced or teed hand pages on without copying.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Bytes of a page, and of a write that is all or nothing.
pub const PIPE_BUF: usize = 4096;

/// Most pages that are kept for one sleeping reader: 256 KiB.
const AWAITED_MAX: usize = 64;

/// Most pages that a sleeping writer gives in advance.
pub const BACKLOG_PAGES: usize = 16;

/// One page of bytes.
pub type Page = Arc<[u8; PIPE_BUF]>;

/// A page that nobody else has.
pub fn blank_page() -> Page {
    Arc::new([0; PIPE_BUF])
}

/// Bytes of one page.
#[derive(Clone)]
pub struct Segment {
    page: Page,
    start: usize,
    end: usize,
    /// A message of its own: one read takes no more, and drops what it leaves.
    packet: bool,
    /// Later writes may join.
    open: bool,
}

impl Segment {
    /// The first `len` bytes of `page`.
    pub fn new(page: Page, len: usize, packet: bool) -> Segment {
        Segment {
            page,
            start: 0,
            end: len.min(PIPE_BUF),
            packet,
            open: !packet,
        }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        self.page.get(self.start..self.end).unwrap_or_default()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Takes the first `most` bytes off.
    fn split(&mut self, most: usize) -> Segment {
        let mut front = self.clone();
        front.end = self.start + most.min(self.len());
        front.open = false;
        self.start = front.end;
        front
    }

    /// Drops the first `count` bytes.
    pub fn skip(&mut self, count: usize) {
        self.start = self.end.min(self.start + count);
    }

    /// Keeps the first `most` bytes.
    pub fn cut(&mut self, most: usize) {
        self.end = self.end.min(self.start + most);
    }
}

/// What one read takes, in order. The first one is apart since most reads take no more.
#[derive(Default)]
pub struct Taken {
    first: Option<Segment>,
    rest: Vec<Segment>,
    /// A writer may go on: the queue was full and is no longer, or has all of a backlog.
    pub made_room: bool,
}

impl Taken {
    fn push(&mut self, segment: Segment) {
        match self.first {
            None => self.first = Some(segment),
            Some(_) => self.rest.push(segment),
        }
    }

    /// The segments.
    pub fn into_segments(self) -> impl DoubleEndedIterator<Item = Segment> {
        self.first.into_iter().chain(self.rest)
    }
}

/// See the module documentation.
pub struct Queue {
    segments: VecDeque<Segment>,
    slots: usize,
    /// Slots that somebody is about to fill.
    reserved: usize,
    /// Pages that sleeping readers will take as soon as they run: there is room for them, too.
    awaited: usize,
    /// What a sleeping writer brings next; None where nobody does.
    backlog: Option<VecDeque<Segment>>,
    /// Kept for the next write.
    spare: Option<Page>,
}

impl Queue {
    /// An empty queue of `slots` pages.
    pub const fn new(slots: usize) -> Queue {
        Queue {
            segments: VecDeque::new(),
            slots,
            reserved: 0,
            awaited: 0,
            backlog: None,
            spare: None,
        }
    }

    /// Pages that it holds at most.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Sets how many pages it holds: whether a writer may go on, as [`Taken::made_room`]. None
    /// where it holds more now.
    pub fn set_slots(&mut self, slots: usize) -> Option<bool> {
        if self.segments.len() + self.reserved > slots {
            return None;
        }
        Some(self.making_room(|queue| queue.slots = slots))
    }

    /// Runs what may make room, which a backlog takes first: whether a writer may go on.
    fn making_room(&mut self, change: impl FnOnce(&mut Queue)) -> bool {
        let (was_full, had_backlog) = (self.free_slots() == 0, self.has_backlog());
        change(self);
        self.refill();
        was_full && self.free_slots() > 0 || had_backlog && !self.has_backlog()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Pages that still fit.
    pub fn free_slots(&self) -> usize {
        (self.slots + self.awaited).saturating_sub(self.segments.len() + self.reserved)
    }

    /// A reader that found nothing sleeps until `bytes` come; how many pages that is.
    pub fn await_bytes(&mut self, bytes: usize) -> usize {
        let pages = bytes.div_ceil(PIPE_BUF).min(AWAITED_MAX);
        self.awaited += pages;
        pages
    }

    /// It sleeps no more.
    pub fn awaits_no_more(&mut self, pages: usize) {
        self.awaited -= pages;
    }

    /// A writer that found it full will give some [`BACKLOG_PAGES`] more before it sleeps:
    /// readers then go on without it. False where another one does.
    pub fn begin_backlog(&mut self) -> bool {
        let begins = self.backlog.is_none();
        if begins {
            self.backlog = Some(VecDeque::new());
        }
        begins
    }

    /// What it gives. True where some of it is in the queue at once: room came meanwhile.
    pub fn add_backlog(&mut self, segments: Vec<Segment>) -> bool {
        let before = self.segments.len();
        if let Some(backlog) = &mut self.backlog {
            backlog.extend(segments);
        }
        self.refill();
        self.segments.len() > before
    }

    /// Whether something of it is not in the queue yet.
    pub fn has_backlog(&self) -> bool {
        (self.backlog.as_ref()).is_some_and(|backlog| !backlog.is_empty())
    }

    /// The writer goes; how many bytes of it did not get into the queue.
    pub fn end_backlog(&mut self) -> usize {
        let left = self.backlog.take().unwrap_or_default();
        left.iter().map(Segment::len).sum()
    }

    fn refill(&mut self) {
        while self.free_slots() > 0 {
            let Some(segment) = self.backlog.as_mut().and_then(VecDeque::pop_front) else {
                return;
            };
            self.segments.push_back(segment);
        }
    }

    /// Bytes in it.
    pub fn bytes(&self) -> usize {
        self.segments.iter().map(Segment::len).sum()
    }

    /// The page kept for the next write.
    pub fn take_spare(&mut self) -> Option<Page> {
        self.spare.take()
    }

    /// Keeps a page that was read, unless somebody else has it too.
    pub fn recycle(&mut self, segment: Segment) {
        let mut page = segment.page;
        if Arc::get_mut(&mut page).is_some() {
            self.spare = Some(page);
        }
    }

    /// Whether a write of `len` bytes would join the last page.
    pub fn joins(&self, len: usize) -> bool {
        self.segments
            .back()
            .is_some_and(|last| last.open && last.end + len <= PIPE_BUF)
    }

    /// Adds what was written, joined with the last page where that is possible.
    ///
    /// # Errors
    /// The segment, where there is no room.
    pub fn append(&mut self, segment: Segment) -> Result<(), Segment> {
        if segment.open && self.joins(segment.len()) {
            let joined = self.segments.back_mut().is_some_and(|last| {
                let end = last.end + segment.len();
                let place =
                    Arc::get_mut(&mut last.page).and_then(|page| page.get_mut(last.end..end));
                let Some(place) = place else {
                    return false;
                };
                place.copy_from_slice(segment.bytes());
                last.end = end;
                true
            });
            if joined {
                self.recycle(segment);
                return Ok(());
            }
        }
        if self.free_slots() == 0 {
            return Err(segment);
        }
        self.segments.push_back(segment);
        Ok(())
    }

    /// Keeps up to `most` free slots for [`Queue::fill`].
    pub fn reserve(&mut self, most: usize) -> usize {
        let count = most.min(self.free_slots());
        self.reserved += count;
        count
    }

    /// Gives `reserved` slots back and adds `segments`, no more than those: whether a writer
    /// may go on, as [`Taken::made_room`].
    pub fn fill(&mut self, reserved: usize, segments: impl Iterator<Item = Segment>) -> bool {
        self.making_room(|queue| {
            queue.reserved -= reserved;
            for mut segment in segments {
                segment.open = false;
                queue.segments.push_back(segment);
            }
        })
    }

    /// Takes up to `most` bytes. For a read, a packet ends it and is gone whole;
    /// for a splice, up to `pages` are taken and packets are as other pages.
    pub fn take(&mut self, most: usize, pages: Option<usize>) -> Taken {
        let mut taken = Taken::default();
        taken.made_room = self.making_room(|queue| queue.take_into(&mut taken, most, pages));
        taken
    }

    fn take_into(&mut self, taken: &mut Taken, most: usize, pages: Option<usize>) {
        let (mut left, mut pages_left) = (most, pages.unwrap_or(usize::MAX));
        while left > 0 && pages_left > 0 {
            pages_left -= 1;
            let Some(front) = self.segments.front_mut() else {
                break;
            };
            let ends_read = front.packet && pages.is_none();
            if front.len() <= left || ends_read {
                let Some(mut segment) = self.segments.pop_front() else {
                    break;
                };
                segment.cut(left);
                left -= segment.len();
                taken.push(segment);
            } else {
                let part = front.split(left);
                left = 0;
                taken.push(part);
            }
            if ends_read {
                break;
            }
        }
    }

    /// Copies of up to `most` bytes in up to `slots` pages, which stay.
    pub fn peek(&self, most: usize, slots: usize) -> Vec<Segment> {
        let mut left = most;
        let mut copies = Vec::new();
        for segment in self.segments.iter().take(slots) {
            if left == 0 {
                break;
            }
            let mut copy = segment.clone();
            copy.cut(left);
            left -= copy.len();
            copies.push(copy);
        }
        copies
    }

    /// Puts what was taken and not used back in front.
    pub fn put_back(&mut self, segments: impl DoubleEndedIterator<Item = Segment>) {
        for segment in segments.rev() {
            match self.segments.front_mut() {
                // The rest of the same page is still there.
                Some(front)
                    if Arc::ptr_eq(&front.page, &segment.page) && front.start == segment.end =>
                {
                    front.start = segment.start;
                }
                _ => self.segments.push_front(segment),
            }
        }
    }
}

#[cfg(test)]
mod tests;
