//! The loop that is led by coverage: libFuzzer on the target that
//! `UNIKILN_FUZZ_TARGET` names. `run` builds and starts it.
//!
//! `unikiln-fuzz` with `UNIKILN_FUZZ_SEEDS=DIR` writes the seeds there and ends.

#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use unikiln_fuzz::{Random, Target};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("UNIKILN_FUZZ_TARGET").expect("UNIKILN_FUZZ_TARGET names a target");
    unikiln_fuzz::target(&name).expect("a target of this name")
});

fuzz_target!(
    init: {
        if let Some(directory) = std::env::var_os("UNIKILN_FUZZ_SEEDS").map(PathBuf::from) {
            for (number, seed) in (TARGET.seeds)().iter().enumerate() {
                std::fs::write(directory.join(format!("seed-{number}")), seed).expect("write");
            }
            std::process::exit(0);
        }
    },
    |input: &[u8]| {
        if input.len() <= TARGET.max_bytes {
            (TARGET.run)(input);
        }
    }
);

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let size = fuzzer_mutate(data, size, max_size);
    let mut input = data[..size].to_vec();
    (TARGET.mend)(&mut input, &mut Random::new(seed.into()));
    let size = input.len().min(max_size);
    data[..size].copy_from_slice(&input[..size]);
    size
});
