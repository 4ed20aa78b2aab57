//! Sysctls of a pod.
//!
//! | name | what becomes of it |
//! |---|---|
//! | `net.…` | written in the pod's network namespace; refused with the host's network |
//! | `kernel.shm…`, `kernel.msg…`, `kernel.sem`, `fs.mqueue.…` | of an IPC namespace: an OCI runtime sets them, a unikernel has none of the kind |
//! | others | refused: they are the whole node's |
//!
//! Which of them a pod may have is kubelet's to decide (`--allowed-unsafe-sysctls`).

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::namespace::{self, NamespaceError};

const ROOT: &str = "/proc/sys";
/// More than any sysctl takes.
const VALUE_MAX_BYTES: usize = 4096;

/// Why a pod cannot have a sysctl.
#[derive(Debug, thiserror::Error)]
pub enum SysctlError {
    /// Not a name, or one that leads elsewhere.
    #[error("{name:?} is no sysctl; write it as net.ipv4.ip_forward")]
    BadName {
        /// As given.
        name: String,
    },
    /// The value has a line break or NUL, or is too long.
    #[error(
        "the value of sysctl {name} has a line break or NUL, or more than {VALUE_MAX_BYTES} bytes"
    )]
    BadValue {
        /// Whose.
        name: String,
    },
    /// It is not of a namespace.
    #[error("sysctl {name} is the whole node's and cannot be set for a pod; set it on the node")]
    WholeNode {
        /// The sysctl.
        name: String,
    },
    /// The pod has the host's network.
    #[error("sysctl {name} would change the node: the pod has the host's network")]
    HostNetwork {
        /// The sysctl.
        name: String,
    },
    /// A unikernel's System V and POSIX queues are its own, not the kernel's.
    #[error(
        "sysctl {name} has no meaning in a unikernel, whose shared memory and queues are its own; \
         leave it out, or run the pod under an OCI runtime's handler"
    )]
    Meaningless {
        /// The sysctl.
        name: String,
    },
    /// The kernel has none of that name.
    #[error("the kernel has no sysctl {name} in a pod's network namespace")]
    Unknown {
        /// The sysctl.
        name: String,
    },
    /// The kernel refuses the value.
    #[error("cannot set sysctl {name} to {value:?}")]
    Write {
        /// The sysctl.
        name: String,
        /// As given.
        value: String,
        /// What the system said.
        source: io::Error,
    },
    /// The namespace cannot be entered.
    #[error("cannot set the pod's sysctls")]
    Namespace(#[from] NamespaceError),
}

/// A pod's sysctls, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sysctls {
    network: Vec<(String, PathBuf, String)>,
    ipc: BTreeMap<String, String>,
}

impl Sysctls {
    /// Sorts a pod's sysctls; `host_network`: the pod has no network namespace.
    pub fn parse(
        sysctls: &BTreeMap<String, String>,
        host_network: bool,
    ) -> Result<Self, SysctlError> {
        let mut parsed = Self::default();
        for (given, value) in sysctls {
            let path = path_of(given).ok_or_else(|| SysctlError::BadName {
                name: given.clone(),
            })?;
            let name = given.clone();
            if value.len() > VALUE_MAX_BYTES || value.contains(['\n', '\0']) {
                return Err(SysctlError::BadValue { name });
            }
            if path.starts_with("net") && path.components().count() > 1 {
                if host_network {
                    return Err(SysctlError::HostNetwork { name });
                }
                parsed.network.push((name, path, value.clone()));
            } else if is_ipc(&path) {
                parsed.ipc.insert(name, value.clone());
            } else {
                return Err(SysctlError::WholeNode { name });
            }
        }
        Ok(parsed)
    }

    /// Those of an IPC namespace, for an OCI runtime's `linux.sysctl`.
    pub fn ipc(&self) -> &BTreeMap<String, String> {
        &self.ipc
    }

    /// Refuses what a unikernel has none of.
    pub fn check_for_unikernel(&self) -> Result<(), SysctlError> {
        match self.ipc.keys().next() {
            Some(name) => Err(SysctlError::Meaningless { name: name.clone() }),
            None => Ok(()),
        }
    }

    /// Writes those of the network in the namespace at `path`.
    pub fn apply(&self, path: &Path) -> Result<(), SysctlError> {
        if self.network.is_empty() {
            return Ok(());
        }
        namespace::inside(path, || self.network.iter().try_for_each(write))?
    }
}

fn write((name, path, value): &(String, PathBuf, String)) -> Result<(), SysctlError> {
    let file = Path::new(ROOT).join(path);
    // Never made where it is not there.
    let opened = OpenOptions::new().write(true).open(file);
    let written = opened.and_then(|mut file| file.write_all(value.as_bytes()));
    written.map_err(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            SysctlError::Unknown { name: name.clone() }
        }
        _ => SysctlError::Write {
            name: name.clone(),
            value: value.clone(),
            source,
        },
    })
}

/// The path below `/proc/sys`. As sysctl(8) reads it: the separator that comes first
/// separates, the other one stands for itself (`net/ipv4/conf/eth0.7/forwarding` is
/// `net.ipv4.conf.eth0/7.forwarding`).
fn path_of(name: &str) -> Option<PathBuf> {
    let separator = name.chars().find(|char| matches!(char, '.' | '/'))?;
    let parts: Vec<String> = match separator {
        '/' => name.split('/').map(str::to_owned).collect(),
        _ => name.split('.').map(|part| part.replace('/', ".")).collect(),
    };
    let is_plain = |part: &String| {
        let known =
            |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '.' | '@');
        !part.is_empty() && part != "." && part != ".." && part.chars().all(known)
    };
    parts.iter().all(is_plain).then(|| parts.iter().collect())
}

/// What ipc_namespaces(7) lists.
fn is_ipc(path: &Path) -> bool {
    const NAMES: [&str; 9] = [
        "kernel/msgmax",
        "kernel/msgmnb",
        "kernel/msgmni",
        "kernel/sem",
        "kernel/shmall",
        "kernel/shmmax",
        "kernel/shmmni",
        "kernel/shm_rmid_forced",
        "kernel/msg_next_id",
    ];
    path.starts_with("fs/mqueue") && path.components().count() > 2
        || NAMES.iter().any(|name| path == Path::new(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str, host_network: bool) -> Result<Sysctls, SysctlError> {
        let sysctls = BTreeMap::from([(name.to_owned(), "1".to_owned())]);
        Sysctls::parse(&sysctls, host_network)
    }

    #[test]
    fn the_separator_that_comes_first_separates() {
        let path = |name| path_of(name).map(|path| path.to_str().unwrap().to_owned());
        assert_eq!(path("net.ipv4.ip_forward").unwrap(), "net/ipv4/ip_forward");
        assert_eq!(
            path("net/ipv4/conf/eth0.7/mtu").unwrap(),
            "net/ipv4/conf/eth0.7/mtu"
        );
        assert_eq!(
            path("net.ipv4.conf.eth0/7.mtu").unwrap(),
            "net/ipv4/conf/eth0.7/mtu"
        );
    }

    #[test]
    fn names_that_lead_elsewhere_are_none() {
        for name in [
            "",
            "net",
            "net..x",
            "net/../kernel/panic",
            "net.ipv4.//.x",
            "/net/x",
            "net.a b",
            "net.x\0",
        ] {
            let error = parse(name, false).unwrap_err();
            assert!(
                matches!(error, SysctlError::BadName { .. }),
                "{name:?}: {error}"
            );
        }
    }

    #[test]
    fn only_what_is_of_a_namespace_is_taken() {
        assert!(
            parse("net.core.somaxconn", false)
                .unwrap()
                .check_for_unikernel()
                .is_ok()
        );
        let error = parse("net.core.somaxconn", true).unwrap_err();
        assert!(matches!(error, SysctlError::HostNetwork { .. }));
        for name in [
            "kernel.panic",
            "vm.swappiness",
            "kernel.shm_other",
            "fs.mqueue",
            "netx.y",
            "fs.file-max",
        ] {
            let error = parse(name, false).unwrap_err();
            assert!(
                matches!(error, SysctlError::WholeNode { .. }),
                "{name}: {error}"
            );
        }
        for name in ["kernel.shm_rmid_forced", "kernel.sem", "fs.mqueue.msg_max"] {
            let sysctls = parse(name, true).unwrap();
            assert_eq!(sysctls.ipc()[name], "1");
            let error = sysctls.check_for_unikernel().unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn a_value_is_one_line() {
        let sysctls = BTreeMap::from([("net.x.y".to_owned(), "1\n2".to_owned())]);
        let error = Sysctls::parse(&sysctls, false).unwrap_err();
        assert!(matches!(error, SysctlError::BadValue { .. }));
    }
}
