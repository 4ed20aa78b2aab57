//! ListContainers.

use crate::node::Node;
use crate::node::status::{container_state, has_labels, image_name, image_ref, nanos};
use crate::proto::{Container, ContainerFilter, ListContainersRequest, ListContainersResponse};
use crate::state::{ContainerPhase, ContainerRecord};

impl Node {
    /// Containers that fit the filter, the newest first.
    pub fn list_containers(&self, request: ListContainersRequest) -> ListContainersResponse {
        let filter = request.filter.unwrap_or_default();
        let containers = self.objects.containers();
        let mut records: Vec<_> = containers.iter().filter_map(|one| one.record()).collect();
        records.retain(|record| fits(record, &filter));
        records.sort_by_key(|record| std::cmp::Reverse(record.created_at));
        ListContainersResponse {
            containers: records.into_iter().map(item).collect(),
        }
    }
}

fn fits(record: &ContainerRecord, filter: &ContainerFilter) -> bool {
    // Nobody knows the id of one that is being made.
    record.phase != ContainerPhase::Making
        && record.id.starts_with(&filter.id)
        && record.sandbox_id.starts_with(&filter.pod_sandbox_id)
        && filter
            .state
            .as_ref()
            .is_none_or(|state| state.state() == container_state(record))
        && has_labels(&record.config.labels, &filter.label_selector)
}

fn item(record: ContainerRecord) -> Container {
    Container {
        state: container_state(&record).into(),
        image: Some(image_name(&record)),
        image_ref: image_ref(&record.image),
        image_id: record.image.id.clone(),
        id: record.id,
        pod_sandbox_id: record.sandbox_id,
        metadata: record.config.metadata,
        created_at: nanos(record.created_at),
        labels: record.config.labels,
        annotations: record.config.annotations,
    }
}
