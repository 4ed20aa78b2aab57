//! Why a guest ended, as the libOS tells it.

/// The program exited; code = its exit status, 0..=255.
pub const EXITED: u64 = 0;
/// A signal ended the program; code = the signal. A record was written for a core-dumping one.
pub const SIGNALED: u64 = 1;
/// The memory limit ended the program (exit code 137, OOMKilled).
pub const OOM_KILLED: u64 = 2;
/// The libOS itself failed; a record was written (exit code 134).
pub const LIBOS_PANIC: u64 = 3;
/// The program could not be started: code = 126 or 127, 125 where what it needs of the
/// host could not be had; the reason is in the log.
pub const EXEC_FAILED: u64 = 4;
/// The memory limit is too small to start the program; code = 125.
pub const MEMORY_TOO_SMALL: u64 = 5;
/// The boot information is of another ABI version; code = the libOS's version.
pub const WRONG_ABI: u64 = 6;
