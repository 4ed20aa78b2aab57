//! Socket calls of the host, each one system call, none of which blocks.
//!
//! Sockets are non-blocking and close-on-exec from their first moment, and no
//! send raises SIGPIPE. Bytes go between the socket and guest memory directly:
//! a [`GuestSlice`] lies inside a mapping that outlives it, and the kernel
//! copies whatever is there at that moment, which no Rust reference sees.

#![expect(
    unsafe_code,
    reason = "socket calls take pointers; each is valid through its call"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use unikiln_abi::socket::{ADDRESS_MAX_BYTES, CONTROL_MAX_BYTES, Received, Sending, SocketAddress};

use crate::memory::GuestSlice;

/// What poll(2) is asked for; errors and hang-ups come unasked.
const POLL_EVENTS: i16 = libc::POLLIN
    | libc::POLLPRI
    | libc::POLLOUT
    | libc::POLLRDHUP
    | libc::POLLRDNORM
    | libc::POLLRDBAND
    | libc::POLLWRNORM
    | libc::POLLWRBAND;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

fn check_count(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Takes a descriptor that a call just returned.
fn owned(result: libc::c_int) -> io::Result<OwnedFd> {
    let fd: RawFd = check(result)?;
    // SAFETY: the descriptor is new, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

pub(super) fn socket(family: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    let kind = kind | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers.
    owned(unsafe { libc::socket(family, kind, protocol) })
}

pub(super) fn bind(fd: BorrowedFd<'_>, address: &SocketAddress) -> io::Result<()> {
    let (pointer, len) = sockaddr(address);
    // SAFETY: `len` bytes at `pointer` belong to `address`.
    check(unsafe { libc::bind(fd.as_raw_fd(), pointer, len) }).map(drop)
}

pub(super) fn connect(fd: BorrowedFd<'_>, address: &SocketAddress) -> io::Result<()> {
    let (pointer, len) = sockaddr(address);
    // SAFETY: `len` bytes at `pointer` belong to `address`.
    check(unsafe { libc::connect(fd.as_raw_fd(), pointer, len) }).map(drop)
}

pub(super) fn listen(fd: BorrowedFd<'_>, backlog: i32) -> io::Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::listen(fd.as_raw_fd(), backlog) }).map(drop)
}

pub(super) fn accept(fd: BorrowedFd<'_>) -> io::Result<(OwnedFd, SocketAddress)> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    let mut address = SocketAddress::default();
    let mut len = ADDRESS_MAX_BYTES as libc::socklen_t;
    let pointer = address.bytes.as_mut_ptr().cast();
    // SAFETY: `len` bytes at `pointer` belong to `address`, and the kernel writes no more.
    let fd = owned(unsafe { libc::accept4(fd.as_raw_fd(), pointer, &raw mut len, flags) })?;
    address.len_bytes = len.min(ADDRESS_MAX_BYTES as u32);
    Ok((fd, address))
}

pub(super) fn shutdown(fd: BorrowedFd<'_>, how: i32) -> io::Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::shutdown(fd.as_raw_fd(), how) }).map(drop)
}

/// The socket's own address, or the other end's.
pub(super) fn name(fd: BorrowedFd<'_>, is_peer: bool) -> io::Result<SocketAddress> {
    let mut address = SocketAddress::default();
    let mut len = ADDRESS_MAX_BYTES as libc::socklen_t;
    let pointer = address.bytes.as_mut_ptr().cast();
    // SAFETY: `len` bytes at `pointer` belong to `address`, and the kernel writes no more.
    check(unsafe {
        if is_peer {
            libc::getpeername(fd.as_raw_fd(), pointer, &raw mut len)
        } else {
            libc::getsockname(fd.as_raw_fd(), pointer, &raw mut len)
        }
    })?;
    address.len_bytes = len.min(ADDRESS_MAX_BYTES as u32);
    Ok(address)
}

/// Reads an option into `value`; its bytes.
pub(super) fn option(
    fd: BorrowedFd<'_>,
    level: i32,
    name: i32,
    value: &mut [u8],
) -> io::Result<usize> {
    let mut len = value.len() as libc::socklen_t;
    let pointer = value.as_mut_ptr().cast();
    // SAFETY: `len` bytes at `pointer` belong to `value`, and the kernel writes no more.
    check(unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, pointer, &raw mut len) })?;
    Ok((len as usize).min(value.len()))
}

pub(super) fn set_option(
    fd: BorrowedFd<'_>,
    level: i32,
    name: i32,
    value: &[u8],
) -> io::Result<()> {
    let len = value.len() as libc::socklen_t;
    let pointer = value.as_ptr().cast();
    // SAFETY: `len` bytes at `pointer` belong to `value`; the options let through
    // hold plain values, no pointers.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, pointer, len) }).map(drop)
}

/// Bytes in a queue; `request` is `FIONREAD` or `TIOCOUTQ`.
pub(super) fn queued(fd: BorrowedFd<'_>, request: libc::c_ulong) -> io::Result<i32> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: both requests write one int.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), request, &raw mut bytes) })?;
    Ok(bytes)
}

/// The socket's `POLL*` bits now.
pub(super) fn readiness(fd: BorrowedFd<'_>) -> u32 {
    let mut poll = libc::pollfd {
        fd: fd.as_raw_fd(),
        events: POLL_EVENTS,
        revents: 0,
    };
    // SAFETY: `poll` lives through the call. It cannot fail without a wait.
    unsafe { libc::poll(&raw mut poll, 1, 0) };
    u32::from(poll.revents as u16)
}

/// Guest memory as the kernel takes it.
fn vectors(pieces: &[GuestSlice<'_>]) -> Vec<libc::iovec> {
    let vector = |piece: &GuestSlice<'_>| libc::iovec {
        iov_base: piece.ptr_guard_mut().as_ptr().cast(),
        iov_len: piece.len(),
    };
    pieces.iter().map(vector).collect()
}

/// Sends bytes of the monitor's own.
pub(super) fn send_bytes(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the kernel reads `bytes`, with their length.
    check_count(unsafe { libc::send(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) })
}

/// Sends guest memory, with an address and control messages where they are given.
pub(super) fn send(
    fd: BorrowedFd<'_>,
    pieces: &[GuestSlice<'_>],
    flags: i32,
    beside: Option<&Sending>,
) -> io::Result<usize> {
    let flags = flags | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    let mut vectors = vectors(pieces);
    // SAFETY: all-zero is a valid value of this plain structure.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = vectors.as_mut_ptr();
    message.msg_iovlen = vectors.len();
    if let Some(beside) = beside {
        let (name, len) = sockaddr(&beside.to);
        if len != 0 {
            message.msg_name = name.cast_mut().cast();
            message.msg_namelen = len;
        }
        let control_bytes = (beside.control_bytes as usize).min(CONTROL_MAX_BYTES);
        if control_bytes != 0 {
            message.msg_control = beside.control.as_ptr().cast_mut().cast();
            message.msg_controllen = control_bytes;
        }
    }
    // SAFETY: see the module documentation for the bytes; name and control lie in
    // `beside` with the lengths given, and the kernel only reads them.
    check_count(unsafe { libc::sendmsg(fd.as_raw_fd(), &raw const message, flags) })
}

/// Receives into guest memory, and what comes beside the bytes into `beside`.
pub(super) fn receive(
    fd: BorrowedFd<'_>,
    pieces: &[GuestSlice<'_>],
    flags: i32,
    mut beside: Option<&mut Received>,
) -> io::Result<usize> {
    let flags = flags | libc::MSG_DONTWAIT;
    let mut vectors = vectors(pieces);
    // SAFETY: all-zero is a valid value of this plain structure.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = vectors.as_mut_ptr();
    message.msg_iovlen = vectors.len();
    if let Some(beside) = &mut beside {
        message.msg_name = beside.from.bytes.as_mut_ptr().cast();
        message.msg_namelen = ADDRESS_MAX_BYTES as libc::socklen_t;
        message.msg_control = beside.control.as_mut_ptr().cast();
        message.msg_controllen = CONTROL_MAX_BYTES;
    }
    // SAFETY: see the module documentation for the bytes; name and control lie in
    // `beside` with the lengths given, and the kernel writes no more.
    let count = check_count(unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, flags) })?;
    if let Some(beside) = beside {
        beside.from.len_bytes = message.msg_namelen.min(ADDRESS_MAX_BYTES as u32);
        beside.control_bytes = message.msg_controllen.min(CONTROL_MAX_BYTES) as u32;
        beside.flags = message.msg_flags as u32;
    }
    Ok(count)
}

/// Raises the limit of open files as far as it goes; what it is then.
pub(super) fn raise_file_limit() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` lives through both calls; where one fails the other limit stays.
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        let highest = libc::rlimit {
            rlim_cur: limit.rlim_max,
            ..limit
        };
        if libc::setrlimit(libc::RLIMIT_NOFILE, &raw const highest) == 0 {
            limit = highest;
        }
    }
    limit.rlim_cur
}

/// Moves the calling thread, and those that it starts later, to a network namespace.
pub(super) fn enter_namespace(namespace: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }).map(drop)
}

pub(super) fn epoll() -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })
}

/// Whether the kernel has `epoll_pwait2` (Linux 5.11): no events are asked for, which
/// is an error of its own.
pub(super) fn has_epoll_pwait2(epoll: BorrowedFd<'_>) -> bool {
    let no_events = std::ptr::null_mut::<libc::epoll_event>();
    let no_time = std::ptr::null::<libc::timespec>();
    let no_mask = std::ptr::null::<libc::sigset_t>();
    // SAFETY: with room for 0 events the kernel refuses and writes nothing.
    unsafe {
        libc::syscall(
            libc::SYS_epoll_pwait2,
            epoll.as_raw_fd(),
            no_events,
            0,
            no_time,
            no_mask,
            8usize,
        )
    };
    io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL)
}

/// Watches a descriptor; it is forgotten when it is closed.
pub(super) fn watch(
    epoll: BorrowedFd<'_>,
    fd: BorrowedFd<'_>,
    events: i32,
    token: u64,
) -> io::Result<()> {
    control(epoll, fd, libc::EPOLL_CTL_ADD, events, token)
}

/// Watches a descriptor for something else, under another token.
pub(super) fn watch_anew(
    epoll: BorrowedFd<'_>,
    fd: BorrowedFd<'_>,
    events: i32,
    token: u64,
) -> io::Result<()> {
    control(epoll, fd, libc::EPOLL_CTL_MOD, events, token)
}

fn control(
    epoll: BorrowedFd<'_>,
    fd: BorrowedFd<'_>,
    operation: i32,
    events: i32,
    token: u64,
) -> io::Result<()> {
    let mut event = libc::epoll_event {
        events: events as u32,
        u64: token,
    };
    // SAFETY: `event` lives through the call.
    check(unsafe { libc::epoll_ctl(epoll.as_raw_fd(), operation, fd.as_raw_fd(), &raw mut event) })
        .map(drop)
}

/// Blocks until something that is watched changes, for at most this many ms (-1 for
/// ever); how many of `events` are filled in.
pub(super) fn wait(
    epoll: BorrowedFd<'_>,
    events: &mut [libc::epoll_event],
    timeout_ms: i32,
) -> io::Result<usize> {
    let count = events.len() as libc::c_int;
    let pointer = events.as_mut_ptr();
    // SAFETY: `events` has room for `count` of them.
    let filled = check(unsafe { libc::epoll_wait(epoll.as_raw_fd(), pointer, count, timeout_ms) })?;
    Ok(filled as usize)
}

/// An address as the kernel takes it; it never has more bytes than there are.
fn sockaddr(address: &SocketAddress) -> (*const libc::sockaddr, libc::socklen_t) {
    let len = address.len_bytes.min(ADDRESS_MAX_BYTES as u32);
    (address.bytes.as_ptr().cast(), len)
}
