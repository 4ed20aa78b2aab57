//! Control groups of pods and containers: made, limited, measured, emptied, removed.
//!
//! | file | what |
//! |---|---|
//! | `hierarchy` | what is mounted: version 1, version 2, or both |
//! | `path` | names under the two drivers |
//! | `enable` | directories, with what must be set before they can be used |
//! | `limits`, `plan` | a request's limits, and the writes that set them |
//! | `stats`, `sampler` | counters, and rates from two readings |
//! | `empty` | ending processes, removing directories |
//! | `systemd`, `bus`, `wire` | the systemd driver |
//!
//! A pod whose parent kubelet gave *is* that cgroup: kubelet made it, limited it, and removes it.
//! Containers are below it. Where kubelet gave none, the pod has its own below `/unikiln`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::proto::LinuxContainerResources;

mod bus;
mod empty;
mod enable;
mod error;
mod file;
mod hierarchy;
mod limits;
mod path;
mod plan;
mod sampler;
mod stats;
mod systemd;
mod wire;

pub use bus::BusError;
pub use error::CgroupError;
pub use sampler::Sampler;
pub use stats::{
    CgroupStats, CpuStats, IoStats, MemoryStats, PidsStats, Pressure, PressureStats, Stall,
};

use hierarchy::{Controller, Hierarchies};
use limits::Limits;
use plan::Target;
use systemd::Systemd;

/// A cgroup of a pod or container, as its record keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroup {
    /// Its directory in each hierarchy: one of version 2, several of version 1.
    pub directories: Vec<PathBuf>,
    /// Its path below the mounts, as OCI's `cgroupsPath` and `/proc/PID/cgroup` have it.
    pub path: String,
    /// Kubelet's: it is never removed here.
    #[serde(default)]
    pub is_given: bool,
}

/// Who makes cgroups. It must be what kubelet uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// We do, in the file system.
    #[default]
    Cgroupfs,
    /// systemd does, and is asked.
    Systemd,
}

/// Where things are; tests have all of it in a directory of theirs.
#[derive(Clone, Debug)]
pub struct Places {
    /// What mount points, `/proc/meminfo` and `/sys` are taken below.
    pub root: PathBuf,
    /// The list of mounts.
    pub mountinfo: PathBuf,
    /// The system bus.
    pub bus: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            root: PathBuf::from("/"),
            mountinfo: PathBuf::from("/proc/self/mountinfo"),
            bus: PathBuf::from("/run/dbus/system_bus_socket"),
        }
    }
}

/// All cgroups of the machine, by one driver.
#[derive(Debug)]
pub struct Cgroups {
    hierarchies: Hierarchies,
    root: PathBuf,
    systemd: Option<Systemd>,
}

impl Cgroups {
    /// Finds the mounts of this machine, and the bus where the driver needs it.
    pub fn open(driver: Driver) -> Result<Self, CgroupError> {
        Self::open_at(driver, &Places::default())
    }

    /// As [`Cgroups::open`], elsewhere.
    pub fn open_at(driver: Driver, places: &Places) -> Result<Self, CgroupError> {
        let hierarchies = Hierarchies::find(&places.mountinfo, &places.root)?;
        let systemd = match driver {
            Driver::Cgroupfs => None,
            Driver::Systemd => Some(Systemd::open(&places.bus)?),
        };
        Ok(Self {
            hierarchies,
            root: places.root.clone(),
            systemd,
        })
    }

    /// Who makes cgroups.
    pub const fn driver(&self) -> Driver {
        match self.systemd {
            None => Driver::Cgroupfs,
            Some(_) => Driver::Systemd,
        }
    }

    /// Whether version 2 is alone.
    pub fn is_unified(&self) -> bool {
        self.hierarchies.is_unified()
    }

    /// The cgroup of a pod: `cgroup_parent`, or one of its own where that is empty.
    pub fn pod(&self, cgroup_parent: &str, pod_id: &str) -> Result<Cgroup, CgroupError> {
        let (path, is_given) = path::pod(self.driver(), cgroup_parent, pod_id)?;
        if let Some(systemd) = &self.systemd
            && !path.is_empty()
            && !self.is_there(&path)
        {
            systemd.start_slice(path::unit(&path))?;
        }
        let (directories, _) = enable::make(&self.hierarchies, &path, &[])?;
        Ok(Cgroup {
            directories,
            path,
            is_given,
        })
    }

    /// Makes the cgroup of a container with its limits. After an error there is none.
    pub fn container(
        &self,
        pod: &Cgroup,
        id: &str,
        resources: &LinuxContainerResources,
    ) -> Result<Cgroup, CgroupError> {
        let limits = Limits::of(resources)?;
        let path = path::container(self.driver(), &pod.path, id)?;
        if let Some(systemd) = &self.systemd {
            let properties = systemd::properties(&limits, self.is_unified());
            let holder = systemd.start_scope(path::unit(&path), &pod.path, properties)?;
            self.settle(path::unit_path(&path), holder);
        }
        let made = self.make_limited(&path, &limits);
        if made.is_err() {
            let cgroup = self.cgroup(&path);
            let emptied = self.kill(&cgroup).and_then(|()| self.remove(&cgroup));
            if let Err(error) = emptied {
                tracing::warn!(path, %error, "cgroup of a failed start not removed");
            }
        }
        made
    }

    /// Moves the holder of a scope aside: version 2 passes no controller on from a cgroup that
    /// has processes. Where that fails, a limit that needs it will say so.
    fn settle(&self, scope: &str, holder: u32) {
        let Some(unified) = self.hierarchies.unified() else {
            return;
        };
        let directory = unified.directory(scope).join("holder");
        let settled = std::fs::create_dir(&directory)
            .and_then(|()| file::write(&directory.join("cgroup.procs"), &holder.to_string()));
        if let Err(error) = settled {
            tracing::debug!(scope, %error, "holder stays where it is");
        }
    }

    fn make_limited(&self, path: &str, limits: &Limits) -> Result<Cgroup, CgroupError> {
        let (directories, refusals) = enable::make(&self.hierarchies, path, &limits.controllers())?;
        let target = Target {
            hierarchies: &self.hierarchies,
            path,
            root: &self.root,
            refusals: &refusals,
        };
        plan::apply(&plan::plan(target, limits)?)?;
        Ok(Cgroup {
            directories,
            path: path.to_owned(),
            is_given: false,
        })
    }

    /// The cgroup at a path, made or not.
    fn cgroup(&self, path: &str) -> Cgroup {
        let directories = self.hierarchies.iter().map(|one| one.directory(path));
        Cgroup {
            directories: directories.collect(),
            path: path.to_owned(),
            is_given: false,
        }
    }

    /// Sets the limits that are asked for, and no other, while it runs. After an error of the
    /// kernel all are as they were.
    pub fn update(
        &self,
        cgroup: &Cgroup,
        resources: &LinuxContainerResources,
    ) -> Result<(), CgroupError> {
        let limits = Limits::of(resources)?;
        if !cgroup
            .directories
            .iter()
            .any(|directory| directory.is_dir())
        {
            return Err(CgroupError::Gone {
                path: cgroup.path.clone(),
            });
        }
        self.make_limited(&cgroup.path, &limits)?;
        if let Some(systemd) = &self.systemd {
            let properties = systemd::properties(&limits, self.is_unified());
            systemd.set(path::unit(&cgroup.path), &properties)?;
        }
        Ok(())
    }

    /// Its counters; all of them none where it is gone.
    pub fn stats(&self, cgroup: &Cgroup) -> Result<CgroupStats, CgroupError> {
        let mut stats = stats::read(&self.hierarchies, &cgroup.path)?.unwrap_or_default();
        stats.processes = self.processes(cgroup).len() as u64;
        Ok(stats)
    }

    /// Kills for lack of memory so far; 0 where it is gone or cannot be read.
    pub fn oom_kills(&self, cgroup: &Cgroup) -> u64 {
        let Some(hierarchy) = self.hierarchies.of(Controller::Memory) else {
            return 0;
        };
        let directory = hierarchy.directory(&cgroup.path);
        stats::oom_kills_in(hierarchy.version, &directory).unwrap_or_else(|error| {
            tracing::warn!(path = cgroup.path, %error, "OOM kills not known");
            0
        })
    }

    /// The processes in it and below, each once, in order.
    pub fn processes(&self, cgroup: &Cgroup) -> Vec<i32> {
        empty::processes(&cgroup.directories).unwrap_or_else(|error| {
            tracing::warn!(path = cgroup.path, %error, "processes not known");
            Vec::new()
        })
    }

    /// Ends all processes in it and below, and waits for that.
    pub fn kill(&self, cgroup: &Cgroup) -> Result<(), CgroupError> {
        empty::kill(&cgroup.path, &cgroup.directories)
    }

    /// Removes it with all cgroups below, if there are any. Processes must be gone, or about to
    /// be. One that kubelet gave stays.
    pub fn remove(&self, cgroup: &Cgroup) -> Result<(), CgroupError> {
        if cgroup.is_given || cgroup.path.trim_matches('/').is_empty() {
            return Ok(());
        }
        let mut path = cgroup.path.as_str();
        if let Some(systemd) = &self.systemd {
            systemd.stop(path::unit(path))?;
            path = path::unit_path(path);
        }
        for hierarchy in self.hierarchies.iter() {
            empty::remove(&hierarchy.directory(path))?;
        }
        if path::is_own_pod(&cgroup.path) {
            for parent in cgroup.directories.iter().filter_map(|one| one.parent()) {
                // The last pod takes it along; it is not empty while there is another.
                let _ = std::fs::remove_dir(parent);
            }
        }
        Ok(())
    }

    fn is_there(&self, path: &str) -> bool {
        let managed = self.hierarchies.unified();
        let managed =
            managed.or_else(|| self.hierarchies.iter().find(|one| one.has("name=systemd")));
        managed.is_some_and(|hierarchy| hierarchy.directory(path).is_dir())
    }
}

/// Moves a process into a cgroup, in every hierarchy.
pub fn enter(cgroup: &Cgroup, pid: i32) -> Result<(), CgroupError> {
    for directory in &cgroup.directories {
        let file: &Path = &directory.join("cgroup.procs");
        file::write(file, &pid.to_string()).map_err(|source| CgroupError::Write {
            file: file.to_owned(),
            value: pid.to_string(),
            source,
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
