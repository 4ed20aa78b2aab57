//! UpdateContainerResources: new limits, live.

use super::{state_name, with_overhead};
use crate::node::object::lock;
use crate::node::{Node, NodeError};
use crate::proto::{
    LinuxContainerResources, UpdateContainerResourcesRequest, UpdateContainerResourcesResponse,
};
use crate::state::ContainerPhase;

impl Node {
    /// Changes the limits that the request names; 0 and empty leave one as it is.
    pub fn update_container_resources(
        &self,
        request: UpdateContainerResourcesRequest,
    ) -> Result<UpdateContainerResourcesResponse, NodeError> {
        let (container, ..) = self.live_container(&request.container_id)?;
        let Some(asked) = request.linux else {
            return Ok(UpdateContainerResourcesResponse {});
        };
        let _order = lock(&container.order);
        let (_, held, handler) = self.live_container(&container.id)?;
        let phase = held.container.phase;
        if !matches!(phase, ContainerPhase::Created | ContainerPhase::Running) {
            return Err(NodeError::WrongState {
                kind: "container",
                id: container.id.clone(),
                state: state_name(phase),
                needed: "limits are changed of one that is created or running",
            });
        }
        let linux = held.container.config.linux.as_ref();
        let before = linux
            .and_then(|linux| linux.resources.clone())
            .unwrap_or_default();
        let merged = merge(before.clone(), asked);
        let limit = |resources| {
            let resources = with_overhead(&**handler, resources);
            self.parts
                .cgroups
                .update(&held.container.cgroup, &resources)
        };
        limit(merged.clone())?;
        if let (ContainerPhase::Running, Some(process)) = (phase, held.process())
            && let Err(error) = handler.update(&held.launch(), process, &merged)
        {
            // The cgroup and the inside say the same again.
            limit(before)?;
            return Err(error.into());
        }
        container.change(self.state(), |record| {
            record.config.linux.get_or_insert_default().resources = Some(merged);
        })?;
        Ok(UpdateContainerResourcesResponse {})
    }
}

/// What the request leaves out stays.
fn merge(
    mut now: LinuxContainerResources,
    asked: LinuxContainerResources,
) -> LinuxContainerResources {
    for (field, value) in [
        (&mut now.cpu_period, asked.cpu_period),
        (&mut now.cpu_quota, asked.cpu_quota),
        (&mut now.cpu_shares, asked.cpu_shares),
        (&mut now.memory_limit_in_bytes, asked.memory_limit_in_bytes),
        (&mut now.oom_score_adj, asked.oom_score_adj),
        (
            &mut now.memory_swap_limit_in_bytes,
            asked.memory_swap_limit_in_bytes,
        ),
    ] {
        if value != 0 {
            *field = value;
        }
    }
    if !asked.cpuset_cpus.is_empty() {
        now.cpuset_cpus = asked.cpuset_cpus;
    }
    if !asked.cpuset_mems.is_empty() {
        now.cpuset_mems = asked.cpuset_mems;
    }
    if !asked.hugepage_limits.is_empty() {
        now.hugepage_limits = asked.hugepage_limits;
    }
    now.unified.extend(asked.unified);
    now
}
