//! Signals: from whoever sends them to the handler, and back.
//!
//! ```text
//! kill, tkill, timer, monitor ─→ pending ─┐ deliver_pending, on every way back to the program
//! exception ──────────── force ───────────┴→ action: handler → frame on the stack → sigreturn
//!                                                    default → the process ends (crash record),
//!                                                              or stops until SIGCONT
//! ```
//!
//! | file | what it owns |
//! |---|---|
//! | `number.rs` | names, sets, default actions |
//! | `info.rs` | siginfo_t |
//! | `state.rs` | dispositions, masks, what is pending |
//! | `send.rs` | sending them |
//! | `next.rs` | which one is next, and what it does to a wait |
//! | `handler.rs` | into a handler and back |
//! | `frame.rs` | the frame on the program's stack |
//! | `xstate.rs` | vector registers in it |
//! | `restart.rs` | which calls start again after a handler |
//! | `trampoline.rs` | where a program is that was interrupted on its way into the libOS |
//! | `timer.rs` | alarms and POSIX timers |
//! | `cpu_timer.rs` | interval timers that count CPU time |
//!
//! Differences from Linux: what the first process does to itself has its default action
//! (Linux spares the first process of a container, and `abort()` there ends differently
//! than anywhere else), but others cannot end it by a signal without a handler, and nothing
//! stops it, as in Linux.
//!
//! A signal for the process goes to the first thread that does not block it. Who
//! gets one is woken from its wait, or its vCPU is called out of the program.

pub mod cpu_timer;
mod frame;
mod handler;
pub mod info;
mod next;
pub mod number;
mod restart;
mod send;
pub mod state;
pub mod timer;
mod trampoline;
mod xstate;

use core::sync::atomic::Ordering;

use linux_raw_sys::general::SA_RESTART;
use unikiln_abi::exit;

pub use handler::sigreturn;
pub use info::SigInfo;
pub use next::take_of;
pub use number::Set;
pub use send::{collect, raise_current, send_to, send_to_process, send_to_thread};
pub use state::{ProcessSignals, ThreadSignals};
pub use trampoline::shown as shown_address;

use crate::arch::Registers;
use crate::crash::{self, Fatal};
use crate::errno::{Errno, SysResult};
use crate::process::end::{self, Status};
use crate::process::stop;
use crate::sched::WaitQueue;
use crate::{hypercall, process, strace, time};
use handler::enter_handler;
use next::{Claimed, Next};
use number::{Default as DefaultAction, default_action};

/// Calls that wait for a signal itself.
pub static ARRIVAL: WaitQueue = WaitQueue::new();

/// The exception behind a signal; zeros where there is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trap {
    /// Vector.
    pub vector: u64,
    /// Error code that the CPU pushed.
    pub error: u64,
    /// CR2.
    pub address: u64,
}

/// Whether a call that a signal interrupted may start again.
pub fn restarts(number: u64) -> bool {
    restart::is_restartable(number)
}

/// Bytes of extended state in a signal frame, for AT_MINSIGSTKSZ.
pub fn frame_bytes() -> u64 {
    // Frame, alignment of both parts, red zone.
    xstate::frame_bytes() + 440 + 64 + 16 + 128
}

/// Runs `with` on both halves of the running thread's signal state, then notes
/// whether a signal has become deliverable, and passes on what only it would
/// have taken and does not take any more.
pub fn with_state<R>(with: impl FnOnce(&mut ProcessSignals, &mut ThreadSignals) -> R) -> R {
    let me = process::thread();
    let (result, left_to_others) = {
        let mut shared = process::current().signals.lock();
        let mut own = me.signals.lock();
        let before = own.mask;
        let result = with(&mut shared, &mut own);
        let waiting = own.pending.set().union(shared.pending.set());
        let deliverable = !waiting.without(own.mask).is_empty();
        me.attention.store(
            deliverable || shared.stop.wants_rest() || me.killed.load(Ordering::SeqCst),
            Ordering::SeqCst,
        );
        let newly_blocked = own.mask.without(before);
        (result, shared.pending.set().intersection(newly_blocked))
    };
    let mut left = left_to_others;
    while let Some(signal) = left.first() {
        left = left.without(Set::of(signal));
        send::notify(process::current(), signal);
    }
    result
}

/// Whether a signal wants to be delivered to the running thread, or it must end.
#[inline]
pub fn has_pending() -> bool {
    if time::shared().is_some_and(|page| page.signals.load(Ordering::Relaxed) != 0) {
        collect();
    }
    let me = process::thread();
    // The mark may be old: another thread may have taken the signal.
    me.attention.load(Ordering::SeqCst) && {
        with_state(|_, _| ());
        me.attention.load(Ordering::SeqCst)
    }
}

/// Whether the running thread has a signal to take, or to end, before it does more: it will on
/// its way back to the program.
pub fn is_due() -> bool {
    with_state(|_, _| ());
    process::thread().attention.load(Ordering::SeqCst)
}

/// Whether the running thread's process is to end at once, by a signal that writes no record.
pub fn is_fatal() -> bool {
    process::thread().killed.load(Ordering::SeqCst)
        || with_state(|process, thread| {
            let waiting = process.pending.set().union(thread.pending.set());
            let mut due = waiting.without(thread.mask);
            while let Some(signal) = due.first() {
                due = due.without(Set::of(signal));
                let action = process.action(signal);
                let is_default = !action.is_handler() && !action.ignores(signal);
                if is_default && default_action(signal) == DefaultAction::Terminate {
                    return true;
                }
            }
            false
        })
}

/// What becomes of a wait of the running thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// It goes on.
    None,
    /// It ends with EINTR: a signal wants to be delivered, or the thread must end.
    Ends,
    /// It goes on after [`stop_here`].
    Stops,
}

/// Whether a signal ends a wait of the running thread, or it must end itself. `is_timed`
/// says that the wait ends by time.
///
/// Signals that would do nothing are dropped, so that the wait goes on for the
/// rest of its time. What this thread is about to take from the process becomes
/// its own: no other can take it before the call has ended with EINTR.
pub fn interruption(is_timed: bool) -> Interruption {
    if !has_pending() {
        return Interruption::None;
    }
    let me = process::thread();
    if me.killed.load(Ordering::SeqCst) {
        return Interruption::Ends;
    }
    match with_state(next::claim) {
        Claimed::Nothing => Interruption::None,
        Claimed::Signal => Interruption::Ends,
        Claimed::Stop => {
            let number = me.recent.current().map(|call| call.number);
            if number.is_some_and(|number| restart::is_ended_by_stop(number, is_timed)) {
                Interruption::Ends
            } else {
                Interruption::Stops
            }
        }
    }
}

/// Stops in the middle of a wait.
pub fn stop_here() {
    loop {
        match with_state(next::next_stop) {
            Next::Rest => stop::rest(),
            Next::Stop(info, turn) => stop_by(&info, turn),
            Next::Nothing | Next::Signal(..) => return,
        }
        if process::thread().killed.load(Ordering::SeqCst) {
            return;
        }
    }
}

fn stop_by(info: &SigInfo, turn: u32) {
    strace::signal_delivered(info);
    stop::begin(info.number(), turn);
}

/// Runs a call with another mask, as ppoll, pselect and epoll_pwait do: `mask`
/// is the address of a sigset_t of `bytes`, or 0.
///
/// When the call ends with EINTR, the handler still runs under that mask, and
/// the way back to the program restores the old one.
///
/// # Errors
/// What `call` says; EFAULT, EINVAL for a bad set.
pub fn with_mask_at(mask: u64, bytes: u64, call: impl FnOnce() -> SysResult) -> SysResult {
    if mask == 0 {
        return call();
    }
    if bytes != size_of::<Set>() as u64 {
        return Err(Errno::EINVAL);
    }
    let mask = Set::from_bits(crate::mm::user::read(mask)?);
    with_mask(mask, call)
}

/// The same with a mask at hand.
///
/// # Errors
/// What `call` says.
pub fn with_mask(mask: Set, call: impl FnOnce() -> SysResult) -> SysResult {
    with_state(|_, thread| {
        thread.saved_mask = Some(thread.mask);
        thread.set_mask(mask);
    });
    let result = call();
    if result != Err(Errno::EINTR) {
        with_state(|_, thread| restore_mask(thread));
    }
    result
}

fn restore_mask(thread: &mut ThreadSignals) {
    if let Some(mask) = thread.saved_mask.take() {
        thread.set_mask(mask);
    }
}

/// Delivers the signal of an exception at once: to its handler, or, where that
/// is blocked or missing, the guest ends with a crash record.
pub fn force(regs: &mut Registers, signal: u32, code: i32, address: u64, vector: u64, error: u64) {
    let info = SigInfo::from_fault(signal, code, address);
    let trap = Trap {
        vector,
        error,
        address,
    };
    force_with(regs, info, trap, "");
}

fn force_with(regs: &mut Registers, info: SigInfo, trap: Trap, note: &'static str) {
    let signal = info.number();
    let action = with_state(|process, thread| {
        let blocked = thread.mask.has(signal);
        Some(process.action(signal)).filter(|a| a.is_handler() && !blocked)?;
        Some(process.action_for_delivery(signal))
    });
    strace::signal_delivered(&info);
    match action {
        Some(action) => enter_handler(regs, &info, action, trap),
        None => crash::fatal(regs, &Fatal { info, trap, note }),
    }
}

/// Delivers what is pending and not blocked. `restart` is the number of the
/// system call that ended with EINTR, if one did. True if `regs` changed in
/// more than RAX.
pub fn deliver_pending(regs: &mut Registers, restart: Option<u64>) -> bool {
    collect();
    let mut restart = restart;
    let mut changed = false;
    while !process::thread().killed.load(Ordering::SeqCst) {
        let (info, action) = match with_state(next::next) {
            Next::Nothing => break,
            Next::Rest => {
                stop::rest();
                continue;
            }
            Next::Stop(info, turn) => {
                stop_by(&info, turn);
                continue;
            }
            Next::Signal(info, action) => (info, action),
        };
        strace::signal_delivered(&info);
        let stops = action.stops(info.number());
        if stops || action.ignores(info.number()) {
            continue;
        }
        if !action.is_handler() {
            end_by(regs, info);
        }
        // The first handler decides; a second one interrupts its start.
        if let Some(number) = restart.take()
            && (action.has(SA_RESTART) || restart::is_undone(number))
        {
            restart::rewind(regs, number);
        }
        enter_handler(regs, &info, action, Trap::default());
        changed = true;
    }
    if let Some(number) = restart {
        // Another thread took the signal, or it was ignored, or a stop is over: nobody is to
        // notice.
        changed |= restart::rewind(regs, number);
    }
    with_state(|_, thread| restore_mask(thread));
    changed
}

/// The default action that ends the process.
fn end_by(regs: &Registers, info: SigInfo) -> ! {
    if default_action(info.number()) == DefaultAction::Core {
        crash::fatal(
            regs,
            &Fatal {
                info,
                trap: Trap::default(),
                note: "",
            },
        );
    }
    strace::killed(info.number());
    if !process::current().is_init() {
        end::end_current(Status::signaled(info.number(), false));
    }
    crate::fs::volume::write_back_all();
    hypercall::exit(exit::SIGNALED, u64::from(info.number()))
}
