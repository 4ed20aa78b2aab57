//! All seeds and regressions once, and a while of blind mutation: one second for
//! each target, or `UNIKILN_FUZZ_BLIND_SECONDS`. `run` is the thorough way.
//!
//! A failure prints the seed of its round; `UNIKILN_FUZZ_SEED=N` starts with it.

use std::env;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use unikiln_fuzz::{Random, Target, memory, mutate};

/// Longest that one input may take. Machines are slow at times.
const INPUT_MAX: Duration = Duration::from_secs(10);

fn setting(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().expect(name))
}

fn run(target: Target, input: &[u8], what: &str) {
    let start = Instant::now();
    let ended = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    assert!(ended.is_ok(), "{} fails at {what}", target.name);
    let took = start.elapsed();
    assert!(took < INPUT_MAX, "{} takes {took:?} at {what}", target.name);
}

fn replay(name: &str) {
    let target = unikiln_fuzz::target(name).expect("a target");
    let seeds = (target.seeds)();
    for (number, seed) in seeds.iter().enumerate() {
        assert!(
            seed.len() <= target.max_bytes,
            "seed {number} has {} bytes",
            seed.len()
        );
        run(target, seed, &format!("seed {number}"));
    }
    let regressions = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("regressions")
        .join(name);
    if regressions.exists() {
        for entry in fs::read_dir(regressions).expect("regressions") {
            let path = entry.expect("entry").path();
            run(
                target,
                &fs::read(&path).expect("input"),
                &path.display().to_string(),
            );
        }
    }
    let end =
        Instant::now() + Duration::from_secs(setting("UNIKILN_FUZZ_BLIND_SECONDS").unwrap_or(1));
    let mut round = setting("UNIKILN_FUZZ_SEED").unwrap_or(1);
    let before = memory::allocated_bytes();
    while Instant::now() < end {
        let mut random = Random::new(round);
        let mut input = random.one(&seeds).clone();
        mutate::bytes(&mut input, target.max_bytes, &mut random);
        (target.mend)(&mut input, &mut random);
        input.truncate(target.max_bytes);
        run(target, &input, &format!("UNIKILN_FUZZ_SEED={round}"));
        round += 1;
    }
    let kept = memory::allocated_bytes().saturating_sub(before);
    // Other targets run beside this one.
    assert!(
        kept < memory::ALL_MAX_BYTES / 2,
        "{name} keeps {kept} bytes"
    );
}

macro_rules! replays {
    ($($name:ident),*) => {
        $(
            #[test]
            fn $name() {
                replay(stringify!($name));
            }
        )*

        #[test]
        fn every_target_is_here() {
            let names: Vec<_> = unikiln_fuzz::TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

replays!(reference, documents, layer, program, erofs, unikernel);
