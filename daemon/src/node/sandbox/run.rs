//! RunPodSandbox: a record first, then the network namespace, then CNI.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::{Instant, SystemTime};

use super::is_host_network;
use crate::cgroup::Cgroup;
use crate::config::UNIKERNEL_HANDLER;
use crate::metrics::Phase;
use crate::network::sysctl::Sysctls;
use crate::network::{Namespace, PodNetwork};
use crate::node::object::{Pod, Reserved};
use crate::node::{Node, NodeError, files, names};
use crate::proto::{
    ContainerEventType, NamespaceMode, PodSandboxConfig, RunPodSandboxRequest,
    RunPodSandboxResponse,
};
use crate::state::{SandboxPhase, SandboxRecord};

/// Longest name, uid or namespace of a pod. Kubernetes' own limit is 253.
const NAME_MAX_BYTES: usize = 1024;

impl Node {
    /// Makes a pod with a network. Asked for again with the same configuration it gives the
    /// pod that is there.
    pub fn run_pod_sandbox(
        &self,
        request: RunPodSandboxRequest,
    ) -> Result<RunPodSandboxResponse, NodeError> {
        let started = Instant::now();
        let config = request
            .config
            .ok_or(NodeError::Missing { field: "config" })?;
        check(&config)?;
        self.handler(&request.runtime_handler)?;
        let handler = if request.runtime_handler.is_empty() {
            self.parts.default_handler.clone()
        } else {
            request.runtime_handler
        };
        let metadata = config.metadata.clone().unwrap_or_default();
        let name = names::pod_name(&metadata);
        let record = SandboxRecord {
            id: names::new_id()?,
            phase: SandboxPhase::Making,
            handler,
            config,
            created_at: SystemTime::now(),
            boot_id: self.boot_id.clone(),
            namespace: None,
            network: None,
            cgroup: Cgroup::default(),
        };
        let pod = Arc::new(Pod::new(self.state(), record.clone()));
        // Held until the pod is ready or gone: whoever asks for the same waits here.
        let _order = pod.order.write().unwrap_or_else(PoisonError::into_inner);
        if let Reserved::Taken(other) = self.objects.add_pod(name.clone(), &pod) {
            return same_pod(&other, &record, name);
        }
        let made = self.make_pod(&pod, &record);
        if let Err(error) = made {
            self.undo_pod(&pod);
            return Err(error);
        }
        self.parts.metrics.phase(Phase::Sandbox, started.elapsed());
        self.emit(ContainerEventType::ContainerCreatedEvent, &pod.id, &pod.id);
        self.emit(ContainerEventType::ContainerStartedEvent, &pod.id, &pod.id);
        tracing::info!(pod = %pod.id, name, "pod made");
        Ok(RunPodSandboxResponse {
            pod_sandbox_id: pod.id.clone(),
        })
    }

    fn make_pod(&self, pod: &Pod, record: &SandboxRecord) -> Result<(), NodeError> {
        let state = self.state();
        let directory = state.create::<SandboxRecord>(&pod.id)?;
        state.save(record)?;
        let config = &record.config;
        let parent = config
            .linux
            .as_ref()
            .map_or("", |linux| linux.cgroup_parent.as_str());
        // Known before it is there, so that a daemon that is killed now finds it.
        let cgroup = self.parts.cgroups.place_of_pod(parent, &pod.id)?;
        pod.change(state, |record| record.cgroup = cgroup)?;
        self.parts.cgroups.pod(parent, &pod.id)?;
        let is_host = is_host_network(config);
        let asked = config.linux.as_ref().map(|linux| &linux.sysctls);
        let sysctls = Sysctls::parse(asked.unwrap_or(&BTreeMap::new()), is_host)?;
        if record.handler == UNIKERNEL_HANDLER {
            sysctls.check_for_unikernel()?;
        }
        // Refused before anything is there.
        PodNetwork::from_config(&pod.id, "", config)?;
        let mut address = None;
        if !is_host {
            let started = Instant::now();
            // Known before it is there, so that a daemon that is killed now finds it.
            let path = Namespace::path_of(&pod.id)?;
            let record = pod.change(state, |record| record.namespace = Some(path))?;
            let namespace = Namespace::create(&pod.id)?;
            if let Some(network) = Self::pod_network(&record)? {
                let result = self.parts.cni.add(&network)?;
                address = result.pod_ips().first().map(ToString::to_string);
                pod.change(state, |record| record.network = Some(result))?;
            }
            // After the interfaces are there, some of which have sysctls of their own.
            sysctls.apply(namespace.path())?;
            self.parts
                .metrics
                .phase(Phase::SandboxNetwork, started.elapsed());
        }
        files::write(&directory, config, is_host, address.as_deref())?;
        pod.change(state, |record| record.phase = SandboxPhase::Ready)?;
        Ok(())
    }

    /// Takes back what a failed call made. What cannot be taken back stays as a pod that is
    /// not ready, to be removed later.
    pub(in crate::node) fn undo_pod(&self, pod: &Pod) {
        let Some(record) = pod.record() else { return };
        let undone = self
            .release_network(&record)
            .and_then(|()| Ok(self.parts.cgroups.remove(&record.cgroup)?))
            .and_then(|()| Ok(self.state().remove::<SandboxRecord>(&pod.id)?));
        match undone {
            Ok(()) => {
                pod.retire();
                self.objects.drop_pod(&pod.id);
            }
            Err(error) => {
                tracing::warn!(pod = %pod.id, error = &error as &dyn std::error::Error, "a half-made pod stays, to be removed");
                pod.note(self.state(), |record| record.phase = SandboxPhase::NotReady);
            }
        }
    }
}

/// The pod that has the name already, if it is what is asked for.
fn same_pod(
    other: &Pod,
    asked: &SandboxRecord,
    name: String,
) -> Result<RunPodSandboxResponse, NodeError> {
    // Whoever makes it holds this until it is ready or gone.
    let _order = other.order.read().unwrap_or_else(PoisonError::into_inner);
    let same = other.record().is_some_and(|record| {
        record.phase == SandboxPhase::Ready
            && record.config == asked.config
            && record.handler == asked.handler
    });
    if same {
        return Ok(RunPodSandboxResponse {
            pod_sandbox_id: other.id.clone(),
        });
    }
    Err(NodeError::NameTaken {
        name,
        id: other.id.clone(),
    })
}

fn check(config: &PodSandboxConfig) -> Result<(), NodeError> {
    let missing = |field| Err(NodeError::Missing { field });
    let Some(metadata) = &config.metadata else {
        return missing("config.metadata");
    };
    let named = [
        ("config.metadata.name", &metadata.name),
        ("config.metadata.namespace", &metadata.namespace),
        ("config.metadata.uid", &metadata.uid),
    ];
    for (field, value) in named {
        if value.is_empty() && field != "config.metadata.uid" {
            return missing(field);
        }
        if value.len() > NAME_MAX_BYTES || value.contains(['/', '\0']) {
            return Err(NodeError::BadValue {
                field,
                value: crate::node::error::shortened(value),
                reason: "it has at most 1024 bytes and no slash",
            });
        }
    }
    files::check_hostname(&config.hostname)?;
    if !config.log_directory.is_empty() && !Node::absolute(config.log_directory.as_ref()) {
        return Err(NodeError::BadValue {
            field: "config.log_directory",
            value: crate::node::error::shortened(&config.log_directory),
            reason: "it must be absolute",
        });
    }
    if config.windows.is_some() {
        return Err(NodeError::Unimplemented(
            "config.windows is set: pods of Windows do not run here",
        ));
    }
    let context = config
        .linux
        .as_ref()
        .and_then(|linux| linux.security_context.as_ref());
    let options = context.and_then(|context| context.namespace_options.as_ref());
    let user_namespace = options.and_then(|options| options.userns_options.as_ref());
    if user_namespace.is_some_and(|options| options.mode() != NamespaceMode::Node) {
        return Err(NodeError::Unimplemented(
            "user namespaces (hostUsers: false) are not supported",
        ));
    }
    Ok(())
}
