//! The monitor: boots one unikernel file under KVM and serves its hypercalls.
//!
//! ```text
//! Config ─ boot ─> Machine ─ run ─> Outcome
//!           │         │
//!           │         └─ vcpu.run → exit::decide → hypercall::dispatch | fault → record
//!           └─ unikernel file → loader (page tables, descriptors, boot information) → vm, vcpu
//! ```
//!
//! | module | what it owns |
//! |---|---|
//! | [`config`], [`outcome`] | what goes in, what comes out |
//! | [`spec`], [`container`], [`control`] | one container of the daemon: its file, its run, its socket |
//! | [`refusal`] | what is not started at all |
//! | [`machine`] | the construction of a guest, the run loop |
//! | [`layout`], [`memory`], [`rootfs`] | guest-physical space |
//! | [`loader`], [`pagetable`], [`descriptor`], [`program`] | the guest's first state |
//! | [`vm`], [`vcpu`], [`cpuid`] | KVM |
//! | [`vcpus`] | how vCPU threads call each other |
//! | [`exit`], [`fault`], [`record`] | exits, faults and their record |
//! | [`hypercall`] | one file per call |
//! | [`net`] | the guest's sockets |
//! | [`events`], [`alarm`], [`clock`] | signals, timers, time |
//! | [`volume`] | files of the host that the guest may use |
//! | [`log`], [`stats`], [`strace`] | what a user sees |
//!
//! Nothing here panics on what a guest or a file does: see [`fault`].

#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod alarm;
pub mod clock;
pub mod config;
pub mod container;
pub mod control;
pub mod cpuid;
pub mod descriptor;
pub mod error;
pub mod events;
pub mod exit;
pub mod fault;
pub mod hypercall;
pub mod layout;
pub mod loader;
pub mod log;
pub mod machine;
pub mod memory;
pub mod net;
pub mod outcome;
pub mod pagetable;
pub mod program;
pub mod record;
pub mod refusal;
pub mod rootfs;
pub mod spec;
pub mod stats;
pub mod strace;
pub mod vcpu;
pub mod vcpus;
pub mod vm;
pub mod volume;

pub use config::Config;
pub use error::Error;
pub use hypercall::{OnStart, Stdin};
pub use log::{LogFormat, LogTarget};
pub use outcome::{ExitReason, Outcome};
pub use stats::{Stats, StatsFormat};
pub use volume::Mount;

/// Boots a unikernel file and runs it to its end.
pub fn run(config: Config) -> Result<Outcome, Error> {
    machine::Machine::boot(config)?.run()
}
