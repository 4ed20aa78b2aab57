//! The memory limit, and what counts against it. The monitor sees both in the shared
//! page, and may change the limit there while the guest runs.

use core::sync::atomic::Ordering::Relaxed;

use super::{Arenas, lock};
use crate::mm::PAGE;
use crate::time;

/// See [`use_reserve`].
const RESERVE_FRAMES: u64 = 512;

impl Arenas {
    /// Frames that may be in use: as the monitor says now, of the boot before it says.
    pub(super) fn limit_frames(&self) -> u64 {
        match time::shared().map(|page| page.memory_limit_bytes.load(Relaxed)) {
            None | Some(0) => self.limit_frames,
            Some(bytes) => bytes / PAGE,
        }
    }

    /// Counts frames as used; false where the limit forbids it.
    pub(super) fn count_used(&mut self, frames: u64) -> bool {
        if self.used_frames + frames > self.limit_frames() + self.reserve_frames {
            return false;
        }
        self.add_used(frames);
        true
    }

    /// The same for the libOS's own heap, which may need some to free more.
    pub(super) fn count_heap(&mut self, frames: u64) -> bool {
        if self.used_frames + frames > self.limit_frames() + self.reserve_frames + RESERVE_FRAMES {
            return false;
        }
        self.add_used(frames);
        true
    }

    /// Counts frames as used, whatever the limit is.
    pub(super) fn add_used(&mut self, frames: u64) {
        self.used_frames += frames;
        self.peak_frames = self.peak_frames.max(self.used_frames);
        self.publish();
    }

    /// Frames that are free again.
    pub(super) fn subtract_used(&mut self, frames: u64) {
        self.used_frames -= frames;
        self.publish();
    }

    fn publish(&self) {
        if let Some(page) = time::shared() {
            page.memory_used_bytes
                .store(self.used_frames * PAGE, Relaxed);
            page.memory_peak_bytes
                .store(self.peak_frames * PAGE, Relaxed);
        }
    }
}

/// Lets a little more be used than the limit allows, until a process that was killed has given
/// its memory back: false where that was so already.
pub fn use_reserve() -> bool {
    let mut arenas = lock();
    core::mem::replace(&mut arenas.reserve_frames, RESERVE_FRAMES) == 0
}

/// The limit holds again.
pub fn end_reserve() {
    lock().reserve_frames = 0;
}

/// What the guest may use in all.
pub fn limit_bytes() -> u64 {
    lock().limit_frames() * PAGE
}

/// In use now, the libOS included.
pub fn used_bytes() -> u64 {
    lock().used_frames * PAGE
}

/// Most in use at one time.
pub fn peak_bytes() -> u64 {
    lock().peak_frames * PAGE
}

/// Left below the limit.
pub fn available_bytes() -> u64 {
    let arenas = lock();
    arenas.limit_frames().saturating_sub(arenas.used_frames) * PAGE
}

/// Bytes in arenas.
pub fn arena_bytes() -> u64 {
    lock().arena_bytes
}
