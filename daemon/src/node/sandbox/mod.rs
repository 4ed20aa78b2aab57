//! Calls on pods.

mod forward;
mod list;
mod remove;
mod resources;
mod run;
mod status;
mod stop;

use super::error::shortened;
use super::object::Pod;
use super::{Node, NodeError};
use crate::network::{Namespace, PodNetwork};
use crate::proto::{NamespaceMode, PodSandboxConfig};
use crate::state::SandboxRecord;

/// Whether the pod is in the host's network.
pub(crate) fn is_host_network(config: &PodSandboxConfig) -> bool {
    let options = config
        .linux
        .as_ref()
        .and_then(|linux| linux.security_context.as_ref())
        .and_then(|context| context.namespace_options.as_ref());
    options.is_some_and(|options| options.network() == NamespaceMode::Node)
}

impl Node {
    /// What the CNI plugins are told of a pod.
    fn pod_network(record: &SandboxRecord) -> Result<Option<PodNetwork>, NodeError> {
        let Some(namespace) = &record.namespace else {
            return Ok(None);
        };
        let network = PodNetwork::from_config(&record.id, namespace, &record.config)?;
        Ok(Some(network))
    }

    /// Takes the pod's network down: addresses, then the namespace. May be called again.
    fn release_network(&self, record: &SandboxRecord) -> Result<(), NodeError> {
        // Not by its configuration, which may be what was refused.
        let bare = |path| PodNetwork::bare(&record.id, path);
        let Some(network) = record.namespace.as_ref().map(bare) else {
            return Ok(());
        };
        self.parts.cni.del(&network)?;
        Ok(Namespace::remove(&network.netns)?)
    }

    /// The pod, which must have a record.
    fn live_pod(&self, id: &str) -> Result<(std::sync::Arc<Pod>, SandboxRecord), NodeError> {
        let pod = self.objects.pod(id)?;
        let record = pod.record().ok_or_else(|| NodeError::NotFound {
            kind: "pod sandbox",
            id: shortened(id),
        })?;
        Ok((pod, record))
    }
}
