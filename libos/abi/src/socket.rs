//! Sockets of the host: AF_INET and AF_INET6, opened by the monitor in the
//! network namespace that it runs in.
//!
//! The guest names a socket by a handle (`0..SOCKETS_MAX`, the lowest free one),
//! never by a descriptor of the host. No operation blocks: where the host would,
//! the status is -EAGAIN (-EINPROGRESS for a connection), and the libOS sleeps
//! until the socket's readiness changes.
//!
//! ```text
//! SocketTable (guest memory, given once by SOCKET_TABLE)
//!   ready[handle]   what poll(2) gave last: POLL* bits. Only the monitor writes it:
//!                   before every operation on the socket returns, and when its I/O
//!                   thread sees a change: more bytes for one that was readable are one
//!   changed, summary  bits of handles whose word changed. The monitor sets them after
//!                   the word, the libOS takes them (swap with 0) and then looks
//!   wanted          index of a vCPU, and 1, to be called when something changes, or
//!                   0: the libOS sets it before somebody sleeps for a socket, looks
//!                   at `summary` once more, and clears it when nobody sleeps for one
//!                   any more
//! ```
//!
//! A busy server never sets `wanted`, so it is never interrupted.
//!
//! Addresses are `struct sockaddr_in` and `sockaddr_in6` as Linux has them.
//! Flags, levels and option names are Linux's; the monitor lets through those
//! of its lists and answers others as Linux answers what it does not know.

use core::mem::{offset_of, size_of};
use core::sync::atomic::{AtomicU32, AtomicU64};

/// Most sockets of one guest.
pub const SOCKETS_MAX: usize = 16384;
/// Bytes of the longest address (`struct sockaddr_in6`).
pub const ADDRESS_MAX_BYTES: usize = 28;
/// Most bytes of one send or receive.
pub const TRANSFER_MAX_BYTES: u64 = 1 << 20;
/// Most bytes of an option's value.
pub const OPTION_MAX_BYTES: u64 = 256;

/// [`crate::call::SOCKET_NAME`]: the socket's own address.
pub const NAME_LOCAL: u64 = 0;
/// [`crate::call::SOCKET_NAME`]: the address of the other end.
pub const NAME_PEER: u64 = 1;

/// [`crate::call::SOCKET_QUEUED`]: bytes that can be received (`SIOCINQ`).
pub const QUEUED_RECEIVE: u64 = 0;
/// [`crate::call::SOCKET_QUEUED`]: bytes that were not acknowledged yet (`SIOCOUTQ`).
pub const QUEUED_SEND: u64 = 1;

/// [`crate::call::ROUTE_DUMP`]: interfaces.
pub const DUMP_LINKS: u64 = 0;
/// [`crate::call::ROUTE_DUMP`]: addresses of interfaces.
pub const DUMP_ADDRESSES: u64 = 1;
/// [`crate::call::ROUTE_DUMP`]: routes.
pub const DUMP_ROUTES: u64 = 2;

/// What both sides know of the sockets. Zero at the start; page-aligned.
#[derive(Debug)]
#[repr(C)]
pub struct SocketTable {
    /// See the module documentation.
    pub wanted: AtomicU32,
    /// Unused.
    pub reserved: [u32; 15],
    /// A bit for each word of `changed` that is not 0.
    pub summary: [AtomicU64; SOCKETS_MAX / 64 / 64],
    /// A bit for each handle whose readiness changed.
    pub changed: [AtomicU64; SOCKETS_MAX / 64],
    /// `POLL*` bits by handle.
    pub ready: [AtomicU32; SOCKETS_MAX],
}

/// An address, as the monitor writes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SocketAddress {
    /// Bytes in use, 0 for none.
    pub len_bytes: u32,
    /// `struct sockaddr_in` or `sockaddr_in6`.
    pub bytes: [u8; ADDRESS_MAX_BYTES],
}

/// Most bytes of control messages that go with a send or come with a receive.
pub const CONTROL_MAX_BYTES: usize = 200;

/// What goes beside the bytes of a send.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Sending {
    /// Where to; of no length for the socket's peer.
    pub to: SocketAddress,
    /// Unused.
    pub reserved: u32,
    /// Bytes of `control` in use.
    pub control_bytes: u32,
    /// Control messages as Linux takes them (`struct cmsghdr`): packet information, TTL, segment size.
    pub control: [u8; CONTROL_MAX_BYTES],
}

/// What came beside the bytes of a receive.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Received {
    /// Where they came from (datagrams).
    pub from: SocketAddress,
    /// `MSG_*` bits of the message.
    pub flags: u32,
    /// Bytes of `control` in use.
    pub control_bytes: u32,
    /// Control messages as Linux gives them (`struct cmsghdr`): packet information, TTL, times.
    pub control: [u8; CONTROL_MAX_BYTES],
}

const _: () = assert!(size_of::<SocketTable>() == 67_680);
const _: () = assert!(offset_of!(SocketTable, summary) == 64);
const _: () = assert!(offset_of!(SocketTable, changed) == 96);
const _: () = assert!(offset_of!(SocketTable, ready) == 2144);
const _: () = assert!(size_of::<SocketAddress>() == 32);
const _: () = assert!(size_of::<Sending>() == 240);
const _: () = assert!(offset_of!(Sending, control) == 40);
const _: () = assert!(size_of::<Received>() == 240);
const _: () = assert!(offset_of!(Received, control) == 40);
