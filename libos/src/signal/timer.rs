//! Timers that end in a signal: alarm(2), setitimer(2) with ITIMER_REAL and
//! timer_create(2).
//!
//! There is no timer interrupt: `sched::deadline` sees to it that a vCPU looks at
//! the time [`next_ns`], and calls [`run`] then.

use core::sync::atomic::{AtomicU64, Ordering};

use alloc::vec::Vec;
use linux_raw_sys::general::SIGALRM;
use spin::Mutex;

use super::cpu_timer;
use super::info::SigInfo;
use crate::errno::Errno;
use crate::process::threads;
use crate::{sched, time};

/// No deadline.
pub(super) const NEVER: u64 = u64::MAX;
/// Most POSIX timers of a process.
const TIMERS_MAX: usize = 64;

/// Earliest deadline of all timers, CLOCK_MONOTONIC.
static NEXT_NS: AtomicU64 = AtomicU64::new(NEVER);
static TIMERS: Mutex<Timers> = Mutex::new(Timers {
    alarm: Schedule::STOPPED,
    posix: Vec::new(),
    next_id: 0,
});

struct Timers {
    alarm: Schedule,
    posix: Vec<Timer>,
    next_id: u32,
}

/// When a timer runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// CLOCK_MONOTONIC; `u64::MAX` when it does not run.
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

/// What a POSIX timer does at its end.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// Signal; 0 for none.
    pub signal: u32,
    /// sigev_value.
    pub value: u64,
    /// Id of the thread that gets it; 0 for the process.
    pub thread: u32,
    /// Counts CLOCK_REALTIME.
    pub is_realtime: bool,
}

struct Timer {
    id: u32,
    event: Event,
    schedule: Schedule,
    overrun: u64,
}

impl Timers {
    fn publish(&self) {
        let posix = self.posix.iter().map(|timer| timer.schedule.deadline_ns);
        let next = posix.fold(self.alarm.deadline_ns, u64::min);
        if NEXT_NS.swap(next, Ordering::SeqCst) > next {
            sched::deadline_changed();
        }
    }

    fn find(&mut self, id: u32) -> Result<&mut Timer, Errno> {
        self.posix
            .iter_mut()
            .find(|timer| timer.id == id)
            .ok_or(Errno::EINVAL)
    }
}

/// Whether a timer has run out.
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
        let mut timers = TIMERS.lock();
        if timers.alarm.advance(now_ns) > 0 {
            due.push((SigInfo::from_kernel(SIGALRM), 0));
        }
        for timer in &mut timers.posix {
            let times = timer.schedule.advance(now_ns);
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
                    thread,
                ));
            }
        }
        timers.publish();
    }
    for (info, tid) in due {
        // With a full queue there are signals enough; a thread that ended gets none.
        let _ = match tid {
            0 => super::send_to_process(info),
            tid => match threads::with(tid, |thread| thread) {
                Some(thread) => super::send_to(thread, info),
                None => Ok(()),
            },
        };
    }
}

/// The alarm, replaced where `new` is given.
pub fn alarm(new: Option<Schedule>) -> Schedule {
    let mut timers = TIMERS.lock();
    let old = timers.alarm;
    if let Some(new) = new {
        timers.alarm = new;
        timers.publish();
    }
    old
}

/// A new POSIX timer, stopped: its id.
///
/// # Errors
/// EAGAIN when there are too many.
pub fn create(event: impl FnOnce(u32) -> Event) -> Result<u32, Errno> {
    let mut timers = TIMERS.lock();
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
    let mut timers = TIMERS.lock();
    timers.find(id)?;
    timers.posix.retain(|timer| timer.id != id);
    timers.publish();
    Ok(())
}

/// Schedule of a POSIX timer, replaced where `new` gives one; `new` is told
/// whether the timer counts CLOCK_REALTIME.
///
/// # Errors
/// EINVAL when there is no such timer.
pub fn schedule(id: u32, new: impl FnOnce(bool) -> Option<Schedule>) -> Result<Schedule, Errno> {
    let mut timers = TIMERS.lock();
    let timer = timers.find(id)?;
    let old = timer.schedule;
    if let Some(new) = new(timer.event.is_realtime) {
        timer.schedule = new;
        timer.overrun = 0;
        timers.publish();
    }
    Ok(old)
}

/// Ends that the last signal of a timer stands for beyond the first.
///
/// # Errors
/// EINVAL when there is no such timer.
pub fn overrun(id: u32) -> Result<u64, Errno> {
    Ok(TIMERS.lock().find(id)?.overrun)
}

/// What execve does: POSIX timers are gone, the alarm goes on.
pub fn reset_for_exec() {
    let mut timers = TIMERS.lock();
    timers.posix.clear();
    timers.publish();
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
