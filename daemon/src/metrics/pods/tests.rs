//! The table: what is described is given, with its labels.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::cgroup::{PidsStats, PressureStats, Stall};

fn full() -> CgroupStats {
    let stall = |total_us| Stall {
        total_us,
        ..Stall::default()
    };
    let pressure = Some(Pressure {
        some: stall(9_500_000),
        full: stall(2_000_000),
    });
    CgroupStats {
        timestamp_ns: 42_900_000_000,
        cpu: Some(CpuStats {
            usage_ns: 7_999_999_999,
            throttled_ns: 3_000_000_000,
            quota_us: Some(50_000),
            shares: Some(512),
            ..CpuStats::default()
        }),
        memory: Some(MemoryStats {
            working_set_bytes: 700,
            peak_bytes: Some(901),
            limit_bytes: Some(1000),
            swap_bytes: Some(1),
            swap_limit_bytes: Some(2),
            page_faults: 30,
            major_page_faults: 4,
            ..MemoryStats::default()
        }),
        pids: Some(PidsStats {
            current: 6,
            limit: None,
        }),
        io: Some(IoStats::default()),
        pressure: PressureStats {
            cpu: pressure,
            memory: pressure,
            io: pressure,
        },
        processes: 2,
        oom_kills: 5,
    }
}

fn values(metrics: &[Metric], name: &str) -> Vec<(Vec<String>, u64)> {
    let named = metrics.iter().filter(|metric| metric.name == name);
    let extra = |metric: &Metric| metric.label_values[LABELS.len()..].to_vec();
    let value = |metric: &Metric| metric.value.as_ref().unwrap().value;
    named.map(|metric| (extra(metric), value(metric))).collect()
}

#[test]
fn every_metric_is_described_once_and_given() {
    let descriptors = descriptors();
    let keys: BTreeMap<_, _> = descriptors
        .iter()
        .map(|one| (one.name.as_str(), one.label_keys.len()))
        .collect();
    assert_eq!(keys.len(), descriptors.len(), "a name is there twice");
    let guest = GuestStats {
        threads: 3,
        exits: [("io".to_owned(), 8), ("wait".to_owned(), 9)].into(),
        ..GuestStats::default()
    };
    let traffic = Traffic {
        bytes: 10,
        packets: 2,
        errors: 1,
        dropped: 4,
    };
    let interface = |name: &str| Interface {
        name: name.to_owned(),
        received: traffic,
        sent: Traffic {
            bytes: 11,
            ..traffic
        },
    };
    let stats = full();
    let interfaces = [interface("eth0"), interface("net1")];
    let source = Source {
        cgroup: &stats,
        guest: Some(&guest),
        interfaces: &interfaces,
        layer_bytes: Some(77),
        layer_room: Some(Room {
            bytes: 1000,
            inodes: 20,
            free_inodes: 7,
        }),
        files: Some(OpenFiles {
            descriptors: 9,
            sockets: 4,
        }),
        started_at_s: Some(12),
    };
    let subject = Subject {
        container: "web",
        cgroup_path: "/pods/a",
        image: "nginx",
        id: "0123",
        namespace: "default",
        pod: "web-1",
    };
    let made = pod(subject, source, vec![container(subject, source)]);
    assert_eq!(
        (made.pod_sandbox_id.as_str(), made.container_metrics.len()),
        ("0123", 1)
    );
    let given: BTreeSet<_> = made.metrics.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(
        given,
        keys.keys().copied().collect(),
        "with all sources, all are given"
    );
    for metric in &made.metrics {
        assert_eq!(
            metric.label_values.len(),
            keys[metric.name.as_str()],
            "{}",
            metric.name
        );
        let base = ["web", "/pods/a", "nginx", "0123", "default", "web-1"];
        assert_eq!(metric.label_values[..LABELS.len()], base);
        assert_eq!(metric.timestamp, 42_900_000_000);
        let is_counter = metric.metric_type == i32::from(MetricType::Counter);
        let is_total = metric.name.ends_with("_total") || metric.name.ends_with("failcnt");
        // A number of things that are there, under the name that others gave it.
        let is_total = is_total && metric.name != "container_fs_inodes_total";
        assert_eq!(is_counter, is_total, "{}", metric.name);
    }
    let all = &made.metrics;
    assert_eq!(
        values(all, "container_cpu_usage_seconds_total"),
        [(vec![], 7)]
    );
    assert_eq!(
        values(all, "container_memory_working_set_bytes"),
        [(vec![], 700)]
    );
    assert_eq!(values(all, "container_oom_events_total"), [(vec![], 5)]);
    assert_eq!(values(all, "container_threads"), [(vec![], 3)]);
    assert_eq!(
        values(all, "container_pressure_io_waiting_seconds_total"),
        [(vec![], 9)]
    );
    let received = values(all, "container_network_receive_bytes_total");
    assert_eq!(
        received,
        [(vec!["eth0".to_owned()], 10), (vec!["net1".to_owned()], 10)]
    );
    assert_eq!(
        values(all, "container_network_transmit_bytes_total")[0].1,
        11
    );
    let faults = values(all, "container_memory_failures_total");
    assert_eq!(
        faults[1],
        (vec!["pgmajfault".to_owned(), "hierarchy".to_owned()], 4)
    );
    assert_eq!(values(all, "unikiln_guest_exits_total").len(), 2);
    assert_eq!(values(all, "container_fs_inodes_free")[0].1, 7);
    assert_eq!(values(all, "container_sockets"), [(vec![], 4)]);
}

#[test]
fn what_is_not_known_is_not_given() {
    let stats = CgroupStats::default();
    let source = Source {
        cgroup: &stats,
        guest: None,
        interfaces: &[],
        layer_bytes: None,
        layer_room: None,
        files: None,
        started_at_s: None,
    };
    let made = container(Subject::default(), source);
    let names: Vec<_> = made.metrics.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["container_last_seen"]);
}
