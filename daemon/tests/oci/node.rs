//! A node with one OCI runtime, and containers on it that clean up after themselves.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use unikiln_daemon::cgroup::Cgroup;
use unikiln_daemon::handler::oci::{OciHandler, OciOptions};
use unikiln_daemon::handler::{Ended, ExecOutput, Handler, HandlerError, Launch, Mount, Process};
use unikiln_daemon::image::LocalImage;
use unikiln_daemon::image::layers::Layers;
use unikiln_daemon::proto::{
    ContainerConfig, LinuxContainerSecurityContext, PodSandboxConfig, PodSandboxMetadata,
};

use crate::image::{Layer, Layout, Tar};
use crate::skip::{Need, find_program, has_all};

/// How long a machine may be busy with something else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// What busybox is called by in the image.
const APPLETS: [&str; 15] = [
    "sh", "cat", "echo", "id", "sleep", "ls", "touch", "stat", "head", "env", "hostname", "kill",
    "pwd", "ps", "stty",
];

static NEXT: AtomicU64 = AtomicU64::new(0);

/// An image store, a state directory, a handler.
pub(crate) struct Node {
    directory: TempDir,
    pub(crate) layout: Layout,
    pub(crate) runtime: PathBuf,
}

impl Node {
    /// With `runc`; none, loudly, where something is missing.
    pub(crate) fn new(test: &str) -> Option<Self> {
        Self::with("runc", test, Vec::new())
    }

    /// With another runtime, and more layers over busybox's.
    pub(crate) fn with(runtime: &str, test: &str, layers: Vec<Tar>) -> Option<Self> {
        let needs = [
            Need::Program(runtime),
            Need::Program("conmon"),
            Need::Program("unshare"),
            Need::File("/bin/busybox"),
            Need::Mounts,
        ];
        if !has_all(test, &needs) {
            return None;
        }
        let mut all = vec![busybox()];
        all.extend(layers.into_iter().map(Tar::gzip));
        let layout = Layout::new(&all);
        Some(Self {
            directory: tempfile::tempdir().expect("directory"),
            layout,
            runtime: find_program(runtime)?,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn layers(&self) -> Layers {
        Layers::open(self.layout.path()).expect("layers")
    }

    /// A handler as a daemon that was started again makes it.
    pub(crate) fn handler(&self) -> OciHandler {
        let options = OciOptions {
            runtime: self.runtime.clone(),
            runtime_root: self.path().join("run"),
            conmon: find_program("conmon").unwrap_or_else(|| "/no/conmon".into()),
        };
        OciHandler::new(options, self.layers())
    }

    pub(crate) fn image(&self) -> LocalImage {
        let index = fs::read(self.layout.path().join("index.json")).expect("index");
        let index: serde_json::Value = serde_json::from_slice(&index).expect("JSON");
        let manifest = &index["manifests"][0]["digest"];
        LocalImage {
            manifest: manifest.as_str().expect("digest").to_owned(),
            env: vec!["PATH=/bin".to_owned()],
            ..LocalImage::default()
        }
    }

    /// A container that runs a shell script.
    pub(crate) fn container(&self, script: &str) -> Container<'_> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let id = format!("{:056x}{number:08x}", std::process::id());
        let directory = self.path().join("containers").join(&id);
        fs::create_dir_all(&directory).expect("directory");
        let metadata = PodSandboxMetadata {
            name: "pod".to_owned(),
            uid: "uid".to_owned(),
            namespace: "default".to_owned(),
            attempt: 0,
        };
        Container {
            node: self,
            log: Some(directory.with_extension("log")),
            id,
            directory,
            config: ContainerConfig {
                command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
                ..ContainerConfig::default()
            },
            pod: PodSandboxConfig {
                metadata: Some(metadata),
                ..PodSandboxConfig::default()
            },
            image: self.image(),
            mounts: Vec::new(),
            cgroup: Cgroup::default(),
            network: None,
        }
    }

    /// Nothing is left of any container: no mount, no process, no directory but the
    /// containers' own, which are empty.
    pub(crate) fn assert_clean(&self) {
        let table = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
        let here = self.path().to_str().expect("utf-8");
        assert!(!table.contains(here), "a mount is left: {table}");
        let words = format!("{here}/");
        let left: Vec<_> = command_lines()
            .into_iter()
            .filter(|line| line.contains(&words))
            .collect();
        assert!(left.is_empty(), "processes are left: {left:?}");
        for directory in ["containers", "run/state", "run/pods"] {
            for entry in self.path().join(directory).read_dir().into_iter().flatten() {
                let path = entry.expect("entry").path();
                let is_empty = path.is_file()
                    || path
                        .read_dir()
                        .is_ok_and(|mut files| files.next().is_none());
                assert!(is_empty, "{} is left", path.display());
            }
        }
        let users = self.layers().containers().expect("users");
        assert!(users.is_empty(), "layers are held by {users:?}");
    }
}

fn command_lines() -> Vec<String> {
    let processes = fs::read_dir("/proc").expect("proc").flatten();
    processes
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .collect()
}

fn busybox() -> Layer {
    let program = fs::read("/bin/busybox").expect("busybox");
    let mut tar = Tar::new()
        .directory("./")
        .directory("bin/")
        .with(|builder| {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o755);
            header.set_size(program.len() as u64);
            header.set_cksum();
            builder
                .append_data(&mut header, "bin/busybox", program.as_slice())
                .expect("append");
        });
    for applet in APPLETS {
        tar = tar.symlink(&format!("bin/{applet}"), "busybox");
    }
    tar = tar
        .directory("etc/")
        .file(
            "etc/passwd",
            "root:x:0:0::/:/bin/sh\nweb:x:33:34::/:/bin/sh\n",
        )
        .file("etc/group", "root:x:0:\nweb:x:34:\ntape:x:60:web\n")
        .directory("tmp/");
    Layer::plain(tar.bytes())
}

/// A container, deleted at the end.
pub(crate) struct Container<'a> {
    pub(crate) node: &'a Node,
    pub(crate) id: String,
    pub(crate) directory: PathBuf,
    pub(crate) config: ContainerConfig,
    pub(crate) pod: PodSandboxConfig,
    pub(crate) image: LocalImage,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) cgroup: Cgroup,
    pub(crate) log: Option<PathBuf>,
    pub(crate) network: Option<PathBuf>,
}

impl Container<'_> {
    pub(crate) fn launch(&self) -> Launch<'_> {
        Launch {
            id: &self.id,
            directory: &self.directory,
            config: &self.config,
            pod: &self.pod,
            image: &self.image,
            mounts: &self.mounts,
            network: self.network.as_deref(),
            cgroup: &self.cgroup,
            log: self.log.as_deref(),
        }
    }

    pub(crate) fn security(&mut self) -> &mut LinuxContainerSecurityContext {
        let linux = self.config.linux.get_or_insert_default();
        linux.security_context.get_or_insert_default()
    }

    pub(crate) fn mount(&mut self, source: &Path, place: &str, read_only: bool) {
        self.mounts.push(Mount {
            source: source.to_owned(),
            place: place.into(),
            read_only,
            recursive_read_only: false,
            propagated: false,
        });
    }

    pub(crate) fn try_start(&self) -> Result<Process, HandlerError> {
        let handler = self.node.handler();
        handler.create(&self.launch())?;
        handler.start(&self.launch())
    }

    pub(crate) fn start(&self) -> Process {
        self.try_start().expect("starts")
    }

    /// How it ended, as another daemon finds it.
    pub(crate) fn wait(&self, process: Process) -> Ended {
        wait_for("the end of the container", || !is_alive(process));
        self.node.handler().ended(&self.launch(), process)
    }

    pub(crate) fn run(&self) -> Ended {
        self.wait(self.start())
    }

    pub(crate) fn exec(
        &self,
        process: Process,
        script: &str,
        timeout: Option<Duration>,
    ) -> Result<ExecOutput, HandlerError> {
        let command = ["/bin/sh", "-c", script].map(str::to_owned);
        let handler = self.node.handler();
        handler.exec_sync(&self.launch(), process, &command, timeout)
    }

    /// Lines of the log: stream and text, without times and tags.
    pub(crate) fn lines(&self) -> Vec<(String, String)> {
        read_log(&[self.log.as_ref().expect("log")])
    }

    /// The text that it wrote.
    pub(crate) fn said(&self) -> Vec<String> {
        self.lines().into_iter().map(|(_, text)| text).collect()
    }

    /// Waits until it has written a line.
    pub(crate) fn wait_line(&self, line: &str) {
        wait_for(line, || {
            self.log.as_ref().is_some_and(|log| log.exists())
                && self.said().iter().any(|said| said == line)
        });
    }

    pub(crate) fn delete(&self) -> Result<(), HandlerError> {
        self.node.handler().delete(&self.launch(), None)
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.delete() {
            eprintln!("container {} is left: {error}", self.id);
        }
    }
}

/// Lines of a log that is in several files, oldest first; pieces of a line are joined.
pub(crate) fn read_log(paths: &[&Path]) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    let mut begun: BTreeMap<String, String> = BTreeMap::new();
    for path in paths {
        let text = fs::read_to_string(path).expect("log");
        for line in text.lines() {
            let mut parts = line.splitn(4, ' ');
            let time = parts.next().expect("time");
            assert!(time.contains('T'), "no time in {line:?}");
            let stream = parts.next().expect("stream").to_owned();
            let tag = parts.next().expect("tag");
            let whole = begun.entry(stream.clone()).or_default();
            whole.push_str(parts.next().unwrap_or_default());
            match tag {
                "F" => lines.push((stream, std::mem::take(whole))),
                "P" => {}
                _ => panic!("no tag in {line:?}"),
            }
        }
    }
    lines
}

pub(crate) fn is_alive(process: Process) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.pid)).unwrap_or_default();
    let fields: Vec<_> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = fields.get(19).and_then(|text| text.parse().ok());
    ticks == Some(process.start_ticks) && fields[0] != "Z"
}

pub(crate) fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A program that stands in for another.
pub(crate) fn script(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, text).expect("write");
    fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("chmod");
}
