//! A client of the daemon's socket, for the command line: calls block.

use std::path::{Path, PathBuf};

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::proto::image_service_client::ImageServiceClient;
use crate::proto::runtime_service_client::RuntimeServiceClient;
use crate::proto::{
    Container, ContainerStatus, ContainerStatusRequest, ImageFsInfoRequest, ImageFsInfoResponse,
    ListContainersRequest, ListPodSandboxRequest, PodSandbox, StatusRequest, StatusResponse,
};

/// Why the daemon gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("cannot reach the daemon at {}; is `unikiln serve` running, and are you root?", path.display())]
    Connect {
        /// Where.
        path: PathBuf,
        /// What the transport said.
        source: tonic::transport::Error,
    },
    /// No runtime for the client itself.
    #[error("cannot start a client")]
    Start(#[source] std::io::Error),
    /// The daemon refused.
    #[error("the daemon: {}", .0.message())]
    Refused(Status),
}

/// A connection.
#[derive(Debug)]
pub struct Client {
    runtime: tokio::runtime::Runtime,
    calls: RuntimeServiceClient<Channel>,
    images: ImageServiceClient<Channel>,
}

impl Client {
    /// Connects to a daemon's socket.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ClientError::Start)?;
        let socket = path.to_owned();
        let connector = tower::service_fn(move |_| {
            let socket = socket.clone();
            async move { Ok::<_, std::io::Error>(TokioIo::new(UnixStream::connect(socket).await?)) }
        });
        // The name is nobody's: the connector knows where to go.
        let endpoint = Endpoint::from_static("http://unikiln");
        let channel = runtime
            .block_on(endpoint.connect_with_connector(connector))
            .map_err(|source| ClientError::Connect {
                path: path.to_owned(),
                source,
            })?;
        Ok(Self {
            runtime,
            calls: RuntimeServiceClient::new(channel.clone()),
            images: ImageServiceClient::new(channel),
        })
    }

    /// All containers.
    pub fn containers(&mut self) -> Result<Vec<Container>, ClientError> {
        let call = self.calls.list_containers(ListContainersRequest::default());
        Ok(answer(self.runtime.block_on(call))?.containers)
    }

    /// All pods.
    pub fn pods(&mut self) -> Result<Vec<PodSandbox>, ClientError> {
        let call = self
            .calls
            .list_pod_sandbox(ListPodSandboxRequest::default());
        Ok(answer(self.runtime.block_on(call))?.items)
    }

    /// One container, and what a verbose answer has in JSON.
    pub fn container(&mut self, id: &str) -> Result<(ContainerStatus, String), ClientError> {
        let request = ContainerStatusRequest {
            container_id: id.to_owned(),
            verbose: true,
        };
        let answer = answer(self.runtime.block_on(self.calls.container_status(request)))?;
        let info = answer.info.get("info").cloned().unwrap_or_default();
        Ok((answer.status.unwrap_or_default(), info))
    }

    /// The daemon's state.
    pub fn status(&mut self) -> Result<StatusResponse, ClientError> {
        let request = Request::new(StatusRequest { verbose: true });
        answer(self.runtime.block_on(self.calls.status(request)))
    }

    /// The disk that images use.
    pub fn image_fs_info(&mut self) -> Result<ImageFsInfoResponse, ClientError> {
        let call = self.images.image_fs_info(ImageFsInfoRequest {});
        answer(self.runtime.block_on(call))
    }
}

fn answer<T>(answer: Result<tonic::Response<T>, Status>) -> Result<T, ClientError> {
    answer
        .map(tonic::Response::into_inner)
        .map_err(ClientError::Refused)
}
