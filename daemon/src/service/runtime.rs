//! RuntimeService: one delegation for each call, in the order of `proto/`.

use std::pin::Pin;
use std::sync::Arc;

use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};

use super::call;
use crate::node::events::{Listener, Lost};
use crate::node::{Node, NodeError};
use crate::proto::runtime_service_server::RuntimeService;
use crate::proto::{
    AttachRequest, AttachResponse, CheckpointContainerRequest, CheckpointContainerResponse,
    ContainerEventResponse, ContainerStatsRequest, ContainerStatsResponse, ContainerStatusRequest,
    ContainerStatusResponse, CreateContainerRequest, CreateContainerResponse, ExecRequest,
    ExecResponse, ExecSyncRequest, ExecSyncResponse, GetEventsRequest, ListContainerStatsRequest,
    ListContainerStatsResponse, ListContainersRequest, ListContainersResponse,
    ListMetricDescriptorsRequest, ListMetricDescriptorsResponse, ListPodSandboxMetricsRequest,
    ListPodSandboxMetricsResponse, ListPodSandboxRequest, ListPodSandboxResponse,
    ListPodSandboxStatsRequest, ListPodSandboxStatsResponse, PodSandboxStatsRequest,
    PodSandboxStatsResponse, PodSandboxStatusRequest, PodSandboxStatusResponse, PortForwardRequest,
    PortForwardResponse, RemoveContainerRequest, RemoveContainerResponse, RemovePodSandboxRequest,
    RemovePodSandboxResponse, ReopenContainerLogRequest, ReopenContainerLogResponse,
    RunPodSandboxRequest, RunPodSandboxResponse, RuntimeConfigRequest, RuntimeConfigResponse,
    StartContainerRequest, StartContainerResponse, StatusRequest, StatusResponse,
    StopContainerRequest, StopContainerResponse, StopPodSandboxRequest, StopPodSandboxResponse,
    StreamContainerStatsRequest, StreamContainerStatsResponse, StreamContainersRequest,
    StreamContainersResponse, StreamPodSandboxMetricsRequest, StreamPodSandboxMetricsResponse,
    StreamPodSandboxStatsRequest, StreamPodSandboxStatsResponse, StreamPodSandboxesRequest,
    StreamPodSandboxesResponse, UpdateContainerResourcesRequest, UpdateContainerResourcesResponse,
    UpdatePodSandboxResourcesRequest, UpdatePodSandboxResourcesResponse,
    UpdateRuntimeConfigRequest, UpdateRuntimeConfigResponse, VersionRequest, VersionResponse,
};

/// Items of one message of a listing stream.
const STREAM_ITEMS: usize = 100;

type Answer<T> = Result<Response<T>, Status>;
type Items<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The service.
#[derive(Clone, Debug)]
pub struct RuntimeCalls {
    node: Arc<Node>,
}

impl RuntimeCalls {
    /// The calls of a node.
    pub fn new(node: Arc<Node>) -> Self {
        Self { node }
    }

    async fn run<Q: Send + 'static, A: Send + 'static>(
        &self,
        method: &'static str,
        request: Request<Q>,
        work: impl FnOnce(&Node, Q) -> Result<A, NodeError> + Send + 'static,
    ) -> Answer<A> {
        let node = Arc::clone(&self.node);
        call(self.node.metrics(), method, request, move |request| {
            work(&node, request)
        })
        .await
    }

    /// A list, in messages of some items each.
    async fn stream<Q: Send + 'static, I: Send + 'static, A: Send + 'static>(
        &self,
        method: &'static str,
        request: Request<Q>,
        list: impl FnOnce(&Node, Q) -> Result<Vec<I>, NodeError> + Send + 'static,
        message: impl Fn(Vec<I>) -> A + Send + 'static,
    ) -> Answer<Items<A>> {
        let items = self.run(method, request, list).await?.into_inner();
        let mut items = items.into_iter();
        let messages = std::iter::from_fn(move || {
            let some: Vec<I> = items.by_ref().take(STREAM_ITEMS).collect();
            (!some.is_empty()).then(|| Ok(message(some)))
        });
        Ok(Response::new(Box::pin(tokio_stream::iter(messages))))
    }
}

#[tonic::async_trait]
impl RuntimeService for RuntimeCalls {
    async fn version(&self, request: Request<VersionRequest>) -> Answer<VersionResponse> {
        self.run("Version", request, |_, _| {
            Ok(VersionResponse {
                version: "0.1.0".to_owned(),
                runtime_name: "unikiln".to_owned(),
                runtime_version: env!("CARGO_PKG_VERSION").to_owned(),
                runtime_api_version: "v1".to_owned(),
            })
        })
        .await
    }

    async fn run_pod_sandbox(
        &self,
        request: Request<RunPodSandboxRequest>,
    ) -> Answer<RunPodSandboxResponse> {
        self.run("RunPodSandbox", request, Node::run_pod_sandbox)
            .await
    }

    async fn stop_pod_sandbox(
        &self,
        request: Request<StopPodSandboxRequest>,
    ) -> Answer<StopPodSandboxResponse> {
        self.run("StopPodSandbox", request, Node::stop_pod_sandbox)
            .await
    }

    async fn remove_pod_sandbox(
        &self,
        request: Request<RemovePodSandboxRequest>,
    ) -> Answer<RemovePodSandboxResponse> {
        self.run("RemovePodSandbox", request, Node::remove_pod_sandbox)
            .await
    }

    async fn pod_sandbox_status(
        &self,
        request: Request<PodSandboxStatusRequest>,
    ) -> Answer<PodSandboxStatusResponse> {
        self.run("PodSandboxStatus", request, Node::pod_sandbox_status)
            .await
    }

    async fn list_pod_sandbox(
        &self,
        request: Request<ListPodSandboxRequest>,
    ) -> Answer<ListPodSandboxResponse> {
        self.run("ListPodSandbox", request, |node, request| {
            Ok(node.list_pod_sandbox(request))
        })
        .await
    }

    type StreamPodSandboxesStream = Items<StreamPodSandboxesResponse>;

    async fn stream_pod_sandboxes(
        &self,
        request: Request<StreamPodSandboxesRequest>,
    ) -> Answer<Self::StreamPodSandboxesStream> {
        let list = |node: &Node, request: StreamPodSandboxesRequest| {
            let filter = request.filter;
            Ok(node
                .list_pod_sandbox(ListPodSandboxRequest { filter })
                .items)
        };
        let message = |pod_sandboxes| StreamPodSandboxesResponse { pod_sandboxes };
        self.stream("StreamPodSandboxes", request, list, message)
            .await
    }

    async fn create_container(
        &self,
        request: Request<CreateContainerRequest>,
    ) -> Answer<CreateContainerResponse> {
        self.run("CreateContainer", request, Node::create_container)
            .await
    }

    async fn start_container(
        &self,
        request: Request<StartContainerRequest>,
    ) -> Answer<StartContainerResponse> {
        self.run("StartContainer", request, Node::start_container)
            .await
    }

    async fn stop_container(
        &self,
        request: Request<StopContainerRequest>,
    ) -> Answer<StopContainerResponse> {
        self.run("StopContainer", request, Node::stop_container)
            .await
    }

    async fn remove_container(
        &self,
        request: Request<RemoveContainerRequest>,
    ) -> Answer<RemoveContainerResponse> {
        self.run("RemoveContainer", request, Node::remove_container)
            .await
    }

    async fn list_containers(
        &self,
        request: Request<ListContainersRequest>,
    ) -> Answer<ListContainersResponse> {
        self.run("ListContainers", request, |node, request| {
            Ok(node.list_containers(request))
        })
        .await
    }

    type StreamContainersStream = Items<StreamContainersResponse>;

    async fn stream_containers(
        &self,
        request: Request<StreamContainersRequest>,
    ) -> Answer<Self::StreamContainersStream> {
        let list = |node: &Node, request: StreamContainersRequest| {
            let filter = request.filter;
            Ok(node
                .list_containers(ListContainersRequest { filter })
                .containers)
        };
        let message = |containers| StreamContainersResponse { containers };
        self.stream("StreamContainers", request, list, message)
            .await
    }

    async fn container_status(
        &self,
        request: Request<ContainerStatusRequest>,
    ) -> Answer<ContainerStatusResponse> {
        self.run("ContainerStatus", request, Node::container_status)
            .await
    }

    async fn update_container_resources(
        &self,
        request: Request<UpdateContainerResourcesRequest>,
    ) -> Answer<UpdateContainerResourcesResponse> {
        self.run(
            "UpdateContainerResources",
            request,
            Node::update_container_resources,
        )
        .await
    }

    async fn reopen_container_log(
        &self,
        request: Request<ReopenContainerLogRequest>,
    ) -> Answer<ReopenContainerLogResponse> {
        self.run("ReopenContainerLog", request, Node::reopen_container_log)
            .await
    }

    async fn exec_sync(&self, request: Request<ExecSyncRequest>) -> Answer<ExecSyncResponse> {
        self.run("ExecSync", request, Node::exec_sync).await
    }

    async fn exec(&self, request: Request<ExecRequest>) -> Answer<ExecResponse> {
        self.run("Exec", request, Node::exec).await
    }

    async fn attach(&self, request: Request<AttachRequest>) -> Answer<AttachResponse> {
        self.run("Attach", request, Node::attach).await
    }

    async fn port_forward(
        &self,
        request: Request<PortForwardRequest>,
    ) -> Answer<PortForwardResponse> {
        self.run("PortForward", request, Node::port_forward).await
    }

    async fn container_stats(
        &self,
        request: Request<ContainerStatsRequest>,
    ) -> Answer<ContainerStatsResponse> {
        self.run("ContainerStats", request, Node::container_stats)
            .await
    }

    async fn list_container_stats(
        &self,
        request: Request<ListContainerStatsRequest>,
    ) -> Answer<ListContainerStatsResponse> {
        self.run("ListContainerStats", request, Node::list_container_stats)
            .await
    }

    type StreamContainerStatsStream = Items<StreamContainerStatsResponse>;

    async fn stream_container_stats(
        &self,
        request: Request<StreamContainerStatsRequest>,
    ) -> Answer<Self::StreamContainerStatsStream> {
        let list = |node: &Node, request: StreamContainerStatsRequest| {
            let filter = request.filter;
            Ok(node
                .list_container_stats(ListContainerStatsRequest { filter })?
                .stats)
        };
        let message = |container_stats| StreamContainerStatsResponse { container_stats };
        self.stream("StreamContainerStats", request, list, message)
            .await
    }

    async fn pod_sandbox_stats(
        &self,
        request: Request<PodSandboxStatsRequest>,
    ) -> Answer<PodSandboxStatsResponse> {
        self.run("PodSandboxStats", request, Node::pod_sandbox_stats)
            .await
    }

    async fn list_pod_sandbox_stats(
        &self,
        request: Request<ListPodSandboxStatsRequest>,
    ) -> Answer<ListPodSandboxStatsResponse> {
        self.run("ListPodSandboxStats", request, Node::list_pod_sandbox_stats)
            .await
    }

    type StreamPodSandboxStatsStream = Items<StreamPodSandboxStatsResponse>;

    async fn stream_pod_sandbox_stats(
        &self,
        request: Request<StreamPodSandboxStatsRequest>,
    ) -> Answer<Self::StreamPodSandboxStatsStream> {
        let list = |node: &Node, request: StreamPodSandboxStatsRequest| {
            let filter = request.filter;
            Ok(node
                .list_pod_sandbox_stats(ListPodSandboxStatsRequest { filter })?
                .stats)
        };
        let message = |pod_sandbox_stats| StreamPodSandboxStatsResponse { pod_sandbox_stats };
        self.stream("StreamPodSandboxStats", request, list, message)
            .await
    }

    async fn update_runtime_config(
        &self,
        request: Request<UpdateRuntimeConfigRequest>,
    ) -> Answer<UpdateRuntimeConfigResponse> {
        self.run("UpdateRuntimeConfig", request, |node, request| {
            Ok(node.update_runtime_config(&request))
        })
        .await
    }

    async fn status(&self, request: Request<StatusRequest>) -> Answer<StatusResponse> {
        self.run("Status", request, |node, request| Ok(node.status(&request)))
            .await
    }

    async fn checkpoint_container(
        &self,
        request: Request<CheckpointContainerRequest>,
    ) -> Answer<CheckpointContainerResponse> {
        self.run("CheckpointContainer", request, |_, _| {
            Err(NodeError::Unimplemented(
                "containers cannot be checkpointed",
            ))
        })
        .await
    }

    type GetContainerEventsStream = Items<ContainerEventResponse>;

    async fn get_container_events(
        &self,
        request: Request<GetEventsRequest>,
    ) -> Answer<Self::GetContainerEventsStream> {
        drop(request);
        let listener = self.node.events().listen();
        Ok(Response::new(Box::pin(stream_of(listener))))
    }

    async fn list_metric_descriptors(
        &self,
        request: Request<ListMetricDescriptorsRequest>,
    ) -> Answer<ListMetricDescriptorsResponse> {
        self.run("ListMetricDescriptors", request, |node, _| {
            Ok(node.list_metric_descriptors())
        })
        .await
    }

    async fn list_pod_sandbox_metrics(
        &self,
        request: Request<ListPodSandboxMetricsRequest>,
    ) -> Answer<ListPodSandboxMetricsResponse> {
        self.run("ListPodSandboxMetrics", request, |node, _| {
            node.list_pod_sandbox_metrics()
        })
        .await
    }

    type StreamPodSandboxMetricsStream = Items<StreamPodSandboxMetricsResponse>;

    async fn stream_pod_sandbox_metrics(
        &self,
        request: Request<StreamPodSandboxMetricsRequest>,
    ) -> Answer<Self::StreamPodSandboxMetricsStream> {
        let list = |node: &Node, _| Ok(node.list_pod_sandbox_metrics()?.pod_metrics);
        let message = |pod_sandbox_metrics| StreamPodSandboxMetricsResponse {
            pod_sandbox_metrics,
        };
        self.stream("StreamPodSandboxMetrics", request, list, message)
            .await
    }

    async fn runtime_config(
        &self,
        request: Request<RuntimeConfigRequest>,
    ) -> Answer<RuntimeConfigResponse> {
        self.run(
            "RuntimeConfig",
            request,
            |node, _| Ok(node.runtime_config()),
        )
        .await
    }

    async fn update_pod_sandbox_resources(
        &self,
        request: Request<UpdatePodSandboxResourcesRequest>,
    ) -> Answer<UpdatePodSandboxResourcesResponse> {
        self.run(
            "UpdatePodSandboxResources",
            request,
            Node::update_pod_sandbox_resources,
        )
        .await
    }
}

/// Events until the daemon stops, or the listener was too slow.
fn stream_of(listener: Listener) -> impl Stream<Item = Result<ContainerEventResponse, Status>> {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        let mut listener = listener;
        loop {
            let next = tokio::select! {
                next = listener.next() => next,
                // The client is gone.
                () = sender.closed() => return,
            };
            let Some(next) = next else { return };
            if sender.send(next).await.is_err() {
                return;
            }
        }
    });
    tokio_stream::wrappers::ReceiverStream::new(receiver)
        .map(|event| event.map_err(|lost: Lost| Status::data_loss(lost.to_string())))
}
