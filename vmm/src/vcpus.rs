//! The vCPUs of a guest as their threads see each other: who runs, who is
//! called, who has to forget translations.
//!
//! ```text
//! call:   calls |= EVENT_*, signal to the thread → KVM_RUN or ppoll returns
//! flush:  flush = true; in the guest? signal; wait until it left the guest or flushed
//! enter:  in_guest = true, then flush taken: whoever set it before sees in_guest,
//!         whoever sets it later is seen here (both sequentially consistent)
//! ```

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

use unikiln_abi::call::EVENT_KICK;

use crate::events::signal_thread;

/// Spins before the waiter of a flush gives its CPU to the thread it waits for.
const SPINS_MAX: u32 = 200;

/// What the threads know of one vCPU.
#[derive(Debug, Default)]
struct Slot {
    /// Host thread; 0 before its start and after its end.
    thread: AtomicI32,
    started: AtomicBool,
    in_guest: AtomicBool,
    /// `EVENT_*` bits that others called it for.
    calls: AtomicU64,
    flush: AtomicBool,
}

/// See the module documentation.
#[derive(Debug)]
pub struct Vcpus {
    slots: Vec<Slot>,
    ending: AtomicBool,
}

impl Vcpus {
    /// Room for `count` vCPUs, none of them started.
    pub fn new(count: u32) -> Self {
        Self {
            slots: (0..count).map(|_| Slot::default()).collect(),
            ending: AtomicBool::new(false),
        }
    }

    /// Claims an index for a start; false where it was started before or there is none.
    pub fn claim(&self, index: usize) -> bool {
        self.slots
            .get(index)
            .is_some_and(|slot| !slot.started.swap(true, Ordering::SeqCst))
    }

    /// Gives a claimed index back: its start failed.
    pub fn unclaim(&self, index: usize) {
        if let Some(slot) = self.slots.get(index) {
            slot.started.store(false, Ordering::SeqCst);
        }
    }

    /// Whether there is room for this index.
    pub fn has(&self, index: usize) -> bool {
        index < self.slots.len()
    }

    /// The calling thread runs this vCPU from now on.
    pub fn attach(&self, index: usize) {
        if let Some(slot) = self.slots.get(index) {
            slot.thread
                .store(crate::events::thread_id(), Ordering::SeqCst);
        }
    }

    /// The calling thread is about to end.
    pub fn detach(&self, index: usize) {
        if let Some(slot) = self.slots.get(index) {
            slot.thread.store(0, Ordering::SeqCst);
            slot.in_guest.store(false, Ordering::SeqCst);
        }
    }

    /// Guest code runs from here on; true where translations must be flushed first.
    pub fn enter(&self, index: usize) -> bool {
        let Some(slot) = self.slots.get(index) else {
            return false;
        };
        slot.in_guest.store(true, Ordering::SeqCst);
        slot.flush.load(Ordering::SeqCst) && slot.flush.swap(false, Ordering::SeqCst)
    }

    /// No guest code runs any more.
    pub fn leave(&self, index: usize) {
        if let Some(slot) = self.slots.get(index) {
            slot.in_guest.store(false, Ordering::SeqCst);
        }
    }

    /// Calls every vCPU of `mask` for an `EVENT_*`; whether one of them did not
    /// know of a call yet.
    pub fn call(&self, mask: u64, event: u64) -> bool {
        let mut is_new = false;
        for slot in self.named(mask) {
            if slot.calls.fetch_or(event, Ordering::SeqCst) == 0 {
                slot.signal();
                is_new = true;
            }
        }
        is_new
    }

    /// Whether this vCPU was called and has not noticed.
    pub fn is_called(&self, index: usize) -> bool {
        self.slots
            .get(index)
            .is_some_and(|slot| slot.calls.load(Ordering::SeqCst) != 0)
    }

    /// This vCPU noticed: what it was called for.
    pub fn take_calls(&self, index: usize) -> u64 {
        self.slots
            .get(index)
            .map_or(0, |slot| slot.calls.swap(0, Ordering::SeqCst))
    }

    /// Returns when no vCPU of `mask` but `own` runs with translations that it
    /// had when the call began.
    pub fn flush(&self, mask: u64, own: usize) {
        let mask = mask & !1u64.checked_shl(own as u32).unwrap_or(0);
        for slot in self.named(mask) {
            slot.flush.store(true, Ordering::SeqCst);
            if slot.in_guest.load(Ordering::SeqCst) {
                slot.signal();
            }
        }
        for slot in self.named(mask) {
            let mut spins = 0;
            while slot.flush.load(Ordering::SeqCst)
                && slot.in_guest.load(Ordering::SeqCst)
                && !self.is_ending()
            {
                spins += 1;
                if spins < SPINS_MAX {
                    std::hint::spin_loop();
                } else {
                    std::thread::yield_now();
                }
            }
        }
    }

    /// The guest has ended: every thread leaves it.
    pub fn end(&self) {
        self.ending.store(true, Ordering::SeqCst);
        self.call(u64::MAX, EVENT_KICK);
    }

    /// Whether the guest has ended.
    pub fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    /// Threads that have not ended.
    pub fn running(&self) -> usize {
        let is_running = |slot: &&Slot| slot.thread.load(Ordering::SeqCst) != 0;
        self.slots.iter().filter(is_running).count()
    }

    fn named(&self, mask: u64) -> impl Iterator<Item = &Slot> {
        self.slots
            .iter()
            .take(64)
            .enumerate()
            .filter(move |(index, _)| mask >> index & 1 != 0)
            .map(|(_, slot)| slot)
    }
}

impl Slot {
    fn signal(&self) {
        let thread = self.thread.load(Ordering::SeqCst);
        if thread != 0 {
            signal_thread(thread);
        }
    }
}

#[cfg(test)]
mod tests {
    use unikiln_abi::call::EVENT_SOCKET;

    use super::*;

    #[test]
    fn a_flush_is_taken_at_the_next_entry() {
        let vcpus = Vcpus::new(2);
        // Not in the guest: the call does not wait.
        vcpus.flush(0b11, 0);
        assert!(!vcpus.enter(0), "nobody flushes its caller");
        assert!(vcpus.enter(1));
        vcpus.leave(1);
        assert!(!vcpus.enter(1));
    }

    #[test]
    fn a_flush_waits_for_who_is_in_the_guest() {
        let vcpus = Vcpus::new(2);
        vcpus.enter(1);
        std::thread::scope(|scope| {
            let flush = scope.spawn(|| vcpus.flush(0b10, 0));
            std::thread::sleep(std::time::Duration::from_millis(20));
            assert!(!flush.is_finished());
            vcpus.leave(1);
        });
        assert!(vcpus.enter(1));
    }

    #[test]
    fn indices_are_started_once() {
        let vcpus = Vcpus::new(2);
        assert!(vcpus.claim(1) && !vcpus.claim(1) && !vcpus.claim(2));
        vcpus.unclaim(1);
        assert!(vcpus.claim(1));
        assert!(!vcpus.has(2));
    }

    #[test]
    fn calls_are_noticed_once_and_by_kind() {
        let vcpus = Vcpus::new(1);
        assert!(vcpus.call(u64::MAX, EVENT_KICK));
        assert!(!vcpus.call(1, EVENT_SOCKET));
        assert!(vcpus.is_called(0));
        assert_eq!(vcpus.take_calls(0), EVENT_KICK | EVENT_SOCKET);
        assert_eq!(vcpus.take_calls(0), 0);
        assert!(!vcpus.call(2, EVENT_KICK), "there is no such vCPU");
    }
}
