//! Writing limits: which value goes to which file, in which order, taken back as a whole.
//!
//! [`plan`] looks at what is set now, because some limits bind each other: memory of version 1
//! may never be above memory and swap, and a quota is checked with its period. A limit that was
//! asked for and has no file is an error; one that holds by itself (no swap on a machine without
//! swap, no huge page where there is none) needs no file.

use std::path::{Path, PathBuf};

use super::enable::Refusal;
use super::error::CgroupError;
use super::file::{self, Text};
use super::hierarchy::{Controller, Hierarchies, Hierarchy, Version};
use super::limits::{self, Bound, Limits};
use super::stats;

/// One value for one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    file: PathBuf,
    value: String,
}

/// A cgroup whose limits are to be written.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// What is mounted.
    pub hierarchies: &'a Hierarchies,
    /// The path of the cgroup.
    pub path: &'a str,
    /// Where `/proc` and `/sys` are.
    pub root: &'a Path,
    /// Controllers that could not be passed on to it.
    pub refusals: &'a [Refusal],
}

/// Works out all writes, in order.
pub fn plan(target: Target<'_>, limits: &Limits) -> Result<Vec<Step>, CgroupError> {
    let mut plan = Plan {
        target,
        steps: Vec::new(),
    };
    plan.memory(limits)?;
    plan.cpu(limits)?;
    plan.cpuset(limits)?;
    for (size, bytes) in &limits.huge_pages {
        plan.huge_pages(size, *bytes)?;
    }
    for (name, value) in &limits.unified {
        plan.unified(name, value)?;
    }
    Ok(plan.steps)
}

/// Writes the values. After an error, those that were written have their old values again.
pub fn apply(steps: &[Step]) -> Result<(), CgroupError> {
    let mut undo: Vec<(&Path, String)> = Vec::new();
    for step in steps {
        let old = Text::read(&step.file)?;
        if let Err(source) = file::write(&step.file, &step.value) {
            for (file, old) in undo.iter().rev() {
                if let Err(error) = file::write(file, old) {
                    tracing::warn!(file = %file.display(), value = old, %error, "limit not taken back");
                }
            }
            return Err(CgroupError::Write {
                file: step.file.clone(),
                value: step.value.clone(),
                source,
            });
        }
        // A file of several lines is not one value that could be written back.
        if let Some(old) = old.filter(|old| old.lines().count() <= 1) {
            undo.push((&step.file, old.as_str().trim().to_owned()));
        }
    }
    Ok(())
}

struct Plan<'a> {
    target: Target<'a>,
    steps: Vec<Step>,
}

impl<'a> Plan<'a> {
    fn hierarchy(&self, controller: Controller, asked: &str) -> Result<&'a Hierarchy, CgroupError> {
        let hierarchies = self.target.hierarchies;
        hierarchies
            .of(controller)
            .ok_or_else(|| CgroupError::NoController {
                controller: controller.name().to_owned(),
                asked: asked.to_owned(),
            })
    }

    fn file(&self, hierarchy: &Hierarchy, name: &str) -> PathBuf {
        hierarchy.directory(self.target.path).join(name)
    }

    fn push(&mut self, file: PathBuf, value: impl Into<String>) {
        let value = value.into();
        self.steps.push(Step { file, value });
    }

    /// A value for a file that must be there.
    fn set(
        &mut self,
        hierarchy: &Hierarchy,
        name: &str,
        value: impl Into<String>,
        asked: &str,
    ) -> Result<(), CgroupError> {
        let file = self.file(hierarchy, name);
        if !file.exists() {
            return Err(self.missing(name, file, asked));
        }
        self.push(file, value);
        Ok(())
    }

    fn missing(&self, name: &str, file: PathBuf, asked: &str) -> CgroupError {
        let controller = name.split('.').next().unwrap_or(name);
        let asked = asked.to_owned();
        let mut refusals = self.target.refusals.iter();
        match refusals.find(|refusal| refusal.controller == controller) {
            Some(refusal) => refusal.error(asked),
            None => CgroupError::NoFile { asked, file },
        }
    }

    fn cpu(&mut self, limits: &Limits) -> Result<(), CgroupError> {
        if let Some(shares) = limits.cpu_shares {
            let asked = format!("{shares} CPU shares");
            let hierarchy = self.hierarchy(Controller::Cpu, &asked)?;
            match hierarchy.version {
                Version::V1 => self.set(hierarchy, "cpu.shares", shares.to_string(), &asked)?,
                Version::V2 => {
                    let weight = limits::weight(shares).to_string();
                    self.set(hierarchy, "cpu.weight", weight, &asked)?;
                }
            }
        }
        let (quota, period) = (limits.cpu_quota_us, limits.cpu_period_us);
        if quota.is_none() && period.is_none() {
            return Ok(());
        }
        let asked = "the CPU quota";
        let hierarchy = self.hierarchy(Controller::Cpu, asked)?;
        match hierarchy.version {
            Version::V1 => self.quota_v1(hierarchy, quota, period, asked),
            Version::V2 => self.quota_v2(hierarchy, quota, period, asked),
        }
    }

    fn quota_v1(
        &mut self,
        hierarchy: &Hierarchy,
        quota: Option<Bound>,
        period: Option<u64>,
        asked: &str,
    ) -> Result<(), CgroupError> {
        let name = "cpu.cfs_quota_us";
        if let Some(period) = period {
            // Each write is checked with the other's old value against the parent's share, so
            // that a right pair can fail halfway: without a quota every period is right.
            let file = self.file(hierarchy, name);
            let has_quota = Text::read(&file)?.is_some_and(|now| now.as_str().trim() != "-1");
            if quota.is_some() && has_quota {
                self.push(file, "-1");
            }
            self.set(hierarchy, "cpu.cfs_period_us", period.to_string(), asked)?;
        }
        match quota {
            Some(quota) => self.set(hierarchy, name, v1_value(quota), asked),
            None => Ok(()),
        }
    }

    fn quota_v2(
        &mut self,
        hierarchy: &Hierarchy,
        quota: Option<Bound>,
        period: Option<u64>,
        asked: &str,
    ) -> Result<(), CgroupError> {
        let name = "cpu.max";
        let file = self.file(hierarchy, name);
        let Some(now) = Text::read(&file)? else {
            return Err(self.missing(name, file, asked));
        };
        let (quota_now, period_now) = stats::quota_and_period(&now)?;
        let quota = quota.unwrap_or(quota_now.map_or(Bound::Unlimited, Bound::At));
        let period = period.unwrap_or(period_now);
        self.push(file, format!("{} {period}", v2_value(quota)));
        Ok(())
    }

    fn cpuset(&mut self, limits: &Limits) -> Result<(), CgroupError> {
        let lists = [
            ("cpuset.cpus", &limits.cpus),
            ("cpuset.mems", &limits.memory_nodes),
        ];
        for (name, list) in lists {
            if let Some(list) = list {
                let asked = format!("{name} {list}");
                let hierarchy = self.hierarchy(Controller::Cpuset, &asked)?;
                self.set(hierarchy, name, list.as_str(), &asked)?;
            }
        }
        Ok(())
    }

    fn huge_pages(&mut self, size: &str, bytes: u64) -> Result<(), CgroupError> {
        let asked = format!("the limit of {bytes} bytes of huge pages of {size}");
        let holds_by_itself = bytes == 0 && !has_huge_pages(self.target.root, size)?;
        let hierarchy = match self.hierarchy(Controller::Hugetlb, &asked) {
            Err(_) if holds_by_itself => return Ok(()),
            found => found?,
        };
        let suffix = match hierarchy.version {
            Version::V1 => "limit_in_bytes",
            Version::V2 => "max",
        };
        let name = format!("hugetlb.{size}.{suffix}");
        if holds_by_itself && !self.file(hierarchy, &name).exists() {
            return Ok(());
        }
        self.set(hierarchy, &name, bytes.to_string(), &asked)?;
        // Reservations are counted apart since Linux 5.7.
        let reserved = self.file(hierarchy, &format!("hugetlb.{size}.rsvd.{suffix}"));
        if reserved.exists() {
            self.push(reserved, bytes.to_string());
        }
        Ok(())
    }

    fn unified(&mut self, name: &str, value: &str) -> Result<(), CgroupError> {
        let asked = format!("{name} = {value:?}");
        let controller = name.split('.').next().unwrap_or(name);
        let hierarchies = self.target.hierarchies;
        let unified = hierarchies.unified().filter(|one| one.has(controller));
        // The only file that is the same in version 1.
        let same = (name == "pids.max").then(|| hierarchies.of(Controller::Pids));
        let Some(hierarchy) = unified.or(same.flatten()) else {
            return Err(CgroupError::NoController {
                controller: format!("{controller} (version 2)"),
                asked,
            });
        };
        // One setting a line, one write each.
        for line in value.lines() {
            self.set(hierarchy, name, line, &asked)?;
        }
        Ok(())
    }
}

fn v1_value(bound: Bound) -> String {
    match bound {
        Bound::Unlimited => "-1".to_owned(),
        Bound::At(value) => value.to_string(),
    }
}

fn v2_value(bound: Bound) -> String {
    match bound {
        Bound::Unlimited => "max".to_owned(),
        Bound::At(value) => value.to_string(),
    }
}

/// Whether the machine has huge pages of `size`, or may get some.
fn has_huge_pages(root: &Path, size: &str) -> Result<bool, CgroupError> {
    let kib = limits::huge_page_kib(size).unwrap_or(0);
    let pool = root.join(format!("sys/kernel/mm/hugepages/hugepages-{kib}kB"));
    for name in ["nr_hugepages", "nr_overcommit_hugepages"] {
        if let Some(text) = Text::read(&pool.join(name))?
            && text.single()? > 0
        {
            return Ok(true);
        }
    }
    Ok(false)
}

mod memory;
#[cfg(test)]
mod tests;
