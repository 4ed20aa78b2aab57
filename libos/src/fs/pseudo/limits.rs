//! `/proc/PID/limits`, `oom_score`, `oom_score_adj`, `oom_adj` and `coredump_filter`.

use alloc::vec::Vec;

use super::item::{Numbers, out};
use super::source;
use crate::errno::Errno;
use crate::process::capabilities::SYS_RESOURCE;
use crate::process::{self, oom};

/// `/proc/PID/coredump_filter`.
pub(super) fn coredump_filter(numbers: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    let settings = &source::seen(numbers)?.process.settings;
    out!(content, "{:08x}\n", settings.coredump_filter.get());
    Ok(())
}

/// Keeps the value, which has no effect: there are no core dumps.
pub(super) fn set_coredump_filter(numbers: Numbers, bytes: &[u8]) -> Result<(), Errno> {
    let text = core::str::from_utf8(bytes).map_err(|_| Errno::EINVAL)?;
    let text = text.trim();
    let value = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    let value = value.map_err(|_| Errno::EINVAL)? & 0x1ff;
    let settings = &source::seen(numbers)?.process.settings;
    (settings.coredump_filter.set(u64::from(value), u32::MAX)).map(|_| ())
}

/// Names and units of limits by RLIMIT_* number, as Linux words them.
const LIMITS: [(&str, &str); 16] = [
    ("Max cpu time", "seconds"),
    ("Max file size", "bytes"),
    ("Max data size", "bytes"),
    ("Max stack size", "bytes"),
    ("Max core file size", "bytes"),
    ("Max resident set", "bytes"),
    ("Max processes", "processes"),
    ("Max open files", "files"),
    ("Max locked memory", "bytes"),
    ("Max address space", "bytes"),
    ("Max file locks", "locks"),
    ("Max pending signals", "signals"),
    ("Max msgqueue size", "bytes"),
    ("Max nice priority", ""),
    ("Max realtime priority", ""),
    ("Max realtime timeout", "us"),
];

/// `/proc/PID/limits`.
pub(super) fn limits(numbers: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    let limits = source::seen(numbers)?.process.limits.lock().0;
    let shown = |limit: u64| match limit {
        u64::MAX => "unlimited".into(),
        limit => alloc::format!("{limit}"),
    };
    out!(
        content,
        "{:<26}{:<21}{:<21}{:<10}\n",
        "Limit",
        "Soft Limit",
        "Hard Limit",
        "Units"
    );
    for ((name, unit), (soft, hard)) in LIMITS.iter().zip(limits) {
        out!(
            content,
            "{name:<26}{:<21}{:<21}{unit:<10}\n",
            shown(soft),
            shown(hard)
        );
    }
    Ok(())
}

/// `/proc/PID/oom_score_adj`.
pub(super) fn oom_score_adj(numbers: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    let settings = &source::seen(numbers)?.process.settings;
    out!(content, "{}\n", settings.oom_score_adj.get() as i32);
    Ok(())
}

fn parse(bytes: &[u8]) -> Result<i32, Errno> {
    let text = core::str::from_utf8(bytes).map_err(|_| Errno::EINVAL)?;
    text.trim().parse().map_err(|_| Errno::EINVAL)
}

/// Below what somebody with CAP_SYS_RESOURCE set last, only such a one may go.
pub(super) fn set_oom_score_adj(numbers: Numbers, bytes: &[u8]) -> Result<(), Errno> {
    let value = parse(bytes)?;
    if !(-1000..=1000).contains(&value) {
        return Err(Errno::EINVAL);
    }
    let settings = &source::seen(numbers)?.process.settings;
    let may_all = (process::current().credentials.lock())
        .capabilities
        .has(SYS_RESOURCE);
    if value < settings.oom_score_adj_min.get() as i32 && !may_all {
        return Err(Errno::EACCES);
    }
    let kept = u64::from(value as u32);
    settings.oom_score_adj.set(kept, u32::MAX)?;
    if may_all {
        settings.oom_score_adj_min.set(kept, u32::MAX)?;
    }
    Ok(())
}

/// `/proc/PID/oom_adj`: the same by an older scale, from -17 to 15.
pub(super) fn oom_adj(numbers: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    let value = source::seen(numbers)?.process.settings.oom_score_adj.get() as i32;
    let old = if value == 1000 { 15 } else { value * 17 / 1000 };
    out!(content, "{old}\n");
    Ok(())
}

/// See [`oom_adj`].
pub(super) fn set_oom_adj(numbers: Numbers, bytes: &[u8]) -> Result<(), Errno> {
    let old = parse(bytes)?;
    if !(-17..=15).contains(&old) {
        return Err(Errno::EINVAL);
    }
    let value = if old == 15 { 1000 } else { old * 1000 / 17 };
    set_oom_score_adj(numbers, alloc::format!("{value}").as_bytes())
}

/// `/proc/PID/oom_score`.
pub(super) fn oom_score(numbers: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    out!(content, "{}\n", oom::score(&source::seen(numbers)?));
    Ok(())
}
