//! The system as a program sees it: its name, memory, usage, limits.
//!
//! Source: uname(2), sysinfo(2), getrusage(2), getrlimit(2), personality(2).

use super::clock::{cpu_time_ns, thread_time_ns};
use super::credentials::is_root;
use crate::errno::{Errno, SysResult};
use crate::mm::{self, user};
use crate::process::usage::Used;
use crate::process::{self, LIMITS, Process, table};
use crate::time::{self, Clock, SECOND_NS};

/// Kernel release that uname(2) and /proc/version name: programs look at it for
/// features, which are Linux 6.12's where they are there at all.
pub const RELEASE: &str = "6.12.0-unikiln";
/// Kernel version that goes with it.
pub const VERSION: &str = concat!("#1 Unikiln ", env!("CARGO_PKG_VERSION"));

/// Bytes of each string of struct new_utsname.
const NAME_BYTES: usize = 65;
/// Clock ticks of times(2), sysconf(_SC_CLK_TCK).
const TICK_NS: u64 = SECOND_NS / 100;
/// RLIMIT_NOFILE may not be raised above this by anybody (fs.nr_open).
const FILES_MAX: u64 = 1 << 20;
/// See [`FILES_MAX`].
const RLIMIT_NOFILE: usize = 7;
/// ADDR_NO_RANDOMIZE and the other bits that Linux keeps on x86-64.
const PERSONALITY_KNOWN: u32 = 0x0fff_0000 | 0xff;

/// uname(2).
pub(super) fn uname(args: &[u64; 6]) -> SysResult {
    let hostname = process::HOSTNAME.lock().clone();
    let fields: [&[u8]; 6] = [
        b"Linux",
        &hostname,
        RELEASE.as_bytes(),
        VERSION.as_bytes(),
        b"x86_64",
        b"(none)",
    ];
    for (index, field) in fields.iter().enumerate() {
        let mut text = [0; NAME_BYTES];
        // The last byte stays NUL.
        for (to, from) in text.iter_mut().take(NAME_BYTES - 1).zip(field.iter()) {
            *to = *from;
        }
        user::copy_out(args[0].wrapping_add((index * NAME_BYTES) as u64), &text)?;
    }
    Ok(0)
}

/// struct sysinfo.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct SystemInfo {
    uptime_s: u64,
    loads: [u64; 3],
    total_ram: u64,
    free_ram: u64,
    shared_ram: u64,
    buffer_ram: u64,
    total_swap: u64,
    free_swap: u64,
    processes: u16,
    padding: [u16; 3],
    total_high: u64,
    free_high: u64,
    unit_bytes: u32,
    padding2: u32,
}

const _: () = assert!(size_of::<SystemInfo>() == 112);

/// struct rusage: two timevals and fourteen counters.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Usage([u64; 18]);

impl Usage {
    /// What was used, all of its time user time.
    pub fn of(used: Used) -> Usage {
        let mut usage = Usage([0; 18]);
        usage.0[0] = used.cpu_ns / SECOND_NS;
        usage.0[1] = used.cpu_ns % SECOND_NS / 1000;
        usage.0[4] = mm::peak_bytes() / 1024;
        usage.0[8] = used.own.faults;
        usage.0[16] = used.own.waits;
        usage.0[17] = used.own.preemptions;
        usage
    }
}

/// struct tms.
#[derive(Clone, Copy)]
#[repr(C)]
struct Times([u64; 4]);

crate::pod!(SystemInfo, Usage, Times);

/// sysinfo(2).
pub(super) fn sysinfo(args: &[u64; 6]) -> SysResult {
    let info = SystemInfo {
        uptime_s: time::now(Clock::Boottime) / SECOND_NS,
        total_ram: mm::limit_bytes(),
        free_ram: mm::available_bytes(),
        processes: process::threads::count() as u16,
        unit_bytes: 1,
        ..SystemInfo::default()
    };
    user::write(args[0], &info).map(|()| 0)
}

/// getrusage(2).
pub(super) fn getrusage(args: &[u64; 6]) -> SysResult {
    let used = match args[0] as i32 {
        0 => Used {
            own: process::threads::counts(process::current()),
            cpu_ns: cpu_time_ns(),
        },
        1 => Used {
            own: process::thread().counts.get(),
            cpu_ns: thread_time_ns(),
        },
        -1 => process::current().waited_for.get(),
        _ => return Err(Errno::EINVAL),
    };
    user::write(args[1], &Usage::of(used)).map(|()| 0)
}

/// times(2): ticks since boot.
pub(super) fn times(args: &[u64; 6]) -> SysResult {
    if args[0] != 0 {
        let children = process::current().waited_for.get().cpu_ns;
        let ticks = [cpu_time_ns() / TICK_NS, 0, children / TICK_NS, 0];
        user::write(args[0], &Times(ticks))?;
    }
    Ok((time::now(Clock::Boottime) / TICK_NS) as usize)
}

fn check_resource(resource: u64) -> Result<usize, Errno> {
    usize::try_from(resource)
        .ok()
        .filter(|r| *r < LIMITS)
        .ok_or(Errno::EINVAL)
}

/// Whether the running process may see and change what belongs to another: it has the same
/// user, or is root.
fn may_look_at(target: &Process) -> bool {
    let own = process::current();
    let (uid, is_root) = {
        let own = own.credentials.lock();
        (own.uid, own.euid == 0)
    };
    is_root || core::ptr::eq(own, target) || {
        let theirs = target.credentials.lock();
        [theirs.uid, theirs.euid, theirs.suid]
            .iter()
            .all(|id| *id == uid)
    }
}

fn get_limit(process: &Process, resource: u64) -> Result<[u64; 2], Errno> {
    let index = check_resource(resource)?;
    let limits = process.limits.lock();
    let (soft, hard) = *limits.0.get(index).ok_or(Errno::EINVAL)?;
    Ok([soft, hard])
}

fn set_limit(process: &Process, resource: u64, new: [u64; 2]) -> Result<(), Errno> {
    let index = check_resource(resource)?;
    let is_root = is_root();
    let mut limits = process.limits.lock();
    let limit = limits.0.get_mut(index).ok_or(Errno::EINVAL)?;
    *limit = change(*limit, new, is_root, index == RLIMIT_NOFILE)?;
    Ok(())
}

/// The limit that is in force after `[soft, hard]` was asked for.
fn change(
    old: (u64, u64),
    [soft, hard]: [u64; 2],
    is_root: bool,
    is_files: bool,
) -> Result<(u64, u64), Errno> {
    if soft > hard {
        return Err(Errno::EINVAL);
    }
    if (hard > old.1 && !is_root) || (is_files && hard > FILES_MAX) {
        return Err(Errno::EPERM);
    }
    Ok((soft, hard))
}

/// getrlimit(2).
pub(super) fn getrlimit(args: &[u64; 6]) -> SysResult {
    user::write(args[1], &get_limit(process::current(), args[0])?).map(|()| 0)
}

/// setrlimit(2).
pub(super) fn setrlimit(args: &[u64; 6]) -> SysResult {
    set_limit(process::current(), args[0], user::read(args[1])?).map(|()| 0)
}

/// prlimit64(2).
pub(super) fn prlimit64(args: &[u64; 6]) -> SysResult {
    let [pid, resource, new, old, ..] = *args;
    let pid = match pid as u32 {
        0 => process::current().pid(),
        pid => pid,
    };
    let new: Option<[u64; 2]> = match new {
        0 => None,
        new => Some(user::read(new)?),
    };
    let change = |target: &'static Process| {
        if !may_look_at(target) {
            return Err(Errno::EPERM);
        }
        let before = get_limit(target, resource)?;
        new.map_or(Ok(()), |new| set_limit(target, resource, new))?;
        Ok(before)
    };
    let before = table::with_running(pid, change).ok_or(Errno::ESRCH)??;
    if old != 0 {
        user::write(old, &before)?;
    }
    Ok(0)
}

/// personality(2): kept, without effect.
pub(super) fn personality(args: &[u64; 6]) -> SysResult {
    let kept = &process::current().settings.personality;
    let old = kept.get();
    let new = args[0] as u32;
    if new != u32::MAX {
        if new & !PERSONALITY_KNOWN != 0 {
            return Err(Errno::EINVAL);
        }
        kept.set(u64::from(new), u32::MAX)?;
    }
    Ok(old as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uname_fills_six_strings() {
        let mut text = alloc::vec![0xffu8; 6 * NAME_BYTES + 1];
        let address = text.as_mut_ptr().expose_provenance() as u64;
        assert_eq!(uname(&[address, 0, 0, 0, 0, 0]), Ok(0));
        assert!(text.starts_with(b"Linux\0"));
        assert!(text[2 * NAME_BYTES..].starts_with(b"6.12.0-unikiln\0"));
        assert!(text[4 * NAME_BYTES..].starts_with(b"x86_64\0"));
        assert_eq!(text[6 * NAME_BYTES], 0xff);
    }

    #[test]
    fn only_root_raises_a_hard_limit() {
        assert_eq!(change((5, 10), [10, 10], false, false), Ok((10, 10)));
        assert_eq!(change((5, 10), [10, 11], false, false), Err(Errno::EPERM));
        assert_eq!(change((5, 10), [10, 11], true, false), Ok((10, 11)));
        assert_eq!(change((5, 10), [9, 8], true, false), Err(Errno::EINVAL));
        assert_eq!(
            change((5, 10), [1, u64::MAX], true, true),
            Err(Errno::EPERM)
        );
    }

    #[test]
    fn unknown_resources_are_refused() {
        assert_eq!(check_resource(16), Err(Errno::EINVAL));
        assert_eq!(check_resource(u64::MAX), Err(Errno::EINVAL));
    }
}
