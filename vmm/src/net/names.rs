//! `/etc/resolv.conf` and `/etc/hosts` of the guest, and its network namespace.

use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{NetworkConfig, host};

const RESOLV_CONF: &str = "/etc/resolv.conf";
/// More is no resolver's configuration.
const RESOLV_CONF_MAX_BYTES: u64 = 64 << 10;

const HOSTS: &str = "\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
";

/// `--add-host NAME:IP`: a line of `/etc/hosts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName {
    /// A name without white space.
    pub name: String,
    /// Its address.
    pub ip: IpAddr,
}

/// A text that is no host name and address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("--add-host {text:?}: write NAME:IP, as in --add-host db:10.0.0.7")]
pub struct HostNameError {
    text: String,
}

impl FromStr for HostName {
    type Err = HostNameError;

    fn from_str(text: &str) -> Result<Self, HostNameError> {
        let is_name = |name: &str| {
            !name.is_empty()
                && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#')
        };
        text.split_once(':')
            .filter(|(name, _)| is_name(name))
            .and_then(|(name, ip)| {
                let ip = ip.trim_start_matches('[').trim_end_matches(']');
                let name = name.to_owned();
                Some(Self {
                    name,
                    ip: ip.parse().ok()?,
                })
            })
            .ok_or_else(|| HostNameError {
                text: text.to_owned(),
            })
    }
}

/// Why a namespace was not joined.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// The namespace's file is not there, or may not be opened.
    #[error(
        "cannot open the network namespace {}; name a file such as /run/netns/NAME or /proc/PID/ns/net",
        path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The kernel refused.
    #[error(
        "cannot join the network namespace {}; it takes a namespace's file, and CAP_SYS_ADMIN (root)",
        path.display()
    )]
    Join {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Moves this thread, and those that it starts, to the namespace.
pub fn join_namespace(path: &Path) -> Result<(), NamespaceError> {
    let file = File::open(path).map_err(|source| NamespaceError::Open {
        path: path.to_owned(),
        source,
    })?;
    host::enter_namespace(file.as_fd()).map_err(|source| NamespaceError::Join {
        path: path.to_owned(),
        source,
    })
}

impl NetworkConfig {
    /// The text of `/etc/resolv.conf`: the host's, with other name servers where some
    /// are given. Empty where the host has none.
    pub(crate) fn resolv_conf(&self) -> String {
        let mut bytes = Vec::new();
        // Where there is no file the image's own stays.
        let _ = File::open(RESOLV_CONF)
            .and_then(|file| file.take(RESOLV_CONF_MAX_BYTES).read_to_end(&mut bytes));
        resolv_conf(&String::from_utf8_lossy(&bytes), &self.dns)
    }

    /// The text of `/etc/hosts`.
    pub(crate) fn hosts(&self, hostname: &str) -> String {
        let mut text = HOSTS.to_owned();
        for HostName { name, ip } in &self.hosts {
            text.push_str(&format!("{ip}\t{name}\n"));
        }
        if !hostname.is_empty() {
            text.push_str(&format!("127.0.0.1\t{hostname}\n"));
        }
        text
    }
}

fn resolv_conf(host: &str, dns: &[IpAddr]) -> String {
    let mut text: String = dns.iter().map(|ip| format!("nameserver {ip}\n")).collect();
    for line in host.replace('\0', "").lines() {
        let is_server = line.split_whitespace().next() == Some("nameserver");
        if dns.is_empty() || !is_server {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_replace_the_hosts() {
        let host = "# made by hand\nsearch example.org\nnameserver 127.0.0.53\noptions ndots:2";
        assert_eq!(resolv_conf(host, &[]), format!("{host}\n"));
        let dns = ["9.9.9.9".parse().unwrap(), "::1".parse().unwrap()];
        assert_eq!(
            resolv_conf(host, &dns),
            "nameserver 9.9.9.9\nnameserver ::1\n# made by hand\nsearch example.org\noptions ndots:2\n"
        );
        assert_eq!(resolv_conf("a\0b\n", &[]), "ab\n");
        assert_eq!(resolv_conf("", &[]), "");
    }

    #[test]
    fn hosts_hold_localhost_names_added_and_the_host_name() {
        let config = NetworkConfig {
            hosts: vec!["db:10.0.0.7".parse().unwrap(), "six:::1".parse().unwrap()],
            ..NetworkConfig::default()
        };
        let text = config.hosts("box");
        assert!(text.starts_with("127.0.0.1\tlocalhost\n::1\tlocalhost"));
        assert!(text.ends_with("10.0.0.7\tdb\n::1\tsix\n127.0.0.1\tbox\n"));
    }

    #[test]
    fn host_names_are_checked() {
        for text in [
            "",
            "db",
            "db:",
            ":1.2.3.4",
            "a b:1.2.3.4",
            "a\n:::1",
            "db:gateway",
        ] {
            assert!(text.parse::<HostName>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_namespace_that_is_gone_is_named() {
        let error = join_namespace(Path::new("/run/netns/gone-long-ago")).unwrap_err();
        assert!(error.to_string().contains("/run/netns/gone-long-ago"));
        let error = join_namespace(Path::new("/dev/null")).unwrap_err();
        assert!(matches!(error, NamespaceError::Join { .. }), "{error}");
    }
}
