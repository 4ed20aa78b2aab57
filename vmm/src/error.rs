//! Why a guest could not be started or served: the monitor's own failures, exit code 125,
//! and programs of which it is known that they cannot run.

use std::io;

use unikiln_unikernel::OpenError;

use crate::cpuid::MissingFeature;
use crate::events::EventsError;
use crate::layout::LayoutError;
use crate::loader::LoadError;
use crate::log::LogError;
use crate::memory::MemoryError;
use crate::net::{NamespaceError, PortError};
use crate::program::ProgramError;
use crate::refusal::Refusal;
use crate::rootfs::RootfsError;
use crate::vcpu::VcpuError;
use crate::vm::VmError;
use crate::volume::VolumeError;

/// See the module documentation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The unikernel file was refused.
    #[error(transparent)]
    Unikernel(#[from] OpenError),
    /// The program to run is not clear.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The builder has seen that the program cannot run; the log says it, too.
    #[error("{}", refusal.summary)]
    CannotRun {
        /// Why, and the exit code.
        refusal: Refusal,
    },
    /// The memory limit is below what the unikernel needs.
    #[error("{} MiB of memory are too little for this unikernel; give it at least {} MiB (--memory {}M)", limit_bytes >> 20, mebibytes_up(*needed_bytes), mebibytes_up(*needed_bytes))]
    MemoryTooSmall {
        /// Memory limit.
        limit_bytes: u64,
        /// What the unikernel needs.
        needed_bytes: u64,
    },
    /// A number of vCPUs that there cannot be.
    #[error(
        "a guest cannot have {cpus} CPUs; give it 1 to {} (--cpus N)",
        unikiln_abi::VCPUS_MAX
    )]
    Cpus {
        /// As asked for.
        cpus: u32,
    },
    /// More supplementary groups than there can be.
    #[error(
        "a program cannot be in {count} groups; {} are the most",
        unikiln_abi::boot::GROUPS_MAX
    )]
    TooManyGroups {
        /// As asked for, with the image's.
        count: usize,
    },
    /// Ports that cannot be published together.
    #[error(transparent)]
    Ports(#[from] PortError),
    /// The network namespace could not be joined.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// The log could not be opened.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A volume could not be used.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// Standard input could not be used.
    #[error("cannot use standard input; redirect it from /dev/null or leave -i out")]
    Stdin(#[source] io::Error),
    /// KVM is missing or refused something.
    #[error(transparent)]
    Vm(#[from] VmError),
    /// The CPU lacks a feature.
    #[error(transparent)]
    Cpu(#[from] MissingFeature),
    /// The guest does not fit the CPU's address space.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Guest memory could not be made.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The unikernel file could not be mapped.
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
    /// Boot memory could not be filled.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// KVM refused registers.
    #[error(transparent)]
    Vcpu(#[from] VcpuError),
    /// Signals or timers could not be set up.
    #[error(transparent)]
    Events(#[from] EventsError),
    /// The host gave no randomness.
    #[error("the host gives no random bytes")]
    Entropy(#[source] io::Error),
}

impl Error {
    /// The exit code of a start that was refused; the log has said why.
    pub fn refusal_code(&self) -> Option<u8> {
        match self {
            Self::CannotRun { refusal } => Some(refusal.exit_code),
            _ => None,
        }
    }
}

fn mebibytes_up(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

/// An error with its causes, in a line.
pub fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
