//! The last system calls of a thread, for the crash record.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use alloc::vec::Vec;

/// Calls kept.
const KEPT: usize = 64;
/// Result of a call that has not returned.
const PENDING: u64 = 0x8000_0000_0000_0000;

/// A ring of calls. Only the thread itself writes; a crash reads.
pub struct Recent {
    next: AtomicUsize,
    calls: [Slot; KEPT],
}

struct Slot {
    words: [AtomicU64; 8],
}

impl Slot {
    fn call(&self) -> Call {
        let result = self.words[7].load(Relaxed);
        Call {
            number: self.words[0].load(Relaxed),
            args: core::array::from_fn(|i| self.words[i + 1].load(Relaxed)),
            result: (result != PENDING).then_some(result),
        }
    }
}

/// One call as kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Linux number.
    pub number: u64,
    /// Argument words.
    pub args: [u64; 6],
    /// RAX afterwards; none while it runs.
    pub result: Option<u64>,
}

impl Default for Recent {
    fn default() -> Self {
        Self::new()
    }
}

impl Recent {
    /// No calls.
    pub const fn new() -> Recent {
        Recent {
            next: AtomicUsize::new(0),
            calls: [const {
                Slot {
                    words: [const { AtomicU64::new(0) }; 8],
                }
            }; KEPT],
        }
    }

    /// Forgets all calls.
    pub fn clear(&self) {
        self.next.store(0, Relaxed);
    }

    /// A call begins: its slot, for [`Recent::finish`].
    #[inline]
    pub fn begin(&self, number: u64, args: &[u64; 6]) -> usize {
        let next = self.next.load(Relaxed);
        self.next.store(next.wrapping_add(1), Relaxed);
        let words = &self.calls[next % KEPT].words;
        words[0].store(number, Relaxed);
        for (word, value) in words[1..7].iter().zip(args) {
            word.store(*value, Relaxed);
        }
        words[7].store(PENDING, Relaxed);
        next % KEPT
    }

    /// The call in `slot` returned.
    #[inline]
    pub fn finish(&self, slot: usize, result: u64) {
        self.calls[slot % KEPT].words[7].store(result, Relaxed);
    }

    /// The kept calls, oldest first.
    pub fn list(&self) -> Vec<Call> {
        let next = self.next.load(Relaxed);
        let kept = next.saturating_sub(KEPT)..next;
        kept.map(|at| self.calls[at % KEPT].call()).collect()
    }

    /// The number of calls, while one of them runs.
    pub fn running(&self) -> Option<u64> {
        let next = self.next.load(Relaxed);
        let last = &self.calls[next.checked_sub(1)? % KEPT];
        (last.words[7].load(Relaxed) == PENDING).then_some(next as u64)
    }

    /// The call that has not returned, if the thread is in one.
    pub fn current(&self) -> Option<Call> {
        let last = self.next.load(Relaxed).checked_sub(1)?;
        Some(self.calls[last % KEPT].call()).filter(|call| call.result.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_calls_are_kept_in_order() {
        let recent = Recent::new();
        for number in 0..70 {
            let slot = recent.begin(number, &[number; 6]);
            if number != 69 {
                recent.finish(slot, number * 2);
            }
        }
        assert_eq!(recent.current().map(|call| call.number), Some(69));
        let list = recent.list();
        assert_eq!(list.len(), KEPT);
        assert_eq!(list[0].number, 6);
        assert_eq!(list[0].result, Some(12));
        assert_eq!(
            list[63],
            Call {
                number: 69,
                args: [69; 6],
                result: None
            }
        );
    }
}
