//! Limits: what a request asks for, checked, in units that both interfaces are written from.

use std::collections::BTreeMap;

use super::error::CgroupError;
use crate::proto::LinuxContainerResources;

/// The period that the kernel has before one is set.
pub const DEFAULT_PERIOD_US: u64 = 100_000;

/// A bound, or none wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// No limit.
    Unlimited,
    /// This much.
    At(u64),
}

/// The limits of a request; none: not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: Option<Bound>,
    /// Bytes of memory and swap together, as in version 1.
    pub memory_and_swap: Option<Bound>,
    /// Shares of version 1, 2 to 262,144.
    pub cpu_shares: Option<u64>,
    /// Microseconds of CPU time in each period.
    pub cpu_quota_us: Option<Bound>,
    /// Microseconds.
    pub cpu_period_us: Option<u64>,
    /// `0-2,7`.
    pub cpus: Option<String>,
    /// As `cpus`.
    pub memory_nodes: Option<String>,
    /// Bytes for each page size, `2MB`.
    pub huge_pages: Vec<(String, u64)>,
    /// Files of version 2 and their values.
    pub unified: BTreeMap<String, String>,
}

impl Limits {
    /// Checks a request.
    pub fn of(resources: &LinuxContainerResources) -> Result<Self, CgroupError> {
        let memory = bound("memory_limit_in_bytes", resources.memory_limit_in_bytes)?;
        let swap = bound(
            "memory_swap_limit_in_bytes",
            resources.memory_swap_limit_in_bytes,
        )?;
        check_swap(memory, swap)?;
        let mut huge_pages = Vec::new();
        for limit in &resources.hugepage_limits {
            check_page_size(&limit.page_size)?;
            huge_pages.push((limit.page_size.clone(), limit.limit));
        }
        for (file, value) in &resources.unified {
            check_unified(file, value)?;
        }
        Ok(Self {
            memory,
            memory_and_swap: swap,
            cpu_shares: positive("cpu_shares", resources.cpu_shares)?
                .map(|shares| shares.clamp(2, 262_144)),
            cpu_quota_us: bound("cpu_quota", resources.cpu_quota)?,
            cpu_period_us: positive("cpu_period", resources.cpu_period)?,
            cpus: list("cpuset_cpus", &resources.cpuset_cpus)?,
            memory_nodes: list("cpuset_mems", &resources.cpuset_mems)?,
            huge_pages,
            unified: resources.unified.clone(),
        })
    }
}

impl Limits {
    /// Controllers of version 2 that these limits need beyond those that every cgroup gets.
    pub fn controllers(&self) -> Vec<String> {
        let mut controllers: Vec<String> = Vec::new();
        if !self.huge_pages.is_empty() {
            controllers.push("hugetlb".to_owned());
        }
        for file in self.unified.keys() {
            let controller = file.split('.').next().unwrap_or(file);
            if !controllers.iter().any(|known| known == controller) {
                controllers.push(controller.to_owned());
            }
        }
        controllers
    }
}

/// Swap alone, as version 2 has it, from memory and swap together.
pub fn swap_alone(memory: Bound, memory_and_swap: Bound) -> Bound {
    match (memory, memory_and_swap) {
        (Bound::At(memory), Bound::At(both)) => Bound::At(both.saturating_sub(memory)),
        (Bound::Unlimited, _) | (_, Bound::Unlimited) => Bound::Unlimited,
    }
}

/// The weight of version 2 (1 to 10,000) for shares of version 1 (2 to 262,144).
///
/// The curve through both ends and through both defaults (1,024 shares are a weight of 100) that
/// OCI runtimes took in 2025: `ConvertCPUSharesToCgroupV2Value` of opencontainers/cgroups,
/// crun 1.23. The line used before it gave the default of 1,024 shares a weight of 39.
pub fn weight(shares: u64) -> u64 {
    if shares <= 2 {
        return 1;
    }
    if shares >= 262_144 {
        return 10_000;
    }
    // Exact to 2^53, and shares are below 2^18.
    #[expect(clippy::cast_precision_loss, reason = "shares are below 2^18")]
    let log = (shares as f64).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "1 to 10,000"
    )]
    let weight = 10_f64.powf(exponent).ceil() as u64;
    weight.clamp(1, 10_000)
}

fn invalid(field: &'static str, problem: String) -> CgroupError {
    CgroupError::Invalid { field, problem }
}

/// 0: not asked for, -1: no limit.
fn bound(field: &'static str, value: i64) -> Result<Option<Bound>, CgroupError> {
    match value {
        0 => Ok(None),
        -1 => Ok(Some(Bound::Unlimited)),
        _ => u64::try_from(value)
            .map(|value| Some(Bound::At(value)))
            .map_err(|_| invalid(field, format!("{value} is below -1, which is no limit"))),
    }
}

fn positive(field: &'static str, value: i64) -> Result<Option<u64>, CgroupError> {
    match u64::try_from(value) {
        Ok(0) => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(_) => Err(invalid(field, format!("{value} is negative"))),
    }
}

fn check_swap(memory: Option<Bound>, swap: Option<Bound>) -> Result<(), CgroupError> {
    let field = "memory_swap_limit_in_bytes";
    match (memory, swap) {
        (Some(Bound::At(memory)), Some(Bound::At(swap))) if swap < memory => Err(invalid(
            field,
            format!("{swap} is memory and swap together, less than the memory limit of {memory}"),
        )),
        (None | Some(Bound::Unlimited), Some(Bound::At(_))) => {
            Err(invalid(field, "it needs a memory limit".to_owned()))
        }
        _ => Ok(()),
    }
}

/// `0`, `0-3`, `0-2,7`: cpuset(7), "List format".
fn list(field: &'static str, text: &str) -> Result<Option<String>, CgroupError> {
    let is_number = |word: &str| word.parse::<u16>().is_ok() && !word.starts_with('+');
    let is_range = |word: &str| match word.split_once('-') {
        Some((first, last)) => is_number(first) && is_number(last),
        None => is_number(word),
    };
    match text.trim() {
        "" => Ok(None),
        text if text.split(',').all(is_range) => Ok(Some(text.to_owned())),
        text => Err(invalid(field, format!("{text:?} is no list as 0-2,7"))),
    }
}

/// `2MB`, `1GB`, `64KB`.
fn check_page_size(size: &str) -> Result<(), CgroupError> {
    if huge_page_kib(size).is_some() {
        return Ok(());
    }
    Err(invalid(
        "hugepage_limits.page_size",
        format!("{size:?} is no size as 2MB"),
    ))
}

/// The size of a huge page in KiB, as the names below `/sys/kernel/mm/hugepages` have it.
pub fn huge_page_kib(size: &str) -> Option<u64> {
    let digits = size.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let factor = match &size[digits.len()..] {
        "KB" => 1,
        "MB" => 1 << 10,
        "GB" => 1 << 20,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

fn check_unified(file: &str, value: &str) -> Result<(), CgroupError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
    let has_controller = file
        .split_once('.')
        .is_some_and(|(controller, rest)| !controller.is_empty() && !rest.is_empty());
    // `cgroup.procs` and its like move and end processes: they are no limits.
    if !has_controller || !file.bytes().all(is_plain) || file.starts_with("cgroup.") {
        return Err(invalid("unified", format!("{file:?} is no limit's file")));
    }
    if value.contains('\0') {
        return Err(invalid("unified", format!("{file}: {value:?} has a NUL")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::HugepageLimit;

    fn refusal(change: impl FnOnce(&mut LinuxContainerResources)) -> String {
        let mut resources = LinuxContainerResources::default();
        change(&mut resources);
        Limits::of(&resources).unwrap_err().to_string()
    }

    #[test]
    fn nothing_asked_is_nothing_set() {
        let limits = Limits::of(&LinuxContainerResources::default()).unwrap();
        assert_eq!(limits, Limits::default());
    }

    #[test]
    fn all_of_a_request() {
        let limits = Limits::of(&LinuxContainerResources {
            cpu_period: 50_000,
            cpu_quota: -1,
            cpu_shares: 1,
            memory_limit_in_bytes: 1 << 30,
            memory_swap_limit_in_bytes: 3 << 29,
            cpuset_cpus: "0-2,7".to_owned(),
            hugepage_limits: vec![HugepageLimit {
                page_size: "2MB".to_owned(),
                limit: 4 << 20,
            }],
            ..Default::default()
        })
        .unwrap();
        assert_eq!(limits.memory, Some(Bound::At(1 << 30)));
        assert_eq!(limits.cpu_quota_us, Some(Bound::Unlimited));
        assert_eq!(limits.cpu_shares, Some(2), "the least that there is");
        assert_eq!(limits.cpus.as_deref(), Some("0-2,7"));
        assert_eq!(limits.huge_pages, [("2MB".to_owned(), 4 << 20)]);
    }

    #[test]
    fn wrong_values_name_their_field() {
        assert!(refusal(|r| r.cpu_shares = -2).starts_with("cpu_shares: -2"));
        assert!(refusal(|r| r.cpu_period = -1).starts_with("cpu_period: "));
        assert!(refusal(|r| r.cpu_quota = -2).starts_with("cpu_quota: "));
        assert!(refusal(|r| r.memory_limit_in_bytes = i64::MIN).starts_with("memory_limit"));
        assert!(refusal(|r| r.memory_swap_limit_in_bytes = 5).contains("needs a memory limit"));
        let swap = refusal(|r| (r.memory_limit_in_bytes, r.memory_swap_limit_in_bytes) = (9, 5));
        assert!(swap.contains("less than the memory limit of 9"), "{swap}");
        for cpus in ["x", "0-", "-1", "0,,1", "0;1", "1-2-3", "+1", "70000"] {
            assert!(refusal(|r| r.cpuset_cpus = cpus.to_owned()).starts_with("cpuset_cpus"));
        }
        for size in [
            "",
            "2",
            "MB",
            "2mb",
            "2MiB",
            "../2MB",
            "ä",
            "99999999999999999999GB",
        ] {
            let limit = HugepageLimit {
                page_size: size.to_owned(),
                limit: 0,
            };
            assert!(
                refusal(|r| r.hugepage_limits = vec![limit]).contains("page_size"),
                "{size}"
            );
        }
        for file in [
            "",
            "memory",
            "memory.",
            ".max",
            "cgroup.procs",
            "memory.max/x",
            "a b.c",
        ] {
            let unified = BTreeMap::from([(file.to_owned(), "1".to_owned())]);
            assert!(
                refusal(|r| r.unified = unified).contains("no limit's file"),
                "{file}"
            );
        }
    }

    #[test]
    fn weights() {
        // Ends, defaults, and the shares of 100m, 500m, 2 and 64 CPUs.
        let pairs = [
            (0, 1),
            (2, 1),
            (102, 17),
            (512, 59),
            (1024, 100),
            (2048, 174),
            (65_536, 3_023),
            (262_144, 10_000),
            (u64::MAX, 10_000),
        ];
        for (shares, expected) in pairs {
            assert_eq!(weight(shares), expected, "{shares} shares");
        }
        assert!(
            (2..262_144)
                .step_by(97)
                .all(|s| weight(s) <= weight(s + 97))
        );
    }

    #[test]
    fn swap_of_version_2() {
        let at = Bound::At;
        assert_eq!(swap_alone(at(10), at(10)), at(0));
        assert_eq!(swap_alone(at(10), at(25)), at(15));
        assert_eq!(swap_alone(at(10), Bound::Unlimited), Bound::Unlimited);
        assert_eq!(
            swap_alone(Bound::Unlimited, Bound::Unlimited),
            Bound::Unlimited
        );
    }

    #[test]
    fn page_sizes() {
        assert_eq!(huge_page_kib("2MB"), Some(2048));
        assert_eq!(huge_page_kib("1GB"), Some(1_048_576));
        assert_eq!(huge_page_kib("64KB"), Some(64));
    }
}
