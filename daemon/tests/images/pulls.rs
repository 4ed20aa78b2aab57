//! Pulls: platforms, digests, refusals, many at once, clients that vanish.

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tonic::Code;
use unikiln_builder::registry::{self, RegistryOptions, Source};
use unikiln_builder::{ImageRef, NoProgress};
use unikiln_daemon::proto::{AuthConfig, ImageSpec, PullImageRequest};

use crate::layout::{self, INDEX, Layout};
use crate::node::{Node, spec};
use crate::server::{Server, Wants};
use crate::{registry, registry_and_busybox, small};

/// More than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// An index with an image for another machine, and one of busybox for ours.
fn two_platforms() -> (Layout, Value, String) {
    let layout = Layout::new();
    let busybox = std::fs::read("/bin/busybox").expect("busybox is installed");
    let layers = [layout::layer("bin/busybox", &busybox)];
    let mut other = layout.image("v1", &[layout::layer("name", b"arm64")]);
    other["platform"] = json!({ "os": "linux", "architecture": "arm64" });
    let ours = layout.image("v1", &layers);
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [other, ours] });
    let index = index.to_string().into_bytes();
    layout.blob(&index);
    layout.tag(layout::descriptor(INDEX, &index));
    let config = layout::digest(&layout::config("v1", &layers));
    (layout, layout::descriptor(INDEX, &index), config)
}

#[test]
fn an_index_gives_the_nodes_image_and_its_unikernel() {
    if registry_and_busybox("an_index_gives_the_nodes_image_and_its_unikernel") {
        let (layout, index, config) = two_platforms();
        let server = Server::start(Wants::default());
        server.fill(
            &layout.name("latest"),
            "a/b:1",
            &["--all", "--preserve-digests"],
        );
        let (node, name) = (Node::new(), server.image("a/b:1"));
        assert!(node.status(&name).is_none() && node.list("").is_empty());
        // For the default handler, which runs unikernels.
        let unikernel = ImageSpec {
            image: name.clone(),
            ..ImageSpec::default()
        };
        for _ in 0..2 {
            let id = node.pull_as(unikernel.clone(), None).expect("pulled");
            assert_eq!(id, config);
        }
        let counters = node.images.counters();
        assert_eq!((counters.pulls, counters.conversions), (2, 1));

        let image = node.status(&name).expect("it is there");
        let digest = index["digest"].as_str().expect("a word");
        let by_digest = format!("{}@{digest}", server.image("a/b"));
        assert_eq!(image.id, config);
        assert_eq!(image.repo_tags, std::slice::from_ref(&name));
        assert_eq!(image.repo_digests, std::slice::from_ref(&by_digest));
        let busybox = std::fs::metadata("/bin/busybox")
            .expect("it is there")
            .len();
        assert!(image.size > busybox && image.size < busybox + 10_000);
        assert!(!image.pinned && image.uid.is_none() && image.username.is_empty());
        assert_eq!(image.spec.as_ref().expect("its name").image, name);
        for other in [&by_digest, &config, &config[..19], &config[7..19]] {
            assert_eq!(node.status(other).as_ref(), Some(&image), "{other}");
        }
        assert!(
            node.status(&config[7..18]).is_none(),
            "11 digits are a name"
        );
        assert_eq!(node.list(""), [image]);

        let status = node.try_status(&name, true).expect("a status");
        let info: Value = serde_json::from_str(&status.info["info"]).expect("JSON");
        assert_eq!(
            info["imageSpec"]["config"]["Entrypoint"],
            json!(["/bin/busybox"])
        );
        assert_eq!(info["unikernel"]["verdict"]["answer"], "runs", "{info}");
        let path = info["unikernel"]["path"].as_str().expect("a file");
        assert!(std::path::Path::new(path).is_file());
        assert!(info["unikernel"]["linking"].is_object(), "{info}");
        assert!(
            node.try_status(&name, false)
                .expect("a status")
                .info
                .is_empty()
        );
    }
}

#[test]
fn pulls_at_the_same_time_make_one_image() {
    if registry_and_busybox("pulls_at_the_same_time_make_one_image") {
        let server = Server::start(Wants::default());
        server.fill(&layout::busybox(3).name("latest"), "a:1", &[]);
        let (node, name) = (Node::new(), server.image("a:1"));
        let request = PullImageRequest {
            image: Some(ImageSpec {
                image: name,
                ..ImageSpec::default()
            }),
            ..PullImageRequest::default()
        };
        let client = node.client();
        let ids = node.runtime.block_on(async {
            let pulls: Vec<_> = (0..16)
                .map(|_| {
                    let (mut client, request) = (client.clone(), request.clone());
                    tokio::spawn(async move { client.pull_image(request).await })
                })
                .collect();
            let mut ids = Vec::new();
            for pull in pulls {
                let response = pull.await.expect("no panic").expect("pulled");
                ids.push(response.into_inner().image_ref);
            }
            ids
        });
        let images = node.list("");
        assert_eq!(images.len(), 1);
        assert!(ids.iter().all(|id| *id == images[0].id), "{ids:?}");
        assert_eq!(node.images.counters().conversions, 1);
    }
}

#[test]
fn a_digest_names_one_image() {
    if registry("a_digest_names_one_image") {
        let server = Server::start(Wants::default());
        server.fill(&small("one").name("latest"), "a:1", &[]);
        let node = Node::new();
        let id = node.pull(&server.image("a:1"));
        let image = node.status(&id).expect("it is there");
        let other = Node::new();
        let by_digest = &image.repo_digests[0];
        assert_eq!(other.pull(by_digest), id);
        let found = other.status(by_digest).expect("it is there");
        assert!(found.repo_tags.is_empty());
        assert_eq!(&found.repo_digests, &image.repo_digests);
        // Of a tag with a digest, the digest counts.
        let both = by_digest.replacen("/a@", "/a:2@", 1);
        assert_eq!(other.pull(&both), id);
        assert_eq!(other.list("").len(), 1);
        assert_eq!(other.status(&both), other.status(&id));
    }
}

#[test]
fn what_cannot_be_pulled_has_a_code_and_a_reason() {
    if registry("what_cannot_be_pulled_has_a_code_and_a_reason") {
        let server = Server::start(Wants::default());
        let layout = Layout::new();
        let mut other = layout.image("v1", &[layout::layer("name", b"arm64")]);
        other["platform"] = json!({ "os": "linux", "architecture": "arm64" });
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [other] });
        let index = index.to_string().into_bytes();
        layout.blob(&index);
        layout.tag(layout::descriptor(INDEX, &index));
        server.fill(&layout.name("latest"), "arm:1", &["--all"]);
        let node = Node::new();
        let digest = layout::digest(b"nothing");
        for (name, code, part) in [
            (
                server.image("a:1"),
                Code::NotFound,
                "has no manifest 1 of a",
            ),
            (
                server.image(&format!("a@{digest}")),
                Code::NotFound,
                "has no manifest",
            ),
            (server.image("arm:1"), Code::NotFound, "linux/arm64"),
            (server.image("A:1"), Code::InvalidArgument, "lower-case"),
            (
                "host:/bin/ls".to_owned(),
                Code::InvalidArgument,
                "cannot be used",
            ),
            (
                "oci:/tmp:a".to_owned(),
                Code::InvalidArgument,
                "cannot be used",
            ),
            (String::new(), Code::InvalidArgument, "names no image"),
        ] {
            let status = node.refused(&name);
            assert_eq!(status.code(), code, "{name}: {status}");
            assert!(status.message().contains(part), "{name}: {status}");
        }
        // A registry that is down.
        let name = server.image("a:1");
        server.stop();
        let status = node.refused(&name);
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        assert!(status.message().contains("cannot reach"), "{status}");
        assert!(node.list("").is_empty());
        // A request without an image at all.
        let request = PullImageRequest::default();
        let status = node.runtime.block_on(node.client().pull_image(request));
        assert_eq!(status.expect_err("no image").code(), Code::InvalidArgument);
    }
}

#[test]
fn a_password_opens_and_a_wrong_one_does_not() {
    let test = "a_password_opens_and_a_wrong_one_does_not";
    let htpasswd = [crate::Need::Program("htpasswd")];
    if registry(test) && crate::has_all(test, &htpasswd) {
        let server = Server::start(Wants {
            password: true,
            ..Wants::default()
        });
        let source = small("secret");
        server.fill(&source.name("latest"), "a:1", &["--dest-creds", "kiln:hot"]);
        let (node, name) = (Node::new(), server.image("a:1"));
        let word = |text: &str| text.to_owned();
        let auth = |username: &str, password: &str, auth: &str, server_address: &str| AuthConfig {
            username: word(username),
            password: word(password),
            auth: word(auth),
            server_address: word(server_address),
            ..AuthConfig::default()
        };
        for refused in [
            None,
            Some(AuthConfig::default()),
            Some(auth("kiln", "cold", "", "")),
            Some(auth("kiln", "hot", "", "another.example")),
        ] {
            let status = node
                .pull_as(spec(&name), refused.clone())
                .expect_err("no image");
            assert_eq!(
                status.code(),
                Code::Unauthenticated,
                "{refused:?}: {status}"
            );
            assert!(!status.message().contains("cold"), "{status}");
        }
        assert!(node.list("").is_empty());
        for right in [
            auth("kiln", "hot", "", ""),
            auth("kiln", "hot", "", &server.name()),
            auth("", "", "a2lsbjpob3Q=", ""),
        ] {
            node.pull_as(spec(&name), Some(right)).expect("pulled");
            node.remove(&name);
        }
        let broken = node.pull_as(spec(&name), Some(auth("", "", "no base64", "")));
        assert_eq!(broken.expect_err("no image").code(), Code::InvalidArgument);
    }
}

#[test]
fn what_is_no_unikernel_is_pulled_and_says_why() {
    if registry("what_is_no_unikernel_is_pulled_and_says_why") {
        let layout = Layout::new();
        let layers = [layout::layer("file", b"no passwd")];
        let mut config: Value =
            serde_json::from_slice(&layout::config("v1", &layers)).expect("JSON");
        config["config"]["User"] = json!("web:logs");
        let config = config.to_string().into_bytes();
        let manifest = layout::manifest(&config, &layers);
        for blob in [&layers[0], &config, &manifest] {
            layout.blob(blob);
        }
        layout.tag(layout::descriptor(layout::MANIFEST, &manifest));
        let server = Server::start(Wants::default());
        server.fill(&layout.name("latest"), "a:1", &[]);
        let (node, name) = (Node::new(), server.image("a:1"));
        let unikernel = ImageSpec {
            image: name.clone(),
            ..ImageSpec::default()
        };
        let id = node.pull_as(unikernel, None).expect("pulled all the same");
        let status = node.status(&id).expect("it is there");
        assert_eq!((status.username.as_str(), status.uid), ("web", None));
        let image = node
            .images
            .find(&name)
            .expect("found")
            .expect("it is there");
        let error = node.images.unikernel(&image).expect_err("no unikernel");
        assert_eq!(error.code(), Code::FailedPrecondition);
        assert!(error.story().contains("/etc/passwd"), "{}", error.story());
        let verdict = node.images.verdict(&image).expect("a verdict");
        assert!(
            verdict.summary.starts_with("cannot run"),
            "{}",
            verdict.summary
        );
        let info = node.try_status(&name, true).expect("a status").info;
        assert!(info["info"].contains("unknown-user"), "{info:?}");
        // It was tried once: what an image is does not change.
        assert_eq!(node.images.counters().conversion_failures, 1);
    }
}

#[test]
fn a_unikernel_that_was_pushed_is_an_image_too() {
    if registry_and_busybox("a_unikernel_that_was_pushed_is_an_image_too") {
        let server = Server::start(Wants::default());
        server.fill(&layout::busybox(0).name("latest"), "a:1", &[]);
        let node = Node::new();
        node.pull(&server.image("a:1"));
        let image = node.images.find(&server.image("a:1")).expect("found");
        let image = image.expect("it is there");
        let (path, _keep) = node.images.unikernel(&image).expect("converted");
        let name = server.image("uk:1");
        let ImageRef::Registry(reference) = ImageRef::parse(&name).expect("a name") else {
            panic!("{name} is in a registry");
        };
        let options = RegistryOptions::default();
        registry::push(
            &Source::Unikernel(path),
            &reference,
            &options,
            &mut NoProgress,
        )
        .expect("pushed");

        let other = Node::new();
        let id = other.pull(&name);
        let found = other.images.find(&id).expect("found").expect("it is there");
        assert_eq!(found.entrypoint, image.entrypoint);
        assert_eq!(found.tags, std::slice::from_ref(&name));
        let (path, keep) = other.images.unikernel(&found).expect("it is one");
        assert!(path.starts_with(other.root().join("blobs")));
        assert_eq!(other.images.counters().conversions, 0);
        other.images.verdict(&found).expect("it has one");
        other.try_status(&name, true).expect("a status");
        other.remove(&id);
        assert!(other.list("").is_empty());
        // Who uses it has it.
        assert!(path.exists());
        drop(keep);
        other.store().collect().expect("collected");
        assert!(!path.exists());
    }
}

/// A registry that takes connections, and never answers.
fn silent() -> (String, mpsc::Receiver<TcpStream>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let name = listener.local_addr().expect("an address").to_string();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            if sender.send(stream.expect("a connection")).is_err() {
                return;
            }
        }
    });
    (name, receiver)
}

#[test]
fn a_pull_ends_with_the_last_client_that_waits() {
    let (registry, connections) = silent();
    let node = Node::new();
    node.hosts(&registry, &format!("server = \"http://{registry}\"\n"));
    let request = PullImageRequest {
        image: Some(spec(&format!("{registry}/a:1"))),
        ..PullImageRequest::default()
    };
    // Two connections, and a call on each.
    let (mut first, mut second) = (node.client(), node.client());
    let begin =
        |client: &mut unikiln_daemon::proto::image_service_client::ImageServiceClient<_>| {
            let (mut client, request) = (client.clone(), request.clone());
            node.runtime
                .spawn(async move { client.pull_image(request).await })
        };
    let one = begin(&mut first);
    let mut connection = connections.recv_timeout(PATIENCE).expect("it is asked");
    let two = begin(&mut second);
    let wait_for = |count| {
        let begun = Instant::now();
        while node.images.waiting() != count {
            assert!(begun.elapsed() < PATIENCE, "{} wait", node.images.waiting());
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    wait_for(2);
    one.abort();
    drop(first);
    wait_for(1);
    let mut asked = [0; 4096];
    connection
        .set_read_timeout(Some(PATIENCE))
        .expect("a deadline");
    let len = connection.read(&mut asked).expect("a request");
    assert!(asked[..len].starts_with(b"GET /v2/a/manifests/1"));
    // It goes on for the second, and was not begun twice.
    connection
        .set_read_timeout(Some(Duration::from_millis(200)))
        .expect("a deadline");
    let more = connection.read(&mut asked);
    assert!(more.is_err(), "{more:?}");
    assert!(
        connections.try_recv().is_err(),
        "the second pull is the first"
    );
    two.abort();
    drop(second);
    connection
        .set_read_timeout(Some(PATIENCE))
        .expect("a deadline");
    let end = connection
        .read(&mut asked)
        .expect("the end of the connection");
    assert_eq!(end, 0);
    // Who comes later begins anew.
    let third = begin(&mut node.client());
    connections
        .recv_timeout(PATIENCE)
        .expect("it is asked again");
    third.abort();
}
