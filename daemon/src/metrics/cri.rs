//! CRI's statistics, from the cgroups' counters and what guests say of themselves.
//!
//! Memory and CPU are the cgroup's: what the node loses, the monitor included. Only a guest
//! knows what its root file system's upper layer holds.

use crate::cgroup::{CgroupStats, Pressure, Stall};
use crate::handler::GuestStats;
use crate::proto::{
    ContainerAttributes, ContainerStats, CpuUsage, FilesystemIdentifier, FilesystemUsage, IoUsage,
    LinuxPodSandboxStats, MemoryUsage, NetworkUsage, PodSandboxAttributes, PodSandboxStats,
    ProcessUsage, PsiData, PsiStats, SwapUsage, UInt64Value,
};

/// What a container wrote to its root file system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WritableLayer {
    /// The directory that it lies in.
    pub mountpoint: String,
    /// Its bytes.
    pub used_bytes: u64,
    /// Its inodes.
    pub inodes: u64,
}

impl WritableLayer {
    /// The upper layer of a guest, which lies in its memory.
    pub fn of_guest(guest: &GuestStats, mountpoint: &str) -> Self {
        Self {
            mountpoint: mountpoint.to_owned(),
            used_bytes: guest.upper_bytes,
            inodes: guest.upper_inodes,
        }
    }

    fn usage(self, timestamp: i64) -> FilesystemUsage {
        FilesystemUsage {
            timestamp,
            fs_id: Some(FilesystemIdentifier {
                mountpoint: self.mountpoint,
            }),
            used_bytes: value(self.used_bytes),
            inodes_used: value(self.inodes),
        }
    }
}

/// A container's statistics. `nano_cores` is the rate that a [`Sampler`](crate::cgroup::Sampler)
/// gives.
pub fn container(
    attributes: ContainerAttributes,
    stats: &CgroupStats,
    nano_cores: Option<u64>,
    layer: Option<WritableLayer>,
) -> ContainerStats {
    ContainerStats {
        attributes: Some(attributes),
        cpu: cpu(stats, nano_cores),
        memory: memory(stats),
        writable_layer: layer.map(|layer| layer.usage(stats.timestamp_ns)),
        swap: swap(stats),
        io: io(stats),
    }
}

/// A pod's statistics, those of its containers included.
pub fn pod(
    attributes: PodSandboxAttributes,
    stats: &CgroupStats,
    nano_cores: Option<u64>,
    network: Option<NetworkUsage>,
    containers: Vec<ContainerStats>,
) -> PodSandboxStats {
    let tasks = stats.pids.map_or(stats.processes, |pids| pids.current);
    PodSandboxStats {
        attributes: Some(attributes),
        linux: Some(LinuxPodSandboxStats {
            cpu: cpu(stats, nano_cores),
            memory: memory(stats),
            network,
            process: Some(ProcessUsage {
                timestamp: stats.timestamp_ns,
                process_count: value(tasks),
            }),
            containers,
            io: io(stats),
        }),
        windows: None,
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "every field of a message is optional"
)]
const fn value(value: u64) -> Option<UInt64Value> {
    Some(UInt64Value { value })
}

fn cpu(stats: &CgroupStats, nano_cores: Option<u64>) -> Option<CpuUsage> {
    let cpu = stats.cpu.as_ref()?;
    Some(CpuUsage {
        timestamp: stats.timestamp_ns,
        usage_core_nano_seconds: value(cpu.usage_ns),
        usage_nano_cores: nano_cores.and_then(value),
        psi: stats.pressure.cpu.map(psi),
    })
}

fn memory(stats: &CgroupStats) -> Option<MemoryUsage> {
    let memory = stats.memory.as_ref()?;
    let available = memory
        .limit_bytes
        .map(|limit| limit.saturating_sub(memory.working_set_bytes));
    Some(MemoryUsage {
        timestamp: stats.timestamp_ns,
        working_set_bytes: value(memory.working_set_bytes),
        available_bytes: available.and_then(value),
        usage_bytes: value(memory.usage_bytes),
        rss_bytes: value(memory.rss_bytes),
        page_faults: value(memory.page_faults),
        major_page_faults: value(memory.major_page_faults),
        psi: stats.pressure.memory.map(psi),
    })
}

fn swap(stats: &CgroupStats) -> Option<SwapUsage> {
    let memory = stats.memory.as_ref()?;
    let used = memory.swap_bytes?;
    let available = memory
        .swap_limit_bytes
        .map(|limit| limit.saturating_sub(used));
    Some(SwapUsage {
        timestamp: stats.timestamp_ns,
        swap_available_bytes: available.and_then(value),
        swap_usage_bytes: value(used),
    })
}

fn io(stats: &CgroupStats) -> Option<IoUsage> {
    let pressure = stats.pressure.io?;
    Some(IoUsage {
        timestamp: stats.timestamp_ns,
        psi: Some(psi(pressure)),
    })
}

fn psi(pressure: Pressure) -> PsiStats {
    let data = |stall: Stall| {
        Some(PsiData {
            total: stall.total_us,
            avg10: stall.avg10,
            avg60: stall.avg60,
            avg300: stall.avg300,
        })
    };
    PsiStats {
        full: data(pressure.full),
        some: data(pressure.some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::{CpuStats, MemoryStats, PidsStats};

    fn stats() -> CgroupStats {
        CgroupStats {
            timestamp_ns: 42,
            cpu: Some(CpuStats {
                usage_ns: 5_000,
                ..CpuStats::default()
            }),
            memory: Some(MemoryStats {
                usage_bytes: 900,
                working_set_bytes: 700,
                limit_bytes: Some(1000),
                rss_bytes: 600,
                swap_bytes: Some(10),
                swap_limit_bytes: Some(50),
                page_faults: 3,
                major_page_faults: 1,
                ..MemoryStats::default()
            }),
            pids: Some(PidsStats {
                current: 4,
                limit: None,
            }),
            processes: 2,
            ..CgroupStats::default()
        }
    }

    fn of(value: Option<UInt64Value>) -> u64 {
        value.unwrap().value
    }

    #[test]
    fn a_unikernel() {
        let attributes = ContainerAttributes {
            id: "c".to_owned(),
            ..ContainerAttributes::default()
        };
        let guest = GuestStats {
            upper_bytes: 77,
            upper_inodes: 8,
            ..GuestStats::default()
        };
        let layer = WritableLayer::of_guest(&guest, "/var/lib/unikiln");
        let made = container(attributes.clone(), &stats(), Some(9), Some(layer));
        assert_eq!(made.attributes, Some(attributes));
        let (cpu, memory, swap) = (made.cpu.unwrap(), made.memory.unwrap(), made.swap.unwrap());
        assert_eq!(
            (of(cpu.usage_core_nano_seconds), of(cpu.usage_nano_cores)),
            (5_000, 9)
        );
        assert_eq!(
            (of(memory.available_bytes), of(memory.working_set_bytes)),
            (300, 700)
        );
        assert_eq!((of(memory.usage_bytes), of(memory.rss_bytes)), (900, 600));
        assert_eq!(
            (of(memory.page_faults), of(memory.major_page_faults)),
            (3, 1)
        );
        assert_eq!(
            (of(swap.swap_usage_bytes), of(swap.swap_available_bytes)),
            (10, 40)
        );
        let layer = made.writable_layer.unwrap();
        assert_eq!((of(layer.used_bytes), of(layer.inodes_used)), (77, 8));
        assert_eq!(layer.fs_id.unwrap().mountpoint, "/var/lib/unikiln");
        let times = [
            cpu.timestamp,
            memory.timestamp,
            swap.timestamp,
            layer.timestamp,
        ];
        assert_eq!(times, [42; 4]);
        assert!(made.io.is_none());
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let made = container(
            ContainerAttributes::default(),
            &CgroupStats::default(),
            None,
            None,
        );
        assert!(made.cpu.is_none() && made.memory.is_none() && made.swap.is_none());
        assert!(made.writable_layer.is_none());
        let mut unlimited = stats();
        unlimited.memory.as_mut().unwrap().limit_bytes = None;
        let made = container(ContainerAttributes::default(), &unlimited, None, None);
        assert!(made.memory.unwrap().available_bytes.is_none());
        assert!(made.cpu.unwrap().usage_nano_cores.is_none());
    }

    #[test]
    fn a_pod_with_pressure() {
        let mut stats = stats();
        let stall = |total_us| Stall {
            avg10: 1.5,
            total_us,
            ..Stall::default()
        };
        stats.pressure.io = Some(Pressure {
            some: stall(7),
            full: stall(3),
        });
        let containers = vec![ContainerStats::default(); 2];
        let made = pod(
            PodSandboxAttributes::default(),
            &stats,
            None,
            None,
            containers,
        );
        let linux = made.linux.unwrap();
        assert_eq!(of(linux.process.unwrap().process_count), 4);
        assert_eq!(linux.containers.len(), 2);
        let psi = linux.io.unwrap().psi.unwrap();
        assert_eq!((psi.some.unwrap().total, psi.full.unwrap().total), (7, 3));
        assert_eq!(psi.full.unwrap().avg10, 1.5);
        stats.pids = None;
        let made = pod(
            PodSandboxAttributes::default(),
            &stats,
            None,
            None,
            Vec::new(),
        );
        assert_eq!(of(made.linux.unwrap().process.unwrap().process_count), 2);
    }
}
