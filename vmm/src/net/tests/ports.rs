//! Where sockets of a guest can be reached, by mode and port.

use super::*;

#[test]
fn a_published_port_is_the_hosts_outside_and_the_guests_inside() {
    for (published, at) in [
        ("", "0.0.0.0"),
        ("127.0.0.1:", "0.0.0.0"),
        ("127.0.0.1:", "[::]"),
    ] {
        let port = free_port();
        let mut guest = Guest::publishing(&[format!("{published}{port}:80")]);
        let (listener, own) = guest.listening(&format!("{at}:80"));
        assert_eq!(own.port(), 80);
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let accepted = guest.accepted(listener);
        assert_eq!(guest.name(accepted, NAME_LOCAL).port(), 80);
        let peer = guest.name(accepted, NAME_PEER);
        assert_eq!(peer.port(), client.local_addr().unwrap().port());
        assert_eq!(guest.log(), "");
    }
}

#[test]
fn a_guest_reaches_its_own_published_port() {
    let port = free_port();
    let mut guest = Guest::publishing(&[format!("{port}:80"), format!("{port}:53/udp")]);
    let (listener, _) = guest.listening("0.0.0.0:80");
    let client = guest.open(INET, STREAM);
    let status = guest.to(SOCKET_CONNECT, client, "127.0.0.1:80");
    assert_eq!(status, negated(libc::EINPROGRESS));
    guest.accepted(listener);
    guest.ready(client, libc::POLLOUT);
    assert_eq!(guest.name(client, NAME_PEER).to_string(), "127.0.0.1:80");

    let server = guest.open(INET, DATAGRAM);
    assert_eq!(guest.to(SOCKET_BIND, server, "127.0.0.1:53"), 0);
    let client = guest.open(INET, DATAGRAM);
    guest.sending_to("127.0.0.1:53");
    assert_eq!(guest.does(SOCKET_SEND, [client, DATA, 4, 0, BESIDE]), 4);
    guest.ready(server, libc::POLLIN);
    guest.does(SOCKET_RECEIVE, [server, DATA, 4, 0, BESIDE]);
    let from = guest.read_address(BESIDE).to_string();
    guest.sending_to(&from);
    assert_eq!(guest.does(SOCKET_SEND, [server, DATA, 4, 0, BESIDE]), 4);
    guest.ready(client, libc::POLLIN);
    guest.does(SOCKET_RECEIVE, [client, DATA, 4, 0, BESIDE]);
    assert_eq!(guest.read_address(BESIDE).to_string(), "127.0.0.1:53");
}

#[test]
fn a_port_in_use_is_named_in_the_log() {
    let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut guest = Guest::publishing(&[format!("{port}:80")]);
    let handle = guest.open(INET, STREAM);
    assert_eq!(
        guest.to(SOCKET_BIND, handle, "0.0.0.0:80"),
        negated(libc::EADDRINUSE)
    );
    let said = format!("port {port}/tcp (-p {port}:80/tcp) is in use on this host");
    assert!(guest.log().contains(&said), "{}", guest.log());
}

#[test]
fn a_port_that_another_listens_at_first_is_named_too() {
    // Both may bind it, one may listen.
    let mut guest = Guest::publishing(&[]);
    let at = format!("127.0.0.1:{}", free_port());
    let handles = [0; 2].map(|_| {
        let handle = guest.open(INET, STREAM);
        guest.put(&1u32.to_ne_bytes());
        let (level, name) = (libc::SOL_SOCKET as u64, libc::SO_REUSEADDR as u64);
        guest.does(SOCKET_OPTION_SET, [handle, level, name, DATA, 4]);
        assert_eq!(guest.to(SOCKET_BIND, handle, &at), 0);
        handle
    });
    guest.does(SOCKET_LISTEN, [handles[0], 1]);
    let status = guest.call(SOCKET_LISTEN, [handles[1], 1]);
    assert_eq!(status, negated(libc::EADDRINUSE));
    assert!(guest.log().contains("/tcp is in use"), "{}", guest.log());
}

/// The device that a socket is bound to.
fn device(guest: &Guest, handle: u64) -> String {
    let mut name = [0; 16];
    let read = guest.host.net.table.with(handle, |socket| {
        let (level, option) = (libc::SOL_SOCKET, libc::SO_BINDTODEVICE);
        host::option(socket.fd(), level, option, &mut name)
    });
    String::from_utf8_lossy(&name[..read.unwrap()]).into_owned()
}

#[test]
fn a_connection_of_a_published_port_becomes_no_listener_for_everybody() {
    let port = free_port();
    let mut guest = Guest::publishing(&[format!("{port}:80")]);
    let (listener, _) = guest.listening("0.0.0.0:80");
    let _client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let connection = guest.accepted(listener);
    guest.host.memory.write(ADDRESS, &[0; 16]).unwrap();
    guest.does(SOCKET_CONNECT, [connection, ADDRESS, 16]);
    guest.does(SOCKET_LISTEN, [connection, 1]);
    assert_eq!(device(&guest, connection), "lo\0");
    assert_eq!(device(&guest, listener), "");
}

#[test]
fn what_is_not_published_is_bound_to_the_loopback_device() {
    for at in ["0.0.0.0", "[::]"] {
        let port = free_port();
        let mut guest = Guest::with_table(&NetworkConfig::default());
        let (listener, _) = guest.listening(&format!("{at}:{port}"));
        assert_eq!(device(&guest, listener), "lo\0");
        guest.does(SOCKET_LISTEN, [listener, 2]);
        let said = format!("-p {port}:{port},");
        assert!(guest.log().contains(&said), "{}", guest.log());
        let _client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        guest.accepted(listener);

        let datagrams = guest.open(INET, DATAGRAM);
        assert_eq!(
            guest.to(SOCKET_BIND, datagrams, &format!("0.0.0.0:{}", free_port())),
            0
        );
        assert_eq!(device(&guest, datagrams), "lo\0");
        let client = guest.open(INET, DATAGRAM);
        assert_eq!(guest.to(SOCKET_BIND, client, "0.0.0.0:0"), 0);
        assert_eq!(device(&guest, client), "");
    }
    // A listener that was never bound gets its port from the kernel.
    let mut guest = Guest::with_table(&NetworkConfig::default());
    let handle = guest.open(INET, STREAM);
    guest.does(SOCKET_LISTEN, [handle, 1]);
    assert_eq!(device(&guest, handle), "lo\0");
    let mut guest = Guest::with_table(&NetworkConfig {
        mode: Mode::Host,
        ..NetworkConfig::default()
    });
    let (listener, _) = guest.listening("0.0.0.0:0");
    assert_eq!(device(&guest, listener), "");
}

#[test]
fn no_network_is_refused_and_said() {
    let mut guest = Guest::new(&NetworkConfig {
        mode: Mode::None,
        ..NetworkConfig::default()
    });
    assert_eq!(guest.call(SOCKET_TABLE, [TABLE]), negated(libc::EACCES));
    assert!(guest.log().contains("--network none"), "{}", guest.log());
    assert_eq!(
        guest.call(SOCKET_OPEN, [INET, STREAM, 0]),
        negated(libc::EINVAL)
    );
    assert_eq!(
        guest.call(ROUTE_DUMP, [0, 0, DATA, 4096]),
        negated(libc::EACCES)
    );
    assert_eq!(guest.host.net.stats(), None);
}

#[test]
fn a_port_of_an_ipv4_address_is_none_of_a_socket_for_ipv6_alone() {
    let port = free_port();
    let mut guest = Guest::publishing(&[format!("127.0.0.1:{port}:80")]);
    let (level, name) = (libc::IPPROTO_IPV6 as u64, libc::IPV6_V6ONLY as u64);
    let six = guest.open(INET6, STREAM);
    guest.put(&1u32.to_ne_bytes());
    guest.does(SOCKET_OPTION_SET, [six, level, name, DATA, 4]);
    assert_eq!(
        guest.to(SOCKET_BIND, six, "[::]:80"),
        negated(libc::EADDRNOTAVAIL)
    );
    assert_eq!(guest.log(), "");
    let both = guest.open(INET6, STREAM);
    assert_eq!(guest.to(SOCKET_BIND, both, "[::]:80"), 0);
}
