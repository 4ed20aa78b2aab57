//! Pods and containers as a story tells them:
//!
//! ```ignore
//! let pod = node.pod(Handler::Unikiln).run();
//! let server = pod.container(&["/bin/serve", "80", "words"]).start();
//! server.says("listening");
//! assert_eq!(server.stop(5).exit_code, 0);
//! ```

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use tonic::Status;
use unikiln_daemon::proto::{self, ContainerConfig, ContainerState, PodSandboxConfig};

use crate::client::PATIENCE;
use crate::common::unique;
use crate::log;
use crate::node::{Node, image};

/// How a pod's containers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handler {
    /// As unikernels.
    Unikiln,
    /// Under runc.
    Runc,
}

impl Handler {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Unikiln, Self::Runc];

    /// The name in a RuntimeClass.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unikiln => "unikiln",
            Self::Runc => "runc",
        }
    }
}

/// A pod that is not there yet; its configuration may be changed first.
#[derive(Clone, Debug)]
pub struct PodPlan<'a> {
    node: &'a Node,
    handler: Handler,
    /// What RunPodSandbox is given.
    pub config: PodSandboxConfig,
}

/// A pod.
#[derive(Clone, Debug)]
pub struct Pod<'a> {
    pub node: &'a Node,
    pub id: String,
    pub config: PodSandboxConfig,
}

/// A container that is not there yet.
#[derive(Clone, Debug)]
pub struct ContainerPlan<'a> {
    pod: &'a Pod<'a>,
    pub config: ContainerConfig,
}

/// A container.
#[derive(Clone, Debug)]
pub struct Container<'a> {
    pub node: &'a Node,
    pub id: String,
    pub log: PathBuf,
}

impl Node {
    /// A pod with a name that no other has.
    pub fn pod(&self, handler: Handler) -> PodPlan<'_> {
        let name = format!("pod-{}", unique());
        let logs = self.path("logs").join(&name);
        let logs = logs.to_str().expect("UTF-8").to_owned();
        PodPlan {
            node: self,
            handler,
            config: PodSandboxConfig {
                metadata: Some(proto::PodSandboxMetadata {
                    uid: format!("{name}-uid"),
                    namespace: "tests".to_owned(),
                    attempt: 0,
                    name,
                }),
                hostname: "potter".to_owned(),
                log_directory: logs,
                linux: Some(proto::LinuxPodSandboxConfig {
                    cgroup_parent: self.cgroup_parent.clone(),
                    security_context: Some(proto::LinuxSandboxSecurityContext::default()),
                    ..Default::default()
                }),
                ..Default::default()
            },
        }
    }

    /// The status of a pod.
    pub fn pod_status(&self, id: &str) -> Result<proto::PodSandboxStatus, Status> {
        let request = proto::PodSandboxStatusRequest {
            pod_sandbox_id: id.to_owned(),
            verbose: false,
        };
        let answer = self.client.pod_sandbox_status(request)?;
        Ok(answer.status.expect("an answer has a status"))
    }

    /// The status of a container.
    pub fn container_status(&self, id: &str) -> Result<proto::ContainerStatus, Status> {
        let request = proto::ContainerStatusRequest {
            container_id: id.to_owned(),
            verbose: false,
        };
        let answer = self.client.container_status(request)?;
        Ok(answer.status.expect("an answer has a status"))
    }
}

impl<'a> PodPlan<'a> {
    /// Changes the configuration.
    pub fn with(mut self, change: impl FnOnce(&mut PodSandboxConfig)) -> Self {
        change(&mut self.config);
        self
    }

    /// The request.
    pub fn request(&self) -> proto::RunPodSandboxRequest {
        proto::RunPodSandboxRequest {
            config: Some(self.config.clone()),
            runtime_handler: self.handler.name().to_owned(),
        }
    }

    /// Runs it, or says why not.
    pub fn try_run(&self) -> Result<Pod<'a>, Status> {
        let answer = self.node.client.run_pod_sandbox(self.request())?;
        Ok(Pod {
            node: self.node,
            id: answer.pod_sandbox_id,
            config: self.config.clone(),
        })
    }

    /// Runs it.
    pub fn run(&self) -> Pod<'a> {
        self.try_run().expect("the pod runs")
    }
}

impl<'a> Pod<'a> {
    /// A container of the pod that runs this command of the test's image.
    pub fn container(&'a self, command: &[&str]) -> ContainerPlan<'a> {
        self.of_image("all", command)
    }

    /// The same of another tag. An empty command is the image's.
    pub fn of_image(&'a self, tag: &str, command: &[&str]) -> ContainerPlan<'a> {
        let name = format!("container-{}", unique());
        ContainerPlan {
            pod: self,
            config: ContainerConfig {
                log_path: format!("{name}.log"),
                metadata: Some(proto::ContainerMetadata { name, attempt: 0 }),
                image: Some(image(tag)),
                command: command.iter().map(|&word| word.to_owned()).collect(),
                linux: Some(proto::LinuxContainerConfig {
                    resources: Some(proto::LinuxContainerResources {
                        memory_limit_in_bytes: 64 << 20,
                        ..Default::default()
                    }),
                    security_context: Some(Default::default()),
                }),
                ..Default::default()
            },
        }
    }

    /// Its status.
    pub fn status(&self) -> proto::PodSandboxStatus {
        self.node.pod_status(&self.id).expect("it is there")
    }

    /// Its address.
    pub fn ip(&self) -> String {
        self.status().network.expect("a network").ip
    }

    pub fn try_stop(&self) -> Result<(), Status> {
        let pod_sandbox_id = self.id.clone();
        let request = proto::StopPodSandboxRequest { pod_sandbox_id };
        self.node.client.stop_pod_sandbox(request).map(drop)
    }

    pub fn try_remove(&self) -> Result<(), Status> {
        let pod_sandbox_id = self.id.clone();
        let request = proto::RemovePodSandboxRequest { pod_sandbox_id };
        self.node.client.remove_pod_sandbox(request).map(drop)
    }

    pub fn stop(&self) {
        self.try_stop().expect("the pod stops");
    }

    pub fn remove(&self) {
        self.try_remove().expect("the pod is removed");
    }
}

impl<'a> ContainerPlan<'a> {
    /// Changes the configuration.
    pub fn with(mut self, change: impl FnOnce(&mut ContainerConfig)) -> Self {
        change(&mut self.config);
        self
    }

    /// With something of the host at a place.
    pub fn mount(self, host: &std::path::Path, place: &str, readonly: bool) -> Self {
        self.with(|config| {
            config.mounts.push(proto::Mount {
                container_path: place.to_owned(),
                host_path: host.to_str().expect("UTF-8").to_owned(),
                readonly,
                ..Default::default()
            });
        })
    }

    /// The request.
    pub fn request(&self) -> proto::CreateContainerRequest {
        proto::CreateContainerRequest {
            pod_sandbox_id: self.pod.id.clone(),
            config: Some(self.config.clone()),
            sandbox_config: Some(self.pod.config.clone()),
        }
    }

    /// Creates it, or says why not.
    pub fn try_create(&self) -> Result<Container<'a>, Status> {
        let node = self.pod.node;
        let answer = node.client.create_container(self.request())?;
        let directory = PathBuf::from(&self.pod.config.log_directory);
        Ok(Container {
            node,
            id: answer.container_id,
            log: directory.join(&self.config.log_path),
        })
    }

    /// Creates it.
    pub fn create(&self) -> Container<'a> {
        self.try_create().expect("the container is created")
    }

    /// Creates and starts it.
    pub fn start(&self) -> Container<'a> {
        let container = self.create();
        container.start();
        container
    }
}

impl Container<'_> {
    pub fn try_start(&self) -> Result<(), Status> {
        let container_id = self.id.clone();
        let request = proto::StartContainerRequest { container_id };
        self.node.client.start_container(request).map(drop)
    }

    pub fn start(&self) {
        self.try_start().expect("the container starts");
    }

    pub fn try_stop(&self, timeout: i64) -> Result<(), Status> {
        let container_id = self.id.clone();
        let request = proto::StopContainerRequest {
            container_id,
            timeout,
        };
        self.node.client.stop_container(request).map(drop)
    }

    /// Stops it; its status then.
    pub fn stop(&self, timeout: i64) -> proto::ContainerStatus {
        self.try_stop(timeout).expect("the container stops");
        self.status()
    }

    pub fn try_remove(&self) -> Result<(), Status> {
        let container_id = self.id.clone();
        let request = proto::RemoveContainerRequest { container_id };
        self.node.client.remove_container(request).map(drop)
    }

    pub fn remove(&self) {
        self.try_remove().expect("the container is removed");
    }

    /// Its status.
    pub fn status(&self) -> proto::ContainerStatus {
        self.node.container_status(&self.id).expect("it is there")
    }

    /// Waits until its program has ended.
    pub fn ends(&self) -> proto::ContainerStatus {
        let since = Instant::now();
        loop {
            let status = self.status();
            if status.state() == ContainerState::ContainerExited {
                return status;
            }
            let story = self.story();
            assert!(
                since.elapsed() < PATIENCE,
                "{status:?} does not end\n{story}"
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until a line of its log is this.
    pub fn says(&self, line: &str) {
        let since = Instant::now();
        while !self.log.exists() || !log::read(&self.log).iter().any(|entry| entry.text == line) {
            let story = self.story();
            assert!(since.elapsed() < PATIENCE, "no line {line:?}\n{story}");
            let state = self.status().state();
            let over = state == ContainerState::ContainerExited
                && !log::read(&self.log).iter().any(|entry| entry.text == line);
            assert!(!over, "it ended without the line {line:?}\n{story}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The whole lines of its log, both streams.
    pub fn lines(&self) -> Vec<String> {
        let entries = log::read(&self.log).into_iter();
        entries.map(|entry| entry.text).collect()
    }

    /// Waits for its end; its lines. The exit code must be 0.
    pub fn output(&self) -> Vec<String> {
        let status = self.ends();
        assert_eq!(status.exit_code, 0, "{status:?}\n{}", self.story());
        self.lines()
    }

    /// Its log and its status, for messages.
    pub fn story(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_else(|error| error.to_string());
        let from = log.ceil_char_boundary(log.len().saturating_sub(4000));
        let status = self.node.container_status(&self.id);
        format!(
            "--- log of {} ---\n{}\n--- {status:?}",
            self.id,
            &log[from..]
        )
    }
}

/// The lines have all of these.
#[track_caller]
pub fn assert_lines(lines: &[String], wanted: &[&str]) {
    for line in wanted {
        assert!(
            lines.iter().any(|it| it == line),
            "no {line:?} in {lines:#?}"
        );
    }
}
