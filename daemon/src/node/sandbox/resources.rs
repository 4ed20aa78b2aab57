//! UpdatePodSandboxResources.

use crate::node::{Node, NodeError};
use crate::proto::{UpdatePodSandboxResourcesRequest, UpdatePodSandboxResourcesResponse};

impl Node {
    /// Notes new limits of a pod. kubelet writes them into the pod's cgroup itself; containers
    /// are told by calls of their own.
    pub fn update_pod_sandbox_resources(
        &self,
        request: UpdatePodSandboxResourcesRequest,
    ) -> Result<UpdatePodSandboxResourcesResponse, NodeError> {
        let (pod, _) = self.live_pod(&request.pod_sandbox_id)?;
        pod.change(self.state(), |record| {
            let linux = record.config.linux.get_or_insert_default();
            if request.overhead.is_some() {
                linux.overhead = request.overhead;
            }
            if request.resources.is_some() {
                linux.resources = request.resources;
            }
        })?;
        Ok(UpdatePodSandboxResourcesResponse {})
    }
}
