//! From what kubelet wants of a container to the description for its monitor.
//!
//! | of the guest | is |
//! |---|---|
//! | MemTotal | the memory limit; without one the machine's memory, at most [`MEMORY_MAX_BYTES`] |
//! | CPUs | the CPU quota, rounded up; without one the CPUs that the container may use |
//!
//! Without a limit a guest sees what a process of runc sees: all memory of the machine.
//! That costs nothing: memory is the host's until it is touched.

use std::fs;
use std::path::PathBuf;

use unikiln_vmm::StatsFormat;
use unikiln_vmm::config::Processes;
use unikiln_vmm::spec::{SPEC_VERSION, Spec, SpecNetwork, SpecVolume};

use super::{CONTROL, EXIT};
use crate::handler::{HandlerError, Launch};
use crate::proto::{
    ContainerConfig, LinuxContainerResources, LinuxContainerSecurityContext, PodSandboxConfig,
    SupplementalGroupsPolicy,
};

/// Annotation of a pod: system calls in the log, as `unikiln run --strace=FILTER`.
pub(super) const STRACE: &str = "unikiln.dev/strace";
/// Annotation of a pod: what the run cost in the log's last lines, `true` or `json`.
pub(super) const STATS: &str = "unikiln.dev/stats";
/// Annotation of a pod: what processes its programs may make, as `unikiln run --processes`.
pub(super) const PROCESSES: &str = "unikiln.dev/processes";
/// Most memory where there is no limit: what the smallest address space of a CPU holds
/// beside a root file system.
const MEMORY_MAX_BYTES: u64 = 48 << 30;
const VCPUS_MAX: u32 = 16;

/// The description of a container whose unikernel file is at `unikernel`.
pub(super) fn spec(launch: &Launch<'_>, unikernel: PathBuf) -> Result<Spec, HandlerError> {
    let Launch { config, pod, .. } = *launch;
    let nothing = LinuxContainerSecurityContext::default();
    let linux = config.linux.as_ref();
    let security = linux
        .and_then(|linux| linux.security_context.as_ref())
        .unwrap_or(&nothing);
    let resources = linux.and_then(|linux| linux.resources.clone());
    let resources = resources.unwrap_or_default();
    let env = env(config)?;
    let procs = launch.cgroup.directories.iter();
    let volumes = launch.mounts.iter().map(|mount| {
        let place = mount.place.to_str().ok_or_else(|| {
            HandlerError::Invalid(format!("the mount at {:?} has no UTF-8 path", mount.place))
        })?;
        Ok(SpecVolume {
            source: mount.source.clone(),
            place: place.to_owned(),
            read_only: mount.read_only,
        })
    });
    Ok(Spec {
        version: SPEC_VERSION,
        unikernel,
        command: config.command.clone(),
        args: config.args.clone(),
        env,
        working_dir: Some(config.working_dir.clone()).filter(|it| !it.is_empty()),
        hostname: hostname(pod),
        user: user(security)?,
        groups: groups(security)?,
        image_groups: security.supplemental_groups_policy() == SupplementalGroupsPolicy::Merge,
        read_only_root: security.readonly_rootfs,
        no_new_privileges: security.no_new_privs,
        processes: processes(annotation(config, pod, PROCESSES))?,
        pids_limit: pids_limit(&resources)?,
        volumes: volumes.collect::<Result<_, HandlerError>>()?,
        memory_bytes: memory_bytes(&resources),
        cpus: cpus(&resources),
        network: match launch.network {
            Some(path) => SpecNetwork::Namespace(path.to_owned()),
            None => SpecNetwork::Host,
        },
        log: launch.log.map(Into::into),
        strace: annotation(config, pod, STRACE).map(str::to_owned),
        stats: stats(annotation(config, pod, STATS))?,
        cgroup_procs: procs.map(|it| it.join("cgroup.procs")).collect(),
        oom_score_adj: i32::try_from(resources.oom_score_adj).ok(),
        control: Some(launch.directory.join(CONTROL)),
        exit: Some(launch.directory.join(EXIT)),
    })
}

fn env(config: &ContainerConfig) -> Result<Vec<String>, HandlerError> {
    let setting = |it: &crate::proto::KeyValue| {
        let wrong =
            |why| HandlerError::Invalid(format!("the environment variable {:?} {why}", it.key));
        if it.key.is_empty() || it.key.contains(['=', '\0']) {
            return Err(wrong("has a name that none can have"));
        }
        let value = std::str::from_utf8(&it.value).map_err(|_| wrong("is not UTF-8"))?;
        if value.contains('\0') {
            return Err(wrong("has a NUL byte"));
        }
        Ok(format!("{}={value}", it.key))
    };
    config.envs.iter().map(setting).collect()
}

/// An annotation: the container's own first, then its pod's, which kubelet passes on.
fn annotation<'a>(
    config: &'a ContainerConfig,
    pod: &'a PodSandboxConfig,
    name: &str,
) -> Option<&'a str> {
    let found = config.annotations.get(name);
    found
        .or_else(|| pod.annotations.get(name))
        .map(String::as_str)
}

fn stats(text: Option<&str>) -> Result<Option<StatsFormat>, HandlerError> {
    match text {
        None | Some("false") => Ok(None),
        Some("true" | "text") => Ok(Some(StatsFormat::Text)),
        Some("json") => Ok(Some(StatsFormat::Json)),
        Some(other) => Err(HandlerError::Invalid(format!(
            "the annotation {STATS} is {other:?}; write \"true\", \"json\" or \"false\""
        ))),
    }
}

fn processes(text: Option<&str>) -> Result<Processes, HandlerError> {
    let parse = |text: &str| {
        text.parse()
            .map_err(|error| HandlerError::Invalid(format!("the annotation {PROCESSES}: {error}")))
    };
    text.map_or(Ok(Processes::default()), parse)
}

/// `pids.max` of the container's own cgroup, in which a unikernel's processes do not show.
fn pids_limit(resources: &LinuxContainerResources) -> Result<Option<u32>, HandlerError> {
    match resources.unified.get("pids.max").map(|text| text.trim()) {
        None | Some("max") => Ok(None),
        Some(text) => match text.parse() {
            Ok(limit) if limit > 0 => Ok(Some(limit)),
            _ => Err(HandlerError::Invalid(format!(
                "pids.max is {text:?}; write a number from 1 on, or \"max\""
            ))),
        },
    }
}

/// The pod's host name; one in the host's network has the host's.
fn hostname(pod: &PodSandboxConfig) -> String {
    if !pod.hostname.is_empty() {
        return pod.hostname.clone();
    }
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}

fn user(security: &LinuxContainerSecurityContext) -> Result<Option<String>, HandlerError> {
    let group = (security.run_as_group.as_ref())
        .map(|group| id("run_as_group", group.value))
        .transpose()?;
    let user = match (security.run_as_username.as_str(), &security.run_as_user) {
        ("", None) => None,
        ("", Some(user)) => Some(id("run_as_user", user.value)?.to_string()),
        (name, None) if !name.contains([':', '\0', '\n']) => Some(name.to_owned()),
        (name, None) => {
            return Err(HandlerError::Invalid(format!(
                "run_as_username is {name:?}, which no user is called"
            )));
        }
        (_, Some(_)) => {
            return Err(HandlerError::Invalid(
                "run_as_user and run_as_username are both given; give one".to_owned(),
            ));
        }
    };
    match (user, group) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(HandlerError::Invalid(
            "run_as_group is given without run_as_user or run_as_username".to_owned(),
        )),
        (Some(user), None) => Ok(Some(user)),
        (Some(user), Some(group)) => Ok(Some(format!("{user}:{group}"))),
    }
}

fn groups(security: &LinuxContainerSecurityContext) -> Result<Vec<u32>, HandlerError> {
    let groups = security.supplemental_groups.iter();
    groups
        .map(|&group| id("supplemental_groups", group))
        .collect()
}

/// A user's or group's number; the highest means none to Linux.
fn id(field: &str, value: i64) -> Result<u32, HandlerError> {
    let id = u32::try_from(value).ok().filter(|&id| id != u32::MAX);
    id.ok_or_else(|| {
        HandlerError::Invalid(format!(
            "{field} is {value}, which is no number of a user or group"
        ))
    })
}

fn memory_bytes(resources: &LinuxContainerResources) -> u64 {
    match u64::try_from(resources.memory_limit_in_bytes) {
        Ok(bytes @ 1..) => bytes,
        _ => machine_memory_bytes().min(MEMORY_MAX_BYTES),
    }
}

fn machine_memory_bytes() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next());
    kib.and_then(|kib| kib.parse::<u64>().ok())
        .map_or(MEMORY_MAX_BYTES, |kib| kib << 10)
}

fn cpus(resources: &LinuxContainerResources) -> u32 {
    let usable = std::thread::available_parallelism().map_or(1, |it| it.get() as u32);
    let usable = match count_of(&resources.cpuset_cpus) {
        0 => usable,
        count => count.min(usable),
    };
    let wanted = if resources.cpu_quota > 0 && resources.cpu_period > 0 {
        let cpus = resources
            .cpu_quota
            .unsigned_abs()
            .div_ceil(resources.cpu_period.unsigned_abs());
        u32::try_from(cpus).unwrap_or(VCPUS_MAX)
    } else {
        usable
    };
    // More vCPUs than CPUs would only wait for each other.
    wanted.clamp(1, usable.clamp(1, VCPUS_MAX))
}

/// CPUs of a list such as `0-2,5`; 0 where it is none.
fn count_of(list: &str) -> u32 {
    let count = |part: &str| -> Option<u32> {
        match part.split_once('-') {
            None => part.parse::<u32>().ok().map(|_| 1),
            Some((first, last)) => {
                let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
                last.checked_sub(first)?.checked_add(1)
            }
        }
    };
    list.trim()
        .split(',')
        .map(|part| count(part.trim()))
        .sum::<Option<u32>>()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Int64Value;

    fn limited(quota: i64, period: i64, cpuset: &str) -> u32 {
        cpus(&LinuxContainerResources {
            cpu_quota: quota,
            cpu_period: period,
            cpuset_cpus: cpuset.to_owned(),
            ..Default::default()
        })
    }

    #[test]
    fn cpus_are_the_quota_rounded_up() {
        let usable = std::thread::available_parallelism().unwrap().get() as u32;
        assert_eq!(limited(10_000, 100_000, ""), 1);
        assert_eq!(limited(150_000, 100_000, ""), 2.min(usable));
        assert_eq!(limited(-1, 100_000, ""), usable.min(VCPUS_MAX));
        assert_eq!(limited(i64::MAX, 1, ""), usable.min(VCPUS_MAX));
        assert_eq!(limited(0, 0, "0"), 1);
        assert_eq!(
            (
                count_of("0-2,5"),
                count_of(""),
                count_of("3-1"),
                count_of("x")
            ),
            (4, 0, 0, 0)
        );
    }

    #[test]
    fn users_are_named_as_the_image_knows_them() {
        let with = |user: Option<i64>, name: &str, group: Option<i64>| {
            let security = LinuxContainerSecurityContext {
                run_as_user: user.map(|value| Int64Value { value }),
                run_as_group: group.map(|value| Int64Value { value }),
                run_as_username: name.to_owned(),
                ..Default::default()
            };
            user_name(&security)
        };
        assert_eq!(with(None, "", None), Ok(None));
        assert_eq!(with(Some(0), "", None), Ok(Some("0".into())));
        assert_eq!(with(Some(1000), "", Some(5)), Ok(Some("1000:5".into())));
        assert_eq!(with(None, "app", Some(5)), Ok(Some("app:5".into())));
        for (user, name, group) in [
            (None, "", Some(1)),
            (Some(1), "app", None),
            (Some(-1), "", None),
            (Some(u32::MAX.into()), "", None),
            (Some(1 << 40), "", None),
            (None, "a:b", None),
        ] {
            assert!(
                with(user, name, group).is_err(),
                "{user:?} {name} {group:?}"
            );
        }
    }

    fn user_name(security: &LinuxContainerSecurityContext) -> Result<Option<String>, String> {
        user(security).map_err(|error| error.to_string())
    }

    #[test]
    fn without_a_limit_memory_is_the_machines() {
        let none = memory_bytes(&LinuxContainerResources::default());
        assert!((1 << 20..=MEMORY_MAX_BYTES).contains(&none), "{none}");
        let some = LinuxContainerResources {
            memory_limit_in_bytes: 5,
            ..Default::default()
        };
        assert_eq!(memory_bytes(&some), 5);
    }
}
