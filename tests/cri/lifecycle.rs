//! Pods and containers from their start to their removal.

use libtest_mimic::Trial;
use tonic::Code;
use unikiln_daemon::proto::{ContainerState, PodSandboxState};

use crate::node::{Node, ending, shared};
use crate::pod::{Handler, assert_lines};
use crate::{all, each, one};

pub fn trials() -> Vec<Trial> {
    all([
        each(
            "lifecycle::a_pod_from_start_to_removal",
            a_pod_from_start_to_removal,
        ),
        each(
            "lifecycle::stop_and_remove_are_idempotent",
            stop_and_remove_are_idempotent,
        ),
        each(
            "lifecycle::the_same_request_gives_the_same_object",
            the_same_request,
        ),
        each(
            "lifecycle::a_pod_is_removed_with_all_in_it",
            a_pod_is_removed_with_all_in_it,
        ),
        each("lifecycle::attempts_are_containers_of_their_own", attempts),
        one("lifecycle::both_kinds_on_one_node", both_kinds_on_one_node),
        each(
            "lifecycle::a_daemon_that_is_ended_leaves_pods_alone",
            a_daemon_that_is_ended,
        ),
    ])
}

fn a_pod_from_start_to_removal(handler: Handler) {
    let node = shared();
    let pod = node.pod(handler).run();
    assert_eq!(pod.id.len(), 64, "{}", pod.id);
    assert_eq!(pod.status().state(), PodSandboxState::SandboxReady);
    let container = pod.container(&["/bin/sleeper"]).create();
    assert_eq!(container.id.len(), 64, "{}", container.id);
    assert_eq!(container.status().state(), ContainerState::ContainerCreated);
    container.start();
    assert_eq!(container.status().state(), ContainerState::ContainerRunning);
    container.says("ready");
    let status = container.stop(30);
    assert_eq!(status.state(), ContainerState::ContainerExited);
    assert_eq!((status.exit_code, status.reason.as_str()), (0, "Completed"));
    assert_lines(&container.lines(), &["ready", "signal 15"]);
    container.remove();
    let gone = node
        .container_status(&container.id)
        .expect_err("it is removed");
    assert_eq!(gone.code(), Code::NotFound, "{gone}");
    pod.stop();
    assert_eq!(pod.status().state(), PodSandboxState::SandboxNotready);
    pod.remove();
    let gone = node.pod_status(&pod.id).expect_err("it is removed");
    assert_eq!(gone.code(), Code::NotFound, "{gone}");
    // Logs are kubelet's to remove.
    assert!(container.log.exists(), "the log is gone");
}

fn stop_and_remove_are_idempotent(handler: Handler) {
    let node = shared();
    let pod = node.pod(handler).run();
    let container = pod.container(&["/bin/sleeper"]).start();
    for _ in 0..3 {
        container.stop(30);
    }
    for _ in 0..3 {
        container.remove();
    }
    for _ in 0..3 {
        pod.stop();
    }
    for _ in 0..3 {
        pod.remove();
    }
    // What never was is as good as removed.
    let mut pod = pod;
    pod.id = "f".repeat(64);
    pod.stop();
    pod.remove();
    // A container that never ran can be stopped, and stays what it is.
    let pod = node.pod(handler).run();
    let container = pod.container(&["/bin/sleeper"]).create();
    container.try_stop(5).expect("nothing is to be stopped");
    pod.remove();
}

fn the_same_request(handler: Handler) {
    let node = shared();
    let plan = node.pod(handler);
    let (pod, again) = (plan.run(), plan.run());
    assert_eq!(pod.id, again.id);
    let plan_of_container = pod.container(&["/bin/sleeper"]);
    let container = plan_of_container.create();
    assert_eq!(container.id, plan_of_container.create().id);
    container.start();
    // Once it was started nobody waits for its id: there is no second one, and no first again.
    let error = plan_of_container.try_create().expect_err("it has the name");
    assert_eq!(error.code(), Code::AlreadyExists, "{error}");
    assert!(error.message().contains(&container.id), "{error}");
    let all = node
        .client
        .list_containers(Default::default())
        .expect("a list");
    let of_pod = all
        .containers
        .iter()
        .filter(|it| it.pod_sandbox_id == pod.id);
    assert_eq!(of_pod.count(), 1);
    let all = node
        .client
        .list_pod_sandbox(Default::default())
        .expect("a list");
    let named = all
        .items
        .iter()
        .filter(|it| it.metadata == pod.config.metadata);
    assert_eq!(named.count(), 1);
    container.stop(30);
    container.remove();
    let new = plan_of_container.create();
    assert_ne!(new.id, container.id, "an id comes back");
    pod.remove();
    let new = plan.run();
    assert_ne!(new.id, pod.id, "an id comes back");
    let next = plan.clone().with(|config| {
        if let Some(metadata) = &mut config.metadata {
            metadata.attempt = 1;
        }
    });
    let next = next.run();
    assert_ne!(next.id, new.id, "another attempt is another pod");
    new.remove();
    next.remove();
}

fn a_pod_is_removed_with_all_in_it(handler: Handler) {
    let node = shared();
    let pod = node.pod(handler).run();
    let running = pod.container(&["/bin/sleeper", "stubborn"]).start();
    let created = pod.container(&["/bin/sleeper"]).create();
    let ended = pod.container(&["/bin/ends", "exit", "3"]).start();
    ended.ends();
    running.says("ready");
    pod.remove();
    for container in [running, created, ended] {
        let gone = node
            .container_status(&container.id)
            .expect_err("it is removed");
        assert_eq!(gone.code(), Code::NotFound, "{gone}");
    }
}

fn attempts(handler: Handler) {
    let node = shared();
    let pod = node.pod(handler).run();
    let plan = pod.container(&["/bin/ends", "exit", "1"]);
    let mut ids = Vec::new();
    for attempt in 0..3 {
        let plan = plan.clone().with(|config| {
            config.log_path = format!("attempt{attempt}.log");
            if let Some(metadata) = &mut config.metadata {
                metadata.attempt = attempt;
            }
        });
        let container = plan.start();
        let status = container.ends();
        assert_eq!(status.exit_code, 1, "{}", container.story());
        assert_eq!(status.metadata.expect("metadata").attempt, attempt);
        ids.push(container.id);
    }
    ids.dedup();
    assert_eq!(ids.len(), 3);
    pod.remove();
}

fn both_kinds_on_one_node() {
    let node = shared();
    let pods = Handler::ALL.map(|handler| node.pod(handler).run());
    let servers = pods.each_ref().map(|pod| {
        let server = pod.container(&["/bin/serve", "8080", &pod.id]).start();
        server.says("listening");
        server
    });
    // Each reaches the other by its address.
    let [unikernel, other] = &pods;
    for (from, to) in [(unikernel, other), (other, unikernel)] {
        let client = from.container(&["/bin/fetch", &to.ip(), "8080"]).start();
        assert_lines(&client.output(), &[&format!("got {}", to.id)]);
    }
    for server in servers {
        assert_eq!(server.stop(30).exit_code, 0);
    }
    for (handler, pod) in Handler::ALL.iter().zip(pods) {
        assert_eq!(pod.status().runtime_handler, handler.name());
        pod.remove();
    }
}

fn a_daemon_that_is_ended(handler: Handler) {
    let mut node = Node::start();
    node.pull("all");
    let (pod, container, log) = {
        let pod = node.pod(handler).run();
        let container = pod.container(&["/bin/sleeper"]).start();
        container.says("ready");
        (pod.id.clone(), container.id.clone(), container.log.clone())
    };
    let status = node.terminate();
    assert!(status.success(), "{}\n{}", ending(status), node.said());
    node.start_again();
    let status = node
        .container_status(&container)
        .expect("it is found again");
    assert_eq!(status.state(), ContainerState::ContainerRunning);
    let found = crate::pod::Container {
        node: &node,
        id: container,
        log,
    };
    assert_eq!(found.stop(30).exit_code, 0, "{}", found.story());
    assert_eq!(
        node.pod_status(&pod).expect("a pod").state(),
        PodSandboxState::SandboxReady
    );
}
