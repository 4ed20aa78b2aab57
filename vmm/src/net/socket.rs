//! One socket, and what the guest's calls do with it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::slice;
use std::sync::atomic::Ordering;

use unikiln_abi::socket::{
    Accepted, NAME_LOCAL, NAME_PEER, OPTION_MAX_BYTES, QUEUED_RECEIVE, QUEUED_SEND, Received,
    Sending, SocketAddress,
};

use super::policy::{Mode, check_control, keep_local, kind, place, receive_flags, send_flags};
use super::ports::{PortMapping, Protocol};
use super::rings::Rings;
use super::{Counters, Network, address, errno, host, options, ports};
use crate::memory::GuestSlice;

/// Lines of the log that a guest's network may fill.
const NOTES_MAX: u64 = 16;

/// A host socket.
#[derive(Debug)]
pub(super) struct Socket {
    fd: OwnedFd,
    family: i32,
    protocol: Protocol,
    /// The port that the guest asked for, where the host's is another.
    guest_port: Option<u16>,
    /// The port that the guest asked for; 0 where the kernel chose.
    asked_port: u16,
    is_published: bool,
    is_local: bool,
    /// Where bytes go without a call for each.
    pub(super) rings: Option<Rings>,
}

/// What a call leaves to be said in the log.
pub(crate) type Note = Option<String>;

impl Socket {
    pub(super) fn new(fd: OwnedFd, family: i32, protocol: Protocol) -> Self {
        Self {
            fd,
            family,
            protocol,
            guest_port: None,
            asked_port: 0,
            is_published: false,
            is_local: false,
            rings: None,
        }
    }

    fn keep_local(&mut self) -> io::Result<()> {
        if !self.is_local {
            keep_local(self.fd())?;
        }
        self.is_local = true;
        Ok(())
    }

    /// Whether it is of IPv6 and was told (IPV6_V6ONLY) to leave IPv4 to another.
    fn takes_ipv6_only(&self) -> io::Result<bool> {
        if self.family != libc::AF_INET6 {
            return Ok(false);
        }
        let mut value = [0; 4];
        let (level, name) = (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY);
        host::option(self.fd(), level, name, &mut value)?;
        Ok(value != [0; 4])
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn is_stream(&self) -> bool {
        self.protocol == Protocol::Tcp
    }

    /// Whether SO_LINGER has a time, and which.
    fn linger(&self) -> Option<[u8; 4]> {
        let mut linger = [0; 8];
        let (level, name) = (libc::SOL_SOCKET, libc::SO_LINGER);
        host::option(self.fd(), level, name, &mut linger).ok()?;
        let [on @ .., a, b, c, d] = linger;
        (on != [0; 4]).then_some([a, b, c, d])
    }

    /// Whether closing drops what was not sent (a time of 0).
    pub(super) fn is_aborted_by_close(&self) -> bool {
        self.linger() == Some([0; 4])
    }
}

impl Drop for Socket {
    /// Closing must not wait for the other end, whatever SO_LINGER says; an abort
    /// (a time of 0) stays one.
    fn drop(&mut self) {
        if self.is_stream() && self.linger().is_some_and(|time| time != [0; 4]) {
            // It was just read, so it can be set.
            let (level, name) = (libc::SOL_SOCKET, libc::SO_LINGER);
            let _ = host::set_option(self.fd(), level, name, &[0; 8]);
        }
    }
}

impl Network {
    /// SOCKET_OPEN.
    pub(crate) fn open(&self, family: u64, of_kind: u64, protocol: u64) -> io::Result<i64> {
        let (family, of_protocol) = kind(family, of_kind, protocol)?;
        let handle = self.table.insert(|| {
            let fd = host::socket(family, of_kind as i32, protocol as i32)?;
            Ok(Socket::new(fd, family, of_protocol))
        })?;
        Counters::add(&self.counters.opened, 1);
        Ok(handle as i64)
    }

    /// SOCKET_CLOSE.
    pub(crate) fn close(&self, handle: u64) -> io::Result<i64> {
        self.table.close(handle).map(|()| 0)
    }

    /// SOCKET_STREAM.
    pub(crate) fn stream(&self, handle: u64, gpa: u64) -> io::Result<i64> {
        self.table.with(handle, |socket| {
            self.table.give_rings(socket, gpa).map(|()| 0)
        })
    }

    /// SOCKET_SERVE.
    pub(crate) fn serve(&self) -> io::Result<i64> {
        self.table.serve_now();
        Ok(0)
    }

    /// SOCKET_BIND.
    pub(crate) fn bind(&self, handle: u64, guest: &SocketAddress) -> (io::Result<i64>, Note) {
        let mut note = None;
        let result = self.table.with(handle, |socket| {
            let guest = address::decode(guest, socket.family)?;
            let ipv6_only = socket.takes_ipv6_only()?;
            let place = place(&self.mode, &self.ports, socket.protocol, guest, ipv6_only)?;
            if let Err(error) = host::bind(socket.fd(), &address::encode(place.address)) {
                note = refused_note(&error, place.address, place.mapping, socket.protocol);
                return Err(error);
            }
            if place.is_local {
                socket.keep_local()?;
                note = Some(local_note(guest.port(), socket.protocol));
            }
            socket.asked_port = guest.port();
            socket.is_published = place.mapping.is_some();
            socket.guest_port = place.mapping.map(|mapping| mapping.guest);
            Ok(0)
        });
        (result, self.limited(note))
    }

    /// SOCKET_LISTEN.
    pub(crate) fn listen(&self, handle: u64, backlog: u64) -> (io::Result<i64>, Note) {
        let mut note = None;
        let result = self.table.with(handle, |socket| {
            let is_limited = self.mode == Mode::Published
                && socket.protocol == Protocol::Tcp
                && !socket.is_published;
            if is_limited {
                let own = address::read(&host::name(socket.fd(), false)?);
                if !own.is_some_and(address::is_loopback) {
                    socket.keep_local()?;
                    if socket.asked_port != 0 {
                        note = Some(local_note(socket.asked_port, socket.protocol));
                    }
                }
            }
            let backlog = i32::try_from(backlog as i64).unwrap_or(i32::MAX);
            let listening = host::listen(socket.fd(), backlog);
            if let Err(error) = &listening {
                let own = address::read(&host::name(socket.fd(), false)?);
                note = own.and_then(|own| refused_note(error, own, None, socket.protocol));
            }
            listening.map(|()| 0)
        });
        (result, self.limited(note))
    }

    /// SOCKET_ACCEPT.
    pub(crate) fn accept(&self, handle: u64) -> io::Result<(i64, SocketAddress)> {
        let (accepted, peer) = self.take_connection(handle, 0)?;
        Ok((accepted as i64, peer))
    }

    /// SOCKET_ACCEPT_STREAMS: fills in those that were taken.
    pub(crate) fn accept_streams(&self, handle: u64, room: &mut [Accepted]) -> io::Result<i64> {
        let mut count = 0;
        for place in room {
            match self.take_connection(handle, place.rings) {
                Ok((accepted, from)) => {
                    (place.handle, place.from) = (accepted as u32, from);
                    count += 1;
                }
                Err(error) if count == 0 => return Err(error),
                // The next call reports it.
                Err(_) => break,
            }
            // The last one made the word anew.
            if self.table.word(handle as usize) & libc::POLLIN as u32 == 0 {
                break;
            }
        }
        Ok(count)
    }

    /// Takes a connection, with rings at `gpa` where that is not 0.
    fn take_connection(&self, handle: u64, gpa: u64) -> io::Result<(usize, SocketAddress)> {
        let mut peer = SocketAddress::default();
        let accepted = self.table.insert(|| {
            self.table.with(handle, |listener| {
                let (fd, from) = host::accept(listener.fd())?;
                peer = from;
                // What lets the listener be reached is not inherited: a connection can be
                // taken apart and made a listener of its own.
                let mut socket = Socket::new(fd, listener.family, listener.protocol);
                socket.guest_port = listener.guest_port;
                if gpa != 0 {
                    self.table.attach_rings(&mut socket, gpa);
                }
                Ok(socket)
            })
        })?;
        Counters::add(&self.counters.opened, 1);
        Ok((accepted, peer))
    }

    /// SOCKET_CONNECT.
    pub(crate) fn connect(&self, handle: u64, to: &SocketAddress) -> io::Result<i64> {
        check_family(to)?;
        self.table.with(handle, |socket| {
            host::connect(socket.fd(), &self.outward(socket.protocol, to)).map(|()| 0)
        })
    }

    /// SOCKET_SEND, SOCKET_SEND_PIECES.
    pub(crate) fn send(
        &self,
        handle: u64,
        bytes: &[GuestSlice<'_>],
        flags: u64,
        mut beside: Option<Sending>,
    ) -> io::Result<i64> {
        if let Some(beside) = &beside {
            if beside.to.len_bytes != 0 {
                check_family(&beside.to)?;
            }
            check_control(beside)?;
        }
        let flags = send_flags(flags);
        let sent = self.table.with(handle, |socket| {
            if let Some(beside) = &mut beside {
                beside.to = self.outward(socket.protocol, &beside.to);
            }
            self.table.drain_before(handle, socket)?;
            host::send(socket.fd(), bytes, flags, beside.as_ref())
        })?;
        Counters::add(&self.counters.sent_bytes, sent);
        Ok(sent as i64)
    }

    /// SOCKET_RECEIVE.
    pub(crate) fn receive(
        &self,
        handle: u64,
        bytes: &GuestSlice<'_>,
        flags: u64,
        mut beside: Option<&mut Received>,
    ) -> io::Result<i64> {
        let flags = receive_flags(flags);
        let count = self.table.with(handle, |socket| {
            if flags & (libc::MSG_OOB | libc::MSG_ERRQUEUE) == 0 {
                self.table.check_received(handle, socket)?;
            }
            let pieces = slice::from_ref(bytes);
            let count = host::receive(socket.fd(), pieces, flags, beside.as_deref_mut())?;
            if let Some(beside) = beside {
                beside.from = self.inward(socket.protocol, beside.from);
            }
            Ok(count)
        })?;
        if flags & libc::MSG_PEEK == 0 {
            Counters::add(&self.counters.received_bytes, count.min(bytes.len()));
        }
        Ok(count as i64)
    }

    /// SOCKET_SHUTDOWN.
    pub(crate) fn shutdown(&self, handle: u64, how: u64) -> io::Result<i64> {
        let how = i32::try_from(how).map_err(|_| errno(libc::EINVAL))?;
        self.table.with(handle, |socket| {
            self.table.shutdown(handle, socket, how).map(|()| 0)
        })
    }

    /// SOCKET_NAME. A published port is shown as the guest knows it.
    pub(crate) fn name(&self, handle: u64, which: u64) -> io::Result<SocketAddress> {
        let name = self.table.with(handle, |socket| match which {
            NAME_PEER => {
                let peer = host::name(socket.fd(), true)?;
                Ok(self.inward(socket.protocol, peer))
            }
            NAME_LOCAL => {
                let own = host::name(socket.fd(), false)?;
                Ok(match (socket.guest_port, address::read(&own)) {
                    (Some(port), Some(mut shown)) => {
                        shown.set_port(port);
                        address::encode(shown)
                    }
                    _ => own,
                })
            }
            _ => Err(errno(libc::EINVAL)),
        });
        if let Err(error) = &name
            && error.raw_os_error() == Some(libc::ENOTCONN)
        {
            self.table.show_end(handle);
        }
        name
    }

    /// SOCKET_OPTION_GET: the value's bytes, at most `len_bytes`.
    pub(crate) fn option(
        &self,
        handle: u64,
        level: u64,
        name: u64,
        len_bytes: u64,
    ) -> io::Result<([u8; OPTION_MAX_BYTES as usize], usize)> {
        let (level, name, most) = options::readable(level, name)?;
        let mut value = [0; OPTION_MAX_BYTES as usize];
        let len = usize::try_from(len_bytes).unwrap_or(most).min(most);
        let len = self.table.with(handle, |socket| {
            let part = value.get_mut(..len).unwrap_or_default();
            host::option(socket.fd(), level, name, part)
        })?;
        Ok((value, len))
    }

    /// SOCKET_OPTION_SET.
    pub(crate) fn set_option(
        &self,
        handle: u64,
        level: u64,
        name: u64,
        value: &[u8],
    ) -> io::Result<i64> {
        let (level, name, most) = options::settable(level, name)?;
        let value = value.get(..most).unwrap_or(value);
        self.table.with(handle, |socket| {
            host::set_option(socket.fd(), level, name, value).map(|()| 0)
        })
    }

    /// SOCKET_QUEUED.
    pub(crate) fn queued(&self, handle: u64, which: u64) -> io::Result<i64> {
        let request = match which {
            QUEUED_RECEIVE => libc::FIONREAD,
            QUEUED_SEND => libc::TIOCOUTQ,
            _ => return Err(errno(libc::EINVAL)),
        };
        self.table.with(handle, |socket| {
            host::queued(socket.fd(), request).map(i64::from)
        })
    }

    /// An address that the guest connects to, as it is on the host.
    fn outward(&self, protocol: Protocol, to: &SocketAddress) -> SocketAddress {
        address::read(to)
            .and_then(|to| ports::outward(&self.ports, protocol, to))
            .map_or(*to, address::encode)
    }

    /// The address of another end, as the guest knows it.
    fn inward(&self, protocol: Protocol, from: SocketAddress) -> SocketAddress {
        address::read(&from)
            .and_then(|from| ports::inward(&self.ports, protocol, from))
            .map_or(from, address::encode)
    }

    /// A guest that provokes lines without end gets the first ones.
    fn limited(&self, note: Note) -> Note {
        note.filter(|_| self.notes.fetch_add(1, Ordering::Relaxed) < NOTES_MAX)
    }
}

/// The kernel checks the rest of an address that is only connected or sent to.
fn check_family(address: &SocketAddress) -> io::Result<()> {
    match address::family(address) {
        Some(libc::AF_INET | libc::AF_INET6 | libc::AF_UNSPEC) => Ok(()),
        Some(_) => Err(errno(libc::EAFNOSUPPORT)),
        None => Err(errno(libc::EINVAL)),
    }
}

fn local_note(port: u16, protocol: Protocol) -> String {
    format!(
        "unikiln: network: only this machine reaches port {port}/{protocol} of the program; \
         publish it with -p {port}:{port}{}, or give the program the host's whole network with \
         --network host\n",
        suffix(protocol)
    )
}

fn suffix(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "",
        Protocol::Udp => "/udp",
    }
}

/// Why the host refuses a port: the guest only sees the error's number.
fn refused_note(
    error: &io::Error,
    address: SocketAddr,
    mapping: Option<PortMapping>,
    protocol: Protocol,
) -> Note {
    let published = mapping.map_or_else(String::new, |mapping| format!(" (-p {mapping})"));
    let why = match error.raw_os_error()? {
        libc::EADDRINUSE => "is in use on this host".to_owned(),
        libc::EACCES => {
            "is for the host's root; publish another with -p, or see net.ipv4.ip_unprivileged_port_start"
                .to_owned()
        }
        _ if mapping.is_some() => format!("cannot be bound at {}: {error}", address.ip()),
        _ => return None,
    };
    let port = address.port();
    Some(format!(
        "unikiln: network: port {port}/{protocol}{published} {why}\n"
    ))
}
