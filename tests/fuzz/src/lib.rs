//! Feeds what reads untrusted input with damaged input: no panic, no endless
//! loop, no memory without bound, and the promises that `unikiln_builder::fuzz`
//! checks.
//!
//! ```text
//! targets/NAME.rs: seeds ─► mutate.rs, then mended so that it gets far ─► run
//!                           regressions/NAME/: what once failed ──────────┘
//! ```
//!
//! The same targets run in two ways: `main.rs` under libFuzzer, led by coverage,
//! for as long as `run` says; `tests/replay.rs` with `cargo test`, all seeds and
//! regressions and a short while of blind mutation.
//!
//! | module | what it owns |
//! |---|---|
//! | [`targets`] | one target for each reader |
//! | [`mutate`] | random numbers, and mutation of bytes and of JSON |
//! | [`memory`] | the bound on memory |

pub mod memory;
pub mod mutate;
pub mod targets;

pub use mutate::Random;

/// One reader of untrusted input.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, and that of its directory of regressions.
    pub name: &'static str,
    /// Most bytes of an input.
    pub max_bytes: usize,
    /// Reads an input; panics where a promise is broken.
    pub run: fn(&[u8]),
    /// Makes an input that was mutated blindly get further: checksums, structure.
    pub mend: fn(&mut Vec<u8>, &mut Random),
    /// Inputs as they should be.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: [Target; 6] = [
    targets::reference::TARGET,
    targets::documents::TARGET,
    targets::layer::TARGET,
    targets::program::TARGET,
    targets::erofs::TARGET,
    targets::unikernel::TARGET,
];

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}
