//! StartContainer.

use std::sync::PoisonError;
use std::time::{Instant, SystemTime};

use super::state_name;
use crate::handler::Ended;
use crate::metrics::Phase;
use crate::node::object::lock;
use crate::node::{Node, NodeError};
use crate::proto::{ContainerEventType, StartContainerRequest, StartContainerResponse};
use crate::state::{ContainerPhase, SandboxPhase};

impl Node {
    /// Starts a created container. One that cannot be started has exited: reason
    /// `StartError`, exit code 128, as with containerd.
    pub fn start_container(
        &self,
        request: StartContainerRequest,
    ) -> Result<StartContainerResponse, NodeError> {
        let started = Instant::now();
        let (container, held, _) = self.live_container(&request.container_id)?;
        let pod = self.objects.pod(&held.container.sandbox_id)?;
        let _pod_order = pod.order.read().unwrap_or_else(PoisonError::into_inner);
        let _order = lock(&container.order);
        // As it is now, not before the locks were taken.
        let (_, held, handler) = self.live_container(&container.id)?;
        if held.pod.phase != SandboxPhase::Ready {
            return Err(NodeError::WrongState {
                kind: "pod sandbox",
                id: pod.id.clone(),
                state: "not ready",
                needed: "containers are started in a pod that is ready",
            });
        }
        if held.container.phase != ContainerPhase::Created {
            return Err(NodeError::WrongState {
                kind: "container",
                id: container.id.clone(),
                state: state_name(held.container.phase),
                needed: "a container is started once, after it was created",
            });
        }
        let state = self.state();
        container.change(state, |record| record.phase = ContainerPhase::Starting)?;
        // A short program has ended before its start is reported.
        let started_at = SystemTime::now();
        match handler.start(&held.launch()) {
            Ok(process) => {
                container.note(state, |record| {
                    record.phase = ContainerPhase::Running;
                    record.process = Some(process);
                    record.boot_id.clone_from(&self.boot_id);
                    record.started_at = Some(started_at);
                });
                self.parts.metrics.phase(Phase::Start, started.elapsed());
                self.emit(
                    ContainerEventType::ContainerStartedEvent,
                    &container.id,
                    &pod.id,
                );
                tracing::info!(pod = %pod.id, container = %container.id, pid = process.pid, "container started");
                self.watch(&container, process);
                Ok(StartContainerResponse {})
            }
            Err(error) => {
                let ended = Ended {
                    exit_code: 128,
                    reason: "StartError".to_owned(),
                    message: error.to_string(),
                    finished_at: SystemTime::now(),
                };
                container.note(state, |record| {
                    record.phase = ContainerPhase::Exited;
                    record.started_at = Some(started_at);
                    record.ended = Some(ended);
                });
                self.parts.metrics.exit("StartError");
                self.emit(
                    ContainerEventType::ContainerStoppedEvent,
                    &container.id,
                    &pod.id,
                );
                Err(error.into())
            }
        }
    }
}
