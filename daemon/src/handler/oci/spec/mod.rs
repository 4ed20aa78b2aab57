//! `config.json`, what an OCI runtime is told of a container.
//!
//! | module | what it owns |
//! |---|---|
//! | [`program`] | arguments, environment, directory |
//! | [`security`] | capabilities, seccomp, AppArmor, paths that are hidden |
//! | [`seccomp`] | the default profile |
//! | [`mounts`] | what is mounted where |
//! | [`devices`] | devices, and who may use them |
//! | [`resources`] | limits |

mod devices;
mod mounts;
mod program;
pub(super) mod resources;
mod seccomp;
mod security;

use std::collections::HashMap;
use std::path::PathBuf;

use oci_spec::runtime::{Linux, LinuxNamespace, LinuxNamespaceType, Process, Root, Spec, User};

use crate::handler::{HandlerError, Launch};
use crate::proto::{LinuxContainerSecurityContext, NamespaceMode, NamespaceOption};

/// Version of the specification that all fields used here are in.
const VERSION: &str = "1.0.2";

/// What of the machine, the runtime and the pod decides what a container can be given.
#[derive(Clone, Debug, Default)]
pub(super) struct Host {
    /// The runtime makes a mount read-only with all below it.
    pub(super) has_recursive_read_only: bool,
    /// What `oom_score_adj` cannot go below.
    pub(super) lowest_oom_score: Option<i32>,
    /// Namespaces that the container shares with others.
    pub(super) pid_namespace: Option<PathBuf>,
    pub(super) ipc_namespace: Option<PathBuf>,
    /// A directory for the pod's `/dev/shm`.
    pub(super) shared_memory: Option<PathBuf>,
    /// Volumes of the image that stay writable under a read-only root: place, directory.
    pub(super) volumes: Vec<(PathBuf, PathBuf)>,
}

/// How a container's namespaces are meant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Namespaces<'a> {
    options: &'a NamespaceOption,
}

impl<'a> Namespaces<'a> {
    pub(super) fn of(security: &'a LinuxContainerSecurityContext) -> Result<Self, HandlerError> {
        static NONE: NamespaceOption = NamespaceOption {
            network: 0,
            pid: 0,
            ipc: 0,
            target_id: String::new(),
            userns_options: None,
        };
        let options = security.namespace_options.as_ref().unwrap_or(&NONE);
        for mode in [options.network, options.pid, options.ipc] {
            if NamespaceMode::try_from(mode).is_err() {
                let text = format!("there is no namespace mode {mode}");
                return Err(HandlerError::Invalid(text));
            }
        }
        // Mode 2 is the host's users, which is what there is.
        if let Some(users) = &options.userns_options
            && users.mode != i32::from(NamespaceMode::Node)
            && !(users.mode == 0 && users.uids.is_empty() && users.gids.is_empty())
        {
            let text = "user namespaces are not supported; set hostUsers: true".to_owned();
            return Err(HandlerError::Unimplemented(text));
        }
        Ok(Self { options })
    }

    pub(super) fn pid(&self) -> NamespaceMode {
        NamespaceMode::try_from(self.options.pid).unwrap_or(NamespaceMode::Container)
    }

    pub(super) fn ipc(&self) -> NamespaceMode {
        NamespaceMode::try_from(self.options.ipc).unwrap_or(NamespaceMode::Pod)
    }

    /// The container whose processes it sees, of `NamespaceMode::Target`.
    pub(super) fn target(&self) -> &'a str {
        &self.options.target_id
    }
}

/// Its security context; all defaults where it has none.
pub(super) fn security_of(launch: &Launch<'_>) -> LinuxContainerSecurityContext {
    let linux = launch.config.linux.as_ref();
    let security = linux.and_then(|linux| linux.security_context.clone());
    security.unwrap_or_default()
}

/// Makes a container's configuration, and checks all that can be checked on the way.
pub(super) fn build(
    launch: &Launch<'_>,
    host: &Host,
    rootfs: PathBuf,
    user: User,
) -> Result<Spec, HandlerError> {
    let security = security_of(launch);
    let namespaces = Namespaces::of(&security)?;
    check_harmless(launch, &security)?;
    let is_privileged = security.privileged;
    let mut process = Process::default();
    program::fill(&mut process, launch)?;
    process.set_user(user);
    process.set_capabilities(Some(security::capabilities(&security)?));
    process.set_no_new_privileges(Some(security.no_new_privs));
    process.set_apparmor_profile(security::apparmor(&security)?);
    process.set_rlimits(None);
    process.set_oom_score_adj(resources::oom_score(launch, host.lowest_oom_score));

    let mut linux = Linux::default();
    let devices = devices::of(launch, is_privileged)?;
    linux.set_devices(Some(devices.nodes));
    linux.set_resources(Some(resources::of(launch, devices.rules)?));
    if !launch.cgroup.path.is_empty() {
        linux.set_cgroups_path(Some(PathBuf::from(&launch.cgroup.path)));
    }
    linux.set_namespaces(Some(namespace_list(launch, namespaces, host)));
    linux.set_seccomp(security::seccomp(&security)?);
    let paths = |paths: &Vec<String>| (!is_privileged).then(|| paths.clone());
    linux.set_masked_paths(paths(&security.masked_paths));
    linux.set_readonly_paths(paths(&security.readonly_paths));
    let pod = launch.pod.linux.as_ref();
    let sysctls = pod.map(|linux| linux.sysctls.clone()).unwrap_or_default();
    linux.set_sysctl(Some(sysctls.into_iter().collect()));
    let mounts = mounts::of(launch, &security, host)?;
    linux.set_rootfs_propagation(mounts.root_propagation.map(str::to_owned));

    let mut root = Root::default();
    root.set_path(rootfs);
    root.set_readonly(Some(security.readonly_rootfs));
    let mut spec = Spec::default();
    spec.set_version(VERSION.to_owned());
    spec.set_root(Some(root));
    spec.set_process(Some(process));
    spec.set_mounts(Some(mounts.list));
    spec.set_hostname(
        Some(launch.pod.hostname.clone())
            .filter(|name| !name.is_empty() && launch.network.is_some()),
    );
    spec.set_annotations(Some(annotations(launch)));
    spec.set_linux(Some(linux));
    Ok(spec)
}

/// What would be a lie to accept.
fn check_harmless(
    launch: &Launch<'_>,
    security: &LinuxContainerSecurityContext,
) -> Result<(), HandlerError> {
    let pod = launch.pod.linux.as_ref();
    let pod = pod.and_then(|linux| linux.security_context.as_ref());
    if security.privileged && !pod.is_some_and(|pod| pod.privileged) {
        let text = "a privileged container needs a privileged pod".to_owned();
        return Err(HandlerError::Invalid(text));
    }
    let has_selinux = PathBuf::from("/sys/fs/selinux/enforce").exists();
    if has_selinux && security.selinux_options.is_some() {
        let text = "SELinux labels are not supported; leave seLinuxOptions out".to_owned();
        return Err(HandlerError::Unimplemented(text));
    }
    Ok(())
}

fn namespace_list(
    launch: &Launch<'_>,
    namespaces: Namespaces<'_>,
    host: &Host,
) -> Vec<LinuxNamespace> {
    let mut list = Vec::new();
    let mut add = |typ, path: Option<PathBuf>| {
        let mut namespace = LinuxNamespace::default();
        namespace.set_typ(typ).set_path(path);
        list.push(namespace);
    };
    add(LinuxNamespaceType::Mount, None);
    if namespaces.pid() != NamespaceMode::Node {
        add(LinuxNamespaceType::Pid, host.pid_namespace.clone());
    }
    if namespaces.ipc() != NamespaceMode::Node {
        add(LinuxNamespaceType::Ipc, host.ipc_namespace.clone());
    }
    if let Some(network) = launch.network {
        add(LinuxNamespaceType::Network, Some(network.to_owned()));
        // On the host's network, its name is the host's, too.
        add(LinuxNamespaceType::Uts, None);
    }
    let has_cgroup2 = PathBuf::from("/sys/fs/cgroup/cgroup.controllers").exists();
    if has_cgroup2 && !security_of(launch).privileged {
        add(LinuxNamespaceType::Cgroup, None);
    }
    list
}

/// What the runtime may want to know of the pod; kata-runtime reads some of these.
fn annotations(launch: &Launch<'_>) -> HashMap<String, String> {
    let mut annotations: HashMap<_, _> = launch.config.annotations.clone().into_iter().collect();
    let metadata = launch.pod.metadata.clone().unwrap_or_default();
    let name = launch.config.metadata.clone().unwrap_or_default().name;
    for (key, value) in [
        ("io.kubernetes.cri.container-type", "container"),
        ("io.kubernetes.cri.container-name", &name),
        ("io.kubernetes.cri.sandbox-name", &metadata.name),
        ("io.kubernetes.cri.sandbox-namespace", &metadata.namespace),
        ("io.kubernetes.cri.sandbox-uid", &metadata.uid),
    ] {
        annotations.insert(key.to_owned(), value.to_owned());
    }
    annotations.retain(|key, _| !key.is_empty());
    annotations
}

#[cfg(test)]
mod tests;
