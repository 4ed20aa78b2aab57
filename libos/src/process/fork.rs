//! A process made from another: fork, vfork, and clone without CLONE_THREAD.
//!
//! | | memory | the parent |
//! |---|---|---|
//! | fork | a copy, page by page at the first write (`mm/fork.rs`) | goes on |
//! | vfork, posix_spawn | the parent's | waits until the child has another program or ended |
//!
//! Each process has a table of its own, also after execve: programs that want fixed addresses
//! find them free, and none can write into another. To share one table and place programs
//! side by side would save entering the other table at each switch, about 30 µs on a software
//! KVM and below 1 µs elsewhere; but a fork needs two tables in any case, and what a short
//! child does (end, or call execve) costs less that way than to copy the memory of the parent
//! and put it back, which the parent would have to wait for. fork and exit cost 0.85 of a
//! native one once the program has forked before (2.5 else), be the process small or of
//! 500 MiB, whose large pages are shared whole: see `mm/wanted.rs` and `mm/spaces.rs`.

use core::cell::Cell;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use unikiln_abi::boot::{FLAG_NO_FORK, FLAG_NO_PROCESSES};

use super::table;
use super::threads::{self, Start};
use super::{Process, current, end, thread};
use crate::errno::Errno;
use crate::{boot, signal, time};

/// What a child has otherwise than its parent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// It runs in the parent's memory (CLONE_VM).
    pub borrows: bool,
    /// The parent waits for the memory (CLONE_VFORK).
    pub parent_waits: bool,
    /// Its parent is the parent's (CLONE_PARENT).
    pub is_sibling: bool,
    /// No signal has a handler in it (CLONE_CLEAR_SIGHAND).
    pub clears_handlers: bool,
    /// The signal at its end.
    pub exit_signal: u32,
}

/// Makes a child; `announce` gets its id before it runs. Returns once it runs, or, where the
/// parent waits, once it runs elsewhere.
///
/// # Errors
/// EPERM where the container may not have such processes; EAGAIN at a limit; ENOMEM; EINTR
/// where a signal has to be taken first, after which the call starts again.
pub fn fork(start: &Start, wanted: Wanted, announce: impl FnOnce(u32)) -> Result<u32, Errno> {
    let is_refused = boot::has_flag(FLAG_NO_PROCESSES)
        || boot::has_flag(FLAG_NO_FORK) && !(wanted.borrows && wanted.parent_waits);
    if is_refused {
        return Err(Errno::EPERM);
    }
    if signal::is_due() {
        // Before the work rather than after it.
        return Err(Errno::EINTR);
    }
    let parent = current();
    let made = Cell::new(None);
    let result = threads::spawn_in(
        start,
        |tid| {
            let child = table::make(tid)?;
            if let Err(errno) = child.inherit(parent, start, wanted) {
                table::unmake(child);
                return Err(errno);
            }
            made.set(Some(child));
            Ok(child)
        },
        |new| {
            new.signals.lock().stack = thread().signals.lock().stack;
            table::admit(new.process(), wanted.is_sibling, wanted.exit_signal)?;
            announce(new.tid());
            Ok(())
        },
    );
    match (result, made.get()) {
        (Ok(tid), Some(child)) => {
            if wanted.parent_waits {
                end::wait_for_return(child, tid);
            }
            Ok(tid)
        }
        (Err(errno), made) => {
            if let Some(child) = made {
                drop(core::mem::take(&mut *child.files.lock()));
                child.space().leave();
                table::unmake(child);
            }
            Err(errno)
        }
        (Ok(tid), None) => Ok(tid),
    }
}

impl Process {
    /// What a process begins with, whatever its structure was used for before.
    pub(super) fn begin(&self, pid: u32) {
        self.pid.store(pid, SeqCst);
        // Nobody looks at its memory before it has some.
        self.threads.store(0, SeqCst);
        self.status.store(end::UNDECIDED, SeqCst);
        self.is_borrowing.store(false, SeqCst);
        self.is_dying_for_memory.store(false, SeqCst);
        self.ended_ticks.store(0, Relaxed);
        self.ended_counts.clear();
        self.waited_for.clear();
    }

    /// Takes everything over from the parent.
    fn inherit(&self, parent: &Process, start: &Start, wanted: Wanted) -> Result<(), Errno> {
        let space = if wanted.borrows {
            parent.space().share();
            parent.space()
        } else {
            let space = parent.space();
            let is_quiet = parent.threads.load(SeqCst) == 1 && !space.is_shared();
            space.fork([start.regs.rsp, start.fs_base], is_quiet)?
        };
        self.set_space(space);
        self.is_borrowing.store(wanted.parent_waits, SeqCst);
        *self.files.lock() = parent.files.lock().for_child();
        *self.fs.lock() = parent.fs.lock().clone();
        *self.credentials.lock() = parent.credentials.lock().clone();
        *self.limits.lock() = *parent.limits.lock();
        *self.image.lock() = parent.image.lock().clone();
        self.image.lock().start_ns = time::now(time::Clock::Boottime);
        *self.signals.lock() = parent.signals.lock().for_child(wanted.clears_handlers);
        self.settings.inherit(&parent.settings);
        self.threads.store(1, SeqCst);
        Ok(())
    }
}
