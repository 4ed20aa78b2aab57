//! Limits. The cgroup has them already; the runtime sets them again, and keeps them for
//! what it does later.

use std::collections::HashMap;

use oci_spec::runtime::{
    LinuxCpu, LinuxDeviceCgroup, LinuxHugepageLimit, LinuxMemory, LinuxResources,
};
use rustix::thread::CapabilitySet;

use crate::cgroup::Cgroup;
use crate::handler::{HandlerError, Launch};
use crate::proto::LinuxContainerResources;

/// The limits of a new container.
pub(super) fn of(
    launch: &Launch<'_>,
    devices: Vec<LinuxDeviceCgroup>,
) -> Result<LinuxResources, HandlerError> {
    let linux = launch.config.linux.as_ref();
    let wanted = linux.and_then(|linux| linux.resources.as_ref());
    let mut resources = match wanted {
        Some(wanted) => translate(wanted, launch.cgroup)?,
        None => LinuxResources::default(),
    };
    resources.set_devices(Some(devices));
    Ok(resources)
}

/// From CRI's words to OCI's. What is 0 is not set.
pub(in crate::handler::oci) fn translate(
    wanted: &LinuxContainerResources,
    cgroup: &Cgroup,
) -> Result<LinuxResources, HandlerError> {
    let positive = |value: i64| u64::try_from(value).ok().filter(|&value| value > 0);
    let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let mut cpu = LinuxCpu::default();
    cpu.set_shares(positive(wanted.cpu_shares));
    cpu.set_quota(Some(wanted.cpu_quota).filter(|&quota| quota != 0));
    cpu.set_period(positive(wanted.cpu_period));
    cpu.set_cpus(text(&wanted.cpuset_cpus));
    cpu.set_mems(text(&wanted.cpuset_mems));
    let mut memory = LinuxMemory::default();
    memory.set_limit(Some(wanted.memory_limit_in_bytes).filter(|&limit| limit != 0));
    if wanted.memory_swap_limit_in_bytes != 0 && has_swap_limit(cgroup) {
        memory.set_swap(Some(wanted.memory_swap_limit_in_bytes));
    }
    let mut resources = LinuxResources::default();
    resources.set_cpu(Some(cpu));
    resources.set_memory(Some(memory));
    if has_file(cgroup, "hugetlb.") {
        let limits = wanted.hugepage_limits.iter().map(|limit| {
            let mut page = LinuxHugepageLimit::default();
            page.set_page_size(limit.page_size.clone());
            page.set_limit(i64::try_from(limit.limit).unwrap_or(i64::MAX));
            page
        });
        resources.set_hugepage_limits(Some(limits.collect()));
    }
    if !wanted.unified.is_empty() {
        if !std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
            let text = "unified limits need cgroups of version 2 on the node".to_owned();
            return Err(HandlerError::Invalid(text));
        }
        let unified: HashMap<_, _> = wanted.unified.clone().into_iter().collect();
        resources.set_unified(Some(unified));
    }
    Ok(resources)
}

/// Whether the kernel counts swap.
fn has_swap_limit(cgroup: &Cgroup) -> bool {
    has_file(cgroup, "memory.memsw.") || has_file(cgroup, "memory.swap.")
}

fn has_file(cgroup: &Cgroup, prefix: &str) -> bool {
    let directories = cgroup.directories.iter();
    let mut files = directories.flat_map(|path| path.read_dir().into_iter().flatten().flatten());
    files.any(|file| file.file_name().to_string_lossy().starts_with(prefix))
}

/// How readily the kernel kills it when memory runs out, as far as the kernel lets us.
pub(super) fn oom_score(launch: &Launch<'_>, lowest: Option<i32>) -> Option<i32> {
    let linux = launch.config.linux.as_ref()?;
    let wanted = linux.resources.as_ref()?.oom_score_adj;
    let wanted = i32::try_from(wanted.clamp(-1000, 1000)).unwrap_or(0);
    match lowest {
        Some(lowest) if wanted < lowest => {
            tracing::warn!(
                container = launch.id,
                wanted,
                given = lowest,
                "oom_score_adj cannot be lowered: the daemon has no CAP_SYS_RESOURCE"
            );
            Some(lowest)
        }
        _ => Some(wanted),
    }
}

/// The value that `oom_score_adj` cannot go below; none where there is no bound.
pub(in crate::handler::oci) fn lowest_oom_score() -> Option<i32> {
    let has_capability = rustix::thread::capabilities(None)
        .is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_RESOURCE));
    // In a user namespace the capability is not the one that the kernel asks for.
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let is_initial = map.split_ascii_whitespace().eq(["0", "0", "4294967295"]);
    if has_capability && is_initial {
        return None;
    }
    let own = std::fs::read_to_string("/proc/self/oom_score_adj");
    Some(
        own.ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(0),
    )
}
