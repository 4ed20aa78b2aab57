//! PodSandboxStatus.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::node::status::nanos;
use crate::node::{Node, NodeError};
use crate::proto::{PodSandboxStatusRequest, PodSandboxStatusResponse};

impl Node {
    /// What is known of a pod and its containers.
    pub fn pod_sandbox_status(
        &self,
        request: PodSandboxStatusRequest,
    ) -> Result<PodSandboxStatusResponse, NodeError> {
        let (_, record) = self.live_pod(&request.pod_sandbox_id)?;
        let mut info = BTreeMap::new();
        if request.verbose {
            let text = serde_json::json!({
                "sandboxID": record.id,
                "runtimeHandler": record.handler,
                "networkNamespace": record.namespace,
                "cgroup": record.cgroup.path,
                "cniResult": record.network,
                "config": record.config,
            });
            info.insert("info".to_owned(), text.to_string());
        }
        Ok(PodSandboxStatusResponse {
            containers_statuses: self.statuses_of(&record.id),
            status: Some(self.pod_status(record)),
            info,
            timestamp: nanos(SystemTime::now()),
        })
    }
}
