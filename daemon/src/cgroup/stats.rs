//! What a cgroup used: the counters of either interface in one shape.
//!
//! A counter whose controller is missing is none; only a file that cannot be understood is an
//! error. The same counter differs in unit and name: CPU time is in nanoseconds in version 1 and
//! in microseconds in version 2, and version 1 has sums over children under `total_…`.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::error::CgroupError;
use super::file::{Flat, Text};
use super::hierarchy::{Controller, Hierarchies, Version};
use super::limits::DEFAULT_PERIOD_US;

/// What version 1 shows for no limit: 2^63 rounded down to a page of 64 KiB, the largest one.
pub const V1_UNLIMITED_BYTES: u64 = (i64::MAX as u64) & !0xffff;

/// Ticks of `cpuacct.stat` in a second: USER_HZ, 100 on every Linux that matters here.
const USER_HZ: u64 = 100;

/// All counters of a cgroup, its children included.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CgroupStats {
    /// When they were read, nanoseconds since 1970.
    pub timestamp_ns: i64,
    /// CPU time.
    pub cpu: Option<CpuStats>,
    /// Memory.
    pub memory: Option<MemoryStats>,
    /// Tasks, threads included.
    pub pids: Option<PidsStats>,
    /// Bytes and operations of block devices.
    pub io: Option<IoStats>,
    /// Waiting for CPU, memory and devices; version 2 alone.
    pub pressure: PressureStats,
    /// Processes.
    pub processes: u64,
    /// Kills for lack of memory.
    pub oom_kills: u64,
}

/// CPU time so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuStats {
    /// Nanoseconds on all CPUs.
    pub usage_ns: u64,
    /// In user mode.
    pub user_ns: u64,
    /// In the kernel.
    pub system_ns: u64,
    /// Periods of the quota that went by.
    pub periods: u64,
    /// Periods in which the quota was used up.
    pub throttled_periods: u64,
    /// Nanoseconds of waiting for the next period.
    pub throttled_ns: u64,
    /// Microseconds of each period; none: no limit.
    pub quota_us: Option<u64>,
    /// The period.
    pub period_us: u64,
    /// Version 1's shares, or version 2's weight.
    pub shares: Option<u64>,
}

/// Memory in use, in bytes, and faults so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryStats {
    /// All that is charged.
    pub usage_bytes: u64,
    /// Of it, what is not easily taken back: usage − inactive files.
    pub working_set_bytes: u64,
    /// Most so far; none before Linux 5.19 in version 2.
    pub peak_bytes: Option<u64>,
    /// None: no limit.
    pub limit_bytes: Option<u64>,
    /// Anonymous memory.
    pub rss_bytes: u64,
    /// Page cache.
    pub cache_bytes: u64,
    /// Files that are mapped.
    pub mapped_file_bytes: u64,
    /// Files used of late.
    pub active_file_bytes: u64,
    /// Files not used of late.
    pub inactive_file_bytes: u64,
    /// The kernel's own.
    pub kernel_bytes: u64,
    /// Swap in use; none: swap is not accounted.
    pub swap_bytes: Option<u64>,
    /// Swap alone; none: no limit.
    pub swap_limit_bytes: Option<u64>,
    /// Page faults.
    pub page_faults: u64,
    /// Those that waited for a device.
    pub major_page_faults: u64,
    /// How often the limit was hit.
    pub limit_hits: u64,
}

/// Tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PidsStats {
    /// Now.
    pub current: u64,
    /// None: no limit.
    pub limit: Option<u64>,
}

/// Reads all of them. None: the cgroup is gone.
pub fn read(hierarchies: &Hierarchies, path: &str) -> Result<Option<CgroupStats>, CgroupError> {
    let place = |controller| {
        let hierarchy = hierarchies.of(controller)?;
        Some((hierarchy.version, hierarchy.directory(path)))
    };
    let is_gone = hierarchies.iter().all(|one| !one.directory(path).is_dir());
    if is_gone {
        return Ok(None);
    }
    let mut stats = CgroupStats {
        timestamp_ns: now_ns(),
        ..CgroupStats::default()
    };
    let limits = place(Controller::Cpu);
    stats.cpu = match &limits {
        // Version 2 counts time without the controller, in every cgroup.
        Some((Version::V2, directory)) => cpu_v2(directory)?,
        _ => {
            let usage = place(Controller::Cpuacct).map(|(_, directory)| directory);
            let limits = limits.as_ref().map(|(_, directory)| directory.as_path());
            match usage {
                Some(usage) => cpu_v1(&usage, limits)?,
                None => None,
            }
        }
    };
    if let Some((version, directory)) = place(Controller::Memory) {
        stats.memory = memory_in(version, &directory)?;
        stats.oom_kills = oom_kills_in(version, &directory)?;
    }
    if let Some((_, directory)) = place(Controller::Pids) {
        stats.pids = pids_in(&directory)?;
    }
    if let Some((Version::V2, directory)) = place(Controller::Io) {
        stats.io = wait::io_v2(&directory)?;
    }
    if let Some(unified) = hierarchies.unified() {
        let directory = unified.directory(path);
        stats.pressure = PressureStats {
            cpu: wait::pressure(&directory.join("cpu.pressure"))?,
            memory: wait::pressure(&directory.join("memory.pressure"))?,
            io: wait::pressure(&directory.join("io.pressure"))?,
        };
    }
    Ok(Some(stats))
}

fn now_ns() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

fn single(directory: &Path, name: &str) -> Result<Option<u64>, CgroupError> {
    let text = Text::read(&directory.join(name))?;
    text.map(|text| text.single()).transpose()
}

/// None: no file, or no limit.
fn limit(directory: &Path, name: &str) -> Result<Option<u64>, CgroupError> {
    match Text::read(&directory.join(name))? {
        Some(text) => text.single_or_max(),
        None => Ok(None),
    }
}

fn cpu_v1(usage: &Path, limits: Option<&Path>) -> Result<Option<CpuStats>, CgroupError> {
    let Some(usage_ns) = single(usage, "cpuacct.usage")? else {
        return Ok(None);
    };
    let mut cpu = CpuStats {
        usage_ns,
        period_us: DEFAULT_PERIOD_US,
        ..CpuStats::default()
    };
    if let Some(text) = Text::read(&usage.join("cpuacct.stat"))? {
        let flat = text.flat()?;
        cpu.user_ns = flat.need("user")?.saturating_mul(1_000_000_000 / USER_HZ);
        cpu.system_ns = flat.need("system")?.saturating_mul(1_000_000_000 / USER_HZ);
    }
    let Some(limits) = limits else {
        return Ok(Some(cpu));
    };
    if let Some(text) = Text::read(&limits.join("cpu.stat"))? {
        let flat = text.flat()?;
        cpu.periods = flat.get("nr_periods").unwrap_or(0);
        cpu.throttled_periods = flat.get("nr_throttled").unwrap_or(0);
        cpu.throttled_ns = flat.get("throttled_time").unwrap_or(0);
    }
    if let Some(text) = Text::read(&limits.join("cpu.cfs_quota_us"))? {
        cpu.quota_us = match text.as_str().trim() {
            "-1" => None,
            word => Some(text.number(1, word)?),
        };
    }
    if let Some(period_us) = single(limits, "cpu.cfs_period_us")? {
        cpu.period_us = period_us;
    }
    cpu.shares = single(limits, "cpu.shares")?;
    Ok(Some(cpu))
}

fn cpu_v2(directory: &Path) -> Result<Option<CpuStats>, CgroupError> {
    let Some(text) = Text::read(&directory.join("cpu.stat"))? else {
        return Ok(None);
    };
    let flat = text.flat()?;
    let ns = |us: u64| us.saturating_mul(1000);
    let mut cpu = CpuStats {
        usage_ns: ns(flat.need("usage_usec")?),
        user_ns: ns(flat.need("user_usec")?),
        system_ns: ns(flat.need("system_usec")?),
        // With the controller alone.
        periods: flat.get("nr_periods").unwrap_or(0),
        throttled_periods: flat.get("nr_throttled").unwrap_or(0),
        throttled_ns: ns(flat.get("throttled_usec").unwrap_or(0)),
        quota_us: None,
        period_us: DEFAULT_PERIOD_US,
        shares: single(directory, "cpu.weight")?,
    };
    if let Some(text) = Text::read(&directory.join("cpu.max"))? {
        (cpu.quota_us, cpu.period_us) = quota_and_period(&text)?;
    }
    Ok(Some(cpu))
}

/// `max 100000` or `50000 100000`.
pub fn quota_and_period(text: &Text) -> Result<(Option<u64>, u64), CgroupError> {
    let wrong = || {
        text.malformed(
            1,
            format!("{:?} is no `QUOTA PERIOD`", text.as_str().trim()),
        )
    };
    let (quota, period) = text.as_str().trim().split_once(' ').ok_or_else(wrong)?;
    let quota = match quota {
        "max" => None,
        word => Some(text.number(1, word)?),
    };
    Ok((quota, text.number(1, period)?))
}

/// Memory of one directory; none: it has none of the controller's files.
pub fn memory_in(version: Version, directory: &Path) -> Result<Option<MemoryStats>, CgroupError> {
    let name = match version {
        Version::V1 => "memory.usage_in_bytes",
        Version::V2 => "memory.current",
    };
    let Some(usage_bytes) = single(directory, name)? else {
        return Ok(None);
    };
    let Some(text) = Text::read(&directory.join("memory.stat"))? else {
        return Ok(None);
    };
    let flat = text.flat()?;
    let mut memory = match version {
        Version::V1 => memory_v1(directory, &flat)?,
        Version::V2 => memory_v2(directory, &flat)?,
    };
    memory.usage_bytes = usage_bytes;
    memory.working_set_bytes = usage_bytes.saturating_sub(memory.inactive_file_bytes);
    Ok(Some(memory))
}

fn memory_v1(directory: &Path, flat: &Flat<'_>) -> Result<MemoryStats, CgroupError> {
    let v1_limit = |name| -> Result<Option<u64>, CgroupError> {
        Ok(single(directory, name)?.filter(|bytes| *bytes < V1_UNLIMITED_BYTES))
    };
    let limit_bytes = v1_limit("memory.limit_in_bytes")?;
    let both_bytes = v1_limit("memory.memsw.limit_in_bytes")?;
    Ok(MemoryStats {
        peak_bytes: single(directory, "memory.max_usage_in_bytes")?,
        limit_bytes,
        rss_bytes: flat.need("total_rss")?,
        cache_bytes: flat.need("total_cache")?,
        mapped_file_bytes: flat.need("total_mapped_file")?,
        active_file_bytes: flat.need("total_active_file")?,
        inactive_file_bytes: flat.need("total_inactive_file")?,
        kernel_bytes: single(directory, "memory.kmem.usage_in_bytes")?.unwrap_or(0),
        swap_bytes: flat.get("total_swap"),
        swap_limit_bytes: both_bytes
            .zip(limit_bytes)
            .map(|(both, memory)| both.saturating_sub(memory)),
        page_faults: flat.need("total_pgfault")?,
        major_page_faults: flat.need("total_pgmajfault")?,
        limit_hits: single(directory, "memory.failcnt")?.unwrap_or(0),
        ..MemoryStats::default()
    })
}

fn memory_v2(directory: &Path, flat: &Flat<'_>) -> Result<MemoryStats, CgroupError> {
    let limit_hits = match Text::read(&directory.join("memory.events"))? {
        Some(text) => text.flat()?.need("max")?,
        None => 0,
    };
    Ok(MemoryStats {
        peak_bytes: single(directory, "memory.peak")?,
        limit_bytes: limit(directory, "memory.max")?,
        rss_bytes: flat.need("anon")?,
        cache_bytes: flat.need("file")?,
        mapped_file_bytes: flat.need("file_mapped")?,
        active_file_bytes: flat.need("active_file")?,
        inactive_file_bytes: flat.need("inactive_file")?,
        // Since Linux 5.18.
        kernel_bytes: flat.get("kernel").unwrap_or(0),
        swap_bytes: single(directory, "memory.swap.current")?,
        swap_limit_bytes: limit(directory, "memory.swap.max")?,
        page_faults: flat.need("pgfault")?,
        major_page_faults: flat.need("pgmajfault")?,
        limit_hits,
        ..MemoryStats::default()
    })
}

/// Kills for lack of memory of one directory.
pub fn oom_kills_in(version: Version, directory: &Path) -> Result<u64, CgroupError> {
    let name = match version {
        // Since Linux 4.13; an older kernel does not count.
        Version::V1 => "memory.oom_control",
        Version::V2 => "memory.events",
    };
    match Text::read(&directory.join(name))? {
        Some(text) => Ok(text.flat()?.get("oom_kill").unwrap_or(0)),
        None => Ok(0),
    }
}

fn pids_in(directory: &Path) -> Result<Option<PidsStats>, CgroupError> {
    let Some(current) = single(directory, "pids.current")? else {
        return Ok(None);
    };
    Ok(Some(PidsStats {
        current,
        limit: limit(directory, "pids.max")?,
    }))
}

mod wait;
pub use wait::{IoStats, Pressure, PressureStats, Stall};

#[cfg(test)]
mod tests;
