//! How a caller sees what takes long.

/// What the builder is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Reading and unpacking layers; counted in bytes of the layers as stored.
    Unpack,
    /// Writing the unikernel file; counted in bytes of file data.
    Write,
}

/// What a pull or a push is busy with; several blobs at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer<'a> {
    /// A blob begins.
    Begin {
        /// Its digest.
        digest: &'a str,
        /// Its length.
        total_bytes: u64,
    },
    /// So many bytes of the blob are there.
    At {
        /// Its digest.
        digest: &'a str,
        /// Bytes from its start.
        bytes: u64,
    },
    /// The blob is there, because it came or because it was there before.
    End {
        /// Its digest.
        digest: &'a str,
        /// Whether it was there before.
        was_there: bool,
    },
    /// Something that the user should know: a mirror that failed, say.
    Note(&'a str),
}

/// Called by [`crate::build()`], [`crate::registry::pull()`] and
/// [`crate::registry::push()`] as they go.
pub trait Progress {
    /// A step of `total_bytes` begins.
    fn begin(&mut self, step: Step, total_bytes: u64);
    /// `bytes` more of the step are done.
    fn advance(&mut self, bytes: u64);
    /// A pull or a push has news.
    fn transfer(&mut self, _news: Transfer<'_>) {}
}

/// For callers that do not care.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn begin(&mut self, _step: Step, _total_bytes: u64) {}
    fn advance(&mut self, _bytes: u64) {}
}
