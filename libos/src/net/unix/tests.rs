//! Ends among themselves, without the file system and without waiting.

use std::vec::Vec;

use linux_raw_sys::general::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP};
use linux_raw_sys::net::{MSG_PEEK, SO_PASSCRED, SO_SNDBUF};

use super::*;
use crate::fs::transfer::{BufferSink, BufferSource};
use crate::net::control::Credentials;

fn send(socket: &UnixSocket, bytes: &[u8]) -> SysResult {
    let mut source = BufferSource(bytes);
    // MSG_NOSIGNAL: there is nobody to take a signal.
    socket.send(&mut Outgoing::new(&mut source, 0x4000, Patience::None))
}

fn receive_with(
    socket: &UnixSocket,
    room: usize,
    flags: u32,
) -> Result<(Vec<u8>, Option<Credentials>), Errno> {
    let mut buffer = vec![0; room];
    let mut sink = BufferSink(&mut buffer);
    let mut incoming = Incoming::new(&mut sink, flags, Patience::None);
    let count = socket.receive(&mut incoming)?;
    let credentials = incoming.credentials;
    drop(incoming);
    buffer.truncate(count);
    Ok((buffer, credentials))
}

fn receive(socket: &UnixSocket, room: usize) -> Result<Vec<u8>, Errno> {
    receive_with(socket, room, 0).map(|(bytes, _)| bytes)
}

fn abstract_name(name: &str) -> Vec<u8> {
    Address::Abstract(name.as_bytes().to_vec()).to_raw()
}

fn events(socket: &UnixSocket) -> u32 {
    socket.readiness().events & (EPOLLIN | EPOLLOUT | EPOLLHUP | EPOLLRDHUP | EPOLLERR)
}

fn bound(kind: Kind, name: &str) -> UnixSocket {
    let socket = UnixSocket::new(kind);
    socket.bind(&abstract_name(name)).unwrap();
    socket
}

#[test]
fn a_stream_glues_and_a_sequence_of_packets_does_not() {
    let [one, other] = UnixSocket::pair(Kind::Stream);
    send(&one, b"ab").unwrap();
    send(&one, b"cd").unwrap();
    assert_eq!(receive_with(&other, 9, MSG_PEEK).unwrap().0, b"abcd");
    assert_eq!(receive(&other, 3).unwrap(), b"abc");
    assert_eq!(receive(&other, 3).unwrap(), b"d");
    assert_eq!(receive(&other, 3), Err(Errno::EAGAIN));
    let [one, other] = UnixSocket::pair(Kind::SequencedPacket);
    send(&one, b"ab").unwrap();
    send(&one, b"").unwrap();
    send(&one, b"cd").unwrap();
    assert_eq!(receive(&other, 1).unwrap(), b"a");
    assert_eq!(receive(&other, 9).unwrap(), b"");
    assert_eq!(receive(&other, 9).unwrap(), b"cd");
}

#[test]
fn different_senders_are_not_glued_where_the_receiver_cares() {
    let [one, other] = UnixSocket::pair(Kind::Stream);
    send(&one, b"before").unwrap();
    other
        .options()
        .set(SO_PASSCRED, &1i32.to_ne_bytes())
        .unwrap();
    send(&one, b"after").unwrap();
    let (bytes, credentials) = receive_with(&other, 99, 0).unwrap();
    assert_eq!(bytes, b"before");
    assert_eq!(credentials, Some(Credentials::NOBODY));
    let (bytes, credentials) = receive_with(&other, 99, 0).unwrap();
    assert_eq!(bytes, b"after");
    assert_eq!(credentials, Some(Credentials::of_sender()));
}

#[test]
fn the_send_buffer_bounds_what_is_not_received() {
    let [one, other] = UnixSocket::pair(Kind::Stream);
    one.options()
        .set(SO_SNDBUF, &5000i32.to_ne_bytes())
        .unwrap();
    let sent = send(&one, &[7; 100_000]).unwrap();
    assert!((5000..20_000).contains(&sent), "{sent}");
    assert_eq!(send(&one, b"x"), Err(Errno::EAGAIN));
    assert_eq!(events(&one) & EPOLLOUT, 0);
    assert_eq!(receive(&other, 100_000).unwrap().len(), sent);
    assert_eq!(one.0.sent_bytes(), 0);
    assert_eq!(events(&one) & EPOLLOUT, EPOLLOUT);
}

#[test]
fn closing_tells_the_other_end_and_unread_bytes_are_a_reset() {
    let [one, other] = UnixSocket::pair(Kind::Stream);
    send(&other, b"last").unwrap();
    drop(other);
    assert_eq!(
        events(&one),
        EPOLLIN | EPOLLOUT | EPOLLHUP | EPOLLRDHUP,
        "closed, but readable"
    );
    assert_eq!(receive(&one, 9).unwrap(), b"last");
    assert_eq!(receive(&one, 9).unwrap(), b"");
    assert_eq!(send(&one, b"x"), Err(Errno::EPIPE));
    let [one, other] = UnixSocket::pair(Kind::Stream);
    send(&one, b"unread").unwrap();
    drop(other);
    assert_eq!(events(&one) & EPOLLERR, EPOLLERR);
    assert_eq!(receive(&one, 9), Err(Errno::ECONNRESET));
    assert_eq!(receive(&one, 9).unwrap(), b"");
    assert_eq!(one.0.sent_bytes(), 0);
}

#[test]
fn connections_wait_until_the_backlog_is_full() {
    let listener = bound(Kind::Stream, "tests/backlog");
    let name = abstract_name("tests/backlog");
    let client = || UnixSocket::new(Kind::Stream);
    let early = client().connect(&name, Patience::None);
    assert_eq!(early, Err(Errno::ECONNREFUSED));
    listener.listen(1).unwrap();
    let (first, second) = (client(), client());
    first.connect(&name, Patience::None).unwrap();
    second.connect(&name, Patience::None).unwrap();
    let third = client().connect(&name, Patience::None);
    assert_eq!(third, Err(Errno::EAGAIN));
    let again = first.connect(&name, Patience::None);
    assert_eq!(again, Err(Errno::EAGAIN));
    assert_eq!(events(&listener), EPOLLIN);
    let accepted = listener.accept(Patience::None).ok().unwrap();
    assert_eq!(
        first.connect(&name, Patience::None),
        Err(Errno::EISCONN),
        "with room, its own state counts"
    );
    send(&first, b"hello").unwrap();
    assert_ne!(accepted.readiness().events & EPOLLIN, 0);
    assert_eq!(accepted.local_address(), name);
    // Closing the listener resets who was not accepted, and nobody else.
    drop(listener);
    assert_eq!(receive(&second, 9), Err(Errno::ECONNRESET));
    assert_eq!(receive(&first, 9), Err(Errno::EAGAIN));
}

#[test]
fn a_datagram_socket_takes_only_so_many_from_others() {
    let receiver = bound(Kind::Datagram, "tests/datagrams");
    let sender = UnixSocket::new(Kind::Datagram);
    assert_eq!(send(&sender, b"x"), Err(Errno::ENOTCONN));
    let name = abstract_name("tests/datagrams");
    sender.connect(&name, Patience::None).unwrap();
    let sent = (0..100).take_while(|_| send(&sender, b"x").is_ok()).count();
    assert_eq!(sent, endpoint::DATAGRAMS_MAX + 1);
    assert_eq!(events(&sender), 0);
    receive(&receiver, 1).unwrap();
    assert_eq!(events(&sender), EPOLLOUT);
    drop(receiver);
    assert_eq!(send(&sender, b"x"), Err(Errno::ECONNREFUSED));
    assert_eq!(send(&sender, b"x"), Err(Errno::ENOTCONN));
}

#[test]
fn names_are_for_one_socket_of_a_kind_and_free_again_after_it() {
    let name = abstract_name("tests/names");
    let first = bound(Kind::Stream, "tests/names");
    let second = UnixSocket::new(Kind::Stream);
    assert_eq!(second.bind(&name), Err(Errno::EADDRINUSE));
    assert_eq!(first.bind(&name), Err(Errno::EINVAL));
    let _other_kind = bound(Kind::Datagram, "tests/names");
    drop(first);
    second.bind(&name).unwrap();
    let automatic = UnixSocket::new(Kind::Stream);
    automatic.bind(&address::unnamed()).unwrap();
    assert_eq!(automatic.local_address().len(), FAMILY_BYTES + 6);
    // One that has a name keeps it.
    automatic.bind(&address::unnamed()).unwrap();
}

/// Threads that all connect, accept, send and close at once: nothing is lost,
/// and nothing waits for itself.
#[test]
fn threads_do_not_lock_each_other_out() {
    let name = abstract_name("tests/threads");
    let listener = bound(Kind::Stream, "tests/threads");
    listener.listen(3).unwrap();
    let (clients, rounds) = (4, 100);
    let received = std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                for round in 0..rounds {
                    let client = UnixSocket::new(Kind::Stream);
                    while client.connect(&name, Patience::None) == Err(Errno::EAGAIN) {
                        std::thread::yield_now();
                    }
                    let bytes = vec![round as u8; 100];
                    assert_eq!(send(&client, &bytes), Ok(100));
                    assert_ne!(client.readiness().events & EPOLLOUT, 0);
                    let _ = client.shutdown(Shutdown::from_how(1).unwrap());
                    // Closes once the other end has.
                    while receive(&client, 1) == Err(Errno::EAGAIN) {
                        std::thread::yield_now();
                    }
                }
            });
        }
        let servers = [(); 2].map(|()| {
            scope.spawn(|| {
                let mut total = 0;
                for _ in 0..clients * rounds / 2 {
                    let end = loop {
                        match listener.accept(Patience::None) {
                            Ok(end) => break end,
                            Err(errno) => assert_eq!(errno, Errno::EAGAIN),
                        }
                        std::thread::yield_now();
                    };
                    loop {
                        let mut buffer = [0; 64];
                        let mut sink = BufferSink(&mut buffer);
                        let mut incoming = Incoming::new(&mut sink, 0, Patience::None);
                        match end.receive(&mut incoming) {
                            Ok(0) => break,
                            Ok(count) => total += count,
                            Err(errno) => assert_eq!(errno, Errno::EAGAIN),
                        }
                        let _ = listing::text();
                        std::thread::yield_now();
                    }
                }
                total
            })
        });
        servers.map(|server| server.join().unwrap())
    });
    assert_eq!(received.iter().sum::<usize>(), clients * rounds * 100);
}
