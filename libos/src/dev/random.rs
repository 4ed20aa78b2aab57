//! The random number generator: ChaCha20, seeded by the monitor.
//!
//! The key is replaced after every request by output that nobody saw, so that
//! what was given out cannot be computed from a later state.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use spin::Mutex;

use crate::hypercall;

static GENERATOR: Mutex<Option<ChaCha20Rng>> = Mutex::new(None);

/// Seeds the generator with the boot entropy. Without it the first request asks the monitor.
pub fn seed(entropy: &[u8; 32]) {
    *GENERATOR.lock() = Some(ChaCha20Rng::from_seed(*entropy));
}

/// A random number below `limit`; for layouts, where a slight bias is no matter.
pub fn below(limit: u64) -> u64 {
    number() % limit.max(1)
}

/// Any number.
pub fn number() -> u64 {
    let mut bytes = [0; 8];
    fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// Fills `buffer` with random bytes.
pub fn fill(buffer: &mut [u8]) {
    let mut generator = GENERATOR.lock();
    let rng = generator.get_or_insert_with(|| {
        let mut entropy = [0; 32];
        hypercall::entropy(&mut entropy);
        ChaCha20Rng::from_seed(entropy)
    });
    rng.fill_bytes(buffer);
    let mut next = [0; 32];
    rng.fill_bytes(&mut next);
    *rng = ChaCha20Rng::from_seed(next);
}
