//! StopContainer: the stop signal, a grace period, SIGKILL. May be called again.

use std::time::{Duration, Instant};

use crate::handler::HandlerError;
use crate::node::object::{Container, Held, lock};
use crate::node::status::stop_signal;
use crate::node::{Node, NodeError};
use crate::proto::{StopContainerRequest, StopContainerResponse};
use crate::state::ContainerPhase;

/// How long a killed container may take to be gone.
const KILL_MAX: Duration = Duration::from_secs(10);
const SIGKILL: i32 = 9;

impl Node {
    /// Stops a container; `timeout` is the grace period in seconds, 0 none. One that is not
    /// there, or never ran, is stopped.
    pub fn stop_container(
        &self,
        request: StopContainerRequest,
    ) -> Result<StopContainerResponse, NodeError> {
        let container = match self.objects.container(&request.container_id) {
            Ok(container) => container,
            Err(NodeError::NotFound { .. }) => return Ok(StopContainerResponse {}),
            Err(error) => return Err(error),
        };
        let grace = u64::try_from(request.timeout).unwrap_or(0);
        self.stop(&container, Duration::from_secs(grace))?;
        Ok(StopContainerResponse {})
    }

    /// The same. Does not keep the container's order while it waits.
    pub(in crate::node) fn stop(
        &self,
        container: &Container,
        grace: Duration,
    ) -> Result<(), NodeError> {
        let ended =
            |deadline| container.wait(deadline, |record| record.phase == ContainerPhase::Exited);
        if !grace.is_zero() {
            let Some(held) = self.signal(container, None)? else {
                return Ok(());
            };
            tracing::info!(container = %container.id, signal = stop_signal(&held.container), grace = grace.as_secs(), "container is told to stop");
            if ended(Instant::now().checked_add(grace)) {
                return Ok(());
            }
        }
        let Some(held) = self.signal(container, Some(SIGKILL))? else {
            return Ok(());
        };
        if ended(Some(Instant::now() + KILL_MAX / 2)) {
            return Ok(());
        }
        // Not by the front door, then.
        self.parts.cgroups.kill(&held.container.cgroup)?;
        if ended(Some(Instant::now() + KILL_MAX / 2)) {
            return Ok(());
        }
        Err(NodeError::WouldNotEnd {
            id: container.id.clone(),
            seconds: KILL_MAX.as_secs(),
        })
    }

    /// Sends a signal, the container's stop signal where none is given; nothing where it does
    /// not run. Waits for a start that is under way.
    fn signal(
        &self,
        container: &Container,
        signal: Option<i32>,
    ) -> Result<Option<Held>, NodeError> {
        let _order = lock(&container.order);
        let Some(held) = self.held(container) else {
            return Ok(None);
        };
        let (ContainerPhase::Running, Some(process)) = (held.container.phase, held.process())
        else {
            return Ok(None);
        };
        let signal = signal.unwrap_or_else(|| stop_signal(&held.container));
        let handler = self.handler(&held.pod.handler)?;
        match handler.signal(&held.launch(), process, signal) {
            Ok(()) => Ok(Some(held)),
            // SIGKILL has a second way.
            Err(error) if signal == SIGKILL => {
                tracing::warn!(container = %container.id, error = &error as &dyn std::error::Error, "a kill failed");
                self.parts.cgroups.kill(&held.container.cgroup)?;
                Ok(Some(held))
            }
            Err(error @ HandlerError::Precondition(_)) => {
                // It may have ended just now.
                tracing::debug!(container = %container.id, %error, "a signal found nobody");
                Ok(Some(held))
            }
            Err(error) => Err(error.into()),
        }
    }
}
