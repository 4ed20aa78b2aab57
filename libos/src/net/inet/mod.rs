//! AF_INET and AF_INET6: sockets of the host, which the monitor opens in the network
//! namespace that it runs in.
//!
//! The host knows all there is to know of such a socket: addresses, queues, options.
//! The libOS asks by hypercalls that never block ([`crate::hypercall::socket`]), and
//! sleeps until the readiness that the monitor writes into a shared table changes.
//!
//! | module | what it owns |
//! |---|---|
//! | `kind` | which sockets there are |
//! | `accepted` | connections that wait to be accepted |
//! | `address` | addresses between program and monitor |
//! | `changes` | the table: taking changes, and being called for them |
//! | `buffer` | where bytes are on their way |
//! | `beside` | flags, addresses and control messages of one message |
//! | `connection` | connect, accept |
//! | `stream` | SOCK_STREAM: bytes |
//! | `direct` | large sends, without a copy |
//! | `peek` | the same, without taking them |
//! | `ring` | bytes of a connection that go without calls |
//! | `ringed` | which connections have rings, and what is different with them |
//! | `datagram` | SOCK_DGRAM: messages |
//! | `linger` | closing that waits |
//! | `listing` | `/proc/net/tcp` and its relatives |
//! | `options` | which options are the host's and which the libOS's |

mod accepted;
mod address;
mod beside;
mod buffer;
mod changes;
mod connection;
mod datagram;
mod direct;
mod kind;
mod linger;
pub mod listing;
mod options;
mod peek;
mod ring;
mod ringed;
mod stream;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};

use linux_raw_sys::general::{EPOLLERR, EPOLLIN, EPOLLRDNORM};
use linux_raw_sys::ioctl::{FIONREAD, TIOCOUTQ};
use linux_raw_sys::net::{SHUT_RD, SHUT_RDWR, SHUT_WR};
use spin::{Mutex, Once};
use unikiln_abi::socket::{NAME_LOCAL, NAME_PEER, SocketAddress};

pub use address::is_inet;
pub use changes::{
    Sleeper, are_used, flush, flush_now, prepare_wait, take_changes, waits_for_look,
};
pub use kind::kind;

use super::family::{Family, Kind, Patience, Shutdown};
use super::message::{Incoming, Outgoing};
use super::next_ino;
use super::options::{Options, Value};
use crate::errno::{Errno, SysResult};
use crate::fs::open_file::Readiness;
use crate::fs::readiness::Watchers;
use crate::hypercall::rings::{self, Parts};
use crate::hypercall::socket as host;
use crate::mm::user;
use crate::sched::WaitQueue;
use accepted::Accepted;
use ring::Rings;

/// What the libOS knows of a socket of the host.
pub struct HostSocket {
    handle: u32,
    domain: u32,
    kind: Kind,
    protocol: u32,
    ino: u64,
    /// Those that the libOS itself keeps: timeouts, the least bytes of a receive.
    options: Options,
    listening: AtomicBool,
    /// Times that the monitor told of a change.
    changes: AtomicU64,
    /// Woken by each of them.
    queue: WaitQueue,
    watchers: Watchers,
    /// What the next call reports: a number, or 0.
    error: AtomicU32,
    /// Bytes of a stream that were received, but that the program's memory did not take.
    held: Mutex<Vec<u8>>,
    /// Of a connection, its rings.
    rings: Once<Rings>,
    /// The monitor was asked for rings.
    asked_rings: AtomicBool,
    /// The program wants something of it that does not come through rings.
    without_rings: AtomicBool,
    /// It was told to connect.
    was_connected: AtomicBool,
    /// Of a listening one, connections that wait to be accepted.
    accepted: Accepted,
    /// Directions that the program ended.
    shut_send: AtomicBool,
    shut_receive: AtomicBool,
    /// Of an accepted one, the address of the other end at that time.
    from: Vec<u8>,
}

impl HostSocket {
    fn new(
        handle: u32,
        (domain, kind, protocol): (u32, Kind, u32),
        options: Options,
        from: Vec<u8>,
    ) -> Result<Arc<HostSocket>, Errno> {
        let socket = Arc::new(HostSocket {
            handle,
            domain,
            kind,
            protocol,
            ino: next_ino(),
            options,
            listening: AtomicBool::new(false),
            changes: AtomicU64::new(0),
            queue: WaitQueue::new(),
            watchers: Watchers::new(),
            error: AtomicU32::new(0),
            held: Mutex::new(Vec::new()),
            rings: Once::new(),
            asked_rings: AtomicBool::new(false),
            without_rings: AtomicBool::new(false),
            was_connected: AtomicBool::new(false),
            accepted: Accepted::default(),
            shut_send: AtomicBool::new(false),
            shut_receive: AtomicBool::new(false),
            from,
        });
        changes::register(handle, &socket).inspect_err(|_| host::close(handle))?;
        Ok(socket)
    }

    /// The socket of a connection that came in here, with rings or without.
    fn accepted(
        &self,
        handle: u32,
        from: Vec<u8>,
        rings: Option<Parts>,
    ) -> Result<Arc<HostSocket>, Errno> {
        let options = self.options.of_accepted();
        let what = (self.domain, self.kind, self.protocol);
        let socket = HostSocket::new(handle, what, options, from)?;
        let without = self.without_rings.load(SeqCst);
        socket.without_rings.store(without, SeqCst);
        socket.asked_rings.store(true, SeqCst);
        if let Some(parts) = rings {
            socket.rings.call_once(|| Rings::new(parts));
        }
        Ok(socket)
    }

    /// Tells everybody who waits that something may have changed.
    fn changed(&self) {
        self.changes.fetch_add(1, SeqCst);
        self.queue.wake_all();
        let events = self.host_ready();
        if events != 0 {
            self.watchers.notify(events);
        }
    }

    /// What poll(2) says on the host.
    fn word(&self) -> u32 {
        changes::ready(self.handle)
    }

    /// What is ready, on the host and in the rings.
    fn host_ready(&self) -> u32 {
        self.ready_with(self.word())
    }

    fn change_count(&self) -> u64 {
        self.changes.load(SeqCst)
    }

    fn is_listening(&self) -> bool {
        self.listening.load(SeqCst)
    }

    fn held_bytes(&self) -> usize {
        self.held.lock().len()
    }

    /// Waits until one of `events` is ready. EAGAIN when patience ends, EINTR.
    fn wait_ready(&self, patience: Patience, events: u32) -> Result<(), Errno> {
        if self.host_ready() & events != 0 {
            return Ok(());
        }
        self.sleep(patience, || self.host_ready() & events != 0)
    }

    /// Waits after the host said EAGAIN: until one of `events` is ready, or the
    /// monitor told more often than `seen` times of a change. What was ready before
    /// the call and is still, such as an error that is not the call's, is not waited for.
    fn wait_change(&self, patience: Patience, events: u32, seen: u64) -> Result<(), Errno> {
        self.sleep(patience, || {
            self.change_count() != seen || self.host_ready() & events != 0
        })
    }

    /// Waits until one of `events` is ready on the host itself, whatever the rings have.
    fn wait_room(&self, patience: Patience, events: u32) -> Result<(), Errno> {
        self.sleep(patience, || self.word() & events != 0)
    }

    fn sleep(&self, patience: Patience, mut is_over: impl FnMut() -> bool) -> Result<(), Errno> {
        if patience == Patience::None {
            return Err(Errno::EAGAIN);
        }
        let _sleeper = Sleeper::begin();
        patience.wait(&self.queue, || {
            take_changes();
            is_over().then_some(())
        })
    }

    /// Leaves an error to the next call.
    fn leave_error(&self, errno: Errno) {
        // How a wait ended is no error of the socket.
        if !matches!(
            errno.plain(),
            Errno::EAGAIN | Errno::EINTR | Errno::EFAULT | Errno::EPIPE
        ) {
            self.error.store(errno.number().into(), SeqCst);
        }
    }

    /// Takes the error that was left, if there is one.
    fn left_error(&self) -> Option<Errno> {
        if self.error.load(SeqCst) == 0 {
            return None;
        }
        match self.error.swap(0, SeqCst) {
            0 => None,
            number => Some(Errno::from_status(-i64::from(number))),
        }
    }

    /// Takes the error that the libOS knows of, left or the rings'.
    fn told_error(&self) -> Option<Errno> {
        self.left_error()
            .or_else(|| self.rings().and_then(Rings::take_error))
    }

    fn report_error(&self) -> Result<(), Errno> {
        self.left_error().map_or(Ok(()), Err)
    }

    fn address(&self, which: u64) -> Result<Vec<u8>, Errno> {
        let mut address = Box::new(SocketAddress::default());
        host::name(self.handle, which, &mut address)?;
        Ok(address::from_host(&address))
    }
}

/// A socket of AF_INET or AF_INET6: closed on the host when this is dropped.
pub struct InetSocket(Arc<HostSocket>);

impl InetSocket {
    /// Opens a socket on the host: EACCES where the guest has no network, EMFILE
    /// at the guest's limit.
    pub fn open(domain: u32, (kind, protocol): (Kind, u32)) -> Result<InetSocket, Errno> {
        changes::prepare()?;
        let handle = connection::with_room(|| host::open(domain, kind.number(), protocol))?;
        let what = (domain, kind, protocol);
        HostSocket::new(handle, what, Options::default(), Vec::new()).map(InetSocket)
    }
}

impl Drop for InetSocket {
    fn drop(&mut self) {
        changes::forget(self.0.handle);
        self.0.accepted.reset_all();
        if self.0.has_unread() {
            options::abort_on_close(&self.0);
        } else if self.0.close_later() {
            return;
        }
        host::close(self.0.handle);
    }
}

impl Family for InetSocket {
    fn domain(&self) -> u32 {
        self.0.domain
    }

    fn kind(&self) -> Kind {
        self.0.kind
    }

    fn protocol(&self) -> u32 {
        self.0.protocol
    }

    fn ino(&self) -> u64 {
        self.0.ino
    }

    fn options(&self) -> &Options {
        &self.0.options
    }

    fn set_option(&self, level: u32, name: u32, bytes: &[u8]) -> Result<(), Errno> {
        options::set(&self.0, level, name, bytes)
    }

    fn option(&self, level: u32, name: u32, room: usize) -> Result<Value, Errno> {
        options::get(self, level, name, room)
    }

    fn bind(&self, raw: &[u8]) -> Result<(), Errno> {
        // The address may be that of a socket that is still to be closed.
        rings::close_now();
        host::bind(self.0.handle, &address::boxed(raw))
    }

    fn listen(&self, backlog: u32) -> Result<(), Errno> {
        host::listen(self.0.handle, backlog)?;
        self.0.listening.store(true, SeqCst);
        Ok(())
    }

    fn is_listening(&self) -> bool {
        self.0.is_listening()
    }

    fn accept(&self, patience: Patience) -> Result<Box<dyn Family>, Errno> {
        let end = connection::accept(&self.0, patience)?;
        Ok(Box::new(end))
    }

    fn accepted_from(&self) -> Result<Vec<u8>, Errno> {
        Ok(self.0.from.clone())
    }

    fn connect(&self, raw: &[u8], patience: Patience) -> Result<(), Errno> {
        connection::connect(&self.0, raw, patience)
    }

    fn send(&self, message: &mut Outgoing<'_>) -> SysResult {
        match self.0.kind {
            Kind::Stream => stream::send(&self.0, message),
            Kind::Datagram | Kind::SequencedPacket => datagram::send(&self.0, message),
        }
    }

    fn receive(&self, message: &mut Incoming<'_>) -> SysResult {
        match self.0.kind {
            Kind::Stream => stream::receive(&self.0, message),
            Kind::Datagram | Kind::SequencedPacket => datagram::receive(&self.0, message),
        }
    }

    fn shutdown(&self, how: Shutdown) -> Result<(), Errno> {
        let number = match (how.receive, how.send) {
            (true, true) => SHUT_RDWR,
            (true, false) => SHUT_RD,
            (false, _) => SHUT_WR,
        };
        host::shutdown(self.0.handle, number)?;
        self.0.shut_send.fetch_or(how.send, SeqCst);
        self.0.shut_receive.fetch_or(how.receive, SeqCst);
        if how.receive {
            // A listener is none any more.
            self.0.listening.store(false, SeqCst);
            self.0.accepted.reset_all();
        }
        self.0.changed();
        Ok(())
    }

    fn local_address(&self) -> Vec<u8> {
        let name = self.0.address(NAME_LOCAL);
        name.unwrap_or_else(|_| address::unspecified(self.0.domain))
    }

    fn peer_address(&self) -> Result<Vec<u8>, Errno> {
        self.0.address(NAME_PEER)
    }

    fn take_error(&self) -> Option<Errno> {
        self.0.told_error().or_else(|| {
            let has_any = self.0.word() & EPOLLERR != 0;
            has_any.then(|| options::host_error(&self.0)).flatten()
        })
    }

    fn set_error(&self, errno: Errno) {
        self.0.leave_error(errno);
    }

    fn is_host_socket(&self) -> bool {
        true
    }

    fn closing(&self) {
        linger::linger(&self.0);
    }

    fn readiness(&self) -> Readiness {
        let mut events = self.0.host_ready();
        if self.0.held_bytes() > 0 {
            events |= EPOLLIN | EPOLLRDNORM;
        }
        if self.0.error.load(SeqCst) != 0 {
            events |= EPOLLERR | EPOLLIN | EPOLLRDNORM;
        }
        Readiness::of(events)
    }

    fn watchers(&self) -> &Watchers {
        &self.0.watchers
    }

    fn ioctl(&self, request: u32, argument: u64) -> SysResult {
        let bytes = match request {
            FIONREAD => self.0.receivable_bytes()?,
            TIOCOUTQ => self.0.unsent_bytes()?,
            _ => return Err(Errno::ENOTTY),
        };
        user::write::<u32>(argument, &u32::try_from(bytes).unwrap_or(u32::MAX))?;
        Ok(0)
    }
}
