//! `/proc/PID/limits`, `oom_score_adj` and `coredump_filter`.

use alloc::vec::Vec;

use super::item::{Numbers, out};
use super::source;
use crate::errno::Errno;

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

/// Keeps the value, which has no effect: memory that is not there ends who asks for it.
pub(super) fn set_oom_score_adj(numbers: Numbers, bytes: &[u8]) -> Result<(), Errno> {
    let text = core::str::from_utf8(bytes).map_err(|_| Errno::EINVAL)?;
    let value: i32 = text.trim().parse().map_err(|_| Errno::EINVAL)?;
    if !(-1000..=1000).contains(&value) {
        return Err(Errno::EINVAL);
    }
    let settings = &source::seen(numbers)?.process.settings;
    (settings
        .oom_score_adj
        .set(u64::from(value as u32), u32::MAX))
    .map(|_| ())
}
