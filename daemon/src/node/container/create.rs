//! CreateContainer: everything that can be refused is refused here, before anything runs.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Instant, SystemTime};

use super::with_overhead;
use crate::cgroup::Cgroup;
use crate::image::LocalImage;
use crate::metrics::Phase;
use crate::node::error::shortened;
use crate::node::object::{Container, Reserved, lock};
use crate::node::{Node, NodeError, files, mounts, names};
use crate::proto::{
    ContainerConfig, ContainerEventType, CreateContainerRequest, CreateContainerResponse,
};
use crate::state::{ContainerPhase, ContainerRecord, SandboxPhase, SandboxRecord};

/// Most bytes of a container's name.
const NAME_MAX_BYTES: usize = 1024;

impl Node {
    /// Makes a container of a pod. Asked for again with the same configuration it gives the
    /// container that is there, as long as it was not started.
    pub fn create_container(
        &self,
        request: CreateContainerRequest,
    ) -> Result<CreateContainerResponse, NodeError> {
        let started = Instant::now();
        let config = request
            .config
            .ok_or(NodeError::Missing { field: "config" })?;
        let metadata = check(&config)?;
        let pod = self.objects.pod(&request.pod_sandbox_id)?;
        let _pod_order = pod.order.read().unwrap_or_else(PoisonError::into_inner);
        let pod_record = pod.record().ok_or_else(|| NodeError::NotFound {
            kind: "pod sandbox",
            id: shortened(&request.pod_sandbox_id),
        })?;
        if pod_record.phase != SandboxPhase::Ready {
            return Err(NodeError::WrongState {
                kind: "pod sandbox",
                id: pod.id.clone(),
                state: "not ready",
                needed: "containers are created in a pod that is ready",
            });
        }
        let image = self.image_of(&config)?;
        let log = log_path(&pod_record, &config)?;
        let name = names::container_name(&pod.id, &metadata);
        let record = ContainerRecord {
            id: names::new_id()?,
            sandbox_id: pod.id.clone(),
            phase: ContainerPhase::Making,
            config,
            image,
            mounts: Vec::new(),
            log,
            cgroup: Cgroup::default(),
            boot_id: self.boot_id.clone(),
            process: None,
            created_at: SystemTime::now(),
            started_at: None,
            ended: None,
        };
        let container = Arc::new(Container::new(self.state(), record.clone()));
        // Whoever asks for the same waits for this.
        let _order = lock(&container.order);
        if let Reserved::Taken(other) = self.objects.add_container(name.clone(), &container) {
            return same_container(&other, &record, name);
        }
        if let Err(error) = self.make_container(&container, &record, &pod.directory) {
            self.undo_container(&container);
            return Err(error);
        }
        self.parts.metrics.phase(Phase::Create, started.elapsed());
        self.emit(
            ContainerEventType::ContainerCreatedEvent,
            &container.id,
            &pod.id,
        );
        tracing::info!(pod = %pod.id, container = %container.id, name = %metadata.name, "container created");
        Ok(CreateContainerResponse {
            container_id: container.id.clone(),
        })
    }

    fn image_of(&self, config: &ContainerConfig) -> Result<LocalImage, NodeError> {
        let text = config.image.as_ref().map_or("", |spec| spec.image.as_str());
        if text.is_empty() {
            return Err(NodeError::Missing {
                field: "config.image.image",
            });
        }
        self.image_named(text)
    }

    fn image_named(&self, text: &str) -> Result<LocalImage, NodeError> {
        self.parts
            .images
            .find(text)?
            .ok_or_else(|| NodeError::NotFound {
                kind: "image",
                id: shortened(text),
            })
    }

    fn make_container(
        &self,
        container: &Container,
        record: &ContainerRecord,
        pod_directory: &Path,
    ) -> Result<(), NodeError> {
        let state = self.state();
        state.create::<ContainerRecord>(&container.id)?;
        // What it needs of the image stays for as long as its record.
        self.parts.images.hold(&record.id, &record.image)?;
        state.save(record)?;
        let mut volumes = Vec::new();
        let own = mounts::resolve(&record.config.mounts, |spec, path| {
            let image = self.image_named(&spec.image)?;
            let source = self.parts.images.volume(&record.id, &image, path)?;
            volumes.push(image);
            Ok(source)
        })?;
        let mut all = files::mounts(pod_directory, &own);
        all.extend(own);
        all.sort_by_key(|mount| mount.place.components().count());
        if let Some(directory) = record.log.as_deref().and_then(Path::parent) {
            fs::create_dir_all(directory).map_err(|source| NodeError::PodFile {
                path: directory.to_owned(),
                source,
            })?;
        }
        let held = self.held(container).ok_or_else(|| gone(record))?;
        let handler = self.handler(&held.pod.handler)?;
        let linux = record.config.linux.as_ref();
        let resources = linux.and_then(|linux| linux.resources.clone());
        let resources = with_overhead(&**handler, resources.unwrap_or_default());
        let (cgroups, parent) = (&self.parts.cgroups, &held.pod.cgroup);
        // Known before it is there, so that a daemon that is killed now finds it.
        let cgroup = cgroups.place_of_container(parent, &container.id)?;
        container.change(state, |record| {
            record.mounts = all;
            record.cgroup = cgroup;
            let mounts = record
                .config
                .mounts
                .iter_mut()
                .filter(|one| mounts::has_image(one));
            for (mount, image) in mounts.zip(volumes) {
                mount
                    .image
                    .get_or_insert_default()
                    .image_ref
                    .clone_from(&image.id);
            }
        })?;
        cgroups.container(parent, &container.id, &resources)?;
        let held = self.held(container).ok_or_else(|| gone(record))?;
        handler.create(&held.launch())?;
        container.change(state, |record| record.phase = ContainerPhase::Created)?;
        Ok(())
    }

    /// Takes back what a failed call made.
    pub(in crate::node) fn undo_container(&self, container: &Container) {
        if let Err(error) = self.erase(container) {
            tracing::warn!(container = %container.id, error = &error as &dyn std::error::Error, "a half-made container stays, to be removed");
            container.note(self.state(), |record| {
                record.phase = ContainerPhase::Exited;
                record.ended.get_or_insert(crate::handler::Ended {
                    exit_code: 128,
                    reason: "StartError".to_owned(),
                    message: "it could not be created".to_owned(),
                    finished_at: SystemTime::now(),
                });
            });
        }
    }
}

fn gone(record: &ContainerRecord) -> NodeError {
    NodeError::NotFound {
        kind: "pod sandbox",
        id: record.sandbox_id.clone(),
    }
}

/// The container that has the name already, if it is what is asked for.
fn same_container(
    other: &Container,
    asked: &ContainerRecord,
    name: String,
) -> Result<CreateContainerResponse, NodeError> {
    let _order = lock(&other.order);
    let same = other.record().is_some_and(|record| {
        record.phase == ContainerPhase::Created && as_asked(record.config) == asked.config
    });
    if same {
        return Ok(CreateContainerResponse {
            container_id: other.id.clone(),
        });
    }
    Err(NodeError::NameTaken {
        name,
        id: other.id.clone(),
    })
}

/// A configuration without what was added to it.
fn as_asked(mut config: ContainerConfig) -> ContainerConfig {
    for mount in &mut config.mounts {
        if let Some(image) = &mut mount.image {
            image.image_ref.clear();
        }
    }
    config
}

/// The log's file: kubelet gives its directory with the pod, its name with the container.
fn log_path(pod: &SandboxRecord, config: &ContainerConfig) -> Result<Option<PathBuf>, NodeError> {
    let (directory, name) = (&pod.config.log_directory, &config.log_path);
    if directory.is_empty() || name.is_empty() {
        return Ok(None);
    }
    let is_below = Path::new(name)
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !is_below || name.contains('\0') {
        return Err(NodeError::BadValue {
            field: "config.log_path",
            value: shortened(name),
            reason: "it must lie below the pod's log directory",
        });
    }
    Ok(Some(Path::new(directory).join(name)))
}

fn check(config: &ContainerConfig) -> Result<crate::proto::ContainerMetadata, NodeError> {
    let metadata = config.metadata.clone().ok_or(NodeError::Missing {
        field: "config.metadata",
    })?;
    if metadata.name.is_empty() {
        return Err(NodeError::Missing {
            field: "config.metadata.name",
        });
    }
    if metadata.name.len() > NAME_MAX_BYTES || metadata.name.contains(['/', '\0']) {
        return Err(NodeError::BadValue {
            field: "config.metadata.name",
            value: shortened(&metadata.name),
            reason: "it has at most 1024 bytes and no slash",
        });
    }
    if config.windows.is_some() {
        return Err(NodeError::Unimplemented(
            "config.windows is set: containers of Windows do not run here",
        ));
    }
    let context = config
        .linux
        .as_ref()
        .and_then(|linux| linux.security_context.as_ref());
    let has_group_alone = context.is_some_and(|context| {
        context.run_as_group.is_some()
            && context.run_as_user.is_none()
            && context.run_as_username.is_empty()
    });
    if has_group_alone {
        return Err(NodeError::Missing {
            field: "config.linux.security_context.run_as_user (run_as_group is set)",
        });
    }
    let words = config.command.iter().chain(&config.args);
    if let Some(word) = words.into_iter().find(|word| word.contains('\0')) {
        return Err(NodeError::BadValue {
            field: "config.command or config.args",
            value: shortened(word),
            reason: "a NUL byte ends a word",
        });
    }
    for setting in &config.envs {
        let bad = |reason| NodeError::BadValue {
            field: "config.envs",
            value: shortened(&setting.key),
            reason,
        };
        if setting.key.is_empty() || setting.key.contains(['=', '\0']) {
            return Err(bad(
                "a variable's name has neither `=` nor NUL, and is not empty",
            ));
        }
        if setting.value.contains(&0) {
            return Err(bad("a NUL byte ends a value"));
        }
    }
    Ok(metadata)
}
