//! Clocks and timers: reading, sleeping, alarms, POSIX timers.
//!
//! Clocks come from the shared page (`time`), timers live in `signal::timer`.
//! Source: clock_gettime(2), clock_nanosleep(2), setitimer(2), timer_create(2).

use linux_raw_sys::general::{
    CLOCK_BOOTTIME, CLOCK_BOOTTIME_ALARM, CLOCK_MONOTONIC, CLOCK_MONOTONIC_COARSE,
    CLOCK_MONOTONIC_RAW, CLOCK_PROCESS_CPUTIME_ID, CLOCK_REALTIME, CLOCK_REALTIME_ALARM,
    CLOCK_REALTIME_COARSE, CLOCK_TAI, CLOCK_THREAD_CPUTIME_ID, ITIMER_PROF, ITIMER_REAL,
    ITIMER_VIRTUAL, SIGALRM, SIGEV_NONE, SIGEV_SIGNAL, SIGEV_THREAD_ID, TIMER_ABSTIME,
};

use crate::errno::{Errno, SysResult};
use crate::mm::user;
use crate::process::{self, Thread, threads};
use crate::sched::{self, WaitQueue};
use crate::signal::cpu_timer::{self, Which};
use crate::signal::number::is_signal;
use crate::signal::timer::{self, Event, Schedule, TimerClock};
use crate::time::{self, Clock, SECOND_NS};

/// SIGEV_THREAD: the C library makes a thread of it and asks for SIGEV_THREAD_ID.
const SIGEV_THREAD: u32 = 2;
/// Ticks of the coarse clocks: a kernel with HZ=250.
const COARSE_NS: u64 = 4_000_000;

/// Sleepers: nobody wakes them but time and signals.
static SLEEPERS: WaitQueue = WaitQueue::new();

/// Reads a timespec as nanoseconds.
///
/// # Errors
/// EFAULT; EINVAL for a negative or unnormalized time.
pub(super) fn read_timespec(address: u64) -> Result<u64, Errno> {
    let [seconds, nanos]: [i64; 2] = user::read(address)?;
    match (u64::try_from(seconds), u64::try_from(nanos)) {
        (Ok(seconds), Ok(nanos)) if nanos < SECOND_NS => {
            Ok(seconds.saturating_mul(SECOND_NS).saturating_add(nanos))
        }
        _ => Err(Errno::EINVAL),
    }
}

/// Writes nanoseconds as a timespec.
///
/// # Errors
/// EFAULT.
pub(super) fn write_timespec(address: u64, ns: u64) -> Result<(), Errno> {
    user::write(address, &[(ns / SECOND_NS) as i64, (ns % SECOND_NS) as i64])
}

/// Deadline on CLOCK_MONOTONIC of a relative timeout at `address`; 0 is none.
///
/// # Errors
/// As [`read_timespec`].
pub(super) fn read_timeout(address: u64) -> Result<Option<u64>, Errno> {
    if address == 0 {
        return Ok(None);
    }
    Ok(Some(
        time::monotonic_ns().saturating_add(read_timespec(address)?),
    ))
}

/// Reads a timeval as nanoseconds.
fn read_timeval(address: u64) -> Result<u64, Errno> {
    let [seconds, micros]: [i64; 2] = user::read(address)?;
    match (u64::try_from(seconds), u64::try_from(micros)) {
        (Ok(seconds), Ok(micros)) if micros < 1_000_000 => Ok(seconds
            .saturating_mul(SECOND_NS)
            .saturating_add(micros * 1000)),
        _ => Err(Errno::EINVAL),
    }
}

fn timeval(ns: u64) -> [i64; 2] {
    [(ns / SECOND_NS) as i64, (ns % SECOND_NS / 1000) as i64]
}

/// CPU time of the process.
pub(super) fn cpu_time_ns() -> u64 {
    time::ticks_to_ns(threads::cpu_ticks(process::current()))
}

/// CPU time of the running thread.
pub(super) fn thread_time_ns() -> u64 {
    time::ticks_to_ns(process::thread().cpu_ticks())
}

/// The clock of CPU time with this id: the two plain ones, or what
/// clock_getcpuclockid(3) and pthread_getcpuclockid(3) make: the inverted process or
/// thread id above three bits of kind.
fn cpu_clock(id: u32) -> Result<TimerClock, Errno> {
    const THREAD: u32 = 4;
    match id {
        CLOCK_PROCESS_CPUTIME_ID => {
            return Ok(TimerClock::Process(process::current().pid()));
        }
        CLOCK_THREAD_CPUTIME_ID => return Ok(TimerClock::Thread(process::thread().tid())),
        _ if (id as i32) >= 0 || id & 3 == 3 => return Err(Errno::EINVAL),
        _ => {}
    }
    let owner = !((id as i32) >> 3) as u32;
    let clock = match (id & THREAD, owner) {
        (0, 0) => TimerClock::Process(process::current().pid()),
        (0, pid) if process::table::with_running(pid, |_| ()).is_some() => TimerClock::Process(pid),
        (0, _) => return Err(Errno::EINVAL),
        (_, 0) => TimerClock::Thread(process::thread().tid()),
        // Those of other processes are their own affair.
        (_, tid) => {
            let is_own =
                |thread: &'static Thread| core::ptr::eq(thread.process(), process::current());
            match threads::with(tid, is_own) {
                Some(true) => TimerClock::Thread(tid),
                _ => return Err(Errno::EINVAL),
            }
        }
    };
    Ok(clock)
}

fn read_clock(id: u64) -> Result<u64, Errno> {
    let id = id as u32;
    match id {
        CLOCK_REALTIME | CLOCK_REALTIME_ALARM | CLOCK_TAI => Ok(time::realtime_ns()),
        CLOCK_REALTIME_COARSE => Ok(time::realtime_ns() / COARSE_NS * COARSE_NS),
        CLOCK_MONOTONIC | CLOCK_MONOTONIC_RAW => Ok(time::monotonic_ns()),
        CLOCK_MONOTONIC_COARSE => Ok(time::monotonic_ns() / COARSE_NS * COARSE_NS),
        CLOCK_BOOTTIME | CLOCK_BOOTTIME_ALARM => Ok(time::now(Clock::Boottime)),
        _ => cpu_clock(id)?.now_ns().ok_or(Errno::EINVAL),
    }
}

/// clock_gettime(2).
pub(super) fn clock_gettime(args: &[u64; 6]) -> SysResult {
    let ns = read_clock(args[0])?;
    write_timespec(args[1], ns).map(|()| 0)
}

/// clock_getres(2).
pub(super) fn clock_getres(args: &[u64; 6]) -> SysResult {
    read_clock(args[0])?;
    let is_coarse = matches!(
        args[0] as u32,
        CLOCK_REALTIME_COARSE | CLOCK_MONOTONIC_COARSE
    );
    if args[1] != 0 {
        write_timespec(
            args[1],
            if is_coarse {
                COARSE_NS
            } else {
                time::resolution_ns()
            },
        )?;
    }
    Ok(0)
}

/// gettimeofday(2).
pub(super) fn gettimeofday(args: &[u64; 6]) -> SysResult {
    if args[0] != 0 {
        user::write(args[0], &timeval(time::realtime_ns()))?;
    }
    if args[1] != 0 {
        user::write(args[1], &[0u32; 2])?;
    }
    Ok(0)
}

/// time(2).
pub(super) fn time(args: &[u64; 6]) -> SysResult {
    let seconds = time::realtime_ns() / SECOND_NS;
    if args[0] != 0 {
        user::write(args[0], &seconds)?;
    }
    Ok(seconds as usize)
}

/// Sleeps until a time on CLOCK_MONOTONIC.
fn sleep_until(deadline_ns: u64) -> Result<(), Errno> {
    match sched::wait(&SLEEPERS, Some(deadline_ns), || None::<()>) {
        Err(Errno::ETIMEDOUT) => Ok(()),
        Err(errno) => Err(errno),
        Ok(()) => Ok(()),
    }
}

fn sleep_for(ns: u64, left: u64) -> SysResult {
    let deadline_ns = time::monotonic_ns().saturating_add(ns);
    let result = sleep_until(deadline_ns);
    if result == Err(Errno::EINTR) && left != 0 {
        write_timespec(left, deadline_ns.saturating_sub(time::monotonic_ns()))?;
    }
    result.map(|()| 0)
}

/// nanosleep(2).
pub(super) fn nanosleep(args: &[u64; 6]) -> SysResult {
    sleep_for(read_timespec(args[0])?, args[1])
}

/// clock_nanosleep(2).
pub(super) fn clock_nanosleep(args: &[u64; 6]) -> SysResult {
    let [id, flags, request, left, ..] = *args;
    let now_ns = match id as u32 {
        CLOCK_REALTIME | CLOCK_TAI => time::realtime_ns(),
        CLOCK_MONOTONIC => time::monotonic_ns(),
        CLOCK_BOOTTIME => time::now(Clock::Boottime),
        CLOCK_THREAD_CPUTIME_ID => return Err(Errno::EOPNOTSUPP),
        CLOCK_PROCESS_CPUTIME_ID => cpu_time_ns(),
        _ => {
            read_clock(id)?;
            return Err(Errno::EOPNOTSUPP);
        }
    };
    let wanted_ns = read_timespec(request)?;
    if flags & u64::from(TIMER_ABSTIME) == 0 {
        return sleep_for(wanted_ns, left);
    }
    let wait_ns = wanted_ns.saturating_sub(now_ns);
    sleep_until(time::monotonic_ns().saturating_add(wait_ns)).map(|()| 0)
}

/// alarm(2): seconds that the old alarm had left, rounded.
pub(super) fn alarm(args: &[u64; 6]) -> SysResult {
    let now_ns = time::monotonic_ns();
    let wanted_ns = (args[0] & 0xffff_ffff) * SECOND_NS;
    let old = timer::alarm(Some(Schedule::starting_in(wanted_ns, 0, now_ns)))?;
    let left_ns = old.left_ns(now_ns);
    let seconds = (left_ns + SECOND_NS / 2) / SECOND_NS;
    Ok(if left_ns > 0 { seconds.max(1) } else { 0 } as usize)
}

fn write_itimerval(address: u64, schedule: Schedule, now_ns: u64) -> Result<(), Errno> {
    if address == 0 {
        return Ok(());
    }
    let left_ns = schedule.left_ns(now_ns);
    // A running timer is never shown as stopped.
    let left_ns = if left_ns > 0 { left_ns.max(1000) } else { 0 };
    user::write(address, &timeval(schedule.interval_ns))?;
    user::write(address.wrapping_add(16), &timeval(left_ns))
}

/// The interval timer, replaced by one that ends after `new` (value, interval)
/// where that is given, and the time on its clock.
fn interval_timer(which: u64, new: Option<(u64, u64)>) -> Result<(Schedule, u64), Errno> {
    let which = match which as u32 {
        ITIMER_REAL => None,
        ITIMER_VIRTUAL => Some(Which::Virtual),
        ITIMER_PROF => Some(Which::Profiling),
        _ => return Err(Errno::EINVAL),
    };
    let now_ns = match which {
        None => time::monotonic_ns(),
        Some(_) => cpu_time_ns(),
    };
    let new = new.map(|(value, interval)| Schedule::starting_in(value, interval, now_ns));
    let old = match which {
        None => timer::alarm(new)?,
        Some(which) => cpu_timer::interval(which, new),
    };
    Ok((old, now_ns))
}

/// getitimer(2).
pub(super) fn getitimer(args: &[u64; 6]) -> SysResult {
    let (schedule, now_ns) = interval_timer(args[0], None)?;
    if args[1] == 0 {
        return Err(Errno::EFAULT);
    }
    write_itimerval(args[1], schedule, now_ns).map(|()| 0)
}

/// setitimer(2).
pub(super) fn setitimer(args: &[u64; 6]) -> SysResult {
    let (interval_ns, value_ns) = match args[1] {
        0 => (0, 0),
        address => (
            read_timeval(address)?,
            read_timeval(address.wrapping_add(16))?,
        ),
    };
    let (old, now_ns) = interval_timer(args[0], Some((value_ns, interval_ns)))?;
    write_itimerval(args[2], old, now_ns).map(|()| 0)
}

/// timer_create(2).
pub(super) fn timer_create(args: &[u64; 6]) -> SysResult {
    let [clock, event, id_address, ..] = *args;
    read_clock(clock)?;
    let clock = match clock as u32 {
        CLOCK_REALTIME | CLOCK_REALTIME_ALARM | CLOCK_REALTIME_COARSE | CLOCK_TAI => {
            TimerClock::Realtime
        }
        id => cpu_clock(id).unwrap_or(TimerClock::Monotonic),
    };
    let event = match event {
        0 => None,
        address => Some((
            user::read::<u64>(address)?,
            user::read::<[u32; 2]>(address.wrapping_add(8))?,
            user::read::<u32>(address.wrapping_add(16))?,
        )),
    };
    let (value, signal, thread) = match event {
        None => (None, SIGALRM, 0),
        Some((value, [signal, notify], tid)) => match notify {
            SIGEV_NONE => (Some(value), 0, 0),
            SIGEV_SIGNAL if is_signal(signal) => (Some(value), signal, 0),
            SIGEV_THREAD_ID if is_signal(signal) && threads::exists(tid) => {
                (Some(value), signal, tid)
            }
            SIGEV_THREAD if is_signal(signal) => (Some(value), signal, 0),
            _ => return Err(Errno::EINVAL),
        },
    };
    let id = timer::create(|id| Event {
        signal,
        value: value.unwrap_or(u64::from(id)),
        thread,
        clock,
    })?;
    if let Err(errno) = user::write(id_address, &id) {
        timer::delete(id)?;
        return Err(errno);
    }
    Ok(0)
}

/// timer_delete(2).
pub(super) fn timer_delete(args: &[u64; 6]) -> SysResult {
    timer::delete(args[0] as u32).map(|()| 0)
}

fn write_itimerspec(address: u64, schedule: Schedule, now_ns: u64) -> Result<(), Errno> {
    write_timespec(address, schedule.interval_ns)?;
    write_timespec(address.wrapping_add(16), schedule.left_ns(now_ns))
}

/// timer_gettime(2).
pub(super) fn timer_gettime(args: &[u64; 6]) -> SysResult {
    let (schedule, now_ns) = timer::schedule(args[0] as u32, |_, _| None)?;
    write_itimerspec(args[1], schedule, now_ns).map(|()| 0)
}

/// timer_settime(2).
pub(super) fn timer_settime(args: &[u64; 6]) -> SysResult {
    let [id, flags, new, old, ..] = *args;
    if new == 0 {
        return Err(Errno::EINVAL);
    }
    let interval_ns = read_timespec(new)?;
    let value_ns = read_timespec(new.wrapping_add(16))?;
    let (before, now_ns) = timer::schedule(id as u32, |clock, now_ns| {
        let clock_ns = match clock {
            TimerClock::Realtime => time::realtime_ns(),
            _ => now_ns,
        };
        let is_absolute = flags & u64::from(TIMER_ABSTIME) != 0 && value_ns != 0;
        // A time that has passed ends at once.
        let value_ns = if is_absolute {
            value_ns.saturating_sub(clock_ns).max(1)
        } else {
            value_ns
        };
        Some(Schedule::starting_in(value_ns, interval_ns, now_ns))
    })?;
    if old != 0 {
        write_itimerspec(old, before, now_ns)?;
    }
    Ok(0)
}

/// timer_getoverrun(2).
pub(super) fn timer_getoverrun(args: &[u64; 6]) -> SysResult {
    Ok(timer::overrun(args[0] as u32)?.min(i32::MAX as u64) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: &[i64]) -> u64 {
        time.as_ptr().expose_provenance() as u64
    }

    #[test]
    fn times_are_checked() {
        assert_eq!(read_timespec(at(&[1, 5])), Ok(1_000_000_005));
        assert_eq!(read_timespec(at(&[0, 1_000_000_000])), Err(Errno::EINVAL));
        assert_eq!(read_timespec(at(&[-1, 0])), Err(Errno::EINVAL));
        assert_eq!(read_timespec(at(&[i64::MAX, 0])), Ok(u64::MAX));
        assert_eq!(read_timeval(at(&[0, 1_000_000])), Err(Errno::EINVAL));
    }

    #[test]
    fn cpu_clocks_of_others_are_refused() {
        let of = |pid: i32| (!pid << 3 | 2) as u64;
        assert!(read_clock(of(0)).is_ok());
        assert_eq!(read_clock(of(4711)), Err(Errno::EINVAL));
        assert_eq!(read_clock(99), Err(Errno::EINVAL));
    }
}
