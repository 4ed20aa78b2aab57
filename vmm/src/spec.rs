//! `--spec FILE.json`: all of one container, as the daemon writes it.
//!
//! The daemon and the monitor are built together, so a field that one does not know is
//! an error and no default. Paths are absolute; what is left out is as the image says.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::{Config, Processes};
use crate::log::{LogFormat, LogTarget};
use crate::net::Mode;
use crate::stats::StatsFormat;
use crate::strace::FilterError;
use crate::volume::{Mount, MountError};

/// Version of [`Spec`].
pub const SPEC_VERSION: u32 = 2;
/// Longer files are none.
const FILE_MAX_BYTES: u64 = 16 << 20;

/// Errors of this module.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// The file cannot be read.
    #[error("cannot read the container's description {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is longer than any.
    #[error("the container's description {} has {len_bytes} bytes, more than {FILE_MAX_BYTES}", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length.
        len_bytes: u64,
    },
    /// It is no description, or one with a field that is not known.
    #[error("{} describes no container", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// It was written by another version.
    #[error(
        "the container's description is of version {version}, this monitor knows {SPEC_VERSION}; use the unikiln-vmm that came with the daemon"
    )]
    Version {
        /// As it says.
        version: u32,
    },
    /// A volume cannot be where it is to be.
    #[error(transparent)]
    Volume(#[from] MountError),
    /// A filter with a wrong name.
    #[error(transparent)]
    Strace(#[from] FilterError),
}

/// One container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// [`SPEC_VERSION`].
    pub version: u32,
    /// The unikernel file.
    pub unikernel: PathBuf,
    /// Replaces the image's entrypoint, and drops its command, where it is not empty.
    #[serde(default)]
    pub command: Vec<String>,
    /// Replaces the image's command where it is not empty.
    #[serde(default)]
    pub args: Vec<String>,
    /// `KEY=VALUE` each, on top of the image's.
    #[serde(default)]
    pub env: Vec<String>,
    /// Replaces the image's working directory.
    #[serde(default)]
    pub working_dir: Option<String>,
    /// Host name.
    pub hostname: String,
    /// Runs the program instead of the image's user: `USER[:GROUP]`, each a name or a number.
    #[serde(default)]
    pub user: Option<String>,
    /// Supplementary groups beside those of the user.
    #[serde(default)]
    pub groups: Vec<u32>,
    /// Whether the user has the supplementary groups that the image gives it.
    pub image_groups: bool,
    /// The program can change nothing in the root file system.
    #[serde(default)]
    pub read_only_root: bool,
    /// No program gains rights by being executed.
    #[serde(default)]
    pub no_new_privileges: bool,
    /// What processes the program may make.
    #[serde(default)]
    pub processes: Processes,
    /// Most threads of all processes.
    #[serde(default)]
    pub pids_limit: Option<u32>,
    /// Directories and files of the host.
    #[serde(default)]
    pub volumes: Vec<SpecVolume>,
    /// Memory limit: MemTotal.
    pub memory_bytes: u64,
    /// vCPUs.
    pub cpus: u32,
    /// Sockets.
    pub network: SpecNetwork,
    /// The file of CRI log lines; none: no log is wanted.
    #[serde(default)]
    pub log: Option<PathBuf>,
    /// System calls that are written to the log, as `--strace` has them.
    #[serde(default)]
    pub strace: Option<String>,
    /// What the run cost, written to the log at the end.
    #[serde(default)]
    pub stats: Option<StatsFormat>,
    /// `cgroup.procs` files: the monitor writes its number to each before all else.
    #[serde(default)]
    pub cgroup_procs: Vec<PathBuf>,
    /// Value for `/proc/self/oom_score_adj`.
    #[serde(default)]
    pub oom_score_adj: Option<i32>,
    /// Where the control socket is made; none: no socket.
    #[serde(default)]
    pub control: Option<PathBuf>,
    /// Where the end is recorded ([`crate::container::Ending`]).
    #[serde(default)]
    pub exit: Option<PathBuf>,
}

/// A directory or file of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SpecVolume {
    /// On the host.
    pub source: PathBuf,
    /// In the guest.
    pub place: String,
    /// Nothing can be changed there, nor in what the host mounts below.
    pub read_only: bool,
}

/// Where sockets may go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum SpecNetwork {
    /// All of the host's network.
    Host,
    /// There are no sockets.
    None,
    /// All of the network namespace at this path.
    Namespace(PathBuf),
}

impl Spec {
    /// Reads a description.
    ///
    /// # Errors
    /// See [`SpecError`].
    pub fn read(path: &Path) -> Result<Self, SpecError> {
        let failed = |source| SpecError::Read {
            path: path.to_owned(),
            source,
        };
        let len_bytes = std::fs::metadata(path).map_err(failed)?.len();
        if len_bytes > FILE_MAX_BYTES {
            return Err(SpecError::TooLong {
                path: path.to_owned(),
                len_bytes,
            });
        }
        let text = std::fs::read(path).map_err(failed)?;
        let spec: Self = serde_json::from_slice(&text).map_err(|source| SpecError::Parse {
            path: path.to_owned(),
            source,
        })?;
        if spec.version != SPEC_VERSION {
            return Err(SpecError::Version {
                version: spec.version,
            });
        }
        Ok(spec)
    }

    /// The guest that it describes.
    ///
    /// # Errors
    /// What cannot be put so.
    pub fn to_config(&self) -> Result<Config, SpecError> {
        let list = |list: &[String]| list.iter().map(OsString::from).collect::<Vec<_>>();
        let unless_empty = |texts: &[String]| Some(list(texts)).filter(|it| !it.is_empty());
        let mut config = Config::new(&self.unikernel);
        config.entrypoint = unless_empty(&self.command);
        config.args = unless_empty(&self.args);
        config.env = list(&self.env);
        config.working_dir = self.working_dir.as_ref().map(OsString::from);
        config.hostname = OsString::from(&self.hostname);
        config.user.clone_from(&self.user);
        config.groups = self.groups.clone();
        config.image_groups = self.image_groups;
        config.read_only_root = self.read_only_root;
        config.no_new_privileges = self.no_new_privileges;
        config.processes = self.processes;
        config.pids_limit = self.pids_limit;
        let volumes = self.volumes.iter().map(|volume| {
            Mount::at(
                volume.source.clone(),
                volume.place.as_bytes(),
                volume.read_only,
            )
        });
        config.volumes = volumes.collect::<Result<_, _>>()?;
        config.memory_bytes = self.memory_bytes;
        config.cpus = self.cpus;
        config.network.mode = match &self.network {
            SpecNetwork::Host => Mode::Host,
            SpecNetwork::None => Mode::None,
            SpecNetwork::Namespace(path) => Mode::Namespace(path.clone()),
        };
        config.log_format = LogFormat::Cri;
        config.log_target = match &self.log {
            Some(path) => LogTarget::Queued(path.clone()),
            None => LogTarget::Path("/dev/null".into()),
        };
        config.strace = self
            .strace
            .as_deref()
            .map(crate::strace::parse)
            .transpose()?;
        config.forward_signals = true;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = r#"{"version":2,"unikernel":"/a.uk","hostname":"h","imageGroups":true,
        "memoryBytes":1048576,"cpus":1,"network":{"namespace":"/run/netns/x"}}"#;

    fn parse(text: &str) -> Result<Spec, SpecError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Spec::read(file.path())
    }

    #[test]
    fn what_is_left_out_is_the_images() {
        let config = parse(LEAST).unwrap().to_config().unwrap();
        assert_eq!((config.entrypoint, config.args), (None, None));
        assert_eq!(config.network.mode, Mode::Namespace("/run/netns/x".into()));
        assert!(config.user.is_none() && config.volumes.is_empty());
    }

    #[test]
    fn a_command_replaces_the_entrypoint() {
        let mut spec = parse(LEAST).unwrap();
        spec.command = vec!["/bin/sh".into(), "-c".into()];
        spec.args = vec!["true".into()];
        let config = spec.to_config().unwrap();
        assert_eq!(config.entrypoint.unwrap(), ["/bin/sh", "-c"]);
        assert_eq!(config.args.unwrap(), ["true"]);
    }

    #[test]
    fn what_is_written_is_read() {
        let mut spec = parse(LEAST).unwrap();
        spec.volumes.push(SpecVolume {
            source: "/s".into(),
            place: "/etc/../x".into(),
            read_only: true,
        });
        assert_eq!(parse(&serde_json::to_string(&spec).unwrap()).unwrap(), spec);
        assert!(matches!(spec.to_config(), Err(SpecError::Volume(_))));
        spec.volumes.clear();
        spec.strace = Some("opnat".into());
        assert!(matches!(spec.to_config(), Err(SpecError::Strace(_))));
    }

    #[test]
    fn other_files_are_refused() {
        let newer = LEAST.replace("\"version\":2", "\"version\":3");
        assert!(matches!(
            parse(&newer),
            Err(SpecError::Version { version: 3 })
        ));
        let unknown = LEAST.replace("{\"version\"", "{\"x\":1,\"version\"");
        for text in ["", "{}", "[1]", &unknown, &LEAST[..60]] {
            assert!(
                matches!(parse(text), Err(SpecError::Parse { .. })),
                "{text}"
            );
        }
        assert!(matches!(
            Spec::read(Path::new("/nonexistent")),
            Err(SpecError::Read { .. })
        ));
    }
}
