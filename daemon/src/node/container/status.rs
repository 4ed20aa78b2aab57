//! ContainerStatus.

use std::collections::BTreeMap;

use crate::node::{Node, NodeError};
use crate::proto::{ContainerStatusRequest, ContainerStatusResponse};

impl Node {
    /// What is known of a container.
    pub fn container_status(
        &self,
        request: ContainerStatusRequest,
    ) -> Result<ContainerStatusResponse, NodeError> {
        let (container, held, _) = self.live_container(&request.container_id)?;
        let mut info = BTreeMap::new();
        if request.verbose {
            let text = serde_json::json!({
                "sandboxID": held.container.sandbox_id,
                "pid": held.process().map_or(0, |process| process.pid),
                "runtimeHandler": held.pod.handler,
                "directory": container.directory,
                "cgroup": held.container.cgroup.path,
                "mounts": held.container.mounts,
                "image": held.container.image,
                "config": held.container.config,
            });
            info.insert("info".to_owned(), text.to_string());
        }
        Ok(ContainerStatusResponse {
            status: Some(self.status_of(held)),
            info,
        })
    }
}
