//! What must be installed, and what the figures were measured on.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use crate::Part;

/// Program, its Debian package, the parts that need it; no parts: all do.
const TOOLS: [(&str, &str, &[Part]); 32] = [
    ("gcc", "gcc", &[]),
    ("runc", "runc", &[Part::ColdStart, Part::Cri]),
    ("fsck.erofs", "erofs-utils", &[Part::ColdStart]),
    (
        "python3.11",
        "python3.11",
        &[Part::Programs, Part::Runtimes],
    ),
    ("go", "golang-go", &[Part::Runtimes]),
    ("java", "openjdk-17-jre-headless", &[Part::Runtimes]),
    ("javac", "openjdk-17-jdk-headless", &[Part::Runtimes]),
    (
        "taskset",
        "util-linux",
        &[Part::Threads, Part::Runtimes, Part::Processes],
    ),
    ("sqlite3", "sqlite3", &[Part::Programs]),
    ("sha256sum", "coreutils", &[Part::Programs, Part::BuildTime]),
    ("tar", "tar", &[Part::BuildTime, Part::Pull, Part::Cri]),
    ("gzip", "gzip", &[Part::BuildTime]),
    ("find", "findutils", &[Part::BuildTime, Part::Pull]),
    (
        "docker-registry",
        "docker-registry",
        &[Part::Pull, Part::Cri],
    ),
    ("skopeo", "skopeo", &[Part::Pull, Part::Cri]),
    ("umoci", "umoci", &[Part::Pull, Part::Cri]),
    ("containerd", "containerd", &[Part::Cri]),
    ("ip", "iproute2", &[Part::Cri]),
    ("iptables", "iptables", &[Part::Cri]),
    ("unshare", "util-linux", &[Part::Cri]),
    ("redis-server", "redis-server", &[Part::Network]),
    ("redis-benchmark", "redis-tools", &[Part::Network]),
    ("nginx", "nginx-light", &[Part::Network, Part::Processes]),
    ("wrk", "wrk", &[Part::Network, Part::Processes]),
    ("dash", "dash", &[Part::Processes]),
    ("make", "make", &[Part::Processes]),
    ("as", "binutils", &[Part::Processes]),
    ("grep", "grep", &[Part::Processes]),
    ("sed", "sed", &[Part::Processes]),
    ("expr", "coreutils", &[Part::Processes]),
    ("setpriv", "util-linux", &[Part::Processes]),
    ("pgbench", "postgresql-15", &[Part::Processes]),
];

/// Names everything that is missing at once.
pub(crate) fn require_tools(parts: &[Part]) -> Result<()> {
    let needed = TOOLS
        .iter()
        .filter(|(_, _, by)| by.is_empty() || by.iter().any(|part| parts.contains(part)));
    let mut missing: Vec<&str> = needed
        .filter(|(program, ..)| find(program).is_none())
        .map(|&(_, package, _)| package)
        .collect();
    if !Path::new("/usr/lib/x86_64-linux-gnu/libc.a").exists() {
        missing.push("libc6-dev");
    }
    if parts.contains(&Part::Cri) && !Path::new("/usr/lib/cni/bridge").exists() {
        missing.push("containernetworking-plugins");
    }
    if !missing.is_empty() {
        bail!(
            "not everything that is measured is installed; as root: apt-get install {}",
            missing.join(" ")
        );
    }
    if let Err(error) = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm")
    {
        bail!("cannot open /dev/kvm ({error}), and nothing can be measured without it");
    }
    if (parts.contains(&Part::ColdStart) || parts.contains(&Part::Cri)) && !is_root() {
        bail!(
            "cold starts and pods are compared with runc, which needs root; without it: --only boot-size,programs,…"
        );
    }
    Ok(())
}

/// Where Debian installs a program: never somebody's shim earlier in PATH.
pub(crate) fn find(program: &str) -> Option<String> {
    ["/usr/bin", "/usr/sbin"]
        .iter()
        .map(|dir| format!("{dir}/{program}"))
        .find(|path| Path::new(path).is_file())
}

fn is_root() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| status.contains("\nUid:\t0\t0\t"))
}

/// Says so when others are using the machine: ratios of medians bear much, but not all.
pub(crate) fn warn_if_busy() {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load
        .split(' ')
        .next()
        .and_then(|load| load.parse::<f64>().ok())
        .unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(1.0, |count| count.get() as f64);
    if load > 0.5 * cpus {
        eprintln!("the machine is busy (load {load} on {cpus} processors): expect noise");
    }
}

/// Processor, kernel, kind of KVM, and how busy the machine is.
pub(crate) fn describe() -> Vec<(&'static str, String)> {
    let first_line = |path: &str| {
        fs::read_to_string(path)
            .unwrap_or_default()
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or_default();
    let count = cpuinfo
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let modules = fs::read_to_string("/proc/modules").unwrap_or_default();
    let has = |name: &str| {
        modules.lines().any(|line| line.starts_with(name))
            || Path::new("/sys/module").join(name).exists()
    };
    let kvm = ["kvm_intel", "kvm_amd", "kvm_pvm"]
        .into_iter()
        .find(|name| has(name))
        .unwrap_or("built in, kind unknown");
    vec![
        (
            "cpu",
            format!("{} × {}", count, model.trim_start_matches([' ', '\t', ':'])),
        ),
        ("kernel", first_line("/proc/sys/kernel/osrelease")),
        ("kvm", kvm.to_owned()),
        ("load", first_line("/proc/loadavg")),
    ]
}
