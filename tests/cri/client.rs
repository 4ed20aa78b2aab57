//! The gRPC client: one blocking method for each RPC, with a deadline.

use std::future::Future;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status, Streaming};
use unikiln_daemon::proto;
use unikiln_daemon::proto::image_service_client::ImageServiceClient;
use unikiln_daemon::proto::runtime_service_client::RuntimeServiceClient;

/// Longer than any answer takes on a slow machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// What the client runs on.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime")
    })
}

/// A connection to a daemon, which comes about with the first call.
#[derive(Clone, Debug)]
pub struct Client {
    channel: Channel,
}

macro_rules! calls {
    ($service:ident { $($(#[$doc:meta])* $name:ident($request:ident) -> $response:ident;)* }) => {
        impl Client {
            $(
                pub fn $name(&self, request: proto::$request) -> Result<proto::$response, Status> {
                    let mut client = $service::new(self.channel.clone());
                    wait(async move { client.$name(request).await })
                }
            )*
        }
    };
}

calls!(RuntimeServiceClient {
    version(VersionRequest) -> VersionResponse;
    status(StatusRequest) -> StatusResponse;
    runtime_config(RuntimeConfigRequest) -> RuntimeConfigResponse;
    update_runtime_config(UpdateRuntimeConfigRequest) -> UpdateRuntimeConfigResponse;
    run_pod_sandbox(RunPodSandboxRequest) -> RunPodSandboxResponse;
    stop_pod_sandbox(StopPodSandboxRequest) -> StopPodSandboxResponse;
    remove_pod_sandbox(RemovePodSandboxRequest) -> RemovePodSandboxResponse;
    pod_sandbox_status(PodSandboxStatusRequest) -> PodSandboxStatusResponse;
    list_pod_sandbox(ListPodSandboxRequest) -> ListPodSandboxResponse;
    create_container(CreateContainerRequest) -> CreateContainerResponse;
    start_container(StartContainerRequest) -> StartContainerResponse;
    stop_container(StopContainerRequest) -> StopContainerResponse;
    remove_container(RemoveContainerRequest) -> RemoveContainerResponse;
    container_status(ContainerStatusRequest) -> ContainerStatusResponse;
    list_containers(ListContainersRequest) -> ListContainersResponse;
    update_container_resources(UpdateContainerResourcesRequest)
        -> UpdateContainerResourcesResponse;
    update_pod_sandbox_resources(UpdatePodSandboxResourcesRequest)
        -> UpdatePodSandboxResourcesResponse;
    reopen_container_log(ReopenContainerLogRequest) -> ReopenContainerLogResponse;
    exec_sync(ExecSyncRequest) -> ExecSyncResponse;
    exec(ExecRequest) -> ExecResponse;
    attach(AttachRequest) -> AttachResponse;
    port_forward(PortForwardRequest) -> PortForwardResponse;
    checkpoint_container(CheckpointContainerRequest) -> CheckpointContainerResponse;
    container_stats(ContainerStatsRequest) -> ContainerStatsResponse;
    list_container_stats(ListContainerStatsRequest) -> ListContainerStatsResponse;
    pod_sandbox_stats(PodSandboxStatsRequest) -> PodSandboxStatsResponse;
    list_pod_sandbox_stats(ListPodSandboxStatsRequest) -> ListPodSandboxStatsResponse;
    list_metric_descriptors(ListMetricDescriptorsRequest) -> ListMetricDescriptorsResponse;
    list_pod_sandbox_metrics(ListPodSandboxMetricsRequest) -> ListPodSandboxMetricsResponse;
});

calls!(ImageServiceClient {
    list_images(ListImagesRequest) -> ListImagesResponse;
    image_status(ImageStatusRequest) -> ImageStatusResponse;
    pull_image(PullImageRequest) -> PullImageResponse;
    remove_image(RemoveImageRequest) -> RemoveImageResponse;
    image_fs_info(ImageFsInfoRequest) -> ImageFsInfoResponse;
});

impl Client {
    /// A client of the daemon at `socket`.
    pub fn new(socket: &Path) -> Self {
        let _inside = runtime().enter();
        let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()));
        Self {
            channel: endpoint.expect("a path is an address").connect_lazy(),
        }
    }

    /// The RuntimeService for calls that are to be given up, or that stream.
    pub fn runtime_service(&self) -> RuntimeServiceClient<Channel> {
        RuntimeServiceClient::new(self.channel.clone())
    }

    /// The stream of events from now on.
    pub fn events(&self) -> Events {
        let mut client = self.runtime_service();
        let request = proto::GetEventsRequest {};
        let stream = wait(async move { client.get_container_events(request).await });
        Events(stream.expect("events"))
    }
}

/// See [`Client::events`].
#[derive(Debug)]
pub struct Events(Streaming<proto::ContainerEventResponse>);

impl Events {
    /// The next one; none where the stream ends.
    pub fn next(&mut self) -> Option<proto::ContainerEventResponse> {
        let next = async { tokio::time::timeout(PATIENCE, self.0.message()).await };
        let next = runtime().block_on(next);
        next.expect("an event comes in time").expect("no error")
    }
}

/// Waits for an answer, or for the end of patience.
fn wait<T>(answer: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Status> {
    let answer = async { tokio::time::timeout(PATIENCE, answer).await };
    match runtime().block_on(answer) {
        Ok(answer) => answer.map(Response::into_inner),
        Err(_) => panic!("no answer after {PATIENCE:?}"),
    }
}
