//! Connections that are taken together with their rings, and closed without a call.

use unikiln_abi::call::{SOCKET_ACCEPT_STREAMS, SOCKET_SERVE};
use unikiln_abi::socket::{ACCEPTED_MAX, Accepted, StreamRings};

use super::*;

const RINGS: [u64; 2] = [0x18_0000, 0x19_0000];

impl Guest {
    /// Offers rings for the next connections: 0 for none.
    fn offer(&self, rings: &[u64]) {
        for (place, &rings) in rings.iter().enumerate() {
            let accepted = Accepted {
                rings,
                ..Accepted::default()
            };
            let at = BESIDE + (place * size_of::<Accepted>()) as u64;
            self.host.memory.write_plain(at, accepted).unwrap();
        }
    }

    fn accept_streams(&mut self, listener: u64, rings: &[u64]) -> Vec<Accepted> {
        self.offer(rings);
        let args = [listener, BESIDE, rings.len() as u64];
        let count = self.does(SOCKET_ACCEPT_STREAMS, args) as usize;
        let places = (BESIDE..).step_by(size_of::<Accepted>()).take(count);
        places
            .map(|at| self.host.memory.read_plain(at).unwrap())
            .collect()
    }

    fn word_at(&self, rings: u64, at: usize) -> u32 {
        let slice = self.host.memory.slice(rings + at as u64, 4).unwrap();
        let word = slice.get_atomic_ref::<AtomicU32>(0).unwrap();
        word.load(Ordering::SeqCst)
    }

    /// Marks a socket as one that the guest closed.
    fn leave(&self, handle: u64, rings: u64) {
        let closing = rings + offset_of!(StreamRings, closing) as u64;
        let memory = &self.host.memory;
        memory.write(closing, &1_u32.to_le_bytes()).unwrap();
        let pending = TABLE + offset_of!(SocketTable, pending) as u64;
        memory
            .write(pending, &(1_u64 << handle).to_le_bytes())
            .unwrap();
        let summary = TABLE + offset_of!(SocketTable, pending_summary) as u64;
        memory.write(summary, &1_u64.to_le_bytes()).unwrap();
    }
}

#[test]
fn connections_that_wait_are_taken_together() {
    let mut guest = Guest::with_table(&NetworkConfig::default());
    let (listener, at) = guest.listening("127.0.0.1:0");
    let none = [listener, BESIDE, 1];
    guest.offer(&[0]);
    assert_eq!(
        guest.call(SOCKET_ACCEPT_STREAMS, none),
        negated(libc::EAGAIN)
    );
    let mut clients: Vec<_> = (0..4).map(|_| TcpStream::connect(at).unwrap()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.write_all(&[number as u8; 100]).unwrap();
    }
    guest.ready(listener, libc::POLLIN);
    // As many as there are places, in their order, with what each sent.
    let taken = guest.accept_streams(listener, &[RINGS[0], 0, RINGS[1]]);
    assert_eq!(taken.len(), 3);
    for (client, accepted) in clients.iter().zip(&taken) {
        let from = address::read(&accepted.from).unwrap();
        assert_eq!(from, client.local_addr().unwrap());
    }
    for (rings, number) in [(RINGS[0], 0), (RINGS[1], 2)] {
        assert_eq!(
            guest.word_at(rings, offset_of!(StreamRings, receive_filled)),
            100
        );
        let first = rings + offset_of!(StreamRings, receive) as u64;
        assert_eq!(guest.word_at(first, 0) as u8, number);
    }
    let plain = u64::from(taken[1].handle);
    assert_eq!(
        guest.does(SOCKET_RECEIVE, [plain, DATA, 200, 0, 0, 0]),
        100,
        "without rings its bytes are the host's"
    );
    assert_eq!(guest.accept_streams(listener, &[0; ACCEPTED_MAX]).len(), 1);
}

#[test]
fn a_socket_is_closed_without_a_call() {
    let mut guest = Guest::with_table(&NetworkConfig::default());
    let (listener, at) = guest.listening("127.0.0.1:0");
    let mut client = TcpStream::connect(at).unwrap();
    guest.ready(listener, libc::POLLIN);
    let handle = u64::from(guest.accept_streams(listener, &[RINGS[0]])[0].handle);
    guest
        .host
        .memory
        .write(RINGS[0] + offset_of!(StreamRings, send) as u64, b"bye")
        .unwrap();
    let filled = RINGS[0] + offset_of!(StreamRings, send_filled) as u64;
    guest
        .host
        .memory
        .write(filled, &3_u64.to_le_bytes())
        .unwrap();
    guest.leave(handle, RINGS[0]);
    guest.does(SOCKET_SERVE, []);
    let mut got = String::new();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.read_to_string(&mut got).unwrap();
    assert_eq!(got, "bye");
    assert_eq!(
        guest.word_at(RINGS[0], offset_of!(StreamRings, closed)),
        1,
        "the rings are the guest's again"
    );
    assert_eq!(guest.call(SOCKET_CLOSE, [handle]), negated(libc::EBADF));
    assert_eq!(guest.open(INET, STREAM), handle);
}

#[test]
fn places_and_rings_are_checked() {
    let mut guest = Guest::with_table(&NetworkConfig::default());
    let (listener, _) = guest.listening("127.0.0.1:0");
    for args in [
        [listener, BESIDE, 0],
        [listener, BESIDE, ACCEPTED_MAX as u64 + 1],
        [listener, WILD, 1],
        [listener, (4 << 20) - 40, 1],
        [listener, u64::MAX - 50, 8],
    ] {
        guest.offer(&[0; ACCEPTED_MAX]);
        let result = guest.try_call(SOCKET_ACCEPT_STREAMS, args);
        assert!(result.is_err(), "{args:x?}: {result:?}");
    }
    for rings in [1, RINGS[0] + 8, WILD, u64::MAX - 4095, (4 << 20) - 4096] {
        guest.offer(&[0, rings]);
        let result = guest.try_call(SOCKET_ACCEPT_STREAMS, [listener, BESIDE, 2]);
        assert!(result.is_err(), "{rings:#x}: {result:?}");
    }
    guest.offer(&[0]);
    let datagrams = guest.open(INET, DATAGRAM);
    for (handle, errno) in [(datagrams, libc::EOPNOTSUPP), (999, libc::EBADF)] {
        let args = [handle, BESIDE, 1];
        assert_eq!(guest.call(SOCKET_ACCEPT_STREAMS, args), negated(errno));
    }
}
