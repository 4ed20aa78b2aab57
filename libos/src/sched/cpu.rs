//! The vCPUs: what each is doing, its run queue, how others reach it.
//!
//! ```text
//! Offline → Busy ⇄ Polling → Asleep → Busy
//! ```
//!
//! Translations: a vCPU that is not [`State::Busy`] touches no program memory, so
//! it is not called for a flush; it flushes when it becomes busy again.

use alloc::collections::VecDeque;
use core::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};

use spin::Mutex;
use unikiln_abi::VCPUS_MAX;
use unikiln_abi::boot::FLAG_FLUSH_REACHES_ALL;

use super::run::{GRANULARITY_NS, SLICE_NS};
use crate::arch::{self, context::Context};
use crate::mm::pagetable::Root;
use crate::process::{self, Thread};
use crate::{boot, hypercall, mm};

/// No deadline.
pub(super) const NEVER: u64 = u64::MAX;

/// What a vCPU is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum State {
    /// Not started.
    Offline,
    /// Runs a thread, or the libOS for one.
    Busy,
    /// Idle, looking at its queue.
    Polling,
    /// Idle, waiting in the monitor.
    Asleep,
}

/// A thread in a run queue, and since when (TSC).
pub(super) struct Queued {
    pub(super) thread: &'static Thread,
    pub(super) since: u64,
}

/// One vCPU.
pub(super) struct Cpu {
    queue: Mutex<VecDeque<Queued>>,
    /// Length of the queue, to look at without its lock.
    queued: AtomicUsize,
    state: AtomicU32,
    /// Something is to be done before the next return to the program.
    pub(super) attention: AtomicBool,
    /// Translations are to be flushed before program memory is touched again.
    flush: AtomicBool,
    /// Deadline that the monitor's timer of this vCPU is set to.
    pub(super) armed_ns: AtomicU64,
    /// Deadline that this vCPU will notice: the timer's, or its wait's.
    pub(super) covers_ns: AtomicU64,
    /// The monitor ticks.
    pub(super) ticking: AtomicBool,
    /// Ticks were wanted since the last wait.
    pub(super) wants_ticks: AtomicBool,
    /// End of the running thread's slice, while ticking.
    pub(super) slice_end_ns: AtomicU64,
    /// Since when the running thread has its turn.
    pub(super) turn_began_ns: AtomicU64,
    /// Yields with nobody to run.
    pub(super) yields: AtomicU32,
    /// Address of the thread that the last switch came from; 0 for the idle loop.
    pub(super) previous: AtomicUsize,
    /// The page table that it uses.
    root: AtomicU64,
    /// The idle loop's.
    pub(super) idle: Context,
}

static CPUS: [Cpu; VCPUS_MAX] = [const { Cpu::new() }; VCPUS_MAX];
/// vCPUs that were started.
static ONLINE: AtomicUsize = AtomicUsize::new(1);
/// Threads in all run queues.
static QUEUED: AtomicUsize = AtomicUsize::new(0);
/// One vCPU starts another at a time.
static STARTING: Mutex<()> = Mutex::new(());

impl Cpu {
    const fn new() -> Cpu {
        Cpu {
            queue: Mutex::new(VecDeque::new()),
            queued: AtomicUsize::new(0),
            state: AtomicU32::new(State::Offline as u32),
            attention: AtomicBool::new(false),
            flush: AtomicBool::new(false),
            armed_ns: AtomicU64::new(NEVER),
            covers_ns: AtomicU64::new(NEVER),
            ticking: AtomicBool::new(false),
            wants_ticks: AtomicBool::new(false),
            slice_end_ns: AtomicU64::new(NEVER),
            turn_began_ns: AtomicU64::new(0),
            yields: AtomicU32::new(0),
            previous: AtomicUsize::new(0),
            root: AtomicU64::new(0),
            idle: Context::new(),
        }
    }

    /// Uses a page table. Noted before, so that who edits it calls this vCPU.
    pub(super) fn enter_root(&self, root: Root) {
        if self.root.load(Relaxed) != root.gpa() {
            self.root.store(root.gpa(), SeqCst);
            root.enter();
        }
    }

    /// When a thread that was just woken may replace the running one.
    pub(super) fn turn_ends_ns(&self) -> u64 {
        let began = self.turn_began_ns.load(Relaxed);
        began.saturating_add(GRANULARITY_NS)
    }

    /// From now on there is a slice until the next tick.
    pub(super) fn begin_slice(&self, now_ns: u64) {
        self.slice_end_ns.store(now_ns + SLICE_NS, Relaxed);
    }

    pub(super) fn state(&self) -> State {
        match self.state.load(SeqCst) {
            1 => State::Busy,
            2 => State::Polling,
            3 => State::Asleep,
            _ => State::Offline,
        }
    }

    pub(super) fn set_state(&self, state: State) {
        self.state.store(state as u32, SeqCst);
    }

    /// Busy from here on, with no translation that others gave up meanwhile.
    pub(super) fn become_busy(&self) {
        self.set_state(State::Busy);
        if self.flush.load(SeqCst) && self.flush.swap(false, SeqCst) {
            arch::load_root(self.root.load(Relaxed));
        }
    }

    /// Threads in its queue.
    pub(super) fn queued(&self) -> usize {
        self.queued.load(SeqCst)
    }

    /// Appends a runnable thread.
    pub(super) fn push(&self, thread: &'static Thread) {
        let mut queue = self.queue.lock();
        queue.push_back(Queued {
            thread,
            since: arch::rdtsc(),
        });
        QUEUED.fetch_add(1, SeqCst);
        self.queued.store(queue.len(), SeqCst);
    }

    /// Takes the first thread that may run on `cpu`. One that another vCPU is
    /// still leaving is passed over: two that took each other's would wait for ever.
    pub(super) fn pop_for(&self, cpu: usize) -> Option<&'static Thread> {
        if self.queued() == 0 {
            return None;
        }
        let me = arch::current_thread();
        let mut queue = self.queue.lock();
        let at = queue.iter().position(|queued| {
            let thread = queued.thread;
            let is_left = !thread.on_cpu.load(SeqCst) || thread.address() == me;
            is_left && thread.may_run_on(cpu)
        })?;
        let queued = queue.remove(at)?;
        self.queued.store(queue.len(), SeqCst);
        QUEUED.fetch_sub(1, SeqCst);
        Some(queued.thread)
    }

    /// Since when the first thread waits that may run on `cpu`.
    pub(super) fn waits_since(&self, cpu: usize) -> Option<u64> {
        if self.queued() == 0 {
            return None;
        }
        let queue = self.queue.lock();
        let mut fitting = queue.iter().filter(|queued| queued.thread.may_run_on(cpu));
        fitting.next().map(|queued| queued.since)
    }

    /// Room in the queue for all threads, so that waking never needs memory.
    pub(super) fn reserve(&self, threads: usize) -> bool {
        let mut queue = self.queue.lock();
        let more = threads.saturating_sub(queue.len());
        queue.try_reserve(more).is_ok()
    }
}

/// The calling vCPU's index.
pub(super) fn here() -> usize {
    arch::vcpu_index().min(VCPUS_MAX - 1)
}

/// The calling vCPU.
pub(super) fn this() -> &'static Cpu {
    cpu(here())
}

/// A vCPU by its index.
pub(super) fn cpu(index: usize) -> &'static Cpu {
    static NONE: Cpu = Cpu::new();
    CPUS.get(index).unwrap_or(&NONE)
}

/// Threads in all run queues.
pub(super) fn queued() -> usize {
    QUEUED.load(SeqCst)
}

/// vCPUs that there may be: the processors that a program counts.
pub fn cpu_count() -> u32 {
    let count = boot::info().map_or(1, |info| info.vcpu_count);
    count.clamp(1, VCPUS_MAX as u32)
}

/// The same, to count indices.
pub(super) fn count() -> usize {
    cpu_count() as usize
}

/// vCPUs that were started.
#[inline]
pub fn online() -> usize {
    ONLINE.load(SeqCst)
}

/// Indices of the vCPUs that were started, but for the calling one.
pub(super) fn others() -> impl Iterator<Item = usize> {
    let here = here();
    (0..count()).filter(move |index| *index != here && cpu(*index).state() != State::Offline)
}

/// Room in all run queues for so many threads.
pub(super) fn reserve_queues(threads: usize) -> bool {
    (0..count()).all(|index| cpu(index).reserve(threads))
}

/// Starts a vCPU. Where that fails the guest goes on with those it has.
pub(super) fn start(index: usize) -> bool {
    let _one = STARTING.lock();
    let new = cpu(index);
    if new.state() != State::Offline || index >= count() {
        return new.state() != State::Offline;
    }
    // One that failed is not asked for again and again.
    static FAILED: AtomicBool = AtomicBool::new(false);
    if FAILED.load(Relaxed) {
        return false;
    }
    let started = mm::stack::allocate().is_ok_and(|stack| {
        let is_prepared = new.idle.prepare(stack).is_ok();
        new.set_state(State::Busy);
        new.root.store(Root::first().gpa(), SeqCst);
        ONLINE.fetch_add(1, SeqCst);
        is_prepared && hypercall::vcpu_start(index, stack.1).is_ok()
    });
    if !started {
        FAILED.store(true, Relaxed);
        if new.state() == State::Busy {
            new.set_state(State::Offline);
            ONLINE.fetch_sub(1, SeqCst);
        }
        hypercall::log_line(
            "unikiln: the host starts no further vCPU; the guest goes on with those it has\n",
        );
    }
    started
}

/// Makes the vCPU that a program's first thread boots on known.
pub fn adopt_boot_cpu() {
    let boot = cpu(0);
    if boot.state() == State::Offline {
        boot.set_state(State::Busy);
        boot.root.store(Root::first().gpa(), SeqCst);
    }
}

/// Uses the page table of the running thread's process, which has another one now.
pub fn enter_space() {
    this().enter_root(process::current().space().root());
}

/// Uses the first process's page table: that of a process which has ended goes away.
pub fn enter_first_root() {
    this().enter_root(Root::first());
}

/// Whether the calling vCPU uses a page table.
pub fn uses_root(root: Root) -> bool {
    this().root.load(SeqCst) == root.gpa()
}

/// Makes all other vCPUs that use a page table forget translations that this one gave up.
/// Returns when none of them can use one any more: one that enters the table later forgets
/// them by that.
pub fn flush_others(root: Root) {
    // A flush of this vCPU may have reached all, where it uses the table itself.
    let is_reached = boot::has_flag(FLAG_FLUSH_REACHES_ALL) && uses_root(root);
    if online() == 1 || is_reached {
        return;
    }
    let mut mask = 0;
    for index in others().filter(|index| cpu(*index).root.load(SeqCst) == root.gpa()) {
        cpu(index).flush.store(true, SeqCst);
        if cpu(index).state() == State::Busy {
            mask |= 1 << index;
        }
    }
    if mask != 0 {
        hypercall::vcpu_flush(mask);
    }
}

/// A memory barrier on every vCPU that runs the program (membarrier(2)).
pub fn barrier() {
    let busy = others().filter(|index| cpu(*index).state() == State::Busy);
    let mask = busy.fold(0, |mask, index| mask | 1 << index);
    if mask != 0 {
        hypercall::vcpu_flush(mask);
    }
    core::sync::atomic::fence(SeqCst);
}
