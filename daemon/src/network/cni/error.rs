//! What goes wrong with CNI.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::plugin::Verb;
use crate::network::namespace::NamespaceError;
use crate::network::netlink::NetlinkError;

/// What goes wrong with CNI.
#[derive(Debug, thiserror::Error)]
pub enum CniError {
    /// The directory has no configuration.
    #[error(
        "no CNI network: {} has no .conflist, .conf or .json file; install a network plugin or write one there",
        directory.display()
    )]
    NoNetwork {
        /// The directory.
        directory: PathBuf,
    },
    /// A configuration or its directory cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// What was to be read.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A configuration is no JSON.
    #[error("{} is no CNI configuration", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// A configuration lacks something or has it wrong.
    #[error("{} is no CNI configuration: {what}", path.display())]
    BadNetwork {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// No executable of that name is in the directories.
    #[error(
        "no CNI plugin {plugin:?} in {}; install it there or correct {}",
        directories.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "),
        network.display()
    )]
    NoPlugin {
        /// The plugin's `type`.
        plugin: String,
        /// Where it was looked for.
        directories: Vec<PathBuf>,
        /// The configuration that names it.
        network: PathBuf,
    },
    /// The pod's description cannot be given to plugins.
    #[error("bad pod network: {0}")]
    BadPod(String),
    /// It has a network already.
    #[error("pod {id} has a network already; take it away first")]
    Attached {
        /// The pod.
        id: String,
    },
    /// It has none.
    #[error("pod {id} has no network")]
    NotAttached {
        /// The pod.
        id: String,
    },
    /// A plugin does not start, or its pipes fail.
    #[error("cannot run CNI plugin {plugin} ({verb})")]
    Run {
        /// The plugin's `type`.
        plugin: String,
        /// What it was to do.
        verb: Verb,
        /// What the system said.
        source: io::Error,
    },
    /// A plugin took too long and was killed.
    #[error("CNI plugin {plugin} did not finish {verb} within {} s and was killed{said}", timeout.as_secs_f32())]
    Timeout {
        /// The plugin's `type`.
        plugin: String,
        /// What it was to do.
        verb: Verb,
        /// The time that it had.
        timeout: Duration,
        /// `; it said: …` where it wrote to standard error.
        said: String,
    },
    /// A plugin writes without end.
    #[error("CNI plugin {plugin} ({verb}) wrote more than {max_bytes} bytes and was killed")]
    Flood {
        /// The plugin's `type`.
        plugin: String,
        /// What it was to do.
        verb: Verb,
        /// What it may write.
        max_bytes: usize,
    },
    /// A plugin failed and says why.
    #[error("CNI plugin {plugin} failed ({verb}, code {code}): {message}{said}")]
    Failed {
        /// The plugin's `type`.
        plugin: String,
        /// What it was to do.
        verb: Verb,
        /// Its error code by the specification, or its exit code.
        code: u64,
        /// Its message and details.
        message: String,
        /// `; it said: …` where it wrote to standard error.
        said: String,
    },
    /// A plugin failed without an error object.
    #[error("CNI plugin {plugin} ({verb}) {end} without an error object{said}")]
    Died {
        /// The plugin's `type`.
        plugin: String,
        /// What it was to do.
        verb: Verb,
        /// `ended with exit code N`, `was killed by signal N`.
        end: String,
        /// What it wrote, to both.
        said: String,
    },
    /// A plugin succeeded, but what it printed is no result.
    #[error("CNI plugin {plugin} ({verb}) printed no result: {what}; it printed: {printed:?}")]
    BadResult {
        /// The plugin's `type`.
        plugin: String,
        /// What it was to do.
        verb: Verb,
        /// What is wrong.
        what: String,
        /// The start of it.
        printed: String,
    },
    /// All plugins succeeded, but the pod has no address.
    #[error("the plugins of CNI network {network} gave pod {id} no address")]
    NoAddress {
        /// The network's name.
        network: String,
        /// The pod.
        id: String,
    },
    /// The addresses of the pod cannot be read.
    #[error("cannot read the addresses of pod {id}")]
    Addresses {
        /// The pod.
        id: String,
        /// What the kernel said.
        source: NetlinkError,
    },
    /// Plugins failed, and the plugins failed to undo it, too.
    #[error("{first}; undoing it failed, too, and is tried again when the pod is stopped: {undo}")]
    NotUndone {
        /// What failed first.
        first: String,
        /// What failed then.
        undo: String,
    },
    /// The pod's network namespace is not there.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// The cache cannot be kept.
    #[error("cannot keep {}", path.display())]
    Cache {
        /// What was to be written or removed.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl CniError {
    /// Its text and that of its sources, as the reason of a condition.
    pub fn reason(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        text
    }
}
