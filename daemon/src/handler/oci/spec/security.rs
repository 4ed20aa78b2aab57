//! What a container's program may do.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use oci_spec::runtime::{Capability, LinuxCapabilities, LinuxSeccomp};
use rustix::thread::CapabilitySet;

use super::seccomp;
use crate::handler::HandlerError;
use crate::proto::security_profile::ProfileType;
use crate::proto::{LinuxContainerSecurityContext, SecurityProfile};

/// What containers have unless somebody says otherwise, as with containerd and docker.
const DEFAULTS: [Capability; 14] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fsetid,
    Capability::Fowner,
    Capability::Mknod,
    Capability::NetRaw,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setfcap,
    Capability::Setpcap,
    Capability::NetBindService,
    Capability::SysChroot,
    Capability::Kill,
    Capability::AuditWrite,
];
/// All capabilities in the order of their numbers.
const ALL: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];
/// Profiles that are loaded.
const APPARMOR_PROFILES: &str = "/sys/kernel/security/apparmor/profiles";

/// The capability sets of the program.
pub(super) fn capabilities(
    security: &LinuxContainerSecurityContext,
) -> Result<LinuxCapabilities, HandlerError> {
    let own = own();
    let mut given: HashSet<_> = if security.privileged {
        own.clone()
    } else {
        DEFAULTS
            .into_iter()
            .filter(|one| own.contains(one))
            .collect()
    };
    let mut ambient = HashSet::new();
    if let Some(wanted) = security
        .capabilities
        .as_ref()
        .filter(|_| !security.privileged)
    {
        let is_all = |name: &String| name.eq_ignore_ascii_case("ALL");
        if wanted.add_capabilities.iter().any(is_all) {
            given.clone_from(&own);
        }
        if wanted.drop_capabilities.iter().any(is_all) {
            given.clear();
        }
        for name in wanted.add_capabilities.iter().filter(|name| !is_all(name)) {
            given.insert(available(name, &own)?);
        }
        for name in wanted.drop_capabilities.iter().filter(|name| !is_all(name)) {
            given.remove(&parse(name)?);
        }
        for name in &wanted.add_ambient_capabilities {
            if is_all(name) {
                ambient.clone_from(&own);
            } else {
                ambient.insert(available(name, &own)?);
            }
        }
        given.extend(&ambient);
    }
    let mut sets = LinuxCapabilities::default();
    sets.set_bounding(Some(given.clone()));
    sets.set_permitted(Some(given.clone()));
    sets.set_effective(Some(given));
    sets.set_inheritable(Some(ambient.clone()));
    sets.set_ambient(Some(ambient));
    Ok(sets)
}

/// What the daemon has: nobody can be given more.
fn own() -> HashSet<Capability> {
    let permitted = rustix::thread::capabilities(None).map(|sets| sets.permitted);
    let bits = permitted.unwrap_or(CapabilitySet::empty()).bits();
    let numbered = ALL.iter().enumerate();
    numbered
        .filter(|(number, _)| bits >> number & 1 != 0)
        .filter_map(|(_, name)| Capability::from_str(name).ok())
        .collect()
}

fn parse(name: &str) -> Result<Capability, HandlerError> {
    let upper = name.to_ascii_uppercase();
    let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
    Capability::from_str(short)
        .map_err(|_| HandlerError::Invalid(format!("there is no capability {name:?}")))
}

fn available(name: &str, own: &HashSet<Capability>) -> Result<Capability, HandlerError> {
    let capability = parse(name)?;
    if own.contains(&capability) {
        return Ok(capability);
    }
    let text =
        format!("capability {name} cannot be given: the daemon does not have it on this node");
    Err(HandlerError::Precondition(text))
}

/// The filter of system calls.
pub(super) fn seccomp(
    security: &LinuxContainerSecurityContext,
) -> Result<Option<LinuxSeccomp>, HandlerError> {
    if security.privileged {
        return Ok(None);
    }
    match &security.seccomp {
        Some(profile) => match profile.profile_type() {
            ProfileType::RuntimeDefault => Ok(Some(seccomp::default_profile(security))),
            ProfileType::Unconfined => Ok(None),
            ProfileType::Localhost => localhost_seccomp(&profile.localhost_ref).map(Some),
        },
        #[allow(deprecated, reason = "older clients use it")]
        None => match security.seccomp_profile_path.as_str() {
            "" | "unconfined" => Ok(None),
            "runtime/default" | "docker/default" => Ok(Some(seccomp::default_profile(security))),
            path => localhost_seccomp(path.strip_prefix("localhost/").unwrap_or(path)).map(Some),
        },
    }
}

fn localhost_seccomp(path: &str) -> Result<LinuxSeccomp, HandlerError> {
    if !Path::new(path).is_absolute() {
        let text = format!("seccomp profile {path:?} has no absolute path");
        return Err(HandlerError::Invalid(text));
    }
    let bytes = fs::read(path).map_err(|error| {
        HandlerError::Invalid(format!("cannot read seccomp profile {path}: {error}"))
    })?;
    serde_json::from_slice(&bytes).map_err(|error| {
        HandlerError::Invalid(format!("seccomp profile {path} is damaged: {error}"))
    })
}

/// The AppArmor profile.
pub(super) fn apparmor(
    security: &LinuxContainerSecurityContext,
) -> Result<Option<String>, HandlerError> {
    if security.privileged {
        return Ok(None);
    }
    #[allow(deprecated, reason = "older clients use it")]
    let old = security.apparmor_profile.as_str();
    let name = match (&security.apparmor, old) {
        (Some(profile), _) => match profile_name(profile) {
            Some(name) => name,
            None => return Ok(None),
        },
        (None, "" | "unconfined" | "runtime/default") => return Ok(None),
        (None, old) => old.strip_prefix("localhost/").unwrap_or(old),
    };
    let Ok(loaded) = fs::read_to_string(APPARMOR_PROFILES) else {
        let text = format!("AppArmor profile {name:?} cannot be used: this node has no AppArmor");
        return Err(HandlerError::Invalid(text));
    };
    let is_loaded = loaded
        .lines()
        .any(|line| line.rsplit_once(" (").is_some_and(|(it, _)| it == name));
    if !is_loaded {
        let text = format!("AppArmor profile {name:?} is not loaded on this node");
        return Err(HandlerError::Invalid(text));
    }
    Ok(Some(name.to_owned()))
}

/// None where no profile is asked for: there is no default of our own.
fn profile_name(profile: &SecurityProfile) -> Option<&str> {
    match profile.profile_type() {
        ProfileType::RuntimeDefault | ProfileType::Unconfined => None,
        ProfileType::Localhost => {
            let name = profile.localhost_ref.as_str();
            Some(name.strip_prefix("localhost/").unwrap_or(name))
        }
    }
}
