//! The node: its pods and containers, and what may be done with them. One file for each call
//! of RuntimeService below [`sandbox`] and [`container`]; no gRPC in here.
//!
//! Every call blocks, and is finished or undone whoever waits for it. Locks are taken in this
//! order and never the other way: a pod's `order` (shared by calls of its containers, alone by
//! stop and remove), a container's `order`, then for a moment the tables or a record.
//!
//! | module | what it owns |
//! |---|---|
//! | [`object`] | pods and containers, their records and locks |
//! | [`sandbox`], [`container`] | the calls |
//! | `status`, `stats`, `verbose` | what is told of them |
//! | `files`, `mounts`, `names` | files of a pod; mounts; ids and names |
//! | [`events`] | who wants to know of transitions |
//! | `supervise` | ends of processes |
//! | `recover` | what a daemon finds when it starts |

pub mod container;
mod error;
pub mod events;
mod files;
mod info;
mod mounts;
mod names;
pub mod object;
mod recover;
pub mod sandbox;
mod stats;
mod status;
mod supervise;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

pub use error::NodeError;
pub use recover::Found;

use crate::cgroup::{Cgroups, Sampler};
use crate::handler::Handler;
use crate::image::Images;
use crate::metrics::Metrics;
use crate::network::Cni;
use crate::state::{State, StateError};
use crate::streaming::Streaming;
use events::Events;
use object::Objects;
use supervise::Supervisor;

/// What a node is made of.
#[derive(Debug)]
pub struct Parts {
    /// The state directory.
    pub state: State,
    /// Images.
    pub images: Arc<Images>,
    /// Control groups.
    pub cgroups: Arc<Cgroups>,
    /// Networks of pods.
    pub cni: Cni,
    /// Handlers by name.
    pub handlers: BTreeMap<String, Arc<dyn Handler>>,
    /// The handler of pods that name none.
    pub default_handler: String,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// Where connections of PortForward, Exec and Attach go.
    pub streaming: Streaming,
}

/// See the module documentation.
#[derive(Debug)]
pub struct Node {
    parts: Parts,
    boot_id: String,
    objects: Objects,
    events: Events,
    supervisor: Supervisor,
    sampler: Sampler,
}

impl Node {
    /// Takes over what an earlier daemon left, and begins to watch its processes.
    pub fn start(parts: Parts) -> Result<(Arc<Self>, Found), NodeError> {
        let path = PathBuf::from("/proc/sys/kernel/random/boot_id");
        let boot_id = std::fs::read_to_string(&path)
            .map_err(|source| StateError::File {
                operation: "read",
                path,
                source,
            })?
            .trim()
            .to_owned();
        let (supervisor, ends) = Supervisor::new()?;
        let node = Arc::new(Self {
            parts,
            boot_id,
            objects: Objects::default(),
            events: Events::default(),
            supervisor,
            sampler: Sampler::default(),
        });
        let found = node.recover()?;
        ends.watch(&node)?;
        Ok((node, found))
    }

    /// Those who want to know of transitions.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// What is measured.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.parts.metrics
    }

    /// Handlers' names, the default's first.
    pub fn handler_names(&self) -> Vec<String> {
        let default = &self.parts.default_handler;
        let others = self.parts.handlers.keys().filter(|&name| name != default);
        std::iter::once(default).chain(others).cloned().collect()
    }

    fn handler(&self, name: &str) -> Result<&Arc<dyn Handler>, NodeError> {
        let name = if name.is_empty() {
            &self.parts.default_handler
        } else {
            name
        };
        self.parts
            .handlers
            .get(name)
            .ok_or_else(|| NodeError::UnknownHandler {
                name: name.to_owned(),
                known: self.handler_names().join(", "),
            })
    }
}
