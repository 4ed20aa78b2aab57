//! PortForward.

use crate::node::{Node, NodeError};
use crate::proto::{PortForwardRequest, PortForwardResponse};
use crate::state::SandboxPhase;

impl Node {
    /// A URL under which the pod's ports can be reached once.
    pub fn port_forward(
        &self,
        request: PortForwardRequest,
    ) -> Result<PortForwardResponse, NodeError> {
        let (pod, record) = self.live_pod(&request.pod_sandbox_id)?;
        if record.phase != SandboxPhase::Ready {
            return Err(NodeError::WrongState {
                kind: "pod sandbox",
                id: pod.id.clone(),
                state: "not ready",
                needed: "ports are forwarded to a pod that is ready",
            });
        }
        let bad = request
            .port
            .iter()
            .find(|port| u16::try_from(**port).map_or(true, |port| port == 0));
        if let Some(port) = bad {
            return Err(NodeError::BadValue {
                field: "port",
                value: port.to_string(),
                reason: "ports are 1 to 65535",
            });
        }
        let url = self
            .parts
            .streaming
            .port_forward(record.namespace, &request.port)
            .map_err(NodeError::Streaming)?;
        Ok(PortForwardResponse { url })
    }
}
