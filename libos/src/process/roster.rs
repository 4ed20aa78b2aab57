//! The threads of a process, as `/proc/PID/task` and `ps` list them.

use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use super::usage::Counted;
use super::{Process, State, Thread, threads};
use crate::errno::Errno;
use crate::signal::Set;
use crate::time;

/// Bytes of a thread's name, with its NUL.
pub const COMM_BYTES: usize = 16;

/// A thread as it was when it was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Listed {
    /// Thread id.
    pub tid: u32,
    /// Name, NUL-padded.
    pub comm: [u8; COMM_BYTES],
    /// Runs or wants to; otherwise it waits for something.
    pub running: bool,
    /// CPU time that it used.
    pub cpu_ns: u64,
    /// Faults and switches.
    pub counts: Counted,
    /// Signals pending for it alone.
    pub pending: Set,
    /// vCPUs that it may run on, a bit for each index.
    pub affinity: u64,
    /// Signals that it blocks.
    pub blocked: Set,
    /// Nice value.
    pub nice: i32,
    /// Index of the vCPU that ran it last.
    pub cpu: usize,
}

impl Listed {
    /// The first thread of a process without it.
    pub fn ended(process: &Process) -> Listed {
        Listed {
            tid: process.pid(),
            comm: process.image.lock().comm,
            running: false,
            cpu_ns: 0,
            counts: Counted::default(),
            pending: Set::EMPTY,
            affinity: u64::MAX,
            blocked: Set::EMPTY,
            nice: 0,
            cpu: 0,
        }
    }
}

/// The threads of a process, by tid.
pub fn roster(process: &'static Process) -> Vec<Listed> {
    threads::list(process).into_iter().map(describe).collect()
}

/// The threads of all processes.
pub fn everybody() -> Vec<Listed> {
    threads::everybody().into_iter().map(describe).collect()
}

fn describe(thread: &'static Thread) -> Listed {
    let (pending, blocked) = {
        let signals = thread.signals.lock();
        (signals.pending.set(), signals.mask)
    };
    Listed {
        tid: thread.tid(),
        comm: *thread.comm.lock(),
        running: !matches!(thread.state(), State::Waiting | State::Sleeping),
        cpu_ns: time::ticks_to_ns(thread.cpu_ticks()),
        counts: thread.counts.get(),
        affinity: thread.affinity.load(Ordering::Relaxed),
        nice: thread.nice.load(Ordering::Relaxed) as i32,
        cpu: thread.cpu.load(Ordering::Relaxed),
        pending,
        blocked,
    }
}

/// Gives a thread another name.
///
/// # Errors
/// ESRCH where there is no such thread.
pub fn rename_thread(tid: u32, comm: [u8; COMM_BYTES]) -> Result<(), Errno> {
    let process = threads::with(tid, |thread| {
        *thread.comm.lock() = comm;
        thread.process()
    });
    let process = process.ok_or(Errno::ESRCH)?;
    if tid == process.pid() {
        process.image.lock().comm = comm;
    }
    Ok(())
}
