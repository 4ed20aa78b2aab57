//! bridge, host-local, portmap and bandwidth.

use super::*;

/// A node with a network in directories of its own.
struct Node {
    root: TempDir,
    cni: Cni,
}

impl Node {
    fn with(plugins: &str) -> Self {
        let root = TempDir::new().unwrap();
        let conf_dir = root.path().join("net.d");
        fs::create_dir(&conf_dir).unwrap();
        let leases = root.path().join("leases");
        let plugins = plugins.replace("LEASES", leases.to_str().unwrap());
        let list = format!(r#"{{"cniVersion": "1.0.0", "name": "kiln", "plugins": [{plugins}]}}"#);
        fs::write(conf_dir.join("10-kiln.conflist"), list).unwrap();
        let bin = root.path().join("bin");
        fs::create_dir(&bin).unwrap();
        let cni = Cni::new(
            conf_dir,
            vec![PLUGINS.into(), bin],
            root.path().join("cache"),
        );
        Self { root, cni }
    }

    /// Addresses that host-local holds.
    fn leases(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.root.path().join("leases/kiln")) else {
            return Vec::new();
        };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name.starts_with(['1', 'f'])).collect();
        names.sort();
        names
    }
}

const BRIDGE: &str = r#"{"type": "bridge", "bridge": "kiln0", "isGateway": true, "ipam": {
    "type": "host-local", "dataDir": "LEASES",
    "ranges": [[{"subnet": "10.87.0.0/24"}], [{"subnet": "fd87::/64"}]],
    "routes": [{"dst": "0.0.0.0/0"}]}}"#;
const PORTMAP: &str = r#"{"type": "portmap", "capabilities": {"portMappings": true}}"#;
const BANDWIDTH: &str = r#"{"type": "bandwidth", "capabilities": {"bandwidth": true}}"#;

fn bridge(path: &str) -> Need<'_> {
    Need::File(path)
}

fn pod(id: &str) -> PodNetwork {
    PodNetwork {
        id: id.into(),
        name: "web".into(),
        namespace: "default".into(),
        netns: Namespace::create(id).unwrap().path().to_owned(),
        ..PodNetwork::default()
    }
}

/// The kernel takes a namespace's links away some time after its last user is gone.
fn no_link_is_left() {
    let links = || {
        let done = Command::new("ip").args(["-o", "link"]).output().unwrap();
        String::from_utf8(done.stdout).unwrap()
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while links().contains("veth") {
        assert!(Instant::now() < deadline, "{}", links());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn pods_of_a_bridge_reach_each_other() {
    apart(
        "plugins::pods_of_a_bridge_reach_each_other",
        &[bridge("/usr/lib/cni/bridge")],
        || {
            let node = Node::with(BRIDGE);
            node.cni.status().unwrap();
            let pods = [pod(A), pod(B)];
            let results = pods.each_ref().map(|pod| node.cni.add(pod).unwrap());
            for result in &results {
                let ips = result.pod_ips();
                assert!(
                    ips.len() == 2 && ips[0].is_ipv4() && ips[1].is_ipv6(),
                    "{ips:?}"
                );
            }
            let address = (results[0].pod_ips()[0], 80);
            let listener =
                namespace::inside(&pods[0].netns, || TcpListener::bind(address).unwrap());
            let connect =
                || TcpStream::connect_timeout(&address.into(), Duration::from_secs(20)).unwrap();
            namespace::inside(&pods[1].netns, connect).unwrap();
            drop(listener);
            for pod in &pods {
                node.cni.check(pod).unwrap();
            }
            // Something changed the pod behind our back.
            let flush = [
                "netns",
                "exec",
                "unikiln-aaaaaaaaaaaaaaaa",
                "ip",
                "addr",
                "flush",
                "eth0",
            ];
            assert!(Command::new("ip").args(flush).status().unwrap().success());
            let reason = node.cni.check(&pods[0]).unwrap_err().reason();
            assert!(reason.contains("CHECK"), "{reason}");

            assert_eq!(node.leases().len(), 4);
            node.cni.del(&pods[0]).unwrap();
            assert_eq!(node.leases().len(), 2);
            // The other one's namespace is lost, as by a reboot.
            Namespace::remove(&pods[1].netns).unwrap();
            node.cni.del(&pods[1]).unwrap();
            node.cni.del(&pods[1]).unwrap();
            assert_eq!(node.leases(), [""; 0]);
            assert_eq!(node.cni.attached().unwrap(), [""; 0]);
            Namespace::remove(&pods[0].netns).unwrap();
            no_link_is_left();
        },
    );
}

#[test]
fn a_failed_chain_gives_everything_back() {
    apart(
        "plugins::a_failed_chain_gives_everything_back",
        &[bridge("/usr/lib/cni/bridge")],
        || {
            let node = Node::with(&format!(r#"{BRIDGE}, {{"type": "fails"}}"#));
            let script =
                Path::new(env!("CARGO_MANIFEST_DIR")).join("src/network/cni/tests/plugin.sh");
            symlink(script, node.root.path().join("bin/fails")).unwrap();
            let pod = pod(A);
            let reason = node.cni.add(&pod).unwrap_err().reason();
            assert!(reason.contains("the pool is empty"), "{reason}");
            assert_eq!(node.leases(), [""; 0]);
            no_link_is_left();
            assert_eq!(node.cni.attached().unwrap(), [""; 0]);
        },
    );
}

#[test]
fn a_full_range_is_said() {
    apart(
        "plugins::a_full_range_is_said",
        &[bridge("/usr/lib/cni/bridge")],
        || {
            let small = BRIDGE.replace("10.87.0.0/24", "10.87.0.0/30");
            let node = Node::with(&small);
            let pods = [pod(A), pod(B)];
            node.cni.add(&pods[0]).unwrap();
            let error = node.cni.add(&pods[1]).unwrap_err();
            assert!(matches!(error, CniError::Failed { .. }), "{error:?}");
            assert!(
                error.reason().contains("no IP addresses available"),
                "{}",
                error.reason()
            );
            assert_eq!(node.leases().len(), 2);
            node.cni.del(&pods[0]).unwrap();
            node.cni.add(&pods[1]).unwrap();
        },
    );
}

#[test]
fn ports_and_bandwidth_are_passed_on() {
    let needs = [
        bridge("/usr/lib/cni/portmap"),
        bridge("/usr/lib/cni/bandwidth"),
        Need::Program("iptables"),
    ];
    apart("plugins::ports_and_bandwidth_are_passed_on", &needs, || {
        let node = Node::with(&format!("{BRIDGE}, {PORTMAP}, {BANDWIDTH}"));
        let mut pod = pod(A);
        pod.port_mappings = vec![PortMapping {
            host_port: 8087,
            container_port: 80,
            protocol: "tcp".into(),
            host_ip: None,
        }];
        pod.egress_bits = Some(80_000_000);
        let ip = node.cni.add(&pod).unwrap().pod_ips()[0];
        let rules = || {
            let done = Command::new("iptables")
                .args(["-t", "nat", "-S"])
                .output()
                .unwrap();
            String::from_utf8(done.stdout).unwrap()
        };
        let target = format!("--to-destination {ip}:80");
        assert!(rules().contains(&target), "{}", rules());
        let shaped = || {
            let done = Command::new("tc").args(["qdisc"]).output().unwrap();
            String::from_utf8(done.stdout).unwrap()
        };
        assert!(shaped().contains("rate 80Mbit"), "{}", shaped());
        node.cni.del(&pod).unwrap();
        assert!(!rules().contains(&target), "{}", rules());
        assert!(!shaped().contains("tbf"), "{}", shaped());
    });
}

#[test]
fn addresses_are_read_back_where_plugins_do_not_say() {
    apart(
        "plugins::addresses_are_read_back_where_plugins_do_not_say",
        &[],
        || {
            let node = Node::with(r#"{"type": "no-address"}"#);
            let script =
                Path::new(env!("CARGO_MANIFEST_DIR")).join("src/network/cni/tests/plugin.sh");
            symlink(script, node.root.path().join("bin/no-address")).unwrap();
            let pod = pod(A);
            let reason = node.cni.add(&pod).unwrap_err().reason();
            assert!(reason.contains("no address"), "{reason}");
            assert_eq!(node.cni.attached().unwrap(), [""; 0]);
            let ip = |args: &str| {
                let done = Command::new("ip")
                    .args(["-n", "unikiln-aaaaaaaaaaaaaaaa"])
                    .args(args.split(' '))
                    .status();
                assert!(done.unwrap().success(), "ip {args}");
            };
            ip("link add eth0 type veth peer name far0");
            ip("addr add 10.9.8.7/24 dev eth0");
            ip("addr add fd09::7/64 dev eth0 nodad");
            ip("link set eth0 up");
            let ips = node.cni.add(&pod).unwrap().pod_ips();
            let ips: Vec<_> = ips.iter().map(ToString::to_string).collect();
            assert_eq!(ips, ["10.9.8.7", "fd09::7"]);
        },
    );
}
