//! Statistics and metrics of containers and pods.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use super::object::{Container, Held, Pod};
use super::sandbox::is_host_network;
use super::status::has_labels;
use super::{Node, NodeError};
use crate::cgroup::CgroupStats;
use crate::handler::GuestStats;
use crate::metrics::cri::WritableLayer;
use crate::metrics::network::{self, Interface};
use crate::metrics::{cri, pods};
use crate::proto::{
    ContainerAttributes, ContainerMetrics, ContainerStats, ContainerStatsRequest,
    ContainerStatsResponse, ListContainerStatsRequest, ListContainerStatsResponse,
    ListMetricDescriptorsResponse, ListPodSandboxMetricsResponse, ListPodSandboxStatsRequest,
    ListPodSandboxStatsResponse, PodSandboxAttributes, PodSandboxMetrics, PodSandboxStats,
    PodSandboxStatsRequest, PodSandboxStatsResponse,
};
use crate::state::{ContainerPhase, SandboxPhase, SandboxRecord};

/// What was read of a container at one time.
struct Reading {
    held: Held,
    cgroup: CgroupStats,
    guest: Option<GuestStats>,
}

impl Node {
    /// What one container uses.
    pub fn container_stats(
        &self,
        request: ContainerStatsRequest,
    ) -> Result<ContainerStatsResponse, NodeError> {
        let container = self.objects.container(&request.container_id)?;
        let reading = self.read(&container)?.ok_or_else(|| NodeError::NotFound {
            kind: "container",
            id: super::error::shortened(&request.container_id),
        })?;
        Ok(ContainerStatsResponse {
            stats: Some(self.stats_of(&reading)),
        })
    }

    /// What containers use that fit the filter.
    pub fn list_container_stats(
        &self,
        request: ListContainerStatsRequest,
    ) -> Result<ListContainerStatsResponse, NodeError> {
        let filter = request.filter.unwrap_or_default();
        let mut stats = Vec::new();
        for container in self.objects.containers() {
            let fits = container.record().is_some_and(|record| {
                record.phase != ContainerPhase::Making
                    && record.id.starts_with(&filter.id)
                    && record.sandbox_id.starts_with(&filter.pod_sandbox_id)
                    && has_labels(&record.config.labels, &filter.label_selector)
            });
            if fits && let Some(reading) = self.read(&container)? {
                stats.push(self.stats_of(&reading));
            }
        }
        Ok(ListContainerStatsResponse { stats })
    }

    /// What one pod uses.
    pub fn pod_sandbox_stats(
        &self,
        request: PodSandboxStatsRequest,
    ) -> Result<PodSandboxStatsResponse, NodeError> {
        let pod = self.objects.pod(&request.pod_sandbox_id)?;
        let record = pod.record().ok_or_else(|| NodeError::NotFound {
            kind: "pod sandbox",
            id: super::error::shortened(&request.pod_sandbox_id),
        })?;
        Ok(PodSandboxStatsResponse {
            stats: Some(self.pod_stats(record)?),
        })
    }

    /// What pods use that fit the filter.
    pub fn list_pod_sandbox_stats(
        &self,
        request: ListPodSandboxStatsRequest,
    ) -> Result<ListPodSandboxStatsResponse, NodeError> {
        let filter = request.filter.unwrap_or_default();
        let mut stats = Vec::new();
        for record in self.ready_pods() {
            if record.id.starts_with(&filter.id)
                && has_labels(&record.config.labels, &filter.label_selector)
            {
                stats.push(self.pod_stats(record)?);
            }
        }
        Ok(ListPodSandboxStatsResponse { stats })
    }

    /// What the metrics are.
    pub fn list_metric_descriptors(&self) -> ListMetricDescriptorsResponse {
        ListMetricDescriptorsResponse {
            descriptors: pods::descriptors(),
        }
    }

    /// The metrics of all pods that are ready.
    pub fn list_pod_sandbox_metrics(&self) -> Result<ListPodSandboxMetricsResponse, NodeError> {
        let mut pod_metrics = Vec::new();
        for record in self.ready_pods() {
            pod_metrics.push(self.pod_metrics(&record)?);
        }
        Ok(ListPodSandboxMetricsResponse { pod_metrics })
    }

    fn ready_pods(&self) -> Vec<SandboxRecord> {
        let pods = self.objects.pods();
        let mut records: Vec<_> = pods
            .iter()
            .filter_map(|pod: &Arc<Pod>| pod.record())
            .collect();
        records.retain(|record| record.phase == SandboxPhase::Ready);
        records
    }

    /// None where it was removed meanwhile.
    fn read(&self, container: &Container) -> Result<Option<Reading>, NodeError> {
        let Some(held) = self.held(container) else {
            return Ok(None);
        };
        let cgroup = self.parts.cgroups.stats(&held.container.cgroup)?;
        let guest =
            match (held.container.phase, held.process()) {
                (ContainerPhase::Running, Some(process)) => {
                    let handler = self.handler(&held.pod.handler)?;
                    handler.stats(&held.launch(), process).unwrap_or_else(|error| {
                    // It may be ending; its cgroup still tells the most.
                    tracing::debug!(container = %container.id, %error, "a guest does not tell");
                    None
                })
                }
                _ => None,
            };
        Ok(Some(Reading {
            held,
            cgroup,
            guest,
        }))
    }

    fn stats_of(&self, reading: &Reading) -> ContainerStats {
        let record = &reading.held.container;
        let attributes = ContainerAttributes {
            id: record.id.clone(),
            metadata: record.config.metadata.clone(),
            labels: record.config.labels.clone(),
            annotations: record.config.annotations.clone(),
        };
        let layer = self.layer(reading);
        let nano_cores = self.nano_cores(&record.id, &reading.cgroup);
        cri::container(attributes, &reading.cgroup, nano_cores, layer)
    }

    /// What the container wrote to its root file system, which for a unikernel is in its memory.
    fn layer(&self, reading: &Reading) -> Option<WritableLayer> {
        let mountpoint = reading.held.directory.to_string_lossy();
        if let Some(guest) = &reading.guest {
            return Some(WritableLayer::of_guest(guest, &mountpoint));
        }
        let handler = self.handler(&reading.held.pod.handler).ok()?;
        let directory = handler.upper_directory(&reading.held.launch())?;
        let (used_bytes, inodes) = size_of(&directory);
        Some(WritableLayer {
            mountpoint: mountpoint.into_owned(),
            used_bytes,
            inodes,
        })
    }

    /// None for a unikernel, whose layer is in its memory.
    fn layer_room(&self, reading: &Reading) -> Option<pods::Room> {
        let handler = self.handler(&reading.held.pod.handler).ok()?;
        let directory = handler.upper_directory(&reading.held.launch())?;
        let room = rustix::fs::statvfs(&directory).ok()?;
        Some(pods::Room {
            bytes: room.f_blocks.saturating_mul(room.f_frsize),
            inodes: room.f_files,
            free_inodes: room.f_ffree,
        })
    }

    fn nano_cores(&self, id: &str, stats: &CgroupStats) -> Option<u64> {
        let usage_ns = stats.cpu.as_ref()?.usage_ns;
        self.sampler.nano_cores(id, stats.timestamp_ns, usage_ns)
    }

    fn pod_stats(&self, record: SandboxRecord) -> Result<PodSandboxStats, NodeError> {
        let stats = self.parts.cgroups.stats(&record.cgroup)?;
        let mut containers = Vec::new();
        for container in self.containers_of(&record.id) {
            if let Some(reading) = self.read(&container)? {
                containers.push(self.stats_of(&reading));
            }
        }
        let interfaces = self.interfaces(&record);
        let network =
            (!interfaces.is_empty()).then(|| network::usage(&interfaces, stats.timestamp_ns));
        let nano_cores = self.nano_cores(&record.id, &stats);
        let attributes = PodSandboxAttributes {
            id: record.id,
            metadata: record.config.metadata,
            labels: record.config.labels,
            annotations: record.config.annotations,
        };
        Ok(cri::pod(
            attributes, &stats, nano_cores, network, containers,
        ))
    }

    /// None of a pod in the host's network, whose traffic is not its own.
    fn interfaces(&self, record: &SandboxRecord) -> Vec<Interface> {
        if is_host_network(&record.config) || record.namespace.is_none() {
            return Vec::new();
        }
        network::interfaces(record.namespace.as_deref()).unwrap_or_else(|error| {
            tracing::debug!(pod = %record.id, error = &error as &dyn std::error::Error, "a pod's interfaces are not known");
            Vec::new()
        })
    }

    fn pod_metrics(&self, record: &SandboxRecord) -> Result<PodSandboxMetrics, NodeError> {
        let stats = self.parts.cgroups.stats(&record.cgroup)?;
        let metadata = record.config.metadata.clone().unwrap_or_default();
        let of_pod = pods::Subject {
            cgroup_path: &record.cgroup.path,
            id: &record.id,
            namespace: &metadata.namespace,
            pod: &metadata.name,
            ..pods::Subject::default()
        };
        let mut containers: Vec<ContainerMetrics> = Vec::new();
        for container in self.containers_of(&record.id) {
            let Some(reading) = self.read(&container)? else {
                continue;
            };
            let record = &reading.held.container;
            let container_metadata = record.config.metadata.clone().unwrap_or_default();
            let image = super::status::image_name(record).image;
            let subject = pods::Subject {
                container: &container_metadata.name,
                cgroup_path: &record.cgroup.path,
                image: &image,
                id: &record.id,
                ..of_pod
            };
            let started = record
                .started_at
                .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            let source = pods::Source {
                cgroup: &reading.cgroup,
                guest: reading.guest.as_ref(),
                interfaces: &[],
                layer_bytes: self.layer(&reading).map(|layer| layer.used_bytes),
                layer_room: self.layer_room(&reading),
                files: Some(open_files(&self.parts.cgroups.processes(&record.cgroup))),
                started_at_s: started.map(|since| since.as_secs()),
            };
            containers.push(pods::container(subject, source));
        }
        let interfaces = self.interfaces(record);
        let created = record.created_at.duration_since(UNIX_EPOCH).ok();
        let source = pods::Source {
            cgroup: &stats,
            guest: None,
            interfaces: &interfaces,
            layer_bytes: None,
            layer_room: None,
            files: None,
            started_at_s: created.map(|since| since.as_secs()),
        };
        Ok(pods::pod(of_pod, source, containers))
    }
}

/// Open files of processes. One that ends meanwhile has none.
fn open_files(processes: &[i32]) -> pods::OpenFiles {
    let mut files = pods::OpenFiles::default();
    for pid in processes {
        let open = fs::read_dir(format!("/proc/{pid}/fd"));
        for entry in open.into_iter().flatten().flatten() {
            files.descriptors += 1;
            let is_socket = fs::read_link(entry.path()).is_ok_and(|target| {
                target
                    .as_os_str()
                    .as_encoded_bytes()
                    .starts_with(b"socket:")
            });
            files.sockets += u64::from(is_socket);
        }
    }
    files
}

/// What is below a directory: bytes on the disk, and inodes. What goes away meanwhile is left out.
fn size_of(directory: &Path) -> (u64, u64) {
    let (mut bytes, mut inodes) = (0, 0);
    let mut left = vec![directory.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in directory.read_dir().into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            bytes += metadata.blocks() * 512;
            inodes += 1;
            if metadata.is_dir() {
                left.push(entry.path());
            }
        }
    }
    (bytes, inodes)
}
