//! How threads end: by themselves, with their process, and before another program.

use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use super::{ENDED, ENDED_TICKS, all, drop_from_table, find, list};
use crate::process::end::{self, Status, UNDECIDED};
use crate::process::{Process, current, exit_group, stop, table, thread};
use crate::sched;

/// Ends the running thread; with the last one, the process.
pub fn exit(code: i32) -> ! {
    let me = thread();
    let process = me.process();
    crate::syscall::thread::release_at_exit(me);
    let is_last = process.threads.fetch_sub(1, SeqCst) == 1;
    if is_last && process.is_init() {
        exit_group(code);
    }
    crate::strace::exited(code);
    let ticks = me.cpu_ticks();
    process.ended_ticks.fetch_add(ticks, Relaxed);
    ENDED_TICKS.fetch_add(ticks, Relaxed);
    process.ended_counts.add(me.counts.get());
    if is_last {
        let decided = Some(process.status.load(SeqCst)).filter(|status| *status != UNDECIDED);
        let status = decided.map_or(Status::exited(code), Status);
        // Its number is the process's, and stays taken until the parent has waited.
        end::finish(process, status, || drop_from_table(me));
    } else {
        drop_from_table(me);
        hand_on_children(me.tid());
        stop::thread_ended(process);
    }
    ENDED.wake_all();
    sched::exit_current()
}

/// A thread of the running process has ended: its children are those of the first that is left.
fn hand_on_children(tid: u32) {
    let process = current();
    if let Some(heir) = list(process).first() {
        table::thread_ended(process.pid(), tid, heir.tid());
    }
}

/// Has all other threads of the process end at once.
pub(in crate::process) fn kill_others() {
    let me = thread();
    for other in list(me.process()) {
        if !core::ptr::eq(other, me) {
            other.killed.store(true, SeqCst);
            other.attention.store(true, SeqCst);
            sched::interrupt(other);
        }
    }
}

/// Has all threads of a process end at once, without memory for a list of them.
pub(in crate::process) fn kill_all(process: &'static Process) {
    let mut last = 0;
    let is_next = |last: u32| {
        find(move |thread| thread.tid() > last && core::ptr::eq(thread.process(), process))
    };
    while let Some(thread) = is_next(last) {
        last = thread.tid();
        thread.killed.store(true, SeqCst);
        thread.attention.store(true, SeqCst);
        sched::interrupt(thread);
    }
}

/// Ends all threads of the process but the running one, which becomes the first.
pub(in crate::process) fn stop_others() {
    let me = thread();
    let is_alone = || list(me.process()).len() == 1;
    loop {
        if me.killed.load(SeqCst) {
            // Another one calls execve too, and was first.
            exit(0);
        }
        kill_others();
        if is_alone() {
            break;
        }
        // Only time is waited for otherwise, and nothing may interrupt this.
        let soon = crate::time::monotonic_ns() + 1_000_000;
        let _ = sched::wait(&ENDED, Some(soon), || is_alone().then_some(()));
    }
    let pid = current().pid();
    if me.tid() != pid {
        let mut table = all();
        let tid = me.tid();
        table.by_tid.remove(&tid);
        me.set_tid(pid);
        table.by_tid.insert(pid, me);
        drop(table);
        table::thread_ended(pid, tid, pid);
    }
}
