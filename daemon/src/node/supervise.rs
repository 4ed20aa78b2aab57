//! Ends of processes: one thread waits for all of them by their pidfds, whether this daemon
//! started them or one before it.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, Weak};
use std::thread;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};

use super::object::{Container, lock};
use super::{Node, NodeError};
use crate::handler::{Process, start_ticks};
use crate::proto::ContainerEventType;
use crate::state::ContainerPhase;

/// Events taken at once.
const BATCH: usize = 64;

/// Who is waited for.
#[derive(Debug)]
pub(super) struct Supervisor {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    epoll: OwnedFd,
    watched: Mutex<Watched>,
}

#[derive(Debug, Default)]
struct Watched {
    next: u64,
    by_number: HashMap<u64, (OwnedFd, Arc<Container>)>,
}

/// What the thread takes its work from.
#[derive(Debug)]
pub(super) struct Ends {
    inner: Arc<Inner>,
}

impl Supervisor {
    pub(super) fn new() -> Result<(Self, Ends), NodeError> {
        let epoll =
            epoll::create(CreateFlags::CLOEXEC).map_err(|errno| NodeError::Watch(errno.into()))?;
        let inner = Arc::new(Inner {
            epoll,
            watched: Mutex::default(),
        });
        let ends = Ends {
            inner: Arc::clone(&inner),
        };
        Ok((Self { inner }, ends))
    }

    /// Waits for a process; false if it is gone already.
    fn add(&self, container: &Arc<Container>, process: Process) -> io::Result<bool> {
        let Some(pid) = Pid::from_raw(process.pid) else {
            return Ok(false);
        };
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(Errno::SRCH) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        };
        // Now that the number cannot be given to another: is it still the one?
        if start_ticks(process.pid) != Some(process.start_ticks) {
            return Ok(false);
        }
        let mut watched = lock(&self.inner.watched);
        let number = watched.next;
        watched.next += 1;
        let data = EventData::new_u64(number);
        epoll::add(&self.inner.epoll, &pidfd, data, EventFlags::IN)?;
        watched
            .by_number
            .insert(number, (pidfd, Arc::clone(container)));
        Ok(true)
    }
}

impl Ends {
    /// Starts the thread. It ends with the process.
    pub(super) fn watch(self, node: &Arc<Node>) -> Result<(), NodeError> {
        let node = Arc::downgrade(node);
        thread::Builder::new()
            .name("ends".to_owned())
            .spawn(move || self.run(&node))
            .map_err(NodeError::Watch)?;
        Ok(())
    }

    fn run(self, node: &Weak<Node>) {
        let mut events = Vec::with_capacity(BATCH);
        loop {
            match epoll::wait(&self.inner.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => {
                    tracing::error!(%errno, "ends of containers are not seen any more; restart the daemon");
                    return;
                }
            }
            for event in events.drain(..) {
                let ended = lock(&self.inner.watched)
                    .by_number
                    .remove(&event.data.u64());
                let Some((pidfd, container)) = ended else {
                    continue;
                };
                // A child of this daemon is a zombie until it is waited for; another's is not ours.
                let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
                let _ = waitid(WaitId::PidFd(pidfd.as_fd()), options);
                drop(pidfd);
                let Some(node) = node.upgrade() else { return };
                node.container_ended(&container);
            }
        }
    }
}

impl Node {
    /// Waits for a container's process.
    pub(super) fn watch(&self, container: &Arc<Container>, process: Process) {
        match self.supervisor.add(container, process) {
            Ok(true) => {}
            Ok(false) => self.container_ended(container),
            Err(error) => {
                // It runs, and its end will not be seen before a restart. Said, not hidden.
                tracing::error!(container = %container.id, %error, "a container cannot be watched; raise LimitNOFILE and restart the daemon");
            }
        }
    }

    /// Takes note of an end that happened.
    fn container_ended(&self, container: &Container) {
        let Some(held) = self.held(container) else {
            return;
        };
        let (ContainerPhase::Running, Some(process)) = (held.container.phase, held.process())
        else {
            return;
        };
        let Ok(handler) = self.handler(&held.pod.handler) else {
            return;
        };
        let ended = handler.ended(&held.launch(), process);
        tracing::info!(
            pod = %held.pod.id,
            container = %container.id,
            exit_code = ended.exit_code,
            reason = %ended.reason,
            message = %ended.message,
            "container ended"
        );
        self.parts.metrics.exit(&ended.reason);
        container.note(self.state(), |record| {
            record.phase = ContainerPhase::Exited;
            record.ended = Some(ended);
        });
        self.emit(
            ContainerEventType::ContainerStoppedEvent,
            &container.id,
            &held.pod.id,
        );
    }
}
