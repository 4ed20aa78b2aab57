//! Layouts made of plain files, and this machine's own cgroups.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::*;

/// A layout in a temporary directory, with one cgroup in it.
pub(super) struct Fake {
    directory: tempfile::TempDir,
    mounts: Vec<&'static str>,
}

impl Fake {
    /// Its cgroup.
    pub(super) const PATH: &str = "/pods/a";

    /// All that is used, a mount each, but huge pages.
    pub(super) fn v1() -> Self {
        Self::new(&["cpuacct,cpu", "cpuset", "memory", "pids", "blkio"], None)
    }

    pub(super) fn v2() -> Self {
        Self::new(&[], Some(("", "cpuset cpu io memory pids\n")))
    }

    /// No cpuset and no pids; huge pages in version 2.
    pub(super) fn hybrid() -> Self {
        Self::new(&["cpuacct,cpu", "memory"], Some(("unified", "hugetlb\n")))
    }

    fn new(v1: &[&'static str], v2: Option<(&'static str, &str)>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut mountinfo = String::from("22 1 0:1 / / rw - ext4 /dev/vda rw\n");
        for name in v1 {
            let line =
                format!("30 22 0:30 / /cgroup/{name} rw shared:1 - cgroup cgroup rw,{name}\n");
            mountinfo.push_str(&line);
        }
        if let Some((name, _)) = v2 {
            let line = format!("31 22 0:31 / /cgroup/{name} rw - cgroup2 cgroup2 rw\n");
            mountinfo.push_str(&line);
        }
        let mounts = v1.iter().copied().chain(v2.map(|(name, _)| name)).collect();
        let fake = Self { directory, mounts };
        for name in &fake.mounts {
            fs::create_dir_all(fake.mount(name).join("pods/a")).unwrap();
        }
        if let Some((name, controllers)) = v2 {
            for level in ["", "pods", "pods/a"] {
                let level = fake.mount(name).join(level);
                fs::write(level.join("cgroup.controllers"), controllers).unwrap();
                fs::write(level.join("cgroup.subtree_control"), "").unwrap();
            }
        }
        fs::write(fake.root().join("mountinfo"), mountinfo).unwrap();
        fake
    }

    pub(super) fn root(&self) -> &Path {
        self.directory.path()
    }

    fn mount(&self, name: &str) -> PathBuf {
        self.root().join("cgroup").join(name)
    }

    /// An interface file of the cgroup.
    pub(super) fn file(&self, mount: &str, name: &str) -> PathBuf {
        self.mount(mount).join("pods/a").join(name)
    }

    pub(super) fn fill(&self, mount: &str, name: &str, content: &str) {
        fs::write(self.file(mount, name), content).unwrap();
    }

    pub(super) fn meminfo(&self, content: &str) {
        fs::create_dir_all(self.root().join("proc")).unwrap();
        fs::write(self.root().join("proc/meminfo"), content).unwrap();
    }

    pub(super) fn huge_pages(&self, kib: u64, count: &str) {
        let pool = self
            .root()
            .join(format!("sys/kernel/mm/hugepages/hugepages-{kib}kB"));
        fs::create_dir_all(&pool).unwrap();
        fs::write(pool.join("nr_hugepages"), count).unwrap();
    }

    fn places(&self) -> Places {
        Places {
            root: self.root().to_owned(),
            mountinfo: self.root().join("mountinfo"),
            bus: self.root().join("bus"),
        }
    }

    pub(super) fn hierarchies(&self) -> Hierarchies {
        let places = self.places();
        Hierarchies::find(&places.mountinfo, &places.root).unwrap()
    }

    fn cgroups(&self) -> Cgroups {
        Cgroups::open_at(Driver::Cgroupfs, &self.places()).unwrap()
    }
}

fn limits(memory: i64) -> LinuxContainerResources {
    LinuxContainerResources {
        memory_limit_in_bytes: memory,
        ..Default::default()
    }
}

#[test]
fn a_container_of_version_2() {
    let fake = Fake::v2();
    let cgroups = fake.cgroups();
    assert!(cgroups.is_unified());
    let pod = cgroups.pod("/pods", "ab").unwrap();
    assert!(pod.is_given);
    assert_eq!(pod.directories, [fake.mount("").join("pods")]);
    fake.fill("", "memory.max", "max\n");
    let made = cgroups.container(&pod, "a", &limits(4096)).unwrap();
    assert_eq!((made.path.as_str(), made.is_given), ("/pods/a", false));
    assert_eq!(
        fs::read_to_string(fake.file("", "memory.max")).unwrap(),
        "4096"
    );
    // Each level passes controllers on; the container itself does not.
    let passed = |level: &str| {
        let file = fake.mount("").join(level).join("cgroup.subtree_control");
        fs::read_to_string(file).unwrap()
    };
    assert_eq!(
        (passed("").as_str(), passed("pods").as_str()),
        ("+pids", "+pids")
    );
    assert_eq!(passed("pods/a"), "");
    cgroups.remove(&pod).unwrap();
    assert!(fake.mount("").join("pods").is_dir(), "kubelet's");
}

#[test]
fn a_controller_that_is_not_passed_on() {
    let fake = Fake::v2();
    // A directory takes no value, as the kernel takes none where processes are.
    let control = fake.mount("").join("pods/cgroup.subtree_control");
    fs::remove_file(&control).unwrap();
    fs::create_dir(&control).unwrap();
    fs::write(fake.mount("").join("pods/cgroup.controllers"), "memory\n").unwrap();
    let hierarchies = fake.hierarchies();
    let error = enable::make(&hierarchies, Fake::PATH, &[]).unwrap_err();
    assert!(
        error.to_string().contains("cgroup.subtree_control"),
        "{error}"
    );
}

#[test]
fn a_new_cpuset_of_version_1_is_its_parents() {
    let fake = Fake::v1();
    fs::write(fake.mount("cpuset").join("pods/cpuset.cpus"), "0-3\n").unwrap();
    fs::write(fake.mount("cpuset").join("pods/cpuset.mems"), "0\n").unwrap();
    fake.fill("cpuset", "cpuset.cpus", "\n");
    fake.fill("cpuset", "cpuset.mems", "1\n");
    let cgroups = fake.cgroups();
    let pod = cgroups.pod("/pods", "ab").unwrap();
    cgroups.container(&pod, "a", &limits(0)).unwrap();
    let content = |name| fs::read_to_string(fake.file("cpuset", name)).unwrap();
    assert_eq!(
        (content("cpuset.cpus"), content("cpuset.mems")),
        ("0-3".into(), "1\n".into())
    );
}

#[test]
fn a_container_that_cannot_be_limited_is_not_left() {
    let fake = Fake::v1();
    let cgroups = fake.cgroups();
    let pod = cgroups.pod("", "ab").unwrap();
    assert_eq!((pod.path.as_str(), pod.is_given), ("/unikiln/ab", false));
    let error = cgroups.container(&pod, "new", &limits(4096)).unwrap_err();
    assert!(matches!(error, CgroupError::NoFile { .. }), "{error}");
    for directory in &pod.directories {
        assert_eq!(fs::read_dir(directory).unwrap().count(), 0, "{directory:?}");
    }
    cgroups.remove(&pod).unwrap();
    assert!(pod.directories.iter().all(|directory| !directory.exists()));
    cgroups.remove(&pod).unwrap();
    cgroups.kill(&pod).unwrap();
    assert_eq!(cgroups.stats(&pod).unwrap(), CgroupStats::default());
    assert_eq!(
        (cgroups.oom_kills(&pod), cgroups.processes(&pod).len()),
        (0, 0)
    );
    let error = cgroups.update(&pod, &limits(4096)).unwrap_err();
    assert!(matches!(error, CgroupError::Gone { .. }), "{error}");
}

#[test]
fn a_record_without_the_new_field_is_read() {
    let record = r#"{"directories": ["/c/a"], "path": "/a"}"#;
    let cgroup: Cgroup = serde_json::from_str(record).unwrap();
    assert_eq!(
        cgroup,
        Cgroup {
            directories: vec!["/c/a".into()],
            path: "/a".into(),
            is_given: false
        }
    );
}

/// The cgroup of a pod on this machine, gone with all in it when the test ends, however it ends.
struct Real {
    cgroups: Cgroups,
    pod: Cgroup,
    children: Vec<Child>,
}

impl Real {
    /// None, and a loud line, without the right to make cgroups.
    fn new(test: &str) -> Option<Self> {
        let pod_id = format!("test-{test}-{}", std::process::id());
        let made = Cgroups::open(Driver::Cgroupfs).and_then(|cgroups| {
            let pod = cgroups.pod("", &pod_id)?;
            Ok(Self {
                cgroups,
                pod,
                children: Vec::new(),
            })
        });
        match made {
            Ok(real) => Some(real),
            Err(error) => {
                let strict = std::env::var("CI").is_ok_and(|value| value == "true")
                    || std::env::var("UNIKILN_NO_SKIP").is_ok_and(|value| value == "1");
                let line = format!(
                    "SKIPPED: {test}: {error}: {:?}\n",
                    std::error::Error::source(&error)
                );
                assert!(!strict, "{line}no skips are allowed here");
                std::io::stderr().write_all(line.as_bytes()).unwrap();
                None
            }
        }
    }

    /// Runs a shell script that has entered the container before it does anything.
    fn run(&mut self, cgroup: &Cgroup, script: &str) -> i32 {
        let mut child = Command::new("sh")
            .args(["-c", &format!("read go; {script}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let mut input = child.stdin.take().unwrap();
        self.children.push(child);
        enter(cgroup, pid).unwrap();
        input.write_all(b"go\n").unwrap();
        pid
    }

    fn value(&self, cgroup: &Cgroup, names: [&str; 2]) -> String {
        let files = cgroup
            .directories
            .iter()
            .flat_map(|directory| names.map(|name| directory.join(name)));
        let mut values = files.filter_map(|file| fs::read_to_string(file).ok());
        values.next().unwrap().trim().to_owned()
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let killed = self.cgroups.kill(&self.pod);
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        let removed = self.cgroups.remove(&self.pod);
        if !std::thread::panicking() {
            killed.and(removed).unwrap();
        }
    }
}

fn wait_until(mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "it did not come about");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn limits_of_this_machine() {
    let Some(mut real) = Real::new("limits") else {
        return;
    };
    let resources = LinuxContainerResources {
        cpu_shares: 512,
        cpu_quota: 50_000,
        cpu_period: 100_000,
        memory_limit_in_bytes: 64 << 20,
        memory_swap_limit_in_bytes: 64 << 20,
        unified: [("pids.max".to_owned(), "30".to_owned())].into(),
        cpuset_cpus: "0".to_owned(),
        ..Default::default()
    };
    let made = real.cgroups.container(&real.pod, "c", &resources).unwrap();
    let memory = ["memory.limit_in_bytes", "memory.max"];
    assert_eq!(real.value(&made, memory), (64 << 20).to_string());
    assert_eq!(real.value(&made, ["pids.max", "pids.max"]), "30");
    assert_eq!(real.value(&made, ["cpuset.cpus", "cpuset.cpus"]), "0");

    let pid = real.run(&made, "sleep 1000; :");
    wait_until(|| real.cgroups.processes(&made).len() == 2);
    assert!(real.cgroups.processes(&made).contains(&pid));
    assert_eq!(
        real.cgroups.processes(&real.pod).len(),
        2,
        "those below count"
    );
    // The kernel sums up faults every two seconds.
    wait_until(|| {
        let stats = real.cgroups.stats(&made).unwrap();
        let (cpu, used) = (stats.cpu.unwrap(), stats.memory.unwrap());
        cpu.usage_ns > 0 && used.usage_bytes > 0 && used.page_faults > 0
    });
    let stats = real.cgroups.stats(&made).unwrap();
    let (cpu, used) = (stats.cpu.unwrap(), stats.memory.unwrap());
    assert_eq!((cpu.quota_us, cpu.period_us), (Some(50_000), 100_000));
    assert_eq!(used.limit_bytes, Some(64 << 20));
    assert_eq!((stats.processes, stats.pids.unwrap().limit), (2, Some(30)));

    // Up, then down, live; then below what is in use, which changes nothing.
    for mib in [256, 32] {
        let resources = LinuxContainerResources {
            cpu_quota: 20_000,
            ..limits(mib << 20)
        };
        real.cgroups.update(&made, &resources).unwrap();
        assert_eq!(real.value(&made, memory), (mib << 20).to_string());
    }
    let stats = real.cgroups.stats(&made).unwrap();
    assert_eq!(stats.cpu.unwrap().quota_us, Some(20_000));
    assert_eq!(
        stats.memory.unwrap().swap_limit_bytes.unwrap_or(0),
        0,
        "no swap as before"
    );
    let error = real.cgroups.update(&made, &limits(4096)).unwrap_err();
    assert!(matches!(error, CgroupError::BelowUse { .. }), "{error}");
    let wrong = LinuxContainerResources {
        cpu_shares: 99,
        cpu_quota: 1,
        ..Default::default()
    };
    let error = real.cgroups.update(&made, &wrong).unwrap_err();
    assert!(matches!(error, CgroupError::Write { .. }), "{error}");
    let shares = real.value(&made, ["cpu.shares", "cpu.weight"]);
    assert!(shares == "512" || shares == "59", "taken back: {shares}");

    real.cgroups.kill(&made).unwrap();
    assert!(real.cgroups.processes(&made).is_empty());
    real.cgroups.remove(&made).unwrap();
    assert!(made.directories.iter().all(|directory| !directory.exists()));
}

#[test]
fn a_kill_for_lack_of_memory_is_counted() {
    let Some(mut real) = Real::new("oom") else {
        return;
    };
    let resources = LinuxContainerResources {
        memory_swap_limit_in_bytes: 16 << 20,
        ..limits(16 << 20)
    };
    let made = real.cgroups.container(&real.pod, "c", &resources).unwrap();
    assert_eq!(real.cgroups.oom_kills(&made), 0);
    // tail keeps a line until its end, and this one has none.
    real.run(&made, "exec tail /dev/zero");
    let status = real.children[0].wait().unwrap();
    assert!(!status.success(), "{status}");
    assert_eq!(real.cgroups.oom_kills(&made), 1);
    assert_eq!(real.cgroups.stats(&made).unwrap().oom_kills, 1);
}

#[test]
fn removal_takes_what_a_container_made_below() {
    let Some(mut real) = Real::new("below") else {
        return;
    };
    let made = real.cgroups.container(&real.pod, "c", &limits(0)).unwrap();
    for directory in &made.directories {
        fs::create_dir_all(directory.join("x/y")).unwrap();
    }
    let last = made.directories.len() - 1;
    let inner = Cgroup {
        directories: vec![made.directories[last].join("x/y")],
        ..made.clone()
    };
    real.run(&inner, "sleep 1000; :");
    wait_until(|| real.cgroups.processes(&made).len() == 2);
    real.cgroups.kill(&real.pod).unwrap();
    real.cgroups.remove(&made).unwrap();
    assert!(made.directories.iter().all(|directory| !directory.exists()));
}
