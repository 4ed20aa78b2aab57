//! What a thread counts of itself, as getrusage(2) shows it.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters of a thread.
#[derive(Debug, Default)]
pub struct Counts {
    faults: AtomicU64,
    waits: AtomicU64,
    preemptions: AtomicU64,
}

/// Values of [`Counts`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Page faults that were served.
    pub faults: u64,
    /// Times that it gave its vCPU away to wait.
    pub waits: u64,
    /// Times that it gave its vCPU away although it could have gone on.
    pub preemptions: u64,
}

/// What a process has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Faults and switches.
    pub own: Counted,
    /// CPU time.
    pub cpu_ns: u64,
}

/// The sum of what several used.
#[derive(Debug, Default)]
pub struct Sum {
    counts: Counts,
    cpu_ns: AtomicU64,
}

impl Sum {
    /// Nothing yet.
    pub const fn new() -> Sum {
        Sum {
            counts: Counts::new(),
            cpu_ns: AtomicU64::new(0),
        }
    }

    /// The sum now.
    pub fn get(&self) -> Used {
        Used {
            own: self.counts.get(),
            cpu_ns: self.cpu_ns.load(Relaxed),
        }
    }

    /// Adds what one used.
    pub fn add(&self, used: Used) {
        self.counts.add(used.own);
        self.cpu_ns.fetch_add(used.cpu_ns, Relaxed);
    }

    /// Begins anew.
    pub fn clear(&self) {
        self.counts.clear();
        self.cpu_ns.store(0, Relaxed);
    }
}

impl Counts {
    /// Nothing yet.
    pub const fn new() -> Counts {
        Counts {
            faults: AtomicU64::new(0),
            waits: AtomicU64::new(0),
            preemptions: AtomicU64::new(0),
        }
    }

    /// A page fault was served.
    pub fn note_fault(&self) {
        self.faults.fetch_add(1, Relaxed);
    }

    /// It gives its vCPU away.
    pub fn note_switch(&self, waits: bool) {
        let counter = if waits {
            &self.waits
        } else {
            &self.preemptions
        };
        counter.fetch_add(1, Relaxed);
    }

    /// The values now.
    pub fn get(&self) -> Counted {
        Counted {
            faults: self.faults.load(Relaxed),
            waits: self.waits.load(Relaxed),
            preemptions: self.preemptions.load(Relaxed),
        }
    }

    /// Adds what another one counted.
    pub fn add(&self, more: Counted) {
        self.faults.fetch_add(more.faults, Relaxed);
        self.waits.fetch_add(more.waits, Relaxed);
        self.preemptions.fetch_add(more.preemptions, Relaxed);
    }

    /// Begins anew.
    pub fn clear(&self) {
        for counter in [&self.faults, &self.waits, &self.preemptions] {
            counter.store(0, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up() {
        let (ended, own) = (Counts::new(), Counts::new());
        own.note_fault();
        own.note_switch(true);
        own.note_switch(false);
        own.note_switch(false);
        ended.add(own.get());
        ended.add(own.get());
        own.clear();
        let expected = Counted {
            faults: 2,
            waits: 2,
            preemptions: 4,
        };
        assert_eq!((ended.get(), own.get()), (expected, Counted::default()));
    }
}
