//! Transitions of containers and pods, for those who listen (GetContainerEvents).
//!
//! A listener that reads too slowly is not waited for: its channel ends with
//! [`Lost`], after which it has to list. Nothing is dropped in silence.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::Node;
use super::object::lock;
use super::status::nanos;
use crate::proto::{ContainerEventResponse, ContainerEventType};

/// Events that a listener may be behind.
const BACKLOG_MAX: usize = 4096;

/// The listener missed events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{count} events were lost to this slow reader; list pods and containers, and listen anew")]
pub struct Lost {
    /// How many.
    pub count: u64,
}

/// All listeners.
#[derive(Debug)]
pub struct Events {
    sender: Mutex<Option<broadcast::Sender<ContainerEventResponse>>>,
    /// Time of the last event; written with `sender` locked.
    last_ns: AtomicI64,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            sender: Mutex::new(Some(broadcast::Sender::new(BACKLOG_MAX))),
            last_ns: AtomicI64::new(0),
        }
    }
}

/// One listener: hears all that happens after it was made.
#[derive(Debug)]
pub struct Listener {
    receiver: Option<broadcast::Receiver<ContainerEventResponse>>,
}

impl Events {
    /// A new listener.
    pub fn listen(&self) -> Listener {
        Listener {
            receiver: lock(&self.sender)
                .as_ref()
                .map(broadcast::Sender::subscribe),
        }
    }

    /// How many listen.
    pub fn count(&self) -> usize {
        let sender = lock(&self.sender);
        sender.as_ref().map_or(0, broadcast::Sender::receiver_count)
    }

    /// Ends every listener: the daemon stops.
    pub fn close(&self) {
        lock(&self.sender).take();
    }

    /// Events have the times at which they are sent, which never go back.
    pub(super) fn send(&self, mut event: ContainerEventResponse) {
        if let Some(sender) = &*lock(&self.sender) {
            let now_ns = nanos(SystemTime::now());
            event.created_at = self
                .last_ns
                .fetch_max(now_ns, Ordering::Relaxed)
                .max(now_ns);
            // Nobody may be listening.
            let _ = sender.send(event);
        }
    }
}

impl Listener {
    /// The next event; none when the daemon stops. After [`Lost`] there is nothing more.
    pub async fn next(&mut self) -> Option<Result<ContainerEventResponse, Lost>> {
        match self.receiver.as_mut()?.recv().await {
            Ok(event) => Some(Ok(event)),
            Err(RecvError::Closed) => None,
            Err(RecvError::Lagged(count)) => {
                self.receiver = None;
                Some(Err(Lost { count }))
            }
        }
    }
}

impl Node {
    /// An event with the states as they are now.
    pub(super) fn event(
        &self,
        kind: ContainerEventType,
        id: &str,
        pod_id: &str,
    ) -> ContainerEventResponse {
        let pod = self.objects.pod(pod_id).ok().and_then(|pod| pod.record());
        ContainerEventResponse {
            container_id: id.to_owned(),
            container_event_type: kind.into(),
            created_at: 0,
            pod_sandbox_status: pod.map(|record| self.pod_status(record)),
            containers_statuses: self.statuses_of(pod_id),
        }
    }

    pub(super) fn emit(&self, kind: ContainerEventType, id: &str, pod_id: &str) {
        self.events.send(self.event(kind, id, pod_id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: usize) -> ContainerEventResponse {
        ContainerEventResponse {
            container_id: number.to_string(),
            ..ContainerEventResponse::default()
        }
    }

    #[tokio::test]
    async fn a_slow_listener_is_told_what_it_lost() {
        let events = Events::default();
        let (mut slow, mut late) = (events.listen(), events.listen());
        for number in 0..BACKLOG_MAX + 10 {
            events.send(event(number));
        }
        let count = slow.next().await.expect("open").expect_err("lost").count;
        assert_eq!(count, 10);
        assert!(slow.next().await.is_none());
        late.next().await.expect("open").expect_err("lost");

        let mut fresh = events.listen();
        events.send(event(7));
        let seventh = fresh.next().await.expect("open").expect("event");
        assert_eq!(seventh.container_id, "7");
        // A clock that is set back does not set events back.
        events.last_ns.store(i64::MAX, Ordering::Relaxed);
        events.send(event(8));
        let eighth = fresh.next().await.expect("open").expect("event");
        assert_eq!(eighth.created_at, i64::MAX);
        events.close();
        assert!(fresh.next().await.is_none());
    }
}
