//! What a hostile or broken guest asks of its sockets.

use super::*;

#[test]
fn handles_that_are_none_give_ebadf() {
    let mut guest = Guest::with_table(&NetworkConfig::default());
    let closed = guest.open(INET, STREAM);
    guest.does(SOCKET_CLOSE, [closed]);
    assert_eq!(guest.word(closed), 0);
    for handle in [
        closed,
        1,
        63,
        64,
        SOCKETS_MAX as u64 - 1,
        SOCKETS_MAX as u64,
        u64::MAX,
    ] {
        for (number, args) in [
            (SOCKET_CLOSE, [0; 5]),
            (SOCKET_BIND, [ADDRESS, 16, 0, 0, 0]),
            (SOCKET_LISTEN, [1, 0, 0, 0, 0]),
            (SOCKET_ACCEPT, [ADDRESS, 0, 0, 0, 0]),
            (SOCKET_CONNECT, [ADDRESS, 16, 0, 0, 0]),
            (SOCKET_SEND, [DATA, 1, 0, 0, 0]),
            (SOCKET_RECEIVE, [DATA, 1, 0, BESIDE, 0]),
            (SOCKET_SHUTDOWN, [0; 5]),
            (SOCKET_NAME, [0, ADDRESS, 0, 0, 0]),
            (SOCKET_OPTION_GET, [1, 2, DATA, 4, 0]),
            (SOCKET_OPTION_SET, [1, 2, DATA, 4, 0]),
            (SOCKET_QUEUED, [0; 5]),
        ] {
            let [a, b, c, d, e] = args;
            let status = guest.call(number, [handle, a, b, c, d, e]);
            assert_eq!(status, negated(libc::EBADF), "{number} {handle}");
        }
    }
}

#[test]
fn wild_addresses_are_faults_and_wrong_values_are_errnos() {
    let mut guest = Guest::new(&NetworkConfig::default());
    let table_bytes = size_of::<SocketTable>() as u64;
    for gpa in [WILD, u64::MAX, (4 << 20) - table_bytes + 4096, TABLE + 8] {
        assert!(guest.try_call(SOCKET_TABLE, [gpa]).is_err(), "{gpa:#x}");
    }
    assert_eq!(
        guest.call(SOCKET_OPEN, [INET, STREAM, 0]),
        negated(libc::EINVAL)
    );
    assert_eq!(guest.call(SOCKET_TABLE, [TABLE]), 0);
    assert_eq!(guest.call(SOCKET_TABLE, [TABLE]), negated(libc::EINVAL));
    let handle = guest.open(INET, STREAM);
    for (number, args) in [
        (SOCKET_BIND, [WILD, 16, 0, 0, 0]),
        (SOCKET_CONNECT, [(4 << 20) - 8, 16, 0, 0, 0]),
        (SOCKET_ACCEPT, [WILD, 0, 0, 0, 0]),
        (SOCKET_SEND, [WILD, 1, 0, 0, 0]),
        (SOCKET_SEND, [DATA, TRANSFER_MAX_BYTES + 1, 0, 0, 0]),
        (SOCKET_SEND, [DATA, 1, 0, WILD, 0]),
        (SOCKET_RECEIVE, [DATA, u64::MAX, 0, 0, 0]),
        (SOCKET_RECEIVE, [DATA, 1, 0, WILD, 0]),
        (SOCKET_NAME, [0, WILD, 0, 0, 0]),
        (SOCKET_OPTION_GET, [1, 2, WILD, 4, 0]),
        (SOCKET_OPTION_SET, [1, 2, WILD, 4, 0]),
    ] {
        let [a, b, c, d, e] = args;
        let result = guest.try_call(number, [handle, a, b, c, d, e]);
        assert!(result.is_err(), "{number} {args:x?}: {result:?}");
    }
    assert!(guest.try_call(ROUTE_DUMP, [0, 0, WILD, 4096]).is_err());
    for (number, args, errno) in [
        (SOCKET_BIND, [ADDRESS, 129, 0, 0, 0], libc::EINVAL),
        (SOCKET_BIND, [ADDRESS, 1, 0, 0, 0], libc::EINVAL),
        (SOCKET_CONNECT, [ADDRESS, 0, 0, 0, 0], libc::EINVAL),
        (SOCKET_CONNECT, [ADDRESS, u64::MAX, 0, 0, 0], libc::EINVAL),
        (SOCKET_NAME, [2, ADDRESS, 0, 0, 0], libc::EINVAL),
        (SOCKET_NAME, [1, ADDRESS, 0, 0, 0], libc::ENOTCONN),
        (SOCKET_QUEUED, [2, 0, 0, 0, 0], libc::EINVAL),
        (SOCKET_SHUTDOWN, [u64::MAX, 0, 0, 0, 0], libc::EINVAL),
        (SOCKET_ACCEPT, [ADDRESS, 0, 0, 0, 0], libc::EINVAL),
        (SOCKET_OPTION_SET, [1, 2, DATA, 257, 0], libc::EINVAL),
        (SOCKET_OPTION_SET, [1, 2, DATA, 3, 0], libc::EINVAL),
        (SOCKET_OPTION_SET, [1, 25, DATA, 4, 0], libc::EPERM),
        (SOCKET_OPTION_GET, [0, 35, DATA, 4, 0], libc::ENOPROTOOPT),
    ] {
        let [a, b, c, d, e] = args;
        let status = guest.call(number, [handle, a, b, c, d, e]);
        assert_eq!(status, negated(errno), "{number} {args:x?}");
    }
    assert_eq!(
        guest.call(ROUTE_DUMP, [0, 0, DATA, 16]),
        negated(libc::ENOBUFS)
    );
    assert!(guest.does(ROUTE_DUMP, [0, 0, DATA, 65536]) > 16);
}

#[test]
fn handles_are_the_lowest_free_ones_up_to_the_limit() {
    let memory = Arc::new(GuestMemory::default());
    memory.insert(Arena::new(GuestAddress(0), 4 << 20, Backing::SmallPages).unwrap());
    let table = Arc::new(Table::new(memory, Arc::new(Vcpus::new(1))));
    let poller = Poller::start(Arc::clone(&table)).unwrap();
    table.open(TABLE, &poller, 64 + 3);
    let open = || {
        table.insert(|| {
            let fd = host::socket(libc::AF_INET, libc::SOCK_STREAM, 0)?;
            Ok(Socket::new(fd, libc::AF_INET, Protocol::Tcp))
        })
    };
    assert_eq!([0; 3].map(|_| open().unwrap()), [0, 1, 2]);
    assert_eq!(open().unwrap_err().raw_os_error(), Some(libc::EMFILE));
    drop(table.remove(1).unwrap());
    let failed = table.insert(|| Err(crate::net::errno(libc::ENFILE)));
    assert_eq!(failed.unwrap_err().raw_os_error(), Some(libc::ENFILE));
    assert_eq!(open().unwrap(), 1);
}

/// Values near what is right, and wild ones.
fn argument() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0..8u64,
        2 => (0..4u64).prop_map(|part| ADDRESS + part * 16),
        1 => Just(TABLE),
        1 => 0..70u64,
        1 => any::<u64>(),
    ]
}

proptest! {
    #[test]
    fn random_socket_calls_never_panic(
        calls in proptest::collection::vec((SOCKET_TABLE..=ROUTE_DUMP, proptest::array::uniform6(argument())), 1..40),
    ) {
        let mut guest = Guest::with_table(&NetworkConfig::default());
        for (slot, at) in ["127.0.0.1:1", "127.0.0.1:0", "0.0.0.0:0", "[::1]:1"].iter().enumerate() {
            let encoded = address::encode(at.parse().unwrap());
            guest.host.memory.write(ADDRESS + 16 * slot as u64, &encoded.bytes).unwrap();
        }
        for (number, args) in calls {
            match guest.try_call(number, args) {
                Ok(status) => assert!(status >= -4095, "{number} {args:x?}: {status}"),
                Err(fault) => assert!(!fault.to_string().is_empty()),
            }
        }
    }
}
