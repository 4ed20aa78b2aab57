//! The I/O thread: waits for edges of all sockets, moves the bytes of their rings
//! and renews their words.
//!
//! Edge-triggered, so a socket that stays hung up or broken is told once. The
//! thread ends when the other end of its pipe is closed.

use std::io::{self, PipeWriter};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;

use unikiln_abi::socket::{SERVICE_ASLEEP, SERVICE_AWAKE};

use super::host;
use super::serve::Server;
use super::table::Table;
use crate::events::block_forwarded;

/// Edges taken at one time.
const BATCH: usize = 128;
const END_TOKEN: u64 = u64::MAX;

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
                run(&watched, &table);
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
    loop {
        // Who marks a socket after this calls; who marked it before is served here.
        table.show_service(SERVICE_ASLEEP);
        table.serve_pending(Server::Other);
        let count = match host::wait(epoll.as_fd(), &mut events, -1) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
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
    }
}
