//! Lists and filters, statuses, events, images.

use std::collections::BTreeMap;

use libtest_mimic::Trial;
use tonic::Code;
use unikiln_daemon::proto::{
    self, ContainerEventType, ContainerFilter, ContainerState, PodSandboxFilter, PodSandboxState,
};

use crate::node::{Node, image, shared};
use crate::pod::Handler;
use crate::{all, each, one};

pub fn trials() -> Vec<Trial> {
    all([
        one("lists::version_and_status", version_and_status),
        each("lists::filters", filters),
        each(
            "lists::a_status_has_what_was_asked_for",
            a_status_has_what_was_asked_for,
        ),
        each("lists::events_in_order", events_in_order),
        one(
            "lists::events_wait_for_their_reader",
            events_wait_for_their_reader,
        ),
        one("lists::images", images),
        one("lists::an_image_in_use", an_image_in_use),
    ])
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|&(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

fn version_and_status() {
    let node = shared();
    let version = node.client.version(Default::default()).expect("a version");
    assert_eq!(version.runtime_api_version, "v1");
    assert_eq!(version.runtime_name, "unikiln");
    assert!(!version.runtime_version.is_empty());
    let request = proto::StatusRequest { verbose: true };
    let status = node.client.status(request).expect("a status");
    let conditions = status.status.expect("conditions").conditions;
    for name in ["RuntimeReady", "NetworkReady"] {
        let condition = conditions.iter().find(|it| it.r#type == name);
        assert!(condition.is_some_and(|it| it.status), "{conditions:?}");
    }
    assert!(!status.info.is_empty(), "verbose, and nothing is said");
    let handlers: Vec<_> = status
        .runtime_handlers
        .iter()
        .map(|it| it.name.as_str())
        .collect();
    for handler in ["", "unikiln", "runc"] {
        assert!(
            handlers.contains(&handler),
            "no {handler:?} in {handlers:?}"
        );
    }
    let config = node
        .client
        .runtime_config(Default::default())
        .expect("a configuration");
    let driver = config.linux.expect("Linux").cgroup_driver();
    assert_eq!(driver, proto::CgroupDriver::Cgroupfs);
    node.client
        .update_runtime_config(Default::default())
        .expect("an answer");
}

fn filters(handler: Handler) {
    let node = shared();
    let mark = crate::common::unique();
    let plan = |kind: &str| {
        node.pod(handler)
            .with(|config| config.labels = labels(&[("mark", &mark), ("kind", kind)]))
    };
    let (ready, stopped) = (plan("ready").run(), plan("stopped").run());
    stopped.stop();
    let list = |filter: PodSandboxFilter| {
        let request = proto::ListPodSandboxRequest {
            filter: Some(filter),
        };
        let items = node.client.list_pod_sandbox(request).expect("a list").items;
        let mut ids: Vec<_> = items.into_iter().map(|pod| pod.id).collect();
        ids.sort();
        ids
    };
    let state = |state: PodSandboxState| {
        Some(proto::PodSandboxStateValue {
            state: state.into(),
        })
    };
    let marked = PodSandboxFilter {
        label_selector: labels(&[("mark", &mark)]),
        ..Default::default()
    };
    let mut both = vec![ready.id.clone(), stopped.id.clone()];
    both.sort();
    assert_eq!(list(marked.clone()), both);
    for (filter, wanted) in [
        (
            PodSandboxFilter {
                state: state(PodSandboxState::SandboxReady),
                ..marked.clone()
            },
            vec![ready.id.clone()],
        ),
        (
            PodSandboxFilter {
                state: state(PodSandboxState::SandboxNotready),
                ..marked.clone()
            },
            vec![stopped.id.clone()],
        ),
        (
            PodSandboxFilter {
                id: stopped.id.clone(),
                ..Default::default()
            },
            vec![stopped.id.clone()],
        ),
        (
            // A prefix is enough, as crictl gives them.
            PodSandboxFilter {
                id: ready.id[..13].to_owned(),
                ..Default::default()
            },
            vec![ready.id.clone()],
        ),
        (
            PodSandboxFilter {
                label_selector: labels(&[("mark", &mark), ("kind", "other")]),
                ..Default::default()
            },
            vec![],
        ),
        (
            PodSandboxFilter {
                id: ready.id.clone(),
                label_selector: labels(&[("kind", "stopped")]),
                ..Default::default()
            },
            vec![],
        ),
    ] {
        assert_eq!(list(filter.clone()), wanted, "{filter:?}");
    }
    let container = |kind: &str, command: &[&str]| {
        let plan = ready.container(command);
        plan.with(|config| config.labels = labels(&[("mark", &mark), ("kind", kind)]))
    };
    let created = container("created", &["/bin/sleeper"]).create();
    let running = container("running", &["/bin/sleeper"]).start();
    let ended = container("ended", &["/bin/ends", "exit", "0"]).start();
    ended.ends();
    let list = |filter: ContainerFilter| {
        let request = proto::ListContainersRequest {
            filter: Some(filter),
        };
        let items = node
            .client
            .list_containers(request)
            .expect("a list")
            .containers;
        let mut ids: Vec<_> = items.into_iter().map(|container| container.id).collect();
        ids.sort();
        ids
    };
    let of_pod = ContainerFilter {
        pod_sandbox_id: ready.id.clone(),
        ..Default::default()
    };
    let mut all = vec![created.id.clone(), running.id.clone(), ended.id.clone()];
    all.sort();
    assert_eq!(list(of_pod.clone()), all);
    for (state, container) in [
        (ContainerState::ContainerCreated, &created),
        (ContainerState::ContainerRunning, &running),
        (ContainerState::ContainerExited, &ended),
    ] {
        let filter = ContainerFilter {
            state: Some(proto::ContainerStateValue {
                state: state.into(),
            }),
            ..of_pod.clone()
        };
        assert_eq!(
            list(filter),
            std::slice::from_ref(&container.id),
            "{state:?}"
        );
        let filter = ContainerFilter {
            id: container.id[..20].to_owned(),
            ..Default::default()
        };
        assert_eq!(list(filter), std::slice::from_ref(&container.id));
    }
    let filter = ContainerFilter {
        label_selector: labels(&[("mark", &mark), ("kind", "running")]),
        ..Default::default()
    };
    assert_eq!(list(filter), std::slice::from_ref(&running.id));
    ready.remove();
    stopped.remove();
}

fn a_status_has_what_was_asked_for(handler: Handler) {
    let node = shared();
    let pod = node.pod(handler).with(|config| {
        config.labels = labels(&[("app", "kiln")]);
        config.annotations = labels(&[("note", "fragile")]);
    });
    let pod = pod.run();
    let status = pod.status();
    assert_eq!(status.id, pod.id);
    assert_eq!(status.metadata, pod.config.metadata);
    assert_eq!(status.labels, pod.config.labels);
    assert_eq!(status.annotations, pod.config.annotations);
    assert_eq!(status.runtime_handler, handler.name());
    assert!(status.created_at > 0);
    let plan = pod.container(&["/bin/sleeper"]).with(|config| {
        config.labels = labels(&[("tier", "wheel")]);
        config.annotations = labels(&[("hash", "1234")]);
    });
    let container = plan.start();
    let status = container.status();
    assert_eq!(status.id, container.id);
    assert_eq!(status.metadata, plan.config.metadata);
    assert_eq!(status.labels, plan.config.labels);
    assert_eq!(status.annotations, plan.config.annotations);
    assert_eq!(status.image.expect("an image").image, image("all").image);
    let reference = &status.image_ref;
    assert!(reference.contains("sha256:"), "{reference}");
    assert!(
        status.image_id.starts_with("sha256:"),
        "{:?}",
        status.image_id
    );
    let mut times = vec![status.created_at, status.started_at];
    assert_eq!(status.finished_at, 0);
    let listed = node
        .client
        .list_containers(Default::default())
        .expect("a list");
    let listed = listed
        .containers
        .into_iter()
        .find(|it| it.id == container.id);
    let listed = listed.expect("it is in the list");
    assert_eq!(listed.pod_sandbox_id, pod.id);
    assert_eq!(listed.image_ref, *reference);
    assert_eq!(listed.created_at, status.created_at);
    times.push(container.stop(30).finished_at);
    assert!(times.is_sorted() && times[0] > 0, "{times:?}");
    // By a prefix, and in full.
    let id = container.id[..12].to_owned();
    let request = proto::ContainerStatusRequest {
        container_id: id,
        verbose: true,
    };
    let answer = node
        .client
        .container_status(request)
        .expect("a prefix is enough");
    assert_eq!(answer.status.expect("a status").id, container.id);
    assert!(!answer.info.is_empty(), "verbose, and nothing is said");
    pod.remove();
}

fn events_in_order(handler: Handler) {
    // Alone, so that all events are of this trial.
    let node = Node::start();
    node.pull("all");
    let mut events = node.client.events();
    let pod = node.pod(handler).run();
    let container = pod.container(&["/bin/sleeper"]).create();
    container.start();
    container.says("ready");
    container.stop(30);
    container.remove();
    pod.stop();
    pod.remove();
    use ContainerEventType::{
        ContainerCreatedEvent as Created, ContainerDeletedEvent as Deleted,
        ContainerStartedEvent as Started, ContainerStoppedEvent as Stopped,
    };
    let wanted = [
        (&pod.id, Created),
        (&pod.id, Started),
        (&container.id, Created),
        (&container.id, Started),
        (&container.id, Stopped),
        (&container.id, Deleted),
        (&pod.id, Stopped),
        (&pod.id, Deleted),
    ];
    let mut last = 0;
    for (id, kind) in wanted {
        let event = events.next().expect("the stream goes on");
        assert_eq!(
            (&event.container_id, event.container_event_type()),
            (id, kind),
            "{event:?}"
        );
        assert!(event.created_at >= last, "{event:?}");
        last = event.created_at;
        if kind != Deleted {
            let status = event
                .pod_sandbox_status
                .expect("the pod's status comes with it");
            assert_eq!(status.id, pod.id);
        }
        if id == &container.id && kind != Deleted {
            let statuses = event.containers_statuses;
            assert_eq!(statuses.len(), 1, "{statuses:?}");
        }
    }
}

fn events_wait_for_their_reader() {
    const CONTAINERS: usize = 100;
    let node = Node::start();
    node.pull("all");
    let pod = node.pod(Handler::Unikiln).run();
    let mut events = node.client.events();
    let mut wanted = Vec::new();
    for _ in 0..CONTAINERS {
        let container = pod.container(&["/bin/look"]).create();
        container.remove();
        wanted.push((
            container.id.clone(),
            ContainerEventType::ContainerCreatedEvent,
        ));
        wanted.push((container.id, ContainerEventType::ContainerDeletedEvent));
    }
    // Nobody has read yet, and nothing is lost.
    for (id, kind) in wanted {
        let event = events.next().expect("the stream goes on");
        assert_eq!(
            (&event.container_id, event.container_event_type()),
            (&id, kind)
        );
    }
    pod.remove();
}

fn images() {
    let node = Node::start();
    let count = || {
        node.client
            .list_images(Default::default())
            .expect("a list")
            .images
            .len()
    };
    assert_eq!(count(), 0);
    let reference = node.pull("all");
    assert!(reference.contains("sha256:"), "{reference}");
    assert_eq!(node.pull("all"), reference, "again");
    assert_eq!(count(), 1);
    node.pull("other");
    assert_eq!(count(), 2);
    let status = |text: &str| {
        let request = proto::ImageStatusRequest {
            image: Some(proto::ImageSpec {
                image: text.to_owned(),
                ..Default::default()
            }),
            verbose: false,
        };
        node.client.image_status(request).expect("an answer").image
    };
    let name = image("all").image;
    let found = status(&name).expect("it is there");
    assert_eq!(found.repo_tags, std::slice::from_ref(&name));
    assert_eq!(found.repo_digests.len(), 1);
    assert!(
        found.size > 0 && found.id.starts_with("sha256:"),
        "{found:?}"
    );
    for text in [&found.id, &found.repo_digests[0], &reference] {
        assert_eq!(
            status(text).map(|it| it.id),
            Some(found.id.clone()),
            "{text}"
        );
    }
    assert_eq!(status("127.0.0.1:1/never/pulled:1"), None);
    let filter = proto::ListImagesRequest {
        filter: Some(proto::ImageFilter {
            image: Some(image("other")),
        }),
    };
    let listed = node.client.list_images(filter).expect("a list").images;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].repo_tags, [image("other").image]);
    // A user by name and by number.
    node.pull("user");
    assert_eq!(
        status(&image("user").image).expect("it is there").username,
        "kiln"
    );
    for _ in 0..2 {
        let request = proto::RemoveImageRequest {
            image: Some(image("all")),
        };
        node.client
            .remove_image(request)
            .expect("removed, also again");
        assert_eq!(status(&name), None);
    }
    // What does not come says why.
    let request = proto::PullImageRequest {
        image: Some(image("nothing")),
        ..Default::default()
    };
    let error = node.client.pull_image(request).expect_err("there is none");
    assert_eq!(error.code(), Code::NotFound, "{error}");
    assert!(error.message().contains("nothing"), "{error}");
}

fn an_image_in_use() {
    let node = Node::start();
    node.pull("all");
    for handler in Handler::ALL {
        node.pull("all");
        let pod = node.pod(handler).run();
        let created = pod.container(&["/bin/look"]).create();
        let running = pod.container(&["/bin/sleeper"]).start();
        running.says("ready");
        let request = proto::RemoveImageRequest {
            image: Some(image("all")),
        };
        // Refused or only forgotten: what uses it goes on either way.
        match node.client.remove_image(request) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.code(), Code::FailedPrecondition, "{error}"),
        }
        created.start();
        assert!(created.output().contains(&"done".to_owned()));
        assert_eq!(running.stop(30).exit_code, 0);
        pod.remove();
    }
}
