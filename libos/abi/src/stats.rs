//! What the libOS counted, handed over with [`crate::call::EXIT`].

use core::mem::size_of;

/// Most system-call numbers in [`GuestStats::unsupported`].
pub const UNSUPPORTED_MAX: usize = 32;

/// A system call that returned ENOSYS.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Unsupported {
    /// Linux x86-64 number.
    pub number: u32,
    /// Times called.
    pub count: u32,
}

/// See the module documentation.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct GuestStats {
    /// Guest TSC at the libOS's first instruction.
    pub entry_tsc: u64,
    /// Guest TSC when the root file system was mounted.
    pub rootfs_tsc: u64,
    /// Guest TSC when the program was loaded, before its first instruction.
    pub program_tsc: u64,
    /// Guest TSC at the program's first write to the log.
    pub first_log_tsc: u64,
    /// System calls that trapped.
    pub syscalls_trapped: u64,
    /// System calls that entered directly (rewritten sites).
    pub syscalls_direct: u64,
    /// Page faults of the program.
    pub page_faults: u64,
    /// Other exceptions of the program.
    pub exceptions: u64,
    /// Most bytes in use at one time.
    pub memory_peak_bytes: u64,
    /// Bytes in arenas at the end.
    pub memory_arena_bytes: u64,
    /// Entries of `unsupported` in use.
    pub unsupported_count: u64,
    /// Calls that are not there, by first use.
    pub unsupported: [Unsupported; UNSUPPORTED_MAX],
}

const _: () = assert!(size_of::<GuestStats>() == 11 * 8 + UNSUPPORTED_MAX * 8);
