//! Memory and swap: the one pair of limits that bind each other.

use std::path::{Path, PathBuf};

use super::{Plan, Step, v1_value, v2_value};
use crate::cgroup::error::CgroupError;
use crate::cgroup::file::Text;
use crate::cgroup::hierarchy::{Controller, Hierarchy, Version};
use crate::cgroup::limits::{self, Bound, Limits};
use crate::cgroup::stats;

impl Plan<'_> {
    pub(super) fn memory(&mut self, limits: &Limits) -> Result<(), CgroupError> {
        if limits.memory.is_none() && limits.memory_and_swap.is_none() {
            return Ok(());
        }
        let asked = match limits.memory {
            Some(Bound::At(bytes)) => format!("the memory limit of {bytes} bytes"),
            _ => "the limit of memory and swap".to_owned(),
        };
        let hierarchy = self.hierarchy(Controller::Memory, &asked)?;
        let directory = hierarchy.directory(self.target.path);
        if let Some(Bound::At(limit_bytes)) = limits.memory
            && let Some(memory) = stats::memory_in(hierarchy.version, &directory)?
            && memory.working_set_bytes > limit_bytes
        {
            return Err(CgroupError::BelowUse {
                limit_bytes,
                used_bytes: memory.working_set_bytes,
                path: self.target.path.to_owned(),
            });
        }
        match hierarchy.version {
            Version::V1 => self.memory_v1(hierarchy, limits, &asked),
            Version::V2 => self.memory_v2(hierarchy, limits, &asked),
        }
    }

    fn memory_v1(
        &mut self,
        hierarchy: &Hierarchy,
        limits: &Limits,
        asked: &str,
    ) -> Result<(), CgroupError> {
        let name = "memory.limit_in_bytes";
        let file = self.file(hierarchy, name);
        let Some(now) = Text::read(&file)? else {
            return Err(self.missing(name, file, asked));
        };
        let memory_now = v1_bound(now.single()?);
        let memory = limits.memory.map(|bound| Step {
            file,
            value: v1_value(bound),
        });
        let file = self.file(hierarchy, "memory.memsw.limit_in_bytes");
        let Some(now) = Text::read(&file)? else {
            self.check_without_swap(file, limits.memory_and_swap)?;
            self.steps.extend(memory);
            return Ok(());
        };
        let both_now = v1_bound(now.single()?);
        let both = limits
            .memory_and_swap
            .or_else(|| carried_swap(limits.memory?, memory_now, both_now));
        let both = both.map(|bound| Step {
            file,
            value: v1_value(bound),
        });
        // The kernel refuses memory above both, and both below memory.
        let is_both_first = match (limits.memory, both_now) {
            (Some(Bound::Unlimited), Bound::At(_)) => true,
            (Some(Bound::At(memory)), Bound::At(both)) => memory > both,
            _ => false,
        };
        if is_both_first {
            self.steps.extend(both.into_iter().chain(memory));
        } else {
            self.steps.extend(memory.into_iter().chain(both));
        }
        Ok(())
    }

    fn memory_v2(
        &mut self,
        hierarchy: &Hierarchy,
        limits: &Limits,
        asked: &str,
    ) -> Result<(), CgroupError> {
        if let Some(memory) = limits.memory {
            self.set(hierarchy, "memory.max", v2_value(memory), asked)?;
        }
        let Some(both) = limits.memory_and_swap else {
            return Ok(());
        };
        let file = self.file(hierarchy, "memory.swap.max");
        if !file.exists() {
            return self.check_without_swap(file, Some(both));
        }
        let swap = limits::swap_alone(limits.memory.unwrap_or(Bound::Unlimited), both);
        self.push(file, v2_value(swap));
        Ok(())
    }

    /// A limit of swap without a file: it holds where the machine has no swap.
    fn check_without_swap(&self, file: PathBuf, asked: Option<Bound>) -> Result<(), CgroupError> {
        match asked {
            Some(Bound::At(bytes)) if swap_kib(self.target.root)? > 0 => Err(CgroupError::NoFile {
                asked: format!("the limit of {bytes} bytes of memory and swap"),
                file,
            }),
            _ => Ok(()),
        }
    }
}

/// Memory and swap where only memory changes: as much swap as before.
fn carried_swap(memory: Bound, memory_now: Bound, both_now: Bound) -> Option<Bound> {
    match (memory, memory_now, both_now) {
        (_, _, Bound::Unlimited) => None,
        (Bound::At(memory), Bound::At(memory_now), Bound::At(both_now)) => {
            let swap = both_now.saturating_sub(memory_now);
            Some(Bound::At(memory.saturating_add(swap)))
        }
        _ => Some(Bound::Unlimited),
    }
}

/// Version 1 shows no limit as the largest multiple of a page below 2^63.
fn v1_bound(bytes: u64) -> Bound {
    if bytes >= stats::V1_UNLIMITED_BYTES {
        Bound::Unlimited
    } else {
        Bound::At(bytes)
    }
}

/// `SwapTotal` of `/proc/meminfo`; 0 where the kernel knows no swap.
fn swap_kib(root: &Path) -> Result<u64, CgroupError> {
    let Some(text) = Text::read(&root.join("proc/meminfo"))? else {
        return Ok(0);
    };
    for (line, content) in text.lines() {
        if let Some(rest) = content.strip_prefix("SwapTotal:") {
            return text.number(line, rest.trim().trim_end_matches(" kB"));
        }
    }
    Ok(0)
}
