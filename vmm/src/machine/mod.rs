//! One guest: built by [`Machine::boot`], run to its end by [`Machine::run`].
//!
//! ```text
//! boot ─> Machine ─ run ─> vCPU 0 on the caller's thread ─┐
//!                          vCPU N on a thread of its own ─┴─> Shared.end: the first end wins
//! ```
//!
//! vCPUs beyond the first start when the guest asks, so a guest of one thread
//! pays nothing for them.

mod boot;
mod cpu;
mod remote;
mod run;
mod start;
mod upcall;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, OnceLock};

use unikiln_abi::stats::GuestStats;
use unikiln_unikernel::UnikernelFile;

use crate::error::Error;
use crate::hypercall::Host;
use crate::outcome::ExitReason;
use crate::stats::{Recorder, StatsFormat};

use cpu::CpuThread;
pub use remote::{Remote, UpdateError, Usage};

/// A guest that is ready to run.
pub struct Machine {
    /// First: the vCPU goes before the VM, and the VM before its memory.
    first: CpuThread,
    shared: Arc<Shared>,
}

/// What all vCPU threads of a guest share.
struct Shared {
    host: Host,
    unikernel: UnikernelFile,
    call_pages_gpa: u64,
    recorder: Mutex<Recorder>,
    /// The memory limit, which may change.
    memory_bytes: AtomicU64,
    needed_bytes: u64,
    /// What the run cost goes to the log in this shape.
    log_stats: OnceLock<StatsFormat>,
    /// How the guest ended, once it has.
    end: Mutex<Option<End>>,
    /// Told when a vCPU thread ends.
    thread_ended: Condvar,
}

/// The end of a guest: its reason and what the libOS counted, or a failure of the monitor.
type End = Result<(ExitReason, Option<GuestStats>), Error>;
