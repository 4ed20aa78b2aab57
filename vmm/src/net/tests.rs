//! Sockets of a guest without KVM: calls as a guest makes them, against clients
//! and servers of the standard library.

mod ports;
mod refused;

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::mem::{offset_of, size_of};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::proptest;
use unikiln_abi::call::{
    EVENT_SOCKET, ROUTE_DUMP, SOCKET_ACCEPT, SOCKET_BIND, SOCKET_CLOSE, SOCKET_CONNECT,
    SOCKET_LISTEN, SOCKET_NAME, SOCKET_OPEN, SOCKET_OPTION_GET, SOCKET_OPTION_SET, SOCKET_QUEUED,
    SOCKET_RECEIVE, SOCKET_SEND, SOCKET_SHUTDOWN, SOCKET_TABLE, WAIT,
};
use unikiln_abi::socket::{
    CONTROL_MAX_BYTES, NAME_LOCAL, NAME_PEER, QUEUED_RECEIVE, Received, SOCKETS_MAX, Sending,
    SocketAddress, SocketTable, TRANSFER_MAX_BYTES,
};
use vm_memory::VolatileMemory;

use super::socket::Socket;
use super::table::Table;
use super::{Mode, NetworkConfig, Protocol, address, host};
use crate::fault::GuestFault;
use crate::hypercall::tests::{cpu, host_with};
use crate::hypercall::{Cpu, Host, Reply, dispatch};
use crate::log::LogFormat;
use crate::memory::{Arena, Backing, GuestAddress, GuestMemory};
use crate::vcpus::Vcpus;

/// Where the guest keeps things.
const TABLE: u64 = 0x10_0000;
const ADDRESS: u64 = 0x20_0000;
const BESIDE: u64 = 0x20_1000;
const DATA: u64 = 0x21_0000;
const WILD: u64 = 1 << 40;

const STREAM: u64 = libc::SOCK_STREAM as u64;
const DATAGRAM: u64 = libc::SOCK_DGRAM as u64;
const INET: u64 = libc::AF_INET as u64;
const INET6: u64 = libc::AF_INET6 as u64;
const PATIENCE: Duration = Duration::from_secs(30);

struct Guest {
    host: Host,
    cpu: Cpu,
    log: File,
}

impl Guest {
    fn new(network: &NetworkConfig) -> Self {
        let log = tempfile::tempfile().unwrap();
        Self {
            host: host_with(LogFormat::Raw, network, &log),
            cpu: cpu(),
            log,
        }
    }

    fn with_table(network: &NetworkConfig) -> Self {
        let mut guest = Self::new(network);
        assert_eq!(guest.call(SOCKET_TABLE, [TABLE]), 0);
        guest
    }

    fn publishing(ports: &[String]) -> Self {
        Self::with_table(&NetworkConfig {
            ports: ports.iter().map(|text| text.parse().unwrap()).collect(),
            ..NetworkConfig::default()
        })
    }

    fn try_call<const N: usize>(
        &mut self,
        number: u32,
        given: [u64; N],
    ) -> Result<i64, GuestFault> {
        let mut args = [0; 6];
        args[..N].copy_from_slice(&given);
        match dispatch(&self.host, &mut self.cpu, number, args)? {
            Reply::Status(status) => Ok(status),
            Reply::Exit(_) => panic!("no socket call ends a guest"),
        }
    }

    fn call<const N: usize>(&mut self, number: u32, args: [u64; N]) -> i64 {
        self.try_call(number, args).unwrap()
    }

    /// A call that has to succeed.
    fn does<const N: usize>(&mut self, number: u32, args: [u64; N]) -> u64 {
        let status = self.call(number, args);
        u64::try_from(status).unwrap_or_else(|_| panic!("call {number} {args:?}: {status}"))
    }

    fn open(&mut self, family: u64, kind: u64) -> u64 {
        self.does(SOCKET_OPEN, [family, kind, 0])
    }

    /// A call with an address behind the handle.
    fn to(&mut self, number: u32, handle: u64, to: &str) -> i64 {
        let encoded = address::encode(to.parse().unwrap());
        self.host.memory.write(ADDRESS, &encoded.bytes).unwrap();
        self.call(number, [handle, ADDRESS, encoded.len_bytes.into()])
    }

    fn name(&mut self, handle: u64, which: u64) -> SocketAddr {
        self.does(SOCKET_NAME, [handle, which, ADDRESS]);
        self.read_address(ADDRESS)
    }

    fn read_address(&self, gpa: u64) -> SocketAddr {
        let mut bytes = [0; size_of::<SocketAddress>()];
        let slice = self.host.memory.slice(gpa, bytes.len() as u64).unwrap();
        slice.copy_to(&mut bytes);
        let (len, rest) = bytes.split_at(4);
        let raw = SocketAddress {
            len_bytes: u32::from_ne_bytes(len.try_into().unwrap()),
            bytes: rest.try_into().unwrap(),
        };
        address::read(&raw).unwrap()
    }

    fn listening(&mut self, at: &str) -> (u64, SocketAddr) {
        let family = if at.starts_with('[') { INET6 } else { INET };
        let handle = self.open(family, STREAM);
        assert_eq!(self.to(SOCKET_BIND, handle, at), 0);
        self.does(SOCKET_LISTEN, [handle, 16]);
        let name = self.name(handle, NAME_LOCAL);
        (handle, name)
    }

    fn accepted(&mut self, listener: u64) -> u64 {
        self.ready(listener, libc::POLLIN);
        self.does(SOCKET_ACCEPT, [listener, BESIDE])
    }

    /// Two connected sockets, the guest's and one of the test's.
    fn connected(&mut self) -> (u64, TcpStream) {
        let (listener, at) = self.listening("127.0.0.1:0");
        let client = TcpStream::connect(at).unwrap();
        let handle = self.accepted(listener);
        self.does(SOCKET_CLOSE, [listener]);
        (handle, client)
    }

    fn word(&self, handle: u64) -> u32 {
        let table = self.table();
        let at = offset_of!(SocketTable, ready) + 4 * handle as usize;
        table
            .get_atomic_ref::<AtomicU32>(at)
            .unwrap()
            .load(Ordering::SeqCst)
    }

    /// Waits until a word has these bits, as only the I/O thread can make it.
    fn ready(&self, handle: u64, bits: i16) {
        let until = Instant::now() + PATIENCE;
        while self.word(handle) & bits as u32 != bits as u32 {
            assert!(
                Instant::now() < until,
                "{:#x}, not {bits:#x}",
                self.word(handle)
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn table(&self) -> crate::memory::GuestSlice<'_> {
        let bytes = size_of::<SocketTable>() as u64;
        self.host.memory.slice(TABLE, bytes).unwrap()
    }

    /// Takes the bits of changes of the first 64 handles.
    fn take_changes(&self) -> (u64, u64) {
        let table = self.table();
        let take = |at| {
            table
                .get_atomic_ref::<AtomicU64>(at)
                .unwrap()
                .swap(0, Ordering::SeqCst)
        };
        (
            take(offset_of!(SocketTable, summary)),
            take(offset_of!(SocketTable, changed)),
        )
    }

    fn want(&self, vcpu_and_1: u32) {
        let at = offset_of!(SocketTable, wanted);
        let table = self.table();
        let wanted = table.get_atomic_ref::<AtomicU32>(at).unwrap();
        wanted.store(vcpu_and_1, Ordering::SeqCst);
    }

    fn put(&self, bytes: &[u8]) {
        self.host.memory.write(DATA, bytes).unwrap();
    }

    fn got(&self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.host
            .memory
            .slice(DATA, len as u64)
            .unwrap()
            .copy_to(&mut bytes);
        bytes
    }

    fn log(&mut self) -> String {
        let mut text = String::new();
        self.log.rewind().unwrap();
        self.log.read_to_string(&mut text).unwrap();
        text
    }
}

/// A port that was free just now. No kernel chooses one of this range, and no
/// other test of this process gets it.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let count = NEXT.fetch_add(1, Ordering::SeqCst);
        let port = 20_000 + (std::process::id() as u16 % 100) * 100 + count % 100;
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return port;
        }
    }
}

fn negated(errno: i32) -> i64 {
    -i64::from(errno)
}

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

    let to = address::encode(client.local_addr().unwrap());
    guest.put(b"back");
    let sending = Sending {
        to,
        reserved: 0,
        control_bytes: 0,
        control: [0; CONTROL_MAX_BYTES],
    };
    guest.host.memory.write_plain(BESIDE, sending).unwrap();
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
