//! What a thread is, and which one runs.
//!
//! Thread structures are never freed, only used again: a reference to one stays
//! valid, and whoever finds a thread by its id holds the table's lock while it
//! matters that it is still the same (`threads.rs`).

use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{self, Relaxed},
};

use spin::{Mutex, Once};

use super::usage::Counts;
use super::{Process, Recent};
use crate::arch::{self, context::Context};
use crate::signal::ThreadSignals;
use crate::strace::InFlight;

/// Where a thread is between running and sleeping.
///
/// ```text
///            prepares to wait            gives its vCPU away
/// Running ────────────────────→ Waiting ────────────────────→ Sleeping
///    ↑ ↑ ←──── is woken first ─────┘                              │ is woken
///    │ └──────────── its turn ────────────── Runnable ←───────────┘
///    └→ Runnable (its slice is over)          Running → Dead
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum State {
    /// On a vCPU.
    Running,
    /// On a vCPU, but looking for the last time before it sleeps.
    Waiting,
    /// Off its vCPU until somebody wakes it.
    Sleeping,
    /// In a run queue.
    Runnable,
    /// Ended.
    Dead,
}

impl State {
    const fn from_number(number: u32) -> State {
        match number {
            0 => State::Running,
            1 => State::Waiting,
            2 => State::Sleeping,
            3 => State::Runnable,
            _ => State::Dead,
        }
    }
}

/// A thread.
pub struct Thread {
    tid: AtomicU32,
    process: AtomicPtr<Process>,
    /// Mask and pending signals.
    pub signals: Mutex<ThreadSignals>,
    /// A signal may be deliverable, or the thread has to end: looked at before
    /// every return to the program and in every wait.
    pub attention: AtomicBool,
    /// Has to end at once: another thread called execve.
    pub killed: AtomicBool,
    /// The last system calls.
    pub recent: Recent,
    /// The system call that it is in, where calls are traced.
    pub traced: InFlight,
    /// Gets the id before the thread enters the program.
    pub set_tid: AtomicU64,
    /// Cleared and woken when the thread ends (set_tid_address).
    pub clear_tid: AtomicU64,
    /// Robust futex list (set_robust_list).
    pub robust_list: AtomicU64,
    /// Its name, NUL-padded.
    pub comm: Mutex<[u8; 16]>,
    /// vCPUs that it may run on, a bit for each index.
    pub affinity: AtomicU64,
    /// Nice value; kept, without effect.
    pub nice: AtomicU32,
    /// Futex bucket that its wait is in, and whether it was woken there.
    pub futex: FutexWait,
    /// What it keeps while it does not run.
    pub context: Context,
    /// A vCPU is on its libOS stack.
    pub on_cpu: AtomicBool,
    /// Index of the vCPU that ran it last.
    pub cpu: AtomicUsize,
    state: AtomicU32,
    /// Whether it usually sleeps soon after it wakes another.
    pub habit: Habit,
    /// TSC ticks that it ran for, without the current turn.
    pub ran_ticks: AtomicU64,
    /// Faults and switches.
    pub counts: Counts,
    /// TSC at the beginning of its current turn; 0 while it does not run.
    pub turn_tsc: AtomicU64,
}

/// A thread's part of a futex wait.
#[derive(Default)]
pub struct FutexWait {
    /// Index of the bucket; a requeue changes it.
    pub bucket: AtomicUsize,
    /// Taken out of the bucket by whoever woke it.
    pub woken: AtomicBool,
}

/// What a thread does after it woke another: threads that hand work to and fro
/// sleep at once, and then the other is best run on the same vCPU.
pub struct Habit {
    /// When it woke somebody; 0 for not since it slept last.
    woke_ns: AtomicU64,
    /// Times in a row that it slept soon, up to [`Habit::FULL`].
    score: AtomicU32,
}

impl Habit {
    /// Sleeping within this time of waking is soon.
    const SOON_NS: u64 = 30_000;
    /// From here on it counts as a habit.
    const LIKELY: u32 = 2;
    const FULL: u32 = 3;

    const fn new() -> Habit {
        Habit {
            woke_ns: AtomicU64::new(0),
            score: AtomicU32::new(0),
        }
    }

    /// It wakes somebody: whether it will probably sleep soon.
    pub fn wakes(&self, now_ns: u64) -> bool {
        self.woke_ns.store(now_ns, Relaxed);
        self.score.load(Relaxed) >= Habit::LIKELY
    }

    /// It sleeps.
    pub fn sleeps(&self, now_ns: u64) {
        let woke_ns = self.woke_ns.swap(0, Relaxed);
        if woke_ns == 0 {
            return;
        }
        let score = if now_ns.saturating_sub(woke_ns) < Habit::SOON_NS {
            (self.score.load(Relaxed) + 1).min(Habit::FULL)
        } else {
            0
        };
        self.score.store(score, Relaxed);
    }

    /// It goes on: true where it was expected to sleep and did not.
    pub fn goes_on(&self, now_ns: u64) -> bool {
        let woke_ns = self.woke_ns.load(Relaxed);
        if woke_ns == 0 || now_ns.saturating_sub(woke_ns) < Habit::SOON_NS {
            return false;
        }
        self.woke_ns.store(0, Relaxed);
        self.score.swap(0, Relaxed) >= Habit::LIKELY
    }
}

static FIRST: Once<Thread> = Once::new();

/// The first thread: what runs at boot, and in unit tests.
pub(super) fn first() -> &'static Thread {
    FIRST.call_once(|| {
        let first = Thread::new(1);
        first.set_process(super::init());
        first
    })
}

/// The running thread. In a vCPU's idle loop there is none: nothing that is
/// called from there asks.
#[inline]
pub fn thread() -> &'static Thread {
    match arch::current_thread() {
        0 => first(),
        address => at(address),
    }
}

/// The thread whose address a vCPU kept; none for 0.
pub fn thread_at(address: usize) -> Option<&'static Thread> {
    (address != 0).then(|| at(address))
}

#[expect(
    unsafe_code,
    reason = "the running thread's address is kept in the vCPU block"
)]
fn at(address: usize) -> &'static Thread {
    // SAFETY: `sched` stores addresses of `&'static Thread` only, and the
    // structures are never freed.
    unsafe { &*core::ptr::with_exposed_provenance::<Thread>(address) }
}

#[expect(unsafe_code, reason = "a thread keeps the address of its process")]
fn process_at(address: *mut Process) -> &'static Process {
    // SAFETY: `set_process` alone stores it, before the thread is in the table or runs, and
    // processes are never freed.
    unsafe { &*address }
}

impl Thread {
    pub(super) const fn new(tid: u32) -> Thread {
        Thread {
            tid: AtomicU32::new(tid),
            process: AtomicPtr::new(core::ptr::null_mut()),
            signals: Mutex::new(ThreadSignals::new()),
            attention: AtomicBool::new(false),
            killed: AtomicBool::new(false),
            recent: Recent::new(),
            traced: InFlight::new(),
            set_tid: AtomicU64::new(0),
            clear_tid: AtomicU64::new(0),
            robust_list: AtomicU64::new(0),
            comm: Mutex::new([0; 16]),
            affinity: AtomicU64::new(u64::MAX),
            nice: AtomicU32::new(0),
            futex: FutexWait {
                bucket: AtomicUsize::new(0),
                woken: AtomicBool::new(false),
            },
            context: Context::new(),
            on_cpu: AtomicBool::new(false),
            cpu: AtomicUsize::new(0),
            state: AtomicU32::new(State::Running as u32),
            habit: Habit::new(),
            ran_ticks: AtomicU64::new(0),
            counts: Counts::new(),
            turn_tsc: AtomicU64::new(0),
        }
    }

    /// Thread id; the first is the process id.
    pub fn tid(&self) -> u32 {
        self.tid.load(Relaxed)
    }

    /// It has no libOS stack yet.
    pub(super) fn forget_stack(&self) {
        self.context.forget_stack();
    }

    pub(super) fn set_tid(&self, tid: u32) {
        self.tid.store(tid, Relaxed);
    }

    /// Its process.
    #[inline]
    pub fn process(&self) -> &'static Process {
        process_at(self.process.load(Relaxed))
    }

    /// Makes it a thread of `process`, before it runs.
    pub(super) fn set_process(&self, process: &'static Process) {
        let address = core::ptr::from_ref(process).cast_mut();
        self.process.store(address, Relaxed);
    }

    /// Address that the vCPU block keeps.
    pub fn address(&'static self) -> usize {
        core::ptr::from_ref(self).expose_provenance()
    }

    /// See [`State`].
    pub fn state(&self) -> State {
        State::from_number(self.state.load(Ordering::SeqCst))
    }

    /// Sets the state, which only the thread itself or its waker may do.
    pub fn set_state(&self, state: State) {
        self.state.store(state as u32, Ordering::SeqCst);
    }

    /// Changes the state if it is `from`; whether it was.
    pub fn change_state(&self, from: State, to: State) -> bool {
        self.state
            .compare_exchange(from as u32, to as u32, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }

    /// Whether it may run on this vCPU.
    pub fn may_run_on(&self, cpu: usize) -> bool {
        self.affinity.load(Ordering::SeqCst) >> cpu & 1 != 0
    }

    /// TSC ticks that it ran for until now.
    pub fn cpu_ticks(&self) -> u64 {
        let turn = self.turn_tsc.load(Relaxed);
        let current = match turn {
            0 => 0,
            turn => arch::rdtsc().saturating_sub(turn),
        };
        self.ran_ticks.load(Relaxed) + current
    }
}
