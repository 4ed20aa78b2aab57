//! Serving sockets: bytes through rings, words of readiness, what the guest left
//! in `pending`, and the rest of closed sockets.
//!
//! Whoever is at it serves: the I/O thread, a vCPU that waits, a vCPU that calls.
//! A socket is served under its own lock, so its bytes keep their order.
//!
//! A guest whose counters cannot be right loses the connection at once and ends
//! with a fault, when its next vCPU comes by: vCPU 0 is called for it.

use std::collections::BTreeMap;
use std::io;
use std::mem::offset_of;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use unikiln_abi::call::EVENT_KICK;
use unikiln_abi::socket::{SOCKETS_MAX, SocketTable};

use super::rings::{BadCounter, Moved, Rings};
use super::socket::Socket;
use super::table::{NEWS, Table};
use super::{errno, host};
use crate::fault::GuestFault;
use crate::hypercall::lock;

const POLLIN: u32 = libc::POLLIN as u32;
const POLLPRI: u32 = libc::POLLPRI as u32;
const READABLE: u32 = (libc::POLLIN | libc::POLLRDNORM) as u32;
/// Changes of a connection that goes on.
const PLAIN: u32 = (libc::POLLIN | libc::POLLOUT) as u32;
/// Bits that poll alone takes back.
const TROUBLE: u32 =
    (libc::POLLERR | libc::POLLHUP | libc::POLLRDHUP | libc::POLLPRI | libc::POLLRDBAND) as u32;
/// Tokens of closed sockets; those of others are handles.
const CLOSED: u64 = 1 << 62;
/// Changes that a call takes along.
const EDGES: usize = 64;
const NO_EDGE: libc::epoll_event = libc::epoll_event { events: 0, u64: 0 };
/// How long the end of a guest waits until what it wrote has gone.
const LAST_DRAIN: Duration = Duration::from_secs(5);

/// Who serves: a vCPU that waits looks at the table by itself, others have it called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Server {
    Waiter,
    Other,
}

/// Closed sockets by token, with what they still have to send.
#[derive(Debug, Default)]
pub(super) struct Closed {
    sockets: BTreeMap<u64, Rest>,
    next: u64,
}

#[derive(Debug)]
struct Rest {
    socket: Socket,
    bytes: Vec<u8>,
    sent: usize,
}

impl Rest {
    /// Sends what the host takes; whether there is nothing left to do.
    fn send(&mut self) -> bool {
        while let Some(left @ [_, ..]) = self.bytes.get(self.sent..) {
            match host::send_bytes(self.socket.fd(), left) {
                Ok(count) => self.sent += count,
                Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
            }
        }
        true
    }
}

impl Table {
    /// Something that is watched changed; whether the guest has reason to look.
    pub(super) fn edge(&self, token: u64, events: u32, server: Server) -> bool {
        if token & CLOSED == 0 {
            return self.serve(token as usize, events, server);
        }
        let mut closed = lock(&self.closed);
        if closed.sockets.get_mut(&token).is_some_and(Rest::send) {
            closed.sockets.remove(&token);
        }
        false
    }

    /// Serves every handle of `pending`; whether the guest has reason to look.
    pub(super) fn serve_pending(&self, server: Server) -> bool {
        let mut is_news = false;
        for group in 0..SOCKETS_MAX / 64 / 64 {
            let summary = offset_of!(SocketTable, pending_summary) + 8 * group;
            for word in bits(self.take_bits(summary)) {
                let word = group * 64 + word;
                let pending = offset_of!(SocketTable, pending) + 8 * word;
                for bit in bits(self.take_bits(pending)) {
                    is_news |= self.serve(word * 64 + bit, 0, server);
                }
            }
        }
        is_news
    }

    /// A vCPU calls anyway: serves `pending`, and what changed meanwhile.
    pub(super) fn serve_now(&self) {
        self.serve_pending(Server::Other);
        let mut edges = [NO_EDGE; EDGES];
        let Some(open) = self.open.get() else {
            return;
        };
        let count = host::wait(open.epoll.as_fd(), &mut edges, 0).unwrap_or(0);
        for edge in edges.iter().take(count) {
            self.edge(edge.u64, edge.events, Server::Other);
        }
    }

    /// Takes the bits of a word; mostly there are none, and nothing is written.
    fn take_bits(&self, offset: usize) -> u64 {
        let take = |word: &AtomicU64| match word.load(Ordering::SeqCst) {
            0 => 0,
            _ => word.swap(0, Ordering::SeqCst),
        };
        self.table_word(offset, take).unwrap_or(0)
    }

    /// The guest is told that a connection has ended: what came before is in its ring first, and
    /// the end, too.
    pub(super) fn show_end(&self, handle: u64) {
        let Ok(handle) = usize::try_from(handle) else {
            return;
        };
        self.serve(handle, POLLIN, Server::Other);
    }

    /// Moves bytes and renews the word of one socket; whether the guest has reason to look.
    fn serve(&self, handle: usize, events: u32, server: Server) -> bool {
        let Ok(place) = self.find(handle) else {
            return false;
        };
        let mut place = lock(place);
        let is_closing = |socket: &mut Socket| {
            let rings = socket.rings.as_ref();
            rings.is_some_and(|rings| rings.is_closing(&self.memory))
        };
        self.traffic.store(true, Ordering::Relaxed);
        if let Some(socket) = place.take_if(is_closing) {
            self.store(handle, 0);
            drop(place);
            self.release(handle);
            // Nobody is left who could be told.
            let _ = self.end(socket);
            return false;
        }
        let Some(socket) = place.as_mut() else {
            return false;
        };
        let (is_moved, word) = self.transfer(socket, events, self.word(handle));
        let is_more = self.store(handle, word);
        // Without a ring, or where it is full, the host has the news.
        let is_at_host = socket.rings.is_none() || word & POLLIN != 0;
        let is_news = is_moved || is_more || (events & NEWS != 0 && is_at_host);
        is_news && self.announce(handle, server)
    }

    /// Moves bytes both ways; whether that is news, and the word afterwards. Poll is asked
    /// where the word cannot be known: a read that was short left nothing, a send that was
    /// whole left room, and what comes later makes an edge of its own.
    fn transfer(&self, socket: &mut Socket, events: u32, word: u32) -> (bool, u32) {
        let sent = self.drain(socket);
        let mut is_news = sent.is_news;
        // A receive would go past a byte that is urgent: the program takes it from the host first.
        let mut is_urgent = (events | word) & POLLPRI != 0;
        let mut is_there = events & POLLIN != 0 && !is_urgent;
        let is_plain = socket.rings.is_some() && !sent.is_short && events & !PLAIN == 0;
        if is_plain && !is_there && word & POLLIN == 0 && events == 0 {
            return (is_news, word);
        }
        loop {
            let received = match is_there && !is_urgent {
                true => self.fill(socket),
                false => Moved::default(),
            };
            let is_moved = received.is_news;
            is_news |= is_moved;
            if is_plain && received.is_short && word & TROUBLE == 0 {
                return (is_news, (word | events) & !READABLE);
            }
            let word = host::readiness(socket.fd());
            // What is there and was not moved has no room, or is no ring's.
            if word & POLLIN == 0 || (is_there && !is_moved) {
                return (is_news, word);
            }
            is_there = true;
            is_urgent = word & POLLPRI != 0;
        }
    }

    /// Sends what is in the send ring.
    fn drain(&self, socket: &mut Socket) -> Moved {
        let moved = self.with_rings(socket, |rings, fd| rings.drain(&self.memory, fd));
        let moved = moved.unwrap_or_default();
        add(&self.ring_sent_bytes, moved.bytes);
        moved
    }

    /// Receives into the receive ring.
    fn fill(&self, socket: &mut Socket) -> Moved {
        let moved = self.with_rings(socket, |rings, fd| rings.fill(&self.memory, fd));
        let moved = moved.unwrap_or_default();
        add(&self.ring_received_bytes, moved.bytes);
        moved
    }

    /// Does something with the rings of a socket that has any; where a counter of the
    /// guest's is wrong, the socket loses them and its connection.
    fn with_rings<T>(
        &self,
        socket: &mut Socket,
        act: impl FnOnce(&mut Rings, std::os::fd::BorrowedFd<'_>) -> Result<T, BadCounter>,
    ) -> Option<T> {
        let mut rings = socket.rings.take()?;
        match act(&mut rings, socket.fd()) {
            Ok(value) => {
                socket.rings = Some(rings);
                Some(value)
            }
            Err(BadCounter { name, value }) => {
                // A connection that is gone already needs no end.
                let _ = host::shutdown(socket.fd(), libc::SHUT_RDWR);
                // The first one is told.
                let _ = self.fault.set(GuestFault::RingCounter { name, value });
                self.vcpus.call(1, EVENT_KICK);
                None
            }
        }
    }

    /// What a guest did wrong to its rings.
    pub(super) fn fault(&self) -> Option<GuestFault> {
        self.fault.get().copied()
    }

    /// Gives a connection rings, and moves what is there already.
    pub(super) fn give_rings(&self, socket: &mut Socket, gpa: u64) -> io::Result<()> {
        if socket.rings.is_some() || !socket.is_stream() {
            return Err(errno(libc::EINVAL));
        }
        // ENOTCONN where there is no connection.
        host::name(socket.fd(), true)?;
        self.attach_rings(socket, gpa);
        Ok(())
    }

    /// The same for a connection that was just accepted.
    pub(super) fn attach_rings(&self, socket: &mut Socket, gpa: u64) {
        socket.rings = Some(Rings::new(gpa));
        self.transfer(socket, POLLIN, TROUBLE);
    }

    /// Before a send that goes past the ring: what is in the ring goes first.
    pub(super) fn drain_before(&self, handle: u64, socket: &mut Socket) -> io::Result<()> {
        if self.drain(socket).is_news {
            // Another thread may wait for the room that there is now.
            self.announce(handle as usize, Server::Other);
        }
        let is_drained = self.with_rings(socket, |rings, _| rings.is_drained(&self.memory));
        match is_drained {
            Some(false) => Err(errno(libc::EAGAIN)),
            Some(true) | None => Ok(()),
        }
    }

    /// Before a receive that goes past the ring: bytes of the ring are older.
    pub(super) fn check_received(&self, handle: u64, socket: &mut Socket) -> io::Result<()> {
        match self.with_rings(socket, |rings, _| rings.unread(&self.memory)) {
            Some(1..) => {
                self.announce(handle as usize, Server::Other);
                Err(errno(libc::EAGAIN))
            }
            Some(0) | None => Ok(()),
        }
    }

    /// Ends directions; sending ends behind what is in the ring.
    pub(super) fn shutdown(&self, handle: u64, socket: &mut Socket, how: i32) -> io::Result<()> {
        let sends = how == libc::SHUT_WR || how == libc::SHUT_RDWR;
        if !sends || self.drain_before(handle, socket).is_ok() {
            return host::shutdown(socket.fd(), how);
        }
        if how == libc::SHUT_RDWR {
            host::shutdown(socket.fd(), libc::SHUT_RD)?;
        }
        if let Some(rings) = &mut socket.rings {
            rings.end_sending();
        }
        Ok(())
    }

    /// Closes a socket. What its ring holds and the host does not take now is sent later.
    pub(super) fn close(&self, handle: u64) -> io::Result<()> {
        let socket = self.remove(handle)?;
        self.end(socket)
    }

    /// Closes a socket that has no handle any more.
    fn end(&self, mut socket: Socket) -> io::Result<()> {
        self.drain(&mut socket);
        let rest = self.with_rings(&mut socket, |rings, _| rings.take_rest(&self.memory));
        let rings = socket.rings.take();
        let ended = match rest {
            Some(bytes) if !bytes.is_empty() => self.send_later(socket, bytes),
            _ => {
                drop(socket);
                Ok(())
            }
        };
        if let Some(rings) = rings {
            rings.show_closed(&self.memory);
        }
        ended
    }

    /// Keeps a closed socket until the rest of its bytes is sent.
    fn send_later(&self, socket: Socket, bytes: Vec<u8>) -> io::Result<()> {
        if socket.is_aborted_by_close() {
            return Ok(());
        }
        let mut closed = lock(&self.closed);
        let token = CLOSED | closed.next;
        closed.next += 1;
        let events = libc::EPOLLOUT | libc::EPOLLET;
        let open = self.open.get().ok_or_else(|| errno(libc::EBADF))?;
        // The kernel looks at once: an edge comes even where there is room by now.
        host::watch_anew(open.epoll.as_fd(), socket.fd(), events, token)?;
        let rest = Rest {
            socket,
            bytes,
            sent: 0,
        };
        closed.sockets.insert(token, rest);
        Ok(())
    }

    /// Closed sockets that still have something to send.
    pub(super) fn closed_count(&self) -> usize {
        lock(&self.closed).sockets.len()
    }

    /// The guest has ended: closes all sockets, and gives what it wrote some time to go.
    pub(super) fn finish(&self) {
        let until = Instant::now() + LAST_DRAIN;
        for handle in 0..SOCKETS_MAX as u64 {
            // Most places are empty.
            let _ = self.close(handle);
        }
        while self.closed_count() > 0 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn add(counter: &AtomicU64, bytes: usize) {
    if bytes != 0 {
        counter.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// Indices of the bits of a word.
fn bits(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros();
        word &= word.wrapping_sub(1);
        (bit < 64).then_some(bit as usize)
    })
}
