//! RemoveContainer: kills what runs, and leaves nothing. May be called again.

use std::sync::PoisonError;
use std::time::Duration;

use crate::node::object::{Container, lock};
use crate::node::{Node, NodeError};
use crate::proto::{ContainerEventType, RemoveContainerRequest, RemoveContainerResponse};
use crate::state::ContainerRecord;

impl Node {
    /// Removes a container. One that is not there is removed.
    pub fn remove_container(
        &self,
        request: RemoveContainerRequest,
    ) -> Result<RemoveContainerResponse, NodeError> {
        let container = match self.objects.container(&request.container_id) {
            Ok(container) => container,
            Err(NodeError::NotFound { .. }) => return Ok(RemoveContainerResponse {}),
            Err(error) => return Err(error),
        };
        let pod = container
            .record()
            .and_then(|record| self.objects.pod(&record.sandbox_id).ok());
        let _pod_order = pod
            .as_ref()
            .map(|pod| pod.order.read().unwrap_or_else(PoisonError::into_inner));
        self.remove(&container)?;
        Ok(RemoveContainerResponse {})
    }

    /// The same, with the pod's order held.
    pub(in crate::node) fn remove(&self, container: &Container) -> Result<(), NodeError> {
        self.stop(container, Duration::ZERO)?;
        let _order = lock(&container.order);
        let Some(record) = container.record() else {
            return Ok(());
        };
        let event = self.event(
            ContainerEventType::ContainerDeletedEvent,
            &container.id,
            &record.sandbox_id,
        );
        self.erase(container)?;
        self.events.send(event);
        tracing::info!(pod = %record.sandbox_id, container = %container.id, "container removed");
        Ok(())
    }

    /// Removes all that there is of a container, with its order held.
    pub(in crate::node) fn erase(&self, container: &Container) -> Result<(), NodeError> {
        if let Some(held) = self.held(container) {
            let handler = self.handler(&held.pod.handler)?;
            handler.delete(&held.launch(), held.process())?;
            self.parts.cgroups.remove(&held.container.cgroup)?;
        }
        self.parts.images.release(&container.id)?;
        self.state().remove::<ContainerRecord>(&container.id)?;
        self.sampler.forget(&container.id);
        container.retire();
        self.objects.drop_container(&container.id);
        Ok(())
    }
}
