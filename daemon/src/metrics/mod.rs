//! Measuring: what kubelet asks for, and what an operator's Prometheus does.
//!
//! | file | what |
//! |---|---|
//! | `cri` | ContainerStats and PodSandboxStats |
//! | `pods` | ListMetricDescriptors and ListPodSandboxMetrics |
//! | `network` | a pod's interfaces |
//! | `endpoint` | the daemon's own metrics over HTTP |
//!
//! [`Metrics`] are the daemon's own: where the time of a start goes, what calls come and how they
//! end. Each label has few values, whatever clients send.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, prometheus_text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::{Registry, Unit};

pub mod cri;
pub mod endpoint;
pub mod network;
pub mod pods;

/// A step on the way from a request to the first line of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// PullImage: blobs from the registry.
    Pull,
    /// An image becomes a unikernel.
    Convert,
    /// A pod's namespace and CNI.
    SandboxNetwork,
    /// All of RunPodSandbox.
    Sandbox,
    /// All of CreateContainer.
    Create,
    /// All of StartContainer.
    Start,
    /// From the start of a container to its first log line.
    FirstLog,
    /// All of StopContainer.
    Stop,
}

impl Phase {
    const fn name(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Convert => "convert",
            Self::SandboxNetwork => "sandbox_network",
            Self::Sandbox => "sandbox",
            Self::Create => "create",
            Self::Start => "start",
            Self::FirstLog => "first_log",
            Self::Stop => "stop",
        }
    }
}

/// How a pull ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It had been done before.
    Cached,
    /// The image cannot be run, or the registry says no.
    Refused,
    /// It went wrong.
    Failed,
}

impl Outcome {
    const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Cached => "cached",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

type Labels<const N: usize> = [(&'static str, &'static str); N];
type Histograms<const N: usize> = Family<Labels<N>, Histogram, fn() -> Histogram>;

/// The daemon's counters. Counting is cheap, and from any thread.
pub struct Metrics {
    registry: Mutex<Registry>,
    phases: Histograms<1>,
    rpcs: Family<Labels<2>, Counter>,
    rpc_times: Histograms<1>,
    exits: Family<Labels<1>, Counter>,
    pulls: Family<Labels<1>, Counter>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("unikiln");
        let phases: Histograms<1> = Family::new_with_constructor(phase_histogram);
        let rpcs = Family::default();
        let rpc_times: Histograms<1> = Family::new_with_constructor(rpc_histogram);
        let (exits, pulls) = (Family::default(), Family::default());
        registry.register_with_unit(
            "phase_duration",
            "Time of each step from a pull to a program's first line",
            Unit::Seconds,
            phases.clone(),
        );
        registry.register("rpc", "Finished calls", rpcs.clone());
        registry.register_with_unit(
            "rpc_duration",
            "Time of calls",
            Unit::Seconds,
            rpc_times.clone(),
        );
        registry.register("container_exits", "Ends of containers", exits.clone());
        registry.register("pulls", "Pulls of images", pulls.clone());
        Self {
            registry: Mutex::new(registry),
            phases,
            rpcs,
            rpc_times,
            exits,
            pulls,
        }
    }

    /// A call ended. `method` is its name or its path.
    pub fn rpc(&self, method: &str, code: tonic::Code, duration: Duration) {
        let method = known(&METHODS, method.rsplit('/').next().unwrap_or(method));
        let labels = [("method", method), ("code", code_name(code))];
        self.rpcs.get_or_create(&labels).inc();
        let seconds = duration.as_secs_f64();
        self.rpc_times
            .get_or_create(&[("method", method)])
            .observe(seconds);
    }

    /// A step was done.
    pub fn phase(&self, phase: Phase, duration: Duration) {
        let labels = [("phase", phase.name())];
        self.phases
            .get_or_create(&labels)
            .observe(duration.as_secs_f64());
    }

    /// A container ended, for a reason of [`Ended`](crate::handler::Ended).
    pub fn exit(&self, reason: &str) {
        let labels = [("reason", known(&REASONS, reason))];
        self.exits.get_or_create(&labels).inc();
    }

    /// A pull ended.
    pub fn pull(&self, outcome: Outcome) {
        self.pulls
            .get_or_create(&[("outcome", outcome.name())])
            .inc();
    }

    /// Adds a gauge, `unikiln_NAME`, that is read each time somebody looks.
    pub fn gauge(
        &self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        let gauge = Gauge {
            name,
            help,
            read: Box::new(read),
        };
        self.registry().register_collector(Box::new(gauge));
    }

    /// All of them in Prometheus's text format.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_text::encode(&mut text, &self.registry())?;
        Ok(text)
    }

    fn registry(&self) -> std::sync::MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A value that somebody else keeps.
struct Gauge {
    name: &'static str,
    help: &'static str,
    read: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl fmt::Debug for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gauge").field(&self.name).finish()
    }
}

impl Collector for Gauge {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let value = ConstGauge::new((self.read)());
        let kind: MetricType = ConstGauge::<u64>::TYPE;
        value.encode(encoder.encode_descriptor(self.name, self.help, None, kind)?)
    }
}

/// From a millisecond to half a minute: a start is tens of milliseconds, a pull is seconds.
fn phase_histogram() -> Histogram {
    Histogram::new([
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    ])
}

fn rpc_histogram() -> Histogram {
    Histogram::new([0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0])
}

/// What a label says of a value that is none of its own.
const OTHER: &str = "other";

fn known(list: &[&'static str], value: &str) -> &'static str {
    list.iter().find(|known| **known == value).unwrap_or(&OTHER)
}

const REASONS: [&str; 5] = ["Completed", "Error", "OOMKilled", "StartError", "Unknown"];

/// Every call of CRI: a client can name others, and as many as it likes.
const METHODS: [&str; 41] = [
    "Version",
    "RunPodSandbox",
    "StopPodSandbox",
    "RemovePodSandbox",
    "PodSandboxStatus",
    "ListPodSandbox",
    "StreamPodSandboxes",
    "CreateContainer",
    "StartContainer",
    "StopContainer",
    "RemoveContainer",
    "ListContainers",
    "StreamContainers",
    "ContainerStatus",
    "UpdateContainerResources",
    "ReopenContainerLog",
    "ExecSync",
    "Exec",
    "Attach",
    "PortForward",
    "ContainerStats",
    "ListContainerStats",
    "StreamContainerStats",
    "PodSandboxStats",
    "ListPodSandboxStats",
    "StreamPodSandboxStats",
    "UpdateRuntimeConfig",
    "Status",
    "CheckpointContainer",
    "GetContainerEvents",
    "ListMetricDescriptors",
    "ListPodSandboxMetrics",
    "StreamPodSandboxMetrics",
    "RuntimeConfig",
    "UpdatePodSandboxResources",
    "ListImages",
    "StreamImages",
    "ImageStatus",
    "PullImage",
    "RemoveImage",
    "ImageFsInfo",
];

const fn code_name(code: tonic::Code) -> &'static str {
    use tonic::Code;
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

#[cfg(test)]
mod tests;
