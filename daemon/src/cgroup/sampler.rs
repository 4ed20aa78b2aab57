//! Rates: how many CPUs something used, from its last two readings.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// A shorter interval says more about the clock than about the CPU.
const INTERVAL_MIN_NS: i64 = 100_000_000;

#[derive(Clone, Copy, Debug)]
struct Sample {
    timestamp_ns: i64,
    usage_ns: u64,
    nano_cores: Option<u64>,
}

/// The last reading of each id.
#[derive(Debug, Default)]
pub struct Sampler(Mutex<HashMap<String, Sample>>);

impl Sampler {
    /// Takes a reading and gives billionths of a CPU since the one before; none for the first
    /// one and after a counter that began anew. Readings in quick succession give the same rate.
    pub fn nano_cores(&self, id: &str, timestamp_ns: i64, usage_ns: u64) -> Option<u64> {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sample = Sample {
            timestamp_ns,
            usage_ns,
            nano_cores: None,
        };
        let Some(last) = samples.get_mut(id) else {
            samples.insert(id.to_owned(), sample);
            return None;
        };
        let interval_ns = timestamp_ns.saturating_sub(last.timestamp_ns);
        if (0..INTERVAL_MIN_NS).contains(&interval_ns) && usage_ns >= last.usage_ns {
            return last.nano_cores;
        }
        let interval_ns = u128::try_from(interval_ns).ok();
        let used_ns = usage_ns.checked_sub(last.usage_ns);
        // Neither the clock nor the counter went back.
        let nano_cores = interval_ns.zip(used_ns).and_then(|(interval, used)| {
            u64::try_from(u128::from(used) * 1_000_000_000 / interval.max(1)).ok()
        });
        *last = Sample {
            nano_cores,
            ..sample
        };
        nano_cores
    }

    /// Forgets an id that is gone.
    pub fn forget(&self, id: &str) {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        samples.remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn two_readings_make_a_rate() {
        let sampler = Sampler::default();
        assert_eq!(sampler.nano_cores("a", SECOND, 5_000), None);
        let half = sampler.nano_cores("a", 3 * SECOND, 1_000_005_000);
        assert_eq!(half, Some(500_000_000));
        assert_eq!(sampler.nano_cores("b", 3 * SECOND, 7), None, "another id");
        let soon = sampler.nano_cores("a", 3 * SECOND + 1, 1_000_006_000);
        assert_eq!(soon, half, "too soon for a new rate");
        let idle = sampler.nano_cores("a", 5 * SECOND, 1_000_005_000);
        assert_eq!(idle, Some(0), "counted from the last rate");
    }

    #[test]
    fn what_goes_back_has_no_rate() {
        let sampler = Sampler::default();
        sampler.nano_cores("a", 2 * SECOND, 1_000);
        assert_eq!(sampler.nano_cores("a", 3 * SECOND, 10), None, "counter");
        assert_eq!(sampler.nano_cores("a", SECOND, 20), None, "clock");
        assert_eq!(sampler.nano_cores("a", 2 * SECOND, 30), Some(10));
        sampler.forget("a");
        assert_eq!(sampler.nano_cores("a", 3 * SECOND, 40), None);
        let most = sampler.nano_cores("a", 4 * SECOND, u64::MAX);
        assert_eq!(most, Some(u64::MAX - 40));
    }
}
