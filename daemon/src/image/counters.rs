//! What was pulled and converted since the daemon's start, for metrics.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Sums since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Pulls that gave an image.
    pub pulls: u64,
    /// Pulls that did not.
    pub pull_failures: u64,
    /// Time of both.
    pub pull_time: Duration,
    /// Unikernels made.
    pub conversions: u64,
    /// Unikernels that could not be made.
    pub conversion_failures: u64,
    /// Time of both.
    pub conversion_time: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Totals {
    counters: Mutex<Counters>,
}

impl Totals {
    pub(super) fn now(&self) -> Counters {
        *self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn pulled(&self, is_done: bool, time: Duration) {
        self.change(|counters| {
            counters.pulls += u64::from(is_done);
            counters.pull_failures += u64::from(!is_done);
            counters.pull_time += time;
        });
    }

    pub(super) fn converted(&self, is_done: bool, time: Duration) {
        self.change(|counters| {
            counters.conversions += u64::from(is_done);
            counters.conversion_failures += u64::from(!is_done);
            counters.conversion_time += time;
        });
    }

    fn change(&self, change: impl FnOnce(&mut Counters)) {
        change(&mut self.counters.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
