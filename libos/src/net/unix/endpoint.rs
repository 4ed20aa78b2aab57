//! One end of AF_UNIX: [`Endpoint`], with its queue of messages and whom it
//! is connected to.
//!
//! ```text
//!        bind, listen                 connect of another
//!  Idle ─────────────▶ Listening ─────────────────────────▶ (a new end, Connected)
//!    │ connect, socketpair
//!    └─────────────▶ Connected      a datagram end can go back to Idle
//! ```
//!
//! Ends hold each other and are held by messages; [`Endpoint::release`] lets go
//! of all of that when the socket closes.
//!
//! Locks: the state of one end at a time; of two only in [`lock_both`], by
//! address, and of a listener and those who wait there. Messages are dropped, and waiters woken, with no state locked.

use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use linux_raw_sys::general::{
    EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLRDNORM, EPOLLWRBAND, EPOLLWRNORM,
};
use spin::{Mutex, MutexGuard};

use super::address::{self, Address};
use super::listing;
use super::names::{self, Key};
use super::queue::{Message, Queued};
use crate::errno::Errno;
use crate::fs::open_file::Readiness;
use crate::fs::readiness::Watchers;
use crate::net::control::PeerCredentials;
use crate::net::family::Shutdown;
use crate::net::garbage;
use crate::net::options::Options;
use crate::net::{Files, Kind, next_ino};
use crate::sched::WaitQueue;

/// Datagrams that wait in a queue before senders do (`net.unix.max_dgram_qlen`).
pub const DATAGRAMS_MAX: usize = 10;
/// Something to read.
pub const READABLE: u32 = EPOLLIN | EPOLLRDNORM;
/// Room to write.
pub const WRITABLE: u32 = EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;
/// A direction ended: whoever waits for anything looks again.
const ENDED: u32 = READABLE | WRITABLE | EPOLLHUP | EPOLLRDHUP | EPOLLERR;

/// Where an end is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not connected.
    Idle,
    /// Others connect to it.
    Listening,
    /// Connected.
    Connected,
}

/// What changes of an end.
pub struct State {
    /// Where it is in its life.
    pub phase: Phase,
    /// The other end, or where datagrams go.
    pub peer: Option<Arc<Endpoint>>,
    /// Who made the other end.
    pub peer_credentials: Option<PeerCredentials>,
    /// What it received.
    pub queue: VecDeque<Queued>,
    /// Connections that nobody accepted yet.
    pub pending: VecDeque<Arc<Endpoint>>,
    /// One less than what `queue` or `pending` hold before others wait.
    pub backlog: usize,
    /// Directions that ended.
    pub shut: Shutdown,
    /// What the next call reports.
    pub error: Option<Errno>,
    /// Its socket is closed.
    pub released: bool,
    /// It is behind a socket: false while it waits to be accepted.
    pub accepted: bool,
    /// Somebody reads from the stream, see `Turn`.
    pub reading: bool,
    /// Ends whose datagrams come here.
    pub senders: Vec<Weak<Endpoint>>,
}

/// The name of an end.
#[derive(Default)]
pub struct Bound {
    /// The name.
    pub address: Option<Arc<Address>>,
    /// What it is found by; none where another end has the name.
    pub key: Option<Key>,
}

/// See the module documentation.
pub struct Endpoint {
    /// Inode number.
    pub ino: u64,
    /// How it carries bytes.
    pub kind: Kind,
    /// Options of `SOL_SOCKET`.
    pub options: Options,
    /// Its name.
    pub bound: Mutex<Bound>,
    /// What changes.
    pub state: Mutex<State>,
    /// Bytes of the send buffer in use.
    pub(super) sent: AtomicUsize,
    /// Messages that hold its socket.
    pub messages: AtomicUsize,
    /// Who watches its readiness.
    pub watchers: Watchers,
    /// Woken when there is something to receive or accept, or never will be.
    pub readable: WaitQueue,
    /// Woken when there is room in the send buffer, or never will be.
    pub writable: WaitQueue,
    /// Woken when `queue` or `pending` have room for others, or never will have.
    pub room: WaitQueue,
    /// Woken when a reader of the stream is done.
    pub turns: WaitQueue,
}

/// Locks two different ends.
pub fn lock_both<'a>(
    one: &'a Endpoint,
    other: &'a Endpoint,
) -> (MutexGuard<'a, State>, MutexGuard<'a, State>) {
    if core::ptr::from_ref(one) < core::ptr::from_ref(other) {
        let first = one.state.lock();
        (first, other.state.lock())
    } else {
        let first = other.state.lock();
        (one.state.lock(), first)
    }
}

impl Endpoint {
    /// An end that is connected to nothing.
    pub fn new(kind: Kind) -> Arc<Endpoint> {
        let end = Arc::new(Endpoint {
            ino: next_ino(),
            kind,
            options: Options::default(),
            bound: Mutex::new(Bound::default()),
            state: Mutex::new(State {
                phase: Phase::Idle,
                peer: None,
                peer_credentials: None,
                queue: VecDeque::new(),
                pending: VecDeque::new(),
                backlog: DATAGRAMS_MAX,
                shut: Shutdown::default(),
                error: None,
                released: false,
                accepted: true,
                reading: false,
                senders: Vec::new(),
            }),
            sent: AtomicUsize::new(0),
            messages: AtomicUsize::new(0),
            watchers: Watchers::new(),
            readable: WaitQueue::new(),
            writable: WaitQueue::new(),
            room: WaitQueue::new(),
            turns: WaitQueue::new(),
        });
        listing::add(&end);
        end
    }

    /// Calls `visit` with the files of each message that waits here, or at an end
    /// that waits to be accepted.
    pub fn visit_in_flight(&self, visit: &mut dyn FnMut(&Files)) {
        let state = self.state.lock();
        for queued in &state.queue {
            visit(&queued.message.files);
        }
        for end in &state.pending {
            end.visit_in_flight(visit);
        }
    }

    /// `events` may have become ready. Called with no state locked.
    pub fn notify(&self, events: u32) {
        if events & (READABLE | EPOLLERR) != 0 {
            self.readable.wake_all();
        }
        if events & (WRITABLE | EPOLLERR) != 0 {
            self.writable.wake_all();
        }
        // What ends a direction is told like bytes that come.
        let ends = if events & READABLE != 0 {
            EPOLLRDHUP | EPOLLHUP
        } else {
            0
        };
        self.watchers.notify(events | ends);
    }

    /// Its name as the program gets it.
    pub fn address(&self) -> Vec<u8> {
        match &self.bound.lock().address {
            Some(address) => address.to_raw(),
            None => address::unnamed(),
        }
    }

    /// Its name as a receiver gets it: nothing without one.
    pub fn sender_address(&self) -> Vec<u8> {
        let bound = self.bound.lock();
        bound
            .address
            .as_ref()
            .map_or_else(Vec::new, |address| address.to_raw())
    }

    /// Whether it has a name.
    pub fn is_bound(&self) -> bool {
        self.bound.lock().address.is_some()
    }

    /// Bytes of the send buffer in use.
    pub fn sent_bytes(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    /// Whether pollers see room where that much is in use.
    pub(super) fn is_writable_with(&self, sent: usize) -> bool {
        sent.saturating_mul(4) <= self.options.send_buffer()
    }

    /// Puts a message into the queue, whose state the caller has locked.
    pub fn push(&self, state: &mut State, message: Message) {
        let with_files = message.files.lock().is_some();
        // An end that nobody accepted is as reachable as its listener is.
        if with_files && (!state.accepted || self.messages.load(Ordering::Relaxed) > 0) {
            garbage::circle_possible();
        }
        let message = Arc::new(message);
        state.queue.push_back(Queued { message, taken: 0 });
    }

    /// Whether a message may be sent: an error, or EPIPE, instead of waiting for room.
    pub fn may_send(&self) -> Option<Result<(), Errno>> {
        let mut state = self.state.lock();
        if let Some(errno) = state.error.take() {
            return Some(Err(errno));
        }
        if state.shut.send {
            return Some(Err(Errno::EPIPE));
        }
        (self.sent_bytes() < self.options.send_buffer()).then_some(Ok(()))
    }

    /// Takes the error that waits to be reported.
    pub fn take_error(&self) -> Option<Errno> {
        self.state.lock().error.take()
    }

    /// Ends directions here and, of a connection, on the other end.
    pub fn shut(&self, how: Shutdown) {
        let peer = {
            let mut state = self.state.lock();
            state.shut.add(how);
            state.peer.clone().filter(|_| self.kind.connects())
        };
        if let Some(peer) = peer {
            peer.state.lock().shut.add(how.mirrored());
            peer.room.wake_all();
            peer.notify(ENDED);
        }
        self.room.wake_all();
        self.notify(ENDED);
    }

    /// The socket closed: lets go of everything, and tells the other end.
    pub fn release(&self) {
        self.release_end(false);
    }

    fn release_end(&self, was_pending: bool) {
        listing::remove(self);
        // Two statements: the names are locked before the name of an end.
        let key = self.bound.lock().key.take();
        if let Some(key) = key {
            names::forget(&key);
        }
        let (peer, queue, pending, senders) = {
            let mut state = self.state.lock();
            state.released = true;
            state.shut = Shutdown::BOTH;
            state.phase = Phase::Idle;
            (
                state.peer.take(),
                core::mem::take(&mut state.queue),
                core::mem::take(&mut state.pending),
                core::mem::take(&mut state.senders),
            )
        };
        self.room.wake_all();
        if let Some(peer) = peer.filter(|_| self.kind.connects()) {
            {
                let mut state = peer.state.lock();
                state.shut = Shutdown::BOTH;
                if was_pending || !queue.is_empty() {
                    state.error = Some(Errno::ECONNRESET);
                }
            }
            peer.notify(ENDED);
        }
        for sender in senders.iter().filter_map(Weak::upgrade) {
            sender.notify(WRITABLE);
        }
        for end in pending {
            end.release_end(true);
        }
        drop(queue);
    }

    /// What is ready now.
    pub fn readiness(&self) -> Readiness {
        let mut events = 0;
        let target = {
            let state = self.state.lock();
            if state.error.is_some() {
                events |= EPOLLERR;
            }
            if state.shut == Shutdown::BOTH {
                events |= EPOLLHUP;
            }
            if state.shut.receive {
                events |= EPOLLRDHUP | READABLE;
            }
            if !state.queue.is_empty() || !state.pending.is_empty() {
                events |= READABLE;
            }
            if self.kind.connects() && state.phase == Phase::Idle {
                events |= EPOLLHUP;
            }
            if state.phase != Phase::Listening && self.is_writable_with(self.sent_bytes()) {
                events |= WRITABLE;
            }
            state.peer.clone().filter(|_| !self.kind.connects())
        };
        if let Some(target) = target
            && target.refuses_from(self)
        {
            events &= !WRITABLE;
        }
        Readiness::of(events)
    }

    /// Whether datagrams of `sender` have to wait.
    fn refuses_from(&self, sender: &Endpoint) -> bool {
        let state = self.state.lock();
        let mutual = state
            .peer
            .as_ref()
            .is_some_and(|peer| core::ptr::eq(&**peer, sender));
        !mutual && !core::ptr::eq(self, sender) && state.queue.len() > state.backlog
    }
}
