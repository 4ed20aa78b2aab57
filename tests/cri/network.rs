//! One network for all of a pod: localhost, addresses, ports, the host's own.

use std::fs;
use std::io::Read;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use unikiln_daemon::proto::{self, NamespaceMode, PodSandboxConfig};

use crate::client::PATIENCE;
use crate::common::unique;
use crate::node::{Node, Wants, shared};
use crate::pod::{Handler, assert_lines};
use crate::{all, each, one};

pub fn trials() -> Vec<Trial> {
    all([
        each(
            "network::containers_share_localhost",
            containers_share_localhost,
        ),
        each("network::a_pod_has_an_address", a_pod_has_an_address),
        each("network::ports_of_the_node", ports_of_the_node),
        each("network::the_hosts_network", the_hosts_network),
        one(
            "network::a_node_without_a_network",
            a_node_without_a_network,
        ),
    ])
}

/// What a server of `programs/serve.c` says, as soon as it listens.
pub fn fetch(at: SocketAddr) -> String {
    let since = Instant::now();
    loop {
        match TcpStream::connect_timeout(&at, Duration::from_secs(5)) {
            Ok(mut stream) => {
                stream.set_read_timeout(Some(PATIENCE)).expect("a time");
                stream.shutdown(Shutdown::Write).expect("connected");
                let mut text = String::new();
                stream.read_to_string(&mut text).expect("words");
                return text;
            }
            Err(error) => assert!(since.elapsed() < PATIENCE, "{at}: {error}"),
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// A port that no other trial uses.
pub fn port() -> u16 {
    let number = unique();
    let count: u16 = number
        .rsplit('-')
        .next()
        .and_then(|it| it.parse().ok())
        .expect("a number");
    21_000 + count % 9_000
}

/// A pod in the host's network.
pub fn host_network(config: &mut PodSandboxConfig) {
    let linux = config.linux.get_or_insert_default();
    let context = linux.security_context.get_or_insert_default();
    context.namespace_options = Some(proto::NamespaceOption {
        network: NamespaceMode::Node.into(),
        pid: NamespaceMode::Container.into(),
        ..Default::default()
    });
}

fn containers_share_localhost(handler: Handler) {
    let node = shared();
    let pod = node.pod(handler).run();
    let first = pod.container(&["/bin/serve", "80", "the first"]).start();
    let second = pod.container(&["/bin/serve", "81", "the second"]).start();
    for (port, words) in [("80", "got the first"), ("81", "got the second")] {
        let client = pod.container(&["/bin/fetch", "127.0.0.1", port]).start();
        assert_lines(&client.output(), &[words]);
    }
    // The port is taken for all of them.
    let third = pod.container(&["/bin/serve", "80", "the third"]).start();
    assert_eq!(third.ends().exit_code, 1, "{}", third.story());
    // Another pod has its own.
    let other = node.pod(handler).run();
    let fourth = other.container(&["/bin/serve", "80", "the fourth"]).start();
    fourth.says("listening");
    for server in [first, second, fourth] {
        assert_eq!(server.stop(30).exit_code, 0);
    }
    pod.remove();
    other.remove();
}

fn a_pod_has_an_address(handler: Handler) {
    let node = shared();
    let pod = node.pod(handler).run();
    let ip = pod.ip();
    assert!(ip.starts_with(&format!("10.88.{}.", node.number)), "{ip}");
    let server = pod.container(&["/bin/serve", "80", "here"]).start();
    let at = format!("{ip}:80").parse().expect("an address");
    assert_eq!(fetch(at), "here\n");
    // The node is reached from inside.
    assert_eq!(server.stop(30).exit_code, 0);
    pod.stop();
    let status = pod.status();
    let ip = status.network.map(|network| network.ip).unwrap_or_default();
    assert!(ip.is_empty(), "a stopped pod has the address {ip}");
    pod.remove();
}

fn ports_of_the_node(handler: Handler) {
    let node = shared();
    let (plain, bound) = (port(), port());
    let mapping = |container_port, host_port: u16, host_ip: &str| proto::PortMapping {
        container_port,
        host_port: host_port.into(),
        host_ip: host_ip.to_owned(),
        ..Default::default()
    };
    let gateway = node.gateway();
    let plan = node.pod(handler).with(|config| {
        config.port_mappings = vec![
            mapping(80, plain, ""),
            mapping(80, bound, &gateway.to_string()),
            // Without a port of the node it asks for nothing.
            mapping(81, 0, ""),
        ];
    });
    let pod = plan.run();
    let server = pod.container(&["/bin/serve", "80", "mapped"]).start();
    server.says("listening");
    for at in [(gateway, plain), (gateway, bound)] {
        assert_eq!(fetch(at.into()), "mapped\n");
    }
    pod.remove();
    let refused = TcpStream::connect_timeout(&(gateway, plain).into(), Duration::from_secs(2));
    assert!(refused.is_err(), "the port is still there");
}

fn the_hosts_network(handler: Handler) {
    let node = shared();
    let port = port();
    let pod = node.pod(handler).with(host_network).run();
    let text = port.to_string();
    let server = pod.container(&["/bin/serve", &text, "of the host"]).start();
    assert_eq!(fetch(([127, 0, 0, 1], port).into()), "of the host\n");
    let status = pod.status();
    let options = status
        .linux
        .and_then(|it| it.namespaces)
        .and_then(|it| it.options);
    assert_eq!(options.expect("options").network(), NamespaceMode::Node);
    assert_eq!(server.stop(30).exit_code, 0);
    pod.remove();
}

fn a_node_without_a_network() {
    let node = Node::with(&Wants {
        no_network: true,
        ..Default::default()
    });
    node.pull("all");
    let ready = || {
        let status = node.client.status(proto::StatusRequest::default());
        let conditions = status
            .expect("a status")
            .status
            .expect("conditions")
            .conditions;
        let of = |name: &str| {
            let condition = conditions.iter().find(|condition| condition.r#type == name);
            condition.unwrap_or_else(|| panic!("no {name}")).clone()
        };
        (of("RuntimeReady"), of("NetworkReady"))
    };
    let (runtime, network) = ready();
    assert!(runtime.status, "{runtime:?}");
    assert!(!network.status && !network.reason.is_empty(), "{network:?}");
    assert!(network.message.contains("net.d"), "{network:?}");
    for handler in Handler::ALL {
        let error = node
            .pod(handler)
            .try_run()
            .expect_err("there is no network");
        assert!(error.message().contains("net.d"), "{error}");
        // What failed leaves nothing that is in the way.
        let pod = node.pod(handler).with(host_network).run();
        let container = pod.container(&["/bin/ends", "exit", "0"]).start();
        assert_eq!(container.ends().exit_code, 0);
        pod.remove();
    }
    // It is seen when it comes, without a restart.
    let other = shared();
    let text = fs::read_to_string(other.path("net.d/10-kiln.conflist")).expect("a file");
    fs::write(node.path("net.d/10-kiln.conflist"), text).expect("a file");
    let since = Instant::now();
    while !ready().1.status {
        assert!(since.elapsed() < PATIENCE, "{:?}", ready().1);
        thread::sleep(Duration::from_millis(50));
    }
    node.pod(Handler::Unikiln).run().remove();
}
