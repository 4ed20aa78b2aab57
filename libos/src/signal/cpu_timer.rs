//! Interval timers that count CPU time: setitimer(2) with ITIMER_VIRTUAL and
//! ITIMER_PROF. Time in system calls is not told apart, so both count all of it.
//!
//! Nothing interrupts when a thread has used some time: the timers are looked at
//! when they could run out at the earliest, with all vCPUs busy, and again then.

use core::sync::atomic::{AtomicU64, Ordering::SeqCst};

use linux_raw_sys::general::{SIGPROF, SIGVTALRM};
use spin::Mutex;

use super::info::SigInfo;
use super::timer::{NEVER, Schedule};
use crate::process::threads;
use crate::{sched, time};

/// Shortest time between two looks: a tick of a kernel with HZ=250.
const LOOK_MIN_NS: u64 = 4_000_000;

/// Deadlines are CPU time of the process.
static TIMERS: Mutex<[Schedule; 2]> = Mutex::new([Schedule::STOPPED; 2]);
/// When to look next, CLOCK_MONOTONIC.
static LOOK_NS: AtomicU64 = AtomicU64::new(NEVER);

/// Which timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// ITIMER_VIRTUAL.
    Virtual,
    /// ITIMER_PROF.
    Profiling,
}

/// When to look at the timers; `u64::MAX` for never.
pub(super) fn look_ns() -> u64 {
    LOOK_NS.load(SeqCst)
}

fn cpu_ns() -> u64 {
    time::ticks_to_ns(threads::cpu_ticks())
}

/// Time from one look to the next, with `left_ns` of CPU time and so many vCPUs.
pub(super) fn pause_ns(left_ns: u64, vcpus: usize) -> u64 {
    (left_ns / vcpus.max(1) as u64).max(LOOK_MIN_NS)
}

fn publish(timers: &[Schedule; 2], cpu_ns: u64) {
    let first = timers[0].deadline_ns.min(timers[1].deadline_ns);
    let next = match first {
        NEVER => NEVER,
        first => {
            let pause = pause_ns(first.saturating_sub(cpu_ns), sched::online());
            time::monotonic_ns().saturating_add(pause)
        }
    };
    if LOOK_NS.swap(next, SeqCst) > next {
        sched::deadline_changed();
    }
}

/// Sends the signals of timers that ran out.
pub(super) fn run() {
    let look = look_ns();
    if look == NEVER || time::monotonic_ns() < look {
        return;
    }
    let ended = {
        let mut timers = TIMERS.lock();
        let now_ns = cpu_ns();
        let ended = [0, 1].map(|index| timers[index].advance(now_ns) > 0);
        publish(&timers, now_ns);
        ended
    };
    for (ended, signal) in ended.into_iter().zip([SIGVTALRM, SIGPROF]) {
        if ended {
            // With a full queue there are signals enough.
            let _ = super::send_to_process(SigInfo::from_kernel(signal));
        }
    }
}

/// A timer, replaced where `new` is given.
pub fn interval(which: Which, new: Option<Schedule>) -> Schedule {
    let mut timers = TIMERS.lock();
    let index = which as usize;
    let old = timers[index];
    if let Some(new) = new {
        timers[index] = new;
        publish(&timers, cpu_ns());
    }
    old
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_come_before_the_end_but_not_too_often() {
        assert_eq!(pause_ns(100_000_000, 1), 100_000_000);
        assert_eq!(pause_ns(100_000_000, 4), 25_000_000);
        assert_eq!(pause_ns(0, 0), LOOK_MIN_NS);
    }
}
