//! Making directories: each level of a path, with what the kernel wants set before a process
//! can enter (version 1's cpusets) or a limit can be written (version 2's controllers).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::CgroupError;
use super::file::{self, Text};
use super::hierarchy::{Hierarchies, Hierarchy, Version};

/// Controllers that every cgroup of a pure version 2 layout gets: all but `io` have limits,
/// and each has statistics.
const ALWAYS: [&str; 5] = ["cpu", "cpuset", "io", "memory", "pids"];

/// A controller that a level would not pass on.
#[derive(Debug)]
pub struct Refusal {
    /// Its name.
    pub controller: String,
    file: PathBuf,
    kind: io::ErrorKind,
    errno: Option<i32>,
}

impl Refusal {
    /// It as the reason why a limit that was asked for cannot be enforced.
    pub fn error(&self, asked: String) -> CgroupError {
        let source = self
            .errno
            .map_or_else(|| self.kind.into(), io::Error::from_raw_os_error);
        CgroupError::Enable {
            controller: self.controller.clone(),
            asked,
            file: self.file.clone(),
            source,
        }
    }
}

/// How often a path is begun anew after a level of it went away.
const ATTEMPTS: usize = 100;

/// Makes the directories of `path` in each hierarchy and gives them.
/// `asked` are controllers that limits need besides [`ALWAYS`].
pub fn make(
    hierarchies: &Hierarchies,
    path: &str,
    asked: &[String],
) -> Result<(Vec<PathBuf>, Vec<Refusal>), CgroupError> {
    // The last pod's end removes `/unikiln`, maybe between two levels.
    for _ in 1..ATTEMPTS {
        match make_once(hierarchies, path, asked) {
            Err(error) if is_vanished(&error) => {}
            made => return made,
        }
    }
    make_once(hierarchies, path, asked)
}

fn is_vanished(error: &CgroupError) -> bool {
    let (CgroupError::Make { source, .. } | CgroupError::Write { source, .. }) = error else {
        return false;
    };
    source.kind() == io::ErrorKind::NotFound
        || source.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error())
}

fn make_once(
    hierarchies: &Hierarchies,
    path: &str,
    asked: &[String],
) -> Result<(Vec<PathBuf>, Vec<Refusal>), CgroupError> {
    let mut directories = Vec::new();
    let mut refusals = Vec::new();
    for hierarchy in hierarchies.iter() {
        let mut directory = hierarchy.root.clone();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            if hierarchy.version == Version::V2 {
                let wanted: &[&str] = if hierarchies.is_unified() {
                    &ALWAYS
                } else {
                    &[]
                };
                let wanted = wanted
                    .iter()
                    .copied()
                    .chain(asked.iter().map(String::as_str));
                pass_on(&directory, wanted, &mut refusals)?;
            }
            let parent = directory.clone();
            directory.push(name);
            make_one(&directory)?;
            prepare(hierarchy, &parent, &directory)?;
        }
        directories.push(directory);
    }
    Ok((directories, refusals))
}

fn make_one(directory: &Path) -> Result<(), CgroupError> {
    match fs::create_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => Ok(()),
        made => made.map_err(|source| CgroupError::Make {
            directory: directory.to_owned(),
            source,
        }),
    }
}

/// A new cpuset of version 1 is empty, and no process enters an empty one: it gets its parent's.
fn prepare(hierarchy: &Hierarchy, parent: &Path, directory: &Path) -> Result<(), CgroupError> {
    if hierarchy.version != Version::V1 || !hierarchy.has("cpuset") {
        return Ok(());
    }
    for name in ["cpuset.cpus", "cpuset.mems"] {
        let file = directory.join(name);
        let is_empty = Text::read(&file)?.is_some_and(|now| now.as_str().trim().is_empty());
        let Some(inherited) = Text::read(&parent.join(name))?.filter(|_| is_empty) else {
            continue;
        };
        let value = inherited.as_str().trim();
        file::write(&file, value).map_err(|source| CgroupError::Write {
            file,
            value: value.to_owned(),
            source,
        })?;
    }
    Ok(())
}

/// Passes controllers on to the children of `directory`. That one cannot be is no error yet:
/// nobody may have asked for its limits.
fn pass_on<'a>(
    directory: &Path,
    wanted: impl Iterator<Item = &'a str>,
    refusals: &mut Vec<Refusal>,
) -> Result<(), CgroupError> {
    let list = |name: &str| -> Result<Vec<String>, CgroupError> {
        let text = Text::read(&directory.join(name))?;
        let words = text
            .iter()
            .flat_map(|text| text.as_str().split_whitespace());
        Ok(words.map(str::to_owned).collect())
    };
    let available = list("cgroup.controllers")?;
    let enabled = list("cgroup.subtree_control")?;
    let file = directory.join("cgroup.subtree_control");
    for controller in wanted {
        let is_there = |list: &[String]| list.iter().any(|name| name == controller);
        if !is_there(&available) || is_there(&enabled) {
            continue;
        }
        if let Err(error) = file::write(&file, &format!("+{controller}")) {
            refusals.push(Refusal {
                controller: controller.to_owned(),
                file: file.clone(),
                kind: error.kind(),
                errno: error.raw_os_error(),
            });
        }
    }
    Ok(())
}
