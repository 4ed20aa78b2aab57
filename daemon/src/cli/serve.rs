//! `unikiln serve`: the CRI server of a node.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use unikiln_daemon::config::{CgroupDriver, OciHandler, Options};
use unikiln_daemon::trace;

/// Serve the Kubernetes Container Runtime Interface (CRI v1) on a Unix socket.
#[derive(Debug, Args)]
#[command(
    after_help = "A file of options has the same names: socket = \"/run/unikiln/unikiln.sock\"; \
                  [handlers.runc] runtime = \"/usr/sbin/runc\", conmon = \"/usr/bin/conmon\". What the \
                  command line says wins. Containers outlive the daemon; a new one finds them again."
)]
pub(super) struct Serve {
    /// File of options (TOML).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Unix socket to listen at [default: /run/unikiln/unikiln.sock].
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Directory of images [default: $UNIKILN_ROOT, or /var/lib/unikiln for root, or
    /// ~/.local/share/unikiln].
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Directory of pods and containers [default: ROOT/state].
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Directory of CNI configurations [default: /etc/cni/net.d].
    #[arg(long, value_name = "DIR")]
    cni_conf_dir: Option<PathBuf>,
    /// Directory of CNI plugins [default: /opt/cni/bin, then /usr/lib/cni].
    #[arg(long, value_name = "DIR")]
    cni_bin_dir: Option<PathBuf>,
    /// Directory of HOST/hosts.toml files [default: /etc/unikiln/registries.d].
    #[arg(long, value_name = "DIR")]
    registry_config_dir: Option<PathBuf>,
    /// The monitor's program [default: unikiln-vmm beside this one].
    #[arg(long, value_name = "PATH")]
    monitor: Option<PathBuf>,
    /// Another handler: an OCI runtime, each container supervised by conmon.
    #[arg(long = "handler", value_name = "NAME=RUNTIME")]
    handlers: Vec<String>,
    /// Handler of pods that name none [default: unikiln].
    #[arg(long, value_name = "NAME")]
    default_handler: Option<String>,
    /// How cgroups are made; kubelet follows it [default: cgroupfs].
    #[arg(long, value_name = "DRIVER")]
    cgroup_driver: Option<Driver>,
    /// error, warn, info, debug or trace [default: info].
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// Serve Prometheus metrics at http://ADDRESS/metrics.
    #[arg(long, value_name = "ADDRESS")]
    metrics_address: Option<SocketAddr>,
    /// Where connections of PortForward, Exec and Attach go [default: 127.0.0.1:0].
    #[arg(long, value_name = "ADDRESS")]
    streaming_address: Option<SocketAddr>,
}

/// As kubelet spells it.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Driver {
    /// By directories.
    Cgroupfs,
    /// By systemd.
    Systemd,
}

impl Serve {
    pub(super) fn execute(self) -> Result<()> {
        let file = match &self.config {
            Some(path) => Options::read(path)?,
            None => Options::default(),
        };
        let options = file.overridden_by(self.into_options()?);
        let level = options.log_level.as_deref().unwrap_or("info");
        trace::start(level).with_context(|| format!("cannot log at level {level:?}"))?;
        Ok(unikiln_daemon::server::serve(options)?)
    }

    fn into_options(self) -> Result<Options> {
        let mut options = Options {
            socket: self.socket,
            root: self.root,
            state: self.state,
            cni_conf_dir: self.cni_conf_dir,
            cni_bin_dir: self.cni_bin_dir,
            registry_config_dir: self.registry_config_dir,
            monitor: self.monitor,
            default_handler: self.default_handler,
            cgroup_driver: self.cgroup_driver.map(|driver| match driver {
                Driver::Cgroupfs => CgroupDriver::Cgroupfs,
                Driver::Systemd => CgroupDriver::Systemd,
            }),
            log_level: self.log_level,
            metrics_address: self.metrics_address,
            streaming_address: self.streaming_address,
            ..Options::default()
        };
        for text in self.handlers {
            let (name, runtime) = text.split_once('=').unwrap_or_default();
            ensure!(
                !name.is_empty() && !runtime.is_empty(),
                "--handler {text:?} is not NAME=RUNTIME, such as runc=/usr/sbin/runc"
            );
            let handler = OciHandler {
                runtime: runtime.into(),
                ..OciHandler::default()
            };
            options.handlers.insert(name.to_owned(), handler);
        }
        Ok(options)
    }
}
