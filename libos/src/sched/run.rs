//! Switching: block, yield, pick the next, the idle loop.

use core::sync::atomic::{
    AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

use unikiln_abi::call::EVENT_STDIN;

use super::cpu::{self, Cpu, NEVER, State as CpuState, here, this};
use super::idle::{others_busy, sleep};
use super::{deadline, wait};
use crate::fs::volume;
use crate::net::inet;
use crate::process::{self, State, Thread, threads};
use crate::{arch, hypercall, mm, signal, time};

/// How long a thread runs while others wait.
pub(super) const SLICE_NS: u64 = 3_000_000;
/// A thread that was just woken replaces one that ran for this long.
pub(super) const GRANULARITY_NS: u64 = 1_000_000;
/// Ticks go on where a sleeper is due this soon.
const TICKS_ON_NS: u64 = 10_000_000;
/// A yield with nobody to run goes to the host once in so many times: they take
/// about as long as that does.
const YIELDS: u32 = 128;

/// Makes a thread look again, or run again.
pub fn wake(thread: &'static Thread) {
    if thread.change_state(State::Waiting, State::Running) {
        // It looks once more before it sleeps.
        return;
    }
    if thread.change_state(State::Sleeping, State::Runnable) {
        enqueue(thread);
    }
}

/// Makes room for so many threads: an idle loop to switch to, and queues that
/// never need memory when a thread is woken. False without memory for it.
pub fn reserve(threads: usize) -> bool {
    let this = this();
    (this.idle.stack().1 != 0 || make_idle(this)) && cpu::reserve_queues(threads)
}

/// Runs a new thread.
pub fn start(thread: &'static Thread) {
    thread.set_state(State::Runnable);
    enqueue(thread);
}

/// A signal wants to be delivered to a thread: ends its wait, or calls its vCPU.
pub fn interrupt(thread: &'static Thread) {
    match thread.state() {
        State::Waiting | State::Sleeping => wake(thread),
        State::Running => {
            let index = thread.cpu.load(SeqCst);
            cpu::cpu(index).attention.store(true, SeqCst);
            if index != here() && cpu::cpu(index).state() == CpuState::Busy {
                hypercall::vcpu_kick(1 << index);
            }
        }
        // It looks at its signals when it runs.
        State::Runnable | State::Dead => {}
    }
}

/// Other vCPUs than before may run a thread.
pub fn affinity_changed(thread: &'static Thread) {
    match thread.state() {
        // It moves on its way back to the program.
        State::Running => interrupt(thread),
        State::Runnable => offer(thread),
        // Whoever wakes it looks.
        State::Waiting | State::Sleeping | State::Dead => {}
    }
}

/// Calls the vCPUs that may run a thread which waits in the queue of one that
/// may not.
fn offer(thread: &'static Thread) {
    let fits = |index: &usize| thread.may_run_on(*index);
    let called = cpu::others().filter(fits).fold(0, |mask, index| {
        cpu::cpu(index).attention.store(true, SeqCst);
        mask | 1 << index
    });
    if called != 0 {
        hypercall::vcpu_kick(called);
    } else if !fits(&here()) && !(0..cpu::count()).filter(fits).any(cpu::start) {
        // The host has none of them: any will do, as where one is unplugged.
        thread.affinity.store(u64::MAX, SeqCst);
    }
}

/// Appends a runnable thread to a queue. Who changes what it may run on looks at
/// its state afterwards, so one of both sees the other.
fn append(index: usize, thread: &'static Thread) {
    cpu::cpu(index).push(thread);
    if !thread.may_run_on(index) {
        offer(thread);
    }
}

/// Puts a runnable thread into a queue whose vCPU will see it.
fn enqueue(thread: &'static Thread) {
    let last = thread.cpu.load(SeqCst);
    let idle = |wanted: CpuState| {
        let fits = |index: &usize| cpu::cpu(*index).state() == wanted && thread.may_run_on(*index);
        Some(last)
            .filter(fits)
            .or_else(|| (0..cpu::count()).find(fits))
    };
    let current = arch::current_thread();
    if current == thread.address() || current == 0 && thread.may_run_on(here()) {
        // Woken where it waits in place, or by an idle loop, which looks at its queue next.
        return push(here(), thread);
    }
    // Who sleeps in a moment is best followed here: no call, and warm caches.
    let follows = process::thread().habit.wakes(time::monotonic_ns());
    if follows && this().queued() == 0 && thread.may_run_on(here()) {
        return push(here(), thread);
    }
    if let Some(index) = idle(CpuState::Polling) {
        return push(index, thread);
    }
    if let Some(index) = idle(CpuState::Asleep) {
        return push(index, thread);
    }
    // All are busy: one more, if there may be one.
    if cpu::online() < cpu::count()
        && let Some(index) = idle(CpuState::Offline)
    {
        append(index, thread);
        if cpu::start(index) {
            return;
        }
        // Taken back: a vCPU that never started has nobody to run its queue.
        if let Some(back) = cpu::cpu(index).pop_for(index) {
            return push(fallback(back), back);
        }
        return;
    }
    push(fallback(thread), thread);
}

/// A started vCPU for a thread: this one if it may.
fn fallback(thread: &'static Thread) -> usize {
    let here = here();
    if thread.may_run_on(here) {
        return here;
    }
    let online = |index: &usize| cpu::cpu(*index).state() != CpuState::Offline;
    let allowed = (0..cpu::count()).filter(online);
    let mut allowed = allowed.filter(|index| thread.may_run_on(*index));
    // Affinity to vCPUs that could not be started does not keep it from running.
    allowed.next().unwrap_or(here)
}

fn push(index: usize, thread: &'static Thread) {
    let target = cpu::cpu(index);
    append(index, thread);
    target.attention.store(true, SeqCst);
    let is_here = index == here();
    // Polling sees the queue; what falls asleep looks at it once more before.
    if !is_here && matches!(target.state(), CpuState::Asleep | CpuState::Busy) {
        hypercall::vcpu_kick(1 << index);
    }
}

/// The next thread for the calling vCPU: the one that has waited longest here,
/// else in the queue of another.
pub(super) fn pick(this: &Cpu, here: usize) -> Option<&'static Thread> {
    if cpu::queued() == 0 {
        return None;
    }
    this.pop_for(here).or_else(|| steal(here))
}

fn steal(here: usize) -> Option<&'static Thread> {
    let waiting = cpu::others().filter_map(|index| {
        let since = cpu::cpu(index).waits_since(here)?;
        Some((since, index))
    });
    let (_, index) = waiting.min()?;
    cpu::cpu(index).pop_for(here)
}

/// Sleeps, unless somebody woke the running thread since it said that it would.
pub(super) fn block() {
    let me = process::thread();
    if me.change_state(State::Waiting, State::Sleeping) {
        me.habit.sleeps(time::monotonic_ns());
        leave(me);
    }
}

/// Lets others run first.
pub fn yield_now() {
    if cpu::queued() == 0 {
        return give_way();
    }
    let me = process::thread();
    me.set_state(State::Runnable);
    append(here(), me);
    leave(me);
}

/// Who yields again and again with nobody to run waits for another vCPU, which may
/// itself wait for the host's CPU.
fn give_way() {
    let yields = this().yields.fetch_add(1, Relaxed);
    if yields % YIELDS == YIELDS - 1 && others_busy() {
        // What it told is looked at on the way back to the program.
        this().attention.store(true, SeqCst);
        hypercall::wait(Some(0), 0);
    }
}

/// Ends the running thread, whose state is already taken apart.
pub fn exit_current() -> ! {
    let me = process::thread();
    me.set_state(State::Dead);
    leave(me);
    // Nobody switches to a dead thread.
    loop {
        arch::idle_hint();
    }
}

/// Gives the vCPU to the next thread or to the idle loop; returns when the
/// calling thread has its turn again.
fn leave(me: &'static Thread) {
    let this = this();
    match pick(this, here()) {
        Some(next) if core::ptr::eq(next, me) => me.set_state(State::Running),
        Some(next) => {
            call_idle();
            inet::flush();
            end_turn(me);
            enter(this, &me.context, me.address(), next);
        }
        // Alone on the only vCPU: nobody else could use it meanwhile.
        None if cpu::online() == 1 && threads::count() == 1 && me.state() != State::Dead => {
            wait_in_place(this, me);
        }
        None => {
            end_turn(me);
            this.previous.store(me.address(), Relaxed);
            arch::set_current_thread(0);
            me.context.switch_to(&this.idle);
            finish_switch();
        }
    }
}

/// The idle loop of a guest with one thread: without a switch.
fn wait_in_place(this: &Cpu, me: &'static Thread) {
    me.counts.note_switch(true);
    let turn = me.turn_tsc.swap(0, Relaxed);
    let ran = arch::rdtsc().saturating_sub(turn);
    me.ran_ticks.fetch_add(ran, Relaxed);
    loop {
        deadline::expire();
        signal::collect();
        inet::take_changes();
        volume::watch::take_announced();
        if let Some(next) = this.pop_for(here()) {
            next.set_state(State::Running);
            break;
        }
        sleep(this);
    }
    me.turn_tsc.store(arch::rdtsc(), Relaxed);
    this.attention.store(true, SeqCst);
}

/// Calls a sleeping vCPU where threads wait that nobody runs.
fn call_idle() {
    if cpu::queued() == 0 {
        return;
    }
    let asleep = cpu::others().find(|index| {
        let other = cpu::cpu(*index);
        other.state() == CpuState::Asleep && this().waits_since(*index).is_some()
    });
    if let Some(index) = asleep {
        hypercall::vcpu_kick(1 << index);
    }
}

/// The first vCPU's idle loop gets a stack when there is a second thread.
fn make_idle(this: &Cpu) -> bool {
    let made = mm::stack::allocate().and_then(|stack| this.idle.prepare(stack));
    if made.is_ok() {
        this.idle.start_idle();
    }
    made.is_ok()
}

/// Switches to `next`; returns in the context that `from` belongs to.
pub(super) fn enter(
    this: &'static Cpu,
    from: &arch::context::Context,
    previous: usize,
    next: &'static Thread,
) {
    // The vCPU that ran it last may still be on its stack.
    while next.on_cpu.load(SeqCst) {
        arch::idle_hint();
    }
    next.on_cpu.store(true, SeqCst);
    next.set_state(State::Running);
    next.cpu.store(here(), SeqCst);
    let now = arch::rdtsc();
    next.turn_tsc.store(now, Relaxed);
    // Whatever came for it while it was off a vCPU is looked at on its way back.
    this.attention.store(true, SeqCst);
    let now_ns = time::monotonic_ns();
    this.turn_began_ns.store(now_ns, Relaxed);
    this.begin_slice(now_ns);
    this.previous.store(previous, Relaxed);
    arch::set_current_thread(next.address());
    this.enter_root(next.process().space().root());
    next.context.load_program();
    from.switch_to(&next.context);
    finish_switch();
}

/// Keeps what the program had in the vCPU, and the time of the turn.
fn end_turn(me: &'static Thread) {
    if me.state() != State::Dead {
        me.context.save_program();
    }
    me.counts.note_switch(me.state() != State::Runnable);
    let turn = me.turn_tsc.swap(0, Relaxed);
    me.ran_ticks
        .fetch_add(arch::rdtsc().saturating_sub(turn), Relaxed);
}

/// The first thing on the new stack: the old one may be used again.
pub(super) fn finish_switch() {
    let address = this().previous.swap(0, Relaxed);
    let Some(previous) = process::thread_at(address) else {
        return;
    };
    if previous.state() == State::Dead {
        let (_, top) = previous.context.stack();
        mm::stack::release(top);
        previous.on_cpu.store(false, SeqCst);
        threads::retire(previous);
    } else {
        previous.on_cpu.store(false, SeqCst);
    }
}

/// Called on the stack of a new thread, before it enters the program.
pub fn begin_thread() {
    finish_switch();
}

/// Whether something is to be done before the next return to the program.
#[inline]
pub fn needs_attention() -> bool {
    let this = this();
    if this.attention.load(Relaxed) {
        return true;
    }
    if time::shared().is_some_and(|page| page.signals.load(Relaxed) != 0) {
        return true;
    }
    if inet::waits_for_look() {
        return true;
    }
    let armed = this.armed_ns.load(Relaxed);
    let due = if this.ticking.load(Relaxed) {
        armed.min(this.slice_end_ns.load(Relaxed))
    } else {
        armed
    };
    due != NEVER && time::monotonic_ns() >= due
}

/// Wakes who is due and lets others run where it is their turn. The thread may
/// have been away meanwhile, so the caller looks at signals afterwards.
pub fn preempt() {
    let this = this();
    this.attention.store(false, SeqCst);
    if inet::waits_for_look() {
        inet::take_changes();
    }
    let now_ns = time::monotonic_ns();
    if now_ns >= this.slice_end_ns.load(Relaxed) {
        inet::flush_now();
    }
    deadline::note_expiry(now_ns);
    deadline::expire();
    look_at_stdin(now_ns);
    let me = process::thread();
    if !me.may_run_on(here()) && may_move(me) && reserve(threads::count()) {
        me.set_state(State::Runnable);
        enqueue(me);
        return leave(me);
    }
    if cpu::queued() == 0 {
        // Not before the tick: the next thread may be about to be woken.
        if now_ns >= this.slice_end_ns.load(Relaxed) {
            if this.armed_ns.load(Relaxed) > now_ns.saturating_add(TICKS_ON_NS) {
                stop_ticking(this);
            }
            this.begin_slice(now_ns);
        }
        return deadline::ensure_covered();
    }
    let is_tick = now_ns >= this.slice_end_ns.load(Relaxed);
    if me.habit.goes_on(now_ns) || is_tick {
        call_idle();
    }
    if is_tick {
        tick_others();
    }
    if now_ns >= this.turn_ends_ns() && has_candidate() {
        rotate();
        // Maybe another vCPU by now, which looks for itself.
        return;
    }
    if is_tick {
        // Those who wait may not run here: another slice.
        this.begin_slice(now_ns);
    }
    start_ticking(this);
    deadline::ensure_covered();
}

/// Whether a vCPU that the thread may run on is there or may be started.
fn may_move(me: &Thread) -> bool {
    let there = (0..cpu::count()).filter(|index| me.may_run_on(*index));
    there
        .into_iter()
        .any(|index| cpu::cpu(index).state() != CpuState::Offline || cpu::start(index))
}

/// Whether a thread waits that may run here.
pub(super) fn has_candidate() -> bool {
    let here = here();
    this().queued() > 0 || cpu::others().any(|index| cpu::cpu(index).waits_since(here).is_some())
}

/// Gives the turn to the thread that has waited longest in any queue.
fn rotate() {
    let me = process::thread();
    let (this, here) = (this(), here());
    let own = this.waits_since(here);
    let stolen = cpu::others()
        .filter_map(|index| Some((cpu::cpu(index).waits_since(here)?, index)))
        .min()
        .filter(|(since, _)| own.is_none_or(|own| *since < own))
        .and_then(|(_, index)| cpu::cpu(index).pop_for(here));
    me.set_state(State::Runnable);
    match stolen {
        Some(next) => {
            append(here, me);
            end_turn(me);
            enter(this, &me.context, me.address(), next);
        }
        None => {
            append(here, me);
            leave(me);
        }
    }
}

/// Ticks on this vCPU: a thread waits.
fn start_ticking(this: &Cpu) {
    this.wants_ticks.store(true, Relaxed);
    if !this.ticking.swap(true, Relaxed) {
        this.begin_slice(time::monotonic_ns());
        deadline::set_timer();
    }
}

/// Ticks on the other busy vCPUs too, once a whole slice did not do for those who
/// wait here: they may be theirs to run. Who only wants a moment never gets that far.
fn tick_others() {
    let quiet = cpu::others().filter(|index| {
        let other = cpu::cpu(*index);
        other.state() == CpuState::Busy && !other.ticking.load(Relaxed)
    });
    let mask = quiet.fold(0, |mask, index| {
        cpu::cpu(index).attention.store(true, SeqCst);
        mask | 1 << index
    });
    if mask != 0 {
        hypercall::vcpu_kick(mask);
    }
}

fn stop_ticking(this: &Cpu) {
    if this.ticking.swap(false, Relaxed) {
        deadline::set_timer();
    }
}

/// Standard input, where nobody sleeps on it.
fn look_at_stdin(now_ns: u64) {
    static NEXT_NS: AtomicU64 = AtomicU64::new(0);
    if !wait::waits_for_stdin() || now_ns < NEXT_NS.load(Relaxed) {
        return;
    }
    NEXT_NS.store(now_ns + deadline::STDIN_LOOK_NS, Relaxed);
    if hypercall::wait(Some(0), EVENT_STDIN) & EVENT_STDIN != 0 {
        wait::wake_stdin();
    }
}
