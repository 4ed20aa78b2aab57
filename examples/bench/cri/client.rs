//! kubelet's side: the same calls to either server, each timed.

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};
use unikiln_daemon::proto;
use unikiln_daemon::proto::image_service_client::ImageServiceClient;
use unikiln_daemon::proto::runtime_service_client::RuntimeServiceClient;

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a log is looked at.
const LOOK: Duration = Duration::from_micros(100);

/// Figures of a pod's life, in their order.
pub(super) const STEPS: [&str; 7] = [
    "RunPodSandbox",
    "CreateContainer",
    "StartContainer",
    "first log line, after StartContainer",
    "RunPodSandbox to first log line",
    "StopPodSandbox",
    "RemovePodSandbox",
];

/// A server and what its pods are made of.
#[derive(Clone, Debug)]
pub(super) struct Client {
    channel: Channel,
    image: String,
    logs: PathBuf,
    cgroup_parent: String,
}

/// A pod whose container has said its first line.
#[derive(Debug, Default)]
pub(super) struct Pod {
    id: String,
    /// ms of the first five of [`STEPS`].
    pub(super) figures: Vec<f64>,
}

fn runtime() -> Result<&'static Runtime> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if RUNTIME.get().is_none() {
        let built = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .context("cannot start threads")?;
        // Another thread may have been faster; its runtime is as good.
        let _ = RUNTIME.set(built);
    }
    RUNTIME.get().context("it was just set")
}

impl Client {
    /// Connects, waits until the server answers, and pulls the image.
    pub(super) fn new(socket: &Path, image: &str, logs: &Path, name: &str) -> Result<Self> {
        let _inside = runtime()?.enter();
        let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()))?;
        let client = Self {
            channel: endpoint.connect_lazy(),
            image: image.to_owned(),
            logs: logs.join(name),
            cgroup_parent: format!("/unikiln-bench-{name}-{}", std::process::id()),
        };
        let started = Instant::now();
        let mut service = client.service();
        while let Err(error) = wait(service.version(proto::VersionRequest::default())) {
            ensure!(
                started.elapsed() < PATIENCE,
                "{name} does not answer: {error}"
            );
            thread::sleep(Duration::from_millis(50));
        }
        let mut images = ImageServiceClient::new(client.channel.clone());
        let image = Some(client.image());
        let request = proto::PullImageRequest {
            image,
            ..Default::default()
        };
        wait(images.pull_image(request)).with_context(|| format!("{name} cannot pull"))?;
        Ok(client)
    }

    fn service(&self) -> RuntimeServiceClient<Channel> {
        RuntimeServiceClient::new(self.channel.clone())
    }

    fn image(&self) -> proto::ImageSpec {
        proto::ImageSpec {
            image: self.image.clone(),
            ..Default::default()
        }
    }

    /// Runs a pod to the first line of its container.
    pub(super) fn run(&self) -> Result<Pod> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = format!("pod{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let logs = self.logs.join(&name);
        fs::create_dir_all(&logs).context("cannot make a directory of logs")?;
        let config = proto::PodSandboxConfig {
            metadata: Some(proto::PodSandboxMetadata {
                uid: format!("{name}-uid"),
                namespace: "bench".to_owned(),
                attempt: 0,
                name,
            }),
            log_directory: logs.display().to_string(),
            linux: Some(proto::LinuxPodSandboxConfig {
                cgroup_parent: self.cgroup_parent.clone(),
                security_context: Some(Default::default()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let mut service = self.service();
        let mut clock = Clock::new();
        let request = proto::RunPodSandboxRequest {
            config: Some(config.clone()),
            ..Default::default()
        };
        let id = wait(service.run_pod_sandbox(request))?.pod_sandbox_id;
        clock.lap();
        let request = proto::CreateContainerRequest {
            pod_sandbox_id: id.clone(),
            config: Some(proto::ContainerConfig {
                metadata: Some(proto::ContainerMetadata {
                    name: "only".to_owned(),
                    attempt: 0,
                }),
                image: Some(self.image()),
                log_path: "only.log".to_owned(),
                linux: Some(proto::LinuxContainerConfig {
                    resources: Some(proto::LinuxContainerResources {
                        memory_limit_in_bytes: 64 << 20,
                        ..Default::default()
                    }),
                    security_context: Some(Default::default()),
                }),
                ..Default::default()
            }),
            sandbox_config: Some(config),
        };
        let container_id = wait(service.create_container(request))?.container_id;
        clock.lap();
        wait(service.start_container(proto::StartContainerRequest { container_id }))?;
        clock.lap();
        let log = logs.join("only.log");
        while fs::metadata(&log).map_or(0, |file| file.len()) == 0 {
            ensure!(
                clock.started.elapsed() < PATIENCE,
                "a container says nothing"
            );
            thread::sleep(LOOK);
        }
        clock.lap();
        let mut figures = clock.laps;
        figures.push(clock.started.elapsed().as_secs_f64() * 1e3);
        Ok(Pod { id, figures })
    }

    /// Stops and removes it; all of [`STEPS`].
    pub(super) fn end(&self, pod: Pod) -> Result<Vec<f64>> {
        let mut service = self.service();
        let mut clock = Clock::new();
        let pod_sandbox_id = pod.id.clone();
        wait(service.stop_pod_sandbox(proto::StopPodSandboxRequest { pod_sandbox_id }))?;
        clock.lap();
        let pod_sandbox_id = pod.id;
        wait(service.remove_pod_sandbox(proto::RemovePodSandboxRequest { pod_sandbox_id }))?;
        clock.lap();
        Ok([pod.figures, clock.laps].concat())
    }
}

/// Laps in ms.
struct Clock {
    started: Instant,
    last: Instant,
    laps: Vec<f64>,
}

impl Clock {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            started: now,
            last: now,
            laps: Vec::new(),
        }
    }

    fn lap(&mut self) {
        let now = Instant::now();
        self.laps.push((now - self.last).as_secs_f64() * 1e3);
        self.last = now;
    }
}

fn wait<T>(answer: impl Future<Output = Result<Response<T>, Status>>) -> Result<T> {
    let answer = async { tokio::time::timeout(PATIENCE, answer).await };
    let answer = runtime()?.block_on(answer).context("no answer in time")?;
    Ok(answer?.into_inner())
}
