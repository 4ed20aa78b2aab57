//! All that a daemon could leave behind in these namespaces and in the machine's cgroups,
//! as a set of words. Two snapshots that differ name what leaked.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::cgroups;
use crate::node::Node;

/// How long what was removed may take to be gone: the kernel ends namespaces later.
const SETTLING: Duration = Duration::from_secs(20);

/// What there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot(BTreeSet<String>);

impl Snapshot {
    /// Of this node and all around it.
    pub fn take(node: &Node) -> Self {
        let mut found = BTreeSet::new();
        let mut add = |kind: &str, words: Vec<String>| {
            found.extend(words.into_iter().map(|word| format!("{kind} {word}")));
        };
        add("network namespace", names(Path::new("/run/netns")));
        add("link", links());
        // Directories of a network and of a daemon stay as long as those do.
        let no_directories = |paths: Vec<String>| -> Vec<String> {
            let is_file = |path: &String| !Path::new(path).is_dir();
            paths.into_iter().filter(is_file).collect()
        };
        add("address", no_directories(files(&node.path("addresses"))));
        add("CNI result", files(Path::new("/var/lib/cni")));
        add("mount", mounts());
        add("process", processes(node));
        add("cgroup", cgroups::below(&node.cgroup_parent));
        add("rule", rules());
        for directory in ["sandboxes", "containers"] {
            add("record", files(&node.path("state").join(directory)));
        }
        add("file of /run", no_directories(files(Path::new("/run"))));
        Self(found)
    }

    /// Nothing more is there than this, soon.
    #[track_caller]
    pub fn assert_back(&self, node: &Node) {
        let since = Instant::now();
        loop {
            let now = Self::take(node);
            let more: Vec<_> = now.0.difference(&self.0).collect();
            if more.is_empty() {
                return;
            }
            assert!(since.elapsed() < SETTLING, "left behind: {more:#?}");
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Open files of the daemon.
pub fn open_files(node: &Node) -> usize {
    let listed = fs::read_dir(format!("/proc/{}/fd", node.pid()));
    listed.expect("it runs").count()
}

/// The daemon holds no more files than before, and a few for what is under way.
#[track_caller]
pub fn assert_open_files(node: &Node, before: usize) {
    let since = Instant::now();
    loop {
        let now = open_files(node);
        if now <= before + 8 {
            return;
        }
        let fds = PathBuf::from(format!("/proc/{}/fd", node.pid()));
        let which: Vec<_> = names(&fds)
            .iter()
            .filter_map(|fd| fs::read_link(fds.join(fd)).ok())
            .collect();
        assert!(
            since.elapsed() < SETTLING,
            "{now} files, not {before}: {which:#?}"
        );
        thread::sleep(Duration::from_millis(100));
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// All below a directory.
fn files(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for name in names(directory) {
        // Locks and marks that stay are one of each.
        if name == "lock" || name.starts_with("last_reserved_ip") || name == "xtables.lock" {
            continue;
        }
        let path = directory.join(name);
        found.push(path.display().to_string());
        if path.is_dir() && !path.is_symlink() {
            found.extend(files(&path));
        }
    }
    found
}

fn links() -> Vec<String> {
    let text = fs::read_to_string("/proc/self/net/dev").expect("a list of links");
    let names = text.lines().filter_map(|line| line.split_once(':'));
    // A bridge stays: pods to come use it.
    names
        .map(|(name, _)| name.trim().to_owned())
        .filter(|name| !name.starts_with("kiln"))
        .collect()
}

fn mounts() -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").expect("a list of mounts");
    let places = text.lines().filter_map(|line| line.split(' ').nth(4));
    places.map(str::to_owned).collect()
}

/// Command lines of all processes but this test's, the daemon's and the registry's.
fn processes(node: &Node) -> Vec<String> {
    let mut found = Vec::new();
    for name in names(Path::new("/proc")) {
        let Ok(pid) = name.parse::<u32>() else {
            continue;
        };
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let ours = [1, std::process::id(), node.pid()].contains(&pid);
        // One without a command line is of the kernel, or over and not reaped yet.
        if !ours && !line.is_empty() {
            found.push(format!("{pid}: {line}"));
        }
    }
    found
}

/// Rules of the NAT table that are a pod's: those of the plugins stand in chains of the pod.
fn rules() -> Vec<String> {
    let output = Command::new("iptables-save").args(["-t", "nat"]).output();
    let output = output.expect("iptables-save starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text
        .lines()
        .filter(|line| line.contains("10.88.") || line.starts_with(":CNI-") && !is_shared(line));
    lines
        .map(|line| line.split(" [").next().unwrap_or(line).to_owned())
        .collect()
}

/// The chains that the portmap plugin has for all pods.
fn is_shared(line: &str) -> bool {
    [
        "HOSTPORT-DNAT",
        "HOSTPORT-MASQ",
        "HOSTPORT-SETMARK",
        "DN-SETMARK",
    ]
    .iter()
    .any(|name| line.contains(name))
}
