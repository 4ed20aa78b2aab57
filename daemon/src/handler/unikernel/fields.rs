//! What a request may ask for that a unikernel cannot give. Where accepting would be a
//! lie it is refused; what has no meaning inside a virtual machine and does no harm is
//! accepted. `daemon/SECURITY-FIELDS.md` is this list for people.

use crate::handler::HandlerError;
use crate::proto::security_profile::ProfileType;
use crate::proto::{
    ContainerConfig, LinuxContainerSecurityContext, LinuxSandboxSecurityContext, MountPropagation,
    NamespaceMode, NamespaceOption, PodSandboxConfig, SeLinuxOption, SecurityProfile,
};

/// Capabilities that reach for the host or its network: a guest has neither.
const HOST_CAPABILITIES: [&str; 16] = [
    "ALL",
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "BPF",
    "CHECKPOINT_RESTORE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "NET_ADMIN",
    "NET_RAW",
    "PERFMON",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_TIME",
];

/// Refuses what cannot be given.
pub(super) fn check(config: &ContainerConfig, pod: &PodSandboxConfig) -> Result<(), HandlerError> {
    if let Some(device) = config.devices.first() {
        return refuse(format!(
            "the device {} cannot be given to a unikernel",
            device.host_path
        ));
    }
    if let Some(device) = config.cdi_devices.first() {
        return refuse(format!(
            "the device {} cannot be given to a unikernel",
            device.name
        ));
    }
    if config.stdin {
        return refuse("a unikernel has no standard input that could be attached to");
    }
    for mount in &config.mounts {
        if mount.propagation() == MountPropagation::PropagationBidirectional {
            return refuse(format!(
                "what a unikernel mounts at {} cannot be seen on the host: it cannot mount anything",
                mount.container_path
            ));
        }
        if !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty() {
            return refuse(format!(
                "users of files at {} cannot be mapped for a unikernel",
                mount.container_path
            ));
        }
    }
    let linux = config.linux.as_ref();
    if let Some(security) = linux.and_then(|linux| linux.security_context.as_ref()) {
        check_container(security)?;
    }
    let linux = pod.linux.as_ref();
    if let Some(security) = linux.and_then(|linux| linux.security_context.as_ref()) {
        check_pod(security)?;
    }
    Ok(())
}

fn check_container(security: &LinuxContainerSecurityContext) -> Result<(), HandlerError> {
    if security.privileged {
        return refuse("a privileged container works on its host, which a unikernel cannot reach");
    }
    if let Some(capabilities) = &security.capabilities {
        let lists = [
            &capabilities.add_capabilities,
            &capabilities.add_ambient_capabilities,
        ];
        for name in lists.into_iter().flatten() {
            let upper = name.to_ascii_uppercase();
            let plain = upper.strip_prefix("CAP_").unwrap_or(&upper);
            if HOST_CAPABILITIES.contains(&plain) {
                return refuse(format!(
                    "the capability {name} reaches for the host, which a unikernel cannot"
                ));
            }
        }
    }
    check_namespaces(security.namespace_options.as_ref())?;
    check_selinux(security.selinux_options.as_ref())?;
    check_profile("seccomp", security.seccomp.as_ref())?;
    check_profile("AppArmor", security.apparmor.as_ref())?;
    #[expect(deprecated, reason = "older kubelets and crictl say it so")]
    let names = [
        ("seccomp", &security.seccomp_profile_path),
        ("AppArmor", &security.apparmor_profile),
    ];
    names
        .into_iter()
        .try_for_each(|(kind, name)| check_named(kind, name))
}

fn check_pod(security: &LinuxSandboxSecurityContext) -> Result<(), HandlerError> {
    if security.privileged {
        return refuse("a privileged pod works on its host, which a unikernel cannot reach");
    }
    check_namespaces(security.namespace_options.as_ref())?;
    check_selinux(security.selinux_options.as_ref())?;
    check_profile("seccomp", security.seccomp.as_ref())?;
    check_profile("AppArmor", security.apparmor.as_ref())?;
    #[expect(deprecated, reason = "older kubelets and crictl say it so")]
    let name = &security.seccomp_profile_path;
    check_named("seccomp", name)
}

/// Its processes and its shared memory are inside the guest.
fn check_namespaces(options: Option<&NamespaceOption>) -> Result<(), HandlerError> {
    let Some(options) = options else {
        return Ok(());
    };
    match options.pid() {
        NamespaceMode::Node => {
            return refuse("a unikernel cannot see the host's processes (hostPID)");
        }
        NamespaceMode::Target => {
            return refuse("a unikernel cannot see the processes of another container");
        }
        NamespaceMode::Pod | NamespaceMode::Container => {}
    }
    if options.ipc() == NamespaceMode::Node {
        return refuse("a unikernel cannot share the host's memory segments (hostIPC)");
    }
    let users = options.userns_options.as_ref();
    if users.is_some_and(|users| users.mode() != NamespaceMode::Node) {
        return refuse(
            "a unikernel runs in no user namespace of the host (hostUsers: false); its users are inside the guest",
        );
    }
    Ok(())
}

fn check_selinux(options: Option<&SeLinuxOption>) -> Result<(), HandlerError> {
    let Some(options) = options else {
        return Ok(());
    };
    let SeLinuxOption {
        user,
        role,
        r#type,
        level,
    } = options;
    if [user, role, r#type, level].iter().all(|it| it.is_empty()) {
        return Ok(());
    }
    refuse("a unikernel's program has no SELinux label on the host")
}

fn check_profile(kind: &str, profile: Option<&SecurityProfile>) -> Result<(), HandlerError> {
    let Some(profile) = profile else {
        return Ok(());
    };
    match profile.profile_type() {
        ProfileType::RuntimeDefault | ProfileType::Unconfined => Ok(()),
        ProfileType::Localhost => refuse_profile(kind, &profile.localhost_ref),
    }
}

fn check_named(kind: &str, name: &str) -> Result<(), HandlerError> {
    match name {
        "" | "runtime/default" | "docker/default" | "unconfined" => Ok(()),
        name => refuse_profile(kind, name),
    }
}

fn refuse_profile(kind: &str, name: &str) -> Result<(), HandlerError> {
    refuse(format!(
        "the {kind} profile {name:?} cannot hold for a unikernel: its system calls do not reach the host"
    ))
}

fn refuse(why: impl Into<String>) -> Result<(), HandlerError> {
    Err(HandlerError::Invalid(format!(
        "{}; use a RuntimeClass whose handler is an OCI runtime, or leave it out",
        why.into()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{
        Capability, Device, LinuxContainerConfig, LinuxPodSandboxConfig, Mount, UserNamespace,
    };

    fn container(change: impl FnOnce(&mut LinuxContainerSecurityContext)) -> ContainerConfig {
        let mut security = LinuxContainerSecurityContext::default();
        change(&mut security);
        ContainerConfig {
            linux: Some(LinuxContainerConfig {
                security_context: Some(security),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn accepted(config: &ContainerConfig) -> bool {
        check(config, &PodSandboxConfig::default()).is_ok()
    }

    fn namespaces(change: impl FnOnce(&mut NamespaceOption)) -> ContainerConfig {
        container(|security| {
            let mut options = NamespaceOption::default();
            change(&mut options);
            security.namespace_options = Some(options);
        })
    }

    fn capability(name: &str) -> ContainerConfig {
        container(|security| {
            security.capabilities = Some(Capability {
                add_capabilities: vec![name.to_owned()],
                ..Default::default()
            });
        })
    }

    #[test]
    fn what_is_harmless_is_accepted() {
        assert!(accepted(&ContainerConfig::default()));
        assert!(accepted(&container(|it| {
            it.no_new_privs = true;
            it.readonly_rootfs = true;
            it.masked_paths = vec!["/proc/kcore".into()];
            it.seccomp = Some(SecurityProfile::default());
            it.capabilities = Some(Capability {
                drop_capabilities: vec!["ALL".into()],
                ..Default::default()
            });
        })));
        assert!(accepted(&capability("CHOWN")) && accepted(&capability("CAP_NET_BIND_SERVICE")));
        assert!(accepted(&namespaces(
            |it| it.set_network(NamespaceMode::Node)
        )));
        assert!(accepted(&namespaces(
            |it| it.set_pid(NamespaceMode::Container)
        )));
    }

    #[test]
    fn what_would_be_a_lie_is_refused() {
        let localhost = SecurityProfile {
            profile_type: ProfileType::Localhost.into(),
            localhost_ref: "x.json".into(),
        };
        let bidirectional = Mount {
            propagation: MountPropagation::PropagationBidirectional.into(),
            ..Default::default()
        };
        for config in [
            container(|it| it.privileged = true),
            container(|it| it.seccomp = Some(localhost.clone())),
            container(|it| it.apparmor = Some(localhost.clone())),
            container(|it| {
                it.selinux_options = Some(SeLinuxOption {
                    level: "s0:c1".into(),
                    ..Default::default()
                });
            }),
            capability("SYS_ADMIN"),
            capability("cap_net_raw"),
            namespaces(|it| it.set_pid(NamespaceMode::Node)),
            namespaces(|it| it.set_pid(NamespaceMode::Target)),
            namespaces(|it| it.set_ipc(NamespaceMode::Node)),
            namespaces(|it| it.userns_options = Some(UserNamespace::default())),
            ContainerConfig {
                devices: vec![Device::default()],
                ..Default::default()
            },
            ContainerConfig {
                mounts: vec![bidirectional],
                ..Default::default()
            },
            ContainerConfig {
                stdin: true,
                ..Default::default()
            },
        ] {
            assert!(!accepted(&config), "{config:?}");
        }
    }

    #[test]
    fn a_pod_is_looked_at_too() {
        let pod = PodSandboxConfig {
            linux: Some(LinuxPodSandboxConfig {
                security_context: Some(LinuxSandboxSecurityContext {
                    privileged: true,
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        };
        let refused = check(&ContainerConfig::default(), &pod).unwrap_err();
        assert!(refused.to_string().contains("RuntimeClass"), "{refused}");
    }
}
