//! ListPodSandbox.

use crate::node::Node;
use crate::node::status::{has_labels, nanos, pod_state};
use crate::proto::{ListPodSandboxRequest, ListPodSandboxResponse, PodSandbox, PodSandboxFilter};
use crate::state::SandboxRecord;

impl Node {
    /// Pods that fit the filter, the newest first.
    pub fn list_pod_sandbox(&self, request: ListPodSandboxRequest) -> ListPodSandboxResponse {
        let filter = request.filter.unwrap_or_default();
        let pods = self.objects.pods();
        let mut records: Vec<_> = pods.iter().filter_map(|pod| pod.record()).collect();
        records.retain(|record| fits(record, &filter));
        records.sort_by_key(|record| std::cmp::Reverse(record.created_at));
        ListPodSandboxResponse {
            items: records.into_iter().map(item).collect(),
        }
    }
}

fn fits(record: &SandboxRecord, filter: &PodSandboxFilter) -> bool {
    record.id.starts_with(&filter.id)
        && filter
            .state
            .as_ref()
            .is_none_or(|state| state.state() == pod_state(record))
        && has_labels(&record.config.labels, &filter.label_selector)
}

fn item(record: SandboxRecord) -> PodSandbox {
    PodSandbox {
        state: pod_state(&record).into(),
        id: record.id,
        metadata: record.config.metadata,
        created_at: nanos(record.created_at),
        labels: record.config.labels,
        annotations: record.config.annotations,
        runtime_handler: record.handler,
    }
}
