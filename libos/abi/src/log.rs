//! Streams of the log.

/// The program's standard output.
pub const STREAM_STDOUT: u64 = 1;
/// The program's standard error.
pub const STREAM_STDERR: u64 = 2;
/// Lines of the libOS itself (one event each), shown on standard error.
pub const STREAM_LIBOS: u64 = 3;
