//! CNI with plugins that do as they are named: `tests/plugin.sh`. The pod's namespace is the
//! test's own, so no test needs root. Debian's plugins are run by `daemon/tests/network`.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

mod documents;
mod faults;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Directories of a node, and plugins in one of them.
struct Node {
    root: TempDir,
    cni: Cni,
}

impl Node {
    /// With one network, of these plugins.
    fn with(plugins: &[&str]) -> Self {
        let root = TempDir::new().unwrap();
        let at = |name: &str| root.path().join(name);
        for name in ["net.d", "bin"] {
            fs::create_dir(at(name)).unwrap();
        }
        let bin_dirs = vec![at("no-such-dir"), at("bin")];
        let cni =
            Cni::new(at("net.d"), bin_dirs, at("cache")).with_timeout(Duration::from_secs(30));
        let node = Self { root, cni };
        node.configure("1.0.0", plugins);
        node
    }

    fn with_timeout(mut self, timeout: Duration) -> Self {
        self.cni = self.cni.with_timeout(timeout);
        self
    }

    fn at(&self, name: &str) -> std::path::PathBuf {
        self.root.path().join(name)
    }

    fn configure(&self, version: &str, plugins: &[&str]) {
        for name in plugins {
            // Links: a file that was just written may not be executed while another thread forks.
            let script =
                Path::new(env!("CARGO_MANIFEST_DIR")).join("src/network/cni/tests/plugin.sh");
            let _ = std::os::unix::fs::symlink(script, self.at("bin").join(name));
        }
        let plugins: Vec<_> = plugins
            .iter()
            .map(|name| json!({"type": name, "capabilities": {"portMappings": true, "mac": false}}))
            .collect();
        let list = json!({"cniVersion": version, "name": "kiln", "plugins": plugins});
        fs::write(self.at("net.d/10-kiln.conflist"), list.to_string()).unwrap();
    }

    /// `VERB plugin` of all runs so far.
    fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.at("bin/calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// What a plugin read.
    fn read(&self, plugin: &str, verb: Verb) -> Value {
        let file = self.at("bin").join(format!("{plugin}.{verb}.json"));
        serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
    }

    fn environment(&self, plugin: &str, verb: Verb) -> String {
        fs::read_to_string(self.at("bin").join(format!("{plugin}.{verb}.env"))).unwrap()
    }
}

fn pod() -> PodNetwork {
    PodNetwork {
        id: ID.into(),
        name: "web-0".into(),
        namespace: "shop".into(),
        uid: "u-1".into(),
        netns: "/proc/self/ns/net".into(),
        port_mappings: vec![PortMapping {
            host_port: 8080,
            container_port: 80,
            protocol: "tcp".into(),
            host_ip: None,
        }],
        mac: "02:00:00:00:00:01".into(),
        ..PodNetwork::default()
    }
}

#[test]
fn a_chain_runs_forth_with_results_and_back() {
    let node = Node::with(&["first", "second"]);
    let result = node.cni.add(&pod()).unwrap();
    let ips: Vec<_> = result.pod_ips().iter().map(ToString::to_string).collect();
    assert_eq!(ips, ["10.9.0.3", "fd00::3"]);
    assert_eq!(result.dns.nameservers, ["10.9.0.53"]);
    assert_eq!(node.cni.result(ID).unwrap(), Some(result));
    node.cni.check(&pod()).unwrap();
    node.cni.del(&pod()).unwrap();
    let calls = [
        "ADD first",
        "ADD second",
        "CHECK first",
        "CHECK second",
        "DEL second",
        "DEL first",
    ];
    assert_eq!(node.calls(), calls);

    let first = node.read("first", Verb::Add);
    assert_eq!(first.get("prevResult"), None);
    assert_eq!(first["runtimeConfig"]["portMappings"][0]["hostPort"], 8080);
    assert_eq!(first["runtimeConfig"].get("mac"), None, "not asked for");
    assert_eq!(
        (&first["name"], &first["cniVersion"]),
        (&json!("kiln"), &json!("1.0.0"))
    );
    assert_eq!(
        node.read("second", Verb::Add)["prevResult"]["ips"][1]["address"],
        "10.9.0.2/24"
    );
    for verb in [Verb::Check, Verb::Del] {
        let previous = &node.read("first", verb)["prevResult"];
        assert_eq!(previous["ips"][1]["address"], "10.9.0.3/24", "{verb}");
    }
    let environment = node.environment("first", Verb::Add);
    for line in [
        &format!("CNI_CONTAINERID={ID}"),
        "CNI_NETNS=/proc/self/ns/net",
        "CNI_IFNAME=eth0",
        "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;",
        "K8S_POD_UID=u-1",
        "/no-such-dir:",
    ] {
        assert!(environment.contains(line), "{line} in {environment}");
    }
}

#[test]
fn del_uses_the_configuration_of_add() {
    let node = Node::with(&["first"]);
    node.cni.add(&pod()).unwrap();
    node.configure("0.4.0", &["second"]);
    // As another daemon would find it.
    let cni = Cni::new(node.at("net.d"), vec![node.at("bin")], node.at("cache"));
    assert_eq!(cni.attached().unwrap(), [ID]);
    cni.del(&pod()).unwrap();
    assert_eq!(node.calls(), ["ADD first", "DEL first"]);
    assert_eq!(cni.attached().unwrap(), [""; 0]);
    // And the next pod gets the new one.
    cni.add(&pod()).unwrap();
    assert_eq!(node.calls()[2..], ["ADD second"]);
}

#[test]
fn del_is_idempotent_and_needs_no_namespace() {
    let node = Node::with(&["first"]);
    node.cni.del(&pod()).unwrap();
    assert_eq!(node.calls(), [""; 0]);
    let netns = node.at("netns");
    std::os::unix::fs::symlink("/proc/self/ns/net", &netns).unwrap();
    let pod = PodNetwork {
        netns: netns.clone(),
        ..pod()
    };
    node.cni.add(&pod).unwrap();
    fs::remove_file(&netns).unwrap();
    assert!(matches!(node.cni.check(&pod), Err(CniError::Namespace(_))));
    node.cni.del(&pod).unwrap();
    assert!(
        node.environment("first", Verb::Del)
            .contains("CNI_NETNS=\n")
    );
    node.cni.del(&pod).unwrap();
    assert_eq!(node.calls(), ["ADD first", "DEL first"]);
}

#[test]
fn a_pod_is_added_once() {
    let node = Node::with(&["first"]);
    node.cni.add(&pod()).unwrap();
    assert!(matches!(
        node.cni.add(&pod()),
        Err(CniError::Attached { .. })
    ));
    assert_eq!(node.calls(), ["ADD first"]);
    let error = node
        .cni
        .check(&PodNetwork {
            id: "other".into(),
            ..pod()
        })
        .unwrap_err();
    assert!(matches!(error, CniError::NotAttached { .. }));
}

#[test]
fn a_pod_that_nobody_knows_is_swept() {
    let node = Node::with(&["first"]);
    let known = PodNetwork {
        id: "known".into(),
        ..pod()
    };
    node.cni.add(&pod()).unwrap();
    node.cni.add(&known).unwrap();
    node.cni.sweep(|id| id == "known").unwrap();
    assert_eq!(node.cni.attached().unwrap(), ["known"]);
    assert!(
        node.environment("first", Verb::Del)
            .contains("CNI_NETNS=/proc/self/ns/net\n")
    );
    node.cni.del(&PodNetwork::bare("known", "/gone")).unwrap();
    assert_eq!(node.calls()[2..], ["DEL first", "DEL first"]);
    assert!(
        node.environment("first", Verb::Del)
            .contains("K8S_POD_NAME=web-0;"),
        "as it was added"
    );
}

#[test]
fn pods_run_at_once_and_one_pod_after_itself() {
    let node = Node::with(&["slow"]);
    let named = |id: &str| PodNetwork {
        id: id.into(),
        ..pod()
    };
    let start = Instant::now();
    std::thread::scope(|scope| {
        for id in ["a", "b", "c", "d"] {
            let (node, pod) = (&node, named(id));
            scope.spawn(move || node.cni.add(&pod).unwrap());
        }
    });
    // One after the other they would have ended between the starts of the others.
    let calls = node.calls();
    let first_end = calls
        .iter()
        .position(|call| call.starts_with("END"))
        .unwrap();
    assert!(first_end > 1, "{calls:?} in {:?}", start.elapsed());
    std::thread::scope(|scope| {
        let adds: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| node.cni.add(&named("e")).is_ok()))
            .collect();
        let done = adds
            .into_iter()
            .filter(|_| true)
            .map(|add| add.join().unwrap());
        assert_eq!(done.filter(|done| *done).count(), 1);
    });
}

#[test]
fn status_says_why_not() {
    let node = Node::with(&["first"]);
    node.cni.status().unwrap();
    node.configure("1.1.0", &["first", "not-ready"]);
    let reason = node.cni.status().unwrap_err().reason();
    assert!(
        reason.contains("not-ready") && reason.contains("the agent has not started"),
        "{reason}"
    );
    fs::remove_file(node.at("bin/not-ready")).unwrap();
    let reason = node.cni.status().unwrap_err().reason();
    for part in ["\"not-ready\"", "/no-such-dir", "/bin;", "10-kiln.conflist"] {
        assert!(reason.contains(part), "{part} in {reason}");
    }
    fs::write(node.at("net.d/05.conf"), "{").unwrap();
    let reason = node.cni.status().unwrap_err().reason();
    assert!(
        reason.contains("05.conf") && reason.contains("EOF"),
        "{reason}"
    );
    fs::remove_dir_all(node.at("net.d")).unwrap();
    let reason = node.cni.status().unwrap_err().reason();
    assert!(
        reason.contains("no CNI network") && reason.contains("net.d"),
        "{reason}"
    );
}
