//! The I/O thread: waits for edges of all sockets, moves the bytes of their rings
//! and renews their words.
//!
//! While there is traffic it naps instead of sleeping: it looks at sockets and
//! `pending` each millisecond, so that a busy guest need not call for every send. A
//! change does not wake it from a nap: vCPUs that wait or call take changes
//! themselves, and a thread that ran for each would take their CPU away. Where they
//! cannot (they wait for standard input too), it does.
//!
//! ```text
//!            no work for 20 ms
//!   NAPPING ───────────────────> ASLEEP
//!     │ ^ ^                        │ │
//!     │ │ └── a vCPU wakes up ─────┘ │   for sockets: more will come
//!     v │                            v
//!    AWAKE <── a socket changes ─────┘
//! ```
//!
//! Edge-triggered, so a socket that stays hung up or broken is told once. The
//! thread ends when the other end of its pipe is closed.

use std::io::{self, PipeWriter};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use unikiln_abi::socket::{SERVICE_ASLEEP, SERVICE_AWAKE, SERVICE_NAPPING};

use super::host;
use super::serve::Server;
use super::table::Table;
use crate::events::{block_forwarded, thread_id};

/// Edges taken at one time.
const BATCH: usize = 128;
const END_TOKEN: u64 = u64::MAX;
/// How long a nap lasts, and naps after the last work.
const NAP_MS: i32 = 1;
const NAP: Duration = Duration::from_millis(NAP_MS as u64);
const NAPS_AFTER_WORK: Duration = Duration::from_millis(20);

/// The running thread; dropping this ends it.
#[derive(Debug)]
pub(super) struct Poller {
    epoll: Arc<OwnedFd>,
    end: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Poller {
    pub(super) fn start(table: Arc<Table>) -> io::Result<Self> {
        let epoll = Arc::new(host::epoll()?);
        let (ended, end) = io::pipe()?;
        host::watch(epoll.as_fd(), ended.as_fd(), libc::EPOLLIN, END_TOKEN)?;
        let watched = Arc::clone(&epoll);
        let thread = std::thread::Builder::new()
            .name("sockets".into())
            .spawn(move || {
                block_forwarded();
                table.poller_runs(thread_id());
                run(&watched, &table);
                table.poller_runs(0);
                drop(ended);
            })?;
        Ok(Self {
            epoll,
            end: Some(end),
            thread: Some(thread),
        })
    }

    /// What watches the sockets.
    pub(super) fn epoll(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.epoll)
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.end.take();
        if let Some(thread) = self.thread.take() {
            // It cannot have panicked, and there would be nothing to do about it.
            let _ = thread.join();
        }
    }
}

fn run(epoll: &OwnedFd, table: &Table) {
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; BATCH];
    let mut naps_until = Instant::now();
    loop {
        let is_napping = Instant::now() < naps_until;
        let is_watched = table.is_watched();
        let (service, timeout_ms) = match (is_napping, is_watched) {
            (true, true) => (SERVICE_NAPPING, 0),
            (true, false) => (SERVICE_NAPPING, NAP_MS),
            (false, _) => (SERVICE_ASLEEP, -1),
        };
        table.show_service(service);
        // Who marks a socket from here on sees that; who marked it before is served here.
        table.serve_pending(Server::Other);
        if is_napping && is_watched {
            std::thread::sleep(NAP);
        }
        let count = match host::wait(epoll.as_fd(), &mut events, timeout_ms) {
            Ok(count) => count,
            // A vCPU wants it to nap: a signal, as vCPUs that wait take all events there are.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            // Only a wrong descriptor or pointer fails otherwise.
            Err(_) => return,
        };
        table.show_service(SERVICE_AWAKE);
        for event in events.iter().take(count) {
            let (token, bits) = (event.u64, event.events);
            if token == END_TOKEN {
                return;
            }
            table.edge(token, bits, Server::Other);
        }
        if table.take_traffic() || count > 0 {
            naps_until = Instant::now() + NAPS_AFTER_WORK;
        }
    }
}
