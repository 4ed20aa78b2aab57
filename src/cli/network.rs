//! `-p`, `--network`, `--netns`, `--dns` and `--add-host` of `unikiln run`.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use unikiln_vmm::net::{HostName, Mode, NetworkConfig, PortMapping};

/// The guest's network.
#[derive(Debug, Args)]
pub(super) struct NetworkOptions {
    /// Reach a port of the guest by one of the host.
    #[arg(short, long, value_name = "[IP:]HOST:GUEST[/udp]")]
    publish: Vec<PortMapping>,
    /// host: all that this process may do; none: no sockets. Without it the guest connects to
    /// anywhere, and is reached by the ports of -p, and from this machine.
    #[arg(long, value_name = "MODE", conflicts_with = "netns")]
    network: Option<Mode>,
    /// Join this network namespace first, a file such as /run/netns/NAME.
    #[arg(long, value_name = "PATH")]
    netns: Option<PathBuf>,
    /// Use this name server instead of the host's.
    #[arg(long, value_name = "IP")]
    dns: Vec<IpAddr>,
    /// Add a line to /etc/hosts.
    #[arg(long, value_name = "NAME:IP")]
    add_host: Vec<HostName>,
}

impl NetworkOptions {
    /// As the monitor takes it; ports that cannot be published are an error.
    pub(super) fn to_config(&self) -> Result<NetworkConfig> {
        let namespace = self.netns.clone().map(Mode::Namespace);
        let config = NetworkConfig {
            mode: self.network.clone().or(namespace).unwrap_or_default(),
            ports: self.publish.clone(),
            dns: self.dns.clone(),
            hosts: self.add_host.clone(),
        };
        config.check()?;
        Ok(config)
    }
}
