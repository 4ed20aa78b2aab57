//! The root file system's bytes: the unikernel file in the direct map, mapped
//! window by window on first use.
#![expect(unsafe_code, reason = "makes slices of memory that the monitor maps")]

use core::sync::atomic::{AtomicU64, Ordering};

use spin::Mutex;
use unikiln_abi::boot::BootInfo;

use crate::errno::Errno;

static GPA: AtomicU64 = AtomicU64::new(0);
/// Address of byte 0.
static BASE: AtomicU64 = AtomicU64::new(0);
static LEN: AtomicU64 = AtomicU64::new(0);
static WINDOW_BYTES: AtomicU64 = AtomicU64::new(1);
/// Bytes that are mapped from the start, without a look at [`MAPPED`].
static MAPPED_PREFIX: AtomicU64 = AtomicU64::new(0);
/// One bit for each window.
static MAPPED: Mutex<alloc::vec::Vec<u64>> = Mutex::new(alloc::vec::Vec::new());

/// Learns where the file is.
pub fn init(info: &BootInfo) {
    GPA.store(info.rootfs_gpa, Ordering::Relaxed);
    BASE.store(
        unikiln_abi::layout::DIRECT_MAP_BASE + info.rootfs_gpa,
        Ordering::Relaxed,
    );
    LEN.store(info.rootfs_bytes, Ordering::Relaxed);
    WINDOW_BYTES.store(info.rootfs_window_bytes.max(1), Ordering::Relaxed);
    let prefix = info
        .rootfs_windows_mapped
        .saturating_mul(info.rootfs_window_bytes);
    MAPPED_PREFIX.store(prefix, Ordering::Relaxed);
}

/// Bytes of the root file system.
pub fn len() -> u64 {
    LEN.load(Ordering::Relaxed)
}

/// Whether there is none.
pub fn is_empty() -> bool {
    len() == 0
}

/// Guest-physical address of a byte.
pub fn gpa(offset: u64) -> u64 {
    GPA.load(Ordering::Relaxed) + offset
}

/// `len` bytes from `offset`.
///
/// # Errors
/// EIO past the end of the file system, or when a window cannot be mapped.
pub fn bytes(offset: u64, len: u64) -> Result<&'static [u8], Errno> {
    let end = offset.checked_add(len).ok_or(Errno::EIO)?;
    if end > LEN.load(Ordering::Relaxed) {
        return Err(Errno::EIO);
    }
    if end > MAPPED_PREFIX.load(Ordering::Relaxed) {
        map_windows(offset, end)?;
    }
    let address = (BASE.load(Ordering::Relaxed) + offset) as usize;
    // SAFETY: the range lies in windows that the monitor mapped read-only, and
    // that stay mapped for ever; nobody writes to them.
    Ok(unsafe {
        core::slice::from_raw_parts(core::ptr::with_exposed_provenance(address), len as usize)
    })
}

/// Makes sure that the page at `offset` may be mapped into the program.
///
/// # Errors
/// As [`bytes`].
pub fn require(offset: u64) -> Result<(), Errno> {
    bytes(offset, 1).map(drop)
}

fn map_windows(offset: u64, end: u64) -> Result<(), Errno> {
    let window = WINDOW_BYTES.load(Ordering::Relaxed);
    let prefix = MAPPED_PREFIX.load(Ordering::Relaxed);
    let first = offset.max(prefix) / window;
    let last = end.max(1).div_ceil(window);
    let mut mapped = MAPPED.lock();
    for index in first..last {
        let (word, bit) = ((index / 64) as usize, 1u64 << (index % 64));
        if mapped.len() <= word {
            mapped.resize(word + 1, 0);
        }
        if mapped[word] & bit == 0 {
            map_window(index, window)?;
            mapped[word] |= bit;
        }
    }
    Ok(())
}

#[cfg(target_os = "none")]
fn map_window(index: u64, window: u64) -> Result<(), Errno> {
    use super::{LARGE_PAGE, arena, pagetable};
    crate::hypercall::rootfs_map(index).map_err(|_| Errno::EIO)?;
    let start = index * window;
    let end = (start + window).min(LEN.load(Ordering::Relaxed));
    let mut at = start;
    while at < end {
        if !pagetable::map_direct_access(gpa(at), false, arena::allocate_table) {
            return Err(Errno::ENOMEM);
        }
        at += LARGE_PAGE;
    }
    Ok(())
}

#[cfg(not(target_os = "none"))]
fn map_window(_index: u64, _window: u64) -> Result<(), Errno> {
    Ok(())
}

/// Puts an image in place of the monitor's file. Its addresses are the host's.
#[cfg(not(target_os = "none"))]
pub fn set_for_test(image: &'static [u8]) {
    BASE.store(image.as_ptr().expose_provenance() as u64, Ordering::Relaxed);
    LEN.store(image.len() as u64, Ordering::Relaxed);
    MAPPED_PREFIX.store(u64::MAX, Ordering::Relaxed);
}
