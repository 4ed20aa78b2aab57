//! Stopping a process, and letting it go on.
//!
//! ```text
//!       a thread takes a stop signal             the last thread rests
//! runs ───────────────────────────→ stopping ────────────────────────→ stopped
//!   ↑                                  │                                  │
//!   └──────────── SIGCONT is sent, be it blocked or ignored ──────────────┘
//! ```
//!
//! A thread rests on its way back to the program, or where it waits (`signal::interruption`
//! says which). The parent is told by the thread that rests last, and by the first one that
//! goes on: whoever sends SIGCONT may hold locks that telling needs.

use core::sync::atomic::Ordering::SeqCst;

use linux_raw_sys::general::{CLD_CONTINUED, CLD_STOPPED, SA_NOCLDSTOP, SIGCONT, SIGSTOP};

use super::end::{self, Ended, SIGCHLD, Status, UNDECIDED};
use super::{Process, current, table, thread, threads};
use crate::signal::state::SIG_IGN;
use crate::signal::{self, SigInfo};
use crate::{sched, strace};

/// Where a process is between running and being stopped; locked with its signals.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stop {
    /// The signal by which it stops or is stopped; 0 while it runs.
    by: u32,
    /// Counts what stops it and what lets it go on.
    turn: u32,
    /// Threads that rest in this turn.
    resting: usize,
    /// All of them do.
    is_whole: bool,
    /// The signal by which it stopped, as long as its parent has not waited for that.
    unseen_stop: u32,
    /// It went on, and its parent has not waited for that.
    unseen_continue: bool,
    /// CLD_* that the parent is to be told of, and the signal; 0 for nothing.
    untold: (u32, u32),
}

impl Stop {
    /// It runs.
    pub const fn new() -> Stop {
        Stop {
            by: 0,
            turn: 0,
            resting: 0,
            is_whole: false,
            unseen_stop: 0,
            unseen_continue: false,
            untold: (0, 0),
        }
    }

    /// To tell whether SIGCONT came since: for [`begin`].
    pub const fn turn(&self) -> u32 {
        self.turn
    }

    /// Whether its threads have to look at [`rest`].
    pub const fn wants_rest(&self) -> bool {
        self.by != 0 || self.untold.0 != 0
    }

    /// Whether all of its threads rest.
    pub const fn is_stopped(&self) -> bool {
        self.is_whole
    }

    /// A thread took a stop signal in this turn: false where SIGCONT came since.
    fn begin(&mut self, signal: u32, turn: u32) -> bool {
        if self.turn != turn {
            return false;
        }
        if self.by == 0 {
            self.by = signal;
            self.next_turn();
        }
        true
    }

    fn next_turn(&mut self) {
        // 0 is a thread's that rests in no turn.
        self.turn = self.turn.wrapping_add(1).max(1);
        (self.resting, self.is_whole) = (0, false);
    }

    /// SIGCONT is sent: whether the process was stopped or about to be.
    pub fn go_on(&mut self) -> bool {
        let was_stopped = self.by != 0;
        if was_stopped {
            // A stop that was not finished counts as one, and as over.
            self.untold = match self.is_whole {
                true => (CLD_CONTINUED, SIGCONT),
                false => (CLD_STOPPED, 0),
            };
            (self.by, self.unseen_stop, self.unseen_continue) = (0, 0, true);
        }
        self.next_turn();
        was_stopped
    }

    /// A thread that rested in turn `rested` looks whether it may go on. There are
    /// `threads` of them.
    fn look(&mut self, rested: &mut u32, is_killed: bool, threads: usize) -> bool {
        if self.by == 0 {
            return true;
        }
        if is_killed {
            self.resting -= usize::from(*rested == self.turn);
            return true;
        }
        if *rested != self.turn {
            *rested = self.turn;
            self.resting += 1;
            self.note_rest(threads);
        }
        false
    }

    fn note_rest(&mut self, threads: usize) {
        if self.by != 0 && !self.is_whole && self.resting >= threads {
            (self.is_whole, self.unseen_stop, self.unseen_continue) = (true, self.by, false);
            self.untold = (CLD_STOPPED, self.by);
        }
    }

    /// What the parent has not waited for yet, of stops and of their ends.
    pub fn take_unseen(&mut self, stops: bool, ends: bool, keeps: bool) -> Option<Status> {
        if stops && self.unseen_stop != 0 {
            let status = Status::stopped(self.unseen_stop);
            if !keeps {
                self.unseen_stop = 0;
            }
            return Some(status);
        }
        if ends && self.unseen_continue {
            self.unseen_continue = keeps;
            return Some(Status::CONTINUED);
        }
        None
    }
}

/// The running process took a stop signal when [`Stop::turn`] was `turn`. One whose group
/// nobody could continue does not stop, but by SIGSTOP.
pub fn begin(signal: u32, turn: u32) {
    let process = current();
    let group = table::kin(process.pid()).map_or(0, |kin| kin.group);
    if signal != SIGSTOP && table::is_orphaned(group) {
        return;
    }
    let begins = {
        let mut shared = process.signals.lock();
        process.status.load(SeqCst) == UNDECIDED && shared.stop.begin(signal, turn)
    };
    if begins {
        strace::stopped(signal);
        rouse(process);
    }
}

/// Has all threads of a process look at what they have to do.
pub fn rouse(process: &'static Process) {
    for other in threads::list(process) {
        other.attention.store(true, SeqCst);
        if !core::ptr::eq(other, thread()) {
            sched::interrupt(other);
        }
    }
}

/// Rests as long as the running process is stopped, or until the thread has to end.
pub fn rest() {
    let me = thread();
    let process = me.process();
    let mut rested = 0;
    sched::rest(|| {
        let is_over = {
            let mut shared = process.signals.lock();
            let is_killed = me.killed.load(SeqCst) || shared.is_killed(&me.signals.lock());
            let threads = process.threads.load(SeqCst);
            shared.stop.look(&mut rested, is_killed, threads)
        };
        tell(process);
        is_over
    });
}

/// A thread of a process has ended: the others may all rest.
pub(super) fn thread_ended(process: &'static Process) {
    if process.status.load(SeqCst) == UNDECIDED {
        let threads = process.threads.load(SeqCst);
        process.signals.lock().stop.note_rest(threads);
        tell(process);
    }
}

/// Tells the parent what it has not been told of.
fn tell(process: &'static Process) {
    let (code, status) = core::mem::take(&mut process.signals.lock().stop.untold);
    if code == 0 {
        return;
    }
    let Some(kin) = table::kin(process.pid()) else {
        return;
    };
    let Ended { uid, used, .. } = end::described(process, Status::CONTINUED);
    let told = SigInfo::from_child(process.pid(), uid, code as i32, status as i32, used.cpu_ns);
    table::with_running(kin.parent, |parent| {
        let action = parent.signals.lock().action(SIGCHLD);
        if action.handler != SIG_IGN && !action.has(SA_NOCLDSTOP) {
            // With a full queue there are signals enough.
            let _ = signal::send_to_process(parent, told);
        }
        parent.children.wake_all();
    });
}

#[cfg(test)]
mod tests {
    use super::{CLD_CONTINUED, CLD_STOPPED, SIGCONT, Status, Stop};

    #[test]
    fn the_last_thread_that_rests_stops_the_process() {
        let mut stop = Stop::new();
        assert!(stop.begin(20, stop.turn()));
        let (mut one, mut other) = (0, 0);
        assert!(!stop.look(&mut one, false, 2) && !stop.look(&mut one, false, 2));
        assert!(!stop.is_stopped() && stop.take_unseen(true, true, false).is_none());
        assert!(!stop.look(&mut other, false, 2) && stop.is_stopped());
        assert_eq!(stop.untold, (CLD_STOPPED, 20));
        for keeps in [true, false] {
            let seen = stop.take_unseen(true, true, keeps);
            assert_eq!(seen, Some(Status(0x147f)));
        }
        assert_eq!(stop.take_unseen(true, true, false), None);
        assert!(stop.go_on() && !stop.is_stopped() && stop.look(&mut one, false, 2));
        assert_eq!(stop.untold, (CLD_CONTINUED, SIGCONT));
        assert_eq!(stop.take_unseen(true, false, false), None);
        let seen = stop.take_unseen(true, true, false);
        assert_eq!(seen, Some(Status::CONTINUED));
    }

    #[test]
    fn one_that_goes_on_stops_anew_with_all_threads() {
        let mut stop = Stop::new();
        let mut one = 0;
        assert!(stop.begin(19, stop.turn()) && !stop.look(&mut one, false, 1));
        assert!(stop.go_on() && stop.begin(19, stop.turn()) && !stop.is_stopped());
        assert!(!stop.look(&mut one, false, 1) && stop.is_stopped());
    }

    #[test]
    fn a_stop_signal_taken_before_sigcont_stops_nothing() {
        let mut stop = Stop::new();
        let turn = stop.turn();
        assert!(!stop.go_on() && !stop.begin(20, turn) && !stop.wants_rest());
    }

    #[test]
    fn a_killed_thread_goes_and_the_rest_stay_stopped() {
        let mut stop = Stop::new();
        let (mut one, mut other) = (0, 0);
        assert!(stop.begin(19, stop.turn()));
        assert!(!stop.look(&mut one, false, 2) && stop.look(&mut other, true, 2));
        stop.note_rest(1);
        assert!(stop.is_stopped());
    }
}
