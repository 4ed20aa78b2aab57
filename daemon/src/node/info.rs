//! What the runtime tells of itself: Status, RuntimeConfig, UpdateRuntimeConfig.

use std::collections::BTreeMap;

use super::Node;
use crate::cgroup::Driver;
use crate::proto::{
    CgroupDriver, LinuxRuntimeConfiguration, RuntimeCondition, RuntimeConfigResponse,
    RuntimeFeatures, RuntimeHandler, RuntimeHandlerFeatures, RuntimeStatus, StatusRequest,
    StatusResponse, UpdateRuntimeConfigRequest, UpdateRuntimeConfigResponse,
};

impl Node {
    /// Whether pods can run, and if not why.
    pub fn status(&self, request: &StatusRequest) -> StatusResponse {
        let network = match self.parts.cni.status() {
            Ok(()) => condition("NetworkReady", true, "", ""),
            Err(error) => condition(
                "NetworkReady",
                false,
                "NetworkPluginNotReady",
                &error.to_string(),
            ),
        };
        let mut info = BTreeMap::new();
        if request.verbose {
            let text = serde_json::json!({
                "state": self.state().root(),
                "defaultHandler": self.parts.default_handler,
                "handlers": self.handler_names(),
                "pods": self.objects.pods().len(),
                "containers": self.objects.containers().len(),
            });
            info.insert("config".to_owned(), text.to_string());
        }
        // The empty name is the default's, for clients that ask by it.
        let names = std::iter::once(String::new()).chain(self.handler_names());
        StatusResponse {
            status: Some(RuntimeStatus {
                conditions: vec![condition("RuntimeReady", true, "", ""), network],
            }),
            info,
            runtime_handlers: names.map(|name| self.features(name)).collect(),
            features: Some(RuntimeFeatures {
                supplemental_groups_policy: true,
                user_namespaces_host_network: false,
            }),
        }
    }

    fn features(&self, name: String) -> RuntimeHandler {
        let meant = if name.is_empty() {
            &self.parts.default_handler
        } else {
            &name
        };
        RuntimeHandler {
            features: Some(RuntimeHandlerFeatures {
                recursive_read_only_mounts: self
                    .parts
                    .handlers
                    .get(meant)
                    .is_some_and(|handler| handler.has_recursive_read_only()),
                user_namespaces: false,
            }),
            name,
        }
    }

    /// How cgroups are made, which kubelet follows.
    pub fn runtime_config(&self) -> RuntimeConfigResponse {
        let driver = match self.parts.cgroups.driver() {
            Driver::Systemd => CgroupDriver::Systemd,
            Driver::Cgroupfs => CgroupDriver::Cgroupfs,
        };
        RuntimeConfigResponse {
            linux: Some(LinuxRuntimeConfiguration {
                cgroup_driver: driver.into(),
            }),
        }
    }

    /// Takes the node's pod CIDR. CNI configurations name their own: it is noted in the log.
    pub fn update_runtime_config(
        &self,
        request: &UpdateRuntimeConfigRequest,
    ) -> UpdateRuntimeConfigResponse {
        let network = request.runtime_config.as_ref();
        let cidr = network.and_then(|config| config.network_config.as_ref());
        if let Some(cidr) = cidr {
            tracing::info!(pod_cidr = %cidr.pod_cidr, "the pod CIDR is the CNI configuration's to use");
        }
        UpdateRuntimeConfigResponse {}
    }
}

fn condition(kind: &str, is_met: bool, reason: &str, message: &str) -> RuntimeCondition {
    RuntimeCondition {
        r#type: kind.to_owned(),
        status: is_met,
        reason: reason.to_owned(),
        message: message.to_owned(),
    }
}
