//! Calls on containers.

mod create;
mod exec;
mod list;
mod logs;
mod remove;
mod start;
mod status;
mod stop;
mod update;

use std::sync::Arc;

use super::error::shortened;
use super::object::{Container, Held};
use super::{Node, NodeError};
use crate::handler::{Handler, Process};
use crate::state::ContainerPhase;

impl Node {
    /// A container with its record, its pod's, and its handler.
    fn live_container(
        &self,
        id: &str,
    ) -> Result<(Arc<Container>, Held, &Arc<dyn Handler>), NodeError> {
        let container = self.objects.container(id)?;
        let held = self.held(&container).ok_or_else(|| NodeError::NotFound {
            kind: "container",
            id: shortened(id),
        })?;
        let handler = self.handler(&held.pod.handler)?;
        Ok((container, held, handler))
    }

    /// The same for one that runs.
    fn running_container(
        &self,
        id: &str,
    ) -> Result<(Arc<Container>, Held, &Arc<dyn Handler>, Process), NodeError> {
        let (container, held, handler) = self.live_container(id)?;
        match (held.container.phase, held.process()) {
            (ContainerPhase::Running, Some(process)) => Ok((container, held, handler, process)),
            (phase, _) => Err(NodeError::WrongState {
                kind: "container",
                id: container.id.clone(),
                state: state_name(phase),
                needed: "it must be running",
            }),
        }
    }
}

/// The phase in an error's words.
fn state_name(phase: ContainerPhase) -> &'static str {
    match phase {
        ContainerPhase::Making => "being created",
        ContainerPhase::Created => "created, not started",
        ContainerPhase::Starting => "being started",
        ContainerPhase::Running => "running",
        ContainerPhase::Exited => "exited",
    }
}
