//! Pods and containers in memory: the record as it is on the disk, and locks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use super::{Node, NodeError};
use crate::handler::{Launch, Process};
use crate::state::{
    ContainerPhase, ContainerRecord, Record, SandboxPhase, SandboxRecord, State, StateError,
};

/// Locks even where a thread died with the lock: records are replaced whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An object with a record.
#[derive(Debug)]
pub struct Object<R, L> {
    /// Its id.
    pub id: String,
    /// Its directory.
    pub directory: PathBuf,
    /// Calls that change it come one after the other.
    pub(super) order: L,
    record: Mutex<Option<R>>,
    changed: Condvar,
}

/// A pod. Calls of its containers share its order.
pub type Pod = Object<SandboxRecord, RwLock<()>>;
/// A container.
pub type Container = Object<ContainerRecord, Mutex<()>>;

impl<R: Record + Clone, L: Default> Object<R, L> {
    pub(super) fn new(state: &State, record: R) -> Self {
        Self {
            id: record.id().to_owned(),
            directory: state.directory::<R>(record.id()),
            order: L::default(),
            record: Mutex::new(Some(record)),
            changed: Condvar::new(),
        }
    }

    /// Its record; none once it is removed.
    pub fn record(&self) -> Option<R> {
        lock(&self.record).clone()
    }

    /// Changes the record, on the disk first.
    pub(super) fn change(
        &self,
        state: &State,
        change: impl FnOnce(&mut R),
    ) -> Result<R, StateError> {
        let mut held = lock(&self.record);
        let Some(mut record) = held.clone() else {
            // Removed: what happens to it is nobody's any more.
            return Err(StateError::File {
                operation: "change the removed",
                path: self.directory.clone(),
                source: std::io::ErrorKind::NotFound.into(),
            });
        };
        change(&mut record);
        state.save(&record)?;
        *held = Some(record.clone());
        drop(held);
        self.changed.notify_all();
        Ok(record)
    }

    /// Changes the record in memory, and on the disk if that takes it: for what has happened
    /// and cannot be refused. Whether the disk took it.
    pub(super) fn note(&self, state: &State, change: impl FnOnce(&mut R)) -> Option<R> {
        let mut held = lock(&self.record);
        let record = held.as_mut()?;
        change(record);
        if let Err(error) = state.save(record) {
            tracing::error!(id = %self.id, error = &error as &dyn std::error::Error, "a record is newer than its file");
        }
        let record = record.clone();
        drop(held);
        self.changed.notify_all();
        Some(record)
    }

    /// Takes the record away: the object is removed.
    pub(super) fn retire(&self) {
        lock(&self.record).take();
        self.changed.notify_all();
    }

    /// Waits until the record is so, or it is gone, or the time is over. Whether it is so.
    pub(super) fn wait(&self, deadline: Option<Instant>, is_so: impl Fn(&R) -> bool) -> bool {
        let mut held = lock(&self.record);
        loop {
            if held.as_ref().is_none_or(&is_so) {
                return true;
            }
            held = match deadline {
                None => self
                    .changed
                    .wait(held)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return false;
                    }
                    self.changed
                        .wait_timeout(held, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
        }
    }
}

/// What a handler's calls borrow from.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) container: ContainerRecord,
    pub(super) pod: SandboxRecord,
    pub(super) directory: PathBuf,
}

impl Held {
    pub(super) fn launch(&self) -> Launch<'_> {
        Launch {
            id: &self.container.id,
            directory: &self.directory,
            config: &self.container.config,
            pod: &self.pod.config,
            image: &self.container.image,
            mounts: &self.container.mounts,
            network: self.pod.namespace.as_deref(),
            cgroup: &self.container.cgroup,
            log: self.container.log.as_deref(),
        }
    }

    pub(super) fn process(&self) -> Option<Process> {
        self.container.process
    }
}

#[derive(Debug, Default)]
struct Tables {
    pods: BTreeMap<String, Arc<Pod>>,
    containers: BTreeMap<String, Arc<Container>>,
    pod_names: BTreeMap<String, String>,
    container_names: BTreeMap<String, String>,
}

/// All objects of the node.
#[derive(Debug, Default)]
pub(super) struct Objects {
    tables: Mutex<Tables>,
}

/// What reserving a name gave.
#[derive(Debug)]
pub(super) enum Reserved<T> {
    /// It is the caller's, until [`Objects::drop_pod`] or the other.
    New,
    /// Another object has it.
    Taken(Arc<T>),
}

impl Objects {
    /// Adds a pod under its name.
    pub(super) fn add_pod(&self, name: String, pod: &Arc<Pod>) -> Reserved<Pod> {
        let mut tables = lock(&self.tables);
        if let Some(other) = tables
            .pod_names
            .get(&name)
            .and_then(|id| tables.pods.get(id))
        {
            return Reserved::Taken(Arc::clone(other));
        }
        tables.pod_names.insert(name, pod.id.clone());
        tables.pods.insert(pod.id.clone(), Arc::clone(pod));
        Reserved::New
    }

    /// Adds a container under its name.
    pub(super) fn add_container(
        &self,
        name: String,
        container: &Arc<Container>,
    ) -> Reserved<Container> {
        let mut tables = lock(&self.tables);
        let taken = tables.container_names.get(&name);
        if let Some(other) = taken.and_then(|id| tables.containers.get(id)) {
            return Reserved::Taken(Arc::clone(other));
        }
        tables.container_names.insert(name, container.id.clone());
        tables
            .containers
            .insert(container.id.clone(), Arc::clone(container));
        Reserved::New
    }

    pub(super) fn drop_pod(&self, id: &str) {
        let mut tables = lock(&self.tables);
        tables.pods.remove(id);
        tables.pod_names.retain(|_, owner| owner != id);
    }

    pub(super) fn drop_container(&self, id: &str) {
        let mut tables = lock(&self.tables);
        tables.containers.remove(id);
        tables.container_names.retain(|_, owner| owner != id);
    }

    pub(super) fn pods(&self) -> Vec<Arc<Pod>> {
        lock(&self.tables).pods.values().cloned().collect()
    }

    pub(super) fn containers(&self) -> Vec<Arc<Container>> {
        lock(&self.tables).containers.values().cloned().collect()
    }

    /// By its id, or by what begins one id alone.
    pub(super) fn pod(&self, id: &str) -> Result<Arc<Pod>, NodeError> {
        by_prefix(&lock(&self.tables).pods, "pod sandbox", id)
    }

    /// By its id, or by what begins one id alone.
    pub(super) fn container(&self, id: &str) -> Result<Arc<Container>, NodeError> {
        by_prefix(&lock(&self.tables).containers, "container", id)
    }
}

fn by_prefix<T>(
    table: &BTreeMap<String, Arc<T>>,
    kind: &'static str,
    id: &str,
) -> Result<Arc<T>, NodeError> {
    let named = || super::error::shortened(id);
    if id.is_empty() {
        let field = if kind == "container" {
            "container_id"
        } else {
            "pod_sandbox_id"
        };
        return Err(NodeError::Missing { field });
    }
    if let Some(found) = table.get(id) {
        return Ok(Arc::clone(found));
    }
    let mut found = table
        .range(id.to_owned()..)
        .take_while(|(full, _)| full.starts_with(id));
    match (found.next(), found.next()) {
        (Some((_, one)), None) => Ok(Arc::clone(one)),
        (Some(_), Some(_)) => Err(NodeError::Ambiguous { kind, id: named() }),
        (None, _) => Err(NodeError::NotFound { kind, id: named() }),
    }
}

impl Node {
    pub(super) fn state(&self) -> &State {
        &self.parts.state
    }

    /// What a handler is given of a container; none where it, or its pod, is gone.
    pub(super) fn held(&self, container: &Container) -> Option<Held> {
        let record = container.record()?;
        let pod = self.objects.pod(&record.sandbox_id).ok()?.record()?;
        Some(Held {
            container: record,
            pod,
            directory: container.directory.clone(),
        })
    }

    /// Pods that are ready.
    pub fn ready_count(&self) -> usize {
        let is_ready = |record: SandboxRecord| record.phase == SandboxPhase::Ready;
        let pods = self.objects.pods();
        pods.iter()
            .filter(|pod| pod.record().is_some_and(is_ready))
            .count()
    }

    /// Containers that run.
    pub fn running_count(&self) -> usize {
        let is_running = |record: ContainerRecord| record.phase == ContainerPhase::Running;
        let containers = self.objects.containers();
        let running = containers
            .iter()
            .filter(|one| one.record().is_some_and(is_running));
        running.count()
    }

    /// Containers of a pod.
    pub(super) fn containers_of(&self, pod_id: &str) -> Vec<Arc<Container>> {
        let mut containers = self.objects.containers();
        containers.retain(|one| {
            one.record()
                .is_some_and(|record| record.sandbox_id == pod_id)
        });
        containers
    }

    /// Where logs and the like are told to lie.
    pub(super) fn absolute(path: &Path) -> bool {
        path.is_absolute()
    }
}
