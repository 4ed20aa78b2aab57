//! Networks by the Container Network Interface: specification 1.1 and what came before it.
//!
//! ```text
//! conf_dir/10-net.conflist ─► config ─► ADD: plugin 1 ─► plugin 2 ─► … ─► CniResult
//!                                            └─ prevResult ─┘
//!                                       DEL: … ◄─ plugin 2 ◄─ plugin 1   from the cache
//! ```
//!
//! | module | owns |
//! |---|---|
//! | `config` | files of `conf_dir`, what a plugin reads |
//! | `pod` | [`PodNetwork`], `CNI_ARGS`, capabilities |
//! | `session` | runs of plugins, for one pod or for none |
//! | `plugin` | one run of a plugin, bounded in time and output |
//! | `result` | [`CniResult`] of all versions |
//! | `cache` | what each pod was added with |
//!
//! `lo` is set up with the namespace, so no plugin is run for it. Pods are independent of
//! each other; the calls for one pod wait for each other.

use std::collections::HashSet;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use self::cache::{Attachment, Cache, Found};
use self::config::Network;
use super::namespace::{self, Namespace, NamespaceError};
use super::netlink;

mod cache;
mod config;
mod error;
mod plugin;
mod pod;
mod quantity;
mod result;
mod session;
#[cfg(test)]
mod tests;
mod version;

pub use self::error::CniError;
pub use self::plugin::Verb;
pub use self::pod::{PodNetwork, PortMapping};
pub use self::result::{CniResult, Dns, Interface, Ip, Route};

/// The interface of a pod, as all of Kubernetes expects it.
pub const INTERFACE: &str = "eth0";
/// Below kubelet's two minutes for a call, above what network daemons take to start.
const TIMEOUT: Duration = Duration::from_secs(90);

/// The networks of a node.
#[derive(Debug)]
pub struct Cni {
    conf_dir: PathBuf,
    bin_dirs: Vec<PathBuf>,
    cache: Cache,
    timeout: Duration,
    /// Pods that a call is at work for.
    busy: Mutex<HashSet<String>>,
    freed: Condvar,
}

impl Cni {
    /// Networks from the files of `conf_dir`, with plugins from `bin_dirs`. What pods were
    /// given is kept in `cache_dir`, which has to survive a reboot, as the plugins' leases do.
    pub fn new(
        conf_dir: impl Into<PathBuf>,
        bin_dirs: Vec<PathBuf>,
        cache_dir: impl Into<PathBuf>,
    ) -> Self {
        Self {
            conf_dir: conf_dir.into(),
            bin_dirs,
            cache: Cache::new(cache_dir.into()),
            timeout: TIMEOUT,
            busy: Mutex::default(),
            freed: Condvar::new(),
        }
    }

    /// With another time for each run of a plugin.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Whether a pod could be given a network now; the error is the reason why not.
    pub fn status(&self) -> Result<(), CniError> {
        let network = config::load(&self.conf_dir)?;
        let plugins = self.find_all(&network)?;
        if !network.version.has_status() {
            return Ok(());
        }
        for (plugin, executable) in network.plugins.iter().zip(&plugins) {
            let input = plugin.execution(&network, &serde_json::Map::new(), None);
            self.run_alone(plugin, executable, Verb::Status, &input)?;
        }
        Ok(())
    }

    /// Gives a pod the network. After an error it has none: what was done is undone.
    pub fn add(&self, pod: &PodNetwork) -> Result<CniResult, CniError> {
        pod.validate()?;
        let _turn = self.turn(&pod.id);
        if !Namespace::is_at(&pod.netns) {
            return Err(NamespaceError::Gone {
                path: pod.netns.clone(),
            }
            .into());
        }
        if !matches!(self.cache.read(&pod.id)?, Found::Nothing) {
            return Err(CniError::Attached { id: pod.id.clone() });
        }
        let network = config::load(&self.conf_dir)?;
        // Before any plugin runs: there is nothing to undo yet.
        self.find_all(&network)?;
        let mut attachment = Attachment::new(pod, network);
        self.cache.write(&attachment)?;
        match self.add_all(&mut attachment) {
            Ok(result) => Ok(result),
            Err(error) => Err(match self.delete_all(&attachment) {
                Ok(()) => error,
                Err(undo) => CniError::NotUndone {
                    first: error.reason(),
                    undo: undo.reason(),
                },
            }),
        }
    }

    /// Takes a pod's network away, with the configuration that it was given with. No error
    /// where it has none, or where its namespace is gone.
    pub fn del(&self, pod: &PodNetwork) -> Result<(), CniError> {
        pod.validate()?;
        let _turn = self.turn(&pod.id);
        match self.cache.read(&pod.id)? {
            Found::Nothing => Ok(()),
            Found::Whole(attachment) => self.delete_all(&attachment),
            // What it was added with is lost; most often it is what is configured now.
            Found::Damaged => match config::load(&self.conf_dir) {
                Err(CniError::NoNetwork { .. }) => Ok(()),
                network => {
                    let attachment = Attachment::new(pod, network?);
                    self.cache.write(&attachment)?;
                    self.delete_all(&attachment)
                }
            },
        }
    }

    /// Asks the plugins whether a pod's network is as it was given.
    pub fn check(&self, pod: &PodNetwork) -> Result<(), CniError> {
        pod.validate()?;
        let _turn = self.turn(&pod.id);
        let none = || CniError::NotAttached { id: pod.id.clone() };
        let Found::Whole(attachment) = self.cache.read(&pod.id)? else {
            return Err(none());
        };
        let previous = attachment.previous.as_ref().ok_or_else(none)?;
        if !Namespace::is_at(&attachment.pod.netns) {
            return Err(NamespaceError::Gone {
                path: attachment.pod.netns,
            }
            .into());
        }
        if !attachment.network.version.has_check() || attachment.network.disable_check {
            return Ok(());
        }
        let mut session = self.session(&attachment)?;
        for plugin in &attachment.network.plugins {
            session.run(plugin, Verb::Check, Some(previous))?;
        }
        Ok(())
    }

    /// What a pod was given; none where it has no network.
    pub fn result(&self, id: &str) -> Result<Option<CniResult>, CniError> {
        match self.cache.read(id)? {
            Found::Whole(attachment) => Ok(attachment.result),
            Found::Nothing | Found::Damaged => Ok(None),
        }
    }

    /// Ids of all pods that were given a network or may have been.
    pub fn attached(&self) -> Result<Vec<String>, CniError> {
        self.cache.ids()
    }

    /// Takes the network of pods away that nobody knows any more, as after damage to their
    /// records. What cannot be taken away is logged, and tried again at the next sweep.
    pub fn sweep(&self, is_known: impl Fn(&str) -> bool) -> Result<(), CniError> {
        for id in self.cache.ids()?.iter().filter(|id| !is_known(id)) {
            match self.del(&PodNetwork::bare(id, PathBuf::new())) {
                Ok(()) => tracing::info!(pod = id, "network of an unknown pod taken away"),
                Err(error) => {
                    tracing::warn!(
                        pod = id,
                        error = error.reason(),
                        "network of an unknown pod stays"
                    );
                }
            }
        }
        Ok(())
    }

    fn add_all(&self, attachment: &mut Attachment) -> Result<CniResult, CniError> {
        let mut session = self.session(attachment)?;
        let (mut previous, mut result) = (None, CniResult::default());
        for plugin in &attachment.network.plugins {
            let printed = session.run(plugin, Verb::Add, previous.as_ref())?;
            let parsed = result::parse(&printed, attachment.network.version);
            let (parsed, value) = parsed.map_err(|what| CniError::BadResult {
                plugin: plugin.kind.clone(),
                verb: Verb::Add,
                what,
                printed: plugin::quote(printed.get(..256).unwrap_or(&printed)),
            })?;
            (previous, result) = (Some(value), parsed);
        }
        drop(session);
        if result.addresses(INTERFACE).is_empty() {
            result.ips = read_addresses(&attachment.pod)?;
        }
        if result.addresses(INTERFACE).is_empty() {
            return Err(CniError::NoAddress {
                network: attachment.network.name.clone(),
                id: attachment.pod.id.clone(),
            });
        }
        attachment.previous = previous;
        attachment.result = Some(result.clone());
        self.cache.write(attachment)?;
        Ok(result)
    }

    /// DEL of all plugins, the last one first. One that fails does not keep the others from
    /// giving back what they hold: the first error is told, and all of them run again next time.
    fn delete_all(&self, attachment: &Attachment) -> Result<(), CniError> {
        let mut session = self.session(attachment)?;
        let previous = attachment
            .previous
            .as_ref()
            .filter(|_| attachment.network.version.has_check());
        let mut failed = None;
        for plugin in attachment.network.plugins.iter().rev() {
            if let Err(error) = session.run(plugin, Verb::Del, previous) {
                tracing::warn!(
                    pod = attachment.pod.id,
                    error = error.reason(),
                    "cni DEL failed"
                );
                failed.get_or_insert(error);
            }
        }
        drop(session);
        match failed {
            Some(error) => Err(error),
            None => self.cache.remove(&attachment.pod.id),
        }
    }

    /// Executables of all plugins, those that addresses are delegated to checked, too.
    fn find_all(&self, network: &Network) -> Result<Vec<PathBuf>, CniError> {
        let mut found = Vec::new();
        for plugin in &network.plugins {
            if let Some(ipam) = plugin.ipam() {
                self.find(ipam, network)?;
            }
            found.push(self.find(&plugin.kind, network)?);
        }
        Ok(found)
    }

    fn find(&self, kind: &str, network: &Network) -> Result<PathBuf, CniError> {
        let is_executable = |path: &PathBuf| {
            let metadata = path.metadata();
            metadata.is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
        };
        let candidates = self.bin_dirs.iter().map(|directory| directory.join(kind));
        candidates
            .filter(|_| !kind.contains('/'))
            .find(is_executable)
            .ok_or_else(|| CniError::NoPlugin {
                plugin: kind.to_owned(),
                directories: self.bin_dirs.clone(),
                network: network.file.clone(),
            })
    }

    /// Waits until no other call is at work for the pod.
    fn turn(&self, id: &str) -> Turn<'_> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        while !busy.insert(id.to_owned()) {
            busy = self
                .freed
                .wait(busy)
                .unwrap_or_else(PoisonError::into_inner);
        }
        Turn {
            cni: self,
            id: id.to_owned(),
        }
    }
}

/// A call's turn for a pod.
struct Turn<'a> {
    cni: &'a Cni,
    id: String,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.cni
            .busy
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.id);
        self.cni.freed.notify_all();
    }
}

/// What the interface has, where plugins do not say.
fn read_addresses(pod: &PodNetwork) -> Result<Vec<Ip>, CniError> {
    let read = namespace::inside(&pod.netns, || netlink::addresses(INTERFACE))?;
    let addresses = read.map_err(|source| CniError::Addresses {
        id: pod.id.clone(),
        source,
    })?;
    let ip = |found: netlink::LinkAddress| Ip {
        address: found.address,
        prefix_len: found.prefix_len,
        gateway: None,
        interface: None,
    };
    Ok(addresses.into_iter().map(ip).collect())
}

impl CniResult {
    /// The pod's addresses, the primary one first.
    pub fn pod_ips(&self) -> Vec<IpAddr> {
        self.addresses(INTERFACE)
    }
}
