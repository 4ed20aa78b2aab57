//! The threads of the process, as `/proc/PID/task` and `ps` list them.

use alloc::vec;
use alloc::vec::Vec;

use super::{current, thread};
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
    /// Signals pending for it alone.
    pub pending: Set,
    /// Signals that it blocks.
    pub blocked: Set,
}

/// The threads that there are, by tid.
pub fn threads() -> Vec<Listed> {
    let (comm, start_ns) = {
        let image = current().image.lock();
        (image.comm, image.start_ns)
    };
    let thread = thread();
    let signals = thread.signals.lock();
    vec![Listed {
        tid: thread.tid,
        comm,
        running: true,
        cpu_ns: time::now(time::Clock::Boottime).saturating_sub(start_ns),
        pending: signals.pending.set(),
        blocked: signals.mask,
    }]
}

/// Gives a thread another name.
///
/// # Errors
/// ESRCH where there is no such thread.
pub fn rename_thread(tid: u32, comm: [u8; COMM_BYTES]) -> Result<(), Errno> {
    if tid != thread().tid {
        return Err(Errno::ESRCH);
    }
    current().image.lock().comm = comm;
    Ok(())
}
