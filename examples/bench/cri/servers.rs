//! Both servers and a registry in namespaces of their own: network, mounts, processes. Each
//! server has a root, a state, a bridge; both read CNI configurations that differ in the
//! bridge and its addresses alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::client::Client;
use crate::bench::{Bench, text};
use crate::command::tool;

/// The registry's port, in a network of its own.
const REGISTRY: &str = "127.0.0.1:5000";
/// Longer than a registry takes to be filled.
const PATIENCE: Duration = Duration::from_secs(60);

/// `$1` is the scratch directory, `$2` unikiln.
const SCRIPT: &str = r#"
set -e
mount -t tmpfs run /run
mkdir -p /var/lib/cni
mount -t tmpfs cni /var/lib/cni
ip link set lo up
docker-registry serve "$1/registry.yml" &
tries=0
until skopeo copy --quiet --dest-tls-verify=false "oci:$1/layout:sleeper" docker://127.0.0.1:5000/bench/sleeper:1; do
    tries=$((tries + 1)); [ $tries -lt 100 ]; sleep 0.1
done
containerd --config "$1/containerd.toml" --log-level error &
"$2" serve --config "$1/unikiln.toml" &
: >"$1/filled"
wait
"#;

/// Ended when dropped, with all that runs in the namespaces.
#[derive(Debug)]
pub(super) struct Servers {
    child: Child,
    directory: PathBuf,
    /// `unikiln serve`.
    pub(super) ours: Client,
    /// containerd with runc.
    pub(super) theirs: Client,
}

impl Servers {
    /// Starts all of it; both have the image.
    pub(super) fn start(bench: &Bench) -> Result<Self> {
        let directory = bench.path("cri");
        for name in ["net.ours", "net.theirs", "logs", "ours", "theirs"] {
            let path = directory.join(name);
            fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        }
        fill_layout(bench, &directory)?;
        configure(&directory)?;
        let said = fs::File::create(directory.join("said")).context("cannot write a file")?;
        let child = Command::new("unshare")
            .args(["--net", "--mount", "--pid", "--fork", "--kill-child"])
            .args(["--mount-proc", "--propagation", "private"])
            .args(["sh", "-c", SCRIPT, "sh"])
            .arg(&directory)
            .arg(bench.unikiln())
            .stdin(Stdio::null())
            .stdout(said.try_clone().context("cannot write a file")?)
            .stderr(said)
            .spawn()
            .context("cannot start unshare")?;
        let mut child = Ended(Some(child));
        let started = Instant::now();
        while !directory.join("filled").exists() {
            let ended = child.0.as_mut().map(Child::try_wait).transpose()?.flatten();
            let said = fs::read_to_string(directory.join("said")).unwrap_or_default();
            ensure!(ended.is_none(), "the servers ended:\n{said}");
            ensure!(
                started.elapsed() < PATIENCE,
                "the servers do not start:\n{said}"
            );
            thread::sleep(Duration::from_millis(50));
        }
        let image = format!("{REGISTRY}/bench/sleeper:1");
        let logs = directory.join("logs");
        let client = |name: &str| {
            let socket = directory.join(format!("{name}.sock"));
            Client::new(&socket, &image, &logs, name)
                .with_context(|| fs::read_to_string(directory.join("said")).unwrap_or_default())
        };
        let (ours, theirs) = (client("ours")?, client("theirs")?);
        Ok(Self {
            child: child.0.take().context("it runs")?,
            directory,
            ours,
            theirs,
        })
    }

    /// Proportional resident memory in MiB of all processes of one side: the server's own,
    /// and that of pods.
    pub(super) fn memory_mib(&self, side: &str) -> Result<(f64, f64)> {
        let directory = text(self.directory.clone())?;
        let words: &[String] = &match side {
            "ours" => [format!("{directory}/ours"), "serve --config".to_owned()],
            _ => [
                format!("{directory}/theirs"),
                "containerd --config".to_owned(),
            ],
        };
        let (mut server, mut pods) = (0.0, 0.0);
        for process in fs::read_dir("/proc").context("cannot list processes")? {
            let path = process.context("cannot list processes")?.path();
            let Ok(line) = fs::read(path.join("cmdline")) else {
                continue;
            };
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let parent = of_container(&path, side);
            if line.contains(&words[1]) && line.contains(&directory) {
                server += pss_mib(&path);
            } else if line.contains(&words[0]) || parent {
                pods += pss_mib(&path);
            }
        }
        ensure!(server > 0.0, "no server of {side}");
        Ok((server, pods))
    }
}

/// Whether a process is in a cgroup of this side's pods.
fn of_container(process: &Path, side: &str) -> bool {
    let cgroups = fs::read_to_string(process.join("cgroup")).unwrap_or_default();
    cgroups.contains(&format!("unikiln-bench-{side}-{}/", std::process::id()))
}

fn pss_mib(process: &Path) -> f64 {
    let rollup = fs::read_to_string(process.join("smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let word = line.and_then(|line| line.split_whitespace().next());
    word.and_then(|word| word.parse::<f64>().ok())
        .unwrap_or_default()
        / 1024.0
}

/// Killed when dropped, unless it was taken out.
struct Ended(Option<Child>);

impl Drop for Ended {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // One that is gone already is what is wanted.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An image of one program, which says a line and sleeps.
fn fill_layout(bench: &Bench, directory: &Path) -> Result<()> {
    let program = bench.guest("sleeper")?;
    let layout = text(directory.join("layout"))?;
    let tar = text(directory.join("sleeper.tar"))?;
    let place = "--transform=s,^.*$,sleeper,";
    tool(&[
        "tar",
        "-cf",
        &tar,
        "-C",
        "/",
        place,
        program.trim_start_matches('/'),
    ])?;
    let image = format!("{layout}:sleeper");
    tool(&["umoci", "init", "--layout", &layout])?;
    tool(&["umoci", "new", "--image", &image])?;
    tool(&["umoci", "raw", "add-layer", "--image", &image, &tar])?;
    let entrypoint = ["--config.entrypoint", "/sleeper"];
    tool(&[&["umoci", "config", "--image", &image], &entrypoint[..]].concat())?;
    Ok(())
}

fn configure(directory: &Path) -> Result<()> {
    let write = |name: &str, text: String| {
        let path = directory.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    let place = text(directory.to_owned())?;
    write(
        "registry.yml",
        format!(
            "version: 0.1\nlog: {{level: error}}\nhttp: {{addr: '{REGISTRY}'}}\n\
             storage: {{filesystem: {{rootdirectory: {place}/registry}}}}\n"
        ),
    )?;
    for (side, network) in [("ours", "10.81"), ("theirs", "10.82")] {
        write(
            &format!("net.{side}/10-bench.conflist"),
            format!(
                r#"{{ "cniVersion": "0.4.0", "name": "{side}", "plugins": [
                     {{ "type": "bridge", "bridge": "{side}", "isGateway": true, "ipMasq": true,
                        "ipam": {{ "type": "host-local", "ranges": [[{{ "subnet": "{network}.0.0/16" }}]],
                                   "routes": [{{ "dst": "0.0.0.0/0" }}] }} }},
                     {{ "type": "portmap", "capabilities": {{ "portMappings": true }} }} ] }}"#
            ),
        )?;
    }
    write(
        "unikiln.toml",
        format!(
            "socket = \"{place}/ours.sock\"\n\
             root = \"{place}/ours/root\"\n\
             state = \"{place}/ours/state\"\n\
             cni-conf-dir = \"{place}/net.ours\"\n\
             cni-bin-dir = \"/usr/lib/cni\"\n"
        ),
    )?;
    write(
        "containerd.toml",
        format!(
            "version = 2\n\
             root = \"{place}/theirs/root\"\n\
             state = \"/run/theirs\"\n\
             [grpc]\n\
             address = \"{place}/theirs.sock\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\"]\n\
             sandbox_image = \"{REGISTRY}/bench/sleeper:1\"\n\
             restrict_oom_score_adj = true\n\
             [plugins.\"io.containerd.grpc.v1.cri\".cni]\n\
             bin_dir = \"/usr/lib/cni\"\n\
             conf_dir = \"{place}/net.theirs\"\n"
        ),
    )
}
