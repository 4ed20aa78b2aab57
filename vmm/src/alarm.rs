//! What the timer of one vCPU thread is set for: the earliest of four times.
//!
//! | time | set by | ends in |
//! |---|---|---|
//! | deadline, tick | the guest (`TIMER`) | an upcall, or the end of its wait |
//! | retry | an upcall that found the vCPU inside the libOS | another try |
//! | clock | every expiry | a renewal of the shared page while the guest computes |
//!
//! All times are the guest's CLOCK_MONOTONIC, in ns. Pure bookkeeping: whoever
//! changes it sets the host's timer to [`Alarm::next_ns`].

use crate::clock::TIMER_NS;

const NEVER: u64 = u64::MAX;
const RETRY_FIRST_NS: u64 = 100_000;
const RETRY_MAX_NS: u64 = 64_000_000;
/// Ticks come at most this often.
const PERIOD_MIN_NS: u64 = 500_000;

/// See the module documentation.
#[derive(Debug)]
pub struct Alarm {
    deadline_ns: u64,
    tick_ns: u64,
    period_ns: u64,
    retry_ns: u64,
    retry_delay_ns: u64,
    clock_ns: u64,
    /// A time of the guest's has come and the guest does not know.
    is_due: bool,
    /// Changed since the host's timer was set.
    is_changed: bool,
}

impl Alarm {
    /// The clock's renewal alone.
    pub fn new(now_ns: u64) -> Self {
        Self {
            deadline_ns: NEVER,
            tick_ns: NEVER,
            period_ns: 0,
            retry_ns: NEVER,
            retry_delay_ns: RETRY_FIRST_NS,
            clock_ns: now_ns.saturating_add(TIMER_NS),
            is_due: false,
            is_changed: true,
        }
    }

    /// What the guest asks for; a period of 0 is none.
    pub fn set_guest(&mut self, now_ns: u64, deadline_ns: u64, period_ns: u64) {
        self.deadline_ns = deadline_ns;
        let period_ns = match period_ns {
            0 => 0,
            period => period.max(PERIOD_MIN_NS),
        };
        if period_ns != self.period_ns || self.tick_ns == NEVER {
            self.tick_ns = match period_ns {
                0 => NEVER,
                period => now_ns.saturating_add(period),
            };
        }
        self.period_ns = period_ns;
        self.is_due = false;
        self.is_changed = true;
    }

    /// The host's timer may have ended, and early at that: the guest's clock does
    /// not run exactly as fast as the host's. It is set again whatever has come.
    pub fn interrupted(&mut self) {
        self.is_changed = true;
    }

    /// Notes which times have come; whether one of them is the guest's.
    pub fn is_due(&mut self, now_ns: u64) -> bool {
        if self.deadline_ns <= now_ns {
            (self.deadline_ns, self.is_due, self.is_changed) = (NEVER, true, true);
        }
        if self.tick_ns <= now_ns {
            self.tick_ns = now_ns.saturating_add(self.period_ns);
            (self.is_due, self.is_changed) = (true, true);
        }
        if self.clock_ns <= now_ns {
            self.clock_ns = now_ns.saturating_add(TIMER_NS);
            self.is_changed = true;
        }
        self.is_due
    }

    /// The same; the guest knows afterwards.
    pub fn take_due(&mut self, now_ns: u64) -> bool {
        let due = self.is_due(now_ns);
        self.is_due = false;
        due
    }

    /// The upcall was delivered, or there is none to deliver.
    pub fn delivered(&mut self) {
        self.is_changed |= self.retry_ns != NEVER;
        (self.retry_ns, self.retry_delay_ns) = (NEVER, RETRY_FIRST_NS);
        self.is_due = false;
    }

    /// The vCPU was inside the libOS: try again, later each time.
    pub fn retry(&mut self, now_ns: u64) {
        self.retry_ns = now_ns.saturating_add(self.retry_delay_ns);
        self.retry_delay_ns = (self.retry_delay_ns * 2).min(RETRY_MAX_NS);
        self.is_changed = true;
    }

    /// Time until the guest's next; `u64::MAX` for none.
    pub fn guest_left_ns(&self, now_ns: u64) -> u64 {
        match self.deadline_ns.min(self.tick_ns) {
            NEVER => NEVER,
            next => next.saturating_sub(now_ns),
        }
    }

    /// Time until the earliest of all, where it changed since the last call.
    pub fn changed_left_ns(&mut self, now_ns: u64) -> Option<u64> {
        if !std::mem::take(&mut self.is_changed) {
            return None;
        }
        let next_ns = self
            .deadline_ns
            .min(self.tick_ns)
            .min(self.retry_ns)
            .min(self.clock_ns);
        // A timer of zero would be none at all.
        Some(next_ns.saturating_sub(now_ns).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_time_is_waited_for() {
        let mut alarm = Alarm::new(0);
        assert_eq!(alarm.changed_left_ns(0), Some(TIMER_NS));
        assert_eq!(alarm.changed_left_ns(0), None);
        alarm.set_guest(100, 5_000_100, 2_000_000);
        assert_eq!(alarm.changed_left_ns(100), Some(2_000_000));
        assert!(!alarm.is_due(1_000_000) && alarm.is_due(2_000_100));
        assert!(alarm.take_due(2_000_101) && !alarm.take_due(2_000_102));
        assert_eq!(alarm.guest_left_ns(4_000_000), 100);
        assert!(alarm.take_due(5_000_100));
        alarm.set_guest(6_000_000, NEVER, 0);
        assert!(!alarm.take_due(TIMER_NS - 1));
    }

    #[test]
    fn a_timer_that_ended_early_is_set_again() {
        let mut alarm = Alarm::new(0);
        alarm.set_guest(0, 10_000_000, 0);
        assert_eq!(alarm.changed_left_ns(0), Some(10_000_000));
        alarm.interrupted();
        assert!(!alarm.is_due(9_999_500));
        alarm.delivered();
        assert_eq!(alarm.changed_left_ns(9_999_500), Some(500));
    }

    #[test]
    fn retries_come_slower_until_one_is_delivered() {
        let mut alarm = Alarm::new(0);
        let _ = alarm.changed_left_ns(0);
        for delay in [RETRY_FIRST_NS, 2 * RETRY_FIRST_NS] {
            alarm.retry(0);
            assert_eq!(alarm.changed_left_ns(0), Some(delay));
        }
        alarm.delivered();
        assert_eq!(alarm.changed_left_ns(0), Some(TIMER_NS));
        alarm.retry(0);
        assert_eq!(alarm.changed_left_ns(0), Some(RETRY_FIRST_NS));
    }
}
