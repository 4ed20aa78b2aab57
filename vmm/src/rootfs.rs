//! The unikernel file in guest-physical space: read-only windows of its page cache.
//!
//! Nothing is copied and nothing is read ahead: a window is a shared, read-only
//! mapping of the file and a read-only memory slot over it. All guests of a
//! file share its page cache.
//!
//! Someone who truncates the file while a guest runs takes pages away under
//! it. The monitor never reads the windows, so it gets no SIGBUS; the vCPU's
//! next access there ends the guest as [`crate::fault::GuestFault::BackingLost`].
//! Builders write to a new file and rename it, which is safe.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use vm_memory::mmap::{MmapRegionBuilder, MmapRegionError};
use vm_memory::{FileOffset, MmapRegion};

use unikiln_abi::{LARGE_PAGE_BYTES, PAGE_BYTES};

use crate::layout::{ROOTFS_WINDOW_BYTES, align_up};
use crate::vm::{SlotHost, VmError};

/// Errors of this module.
#[derive(Debug, thiserror::Error)]
pub enum RootfsError {
    /// The open file could not be kept.
    #[error("cannot keep the unikernel file open")]
    Clone(#[source] std::io::Error),
    /// The host did not map the file.
    #[error("cannot map window {index} of the unikernel file")]
    Map {
        /// Window.
        index: u64,
        /// What the system said.
        source: MmapRegionError,
    },
    /// KVM did not take the window.
    #[error("cannot show window {index} of the unikernel file to the guest")]
    Slot {
        /// Window.
        index: u64,
        /// What KVM said.
        source: VmError,
    },
    /// The guest named a window that is not there.
    #[error("the unikernel file has no window {index}")]
    NoSuchWindow {
        /// Window.
        index: u64,
    },
}

/// The file and the windows that are mapped.
#[derive(Debug)]
pub struct Rootfs {
    file: Arc<File>,
    gpa: u64,
    bytes: u64,
    windows: Vec<Option<MmapRegion>>,
}

impl Rootfs {
    /// A file of `bytes` that will appear at `gpa`; maps nothing yet.
    pub fn new(file: File, gpa: u64, bytes: u64) -> Self {
        let count = bytes.div_ceil(ROOTFS_WINDOW_BYTES);
        Self {
            file: Arc::new(file),
            gpa,
            bytes,
            windows: (0..count).map(|_| None).collect(),
        }
    }

    /// First guest-physical address.
    pub fn gpa(&self) -> u64 {
        self.gpa
    }

    /// Bytes of the file.
    pub fn len_bytes(&self) -> u64 {
        self.bytes
    }

    /// Maps a window unless it is mapped already.
    pub fn map(&mut self, index: u64, slots: &dyn SlotHost) -> Result<(), RootfsError> {
        let window = usize::try_from(index)
            .ok()
            .and_then(|index| self.windows.get_mut(index))
            .ok_or(RootfsError::NoSuchWindow { index })?;
        if window.is_some() {
            return Ok(());
        }
        let start = index * ROOTFS_WINDOW_BYTES;
        let bytes = (self.bytes - start).min(ROOTFS_WINDOW_BYTES);
        // Whole large pages, so that the kernel aligns the mapping to them and
        // KVM can use them. What lies past the file's end faults: a guest that
        // touches it is ended.
        let region = MmapRegionBuilder::new(align_up(bytes, LARGE_PAGE_BYTES) as usize)
            .with_mmap_prot(libc::PROT_READ)
            .with_mmap_flags(libc::MAP_SHARED | libc::MAP_NORESERVE)
            .with_file_offset(FileOffset::from_arc(Arc::clone(&self.file), start))
            .build()
            .map_err(|source| RootfsError::Map { index, source })?;
        advise_huge(&region);
        slots
            .add_slot(self.gpa + start, &region, true)
            .map_err(|source| RootfsError::Slot { index, source })?;
        *window = Some(region);
        Ok(())
    }
}

/// Reads the first 2 MiB of a file that is not in the page cache, libOS
/// included, as one huge page. To be called before anything else reads the
/// file: an ordinary read would bring it in as small pages, for as long as it
/// stays. A hint, so failures are of no consequence; opening the file tells more.
#[expect(unsafe_code, reason = "madvise takes an address")]
pub fn read_ahead(path: &Path) {
    let Ok(file) = File::open(path) else {
        return;
    };
    let region = MmapRegionBuilder::<()>::new(LARGE_PAGE_BYTES as usize)
        .with_mmap_prot(libc::PROT_READ)
        .with_mmap_flags(libc::MAP_SHARED | libc::MAP_NORESERVE)
        .with_file_offset(FileOffset::new(file, 0))
        .build();
    let Ok(region) = region else {
        return;
    };
    advise_huge(&region);
    // SAFETY: the page is part of a mapping of this function's own; populating
    // it changes none of its bytes, and a file that is too short is an error.
    unsafe {
        libc::madvise(
            region.as_ptr().cast(),
            PAGE_BYTES as usize,
            libc::MADV_POPULATE_READ,
        );
    }
}

/// Asks for huge pages of the page cache; a hint, so failures are of no consequence.
#[expect(unsafe_code, reason = "madvise takes an address")]
fn advise_huge(region: &MmapRegion) {
    // SAFETY: the range is a mapping of the caller's, and the advice changes
    // none of its bytes.
    unsafe {
        libc::madvise(region.as_ptr().cast(), region.size(), libc::MADV_HUGEPAGE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Slots(std::sync::Mutex<Vec<(u64, usize)>>);

    impl SlotHost for Slots {
        fn add_slot(&self, gpa: u64, region: &MmapRegion, _: bool) -> Result<(), VmError> {
            self.0.lock().unwrap().push((gpa, region.size()));
            Ok(())
        }
    }

    #[test]
    fn windows_are_mapped_once_and_the_last_ends_with_the_files_last_large_page() {
        let file = tempfile::tempfile().unwrap();
        let bytes = ROOTFS_WINDOW_BYTES + 5000;
        file.set_len(bytes).unwrap();
        let slots = Slots::default();
        let mut rootfs = Rootfs::new(file, 1 << 36, bytes);
        for index in [1, 1, 0] {
            rootfs.map(index, &slots).unwrap();
        }
        let second = ((1 << 36) + ROOTFS_WINDOW_BYTES, LARGE_PAGE_BYTES as usize);
        assert_eq!(
            *slots.0.lock().unwrap(),
            [second, (1 << 36, ROOTFS_WINDOW_BYTES as usize)]
        );
        for index in [2, u64::MAX] {
            assert!(matches!(
                rootfs.map(index, &slots),
                Err(RootfsError::NoSuchWindow { .. })
            ));
        }
    }
}
