//! The rings of one connection: bytes between guest memory and the host's socket.
//!
//! ```text
//! receive: [taken by the guest │ the guest's to take │ free: recvmsg goes here ]
//! send:    [taken: free        │ sendmsg takes these │ the guest's to fill     ]
//! ```
//!
//! The monitor believes only its own two counters. The guest's two are read once
//! each time and checked: a distance of more than the ring is no counter.

use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use unikiln_abi::socket::{RECEIVE_ENDED, RING_BYTES, StreamRings};
use vm_memory::VolatileMemory;

use super::host;
use crate::memory::{GuestMemory, GuestSlice};

/// A counter of the guest's that cannot be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadCounter {
    /// Its name in [`StreamRings`].
    pub(super) name: &'static str,
    /// Its value.
    pub(super) value: u64,
}

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Rings {
    gpa: u64,
    receive_filled: u64,
    send_taken: u64,
    /// Nothing is received into the ring any more.
    has_ended: bool,
    /// Sending ends when the send ring is empty.
    ends_sending: bool,
}

/// What moved through a ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moved {
    /// Bytes.
    pub(super) bytes: usize,
    /// Whether the guest has reason to look.
    pub(super) is_news: bool,
    /// Whether the host had less: no more to give than there was room for, or no room
    /// for what there was.
    pub(super) is_short: bool,
}

impl Rings {
    /// Empty rings at `gpa`.
    pub(super) fn new(gpa: u64) -> Self {
        Self {
            gpa,
            receive_filled: 0,
            send_taken: 0,
            has_ended: false,
            ends_sending: false,
        }
    }

    /// Whether the guest wants the socket closed.
    pub(super) fn is_closing(&self, memory: &GuestMemory) -> bool {
        let load = |page: GuestSlice<'_>| {
            let closing = page.get_atomic_ref::<AtomicU32>(offset_of!(StreamRings, closing));
            Some(closing.ok()?.load(Ordering::SeqCst) != 0)
        };
        self.page(memory).and_then(load).unwrap_or(false)
    }

    /// The last that is done with the rings: they are the guest's again.
    pub(super) fn show_closed(self, memory: &GuestMemory) {
        self.show_word(memory, offset_of!(StreamRings, closed), 1);
    }

    /// Bytes that the guest did not take yet.
    pub(super) fn unread(&self, memory: &GuestMemory) -> Result<usize, BadCounter> {
        let name = "receive_taken";
        let taken = self.guest_counter(memory, offset_of!(StreamRings, receive_taken));
        distance(self.receive_filled, taken).ok_or(BadCounter { name, value: taken })
    }

    /// Bytes that wait to be sent.
    fn unsent(&self, memory: &GuestMemory) -> Result<usize, BadCounter> {
        let name = "send_filled";
        let filled = self.guest_counter(memory, offset_of!(StreamRings, send_filled));
        distance(filled, self.send_taken).ok_or(BadCounter {
            name,
            value: filled,
        })
    }

    /// Sends what is there, as far as the host takes it.
    pub(super) fn drain(
        &mut self,
        memory: &GuestMemory,
        fd: BorrowedFd<'_>,
    ) -> Result<Moved, BadCounter> {
        let before = self.unsent(memory)?;
        let taken_before = self.send_taken;
        let mut moved = Moved::default();
        while moved.bytes < before {
            let left = before - moved.bytes;
            let pieces = self.pieces(memory, offset_of!(StreamRings, send), self.send_taken, left);
            match pieces.map_or(Ok(0), |pieces| host::send(fd, &pieces, 0, None)) {
                Ok(0) => break,
                Ok(count) => {
                    self.send_taken += count as u64;
                    moved.bytes += count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    // The bytes are lost, as those in a broken socket's queue are.
                    self.send_taken += left as u64;
                    self.show_word(memory, offset_of!(StreamRings, send_error), code(&error));
                    moved.is_news = true;
                    break;
                }
            }
        }
        self.show_counter(memory, offset_of!(StreamRings, send_taken), self.send_taken);
        moved.is_short = moved.bytes < before;
        // The guest fills on meanwhile: until the counter was shown, all of it was in its way.
        let left = self.unsent(memory)?;
        let most = left + (self.send_taken - taken_before) as usize;
        moved.is_news |= makes_room(most, left);
        if self.ends_sending && moved.bytes == before {
            self.ends_sending = false;
            // A connection that is gone by now has nothing left to end.
            let _ = host::shutdown(fd, libc::SHUT_WR);
        }
        Ok(moved)
    }

    /// Whether the send ring is empty, as far as this side took bytes out.
    pub(super) fn is_drained(&self, memory: &GuestMemory) -> Result<bool, BadCounter> {
        Ok(self.unsent(memory)? == 0)
    }

    /// Sending ends behind the bytes that are in the ring now.
    pub(super) fn end_sending(&mut self) {
        self.ends_sending = true;
    }

    /// Receives what the host has, as far as there is room.
    pub(super) fn fill(
        &mut self,
        memory: &GuestMemory,
        fd: BorrowedFd<'_>,
    ) -> Result<Moved, BadCounter> {
        let room = RING_BYTES - self.unread(memory)?;
        if room == 0 || self.has_ended {
            return Ok(Moved::default());
        }
        let at = offset_of!(StreamRings, receive);
        let Some(pieces) = self.pieces(memory, at, self.receive_filled, room) else {
            return Ok(Moved::default());
        };
        let end = match host::receive(fd, &pieces, 0, None) {
            Ok(0) => RECEIVE_ENDED,
            Ok(count) => {
                self.receive_filled += count as u64;
                let filled = offset_of!(StreamRings, receive_filled);
                self.show_counter(memory, filled, self.receive_filled);
                return Ok(Moved {
                    bytes: count,
                    is_news: true,
                    is_short: count < room,
                });
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(Moved::default());
            }
            Err(error) => code(&error),
        };
        self.has_ended = true;
        self.show_word(memory, offset_of!(StreamRings, receive_end), end);
        Ok(Moved {
            is_news: true,
            ..Moved::default()
        })
    }

    /// A copy of what was not sent.
    pub(super) fn take_rest(&mut self, memory: &GuestMemory) -> Result<Vec<u8>, BadCounter> {
        let len = self.unsent(memory)?;
        let at = offset_of!(StreamRings, send);
        let mut rest = vec![0; len];
        let mut copied = 0;
        let pieces = self.pieces(memory, at, self.send_taken, len);
        for piece in pieces.iter().flatten() {
            copied += piece.copy_to(rest.get_mut(copied..).unwrap_or_default());
        }
        self.send_taken += len as u64;
        Ok(rest)
    }

    /// The guest memory behind `len` bytes of the ring at `at`.
    fn pieces<'a>(
        &self,
        memory: &'a GuestMemory,
        at: usize,
        counter: u64,
        len: usize,
    ) -> Option<[GuestSlice<'a>; 2]> {
        let ring = self.page(memory)?.subslice(at, RING_BYTES).ok()?;
        let [first, second] = places(counter, len);
        let first = ring.subslice(first.0, first.1).ok()?;
        Some([first, ring.subslice(second.0, second.1).ok()?])
    }

    fn page<'a>(&self, memory: &'a GuestMemory) -> Option<GuestSlice<'a>> {
        // It was checked when the guest gave it, and arenas stay.
        memory.slice(self.gpa, size_of::<StreamRings>() as u64).ok()
    }

    fn guest_counter(&self, memory: &GuestMemory, at: usize) -> u64 {
        let load = |page: GuestSlice<'_>| {
            let counter = page.get_atomic_ref::<AtomicU64>(at).ok()?;
            Some(counter.load(Ordering::SeqCst))
        };
        self.page(memory).and_then(load).unwrap_or(u64::MAX)
    }

    fn show_counter(&self, memory: &GuestMemory, at: usize, value: u64) {
        let page = self.page(memory);
        if let Some(Ok(counter)) = page
            .as_ref()
            .map(|page| page.get_atomic_ref::<AtomicU64>(at))
        {
            counter.store(value, Ordering::SeqCst);
        }
    }

    fn show_word(&self, memory: &GuestMemory, at: usize, value: u32) {
        let page = self.page(memory);
        if let Some(Ok(word)) = page
            .as_ref()
            .map(|page| page.get_atomic_ref::<AtomicU32>(at))
        {
            word.store(value, Ordering::SeqCst);
        }
    }
}

/// Whether somebody who found at most `most` bytes in the send ring may wait for the room
/// that there is with `left`.
fn makes_room(most: usize, left: usize) -> bool {
    most > RING_BYTES / 2 && left <= RING_BYTES / 2
}

/// Bytes between two counters, where they can be those of one ring.
fn distance(filled: u64, taken: u64) -> Option<usize> {
    let bytes = usize::try_from(filled.checked_sub(taken)?).ok()?;
    (bytes <= RING_BYTES).then_some(bytes)
}

/// Where `len` bytes behind a counter lie: places and lengths of the two parts.
fn places(counter: u64, len: usize) -> [(usize, usize); 2] {
    let start = (counter % RING_BYTES as u64) as usize;
    let len = len.min(RING_BYTES);
    let first = len.min(RING_BYTES - start);
    [(start, first), (0, len - first)]
}

fn code(error: &io::Error) -> u32 {
    error.raw_os_error().unwrap_or(libc::EIO) as u32
}

#[cfg(test)]
mod tests {
    use proptest::proptest;

    use super::*;

    const FULL: u64 = RING_BYTES as u64;

    #[test]
    fn counters_are_at_most_a_ring_apart() {
        assert_eq!(distance(0, 0), Some(0));
        assert_eq!(distance(7 * FULL + 5, 6 * FULL + 5), Some(RING_BYTES));
        assert_eq!(distance(FULL + 1, 0), None);
        assert_eq!(distance(4, 5), None, "taken before it was filled");
        assert_eq!(distance(0, u64::MAX), None);
        assert_eq!(distance(u64::MAX, 0), None);
    }

    #[test]
    fn bytes_go_on_at_the_start_of_the_ring() {
        assert_eq!(places(0, RING_BYTES), [(0, RING_BYTES), (0, 0)]);
        assert_eq!(places(FULL - 1, 3), [(RING_BYTES - 1, 1), (0, 2)]);
        assert_eq!(places(FULL, 3), [(0, 3), (0, 0)]);
        assert_eq!(places(5 * FULL + 7, RING_BYTES)[1], (0, 7));
    }

    #[test]
    fn who_found_the_ring_full_is_told_of_room() {
        assert!(makes_room(RING_BYTES, RING_BYTES / 2));
        assert!(makes_room(RING_BYTES / 2 + 1, 0));
        assert!(
            !makes_room(RING_BYTES / 2, 0),
            "nobody waits with so much room"
        );
        assert!(
            !makes_room(RING_BYTES, RING_BYTES / 2 + 1),
            "too little of it yet"
        );
    }

    proptest! {
        #[test]
        fn parts_cover_every_byte_once(counter: u64, len in 0..=RING_BYTES) {
            let [first, second] = places(counter, len);
            assert!(first.0 + first.1 <= RING_BYTES && second.1 <= first.0);
            assert_eq!(first.1 + second.1, len);
        }

        #[test]
        fn wild_counters_are_refused(own: u32, theirs: u64) {
            let own = u64::from(own);
            let right = theirs.checked_sub(own).is_some_and(|bytes| bytes <= FULL);
            assert_eq!(distance(theirs, own).is_some(), right);
        }
    }
}
