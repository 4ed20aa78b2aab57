//! How a process ends, and who is told.
//!
//! ```text
//! exit_group, signal ─→ status decided ─→ threads end one by one ─→ the last one:
//!     files closed, memory given back, timers gone ─→ orphans get another parent
//!     ─→ the parent: SIGCHLD, and what it waits for
//! ```

use core::sync::atomic::Ordering::SeqCst;

use linux_raw_sys::general::{
    CLD_CONTINUED, CLD_DUMPED, CLD_EXITED, CLD_KILLED, CLD_STOPPED, EPOLLHUP, EPOLLIN,
    SA_NOCLDWAIT, SIGCONT, SIGHUP,
};

use super::usage::{Counted, Used};
use super::{Process, current, oom, table, threads};
use crate::fs::process_file;
use crate::sched::{self, WaitQueue};
use crate::signal::state::SIG_IGN;
use crate::signal::{self, SigInfo};
use crate::syscall::sem;
use crate::{dev, fs, time};

/// SIGCHLD.
pub const SIGCHLD: u32 = 17;
/// [`Process::status`] of one whose end is not decided.
pub const UNDECIDED: u32 = u32::MAX;
/// A status says that a record was written (Linux: a core file).
const CORE: u32 = 0x80;
/// Low bits of a status that says that it stopped.
const STOPPED: u32 = 0x7f;

/// Woken when a process gives borrowed memory back.
pub(super) static RETURNED: WaitQueue = WaitQueue::new();

/// What became of a process, as wait(2) gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u32);

impl Status {
    /// It goes on after a stop.
    pub const CONTINUED: Status = Status(0xffff);

    /// A signal stopped it.
    pub const fn stopped(signal: u32) -> Status {
        Status(signal << 8 | STOPPED)
    }

    /// It called exit.
    pub const fn exited(code: i32) -> Status {
        Status((code as u32 & 0xff) << 8)
    }

    /// A signal ended it, with a crash record or without.
    pub const fn signaled(signal: u32, has_record: bool) -> Status {
        Status(signal | if has_record { CORE } else { 0 })
    }

    /// Whether it has ended.
    pub const fn is_end(self) -> bool {
        self.0 & 0x7f != STOPPED
    }

    /// si_code and si_status of its SIGCHLD.
    pub const fn told(self) -> (i32, i32) {
        match self.0 & 0x7f {
            _ if self.0 == Status::CONTINUED.0 => (CLD_CONTINUED as i32, SIGCONT as i32),
            STOPPED => (CLD_STOPPED as i32, (self.0 >> 8) as i32),
            0 => (CLD_EXITED as i32, (self.0 >> 8) as i32),
            signal if self.0 & CORE != 0 => (CLD_DUMPED as i32, signal as i32),
            signal => (CLD_KILLED as i32, signal as i32),
        }
    }
}

/// What is known of a process that has ended, or has stopped or gone on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub status: Status,
    /// Its real user.
    pub uid: u32,
    /// What it and the children that it waited for used.
    pub used: Used,
}

/// Ends the running process, which is not the first. The first decision holds.
pub fn end_current(status: Status) -> ! {
    let process = current();
    let _ = (process.status).compare_exchange(UNDECIDED, status.0, SeqCst, SeqCst);
    threads::kill_others();
    threads::exit(0)
}

/// Gives back what was borrowed of the parent: it goes on.
pub(super) fn give_back(process: &Process) {
    if process.is_borrowing.swap(false, SeqCst) {
        RETURNED.wake_all();
    }
}

/// What the last thread of a process does for it, on its way out. `leave` takes that thread
/// out of the list of threads.
pub(super) fn finish(process: &'static Process, status: Status, leave: impl FnOnce()) {
    let pid = process.pid();
    let files = core::mem::take(&mut *process.files.lock());
    files.into_files().for_each(fs::close);
    *process.fs.lock() = fs::FsContext::new();
    process.image.lock().file = None;
    sem::process_ended(pid);
    signal::timer::forget(pid);
    dev::terminal::leader_ended(pid);
    process.space().leave();
    oom::ended(process);
    give_back(process);
    leave();
    let ended = described(process, status);
    let groups = table::kept_by(pid);
    for orphan in table::note_end(pid, ended) {
        adopted(orphan);
    }
    for group in groups {
        // Nobody is left who would continue it.
        if table::is_orphaned(group) && table::has_stopped(group) {
            dev::terminal::signal_group(group, &[SIGHUP, SIGCONT]);
        }
    }
    process_file::ENDED.notify(EPOLLIN);
    tell_parent(pid, &ended);
}

/// What is known of a process whose status is this one.
pub(super) fn described(process: &'static Process, status: Status) -> Ended {
    let used = Used {
        own: threads::counts(process),
        cpu_ns: time::ticks_to_ns(threads::cpu_ticks(process)),
    };
    Ended {
        status,
        uid: process.credentials.lock().uid,
        used: used.with(process.waited_for.get()),
    }
}

/// A process has another parent now.
fn adopted(pid: u32) {
    let signal = table::with_running(pid, |process| process.settings.parent_death_signal.get());
    if let Some(signal) = signal.filter(|signal| *signal != 0) {
        let info = SigInfo::from_sender(signal, signal::number::SI_USER, 0, 0);
        table::with_running(pid, |process| {
            signal::send_to_process(process, info).is_ok()
        });
    }
    if let Some(ended) = table::ended(pid) {
        // It may have ended before its first parent: the new one hears of it.
        tell_parent(pid, &ended);
    }
}

/// Tells the parent of an end; forgets the process where the parent does not want to know.
fn tell_parent(pid: u32, ended: &Ended) {
    let Some(kin) = table::kin(pid) else {
        return;
    };
    let (code, status) = ended.status.told();
    let info = SigInfo::from_child(pid, ended.uid, code, status, ended.used.cpu_ns);
    let mut is_unwanted = false;
    table::with_running(kin.parent, |parent| {
        let action = parent.signals.lock().action(SIGCHLD);
        is_unwanted =
            kin.exit_signal == SIGCHLD && (action.handler == SIG_IGN || action.has(SA_NOCLDWAIT));
        if kin.exit_signal != 0 && action.handler != SIG_IGN {
            let mut info = info;
            info.signal = kin.exit_signal as i32;
            // With a full queue there are signals enough.
            let _ = signal::send_to_process(parent, info);
        }
    });
    if is_unwanted {
        table::forget(pid);
        process_file::ENDED.notify(EPOLLHUP);
    }
    table::with(kin.parent, |parent| parent.children.wake_all());
}

/// Waits until a child has given the running process's memory back.
pub(super) fn wait_for_return(child: &'static Process, pid: u32) {
    let is_back = || {
        let borrows = child.pid() == pid && child.is_borrowing.load(SeqCst);
        (!borrows || signal::is_fatal()).then_some(())
    };
    // Nothing but its own end keeps it from waiting, as in Linux.
    sched::wait_deaf(&RETURNED, is_back);
}

impl Used {
    fn with(self, more: Used) -> Used {
        Used {
            own: Counted {
                faults: self.own.faults + more.own.faults,
                waits: self.own.waits + more.own.waits,
                preemptions: self.own.preemptions + more.own.preemptions,
            },
            cpu_ns: self.cpu_ns + more.cpu_ns,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_as_wait_gives_it() {
        assert_eq!(Status::exited(3), Status(0x300));
        assert_eq!(Status::exited(-1).told(), (CLD_EXITED as i32, 255));
        assert_eq!(Status::signaled(9, false).told(), (CLD_KILLED as i32, 9));
        assert_eq!(Status::signaled(11, true), Status(0x8b));
        assert_eq!(Status::signaled(11, true).told(), (CLD_DUMPED as i32, 11));
        assert_eq!(Status::stopped(20), Status(0x147f));
        assert_eq!(Status::stopped(20).told(), (CLD_STOPPED as i32, 20));
        assert_eq!(Status::CONTINUED.told(), (CLD_CONTINUED as i32, 18));
    }
}
