//! Scheduling: who runs where, blocking and waking.
//!
//! ```text
//! wait ─ block ──→ Sleeping ── wake ──→ run queue of a vCPU ── pick ──→ Running
//!                     ↑                   (its own, or stolen)            │
//!                  deadline.rs: time                 preempt: its slice is over
//! ```
//!
//! | file | what it owns |
//! |---|---|
//! | `cpu.rs` | the vCPUs: run queue, what each is doing, starting and calling them |
//! | `run.rs` | switching: block, yield, pick, preempt |
//! | `idle.rs` | the idle loop, and the wait in the monitor |
//! | `deadline.rs` | sleepers by time, and which vCPU watches the next one |
//! | `wait.rs` | [`WaitQueue`], [`wait`] |
//!
//! The libOS is never preempted: a thread gives its vCPU away in [`wait`], when it
//! yields, or on its way back to the program ([`preempt`]). So code here
//! may hold spin locks freely, but never across a wait.
//!
//! A thread that becomes runnable goes to an idle vCPU if there is one (polling
//! ones cost nothing, sleeping ones a call), else into the queue of the vCPU that
//! woke it, where idle vCPUs find it. Where the thread that wakes it has the habit
//! of sleeping at once, it stays there too: a hand-over then costs a switch. While a
//! thread waits in its queue a vCPU ticks, and after a whole slice all busy ones do:
//! who waited longest, in whichever queue, is next. A guest whose threads have a
//! vCPU each takes no ticks, but one after a wait that followed a wish for them.

mod cpu;
mod deadline;
mod idle;
mod run;
mod wait;

pub use cpu::{
    adopt_boot_cpu, barrier, cpu_count, enter_first_root, enter_space, flush_others, online,
    uses_root,
};
pub use idle::idle_loop;
pub use run::{
    affinity_changed, begin_thread, exit_current, interrupt, needs_attention, preempt, reserve,
    start, wake, yield_now,
};
pub use wait::{WaitQueue, rest, wait, wait_any, wait_deaf, wait_stdin};

pub(crate) use deadline::changed as deadline_changed;
