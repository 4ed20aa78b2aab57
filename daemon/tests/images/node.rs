//! A node: images in a temporary directory, their service on a Unix socket, a client.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::Status;
use tonic::transport::{Channel, Endpoint, Server};
use unikiln_builder::Store;
use unikiln_daemon::image::Images;
use unikiln_daemon::proto::image_service_client::ImageServiceClient;
use unikiln_daemon::proto::{
    AuthConfig, Image, ImageFilter, ImageFsInfoRequest, ImageFsInfoResponse, ImageSpec,
    ImageStatusRequest, ImageStatusResponse, ListImagesRequest, PullImageRequest,
    RemoveImageRequest, StreamImagesRequest,
};
use unikiln_daemon::service;

/// A handler that runs no unikernels: what is pulled for it is not converted.
pub const OTHER_HANDLER: &str = "runc";

pub struct Node {
    pub runtime: Runtime,
    pub images: Arc<Images>,
    directory: tempfile::TempDir,
}

/// A pod's way of naming an image, for handlers that do not run unikernels.
pub fn spec(name: &str) -> ImageSpec {
    ImageSpec {
        image: name.to_owned(),
        runtime_handler: OTHER_HANDLER.to_owned(),
        ..ImageSpec::default()
    }
}

impl Node {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let root = directory.path().join("root");
        std::fs::create_dir_all(root.join("state/containers")).expect("a directory");
        let config = directory.path().join("registries.d");
        let images = Images::open(&root, Some(&config)).expect("images");
        let node = Self {
            images: Arc::new(images),
            runtime,
            directory,
        };
        let images = Arc::clone(&node.images);
        let service = service::image_calls(images, Arc::default(), node.containers());
        let socket = node.socket();
        node.runtime.block_on(async move {
            let listener = UnixListener::bind(socket).expect("a socket");
            let server = Server::builder().add_service(service);
            tokio::spawn(server.serve_with_incoming(UnixListenerStream::new(listener)));
        });
        node
    }

    pub fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    pub fn containers(&self) -> PathBuf {
        self.root().join("state/containers")
    }

    /// The store as the command line opens it.
    pub fn store(&self) -> Store {
        Store::open(self.root()).expect("a store")
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    /// A client with a connection of its own.
    pub fn client(&self) -> ImageServiceClient<Channel> {
        connect(&self.runtime, &self.socket())
    }

    /// Writes the `hosts.toml` of a registry.
    pub fn hosts(&self, registry: &str, text: &str) {
        let name = match registry.split_once(':') {
            Some((host, port)) => format!("{host}_{port}_"),
            None => registry.to_owned(),
        };
        let directory = self.directory.path().join("registries.d").join(name);
        std::fs::create_dir_all(&directory).expect("a directory");
        std::fs::write(directory.join("hosts.toml"), text).expect("a file");
    }

    pub fn pull_as(&self, spec: ImageSpec, auth: Option<AuthConfig>) -> Result<String, Status> {
        let request = PullImageRequest {
            image: Some(spec),
            auth,
            sandbox_config: None,
        };
        let response = self.runtime.block_on(self.client().pull_image(request));
        Ok(response?.into_inner().image_ref)
    }

    /// Pulls what must come; its id.
    #[track_caller]
    pub fn pull(&self, name: &str) -> String {
        self.pull_as(spec(name), None).expect(name)
    }

    /// Pulls what must be refused.
    #[track_caller]
    pub fn refused(&self, name: &str) -> Status {
        self.pull_as(spec(name), None).expect_err(name)
    }

    pub fn list(&self, filter: &str) -> Vec<Image> {
        let filter = ImageFilter {
            image: Some(spec(filter)),
        };
        let request = ListImagesRequest {
            filter: Some(filter.clone()),
        };
        let mut client = self.client();
        self.runtime.block_on(async {
            let listed = client.list_images(request).await.expect("a list");
            let listed = listed.into_inner().images;
            let request = StreamImagesRequest {
                filter: Some(filter),
            };
            let stream = client.stream_images(request).await.expect("a stream");
            let mut stream = stream.into_inner();
            let mut streamed = Vec::new();
            while let Some(message) = stream.message().await.expect("a message") {
                streamed.extend(message.images);
            }
            assert_eq!(streamed, listed);
            listed
        })
    }

    pub fn try_status(&self, name: &str, verbose: bool) -> Result<ImageStatusResponse, Status> {
        let request = ImageStatusRequest {
            image: Some(spec(name)),
            verbose,
        };
        let response = self.runtime.block_on(self.client().image_status(request));
        response.map(tonic::Response::into_inner)
    }

    pub fn status(&self, name: &str) -> Option<Image> {
        self.try_status(name, false).expect(name).image
    }

    #[track_caller]
    pub fn remove(&self, name: &str) {
        let request = RemoveImageRequest {
            image: Some(spec(name)),
        };
        let response = self.runtime.block_on(self.client().remove_image(request));
        response.expect(name);
    }

    pub fn filesystems(&self) -> ImageFsInfoResponse {
        let request = ImageFsInfoRequest {};
        let response = self.runtime.block_on(self.client().image_fs_info(request));
        response.expect("an answer").into_inner()
    }
}

fn connect(runtime: &Runtime, socket: &Path) -> ImageServiceClient<Channel> {
    runtime.block_on(async {
        let uri = format!("unix://{}", socket.display());
        let endpoint = Endpoint::from_shared(uri).expect("an address");
        let channel = endpoint.connect().await.expect("a connection");
        ImageServiceClient::new(channel)
    })
}
