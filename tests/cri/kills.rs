//! The daemon is killed at random points, two hundred times, while pods come and go. Each
//! time it finds again all that it had answered for, and its guests notice nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use libtest_mimic::Trial;
use tonic::{Code, Status};
use unikiln_daemon::proto::{self, ContainerState, PodSandboxState};

use crate::client::Client;
use crate::leaks::{self, Snapshot};
use crate::logs::numbers;
use crate::node::Node;
use crate::one;
use crate::pod::{Container, Handler};
use crate::random::{Random, count};
use crate::{log, node};

/// Clients that make pods come and go.
const CLIENTS: u64 = 4;
/// The longest that a daemon lives.
const LIFE_MS: u64 = 400;

pub fn trials() -> Vec<Trial> {
    one("kills::two_hundred_kills", two_hundred_kills)
}

/// What the daemon has answered for, and must know after each kill. An entry is taken out
/// before anything is asked that could change it.
#[derive(Debug, Default)]
struct Known {
    /// Pods that are ready.
    pods: BTreeMap<String, ()>,
    /// Containers that have ended, with their exit codes.
    ended: BTreeMap<String, i32>,
}

type Ledger = Mutex<Known>;

fn two_hundred_kills() {
    let mut node = Node::start();
    node.pull("all");
    let before = Snapshot::take(&node);
    let files = leaks::open_files(&node);
    let witnesses = Handler::ALL.map(|handler| witness(&node, handler));
    let ledger = Ledger::default();
    let over = AtomicBool::new(false);
    let kills = count("UNIKILN_CRI_KILLS", 200);
    let plans = Plans::new(&node);
    thread::scope(|scope| {
        // However this ends, the clients must.
        let _end = EndOnDrop(&over);
        for client in 0..CLIENTS {
            let (plans, ledger, over) = (&plans, &ledger, &over);
            scope.spawn(move || work(plans, client, ledger, over));
        }
        let mut random = Random::new(1000);
        for kill in 0..kills {
            thread::sleep(Duration::from_millis(random.below(LIFE_MS)));
            node.kill();
            node.start_again();
            check(&node, &ledger, &witnesses, kill);
        }
    });
    for witness in &witnesses {
        let container = Container {
            node: &node,
            id: witness.container.clone(),
            log: witness.log.clone(),
        };
        assert_eq!(container.status().state(), ContainerState::ContainerRunning);
        container.try_stop(0).expect("it stops");
        let entries = log::read(&witness.log);
        let counted = numbers(&entries);
        let wanted: Vec<_> = (0..counted.len() as u64).collect();
        // Nothing is missing but what the kill at the end cut off, and nothing is twice.
        let last = counted.len().saturating_sub(3);
        assert_eq!(
            counted[..last],
            wanted[..last],
            "a gap in {}",
            witness.log.display()
        );
        assert!(counted.len() > 100, "{} lines", counted.len());
    }
    // Half-made ones among them.
    let all = node
        .client
        .list_pod_sandbox(Default::default())
        .expect("a list")
        .items;
    for pod in all {
        let pod_sandbox_id = pod.id;
        let request = proto::RemovePodSandboxRequest { pod_sandbox_id };
        node.client
            .remove_pod_sandbox(request)
            .expect("it can be removed");
    }
    before.assert_back(&node);
    leaks::assert_open_files(&node, files);
    assert!(!node.path("state/damaged").exists(), "records were damaged");
}

struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A guest that counts all the time.
#[derive(Debug)]
struct Witness {
    pod: String,
    container: String,
    log: PathBuf,
}

fn witness(node: &Node, handler: Handler) -> Witness {
    let pod = node.pod(handler).run();
    let container = pod.container(&["/bin/count", "0", "20000"]).start();
    container.says("line 3");
    Witness {
        pod: pod.id.clone(),
        container: container.id,
        log: container.log,
    }
}

/// All that the daemon has answered for is there.
fn check(node: &Node, ledger: &Ledger, witnesses: &[Witness], kill: u64) {
    let locked = || ledger.lock().unwrap_or_else(PoisonError::into_inner);
    let pods_before: Vec<_> = locked().pods.keys().cloned().collect();
    let ended_before = locked().ended.clone();
    let listed = node
        .client
        .list_pod_sandbox(Default::default())
        .expect("a list")
        .items;
    let ready: BTreeMap<_, _> = listed
        .into_iter()
        .map(|pod| (pod.id.clone(), pod))
        .collect();
    let containers = node
        .client
        .list_containers(Default::default())
        .expect("a list");
    let containers = containers.containers;
    let statuses: BTreeMap<_, _> = ended_before
        .keys()
        .map(|id| (id.clone(), node.container_status(id)))
        .collect();
    // What a client asked for in the meantime does not count.
    let known = locked();
    for id in pods_before.iter().filter(|&id| known.pods.contains_key(id)) {
        let pod = ready.get(id);
        let pod = pod.unwrap_or_else(|| panic!("kill {kill}: pod {id} is lost"));
        assert_eq!(
            pod.state(),
            PodSandboxState::SandboxReady,
            "kill {kill}: {pod:?}"
        );
    }
    for (id, code) in ended_before
        .iter()
        .filter(|(id, _)| known.ended.contains_key(*id))
    {
        let status = statuses[id].as_ref();
        let status = status.unwrap_or_else(|error| panic!("kill {kill}: {id}: {error}"));
        assert_eq!(
            status.state(),
            ContainerState::ContainerExited,
            "kill {kill}: {id}"
        );
        assert_eq!(status.exit_code, *code, "kill {kill}: {status:?}");
    }
    drop(known);
    for witness in witnesses {
        assert_eq!(ready[&witness.pod].state(), PodSandboxState::SandboxReady);
        let found = containers.iter().find(|it| it.id == witness.container);
        let found = found.unwrap_or_else(|| panic!("kill {kill}: {witness:?} is lost"));
        assert_eq!(
            found.state(),
            ContainerState::ContainerRunning,
            "kill {kill}"
        );
    }
}

/// What clients ask for; the node itself is the killer's.
struct Plans {
    socket: PathBuf,
    logs: PathBuf,
    cgroup_parent: String,
}

impl Plans {
    fn new(node: &Node) -> Self {
        Self {
            socket: node::socket(node.number),
            logs: node.path("logs"),
            cgroup_parent: node.cgroup_parent.clone(),
        }
    }

    fn pod(&self, name: &str) -> proto::PodSandboxConfig {
        proto::PodSandboxConfig {
            metadata: Some(proto::PodSandboxMetadata {
                name: name.to_owned(),
                uid: format!("{name}-uid"),
                namespace: "kills".to_owned(),
                attempt: 0,
            }),
            log_directory: self.logs.join(name).display().to_string(),
            linux: Some(proto::LinuxPodSandboxConfig {
                cgroup_parent: self.cgroup_parent.clone(),
                ..Default::default()
            }),
            ..Default::default()
        }
    }
}

/// Asks until there is an answer, as kubelet does: a daemon that was killed comes again.
fn insist<T>(over: &AtomicBool, mut ask: impl FnMut() -> Result<T, Status>) -> Option<T> {
    loop {
        match ask() {
            Ok(answer) => return Some(answer),
            Err(error) => {
                let killed = [Code::Unavailable, Code::Unknown, Code::Cancelled];
                assert!(killed.contains(&error.code()), "{error:?}");
            }
        }
        if over.load(Ordering::Relaxed) {
            return None;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Pods come and go until it is over.
fn work(plans: &Plans, client: u64, ledger: &Ledger, over: &AtomicBool) {
    let mut random = Random::new(client);
    let mut number = 0;
    while !over.load(Ordering::Relaxed) {
        number += 1;
        let name = format!("c{client}-{number}");
        if life(plans, &name, &mut random, ledger, over).is_none() {
            return;
        }
        // Nobody reads them.
        let _ = fs::remove_dir_all(plans.logs.join(&name));
    }
}

fn life(
    plans: &Plans,
    name: &str,
    random: &mut Random,
    ledger: &Ledger,
    over: &AtomicBool,
) -> Option<()> {
    let locked = || ledger.lock().unwrap_or_else(PoisonError::into_inner);
    let client = Client::new(&plans.socket);
    let config = plans.pod(name);
    let handler = if random.below(4) == 0 {
        Handler::Runc
    } else {
        Handler::Unikiln
    };
    // The same request again gives the same pod: that is what makes retries safe.
    let pod = insist(over, || {
        client.run_pod_sandbox(proto::RunPodSandboxRequest {
            config: Some(config.clone()),
            runtime_handler: handler.name().to_owned(),
        })
    })?;
    let pod = pod.pod_sandbox_id;
    locked().pods.insert(pod.clone(), ());
    let code = random.below(5) as i32;
    let container = insist(over, || {
        client.create_container(proto::CreateContainerRequest {
            pod_sandbox_id: pod.clone(),
            config: Some(proto::ContainerConfig {
                metadata: Some(proto::ContainerMetadata {
                    name: "only".to_owned(),
                    attempt: 0,
                }),
                image: Some(node::image("all")),
                command: ["/bin/ends", "exit", &code.to_string()]
                    .map(str::to_owned)
                    .into(),
                log_path: "only.log".to_owned(),
                ..Default::default()
            }),
            sandbox_config: Some(config.clone()),
        })
    })?;
    let container = container.container_id;
    let mut tries = 0;
    insist(over, || {
        let container_id = container.clone();
        let answer = client.start_container(proto::StartContainerRequest { container_id });
        tries += 1;
        match answer {
            // The daemon that was killed had started it.
            Err(error) if tries > 1 && error.code() == Code::FailedPrecondition => Ok(()),
            other => other.map(drop),
        }
    })?;
    let status = loop {
        let status = insist(over, || {
            client.container_status(proto::ContainerStatusRequest {
                container_id: container.clone(),
                verbose: false,
            })
        })?;
        let status = status.status.expect("a status");
        if status.state() == ContainerState::ContainerExited {
            break status;
        }
        if over.load(Ordering::Relaxed) {
            return None;
        }
        thread::sleep(Duration::from_millis(10));
    };
    // A kill in the midst of its start may have undone that; else it is the program's own.
    let undone = tries > 1 && ["StartError", "Unknown"].contains(&status.reason.as_str());
    assert!(status.exit_code == code || undone, "{code}: {status:?}");
    locked().ended.insert(container.clone(), status.exit_code);
    thread::sleep(Duration::from_millis(random.below(200)));
    locked().ended.remove(&container);
    locked().pods.remove(&pod);
    insist(over, || {
        let pod_sandbox_id = pod.clone();
        client.stop_pod_sandbox(proto::StopPodSandboxRequest { pod_sandbox_id })
    })?;
    insist(over, || {
        let pod_sandbox_id = pod.clone();
        client.remove_pod_sandbox(proto::RemovePodSandboxRequest { pod_sandbox_id })
    })?;
    Some(())
}
