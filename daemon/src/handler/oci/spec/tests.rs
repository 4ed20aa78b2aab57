use std::path::{Path, PathBuf};

use oci_spec::runtime::{Capability, LinuxNamespaceType, Spec, User};

use super::{Host, build};
use crate::cgroup::Cgroup;
use crate::handler::{HandlerError, Launch, Mount};
use crate::image::LocalImage;
use crate::proto::{
    Capability as CapabilityChange, ContainerConfig, Device, KeyValue, LinuxContainerConfig,
    LinuxContainerResources, LinuxContainerSecurityContext, LinuxPodSandboxConfig, NamespaceOption,
    PodSandboxConfig, SecurityProfile,
};

struct Case {
    config: ContainerConfig,
    pod: PodSandboxConfig,
    image: LocalImage,
    mounts: Vec<Mount>,
    host: Host,
}

impl Case {
    fn new() -> Self {
        let mut case = Self {
            config: ContainerConfig::default(),
            pod: PodSandboxConfig::default(),
            image: LocalImage::default(),
            mounts: Vec::new(),
            host: Host::default(),
        };
        case.image.cmd = vec!["/bin/sh".to_owned()];
        case.pod.hostname = "pod".to_owned();
        case
    }

    fn security(&mut self) -> &mut LinuxContainerSecurityContext {
        let linux = self.config.linux.get_or_insert_default();
        linux.security_context.get_or_insert_default()
    }

    fn build(&self) -> Result<Spec, HandlerError> {
        let launch = Launch {
            id: "0123",
            directory: Path::new("/state/containers/0123"),
            config: &self.config,
            pod: &self.pod,
            image: &self.image,
            mounts: &self.mounts,
            network: Some(Path::new("/run/netns/test")),
            cgroup: &Cgroup::default(),
            log: None,
        };
        build(
            &launch,
            &self.host,
            PathBuf::from("rootfs"),
            User::default(),
        )
    }

    fn spec(&self) -> Spec {
        self.build().expect("valid")
    }

    fn refusal(&self) -> String {
        self.build().expect_err("must be refused").to_string()
    }
}

fn args(spec: &Spec) -> Vec<String> {
    let process = spec.process().as_ref().expect("process");
    process.args().clone().expect("args")
}

fn bounding(spec: &Spec) -> Vec<Capability> {
    let process = spec.process().as_ref().expect("process");
    let sets = process.capabilities().as_ref().expect("capabilities");
    sets.bounding().iter().flatten().copied().collect()
}

#[test]
fn a_command_makes_the_images_arguments_void() {
    let words = |text: &str| {
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    for (command, arguments, expected) in [
        ("", "", "entry point image args"),
        ("", "own", "entry point own"),
        ("cmd", "", "cmd"),
        ("cmd", "own", "cmd own"),
    ] {
        let mut case = Case::new();
        case.image.entrypoint = words("entry point");
        case.image.cmd = words("image args");
        case.config.command = words(command);
        case.config.args = words(arguments);
        assert_eq!(args(&case.spec()), words(expected));
    }
    let mut case = Case::new();
    case.image.cmd.clear();
    assert!(case.refusal().contains("nothing to run"));
}

#[test]
fn kubelets_environment_goes_over_the_images() {
    let mut case = Case::new();
    case.image.env = vec!["A=1".to_owned(), "PATH=/bin".to_owned()];
    case.config.envs = vec![KeyValue {
        key: "A".to_owned(),
        value: b"2=3".to_vec(),
    }];
    let spec = case.spec();
    let process = spec.process().as_ref().expect("process");
    let environment = process.env().clone().expect("env");
    assert_eq!(environment, ["PATH=/bin", "A=2=3", "HOSTNAME=pod"]);
}

#[test]
fn capabilities_are_added_and_dropped() {
    let mut case = Case::new();
    let default = bounding(&case.spec());
    assert!(default.contains(&Capability::Chown) && !default.contains(&Capability::SysAdmin));
    let change = |add: &[&str], drop: &[&str]| {
        let list = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Some(CapabilityChange {
            add_capabilities: list(add),
            drop_capabilities: list(drop),
            ..CapabilityChange::default()
        })
    };
    case.security().capabilities = change(&["cap_kill"], &["ALL"]);
    assert_eq!(bounding(&case.spec()), [Capability::Kill]);
    case.security().capabilities = change(&[], &["CHOWN"]);
    assert!(!bounding(&case.spec()).contains(&Capability::Chown));
    case.security().capabilities = change(&["FLY"], &[]);
    assert!(case.refusal().contains("FLY"));
}

#[test]
fn namespaces_are_the_containers_or_the_hosts() {
    let kinds = |case: &Case| {
        let spec = case.spec();
        let linux = spec.linux().as_ref().expect("linux");
        let list = linux.namespaces().clone().expect("namespaces");
        list.iter()
            .map(|one| (one.typ(), one.path().clone()))
            .collect::<Vec<_>>()
    };
    let mut case = Case::new();
    let plain = kinds(&case);
    assert!(plain.contains(&(LinuxNamespaceType::Pid, None)));
    let network = Some(PathBuf::from("/run/netns/test"));
    assert!(plain.contains(&(LinuxNamespaceType::Network, network)));
    case.security().namespace_options = Some(NamespaceOption {
        pid: 2,
        ipc: 2,
        ..NamespaceOption::default()
    });
    let host = kinds(&case);
    assert!(
        !host
            .iter()
            .any(|(kind, _)| { matches!(kind, LinuxNamespaceType::Pid | LinuxNamespaceType::Ipc) })
    );
    case.security().namespace_options = Some(NamespaceOption {
        pid: 7,
        ..NamespaceOption::default()
    });
    assert!(case.refusal().contains("mode 7"));
}

#[test]
fn mounts_come_over_the_defaults() {
    let mut case = Case::new();
    case.mounts = vec![Mount {
        source: "/somewhere".into(),
        place: "/dev/shm".into(),
        read_only: true,
        recursive_read_only: false,
        propagated: false,
    }];
    let spec = case.spec();
    let shm: Vec<_> = spec
        .mounts()
        .iter()
        .flatten()
        .filter(|mount| mount.destination() == Path::new("/dev/shm"))
        .collect();
    assert_eq!(shm.len(), 1);
    assert_eq!(
        shm[0].options().clone().expect("options"),
        ["rbind", "rprivate", "ro"]
    );
    case.mounts[0].recursive_read_only = true;
    assert!(case.refusal().contains("read-only with all below"));
    case.host.has_recursive_read_only = true;
    case.spec();
}

#[test]
fn a_seccomp_profile_is_the_default_none_or_a_file() {
    let directory = tempfile::tempdir().expect("directory");
    let file = directory.path().join("profile.json");
    std::fs::write(&file, r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#).expect("write");
    let mut case = Case::new();
    let mut with = |kind: i32, path: &Path| {
        case.security().seccomp = Some(SecurityProfile {
            profile_type: kind,
            localhost_ref: path.display().to_string(),
        });
        case.build()
    };
    let profile = |spec: &Spec| spec.linux().as_ref().expect("linux").seccomp().clone();
    let none = Path::new("");
    let default = profile(&with(0, none).expect("default")).expect("profile");
    let calls = default.syscalls().clone().expect("calls");
    assert!(
        calls
            .iter()
            .any(|call| call.names().iter().any(|name| name == "openat"))
    );
    assert!(
        !calls
            .iter()
            .any(|call| call.names().iter().any(|name| name == "mount"))
    );
    assert_eq!(profile(&with(1, none).expect("unconfined")), None);
    assert!(profile(&with(2, &file).expect("file")).is_some());
    assert!(with(2, Path::new("relative")).is_err());
    std::fs::write(&file, "{").expect("write");
    assert!(with(2, &file).is_err());
    assert!(with(2, Path::new("/no/such/profile")).is_err());
}

#[test]
fn devices_are_found_and_ruled() {
    let mut case = Case::new();
    case.config.devices = vec![Device {
        container_path: "/dev/zilch".to_owned(),
        host_path: "/dev/null".to_owned(),
        permissions: "r".to_owned(),
    }];
    let spec = case.spec();
    let linux = spec.linux().as_ref().expect("linux");
    let nodes = linux.devices().clone().expect("devices");
    assert_eq!((nodes[0].major(), nodes[0].minor()), (1, 3));
    let resources = linux.resources().as_ref().expect("resources");
    let rules = resources.devices().clone().expect("rules");
    let shown: Vec<_> = rules.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["a *:* rwm", "c 1:3 r"]);
    case.config.devices[0].permissions = "rx".to_owned();
    assert!(case.refusal().contains("rx"));
    case.config.devices[0].host_path = "/dev/no-such-device".to_owned();
    case.config.devices[0].permissions.clear();
    assert!(case.refusal().contains("/dev/no-such-device"));
}

#[test]
fn limits_and_sysctls_are_passed_on() {
    let mut case = Case::new();
    case.config.linux = Some(LinuxContainerConfig {
        resources: Some(LinuxContainerResources {
            memory_limit_in_bytes: 64 << 20,
            cpu_quota: 50_000,
            cpu_period: 100_000,
            cpu_shares: 512,
            oom_score_adj: -500,
            ..LinuxContainerResources::default()
        }),
        security_context: None,
    });
    let sysctl = ("net.ipv4.ip_forward".to_owned(), "1".to_owned());
    case.pod.linux = Some(LinuxPodSandboxConfig {
        sysctls: [sysctl.clone()].into(),
        ..LinuxPodSandboxConfig::default()
    });
    case.host.lowest_oom_score = Some(0);
    let spec = case.spec();
    let linux = spec.linux().as_ref().expect("linux");
    let resources = linux.resources().as_ref().expect("resources");
    let memory = resources.memory().expect("memory");
    assert_eq!(memory.limit(), Some(64 << 20));
    let cpu = resources.cpu().as_ref().expect("cpu");
    assert_eq!(
        (cpu.quota(), cpu.period(), cpu.shares()),
        (Some(50_000), Some(100_000), Some(512))
    );
    assert!(
        linux
            .sysctl()
            .clone()
            .expect("sysctls")
            .contains_key(&sysctl.0)
    );
    let process = spec.process().as_ref().expect("process");
    assert_eq!(process.oom_score_adj(), Some(0));
}
