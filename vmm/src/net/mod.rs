//! The guest's sockets: host sockets in the network namespace of this process,
//! which the guest names by handles of a table of its own.
//!
//! ```text
//! hypercall ─ Sockets::with(handle) ─ host call ─ poll ─> ready[handle]
//! host ─ edge ─ I/O thread ─────────────────────── poll ─> ready[handle], changed, summary
//!                                                          └ wanted? call that vCPU
//! ```
//!
//! A connection with rings has its bytes moved as well, by whoever serves it
//! ([`serve`], [`rings`]).
//!
//! A word of the table is what poll(2) gave last, looked at and stored under the
//! socket's lock: whoever stores it saw everything that came before. An edge of a
//! socket that is closed by then finds an empty place, or the next socket of that
//! handle, whose word it renews: that is always right, so edges carry no generation.
//!
//! A guest that opens no socket pays nothing: thread, epoll and places come with
//! [`unikiln_abi::call::SOCKET_TABLE`].

mod address;
mod host;
mod names;
mod options;
mod policy;
mod poller;
mod ports;
mod rings;
mod route;
mod serve;
mod socket;
mod table;

#[cfg(test)]
mod tests;

use std::io;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde::Serialize;

pub use names::{HostName, HostNameError, NamespaceError, join_namespace};
pub use policy::{Mode, ModeError};
pub use ports::{PortError, PortMapping, Protocol};
pub(crate) use socket::Note;

use crate::fault::GuestFault;
use crate::hypercall::lock;
use crate::memory::GuestMemory;
use crate::vcpus::Vcpus;
use poller::Poller;
use serve::Server;
use table::Table;

/// The network as the command line describes it.
#[derive(Clone, Debug, Default)]
pub struct NetworkConfig {
    /// Where sockets may go.
    pub mode: Mode,
    /// Ports that are reachable from outside.
    pub ports: Vec<PortMapping>,
    /// Name servers instead of the host's.
    pub dns: Vec<IpAddr>,
    /// Names to add to `/etc/hosts`.
    pub hosts: Vec<HostName>,
}

impl NetworkConfig {
    /// Whether the ports can be published.
    pub fn check(&self) -> Result<(), PortError> {
        ports::check(&self.mode, &self.ports)
    }
}

/// What the sockets of a guest did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SocketStats {
    /// Sockets that it opened and connections that it took.
    pub opened: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Of those received: through rings, without a call.
    pub ring_received_bytes: u64,
    /// Of those sent: through rings, without a call.
    pub ring_sent_bytes: u64,
    /// Times that a change called a vCPU.
    pub calls: u64,
}

/// Counts while the guest runs.
#[derive(Debug, Default)]
struct Counters {
    opened: AtomicU64,
    received_bytes: AtomicU64,
    sent_bytes: AtomicU64,
}

/// The network of one guest.
#[derive(Debug)]
pub struct Network {
    mode: Mode,
    ports: Vec<PortMapping>,
    table: Arc<Table>,
    counters: Counters,
    /// Lines in the log so far.
    notes: AtomicU64,
    /// Last: what it watches is closed when it goes.
    poller: Mutex<Option<Poller>>,
}

impl Network {
    /// The network that `config` describes, for the guest with this memory.
    pub fn new(config: &NetworkConfig, memory: Arc<GuestMemory>, vcpus: Arc<Vcpus>) -> Self {
        Self {
            mode: config.mode.clone(),
            ports: config.ports.clone(),
            table: Arc::new(Table::new(memory, vcpus)),
            counters: Counters::default(),
            notes: AtomicU64::new(0),
            poller: Mutex::new(None),
        }
    }

    /// Starts to serve sockets, with the words at `gpa`.
    pub(crate) fn start(&self, gpa: u64) -> (io::Result<i64>, Note) {
        if self.mode == Mode::None {
            let line = "unikiln: network: the program asks for a socket, and --network none gives it none\n";
            return (Err(errno(libc::EACCES)), Some(line.to_owned()));
        }
        if !policy::can_keep_local(&self.mode) {
            let line = "unikiln: network: this kernel cannot keep sockets within this machine (Linux 5.7 can); \
                        use --network host\n";
            return (Err(errno(libc::EACCES)), Some(line.to_owned()));
        }
        let mut poller = lock(&self.poller);
        if poller.is_some() {
            return (Err(errno(libc::EINVAL)), None);
        }
        match Poller::start(Arc::clone(&self.table)) {
            Ok(started) => {
                (self.table).open(gpa, &started, host::raise_file_limit());
                *poller = Some(started);
                (Ok(0), None)
            }
            Err(error) => (Err(error), None),
        }
    }

    /// Messages of a dump of interfaces, addresses or routes.
    pub(crate) fn route_dump(&self, what: u64, family: u64) -> io::Result<Vec<u8>> {
        if self.mode == Mode::None {
            return Err(errno(libc::EACCES));
        }
        route::dump(what, family)
    }

    /// What the sockets did, where there was a table of them.
    pub fn stats(&self) -> Option<SocketStats> {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (ring_received, ring_sent) = self.table.ring_bytes();
        self.table.is_open().then(|| SocketStats {
            opened: count(&self.counters.opened),
            received_bytes: count(&self.counters.received_bytes) + ring_received,
            sent_bytes: count(&self.counters.sent_bytes) + ring_sent,
            ring_received_bytes: ring_received,
            ring_sent_bytes: ring_sent,
            calls: self.table.calls(),
        })
    }

    /// What a vCPU that waits for sockets, and for nothing else if `is_alone`, may wait
    /// for itself; the kernel has to let it (Linux 5.11).
    pub(crate) fn epoll(&self, is_alone: bool) -> Option<BorrowedFd<'_>> {
        self.table.shared_epoll(is_alone)
    }

    /// Serves what the guest left to be done; whether it has reason to look.
    pub(crate) fn serve_before_wait(&self) -> bool {
        self.table.serve_pending(Server::Waiter)
    }

    /// Serves sockets that changed; whether the guest has reason to look.
    pub(crate) fn serve_edges(&self, edges: &[libc::epoll_event]) -> bool {
        let serve = |is_news, edge: &libc::epoll_event| {
            self.table.edge(edge.u64, edge.events, Server::Waiter) || is_news
        };
        let is_news = edges.iter().fold(false, serve);
        if is_news {
            self.table.wake_to_nap();
        }
        is_news
    }

    /// What the guest did wrong beside its calls.
    pub(crate) fn check_rings(&self) -> Result<(), GuestFault> {
        self.table.fault().map_or(Ok(()), Err)
    }

    /// The guest has ended: what it wrote goes out, as far as that takes seconds.
    pub(crate) fn finish(&self) {
        self.table.finish();
    }
}

impl Counters {
    fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }
}

/// An error of Linux's, as the guest gets it.
pub(crate) fn errno(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}
