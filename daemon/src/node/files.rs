//! Files that every container of a pod sees: resolv.conf, hostname, hosts.

use std::fs;
use std::path::{Path, PathBuf};

use super::NodeError;
use crate::handler::Mount;
use crate::network::resolv;
use crate::proto::PodSandboxConfig;

/// The files, and their places.
const PLACES: [(&str, &str); 3] = [
    ("resolv.conf", "/etc/resolv.conf"),
    ("hostname", "/etc/hostname"),
    ("hosts", "/etc/hosts"),
];
/// Longest name that `sethostname` takes.
const HOSTNAME_MAX_BYTES: usize = 64;

/// Refuses names that no host can have.
pub(super) fn check_hostname(hostname: &str) -> Result<(), NodeError> {
    let bad = |reason| NodeError::BadValue {
        field: "config.hostname",
        value: super::error::shortened(hostname),
        reason,
    };
    if hostname.len() > HOSTNAME_MAX_BYTES {
        return Err(bad("a host name has at most 64 bytes"));
    }
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if !hostname.bytes().all(is_name) {
        return Err(bad("a host name has letters, digits, `-` and `.` only"));
    }
    Ok(())
}

/// The name that the pod's containers see.
pub(crate) fn hostname(config: &PodSandboxConfig, is_host_network: bool) -> String {
    if is_host_network || config.hostname.is_empty() {
        let name = rustix::system::uname();
        return name.nodename().to_string_lossy().into_owned();
    }
    config.hostname.clone()
}

/// Writes them into the pod's directory.
pub(super) fn write(
    directory: &Path,
    config: &PodSandboxConfig,
    is_host_network: bool,
    address: Option<&str>,
) -> Result<(), NodeError> {
    let name = hostname(config, is_host_network);
    let put = |file: &str, text: &str| {
        let path = directory.join(file);
        fs::write(&path, text).map_err(|source| NodeError::PodFile { path, source })
    };
    let resolv = resolv::text(config.dns_config.as_ref(), is_host_network)?;
    put("resolv.conf", &resolv)?;
    put("hostname", &format!("{name}\n"))?;
    if is_host_network && let Ok(hosts) = fs::read_to_string("/etc/hosts") {
        return put("hosts", &hosts);
    }
    let mut hosts =
        String::from("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    if let Some(address) = address {
        hosts.push_str(&format!("{address}\t{name}\n"));
    }
    put("hosts", &hosts)
}

/// The mounts that show them, but where the container has its own.
pub(super) fn mounts(directory: &Path, own: &[Mount]) -> Vec<Mount> {
    PLACES
        .iter()
        .map(|(file, place)| Mount {
            source: directory.join(file),
            place: PathBuf::from(place),
            // As with containerd: only a read-only root file system makes these read-only.
            read_only: false,
            recursive_read_only: false,
            propagated: false,
        })
        .filter(|mount| own.iter().all(|other| other.place != mount.place))
        .collect()
}
