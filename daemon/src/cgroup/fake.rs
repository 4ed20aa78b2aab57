//! Layouts of cgroups made of plain files, for tests.

use std::fs;
use std::path::{Path, PathBuf};

use super::hierarchy::Hierarchies;
use super::{Cgroups, Driver, Places};

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

    pub(super) fn mount(&self, name: &str) -> PathBuf {
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

    pub(super) fn cgroups(&self) -> Cgroups {
        Cgroups::open_at(Driver::Cgroupfs, &self.places()).unwrap()
    }
}
