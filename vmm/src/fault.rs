//! What a guest can do wrong, as the monitor sees it. Each ends the guest with
//! one crash record ([`crate::record`]) and exit code 134.

/// A fault that the monitor found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuestFault {
    /// `out` to another port than the hypercall's, or of another size.
    #[error("out to port {port:#x} ({size_bytes} bytes, value {value:#x})")]
    PortWrite {
        /// Port.
        port: u16,
        /// Bytes.
        size_bytes: usize,
        /// Value.
        value: u64,
    },
    /// `in` from any port.
    #[error("in from port {port:#x} ({size_bytes} bytes)")]
    PortRead {
        /// Port.
        port: u16,
        /// Bytes.
        size_bytes: usize,
    },
    /// An access outside all memory slots, or a write to a read-only one.
    #[error("{} of {size_bytes} bytes at guest-physical {gpa:#x}, where {}", access(*is_write), place(*is_write))]
    NoMemory {
        /// Guest-physical address.
        gpa: u64,
        /// Bytes.
        size_bytes: usize,
        /// Write or read.
        is_write: bool,
    },
    /// `hlt` in ring 0, where only stubs run.
    #[error("hlt in ring 0")]
    Halt,
    /// A trap whose delivery trapped, twice.
    #[error(
        "triple fault: a trap could not be delivered; the trap stack or the supervisor pages are damaged"
    )]
    TripleFault,
    /// KVM could not go on.
    #[error("KVM internal error {suberror} (data {data:#x?})")]
    KvmInternal {
        /// `KVM_INTERNAL_ERROR_*`: 1 is an instruction it cannot emulate.
        suberror: u32,
        /// Details.
        data: [u64; 4],
    },
    /// The CPU refused the guest's state.
    #[error("the CPU refuses the guest's state (hardware reason {reason:#x})")]
    EntryFailed {
        /// Hardware's reason.
        reason: u64,
    },
    /// The unikernel file was truncated, or the host lost a page.
    #[error("the host cannot back guest memory{}; the unikernel file was truncated or the host is out of memory", at(*gpa))]
    BackingLost {
        /// Guest-physical address, where KVM tells.
        gpa: Option<u64>,
    },
    /// `KVM_RUN` failed.
    #[error("KVM cannot run the guest (errno {errno})")]
    RunFailed {
        /// Linux errno.
        errno: i32,
    },
    /// An exit that this monitor does not know.
    #[error("unknown KVM exit {reason}")]
    UnknownExit {
        /// `KVM_EXIT_*`.
        reason: u32,
    },
    /// A hypercall number that there is not.
    #[error("unknown hypercall {number}")]
    UnknownCall {
        /// The number in EAX.
        number: u32,
    },
    /// An argument that cannot be right.
    #[error("hypercall {call}: {name} cannot be {value:#x}")]
    BadArgument {
        /// Name of the call.
        call: &'static str,
        /// Name of the argument.
        name: &'static str,
        /// Its value.
        value: u64,
    },
    /// A buffer that is not inside one arena.
    #[error("hypercall {call}: the buffer {gpa:#x}+{len_bytes:#x} is not inside one arena")]
    BadBuffer {
        /// Name of the call.
        call: &'static str,
        /// First guest-physical address.
        gpa: u64,
        /// Bytes.
        len_bytes: u64,
    },
    /// A counter of a connection's rings that is too far from the monitor's.
    #[error("the rings of a connection: {name} cannot be {value:#x}")]
    RingCounter {
        /// Name of the counter.
        name: &'static str,
        /// Its value.
        value: u64,
    },
    /// A window of the file that the host could not map.
    #[error("window {index} of the unikernel file cannot be mapped on this host")]
    Window {
        /// Window.
        index: u64,
    },
}

fn access(is_write: bool) -> &'static str {
    if is_write { "write" } else { "read" }
}

fn place(is_write: bool) -> &'static str {
    if is_write {
        "is no writable memory"
    } else {
        "is no memory"
    }
}

fn at(gpa: Option<u64>) -> String {
    gpa.map_or_else(String::new, |gpa| format!(" at {gpa:#x}"))
}
