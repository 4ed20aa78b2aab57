//! Sleepers by time, and which vCPU watches the next deadline.
//!
//! There is no timer interrupt. A deadline is noticed by a vCPU that waits in
//! the monitor until then, or by one whose monitor timer is set to it: the
//! earliest deadline is always covered by one of them ([`ensure_covered`]).

use core::sync::atomic::{
    AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

use spin::Mutex;

use super::cpu::{self, NEVER};
use super::run;
use crate::process::{Thread, threads};
use crate::sorted::SortedMap;
use crate::{hypercall, signal, time};

/// While a thread waits for standard input and no vCPU sleeps on it, it is
/// looked at this often.
pub(super) const STDIN_LOOK_NS: u64 = 5_000_000;

/// A vCPU at work is interrupted this much late for those who sleep: what Linux lets
/// sleeps be late by (PR_SET_TIMERSLACK).
const SLACK_NS: u64 = 50_000;

static SLEEPERS: Mutex<SortedMap<(u64, u32), &'static Thread>> = Mutex::new(SortedMap::new());
/// Deadline of the first sleeper.
static FIRST_NS: AtomicU64 = AtomicU64::new(NEVER);

/// Wakes `thread` at `deadline_ns`, until [`remove`].
pub(super) fn add(deadline_ns: u64, thread: &'static Thread) {
    let mut sleepers = SLEEPERS.lock();
    sleepers.insert((deadline_ns, thread.tid()), thread);
    publish(&sleepers);
}

/// Forgets it.
pub(super) fn remove(deadline_ns: u64, thread: &'static Thread) {
    let mut sleepers = SLEEPERS.lock();
    sleepers.remove(&(deadline_ns, thread.tid()));
    publish(&sleepers);
}

fn publish(sleepers: &SortedMap<(u64, u32), &'static Thread>) {
    let first = sleepers.first().map_or(NEVER, |((at, _), _)| *at);
    FIRST_NS.store(first, SeqCst);
}

/// When to interrupt this vCPU at its work: the earliest deadline of sleepers, with
/// slack and not before they could have its turn, and of timers that send signals.
pub(super) fn next_ns() -> u64 {
    let turn_ns = cpu::this().turn_ends_ns();
    let next = first_late_ns().max(turn_ns).min(signal::timer::next_ns());
    if super::wait::waits_for_stdin() {
        next.min(time::monotonic_ns() + STDIN_LOOK_NS)
    } else {
        next
    }
}

fn first_late_ns() -> u64 {
    FIRST_NS.load(SeqCst).saturating_add(SLACK_NS)
}

/// The same for a vCPU that is woken from its sleep before.
pub(super) fn next_after_sleep_ns() -> u64 {
    first_late_ns().min(signal::timer::next_ns())
}

/// The same for a vCPU that sleeps, and so notices standard input itself.
pub(super) fn next_sleep_ns() -> u64 {
    FIRST_NS.load(SeqCst).min(signal::timer::next_ns())
}

/// Wakes sleepers whose time has come, and sends the signals of timers.
pub(super) fn expire() {
    let first = FIRST_NS.load(SeqCst);
    if first != NEVER && time::monotonic_ns() >= first {
        let now_ns = time::monotonic_ns();
        loop {
            let due = {
                let mut sleepers = SLEEPERS.lock();
                let due = match sleepers.first() {
                    Some(((at, _), _)) if *at <= now_ns => sleepers.pop_first(),
                    _ => None,
                };
                publish(&sleepers);
                due
            };
            match due {
                Some((_, thread)) => run::wake(thread),
                None => break,
            }
        }
    }
    signal::timer::run();
}

/// Makes sure that some vCPU notices the next deadline, this one if need be.
pub(super) fn ensure_covered() {
    let next = next_ns();
    if next == NEVER {
        return;
    }
    let covered = (0..cpu::count()).any(|index| cpu::cpu(index).covers_ns.load(SeqCst) <= next);
    if !covered {
        let this = cpu::this();
        this.armed_ns.store(next, Relaxed);
        this.covers_ns.store(next, SeqCst);
        // Who wakes then shares this vCPU, so ticks come with it: asking for them
        // later would be a call of its own.
        if threads::count() > 1 {
            this.begin_slice(time::monotonic_ns());
            this.ticking.store(true, Relaxed);
        }
        set_timer();
    }
}

/// Tells the monitor what this vCPU's timer is for.
pub(super) fn set_timer() {
    let this = cpu::this();
    let period_ns = if this.ticking.load(Relaxed) {
        run::SLICE_NS
    } else {
        0
    };
    hypercall::timer(this.armed_ns.load(Relaxed), period_ns);
}

/// The timer of this vCPU may have run out: it covers nothing then.
pub(super) fn note_expiry(now_ns: u64) {
    let this = cpu::this();
    if this.armed_ns.load(Relaxed) <= now_ns {
        this.armed_ns.store(NEVER, Relaxed);
        this.covers_ns.store(NEVER, SeqCst);
    }
}

/// A timer that sends a signal was set: it may be the next.
pub(crate) fn changed() {
    cpu::this().attention.store(true, SeqCst);
}
