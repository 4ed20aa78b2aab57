//! Queues, masks, dispositions and alternate stacks.

use super::*;
use crate::signal::next::dequeue;
use crate::signal::number::SI_USER;
use linux_raw_sys::general::{SIGCHLD, SIGINT, SIGKILL, SIGTERM, SIGUSR1};

fn user(signal: u32) -> SigInfo {
    SigInfo::from_sender(signal, SI_USER, 1, 0)
}

fn handler() -> Action {
    Action {
        handler: 0x1000,
        ..Action::default()
    }
}

#[test]
fn a_standard_signal_is_pending_once_and_a_real_time_one_each_time() {
    let mut pending = Pending::new();
    for _ in 0..2 {
        pending.push(user(SIGUSR1)).unwrap();
        pending.push(user(40)).unwrap();
    }
    let mut taken = Vec::new();
    while let Some(info) = pending.take(Set::from_bits(!0)) {
        taken.push(info.number());
    }
    assert_eq!(taken, [SIGUSR1, 40, 40]);
}

#[test]
fn the_queue_has_an_end() {
    let mut pending = Pending::new();
    for _ in 0..QUEUE_MAX {
        pending.push(user(33)).unwrap();
    }
    assert_eq!(pending.push(user(33)), Err(Errno::EAGAIN));
}

#[test]
fn blocked_signals_wait_and_the_threads_own_come_first() {
    let mut process = ProcessSignals::new();
    let mut thread = ThreadSignals::new();
    assert!(process.action(SIGCHLD).ignores(SIGCHLD));
    thread.set_mask(Set::of(SIGCHLD).union(Set::of(SIGTERM)));
    process.pending.push(user(SIGCHLD)).unwrap();
    thread.pending.push(user(SIGTERM)).unwrap();
    assert_eq!(dequeue(&mut process, &mut thread), None);
    thread.set_mask(Set::EMPTY);
    assert_eq!(
        dequeue(&mut process, &mut thread).map(|i| i.number()),
        Some(SIGTERM)
    );
    assert_eq!(
        dequeue(&mut process, &mut thread).map(|i| i.number()),
        Some(SIGCHLD)
    );
}

#[test]
fn sigkill_keeps_its_action_and_cannot_be_blocked() {
    let mut process = ProcessSignals::new();
    assert_eq!(process.set_action(SIGKILL, handler()), Err(Errno::EINVAL));
    let mut thread = ThreadSignals::new();
    thread.set_mask(Set::from_bits(!0));
    assert!(!thread.mask.has(SIGKILL) && thread.mask.has(SIGTERM));
}

#[test]
fn resethand_works_once_and_exec_forgets_handlers() {
    let mut process = ProcessSignals::new();
    let once = Action {
        flags: u64::from(SA_RESETHAND),
        ..handler()
    };
    process.set_action(SIGINT, once).unwrap();
    assert!(process.action_for_delivery(SIGINT).is_handler());
    assert!(!process.action_for_delivery(SIGINT).is_handler());
    process.set_action(SIGUSR1, handler()).unwrap();
    process
        .set_action(
            SIGTERM,
            Action {
                handler: SIG_IGN,
                ..handler()
            },
        )
        .unwrap();
    process.reset_for_exec();
    assert_eq!(process.action(SIGUSR1).handler, SIG_DFL);
    assert_eq!(process.action(SIGTERM).handler, SIG_IGN);
}

#[test]
fn alternate_stacks_are_checked() {
    let stack = AltStack {
        base: 0x1000,
        flags: 0,
        padding: 0,
        bytes: 0x2000,
    };
    assert_eq!(stack.checked(), Ok(stack));
    assert_eq!(
        AltStack {
            bytes: 100,
            ..stack
        }
        .checked(),
        Err(Errno::ENOMEM)
    );
    assert_eq!(
        AltStack { flags: 64, ..stack }.checked(),
        Err(Errno::EINVAL)
    );
    assert!(stack.is_in_use(0x3000) && !stack.is_in_use(0x1000) && !stack.is_in_use(0x3001));
    assert_eq!(stack.shown(0x2000).flags, SS_ONSTACK);
    assert_eq!(AltStack::DISABLED.shown(0x2000).flags, SS_DISABLE);
}
