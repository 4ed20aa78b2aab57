//! RemovePodSandbox: stops what runs, and leaves nothing. May be called again.

use std::sync::PoisonError;

use crate::node::{Node, NodeError};
use crate::proto::{ContainerEventType, RemovePodSandboxRequest, RemovePodSandboxResponse};
use crate::state::SandboxRecord;

impl Node {
    /// Removes a pod and its containers. One that is not there is removed.
    pub fn remove_pod_sandbox(
        &self,
        request: RemovePodSandboxRequest,
    ) -> Result<RemovePodSandboxResponse, NodeError> {
        let pod = match self.objects.pod(&request.pod_sandbox_id) {
            Ok(pod) => pod,
            Err(NodeError::NotFound { .. }) => return Ok(RemovePodSandboxResponse {}),
            Err(error) => return Err(error),
        };
        let _order = pod.order.write().unwrap_or_else(PoisonError::into_inner);
        self.stop_pod(&pod)?;
        for container in self.containers_of(&pod.id) {
            self.remove(&container)?;
        }
        let Some(record) = pod.record() else {
            return Ok(RemovePodSandboxResponse {});
        };
        self.parts.cgroups.remove(&record.cgroup)?;
        let event = self.event(ContainerEventType::ContainerDeletedEvent, &pod.id, &pod.id);
        self.state().remove::<SandboxRecord>(&pod.id)?;
        self.sampler.forget(&pod.id);
        pod.retire();
        self.objects.drop_pod(&pod.id);
        self.events.send(event);
        tracing::info!(pod = %pod.id, "pod removed");
        Ok(RemovePodSandboxResponse {})
    }
}
