//! Connections with rings.

use unikiln_abi::call::{SOCKET_SERVE, SOCKET_STREAM};
use unikiln_abi::socket::{RECEIVE_ENDED, RING_BYTES, SERVICE_ASLEEP, StreamRings};

use super::*;

const RINGS: u64 = 0x18_0000;
const ATOM: usize = size_of::<AtomicU64>();

/// The guest's side of the rings.
impl Guest {
    fn ringed(&mut self) -> (u64, TcpStream) {
        let (handle, client) = self.connected();
        assert_eq!(self.call(SOCKET_STREAM, [handle, RINGS]), 0);
        (handle, client)
    }

    fn atom<T>(&self, gpa: u64, act: impl FnOnce(&AtomicU64) -> T) -> T {
        let slice = self.host.memory.slice(gpa, ATOM as u64).unwrap();
        act(slice.get_atomic_ref::<AtomicU64>(0).unwrap())
    }

    fn counter(&self, at: usize) -> u64 {
        self.atom(RINGS + at as u64, |counter| counter.load(Ordering::SeqCst))
    }

    fn set_counter(&self, at: usize, value: u64) {
        self.atom(RINGS + at as u64, |counter| {
            counter.store(value, Ordering::SeqCst);
        });
    }

    fn mark(&self, handle: u64) {
        for (at, bit) in [
            (
                offset_of!(SocketTable, pending) as u64 + handle / 64 * 8,
                handle % 64,
            ),
            (offset_of!(SocketTable, pending_summary) as u64, handle / 64),
        ] {
            self.atom(TABLE + at, |word| {
                word.fetch_or(1 << bit, Ordering::SeqCst);
            });
        }
    }

    /// Puts bytes into the send ring, as many as fit, and marks it.
    fn fill_ring(&self, handle: u64, bytes: &[u8]) -> usize {
        let filled = self.counter(offset_of!(StreamRings, send_filled));
        let taken = self.counter(offset_of!(StreamRings, send_taken));
        let room = RING_BYTES - (filled - taken) as usize;
        let bytes = &bytes[..bytes.len().min(room)];
        for (count, byte) in bytes.iter().enumerate() {
            let at = (filled as usize + count) % RING_BYTES + offset_of!(StreamRings, send);
            self.host.memory.write(RINGS + at as u64, &[*byte]).unwrap();
        }
        self.set_counter(
            offset_of!(StreamRings, send_filled),
            filled + bytes.len() as u64,
        );
        self.mark(handle);
        bytes.len()
    }

    /// Takes what is in the receive ring.
    fn take_ring(&self) -> Vec<u8> {
        let filled = self.counter(offset_of!(StreamRings, receive_filled));
        let taken = self.counter(offset_of!(StreamRings, receive_taken));
        let ring = RINGS + offset_of!(StreamRings, receive) as u64;
        let ring = self.host.memory.slice(ring, RING_BYTES as u64).unwrap();
        let mut bytes = [0; RING_BYTES];
        ring.copy_to(&mut bytes);
        self.set_counter(offset_of!(StreamRings, receive_taken), filled);
        (taken..filled)
            .map(|at| bytes[at as usize % RING_BYTES])
            .collect()
    }

    fn waits_for(&self, at: usize, value: u64) {
        let until = Instant::now() + PATIENCE;
        while self.counter(at) != value {
            assert!(Instant::now() < until, "{}, not {value}", self.counter(at));
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn end(&self) -> u32 {
        self.counter(offset_of!(StreamRings, receive_end)) as u32
    }

    /// Fills the host's queues and the send ring; what was sent, in order.
    fn stuff(&mut self, handle: u64) -> Vec<u8> {
        let bytes: Vec<u8> = (0..TRANSFER_MAX_BYTES)
            .map(|byte| (byte % 251) as u8)
            .collect();
        self.put(&bytes[..1 << 20]);
        let mut sent = Vec::new();
        while let count @ 1.. = self.call(SOCKET_SEND, [handle, DATA, 1 << 20, 0, 0, 0]) {
            sent.extend(&bytes[..count as usize]);
        }
        let count = self.fill_ring(handle, &bytes);
        sent.extend(&bytes[..count]);
        self.does(SOCKET_SERVE, []);
        sent
    }
}

/// Whether the client gets exactly these bytes, and then the end.
fn receives(mut client: TcpStream, sent: &[u8]) {
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut got = Vec::new();
    client.read_to_end(&mut got).unwrap();
    assert_eq!(got.len(), sent.len());
    assert!(got == sent, "another order");
}

#[test]
fn bytes_go_through_rings_without_a_call_for_each() {
    let mut guest = Guest::with_table(&NetworkConfig::default());
    let (handle, mut client) = guest.connected();
    client.write_all(b"early").unwrap();
    guest.ready(handle, libc::POLLIN);
    assert_eq!(guest.call(SOCKET_STREAM, [handle, RINGS]), 0);
    assert_eq!(
        guest.take_ring(),
        b"early",
        "the call moves what is there already"
    );
    assert_eq!(guest.word(handle) & 1, 0);
    let mut filled = 5;
    let mut answer = [0; 3000];
    for round in 0..20u8 {
        client.write_all(&[round; 3000]).unwrap();
        filled += 3000;
        guest.waits_for(offset_of!(StreamRings, receive_filled), filled);
        assert_eq!(guest.take_ring(), [round; 3000]);
        assert_eq!(guest.fill_ring(handle, &[round; 3000]), 3000);
        guest.does(SOCKET_SERVE, []);
        client.read_exact(&mut answer).unwrap();
        assert_eq!(answer, [round; 3000]);
    }
    let stats = guest.host.net.stats().unwrap();
    assert_eq!(
        (stats.ring_received_bytes, stats.ring_sent_bytes),
        (60_005, 60_000)
    );
    assert_eq!(
        (stats.received_bytes, stats.sent_bytes),
        (60_005, 60_000),
        "rings are a part of all"
    );
}

#[test]
fn a_full_receive_ring_holds_the_rest_at_the_host() {
    let mut guest = Guest::with_table(&NetworkConfig::default());
    let (handle, mut client) = guest.ringed();
    let bytes: Vec<u8> = (0..20_000u32).map(|byte| (byte % 251) as u8).collect();
    client.write_all(&bytes).unwrap();
    let full = RING_BYTES as u64;
    guest.waits_for(offset_of!(StreamRings, receive_filled), full);
    guest.ready(handle, libc::POLLIN);
    let past_the_ring = [handle, DATA, 1 << 16, 0, 0];
    assert_eq!(
        guest.call(SOCKET_RECEIVE, past_the_ring),
        negated(libc::EAGAIN)
    );
    let mut got = guest.take_ring();
    guest.mark(handle);
    guest.does(SOCKET_SERVE, []);
    guest.waits_for(offset_of!(StreamRings, receive_filled), 2 * full);
    got.extend(guest.take_ring());
    let count = guest.does(SOCKET_RECEIVE, past_the_ring) as usize;
    got.extend(guest.got(count));
    assert_eq!(got.len(), bytes.len());
    assert!(got == bytes, "another order");
}

#[test]
fn a_send_past_the_ring_waits_for_the_ring() {
    let mut guest = Guest::with_table(&NetworkConfig::default());
    let (handle, mut client) = guest.ringed();
    guest.put(b" second");
    guest.fill_ring(handle, b"first");
    assert_eq!(guest.does(SOCKET_SEND, [handle, DATA, 7, 0, 0, 0]), 7);
    let mut got = [0; 12];
    client.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"first second");
    guest.take_changes();
    guest.fill_ring(handle, &[0; RING_BYTES]);
    assert_eq!(guest.does(SOCKET_SEND, [handle, DATA, 7, 0, 0, 0]), 7);
    assert_ne!(
        guest.take_changes().1 >> handle & 1,
        0,
        "another thread that waits for room is told of it"
    );
    client.read_exact(&mut vec![0; RING_BYTES + 7]).unwrap();

    let mut sent = guest.stuff(handle);
    assert_ne!(
        guest.counter(offset_of!(StreamRings, send_taken)),
        guest.counter(offset_of!(StreamRings, send_filled)),
        "the host is full"
    );
    let late = [handle, DATA, 7, 0, 0, 0];
    assert_eq!(guest.call(SOCKET_SEND, late), negated(libc::EAGAIN));
    // The end is for behind the ring.
    guest.does(SOCKET_SHUTDOWN, [handle, libc::SHUT_WR as u64]);
    guest.take_changes();
    let reader = std::thread::spawn(move || {
        let mut got = Vec::new();
        client.read_to_end(&mut got).unwrap();
        got
    });
    let filled = guest.counter(offset_of!(StreamRings, send_filled));
    guest.waits_for(offset_of!(StreamRings, send_taken), filled);
    let got = reader.join().unwrap();
    assert_eq!(got.len(), sent.len());
    assert!(got == std::mem::take(&mut sent), "another order");
    let (_, changed) = guest.take_changes();
    assert_eq!(
        changed >> handle & 1,
        1,
        "whoever waits for room is told of it"
    );
}

#[test]
fn closing_sends_what_the_ring_holds_later() {
    let mut guest = Guest::with_table(&NetworkConfig::default());
    let (handle, client) = guest.ringed();
    let sent = guest.stuff(handle);
    guest.does(SOCKET_CLOSE, [handle]);
    // The rings and the handle are the guest's again.
    let zeros = vec![0; size_of::<StreamRings>()];
    guest.host.memory.write(RINGS, &zeros).unwrap();
    guest.open(INET, STREAM);
    assert_eq!(guest.open(INET, STREAM), handle);
    receives(client, &sent);
}

#[test]
fn the_end_of_a_guest_sends_what_it_wrote() {
    let mut guest = Guest::with_table(&NetworkConfig::default());
    let (handle, client) = guest.ringed();
    let sent = guest.stuff(handle);
    let reader = std::thread::spawn(move || receives(client, &sent));
    guest.host.net.finish();
    drop(guest);
    reader.join().unwrap();
}

#[test]
fn the_end_of_a_guest_does_not_wait_for_ever() {
    let mut guest = Guest::with_table(&NetworkConfig::default());
    let (handle, client) = guest.ringed();
    guest.stuff(handle);
    let before = Instant::now();
    guest.host.net.finish();
    assert!(before.elapsed() >= Duration::from_secs(5));
    drop(client);
}

#[test]
fn an_abort_drops_what_the_ring_holds() {
    let mut guest = Guest::with_table(&NetworkConfig::default());
    let (handle, mut client) = guest.ringed();
    guest.stuff(handle);
    guest.put(&[1, 0, 0, 0, 0, 0, 0, 0]);
    let (level, name) = (libc::SOL_SOCKET as u64, libc::SO_LINGER as u64);
    guest.does(SOCKET_OPTION_SET, [handle, level, name, DATA, 8]);
    guest.does(SOCKET_CLOSE, [handle]);
    let mut got = Vec::new();
    let error = client.read_to_end(&mut got).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ECONNRESET));
}

#[test]
fn ends_and_errors_come_behind_the_bytes() {
    let mut guest = Guest::with_table(&NetworkConfig::default());
    let (handle, mut client) = guest.ringed();
    client.write_all(b"last").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    guest.ready(handle, libc::POLLRDHUP);
    assert_eq!(guest.take_ring(), b"last");
    assert_eq!(guest.end(), RECEIVE_ENDED);
    guest.fill_ring(handle, b"answer");
    guest.does(SOCKET_SERVE, []);
    let mut answer = [0; 6];
    client.read_exact(&mut answer).unwrap();

    // Unread bytes make closing an abort.
    guest.fill_ring(handle, b"unread");
    guest.does(SOCKET_SERVE, []);
    client.peek(&mut answer).unwrap();
    drop(client);
    guest.ready(handle, libc::POLLHUP);
    guest.fill_ring(handle, b"lost");
    guest.does(SOCKET_SERVE, []);
    let errors = guest.counter(offset_of!(StreamRings, receive_end));
    let send_error = (errors >> 32) as i32;
    assert!(
        [libc::ECONNRESET, libc::EPIPE].contains(&send_error),
        "{send_error}"
    );
    assert_eq!(
        guest.counter(offset_of!(StreamRings, send_taken)),
        6 + 6 + 4,
        "the ring counts as emptied"
    );
}

#[test]
fn an_end_that_is_told_is_in_the_ring() {
    for _ in 0..20 {
        let mut guest = Guest::with_table(&NetworkConfig::default());
        let (handle, mut client) = guest.ringed();
        guest.fill_ring(handle, b"unread");
        guest.does(SOCKET_SERVE, []);
        client.peek(&mut [0; 6]).unwrap();
        client.write_all(b"last").unwrap();
        // An abort, as something is unread.
        drop(client);
        let gone = negated(libc::ENOTCONN);
        while guest.call(SOCKET_NAME, [handle, NAME_PEER, ADDRESS]) != gone {}
        let filled = guest.counter(offset_of!(StreamRings, receive_filled));
        let end = guest.counter(offset_of!(StreamRings, receive_end)) as u32;
        assert!(filled == 4 || end != 0, "{filled} bytes, end {end}");
    }
}

#[test]
fn rings_are_for_connections_once_and_at_pages() {
    let mut guest = Guest::with_table(&NetworkConfig::default());
    let (handle, _client) = guest.ringed();
    let invalid = negated(libc::EINVAL);
    assert_eq!(guest.call(SOCKET_STREAM, [handle, RINGS]), invalid);
    assert_eq!(
        guest.call(SOCKET_STREAM, [handle + 9, RINGS]),
        negated(libc::EBADF)
    );
    let datagram = guest.open(INET, DATAGRAM);
    assert_eq!(guest.call(SOCKET_STREAM, [datagram, RINGS]), invalid);
    let (listener, _) = guest.listening("127.0.0.1:0");
    assert_eq!(
        guest.call(SOCKET_STREAM, [listener, RINGS]),
        negated(libc::ENOTCONN)
    );
    for gpa in [RINGS + 8, WILD, (4 << 20) - 4096] {
        let fault = guest.try_call(SOCKET_STREAM, [handle, gpa]).unwrap_err();
        assert!(!fault.to_string().is_empty());
    }
}

#[test]
fn a_wild_counter_ends_the_guest_and_its_connection() {
    for (name, at, value) in [
        ("send_filled", offset_of!(StreamRings, send_filled), 8065),
        (
            "send_filled",
            offset_of!(StreamRings, send_filled),
            u64::MAX,
        ),
        ("receive_taken", offset_of!(StreamRings, receive_taken), 1),
    ] {
        let mut guest = Guest::with_table(&NetworkConfig::default());
        let (handle, mut client) = guest.ringed();
        guest.set_counter(at, value);
        let fault = if value == u64::MAX {
            guest.mark(handle);
            guest.try_call(SOCKET_SERVE, []).unwrap_err()
        } else {
            // The I/O thread finds it, and calls the vCPU that ends the guest.
            client.write_all(b"news").unwrap();
            let until = Instant::now() + PATIENCE;
            while !guest.host.vcpus.is_called(0) {
                assert!(Instant::now() < until);
                std::thread::sleep(Duration::from_millis(1));
            }
            guest.try_call(WAIT, [u64::MAX, 0]).unwrap_err()
        };
        assert_eq!(fault, GuestFault::RingCounter { name, value });
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        assert!(matches!(client.read(&mut [0; 1]), Ok(0) | Err(_)));
    }
}

#[test]
fn a_sleeping_thread_says_so() {
    let mut guest = Guest::with_table(&NetworkConfig::default());
    let (handle, mut client) = guest.ringed();
    client.write_all(b"news").unwrap();
    guest.ready(handle, libc::POLLOUT);
    let service = TABLE + offset_of!(SocketTable, service) as u64;
    let until = Instant::now() + PATIENCE;
    // The word shares its eight bytes with reserved ones, which are 0.
    let asleep = SERVICE_ASLEEP;
    while guest.atom(TABLE, |word| word.load(Ordering::SeqCst) >> 32) as u32 != asleep {
        assert!(Instant::now() < until, "{service:#x}");
        std::thread::sleep(Duration::from_millis(1));
    }
    // Marked while the thread went to sleep: it looks once more by itself.
    guest.fill_ring(handle, b"answer");
    client.write_all(b"wakes").unwrap();
    guest.waits_for(offset_of!(StreamRings, send_taken), 6);
}

#[test]
fn a_vcpu_that_waits_serves_and_looks() {
    let mut guest = Guest::with_table(&NetworkConfig::default());
    let (handle, client) = guest.ringed();
    guest.host.vcpus.attach(0);
    for round in 1..=50 {
        guest.want(1);
        guest.take_changes();
        // What the guest left goes out before the vCPU sleeps: only then an answer comes.
        guest.fill_ring(handle, b"question");
        let mut client = client.try_clone().unwrap();
        let answers = std::thread::spawn(move || {
            let mut question = [0; 8];
            client.read_exact(&mut question).unwrap();
            client.write_all(b"answer").unwrap();
        });
        let mut answer = Vec::new();
        while answer.len() < 6 {
            let interest = EVENT_SOCKET;
            assert_eq!(
                guest.call(WAIT, [u64::MAX, interest]),
                EVENT_SOCKET as i64,
                "{round}"
            );
            guest.take_changes();
            answer.extend(guest.take_ring());
        }
        assert_eq!(answer, b"answer");
        answers.join().unwrap();
    }
    let past = guest.host.now_ns();
    guest.host.vcpus.take_calls(0);
    assert_eq!(guest.call(WAIT, [past, EVENT_SOCKET]), 0, "nothing is left");
}

#[test]
fn marks_are_seen_by_a_thread_that_does_not_sleep() {
    let mut guest = Guest::with_table(&NetworkConfig::default());
    let (handle, mut client) = guest.ringed();
    let mut calls = 0;
    for round in 1..=60u64 {
        client.write_all(b"question").unwrap();
        guest.waits_for(offset_of!(StreamRings, receive_filled), 8 * round);
        guest.take_ring();
        // Naps last 20 ms: the mark comes before, at and after their end.
        std::thread::sleep(Duration::from_millis(10 + round % 20));
        guest.fill_ring(handle, b"answer");
        let service = guest.atom(TABLE, |word| word.load(Ordering::SeqCst) >> 32);
        if service as u32 == SERVICE_ASLEEP {
            guest.does(SOCKET_SERVE, []);
            calls += 1;
        }
        guest.waits_for(offset_of!(StreamRings, send_taken), 6 * round);
        client.read_exact(&mut [0; 6]).unwrap();
    }
    assert!(calls < 60, "it never naps");
}
