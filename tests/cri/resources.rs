//! Limits, what a guest sees of them, statistics, metrics.

use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use unikiln_daemon::proto::{self, LinuxContainerResources};

use crate::cgroups;
use crate::client::PATIENCE;
use crate::node::{Node, shared};
use crate::pod::{Container, ContainerPlan, Handler};
use crate::{all, each, one};

const MIB: u64 = 1 << 20;

pub fn trials() -> Vec<Trial> {
    all([
        one(
            "resources::a_guest_sees_its_limits",
            a_guest_sees_its_limits,
        ),
        each(
            "resources::limits_are_those_of_the_cgroup",
            limits_are_those_of_the_cgroup,
        ),
        each("resources::statistics_add_up", statistics_add_up),
        each(
            "resources::limits_change_while_it_runs",
            limits_change_while_it_runs,
        ),
        one(
            "resources::every_metric_is_described",
            every_metric_is_described,
        ),
        one("resources::the_image_file_system", the_image_file_system),
    ])
}

/// With these limits.
fn limit(
    plan: ContainerPlan<'_>,
    change: impl FnOnce(&mut LinuxContainerResources),
) -> ContainerPlan<'_> {
    plan.with(|config| {
        let linux = config.linux.get_or_insert_default();
        change(linux.resources.get_or_insert_default());
    })
}

fn stats(container: &Container<'_>) -> proto::ContainerStats {
    let container_id = container.id.clone();
    let request = proto::ContainerStatsRequest { container_id };
    let answer = container.node.client.container_stats(request);
    answer.expect("statistics").stats.expect("statistics")
}

fn pod_stats(node: &Node, id: &str) -> proto::PodSandboxStats {
    let request = proto::PodSandboxStatsRequest {
        pod_sandbox_id: id.to_owned(),
    };
    let answer = node.client.pod_sandbox_stats(request);
    answer.expect("statistics").stats.expect("statistics")
}

fn cpu_ns(usage: &Option<proto::CpuUsage>) -> u64 {
    let usage = usage.as_ref().and_then(|cpu| cpu.usage_core_nano_seconds);
    usage.expect("CPU time").value
}

fn working_set(usage: &Option<proto::MemoryUsage>) -> u64 {
    let usage = usage.as_ref().and_then(|memory| memory.working_set_bytes);
    usage.expect("a working set").value
}

fn a_guest_sees_its_limits() {
    let node = shared();
    let pod = node.pod(Handler::Unikiln).run();
    let cores = thread::available_parallelism().expect("a number").get() as u64;
    for (quota, processors) in [
        (50_000, 1),
        (100_000, 1),
        (150_000, 2.min(cores)),
        (0, cores),
    ] {
        let plan = limit(pod.container(&["/bin/look", "/proc/meminfo"]), |limits| {
            limits.cpu_period = 100_000;
            limits.cpu_quota = quota;
            limits.memory_limit_in_bytes = 96 << 20;
        });
        let lines = plan.start().output();
        let number = |prefix: &str| {
            let line = lines.iter().find_map(|line| line.strip_prefix(prefix));
            let word = line.and_then(|line| line.split_whitespace().next());
            let word = word.unwrap_or_else(|| panic!("no {prefix:?} in {lines:#?}"));
            word.parse::<u64>().expect("a number")
        };
        assert_eq!(number("processors "), processors, "with a quota of {quota}");
        let total_kib = number("/proc/meminfo: MemTotal:");
        assert!(
            (80 << 10..=96 << 10).contains(&total_kib),
            "MemTotal {total_kib} KiB"
        );
    }
    pod.remove();
}

fn limits_are_those_of_the_cgroup(handler: Handler) {
    let node = shared();
    let pod = node.pod(handler).run();
    let plan = limit(pod.container(&["/bin/sleeper"]), |limits| {
        limits.cpu_period = 100_000;
        limits.cpu_quota = 50_000;
        limits.cpu_shares = 512;
        limits.memory_limit_in_bytes = 64 << 20;
    });
    let container = plan.start();
    container.says("ready");
    let value = |v1: &str, v2: &str| {
        let parent = &node.cgroup_parent;
        let found = cgroups::value(parent, &container.id, v1);
        let found = found.or_else(|| cgroups::value(parent, &container.id, v2));
        found.unwrap_or_else(|| panic!("no {v1} in {:#?}", cgroups::below(parent)))
    };
    let quota = value("cpu.cfs_quota_us", "cpu.max");
    assert!(quota == "50000" || quota == "50000 100000", "{quota}");
    let memory: u64 = value("memory.limit_in_bytes", "memory.max")
        .parse()
        .expect("a limit");
    // A monitor's own memory comes on top of its guest's.
    let most = if handler == Handler::Unikiln { 192 } else { 64 };
    assert!((64 * MIB..=most * MIB).contains(&memory), "{memory}");
    let processes = value("cgroup.procs", "cgroup.procs");
    assert!(!processes.is_empty(), "nobody is in the cgroup");
    let resources = container.status().resources.and_then(|it| it.linux);
    let resources = resources.expect("the status has them");
    assert_eq!(resources.memory_limit_in_bytes, 64 << 20);
    assert_eq!((resources.cpu_quota, resources.cpu_shares), (50_000, 512));
    pod.remove();
    let left: Vec<_> = cgroups::below(&node.cgroup_parent)
        .into_iter()
        .filter(|path| path.contains(&container.id) || path.contains(&pod.id))
        .collect();
    assert!(left.is_empty(), "{left:#?}");
}

fn statistics_add_up(handler: Handler) {
    let node = shared();
    let pod = node.pod(handler).run();
    let busy = pod.container(&["/bin/spin", "24"]).start();
    let idle = pod.container(&["/bin/sleeper"]).start();
    for container in [&busy, &idle] {
        container.says("ready");
    }
    let first = stats(&busy);
    assert!(working_set(&first.memory) >= 24 * MIB, "{first:?}");
    let attributes = first.attributes.clone().expect("attributes");
    assert_eq!(attributes.id, busy.id);
    assert_eq!(attributes.metadata, busy.status().metadata);
    assert!(first.writable_layer.is_some(), "{first:?}");
    // It computes: in half a second of the clock at least a little.
    let since = Instant::now();
    let grown = loop {
        thread::sleep(Duration::from_millis(100));
        let grown = cpu_ns(&stats(&busy).cpu) - cpu_ns(&first.cpu);
        if grown > 50_000_000 {
            break grown;
        }
        assert!(since.elapsed() < PATIENCE, "{grown} ns");
    };
    assert!(
        grown < 4 * since.elapsed().as_nanos() as u64 * 64,
        "{grown} ns"
    );
    // The pod has at least what its containers had before.
    let [busy_stats, idle_stats] = [&busy, &idle].map(stats);
    let of_pod = pod_stats(&node, &pod.id).linux.expect("Linux");
    let sum = cpu_ns(&busy_stats.cpu) + cpu_ns(&idle_stats.cpu);
    assert!(cpu_ns(&of_pod.cpu) >= sum, "{of_pod:?}");
    assert!(working_set(&of_pod.memory) >= 24 * MIB);
    assert_eq!(of_pod.containers.len(), 2);
    let network = of_pod.network.and_then(|it| it.default_interface);
    assert_eq!(network.expect("an interface").name, "eth0");
    let processes = of_pod.process.and_then(|it| it.process_count);
    assert!(processes.expect("a number").value >= 2);
    // Lists have the same, by filter.
    let filter = proto::ContainerStatsFilter {
        pod_sandbox_id: pod.id.clone(),
        ..Default::default()
    };
    let request = proto::ListContainerStatsRequest {
        filter: Some(filter),
    };
    let listed = node
        .client
        .list_container_stats(request)
        .expect("a list")
        .stats;
    let mut ids: Vec<_> = listed
        .into_iter()
        .map(|it| it.attributes.expect("attributes").id)
        .collect();
    let mut wanted = [busy.id.clone(), idle.id.clone()];
    ids.sort();
    wanted.sort();
    assert_eq!(ids, wanted);
    let filter = proto::PodSandboxStatsFilter {
        id: pod.id.clone(),
        ..Default::default()
    };
    let request = proto::ListPodSandboxStatsRequest {
        filter: Some(filter),
    };
    let listed = node
        .client
        .list_pod_sandbox_stats(request)
        .expect("a list")
        .stats;
    assert_eq!(listed.len(), 1);
    pod.remove();
}

fn limits_change_while_it_runs(handler: Handler) {
    let node = shared();
    let pod = node.pod(handler).run();
    let container = pod.container(&["/bin/sleeper"]).start();
    container.says("ready");
    let update = |memory: i64, quota: i64| {
        node.client
            .update_container_resources(proto::UpdateContainerResourcesRequest {
                container_id: container.id.clone(),
                linux: Some(LinuxContainerResources {
                    memory_limit_in_bytes: memory,
                    cpu_period: 100_000,
                    cpu_quota: quota,
                    ..Default::default()
                }),
                ..Default::default()
            })
    };
    update(128 << 20, 70_000).expect("an update");
    let quota = cgroups::value(&node.cgroup_parent, &container.id, "cpu.cfs_quota_us");
    let quota = quota.or_else(|| cgroups::value(&node.cgroup_parent, &container.id, "cpu.max"));
    let quota = quota.expect("a quota");
    assert!(quota.starts_with("70000"), "{quota}");
    let resources = container.status().resources.and_then(|it| it.linux);
    let resources = resources.expect("the status has them");
    assert_eq!(resources.memory_limit_in_bytes, 128 << 20);
    assert_eq!(resources.cpu_quota, 70_000);
    let request = proto::UpdatePodSandboxResourcesRequest {
        pod_sandbox_id: pod.id.clone(),
        overhead: None,
        resources: Some(LinuxContainerResources {
            cpu_period: 100_000,
            cpu_quota: 90_000,
            ..Default::default()
        }),
    };
    let updated = node.client.update_pod_sandbox_resources(request);
    updated.expect("an update of the pod");
    assert_eq!(container.stop(30).exit_code, 0);
    // What is over has nothing to change.
    let error = update(64 << 20, 70_000).expect_err("it is over");
    assert_eq!(error.code(), tonic::Code::FailedPrecondition, "{error}");
    pod.remove();
}

fn every_metric_is_described() {
    let node = shared();
    let pods = Handler::ALL.map(|handler| node.pod(handler).run());
    for pod in &pods {
        pod.container(&["/bin/sleeper"]).start().says("ready");
    }
    let described = node.client.list_metric_descriptors(Default::default());
    let described = described.expect("descriptors").descriptors;
    assert!(described.len() > 10, "{described:?}");
    let listed = node.client.list_pod_sandbox_metrics(Default::default());
    let listed = listed.expect("metrics").pod_metrics;
    for pod in &pods {
        let of_pod = listed.iter().find(|it| it.pod_sandbox_id == pod.id);
        let of_pod = of_pod.expect("each pod has metrics");
        assert!(!of_pod.container_metrics.is_empty());
        let containers = of_pod.container_metrics.iter().flat_map(|it| &it.metrics);
        let mut names = Vec::new();
        for metric in of_pod.metrics.iter().chain(containers) {
            let descriptor = described.iter().find(|it| it.name == metric.name);
            let descriptor = descriptor.unwrap_or_else(|| panic!("{metric:?} is not described"));
            assert!(!descriptor.help.is_empty(), "{descriptor:?}");
            assert_eq!(
                descriptor.label_keys.len(),
                metric.label_values.len(),
                "{metric:?}"
            );
            names.push(metric.name.as_str());
        }
        for name in [
            "container_cpu_usage_seconds_total",
            "container_memory_working_set_bytes",
        ] {
            assert!(names.contains(&name), "no {name} in {names:?}");
        }
    }
    for pod in pods {
        pod.remove();
    }
}

fn the_image_file_system() {
    let node = shared();
    let answer = node
        .client
        .image_fs_info(Default::default())
        .expect("an answer");
    for usage in [&answer.image_filesystems, &answer.container_filesystems] {
        let usage = usage.first().expect("a file system");
        let place = usage.fs_id.as_ref().expect("a place").mountpoint.clone();
        assert!(place.starts_with('/'), "{place:?}");
        assert!(usage.timestamp > 0);
        assert!(usage.used_bytes.is_some_and(|it| it.value > 0), "{usage:?}");
        assert!(usage.inodes_used.is_some(), "{usage:?}");
    }
}
