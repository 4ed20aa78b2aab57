//! Bad input, unknown ids, wrong states, what a handler cannot: a code and a sentence each.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use tonic::{Code, Status};
use unikiln_daemon::proto::{self, NamespaceMode};

use crate::client::runtime;
use crate::inside_pod::secure;
use crate::node::{Node, shared};
use crate::pod::Handler;
use crate::{all, each, one};

pub fn trials() -> Vec<Trial> {
    all([
        one(
            "refusals::requests_without_what_they_need",
            requests_without_what_they_need,
        ),
        one("refusals::unknown_ids", unknown_ids),
        each("refusals::wrong_states", wrong_states),
        one("refusals::malformed_pods", malformed_pods),
        each("refusals::malformed_containers", malformed_containers),
        one("refusals::what_a_unikernel_cannot", what_a_unikernel_cannot),
        one("refusals::huge_strings", huge_strings),
        each("refusals::calls_that_are_given_up", calls_that_are_given_up),
        one(
            "refusals::a_thousand_calls_at_once",
            a_thousand_calls_at_once,
        ),
        one("refusals::clients_that_vanish", clients_that_vanish),
    ])
}

/// The answer is this code, with a sentence.
#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, words: &str) {
    let error = answer.expect_err("it is refused");
    assert_eq!(error.code(), code, "{error}");
    assert!(error.message().contains(words), "no {words:?} in {error}");
    assert!(!error.message().contains("panic"), "{error}");
}

fn requests_without_what_they_need() {
    let node = shared();
    let client = &node.client;
    let bad = Code::InvalidArgument;
    refused(client.run_pod_sandbox(Default::default()), bad, "config");
    let pod = node
        .pod(Handler::Unikiln)
        .with(|config| config.metadata = None);
    refused(pod.try_run().map(|pod| pod.id), bad, "metadata");
    refused(client.stop_pod_sandbox(Default::default()), bad, "id");
    refused(client.create_container(Default::default()), bad, "");
    refused(client.start_container(Default::default()), bad, "id");
    refused(client.container_status(Default::default()), bad, "id");
    refused(client.exec_sync(Default::default()), bad, "id");
    refused(client.pull_image(Default::default()), bad, "image");
    refused(client.image_status(Default::default()), bad, "image");
    refused(client.remove_image(Default::default()), bad, "image");
    let pod = node.pod(Handler::Unikiln).run();
    let plan = pod.container(&["/bin/look"]);
    let without = plan.clone().with(|config| config.metadata = None);
    refused(without.try_create(), bad, "metadata");
    let without = plan.clone().with(|config| config.image = None);
    refused(without.try_create(), bad, "image");
    let request = proto::CreateContainerRequest {
        config: None,
        ..plan.request()
    };
    refused(client.create_container(request), bad, "config");
    pod.remove();
}

fn unknown_ids() {
    let node = shared();
    let client = &node.client;
    for id in [
        "f".repeat(64),
        "nothing".to_owned(),
        "../../etc".to_owned(),
        "ü".repeat(10),
    ] {
        let none = Code::NotFound;
        let pod_sandbox_id = id.clone();
        let request = proto::PodSandboxStatusRequest {
            pod_sandbox_id,
            verbose: false,
        };
        refused(client.pod_sandbox_status(request), none, &id);
        let request = proto::PodSandboxStatsRequest {
            pod_sandbox_id: id.clone(),
        };
        refused(client.pod_sandbox_stats(request), none, &id);
        let request = proto::PortForwardRequest {
            pod_sandbox_id: id.clone(),
            port: vec![80],
        };
        refused(client.port_forward(request), none, &id);
        let pod = node.pod(Handler::Unikiln);
        let request = proto::CreateContainerRequest {
            pod_sandbox_id: id.clone(),
            config: Some(proto::ContainerConfig {
                metadata: Some(proto::ContainerMetadata {
                    name: "a".to_owned(),
                    attempt: 0,
                }),
                image: Some(crate::node::image("all")),
                ..Default::default()
            }),
            sandbox_config: Some(pod.config.clone()),
        };
        refused(client.create_container(request), none, &id);
        let container_id = id.clone();
        let request = proto::StartContainerRequest { container_id };
        refused(client.start_container(request), none, &id);
        let request = proto::ContainerStatusRequest {
            container_id: id.clone(),
            verbose: false,
        };
        refused(client.container_status(request), none, &id);
        let request = proto::ContainerStatsRequest {
            container_id: id.clone(),
        };
        refused(client.container_stats(request), none, &id);
        let request = proto::ReopenContainerLogRequest {
            container_id: id.clone(),
        };
        refused(client.reopen_container_log(request), none, &id);
        let request = proto::UpdateContainerResourcesRequest {
            container_id: id.clone(),
            linux: Some(Default::default()),
            ..Default::default()
        };
        refused(client.update_container_resources(request), none, &id);
        let request = proto::ExecSyncRequest {
            container_id: id.clone(),
            cmd: vec!["true".to_owned()],
            timeout: 0,
        };
        refused(client.exec_sync(request), none, &id);
        // Whoever wants it gone has that.
        let container_id = id.clone();
        let request = proto::StopContainerRequest {
            container_id,
            timeout: 0,
        };
        client.stop_container(request).expect("idempotent");
        let container_id = id;
        let request = proto::RemoveContainerRequest { container_id };
        client.remove_container(request).expect("idempotent");
    }
    // Several objects begin so.
    let request = proto::ContainerStatusRequest {
        container_id: String::new(),
        verbose: false,
    };
    refused(
        client.container_status(request),
        Code::InvalidArgument,
        "id",
    );
}

fn wrong_states(handler: Handler) {
    let node = shared();
    let not_now = Code::FailedPrecondition;
    let pod = node.pod(handler).run();
    let container = pod.container(&["/bin/sleeper"]).start();
    refused(container.try_start(), not_now, "");
    let created = pod.container(&["/bin/sleeper"]).create();
    let exec = |id: &str| proto::ExecSyncRequest {
        container_id: id.to_owned(),
        cmd: vec!["/bin/look".to_owned()],
        timeout: 0,
    };
    if handler == Handler::Runc {
        refused(node.client.exec_sync(exec(&created.id)), not_now, "");
    }
    container.stop(30);
    refused(container.try_start(), not_now, "");
    pod.stop();
    refused(created.try_start(), not_now, "");
    refused(pod.container(&["/bin/look"]).try_create(), not_now, "");
    pod.remove();
    refused(
        pod.container(&["/bin/look"]).try_create(),
        Code::NotFound,
        &pod.id,
    );
}

fn malformed_pods() {
    let node = shared();
    let bad = Code::InvalidArgument;
    let request = proto::RunPodSandboxRequest {
        runtime_handler: "no-such-handler".to_owned(),
        ..node.pod(Handler::Unikiln).request()
    };
    refused(node.client.run_pod_sandbox(request), bad, "no-such-handler");
    let plan = || node.pod(Handler::Unikiln);
    let name = |name: &str| {
        let plan = plan().with(|config| {
            config.metadata.get_or_insert_default().name = name.to_owned();
        });
        plan.try_run().map(|pod| pod.id)
    };
    refused(name(""), bad, "name");
    let hostname = plan().with(|config| config.hostname = "a/b".to_owned());
    refused(hostname.try_run().map(|pod| pod.id), bad, "hostname");
    let ports = |container_port: i32, host_port: i32| {
        let plan = plan().with(|config| {
            config.port_mappings = vec![proto::PortMapping {
                container_port,
                host_port,
                ..Default::default()
            }];
        });
        plan.try_run().map(|pod| pod.id)
    };
    refused(ports(70_000, 80), bad, "70000");
    refused(ports(80, -1), bad, "-1");
    let log = plan().with(|config| config.log_directory = "relative/logs".to_owned());
    refused(log.try_run().map(|pod| pod.id), bad, "relative/logs");
    let parent = plan().with(|config| {
        config.linux.get_or_insert_default().cgroup_parent = "/../../etc".to_owned();
    });
    refused(parent.try_run().map(|pod| pod.id), bad, "cgroup");
}

fn malformed_containers(handler: Handler) {
    let node = shared();
    let bad = Code::InvalidArgument;
    let pod = node.pod(handler).run();
    let plan = || pod.container(&["/bin/look"]);
    let mount = |container: &str, host: &str| {
        plan().with(|config| {
            config.mounts = vec![proto::Mount {
                container_path: container.to_owned(),
                host_path: host.to_owned(),
                ..Default::default()
            }];
        })
    };
    refused(mount("relative", "/tmp").try_create(), bad, "relative");
    refused(mount("/a", "relative").try_create(), bad, "relative");
    let log = plan().with(|config| config.log_path = "../../escaped.log".to_owned());
    refused(log.try_create(), bad, "escaped.log");
    let image = plan().with(|config| {
        config.image = Some(proto::ImageSpec {
            image: "127.0.0.1:1/never/pulled:1".to_owned(),
            ..Default::default()
        });
    });
    refused(image.try_create(), Code::NotFound, "never/pulled");
    let group = secure(plan(), |context| {
        context.run_as_group = Some(proto::Int64Value { value: 5 });
    });
    // A group without a user: the API says so.
    refused(group.try_create(), bad, "group");
    let user = secure(plan(), |context| {
        context.run_as_username = "nobody-here".to_owned()
    });
    match handler {
        Handler::Runc => refused(user.try_create(), bad, "nobody-here"),
        // Its users are looked up inside.
        Handler::Unikiln => {
            let error = user
                .create()
                .try_start()
                .expect_err("there is no such user");
            assert!(error.message().contains("nobody-here"), "{error}");
        }
    }
    // After all of that the pod is as it was.
    let container = plan().start();
    assert_eq!(container.ends().exit_code, 0);
    pod.remove();
}

fn what_a_unikernel_cannot() {
    let node = shared();
    let pod = node.pod(Handler::Unikiln).run();
    let container = pod.container(&["/bin/sleeper"]).start();
    let never = Code::Unimplemented;
    let request = proto::ExecSyncRequest {
        container_id: container.id.clone(),
        cmd: vec!["ls".to_owned()],
        timeout: 0,
    };
    refused(node.client.exec_sync(request), never, "log");
    let request = proto::ExecRequest {
        container_id: container.id.clone(),
        cmd: vec!["ls".to_owned()],
        stdout: true,
        ..Default::default()
    };
    refused(node.client.exec(request), never, "log");
    let request = proto::AttachRequest {
        container_id: container.id.clone(),
        stdout: true,
        ..Default::default()
    };
    refused(node.client.attach(request), never, "log");
    let request = proto::CheckpointContainerRequest {
        container_id: container.id.clone(),
        location: "/tmp/checkpoint.tar".to_owned(),
        timeout: 0,
    };
    refused(node.client.checkpoint_container(request), never, "");
    let bad = Code::InvalidArgument;
    let plan = || pod.container(&["/bin/look"]);
    let device = plan().with(|config| {
        config.devices = vec![proto::Device {
            container_path: "/dev/null2".to_owned(),
            host_path: "/dev/null".to_owned(),
            permissions: "rwm".to_owned(),
        }];
    });
    refused(device.try_create(), bad, "device");
    let host_pid = secure(plan(), |context| {
        context.namespace_options = Some(proto::NamespaceOption {
            pid: NamespaceMode::Node.into(),
            ..Default::default()
        });
    });
    refused(host_pid.try_create(), bad, "PID");
    let privileged = secure(plan(), |context| context.privileged = true);
    refused(privileged.try_create(), bad, "privileged");
    pod.remove();
}

fn huge_strings() {
    let node = shared();
    let huge = "x".repeat(1 << 20);
    // A name that long has no file; an annotation may well be.
    let pod = node.pod(Handler::Unikiln).with(|config| {
        config.metadata.get_or_insert_default().name = huge.clone();
    });
    let answer = pod.try_run().map(|pod| pod.id);
    refused(answer, Code::InvalidArgument, "name");
    let pod = node.pod(Handler::Unikiln).with(|config| {
        config.annotations.insert("long".to_owned(), huge.clone());
    });
    let pod = pod.run();
    assert_eq!(pod.status().annotations["long"].len(), huge.len());
    let plan = pod.container(&["/bin/look"]).with(|config| {
        let value = vec![b'y'; 100_000];
        let key = "LONG".to_owned();
        config.envs.push(proto::KeyValue { key, value });
    });
    let lines = plan.start().output();
    let long = lines
        .iter()
        .find(|line| line.starts_with("env LONG="))
        .expect("it is set");
    assert_eq!(long.len(), 100_009);
    let plan = pod.container(&["/bin/look"]).with(|config| {
        config.image.get_or_insert_default().image = huge.clone();
    });
    let error = plan.try_create().expect_err("no image has such a name");
    let codes = [Code::InvalidArgument, Code::NotFound];
    assert!(codes.contains(&error.code()), "{:?}", error.code());
    assert!(
        error.message().len() < 10_000,
        "{} bytes",
        error.message().len()
    );
    // More than a message may have.
    let request = proto::VersionRequest {
        version: "z".repeat(32 << 20),
    };
    let error = node.client.version(request).expect_err("too much");
    let codes = [Code::OutOfRange, Code::ResourceExhausted];
    assert!(codes.contains(&error.code()), "{error}");
    pod.remove();
}

fn calls_that_are_given_up(handler: Handler) {
    let node = Node::start();
    node.pull("all");
    // Given up at many points of their way: each pod is whole, or not there.
    for step in 0..24 {
        let request = node.pod(handler).request();
        let mut client = node.client.runtime_service();
        let given_up = Duration::from_millis(5 * step);
        let call = async move {
            let call = client.run_pod_sandbox(request);
            // A timeout drops the call: the stream is reset, as by a client that vanishes.
            let _ = tokio::time::timeout(given_up, call).await;
        };
        runtime().block_on(call);
    }
    // What goes on without its client ends in time.
    let ready = || {
        let list = node
            .client
            .list_pod_sandbox(Default::default())
            .expect("a list");
        list.items
    };
    // A pod has its directory before it is listed.
    let begun = || {
        let entries = node.path("state/sandboxes").read_dir();
        entries.expect("the state directory").count()
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut looks = 0;
    while looks < 5 {
        assert!(Instant::now() < deadline, "some are still being made");
        looks = if begun() == ready().len() {
            looks + 1
        } else {
            0
        };
        thread::sleep(Duration::from_millis(100));
    }
    for item in ready() {
        let pod = crate::pod::Pod {
            node: &node,
            id: item.id.clone(),
            config: proto::PodSandboxConfig {
                metadata: item.metadata.clone(),
                log_directory: node.path("logs").display().to_string(),
                ..Default::default()
            },
        };
        assert_eq!(
            item.state(),
            proto::PodSandboxState::SandboxReady,
            "{item:?}"
        );
        let container = pod.container(&["/bin/ends", "exit", "0"]).start();
        assert_eq!(container.ends().exit_code, 0);
        pod.remove();
    }
    assert_eq!(ready().len(), 0);
}

fn a_thousand_calls_at_once() {
    let node = shared();
    let pod = node.pod(Handler::Unikiln).run();
    let calls = async {
        let mut calls = Vec::new();
        for _ in 0..1000 {
            let mut client = node.client.runtime_service();
            let request = proto::PodSandboxStatusRequest {
                pod_sandbox_id: pod.id.clone(),
                verbose: false,
            };
            let call = async move { client.pod_sandbox_status(request).await };
            calls.push(tokio::spawn(call));
        }
        for call in calls {
            let answer = call.await.expect("no panic").expect("an answer");
            let status = answer.into_inner().status.expect("a status");
            assert_eq!(status.id, pod.id);
        }
    };
    runtime().block_on(calls);
    pod.remove();
}

fn clients_that_vanish() {
    let node = Node::start();
    let files = crate::leaks::open_files(&node);
    let socket = crate::node::socket(node.number);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for number in 0..200 {
        let mut stream = UnixStream::connect(&socket).expect("it listens");
        // Cut anywhere in the first words, or with words of another protocol.
        let words: &[u8] = match number % 3 {
            0 => &preface[..number % preface.len()],
            1 => b"GET / HTTP/1.1\r\n\r\n",
            _ => &[0xff; 4096],
        };
        // It may have hung up already.
        let _ = stream.write_all(words);
        if number % 10 == 0 {
            drop(node.client.events());
        }
    }
    node.client.version(Default::default()).expect("an answer");
    crate::leaks::assert_open_files(&node, files);
}
