//! Watched nodes: the host's inotify, for the guest's.
//!
//! Nothing exists until the first watch. Then a thread waits for the host's events
//! and calls vCPU 0 once for all that come until the guest takes them:
//!
//! ```text
//! event → thread: SharedPage.volume_events = 1, call → VOLUME_EVENTS → thread waits again
//! ```
//!
//! The host keeps a removed file as long as somebody has it open, and the server has
//! every node open that the guest knows: that a file is gone for good, the guest finds
//! out itself, from its link count and its own uses of it.

use std::collections::HashMap;
use std::fmt;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use unikiln_abi::volume::Event;

use super::node::Node;
use super::server::{Server, path_of};
use crate::hypercall::lock;

/// Most nodes watched at once, as many as a guest's inotify has.
const WATCHES_MAX: usize = 1 << 16;
/// What a guest may ask for.
const KNOWN: WatchFlags = WatchFlags::ALL_EVENTS.union(WatchFlags::EXCL_UNLINK);
/// Bytes of events read at once.
const READ_BYTES: usize = 16 << 10;
/// Encoded events kept until the guest takes them.
const KEPT_MAX_BYTES: usize = 1 << 20;

/// Tells the guest; false once that is gone.
pub type Wake = Arc<dyn Fn() -> bool + Send + Sync>;

/// See the module documentation.
#[derive(Default)]
pub struct Watcher {
    wake: Option<Wake>,
    started: OnceLock<Arc<State>>,
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watcher(started: {})", self.started.get().is_some())
    }
}

struct State {
    inotify: OwnedFd,
    /// Written when the guest ends.
    end: OwnedFd,
    inner: Mutex<Inner>,
    taken: Condvar,
}

#[derive(Default)]
struct Inner {
    /// Watched nodes by the host's number: watching keeps them.
    nodes: HashMap<i32, Arc<Node>>,
    /// Events as the guest gets them.
    kept: Vec<u8>,
    /// The guest was called and has not taken events since.
    announced: bool,
    ended: bool,
}

impl Watcher {
    /// A watcher that calls the guest by `wake`.
    pub fn new(wake: Wake) -> Self {
        Self {
            wake: Some(wake),
            started: OnceLock::new(),
        }
    }

    /// Watches a node for `IN_*` events, or no longer where there are none: the watch's number.
    ///
    /// # Errors
    /// ESTALE, ENOSPC; what the host says.
    pub fn watch(&self, server: &Server, node: u64, mask: u32) -> Result<u32, Errno> {
        let state = self.state()?;
        let node = server.node(node)?;
        let mut inner = lock(&state.inner);
        if mask == 0 {
            let same = |watched: &Arc<Node>| Arc::ptr_eq(watched, &node);
            let found = inner.nodes.iter().find(|(_, watched)| same(watched));
            let Some(number) = found.map(|(&number, _)| number) else {
                return Ok(0);
            };
            inner.nodes.remove(&number);
            // The host may have ended it already.
            let _ = inotify::remove_watch(&state.inotify, number);
            return Ok(number as u32);
        }
        if inner.nodes.len() >= WATCHES_MAX {
            return Err(Errno::NOSPC);
        }
        let number = inotify::add_watch(
            &state.inotify,
            path_of(&node.fd),
            WatchFlags::from_bits_retain(mask) & KNOWN,
        )?;
        inner.nodes.insert(number, node);
        Ok(number as u32)
    }

    /// What happened since the last time, at most `room` bytes.
    pub fn take(&self, room: usize) -> Vec<u8> {
        let Some(state) = self.started.get() else {
            return Vec::new();
        };
        let mut inner = lock(&state.inner);
        inner.collect(&state.inotify);
        let events = inner.take(room);
        if inner.kept.is_empty() {
            inner.announced = false;
            state.taken.notify_one();
        }
        events
    }

    fn state(&self) -> Result<&Arc<State>, Errno> {
        if let Some(state) = self.started.get() {
            return Ok(state);
        }
        let wake = self.wake.clone().ok_or(Errno::NOSYS)?;
        let state = Arc::new(State {
            inotify: inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?,
            end: eventfd(0, EventfdFlags::CLOEXEC)?,
            inner: Mutex::default(),
            taken: Condvar::new(),
        });
        if self.started.set(Arc::clone(&state)).is_ok() {
            let run = move || {
                crate::events::block_forwarded();
                state.run(&wake);
            };
            std::thread::Builder::new()
                .name("volume-watch".into())
                .spawn(run)
                .map_err(|_| Errno::AGAIN)?;
        }
        self.started.get().ok_or(Errno::AGAIN)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if let Some(state) = self.started.get() {
            lock(&state.inner).ended = true;
            state.taken.notify_one();
            // The thread looks at `ended` as soon as anything is there.
            let _ = rustix::io::write(&state.end, &1u64.to_ne_bytes());
        }
    }
}

impl State {
    fn run(&self, wake: &Wake) {
        loop {
            let mut fds = [
                PollFd::new(&self.inotify, PollFlags::IN),
                PollFd::new(&self.end, PollFlags::IN),
            ];
            if poll(&mut fds, None).is_err_and(|errno| errno != Errno::INTR) {
                return;
            }
            let [events, _] = fds;
            let is_there = events.revents().contains(PollFlags::IN);
            {
                let mut inner = lock(&self.inner);
                if inner.ended {
                    return;
                }
                if !is_there {
                    continue;
                }
                inner.announced = true;
            }
            if !wake() {
                return;
            }
            let mut inner = lock(&self.inner);
            while inner.announced && !inner.ended {
                inner = self
                    .taken
                    .wait(inner)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

impl Inner {
    /// Takes the host's events over.
    fn collect(&mut self, inotify: &OwnedFd) {
        let mut buffer = [MaybeUninit::uninit(); READ_BYTES];
        let mut reader = Reader::new(inotify, &mut buffer);
        while let Ok(event) = reader.next() {
            let number = event.wd();
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                self.keep(u32::MAX, ReadFlags::QUEUE_OVERFLOW.bits(), 0, b"");
                continue;
            }
            if event.events().contains(ReadFlags::IGNORED) {
                self.nodes.remove(&number);
                continue;
            }
            // Events that were on their way when the watch ended.
            if !self.nodes.contains_key(&number) {
                continue;
            }
            let name = event.file_name().map_or(&b""[..], |name| name.to_bytes());
            let mask = event.events().bits();
            self.keep(number as u32, mask, event.cookie(), name);
        }
    }

    fn keep(&mut self, watch: u32, mask: u32, cookie: u32, name: &[u8]) {
        if self.kept.len() > KEPT_MAX_BYTES {
            return;
        }
        let event = Event {
            watch,
            mask,
            cookie,
            name_bytes: name.len() as u32,
        };
        self.kept.extend_from_slice(&event.to_bytes());
        self.kept.extend_from_slice(name);
        self.kept.resize(self.kept.len().next_multiple_of(8), 0);
        if self.kept.len() > KEPT_MAX_BYTES {
            let overflow = Event {
                watch: u32::MAX,
                mask: ReadFlags::QUEUE_OVERFLOW.bits(),
                ..Event::default()
            };
            self.kept.extend_from_slice(&overflow.to_bytes());
        }
    }

    /// The first whole events that fit.
    fn take(&mut self, room: usize) -> Vec<u8> {
        let mut end = 0;
        let mut rest = unikiln_abi::volume::Fields(&self.kept);
        while let Some(event) = Event::read(&mut rest) {
            let name = (event.name_bytes as usize).next_multiple_of(8);
            if rest.bytes(name).is_none() || end + Event::BYTES + name > room {
                break;
            }
            end += Event::BYTES + name;
        }
        self.kept.drain(..end).collect()
    }
}
