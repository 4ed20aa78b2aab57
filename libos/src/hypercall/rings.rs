//! Memory of the rings of one connection, shared with the monitor. The contract is
//! `unikiln_abi::socket`.
//!
//! Each side writes its own counters, and the bytes between them that are its to
//! write: [`Outlet`] has the free ones of `send`, [`Inlet`] the filled ones of
//! `receive`. There is one of each, so a borrow of one keeps its bytes from being
//! given back meanwhile.
#![expect(unsafe_code, reason = "the rings are shared with the monitor")]

use alloc::alloc::{Layout, alloc_zeroed, dealloc};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering::SeqCst};

use spin::Mutex;
use unikiln_abi::PAGE_BYTES;
use unikiln_abi::socket::{ACCEPTED_MAX, Accepted, RING_BYTES, SocketAddress, StreamRings};

use super::socket::{accept_streams, give_rings, gpa_of_ref, serve};
use crate::errno::Errno;

/// Most connections with rings: with more, what waits in memory for each would be
/// the program's.
const RINGS_MAX: usize = 2048;

/// Most that are kept for the next connections.
const SPARE_MAX: usize = 2 * ACCEPTED_MAX;
/// With so many sockets that the monitor is to close, it is asked to do it now.
const CLOSING_MAX: usize = 64;

/// How many there are, those to spare included.
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// Of no connection.
static SPARE: Mutex<Vec<Memory>> = Mutex::new(Vec::new());
/// Of sockets that the monitor is to close by itself.
static CLOSING: Mutex<Vec<Arc<Memory>>> = Mutex::new(Vec::new());

/// The memory, given back with the last of its users.
pub struct Memory(NonNull<StreamRings>);

// SAFETY: all of it is atomic; the memory belongs to no thread.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

fn layout() -> Result<Layout, Errno> {
    Layout::from_size_align(size_of::<StreamRings>(), PAGE_BYTES as usize)
        .map_err(|_| Errno::ENOMEM)
}

impl Memory {
    /// Empty rings; ENOMEM, also where there are as many as may be.
    fn new() -> Result<Memory, Errno> {
        let spare = SPARE.lock().pop();
        if let Some(memory) = spare {
            memory.reset();
            return Ok(memory);
        }
        let layout = layout()?;
        let more = |count: usize| (count < RINGS_MAX).then_some(count + 1);
        let counted = COUNT.fetch_update(SeqCst, SeqCst, more);
        counted.map_err(|_| Errno::ENOMEM)?;
        // SAFETY: the layout is not empty.
        let memory = unsafe { alloc_zeroed(layout) };
        NonNull::new(memory.cast()).map(Memory).ok_or_else(|| {
            COUNT.fetch_sub(1, SeqCst);
            Errno::ENOMEM
        })
    }

    /// Empty, and of nobody.
    fn reset(&self) {
        let shared = self.shared();
        for counter in [
            &shared.receive_filled,
            &shared.receive_taken,
            &shared.send_filled,
            &shared.send_taken,
        ] {
            counter.store(0, SeqCst);
        }
        for word in [
            &shared.receive_end,
            &shared.send_error,
            &shared.closing,
            &shared.closed,
        ] {
            word.store(0, SeqCst);
        }
    }

    /// Counters, and how directions ended.
    pub fn shared(&self) -> &StreamRings {
        // SAFETY: allocated with this layout and zeroed, which is a value; there as
        // long as this is, and both sides touch the fields by atomic instructions.
        unsafe { self.0.as_ref() }
    }

    /// Bytes that wait in `receive`: at most as many as there can be.
    pub fn received_bytes(&self) -> usize {
        let shared = self.shared();
        let taken = shared.receive_taken.load(SeqCst);
        distance(shared.receive_filled.load(SeqCst), taken)
    }

    /// Bytes that wait in `send`.
    pub fn sending_bytes(&self) -> usize {
        let shared = self.shared();
        let taken = shared.send_taken.load(SeqCst);
        distance(shared.send_filled.load(SeqCst), taken)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let mut spare = SPARE.lock();
        if spare.len() < SPARE_MAX && spare.try_reserve(1).is_ok() {
            spare.push(Memory(self.0));
            return;
        }
        drop(spare);
        if let Ok(layout) = layout() {
            // SAFETY: allocated with this layout; the socket is closed, so the
            // monitor has let go of it, and this is its last user here.
            unsafe { dealloc(self.0.as_ptr().cast(), layout) };
            COUNT.fetch_sub(1, SeqCst);
        }
    }
}

/// Bytes between two counters.
fn distance(filled: u64, taken: u64) -> usize {
    usize::try_from(filled.wrapping_sub(taken)).map_or(RING_BYTES, |bytes| bytes.min(RING_BYTES))
}

/// Where the `len` bytes at a counter are: up to the end of the ring, and from its start.
fn pieces(counter: u64, len: usize) -> [Range<usize>; 2] {
    let len = len.min(RING_BYTES);
    let start = (counter % RING_BYTES as u64) as usize;
    let first = len.min(RING_BYTES - start);
    [start..start + first, 0..len - first]
}

/// Where bytes go out: the free part of `send`.
pub struct Outlet(Arc<Memory>);

impl Outlet {
    /// Bytes that fit.
    pub fn room(&self) -> usize {
        RING_BYTES - self.0.sending_bytes()
    }

    /// Where the next bytes go, in two pieces.
    pub fn free(&mut self) -> [&mut [u8]; 2] {
        let filled = self.0.shared().send_filled.load(SeqCst);
        pieces(filled, self.room()).map(|piece| {
            let bytes: &[AtomicU8] = self.0.shared().send.get(piece).unwrap_or_default();
            let start = bytes.as_ptr().cast::<u8>().cast_mut();
            // SAFETY: atomics may be written through shared pointers. The pieces do
            // not overlap, the monitor reads only what was said to be filled, and
            // nobody else has this outlet while they are borrowed.
            unsafe { core::slice::from_raw_parts_mut(start, bytes.len()) }
        })
    }

    /// Says that `len` bytes more were put there.
    pub fn fill(&mut self, len: usize) {
        let len = len.min(self.room()) as u64;
        self.0.shared().send_filled.fetch_add(len, SeqCst);
    }
}

/// Where bytes come in: the filled part of `receive`.
pub struct Inlet(Arc<Memory>);

impl Inlet {
    /// The bytes that wait, in two pieces.
    pub fn bytes(&self) -> [&[u8]; 2] {
        let taken = self.0.shared().receive_taken.load(SeqCst);
        pieces(taken, self.0.received_bytes()).map(|piece| {
            let bytes: &[AtomicU8] = self.0.shared().receive.get(piece).unwrap_or_default();
            // SAFETY: the monitor does not write what it said to be filled until it
            // is given back, for which this inlet must not be borrowed.
            unsafe { core::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) }
        })
    }

    /// Gives the first `len` bytes back.
    pub fn take(&mut self, len: usize) {
        let len = len.min(self.0.received_bytes()) as u64;
        self.0.shared().receive_taken.fetch_add(len, SeqCst);
    }
}

fn split(memory: Memory) -> Parts {
    let memory = Arc::new(memory);
    (memory.clone(), Outlet(memory.clone()), Inlet(memory))
}

/// The memory of a connection's rings and its two ends.
pub type Parts = (Arc<Memory>, Outlet, Inlet);

/// A connection that came in.
pub struct Connection {
    /// The handle of its socket.
    pub handle: u32,
    /// The address of its other end.
    pub from: SocketAddress,
    /// Its rings, if there was memory for them.
    pub rings: Option<Parts>,
}

/// Takes connections that wait for a listening socket, at least one.
///
/// # Errors
/// What the monitor says: EAGAIN where none waits, EMFILE.
pub fn accept(listener: u32) -> Result<Vec<Connection>, Errno> {
    reclaim();
    let mut offers = Vec::with_capacity(ACCEPTED_MAX);
    let mut places = Vec::with_capacity(ACCEPTED_MAX);
    for _ in 0..ACCEPTED_MAX {
        let memory = Memory::new().ok();
        places.push(Accepted {
            rings: memory
                .as_ref()
                .map_or(0, |memory| gpa_of_ref(memory.shared())),
            ..Accepted::default()
        });
        offers.push(memory);
    }
    let count = accept_streams(listener, &mut places)?;
    let taken = places.into_iter().zip(offers).take(count);
    let connections = taken.map(|(place, memory)| Connection {
        handle: place.handle,
        from: place.from,
        rings: memory.map(split),
    });
    Ok(connections.collect())
}

/// The monitor is to close the socket of these rings when it next looks at it: its
/// handle must be marked pending after this. They are kept until it did. False where
/// that cannot be.
pub fn close_later(memory: Arc<Memory>) -> bool {
    let mut closing = CLOSING.lock();
    if closing.try_reserve(1).is_err() {
        return false;
    }
    memory.shared().closing.store(1, SeqCst);
    closing.push(memory);
    true
}

/// Takes back the rings of sockets that the monitor closed.
fn reclaim() {
    let waiting = CLOSING.lock().len();
    if waiting > CLOSING_MAX {
        serve();
    }
    let is_open = |memory: &Arc<Memory>| memory.shared().closed.load(SeqCst) == 0;
    CLOSING.lock().retain(is_open);
}

/// Has the monitor close what it is to close; whether there was any.
pub fn close_now() -> bool {
    let waits = !CLOSING.lock().is_empty();
    if waits {
        serve();
        reclaim();
    }
    waits
}

/// Gives a connection rings.
///
/// # Errors
/// ENOMEM; what the monitor says of the socket.
pub fn give(handle: u32) -> Result<Parts, Errno> {
    reclaim();
    let memory = Memory::new()?;
    give_rings(handle, memory.shared())?;
    Ok(split(memory))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::vec::Vec;

    use super::*;

    /// Rings that no monitor knows.
    pub(crate) fn rings() -> (Arc<Memory>, Outlet, Inlet) {
        // Another test may have all for a moment.
        let made = core::iter::repeat_with(Memory::new).find_map(Result::ok);
        split(made.unwrap())
    }

    /// What the monitor does when bytes come: those that fit.
    pub(crate) fn come(memory: &Memory, bytes: &[u8]) -> usize {
        let room = RING_BYTES - memory.received_bytes();
        let filled = memory.shared().receive_filled.load(SeqCst);
        let len = bytes.len().min(room);
        for (at, byte) in (filled..).zip(&bytes[..len]) {
            memory.shared().receive[at as usize % RING_BYTES].store(*byte, SeqCst);
        }
        memory.shared().receive_filled.fetch_add(len as u64, SeqCst);
        len
    }

    /// What the monitor does when the host takes bytes.
    pub(crate) fn go(memory: &Memory, most: usize) -> Vec<u8> {
        let len = memory.sending_bytes().min(most) as u64;
        let taken = memory.shared().send_taken.fetch_add(len, SeqCst);
        (taken..taken + len)
            .map(|at| memory.shared().send[at as usize % RING_BYTES].load(SeqCst))
            .collect()
    }

    #[test]
    fn bytes_behind_the_end_are_at_the_start() {
        assert_eq!(pieces(0, RING_BYTES), [0..RING_BYTES, 0..0]);
        assert_eq!(pieces(8000, 100), [8000..8064, 0..36]);
        assert_eq!(pieces(8064 * 3 + 5, 2), [5..7, 0..0]);
        assert_eq!(pieces(8063, 8064), [8063..8064, 0..8063]);
        assert_eq!(pieces(7, 0), [7..7, 0..0]);
    }

    #[test]
    fn only_so_many_have_rings() {
        let all: Vec<Memory> = core::iter::from_fn(|| Memory::new().ok()).collect();
        // Other tests have some.
        assert!(all.len() <= RINGS_MAX && all.len() > RINGS_MAX - 64);
        drop(all);
        rings();
    }

    #[test]
    fn a_wild_counter_is_a_full_ring() {
        assert_eq!(distance(9000, 9000), 0);
        assert_eq!(distance(9001, 9000), 1);
        assert_eq!(distance(8999, 9000), RING_BYTES);
        assert_eq!(distance(u64::MAX, 0), RING_BYTES);
    }

    #[test]
    fn an_outlet_fills_and_an_inlet_gives_back() {
        let (memory, mut outlet, mut inlet) = rings();
        assert_eq!(outlet.free().map(|piece| piece.len()), [RING_BYTES, 0]);
        outlet.fill(RING_BYTES - 4);
        assert_eq!(go(&memory, 100).len(), 100);
        outlet.free()[0].copy_from_slice(&[1, 2, 3, 4]);
        outlet.free()[1][..2].copy_from_slice(&[5, 6]);
        outlet.fill(6);
        assert_eq!(
            go(&memory, RING_BYTES)[RING_BYTES - 104..],
            [1, 2, 3, 4, 5, 6]
        );
        outlet.fill(RING_BYTES + 1);
        assert_eq!((outlet.room(), memory.sending_bytes()), (0, RING_BYTES));

        assert_eq!(inlet.bytes(), [&[]; 2]);
        assert_eq!(come(&memory, &[9; RING_BYTES + 3]), RING_BYTES);
        inlet.take(RING_BYTES - 1);
        assert_eq!(come(&memory, &[7, 8]), 2);
        assert_eq!(inlet.bytes(), [&[9][..], &[7, 8]]);
        inlet.take(99);
        assert_eq!(memory.received_bytes(), 0);
    }
}
