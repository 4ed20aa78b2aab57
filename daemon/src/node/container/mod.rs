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
use crate::proto::LinuxContainerResources;
use crate::state::ContainerPhase;

/// A container with what its calls need.
type Live<'a> = (Arc<Container>, Held, &'a Arc<dyn Handler>);
/// The same with its process.
type Running<'a> = (Arc<Container>, Held, &'a Arc<dyn Handler>, Process);

impl Node {
    /// A container with its record, its pod's, and its handler.
    fn live_container(&self, id: &str) -> Result<Live<'_>, NodeError> {
        let container = self.objects.container(id)?;
        let held = self.held(&container).ok_or_else(|| NodeError::NotFound {
            kind: "container",
            id: shortened(id),
        })?;
        let handler = self.handler(&held.pod.handler)?;
        Ok((container, held, handler))
    }

    /// The same for one that runs.
    fn running_container(&self, id: &str) -> Result<Running<'_>, NodeError> {
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

/// The limits of a container's cgroup: those of its program, and room for what runs it.
fn with_overhead(
    handler: &dyn Handler,
    mut resources: LinuxContainerResources,
) -> LinuxContainerResources {
    if let Ok(limit @ 1..) = u64::try_from(resources.memory_limit_in_bytes) {
        let more = i64::try_from(handler.overhead_bytes(limit)).unwrap_or(i64::MAX);
        let limits = [
            &mut resources.memory_limit_in_bytes,
            &mut resources.memory_swap_limit_in_bytes,
        ];
        for limit in limits {
            if *limit > 0 {
                *limit = limit.saturating_add(more);
            }
        }
    }
    resources
}
