//! A counted handle of one 4 KiB frame.

use super::{arena, phys};
use crate::errno::Errno;

/// One frame; `clone` adds a reference, the last drop frees it.
#[derive(Debug)]
pub struct Frame {
    gpa: u64,
}

impl Frame {
    /// A frame of zeros.
    ///
    /// # Errors
    /// ENOMEM at the memory limit.
    pub fn zeroed() -> Result<Frame, Errno> {
        arena::allocate_frame()
            .map(|gpa| Frame { gpa })
            .ok_or(Errno::ENOMEM)
    }

    /// Takes over a reference that a page table held.
    pub(in crate::mm) fn from_counted(gpa: u64) -> Frame {
        Frame { gpa }
    }

    /// Gives the reference to a page table.
    pub(in crate::mm) fn into_counted(self) -> u64 {
        let gpa = self.gpa;
        core::mem::forget(self);
        gpa
    }

    /// Whether anybody else has a reference: a mapping, for one.
    pub fn is_shared(&self) -> bool {
        arena::frame_references(self.gpa) > 1
    }

    /// Guest-physical address, page-aligned.
    pub fn gpa(&self) -> u64 {
        self.gpa
    }

    /// Copies out; bytes past the frame's end are left alone.
    pub fn read(&self, offset: usize, dst: &mut [u8]) {
        let len = dst.len().min(4096usize.saturating_sub(offset));
        if let Some(dst) = dst.get_mut(..len) {
            phys::read(self.gpa + offset as u64, dst);
        }
    }

    /// Copies in; bytes past the frame's end are left out.
    pub fn write(&self, offset: usize, src: &[u8]) {
        let len = src.len().min(4096usize.saturating_sub(offset));
        if let Some(src) = src.get(..len) {
            phys::write(self.gpa + offset as u64, src);
        }
    }

    /// Clears a part.
    pub fn clear(&self, offset: usize, len: usize) {
        let len = len.min(4096usize.saturating_sub(offset));
        if len > 0 {
            phys::clear(self.gpa + offset as u64, len);
        }
    }
}

impl Clone for Frame {
    fn clone(&self) -> Frame {
        arena::share_frame(self.gpa);
        Frame { gpa: self.gpa }
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        arena::release_frame(self.gpa);
    }
}
