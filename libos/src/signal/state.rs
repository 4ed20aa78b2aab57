//! What a process and a thread know of signals: dispositions, masks, what is
//! pending, the alternate stack. Pure bookkeeping, tested on the host.

use alloc::vec::Vec;

use linux_raw_sys::general::{
    MINSIGSTKSZ, SA_RESETHAND, SIGKILL, SS_AUTODISARM, SS_DISABLE, SS_ONSTACK,
};

use super::info::SigInfo;
use super::number::{Default as DefaultAction, REAL_TIME_MIN, Set, default_action, is_signal};
use crate::errno::Errno;
use crate::process::stop::Stop;

/// Handler value of the default action.
pub const SIG_DFL: u64 = 0;
/// Handler value that ignores.
pub const SIG_IGN: u64 = 1;
/// Most queued real-time signals, as RLIMIT_SIGPENDING would have it.
const QUEUE_MAX: usize = 1024;

/// The kernel's struct sigaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Action {
    /// [`SIG_DFL`], [`SIG_IGN`] or an address.
    pub handler: u64,
    /// SA_* bits.
    pub flags: u64,
    /// Where the handler returns to.
    pub restorer: u64,
    /// Blocked while the handler runs.
    pub mask: u64,
}

crate::pod!(Action);

const _: () = assert!(size_of::<Action>() == 32);

impl Action {
    const DEFAULT: Action = Action {
        handler: SIG_DFL,
        flags: 0,
        restorer: 0,
        mask: 0,
    };

    /// Whether a flag of `SA_*` is set.
    pub const fn has(&self, flag: u32) -> bool {
        self.flags & flag as u64 != 0
    }

    /// Whether a program function handles it.
    pub const fn is_handler(&self) -> bool {
        self.handler > SIG_IGN
    }

    /// Whether delivery of `signal` would stop the process.
    pub fn stops(&self, signal: u32) -> bool {
        self.handler == SIG_DFL && default_action(signal) == DefaultAction::Stop
    }

    /// Whether delivery of `signal` would do nothing.
    pub fn ignores(&self, signal: u32) -> bool {
        match self.handler {
            SIG_IGN => true,
            SIG_DFL => default_action(signal) == DefaultAction::Ignore,
            _ => false,
        }
    }
}

/// Signals that wait for delivery, in order of arrival.
#[derive(Debug, Default)]
pub struct Pending {
    queue: Vec<SigInfo>,
}

impl Pending {
    const fn new() -> Pending {
        Pending { queue: Vec::new() }
    }

    /// Which signals there are.
    pub fn set(&self) -> Set {
        self.queue
            .iter()
            .fold(Set::EMPTY, |set, info| set.union(Set::of(info.number())))
    }

    /// Adds one; a standard signal that is pending already is lost, as on Linux.
    ///
    /// # Errors
    /// EAGAIN when the queue is full.
    pub fn push(&mut self, info: SigInfo) -> Result<(), Errno> {
        if info.number() < REAL_TIME_MIN && self.set().has(info.number()) {
            return Ok(());
        }
        if self.queue.len() >= QUEUE_MAX || self.queue.try_reserve(1).is_err() {
            return Err(Errno::EAGAIN);
        }
        self.queue.push(info);
        Ok(())
    }

    /// Room for one more; false without memory for it.
    pub(super) fn reserve(&mut self) -> bool {
        self.queue.try_reserve(1).is_ok()
    }

    /// Puts the one that was just taken, here or from the process, where it is next.
    pub(super) fn put_back(&mut self, info: SigInfo) {
        self.queue.insert(0, info);
    }

    /// Takes the most urgent one of `wanted`.
    pub fn take(&mut self, wanted: Set) -> Option<SigInfo> {
        let signal = self.set().intersection(wanted).first()?;
        let at = self.queue.iter().position(|info| info.number() == signal)?;
        Some(self.queue.remove(at))
    }

    /// Drops every instance of `signal`.
    pub fn discard(&mut self, signal: u32) {
        self.discard_all(Set::of(signal));
    }

    /// The same of several signals.
    pub fn discard_all(&mut self, signals: Set) {
        self.queue.retain(|info| !signals.has(info.number()));
    }
}

/// What all threads of a process share.
#[derive(Debug)]
pub struct ProcessSignals {
    actions: [Action; 64],
    /// Signals for any thread.
    pub pending: Pending,
    /// Whether the process is stopped.
    pub stop: Stop,
    /// It is the first, which nothing stops.
    pub never_stops: bool,
}

impl Default for ProcessSignals {
    fn default() -> Self {
        Self::new()
    }
}

impl ProcessSignals {
    /// Default actions, nothing pending.
    pub const fn new() -> ProcessSignals {
        ProcessSignals {
            actions: [Action::DEFAULT; 64],
            pending: Pending::new(),
            stop: Stop::new(),
            never_stops: false,
        }
    }

    /// What is to be done about `signal`.
    pub fn action(&self, signal: u32) -> Action {
        let index = (signal as usize).wrapping_sub(1);
        self.actions.get(index).copied().unwrap_or_default()
    }

    /// Whether delivery of `signal` would do nothing.
    pub fn ignores(&self, signal: u32) -> bool {
        let action = self.action(signal);
        action.ignores(signal) || self.never_stops && action.stops(signal)
    }

    /// Whether it or a thread of it is about to be killed.
    pub fn is_killed(&self, thread: &ThreadSignals) -> bool {
        (self.pending.set().union(thread.pending.set())).has(SIGKILL)
    }

    /// Sets it. SIGKILL's and SIGSTOP's cannot be set.
    ///
    /// # Errors
    /// EINVAL.
    pub fn set_action(&mut self, signal: u32, mut action: Action) -> Result<(), Errno> {
        if !is_signal(signal) || Set::UNBLOCKABLE.has(signal) {
            return Err(Errno::EINVAL);
        }
        action.mask = Set::from_bits(action.mask).without(Set::UNBLOCKABLE).bits();
        let index = signal as usize - 1;
        *self.actions.get_mut(index).ok_or(Errno::EINVAL)? = action;
        Ok(())
    }

    /// The action for a delivery that happens now; SA_RESETHAND takes effect.
    pub fn action_for_delivery(&mut self, signal: u32) -> Action {
        let action = self.action(signal);
        if action.is_handler()
            && action.has(SA_RESETHAND)
            && let Some(slot) = self.actions.get_mut(signal as usize - 1)
        {
            slot.handler = SIG_DFL;
        }
        action
    }

    /// A child's: the same dispositions, nothing pending.
    pub fn for_child(&self, clears_handlers: bool) -> ProcessSignals {
        let mut child = ProcessSignals {
            actions: self.actions,
            ..ProcessSignals::new()
        };
        if clears_handlers {
            child.reset_for_exec();
        }
        child
    }

    /// What execve does: handlers are gone, ignored signals stay ignored.
    pub fn reset_for_exec(&mut self) {
        for action in &mut self.actions {
            let handler = if action.handler == SIG_IGN {
                SIG_IGN
            } else {
                SIG_DFL
            };
            *action = Action {
                handler,
                ..Action::DEFAULT
            };
        }
    }

    /// Signals that /proc/PID/status shows as ignored and as caught.
    pub fn ignored_and_caught(&self) -> (Set, Set) {
        let mut sets = (Set::EMPTY, Set::EMPTY);
        for (action, signal) in self.actions.iter().zip(1..) {
            match action.handler {
                SIG_DFL => {}
                SIG_IGN => sets.0 = sets.0.union(Set::of(signal)),
                _ => sets.1 = sets.1.union(Set::of(signal)),
            }
        }
        sets
    }
}

/// The kernel's stack_t.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct AltStack {
    /// Lowest address.
    pub base: u64,
    /// SS_* bits.
    pub flags: u32,
    padding: u32,
    /// Bytes.
    pub bytes: u64,
}

crate::pod!(AltStack);

const _: () = assert!(size_of::<AltStack>() == 24);

impl AltStack {
    /// None.
    pub const DISABLED: AltStack = AltStack {
        base: 0,
        flags: SS_DISABLE,
        padding: 0,
        bytes: 0,
    };

    /// Of `bytes` from `base`.
    pub const fn new(base: u64, bytes: u64, flags: u32) -> AltStack {
        AltStack {
            base,
            flags,
            padding: 0,
            bytes,
        }
    }

    /// Whether there is one.
    pub const fn is_enabled(&self) -> bool {
        self.bytes != 0
    }

    /// First address above it.
    pub const fn top(&self) -> u64 {
        self.base.wrapping_add(self.bytes)
    }

    /// Whether `sp` lies on it. One that disarms itself never counts as in use.
    pub const fn is_in_use(&self, sp: u64) -> bool {
        self.flags & SS_AUTODISARM == 0 && self.holds(sp)
    }

    /// Whether `sp` lies on it.
    pub const fn holds(&self, sp: u64) -> bool {
        self.bytes != 0 && sp > self.base && sp - self.base <= self.bytes
    }

    /// As sigaltstack(2) shows it to code that runs at `sp`.
    pub const fn shown(&self, sp: u64) -> AltStack {
        let mut shown = *self;
        if !self.is_enabled() {
            shown.flags = SS_DISABLE;
        } else if self.is_in_use(sp) {
            shown.flags |= SS_ONSTACK;
        }
        shown
    }

    /// Checks what a program asks for.
    ///
    /// # Errors
    /// EINVAL for unknown flags, ENOMEM for too small a stack.
    pub fn checked(self) -> Result<AltStack, Errno> {
        match self.flags & !SS_AUTODISARM {
            SS_DISABLE => Ok(AltStack {
                flags: self.flags,
                base: 0,
                bytes: 0,
                padding: 0,
            }),
            0 | SS_ONSTACK if self.bytes < u64::from(MINSIGSTKSZ) => Err(Errno::ENOMEM),
            0 | SS_ONSTACK => Ok(AltStack {
                flags: self.flags & SS_AUTODISARM,
                padding: 0,
                ..self
            }),
            _ => Err(Errno::EINVAL),
        }
    }
}

/// One thread's part.
#[derive(Debug)]
pub struct ThreadSignals {
    /// Blocked signals.
    pub mask: Set,
    /// Signals for this thread alone.
    pub pending: Pending,
    /// Alternate stack.
    pub stack: AltStack,
    /// The mask to put back when the call that changed it for its own time
    /// (sigsuspend, ppoll, pselect, epoll_pwait) is over.
    pub saved_mask: Option<Set>,
}

impl Default for ThreadSignals {
    fn default() -> Self {
        Self::new()
    }
}

impl ThreadSignals {
    /// Nothing blocked, nothing pending.
    pub const fn new() -> ThreadSignals {
        ThreadSignals {
            mask: Set::EMPTY,
            pending: Pending::new(),
            stack: AltStack::DISABLED,
            saved_mask: None,
        }
    }

    /// What execve does: the alternate stack is gone, the mask stays.
    pub fn reset_for_exec(&mut self) {
        self.stack = AltStack::DISABLED;
    }

    /// Sets the mask; SIGKILL and SIGSTOP stay unblocked.
    pub fn set_mask(&mut self, mask: Set) {
        self.mask = mask.without(Set::UNBLOCKABLE);
    }
}

#[cfg(test)]
mod tests;
