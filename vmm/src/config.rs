//! What to run and how: everything that the command line can say.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use unikiln_abi::strace::CallSet;

use crate::hypercall::{OnStart, Stdin};
use crate::log::{LogFormat, LogTarget};
use crate::net::NetworkConfig;
use crate::volume::Mount;

/// Memory of a guest where nothing else is said.
pub const MEMORY_DEFAULT_BYTES: u64 = 256 << 20;
/// Host name where nothing else is said.
pub const HOSTNAME_DEFAULT: &str = "unikiln";

/// vCPUs where nothing else is said: the CPUs that this process may use.
pub fn cpus_default() -> u32 {
    let usable = std::thread::available_parallelism().map_or(1, usize::from);
    usable.min(unikiln_abi::VCPUS_MAX) as u32
}

/// One guest. Build it from [`Config::new`] and change what differs.
#[derive(Debug)]
pub struct Config {
    /// The unikernel file.
    pub unikernel: PathBuf,
    /// Memory limit: the guest's MemTotal.
    pub memory_bytes: u64,
    /// vCPUs, 1 to [`unikiln_abi::VCPUS_MAX`]. Each costs nothing before the guest
    /// has a thread for it.
    pub cpus: u32,
    /// Replaces the image's command, as `docker run IMAGE ARG…` does.
    pub args: Option<Vec<OsString>>,
    /// Replaces the image's entrypoint and drops its command; empty: no entrypoint.
    pub entrypoint: Option<Vec<OsString>>,
    /// `KEY=VALUE` each, on top of the image's.
    pub env: Vec<OsString>,
    /// Replaces the image's working directory.
    pub working_dir: Option<OsString>,
    /// Runs the program instead of the image's user: `USER[:GROUP]`, each a name or a number.
    /// The guest looks it up, and gives it `HOME` where that is not set.
    pub user: Option<String>,
    /// Supplementary groups beside those of the user.
    pub groups: Vec<u32>,
    /// Whether the user has the supplementary groups that the image gives it.
    pub image_groups: bool,
    /// The program can change nothing in the root file system.
    pub read_only_root: bool,
    /// No program gains rights by being executed.
    pub no_new_privileges: bool,
    /// What processes the program may make.
    pub processes: Processes,
    /// Most threads of all processes; none: as many as the libOS can have.
    pub pids_limit: Option<u32>,
    /// Host name that the guest sees.
    pub hostname: OsString,
    /// Sockets, ports and names. A namespace is joined by the thread that boots.
    pub network: NetworkConfig,
    /// What the guest reads as standard input.
    pub stdin: Stdin,
    /// Where its output goes.
    pub log_target: LogTarget,
    /// Shape of its output.
    pub log_format: LogFormat,
    /// System calls to write to the log ([`crate::strace::parse`]), and signals with them.
    pub strace: Option<CallSet>,
    /// Directories and files of the host that the guest may use.
    pub volumes: Vec<Mount>,
    /// Lines for the log before the guest's.
    pub notes: Vec<String>,
    /// Called once the program runs next, on the thread of vCPU 0.
    pub on_start: Option<OnStart>,
    /// Pass SIGTERM and others on to the guest. Only for a process that runs
    /// this guest alone.
    pub forward_signals: bool,
    /// TSC when the process started, to count boot phases from.
    pub start_tsc: Option<u64>,
}

/// What processes the programs of a guest may make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Processes {
    /// None: clone, fork and vfork are refused with EPERM, threads are not.
    Deny,
    /// Those that run another program at once: vfork and posix_spawn.
    Spawn,
    /// Any.
    #[default]
    Fork,
}

impl FromStr for Processes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "deny" => Ok(Self::Deny),
            "spawn" => Ok(Self::Spawn),
            "fork" => Ok(Self::Fork),
            _ => Err(format!("{text:?} is not deny, spawn or fork")),
        }
    }
}

impl Config {
    /// The image's own settings, no input, output inherited.
    pub fn new(unikernel: impl Into<PathBuf>) -> Self {
        Self {
            unikernel: unikernel.into(),
            memory_bytes: MEMORY_DEFAULT_BYTES,
            cpus: cpus_default(),
            args: None,
            entrypoint: None,
            env: Vec::new(),
            working_dir: None,
            user: None,
            groups: Vec::new(),
            image_groups: true,
            read_only_root: false,
            no_new_privileges: false,
            processes: Processes::default(),
            pids_limit: None,
            hostname: HOSTNAME_DEFAULT.into(),
            network: NetworkConfig::default(),
            stdin: Stdin::Empty,
            log_target: LogTarget::Inherit,
            log_format: LogFormat::Raw,
            strace: None,
            volumes: Vec::new(),
            notes: Vec::new(),
            on_start: None,
            forward_signals: false,
            start_tsc: None,
        }
    }
}
