//! Places of sockets by handle, and the words of readiness that the guest reads.
//!
//! Places come in groups of 64, made when the first of them is used and never
//! moved, so that a socket is reached without a lock but its own. The lowest free
//! handle is given out first, as descriptors are.

use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use unikiln_abi::call::EVENT_SOCKET;
use unikiln_abi::socket::{SERVICE_ASLEEP, SOCKETS_MAX, SocketTable};
use vm_memory::VolatileMemory;

use super::poller::Poller;
use super::serve::{Closed, Server};
use super::socket::Socket;
use super::{errno, host};
use crate::events::signal_thread;
use crate::fault::GuestFault;
use crate::hypercall::lock;
use crate::memory::GuestMemory;
use crate::vcpus::Vcpus;

const GROUP: usize = 64;
const GROUPS: usize = SOCKETS_MAX / GROUP;
/// Open files of the monitor that are no sockets, and room for more.
const FILES_RESERVED: u64 = 64;
/// What the I/O thread is told of, once for each change.
const WATCHED: i32 =
    libc::EPOLLIN | libc::EPOLLPRI | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
/// An edge of these may be news though the word stays: more came.
pub(super) const NEWS: u32 =
    (libc::EPOLLIN | libc::EPOLLPRI | libc::EPOLLRDHUP | libc::EPOLLERR | libc::EPOLLHUP) as u32;

type Place = Mutex<Option<Socket>>;

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) memory: Arc<GuestMemory>,
    pub(super) vcpus: Arc<Vcpus>,
    groups: [OnceLock<Box<[Place; GROUP]>>; GROUPS],
    used: Mutex<[u64; GROUPS]>,
    pub(super) open: OnceLock<Open>,
    pub(super) closed: Mutex<Closed>,
    pub(super) fault: OnceLock<GuestFault>,
    calls: AtomicU64,
    is_watched: AtomicBool,
    /// The I/O thread, while it runs.
    poller: AtomicI32,
    /// Whether a socket was served since the I/O thread looked.
    pub(super) traffic: AtomicBool,
    pub(super) ring_received_bytes: AtomicU64,
    pub(super) ring_sent_bytes: AtomicU64,
}

/// What comes with the guest's table.
#[derive(Debug)]
pub(super) struct Open {
    gpa: u64,
    pub(super) epoll: Arc<OwnedFd>,
    limit: usize,
    /// Whether vCPUs may wait for `epoll`.
    is_shared: bool,
}

impl Table {
    pub(super) fn new(memory: Arc<GuestMemory>, vcpus: Arc<Vcpus>) -> Self {
        Self {
            memory,
            vcpus,
            groups: [const { OnceLock::new() }; GROUPS],
            used: Mutex::new([0; GROUPS]),
            open: OnceLock::new(),
            closed: Mutex::default(),
            fault: OnceLock::new(),
            calls: AtomicU64::new(0),
            is_watched: AtomicBool::new(false),
            poller: AtomicI32::new(0),
            traffic: AtomicBool::new(false),
            ring_received_bytes: AtomicU64::new(0),
            ring_sent_bytes: AtomicU64::new(0),
        }
    }

    /// The guest's table lies at `gpa`; sockets are watched by `poller`.
    pub(super) fn open(&self, gpa: u64, poller: &Poller, file_limit: u64) {
        let left = file_limit.saturating_sub(FILES_RESERVED);
        let limit = usize::try_from(left)
            .unwrap_or(SOCKETS_MAX)
            .min(SOCKETS_MAX);
        let epoll = poller.epoll();
        let opened = Open {
            gpa,
            is_shared: host::has_epoll_pwait2(epoll.as_fd()),
            epoll,
            limit,
        };
        // A second table never gets here.
        let _ = self.open.set(opened);
    }

    /// What watches all sockets, where a vCPU that waits for them (`is_alone`: and for
    /// nothing else) may wait for it.
    pub(super) fn shared_epoll(&self, is_alone: bool) -> Option<BorrowedFd<'_>> {
        let open = self.open.get()?;
        let is_watched = is_alone && open.is_shared;
        self.is_watched.store(is_watched, Ordering::Relaxed);
        is_watched.then(|| open.epoll.as_fd())
    }

    /// Whether the vCPU that waited last watched the sockets itself.
    pub(super) fn is_watched(&self) -> bool {
        self.is_watched.load(Ordering::Relaxed)
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.get().is_some()
    }

    /// Times that a vCPU was called.
    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Bytes through rings: received and sent.
    pub(super) fn ring_bytes(&self) -> (u64, u64) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (
            count(&self.ring_received_bytes),
            count(&self.ring_sent_bytes),
        )
    }

    /// A place for a socket that `make` opens; its handle.
    pub(super) fn insert(&self, make: impl FnOnce() -> io::Result<Socket>) -> io::Result<usize> {
        let open = self.open.get().ok_or_else(|| errno(libc::EINVAL))?;
        // Closed ones hold files too, until what they have to send has gone.
        let limit = open.limit.saturating_sub(self.closed_count());
        let handle = self.claim(limit).ok_or_else(|| errno(libc::EMFILE))?;
        let placed = make().and_then(|socket| {
            let place = self.place(handle).ok_or_else(|| errno(libc::EMFILE))?;
            let mut place = lock(place);
            host::watch(open.epoll.as_fd(), socket.fd(), WATCHED, handle as u64)?;
            self.store(handle, host::readiness(socket.fd()));
            *place = Some(socket);
            Ok(handle)
        });
        if placed.is_err() {
            self.release(handle);
        }
        placed
    }

    /// Does something with a socket, and renews its word.
    pub(super) fn with<T>(
        &self,
        handle: u64,
        act: impl FnOnce(&mut Socket) -> io::Result<T>,
    ) -> io::Result<T> {
        let handle = usize::try_from(handle).unwrap_or(usize::MAX);
        let mut place = lock(self.find(handle)?);
        let socket = place.as_mut().ok_or_else(|| errno(libc::EBADF))?;
        let result = act(socket);
        if self.store(handle, host::readiness(socket.fd())) {
            self.announce(handle, Server::Other);
        }
        result
    }

    /// Takes a socket out; whoever gets it closes it.
    pub(super) fn remove(&self, handle: u64) -> io::Result<Socket> {
        let handle = usize::try_from(handle).unwrap_or(usize::MAX);
        let mut place = lock(self.find(handle)?);
        let socket = place.take().ok_or_else(|| errno(libc::EBADF))?;
        self.store(handle, 0);
        drop(place);
        self.release(handle);
        Ok(socket)
    }

    fn claim(&self, limit: usize) -> Option<usize> {
        let mut used = lock(&self.used);
        let (group, word) = used
            .iter_mut()
            .enumerate()
            .find(|(_, word)| **word != u64::MAX)?;
        let bit = word.trailing_ones() as usize;
        let handle = group * GROUP + bit;
        // The lowest free handle is below the limit exactly when fewer are in use.
        (handle < limit).then(|| *word |= 1 << bit)?;
        Some(handle)
    }

    pub(super) fn release(&self, handle: usize) {
        if let Some(word) = lock(&self.used).get_mut(handle / GROUP) {
            *word &= !(1 << (handle % GROUP));
        }
    }

    /// A place that was used before.
    pub(super) fn find(&self, handle: usize) -> io::Result<&Place> {
        let group = self.groups.get(handle / GROUP).and_then(OnceLock::get);
        let place = group.and_then(|group| group.get(handle % GROUP));
        place.ok_or_else(|| errno(libc::EBADF))
    }

    /// A place, made where it is the first of its group.
    fn place(&self, handle: usize) -> Option<&Place> {
        let group = self.groups.get(handle / GROUP)?;
        let places = || Box::new([const { Mutex::new(None) }; GROUP]);
        group.get_or_init(places).get(handle % GROUP)
    }

    /// Whether a socket was served since the last call.
    pub(super) fn take_traffic(&self) -> bool {
        self.traffic.swap(false, Ordering::Relaxed)
    }

    /// A vCPU goes back to the guest with news: if the I/O thread sleeps, it naps from now on.
    pub(super) fn wake_to_nap(&self) {
        let load = |word: &AtomicU32| word.load(Ordering::SeqCst);
        let service = self.table_word(offset_of!(SocketTable, service), load);
        if service == Some(SERVICE_ASLEEP)
            && let thread @ 1.. = self.poller.load(Ordering::SeqCst)
        {
            // One that comes just before the thread sleeps is lost, and made up for by the next.
            signal_thread(thread);
        }
    }

    /// The I/O thread is this one; 0 for none.
    pub(super) fn poller_runs(&self, thread: i32) {
        self.poller.store(thread, Ordering::SeqCst);
    }

    /// Shows what the I/O thread does.
    pub(super) fn show_service(&self, service: u32) {
        let store = |word: &AtomicU32| word.store(service, Ordering::SeqCst);
        self.table_word(offset_of!(SocketTable, service), store);
    }

    /// The word as it was stored.
    pub(super) fn word(&self, handle: usize) -> u32 {
        let offset = offset_of!(SocketTable, ready) + 4 * handle;
        let load = |ready: &AtomicU32| ready.load(Ordering::SeqCst);
        self.table_word(offset, load).unwrap_or(0)
    }

    /// Stores a word; whether it has bits that the last one had not.
    pub(super) fn store(&self, handle: usize, word: u32) -> bool {
        let offset = offset_of!(SocketTable, ready) + 4 * handle;
        let swap = |ready: &AtomicU32| ready.swap(word, Ordering::SeqCst);
        self.table_word(offset, swap)
            .is_some_and(|before| word & !before != 0)
    }

    /// Tells the guest that there is news of a socket; whether anybody waits for it.
    pub(super) fn announce(&self, handle: usize, server: Server) -> bool {
        let set = |offset, bit: usize| {
            let set = |bits: &AtomicU64| bits.fetch_or(1 << (bit % 64), Ordering::SeqCst);
            self.table_word(offset + 8 * (bit / 64), set)
        };
        set(offset_of!(SocketTable, changed), handle);
        set(offset_of!(SocketTable, summary), handle / 64);
        let load = |wanted: &AtomicU32| wanted.load(Ordering::SeqCst);
        let wanted = self.table_word(offset_of!(SocketTable, wanted), load);
        let Some(vcpu) = wanted.and_then(|wanted| wanted.checked_sub(1)) else {
            return false;
        };
        let mask = 1u64.checked_shl(vcpu).unwrap_or(0);
        if server == Server::Other && self.vcpus.call(mask, EVENT_SOCKET) {
            self.calls.fetch_add(1, Ordering::Relaxed);
        }
        true
    }

    /// Reads or changes a word of the guest's table; nothing before there is one.
    pub(super) fn table_word<A: vm_memory::AtomicInteger, T>(
        &self,
        offset: usize,
        act: impl FnOnce(&A) -> T,
    ) -> Option<T> {
        let gpa = self.open.get()?.gpa;
        // It was checked when the guest gave it, and arenas stay.
        let table = self
            .memory
            .slice(gpa, size_of::<SocketTable>() as u64)
            .ok()?;
        table.get_atomic_ref::<A>(offset).ok().map(act)
    }
}
