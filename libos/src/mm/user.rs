//! The one file that follows the program's pointers.
//!
//! Program and libOS share the address space, so a copy is a copy; it may fault,
//! for a page that is not there yet (served, and the copy goes on) or for a bad
//! pointer (the copy ends early: EFAULT). The copy loops are in `arch/entry.rs`,
//! and `process/trap.rs` knows their addresses. No lock may be held here that
//! the fault handler needs: those of the address space and of a mapped file.
#![expect(
    unsafe_code,
    reason = "copies through addresses that the program names"
)]

use alloc::vec::Vec;

use unikiln_abi::layout::{APP_END, LIBOS_END, LIBOS_START};
use unikiln_abi::socket::Piece;
use unikiln_abi::{LARGE_PAGE_BYTES, PAGE_BYTES};

use crate::errno::Errno;
use crate::process;

/// Types that are valid for any bytes and have no padding that matters.
///
/// # Safety
/// Every bit pattern is a value; `repr(C)` or a primitive.
pub unsafe trait Pod: Copy {}

/// Declares plain data types.
#[macro_export]
macro_rules! pod {
    ($($type:ty),* $(,)?) => {
        $(
            // SAFETY: the invoker lists repr(C) structures of integers only.
            #[allow(unsafe_code, reason = "marker for plain integers")]
            unsafe impl $crate::mm::user::Pod for $type {}
        )*
    };
}

pod!(
    u8, i8, u16, i16, u32, i32, u64, i64, [u32; 2], [u64; 2], [i64; 2], [u64; 4], [u8; 64],
    [u8; 128]
);

#[cfg(target_os = "none")]
unsafe extern "C" {
    fn user_copy(dst: *mut u8, src: *const u8, len: usize) -> usize;
    fn user_zero(dst: *mut u8, len: usize) -> usize;
    fn user_exchange(word: *mut u32, expected: u32, new: u32, seen: *mut u32) -> u32;
}

#[cfg(not(target_os = "none"))]
unsafe fn user_exchange(word: *mut u32, expected: u32, new: u32, seen: *mut u32) -> u32 {
    use core::sync::atomic::{AtomicU32, Ordering::SeqCst};
    // SAFETY: unit tests pass the address of a word of their own.
    unsafe {
        let word = AtomicU32::from_ptr(word);
        let (Ok(old) | Err(old)) = word.compare_exchange(expected, new, SeqCst, SeqCst);
        *seen = old;
    }
    0
}

#[cfg(not(target_os = "none"))]
unsafe fn user_copy(dst: *mut u8, src: *const u8, len: usize) -> usize {
    // SAFETY: unit tests pass addresses of their own buffers.
    unsafe { core::ptr::copy_nonoverlapping(src, dst, len) };
    0
}

#[cfg(not(target_os = "none"))]
unsafe fn user_zero(dst: *mut u8, len: usize) -> usize {
    // SAFETY: as above.
    unsafe { core::ptr::write_bytes(dst, 0, len) };
    0
}

/// Whether all of the range is in the program's part of the address space.
///
/// # Errors
/// EFAULT.
pub fn check_range(address: u64, len: u64) -> Result<(), Errno> {
    let end = address.checked_add(len).ok_or(Errno::EFAULT)?;
    if end > APP_END || (address < LIBOS_END && end > LIBOS_START) {
        return Err(Errno::EFAULT);
    }
    Ok(())
}

/// Copies from the program.
///
/// # Errors
/// EFAULT; `dst` may be partly written then.
pub fn copy_in(address: u64, dst: &mut [u8]) -> Result<(), Errno> {
    if dst.is_empty() {
        return Ok(());
    }
    check_range(address, dst.len() as u64)?;
    // SAFETY: `dst` is ours; reads of the program's part may fault, which the
    // copy loop survives.
    let left = unsafe {
        user_copy(
            dst.as_mut_ptr(),
            core::ptr::with_exposed_provenance(address as usize),
            dst.len(),
        )
    };
    if left == 0 {
        Ok(())
    } else {
        Err(Errno::EFAULT)
    }
}

/// Copies from the program as far as it can be read: bytes copied.
pub fn copy_in_part(address: u64, dst: &mut [u8]) -> usize {
    if dst.is_empty() || check_range(address, dst.len() as u64).is_err() {
        return 0;
    }
    let source = core::ptr::with_exposed_provenance(address as usize);
    // SAFETY: as `copy_in`.
    let left = unsafe { user_copy(dst.as_mut_ptr(), source, dst.len()) };
    dst.len().saturating_sub(left)
}

/// Copies to the program as far as it can be written: bytes copied.
pub fn copy_out_part(address: u64, src: &[u8]) -> usize {
    if src.is_empty() || check_range(address, src.len() as u64).is_err() {
        return 0;
    }
    let target = core::ptr::with_exposed_provenance_mut(address as usize);
    // SAFETY: as `copy_out`.
    let left = unsafe { user_copy(target, src.as_ptr(), src.len()) };
    src.len().saturating_sub(left)
}

/// Copies to the program.
///
/// # Errors
/// EFAULT; the range may be partly written then.
pub fn copy_out(address: u64, src: &[u8]) -> Result<(), Errno> {
    if src.is_empty() {
        return Ok(());
    }
    check_range(address, src.len() as u64)?;
    // SAFETY: writes go to the program's part only, where no Rust object lives.
    let left = unsafe {
        user_copy(
            core::ptr::with_exposed_provenance_mut(address as usize),
            src.as_ptr(),
            src.len(),
        )
    };
    if left == 0 {
        Ok(())
    } else {
        Err(Errno::EFAULT)
    }
}

/// Clears program memory.
///
/// # Errors
/// EFAULT.
pub fn zero_out(address: u64, len: usize) -> Result<(), Errno> {
    if len == 0 {
        return Ok(());
    }
    check_range(address, len as u64)?;
    // SAFETY: as `copy_out`.
    let left = unsafe {
        user_zero(
            core::ptr::with_exposed_provenance_mut(address as usize),
            len,
        )
    };
    if left == 0 {
        Ok(())
    } else {
        Err(Errno::EFAULT)
    }
}

/// Reads one value.
///
/// # Errors
/// EFAULT.
pub fn read<T: Pod>(address: u64) -> Result<T, Errno> {
    let mut value = core::mem::MaybeUninit::<T>::zeroed();
    // SAFETY: a view of the value's own bytes, all of them initialized.
    let bytes =
        unsafe { core::slice::from_raw_parts_mut(value.as_mut_ptr().cast::<u8>(), size_of::<T>()) };
    copy_in(address, bytes)?;
    // SAFETY: T is Pod, so any bytes are a value.
    Ok(unsafe { value.assume_init() })
}

/// Writes one value.
///
/// # Errors
/// EFAULT.
pub fn write<T: Pod>(address: u64, value: &T) -> Result<(), Errno> {
    copy_out(address, bytes_of(value))
}

/// Changes the aligned word at `address` from `expected` to `new`, at once for
/// all threads: what was there, which is `expected` if it was changed.
///
/// # Errors
/// EFAULT.
pub fn exchange(address: u64, expected: u32, new: u32) -> Result<u32, Errno> {
    check_range(address, 4)?;
    let mut seen = 0;
    // SAFETY: writes go to the program's part only, where no Rust object lives;
    // a fault ends the instruction without an effect.
    let faulted = unsafe {
        user_exchange(
            core::ptr::with_exposed_provenance_mut(address as usize),
            expected,
            new,
            &raw mut seen,
        )
    };
    if faulted == 0 {
        Ok(seen)
    } else {
        Err(Errno::EFAULT)
    }
}

/// Replaces the aligned word at `address` by what `change` makes of it, at once
/// for all threads: the old word.
///
/// # Errors
/// EFAULT; what `change` says.
pub fn update(
    address: u64,
    mut change: impl FnMut(u32) -> Result<u32, Errno>,
) -> Result<u32, Errno> {
    let mut old = read(address)?;
    loop {
        let seen = exchange(address, old, change(old)?)?;
        if seen == old {
            return Ok(old);
        }
        old = seen;
    }
}

/// The bytes of a plain value.
pub fn bytes_of<T: Pod>(value: &T) -> &[u8] {
    // SAFETY: T is Pod; padding, if any, was zeroed by whoever built it.
    unsafe { core::slice::from_raw_parts(core::ptr::from_ref(value).cast::<u8>(), size_of::<T>()) }
}

/// Reads a string up to its NUL, which is left out.
///
/// # Errors
/// EFAULT; ENAMETOOLONG when there is no NUL within `max` bytes.
pub fn read_cstr(address: u64, max: usize) -> Result<Vec<u8>, Errno> {
    let mut text = Vec::new();
    let mut at = address;
    while text.len() < max {
        // Never past the end of a page: the next one may not be there.
        let room = (4096 - (at & 4095)) as usize;
        let mut part = [0u8; 256];
        let part = part
            .get_mut(..room.min(256).min(max - text.len()))
            .ok_or(Errno::EFAULT)?;
        copy_in(at, part)?;
        if let Some(end) = part.iter().position(|b| *b == 0) {
            text.extend_from_slice(&part[..end]);
            return Ok(text);
        }
        text.extend_from_slice(part);
        at += part.len() as u64;
    }
    Err(Errno::ENAMETOOLONG)
}

/// Where the first bytes of a range are in guest-physical memory, in at most `most` pieces.
/// None where it cannot be read; it ends before the first byte that is not in memory of the
/// guest's own, such as a file of the image.
///
/// Another thread may unmap them at once, so they may be looked at, but not written.
pub fn pieces(address: u64, len: usize, most: usize) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    // With nothing locked: what is not there yet is brought by a fault.
    let is_there = fault_in(address, len as u64).is_ok();
    if !is_there || pieces.try_reserve_exact(most).is_err() {
        return pieces;
    }
    let end = address + len as u64;
    let space = process::current().space().lock();
    let mut at = address;
    while at < end {
        let (entry, is_large) = space.root.lookup(at);
        if !entry.is_present() || !entry.is_counted() {
            break;
        }
        let page_bytes = if is_large {
            LARGE_PAGE_BYTES
        } else {
            PAGE_BYTES
        };
        let offset = at % page_bytes;
        let here = (page_bytes - offset).min(end - at);
        let gpa = entry.gpa() + offset;
        let is_full = pieces.len() == most;
        match pieces.last_mut() {
            Some(last) if last.gpa + last.len_bytes == gpa => last.len_bytes += here,
            _ if is_full => break,
            _ => pieces.push(Piece {
                gpa,
                len_bytes: here,
            }),
        }
        at += here;
    }
    pieces
}

/// Touches each page of the range so that it is there.
///
/// # Errors
/// EFAULT.
pub fn fault_in(address: u64, len: u64) -> Result<(), Errno> {
    check_range(address, len)?;
    let mut at = address;
    while at < address + len {
        read::<u8>(at)?;
        at = (at & !4095) + 4096;
    }
    Ok(())
}
