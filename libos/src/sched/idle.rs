//! What a vCPU does without a thread: looks for work for a moment, then waits in
//! the monitor for a call, a deadline, a signal, a socket or standard input.

use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use unikiln_abi::call::{EVENT_SIGNAL, EVENT_SOCKET, EVENT_STDIN, WAIT_SETS_TIMER};

use super::cpu::{self, Cpu, NEVER, State as CpuState, here, this};
use super::run::{SLICE_NS, enter, finish_switch, has_candidate, pick};
use super::{deadline, wait};
use crate::fs::volume;
use crate::net::inet;
use crate::process::Thread;
use crate::{arch, hypercall, signal, time};

/// An idle vCPU looks for work for this long before it asks the monitor to wait:
/// about what waiting and being called costs. Only while another vCPU is busy,
/// which could give it some.
const POLL_NS: u64 = 60_000;

/// What a vCPU does without a thread.
pub fn idle_loop() -> ! {
    finish_switch();
    let (this, here) = (this(), here());
    loop {
        this.become_busy();
        deadline::expire();
        signal::collect();
        inet::take_changes();
        volume::watch::take_announced();
        if let Some(next) = pick(this, here).or_else(|| poll(this, here)) {
            this.become_busy();
            enter(this, &this.idle, 0, next);
            continue;
        }
        sleep(this);
    }
}

pub(super) fn others_busy() -> bool {
    cpu::others().any(|index| cpu::cpu(index).state() == CpuState::Busy)
}

/// Looks for work for a short time, if a busy vCPU might give some.
fn poll(this: &Cpu, here: usize) -> Option<&'static Thread> {
    if !others_busy() {
        return None;
    }
    inet::flush_now();
    this.set_state(CpuState::Polling);
    let end_ns = time::monotonic_ns() + POLL_NS;
    loop {
        for _ in 0..16 {
            if cpu::queued() > 0
                && let Some(next) = pick(this, here)
            {
                return Some(next);
            }
            arch::idle_hint();
        }
        if inet::waits_for_look() {
            inet::take_changes();
        }
        let now_ns = time::monotonic_ns();
        if now_ns >= end_ns || deadline::next_ns() <= now_ns || !others_busy() {
            return None;
        }
    }
}

/// Waits in the monitor for a call, a deadline, a signal, a socket or standard input.
pub(super) fn sleep(this: &Cpu) {
    let next = deadline::next_sleep_ns();
    this.covers_ns
        .store(next.min(this.armed_ns.load(Relaxed)), SeqCst);
    this.set_state(CpuState::Asleep);
    // Who pushed before saw no sleeper: look once more.
    let has_work = this.queued() > 0 || cpu::queued() > 0 && has_candidate();
    if !inet::prepare_wait() && !has_work {
        let mut interest = EVENT_SIGNAL;
        if wait::waits_for_stdin() {
            interest |= EVENT_STDIN;
        }
        if inet::are_used() {
            interest |= EVENT_SOCKET;
        }
        // The wait itself covers what the timer was set for. Where ticks were wanted
        // since the last one they will be again: threads hand over before they sleep.
        let wants_ticks = this.wants_ticks.swap(false, Relaxed);
        let had_ticks = this.ticking.swap(wants_ticks, Relaxed);
        let had_timer = this.armed_ns.swap(NEVER, Relaxed) != NEVER;
        if wants_ticks || had_ticks || had_timer {
            interest |= WAIT_SETS_TIMER;
        }
        let period_ns = if wants_ticks { SLICE_NS } else { 0 };
        // The same for the timer: there are sleepers beside those who work.
        let timer_ns = match had_timer {
            true => deadline::next_after_sleep_ns(),
            false => NEVER,
        };
        let deadline_ns = (next != NEVER).then_some(next);
        let events = hypercall::wait_then_tick(deadline_ns, interest, period_ns, timer_ns);
        if events != 0 {
            this.armed_ns.store(timer_ns, Relaxed);
        }
        this.begin_slice(time::monotonic_ns());
        this.become_busy();
        if events & EVENT_STDIN != 0 {
            wait::wake_stdin();
        }
    } else {
        this.become_busy();
    }
    deadline::note_expiry(time::monotonic_ns());
    this.covers_ns.store(this.armed_ns.load(Relaxed), SeqCst);
}
