//! A node: `unikiln serve` with directories, a bridge and cgroups of its own.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use unikiln_daemon::proto;

use crate::cgroups;
use crate::client::{Client, PATIENCE};
use crate::common::{cache_dir, image::tool};
use crate::images;

/// How a node differs from what most trials want.
#[derive(Clone, Debug, Default)]
pub struct Wants {
    /// There is no CNI configuration.
    pub no_network: bool,
    /// Directory of CNI plugins; none: Debian's.
    pub plugins: Option<PathBuf>,
    /// The first plugin's type in place of `bridge`.
    pub plugin: Option<&'static str>,
    /// The state lies in a tmpfs of so many KiB.
    pub state_kib: Option<u32>,
    /// The OCI runtime in place of runc.
    pub oci_runtime: Option<PathBuf>,
}

/// See the module documentation.
#[derive(Debug)]
pub struct Node {
    /// Where all of it lies.
    pub directory: tempfile::TempDir,
    /// The client.
    pub client: Client,
    /// The parent of all cgroups of its pods.
    pub cgroup_parent: String,
    /// The network of its pods: 10.88.NUMBER.0/24.
    pub number: u8,
    child: Child,
    mounted: bool,
}

impl Node {
    /// A node whose image is pulled.
    pub fn start() -> Self {
        Self::with(&Wants::default())
    }

    /// The same with differences.
    pub fn with(wants: &Wants) -> Self {
        static NUMBER: AtomicU8 = AtomicU8::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        assert!(number < 250, "networks of 10.88.0.0/16 are used up");
        let directory = tempfile::Builder::new()
            .prefix("node-")
            .tempdir_in(cache_dir("cri"))
            .expect("a directory");
        let place = directory.path();
        for name in [
            "root",
            "state",
            "net.d",
            "registries.d",
            "logs",
            "addresses",
        ] {
            fs::create_dir(place.join(name)).expect("a directory");
        }
        let mounted = wants.state_kib.is_some_and(|kib| {
            let state = place.join("state");
            let state = state.to_str().expect("UTF-8");
            tool(
                "mount",
                &["-t", "tmpfs", "-o", &format!("size={kib}k"), "state", state],
            );
            true
        });
        if !wants.no_network {
            fs::write(
                place.join("net.d/10-kiln.conflist"),
                network(place, number, wants),
            )
            .expect("a file");
        }
        let runtime = wants.oci_runtime.clone();
        let runtime = runtime.unwrap_or_else(|| PathBuf::from("/usr/sbin/runc"));
        let plugins = wants.plugins.clone();
        let plugins = plugins.unwrap_or_else(|| PathBuf::from("/usr/lib/cni"));
        fs::write(
            place.join("serve.toml"),
            config(place, number, &runtime, &plugins),
        )
        .expect("a file");
        let child = serve(place);
        let mut node = Self {
            client: Client::new(&socket(number)),
            // Not by the number of this process, which is the same in each namespace.
            cgroup_parent: format!("/unikiln-test-{}", name_of(place)),
            directory,
            number,
            child,
            mounted,
        };
        node.is_up();
        node
    }

    /// A path of it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The daemon's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Pulls a tag of the test's image; its reference.
    pub fn pull(&self, tag: &str) -> String {
        let request = proto::PullImageRequest {
            image: Some(image(tag)),
            ..Default::default()
        };
        self.client.pull_image(request).expect("a pull").image_ref
    }

    /// SIGKILL, and nothing else.
    pub fn kill(&mut self) {
        self.child.kill().expect("ours");
        self.child.wait().expect("ours");
    }

    /// After [`Node::kill`]; waits until it answers.
    pub fn start_again(&mut self) {
        self.child = serve(self.directory.path());
        self.client = Client::new(&socket(self.number));
        self.is_up();
    }

    /// SIGTERM; how it ends.
    pub fn terminate(&mut self) -> ExitStatus {
        tool("kill", &["-TERM", &self.pid().to_string()]);
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("ours") {
                return status;
            }
            assert!(since.elapsed() < PATIENCE, "the daemon does not end");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// What the daemon has written.
    pub fn said(&self) -> String {
        fs::read_to_string(self.path("serve.log")).unwrap_or_default()
    }

    /// The address of its bridge.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 88, self.number, 1)
    }

    fn is_up(&mut self) {
        let since = Instant::now();
        loop {
            let version = proto::VersionRequest::default();
            match self.client.version(version) {
                Ok(_) => return,
                Err(error) => {
                    let ended = self.child.try_wait().expect("ours");
                    let said = self.said();
                    assert!(ended.is_none(), "the daemon ended ({ended:?}):\n{said}");
                    assert!(since.elapsed() < PATIENCE, "no answer: {error}\n{said}");
                }
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Removes all pods.
    pub fn clear(&self) {
        let pods = self.client.list_pod_sandbox(Default::default());
        for pod in pods.map(|list| list.items).unwrap_or_default() {
            let request = proto::RemovePodSandboxRequest {
                pod_sandbox_id: pod.id.clone(),
            };
            if let Err(error) = self.client.remove_pod_sandbox(request) {
                eprintln!("cannot remove pod {}: {error}", pod.id);
            }
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if thread::panicking() {
            let status = self.child.try_wait();
            let said = self.said();
            let from = said.ceil_char_boundary(said.len().saturating_sub(8000));
            eprintln!("--- the daemon ({status:?}) ---\n{}\n---", &said[from..]);
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            // Once more where the trial left pods; the namespaces have the rest.
            if !thread::panicking() {
                self.clear();
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        cgroups::remove(&self.cgroup_parent);
        if self.mounted {
            let _ = Command::new("umount")
                .arg("-l")
                .arg(self.path("state"))
                .status();
        }
    }
}

static SHARED: Mutex<Option<Arc<Node>>> = Mutex::new(None);

/// The node of all trials that need none of their own, its image pulled.
pub fn shared() -> Arc<Node> {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let start = || {
        let node = Node::start();
        node.pull("all");
        Arc::new(node)
    };
    Arc::clone(shared.get_or_insert_with(start))
}

/// Ends it.
pub fn end_shared() {
    SHARED.lock().unwrap_or_else(PoisonError::into_inner).take();
}

/// An image of the test as a request names it.
pub fn image(tag: &str) -> proto::ImageSpec {
    proto::ImageSpec {
        image: images::name(tag),
        ..Default::default()
    }
}

/// Where a node's daemon listens: a short path, for the kernel takes 107 bytes.
pub fn socket(number: u8) -> PathBuf {
    PathBuf::from(format!("/run/kiln{number}.sock"))
}

fn name_of(place: &Path) -> String {
    let name = place.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// How a process ended, in words.
pub fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, signal) => format!("signal {signal:?}"),
    }
}

fn serve(place: &Path) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(place.join("serve.log"))
        .expect("a file");
    Command::new(env!("CARGO_BIN_EXE_unikiln"))
        .arg("serve")
        .arg("--config")
        .arg(place.join("serve.toml"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a file"))
        .stderr(log)
        .spawn()
        .expect("unikiln starts")
}

/// The daemon's configuration file.
fn config(place: &Path, number: u8, runtime: &Path, plugins: &Path) -> String {
    let place = place.display();
    format!(
        "socket = \"{}\"\n\
         root = \"{place}/root\"\n\
         state = \"{place}/state\"\n\
         cni-conf-dir = \"{place}/net.d\"\n\
         cni-bin-dir = \"{}\"\n\
         registry-config-dir = \"{place}/registries.d\"\n\
         default-handler = \"unikiln\"\n\
         log-level = \"debug\"\n\
         [handlers.runc]\n\
         runtime = \"{}\"\n",
        socket(number).display(),
        plugins.display(),
        runtime.display(),
    )
}

/// A bridge, addresses from a list of this node's own, and ports.
fn network(place: &Path, number: u8, wants: &Wants) -> String {
    let plugin = wants.plugin.unwrap_or("bridge");
    let addresses = place.join("addresses");
    format!(
        r#"{{ "cniVersion": "1.0.0", "name": "kiln{number}", "plugins": [
             {{ "type": "{plugin}", "bridge": "kiln{number}", "isGateway": true, "ipMasq": true,
                "hairpinMode": true,
                "ipam": {{ "type": "host-local", "dataDir": "{}",
                           "ranges": [[{{ "subnet": "10.88.{number}.0/24" }}]],
                           "routes": [{{ "dst": "0.0.0.0/0" }}] }} }},
             {{ "type": "portmap", "capabilities": {{ "portMappings": true }} }},
             {{ "type": "bandwidth", "capabilities": {{ "bandwidth": true }} }}
           ] }}"#,
        addresses.display()
    )
}
