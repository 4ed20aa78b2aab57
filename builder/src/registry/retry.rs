//! How often and how long a request is tried: each wait about twice the last
//! one, spread by chance so that many clients do not come back at once, and as
//! long as the registry asks for where it does.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// Attempts in a row without a byte of progress.
const ATTEMPTS_MAX: u32 = 5;
/// Attempts in all: a registry that gives a byte at a time is no registry.
const TOTAL_MAX: u32 = 100;
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// Longer than this nobody waits for a busy registry.
pub(super) const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// Counts attempts and waits between them.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failed: u32,
    total: u32,
}

impl Backoff {
    /// Something got through: the count begins again.
    pub(super) fn reset(&mut self) {
        self.failed = 0;
    }

    /// Waits before the next attempt; false where there is none.
    pub(super) async fn wait(&mut self, asked: Option<Duration>) -> bool {
        self.failed += 1;
        self.total += 1;
        if self.failed >= ATTEMPTS_MAX || self.total >= TOTAL_MAX {
            return false;
        }
        let wait = asked.unwrap_or_else(|| pause(self.failed, chance()));
        tokio::time::sleep(wait).await;
        true
    }
}

/// Between half of and the whole of what the count says.
fn pause(failed: u32, chance: u64) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1 << failed.saturating_sub(1).min(16));
    let longest = doubled.min(LONGEST_WAIT).as_millis() as u64;
    Duration::from_millis(longest / 2 + chance % (longest / 2 + 1))
}

/// The standard library's hash seeds are random enough to spread clients.
fn chance() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{LONGEST_WAIT, pause};

    #[test]
    fn waits_grow_within_bounds() {
        for failed in 1..100 {
            for chance in [0, 1, 12_345, u64::MAX] {
                let wait = pause(failed, chance);
                assert!(wait >= Duration::from_millis(125) && wait <= LONGEST_WAIT);
            }
        }
        assert!(pause(3, u64::MAX - 1) > pause(1, 0));
    }
}
