//! StopPodSandbox: ends its containers, takes its network down. May be called again.

use std::sync::PoisonError;
use std::time::Duration;

use crate::node::object::Pod;
use crate::node::{Node, NodeError};
use crate::proto::{ContainerEventType, StopPodSandboxRequest, StopPodSandboxResponse};
use crate::state::SandboxPhase;

impl Node {
    /// Stops a pod. One that is not there is stopped.
    pub fn stop_pod_sandbox(
        &self,
        request: StopPodSandboxRequest,
    ) -> Result<StopPodSandboxResponse, NodeError> {
        let pod = match self.objects.pod(&request.pod_sandbox_id) {
            Ok(pod) => pod,
            Err(NodeError::NotFound { .. }) => return Ok(StopPodSandboxResponse {}),
            Err(error) => return Err(error),
        };
        let _order = pod.order.write().unwrap_or_else(PoisonError::into_inner);
        self.stop_pod(&pod)?;
        Ok(StopPodSandboxResponse {})
    }

    /// The same, with the pod's order held.
    pub(in crate::node) fn stop_pod(&self, pod: &Pod) -> Result<(), NodeError> {
        let Some(record) = pod.record() else {
            return Ok(());
        };
        for container in self.containers_of(&pod.id) {
            self.stop(&container, Duration::ZERO)?;
        }
        if record.phase == SandboxPhase::NotReady && record.namespace.is_none() {
            return Ok(());
        }
        self.release_network(&record)?;
        pod.change(self.state(), |record| {
            record.phase = SandboxPhase::NotReady;
            record.namespace = None;
        })?;
        self.emit(ContainerEventType::ContainerStoppedEvent, &pod.id, &pod.id);
        tracing::info!(pod = %pod.id, "pod stopped");
        Ok(())
    }
}
