//! Which signal is next, and what it does to a wait. Pure bookkeeping, as `state.rs`.

use super::info::SigInfo;
use super::number::Set;
use super::state::{Action, ProcessSignals, ThreadSignals};

/// Takes the next signal that the mask lets through.
pub fn dequeue(process: &mut ProcessSignals, thread: &mut ThreadSignals) -> Option<SigInfo> {
    take_of(process, thread, Set::from_bits(!thread.mask.bits()))
}

/// What delivery comes to next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing.
    Nothing,
    /// The thread rests, or tells the parent of a stop.
    Rest,
    /// A signal by which the process stops, taken in this turn of its stops.
    Stop(SigInfo, u32),
    /// A signal with an action, taken.
    Signal(SigInfo, Action),
}

/// Takes what is next to deliver.
pub fn next(process: &mut ProcessSignals, thread: &mut ThreadSignals) -> Next {
    if process.stop.wants_rest() && !process.is_killed(thread) {
        return Next::Rest;
    }
    let Some(info) = dequeue(process, thread) else {
        return Next::Nothing;
    };
    let action = process.action_for_delivery(info.number());
    if action.stops(info.number()) && !process.never_stops {
        return Next::Stop(info, process.stop.turn());
    }
    Next::Signal(info, action)
}

/// What ends a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// Nothing.
    Nothing,
    /// A signal.
    Signal,
    /// A stop, until it is over.
    Stop,
}

/// Drops signals that the mask lets through and that do nothing; what the next one does,
/// which is the thread's alone afterwards.
pub fn claim(process: &mut ProcessSignals, thread: &mut ThreadSignals) -> Claimed {
    if process.stop.wants_rest() && !process.is_killed(thread) {
        return Claimed::Stop;
    }
    if !thread.pending.reserve() {
        // Where it is stays open; that there may be one does not.
        return Claimed::Signal;
    }
    while let Some(info) = dequeue(process, thread) {
        if process.ignores(info.number()) {
            continue;
        }
        thread.pending.put_back(info);
        let stops = process.action(info.number()).stops(info.number());
        return if stops {
            Claimed::Stop
        } else {
            Claimed::Signal
        };
    }
    Claimed::Nothing
}

/// Takes what is next where it is a stop.
pub fn next_stop(process: &mut ProcessSignals, thread: &mut ThreadSignals) -> Next {
    if claim(process, thread) == Claimed::Stop {
        next(process, thread)
    } else {
        Next::Nothing
    }
}

/// Takes the next signal of `wanted`, blocked or not.
pub fn take_of(
    process: &mut ProcessSignals,
    thread: &mut ThreadSignals,
    wanted: Set,
) -> Option<SigInfo> {
    thread
        .pending
        .take(wanted)
        .or_else(|| process.pending.take(wanted))
}

#[cfg(test)]
mod tests {
    use super::{Claimed, Next, ProcessSignals, SigInfo, ThreadSignals, claim, next, next_stop};
    use crate::signal::number::SI_USER;
    use linux_raw_sys::general::{SIGKILL, SIGTSTP, SIGUSR1};

    fn sent(signals: &[u32]) -> (ProcessSignals, ThreadSignals) {
        let mut process = ProcessSignals::new();
        for signal in signals {
            let info = SigInfo::from_sender(*signal, SI_USER, 1, 0);
            process.pending.push(info).unwrap();
        }
        (process, ThreadSignals::new())
    }

    #[test]
    fn a_stop_signal_stops_where_it_has_no_handler() {
        let (mut process, mut thread) = sent(&[SIGTSTP]);
        assert_eq!(claim(&mut process, &mut thread), Claimed::Stop);
        let next = next_stop(&mut process, &mut thread);
        assert!(matches!(next, Next::Stop(info, _) if info.number() == SIGTSTP));
        assert_eq!(claim(&mut process, &mut thread), Claimed::Nothing);
    }

    #[test]
    fn the_first_process_does_not_stop() {
        let (mut process, mut thread) = sent(&[SIGTSTP]);
        process.never_stops = true;
        assert_eq!(claim(&mut process, &mut thread), Claimed::Nothing);
        assert_eq!(next(&mut process, &mut thread), Next::Nothing);
    }

    #[test]
    fn what_comes_before_a_stop_ends_the_wait() {
        let (mut process, mut thread) = sent(&[SIGTSTP, SIGUSR1]);
        assert_eq!(claim(&mut process, &mut thread), Claimed::Signal);
        assert_eq!(next_stop(&mut process, &mut thread), Next::Nothing);
        let (mut process, mut thread) = sent(&[SIGTSTP, SIGKILL]);
        assert_eq!(claim(&mut process, &mut thread), Claimed::Signal);
    }
}
