//! ListMetricDescriptors and ListPodSandboxMetrics: the metrics that kubelet used to get from
//! cAdvisor, under its names and with its labels, from the same counters as the statistics.
//!
//! One table ([`ROWS`]) has a row for each metric, so that what is described and what is given
//! cannot differ. CRI's values are whole numbers: seconds are rounded down, as the other
//! runtimes do it.

use super::network::{Interface, Traffic};
use crate::cgroup::{CgroupStats, CpuStats, IoStats, MemoryStats, Pressure};
use crate::handler::GuestStats;
use crate::proto::{
    ContainerMetrics, Metric, MetricDescriptor, MetricType, PodSandboxMetrics, UInt64Value,
};

/// The labels that every metric has, cAdvisor's.
const LABELS: [&str; 6] = ["container", "id", "image", "name", "namespace", "pod"];

/// What a metric is about.
#[derive(Clone, Copy, Debug, Default)]
pub struct Subject<'a> {
    /// The container's name in its pod; empty for the pod itself.
    pub container: &'a str,
    /// The path of the cgroup.
    pub cgroup_path: &'a str,
    /// The container's image as the request named it.
    pub image: &'a str,
    /// The id of the container or pod.
    pub id: &'a str,
    /// The pod's namespace.
    pub namespace: &'a str,
    /// The pod's name.
    pub pod: &'a str,
}

/// Where the values of a container or pod come from. What is none gives no metric.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The cgroup.
    pub cgroup: &'a CgroupStats,
    /// The guest.
    pub guest: Option<&'a GuestStats>,
    /// Interfaces: a pod's.
    pub interfaces: &'a [Interface],
    /// Bytes of the writable layer.
    pub layer_bytes: Option<u64>,
    /// The file system that the layer lies on; none where that is a guest's memory.
    pub layer_room: Option<Room>,
    /// Open files of its processes.
    pub files: Option<OpenFiles>,
    /// Seconds from 1970 to the start.
    pub started_at_s: Option<u64>,
}

/// What a file system has room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Bytes in all.
    pub bytes: u64,
    /// Inodes in all.
    pub inodes: u64,
    /// Inodes that are free.
    pub free_inodes: u64,
}

/// Open files of processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenFiles {
    /// Descriptors.
    pub descriptors: u64,
    /// Sockets among them.
    pub sockets: u64,
}

/// Describes all metrics.
pub fn descriptors() -> Vec<MetricDescriptor> {
    let describe = |row: &Row| MetricDescriptor {
        name: row.name.to_owned(),
        help: row.help.to_owned(),
        label_keys: LABELS
            .iter()
            .chain(row.labels)
            .map(|&key| key.to_owned())
            .collect(),
    };
    ROWS.iter().map(describe).collect()
}

/// The metrics of a container.
pub fn container(subject: Subject<'_>, source: Source<'_>) -> ContainerMetrics {
    ContainerMetrics {
        container_id: subject.id.to_owned(),
        metrics: metrics(subject, source),
    }
}

/// The metrics of a pod with those of its containers.
pub fn pod(
    subject: Subject<'_>,
    source: Source<'_>,
    containers: Vec<ContainerMetrics>,
) -> PodSandboxMetrics {
    PodSandboxMetrics {
        pod_sandbox_id: subject.id.to_owned(),
        metrics: metrics(subject, source),
        container_metrics: containers,
    }
}

fn metrics(subject: Subject<'_>, source: Source<'_>) -> Vec<Metric> {
    let base = [
        subject.container,
        subject.cgroup_path,
        subject.image,
        subject.id,
        subject.namespace,
        subject.pod,
    ];
    let mut metrics = Vec::new();
    for row in ROWS {
        (row.read)(source, &mut |labels: &[&str], value: u64| {
            let labels = base.iter().chain(labels);
            metrics.push(Metric {
                name: row.name.to_owned(),
                timestamp: source.cgroup.timestamp_ns,
                metric_type: row.kind.into(),
                label_values: labels.map(|&label| label.to_owned()).collect(),
                value: Some(UInt64Value { value }),
            });
        });
    }
    metrics
}

/// Takes a value and the labels beyond [`LABELS`].
type Give<'a> = &'a mut dyn FnMut(&[&str], u64);

/// A metric.
struct Row {
    name: &'static str,
    kind: MetricType,
    help: &'static str,
    labels: &'static [&'static str],
    read: fn(Source<'_>, Give<'_>),
}

/// A row whose value is read from one part of a source, if that is there.
macro_rules! row {
    ($name:literal, $kind:ident, $help:literal, $read:expr) => {
        row!($name, $kind, $help, [], |source, give: Give<'_>| {
            let read: fn(Source<'_>) -> Option<u64> = $read;
            if let Some(value) = read(source) {
                give(&[], value);
            }
        })
    };
    ($name:literal, $kind:ident, $help:literal, $labels:expr, $read:expr) => {
        Row {
            name: $name,
            kind: MetricType::$kind,
            help: $help,
            labels: &$labels,
            read: $read,
        }
    };
}

/// A row with a value for each interface.
macro_rules! traffic {
    ($name:literal, $help:literal, $read:expr) => {
        row!($name, Counter, $help, ["interface"], |source, give| {
            let read: fn(&Interface) -> u64 = $read;
            for interface in source.interfaces {
                give(&[&interface.name], read(interface));
            }
        })
    };
}

fn cpu(source: Source<'_>, read: fn(&CpuStats) -> u64) -> Option<u64> {
    source.cgroup.cpu.as_ref().map(read)
}

fn memory(source: Source<'_>, read: fn(&MemoryStats) -> u64) -> Option<u64> {
    source.cgroup.memory.as_ref().map(read)
}

fn io(source: Source<'_>, read: fn(&IoStats) -> u64) -> Option<u64> {
    source.cgroup.io.as_ref().map(read)
}

fn seconds(ns: u64) -> u64 {
    ns / 1_000_000_000
}

fn waiting(pressure: Option<Pressure>) -> Option<u64> {
    pressure.map(|pressure| pressure.some.total_us / 1_000_000)
}

fn stalled(pressure: Option<Pressure>) -> Option<u64> {
    pressure.map(|pressure| pressure.full.total_us / 1_000_000)
}

fn received(interface: &Interface) -> Traffic {
    interface.received
}

fn sent(interface: &Interface) -> Traffic {
    interface.sent
}

/// In the order of cAdvisor's documentation, ours at the end.
#[rustfmt::skip]
static ROWS: &[Row] = &[
    row!("container_blkio_device_usage_total", Counter, "Bytes moved to and from block devices.", ["device", "major", "minor", "operation"], |s, give| if let Some(io) = &s.cgroup.io {
        give(&["", "", "", "Read"], io.read_bytes);
        give(&["", "", "", "Write"], io.written_bytes);
    }),
    row!("container_cpu_usage_seconds_total", Counter, "CPU time used, in seconds.", |s| cpu(s, |c| seconds(c.usage_ns))),
    row!("container_cpu_user_seconds_total", Counter, "CPU time used in user mode, in seconds.", |s| cpu(s, |c| seconds(c.user_ns))),
    row!("container_cpu_system_seconds_total", Counter, "CPU time used in the kernel, in seconds.", |s| cpu(s, |c| seconds(c.system_ns))),
    row!("container_cpu_cfs_periods_total", Counter, "Periods of the CPU quota that went by.", |s| cpu(s, |c| c.periods)),
    row!("container_cpu_cfs_throttled_periods_total", Counter, "Periods in which the CPU quota was used up.", |s| cpu(s, |c| c.throttled_periods)),
    row!("container_cpu_cfs_throttled_seconds_total", Counter, "Time spent waiting for the next period, in seconds.", |s| cpu(s, |c| seconds(c.throttled_ns))),
    row!("container_file_descriptors", Gauge, "Open file descriptors of its processes; the monitor's for a unikernel.", |s| s.files.map(|files| files.descriptors)),
    row!("container_fs_inodes_free", Gauge, "Inodes that are free where the writable layer lies.", ["device"], |s, give| if let Some(room) = s.layer_room { give(&[""], room.free_inodes) }),
    row!("container_fs_inodes_total", Gauge, "Inodes where the writable layer lies.", ["device"], |s, give| if let Some(room) = s.layer_room { give(&[""], room.inodes) }),
    row!("container_fs_limit_bytes", Gauge, "Bytes of the file system that the writable layer lies on.", ["device"], |s, give| if let Some(room) = s.layer_room { give(&[""], room.bytes) }),
    row!("container_fs_usage_bytes", Gauge, "Bytes of the writable layer.", ["device"], |s, give| if let Some(bytes) = s.layer_bytes { give(&[""], bytes) }),
    row!("container_fs_reads_bytes_total", Counter, "Bytes read from block devices.", ["device"], |s, give| if let Some(value) = io(s, |io| io.read_bytes) { give(&[""], value) }),
    row!("container_fs_reads_total", Counter, "Reads from block devices.", ["device"], |s, give| if let Some(value) = io(s, |io| io.reads) { give(&[""], value) }),
    row!("container_fs_writes_bytes_total", Counter, "Bytes written to block devices.", ["device"], |s, give| if let Some(value) = io(s, |io| io.written_bytes) { give(&[""], value) }),
    row!("container_fs_writes_total", Counter, "Writes to block devices.", ["device"], |s, give| if let Some(value) = io(s, |io| io.writes) { give(&[""], value) }),
    row!("container_last_seen", Gauge, "When it was last seen, in seconds since 1970.", |s| u64::try_from(s.cgroup.timestamp_ns).ok().map(seconds)),
    row!("container_memory_cache", Gauge, "Bytes of page cache.", |s| memory(s, |m| m.cache_bytes)),
    row!("container_memory_failcnt", Counter, "How often the memory limit was hit.", |s| memory(s, |m| m.limit_hits)),
    row!("container_memory_failures_total", Counter, "Page faults by kind.", ["failure_type", "scope"], |s, give| if let Some(memory) = &s.cgroup.memory {
        give(&["pgfault", "hierarchy"], memory.page_faults);
        give(&["pgmajfault", "hierarchy"], memory.major_page_faults);
    }),
    row!("container_memory_kernel_usage", Gauge, "Bytes of the kernel's own memory.", |s| memory(s, |m| m.kernel_bytes)),
    row!("container_memory_mapped_file", Gauge, "Bytes of mapped files.", |s| memory(s, |m| m.mapped_file_bytes)),
    row!("container_memory_max_usage_bytes", Gauge, "Most memory in use so far, in bytes.", |s| s.cgroup.memory.as_ref()?.peak_bytes),
    row!("container_memory_rss", Gauge, "Bytes of anonymous memory.", |s| memory(s, |m| m.rss_bytes)),
    row!("container_memory_swap", Gauge, "Bytes of swap in use.", |s| s.cgroup.memory.as_ref()?.swap_bytes),
    row!("container_memory_total_active_file_bytes", Gauge, "Bytes of page cache used of late.", |s| memory(s, |m| m.active_file_bytes)),
    row!("container_memory_total_inactive_file_bytes", Gauge, "Bytes of page cache not used of late.", |s| memory(s, |m| m.inactive_file_bytes)),
    row!("container_memory_usage_bytes", Gauge, "Bytes of memory in use, page cache included.", |s| memory(s, |m| m.usage_bytes)),
    row!("container_memory_working_set_bytes", Gauge, "Bytes of memory in use that are not easily taken back.", |s| memory(s, |m| m.working_set_bytes)),
    traffic!("container_network_receive_bytes_total", "Bytes received.", |i| received(i).bytes),
    traffic!("container_network_receive_errors_total", "Damaged packets received.", |i| received(i).errors),
    traffic!("container_network_receive_packets_dropped_total", "Packets dropped while receiving.", |i| received(i).dropped),
    traffic!("container_network_receive_packets_total", "Packets received.", |i| received(i).packets),
    traffic!("container_network_transmit_bytes_total", "Bytes sent.", |i| sent(i).bytes),
    traffic!("container_network_transmit_errors_total", "Packets that could not be sent.", |i| sent(i).errors),
    traffic!("container_network_transmit_packets_dropped_total", "Packets dropped while sending.", |i| sent(i).dropped),
    traffic!("container_network_transmit_packets_total", "Packets sent.", |i| sent(i).packets),
    row!("container_oom_events_total", Counter, "Kills for lack of memory.", |s| s.cgroup.memory.as_ref().map(|_| s.cgroup.oom_kills)),
    row!("container_pressure_cpu_stalled_seconds_total", Counter, "Time in which every task waited for a CPU, in seconds.", |s| stalled(s.cgroup.pressure.cpu)),
    row!("container_pressure_cpu_waiting_seconds_total", Counter, "Time in which some task waited for a CPU, in seconds.", |s| waiting(s.cgroup.pressure.cpu)),
    row!("container_pressure_io_stalled_seconds_total", Counter, "Time in which every task waited for a device, in seconds.", |s| stalled(s.cgroup.pressure.io)),
    row!("container_pressure_io_waiting_seconds_total", Counter, "Time in which some task waited for a device, in seconds.", |s| waiting(s.cgroup.pressure.io)),
    row!("container_pressure_memory_stalled_seconds_total", Counter, "Time in which every task waited for memory, in seconds.", |s| stalled(s.cgroup.pressure.memory)),
    row!("container_pressure_memory_waiting_seconds_total", Counter, "Time in which some task waited for memory, in seconds.", |s| waiting(s.cgroup.pressure.memory)),
    row!("container_processes", Gauge, "Processes.", |s| s.cgroup.cpu.as_ref().map(|_| s.cgroup.processes)),
    row!("container_sockets", Gauge, "Open sockets of its processes; the monitor's for a unikernel.", |s| s.files.map(|files| files.sockets)),
    row!("container_spec_cpu_period", Gauge, "Period of the CPU quota, in microseconds.", |s| cpu(s, |c| c.period_us)),
    row!("container_spec_cpu_quota", Gauge, "CPU time in each period, in microseconds.", |s| s.cgroup.cpu.as_ref()?.quota_us),
    row!("container_spec_cpu_shares", Gauge, "CPU shares (cgroup v1) or weight (cgroup v2).", |s| s.cgroup.cpu.as_ref()?.shares),
    row!("container_spec_memory_limit_bytes", Gauge, "Memory limit in bytes.", |s| s.cgroup.memory.as_ref()?.limit_bytes),
    row!("container_spec_memory_swap_limit_bytes", Gauge, "Swap limit in bytes.", |s| s.cgroup.memory.as_ref()?.swap_limit_bytes),
    row!("container_start_time_seconds", Gauge, "When it was started, in seconds since 1970.", |s| s.started_at_s),
    row!("container_threads", Gauge, "Threads; a guest's own for a unikernel.", |s| s.guest.map(|guest| guest.threads).or(s.cgroup.pids.map(|pids| pids.current))),
    row!("container_threads_max", Gauge, "Limit of threads; 0 is none.", |s| s.cgroup.pids.map(|pids| pids.limit.unwrap_or(0))),
    row!("unikiln_guest_exits_total", Counter, "Exits of the guest's vCPUs.", ["reason"], |s, give| if let Some(guest) = s.guest {
        for (reason, count) in &guest.exits {
            give(&[reason], *count);
        }
    }),
    row!("unikiln_guest_memory_peak_bytes", Gauge, "Most memory that the guest's programs used so far, in bytes.", |s| s.guest.map(|guest| guest.memory_peak_bytes)),
    row!("unikiln_guest_memory_used_bytes", Gauge, "Memory that the guest's programs use, in bytes.", |s| s.guest.map(|guest| guest.memory_used_bytes)),
];

#[cfg(test)]
mod tests;
