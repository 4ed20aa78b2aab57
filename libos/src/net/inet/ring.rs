//! The rings of a connection: small pieces of it pass through memory that the
//! monitor serves, without a call for each.
//!
//! Bytes go straight between program memory and ring, with the ring's lock held:
//! what serves a page fault neither sleeps nor knows of sockets.
//!
//! How a direction ended is the monitor's to say, once; [`Rings`] notes whether the
//! program was told. Sockets that want something beside the bytes go without rings:
//! see `options`.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering::SeqCst};

use linux_raw_sys::general::{
    EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLRDNORM, EPOLLWRNORM,
};
use spin::Mutex;
use unikiln_abi::socket::{RECEIVE_ENDED, RING_BYTES};

use crate::errno::Errno;
use crate::fs::transfer::{BufferSource, Sink, Source};
use crate::hypercall::rings::{self, Inlet, Memory, Outlet};

/// A send ring with so much room can be written to.
const WRITABLE_BYTES: usize = RING_BYTES / 3;
/// The host itself has something to say of the connection.
pub(super) const BROKEN: u32 = EPOLLERR | EPOLLHUP;

/// Both rings of one connection.
pub(super) struct Rings {
    memory: Arc<Memory>,
    outlet: Mutex<Outlet>,
    inlet: Mutex<Inlet>,
    /// The program knows of `send_error`.
    send_told: AtomicBool,
    /// The program knows of the error in `receive_end`.
    receive_told: AtomicBool,
    /// The socket was connected anew: nothing goes out here any more.
    is_left: AtomicBool,
    /// The last receive found bytes here.
    gave: AtomicBool,
}

/// How receiving ended, behind the bytes that are in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It did not.
    Open,
    /// The other end sent its last byte.
    Ended,
    /// With an error, of which the program may know.
    Failed,
}

impl Rings {
    /// From the memory and its two ends.
    pub(super) fn new((memory, outlet, inlet): (Arc<Memory>, Outlet, Inlet)) -> Rings {
        Rings {
            memory,
            outlet: Mutex::new(outlet),
            inlet: Mutex::new(inlet),
            send_told: AtomicBool::new(false),
            receive_told: AtomicBool::new(false),
            is_left: AtomicBool::new(false),
            gave: AtomicBool::new(false),
        }
    }

    /// Has the monitor close the socket behind the bytes that wait to be sent, once it is
    /// marked pending; false where it has to be called for that.
    pub(super) fn close_later(&self) -> bool {
        rings::close_later(self.memory.clone())
    }

    /// Bytes that wait to be received.
    pub(super) fn received_bytes(&self) -> usize {
        self.memory.received_bytes()
    }

    /// Bytes that wait to be sent.
    pub(super) fn sending_bytes(&self) -> usize {
        self.memory.sending_bytes()
    }

    /// Puts all of `data` into the send ring: the bytes that could be read of it,
    /// or none where it does not fit.
    pub(super) fn put_whole(&self, data: &mut dyn Source) -> Option<usize> {
        let mut outlet = self.outlet.lock();
        (data.remaining() <= outlet.room()).then(|| put(&mut outlet, data))
    }

    /// Puts the first of `bytes` there, as many as fit.
    pub(super) fn put_part(&self, bytes: &[u8]) -> usize {
        let mut outlet = self.outlet.lock();
        let len = bytes.len().min(outlet.room());
        put(
            &mut outlet,
            &mut BufferSource(bytes.get(..len).unwrap_or_default()),
        )
    }

    /// Takes at most `most` bytes out of the receive ring: how many the program's memory
    /// took, or none where there are none. Without a place for them they are thrown away.
    pub(super) fn take(&self, most: usize, mut to: Option<&mut dyn Sink>) -> Option<usize> {
        let mut inlet = self.inlet.lock();
        let (mut done, mut is_empty) = (0, true);
        for piece in inlet.bytes() {
            is_empty &= piece.is_empty();
            let piece = piece.get(..most - done).unwrap_or(piece);
            let copied = match &mut to {
                Some(to) => to.put_part(piece),
                None => piece.len(),
            };
            done += copied;
            if copied < piece.len() {
                break;
            }
        }
        inlet.take(done);
        drop(inlet);
        if !is_empty {
            self.gave.store(true, SeqCst);
        }
        (!is_empty).then_some(done)
    }

    /// Moves bytes from the receive ring behind `held`, until that has `most`.
    pub(super) fn pull(&self, held: &Mutex<Vec<u8>>, most: usize) {
        let mut inlet = self.inlet.lock();
        let mut held = held.lock();
        let mut done = 0;
        for piece in inlet.bytes() {
            let piece = piece
                .get(..most.saturating_sub(held.len()))
                .unwrap_or(piece);
            held.extend_from_slice(piece);
            done += piece.len();
        }
        inlet.take(done);
    }

    /// Whether the last receive found bytes; asked once.
    pub(super) fn just_gave(&self) -> bool {
        self.gave.swap(false, SeqCst)
    }

    /// Has nothing go out here any more, and throws away what came in.
    pub(super) fn leave(&self) {
        self.is_left.store(true, SeqCst);
        self.take(RING_BYTES, None);
    }

    /// How receiving ended.
    pub(super) fn end(&self) -> End {
        match self.memory.shared().receive_end.load(SeqCst) {
            0 => End::Open,
            RECEIVE_ENDED if !self.is_left.load(SeqCst) => End::Ended,
            _ => End::Failed,
        }
    }

    fn send_error(&self) -> u32 {
        self.memory.shared().send_error.load(SeqCst)
    }

    /// The error of receiving; 0 for none, and for a plain end.
    fn receive_error(&self) -> u32 {
        match self.memory.shared().receive_end.load(SeqCst) {
            RECEIVE_ENDED => 0,
            number => number,
        }
    }

    /// The error that the program does not know yet, now told.
    pub(super) fn take_error(&self) -> Option<Errno> {
        let untold = [
            (self.send_error(), &self.send_told),
            (self.receive_error(), &self.receive_told),
        ];
        untold
            .into_iter()
            .filter(|(number, told)| *number != 0 && !told.swap(true, SeqCst))
            .map(|(number, _)| Errno::from_status(-i64::from(number)))
            // No error of the connection: the next send asks the host.
            .find(|errno| *errno != Errno::EPIPE)
    }

    /// The error with which the host refused what was just put there.
    pub(super) fn take_send_error(&self) -> Option<Errno> {
        let number = self.send_error();
        let is_new = number != 0 && !self.send_told.swap(true, SeqCst);
        is_new.then(|| Errno::from_status(-i64::from(number)))
    }

    fn has_error(&self) -> bool {
        let is_untold = |number: u32, told: &AtomicBool| number != 0 && !told.load(SeqCst);
        let send = self.send_error();
        send != Errno::EPIPE.number().into() && is_untold(send, &self.send_told)
            || is_untold(self.receive_error(), &self.receive_told)
    }

    /// Whether bytes may go out here, where poll(2) says `word` on the host.
    pub(super) fn is_usable(&self, word: u32) -> bool {
        word & BROKEN == 0 && self.send_error() == 0 && !self.is_left.load(SeqCst)
    }

    /// What is ready, where poll(2) says `word` on the host and a receive waits for
    /// `low_water` bytes.
    pub(super) fn ready(&self, word: u32, low_water: usize) -> u32 {
        let mut events = word;
        let end = self.end();
        let has_error = self.has_error();
        let has_bytes = self.received_bytes() >= low_water.clamp(1, RING_BYTES);
        if has_bytes || end == End::Ended || has_error {
            events |= EPOLLIN | EPOLLRDNORM;
        }
        if end == End::Ended {
            events |= EPOLLRDHUP;
        }
        if has_error {
            events |= EPOLLERR;
        }
        if self.is_usable(word) {
            events &= !(EPOLLOUT | EPOLLWRNORM);
            if RING_BYTES - self.sending_bytes() >= WRITABLE_BYTES {
                events |= EPOLLOUT | EPOLLWRNORM;
            }
        }
        events
    }
}

/// Fills the free part with what `data` gives.
fn put(outlet: &mut Outlet, data: &mut dyn Source) -> usize {
    let mut done = 0;
    for piece in outlet.free() {
        let len = piece.len().min(data.remaining());
        let copied = piece
            .get_mut(..len)
            .map_or(0, |piece| data.take_part(piece));
        done += copied;
        if copied < len {
            break;
        }
    }
    outlet.fill(done);
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::transfer::BufferSink;
    use crate::hypercall::rings::tests::{come, go, rings};
    use std::vec;

    fn numbered(from: usize, len: usize) -> Vec<u8> {
        (from..from + len).map(|at| (at % 251) as u8).collect()
    }

    #[test]
    fn what_goes_in_comes_out_in_order() {
        let rings = Rings::new(rings());
        let (mut put, mut gone) = (0, Vec::new());
        for len in [1, 8000, 64, 63, 500, 8064, 7000, 2000].repeat(20) {
            let bytes = numbered(put, len);
            put += match rings.put_whole(&mut BufferSource(&bytes)) {
                Some(count) => count,
                None => rings.put_part(&bytes),
            };
            gone.extend(go(&rings.memory, len / 2 + 700));
        }
        gone.extend(go(&rings.memory, RING_BYTES));
        assert!(gone == numbered(0, put));
    }

    #[test]
    fn what_does_not_fit_stays_out() {
        let rings = Rings::new(rings());
        assert_eq!(rings.put_whole(&mut BufferSource(&[1; 8000])), Some(8000));
        assert_eq!(rings.put_whole(&mut BufferSource(&[2; 65])), None);
        assert_eq!(rings.sending_bytes(), 8000);
        assert_eq!(rings.put_part(&[2; 65]), 64);
        assert_eq!(rings.put_part(&[3; 1]), 0);
        assert_eq!(rings.put_whole(&mut BufferSource(&[])), Some(0));
    }

    #[test]
    fn bytes_are_taken_over_the_border() {
        let rings = Rings::new(rings());
        let (mut came, mut got) = (0, Vec::new());
        for len in [8064, 1, 3000, 5063, 64].repeat(30) {
            came += come(&rings.memory, &numbered(came, len));
            let mut bytes = vec![0; 4033];
            let mut sink = BufferSink(&mut bytes);
            let count = rings.take(4033, Some(&mut sink)).unwrap();
            got.extend_from_slice(&bytes[..count]);
        }
        came += come(&rings.memory, &numbered(came, 5000));
        let held = Mutex::new(Vec::new());
        rings.pull(&held, 10);
        rings.pull(&held, 10);
        assert_eq!(held.lock().len(), 10);
        rings.pull(&held, usize::MAX);
        got.append(&mut held.lock());
        assert!(got == numbered(0, came));
        assert!(rings.just_gave() && !rings.just_gave());
        assert_eq!(rings.take(1, None), None);
        assert!(!rings.just_gave());
    }

    /// Takes so many bytes and then fails.
    struct Short(usize);

    impl Sink for Short {
        fn remaining(&self) -> usize {
            RING_BYTES
        }

        fn put(&mut self, _: &[u8]) -> Result<(), Errno> {
            Err(Errno::EFAULT)
        }

        fn put_part(&mut self, bytes: &[u8]) -> usize {
            let len = bytes.len().min(self.0);
            self.0 -= len;
            len
        }

        fn put_zeros(&mut self, _: usize) -> Result<(), Errno> {
            Err(Errno::EFAULT)
        }
    }

    #[test]
    fn what_memory_does_not_take_stays() {
        let rings = Rings::new(rings());
        come(&rings.memory, &numbered(0, 100));
        assert_eq!(rings.take(50, Some(&mut Short(7))), Some(7));
        assert_eq!(rings.take(50, Some(&mut Short(0))), Some(0));
        assert_eq!(rings.received_bytes(), 93);
        assert_eq!(rings.take(90, None), Some(90));
        let mut rest = [0; 3];
        assert_eq!(rings.take(9, Some(&mut BufferSink(&mut rest))), Some(3));
        assert_eq!(rest, [97, 98, 99]);
    }

    #[test]
    fn readiness_is_that_of_rings_and_host() {
        let rings = Rings::new(rings());
        let both = EPOLLOUT | EPOLLWRNORM;
        assert_eq!(rings.ready(0, 1), both);
        come(&rings.memory, &[1; 9]);
        assert_eq!(rings.ready(0, 10), both);
        assert_eq!(rings.ready(0, 9) & EPOLLIN, EPOLLIN);
        rings.put_part(&[0; RING_BYTES - WRITABLE_BYTES + 1]);
        assert_eq!(rings.ready(EPOLLOUT, 10), 0);
        go(&rings.memory, 1);
        assert_eq!(rings.ready(0, 10), both);
        // The host knows better.
        rings.put_part(&[0; RING_BYTES]);
        assert_eq!(rings.ready(EPOLLHUP | EPOLLOUT, 10), EPOLLHUP | EPOLLOUT);
    }

    #[test]
    fn an_error_is_told_once() {
        let rings = Rings::new(rings());
        let shared = rings.memory.shared();
        shared.receive_end.store(RECEIVE_ENDED, SeqCst);
        assert_eq!((rings.end(), rings.take_error()), (End::Ended, None));
        assert_eq!(rings.ready(0, 1) & (EPOLLERR | EPOLLRDHUP), EPOLLRDHUP);
        shared.receive_end.store(104, SeqCst);
        assert_eq!(rings.ready(0, 1) & EPOLLERR, EPOLLERR);
        assert_eq!(rings.take_error(), Some(Errno::ECONNRESET));
        assert_eq!((rings.end(), rings.take_error()), (End::Failed, None));
        assert_eq!(rings.ready(0, 1) & EPOLLERR, 0);
        // Of no sending any more there is only EPIPE, and the host says that.
        shared.send_error.store(32, SeqCst);
        assert!(!rings.has_error() && !rings.is_usable(0));
        assert_eq!((rings.take_error(), rings.take_send_error()), (None, None));
    }
}
