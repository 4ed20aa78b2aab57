//! The process's resource limits, as far as files are bound by them.

use linux_raw_sys::general::{RLIMIT_FSIZE, RLIMIT_NOFILE};

use crate::process;

fn soft(resource: u32) -> u64 {
    process::current()
        .limits
        .lock()
        .0
        .get(resource as usize)
        .map_or(u64::MAX, |limit| limit.0)
}

/// RLIMIT_NOFILE: file descriptors are below this.
pub fn open_files() -> u32 {
    u32::try_from(soft(RLIMIT_NOFILE)).unwrap_or(u32::MAX)
}

/// RLIMIT_FSIZE: no write goes past this.
pub fn file_size() -> u64 {
    soft(RLIMIT_FSIZE)
}
