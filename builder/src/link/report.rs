//! What became of files and sites, and why.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use unikiln_unikernel::Linking;

/// Version of the rewriting: another one may give other bytes.
pub(super) const VERSION: u32 = 1;

/// Why a file is left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum LeftFile {
    /// Headers that cannot be right.
    Malformed,
    /// Without section headers nobody knows what is code.
    NoSections,
    /// Something follows the ELF file, which its program finds from the end.
    TrailingData,
    /// The dynamic linker changes its code.
    TextRelocations,
    /// A section is writable and executable.
    WritableCode,
    /// Larger than the linker reads.
    TooLarge,
}

impl LeftFile {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NoSections => "no section headers",
            Self::TrailingData => "data after the ELF file",
            Self::TextRelocations => "relocations in code",
            Self::WritableCode => "writable code",
            Self::TooLarge => "too large",
        }
    }
}

/// Why a site is left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum LeftSite {
    /// The code around it does not decode as code from a known beginning to a known end.
    UnclearCode,
    /// The instructions before it cannot run elsewhere.
    Neighbours,
    /// Something jumps between the instructions before it.
    JumpTarget,
    /// The flags are used after it.
    FlagsUsed,
    /// rt_sigreturn, which unwinders know by its bytes.
    SignalReturn,
    /// Little can move, and there is no padding nearby for the jump.
    NoGap,
    /// No room for its trampoline within reach.
    NoRoom,
}

impl LeftSite {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::UnclearCode => "unclear code",
            Self::Neighbours => "instructions before it cannot move",
            Self::JumpTarget => "jump target before it",
            Self::FlagsUsed => "flags used after it",
            Self::SignalReturn => "signal return",
            Self::NoGap => "no padding nearby for a jump",
            Self::NoRoom => "no room for a trampoline",
        }
    }
}

/// What became of one file's sites.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) bound: u64,
    pub(super) left: BTreeMap<LeftSite, u64>,
}

impl Counts {
    pub(super) fn leave(&mut self, reason: LeftSite) {
        *self.left.entry(reason).or_default() += 1;
    }

    pub(super) fn found(&self) -> u64 {
        self.bound + self.left.values().sum::<u64>()
    }
}

/// An empty report.
pub(super) fn new() -> Linking {
    Linking {
        version: VERSION,
        ..Linking::default()
    }
}

/// Adds one file.
pub(super) fn add(linking: &mut Linking, result: Result<&Counts, LeftFile>) {
    linking.files += 1;
    match result {
        Ok(counts) => {
            linking.changed_files += u64::from(counts.bound > 0);
            linking.sites += counts.found();
            linking.bound_sites += counts.bound;
            for (reason, count) in &counts.left {
                *linking
                    .left_sites
                    .entry(reason.text().to_owned())
                    .or_default() += count;
            }
        }
        Err(reason) => {
            *linking
                .left_files
                .entry(reason.text().to_owned())
                .or_default() += 1;
        }
    }
}
