//! A pod as plugins are told of it: `CNI_ARGS`, and the capabilities that configurations may ask for.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::config::is_name;
use super::error::CniError;
use super::quantity;
use crate::proto::{DnsConfig, PodSandboxConfig, Protocol};

/// Kubernetes' annotations for a pod's bandwidth, bits a second.
const INGRESS_ANNOTATION: &str = "kubernetes.io/ingress-bandwidth";
const EGRESS_ANNOTATION: &str = "kubernetes.io/egress-bandwidth";
/// kubelet's bounds on them.
const BANDWIDTH_BITS: std::ops::RangeInclusive<u64> = 1_000..=1_000_000_000_000_000;
/// What a pod may send at once before it is slowed down: all that plugins can hold.
const BURST_BITS: u32 = i32::MAX.cast_unsigned();

/// A pod that is to have a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodNetwork {
    /// The pod's id.
    pub id: String,
    /// Its name, in Kubernetes.
    pub name: String,
    /// Its namespace, in Kubernetes.
    pub namespace: String,
    /// Its uid, in Kubernetes.
    pub uid: String,
    /// Its network namespace's file.
    pub netns: PathBuf,
    /// Ports of the node that lead to it.
    pub port_mappings: Vec<PortMapping>,
    /// What it may receive, bits a second.
    pub ingress_bits: Option<u64>,
    /// What it may send, bits a second.
    pub egress_bits: Option<u64>,
    /// Addresses that it wants.
    pub ips: Vec<IpAddr>,
    /// The hardware address that it wants; may be empty.
    pub mac: String,
    /// What its names are resolved with.
    pub dns: Option<DnsConfig>,
    /// Its cgroup below the mounts; may be empty.
    pub cgroup_path: String,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

/// A port of the node that leads to a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortMapping {
    /// The node's port.
    pub host_port: u16,
    /// The pod's port.
    pub container_port: u16,
    /// `tcp`, `udp`, `sctp`.
    pub protocol: String,
    /// The node's address; none: all of them.
    pub host_ip: Option<IpAddr>,
}

impl PodNetwork {
    /// What [`Cni::del`](super::Cni::del) has to know of a pod: what it was added with is in
    /// the cache. A pod whose configuration was refused can be taken down by it, too.
    pub fn bare(id: &str, netns: impl Into<PathBuf>) -> Self {
        Self {
            id: id.to_owned(),
            netns: netns.into(),
            ..Self::default()
        }
    }

    /// Takes what concerns the network from a pod's configuration.
    pub fn from_config(
        id: &str,
        netns: impl Into<PathBuf>,
        config: &PodSandboxConfig,
    ) -> Result<Self, CniError> {
        let metadata = config.metadata.clone().unwrap_or_default();
        let linux = config.linux.clone().unwrap_or_default();
        let mut port_mappings = Vec::new();
        for mapping in &config.port_mappings {
            // Without a port of the node it only documents.
            if mapping.host_port != 0 {
                port_mappings.push(parse_mapping(mapping)?);
            }
        }
        let pod = Self {
            id: id.to_owned(),
            name: metadata.name,
            namespace: metadata.namespace,
            uid: metadata.uid,
            netns: netns.into(),
            port_mappings,
            ingress_bits: parse_bandwidth(&config.annotations, INGRESS_ANNOTATION)?,
            egress_bits: parse_bandwidth(&config.annotations, EGRESS_ANNOTATION)?,
            dns: config.dns_config.clone(),
            cgroup_path: linux.cgroup_parent,
            annotations: config.annotations.clone(),
            ..Self::default()
        };
        pod.validate()?;
        Ok(pod)
    }

    /// Refuses what would be read as something else by a plugin or as a path.
    pub(super) fn validate(&self) -> Result<(), CniError> {
        if !is_name(&self.id) {
            return Err(CniError::BadPod(format!("{:?} is no pod id", self.id)));
        }
        for (what, text) in [
            ("name", &self.name),
            ("namespace", &self.namespace),
            ("uid", &self.uid),
        ] {
            if text.contains([';', '=', '\0', '\n']) {
                let reason = "it has a semicolon, equals sign, NUL or line break";
                return Err(CniError::BadPod(format!("{what} {text:?}: {reason}")));
            }
        }
        Ok(())
    }

    /// `CNI_ARGS`.
    pub(super) fn arguments(&self) -> OsString {
        format!(
            "IgnoreUnknown=1;K8S_POD_NAMESPACE={};K8S_POD_NAME={};K8S_POD_INFRA_CONTAINER_ID={};K8S_POD_UID={}",
            self.namespace, self.name, self.id, self.uid
        )
        .into()
    }

    /// `runtimeConfig` for a plugin that takes all capabilities.
    pub(super) fn capabilities(&self) -> Map<String, Value> {
        let mut all = Map::new();
        if !self.port_mappings.is_empty() {
            all.insert(
                "portMappings".into(),
                self.port_mappings.iter().map(PortMapping::json).collect(),
            );
        }
        let mut bandwidth = Map::new();
        for (direction, bits) in [("ingress", self.ingress_bits), ("egress", self.egress_bits)] {
            if let Some(bits) = bits {
                bandwidth.insert(format!("{direction}Rate"), json!(bits));
                bandwidth.insert(format!("{direction}Burst"), json!(BURST_BITS));
            }
        }
        if !bandwidth.is_empty() {
            all.insert("bandwidth".into(), Value::Object(bandwidth));
        }
        if !self.ips.is_empty() {
            all.insert("ips".into(), json!(self.ips));
        }
        if !self.mac.is_empty() {
            all.insert("mac".into(), json!(self.mac));
        }
        if let Some(dns) = &self.dns {
            let dns =
                json!({"servers": dns.servers, "searches": dns.searches, "options": dns.options});
            all.insert("dns".into(), dns);
        }
        if !self.cgroup_path.is_empty() {
            all.insert("cgroupPath".into(), json!(self.cgroup_path));
        }
        if !self.annotations.is_empty() {
            all.insert(
                "io.kubernetes.cri.pod-annotations".into(),
                json!(self.annotations),
            );
        }
        all
    }
}

impl PortMapping {
    fn json(&self) -> Value {
        let host_ip = self.host_ip.map(|ip| ip.to_string()).unwrap_or_default();
        json!({
            "hostPort": self.host_port,
            "containerPort": self.container_port,
            "protocol": self.protocol,
            "hostIP": host_ip,
        })
    }
}

fn parse_mapping(mapping: &crate::proto::PortMapping) -> Result<PortMapping, CniError> {
    let bad = |what: String| CniError::BadPod(format!("port mapping: {what}"));
    let port = |what: &str, port: i32| match u16::try_from(port) {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(bad(format!("{what} {port} is not 1 to 65535"))),
    };
    let protocol = match Protocol::try_from(mapping.protocol) {
        Ok(Protocol::Tcp) => "tcp",
        Ok(Protocol::Udp) => "udp",
        Ok(Protocol::Sctp) => "sctp",
        Err(_) => return Err(bad(format!("protocol {} is not known", mapping.protocol))),
    };
    let host_ip = match mapping.host_ip.as_str() {
        "" => None,
        text => Some(
            text.parse()
                .map_err(|_| bad(format!("{text:?} is no IP address")))?,
        ),
    };
    Ok(PortMapping {
        host_port: port("host port", mapping.host_port)?,
        container_port: port("container port", mapping.container_port)?,
        protocol: protocol.to_owned(),
        host_ip,
    })
}

fn parse_bandwidth(
    annotations: &BTreeMap<String, String>,
    name: &str,
) -> Result<Option<u64>, CniError> {
    let Some(text) = annotations.get(name) else {
        return Ok(None);
    };
    match quantity::parse(text) {
        Some(bits) if BANDWIDTH_BITS.contains(&bits) => Ok(Some(bits)),
        Some(_) => Err(CniError::BadPod(format!(
            "annotation {name} is {text:?}, not 1k to 1P"
        ))),
        None => Err(CniError::BadPod(format!(
            "annotation {name} is {text:?}, no quantity such as 10M"
        ))),
    }
}
