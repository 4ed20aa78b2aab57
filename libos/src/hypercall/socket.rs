//! Calls for sockets of the host. The contract is `unikiln_abi::socket`.
//!
//! Everything that the monitor reads or writes must lie in the libOS heap.
#![expect(unsafe_code, reason = "makes the table that both sides know")]

use alloc::alloc::{Layout, alloc_zeroed, dealloc};

use unikiln_abi::PAGE_BYTES;
use unikiln_abi::call;
use unikiln_abi::layout::DIRECT_MAP_BASE;
use unikiln_abi::socket::{
    Accepted, Piece, Received, Sending, SocketAddress, SocketTable, StreamRings,
};

use super::{call as ask, gpa_of};
use crate::errno::{Errno, SysResult};

/// Guest-physical address of something in the libOS heap that the monitor writes.
fn gpa_of_mut<T: ?Sized>(place: &mut T) -> u64 {
    let address = core::ptr::from_mut(place).expose_provenance() as u64;
    address.wrapping_sub(DIRECT_MAP_BASE)
}

/// The same of something that it reads.
pub(super) fn gpa_of_ref<T>(place: &T) -> u64 {
    let address = core::ptr::from_ref(place).expose_provenance() as u64;
    address.wrapping_sub(DIRECT_MAP_BASE)
}

/// One call that gives a number.
fn number(number: u32, args: [u64; 6]) -> SysResult {
    ask(number, args).map(|value| value as usize)
}

/// Makes the table of sockets and gives it to the monitor, which can be done once.
///
/// # Errors
/// EACCES where the guest has no network; ENOMEM.
pub fn give_table() -> Result<&'static SocketTable, Errno> {
    let layout = Layout::from_size_align(size_of::<SocketTable>(), PAGE_BYTES as usize)
        .map_err(|_| Errno::ENOMEM)?;
    // SAFETY: the layout is not empty.
    let memory = unsafe { alloc_zeroed(layout) };
    if memory.is_null() {
        return Err(Errno::ENOMEM);
    }
    let gpa = (memory.expose_provenance() as u64).wrapping_sub(DIRECT_MAP_BASE);
    if let Err(errno) = ask(call::SOCKET_TABLE, [gpa, 0, 0, 0, 0, 0]) {
        // SAFETY: it was allocated with this layout, and the monitor did not take it.
        unsafe { dealloc(memory, layout) };
        return Err(errno);
    }
    // SAFETY: zeroed, aligned and never given back; all zeros is a table, and both
    // sides only touch it by atomic instructions.
    Ok(unsafe { &*memory.cast::<SocketTable>() })
}

/// Opens a socket: its handle.
pub fn open(family: u32, kind: u32, protocol: u32) -> Result<u32, Errno> {
    let args = [family.into(), kind.into(), protocol.into(), 0, 0, 0];
    ask(call::SOCKET_OPEN, args).map(|handle| handle as u32)
}

/// Closes a socket.
pub fn close(handle: u32) {
    let _ = ask(call::SOCKET_CLOSE, [handle.into(), 0, 0, 0, 0, 0]);
}

/// Gives a socket a name.
pub fn bind(handle: u32, address: &SocketAddress) -> Result<(), Errno> {
    let (gpa, len) = bytes_of_address(address);
    ask(call::SOCKET_BIND, [handle.into(), gpa, len, 0, 0, 0]).map(drop)
}

/// Lets others connect.
pub fn listen(handle: u32, backlog: u32) -> Result<(), Errno> {
    let args = [handle.into(), backlog.into(), 0, 0, 0, 0];
    ask(call::SOCKET_LISTEN, args).map(drop)
}

/// Takes the next connection: its handle; the other end's address goes to `from`.
pub fn accept(handle: u32, from: &mut SocketAddress) -> Result<u32, Errno> {
    let args = [handle.into(), gpa_of_mut(from), 0, 0, 0, 0];
    ask(call::SOCKET_ACCEPT, args).map(|handle| handle as u32)
}

/// Takes connections that wait, as many as there are places: how many.
pub(super) fn accept_streams(handle: u32, places: &mut [Accepted]) -> SysResult {
    let count = places.len() as u64;
    let args = [handle.into(), gpa_of_mut(places), count, 0, 0, 0];
    number(call::SOCKET_ACCEPT_STREAMS, args)
}

/// Connects; EINPROGRESS or EALREADY where that goes on.
pub fn connect(handle: u32, address: &SocketAddress) -> Result<(), Errno> {
    let (gpa, len) = bytes_of_address(address);
    ask(call::SOCKET_CONNECT, [handle.into(), gpa, len, 0, 0, 0]).map(drop)
}

fn bytes_of_address(address: &SocketAddress) -> (u64, u64) {
    (gpa_of(&address.bytes), u64::from(address.len_bytes))
}

/// Sends: the bytes that were taken.
pub fn send(handle: u32, data: &[u8], flags: u32, beside: Option<&Sending>) -> SysResult {
    let len = data.len() as u64;
    let beside = beside.map_or(0, gpa_of_ref);
    let args = [handle.into(), gpa_of(data), len, flags.into(), beside, 0];
    number(call::SOCKET_SEND, args)
}

/// Sends bytes that are anywhere in guest memory: those that were taken.
pub fn send_pieces(handle: u32, pieces: &[Piece]) -> SysResult {
    let gpa = (pieces.as_ptr().expose_provenance() as u64).wrapping_sub(DIRECT_MAP_BASE);
    let args = [handle.into(), gpa, pieces.len() as u64, 0, 0, 0];
    number(call::SOCKET_SEND_PIECES, args)
}

/// Receives: the bytes that came, or with MSG_TRUNC a datagram's whole length.
pub fn receive(
    handle: u32,
    data: &mut [u8],
    flags: u32,
    beside: Option<&mut Received>,
) -> SysResult {
    let len = data.len() as u64;
    let beside = beside.map_or(0, gpa_of_mut);
    let args = [
        handle.into(),
        gpa_of_mut(data),
        len,
        flags.into(),
        beside,
        0,
    ];
    number(call::SOCKET_RECEIVE, args)
}

/// Ends directions (`SHUT_*`).
pub fn shutdown(handle: u32, how: u32) -> Result<(), Errno> {
    let args = [handle.into(), how.into(), 0, 0, 0, 0];
    ask(call::SOCKET_SHUTDOWN, args).map(drop)
}

/// One of the addresses of a socket (`NAME_*`).
pub fn name(handle: u32, which: u64, address: &mut SocketAddress) -> Result<(), Errno> {
    let args = [handle.into(), which, gpa_of_mut(address), 0, 0, 0];
    ask(call::SOCKET_NAME, args).map(drop)
}

/// Reads an option: the bytes of its value.
pub fn option(handle: u32, level: u32, name: u32, value: &mut [u8]) -> SysResult {
    let len = value.len() as u64;
    let (level, name) = (level.into(), name.into());
    let args = [handle.into(), level, name, gpa_of_mut(value), len, 0];
    number(call::SOCKET_OPTION_GET, args)
}

/// Sets an option.
pub fn set_option(handle: u32, level: u32, name: u32, value: &[u8]) -> Result<(), Errno> {
    let len = value.len() as u64;
    let (level, name) = (level.into(), name.into());
    let args = [handle.into(), level, name, gpa_of(value), len, 0];
    ask(call::SOCKET_OPTION_SET, args).map(drop)
}

/// Bytes in one of the queues of a socket (`QUEUED_*`).
pub fn queued(handle: u32, which: u64) -> SysResult {
    number(call::SOCKET_QUEUED, [handle.into(), which, 0, 0, 0, 0])
}

/// Gives a connection rings, which are the monitor's until it is closed.
pub(super) fn give_rings(handle: u32, rings: &StreamRings) -> Result<(), Errno> {
    let args = [handle.into(), gpa_of_ref(rings), 0, 0, 0, 0];
    ask(call::SOCKET_STREAM, args).map(drop)
}

/// Has the monitor send and receive for the sockets that are marked pending.
pub fn serve() {
    let _ = ask(call::SOCKET_SERVE, [0; 6]);
}

/// The rtnetlink messages of a dump (`DUMP_*`): how many bytes of `room` they take.
///
/// # Errors
/// ENOBUFS where there is not room for them.
pub fn route_dump(what: u64, family: u32, room: &mut [u8]) -> SysResult {
    let len = room.len() as u64;
    let args = [what, family.into(), gpa_of_mut(room), len, 0, 0];
    number(call::ROUTE_DUMP, args)
}
