//! Interval timers that count CPU time: setitimer(2) with ITIMER_VIRTUAL and
//! ITIMER_PROF. Time in system calls is not told apart, so both count all of it.
//!
//! Nothing interrupts when a thread has used some time: the timers are looked at
//! when they could run out at the earliest, with all vCPUs busy, and again then.

use core::sync::atomic::{AtomicU64, Ordering::SeqCst};

use alloc::vec::Vec;
use linux_raw_sys::general::{SIGPROF, SIGVTALRM};
use spin::Mutex;

use super::info::SigInfo;
use super::timer::{NEVER, Schedule};
use crate::process::{self, table, threads};
use crate::{sched, time};

/// Shortest time between two looks: a tick of a kernel with HZ=250.
const LOOK_MIN_NS: u64 = 4_000_000;

/// Those of each process that has any; deadlines are its CPU time.
static TIMERS: Mutex<Vec<Timers>> = Mutex::new(Vec::new());
/// When to look next, CLOCK_MONOTONIC.
static LOOK_NS: AtomicU64 = AtomicU64::new(NEVER);

struct Timers {
    pid: u32,
    pair: [Schedule; 2],
}

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

/// CPU time of a process; 0 where it has ended.
fn cpu_ns(pid: u32) -> u64 {
    table::with_running(pid, threads::cpu_ticks).map_or(0, time::ticks_to_ns)
}

/// Time from one look to the next, with `left_ns` of CPU time and so many vCPUs.
pub(super) fn pause_ns(left_ns: u64, vcpus: usize) -> u64 {
    (left_ns / vcpus.max(1) as u64).max(LOOK_MIN_NS)
}

fn publish(all: &[Timers]) {
    let next = all.iter().map(|timers| {
        let first = timers.pair[0].deadline_ns.min(timers.pair[1].deadline_ns);
        if first == NEVER {
            return NEVER;
        }
        let left_ns = first.saturating_sub(cpu_ns(timers.pid));
        time::monotonic_ns().saturating_add(pause_ns(left_ns, sched::online()))
    });
    let next = next.min().unwrap_or(NEVER);
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
    let mut due = Vec::new();
    {
        let mut all = TIMERS.lock();
        for timers in &mut *all {
            let now_ns = cpu_ns(timers.pid);
            for (timer, signal) in timers.pair.iter_mut().zip([SIGVTALRM, SIGPROF]) {
                if timer.advance(now_ns) > 0 {
                    due.push((timers.pid, signal));
                }
            }
        }
        publish(&all);
    }
    for (pid, signal) in due {
        let info = SigInfo::from_kernel(signal);
        // With a full queue there are signals enough.
        table::with_running(pid, |process| super::send_to_process(process, info).is_ok());
    }
}

/// A timer of the running process, replaced where `new` is given.
pub fn interval(which: Which, new: Option<Schedule>) -> Schedule {
    let pid = process::current().pid();
    let mut all = TIMERS.lock();
    let index = which as usize;
    let at = all.iter().position(|timers| timers.pid == pid);
    let old = at.map_or(Schedule::STOPPED, |at| all[at].pair[index]);
    if let Some(new) = new {
        let at = at.unwrap_or_else(|| {
            let pair = [Schedule::STOPPED; 2];
            all.push(Timers { pid, pair });
            all.len() - 1
        });
        all[at].pair[index] = new;
        publish(&all);
    }
    old
}

/// A process has ended.
pub(super) fn forget(pid: u32) {
    let mut all = TIMERS.lock();
    all.retain(|timers| timers.pid != pid);
    publish(&all);
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
