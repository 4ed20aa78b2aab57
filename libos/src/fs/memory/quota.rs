//! How much memory files may hold in all, and the page that counts itself. The counts
//! lie in the shared page, where the monitor may look at them.

use core::sync::atomic::{AtomicU64, Ordering};

use super::super::PAGE_BYTES;
use crate::errno::Errno;
use crate::mm::{self, Frame};
use crate::time;

/// Pages that memory files hold; in unit tests there is no shared page.
fn pages() -> &'static AtomicU64 {
    static PAGES: AtomicU64 = AtomicU64::new(0);
    time::shared().map_or(&PAGES, |page| &page.upper_pages)
}

/// Inodes of the root file system in memory.
pub(super) fn inodes() -> &'static AtomicU64 {
    static INODES: AtomicU64 = AtomicU64::new(0);
    time::shared().map_or(&INODES, |page| &page.upper_inodes)
}

/// Pages that memory files hold.
pub fn used_pages() -> u64 {
    pages().load(Ordering::Relaxed)
}

/// Pages that they may hold: half of the memory limit.
pub fn limit_pages() -> u64 {
    mm::limit_bytes() / PAGE_BYTES / 2
}

/// What a file's frames are counted against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Quota {
    /// The writable layer and the file systems in memory.
    #[default]
    Layer,
    /// The memory limit alone: files without a name, memfd and shared memory.
    Memory,
}

/// A frame of a memory file, counted until it is dropped.
pub(crate) struct CountedFrame(Frame, Quota);

impl CountedFrame {
    /// A zero frame; ENOSPC at the limit.
    pub(crate) fn zeroed(quota: Quota) -> Result<CountedFrame, Errno> {
        if quota == Quota::Memory {
            return Ok(CountedFrame(Frame::zeroed()?, quota));
        }
        if pages().fetch_add(1, Ordering::Relaxed) >= limit_pages() {
            pages().fetch_sub(1, Ordering::Relaxed);
            return Err(Errno::ENOSPC);
        }
        match Frame::zeroed() {
            Ok(frame) => Ok(CountedFrame(frame, quota)),
            Err(errno) => {
                pages().fetch_sub(1, Ordering::Relaxed);
                Err(errno)
            }
        }
    }

    pub(crate) fn frame(&self) -> &Frame {
        &self.0
    }
}

impl Drop for CountedFrame {
    fn drop(&mut self) {
        if self.1 == Quota::Memory {
            return;
        }
        pages().fetch_sub(1, Ordering::Relaxed);
    }
}
