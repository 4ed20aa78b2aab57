//! Where cgroups are mounted, and which hierarchy has which controller.
//!
//! Three layouts exist: version 2 alone; version 1, a mount for each controller or a few; and
//! hybrid, version 1 beside a version 2 mount that has no or few controllers. They differ in
//! nothing but the list of [`Hierarchy`]s, and a controller is looked up in it.

use std::fmt;
use std::path::{Path, PathBuf};

use super::error::CgroupError;
use super::file::Text;

/// The controllers that the daemon uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// CPU time: weights and quotas.
    Cpu,
    /// CPU time used, of version 1 alone.
    Cpuacct,
    /// Which CPUs and memory nodes.
    Cpuset,
    /// Memory and swap.
    Memory,
    /// How many tasks.
    Pids,
    /// Huge pages.
    Hugetlb,
    /// Block devices.
    Io,
}

impl Controller {
    /// As the kernel writes it in version 2 (and in version 1, but for `Io`).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cpuacct => "cpuacct",
            Self::Cpuset => "cpuset",
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Hugetlb => "hugetlb",
            Self::Io => "io",
        }
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The two interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `cgroup`: a hierarchy for each mount.
    V1,
    /// `cgroup2`: one hierarchy.
    V2,
}

/// A mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Its interface.
    pub version: Version,
    /// Its mount point.
    pub root: PathBuf,
    /// Its controllers; `name=systemd` of version 1 is one here.
    pub controllers: Vec<String>,
}

impl Hierarchy {
    /// Whether it has `controller`.
    pub fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|name| name == controller)
    }

    /// The directory of a cgroup's path.
    pub fn directory(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }
}

/// All that is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchies(Vec<Hierarchy>);

impl Hierarchies {
    /// Finds them in a `mountinfo` file; a mount point is taken below `root`, `/` in earnest.
    pub fn find(mountinfo: &Path, root: &Path) -> Result<Self, CgroupError> {
        let text = Text::read(mountinfo)?.ok_or_else(|| CgroupError::NoHierarchy {
            mountinfo: mountinfo.to_owned(),
        })?;
        let mut found: Vec<Hierarchy> = Vec::new();
        for mut hierarchy in parse_mountinfo(&text)? {
            let mount = hierarchy.root.strip_prefix("/").unwrap_or(&hierarchy.root);
            hierarchy.root = root.join(mount);
            if hierarchy.version == Version::V2 {
                let file = hierarchy.root.join("cgroup.controllers");
                if let Some(text) = Text::read(&file)? {
                    let names = text.as_str().split_whitespace();
                    hierarchy.controllers = names.map(str::to_owned).collect();
                }
            }
            // The same hierarchy may be mounted at several places: the first is taken.
            let is_there = found.iter().any(|known| {
                known.version == hierarchy.version
                    && (hierarchy.version == Version::V2
                        || known.controllers == hierarchy.controllers)
            });
            if !is_there {
                found.push(hierarchy);
            }
        }
        if found.is_empty() {
            return Err(CgroupError::NoHierarchy {
                mountinfo: mountinfo.to_owned(),
            });
        }
        Ok(Self(found))
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Hierarchy> {
        self.0.iter()
    }

    /// The one with `controller`.
    pub fn of(&self, controller: Controller) -> Option<&Hierarchy> {
        self.0.iter().find(|hierarchy| match hierarchy.version {
            Version::V1 if controller == Controller::Io => hierarchy.has("blkio"),
            _ => hierarchy.has(controller.name()),
        })
    }

    /// The one of version 2, which has `cgroup.kill` and pressure without a controller.
    pub fn unified(&self) -> Option<&Hierarchy> {
        self.0.iter().find(|one| one.version == Version::V2)
    }

    /// Whether version 2 is alone.
    pub fn is_unified(&self) -> bool {
        self.0.iter().all(|one| one.version == Version::V2)
    }
}

/// `ID PARENT MAJOR:MINOR ROOT MOUNT OPTIONS [TAG…] - TYPE SOURCE SUPER`, proc_pid_mountinfo(5).
fn parse_mountinfo(text: &Text) -> Result<Vec<Hierarchy>, CgroupError> {
    let mut found = Vec::new();
    for (line, content) in text.lines() {
        let (before, after) = content
            .split_once(" - ")
            .ok_or_else(|| text.malformed(line, "there is no ` - `"))?;
        let mut after = after.split(' ');
        let version = match after.next() {
            Some("cgroup") => Version::V1,
            Some("cgroup2") => Version::V2,
            _ => continue,
        };
        let place = before
            .split(' ')
            .nth(4)
            .ok_or_else(|| text.malformed(line, "there is no mount point"))?;
        let options = after
            .nth(1)
            .ok_or_else(|| text.malformed(line, "there are no options of the file system"))?;
        let controllers = match version {
            Version::V2 => Vec::new(),
            Version::V1 => options
                .split(',')
                .filter(|option| is_v1_controller(option))
                .map(str::to_owned)
                .collect(),
        };
        found.push(Hierarchy {
            version,
            root: PathBuf::from(unescape(place)),
            controllers,
        });
    }
    Ok(found)
}

/// Whether a mount option of version 1 names a controller rather than a flag.
fn is_v1_controller(option: &str) -> bool {
    const FLAGS: [&str; 6] = [
        "rw",
        "ro",
        "xattr",
        "noprefix",
        "clone_children",
        "cpuset_v2_mode",
    ];
    let is_named = option.starts_with("name=");
    !FLAGS.contains(&option) && (is_named || !option.contains('='))
}

/// Turns `\040` and its like to the bytes that they stand for.
fn unescape(place: &str) -> String {
    let mut plain = String::new();
    let mut rest = place;
    while let Some((head, tail)) = rest.split_once('\\') {
        plain.push_str(head);
        let code = tail
            .get(..3)
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) if code.is_ascii() => {
                plain.push(char::from(code));
                rest = &tail[3..];
            }
            _ => {
                plain.push('\\');
                rest = tail;
            }
        }
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const HYBRID: &str = "\
23 1 0:2 / / rw,relatime - ext4 /dev/vda rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,release_agent=/x,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
50 31 0:32 / /also/memory rw,relatime - cgroup cgroup rw,memory
";

    fn find(
        mountinfo: &str,
        controllers: Option<(&str, &str)>,
    ) -> Result<Hierarchies, CgroupError> {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("mountinfo");
        fs::write(&file, mountinfo).unwrap();
        if let Some((place, names)) = controllers {
            fs::create_dir_all(root.path().join(place)).unwrap();
            fs::write(root.path().join(place).join("cgroup.controllers"), names).unwrap();
        }
        Hierarchies::find(&file, root.path())
    }

    #[test]
    fn a_hybrid_layout() {
        let found = find(HYBRID, Some(("sys/fs/cgroup/unified", "hugetlb\n"))).unwrap();
        let names = |controller| found.of(controller).map(|one| one.controllers.join(" "));
        assert_eq!(found.iter().count(), 5, "{found:?}");
        assert_eq!(names(Controller::Cpu).unwrap(), "cpu cpuacct");
        assert_eq!(names(Controller::Cpuacct).unwrap(), "cpu cpuacct");
        assert_eq!(names(Controller::Hugetlb).unwrap(), "hugetlb");
        assert_eq!(names(Controller::Pids), None);
        assert!(!found.is_unified());
        assert!(found.iter().any(|one| one.has("name=systemd")));
        let memory = found.of(Controller::Memory).unwrap();
        assert!(memory.root.ends_with("sys/fs/cgroup/memory"));
        assert_eq!(memory.directory("/a/b"), memory.root.join("a/b"));
    }

    #[test]
    fn version_2_alone() {
        let line = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";
        let found = find(
            line,
            Some(("sys/fs/cgroup", "cpuset cpu io memory hugetlb pids rdma\n")),
        )
        .unwrap();
        assert!(found.is_unified());
        assert!(found.of(Controller::Memory).is_some());
        assert!(found.of(Controller::Io).is_some());
        assert!(found.of(Controller::Cpuacct).is_none());
    }

    #[test]
    fn no_hierarchy_and_malformed_lists() {
        let error = find("23 1 0:2 / / rw - ext4 /dev/vda rw\n", None).unwrap_err();
        assert!(matches!(error, CgroupError::NoHierarchy { .. }), "{error}");
        for (text, problem) in [
            ("23 1 0:2 / / rw ext4\n", "line 1: there is no ` - `"),
            ("23 - cgroup x rw\n", "line 1: there is no mount point"),
            (
                "23 1 0:2 / /c rw - cgroup x\n",
                "line 1: there are no options of the file system",
            ),
        ] {
            let error = find(text, None).unwrap_err().to_string();
            assert!(error.ends_with(problem), "{error}");
        }
    }

    #[test]
    fn escapes() {
        assert_eq!(unescape(r"/a\040b\134c"), r"/a b\c");
        assert_eq!(unescape(r"/a\9"), r"/a\9");
        assert_eq!(unescape(r"/ä\"), r"/ä\");
    }
}
