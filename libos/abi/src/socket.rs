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
//! A connection may have [`StreamRings`] too: then small pieces of it go through
//! guest memory without a call for each. The monitor fills `receive` and sends what
//! is in `send` whenever it is at it: when its I/O thread sees a change, when a
//! vCPU waits or calls for another socket, and on [`crate::call::SOCKET_SERVE`].
//!
//! ```text
//! program → send ring → mark in `pending` ─┬ service AWAKE: the I/O thread looks
//!                                          ├ NAPPING: it looks within a millisecond;
//!                                          │   SOCKET_SERVE before a vCPU idles
//!                                          └ ASLEEP: SOCKET_SERVE at once
//! host → receive ring → `changed` as above
//! ```
//!
//! Counters only grow; a place in a ring is its counter modulo [`RING_BYTES`]. Each
//! side reads the other's counters once and checks them: filled − taken is at most
//! [`RING_BYTES`]. The monitor keeps its own counters for itself and only shows them.
//!
//! Addresses are `struct sockaddr_in` and `sockaddr_in6` as Linux has them.
//! Flags, levels and option names are Linux's; the monitor lets through those
//! of its lists and answers others as Linux answers what it does not know.

use core::mem::{offset_of, size_of};
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};

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
    /// What the monitor's I/O thread does: `SERVICE_*`. Only the monitor writes it.
    pub service: AtomicU32,
    /// Unused.
    pub reserved: [u32; 14],
    /// A bit for each word of `changed` that is not 0.
    pub summary: [AtomicU64; SOCKETS_MAX / 64 / 64],
    /// A bit for each handle whose readiness changed.
    pub changed: [AtomicU64; SOCKETS_MAX / 64],
    /// A bit for each word of `pending` that is not 0. The libOS sets it after the
    /// word, the monitor takes both.
    pub pending_summary: [AtomicU64; SOCKETS_MAX / 64 / 64],
    /// A bit for each handle whose send ring has bytes, whose receive ring has room
    /// again while the host has more, or whose socket is to be closed.
    pub pending: [AtomicU64; SOCKETS_MAX / 64],
    /// `POLL*` bits by handle.
    pub ready: [AtomicU32; SOCKETS_MAX],
}

/// [`SocketTable::service`]: the I/O thread looks at `pending` all the time.
pub const SERVICE_AWAKE: u32 = 0;
/// [`SocketTable::service`]: it looks at `pending` every millisecond or so.
pub const SERVICE_NAPPING: u32 = 1;
/// [`SocketTable::service`]: it does not look until a socket changes.
pub const SERVICE_ASLEEP: u32 = 2;

/// Bytes of one ring.
pub const RING_BYTES: usize = 8064;

/// One connection's bytes on their way, given by [`crate::call::SOCKET_STREAM`] or
/// [`crate::call::SOCKET_ACCEPT_STREAMS`]. Zero at the start; page-aligned. Fields of one writer share a cache line.
#[derive(Debug)]
#[repr(C)]
pub struct StreamRings {
    /// Bytes that the monitor put into `receive`.
    pub receive_filled: AtomicU64,
    /// Bytes that the monitor took out of `send`.
    pub send_taken: AtomicU64,
    /// 0, or how receiving ended behind those bytes: [`RECEIVE_ENDED`], or an errno
    /// that the next receive reports, once.
    pub receive_end: AtomicU32,
    /// 0, or the errno with which the host refused what was in `send`; the rest of it is lost.
    pub send_error: AtomicU32,
    /// Not 0 once the socket is closed: the rings are the libOS's again.
    pub closed: AtomicU32,
    /// Unused.
    pub monitor_reserved: [u32; 25],
    /// Bytes that the libOS put into `send`.
    pub send_filled: AtomicU64,
    /// Bytes that the libOS took out of `receive`.
    pub receive_taken: AtomicU64,
    /// Not 0 to have the socket closed behind what is in `send`, when the monitor next looks
    /// at `pending`: as [`crate::call::SOCKET_CLOSE`] does it, without a call.
    pub closing: AtomicU32,
    /// Unused.
    pub libos_reserved: [u32; 27],
    /// From the host.
    pub receive: [AtomicU8; RING_BYTES],
    /// To the host.
    pub send: [AtomicU8; RING_BYTES],
}

/// [`StreamRings::receive_end`]: the other end sent its last byte.
pub const RECEIVE_ENDED: u32 = u32::MAX;

/// An address, as the monitor writes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SocketAddress {
    /// Bytes in use, 0 for none.
    pub len_bytes: u32,
    /// `struct sockaddr_in` or `sockaddr_in6`.
    pub bytes: [u8; ADDRESS_MAX_BYTES],
}

/// Most pieces of one [`crate::call::SOCKET_SEND_PIECES`].
pub const PIECES_MAX: usize = 128;

/// Bytes of guest memory that lie together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Piece {
    /// Guest-physical address.
    pub gpa: u64,
    /// How many.
    pub len_bytes: u64,
}

/// Most connections that one [`crate::call::SOCKET_ACCEPT_STREAMS`] takes.
pub const ACCEPTED_MAX: usize = 8;

/// A connection that was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Accepted {
    /// From the libOS: guest-physical address of [`StreamRings`] for it, or 0 for none.
    pub rings: u64,
    /// Its handle.
    pub handle: u32,
    /// Unused.
    pub reserved: u32,
    /// Address of the other end.
    pub from: SocketAddress,
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

const _: () = assert!(size_of::<SocketTable>() == 69_760);
const _: () = assert!(offset_of!(SocketTable, summary) == 64);
const _: () = assert!(offset_of!(SocketTable, changed) == 96);
const _: () = assert!(offset_of!(SocketTable, pending_summary) == 2144);
const _: () = assert!(offset_of!(SocketTable, pending) == 2176);
const _: () = assert!(offset_of!(SocketTable, ready) == 4224);
const _: () = assert!(size_of::<StreamRings>() == 16_384);
const _: () = assert!(offset_of!(StreamRings, send_filled) == 128);
const _: () = assert!(offset_of!(StreamRings, receive) == 256);
const _: () = assert!(offset_of!(StreamRings, send) == 8320);
const _: () = assert!(size_of::<SocketAddress>() == 32);
const _: () = assert!(size_of::<Accepted>() == 48);
const _: () = assert!(size_of::<Sending>() == 240);
const _: () = assert!(offset_of!(Sending, control) == 40);
const _: () = assert!(size_of::<Received>() == 240);
const _: () = assert!(offset_of!(Received, control) == 40);
