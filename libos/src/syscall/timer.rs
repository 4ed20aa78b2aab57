//! Timers that are read as files.

use linux_raw_sys::general::{
    CLOCK_BOOTTIME, CLOCK_BOOTTIME_ALARM, CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_REALTIME_ALARM,
    TFD_CLOEXEC, TFD_NONBLOCK, TFD_TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET,
};

use super::file::descriptor;
use super::open::install;
use crate::errno::{Errno, SysResult};
use crate::fs::timer_file::{self, Setting, TimerClock};
use crate::mm::user;
use crate::process;

const NSEC: u64 = 1_000_000_000;

/// timerfd_create(2).
pub(super) fn timerfd_create(args: &[u64; 6]) -> SysResult {
    let [clock, flags, ..] = *args;
    let flags = flags as u32;
    if flags & !(TFD_CLOEXEC | TFD_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    let clock_id = clock as u32;
    let clock = match clock_id {
        CLOCK_REALTIME | CLOCK_REALTIME_ALARM => TimerClock::Realtime,
        CLOCK_MONOTONIC | CLOCK_BOOTTIME | CLOCK_BOOTTIME_ALARM => TimerClock::Monotonic,
        _ => return Err(Errno::EINVAL),
    };
    // An alarm clock wakes a machine that is suspended, which a guest never is.
    let is_alarm = matches!(clock_id, CLOCK_REALTIME_ALARM | CLOCK_BOOTTIME_ALARM);
    if is_alarm && process::current().credentials.lock().euid != 0 {
        return Err(Errno::EPERM);
    }
    install(
        timer_file::open(clock, clock_id, flags & TFD_NONBLOCK),
        flags & TFD_CLOEXEC != 0,
    )
}

/// timerfd_settime(2).
pub(super) fn timerfd_settime(args: &[u64; 6]) -> SysResult {
    let [fd, flags, new, old, ..] = *args;
    let flags = flags as u32;
    let field = |index: u64| user::read::<u64>(new.wrapping_add(index * 8));
    let fields = [field(0)?, field(1)?, field(2)?, field(3)?];
    if flags & !(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET) != 0 {
        return Err(Errno::EINVAL);
    }
    let [interval_sec, interval_nsec, sec, nsec] = fields;
    let interval_ns = nanoseconds(interval_sec, interval_nsec)?;
    let first_ns = nanoseconds(sec, nsec)?;
    let file = descriptor(fd)?;
    let timer = file.file().as_timer().ok_or(Errno::EINVAL)?;
    let before = timer.set(
        Setting {
            first_ns,
            interval_ns,
        },
        flags,
    );
    if old != 0 {
        write_setting(old, before)?;
    }
    Ok(0)
}

/// timerfd_gettime(2).
pub(super) fn timerfd_gettime(args: &[u64; 6]) -> SysResult {
    let file = descriptor(args[0])?;
    let timer = file.file().as_timer().ok_or(Errno::EINVAL)?;
    write_setting(args[1], timer.get())?;
    Ok(0)
}

fn nanoseconds(sec: u64, nsec: u64) -> Result<u64, Errno> {
    if sec > i64::MAX as u64 || nsec >= NSEC {
        return Err(Errno::EINVAL);
    }
    Ok(sec.saturating_mul(NSEC).saturating_add(nsec))
}

fn write_setting(addr: u64, setting: Setting) -> Result<(), Errno> {
    let Setting {
        first_ns,
        interval_ns,
    } = setting;
    let fields = [
        interval_ns / NSEC,
        interval_ns % NSEC,
        first_ns / NSEC,
        first_ns % NSEC,
    ];
    for (index, field) in (0u64..).zip(fields) {
        user::write::<u64>(addr.wrapping_add(index * 8), &field)?;
    }
    Ok(())
}
