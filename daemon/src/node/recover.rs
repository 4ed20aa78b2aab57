//! What a new daemon finds: objects of the one before it, half-made ones, damaged records.
//!
//! | found | becomes |
//! |---|---|
//! | a pod that was being made | undone; where that fails, not ready |
//! | a pod of another boot, or without its namespace | not ready |
//! | a container that was being created | undone |
//! | one that was being started | exited, `StartError`: its process is ended |
//! | a running one whose process is there | watched again |
//! | a running one whose process is gone | exited, as its handler knows |
//! | anything running of another boot | exited, `Unknown`, 255 |
//! | a damaged record | set aside and named; what it left is ended |

use std::sync::{Arc, PoisonError};
use std::time::SystemTime;

use super::object::{Container, Pod, lock};
use super::status::CODE_UNKNOWN;
use super::{Node, NodeError, names};
use crate::handler::Ended;
use crate::network::Namespace;
use crate::state::{ContainerPhase, ContainerRecord, Damaged, Record, SandboxPhase, SandboxRecord};

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Pods.
    pub pods: usize,
    /// Containers.
    pub containers: usize,
    /// Of them running.
    pub running: usize,
    /// Records that cannot be read.
    pub damaged: usize,
}

impl Node {
    pub(super) fn recover(&self) -> Result<Found, NodeError> {
        let mut found = Found::default();
        let sandboxes = self.state().load::<SandboxRecord>()?;
        let containers = self.state().load::<ContainerRecord>()?;
        for pod in sandboxes.records {
            let name = names::pod_name(&pod.config.metadata.clone().unwrap_or_default());
            self.objects
                .add_pod(name, &Arc::new(Pod::new(self.state(), pod)));
        }
        for container in containers.records {
            let metadata = container.config.metadata.clone().unwrap_or_default();
            let name = names::container_name(&container.sandbox_id, &metadata);
            self.objects
                .add_container(name, &Arc::new(Container::new(self.state(), container)));
        }
        for container in self.objects.containers() {
            self.recover_container(&container);
        }
        for pod in self.objects.pods() {
            self.recover_pod(&pod);
        }
        self.sweep();
        for damaged in &sandboxes.damaged {
            self.end_pod(&damaged.id);
            self.set_aside::<SandboxRecord>(damaged)?;
        }
        for damaged in &containers.damaged {
            self.set_aside::<ContainerRecord>(damaged)?;
        }
        found.damaged = sandboxes.damaged.len() + containers.damaged.len();
        for id in sandboxes.bare {
            self.end_pod(&id);
            self.state().remove::<SandboxRecord>(&id)?;
        }
        for id in containers.bare {
            self.state().remove::<ContainerRecord>(&id)?;
        }
        found.pods = self.objects.pods().len();
        for container in self.objects.containers() {
            found.containers += 1;
            let running = |record: ContainerRecord| record.phase == ContainerPhase::Running;
            found.running += usize::from(container.record().is_some_and(running));
        }
        Ok(found)
    }

    fn recover_container(&self, container: &Arc<Container>) {
        let _order = lock(&container.order);
        let Some(record) = container.record() else {
            return;
        };
        if self.held(container).is_none() {
            // Its pod's record is gone or damaged: it has no handler, no network and no owner.
            tracing::error!(container = %container.id, pod = %record.sandbox_id, "a container without a pod is ended");
            self.end_orphan(container, &record);
            return;
        }
        let exited = |exit_code, reason: &str, message: &str| Ended {
            exit_code,
            reason: reason.to_owned(),
            message: message.to_owned(),
            finished_at: SystemTime::now(),
        };
        let is_other_boot = record.boot_id != self.boot_id;
        match record.phase {
            ContainerPhase::Making => self.undo_container(container),
            ContainerPhase::Created | ContainerPhase::Exited => {}
            ContainerPhase::Starting | ContainerPhase::Running if is_other_boot => {
                let ended = exited(CODE_UNKNOWN, "Unknown", "the host was started anew");
                container.note(self.state(), |record| {
                    record.phase = ContainerPhase::Exited;
                    record.process = None;
                    record.ended = Some(ended);
                });
            }
            ContainerPhase::Starting => {
                let ended = exited(
                    128,
                    "StartError",
                    "the daemon was killed while it started the container",
                );
                if let Some(held) = self.held(container)
                    && let Ok(handler) = self.handler(&held.pod.handler)
                    && let Err(error) = handler.delete(&held.launch(), None)
                {
                    tracing::warn!(container = %container.id, error = &error as &dyn std::error::Error, "a half-started container is not cleared");
                }
                container.note(self.state(), |record| {
                    record.phase = ContainerPhase::Exited;
                    record.ended = Some(ended);
                });
            }
            ContainerPhase::Running => {
                if let Some(process) = record.process {
                    self.watch(container, process);
                }
            }
        }
    }

    fn recover_pod(&self, pod: &Pod) {
        let _order = pod.order.write().unwrap_or_else(PoisonError::into_inner);
        let Some(record) = pod.record() else { return };
        let is_here = record.boot_id == self.boot_id
            && record.namespace.as_deref().is_none_or(Namespace::is_at);
        match record.phase {
            SandboxPhase::Making => self.undo_pod(pod),
            SandboxPhase::Ready if !is_here => {
                tracing::warn!(pod = %pod.id, "a pod has lost its network namespace: not ready");
                pod.note(self.state(), |record| record.phase = SandboxPhase::NotReady);
            }
            SandboxPhase::Ready | SandboxPhase::NotReady => {}
        }
    }

    /// Ends a container whose pod is not known.
    fn end_orphan(&self, container: &Container, record: &ContainerRecord) {
        let ended = self
            .parts
            .cgroups
            .kill(&record.cgroup)
            .and_then(|()| self.parts.cgroups.remove(&record.cgroup));
        if let Err(error) = ended {
            tracing::error!(container = %container.id, error = &error as &dyn std::error::Error, "its processes may run on");
        }
        container.retire();
        self.objects.drop_container(&container.id);
        // What its handler made is swept with the others' that nobody knows.
        self.sweep();
        if let Err(error) = self.state().remove::<ContainerRecord>(&container.id) {
            tracing::warn!(container = %container.id, error = &error as &dyn std::error::Error, "its directory stays");
        }
    }

    /// Ends what containers left that have no readable record.
    fn sweep(&self) {
        let directory = self.state().directory::<ContainerRecord>("");
        let is_known = |id: &str| self.objects.container(id).is_ok();
        for (name, handler) in &self.parts.handlers {
            if let Err(error) = handler.sweep(&directory, &is_known) {
                tracing::warn!(handler = %name, error = &error as &dyn std::error::Error, "what lost containers left stays");
            }
        }
        let is_pod = |id: &str| self.objects.pod(id).is_ok();
        if let Err(error) = self.parts.cni.sweep(is_pod) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "networks of lost pods stay"
            );
        }
        let holders = |id: &str| is_known(id);
        if let Err(error) = self.parts.images.release_all_but(holders) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "images of lost containers stay"
            );
        }
    }

    /// Ends what a pod left of which only the id is known.
    fn end_pod(&self, id: &str) {
        if !names::is_id(id) {
            return;
        }
        let ended = Namespace::path_of(id)
            .and_then(|path| Namespace::remove(&path))
            .map_err(NodeError::from)
            .and_then(|()| {
                // Its own cgroup, if kubelet gave it none.
                let cgroup = self.parts.cgroups.pod("", id)?;
                self.parts.cgroups.kill(&cgroup)?;
                Ok(self.parts.cgroups.remove(&cgroup)?)
            });
        if let Err(error) = ended {
            tracing::warn!(
                pod = id,
                error = &error as &dyn std::error::Error,
                "what a lost pod left stays"
            );
        }
    }

    fn set_aside<R: Record>(&self, damaged: &Damaged) -> Result<(), NodeError> {
        let directory = self.state().set_aside::<R>(&damaged.id)?;
        tracing::error!(
            kind = damaged.kind,
            id = %damaged.id,
            directory = %directory.display(),
            error = &damaged.error as &dyn std::error::Error,
            "a damaged record is set aside, with its directory"
        );
        Ok(())
    }
}
