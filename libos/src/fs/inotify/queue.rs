//! The events of an instance that wait to be read.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use linux_raw_sys::general::{IN_IGNORED, IN_Q_OVERFLOW};

/// Most events that wait to be read; one that says so comes behind them.
pub const QUEUE_MAX: usize = 16_384;
/// Bytes of `struct inotify_event` without its name; names are padded to a multiple of it.
const HEADER_BYTES: usize = 16;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// Number of the watch.
    pub watch: i32,
    /// `IN_*` bits.
    pub mask: u32,
    /// The same for both halves of a move.
    pub cookie: u32,
    /// In a watched directory; empty for the file itself.
    pub name: Box<[u8]>,
}

impl Event {
    fn name_bytes(&self) -> usize {
        match self.name.len() {
            0 => 0,
            len => (len + 1).next_multiple_of(HEADER_BYTES),
        }
    }

    /// Bytes that a read of it takes.
    pub(super) fn bytes(&self) -> usize {
        HEADER_BYTES + self.name_bytes()
    }

    /// As a program reads it.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut raw = Vec::with_capacity(self.bytes());
        raw.extend_from_slice(&self.watch.to_le_bytes());
        raw.extend_from_slice(&self.mask.to_le_bytes());
        raw.extend_from_slice(&self.cookie.to_le_bytes());
        raw.extend_from_slice(&(self.name_bytes() as u32).to_le_bytes());
        raw.extend_from_slice(&self.name);
        raw.resize(self.bytes(), 0);
        raw
    }

    /// Whether this one behind `last` would say nothing new.
    fn repeats(&self, last: &Event) -> bool {
        let same = (self.watch, self.mask) == (last.watch, last.mask) && self.name == last.name;
        same && self.mask & IN_IGNORED == 0
    }
}

/// Events in order, and how many fit.
#[derive(Default)]
pub(super) struct Queue {
    events: VecDeque<Event>,
    overflowed: bool,
}

impl Queue {
    /// Adds an event; false where nothing is new.
    pub(super) fn push(&mut self, event: Event) -> bool {
        if self.events.back().is_some_and(|last| event.repeats(last)) {
            return false;
        }
        if self.events.len() < QUEUE_MAX {
            self.events.push_back(event);
            return true;
        }
        if self.overflowed {
            return false;
        }
        self.overflowed = true;
        self.events.push_back(Event {
            watch: -1,
            mask: IN_Q_OVERFLOW,
            cookie: 0,
            name: Box::default(),
        });
        true
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Bytes that all of them take.
    pub(super) fn bytes(&self) -> usize {
        self.events.iter().map(Event::bytes).sum()
    }

    /// Takes the next event; none where it has more than `most` bytes.
    pub(super) fn pop(&mut self, most: usize) -> Option<Event> {
        let event = self.events.pop_front_if(|event| event.bytes() <= most)?;
        if event.mask & IN_Q_OVERFLOW != 0 {
            self.overflowed = false;
        }
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(watch: i32, mask: u32, name: &[u8]) -> Event {
        Event {
            watch,
            mask,
            cookie: 0,
            name: Box::from(name),
        }
    }

    #[test]
    fn names_are_padded() {
        assert_eq!(event(1, 2, b"").encode().len(), 16);
        assert_eq!(event(1, 2, &[b'x'; 15]).encode().len(), 32);
        let raw = event(1, 2, &[b'x'; 16]).encode();
        assert_eq!(raw.len(), 48);
        assert_eq!(raw[12..16], 32_u32.to_le_bytes());
    }

    #[test]
    fn what_repeats_the_last_is_dropped() {
        let mut queue = Queue::default();
        assert!(queue.push(event(1, 2, b"a")));
        assert!(!queue.push(event(1, 2, b"a")));
        assert!(queue.push(event(1, 2, b"b")));
        assert!(queue.push(event(1, 2, b"a")));
        assert!(queue.push(event(2, IN_IGNORED, b"")));
        assert_eq!(queue.events.len(), 4);
        assert_eq!(queue.pop(16), None, "does not fit");
        assert_eq!(queue.pop(32), Some(event(1, 2, b"a")));
    }

    #[test]
    fn a_full_queue_says_so_once() {
        let mut queue = Queue::default();
        for number in 0..QUEUE_MAX as i32 {
            assert!(queue.push(event(number, 2, b"")));
        }
        assert!(queue.push(event(-5, 2, b"")));
        assert!(!queue.push(event(-6, 2, b"")));
        for number in 0..QUEUE_MAX as i32 {
            assert_eq!(queue.pop(16), Some(event(number, 2, b"")));
        }
        assert_eq!(queue.pop(16), Some(event(-1, IN_Q_OVERFLOW, b"")));
        assert!(queue.push(event(-6, 2, b"")));
    }
}
