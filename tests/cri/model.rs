//! Random calls of 16 clients against a model of the API. Each client has pods of its own and
//! knows what every answer must be; all of them also ask for one pod that they share.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use libtest_mimic::Trial;
use tonic::{Code, Status};
use unikiln_daemon::proto::{self, ContainerState, PodSandboxState};

use crate::leaks::{self, Snapshot};
use crate::node::Node;
use crate::one;
use crate::pod::{Container, ContainerPlan, Handler, Pod, PodPlan};
use crate::random::{Random, count};

const CLIENTS: u64 = 16;
/// Pods of a client, and containers of a pod, at most.
const PODS: usize = 2;
const CONTAINERS: usize = 2;

pub fn trials() -> Vec<Trial> {
    one(
        "model::random_calls_of_16_clients",
        random_calls_of_16_clients,
    )
}

/// A pod as it must be.
struct PodModel<'a> {
    plan: PodPlan<'a>,
    id: String,
    ready: bool,
    containers: Vec<ContainerModel>,
}

/// A container as it must be.
struct ContainerModel {
    config: proto::ContainerConfig,
    id: String,
    state: ContainerState,
    /// Once it has ended.
    exit_code: i32,
}

fn random_calls_of_16_clients() {
    let node = Node::start();
    node.pull("all");
    let before = Snapshot::take(&node);
    let files = leaks::open_files(&node);
    let calls = count("UNIKILN_CRI_CALLS", 60);
    let shared = node.pod(Handler::Unikiln);
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (node, shared) = (&node, &shared);
            scope.spawn(move || {
                let mut model = Model {
                    node,
                    client: client.to_string(),
                    random: Random::new(100 + client),
                    pods: Vec::new(),
                    story: Vec::new(),
                };
                model.run(calls, shared);
            });
        }
    });
    node.clear();
    before.assert_back(&node);
    leaks::assert_open_files(&node, files);
}

struct Model<'a> {
    node: &'a Node,
    /// The label of all that is this client's.
    client: String,
    random: Random,
    pods: Vec<PodModel<'a>>,
    /// What was asked, for a failure's message.
    story: Vec<String>,
}

impl Drop for Model<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("client {}:\n{}", self.client, self.story.join("\n"));
        }
    }
}

impl<'a> Model<'a> {
    fn run(&mut self, calls: u64, shared: &PodPlan<'a>) {
        let mut shared_id = None;
        for _ in 0..calls {
            match self.random.below(16) {
                0..=2 => self.run_pod(),
                3..=5 => self.create(),
                6..=7 => self.start(),
                8 => self.stop_container(),
                9 => self.remove_container(),
                10 => self.stop_pod(),
                11 => self.remove_pod(),
                12..=13 => self.same_again(),
                14 => self.wait(),
                _ => {
                    let id = shared.run().id;
                    let known = shared_id.get_or_insert_with(|| id.clone());
                    assert_eq!(*known, id, "one request, two pods");
                }
            }
            self.check();
        }
        while !self.pods.is_empty() {
            self.remove_pod();
            self.check();
        }
    }

    fn told(&mut self, what: &str, id: &str) {
        self.story.push(format!("{what} {id}"));
    }

    fn pod(&mut self) -> Option<usize> {
        let count = self.pods.len() as u64;
        (count > 0).then(|| self.random.below(count) as usize)
    }

    /// A container of any pod, by place.
    fn container(&mut self) -> Option<(usize, usize)> {
        let pod = self.pod()?;
        let count = self.pods[pod].containers.len() as u64;
        (count > 0).then(|| (pod, self.random.below(count) as usize))
    }

    fn run_pod(&mut self) {
        if self.pods.len() == PODS {
            return;
        }
        let handler = if self.random.below(5) == 0 {
            Handler::Runc
        } else {
            Handler::Unikiln
        };
        let client = self.client.clone();
        let plan = self.node.pod(handler).with(|config| {
            config.labels.insert("client".to_owned(), client);
        });
        let id = plan.run().id;
        self.told("run pod", &id);
        self.pods.push(PodModel {
            plan,
            id,
            ready: true,
            containers: Vec::new(),
        });
    }

    /// The pod as a story has it.
    fn real(&self, pod: usize) -> Pod<'a> {
        Pod {
            node: self.node,
            id: self.pods[pod].id.clone(),
            config: self.pods[pod].plan.config.clone(),
        }
    }

    fn real_container(&self, (pod, container): (usize, usize)) -> Container<'a> {
        let model = &self.pods[pod].containers[container];
        let logs = std::path::Path::new(&self.pods[pod].plan.config.log_directory);
        Container {
            node: self.node,
            id: model.id.clone(),
            log: logs.join(&model.config.log_path),
        }
    }

    fn create(&mut self) {
        let Some(pod) = self.pod() else {
            return;
        };
        if self.pods[pod].containers.len() == CONTAINERS {
            return;
        }
        let real = self.real(pod);
        let code = self.random.below(4).to_string();
        // Half of them run until they are stopped.
        let command: &[&str] = if self.random.below(2) == 0 {
            &["/bin/sleeper"]
        } else {
            &["/bin/ends", "exit", &code]
        };
        let client = self.client.clone();
        let plan = real.container(command).with(|config| {
            config.labels.insert("client".to_owned(), client);
        });
        let answer = plan.try_create();
        self.told("create in", &real.id);
        if !self.pods[pod].ready {
            return refused(answer.map(drop), Code::FailedPrecondition);
        }
        let id = answer.expect("it is created").id;
        self.told("created", &id);
        self.pods[pod].containers.push(ContainerModel {
            config: plan.config.clone(),
            id,
            state: ContainerState::ContainerCreated,
            exit_code: 0,
        });
    }

    fn start(&mut self) {
        let Some(at) = self.container() else {
            return;
        };
        let real = self.real_container(at);
        self.told("start", &real.id);
        let answer = real.try_start();
        let model = &mut self.pods[at.0];
        let can = model.ready && model.containers[at.1].state == ContainerState::ContainerCreated;
        if !can {
            return refused(answer, Code::FailedPrecondition);
        }
        answer.expect("it starts");
        let model = &mut model.containers[at.1];
        model.state = ContainerState::ContainerRunning;
        // What the program will do, whenever it does it.
        let sleeps = model.config.command[0] == "/bin/sleeper";
        if sleeps {
            // It can be stopped with its own exit code once it listens to signals.
            real.says("ready");
        } else {
            let status = real.ends();
            let code = model.config.command[2].parse().expect("a number");
            assert_eq!(status.exit_code, code, "{status:?}");
            model.state = ContainerState::ContainerExited;
            model.exit_code = code;
        }
    }

    fn stop_container(&mut self) {
        let Some(at) = self.container() else {
            return;
        };
        let real = self.real_container(at);
        self.told("stop", &real.id);
        real.try_stop(60).expect("idempotent");
        let model = &mut self.pods[at.0].containers[at.1];
        if model.state == ContainerState::ContainerRunning {
            model.state = ContainerState::ContainerExited;
            model.exit_code = 0;
        }
    }

    fn remove_container(&mut self) {
        let Some(at) = self.container() else {
            return;
        };
        let real = self.real_container(at);
        self.told("remove", &real.id);
        real.remove();
        real.remove();
        let gone = self.node.container_status(&real.id);
        refused(gone.map(drop), Code::NotFound);
        self.pods[at.0].containers.remove(at.1);
    }

    fn stop_pod(&mut self) {
        let Some(pod) = self.pod() else {
            return;
        };
        let real = self.real(pod);
        self.told("stop pod", &real.id);
        real.stop();
        let model = &mut self.pods[pod];
        model.ready = false;
        for container in &mut model.containers {
            if container.state == ContainerState::ContainerRunning {
                container.state = ContainerState::ContainerExited;
                // Without grace, or with: as the daemon sees fit.
                container.exit_code = -1;
            }
        }
    }

    fn remove_pod(&mut self) {
        let Some(pod) = self.pod() else {
            return;
        };
        let real = self.real(pod);
        self.told("remove pod", &real.id);
        real.remove();
        refused(self.node.pod_status(&real.id).map(drop), Code::NotFound);
        self.pods.remove(pod);
    }

    /// The same requests give the same objects: a pod that is ready, a container that was not
    /// started. Else they are refused.
    fn same_again(&mut self) {
        let Some(pod) = self.pod() else {
            return;
        };
        let model = &self.pods[pod];
        if !model.ready {
            return refused(model.plan.try_run().map(drop), Code::AlreadyExists);
        }
        assert_eq!(model.plan.run().id, model.id, "another pod");
        let real = self.real(pod);
        for container in &self.pods[pod].containers {
            let plan: ContainerPlan<'_> = real.container(&[]);
            let plan = plan.with(|config| *config = container.config.clone());
            if container.state == ContainerState::ContainerCreated {
                assert_eq!(plan.create().id, container.id, "another container");
            } else {
                refused(plan.try_create().map(drop), Code::AlreadyExists);
            }
        }
    }

    fn wait(&mut self) {
        thread::sleep(Duration::from_millis(self.random.below(50)));
    }

    /// All that is this client's is as the model has it.
    fn check(&self) {
        let label = BTreeMap::from([("client".to_owned(), self.client.clone())]);
        let request = proto::ListPodSandboxRequest {
            filter: Some(proto::PodSandboxFilter {
                label_selector: label.clone(),
                ..Default::default()
            }),
        };
        let listed = self
            .node
            .client
            .list_pod_sandbox(request)
            .expect("a list")
            .items;
        let real: BTreeMap<_, _> = listed
            .into_iter()
            .map(|pod| (pod.id.clone(), pod.state() == PodSandboxState::SandboxReady))
            .collect();
        let wanted = self
            .pods
            .iter()
            .map(|pod| (pod.id.clone(), pod.ready))
            .collect();
        assert_eq!(real, wanted, "pods that are ready");
        let request = proto::ListContainersRequest {
            filter: Some(proto::ContainerFilter {
                label_selector: label,
                ..Default::default()
            }),
        };
        let listed = self
            .node
            .client
            .list_containers(request)
            .expect("a list")
            .containers;
        let real: BTreeMap<_, _> = listed
            .into_iter()
            .map(|container| (container.id.clone(), container.state()))
            .collect();
        let containers = || self.pods.iter().flat_map(|pod| &pod.containers);
        let wanted = containers().map(|container| (container.id.clone(), container.state));
        assert_eq!(real, wanted.collect());
        for container in containers() {
            let status = self
                .node
                .container_status(&container.id)
                .expect("it is there");
            assert_eq!(status.state(), container.state, "{status:?}");
            let ended = container.state == ContainerState::ContainerExited;
            if ended && container.exit_code >= 0 {
                assert_eq!(status.exit_code, container.exit_code, "{status:?}");
            }
        }
    }
}

#[track_caller]
fn refused(answer: Result<(), Status>, code: Code) {
    let error = answer.expect_err("it is refused");
    assert_eq!(error.code(), code, "{error}");
}
