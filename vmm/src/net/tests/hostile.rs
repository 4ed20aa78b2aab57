//! A guest that writes into what it shares with the monitor whenever it likes: before a
//! look, between a look and what follows from it, and while bytes are on their way.

use std::sync::atomic::AtomicBool;

use unikiln_abi::call::{SOCKET_SERVE, SOCKET_STREAM};
use unikiln_abi::socket::{RING_BYTES, StreamRings};

use super::*;

const RINGS: u64 = 0x18_0000;
const RINGS_BYTES: u64 = size_of::<StreamRings>() as u64;
/// What lies on both sides of the rings, and is nobody's to write.
const BESIDE_RINGS: [u64; 2] = [RINGS - 4096, RINGS + RINGS_BYTES];
/// The word with the wish to have the socket closed.
const CLOSING: usize = offset_of!(StreamRings, closing);
/// How long a guest writes without an end.
const STORM: Duration = Duration::from_millis(400);

/// Marsaglia's xorshift64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

fn word(memory: &GuestMemory, gpa: u64) -> u64 {
    let slice = memory.slice(gpa, 8).unwrap();
    let word = slice.get_atomic_ref::<AtomicU64>(0).unwrap();
    word.load(Ordering::SeqCst)
}

fn set_word(memory: &GuestMemory, gpa: u64, value: u64) {
    let slice = memory.slice(gpa, 8).unwrap();
    let word = slice.get_atomic_ref::<AtomicU64>(0).unwrap();
    word.store(value, Ordering::SeqCst);
}

fn ring_word(at: usize) -> u64 {
    RINGS + at as u64
}

/// What a guest writes into its rings, beside bytes and marks.
#[derive(Clone, Copy, PartialEq)]
enum Words {
    /// Counters that are right, whatever the bytes behind them are.
    Right,
    /// Any counters, and the monitor's own words too.
    Wild,
    /// Right ones, and at some time the wish to have the socket closed.
    Closing,
}

/// What writes into a guest's shared memory, in any order and at any time.
struct Scribbler {
    memory: Arc<GuestMemory>,
    handle: u64,
    random: Random,
    words: Words,
    filled: u64,
    taken: u64,
}

impl Scribbler {
    /// Writes one word.
    fn scribble(&mut self) {
        let any = self.random.next();
        let table = |at: usize| TABLE + at as u64;
        let (gpa, value) = match self.random.next() % 8 {
            0 => (table(offset_of!(SocketTable, pending)), any),
            1 => (table(offset_of!(SocketTable, pending_summary)), any),
            2 => (table(offset_of!(SocketTable, summary)), any),
            3 => {
                let at = offset_of!(SocketTable, ready) as u64 + 4 * (self.handle & !1);
                (TABLE + at, any)
            }
            // `wanted` and `service`.
            4 => (table(0), any),
            // `receive_end` and `send_error`.
            5 => (ring_word(offset_of!(StreamRings, receive_end)), any),
            6 => self.counter(any),
            _ => match self.words {
                Words::Wild => self.any_word(any),
                Words::Closing if any.is_multiple_of(100) => (ring_word(CLOSING), 1),
                Words::Right | Words::Closing => self.counter(any),
            },
        };
        set_word(&self.memory, gpa, value);
    }

    /// Any of the words before the bytes, but for the wish to close: counters of a socket
    /// that is gone are nobody's fault.
    fn any_word(&mut self, any: u64) -> (u64, u64) {
        let at = (any % 32) as usize * 8;
        let value = self.random.next();
        let is_closing = at == CLOSING;
        let kept = if is_closing { value << 32 } else { value };
        (ring_word(at), kept)
    }

    /// A counter that grows, as far as it may.
    fn counter(&mut self, any: u64) -> (u64, u64) {
        let shown = |at| word(&self.memory, ring_word(at));
        let part = any / 2 % RING_BYTES as u64;
        if any.is_multiple_of(2) {
            let taken = shown(offset_of!(StreamRings, send_taken));
            self.filled = self.filled.max(taken.wrapping_add(part));
            (ring_word(offset_of!(StreamRings, send_filled)), self.filled)
        } else {
            let filled = shown(offset_of!(StreamRings, receive_filled));
            self.taken = self.taken.max(filled.saturating_sub(part));
            (
                ring_word(offset_of!(StreamRings, receive_taken)),
                self.taken,
            )
        }
    }
}

/// A guest whose one connection has rings that are written all the time, while its calls
/// and its other end go on. The first fault, if there is one.
fn storm(seed: u64, words: Words) -> Option<GuestFault> {
    let mut guest = Guest::with_table(&NetworkConfig::default());
    let memory = Arc::clone(&guest.host.memory);
    for gpa in BESIDE_RINGS {
        memory.write(gpa, &[0xa5; 4096]).unwrap();
    }
    let (handle, mut client) = guest.connected();
    assert_eq!(guest.call(SOCKET_STREAM, [handle, RINGS]), 0);
    client.set_nonblocking(true).unwrap();
    let (until, is_over) = (Instant::now() + STORM, AtomicBool::new(false));
    let mut fault = None;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut scribbler = Scribbler {
                memory: Arc::clone(&memory),
                handle,
                random: Random(seed),
                words,
                filled: 0,
                taken: 0,
            };
            while !is_over.load(Ordering::SeqCst) {
                scribbler.scribble();
            }
        });
        scope.spawn(|| {
            let mut bytes = [7; 20_000];
            while !is_over.load(Ordering::SeqCst) {
                // It may be full, empty or gone.
                let _ = client.write(&bytes);
                let _ = client.read(&mut bytes);
            }
        });
        while fault.is_none() && Instant::now() < until {
            let serve = [handle, DATA, 5000, 0, 0, 0];
            for (number, args) in [
                (SOCKET_SERVE, [0; 6]),
                (SOCKET_SEND, serve),
                (SOCKET_RECEIVE, serve),
                (WAIT, [0, EVENT_SOCKET, 0, 0, 0, 0]),
            ] {
                fault = fault.or(guest.try_call(number, args).err());
            }
        }
        is_over.store(true, Ordering::SeqCst);
    });
    for gpa in BESIDE_RINGS {
        let mut bytes = [0_u8; 4096];
        memory.slice(gpa, 4096).unwrap().copy_to(&mut bytes);
        let wrong = bytes.iter().position(|&byte| byte != 0xa5);
        assert_eq!(wrong, None, "the monitor wrote beside the rings ({gpa:#x})");
    }
    // Whatever was written, the monitor serves the next connection.
    if fault.is_none() {
        let status = match words {
            Words::Closing => i64::from(-libc::EBADF),
            Words::Right | Words::Wild => 0,
        };
        assert_eq!(guest.call(SOCKET_CLOSE, [handle]), status);
        let (handle, mut client) = guest.connected();
        client.write_all(b"honest").unwrap();
        guest.ready(handle, libc::POLLIN);
        assert_eq!(guest.does(SOCKET_RECEIVE, [handle, DATA, 6, 0, 0, 0]), 6);
        assert_eq!(guest.got(6), b"honest");
    }
    guest.host.net.finish();
    fault
}

#[test]
fn bytes_marks_and_words_that_change_all_the_time_harm_nobody() {
    for seed in 1..=3 {
        assert_eq!(storm(seed, Words::Right), None);
    }
}

#[test]
fn a_close_in_between_harms_nobody() {
    for seed in 1..=3 {
        assert_eq!(storm(seed, Words::Closing), None);
    }
}

#[test]
fn wild_counters_in_between_end_the_guest() {
    for seed in 1..=3 {
        let fault = storm(seed, Words::Wild);
        assert!(
            matches!(fault, Some(GuestFault::RingCounter { .. })),
            "{fault:?}"
        );
    }
}
