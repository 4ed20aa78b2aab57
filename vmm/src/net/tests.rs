//! Sockets of a guest without KVM: calls as a guest makes them, against clients
//! and servers of the standard library.

mod accepted;
mod hostile;
mod ports;
mod refused;
mod rings;
mod traffic;

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::mem::{offset_of, size_of};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
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

use super::poller::Poller;
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

    /// What goes with a send: an address.
    fn sending_to(&self, to: &str) {
        let sending = Sending {
            to: address::encode(to.parse().unwrap()),
            reserved: 0,
            control_bytes: 0,
            control: [0; CONTROL_MAX_BYTES],
        };
        self.host.memory.write_plain(BESIDE, sending).unwrap();
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
