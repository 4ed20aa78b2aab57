//! How a caller sees what takes long.

/// What the builder is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Reading and unpacking layers; counted in bytes of the layers as stored.
    Unpack,
    /// Writing the unikernel file; counted in bytes of file data.
    Write,
}

/// Called by [`crate::build()`] as it goes.
pub trait Progress {
    /// A step of `total_bytes` begins.
    fn begin(&mut self, step: Step, total_bytes: u64);
    /// `bytes` more of the step are done.
    fn advance(&mut self, bytes: u64);
}

/// For callers that do not care.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn begin(&mut self, _step: Step, _total_bytes: u64) {}
    fn advance(&mut self, _bytes: u64) {}
}
