//! Timers that end in a signal: alarm(2), setitimer(2) with ITIMER_REAL and
//! timer_create(2).
//!
//! There is no timer interrupt: `sched::deadline` sees to it that a vCPU looks at
//! the time [`next_ns`], and calls [`run`] then. Timers on CPU clocks are looked at
//! when they could run out at the earliest ([`cpu_timer`]).

use core::sync::atomic::{AtomicU64, Ordering};

use alloc::vec::Vec;
use linux_raw_sys::general::SIGALRM;
use spin::Mutex;

use super::cpu_timer;
use super::info::SigInfo;
use crate::errno::Errno;
use crate::process::{self, table, threads};
use crate::{sched, time};

/// No deadline.
pub(super) const NEVER: u64 = u64::MAX;
/// Most POSIX timers of a process.
const TIMERS_MAX: usize = 64;

/// When to look at the timers next, CLOCK_MONOTONIC.
static NEXT_NS: AtomicU64 = AtomicU64::new(NEVER);
/// Those of each process that has any.
static TIMERS: Mutex<Vec<Timers>> = Mutex::new(Vec::new());

struct Timers {
    pid: u32,
    alarm: Schedule,
    posix: Vec<Timer>,
    next_id: u32,
}

/// When a timer runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Time of the timer's clock; `u64::MAX` when it does not run.
    pub deadline_ns: u64,
    /// Time between two ends; 0 for one end.
    pub interval_ns: u64,
}

impl Schedule {
    /// Not running.
    pub const STOPPED: Schedule = Schedule {
        deadline_ns: NEVER,
        interval_ns: 0,
    };

    /// Ends after `value_ns` (0 stops it), then every `interval_ns`.
    pub fn starting_in(value_ns: u64, interval_ns: u64, now_ns: u64) -> Schedule {
        let deadline_ns = if value_ns == 0 {
            NEVER
        } else {
            now_ns.saturating_add(value_ns)
        };
        Schedule {
            deadline_ns,
            interval_ns,
        }
    }

    /// Time left; 0 when it does not run.
    pub fn left_ns(&self, now_ns: u64) -> u64 {
        // A timer that has run out but was not looked at yet is still armed.
        if self.deadline_ns == NEVER {
            0
        } else {
            self.deadline_ns.saturating_sub(now_ns).max(1)
        }
    }

    /// Moves past `now_ns`: how many times it ran out.
    pub(super) fn advance(&mut self, now_ns: u64) -> u64 {
        if now_ns < self.deadline_ns {
            return 0;
        }
        if self.interval_ns == 0 {
            self.deadline_ns = NEVER;
            return 1;
        }
        let times = (now_ns - self.deadline_ns) / self.interval_ns + 1;
        self.deadline_ns = self
            .deadline_ns
            .saturating_add(times.saturating_mul(self.interval_ns));
        times
    }
}

/// What a POSIX timer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerClock {
    /// CLOCK_MONOTONIC and CLOCK_BOOTTIME.
    Monotonic,
    /// CLOCK_REALTIME; nobody sets it, so its timers count CLOCK_MONOTONIC.
    Realtime,
    /// CPU time of a process, by id.
    Process(u32),
    /// CPU time of a thread, by id.
    Thread(u32),
}

impl TimerClock {
    /// The time that schedules of such timers are in; none when the thread has ended.
    pub fn now_ns(self) -> Option<u64> {
        match self {
            TimerClock::Monotonic | TimerClock::Realtime => Some(time::monotonic_ns()),
            TimerClock::Process(pid) => {
                table::with_running(pid, threads::cpu_ticks).map(time::ticks_to_ns)
            }
            TimerClock::Thread(tid) => {
                threads::with(tid, |thread| thread.cpu_ticks()).map(time::ticks_to_ns)
            }
        }
    }

    /// When to look at a timer that ends at `deadline_ns` of this clock, CLOCK_MONOTONIC.
    fn look_ns(self, deadline_ns: u64) -> u64 {
        let vcpus = match self {
            _ if deadline_ns == NEVER => return NEVER,
            TimerClock::Monotonic | TimerClock::Realtime => return deadline_ns,
            TimerClock::Process(_) => sched::online(),
            TimerClock::Thread(_) => 1,
        };
        let Some(now_ns) = self.now_ns() else {
            return NEVER;
        };
        let pause = cpu_timer::pause_ns(deadline_ns.saturating_sub(now_ns), vcpus);
        time::monotonic_ns().saturating_add(pause)
    }
}

/// What a POSIX timer does at its end.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// Signal; 0 for none.
    pub signal: u32,
    /// sigev_value.
    pub value: u64,
    /// Id of the thread that gets it; 0 for the process.
    pub thread: u32,
    /// What it counts.
    pub clock: TimerClock,
}

struct Timer {
    id: u32,
    event: Event,
    schedule: Schedule,
    overrun: u64,
}

/// Notes when to look next.
fn publish(all: &[Timers]) {
    let next = all.iter().map(Timers::next_ns).min().unwrap_or(NEVER);
    if NEXT_NS.swap(next, Ordering::SeqCst) > next {
        sched::deadline_changed();
    }
}

/// The running process's timers.
fn own(all: &mut Vec<Timers>) -> Result<&mut Timers, Errno> {
    let pid = process::current().pid();
    let at = match all.iter().position(|timers| timers.pid == pid) {
        Some(at) => at,
        None => {
            all.try_reserve(1).map_err(|_| Errno::EAGAIN)?;
            all.push(Timers {
                pid,
                alarm: Schedule::STOPPED,
                posix: Vec::new(),
                next_id: 0,
            });
            all.len() - 1
        }
    };
    all.get_mut(at).ok_or(Errno::EAGAIN)
}

impl Timers {
    fn next_ns(&self) -> u64 {
        let posix =
            (self.posix.iter()).map(|timer| timer.event.clock.look_ns(timer.schedule.deadline_ns));
        posix.fold(self.alarm.deadline_ns, u64::min)
    }

    fn find(&mut self, id: u32) -> Result<&mut Timer, Errno> {
        self.posix
            .iter_mut()
            .find(|timer| timer.id == id)
            .ok_or(Errno::EINVAL)
    }
}

/// Whether timers are to be looked at.
fn is_due() -> bool {
    let next = NEXT_NS.load(Ordering::SeqCst);
    next != NEVER && time::monotonic_ns() >= next
}

/// When the next timer runs out; `u64::MAX` for never.
pub fn next_ns() -> u64 {
    NEXT_NS.load(Ordering::SeqCst).min(cpu_timer::look_ns())
}

/// Sends the signals of timers that ran out.
pub fn run() {
    cpu_timer::run();
    if !is_due() {
        return;
    }
    let now_ns = time::monotonic_ns();
    let mut due = Vec::new();
    {
        let mut all = TIMERS.lock();
        for timers in &mut *all {
            timers.take_due(now_ns, &mut due);
        }
        publish(&all);
    }
    for (info, pid, tid) in due {
        // With a full queue there are signals enough; a thread that ended gets none.
        let _ = match tid {
            0 => table::with_running(pid, |process| super::send_to_process(process, info)),
            tid => threads::with(tid, |thread| thread).map(|thread| super::send_to(thread, info)),
        };
    }
}

impl Timers {
    /// Adds the signals of timers that ran out: signal, process, thread or 0.
    fn take_due(&mut self, now_ns: u64, due: &mut Vec<(SigInfo, u32, u32)>) {
        if self.alarm.advance(now_ns) > 0 {
            due.push((SigInfo::from_kernel(SIGALRM), self.pid, 0));
        }
        for timer in &mut self.posix {
            let clock_ns = match timer.event.clock {
                TimerClock::Monotonic | TimerClock::Realtime => Some(now_ns),
                clock => clock.now_ns(),
            };
            let times = clock_ns.map_or(0, |now_ns| timer.schedule.advance(now_ns));
            if times == 0 {
                continue;
            }
            timer.overrun = times - 1;
            let Event {
                signal,
                value,
                thread,
                ..
            } = timer.event;
            if signal != 0 {
                let overrun = u32::try_from(timer.overrun).unwrap_or(i32::MAX as u32);
                due.push((
                    SigInfo::from_timer(signal, timer.id, overrun, value),
                    self.pid,
                    thread,
                ));
            }
        }
    }
}

/// The alarm, replaced where `new` is given.
///
/// # Errors
/// EAGAIN without memory.
pub fn alarm(new: Option<Schedule>) -> Result<Schedule, Errno> {
    let mut all = TIMERS.lock();
    let timers = own(&mut all)?;
    let old = timers.alarm;
    if let Some(new) = new {
        timers.alarm = new;
        publish(&all);
    }
    Ok(old)
}

/// A new POSIX timer, stopped: its id.
///
/// # Errors
/// EAGAIN when there are too many.
pub fn create(event: impl FnOnce(u32) -> Event) -> Result<u32, Errno> {
    let mut all = TIMERS.lock();
    let timers = own(&mut all)?;
    if timers.posix.len() >= TIMERS_MAX {
        return Err(Errno::EAGAIN);
    }
    let id = timers.next_id;
    timers.next_id = (id + 1) & 0x7fff_ffff;
    timers.posix.push(Timer {
        id,
        event: event(id),
        schedule: Schedule::STOPPED,
        overrun: 0,
    });
    Ok(id)
}

/// Forgets a POSIX timer.
///
/// # Errors
/// EINVAL when there is none.
pub fn delete(id: u32) -> Result<(), Errno> {
    let mut all = TIMERS.lock();
    let timers = own(&mut all)?;
    timers.find(id)?;
    timers.posix.retain(|timer| timer.id != id);
    publish(&all);
    Ok(())
}

/// Schedule of a POSIX timer and the time that it is in, replaced where `new` gives
/// one; `new` is told what the timer counts, and that time.
///
/// # Errors
/// EINVAL when there is no such timer; ESRCH when it counts the time of a thread
/// that has ended.
pub fn schedule(
    id: u32,
    new: impl FnOnce(TimerClock, u64) -> Option<Schedule>,
) -> Result<(Schedule, u64), Errno> {
    let mut all = TIMERS.lock();
    let timer = own(&mut all)?.find(id)?;
    let clock = timer.event.clock;
    let now_ns = clock.now_ns().ok_or(Errno::ESRCH)?;
    let old = timer.schedule;
    if let Some(new) = new(clock, now_ns) {
        timer.schedule = new;
        timer.overrun = 0;
        publish(&all);
    }
    Ok((old, now_ns))
}

/// Ends that the last signal of a timer stands for beyond the first.
///
/// # Errors
/// EINVAL when there is no such timer.
pub fn overrun(id: u32) -> Result<u64, Errno> {
    Ok(own(&mut TIMERS.lock())?.find(id)?.overrun)
}

/// What execve does: POSIX timers are gone, the alarm goes on.
pub fn reset_for_exec() {
    let mut all = TIMERS.lock();
    let pid = process::current().pid();
    for timers in all.iter_mut().filter(|timers| timers.pid == pid) {
        timers.posix.clear();
    }
    publish(&all);
}

/// A process has ended: all its timers are gone.
pub fn forget(pid: u32) {
    let mut all = TIMERS.lock();
    all.retain(|timers| timers.pid != pid);
    publish(&all);
    cpu_timer::forget(pid);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_catches_up_and_counts() {
        let mut schedule = Schedule::starting_in(100, 50, 1000);
        assert_eq!(schedule.left_ns(1000), 100);
        assert_eq!(schedule.advance(1099), 0);
        assert_eq!(schedule.advance(1230), 3);
        assert_eq!(schedule.deadline_ns, 1250);
        assert_eq!(schedule.left_ns(1300), 1);
    }

    #[test]
    fn a_single_end_stops_it() {
        let mut schedule = Schedule::starting_in(100, 0, 0);
        assert_eq!(schedule.advance(500), 1);
        assert_eq!(schedule, Schedule::STOPPED);
        assert_eq!(schedule.left_ns(500), 0);
        assert_eq!(Schedule::starting_in(0, 7, 3).left_ns(3), 0);
    }
}
