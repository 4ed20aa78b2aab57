//! Hypercalls: arguments in the vCPU's call page, the number in EAX by `out` to
//! [`PORT`]. The vCPU continues after the `out` with `status` filled in.
//!
//! A status is a value ≥ 0 or a negated Linux errno. Buffers are guest-physical
//! ranges inside one arena. The monitor reads the call page once, copies it,
//! then checks it: an argument that cannot be right (wild address, unknown
//! number, another port) ends the guest with a typed fault.

use core::mem::{offset_of, size_of};

/// The one I/O port that ring 3 may use, with a 4-byte `out`.
pub const PORT: u16 = 0x10;

/// Write bytes to the log. `[stream, gpa, len]` → bytes written (all of them), or
/// what the host's log gave: -EPIPE when its reader went away, -ENOSPC and so on.
pub const LOG: u32 = 1;
/// End the guest. `[reason, code, stats_gpa, stats_len]`, see [`crate::exit`];
/// stats may be 0, 0. Does not return.
pub const EXIT: u32 = 2;
/// Write a crash record (UTF-8 text, several lines) to the log. `[gpa, len]` → 0.
pub const RECORD: u32 = 3;
/// Add an arena. `[bytes]` (a multiple of 2 MiB) → its guest-physical address,
/// or -ENOMEM past the limit. The arena is zero.
pub const MEMORY_ADD: u32 = 4;
/// Give a page-aligned range of an arena back; it reads as zero afterwards. `[gpa, len]` → 0.
pub const MEMORY_RELEASE: u32 = 5;
/// Block this vCPU. `[deadline_ns, interest, period_ns, timer_ns]`: CLOCK_MONOTONIC, `u64::MAX` for
/// none; → `EVENT_*` bits that are pending (0 at the deadline). One that has passed
/// gives the host's CPU to other threads that want it.
pub const WAIT: u32 = 6;
/// Fill a range with host randomness. `[gpa, len]`, at most 4096 → 0.
pub const ENTROPY: u32 = 7;
/// Map one window of the unikernel file. `[index]` → 0.
pub const ROOTFS_MAP: u32 = 8;
/// Read standard input. `[gpa, len, nonblock]` → bytes, 0 at its end, -EAGAIN,
/// -EINTR when a signal came first.
pub const STDIN_READ: u32 = 9;

/// Start another vCPU. `[index, rip, rsp, rdi]`: it begins at `rip` in ring 3 with
/// that stack pointer and argument and GS at its block → 0, or what the host said
/// where it has no thread or KVM no vCPU left. Each index can be started once.
pub const VCPU_START: u32 = 10;
/// Call vCPUs. `[mask]`, a bit for each index → 0. [`WAIT`] of theirs returns with
/// [`EVENT_KICK`], now or the next time; those that run the program get an upcall.
pub const VCPU_KICK: u32 = 11;
/// Make vCPUs forget their translations. `[mask]` → 0 when each of them that ran
/// guest code has left it since the call began; it flushes before it goes on. Also
/// a memory barrier on each.
pub const VCPU_FLUSH: u32 = 12;
/// Set this vCPU's timer. `[deadline_ns, period_ns]`: CLOCK_MONOTONIC, `u64::MAX` for
/// none, and the time between ticks, 0 for none. Either ends in an upcall, or in
/// [`EVENT_KICK`] where the vCPU waits. Replaces the last setting → 0.
pub const TIMER: u32 = 13;

/// Give the table of sockets, once, before the first socket. `[gpa]` (page-aligned,
/// in one arena) → 0, or -EACCES where the guest has no network.
pub const SOCKET_TABLE: u32 = 14;
/// Open a socket. `[family, type, protocol]` → handle, or -EMFILE at the limit.
pub const SOCKET_OPEN: u32 = 15;
/// Close a socket. `[handle]` → 0. What was sent still goes out.
pub const SOCKET_CLOSE: u32 = 16;
/// Give it a name. `[handle, gpa, len]` → 0.
pub const SOCKET_BIND: u32 = 17;
/// Let others connect. `[handle, backlog]` → 0.
pub const SOCKET_LISTEN: u32 = 18;
/// Take the next connection. `[handle, gpa of a SocketAddress]` → its handle.
pub const SOCKET_ACCEPT: u32 = 19;
/// Connect. `[handle, gpa, len]`; AF_UNSPEC ends a datagram socket's connection → 0.
pub const SOCKET_CONNECT: u32 = 20;
/// Send. `[handle, gpa, len, flags, gpa of a Sending or 0]` → bytes.
pub const SOCKET_SEND: u32 = 21;
/// Receive. `[handle, gpa, len, flags, gpa of a Received or 0]` → bytes; with
/// MSG_TRUNC, of a datagram its whole length.
pub const SOCKET_RECEIVE: u32 = 22;
/// End directions. `[handle, how]` → 0.
pub const SOCKET_SHUTDOWN: u32 = 23;
/// An address. `[handle, NAME_*, gpa of a SocketAddress]` → 0.
pub const SOCKET_NAME: u32 = 24;
/// Read an option. `[handle, level, name, gpa, len]` → bytes of its value.
pub const SOCKET_OPTION_GET: u32 = 25;
/// Set an option. `[handle, level, name, gpa, len]` → 0.
pub const SOCKET_OPTION_SET: u32 = 26;
/// Bytes in a queue. `[handle, QUEUED_*]` → bytes.
pub const SOCKET_QUEUED: u32 = 27;
/// Interfaces, addresses and routes of the namespace. `[DUMP_*, family, gpa, len]` → bytes of
/// the rtnetlink messages of such a dump, or -ENOBUFS where they are more.
pub const ROUTE_DUMP: u32 = 28;

/// Give a connection rings. `[handle, gpa of StreamRings]`, once, in one arena → 0. They are the
/// monitor's to use until [`SOCKET_CLOSE`], or until it shows that the socket is closed.
pub const SOCKET_STREAM: u32 = 29;
/// Do now what the I/O thread does: send, receive and close for the handles of `pending`. `[]` → 0.
pub const SOCKET_SERVE: u32 = 30;
/// Take connections that wait, with rings. `[handle, gpa of Accepteds, how many]` (at most
/// [`crate::socket::ACCEPTED_MAX`]) → how many were taken, at least one.
pub const SOCKET_ACCEPT_STREAMS: u32 = 31;
/// Serve FUSE messages of a volume. `[volume, request gpa, request len, reply gpa,
/// reply room, data gpa]` → bytes of the replies, see [`crate::volume`].
pub const VOLUME_CALL: u32 = 32;
/// Watch a node of a volume. `[volume, node, IN_* mask]` → the watch's number, the
/// same again for the same node; mask 0 ends the watch.
pub const VOLUME_WATCH: u32 = 33;
/// Take what happened to watched nodes. `[gpa, len]` → bytes of [`crate::volume::Event`]s,
/// each with its name, padded to 8. [`crate::shared::SharedPage::volume_events`] says when.
pub const VOLUME_EVENTS: u32 = 34;

/// Send bytes where they are. `[handle, gpa of Pieces, how many]` (at most
/// [`crate::socket::PIECES_MAX`], of [`crate::socket::TRANSFER_MAX_BYTES`] together) → bytes.
pub const SOCKET_SEND_PIECES: u32 = 35;

/// The program is loaded and runs next; once, with [`crate::boot::FLAG_TELL_START`]. `[]` → 0.
pub const STARTED: u32 = 36;

/// [`WAIT`]: standard input has bytes or has ended.
pub const EVENT_STDIN: u64 = 1 << 0;
/// [`WAIT`]: a signal came from outside ([`crate::shared::SharedPage::signals`]).
pub const EVENT_SIGNAL: u64 = 1 << 1;
/// [`WAIT`]: another vCPU called ([`VCPU_KICK`]), or the timer ran out.
pub const EVENT_KICK: u64 = 1 << 2;
/// [`WAIT`], with the interest: the vCPU's [`TIMER`] is none meanwhile. Once the wait ends it
/// ticks by `period_ns` (0 for none), and where the wait did not end by its deadline it is set
/// to `timer_ns` (`u64::MAX` for none). Each would cost a call of its own.
pub const WAIT_SETS_TIMER: u64 = 1 << 63;

/// [`WAIT`]: the readiness of a socket changed ([`crate::socket::SocketTable`]).
pub const EVENT_SOCKET: u64 = 1 << 3;

/// Most bytes of one [`LOG`] or [`RECORD`].
pub const LOG_MAX_BYTES: u64 = 1 << 20;

/// Arguments of one hypercall and its status.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct CallPage {
    /// Arguments; unused ones are ignored.
    pub args: [u64; 6],
    /// Value or negated errno, written by the monitor.
    pub status: i64,
}

const _: () = assert!(size_of::<CallPage>() == 56);
const _: () = assert!(offset_of!(CallPage, status) == 48);
