//! Records as CRI tells of them.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Node;
use super::object::Held;
use super::sandbox::is_host_network;
use crate::image::LocalImage;
use crate::network::CniResult;
use crate::proto::{
    ContainerResources, ContainerState, ContainerStatus, ContainerUser, ImageSpec,
    LinuxContainerUser, LinuxPodSandboxStatus, Namespace, NamespaceMode, NamespaceOption, PodIp,
    PodSandboxNetworkStatus, PodSandboxState, PodSandboxStatus, Signal,
};
use crate::state::{ContainerPhase, ContainerRecord, SandboxPhase, SandboxRecord};

const SIGTERM: i32 = 15;
/// The first real-time signal of a program: the C library keeps two below it.
const SIGRTMIN: i32 = 34;
const SIGRTMAX: i32 = 64;
/// Exit code of a container whose end nobody saw, as with containerd.
pub(super) const CODE_UNKNOWN: i32 = 255;

/// Nanoseconds since 1970.
pub(super) fn nanos(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Whether all selected labels are there.
pub(super) fn has_labels(
    labels: &BTreeMap<String, String>,
    selector: &BTreeMap<String, String>,
) -> bool {
    selector
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value))
}

pub(super) fn pod_state(record: &SandboxRecord) -> PodSandboxState {
    match record.phase {
        SandboxPhase::Ready => PodSandboxState::SandboxReady,
        SandboxPhase::Making | SandboxPhase::NotReady => PodSandboxState::SandboxNotready,
    }
}

pub(super) fn container_state(record: &ContainerRecord) -> ContainerState {
    match record.phase {
        ContainerPhase::Making | ContainerPhase::Created | ContainerPhase::Starting => {
            ContainerState::ContainerCreated
        }
        ContainerPhase::Running => ContainerState::ContainerRunning,
        ContainerPhase::Exited => ContainerState::ContainerExited,
    }
}

/// The image by the name that people know it by.
pub(super) fn image_name(record: &ContainerRecord) -> ImageSpec {
    let mut spec = record.config.image.clone().unwrap_or_default();
    if !spec.user_specified_image.is_empty() {
        spec.image.clone_from(&spec.user_specified_image);
    } else if let Some(tag) = record.image.tags.first() {
        spec.image.clone_from(tag);
    }
    spec
}

/// The image by its digest, else by its id.
pub(super) fn image_ref(image: &LocalImage) -> String {
    image.digests.first().unwrap_or(&image.id).clone()
}

/// `user`: as the handler knows it; else what was asked for.
fn container_status(record: ContainerRecord, user: Option<LinuxContainerUser>) -> ContainerStatus {
    let ended = record.ended.clone();
    let context = record
        .config
        .linux
        .as_ref()
        .and_then(|linux| linux.security_context.as_ref());
    let asked_for = || {
        let context = context?;
        let uid = context.run_as_user.as_ref()?.value;
        Some(LinuxContainerUser {
            uid,
            gid: context.run_as_group.as_ref().map_or(0, |group| group.value),
            supplemental_groups: context.supplemental_groups.clone(),
        })
    };
    let user = user.or_else(asked_for);
    let resources = record
        .config
        .linux
        .as_ref()
        .and_then(|linux| linux.resources.clone());
    let signal = cri_signal(stop_signal(&record));
    ContainerStatus {
        state: container_state(&record).into(),
        image: Some(image_name(&record)),
        image_ref: image_ref(&record.image),
        image_id: record.image.id.clone(),
        created_at: nanos(record.created_at),
        started_at: record.started_at.map_or(0, nanos),
        finished_at: ended.as_ref().map_or(0, |ended| nanos(ended.finished_at)),
        exit_code: ended.as_ref().map_or(0, |ended| ended.exit_code),
        reason: ended
            .as_ref()
            .map_or_else(String::new, |ended| ended.reason.clone()),
        message: ended.map_or_else(String::new, |ended| ended.message),
        log_path: record
            .log
            .map_or_else(String::new, |path| path.display().to_string()),
        mounts: record.config.mounts,
        metadata: record.config.metadata,
        labels: record.config.labels,
        annotations: record.config.annotations,
        resources: resources.map(|linux| ContainerResources {
            linux: Some(linux),
            windows: None,
        }),
        user: user.map(|linux| ContainerUser { linux: Some(linux) }),
        stop_signal: signal.into(),
        id: record.id,
    }
}

impl Node {
    pub(super) fn pod_status(&self, record: SandboxRecord) -> PodSandboxStatus {
        let addresses = record
            .network
            .as_ref()
            .map(CniResult::pod_ips)
            .unwrap_or_default();
        let mut ips = addresses.iter().map(ToString::to_string);
        let options = record
            .config
            .linux
            .as_ref()
            .and_then(|linux| linux.security_context.as_ref())
            .and_then(|context| context.namespace_options.clone());
        // Of a stopped pod they may be another's by now.
        let has_network = !is_host_network(&record.config) && record.namespace.is_some();
        let network = if !has_network {
            PodSandboxNetworkStatus::default()
        } else {
            PodSandboxNetworkStatus {
                ip: ips.next().unwrap_or_default(),
                additional_ips: ips.map(|ip| PodIp { ip }).collect(),
            }
        };
        PodSandboxStatus {
            state: pod_state(&record).into(),
            created_at: nanos(record.created_at),
            network: Some(network),
            linux: Some(LinuxPodSandboxStatus {
                namespaces: Some(Namespace {
                    options: Some(options.unwrap_or(NamespaceOption {
                        network: NamespaceMode::Pod.into(),
                        ..NamespaceOption::default()
                    })),
                }),
            }),
            id: record.id,
            metadata: record.config.metadata,
            labels: record.config.labels,
            annotations: record.config.annotations,
            runtime_handler: record.handler,
        }
    }

    /// Statuses of a pod's containers, the oldest first.
    pub(super) fn statuses_of(&self, pod_id: &str) -> Vec<ContainerStatus> {
        let containers = self.containers_of(pod_id);
        let mut held: Vec<_> = containers.iter().filter_map(|one| self.held(one)).collect();
        held.retain(|held| held.container.phase != ContainerPhase::Making);
        held.sort_by_key(|held| held.container.created_at);
        held.into_iter().map(|held| self.status_of(held)).collect()
    }

    /// The status of a container.
    pub(super) fn status_of(&self, held: Held) -> ContainerStatus {
        let handler = self.handler(&held.pod.handler).ok();
        let user = handler.and_then(|handler| handler.user(&held.launch()));
        container_status(held.container, user)
    }
}

/// The signal that stops a container: the pod's word, else the image's, else SIGTERM.
pub(super) fn stop_signal(record: &ContainerRecord) -> i32 {
    let asked = record.config.stop_signal();
    if asked != Signal::RuntimeDefault {
        return signal_number(asked.as_str_name());
    }
    let image = record.image.stop_signal.trim();
    match image.parse::<i32>() {
        Ok(number) if (1..=SIGRTMAX).contains(&number) => number,
        _ if image.is_empty() => SIGTERM,
        _ => {
            let upper = image.to_ascii_uppercase();
            let name = upper.strip_prefix("SIG").unwrap_or(&upper);
            let name = name.replace('+', "PLUS").replace('-', "MINUS");
            signal_number(&format!("SIG{name}"))
        }
    }
}

/// Linux' number (x86-64) of a name in CRI's spelling; SIGTERM for what is none.
fn signal_number(name: &str) -> i32 {
    let number = NAMES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|&(_, number)| number);
    let real_time = || {
        if let Some(plus) = name.strip_prefix("SIGRTMIN") {
            return Some(SIGRTMIN + offset(plus, "PLUS")?);
        }
        let minus = name.strip_prefix("SIGRTMAX")?;
        Some(SIGRTMAX - offset(minus, "MINUS")?)
    };
    number.or_else(real_time).unwrap_or(SIGTERM)
}

fn offset(text: &str, sign: &str) -> Option<i32> {
    if text.is_empty() {
        return Some(0);
    }
    let number = text.strip_prefix(sign)?.parse().ok()?;
    (0..=SIGRTMAX - SIGRTMIN)
        .contains(&number)
        .then_some(number)
}

/// CRI's value for a number.
fn cri_signal(number: i32) -> Signal {
    let name = NAMES
        .iter()
        .find(|&&(_, known)| known == number)
        .map(|&(name, _)| name.to_owned());
    let name = name.unwrap_or_else(|| match number {
        SIGRTMIN => "SIGRTMIN".to_owned(),
        SIGRTMAX => "SIGRTMAX".to_owned(),
        number if number <= SIGRTMIN + 15 => format!("SIGRTMINPLUS{}", number - SIGRTMIN),
        number => format!("SIGRTMAXMINUS{}", SIGRTMAX - number),
    });
    Signal::from_str_name(&name).unwrap_or(Signal::RuntimeDefault)
}

/// Signals by name, `signal(7)`; the usual name first where a number has two.
const NAMES: [(&str, i32); 34] = [
    ("SIGHUP", 1),
    ("SIGINT", 2),
    ("SIGQUIT", 3),
    ("SIGILL", 4),
    ("SIGTRAP", 5),
    ("SIGABRT", 6),
    ("SIGIOT", 6),
    ("SIGBUS", 7),
    ("SIGFPE", 8),
    ("SIGKILL", 9),
    ("SIGUSR1", 10),
    ("SIGSEGV", 11),
    ("SIGUSR2", 12),
    ("SIGPIPE", 13),
    ("SIGALRM", 14),
    ("SIGTERM", 15),
    ("SIGSTKFLT", 16),
    ("SIGCHLD", 17),
    ("SIGCLD", 17),
    ("SIGCONT", 18),
    ("SIGSTOP", 19),
    ("SIGTSTP", 20),
    ("SIGTTIN", 21),
    ("SIGTTOU", 22),
    ("SIGURG", 23),
    ("SIGXCPU", 24),
    ("SIGXFSZ", 25),
    ("SIGVTALRM", 26),
    ("SIGPROF", 27),
    ("SIGWINCH", 28),
    ("SIGIO", 29),
    ("SIGPOLL", 29),
    ("SIGPWR", 30),
    ("SIGSYS", 31),
];

#[cfg(test)]
mod tests {
    use super::{cri_signal, signal_number};
    use crate::proto::Signal;

    #[test]
    fn every_signal_of_cri_has_a_number_and_comes_back() {
        for value in 1..=65 {
            let signal = Signal::try_from(value).expect("a signal");
            let number = signal_number(signal.as_str_name());
            assert!((1..=64).contains(&number), "{signal:?}");
            let same = signal_number(cri_signal(number).as_str_name());
            assert_eq!(same, number, "{signal:?}");
        }
        assert_eq!(signal_number("SIGRTMINPLUS3"), 37);
        assert_eq!(signal_number("SIGRTMAXMINUS14"), 50);
        assert_eq!(signal_number("SIGNONE"), 15);
    }
}
