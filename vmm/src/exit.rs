//! What an exit of the vCPU means: a pure function, testable without KVM.

use unikiln_abi::call::PORT;

use crate::fault::GuestFault;

/// An exit as KVM reported it, in plain values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawExit {
    /// `out`.
    PortOut {
        /// Port.
        port: u16,
        /// Bytes, of all repetitions.
        size_bytes: usize,
        /// The first eight bytes.
        value: u64,
    },
    /// `in`.
    PortIn {
        /// Port.
        port: u16,
        /// Bytes, of all repetitions.
        size_bytes: usize,
    },
    /// An access where no memory is.
    Mmio {
        /// Guest-physical address.
        gpa: u64,
        /// Bytes.
        size_bytes: usize,
        /// Write or read.
        is_write: bool,
    },
    /// `hlt` in ring 0.
    Halt,
    /// Triple fault.
    Shutdown,
    /// KVM gave up.
    InternalError {
        /// `KVM_INTERNAL_ERROR_*`.
        suberror: u32,
        /// Details.
        data: [u64; 4],
    },
    /// The CPU refused the guest's state.
    EntryFailed {
        /// Hardware's reason.
        reason: u64,
    },
    /// A signal for this thread.
    Interrupted,
    /// The host has no page for an address inside a slot.
    BackingLost {
        /// Guest-physical address, where KVM tells.
        gpa: Option<u64>,
    },
    /// `KVM_RUN` failed.
    RunFailed {
        /// Linux errno.
        errno: i32,
    },
    /// Any other exit.
    Other {
        /// `KVM_EXIT_*`.
        reason: u32,
    },
}

/// What to do about an exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Serve this hypercall.
    Call(u32),
    /// Look at signals and timers, then go on.
    Resume,
    /// End the guest.
    Fault(GuestFault),
}

/// Decides what an exit means.
pub fn decide(exit: RawExit) -> Action {
    Action::Fault(match exit {
        // A 4-byte `out` holds the number in EAX; anything longer repeated.
        RawExit::PortOut {
            port: PORT,
            size_bytes: 4,
            value,
        } => return Action::Call(value as u32),
        RawExit::Interrupted => return Action::Resume,
        RawExit::PortOut {
            port,
            size_bytes,
            value,
        } => GuestFault::PortWrite {
            port,
            size_bytes,
            value,
        },
        RawExit::PortIn { port, size_bytes } => GuestFault::PortRead { port, size_bytes },
        RawExit::Mmio {
            gpa,
            size_bytes,
            is_write,
        } => GuestFault::NoMemory {
            gpa,
            size_bytes,
            is_write,
        },
        RawExit::Halt => GuestFault::Halt,
        RawExit::Shutdown => GuestFault::TripleFault,
        RawExit::InternalError { suberror, data } => GuestFault::KvmInternal { suberror, data },
        RawExit::EntryFailed { reason } => GuestFault::EntryFailed { reason },
        RawExit::BackingLost { gpa } => GuestFault::BackingLost { gpa },
        RawExit::RunFailed { errno } => GuestFault::RunFailed { errno },
        RawExit::Other { reason } => GuestFault::UnknownExit { reason },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hypercall_port_alone_is_a_call() {
        let out = |port, size_bytes| RawExit::PortOut {
            port,
            size_bytes,
            value: 3,
        };
        assert_eq!(decide(out(PORT, 4)), Action::Call(3));
        for (port, size_bytes) in [(PORT, 1), (PORT, 2), (PORT, 8), (PORT + 4, 4), (0, 4)] {
            assert_eq!(
                decide(out(port, size_bytes)),
                Action::Fault(GuestFault::PortWrite {
                    port,
                    size_bytes,
                    value: 3
                })
            );
        }
    }

    #[test]
    fn signals_resume() {
        assert_eq!(decide(RawExit::Interrupted), Action::Resume);
    }

    #[test]
    fn every_other_exit_is_a_typed_fault() {
        let (size_bytes, gpa) = (4, 0x1234);
        for (exit, fault) in [
            (
                RawExit::PortIn {
                    port: PORT,
                    size_bytes,
                },
                GuestFault::PortRead {
                    port: PORT,
                    size_bytes,
                },
            ),
            (
                RawExit::Mmio {
                    gpa,
                    size_bytes,
                    is_write: true,
                },
                GuestFault::NoMemory {
                    gpa,
                    size_bytes,
                    is_write: true,
                },
            ),
            (RawExit::Halt, GuestFault::Halt),
            (RawExit::Shutdown, GuestFault::TripleFault),
            (
                RawExit::InternalError {
                    suberror: 1,
                    data: [2; 4],
                },
                GuestFault::KvmInternal {
                    suberror: 1,
                    data: [2; 4],
                },
            ),
            (
                RawExit::EntryFailed { reason: 7 },
                GuestFault::EntryFailed { reason: 7 },
            ),
            (
                RawExit::BackingLost { gpa: Some(gpa) },
                GuestFault::BackingLost { gpa: Some(gpa) },
            ),
            (
                RawExit::RunFailed { errno: 22 },
                GuestFault::RunFailed { errno: 22 },
            ),
            (
                RawExit::Other { reason: 99 },
                GuestFault::UnknownExit { reason: 99 },
            ),
        ] {
            assert_eq!(decide(exit), Action::Fault(fault));
        }
    }
}
