//! Sending signals: to a process, to a thread, from outside the guest.

use core::sync::atomic::Ordering;

use linux_raw_sys::general::{EPOLLIN, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGWINCH};

use super::number::{SI_USER, Set};
use super::{ARRIVAL, ProcessSignals, SigInfo};
use crate::dev::terminal;
use crate::errno::Errno;
use crate::fs::signal_file;
use crate::process::{self, Process, State, Thread, stop, table, threads};
use crate::{sched, time};

/// Makes signals from outside pending. Also called without a running thread.
pub fn collect() {
    let mut outside = Set::from_bits(time::take_outside_signals());
    while let Some(signal) = outside.first() {
        outside = outside.without(Set::of(signal));
        let info = SigInfo::from_outside(signal);
        let typed = matches!(signal, SIGHUP | SIGINT | SIGQUIT | SIGWINCH);
        let group = terminal::console_group().filter(|_| typed);
        // Who hangs up may mean the first process, whichever group is in the foreground.
        table::each_running(|process, kin| {
            let is_meant = match group {
                Some(group) if kin.group == group => true,
                group => process.is_init() && (group.is_none() || signal == SIGHUP),
            };
            if is_meant {
                // A full queue loses the signal, as Linux's does.
                let _ = send_to_process(process, info);
            }
        });
    }
}

/// Locks a process's signals to send it one. Stop signals and SIGCONT wipe each other out
/// in all queues, whatever becomes of them, and SIGCONT lets the process go on.
fn with_sent<R>(
    process: &'static Process,
    signal: u32,
    with: impl FnOnce(&mut ProcessSignals) -> R,
) -> R {
    let wiped = if signal == SIGCONT {
        Set::STOPPING
    } else if Set::STOPPING.has(signal) {
        Set::of(SIGCONT)
    } else {
        return with(&mut process.signals.lock());
    };
    let threads = threads::list(process);
    let (result, goes_on) = {
        let mut shared = process.signals.lock();
        shared.pending.discard_all(wiped);
        for thread in threads {
            thread.signals.lock().pending.discard_all(wiped);
        }
        let goes_on = signal == SIGCONT && shared.stop.go_on();
        (with(&mut shared), goes_on)
    };
    if goes_on {
        stop::rouse(process);
    }
    result
}

/// Makes a signal pending for a process. Also called without a running thread.
///
/// # Errors
/// EAGAIN when too many are queued.
pub fn send_to_process(process: &'static Process, info: SigInfo) -> Result<(), Errno> {
    let signal = info.number();
    // As in Linux the first thread's mask decides whether an ignored signal is kept.
    let blocked = threads::with(process.pid(), |first| first.signals.lock().mask.has(signal));
    let is_kept = with_sent(process, signal, |shared| {
        if shared.ignores(signal) && !blocked.unwrap_or(false) {
            return Ok(false);
        }
        shared.pending.push(info).map(|()| true)
    })?;
    if is_kept {
        notify(process, signal);
        announce();
    }
    Ok(())
}

/// Tells who waits for a signal itself.
fn announce() {
    ARRIVAL.wake_all();
    signal_file::ARRIVED.notify(EPOLLIN);
}

/// Tells a thread of a signal of the process that it can take.
pub(super) fn notify(process: &'static Process, signal: u32) {
    let takes = |thread: &'static Thread| {
        core::ptr::eq(thread.process(), process)
            && thread.state() != State::Dead
            && !thread.signals.lock().mask.has(signal)
    };
    if let Some(thread) = threads::find(takes) {
        thread.attention.store(true, Ordering::SeqCst);
        sched::interrupt(thread);
    }
}

/// Makes a signal pending for one thread.
///
/// # Errors
/// EAGAIN when too many are queued.
pub fn send_to(thread: &'static Thread, info: SigInfo) -> Result<(), Errno> {
    let signal = info.number();
    let sent = with_sent(thread.process(), signal, |shared| {
        let mut own = thread.signals.lock();
        let is_blocked = own.mask.has(signal);
        if shared.ignores(signal) && !is_blocked {
            return Ok(None);
        }
        own.pending.push(info).map(|()| Some(is_blocked))
    })?;
    let Some(is_blocked) = sent else {
        return Ok(());
    };
    if !is_blocked {
        thread.attention.store(true, Ordering::SeqCst);
        sched::interrupt(thread);
    }
    announce();
    Ok(())
}

/// Makes a signal pending for the running thread.
///
/// # Errors
/// EAGAIN when too many are queued.
pub fn send_to_thread(info: SigInfo) -> Result<(), Errno> {
    send_to(process::thread(), info)
}

/// Sends the running thread a signal that it caused itself, such as SIGPIPE.
pub fn raise_current(signal: u32) {
    let uid = process::current().credentials.lock().uid;
    let info = SigInfo::from_sender(signal, SI_USER, process::current().pid(), uid);
    // With a full queue there are signals enough.
    let _ = send_to_thread(info);
}
