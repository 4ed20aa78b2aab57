//! Options of the daemon: a TOML file, and what the command line says over it.
//!
//! ```toml
//! socket = "/run/unikiln/unikiln.sock"
//! default-handler = "unikiln"
//!
//! [handlers.runc]
//! runtime = "/usr/sbin/runc"
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The handler that makes unikernels.
pub const UNIKERNEL_HANDLER: &str = "unikiln";

/// Errors of this module.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file.
    #[error("cannot read the configuration {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not TOML, or an option that is none.
    #[error("{} is no configuration", path.display())]
    Parse {
        /// Which.
        path: PathBuf,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// A handler that cannot be.
    #[error("handler {name:?} {reason}; see [handlers.NAME] in `unikiln help serve`")]
    Handler {
        /// Its name.
        name: String,
        /// What is wrong.
        reason: &'static str,
    },
}

/// How cgroups are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CgroupDriver {
    /// By directories.
    #[default]
    Cgroupfs,
    /// By systemd's scopes and slices.
    Systemd,
}

/// An OCI runtime.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OciHandler {
    /// The runtime's program: runc, crun, runsc, kata-runtime.
    pub runtime: PathBuf,
    /// What supervises each container.
    #[serde(default = "conmon")]
    pub conmon: PathBuf,
}

impl Default for OciHandler {
    /// Debian's runc and conmon.
    fn default() -> Self {
        Self {
            runtime: PathBuf::from("/usr/sbin/runc"),
            conmon: conmon(),
        }
    }
}

/// Where Debian has it.
fn conmon() -> PathBuf {
    PathBuf::from("/usr/bin/conmon")
}

/// All options; what is none has its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Options {
    /// The Unix socket [`Options::socket`].
    pub socket: Option<PathBuf>,
    /// Directory of images.
    pub root: Option<PathBuf>,
    /// The state directory.
    pub state: Option<PathBuf>,
    /// Directory of CNI configurations.
    pub cni_conf_dir: Option<PathBuf>,
    /// Directory of CNI plugins.
    pub cni_bin_dir: Option<PathBuf>,
    /// Directory of `HOST/hosts.toml`.
    pub registry_config_dir: Option<PathBuf>,
    /// The monitor's program.
    pub monitor: Option<PathBuf>,
    /// OCI runtimes by the name that a RuntimeClass has.
    pub handlers: BTreeMap<String, OciHandler>,
    /// The handler of pods that name none.
    pub default_handler: Option<String>,
    /// How cgroups are made.
    pub cgroup_driver: Option<CgroupDriver>,
    /// `error`, `warn`, `info`, `debug`, `trace`.
    pub log_level: Option<String>,
    /// Where Prometheus finds metrics; none: nowhere.
    pub metrics_address: Option<SocketAddr>,
    /// Where connections of PortForward, Exec and Attach go.
    pub streaming_address: Option<SocketAddr>,
}

impl Options {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        toml::from_str(&text).map_err(|source| ConfigError::Parse {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }

    /// These options, and `other`'s where it has any.
    pub fn overridden_by(self, other: Self) -> Self {
        let mut handlers = self.handlers;
        handlers.extend(other.handlers);
        Self {
            socket: other.socket.or(self.socket),
            root: other.root.or(self.root),
            state: other.state.or(self.state),
            cni_conf_dir: other.cni_conf_dir.or(self.cni_conf_dir),
            cni_bin_dir: other.cni_bin_dir.or(self.cni_bin_dir),
            registry_config_dir: other.registry_config_dir.or(self.registry_config_dir),
            monitor: other.monitor.or(self.monitor),
            handlers,
            default_handler: other.default_handler.or(self.default_handler),
            cgroup_driver: other.cgroup_driver.or(self.cgroup_driver),
            log_level: other.log_level.or(self.log_level),
            metrics_address: other.metrics_address.or(self.metrics_address),
            streaming_address: other.streaming_address.or(self.streaming_address),
        }
    }

    /// Refuses handlers that cannot be.
    pub fn check(&self) -> Result<(), ConfigError> {
        let wrong = |name: &str, reason| {
            Err(ConfigError::Handler {
                name: name.to_owned(),
                reason,
            })
        };
        for (name, handler) in &self.handlers {
            if name == UNIKERNEL_HANDLER {
                return wrong(
                    name,
                    "is the one that makes unikernels, and needs no runtime",
                );
            }
            if name.is_empty() || name.contains(char::is_whitespace) {
                return wrong(name, "is no name");
            }
            if !handler.runtime.is_absolute() || !handler.conmon.is_absolute() {
                return wrong(name, "needs absolute paths of runtime and conmon");
            }
        }
        match self.default_handler.as_deref() {
            Some(name) if name != UNIKERNEL_HANDLER && !self.handlers.contains_key(name) => {
                wrong(name, "is to be the default and is not there")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Options {
        toml::from_str(text).expect(text)
    }

    #[test]
    fn the_command_line_wins() {
        let file = parse("socket = '/a'\nroot = '/r'\n[handlers.runc]\nruntime = '/runc'\n");
        let line = Options {
            socket: Some("/b".into()),
            ..Options::default()
        };
        let both = file.overridden_by(line);
        assert_eq!(both.socket.as_deref(), Some(Path::new("/b")));
        assert_eq!(both.root.as_deref(), Some(Path::new("/r")));
        assert_eq!(both.handlers["runc"].conmon, Path::new("/usr/bin/conmon"));
        both.check().expect("fine");
    }

    #[test]
    fn unknown_options_are_refused() {
        assert!(toml::from_str::<Options>("sockt = '/a'").is_err());
        assert!(toml::from_str::<Options>("[handlers.runc]\npath = '/runc'").is_err());
    }

    #[test]
    fn handlers_that_cannot_be_are_refused() {
        for text in [
            "default-handler = 'runc'",
            "[handlers.runc]\nruntime = 'runc'",
            "[handlers.unikiln]\nruntime = '/runc'",
            "[handlers.'a b']\nruntime = '/runc'",
        ] {
            let error = parse(text).check().expect_err(text);
            assert!(matches!(error, ConfigError::Handler { .. }), "{error}");
        }
    }
}
