//! Bytes, connections and readiness.

use unikiln_abi::call::SOCKET_SEND_PIECES;
use unikiln_abi::socket::{PIECES_MAX, Piece};

use super::*;

#[test]
fn a_connection_carries_bytes_both_ways_and_words_follow() {
    let mut guest = Guest::with_table(&NetworkConfig::default());
    let (handle, mut client) = guest.connected();
    assert_eq!(guest.name(handle, NAME_PEER), client.local_addr().unwrap());
    assert_eq!(guest.read_address(BESIDE), client.local_addr().unwrap());
    assert_eq!(guest.word(handle) & 0x5, libc::POLLOUT as u32);
    assert_eq!(
        guest.call(SOCKET_RECEIVE, [handle, DATA, 9, 0, 0]),
        negated(libc::EAGAIN)
    );

    client.write_all(b"question").unwrap();
    guest.ready(handle, libc::POLLIN);
    assert_eq!(guest.does(SOCKET_QUEUED, [handle, QUEUED_RECEIVE]), 8);
    assert_eq!(guest.does(SOCKET_RECEIVE, [handle, DATA, 3, 0, 0]), 3);
    assert_eq!(guest.word(handle) & 1, 1, "bytes are left");
    assert_eq!(guest.does(SOCKET_RECEIVE, [handle, DATA + 3, 9, 0, 0]), 5);
    assert_eq!(guest.word(handle) & 1, 0);
    assert_eq!(guest.got(8), b"question");

    guest.put(b"answer");
    assert_eq!(guest.does(SOCKET_SEND, [handle, DATA, 6, 0, 0, 0]), 6);
    let mut answer = [0; 6];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"answer");

    guest.does(SOCKET_SHUTDOWN, [handle, libc::SHUT_WR as u64]);
    assert_eq!(client.read(&mut answer).unwrap(), 0);
    let lost = guest.call(SOCKET_SEND, [handle, DATA, 6, 0, 0, 0]);
    assert_eq!(lost, negated(libc::EPIPE), "and the monitor lives on");
    drop(client);
    guest.ready(handle, libc::POLLIN | libc::POLLRDHUP | libc::POLLHUP);
    assert_eq!(guest.does(SOCKET_RECEIVE, [handle, DATA, 9, 0, 0]), 0);

    let stats = guest.host.net.stats().unwrap();
    assert_eq!(
        (stats.opened, stats.received_bytes, stats.sent_bytes),
        (2, 8, 6)
    );
}

#[test]
fn a_full_socket_becomes_writable_again() {
    let mut guest = Guest::with_table(&NetworkConfig::default());
    let (handle, mut client) = guest.connected();
    let mut sent = 0;
    let full = loop {
        match guest.call(SOCKET_SEND, [handle, DATA, TRANSFER_MAX_BYTES, 0, 0, 0]) {
            count @ 1.. => sent += count as usize,
            other => break other,
        }
    };
    assert_eq!(full, negated(libc::EAGAIN));
    assert_eq!(guest.word(handle) & libc::POLLOUT as u32, 0);
    let mut read = 0;
    while read < sent {
        read += client.read(&mut [0; 65536]).unwrap();
    }
    guest.ready(handle, libc::POLLOUT);
}

#[test]
fn connections_are_made_and_refused() {
    let mut guest = Guest::with_table(&NetworkConfig::default());
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = server.local_addr().unwrap().to_string();
    let handle = guest.open(INET, STREAM);
    assert_eq!(
        guest.word(handle),
        (libc::POLLOUT | libc::POLLHUP | libc::POLLWRNORM) as u32
    );
    assert_eq!(
        guest.to(SOCKET_CONNECT, handle, &at),
        negated(libc::EINPROGRESS)
    );
    let (_, from) = server.accept().unwrap();
    guest.ready(handle, libc::POLLOUT);
    assert_eq!(guest.name(handle, NAME_LOCAL), from);

    drop(server);
    let refused = guest.open(INET, STREAM);
    assert_eq!(
        guest.to(SOCKET_CONNECT, refused, &at),
        negated(libc::EINPROGRESS)
    );
    guest.ready(refused, libc::POLLERR | libc::POLLHUP);
    let read = [
        refused,
        libc::SOL_SOCKET as u64,
        libc::SO_ERROR as u64,
        DATA,
        4,
    ];
    assert_eq!(guest.does(SOCKET_OPTION_GET, read), 4);
    assert_eq!(guest.got(4), libc::ECONNREFUSED.to_ne_bytes());
    assert_eq!(guest.word(refused) & libc::POLLERR as u32, 0);
}

#[test]
fn datagrams_keep_their_sender_length_and_time() {
    let mut guest = Guest::with_table(&NetworkConfig::default());
    let handle = guest.open(INET, DATAGRAM);
    assert_eq!(guest.to(SOCKET_BIND, handle, "127.0.0.1:0"), 0);
    let at = guest.name(handle, NAME_LOCAL);
    guest.put(&1u32.to_ne_bytes());
    let stamp = libc::SO_TIMESTAMP as u64;
    guest.does(
        SOCKET_OPTION_SET,
        [handle, libc::SOL_SOCKET as u64, stamp, DATA, 4],
    );
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(b"datagram", at).unwrap();
    guest.ready(handle, libc::POLLIN);
    let flags = (libc::MSG_TRUNC | libc::MSG_PEEK) as u64;
    assert_eq!(
        guest.does(SOCKET_RECEIVE, [handle, DATA, 4, flags, BESIDE]),
        8
    );
    let word = |guest: &Guest, at| {
        let mut bytes = [0; 4];
        guest
            .host
            .memory
            .slice(BESIDE + at as u64, 4)
            .unwrap()
            .copy_to(&mut bytes);
        u32::from_ne_bytes(bytes)
    };
    assert_eq!(guest.read_address(BESIDE), client.local_addr().unwrap());
    assert_eq!(
        word(&guest, offset_of!(Received, flags)),
        libc::MSG_TRUNC as u32
    );
    assert_eq!(
        word(&guest, offset_of!(Received, control_bytes)),
        32,
        "one struct timeval"
    );
    assert_eq!(
        word(&guest, offset_of!(Received, control) + 12),
        stamp as u32
    );
    assert_eq!(guest.does(SOCKET_RECEIVE, [handle, DATA, 99, 0, 0]), 8);

    guest.put(b"back");
    guest.sending_to(&client.local_addr().unwrap().to_string());
    let send = [handle, DATA, 4, 0, BESIDE];
    assert_eq!(guest.does(SOCKET_SEND, send), 4);
    let mut back = [0; 9];
    assert_eq!(client.recv_from(&mut back).unwrap(), (4, at));
}

#[test]
fn a_change_is_told_once_and_calls_only_who_wants_it() {
    let mut guest = Guest::with_table(&NetworkConfig::default());
    let (handle, mut client) = guest.connected();
    let told = |guest: &Guest| {
        let until = Instant::now() + PATIENCE;
        loop {
            let (summary, changed) = guest.take_changes();
            if changed >> handle & 1 != 0 {
                return summary;
            }
            assert!(Instant::now() < until);
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    guest.ready(handle, libc::POLLOUT);
    std::thread::sleep(Duration::from_millis(20));
    guest.take_changes();
    client.write_all(b"1").unwrap();
    assert_eq!(told(&guest), 1);
    assert!(!guest.host.vcpus.is_called(0), "nobody waits");
    // The word stays as it is, but more has come.
    guest.want(1);
    client.write_all(b"2").unwrap();
    told(&guest);
    assert_eq!(guest.call(WAIT, [u64::MAX, 0]), EVENT_SOCKET as i64);
    guest.want(u32::MAX);
    client.write_all(b"3").unwrap();
    told(&guest);
    // A broken connection stays broken: the thread must not tell it again and again.
    guest.want(0);
    drop(client);
    guest.ready(handle, libc::POLLRDHUP);
    std::thread::sleep(Duration::from_millis(20));
    guest.take_changes();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(guest.take_changes(), (0, 0));
    assert_eq!(guest.host.net.stats().unwrap().calls, 1);
}

#[test]
fn closing_does_not_wait_for_a_peer_that_reads_nothing() {
    let mut guest = Guest::with_table(&NetworkConfig::default());
    let (handle, client) = guest.connected();
    while guest.call(SOCKET_SEND, [handle, DATA, TRANSFER_MAX_BYTES, 0, 0, 0]) > 0 {}
    guest.put(&[1, 0, 0, 0, 120, 0, 0, 0]);
    let linger = libc::SO_LINGER as u64;
    guest.does(
        SOCKET_OPTION_SET,
        [handle, libc::SOL_SOCKET as u64, linger, DATA, 8],
    );
    let before = Instant::now();
    guest.does(SOCKET_CLOSE, [handle]);
    assert!(before.elapsed() < Duration::from_secs(60));
    drop(client);
}

#[test]
fn the_end_of_a_guest_closes_its_sockets() {
    let mut guest = Guest::with_table(&NetworkConfig::default());
    let (_, mut client) = guest.connected();
    drop(guest);
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn bytes_go_from_where_they_are_in_the_order_of_their_pieces() {
    let mut guest = Guest::with_table(&NetworkConfig::default());
    let (handle, mut client) = guest.connected();
    guest.put(b"worldhello ");
    let offer = |guest: &Guest, pieces: &[(u64, u64)]| {
        for (place, &(gpa, len_bytes)) in (BESIDE..).step_by(size_of::<Piece>()).zip(pieces) {
            let piece = Piece { gpa, len_bytes };
            guest.host.memory.write_plain(place, piece).unwrap();
        }
        [handle, BESIDE, pieces.len() as u64]
    };
    let args = offer(&guest, &[(DATA + 5, 6), (DATA, 5), (DATA + 10, 0)]);
    assert_eq!(guest.does(SOCKET_SEND_PIECES, args), 11);
    let mut got = [0; 11];
    client.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"hello world");

    let half = TRANSFER_MAX_BYTES / 2;
    for pieces in [
        &[(WILD, 1)][..],
        &[(DATA, 1), (u64::MAX, 2)],
        &[(DATA, half), (DATA, half), (DATA, 1)],
        &[(DATA, u64::MAX)],
    ] {
        let args = offer(&guest, pieces);
        assert!(
            guest.try_call(SOCKET_SEND_PIECES, args).is_err(),
            "{pieces:x?}"
        );
    }
    let most = PIECES_MAX as u64;
    for (gpa, count) in [
        (BESIDE, 0),
        (BESIDE, most + 1),
        (WILD, 1),
        (u64::MAX - 20, 2),
    ] {
        let result = guest.try_call(SOCKET_SEND_PIECES, [handle, gpa, count]);
        assert!(result.is_err(), "{gpa:#x} {count}");
    }
}
