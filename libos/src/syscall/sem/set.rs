//! The semaphores of a set, those who wait for them, and what is to be undone.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::super::ipc::{IPC_NOWAIT, Outcome};
use crate::errno::Errno;
use crate::mm::user;
use crate::sorted::SortedMap;

pub(super) const SEM_UNDO: u16 = 0o10000;
pub(super) const OPERATIONS_MAX: u64 = 500;
pub(super) const VALUE_MAX: i32 = 32_767;

/// Lists of what to undo: nobody has to look where there is none.
pub(super) static UNDOING: AtomicUsize = AtomicUsize::new(0);

#[derive(Default)]
pub(super) struct State {
    /// Value, and the process that changed it last.
    pub(super) semaphores: Vec<(i32, u32)>,
    pub(super) waiting: Vec<Waiting>,
    pub(super) undo: SortedMap<u32, Vec<i32>>,
}

/// One of struct sembuf.
#[derive(Clone, Copy)]
pub(super) struct Operation {
    pub(super) number: u16,
    pub(super) change: i16,
    pub(super) flags: u16,
}

pub(super) struct Waiting {
    pub(super) pid: u32,
    pub(super) operations: Vec<Operation>,
    /// Index of the operation that cannot be.
    pub(super) blocker: usize,
    pub(super) outcome: Outcome<usize>,
}

/// What became of operations.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tried {
    Done,
    /// The operation with this index cannot be.
    Blocked(usize),
    Refused(Errno),
}

/// Reads an array of struct sembuf.
pub(super) fn read_operations(address: u64, count: u64) -> Result<Vec<Operation>, Errno> {
    match count {
        0 => return Err(Errno::EINVAL),
        1..=OPERATIONS_MAX => {}
        _ => return Err(Errno::E2BIG),
    }
    let mut operations = Vec::new();
    let room = operations.try_reserve_exact(count as usize);
    room.map_err(|_| Errno::ENOMEM)?;
    for index in 0..count {
        let mut raw = [0; 6];
        user::copy_in(address.wrapping_add(6 * index), &mut raw)?;
        let [a, b, c, d, e, f] = raw;
        operations.push(Operation {
            number: u16::from_le_bytes([a, b]),
            change: i16::from_le_bytes([c, d]),
            flags: u16::from_le_bytes([e, f]),
        });
    }
    Ok(operations)
}

pub(super) fn alters(operations: &[Operation]) -> bool {
    operations.iter().any(|operation| operation.change != 0)
}

impl State {
    /// All operations or none.
    pub(super) fn attempt(&mut self, pid: u32, operations: &[Operation]) -> Tried {
        for (index, operation) in operations.iter().enumerate() {
            let refused = self.apply(pid, *operation);
            if refused == Tried::Done {
                continue;
            }
            for done in operations.iter().take(index) {
                self.revert(pid, *done);
            }
            return match refused {
                Tried::Blocked(_) if u32::from(operation.flags) & IPC_NOWAIT != 0 => {
                    Tried::Refused(Errno::EAGAIN)
                }
                Tried::Blocked(_) => Tried::Blocked(index),
                other => other,
            };
        }
        for operation in operations {
            if let Some((_, last)) = self.semaphores.get_mut(usize::from(operation.number)) {
                *last = pid;
            }
        }
        Tried::Done
    }

    fn apply(&mut self, pid: u32, operation: Operation) -> Tried {
        let number = usize::from(operation.number);
        let Some((value, _)) = self.semaphores.get_mut(number) else {
            return Tried::Refused(Errno::EFBIG);
        };
        let change = i32::from(operation.change);
        if change == 0 && *value != 0 || *value + change < 0 {
            return Tried::Blocked(0);
        }
        if *value + change > VALUE_MAX {
            return Tried::Refused(Errno::ERANGE);
        }
        if operation.flags & SEM_UNDO != 0
            && let Some(undo) = self.undo.get_mut(&pid).and_then(|all| all.get_mut(number))
        {
            if !(-VALUE_MAX - 1..=VALUE_MAX).contains(&(*undo - change)) {
                return Tried::Refused(Errno::ERANGE);
            }
            *undo -= change;
        }
        *value += change;
        Tried::Done
    }

    fn revert(&mut self, pid: u32, operation: Operation) {
        let number = usize::from(operation.number);
        let change = i32::from(operation.change);
        if let Some((value, _)) = self.semaphores.get_mut(number) {
            *value -= change;
        }
        if operation.flags & SEM_UNDO != 0
            && let Some(undo) = self.undo.get_mut(&pid).and_then(|all| all.get_mut(number))
        {
            *undo += change;
        }
    }

    /// Tries those who wait after a change, the first first: whether any is done.
    pub(super) fn update(&mut self) -> bool {
        let mut waiting = core::mem::take(&mut self.waiting);
        let mut is_any_done = false;
        let mut index = 0;
        while let Some(one) = waiting.get_mut(index) {
            let outcome = match self.attempt(one.pid, &one.operations) {
                Tried::Blocked(blocker) => {
                    one.blocker = blocker;
                    index += 1;
                    continue;
                }
                Tried::Done => Ok(0),
                Tried::Refused(errno) => Err(errno),
            };
            let one = waiting.remove(index);
            *one.outcome.lock() = Some(outcome);
            is_any_done = true;
            if alters(&one.operations) {
                index = 0;
            }
        }
        self.waiting = waiting;
        is_any_done
    }

    /// Those who wait for a semaphore to become zero, or to grow.
    pub(super) fn count_waiting(&self, number: usize, for_zero: bool) -> usize {
        let waits = |one: &&Waiting| {
            let blocker = one.operations.get(one.blocker);
            blocker.is_some_and(|operation| {
                usize::from(operation.number) == number && (operation.change == 0) == for_zero
            })
        };
        self.waiting.iter().filter(waits).count()
    }

    /// Does what a process that has ended asked for.
    pub(super) fn undo(&mut self, pid: u32) -> bool {
        let Some(undo) = self.undo.remove(&pid) else {
            return false;
        };
        for ((value, last), change) in self.semaphores.iter_mut().zip(undo) {
            if change != 0 {
                *value = (*value + change).clamp(0, VALUE_MAX);
                *last = pid;
            }
        }
        self.update()
    }

    /// Makes sure that operations of a process can be undone.
    pub(super) fn prepare_undo(&mut self, pid: u32) -> Result<(), Errno> {
        if self.undo.contains_key(&pid) {
            return Ok(());
        }
        let mut changes = Vec::new();
        let room = changes.try_reserve_exact(self.semaphores.len());
        room.map_err(|_| Errno::ENOMEM)?;
        changes.resize(self.semaphores.len(), 0);
        self.undo.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        self.undo.insert(pid, changes);
        UNDOING.fetch_add(1, SeqCst);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Errno, Operation, Outcome, SEM_UNDO, SeqCst, State, Tried, UNDOING, Waiting};

    fn state(values: &[i32]) -> State {
        State {
            semaphores: values.iter().map(|value| (*value, 0)).collect(),
            ..State::default()
        }
    }

    fn operation(number: u16, change: i16, flags: u16) -> Operation {
        Operation {
            number,
            change,
            flags,
        }
    }

    #[test]
    fn operations_are_done_all_or_none() {
        let mut state = state(&[1, 0]);
        let both = [operation(0, -1, 0), operation(1, -1, 0)];
        assert_eq!(state.attempt(7, &both), Tried::Blocked(1));
        assert_eq!(state.semaphores, [(1, 0), (0, 0)]);
        let other = [operation(0, -1, 0), operation(1, 0, 0)];
        assert_eq!(state.attempt(7, &other), Tried::Done);
        assert_eq!(state.semaphores, [(0, 7), (0, 7)]);
        let too_much = [operation(0, 32_767, 0), operation(0, 1, 0)];
        assert_eq!(state.attempt(7, &too_much), Tried::Refused(Errno::ERANGE));
    }

    #[test]
    fn an_end_undoes_what_was_asked_for() {
        let mut state = state(&[2]);
        state.prepare_undo(7).unwrap();
        let take = [operation(0, -2, SEM_UNDO)];
        assert_eq!(state.attempt(7, &take), Tried::Done);
        let outcome = Outcome::default();
        state.waiting.push(Waiting {
            pid: 9,
            operations: [operation(0, -1, 0)].to_vec(),
            blocker: 0,
            outcome: outcome.clone(),
        });
        assert_eq!(state.count_waiting(0, false), 1);
        assert!(state.undo(7));
        assert_eq!(*outcome.lock(), Some(Ok(0)));
        assert_eq!(state.waiting.len(), 0);
        assert_eq!(state.semaphores, [(1, 9)]);
        UNDOING.fetch_sub(1, SeqCst);
    }
}
