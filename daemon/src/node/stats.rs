//! stub
use super::{Node, NodeError};
use crate::proto::*;
impl Node {
    pub fn container_stats(
        &self,
        _r: ContainerStatsRequest,
    ) -> Result<ContainerStatsResponse, NodeError> {
        Ok(Default::default())
    }
    pub fn list_container_stats(
        &self,
        _r: ListContainerStatsRequest,
    ) -> Result<ListContainerStatsResponse, NodeError> {
        Ok(Default::default())
    }
    pub fn pod_sandbox_stats(
        &self,
        _r: PodSandboxStatsRequest,
    ) -> Result<PodSandboxStatsResponse, NodeError> {
        Ok(Default::default())
    }
    pub fn list_pod_sandbox_stats(
        &self,
        _r: ListPodSandboxStatsRequest,
    ) -> Result<ListPodSandboxStatsResponse, NodeError> {
        Ok(Default::default())
    }
    pub fn list_metric_descriptors(&self) -> ListMetricDescriptorsResponse {
        Default::default()
    }
    pub fn list_pod_sandbox_metrics(&self) -> Result<ListPodSandboxMetricsResponse, NodeError> {
        Ok(Default::default())
    }
}
